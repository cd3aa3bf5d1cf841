//! The content of a slot of another builder's package, read with the care that archives get as sources.

use std::io::{self, BufRead, Read};
use std::path::Path;

use psp_format::ops::Op;

use super::archive::{self, compression};
use super::error::InputError;
use super::globs::{Filter, Selection};
use super::spool::{Spool, SpoolError};
use super::{Content, Times, Tree, into_tree, links};

/// Whether what is unpacked is wanted, or only whether it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Files keep their content, in a temporary file.
    Content,
    /// Files are read and forgotten: each [`Content`] is empty.
    Nothing,
}

impl Keep {
    fn spool(self) -> Result<Spool, InputError> {
        match self {
            Keep::Content => Spool::new(),
            Keep::Nothing => Ok(Spool::nothing()),
        }
    }
}

/// Stored bytes that something was made into.
pub struct Packed<'a, R> {
    /// What it is called in messages.
    pub name: &'a Path,
    /// The bytes.
    pub bytes: R,
    /// Their number, which limits what they unpack to.
    pub size: u64,
}

impl<R: BufRead> Packed<'_, R> {
    /// The entries of a tar stream; `around` is the compression around it.
    ///
    /// # Errors
    ///
    /// As [`super::read`] for an archive.
    pub fn tree(self, around: Option<Op>, keep: Keep) -> Result<Tree, InputError> {
        let everything = Filter::new(&["**"], &[])?;
        let mut selection = Selection::new(&everything);
        let (name, size) = (self.name, self.size);
        let content = self.content(around)?;
        let mut draft =
            archive::collect_stream(name, content, size, keep.spool()?, &mut selection)?;
        links::normalise(&mut draft, None)?;
        // A package gives no program the rights of its owner, whatever its builder thought.
        Ok(into_tree(draft, Times::Keep, &mut Vec::new()))
    }

    /// One file; `around` is its compression.
    ///
    /// # Errors
    ///
    /// When it cannot be unpacked, or is larger than what its size can explain.
    pub fn file(self, around: Option<Op>, keep: Keep) -> Result<(u64, Content), InputError> {
        let (name, limit) = (self.name, archive::limit(self.size));
        let mut content = self.content(around)?;
        let added = keep.spool()?.add(&mut content, limit.saturating_add(1));
        match added {
            Ok((size, _)) if size > limit => Err(InputError::TooLarge {
                archive: name.into(),
                limit,
            }),
            Ok(added) => Ok(added),
            Err(SpoolError::Source(error)) => Err(corrupt(name, &error)),
            Err(SpoolError::Spool(error)) => Err(error),
        }
    }

    fn content<'r>(self, around: Option<Op>) -> Result<Box<dyn Read + 'r>, InputError>
    where
        R: 'r,
    {
        match around {
            None => Ok(Box::new(self.bytes)),
            // Base readers do not agree on what a second gzip member means.
            Some(Op::Gzip) => Ok(Box::new(OneMember(Some(flate2::bufread::GzDecoder::new(
                self.bytes,
            ))))),
            Some(step) => {
                compression::undo(step, self.bytes).map_err(|error| corrupt(self.name, &error))
            }
        }
    }
}

fn corrupt(name: &Path, error: &io::Error) -> InputError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return InputError::Truncated {
            archive: name.into(),
        };
    }
    InputError::Corrupt {
        archive: name.into(),
        reason: error.to_string(),
    }
}

/// One gzip member, and an error for whatever follows it. `None` once that has been looked for.
struct OneMember<R>(Option<flate2::bufread::GzDecoder<R>>);

impl<R: BufRead> Read for OneMember<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(decoder) = &mut self.0 else {
            return Ok(0);
        };
        let read = decoder.read(buffer)?;
        if read == 0 && !buffer.is_empty() {
            if !decoder.get_mut().fill_buf()?.is_empty() {
                return Err(io::Error::other("something follows the gzip stream"));
            }
            self.0 = None;
        }
        Ok(read)
    }
}
