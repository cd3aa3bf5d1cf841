//! What slots hold, checked without writing: M50 to M63 for `flavor verify`, and the list for `flavor inspect`.
//!
//! The decoding is that of [`crate::extract`], with nothing written: what is accepted here can be extracted. Slots are
//! decoded as a stream, several runs at once; content is never held as a whole.
//!
//! Of the errors of [`ExtractError`] these functions return `Format`, `Unsupported`, `Stream` and `NoMemory`.

use std::io::Read;

use psp_format::range::{Range, widen};
use psp_format::tar::Entry;
use psp_format::{Error, VerifiedPackage, digest::Digest, metadata::Slot};

use crate::extract::{ExtractError, Listing, Nothing, ReadAt, Work, of_file, walk_stream};

/// Checks digest and content of every slot of a package that is in memory.
///
/// # Errors
///
/// The first fault found. `Unsupported` for a package with a `tar.gz` slot, when everything before it is good: use
/// [`check_slot`] for each slot and [`tar_stream`] for those.
pub fn check(package: &VerifiedPackage, file_bytes: &[u8]) -> Result<(), ExtractError> {
    for (slot, range) in package.slots() {
        let stored = range.of(file_bytes).unwrap_or_default();
        package.check_slot(slot, &Digest::of(stored))?;
        check_slot(slot, stored)?;
    }
    Ok(())
}

/// Decodes a slot and checks its content (M50 to M63). The digest of the stored bytes must have been compared before.
///
/// Returns the list of its entries; of a file slot, the file at its target.
///
/// # Errors
///
/// See [`check`].
pub fn check_slot(slot: &Slot, stored: &[u8]) -> Result<Listing, ExtractError> {
    let size = widen(stored.len());
    let range = Range::new(0, size).filter(|_| size == slot.size);
    let range = range.ok_or_else(|| Error::SlotDigest {
        slot: slot.id.clone(),
    })?;
    check_slot_at(slot, &stored, range, None)
}

/// [`check_slot`] for the stored bytes at `range` of a file. `progress` is called with the number of content bytes done
/// since the last call, by any thread.
///
/// # Errors
///
/// See [`check`]; [`ExtractError::Read`] when the file cannot be read.
pub fn check_slot_at(
    slot: &Slot,
    source: &dyn ReadAt,
    range: Range,
    progress: Option<&(dyn Fn(u64) + Sync)>,
) -> Result<Listing, ExtractError> {
    let work = Work {
        slot,
        source,
        range,
        progress,
        one_thread: false,
    };
    if slot.operations.is_tar() {
        let listing = work.tree(&|| Box::new(Nothing))?;
        listing.check(slot)?;
        Ok(listing)
    } else {
        work.file(&|_, _| Ok(()))?;
        Ok(of_file(slot))
    }
}

/// Calls `take` with every entry of a slot, in order, after the whole slot has been checked.
///
/// # Errors
///
/// See [`check`].
pub fn entries(
    slot: &Slot,
    stored: &[u8],
    take: &mut dyn FnMut(&Entry),
) -> Result<(), ExtractError> {
    let listing = check_slot(slot, stored)?;
    listing.entries().for_each(|entry| take(&entry));
    Ok(())
}

/// Checks the decompressed content of a `tar.gz` slot.
///
/// # Errors
///
/// See [`check`]; [`ExtractError::Stream`] when `content` cannot be read.
pub fn tar_stream(slot: &Slot, content: &mut dyn Read) -> Result<Listing, ExtractError> {
    let listing = walk_stream(slot, content, &mut Nothing)?;
    listing.check(slot)?;
    Ok(listing)
}
