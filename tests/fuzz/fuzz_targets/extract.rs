//! What slots hold, as `flavor verify` checks it: seek table, frames and archive at once. A fuzzer forges no signature,
//! so the signed record is made for the bytes. The first byte chooses operations and target; the rest is stored. What is
//! accepted is decoded once more, by the `zstd` and `tar` crates, and means the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_format::digest::{Checksum, Digest};
use psp_format::frames::{FOOTER_SIZE, SeekTable};
use psp_format::metadata::{Lifecycle, Purpose, Slot};
use psp_format::ops::Operations;
use psp_format::path;
use psp_format::tar::Entry;
use psp_launcher::contents::check_slot;
use psp_launcher::extract::Listing;

/// Decoding more than this shows nothing new and takes time.
const CONTENT_MAX: u64 = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let _ = check(input);
});

fn check(input: &[u8]) -> Option<()> {
    let (choice, stored) = input.split_first()?;
    let operations = match choice % 3 {
        0 => Operations::Tar,
        1 => Operations::Zstd,
        _ => Operations::TarZst,
    };
    let size = stored.len() as u64;
    let original_size = match operations {
        Operations::Tar => size,
        _ => content_size(stored)?,
    };
    if original_size > CONTENT_MAX {
        return None;
    }
    // Only an archive may lie at the work environment itself (M41).
    let target = match operations.is_tar() && choice % 2 == 1 {
        true => ".",
        false => "app",
    };
    let slot = Slot {
        checksum: Checksum(Digest::of(stored)),
        id: "app".to_owned(),
        lifecycle: Lifecycle::Cached,
        mode: 0o755,
        mutable: false,
        offset: 0,
        operations,
        operations_code: operations.code(),
        original_size,
        purpose: Purpose::Payload,
        size,
        slot: 0,
        source: String::new(),
        target: target.to_owned(),
    };
    let listing = check_slot(&slot, stored).ok()?;
    // What is accepted lies in the slot's target, and its list survives being written to a file.
    let again = Listing::from_file(&listing.to_file()).expect("a list reads what it wrote");
    assert_eq!(again.len(), listing.len());
    for (entry, same) in listing.entries().zip(again.entries()) {
        assert_eq!(entry, same);
        assert!(operations == Operations::Zstd || path::is_within(&entry.path, slot.root()));
    }
    let content = match operations {
        Operations::Tar => stored.to_vec(),
        _ => psp_fuzz::read_frames(stored),
    };
    assert_eq!(content.len() as u64, original_size);
    if operations.is_tar() {
        let entries: Vec<Entry> = listing.entries().collect();
        let general = psp_fuzz::read_tar(&content, &entries);
        let same = |general: Vec<(Entry, Vec<u8>)>| {
            general.into_iter().map(|(entry, _)| entry).eq(entries)
        };
        assert!(general.is_none_or(same));
    }
    Some(())
}

/// What the sizes in the seek table add up to.
fn content_size(stored: &[u8]) -> Option<u64> {
    let footer = stored.last_chunk::<FOOTER_SIZE>()?;
    let table = SeekTable::range(stored.len() as u64, footer).ok()?;
    let entries = table.of(stored)?.get(8..)?.strip_suffix(footer)?;
    let size =
        |entry: &[u8; 8]| u64::from(u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]));
    Some(entries.as_chunks::<8>().0.iter().map(size).sum())
}
