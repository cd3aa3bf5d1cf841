//! From an old file and a patch to the new file.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions
    )
)]

use std::io::{self, Write};

use psp_format::digest::Hasher;
use psp_format::range::{Range, widen};

use super::codec::{self, Frames};
use super::format::{Express, Form, Patch, ReadError, Reference, Step};
use super::{PatchFault, Source};

/// How much is copied at once.
const CHUNK: u64 = 1 << 20;

/// Why nothing came of a patch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The patch is not as it should be, or not for this file.
    #[error(transparent)]
    Fault(#[from] PatchFault),
    /// The system does not give the patch.
    #[error("the patch: cannot read at offset {offset}: {source}")]
    Patch {
        /// Where.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// The system does not give the old file.
    #[error("the old file: cannot read at offset {offset}: {source}")]
    Old {
        /// Where.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// The new file cannot be written.
    #[error("the new file: {0}")]
    Write(io::Error),
}

impl From<ReadError> for ApplyError {
    fn from(error: ReadError) -> ApplyError {
        match error {
            ReadError::Fault(fault) => ApplyError::Fault(fault),
            ReadError::Read { offset, source } => ApplyError::Patch { offset, source },
        }
    }
}

/// Whether this is the file that the patch was made for; `progress` is told of bytes that were looked at.
///
/// # Errors
///
/// [`PatchFault::OtherOld`] when it is not, or what the system says.
pub fn check_old(
    patch: &Patch<'_>,
    old: &dyn Source,
    progress: &dyn Fn(u64),
) -> Result<(), ApplyError> {
    let header = patch.header();
    let other = || PatchFault::OtherOld {
        wanted_size: header.old_size,
        wanted: header.old,
    };
    if old.size() != header.old_size {
        return Err(other().into());
    }
    let mut hasher = Hasher::default();
    let whole = Range::new(0, old.size()).ok_or_else(other)?;
    each_piece(old, whole, |bytes| {
        hasher.update(bytes);
        progress(widen(bytes.len()));
        Ok(())
    })?;
    match hasher.finish() == header.old {
        true => Ok(()),
        false => Err(other().into()),
    }
}

/// Writes the new file; `progress` is told of bytes that were written. What was written before an error is of no use.
///
/// # Errors
///
/// [`PatchFault::Step`] for a step that cannot be done, [`PatchFault::Result`] when all of them together do not give the
/// file that the patch names, or what the system says.
pub fn apply(
    patch: &Patch<'_>,
    old: &dyn Source,
    out: &mut dyn Write,
    progress: &dyn Fn(u64),
) -> Result<(), ApplyError> {
    let header = patch.header();
    let wrong = |is_compressed: bool| PatchFault::Result {
        zstd: (is_compressed && header.zstd != codec::zstd_version()).then_some(header.zstd),
    };
    let mut out = Out {
        out,
        hasher: Hasher::default(),
        progress,
    };
    let mut frames = None;
    let mut steps = patch.steps();
    loop {
        let offset = steps.offset();
        match steps.next()? {
            None => break,
            Some(Step::Copy(range)) => each_piece(old, range, |bytes| out.put(bytes))?,
            Some(Step::Express(step)) => {
                let fault = |what| PatchFault::Step { offset, what };
                let content = content(patch, &step, old, fault)?;
                let Form::Frame {
                    level,
                    window_log,
                    size,
                } = step.form
                else {
                    out.put(&content)?;
                    continue;
                };
                if frames.is_none() {
                    frames = Frames::new();
                }
                let frames = frames.as_mut().ok_or_else(|| fault(NO_MEMORY))?;
                let frame = frames.make(&content, level, window_log);
                let frame = frame.ok_or_else(|| fault(NO_MEMORY))?;
                if frame.len() != usize::try_from(size).unwrap_or(0) {
                    return Err(wrong(true).into());
                }
                out.put(&frame)?;
            }
        }
    }
    match out.hasher.finish() == header.new {
        true => Ok(()),
        false => Err(wrong(frames.is_some()).into()),
    }
}

const NO_MEMORY: &str = "there is too little memory for what it has to compress";

/// What a payload stands for.
fn content(
    patch: &Patch<'_>,
    step: &Express,
    old: &dyn Source,
    fault: impl Fn(&'static str) -> PatchFault,
) -> Result<Vec<u8>, ApplyError> {
    let prefix = match prefix(&step.references, old).map_err(old_error)? {
        Some(prefix) => prefix,
        None => return Err(fault("a reference is not a frame of this size").into()),
    };
    let payload = patch.payload(step)?;
    let size = usize::try_from(step.content).unwrap_or(0);
    let content = codec::resolve(&payload, &prefix, size);
    content.ok_or_else(|| fault("its payload cannot be decoded").into())
}

/// The bytes that a payload refers to; nothing when a frame among them is none.
pub(super) fn prefix(
    references: &[Reference],
    old: &dyn Source,
) -> Result<Option<Vec<u8>>, (u64, io::Error)> {
    let sum = references
        .iter()
        .map(Reference::size)
        .fold(0, u64::saturating_add);
    let mut prefix = Vec::new();
    for reference in references {
        let range = reference.stored;
        let bytes = old.piece(range).map_err(|error| (range.start(), error))?;
        let bytes = match reference.content {
            None => Some(bytes),
            Some(size) => codec::decode(&bytes, usize::try_from(size).unwrap_or(0)),
        };
        match bytes {
            // The usual case: one reference, and no second copy of it.
            Some(bytes) if prefix.is_empty() => prefix = bytes,
            Some(bytes) => {
                let sum = usize::try_from(sum).unwrap_or(0);
                prefix.reserve_exact(sum.saturating_sub(prefix.len()));
                prefix.extend_from_slice(&bytes);
            }
            None => return Ok(None),
        }
    }
    Ok(Some(prefix))
}

fn old_error((offset, source): (u64, io::Error)) -> ApplyError {
    ApplyError::Old { offset, source }
}

/// Takes a range of a file in pieces.
fn each_piece(
    old: &dyn Source,
    range: Range,
    mut take: impl FnMut(&[u8]) -> Result<(), ApplyError>,
) -> Result<(), ApplyError> {
    let mut at = range.start();
    while at < range.end() {
        let size = range.end().saturating_sub(at).min(CHUNK);
        let Some(piece) = Range::new(at, size) else {
            break;
        };
        let bytes = old.piece(piece).map_err(|error| old_error((at, error)))?;
        take(&bytes)?;
        at = piece.end();
    }
    Ok(())
}

/// The new file, digested as it is written.
struct Out<'a> {
    out: &'a mut dyn Write,
    hasher: Hasher,
    progress: &'a dyn Fn(u64),
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ApplyError> {
        self.hasher.update(bytes);
        self.out.write_all(bytes).map_err(ApplyError::Write)?;
        (self.progress)(widen(bytes.len()));
        Ok(())
    }
}
