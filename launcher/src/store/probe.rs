//! Whether a directory can be the store: what another user could do to it, and whether programs start from it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Stat};
use rustix::io::Errno;

use super::error::Reason;
use crate::at;

const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;
const MODE_BITS: u32 = 0o7777;
const OWNER: u32 = 0o700;
/// A path has at most 4095 bytes, so no directory that was reached by one lies deeper than this.
const MAX_PARENTS: usize = 2048;

/// Opens a directory that is there and that nobody else can change; `None` for anything else. For starts that only read:
/// two system calls.
pub(crate) fn open_quickly(path: &Path, uid: u32) -> Option<(OwnedFd, Stat)> {
    if !path.is_absolute() {
        return None;
    }
    let directory = at::open_directory(CWD, path.as_os_str().as_bytes()).ok()?;
    let stat = rustix::fs::fstat(&directory).ok()?;
    (is_private(&stat, uid) && is_mapped(&directory, &stat)).then_some((directory, stat))
}

/// Whether the owner that the kernel shows is one user only.
///
/// In a user namespace everybody without a number there has this one, whoever it is. Only the real owner can set the
/// mode: to what it is.
fn is_mapped(directory: &OwnedFd, stat: &Stat) -> bool {
    const UNMAPPED: u32 = 65_534;
    stat.st_uid != UNMAPPED || at::set_mode(directory, stat.st_mode & MODE_BITS).is_ok()
}

/// Whether only this user or root can change what lies in a directory.
pub(crate) fn is_private(stat: &Stat, uid: u32) -> bool {
    (stat.st_uid == uid || stat.st_uid == 0) && stat.st_mode & WRITABLE_BY_OTHERS == 0
}

/// Opens a directory for writing to it, and makes it where it is missing. Checks everything but the free space.
pub(crate) fn open_fully(path: &Path, uid: u32) -> Result<OwnedFd, Reason> {
    if !path.is_absolute() {
        return Err(Reason::Relative);
    }
    let open = || at::open_directory(CWD, path.as_os_str().as_bytes());
    let opened = match open() {
        Err(Errno::NOENT | Errno::ACCESS) => make_with_parents(path, uid).and_then(|()| open()),
        other => other,
    };
    let directory = opened.map_err(|errno| match errno {
        Errno::NOTDIR | Errno::LOOP => Reason::NotADirectory,
        // Everything else that was missing has been made.
        Errno::NOENT => Reason::NoHome,
        errno => system("make or open it", errno),
    })?;
    check_owners(&directory, path, uid)?;
    check_mount(&directory)?;
    Ok(directory)
}

/// Refuses a directory that another user could change, or whose place he could take.
pub(crate) fn check_owners(directory: &OwnedFd, path: &Path, uid: u32) -> Result<(), Reason> {
    let stat = rustix::fs::fstat(directory).map_err(|errno| system("look at it", errno))?;
    if stat.st_uid != uid && stat.st_uid != 0 || !is_mapped(directory, &stat) {
        let path = path.to_owned();
        let uid = stat.st_uid;
        return Err(Reason::Owner { path, uid });
    }
    if stat.st_mode & WRITABLE_BY_OTHERS != 0 {
        let path = path.to_owned();
        let mode = stat.st_mode & MODE_BITS;
        return Err(Reason::Writable { path, mode });
    }
    check_parents(directory, path, uid)
}

/// Refuses a directory without room for `needed` bytes.
pub(crate) fn check_space(directory: &OwnedFd, needed: u64) -> Result<(), Reason> {
    let free = free_space(directory).map_err(|errno| system("look at its file system", errno))?;
    if free < needed {
        return Err(Reason::Space { free, needed });
    }
    Ok(())
}

/// Bytes that this user may still write to the file system.
pub(crate) fn free_space(directory: &OwnedFd) -> Result<u64, Errno> {
    let stat = rustix::fs::fstatvfs(directory)?;
    // A file system without a size has no limit, or does not tell.
    if stat.f_blocks == 0 {
        return Ok(u64::MAX);
    }
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

pub(crate) fn system(step: &'static str, errno: Errno) -> Reason {
    Reason::System { step, errno }
}

/// Makes a directory, mode 0700, and those above it that are missing. But not what a `.cache` lies in: that is a home, and
/// users without one are given a path that must not come to be.
pub(crate) fn make_with_parents(path: &Path, uid: u32) -> Result<(), Errno> {
    match make_private(path, uid) {
        Err(Errno::NOENT) if !path.ends_with(".cache") => {
            make_with_parents(path.parent().ok_or(Errno::NOENT)?, uid)?;
            make_private(path, uid)
        }
        other => other,
    }
}

fn make_private(path: &Path, uid: u32) -> Result<(), Errno> {
    let path = path.as_os_str().as_bytes();
    match at::make_directory(CWD, path, OWNER) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    // A umask may take away what the owner needs; and whoever made it may have been killed here.
    let stat = at::look(CWD, path)?;
    if stat.st_mode & OWNER != OWNER && stat.st_uid == uid {
        at::change_mode(CWD, path, OWNER)?;
    }
    Ok(())
}

/// Whoever can write to a directory above can put another one in the store's place; a sticky one protects what others own.
///
/// Both ways up are looked at: the path as it was named, whose links lead here, and the real parents.
fn check_parents(directory: &OwnedFd, path: &Path, uid: u32) -> Result<(), Reason> {
    let failed = |errno| system("look above it", errno);
    // In a user namespace the owner of `/` may have no number; it can do everything all the same.
    let root = at::stat(CWD, b"/", AtFlags::empty()).map_err(failed)?;
    let check = |stat: &Stat, path: &Path| {
        let path = || path.to_owned();
        let owner = stat.st_uid;
        if owner != uid && owner != 0 && owner != root.st_uid {
            let (path, uid) = (path(), owner);
            return Err(Reason::Owner { path, uid });
        }
        if stat.st_mode & WRITABLE_BY_OTHERS != 0 && stat.st_mode & STICKY == 0 {
            let (path, mode) = (path(), stat.st_mode & MODE_BITS);
            return Err(Reason::Writable { path, mode });
        }
        Ok(())
    };
    for parent in path.ancestors().skip(1) {
        let stat = at::stat(CWD, parent.as_os_str().as_bytes(), AtFlags::empty());
        check(&stat.map_err(failed)?, parent)?;
    }
    let mut above = String::new();
    for _ in 0..MAX_PARENTS {
        above.push_str("../");
        let stat = at::stat(directory.as_fd(), above.as_bytes(), AtFlags::empty());
        let stat = stat.map_err(failed)?;
        check(&stat, &path.join(&above))?;
        if (stat.st_dev, stat.st_ino) == (root.st_dev, root.st_ino) {
            break;
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
pub(crate) fn check_mount(directory: &OwnedFd) -> Result<(), Reason> {
    use rustix::fs::StatVfsMountFlags as Flags;
    let stat = rustix::fs::fstatvfs(directory)
        .map_err(|errno| system("look at its file system", errno))?;
    if stat.f_flag.contains(Flags::RDONLY) {
        return Err(Reason::ReadOnly);
    }
    if stat.f_flag.contains(Flags::NOEXEC) {
        return Err(Reason::NoExec);
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn check_mount(_: &OwnedFd) -> Result<(), Reason> {
    Ok(())
}
