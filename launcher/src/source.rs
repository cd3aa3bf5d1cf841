//! The package file: opening the running executable or a named package, and reading what verification needs.
//!
//! A package is opened once, and everything is read through that one handle: whoever replaces the file while it starts
//! changes nothing.

use crate::report::{about, refused};
use core::ffi::CStr;
use core::fmt;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use psp_format::diagnose::diagnose;
use psp_format::locate::{Located, locate};
use psp_format::range::Range;
use psp_format::{VerifiedPackage, verify};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::env_vars;
use crate::extract::{ExtractError, read_exact};
use crate::plan::variable;
use crate::sys::{self, Process};

/// The running executable, whatever its name is by now.
const SELF: &CStr = c"/proc/self/exe";

/// An open package file.
#[derive(Debug)]
pub struct PackageFile {
    file: File,
    path: CString,
    size: u64,
}

/// Why a package cannot be read. Paths are as they were named.
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceError {
    /// The running executable cannot be found: no `/proc`, no path from the kernel, and not in `PATH`.
    NotFound,
    /// The file cannot be opened.
    Open {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        reason: Errno,
    },
    /// It is no regular file.
    NotAFile {
        /// What was named.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// Reading fails.
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: ExtractError,
    },
    /// It is no package that can be started.
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: psp_format::Error,
    },
}

impl PackageFile {
    /// Opens the running executable: `/proc/self/exe`; without `/proc` the path that the kernel was given, then
    /// `argv[0]`, through `PATH` when it has no slash.
    pub fn running(process: &Process) -> Result<PackageFile, SourceError> {
        match PackageFile::open(SELF) {
            Err(SourceError::Open { .. }) => {}
            result => return result,
        }
        if let Some(path) = sys::exec_path() {
            match PackageFile::open(path) {
                Err(SourceError::Open { .. }) => {}
                result => return result,
            }
        }
        let name = process.args.first().ok_or(SourceError::NotFound)?;
        if name.to_bytes().contains(&b'/') {
            return PackageFile::open(name);
        }
        let search = variable(&process.vars, env_vars::PATH.as_bytes()).unwrap_or_default();
        search
            .split(|&byte| byte == b':')
            // An empty or relative entry would take the file from the caller's directory.
            .filter(|directory| directory.starts_with(b"/"))
            .filter_map(|directory| CString::new([directory, b"/", name.to_bytes()].concat()).ok())
            .find_map(|path| PackageFile::open(&path).ok())
            .ok_or(SourceError::NotFound)
    }

    /// Opens a named package. What is no regular file is refused without being opened, so that nothing hangs and no
    /// device notices.
    pub fn named(path: &Path) -> Result<PackageFile, SourceError> {
        let open = |reason| SourceError::Open {
            path: path.to_owned(),
            reason,
        };
        let path_bytes =
            CString::new(path.as_os_str().as_bytes()).map_err(|_| open(Errno::INVAL))?;
        let stat = rustix::fs::stat(path_bytes.as_c_str()).map_err(open)?;
        check_kind(path, stat.st_mode)?;
        PackageFile::open(&path_bytes)
    }

    fn open(path: &CStr) -> Result<PackageFile, SourceError> {
        let name = || path_of(path);
        // Not blocking, because between a look and an opening a FIFO can take the file's place.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let open = |reason| SourceError::Open {
            path: name(),
            reason,
        };
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(open)?;
        let fd = away_from_standard_streams(fd).map_err(open)?;
        let stat = rustix::fs::fstat(&fd).map_err(open)?;
        check_kind(&name(), stat.st_mode)?;
        Ok(PackageFile {
            file: File::from(fd),
            path: path.to_owned(),
            size: u64::try_from(stat.st_size).unwrap_or(0),
        })
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The path under which it was opened.
    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.path.to_bytes()))
    }

    /// Size in bytes when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The directory that the file lies in, without links in its path; of a deleted file, the one in which it was.
    ///
    /// Without `/proc`, as the file was named.
    pub fn directory(&self) -> Vec<u8> {
        let link = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let path = rustix::fs::readlink(link, Vec::new()).unwrap_or_else(|_| self.path.clone());
        let path = path.to_bytes();
        let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        // What lies in the root has `/` itself.
        path.get(..end.max(1)).unwrap_or_default().to_vec()
    }

    fn read(&self, range: Range) -> Result<Vec<u8>, SourceError> {
        // Both ranges that are ever read are bounded by the format, and lie in the file.
        let mut bytes = vec![0; usize::try_from(range.len()).unwrap_or(0)];
        match read_exact(&self.file, &mut bytes, range.start()) {
            Ok(()) => Ok(bytes),
            Err(reason) => Err(SourceError::Read {
                path: self.path().to_owned(),
                reason,
            }),
        }
    }
}

/// Reads and verifies a package: signature, metadata, index, slot table. Two reads, whatever its size.
pub fn read_package(file: &PackageFile) -> Result<VerifiedPackage, SourceError> {
    let format = |reason| SourceError::Format {
        path: file.path().to_owned(),
        reason: diagnose(reason, file.size, |range| file.read(range).ok()),
    };
    let (mut trailer, mut head): (Option<Vec<u8>>, Option<Vec<u8>>) = (None, None);
    // `locate` needs two ranges; what asks for a third is no package.
    for _ in 0..3 {
        match locate(file.size, trailer.as_deref(), head.as_deref()).map_err(format)? {
            Located::Found(found) => return verify::verify(&found).map_err(format),
            Located::Need(range) if trailer.is_none() => trailer = Some(file.read(range)?),
            Located::Need(range) => head = Some(file.read(range)?),
        }
    }
    Err(format(psp_format::Error::NoTrailer))
}

/// Keeps standard input, output and error closed where the caller closed them.
///
/// The first file of a process with a closed standard stream gets its number, and what is then written to "standard
/// error" would land in the next file that is opened there. So the low numbers are filled with handles of the package,
/// which cannot be written and are closed when the application is executed: it finds the streams as the caller left
/// them. Costs nothing where all three are open.
fn away_from_standard_streams(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    loop {
        let next = rustix::io::fcntl_dupfd_cloexec(&fd, 0)?;
        if next.as_raw_fd() > 2 {
            // The last of the low ones is kept open for as long as the process lives.
            core::mem::forget(fd);
            return Ok(next);
        }
        core::mem::forget(next);
    }
}

fn check_kind(path: &Path, mode: rustix::fs::RawMode) -> Result<(), SourceError> {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "not a regular file",
    };
    let path = path.to_owned();
    Err(SourceError::NotAFile { path, kind })
}

fn path_of(path: &CStr) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.to_bytes()))
}

impl SourceError {
    /// One line that says what a person can do.
    pub fn help(&self) -> &'static str {
        use psp_format::Error;
        match self {
            SourceError::NotFound => "mount /proc, or start the package by its full path",
            SourceError::Open { reason, .. } if *reason == Errno::ACCESS => {
                "make the file readable: a package reads its own data"
            }
            SourceError::Open { .. } | SourceError::NotAFile { .. } => "name a .psp file",
            SourceError::Read { .. } => "check the disk or network that the file lies on",
            SourceError::Format { reason, .. } => match reason {
                Error::Truncated { .. } | Error::CutShort { .. } => "download it again",
                Error::Appended { .. } => "get the file again: something was added to it",
                Error::DataRemoved { .. } => {
                    "get the file again, and leave it as it is: its data lies behind the program"
                }
                Error::TooShort { .. } | Error::NoTrailer => {
                    "get the file again: strip, upx, signing tools and text-mode transfers destroy packages"
                }
                Error::Unsigned => "sign it, or get a signed one",
                Error::Version { .. } => "start it with a newer flavor",
                _ => "get the file again; do not start this one",
            },
        }
    }
}

impl std::error::Error for SourceError {}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceError::NotFound => f.write_str("the running package cannot find its own file"),
            SourceError::Open { path, reason } => refused(f, "cannot open ", path, *reason),
            SourceError::NotAFile { path, kind } => {
                about(f, "", path, &" is ")?;
                f.write_str(kind)
            }
            SourceError::Read { path, reason } => {
                about(f, "", path, &": ")?;
                reason.fmt(f)
            }
            // The running package needs no name: whoever started it knows it.
            SourceError::Format { path, reason } if path.as_os_str() == "/proc/self/exe" => {
                reason.fmt(f)
            }
            SourceError::Format { path, reason } => {
                about(f, "", path, &": ")?;
                reason.fmt(f)
            }
        }
    }
}
