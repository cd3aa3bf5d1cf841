//! What a person asks of a store: what is in it, and to remove some of it. Starts do not use this.

use core::time::Duration;
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Instant;

use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;

use super::error::{Reason, Rejected, StoreError};
use super::layout::{Directories, lock_of};
use super::record::Record;
use super::remove::names;
use super::sweep::{self, DAY, Found, Rule};
use super::usage::Usage;
use super::{Candidate, Store, probe, publish};
use crate::at;

/// Between two attempts to remove what a start may be about to use.
const STEP: Duration = Duration::from_millis(50);
/// How long a person is not told that something waits.
const QUIET: Duration = Duration::from_millis(500);
/// The unit of `st_blocks`, whatever the file system's own is (stat(3type)).
const BLOCK: u64 = 512;

/// Where the cache is, or will be.
#[derive(Debug)]
pub struct Lookup {
    /// The candidate that a start would take.
    pub place: Option<Candidate>,
    /// The store there; none yet when no start has made it.
    pub store: Option<Store>,
    /// The candidates before it, and why they cannot be the store.
    pub rejected: Vec<Rejected>,
}

/// What lies in a store.
#[derive(Debug)]
pub struct Inventory {
    /// Every environment that is ready, or was before the last reboot; by name, the newest first.
    pub environments: Vec<Environment>,
    /// What belongs to none, with its size: what first starts that were interrupted have left. By path from the top.
    pub orphans: Vec<(String, u64)>,
    /// Bytes in the staging area.
    pub staging: u64,
    /// Bytes of everything.
    pub total: u64,
    /// Bytes that are not needed because environments share slots.
    pub saved: u64,
    /// Whether it can be told which processes use what.
    pub is_use_known: bool,
}

/// An environment. Sizes are what the file system has set aside.
#[derive(Debug)]
pub struct Environment {
    /// Its name: the package id, with `-dev` behind it where slots for development are there too.
    pub id: String,
    /// What its record says; nothing when that cannot be read.
    pub record: Option<Record>,
    /// When a start found it last, in seconds since 1970; within a day.
    pub used: u64,
    /// The user who owns it.
    pub uid: u32,
    /// The processes that use it.
    pub users: Vec<u32>,
    /// Bytes that belong to it alone: its own files, and the slots that no other environment has.
    pub own: u64,
    /// Bytes of slots that it has in common with others.
    pub shared: u64,
}

/// Which environments are to be removed.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// Those that are due; and what belongs to none, when nothing has changed there for a day.
    Due(Rule),
    /// All of them, and whatever belongs to none.
    All,
    /// These.
    These(&'a [String]),
}

/// What was removed, or would be.
#[derive(Debug, Default)]
pub struct Removal {
    /// The environments.
    pub environments: Vec<String>,
    /// Bytes that they took, and what belonged to nothing else.
    pub freed: u64,
    /// Those that were not removed, with the processes that use them.
    pub used: Vec<(String, Vec<u32>)>,
    /// Why none was removed, where that is so.
    pub blocked: Option<Blocked>,
}

/// Why nothing was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    /// Packages are being started the whole time.
    Busy,
    /// It cannot be told which processes use what: there is no `/proc`.
    Unknown,
}

/// Finds the store that a start would use, as it would be found, and makes nothing.
pub fn look(candidates: &[Candidate]) -> Lookup {
    let uid = crate::sys::effective_uid();
    let mut rejected = Vec::new();
    for candidate in candidates {
        let reason = match open(candidate, uid) {
            Ok(store) => {
                return Lookup {
                    place: Some(candidate.clone()),
                    store,
                    rejected,
                };
            }
            Err(reason) => reason,
        };
        rejected.push(Rejected {
            path: candidate.path.clone(),
            origin: candidate.origin,
            reason,
        });
    }
    Lookup {
        place: None,
        store: None,
        rejected,
    }
}

/// The store at a candidate; none when it is not there and can be made.
fn open(candidate: &Candidate, uid: u32) -> Result<Option<Store>, Reason> {
    let path = &candidate.path;
    let Some(store) = open_directory(path, uid)? else {
        return if can_be_made(path) {
            Ok(None)
        } else {
            Err(probe::system("make it", Errno::ACCESS))
        };
    };
    probe::check_mount(&store.root)?;
    // A directory that somebody has made for it.
    let is_used = at::look(store.root.as_fd(), b"ready").is_ok();
    Ok(is_used.then_some(store))
}

fn open_directory(path: &Path, uid: u32) -> Result<Option<Store>, Reason> {
    if !path.is_absolute() {
        return Err(Reason::Relative);
    }
    let root = match at::open_directory(CWD, path.as_os_str().as_bytes()) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::NOTDIR | Errno::LOOP) => return Err(Reason::NotADirectory),
        Err(errno) => return Err(probe::system("open it", errno)),
    };
    probe::check_owners(&root, path, uid)?;
    Ok(Some(Store {
        path: path.to_owned(),
        root,
        uid,
        dev: false,
        durable: false,
    }))
}

fn can_be_made(path: &Path) -> bool {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    let first = path.ancestors().skip(1).find(|above| above.exists());
    first.is_some_and(|above| rustix::fs::accessat(CWD, above, access, AtFlags::EACCESS).is_ok())
}

impl Store {
    /// The store at `path`, for reading, wherever it lies: on a file system that is mounted read-only, for instance.
    /// None when it is not there.
    ///
    /// # Errors
    ///
    /// Why it is not to be believed.
    pub fn reading(path: &Path) -> Result<Option<Store>, Reason> {
        let store = open_directory(path, crate::sys::effective_uid())?;
        Ok(store.filter(|store| at::look(store.root.as_fd(), b"ready").is_ok()))
    }

    /// Everything in the store, and who uses it.
    ///
    /// # Errors
    ///
    /// [`StoreError::System`] when the store cannot be read.
    pub fn inventory(&self) -> Result<Inventory, StoreError> {
        let [ready, envs, slots] = ["ready", "envs", "slots"].map(|name| self.part(name));
        let (ready, envs, slots) = (ready?, envs?, slots?);
        let all = sweep::found(ready.as_fd());
        let usage = Usage::look(self);
        let sizes = Sizes::of(&[("envs", &envs), ("slots", &slots)]);
        let mut environments: Vec<Environment> = all
            .iter()
            .map(|found| environment(found, &all, &usage, &sizes))
            .collect();
        environments.sort_by(|a, b| order(a).cmp(&order(b)));
        let orphans = sweep::orphans(slots.as_fd(), envs.as_fd(), &all, &[], u64::MAX);
        let with_size = |path: String| {
            let size = sizes.paths.get(&path).copied().unwrap_or(0);
            (path, size)
        };
        let has = |key: &str| all.iter().filter(|found| found.links_to(key)).count();
        let saved = sizes.keys("slots/").map(|(key, size)| {
            let more = u64::try_from(has(key).saturating_sub(1)).unwrap_or(u64::MAX);
            size.saturating_mul(more)
        });
        // Only root may look into the staging area of a store that root fills.
        let staging = self.part("staging").ok();
        Ok(Inventory {
            environments,
            orphans: orphans.iter().map(|one| with_size(one.path())).collect(),
            staging: staging.map_or(0, |staging| size_below(&staging)),
            total: size_below(&self.root),
            saved: saved.fold(0, u64::saturating_add),
            is_use_known: !usage.unknown,
        })
    }

    /// Removes environments that nobody uses, and the slots that only they had. Waits at most `patience` for packages
    /// that are just being started; after half a second `waiting` is called, once.
    ///
    /// # Errors
    ///
    /// [`StoreError::System`] when the store cannot be written.
    pub fn remove(
        &self,
        which: Which<'_>,
        patience: Duration,
        waiting: &dyn Fn(),
    ) -> Result<Removal, StoreError> {
        let directories = self.directories()?;
        let sizes = Sizes::of(&[("envs", &directories.envs), ("slots", &directories.slots)]);
        let before = size_below(&directories.staging);
        if !matches!(which, Which::These(_)) {
            publish::clear_staging(&directories, "");
        }
        let mut freed = before.saturating_sub(size_below(&directories.staging));
        let is_due = |found: &Found, all: &[Found]| which.is_due(found, all);
        let started = Instant::now();
        let mut is_told = false;
        loop {
            let is_patient = started.elapsed() < patience;
            // Seen before the records are taken away, so that starts are not held up for nothing.
            let is_busy = is_patient && Usage::look(self).starting;
            let mut swept = sweep::Swept::default();
            if !is_busy {
                swept = sweep::remove(self, &directories, &is_due, which.orphaned_since())
                    .map_err(|errno| self.failed("lock", sweep::GC, errno))?;
            }
            if is_busy || swept.busy && is_patient {
                if !is_told && started.elapsed() >= QUIET {
                    waiting();
                    is_told = true;
                }
                std::thread::sleep(STEP);
                continue;
            }
            freed = freed.saturating_add(sizes.sum(&swept.paths));
            let blocked = match (swept.unknown, swept.busy) {
                (true, _) => Some(Blocked::Unknown),
                (_, true) => Some(Blocked::Busy),
                _ => None,
            };
            return Ok(Removal {
                environments: swept.environments,
                freed,
                used: swept.used,
                blocked,
            });
        }
    }

    /// What [`Store::remove`] would remove now. Starts that are under way do not count.
    ///
    /// # Errors
    ///
    /// [`StoreError::System`] when the store cannot be read.
    pub fn would_remove(&self, which: Which<'_>) -> Result<Removal, StoreError> {
        let [ready, envs, slots] = ["ready", "envs", "slots"].map(|name| self.part(name));
        let (ready, envs, slots) = (ready?, envs?, slots?);
        let all = sweep::found(ready.as_fd());
        let usage = Usage::look(self);
        let mut out = Removal::default();
        if usage.unknown {
            out.blocked = Some(Blocked::Unknown);
            return Ok(out);
        }
        let (mut kept, mut released) = (Vec::new(), Vec::new());
        for found in &all {
            let users = usage.users(found, &all);
            let is_due = which.is_due(found, &all);
            if is_due && users.is_empty() {
                released.push(found.name.as_str());
                released.extend(found.slots());
                out.environments.push(found.name.clone());
                continue;
            }
            if is_due {
                out.used.push((found.name.clone(), users));
            }
            kept.push(found.clone());
        }
        let since = which.orphaned_since();
        let orphans = sweep::orphans(slots.as_fd(), envs.as_fd(), &kept, &released, since);
        let unused = orphans.iter().filter(|orphan| !usage.has(&orphan.key));
        let paths: Vec<String> = unused.map(sweep::Orphan::path).collect();
        out.freed = Sizes::of(&[("envs", &envs), ("slots", &slots)]).sum(&paths);
        Ok(out)
    }

    fn directories(&self) -> Result<Directories, StoreError> {
        Directories::open(self.root.as_fd(), self.uid)
            .map_err(|(name, errno)| self.failed("open", name, errno))
    }

    fn part(&self, name: &'static str) -> Result<OwnedFd, StoreError> {
        at::open_directory(self.root.as_fd(), name.as_bytes())
            .map_err(|errno| self.failed("open", name, errno))
    }
}

impl Which<'_> {
    fn is_due(self, found: &Found, all: &[Found]) -> bool {
        match self {
            Which::Due(rule) => rule.is_due(found, all),
            Which::All => true,
            Which::These(names) => names.contains(&found.name),
        }
    }

    fn orphaned_since(self) -> u64 {
        match self {
            Which::Due(_) => sweep::now().saturating_sub(DAY),
            // Nothing is being made while the lock is held.
            Which::All => u64::MAX,
            Which::These(_) => 0,
        }
    }
}

fn environment(found: &Found, all: &[Found], usage: &Usage, sizes: &Sizes) -> Environment {
    let (mut own, mut shared) = (sizes.of_key("envs/", &found.name), 0_u64);
    for key in found.slots() {
        let size = sizes.of_key("slots/", key);
        let is_shared = |other: &Found| other.name != found.name && other.links_to(key);
        let part = if all.iter().any(is_shared) {
            &mut shared
        } else {
            &mut own
        };
        *part = part.saturating_add(size);
    }
    Environment {
        id: found.name.clone(),
        record: found.record.clone(),
        used: found.used,
        uid: found.uid,
        users: usage.users(found, all),
        own,
        shared,
    }
}

/// By name, then the newest first.
fn order(environment: &Environment) -> (&str, core::cmp::Reverse<u64>, &str) {
    let (name, time) = match &environment.record {
        Some(record) => (record.name.as_str(), record.time),
        None => ("", 0),
    };
    (name, core::cmp::Reverse(time), &environment.id)
}

/// Bytes of everything at the top of some directories.
struct Sizes {
    /// By path from the top of the store.
    paths: HashMap<String, u64>,
}

impl Sizes {
    fn of(directories: &[(&str, &OwnedFd)]) -> Sizes {
        let mut paths = HashMap::new();
        for (directory, handle) in directories {
            for name in names(handle.as_fd()).unwrap_or_default() {
                let size = size_of(handle.as_fd(), &name, &mut HashSet::new());
                if let Ok(name) = String::from_utf8(name) {
                    paths.insert(format!("{directory}/{name}"), size);
                }
            }
        }
        Sizes { paths }
    }

    fn sum(&self, paths: &[String]) -> u64 {
        let sizes = paths.iter().filter_map(|path| self.paths.get(path));
        sizes.fold(0, |sum, size| sum.saturating_add(*size))
    }

    /// What belongs to one environment or slot: its tree and the files beside it.
    fn of_key(&self, directory: &str, key: &str) -> u64 {
        let sizes = self.keys(directory).filter(|(name, _)| *name == key);
        sizes.fold(0, |sum, (_, size)| sum.saturating_add(size))
    }

    /// Everything in a directory, with the name of the environment or slot that it belongs to.
    fn keys(&self, directory: &str) -> impl Iterator<Item = (&str, u64)> {
        self.paths.iter().filter_map(move |(path, size)| {
            let name = path.strip_prefix(directory)?;
            Some((lock_of(name.as_bytes())?, *size))
        })
    }
}

fn size_below(directory: &OwnedFd) -> u64 {
    let mut seen = HashSet::new();
    let names = names(directory.as_fd()).unwrap_or_default();
    let sizes = names
        .iter()
        .map(|name| size_of(directory.as_fd(), name, &mut seen));
    sizes.fold(0, u64::saturating_add)
}

/// Bytes that are set aside for a tree; a file with several names counts once. What cannot be read does not count.
fn size_of(at: BorrowedFd<'_>, name: &[u8], seen: &mut HashSet<(u64, u64)>) -> u64 {
    let Ok(stat) = at::look(at, name) else {
        return 0;
    };
    if stat.st_nlink > 1 && !seen.insert((stat.st_dev, stat.st_ino)) {
        return 0;
    }
    let mut size = u64::try_from(stat.st_blocks)
        .unwrap_or(0)
        .saturating_mul(BLOCK);
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory
        && let Ok(directory) = at::open_directory(at, name)
    {
        for name in names(directory.as_fd()).unwrap_or_default() {
            size = size.saturating_add(size_of(directory.as_fd(), &name, seen));
        }
    }
    size
}
