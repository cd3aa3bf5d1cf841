//! System calls relative to directory handles: one copy of each.
//!
//! The functions of rustix take any kind of path and turn it into a C string where they are called, a few hundred bytes
//! of code each time. The stub has no room for that.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, Stat, Timestamps};
use rustix::io::Errno;

/// How every directory is opened: never through a symbolic link.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// How files of ours are opened for reading: never a link, and not waiting for the other end of a pipe.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// openat(2).
#[inline(never)]
pub(crate) fn open(
    at: BorrowedFd<'_>,
    name: &[u8],
    flags: OFlags,
    mode: u32,
) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(at, name, flags, Mode::from_raw_mode(mode))
}

/// Opens a directory, not a link to one.
pub(crate) fn open_directory(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    open(at, name, DIRECTORY, 0)
}

/// Opens a file for reading, not a link to one.
pub(crate) fn open_file(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    open(at, name, READ, 0)
}

/// Makes a file and opens it for writing. Anything that is there already is an error.
pub(crate) fn new_file(at: BorrowedFd<'_>, name: &[u8], mode: u32) -> Result<OwnedFd, Errno> {
    open(at, name, NEW_FILE, mode)
}

/// fchmod(2).
#[inline(never)]
pub(crate) fn set_mode(file: &OwnedFd, mode: u32) -> Result<(), Errno> {
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))
}

/// mkdirat(2).
#[inline(never)]
pub(crate) fn make_directory(at: BorrowedFd<'_>, name: &[u8], mode: u32) -> Result<(), Errno> {
    rustix::fs::mkdirat(at, name, Mode::from_raw_mode(mode))
}

/// fchmodat(2). Follows links: only for what was just made or looked at, where nobody else can write.
#[inline(never)]
pub(crate) fn change_mode(at: BorrowedFd<'_>, name: &[u8], mode: u32) -> Result<(), Errno> {
    rustix::fs::chmodat(at, name, Mode::from_raw_mode(mode), AtFlags::empty())
}

/// fstatat(2) of the name itself, not of what it links to.
pub(crate) fn look(at: BorrowedFd<'_>, name: &[u8]) -> Result<Stat, Errno> {
    stat(at, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// fstatat(2).
#[inline(never)]
pub(crate) fn stat(at: BorrowedFd<'_>, name: &[u8], flags: AtFlags) -> Result<Stat, Errno> {
    rustix::fs::statat(at, name, flags)
}

/// unlinkat(2) of anything but a directory.
pub(crate) fn unlink(at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    unlink_with(at, name, AtFlags::empty())
}

/// unlinkat(2) of an empty directory.
pub(crate) fn remove_directory(at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    unlink_with(at, name, AtFlags::REMOVEDIR)
}

#[inline(never)]
fn unlink_with(at: BorrowedFd<'_>, name: &[u8], flags: AtFlags) -> Result<(), Errno> {
    rustix::fs::unlinkat(at, name, flags)
}

/// renameat(2).
#[inline(never)]
pub(crate) fn rename(
    from: BorrowedFd<'_>,
    old: &[u8],
    to: BorrowedFd<'_>,
    new: &[u8],
) -> Result<(), Errno> {
    rustix::fs::renameat(from, old, to, new)
}

/// linkat(2), not through links.
pub(crate) fn link(
    from: BorrowedFd<'_>,
    old: &[u8],
    to: BorrowedFd<'_>,
    new: &[u8],
) -> Result<(), Errno> {
    rustix::fs::linkat(from, old, to, new, AtFlags::empty())
}

/// symlinkat(2).
#[inline(never)]
pub(crate) fn symlink(target: &[u8], at: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    rustix::fs::symlinkat(target, at, name)
}

/// readlinkat(2).
#[inline(never)]
pub(crate) fn read_link(at: BorrowedFd<'_>, name: &[u8]) -> Result<CString, Errno> {
    rustix::fs::readlinkat(at, name, Vec::new())
}

/// Whether `name` is a symbolic link with this target.
pub(crate) fn is_link_to(at: BorrowedFd<'_>, name: &[u8], target: &[u8]) -> bool {
    read_link(at, name).is_ok_and(|found| found.as_bytes() == target)
}

/// utimensat(2) of the name itself.
#[inline(never)]
pub(crate) fn set_times(at: BorrowedFd<'_>, name: &[u8], times: &Timestamps) -> Result<(), Errno> {
    rustix::fs::utimensat(at, name, times, AtFlags::SYMLINK_NOFOLLOW)
}

/// Writes all of `bytes`.
pub(crate) fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads a file to its end, but no more than `limit` bytes. The size that it is said to have does not matter: files of the
/// kernel say 0.
pub(crate) fn read_all(file: &OwnedFd, limit: usize) -> Result<Vec<u8>, Errno> {
    let mut content = Vec::new();
    let mut piece = [0; 4096];
    while content.len() < limit {
        match rustix::io::read(file, &mut piece) {
            Ok(0) => break,
            Ok(read) => content.extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    content.truncate(limit);
    Ok(content)
}
