//! Why a slot could not be extracted.

use core::fmt;
use psp_format::ops::Operations;
use psp_format::text::Shown;
use rustix::io::Errno;

/// Why a slot could not be read, checked or written. Paths are from the top of the directory that is extracted into.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExtractError {
    /// The bytes are not what was signed, or not what the format allows.
    Format(psp_format::Error),
    /// The package has no slot with this id.
    NoSlot {
        /// The id.
        id: String,
    },
    /// A chain that is not decoded here (`tar.gz`): give the decoded bytes to [`crate::extract::tar_stream`] or
    /// [`crate::contents::tar_stream`].
    Unsupported {
        /// Id of the slot.
        slot: String,
        /// Its chain.
        operations: Operations,
    },
    /// The package file cannot be read.
    Read {
        /// Offset in the file, in bytes.
        offset: u64,
        /// Why; nothing where the file ends.
        reason: Option<Errno>,
    },
    /// The decoded bytes of a `tar.gz` slot cannot be read.
    Stream(String),
    /// A file, directory or link cannot be made.
    Write {
        /// What was being done.
        step: &'static str,
        /// To what.
        path: Vec<u8>,
        /// Why.
        errno: Errno,
    },
    /// Something is there already where an entry goes.
    Exists {
        /// Path of the entry.
        path: Vec<u8>,
    },
    /// No memory for a decoder.
    NoMemory,
}

impl ExtractError {
    /// One line that says what a person can do.
    pub fn help(&self) -> &'static str {
        match self {
            ExtractError::Format(_) => {
                "the package is damaged or was tampered with: get it again from its source"
            }
            ExtractError::NoSlot { .. } => "`flavor inspect` lists the slots of a package",
            ExtractError::Unsupported { .. } => "start this package with `flavor run`",
            ExtractError::Read { .. } | ExtractError::Stream(_) => {
                "check that the file is complete and readable"
            }
            ExtractError::Write { errno, .. } => match *errno {
                Errno::NOSPC | Errno::DQUOT => {
                    "free some space, or name another directory in FLAVOR_CACHE"
                }
                Errno::MFILE | Errno::NFILE => "raise the limit of open files",
                _ => "check the directory, or name another one in FLAVOR_CACHE",
            },
            ExtractError::Exists { .. } => "extract into an empty directory",
            ExtractError::NoMemory => "free some memory and start again",
        }
    }

    /// Whether two entries wanted the same place. In an empty directory that is the archive's fault.
    pub(crate) fn is_conflict(&self) -> bool {
        match self {
            ExtractError::Exists { .. } => true,
            ExtractError::Write { errno, .. } => {
                matches!(*errno, Errno::NOTDIR | Errno::LOOP | Errno::ISDIR)
            }
            _ => false,
        }
    }

    pub(crate) fn write(step: &'static str, path: &[u8], errno: Errno) -> ExtractError {
        let path = path.to_vec();
        if errno == Errno::EXIST {
            ExtractError::Exists { path }
        } else {
            ExtractError::Write { step, path, errno }
        }
    }
}

impl From<psp_format::Error> for ExtractError {
    fn from(error: psp_format::Error) -> ExtractError {
        ExtractError::Format(error)
    }
}

impl std::error::Error for ExtractError {}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExtractError::Format(error) => error.fmt(f),
            ExtractError::NoSlot { id } => write!(f, "no slot {}", Shown(id.as_bytes())),
            ExtractError::Unsupported { slot, operations } => write!(
                f,
                "slot {}: {operations} is not decoded by the launcher",
                Shown(slot.as_bytes())
            ),
            ExtractError::Read {
                offset,
                reason: Some(errno),
            } => write!(
                f,
                "cannot read the package at offset {offset}: {}",
                crate::errno::Why(*errno)
            ),
            ExtractError::Read { offset, .. } => {
                write!(f, "the package ends at offset {offset}")
            }
            ExtractError::Stream(detail) => {
                write!(f, "cannot decode the slot: {}", Shown(detail.as_bytes()))
            }
            ExtractError::Write { step, path, errno } => {
                write!(
                    f,
                    "cannot {step} {}: {}",
                    Shown(path),
                    crate::errno::Why(*errno)
                )
            }
            ExtractError::Exists { path } => {
                write!(f, "{} is there already", Shown(path))
            }
            ExtractError::NoMemory => f.write_str("no memory for a decoder"),
        }
    }
}
