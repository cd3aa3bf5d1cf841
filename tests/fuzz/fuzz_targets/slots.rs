//! The slot table: where slots lie, and that the one table which fits the metadata is accepted and no other.
//!
//! The metadata is made of the input, so that it need not be signed: the check of an unsigned package is the same one.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use psp_format::digest::{Checksum, Digest};
use psp_format::encode;
use psp_format::locate::Found;
use psp_format::member;
use psp_format::metadata::{Lifecycle, Metadata, Purpose, Slot};
use psp_format::ops::Operations;
use psp_format::verify::verify_unsigned;
use psp_testkit::writer::{Plan, sha8};

/// More slots show nothing new.
const SLOTS_MAX: usize = 8;

static TEMPLATE: LazyLock<Metadata> =
    LazyLock::new(|| Metadata::read(&Plan::new().parts().text).expect("the writer's text is good"));

fuzz_target!(|input: &[u8]| {
    let _ = check(input);
});

fn check(input: &[u8]) -> Option<()> {
    let (control, records) = input.split_first_chunk::<16>()?;
    let mut metadata = TEMPLATE.clone();
    metadata.launcher.size = word(&control[..8]);
    for record in records.as_chunks::<40>().0.iter().take(SLOTS_MAX) {
        let last = metadata.slots.last().map_or(0, |slot| slot.slot);
        let slot = slot(record, metadata.slots.len(), last);
        metadata.slots.push(slot);
    }
    let text_len = usize::from(u16::from_le_bytes([control[12], control[13]])) * 9;
    let layout = check_layout(&metadata, text_len)?;
    let table: Vec<u8> = metadata.slots.iter().flat_map(descriptor).collect();
    let encoded = encode::table(&metadata.slots);
    assert!(encoded.flat_map(|entry| *entry.as_bytes()).eq(table));
    let starts = layout.slots.iter().map(|range| range.start());
    let is_placed = metadata.slots.iter().map(|slot| slot.offset).eq(starts);
    assert_eq!(layout.check_offsets(&metadata).is_ok(), is_placed);
    // The rest writes and reads the text, which takes fifty times as long: a sixteenth of all inputs have to do for it,
    // chosen so that those that come of one that was chosen mostly are not.
    if input
        .iter()
        .fold(0_u8, |sum, &byte| sum.wrapping_mul(7).wrapping_add(byte))
        % 16
        == 0
    {
        check_package(control, metadata)?;
    }
    Some(())
}

/// Compares where everything lies with the reference, also where that is beyond any file.
fn check_layout(metadata: &Metadata, text_len: usize) -> Option<encode::Layout> {
    let layout = encode::Layout::of(metadata, text_len);
    let (places, size) = reference(&metadata.slots, metadata.launcher.size, text_len);
    assert_eq!(layout.is_ok(), size <= u64::MAX.into());
    let layout = layout.ok()?;
    let found = layout
        .slots
        .iter()
        .map(|range| (range.start().into(), range.end().into()));
    assert!(found.eq(places));
    assert_eq!(u128::from(layout.package_size()), size);
    Some(layout)
}

/// A package with this metadata, and with offsets and a byte of the table or the padding changed where `control` says so.
fn check_package(control: &[u8; 16], metadata: Metadata) -> Option<()> {
    let deltas: Vec<u64> = metadata.slots.iter().map(|slot| slot.offset).collect();
    let (mut metadata, _) = encode::place(metadata).ok()?;
    let is_moved = deltas.iter().any(|delta| *delta != 0);
    for (slot, delta) in metadata.slots.iter_mut().zip(deltas) {
        slot.offset ^= delta;
    }
    let text = metadata.to_text();
    // Other offsets may take other room in the text, so that every place is another one.
    let layout = check_layout(&metadata, text.len())?;
    let member = member::wrap(&text);
    let mut index = encode::index(&metadata, &layout, &Digest::of(&member));
    encode::finish_index(&mut index, None, &[]);
    let mut table: Vec<u8> = metadata.slots.iter().flat_map(descriptor).collect();
    let mut padding = vec![0; usize::try_from(layout.table.start() - layout.metadata.end()).ok()?];
    let place = usize::from(u16::from_le_bytes([control[8], control[9]]));
    let changed = match place {
        0..1024 => table.get_mut(place),
        _ => padding.get_mut(place - 1024),
    };
    let is_changed = changed.is_some() && control[10] != 0;
    if let Some(byte) = changed {
        *byte ^= control[10];
    }
    let found = Found {
        file_size: layout.package_size(),
        index: index.as_bytes(),
        member: &member,
        padding: &padding,
        table: &table,
    };
    let is_placed = layout.check_offsets(&metadata).is_ok();
    assert!(is_placed || is_moved);
    assert_eq!(verify_unsigned(&found).is_ok(), is_placed && !is_changed);
    Some(())
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("8 bytes"))
}

fn slot(record: &[u8; 40], nth: usize, last: u64) -> Slot {
    let choose = |at: usize, of: usize| usize::from(record[at]) % of;
    let operations = Operations::ALL[choose(32, 5)];
    let size = word(&record[8..16]);
    Slot {
        checksum: Checksum(Digest::of(record)),
        id: format!("s{nth}"),
        lifecycle: Lifecycle::ALL[choose(33, Lifecycle::ALL.len())],
        mode: match operations.is_tar() {
            true => 0o755,
            false => u32::from(u16::from_le_bytes([record[35], record[36]])),
        },
        mutable: record[37] & 1 != 0,
        offset: word(&record[24..32]),
        operations,
        operations_code: operations.code(),
        original_size: match operations {
            Operations::None | Operations::Tar => size,
            _ => word(&record[16..24]),
        },
        purpose: Purpose::ALL[choose(34, Purpose::ALL.len())],
        size,
        slot: last.wrapping_add(word(&record[..8])),
        source: String::new(),
        target: format!("t{nth}"),
    }
}

type Places = Vec<(u128, u128)>;

/// Where slots lie and where the file ends (SPEC.md 1), in numbers that do not overflow.
fn reference(slots: &[Slot], launcher: u64, text_len: usize) -> (Places, u128) {
    let blocks = text_len.div_ceil(65_535);
    let mut end = u128::from(launcher) + (18 + 5 * blocks + text_len) as u128;
    end = end.next_multiple_of(8) + 64 * slots.len() as u128;
    let mut places = Places::new();
    for slot in slots {
        let start = end.next_multiple_of(8);
        end = start + u128::from(slot.size);
        places.push((start, end));
    }
    (places, end.next_multiple_of(8) + 8200)
}

/// The descriptor of a slot (SPEC.md 4.2).
fn descriptor(slot: &Slot) -> [u8; 64] {
    let mut out = [0; 64];
    let words = [
        slot.slot,
        sha8(slot.id.as_bytes()),
        slot.offset,
        slot.size,
        slot.original_size,
        slot.operations_code,
        word(&slot.checksum.0.0[..8]),
    ];
    for (place, word) in out.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    let mode = slot.mode.to_le_bytes();
    out[56] = slot.purpose.code();
    out[57] = slot.lifecycle.code();
    out[58] = 1;
    out[62..].copy_from_slice(&mode[..2]);
    out
}
