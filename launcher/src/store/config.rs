//! Slots with the lifecycle `config`: what a person changes in them is still there after an upgrade.
//!
//! The list of such a slot is found by its target, which versions have in common, and says when each file was changed
//! last as it was extracted. A file of another size or time is one that somebody has changed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use psp_format::VerifiedPackage;
use psp_format::digest::Digest;
use psp_format::metadata::Slot;
use psp_format::tar::{Entry, Kind};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::layout::{Directories, hex, join};
use super::publish::read_list;
use super::{record, sweep};
use crate::at;
use crate::extract::{Listing, Tree, times};

/// The time of a slot that is one file: none is signed, and `flavor pack` gives this one (1980-01-01) to all files.
const FILE_TIME: u64 = 315_532_800;
const MODE_BITS: u32 = 0o755;

/// The name of the list of a slot in an environment.
pub(crate) fn list_name(env: &str, slot: &Slot) -> String {
    join(&[env, ".", &hex(&Digest::of(slot.root())), ".config"])
}

/// The list of an extracted slot, with times that the files have.
pub(crate) fn with_times(
    slot: &Slot,
    listing: Listing,
    root: BorrowedFd<'_>,
) -> Result<Listing, Errno> {
    if slot.operations.is_tar() {
        return Ok(listing);
    }
    let (mut tree, mut out) = (Tree::reading(root), Listing::default());
    for mut entry in listing.entries() {
        entry.mtime = FILE_TIME;
        let (at, name) = tree.parent(&entry.path, false)?;
        at::set_times(at, name, &times(FILE_TIME))?;
        out.push(&entry);
    }
    Ok(out)
}

/// Puts the files of a slot that were changed in the newest other environment of the same package in the place of those
/// that were just extracted below `staged`. Files that the new version does not have stay behind.
pub(crate) fn carry_over(
    directories: &Directories,
    package: &VerifiedPackage,
    env: &str,
    slot: &Slot,
    staged: &OwnedFd,
) -> Result<(), Errno> {
    let envs = &directories.envs;
    let Some(old) = newest_other(directories.ready.as_fd(), package, env) else {
        return Ok(());
    };
    let listing = read_list(envs, &list_name(&old, slot));
    let (Some(listing), Ok(old)) = (listing, at::open_directory(envs.as_fd(), old.as_bytes()))
    else {
        return Ok(());
    };
    let (mut from, mut to) = (Tree::reading(old.as_fd()), Tree::reading(staged.as_fd()));
    for entry in listing.entries() {
        let Some((changed, mode)) = changed(&mut from, &entry) else {
            continue;
        };
        let Ok((at, name)) = to.parent(&entry.path, false) else {
            continue;
        };
        if at::look(at, name).is_ok_and(|stat| is_file(&stat)) {
            at::unlink(at, name)?;
            copy(&changed, &at::new_file(at, name, 0o600)?, mode)?;
        }
    }
    Ok(())
}

/// The environment of the same name and signers that became ready last.
fn newest_other(ready: BorrowedFd<'_>, package: &VerifiedPackage, env: &str) -> Option<String> {
    let signers = record::signers(package);
    let mut newest = None;
    for other in sweep::found(ready) {
        let Some(record) = other.record.filter(|record| {
            other.name != env
                && record.name == package.metadata().package.name
                && record.signer == signers
        }) else {
            continue;
        };
        // Two may have become ready in one second.
        let Ok(stat) = at::look(ready, other.name.as_bytes()) else {
            continue;
        };
        let age = (record.time, stat.st_mtime, stat.st_mtime_nsec);
        if newest.as_ref().is_none_or(|(newest, _)| *newest < age) {
            newest = Some((age, other.name));
        }
    }
    newest.map(|(_, name)| name)
}

/// Opens a file that is not what was extracted, and tells its mode.
fn changed(tree: &mut Tree<'_>, entry: &Entry) -> Option<(OwnedFd, u32)> {
    let Kind::File(size) = entry.kind else {
        return None;
    };
    let (at, name) = tree.parent(&entry.path, false).ok()?;
    let file = at::open_file(at, name).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    let is_same = u64::try_from(stat.st_size) == Ok(size)
        && u64::try_from(stat.st_mtime) == Ok(entry.mtime)
        && stat.st_mtime_nsec == 0;
    (is_file(&stat) && !is_same).then_some((file, stat.st_mode))
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// The copy has the time of now: with the next upgrade it counts as changed again.
fn copy(from: &OwnedFd, to: &OwnedFd, mode: u32) -> Result<(), Errno> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match rustix::io::read(from, &mut buffer) {
            Ok(0) => return at::set_mode(to, mode & MODE_BITS),
            Ok(read) => at::write_all(to, buffer.get(..read).unwrap_or_default())?,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
