//! The bytes of a patch (`docs/delta.md` has the tables): written, and read as what nobody vouches for.
//!
//! Nothing is allocated by a number from a patch before that number is known to be small, and every step adds at least one
//! byte to the result, of which there are no more than the header says.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions
    )
)]

use std::io;

use psp_format::digest::{Digest, Hasher};
use psp_format::limits::{FULL_FRAME, MAX_WINDOW_LOG};
use psp_format::range::{Range, widen};

use super::{PatchFault, Source, codec};

/// The first bytes of a patch.
pub const MAGIC: [u8; 8] = *b"PSPDELTA";
/// The version of the format.
pub const VERSION: u32 = 1;
/// Bytes in front of the first step.
pub const HEADER_SIZE: u64 = 96;
/// Bytes behind the last step: the digest of everything before.
pub const DIGEST_SIZE: u64 = 32;
/// Most bytes that a payload stands for: a frame that could not be made smaller, which is longer than its content.
pub const MAX_CONTENT: u64 = FULL_FRAME + (1 << 20);
/// Most references of a step.
pub const MAX_REFERENCES: usize = 16;
/// Most bytes that the references of a step have together.
pub const MAX_REFERENCE: u64 = 32 << 20;

const COPY: u8 = 1;
const EXPRESS: u8 = 2;
const COPY_SIZE: usize = 17;
const EXPRESS_SIZE: usize = 16;
const REFERENCE_SIZE: usize = 16;
/// The longest step, without its payload.
const STEP_MAX: u64 = 16 + 16 * 16;
/// How much is digested at once.
const CHUNK: u64 = 1 << 20;

/// What a patch says of the two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// `ZSTD_versionNumber()` of the library that made it.
    pub zstd: u32,
    /// Size of the old file.
    pub old_size: u64,
    /// Digest of it.
    pub old: Digest,
    /// Size of the new file.
    pub new_size: u64,
    /// Digest of it.
    pub new: Digest,
}

/// What is done next for the new file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// These bytes of the old file.
    Copy(Range),
    /// Bytes that refer to bytes of the old file.
    Express(Express),
}

/// Bytes that are given as Zstandard data with a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Express {
    /// What the prefix is put together from.
    pub references: Vec<Reference>,
    /// Bytes that the payload stands for.
    pub content: u32,
    /// What is done with them.
    pub form: Form,
    /// Where the payload lies in the patch.
    pub payload: Range,
}

/// What is added to the new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The content.
    Plain,
    /// The content, compressed.
    Frame {
        /// The level, from 1 to 22.
        level: u8,
        /// Logarithm of the window's size.
        window_log: u8,
        /// Bytes of the frame.
        size: u32,
    },
}

/// A part of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Where it lies in the old file.
    pub stored: Range,
    /// Bytes of content, where it is a frame that is decoded; nothing where the bytes are used as they are.
    pub content: Option<u32>,
}

impl Reference {
    /// Bytes that it adds to the prefix.
    pub fn size(&self) -> u64 {
        self.content.map_or(self.stored.len(), u64::from)
    }
}

impl Express {
    /// Bytes that it adds to the new file.
    pub fn size(&self) -> u32 {
        match self.form {
            Form::Plain => self.content,
            Form::Frame { size, .. } => size,
        }
    }
}

impl Header {
    /// The header as bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::from(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend(self.zstd.to_le_bytes());
        for (size, digest) in [(self.old_size, self.old), (self.new_size, self.new)] {
            out.extend(size.to_le_bytes());
            out.extend(digest.0);
        }
        out
    }
}

impl Step {
    /// The step as bytes. The payload, which follows, is the caller's.
    pub fn write(&self) -> Vec<u8> {
        let step = match self {
            Step::Copy(range) => {
                let mut out = vec![COPY];
                out.extend(range.start().to_le_bytes());
                out.extend(range.len().to_le_bytes());
                return out;
            }
            Step::Express(step) => step,
        };
        let (level, window_log) = match step.form {
            Form::Plain => (0, 0),
            Form::Frame {
                level, window_log, ..
            } => (level, window_log),
        };
        let references = u8::try_from(step.references.len()).unwrap_or(u8::MAX);
        let mut out = vec![EXPRESS, references, level, window_log];
        out.extend(step.content.to_le_bytes());
        out.extend(step.size().to_le_bytes());
        out.extend(narrow(step.payload.len()).to_le_bytes());
        for reference in &step.references {
            out.extend(reference.stored.start().to_le_bytes());
            out.extend(narrow(reference.stored.len()).to_le_bytes());
            out.extend(reference.content.unwrap_or(0).to_le_bytes());
        }
        out
    }
}

/// Sizes in a step are bounded far below this.
fn narrow(size: u64) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// Why a patch cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not as it should be.
    #[error(transparent)]
    Fault(#[from] PatchFault),
    /// The system does not give its bytes.
    #[error("cannot read at offset {offset}: {source}")]
    Read {
        /// Where.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
}

/// A patch whose digest is good: as it was written, by whomever.
pub struct Patch<'a> {
    source: &'a dyn Source,
    header: Header,
    end: u64,
}

impl<'a> Patch<'a> {
    /// Reads the header, and compares the digest at the end with everything before.
    ///
    /// # Errors
    ///
    /// [`PatchFault::NotAPatch`], [`PatchFault::Version`], [`PatchFault::Damaged`], or what the system says.
    pub fn open(source: &'a dyn Source) -> Result<Patch<'a>, ReadError> {
        let magic = piece(source, 0, widen(MAGIC.len()).min(source.size()))?;
        if magic != MAGIC {
            return Err(PatchFault::NotAPatch.into());
        }
        let end = source.size().checked_sub(DIGEST_SIZE);
        let end = end.filter(|end| *end >= HEADER_SIZE);
        let end = end.ok_or(PatchFault::Damaged)?;
        let bytes = piece(source, 0, HEADER_SIZE)?;
        let mut fields = Fields(bytes.get(MAGIC.len()..).unwrap_or_default());
        // Another version may end in another way.
        match fields.u32() {
            Some(VERSION) => {}
            Some(found) => return Err(PatchFault::Version { found }.into()),
            None => return Err(PatchFault::Damaged.into()),
        }
        let mut hasher = Hasher::default();
        let mut at = 0_u64;
        while at < end {
            let bytes = piece(source, at, end.saturating_sub(at).min(CHUNK))?;
            hasher.update(&bytes);
            at = at.saturating_add(widen(bytes.len()));
        }
        if piece(source, end, DIGEST_SIZE)? != hasher.finish().0 {
            return Err(PatchFault::Damaged.into());
        }
        let header = Header::read(fields).ok_or(PatchFault::Damaged)?;
        Ok(Patch {
            source,
            header,
            end,
        })
    }

    /// What it says of the two files.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its steps, one after the other.
    pub fn steps(&self) -> Steps<'_> {
        Steps {
            patch: self,
            at: HEADER_SIZE,
            left: self.header.new_size,
        }
    }

    /// The payload of one of its steps.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn payload(&self, step: &Express) -> Result<Vec<u8>, ReadError> {
        piece(self.source, step.payload.start(), step.payload.len())
    }
}

fn piece(source: &dyn Source, offset: u64, size: u64) -> Result<Vec<u8>, ReadError> {
    let range = Range::new(offset, size);
    let bytes = range.map_or_else(
        || Err(io::ErrorKind::UnexpectedEof.into()),
        |range| source.piece(range),
    );
    bytes.map_err(|source| ReadError::Read { offset, source })
}

/// Reads one step after the other.
pub struct Steps<'a> {
    patch: &'a Patch<'a>,
    at: u64,
    left: u64,
}

impl Steps<'_> {
    /// Where the next step begins.
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// The next step; nothing when the new file is complete.
    ///
    /// # Errors
    ///
    /// [`PatchFault::Step`] for one that breaks a rule, and for anything behind the last one; or what the system says.
    #[allow(clippy::should_implement_trait)] // an error ends it: not what an iterator is for
    pub fn next(&mut self) -> Result<Option<Step>, ReadError> {
        let offset = self.at;
        let fault = |what| ReadError::Fault(PatchFault::Step { offset, what });
        let room = self.patch.end.saturating_sub(self.at);
        match (self.left, room) {
            (0, 0) => return Ok(None),
            (0, _) => return Err(fault("the new file is complete, and something follows")),
            (_, 0) => return Err(fault("the new file is not complete")),
            _ => {}
        }
        let bytes = piece(self.patch.source, self.at, room.min(STEP_MAX))?;
        let header = &self.patch.header;
        let (step, size) =
            Step::read(&bytes, self.at, self.patch.end, header.old_size).map_err(fault)?;
        let added = match &step {
            Step::Copy(range) => range.len(),
            Step::Express(step) => u64::from(step.size()),
        };
        let left = self.left.checked_sub(added);
        self.left = left.ok_or_else(|| fault("more than the new file has"))?;
        self.at = self.at.saturating_add(size);
        Ok(Some(step))
    }
}

impl Header {
    fn read(mut fields: Fields<'_>) -> Option<Header> {
        Some(Header {
            zstd: fields.u32()?,
            old_size: fields.u64()?,
            old: Digest(*fields.take()?),
            new_size: fields.u64()?,
            new: Digest(*fields.take()?),
        })
    }
}

impl Step {
    /// Reads a step at offset `at` of a patch whose steps end at `end`, and gives its size, payload included.
    fn read(bytes: &[u8], at: u64, end: u64, old_size: u64) -> Result<(Step, u64), &'static str> {
        const SHORT: &str = "the step is cut short";
        let mut fields = Fields(bytes);
        match fields.u8().ok_or(SHORT)? {
            COPY => {
                let (start, len) = fields.u64().zip(fields.u64()).ok_or(SHORT)?;
                let range = Range::new(start, len).filter(|range| range.fits(old_size));
                let range = range.ok_or("it copies what the old file does not have")?;
                match range.is_empty() {
                    true => Err("it copies nothing"),
                    false => Ok((Step::Copy(range), widen(COPY_SIZE))),
                }
            }
            EXPRESS => {
                let (step, head) = Express::read(fields, old_size).ok_or(SHORT)??;
                let start = at.checked_add(head).ok_or(SHORT)?;
                let payload = Range::new(start, step.payload.len());
                let payload = payload.filter(|range| range.fits(end)).ok_or(SHORT)?;
                let size = head.checked_add(payload.len()).ok_or(SHORT)?;
                Ok((Step::Express(Express { payload, ..step }), size))
            }
            _ => Err("there is no such step"),
        }
    }
}

impl Express {
    /// Reads what follows the first byte, and gives the size of everything in front of the payload. Nothing when there are
    /// too few bytes.
    fn read(mut fields: Fields<'_>, old_size: u64) -> Option<Result<(Express, u64), &'static str>> {
        let count = usize::from(fields.u8()?);
        let (level, window_log) = (fields.u8()?, fields.u8()?);
        let (content, size, payload) = (fields.u32()?, fields.u32()?, fields.u32()?);
        if count > MAX_REFERENCES {
            return Some(Err("it has too many references"));
        }
        let mut references = Vec::with_capacity(count);
        for _ in 0..count {
            references.push((fields.u64()?, fields.u32()?, fields.u32()?));
        }
        let read = || {
            if content == 0 || u64::from(content) > MAX_CONTENT {
                return Err("its content has an impossible size");
            }
            if payload == 0 || u64::from(payload) > codec::bound(content) {
                return Err("its payload has an impossible size");
            }
            let references = references
                .into_iter()
                .map(|it| Reference::read(it, old_size));
            let references: Vec<Reference> = references.collect::<Result<_, _>>()?;
            let sum = references
                .iter()
                .fold(0_u64, |sum, it| sum.saturating_add(it.size()));
            if sum > MAX_REFERENCE {
                return Err("its references are too long");
            }
            let step = Express {
                references,
                content,
                form: Form::read(level, window_log, content, size)?,
                payload: Range::new(0, payload.into())
                    .ok_or("its payload has an impossible size")?,
            };
            let head = count
                .checked_mul(REFERENCE_SIZE)
                .and_then(|n| n.checked_add(EXPRESS_SIZE));
            Ok((step, widen(head.unwrap_or(EXPRESS_SIZE))))
        };
        Some(read())
    }
}

impl Form {
    fn read(level: u8, window_log: u8, content: u32, size: u32) -> Result<Form, &'static str> {
        match level {
            0 if window_log != 0 => Err("it has a window, and compresses nothing"),
            0 if size != content => Err("its two sizes differ"),
            0 => Ok(Form::Plain),
            1..=22 if !(10..=MAX_WINDOW_LOG).contains(&u32::from(window_log)) => {
                Err("its window has an impossible size")
            }
            1..=22 if size == 0 || u64::from(size) > codec::bound(content) => {
                Err("its frame has an impossible size")
            }
            1..=22 => Ok(Form::Frame {
                level,
                window_log,
                size,
            }),
            _ => Err("there is no such level"),
        }
    }
}

impl Reference {
    fn read(
        (start, len, content): (u64, u32, u32),
        old_size: u64,
    ) -> Result<Reference, &'static str> {
        let stored = Range::new(start, len.into()).filter(|range| range.fits(old_size));
        let stored = stored.ok_or("it refers to what the old file does not have")?;
        let content = (content != 0).then_some(content);
        let is_long = match content {
            Some(content) => {
                u64::from(content) > MAX_CONTENT || stored.len() > codec::bound(content)
            }
            None => stored.len() > MAX_CONTENT,
        };
        match stored.is_empty() || is_long {
            true => Err("a reference has an impossible size"),
            false => Ok(Reference { stored, content }),
        }
    }
}

/// Little-endian fields, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(field)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(|[byte]| *byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().copied().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().copied().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests;
