//! From the stored bytes of a slot to files below a directory handle.
//!
//! 1. The stored bytes are hashed and compared with the signed digest, before a decoder sees one of them (M31).
//! 2. Runs of frames are decoded, several at once, each into its own files ([`tree`]).
//! 3. The rules about the tree as a whole are checked from the list of what was found.
//! 4. Links are made, and the times of directories set.
//!
//! Whatever fails, the caller removes what was written: nothing is published before [`slot`] has returned.
//!
//! The file is read twice, for its digest and for its content. On Linux a running executable cannot be written to, so
//! a package that starts itself cannot change in between; whoever extracts from another file that an adversary may
//! write to has to copy it first.

mod decode;
mod error;
mod listing;
mod parallel;
mod source;
mod tree;
mod walk;

use core::sync::atomic::AtomicU64;
use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use psp_format::frames::{Frame, FrameFault};
use psp_format::metadata::Slot;
use psp_format::ops::Operations;
use psp_format::range::{Range, widen};
use psp_format::{Error, VerifiedPackage};

use self::decode::{Decoder, OUTPUT, frame_error, seek_table};
pub use self::error::ExtractError;
pub(crate) use self::listing::of_file;
pub use self::listing::{Entries, Listing};
pub(crate) use self::source::read_exact;
pub use self::source::{ReadAt, digest};
use self::tree::{SingleFile, Umask, Writer};
pub(crate) use self::tree::{Tree, directory_mode, file_mode, times};

pub(crate) use self::walk::Visitor;
use self::walk::Walk;

/// How a slot is extracted.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Whether the owner may write to the files. Files that packages share may not be written to.
    pub writable: bool,
    /// Called with the number of content bytes done since the last call, by any thread.
    pub progress: Option<&'a (dyn Fn(u64) + Sync)>,
}

/// What was extracted.
#[derive(Debug)]
pub struct Written {
    /// Every entry, in the order of the archive; one for a file slot.
    pub listing: Listing,
}

/// Extracts a slot of a verified package below `into`, at the slot's target.
///
/// # Errors
///
/// [`ExtractError`]. Whatever was written until then is left for the caller to remove.
pub fn slot(
    package: &VerifiedPackage,
    id: &str,
    source: &dyn ReadAt,
    into: BorrowedFd<'_>,
    options: &Options<'_>,
) -> Result<Written, ExtractError> {
    let (slot, range) = find(package, id)?;
    package.check_slot(slot, &digest(source, range)?)?;
    checked_slot(slot, source, range, into, options)
}

/// The slot with this id, and the place of its stored bytes.
///
/// # Errors
///
/// [`ExtractError::NoSlot`].
pub fn find<'a>(package: &'a VerifiedPackage, id: &str) -> Result<(&'a Slot, Range), ExtractError> {
    let mut slots = package.slots();
    slots
        .find(|(slot, _)| slot.id == id)
        .ok_or_else(|| ExtractError::NoSlot { id: id.to_owned() })
}

/// Extracts a slot whose digest has been compared.
pub(crate) fn checked_slot(
    slot: &Slot,
    source: &dyn ReadAt,
    range: Range,
    into: BorrowedFd<'_>,
    options: &Options<'_>,
) -> Result<Written, ExtractError> {
    let umask = prepare(slot, into)?;
    let work = Work {
        slot,
        source,
        range,
        progress: options.progress,
        one_thread: umask.hides_directories(),
    };
    if !slot.operations.is_tar() {
        let file = SingleFile::create(into, umask, slot, options.writable)?;
        work.file(&|bytes, offset| file.write(bytes, offset))?;
        let listing = of_file(slot);
        return Ok(Written { listing });
    }
    let extracted = work.tree(&|| Box::new(Writer::new(into, umask, options.writable)));
    let listing = match extracted {
        // Two entries that want the same place: say which rule of the archive is broken.
        Err(error) if error.is_conflict() => {
            work.tree(&|| Box::new(Nothing))?.check(slot)?;
            return Err(error);
        }
        other => other?,
    };
    listing.check(slot)?;
    tree::finish(into, umask, &listing)?;
    Ok(Written { listing })
}

/// Decodes a file slot whose digest has been compared into an open file.
pub(crate) fn into_file(
    slot: &Slot,
    source: &dyn ReadAt,
    range: Range,
    file: OwnedFd,
) -> Result<OwnedFd, ExtractError> {
    let file = SingleFile::of(file, slot);
    let work = Work {
        slot,
        source,
        range,
        progress: None,
        one_thread: false,
    };
    work.file(&|bytes, offset| file.write(bytes, offset))?;
    Ok(file.into_inner())
}

/// Extracts the decoded tar stream of a `tar.gz` slot, whose stored bytes the caller has checked and decompresses.
///
/// # Errors
///
/// As [`slot`], and [`ExtractError::Stream`] when `content` cannot be read.
pub fn tar_stream(
    slot: &Slot,
    content: &mut dyn Read,
    into: BorrowedFd<'_>,
    options: &Options<'_>,
) -> Result<Written, ExtractError> {
    let umask = prepare(slot, into)?;
    let mut writer = Writer::new(into, umask, options.writable);
    let listing = walk_stream(slot, content, &mut writer)?;
    listing.check(slot)?;
    tree::finish(into, umask, &listing)?;
    Ok(Written { listing })
}

/// Finds the umask, and makes the directories above the slot's target.
fn prepare(slot: &Slot, into: BorrowedFd<'_>) -> Result<Umask, ExtractError> {
    let umask = Umask::probe(into);
    Tree::new(into, umask)
        .make_parents(slot.root())
        .map_err(|errno| ExtractError::write("make the directories above", slot.root(), errno))?;
    Ok(umask)
}

/// Reads a decoded tar stream to its end and checks its size, but not yet the tree.
pub(crate) fn walk_stream(
    slot: &Slot,
    content: &mut dyn Read,
    visitor: &mut dyn Visitor,
) -> Result<Listing, ExtractError> {
    let count = AtomicU64::new(0);
    let mut walk = Walk::new(slot, 0, &count);
    let mut buffer = vec![0; OUTPUT];
    let mut left = slot.original_size;
    let wrong_size = |found| {
        ExtractError::Format(Error::OriginalSize {
            slot: slot.id.clone(),
            signed: slot.original_size,
            found,
        })
    };
    loop {
        let read = match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ExtractError::Stream(error.to_string())),
        };
        left = left
            .checked_sub(widen(read))
            .ok_or_else(|| wrong_size(slot.original_size.saturating_add(1)))?;
        walk.feed(buffer.get(..read).unwrap_or_default(), visitor)?;
    }
    if left > 0 {
        return Err(wrong_size(slot.original_size.saturating_sub(left)));
    }
    // A whole archive is one run, and its last.
    Ok(walk.finish(true)?.unwrap_or_default())
}

/// A visitor that keeps nothing: for checks.
pub(crate) struct Nothing;

impl Visitor for Nothing {
    fn entry(&mut self, _: &psp_format::tar::Entry) -> Result<(), ExtractError> {
        Ok(())
    }

    fn data(&mut self, _: &[u8]) -> Result<(), ExtractError> {
        Ok(())
    }

    fn end(&mut self) -> Result<(), ExtractError> {
        Ok(())
    }
}

/// Takes content bytes with their offset, on any thread.
type Take<'a> = dyn Fn(&[u8], u64) -> Result<(), ExtractError> + Sync + 'a;

/// The stored bytes of one slot, and how they are decoded.
pub(crate) struct Work<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) source: &'a dyn ReadAt,
    pub(crate) range: Range,
    pub(crate) progress: Option<&'a (dyn Fn(u64) + Sync)>,
    /// Whether no further thread may help.
    pub(crate) one_thread: bool,
}

impl Work<'_> {
    /// Decodes a file slot and gives its content to `take`, with offsets, from several threads.
    pub(crate) fn file(&self, take: &Take<'_>) -> Result<(), ExtractError> {
        let take = |bytes: &[u8], at: &mut u64| {
            take(bytes, *at)?;
            *at = at.saturating_add(widen(bytes.len()));
            self.done(bytes);
            Ok(())
        };
        if self.slot.operations == Operations::None {
            let mut at = 0;
            return source::each_piece(self.source, self.range, OUTPUT, &mut |piece| {
                take(piece, &mut at)
            });
        }
        let table = self.table()?;
        let frames = table.frames();
        let decode = |decoder: &mut Decoder, nth: usize| {
            let Some(frame) = frames.get(nth) else {
                return Ok(());
            };
            let mut at = frame.content.start();
            self.frame(decoder, (nth, frame), &mut |piece| take(piece, &mut at))
        };
        let threads = self.threads(frames.len());
        parallel::run(frames.len(), threads, &|| Decoder::new(threads), &decode)
    }

    /// Decodes a tar slot. Each thread gives what it finds to a visitor of its own. The tree is not yet checked.
    pub(crate) fn tree<'v>(
        &self,
        visitor: &(dyn Fn() -> Box<dyn Visitor + 'v> + Sync),
    ) -> Result<Listing, ExtractError> {
        let count = AtomicU64::new(0);
        if self.slot.operations == Operations::Tar {
            let mut visitor = visitor();
            let mut walk = Walk::new(self.slot, 0, &count);
            source::each_piece(self.source, self.range, OUTPUT, &mut |piece| {
                walk.feed(piece, &mut *visitor)?;
                self.done(piece);
                Ok(())
            })?;
            return Ok(walk.finish(true)?.unwrap_or_default());
        }
        let table = self.table()?;
        let runs: Vec<(usize, &[Frame])> = table.runs().collect();
        let parts: Mutex<Vec<Option<Listing>>> = Mutex::new(vec![None; runs.len()]);
        let decode = |(decoder, visitor): &mut (Decoder, Box<dyn Visitor + 'v>), nth: usize| {
            let Some((first, frames)) = runs.get(nth) else {
                return Ok(());
            };
            let is_last = nth.saturating_add(1) == runs.len();
            let part = self.run((*first, frames), is_last, decoder, &mut **visitor, &count)?;
            let mut parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = parts.get_mut(nth) {
                *place = Some(part);
            }
            Ok(())
        };
        let threads = self.threads(runs.len());
        let start = || Ok((Decoder::new(threads)?, visitor()));
        parallel::run(runs.len(), threads, &start, &decode)?;
        let parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut listing = Listing::default();
        for part in parts.into_iter().flatten() {
            listing.append(part);
        }
        Ok(listing)
    }

    /// Decodes one run.
    fn run(
        &self,
        (first, frames): (usize, &[Frame]),
        is_last: bool,
        decoder: &mut Decoder,
        visitor: &mut dyn Visitor,
        count: &AtomicU64,
    ) -> Result<Listing, ExtractError> {
        let at = frames.first().map_or(0, |frame| frame.content.start());
        let mut walk = Walk::new(self.slot, at, count);
        for (nth, frame) in (first..).zip(frames) {
            self.frame(decoder, (nth, frame), &mut |piece| {
                walk.feed(piece, visitor)?;
                self.done(piece);
                Ok(())
            })?;
        }
        let fault = FrameFault::Boundary { frame: first };
        // A run of the end alone begins with no entry; only the run that is the whole archive may hold none.
        walk.finish(is_last)?
            .filter(|part| first == 0 || !part.is_empty())
            .ok_or_else(|| frame_error(self.slot, fault))
    }

    fn frame(
        &self,
        decoder: &mut Decoder,
        frame: (usize, &Frame),
        take: &mut dyn FnMut(&[u8]) -> Result<(), ExtractError>,
    ) -> Result<(), ExtractError> {
        decoder.frame(self.source, (self.slot, self.range.start()), frame, take)
    }

    fn table(&self) -> Result<psp_format::frames::SeekTable, ExtractError> {
        if self.slot.operations.is_framed() {
            seek_table(self.slot, self.source, self.range)
        } else {
            Err(ExtractError::Unsupported {
                slot: self.slot.id.clone(),
                operations: self.slot.operations,
            })
        }
    }

    fn threads(&self, tasks: usize) -> usize {
        if self.one_thread {
            1
        } else {
            parallel::threads_for(tasks)
        }
    }

    fn done(&self, piece: &[u8]) {
        if let Some(progress) = self.progress {
            progress(widen(piece.len()));
        }
    }
}
