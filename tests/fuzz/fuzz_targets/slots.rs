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
    let mut deltas = Vec::new();
    for record in records.as_chunks::<40>().0.iter().take(SLOTS_MAX) {
        let number = metadata.slots.last().map_or(0, |slot| slot.slot);
        metadata
            .slots
            .push(slot(record, metadata.slots.len(), number)?);
        deltas.push(word(&record[24..32]));
    }
    let reference = reference(&metadata.slots, metadata.launcher.size);
    let (mut metadata, _) = match encode::place(metadata) {
        Ok(placed) => placed,
        Err(_) => return None,
    };
    let is_moved = deltas.iter().any(|delta| *delta != 0);
    for (slot, delta) in metadata.slots.iter_mut().zip(deltas) {
        slot.offset ^= delta;
    }
    let text = metadata.to_text();
    let layout = encode::Layout::of(&metadata, text.len());
    if !is_moved {
        let layout = layout.as_ref().expect("it was placed");
        let (ends, size) = reference(text.len()).expect("it was placed");
        let found = layout
            .slots
            .iter()
            .map(|range| (range.start().into(), range.end().into()));
        assert!(found.eq(ends));
        assert_eq!(u128::from(layout.package_size()), size);
    }
    // The offsets take other room now, so their text may be another size and every place another one.
    let layout = layout.ok()?;
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
    assert_eq!(verify_unsigned(&found).is_ok(), !is_moved && !is_changed);
    Some(())
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("8 bytes"))
}

fn slot(record: &[u8; 40], nth: usize, last: u64) -> Option<Slot> {
    let choose = |at: usize, of: usize| usize::from(record[at]) % of;
    let operations = Operations::ALL[choose(32, 5)];
    let size = word(&record[8..16]);
    Some(Slot {
        checksum: Checksum(Digest::of(record)),
        id: format!("s{nth}"),
        lifecycle: Lifecycle::ALL[choose(33, Lifecycle::ALL.len())],
        mode: match operations.is_tar() {
            true => 0o755,
            false => u32::from(u16::from_le_bytes([record[35], record[36]])),
        },
        mutable: record[37] & 1 != 0,
        offset: 0,
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
    })
}

type Places = Vec<(u128, u128)>;

/// Where slots lie and where the file ends (SPEC.md 1), in numbers that do not overflow.
fn reference(slots: &[Slot], launcher: u64) -> impl Fn(usize) -> Option<(Places, u128)> + use<> {
    let sizes: Vec<u128> = slots.iter().map(|slot| slot.size.into()).collect();
    move |text| {
        let blocks = text.div_ceil(65_535);
        let mut end = u128::from(launcher) + (18 + 5 * blocks + text) as u128;
        end = end.next_multiple_of(8) + 64 * sizes.len() as u128;
        let mut places = Places::new();
        for size in &sizes {
            let start = end.next_multiple_of(8);
            end = start + size;
            places.push((start, end));
        }
        Some((places, end.next_multiple_of(8) + 8200))
    }
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
