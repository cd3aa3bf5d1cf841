//! The seek table: the frames that are accepted fill the slot, one after another (M60, M61).

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_format::frames::{FOOTER_SIZE, SeekTable};

fuzz_target!(|slot: &[u8]| {
    let _ = read(slot);
});

fn read(slot: &[u8]) -> Option<()> {
    let size = slot.len() as u64;
    let range = SeekTable::range(size, slot.last_chunk::<FOOTER_SIZE>()?).ok()?;
    assert_eq!(range.end(), size);
    let table = range.of(slot)?;
    // The original size is signed elsewhere: take the one that this table adds up to.
    let sizes = table.get(8..table.len() - FOOTER_SIZE)?.as_chunks::<8>().0;
    let original = sizes
        .iter()
        .map(|size| u64::from(u32::from_le_bytes([size[4], size[5], size[6], size[7]])))
        .sum();
    let table = SeekTable::read(size, original, table).ok()?;
    let (mut stored, mut content) = (0, 0);
    for frame in table.frames() {
        assert_eq!(
            (frame.stored.start(), frame.content.start()),
            (stored, content)
        );
        assert!(
            !frame.stored.is_empty()
                && !frame.content.is_empty()
                && frame.content.len() <= 16 << 20
        );
        (stored, content) = (frame.stored.end(), frame.content.end());
    }
    assert_eq!((stored, content), (range.start(), original));
    let runs: usize = table.runs().map(|(_, run)| run.len()).sum();
    assert_eq!(runs, table.frames().len());
    Some(())
}
