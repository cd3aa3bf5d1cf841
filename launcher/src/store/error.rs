//! Why the store cannot give a work environment.

use crate::errno::Why;
use crate::report::quoted;
use core::fmt;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::extract::ExtractError;

/// Why there is no work environment.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// No candidate can be the store.
    NoPlace(Vec<Rejected>),
    /// Not enough room for what is missing.
    NoSpace {
        /// The store.
        path: PathBuf,
        /// Free bytes.
        free: u64,
        /// Bytes that are missing.
        needed: u64,
    },
    /// A slot cannot be extracted.
    Extract(ExtractError),
    /// A system call on the store fails.
    System {
        /// What was being done.
        step: &'static str,
        /// To what, from the top of the store.
        name: String,
        /// The store.
        path: PathBuf,
        /// Why.
        errno: Errno,
    },
    /// A setup command failed. The hooks know which and why.
    Setup,
}

/// A candidate that cannot be the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The candidate.
    pub path: PathBuf,
    /// What named it.
    pub origin: &'static str,
    /// Why not.
    pub reason: Reason,
}

/// Why a directory cannot be the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The path is relative.
    Relative,
    /// Something is there that is no directory, or a symbolic link.
    NotADirectory,
    /// The directory, or one above it, belongs to somebody who could replace what is in it.
    Owner {
        /// Which directory.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Others can write to the directory, or to one above it that is not sticky.
    Writable {
        /// Which directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file system is mounted with `noexec`.
    NoExec,
    /// The file system is mounted read-only.
    ReadOnly,
    /// Not enough room.
    Space {
        /// Free bytes.
        free: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// It would lie in a home directory that does not exist.
    NoHome,
    /// A directory in it cannot be used.
    Part {
        /// Its name.
        name: &'static str,
        /// Why; `EPERM` for one that somebody else could change.
        errno: Errno,
    },
    /// A system call fails.
    System {
        /// What was being done.
        step: &'static str,
        /// Why.
        errno: Errno,
    },
}

impl StoreError {
    /// One line that says what a person can do.
    pub fn help(&self) -> &'static str {
        match self {
            StoreError::NoPlace(_) => {
                "set FLAVOR_CACHE to a directory that only you can write to and programs can be started from"
            }
            StoreError::NoSpace { .. } => {
                "free some space, or set FLAVOR_CACHE to a directory on another file system"
            }
            StoreError::Extract(error) => error.help(),
            StoreError::System { errno, .. } => match *errno {
                Errno::NOSPC | Errno::DQUOT => {
                    "free some space, or set FLAVOR_CACHE to a directory on another file system"
                }
                _ => "check the directory, or set FLAVOR_CACHE to another one",
            },
            StoreError::Setup => "see the output of the setup command",
        }
    }
}

impl StoreError {
    /// Whether a lock was taken away, and the same may go well behind whoever has the new one.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, StoreError::System { errno, .. } if *errno == Errno::STALE)
    }
}

impl From<ExtractError> for StoreError {
    fn from(error: ExtractError) -> StoreError {
        StoreError::Extract(error)
    }
}

impl std::error::Error for StoreError {}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::NoPlace(rejected) => {
                f.write_str("no directory can hold the package's files")?;
                rejected.iter().try_for_each(|one| write!(f, "\n  {one}"))
            }
            StoreError::NoSpace { path, free, needed } => {
                write!(
                    f,
                    "{path} has {free} bytes free, {needed} are needed",
                    path = quoted(path)
                )
            }
            StoreError::Extract(error) => error.fmt(f),
            StoreError::System {
                step,
                name,
                path,
                errno,
            } => write!(
                f,
                "cannot {step} {name} in {path}: {why}",
                path = quoted(path),
                why = Why(*errno)
            ),
            StoreError::Setup => f.write_str("a setup command of the package failed"),
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}): {}",
            quoted(&self.path),
            self.origin,
            self.reason
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Relative => f.write_str("not an absolute path"),
            Reason::NotADirectory => f.write_str("not a directory, or a symbolic link"),
            Reason::Owner { path, uid } => {
                write!(f, "{path} belongs to user {uid}", path = quoted(path))
            }
            Reason::Writable { path, mode } => {
                write!(
                    f,
                    "others can write to {path} (mode {mode:04o})",
                    path = quoted(path)
                )
            }
            Reason::NoExec => f.write_str("on a file system that is mounted noexec"),
            Reason::ReadOnly => f.write_str("on a file system that is mounted read-only"),
            Reason::Space { free, needed } => {
                write!(f, "{free} bytes free, {needed} are needed")
            }
            Reason::NoHome => f.write_str("there is no such home directory"),
            Reason::Part {
                name,
                errno: Errno::PERM,
            } => write!(
                f,
                "{name} in it belongs to somebody else, or others can write to it"
            ),
            Reason::Part { name, errno } => write!(f, "cannot use {name} in it: {}", Why(*errno)),
            Reason::System { step, errno } => write!(f, "cannot {step}: {}", Why(*errno)),
        }
    }
}
