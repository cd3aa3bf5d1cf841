//! Comparing what is unpacked with what was signed, byte by byte. Starts do not use this.
//!
//! Slots are compared with their signed digests and decoded as they are for extraction; instead of being written, each
//! entry is looked up where it should be.

use core::fmt;
use std::collections::HashSet;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use psp_format::VerifiedPackage;
use psp_format::metadata::Slot;
use psp_format::path;
use psp_format::range::widen;
use psp_format::tar::{Entry, Kind};
use rustix::fs::FileType;

use super::Store;
use super::error::StoreError;
use super::layout::{Arrangement, env_name, hex, link_target};
use super::publish::is_writable;
use super::remove::names;
use crate::at;
use crate::extract::{
    self, ExtractError, Listing, ReadAt, Tree, Visitor, Work, directory_mode, file_mode, of_file,
};

const MODE_BITS: u32 = 0o7777;
/// Bytes of a file that are read at once.
const PIECE: usize = 64 << 10;

/// How an environment compares with its package.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Name of the environment.
    pub environment: String,
    /// Number of signed entries.
    pub entries: u64,
    /// What is not as it was signed, by path.
    pub differences: Vec<Difference>,
    /// The same of what the application may change: slots that are mutable or configuration, and what setup commands
    /// have made.
    pub own: Vec<Difference>,
}

/// Something that is not as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Path in the work environment.
    pub path: Vec<u8>,
    /// How it differs.
    pub what: What,
}

/// How a file, directory or link differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum What {
    /// It is not there.
    Missing,
    /// It is nothing that was signed.
    Added,
    /// It is of another type.
    Type {
        /// What was signed.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// It has another size in bytes.
    Size {
        /// What was signed.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// It has another mode.
    Mode {
        /// What was signed.
        expected: u32,
        /// What is there.
        found: u32,
    },
    /// The link leads somewhere else.
    Target,
    /// It should be another name of the same file, and is a file of its own.
    HardLink,
    /// Its bytes are others.
    Content,
    /// Its bytes cannot be read.
    Unreadable,
}

impl What {
    /// One word, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            What::Missing => "missing",
            What::Added => "added",
            What::Type { .. } => "type",
            What::Size { .. } => "size",
            What::Mode { .. } => "mode",
            What::Target => "target",
            What::HardLink => "hard-link",
            What::Content => "content",
            What::Unreadable => "unreadable",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Missing => f.write_str("is missing"),
            What::Added => f.write_str("was added"),
            What::Type { expected, found } => write!(f, "is {found}, not {expected}"),
            What::Size { expected, found } => write!(f, "has {found} bytes, not {expected}"),
            What::Mode { expected, found } => {
                write!(f, "has mode {found:04o}, not {expected:04o}")
            }
            What::Target => f.write_str("leads somewhere else"),
            What::HardLink => f.write_str("is not the file that it was a second name of"),
            What::Content => f.write_str("has other content"),
            What::Unreadable => f.write_str("cannot be read"),
        }
    }
}

impl Store {
    /// Compares the environment of a package with its signed bytes; none when it is not in the store. `progress` is
    /// called with the number of content bytes done since the last call, by any thread.
    ///
    /// # Errors
    ///
    /// [`StoreError::Extract`] when the package itself is damaged, [`StoreError::System`] when the store cannot be read.
    pub fn compare(
        &self,
        package: &VerifiedPackage,
        source: &dyn ReadAt,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Option<Comparison>, StoreError> {
        let slots = Arrangement::of(package, self.dev);
        let name = env_name(package, self.dev);
        let open = |path: &str| at::open_directory(self.root.as_fd(), path.as_bytes());
        let is_there = at::look(self.root.as_fd(), format!("ready/{name}").as_bytes()).is_ok();
        let Some(env) = is_there.then(|| open(&format!("envs/{name}")).ok()) else {
            return Ok(None);
        };
        let mut out = Comparison {
            environment: name,
            ..Comparison::default()
        };
        let comparer = Comparer {
            package,
            source,
            progress,
        };
        let mut expected = HashSet::new();
        for (slot, key) in &slots.shared {
            let live = open(&format!("slots/{}", hex(key))).ok();
            let (listing, mut found) = comparer.slot(slot, live.as_ref(), false)?;
            out.entries = out.entries.saturating_add(listing.len());
            if let Some(live) = &live {
                let mut names = HashSet::new();
                names.extend(
                    listing
                        .entries()
                        .flat_map(|entry| with_parents(&entry.path)),
                );
                add_unknown(live.as_fd(), b"", &names, &mut found);
            }
            out.differences.append(&mut found);
            let link = with_parents(slot.root());
            if let Some(what) = env
                .as_ref()
                .and_then(|env| check_link(env, slot, &link_target(slot, key)))
            {
                let path = slot.root().to_vec();
                out.differences.push(Difference { path, what });
            }
            expected.extend(link);
        }
        for slot in &slots.own {
            let (listing, mut found) = comparer.slot(slot, env.as_ref(), is_writable(slot))?;
            out.entries = out.entries.saturating_add(listing.len());
            let into = if is_writable(slot) {
                &mut out.own
            } else {
                &mut out.differences
            };
            into.append(&mut found);
            expected.extend(
                listing
                    .entries()
                    .flat_map(|entry| with_parents(&entry.path)),
            );
        }
        if let Some(env) = &env {
            let mut added = Vec::new();
            add_unknown(env.as_fd(), b"", &expected, &mut added);
            let has_setup = !package.metadata().setup.is_empty();
            for difference in added {
                let is_within = |slot: &&&Slot| path::is_within(&difference.path, slot.root());
                // Of slots one below the other the inner one decides.
                let inner = slots
                    .own
                    .iter()
                    .filter(is_within)
                    .max_by_key(|slot| slot.root().len());
                if has_setup || inner.is_some_and(|slot| is_writable(slot)) {
                    out.own.push(difference);
                } else {
                    out.differences.push(difference);
                }
            }
        } else {
            let what = What::Missing;
            out.differences.push(Difference {
                path: b".".to_vec(),
                what,
            });
        }
        out.differences.sort();
        out.own.sort();
        Ok(Some(out))
    }
}

/// A path and those of the directories above it.
fn with_parents(path: &[u8]) -> Vec<Vec<u8>> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let parents = ends.filter_map(|(end, _)| path.get(..end));
    parents.chain([path]).map(<[u8]>::to_vec).collect()
}

fn check_link(env: &OwnedFd, slot: &Slot, target: &[u8]) -> Option<What> {
    let mut tree = Tree::reading(env.as_fd());
    let Ok((at, name)) = tree.parent(slot.root(), false) else {
        return Some(What::Missing);
    };
    if at::is_link_to(at, name, target) {
        return None;
    }
    Some(match at::look(at, name) {
        Ok(stat) => wrong_type(stat.st_mode, FileType::Symlink).unwrap_or(What::Target),
        Err(_) => What::Missing,
    })
}

/// Adds every name below a directory that is not expected, without looking into directories that are not.
fn add_unknown(
    directory: BorrowedFd<'_>,
    above: &[u8],
    expected: &HashSet<Vec<u8>>,
    out: &mut Vec<Difference>,
) {
    for name in names(directory).unwrap_or_default() {
        let path = if above.is_empty() {
            name.clone()
        } else {
            [above, b"/", &name].concat()
        };
        if !expected.contains(&path) {
            let what = What::Added;
            out.push(Difference { path, what });
        } else if let Ok(child) = at::open_directory(directory, &name) {
            add_unknown(child.as_fd(), &path, expected, out);
        }
    }
}

/// A package, and how far its comparison is.
struct Comparer<'a> {
    package: &'a VerifiedPackage,
    source: &'a dyn ReadAt,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Comparer<'_> {
    /// Compares one slot with the tree below `live`. Returns what was signed, and how the tree differs.
    fn slot(
        &self,
        slot: &Slot,
        live: Option<&OwnedFd>,
        writable: bool,
    ) -> Result<(Listing, Vec<Difference>), ExtractError> {
        let (slot, range) = extract::find(self.package, &slot.id)?;
        self.package
            .check_slot(slot, &extract::digest(self.source, range)?)?;
        let work = Work {
            slot,
            source: self.source,
            range,
            progress: Some(self.progress),
            one_thread: false,
        };
        let found = Mutex::new(Vec::new());
        let visitor = || Comparing {
            trees: live.map(|live| [Tree::reading(live.as_fd()), Tree::reading(live.as_fd())]),
            writable,
            found: &found,
            path: Vec::new(),
            file: None,
        };
        let listing = if slot.operations.is_tar() {
            let listing = work.tree(&|| Box::new(visitor()))?;
            listing.check(slot)?;
            listing
        } else {
            let listing = of_file(slot);
            for entry in listing.entries() {
                let mut visitor = visitor();
                visitor.entry(&entry)?;
                let file = visitor.file.take().map(|(file, _)| file);
                let is_same = |bytes: &[u8], offset| {
                    let differs = |file| !has_content(file, bytes, offset);
                    if file.as_ref().is_some_and(differs) {
                        visitor.report_once(What::Content);
                    }
                    Ok(())
                };
                work.file(&is_same)?;
            }
            listing
        };
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((listing, found))
    }
}

/// Whether a file has these bytes at this offset.
fn has_content(file: &OwnedFd, bytes: &[u8], offset: u64) -> bool {
    let mut buffer = vec![0; bytes.len().min(PIECE)];
    let mut at = offset;
    bytes.chunks(PIECE).all(|chunk| {
        let found = buffer.get_mut(..chunk.len()).unwrap_or_default();
        let is_same = extract::read_exact(file, found, at).is_ok() && found == chunk;
        at = at.saturating_add(widen(chunk.len()));
        is_same
    })
}

/// Looks up the entries of one run.
struct Comparing<'a> {
    /// Where entries are, and where the files are that hard links name. None where the whole tree is missing.
    trees: Option<[Tree<'a>; 2]>,
    writable: bool,
    found: &'a Mutex<Vec<Difference>>,
    /// The entry that began last.
    path: Vec<u8>,
    /// The file that is being compared, and how far.
    file: Option<(OwnedFd, u64)>,
}

impl Comparing<'_> {
    fn report(&self, what: What) {
        let path = self.path.clone();
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.push(Difference { path, what });
    }

    fn report_once(&self, what: What) {
        let path = self.path.clone();
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let difference = Difference { path, what };
        if !found.contains(&difference) {
            found.push(difference);
        }
    }

    /// What is wrong with what is there, and the file whose content is still to be compared.
    fn check(&mut self, entry: &Entry) -> (Option<What>, Option<OwnedFd>) {
        let Some([tree, named]) = &mut self.trees else {
            return (Some(What::Missing), None);
        };
        let Ok((at, name)) = tree.parent(&entry.path, false) else {
            return (Some(What::Missing), None);
        };
        let Ok(stat) = at::look(at, name) else {
            return (Some(What::Missing), None);
        };
        let kind = match entry.kind {
            Kind::File(_) | Kind::HardLink(_) => FileType::RegularFile,
            Kind::Directory => FileType::Directory,
            Kind::Symlink(_) => FileType::Symlink,
        };
        if let Some(what) = wrong_type(stat.st_mode, kind) {
            return (Some(what), None);
        }
        let wrong_mode = |expected: u32| {
            let found = stat.st_mode & MODE_BITS;
            (found != expected).then_some(What::Mode { expected, found })
        };
        match &entry.kind {
            Kind::Directory => (wrong_mode(directory_mode(entry.mode)), None),
            Kind::Symlink(target) => {
                let is_same = at::is_link_to(at, name, target);
                ((!is_same).then_some(What::Target), None)
            }
            Kind::HardLink(to) => {
                let file = named
                    .parent(to, false)
                    .and_then(|(at, name)| at::look(at, name));
                let is_same =
                    file.is_ok_and(|file| (file.st_dev, file.st_ino) == (stat.st_dev, stat.st_ino));
                ((!is_same).then_some(What::HardLink), None)
            }
            Kind::File(expected) => {
                let found = u64::try_from(stat.st_size).unwrap_or(0);
                if found != *expected {
                    let expected = *expected;
                    return (Some(What::Size { expected, found }), None);
                }
                match at::open_file(at, name) {
                    Ok(file) => (wrong_mode(file_mode(entry.mode, self.writable)), Some(file)),
                    Err(_) => (Some(What::Unreadable), None),
                }
            }
        }
    }
}

/// Names of file types, in messages.
fn type_name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        _ => "a special file",
    }
}

fn wrong_type(mode: u32, expected: FileType) -> Option<What> {
    let found = FileType::from_raw_mode(mode);
    (found != expected).then(|| What::Type {
        expected: type_name(expected),
        found: type_name(found),
    })
}

impl Visitor for Comparing<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<(), ExtractError> {
        self.path.clone_from(&entry.path);
        let (what, file) = self.check(entry);
        if let Some(what) = what {
            self.report(what);
        }
        self.file = file.map(|file| (file, 0));
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), ExtractError> {
        let Some((file, at)) = &mut self.file else {
            return Ok(());
        };
        if has_content(file, bytes, *at) {
            *at = at.saturating_add(widen(bytes.len()));
        } else {
            self.file = None;
            self.report(What::Content);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), ExtractError> {
        self.file = None;
        Ok(())
    }
}
