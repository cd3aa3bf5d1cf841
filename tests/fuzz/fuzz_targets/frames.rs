//! The seek table (M60, M61), compared with a plain reading of SPEC.md, 4.6; and the frames that are accepted fill the
//! slot, one after another.

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_format::frames::{FOOTER_SIZE, SeekTable};

fuzz_target!(|slot: &[u8]| {
    let reference = reference(slot);
    let content: u64 = reference.iter().flatten().map(|(_, content)| content).sum();
    let read = read(slot, content);
    let sizes = |table: &SeekTable| -> Vec<(u64, u64)> {
        let frames = table.frames().iter();
        frames
            .map(|frame| (frame.stored.len(), frame.content.len()))
            .collect()
    };
    assert_eq!(read.as_ref().map(sizes), reference);
    let Some(table) = read else {
        return;
    };
    for wrong in [content - 1, content + 1, 0, u64::MAX] {
        assert!(self::read(slot, wrong).is_none());
    }
    let (mut stored, mut at) = (0, 0);
    for frame in table.frames() {
        assert_eq!((frame.stored.start(), frame.content.start()), (stored, at));
        (stored, at) = (frame.stored.end(), frame.content.end());
    }
    assert_eq!(at, content);
    let runs: Vec<usize> = table.runs().map(|(_, run)| run.len()).collect();
    assert_eq!(runs.iter().sum::<usize>(), table.frames().len());
    // Only the last frame of a run is not full.
    for (_, run) in table.runs() {
        assert!(
            run[..run.len() - 1]
                .iter()
                .all(|frame| frame.content.len() == 16 << 20)
        );
    }
});

/// Reads as extraction does: the footer, then the table, in a slot whose content has this size.
fn read(slot: &[u8], content: u64) -> Option<SeekTable> {
    let size = slot.len() as u64;
    let range = SeekTable::range(size, slot.last_chunk::<FOOTER_SIZE>()?).ok()?;
    assert_eq!(range.end(), size);
    SeekTable::read(size, content, range.of(slot)?).ok()
}

/// Stored and original sizes, if they are what the specification allows.
fn reference(slot: &[u8]) -> Option<Vec<(u64, u64)>> {
    let number = |at: usize| {
        let bytes = slot.get(at..at + 4)?.try_into().ok()?;
        Some(u64::from(u32::from_le_bytes(bytes)))
    };
    let footer = slot.len().checked_sub(9)?;
    let count = number(footer)?;
    if slot[footer + 4..] != [0, 0xB1, 0xEA, 0x92, 0x8F] || !(1..=1 << 18).contains(&count) {
        return None;
    }
    let entries = footer.checked_sub(8 * usize::try_from(count).ok()?)?;
    let start = entries.checked_sub(8)?;
    if number(start)? != 0x184D_2A5E || number(start + 4)? != 8 * count + 9 {
        return None;
    }
    let sizes = (entries..footer)
        .step_by(8)
        .map(|at| Some((number(at)?, number(at + 4)?)));
    let sizes = sizes.collect::<Option<Vec<_>>>()?;
    let is_possible =
        |&(stored, content): &(u64, u64)| stored > 0 && (1..=16 << 20).contains(&content);
    let stored: u64 = sizes.iter().map(|(stored, _)| stored).sum();
    (sizes.iter().all(is_possible) && stored == start as u64).then_some(sizes)
}
