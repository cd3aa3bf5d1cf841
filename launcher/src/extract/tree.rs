//! Entries to files below a directory handle.
//!
//! Names never become a path that the kernel walks: each component is opened relative to the handle of the one before,
//! and none may be a symbolic link. The handles of the current directory and its parents stay open, so that a file costs
//! four system calls: open, write, set the time, close.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use psp_format::metadata::Slot;
use psp_format::path;
use psp_format::range::widen;
use psp_format::tar::{Entry, Kind};
use rustix::fs::{Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::error::ExtractError;
use super::listing::Listing;
use super::walk::Visitor;
use crate::at;

/// Most directory handles that one thread keeps. Deeper trees are walked from the top again.
const MAX_OPEN: usize = 24;

/// Mode bits that any extracted file or directory may have: none of setuid, setgid and sticky, and no writing by others.
const FILE_BITS: u32 = 0o755;
const WRITE_BITS: u32 = 0o222;
/// Bits that every directory has: without them its owner could neither use nor remove it.
const OWNER_BITS: u32 = 0o700;

/// A position in a tree: the handle of one directory and those of its parents.
pub(crate) struct Tree<'a> {
    root: BorrowedFd<'a>,
    /// The open directories, each with the length of its path in `path`.
    levels: Vec<(usize, OwnedFd)>,
    /// Path of the current directory.
    path: Vec<u8>,
    umask: Umask,
}

/// The mode bits that are taken away from whatever is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Umask(u32);

impl Umask {
    /// Finds the mask by making a file: asking the kernel would change it for a moment, for every thread.
    pub(crate) fn probe(directory: BorrowedFd<'_>) -> Umask {
        const NAME: &[u8] = b".flavor-umask";
        // Without an answer every mode is set once more, which is slower and right.
        let Ok(file) = at::new_file(directory, NAME, FILE_BITS) else {
            return Umask(0o777);
        };
        let mode = rustix::fs::fstat(&file).map_or(0, |stat| stat.st_mode);
        let _ = at::unlink(directory, NAME);
        Umask(FILE_BITS & !mode)
    }

    /// Whether a directory that was just made may be of no use to its owner until its mode is set.
    pub(crate) fn hides_directories(self) -> bool {
        self.0 & OWNER_BITS != 0
    }

    fn takes_from(self, mode: u32) -> bool {
        self.0 & mode != 0
    }
}

impl<'a> Tree<'a> {
    pub(crate) fn new(root: BorrowedFd<'a>, umask: Umask) -> Tree<'a> {
        Tree {
            root,
            levels: Vec::new(),
            path: Vec::new(),
            umask,
        }
    }

    /// A tree in which nothing is made, or only what is missing.
    pub(crate) fn reading(root: BorrowedFd<'a>) -> Tree<'a> {
        // The mode of whatever is made is set once more: nobody knows what the umask takes.
        Tree::new(root, Umask(0o777))
    }

    /// The handle of the directory that `path` lies in, and the last component of `path`. Directories that are missing
    /// are made, with mode 0700, when `make` says so.
    pub(crate) fn parent<'p>(
        &mut self,
        path: &'p [u8],
        make: bool,
    ) -> Result<(BorrowedFd<'_>, &'p [u8]), Errno> {
        let directory = path::parent(path);
        if directory != self.path {
            self.enter(directory, make)?;
        }
        let name = match directory.len() {
            0 => path,
            len => path.get(len.saturating_add(1)..).unwrap_or_default(),
        };
        Ok((self.handle(), name))
    }

    /// Makes the directories above a slot's target that are missing: no archive lists them, so they get the mode that a
    /// directory usually has.
    pub(crate) fn make_parents(&mut self, target: &[u8]) -> Result<(), Errno> {
        let umask = self.umask;
        let ends = target.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for (end, _) in ends {
            let (at, name) = self.parent(target.get(..end).unwrap_or_default(), false)?;
            match at::make_directory(at, name, FILE_BITS) {
                Ok(()) if umask.takes_from(FILE_BITS) => at::change_mode(at, name, FILE_BITS)?,
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn handle(&self) -> BorrowedFd<'_> {
        self.levels
            .last()
            .map_or(self.root, |(_, handle)| handle.as_fd())
    }

    fn enter(&mut self, directory: &[u8], make: bool) -> Result<(), Errno> {
        while let Some((end, _)) = self.levels.last() {
            let open = self.path.get(..*end).unwrap_or_default();
            if path::is_within(directory, open) {
                break;
            }
            self.levels.pop();
        }
        self.path
            .truncate(self.levels.last().map_or(0, |(end, _)| *end));
        let rest = directory.get(self.path.len()..).unwrap_or_default();
        for name in rest.split(|&c| c == b'/').filter(|name| !name.is_empty()) {
            let handle = open_or_make(self.handle(), name, make, self.umask)?;
            if self.levels.len() >= MAX_OPEN {
                self.levels.remove(0);
            }
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            self.levels.push((self.path.len(), handle));
        }
        Ok(())
    }
}

fn open_or_make(
    at: BorrowedFd<'_>,
    name: &[u8],
    make: bool,
    umask: Umask,
) -> Result<OwnedFd, Errno> {
    match at::open_directory(at, name) {
        Err(Errno::NOENT) if make => {
            make_directory(at, name, OWNER_BITS, umask)?;
            at::open_directory(at, name)
        }
        other => other,
    }
}

/// Makes a directory with exactly this mode, or gives it to the one that is there: another thread needed it earlier.
fn make_directory(at: BorrowedFd<'_>, name: &[u8], mode: u32, umask: Umask) -> Result<(), Errno> {
    match at::make_directory(at, name, mode) {
        Ok(()) if umask.takes_from(mode) => at::change_mode(at, name, mode),
        Ok(()) => Ok(()),
        Err(Errno::EXIST) if mode == OWNER_BITS => Ok(()),
        // What is there may be a link, whose target is nobody's business: a handle is needed.
        Err(Errno::EXIST) => at::set_mode(&at::open_directory(at, name)?, mode),
        Err(error) => Err(error),
    }
}

/// Opens a new file for writing, with exactly this mode.
fn new_file(at: BorrowedFd<'_>, name: &[u8], mode: u32, umask: Umask) -> Result<OwnedFd, Errno> {
    let file = at::new_file(at, name, mode)?;
    if umask.takes_from(mode) {
        at::set_mode(&file, mode)?;
    }
    Ok(file)
}

/// The mode that a file gets for a signed mode.
pub(crate) fn file_mode(mode: u32, writable: bool) -> u32 {
    let taken = if writable { 0 } else { WRITE_BITS };
    mode & FILE_BITS & !taken
}

/// The mode that a directory gets for a signed mode.
pub(crate) fn directory_mode(mode: u32) -> u32 {
    mode & FILE_BITS | OWNER_BITS
}

/// Times with this modification time; the access time stays.
pub(crate) fn times(mtime: u64) -> Timestamps {
    let omit = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    };
    Timestamps {
        last_access: omit,
        last_modification: Timespec {
            tv_sec: i64::try_from(mtime).unwrap_or(i64::MAX),
            tv_nsec: 0,
        },
    }
}

/// Makes the files and directories of one run. Links are left for [`finish`], when the whole tree has been checked.
pub(crate) struct Writer<'a> {
    tree: Tree<'a>,
    writable: bool,
    /// The file that is being written.
    file: Option<OwnedFd>,
    /// The entry that began last.
    path: Vec<u8>,
    mtime: u64,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(root: BorrowedFd<'a>, umask: Umask, writable: bool) -> Writer<'a> {
        Writer {
            tree: Tree::new(root, umask),
            writable,
            file: None,
            path: Vec::new(),
            mtime: 0,
        }
    }

    fn failed(&self, step: &'static str, errno: Errno) -> ExtractError {
        ExtractError::write(step, &self.path, errno)
    }
}

impl Visitor for Writer<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<(), ExtractError> {
        self.path.clone_from(&entry.path);
        self.mtime = entry.mtime;
        let umask = self.tree.umask;
        let failed = |step, errno| ExtractError::write(step, &entry.path, errno);
        match entry.kind {
            Kind::File(_) => {
                let (at, name) = self
                    .tree
                    .parent(&entry.path, true)
                    .map_err(|errno| failed("make the directory of", errno))?;
                let mode = file_mode(entry.mode, self.writable);
                let file = new_file(at, name, mode, umask);
                self.file = Some(file.map_err(|errno| failed("make", errno))?);
            }
            Kind::Directory => {
                let (at, name) = self
                    .tree
                    .parent(&entry.path, true)
                    .map_err(|errno| failed("make the directory of", errno))?;
                make_directory(at, name, directory_mode(entry.mode), umask)
                    .map_err(|errno| failed("make directory", errno))?;
            }
            Kind::Symlink(_) | Kind::HardLink(_) => {}
        }
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), ExtractError> {
        match &self.file {
            Some(file) => at::write_all(file, bytes).map_err(|errno| self.failed("write", errno)),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), ExtractError> {
        match self.file.take() {
            Some(file) => rustix::fs::futimens(&file, &times(self.mtime))
                .map_err(|errno| self.failed("set the time of", errno)),
            None => Ok(()),
        }
    }
}

/// Makes the hard links, then the symbolic links, then sets the times of the directories: nothing is made in them any
/// more. The listing must have been checked.
pub(crate) fn finish(
    root: BorrowedFd<'_>,
    umask: Umask,
    listing: &Listing,
) -> Result<(), ExtractError> {
    let mut tree = Tree::new(root, umask);
    let mut sources = Tree::new(root, umask);
    let (mut symlinks, mut directories) = (false, false);
    for entry in listing.entries() {
        match &entry.kind {
            Kind::HardLink(to) => link(&mut sources, to, &mut tree, &entry.path)
                .map_err(|errno| ExtractError::write("link", &entry.path, errno))?,
            Kind::Symlink(_) => symlinks = true,
            Kind::Directory => directories = true,
            Kind::File(_) => {}
        }
    }
    if symlinks {
        for entry in listing.entries() {
            if let Kind::Symlink(target) = &entry.kind {
                symlink(&mut tree, target, &entry)
                    .map_err(|errno| ExtractError::write("link", &entry.path, errno))?;
            }
        }
    }
    if directories {
        for entry in listing.entries() {
            if entry.kind == Kind::Directory {
                set_time(&mut tree, &entry)
                    .map_err(|errno| ExtractError::write("set the time of", &entry.path, errno))?;
            }
        }
    }
    Ok(())
}

fn link(sources: &mut Tree<'_>, to: &[u8], tree: &mut Tree<'_>, path: &[u8]) -> Result<(), Errno> {
    let (old, old_name) = sources.parent(to, false)?;
    let (new, new_name) = tree.parent(path, false)?;
    at::link(old, old_name, new, new_name)
}

fn symlink(tree: &mut Tree<'_>, target: &[u8], entry: &Entry) -> Result<(), Errno> {
    let (at, name) = tree.parent(&entry.path, false)?;
    at::symlink(target, at, name)?;
    set_time(tree, entry)
}

fn set_time(tree: &mut Tree<'_>, entry: &Entry) -> Result<(), Errno> {
    let (at, name) = tree.parent(&entry.path, false)?;
    at::set_times(at, name, &times(entry.mtime))
}

/// A slot that is one file, written by several threads at once.
pub(crate) struct SingleFile {
    file: OwnedFd,
    path: Vec<u8>,
}

impl SingleFile {
    pub(crate) fn create(
        root: BorrowedFd<'_>,
        umask: Umask,
        slot: &Slot,
        writable: bool,
    ) -> Result<SingleFile, ExtractError> {
        let path = slot.root().to_vec();
        let mut tree = Tree::new(root, umask);
        let made = tree
            .parent(&path, true)
            .and_then(|(at, name)| new_file(at, name, file_mode(slot.mode, writable), umask));
        match made {
            Ok(file) => Ok(SingleFile { file, path }),
            Err(errno) => Err(ExtractError::write("make", &path, errno)),
        }
    }

    /// A file that is open for writing.
    pub(crate) fn of(file: OwnedFd, slot: &Slot) -> SingleFile {
        let path = slot.root().to_vec();
        SingleFile { file, path }
    }

    pub(crate) fn into_inner(self) -> OwnedFd {
        self.file
    }

    /// Writes `bytes` at `offset`.
    pub(crate) fn write(&self, mut bytes: &[u8], mut offset: u64) -> Result<(), ExtractError> {
        while !bytes.is_empty() {
            let written = match rustix::io::pwrite(&self.file, bytes, offset) {
                Ok(0) => Err(Errno::IO),
                Err(Errno::INTR) => Ok(0),
                other => other,
            };
            let written =
                written.map_err(|errno| ExtractError::write("write", &self.path, errno))?;
            bytes = bytes.get(written..).unwrap_or_default();
            offset = offset.saturating_add(widen(written));
        }
        Ok(())
    }
}
