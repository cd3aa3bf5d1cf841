//! Small files that a host is configured by: read whole, up to a limit, and only when nobody else can write to them.

use core::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use psp_format::succession::SuccessionFault;
use psp_format::text::Shown;
use rustix::fs::{AtFlags, CWD, FileType, OFlags, Stat};
use rustix::io::Errno;

use super::key_file::KeyFileFault;
use crate::at;
use crate::errno::Why;

const WRITABLE_BY_OTHERS: u32 = 0o022;
const MODE_BITS: u32 = 0o7777;
/// How the files are opened: whatever takes their place, the open does not wait. Links are followed, as configuration is
/// often made of them: a directory that nobody else can write to says where they lead.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);
pub(super) const DIRECTORY: OFlags = FILE.union(OFlags::DIRECTORY);

/// What cannot be believed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Why a file or directory cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// It cannot be opened or read.
    System(Errno),
    /// It is not a regular file.
    NotAFile,
    /// Others can write to it, or it is somebody else's.
    Writable {
        /// Its owner.
        uid: u32,
        /// Its permissions.
        mode: u32,
    },
    /// It is larger than anything that belongs there.
    TooLarge,
    /// Its text is not what it should be.
    Text {
        /// The line, from 1.
        line: usize,
        /// The byte in the line, from 1.
        column: usize,
        /// What should be there, or is and should not.
        expected: &'static str,
    },
    /// It is not the file of a key.
    KeyFile(KeyFileFault),
    /// It is not a statement that a key continues another.
    Succession(SuccessionFault),
}

/// Who may own what is believed, besides root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner(pub Option<u32>);

impl Owner {
    /// Refuses what somebody else could have written.
    #[inline(never)]
    pub(super) fn check(self, stat: &Stat) -> Result<(), Problem> {
        let uid = stat.st_uid;
        let is_ours = uid == 0 || self.0 == Some(uid) || is_owner_of_root(uid);
        if is_ours && stat.st_mode & WRITABLE_BY_OTHERS == 0 {
            return Ok(());
        }
        let mode = stat.st_mode & MODE_BITS;
        Err(Problem::Writable { uid, mode })
    }
}

/// In a user namespace the owner of `/` may have another number; it can do everything all the same.
fn is_owner_of_root(uid: u32) -> bool {
    at::stat(CWD, b"/", AtFlags::empty()).is_ok_and(|root| root.st_uid == uid)
}

/// Opens what a name leads to. Nothing behind a link is an error, as a link says that something should be there.
pub(super) fn open(at: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    match at::open(at, name, flags.union(OFlags::NOFOLLOW), 0) {
        Err(Errno::LOOP | Errno::NOTDIR) => match at::open(at, name, flags, 0) {
            Err(Errno::NOENT) => Err(Errno::LOOP),
            other => other,
        },
        other => other,
    }
}

/// The content of a file in a directory; `None` where there is none.
#[inline(never)]
pub(super) fn read(
    at: BorrowedFd<'_>,
    name: &[u8],
    owner: Owner,
    max: usize,
) -> Result<Option<Vec<u8>>, Problem> {
    let file = match open(at, name, FILE) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(Problem::System(errno)),
    };
    let stat = rustix::fs::fstat(&file).map_err(Problem::System)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Problem::NotAFile);
    }
    owner.check(&stat)?;
    let text = at::read_all(&file, max.saturating_add(1)).map_err(Problem::System)?;
    match text.len() > max {
        true => Err(Problem::TooLarge),
        false => Ok(Some(text)),
    }
}

impl Problem {
    /// What is wrong with a text at this offset.
    pub(crate) fn at(text: &[u8], offset: usize, expected: &'static str) -> Problem {
        let before = text.get(..offset).unwrap_or(text);
        let lines = before.split(|&byte| byte == b'\n');
        let column = lines.clone().next_back().unwrap_or_default().len();
        Problem::Text {
            line: lines.count(),
            column: column.saturating_add(1),
            expected,
        }
    }
}

/// A path in printable characters.
pub(crate) fn shown(path: &Path) -> Shown<'_> {
    Shown(path.as_os_str().as_bytes())
}

impl Fault {
    /// One line that says what a person can do.
    pub fn help(&self) -> &'static str {
        match self.problem {
            Problem::System(_) => "make it readable for everybody who starts packages",
            Problem::NotAFile => "put a regular file there",
            Problem::Writable { .. } => {
                "give it to root or to yourself, and take write permission from everyone else"
            }
            Problem::TooLarge => "remove what does not belong there",
            Problem::Text { .. } => "mend the file; until then nothing is started",
            Problem::KeyFile(_) => {
                "give an Ed25519 public key as SPKI PEM, as `flavor trust add` writes it"
            }
            Problem::Succession(_) => "get the statement again, as `flavor trust rotate` wrote it",
        }
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = shown(&self.path);
        match &self.problem {
            Problem::System(errno) => write!(f, "cannot read {path}: {}", Why(*errno)),
            Problem::NotAFile => write!(f, "{path} is not a regular file"),
            Problem::Writable { uid, mode } => write!(
                f,
                "{path} can be changed by others (owner {uid}, mode {mode:04o})"
            ),
            Problem::TooLarge => write!(f, "{path} is too large"),
            Problem::Text {
                line,
                column,
                expected,
            } => write!(f, "{path}, line {line}, column {column}: {expected}"),
            Problem::KeyFile(fault) => write!(f, "{path} holds {fault}"),
            Problem::Succession(fault) => write!(f, "{path}: {fault}"),
        }
    }
}
