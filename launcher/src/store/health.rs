//! Whether extracted files are still what was extracted, and putting them right.
//!
//! Names, types and sizes are compared, where links lead, and whether the owner may still read and execute what he could.
//! That finds what a power failure or a cleaning program
//! leaves behind. It is not a comparison of content, and names that were added are left alone: programs keep caches beside
//! their files.

use std::os::fd::BorrowedFd;

use psp_format::tar::{Entry, Kind};
use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

use super::remove::replace;
use crate::at;
use crate::extract::{Listing, Tree};

/// To read and to execute, by the owner. Other bits are not compared: there are file systems that do not keep them.
const OWNER_USE: u32 = 0o500;

/// Whether everything in the list is there, below `root`.
pub(crate) fn is_whole(root: BorrowedFd<'_>, listing: &Listing) -> bool {
    let mut live = Live::new(root);
    listing.entries().all(|entry| live.is_good(&entry))
}

/// Puts right what differs from the list: each such name is replaced with the one from `staged`, where the whole slot
/// has been extracted anew. Good files stay, so that programs that use them see no change. With `anew`, all files are
/// replaced: their content may be anything.
pub(crate) fn repair(
    root: BorrowedFd<'_>,
    staged: BorrowedFd<'_>,
    listing: &Listing,
    anew: bool,
) -> Result<(), Errno> {
    let (mut live, mut spare) = (Live::new(root), Tree::reading(staged));
    for entry in listing.entries() {
        let is_good = live.is_good(&entry);
        let is_suspect = anew && matches!(entry.kind, Kind::File(_));
        if is_good && !is_suspect {
            continue;
        }
        let replaced = spare.parent(&entry.path, false).and_then(|(from, name)| {
            let (to, _) = live.tree.parent(&entry.path, true)?;
            replace(from, name, to, name)
        });
        // A directory is moved with all that belongs below it, which is good then.
        if !is_good || replaced != Err(Errno::NOENT) {
            replaced?;
        }
    }
    Ok(())
}

/// The tree that is looked at.
struct Live<'a> {
    tree: Tree<'a>,
    /// The same tree, where the files are that hard links name.
    named: Tree<'a>,
}

impl<'a> Live<'a> {
    fn new(root: BorrowedFd<'a>) -> Live<'a> {
        Live {
            tree: Tree::reading(root),
            named: Tree::reading(root),
        }
    }

    fn is_good(&mut self, entry: &Entry) -> bool {
        let Ok((at, name)) = self.tree.parent(&entry.path, false) else {
            return false;
        };
        if let Kind::Symlink(target) = &entry.kind {
            return at::is_link_to(at, name, target);
        }
        let Ok(stat) = at::look(at, name) else {
            return false;
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        match &entry.kind {
            Kind::File(size) => {
                kind == FileType::RegularFile
                    && u64::try_from(stat.st_size) == Ok(*size)
                    && entry.mode & OWNER_USE & !stat.st_mode == 0
            }
            Kind::Directory => {
                kind == FileType::Directory && stat.st_mode & Mode::RWXU.bits() == Mode::RWXU.bits()
            }
            // It must be the very file, which stands earlier in the list: a damaged file has been replaced by now, and
            // its other names with it.
            Kind::HardLink(to) => self
                .named
                .parent(to, false)
                .and_then(|(at, name)| at::look(at, name))
                .is_ok_and(|file| (file.st_dev, file.st_ino) == (stat.st_dev, stat.st_ino)),
            Kind::Symlink(_) => false,
        }
    }
}
