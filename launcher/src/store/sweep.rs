//! Removing what nobody needs any more: old versions of packages, the slots that only they had, and what was left by
//! first starts that never came to an end.
//!
//! Nothing may be removed from under a program. Every [`Store::ensure`] holds a share of the lock [`GC`], and whoever
//! removes has it alone: so nothing is being made meanwhile. A warm start takes no lock; it believes the record in
//! `ready/`, and what it starts is seen in the process table. So the records go first, into the staging area; then the
//! processes are looked at, and the records of what is in use after all are put back. Only then the rest is moved to
//! the staging area too, and removed there when the lock is free again.
//!
//! Killed at any instant, the store is as good as before: an environment without a record is looked at and put right
//! by the next start, and what lies in the staging area is removed by it.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, OFlags, Stat, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

use super::Store;
use super::layout::{Directories, join, lock_of};
use super::lock::Lock;
use super::record::Record;
use super::remove::{names, remove_tree};
use super::usage::Usage;
use crate::at;

/// The lock of everything in a store.
pub(crate) const GC: &str = "gc";
/// A day, in seconds.
pub(crate) const DAY: u64 = 24 * 60 * 60;
/// Days without a start after which an old version is swept.
pub(crate) const UNUSED_DAYS: u64 = 30;
/// Newest versions that are not old, however long they have not been used.
pub(crate) const KEPT: usize = 2;
/// Largest record, in bytes: a line for each of the 4096 slots that a package may have.
const MAX_RECORD: usize = 1 << 20;

/// Reading that leaves no mark.
#[cfg(target_os = "linux")]
const NO_MARK: OFlags = OFlags::NOATIME;
#[cfg(not(target_os = "linux"))]
const NO_MARK: OFlags = OFlags::empty();

/// An environment that is ready, or was before the last reboot.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The name of its record, directory and lock.
    pub(crate) name: String,
    /// What the record says; nothing when it is damaged or of another version.
    pub(crate) record: Option<Record>,
    /// When a start found it last, in seconds since 1970; within a day.
    pub(crate) used: u64,
    /// Owner of the record.
    pub(crate) uid: u32,
}

/// When an environment is old enough to be swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Last use before this time, in seconds since 1970.
    pub unused_since: u64,
    /// At least so many newer versions of the same name and signers.
    pub keep: usize,
}

/// What was removed, and what was not.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// Environments that are gone.
    pub(crate) environments: Vec<String>,
    /// Everything that is gone, by its path from the top of the store.
    pub(crate) paths: Vec<String>,
    /// Environments that are in use, with the processes that use them.
    pub(crate) used: Vec<(String, Vec<u32>)>,
    /// A start is under way, which may use anything; nothing was removed.
    pub(crate) busy: bool,
    /// Nobody can tell what is in use; nothing was removed.
    pub(crate) unknown: bool,
}

impl Rule {
    /// What is swept by itself.
    pub fn automatic(now: u64) -> Rule {
        Rule {
            unused_since: now.saturating_sub(UNUSED_DAYS.saturating_mul(DAY)),
            keep: KEPT,
        }
    }

    /// Whether one of the environments of a store is due. One whose record cannot be read is due when it is unused.
    pub(crate) fn is_due(self, found: &Found, all: &[Found]) -> bool {
        let newer = all.iter().filter(|other| other.is_newer(found)).count();
        found.used < self.unused_since && (newer >= self.keep || found.record.is_none())
    }
}

impl Found {
    /// Whether both are versions of one package: of the same name and signers.
    pub(crate) fn is_version_of(&self, other: &Found) -> bool {
        let is_dev = |found: &Found| found.name.ends_with("-dev");
        match (&self.record, &other.record) {
            (Some(one), Some(two)) => {
                one.name == two.name && one.signer == two.signer && is_dev(self) == is_dev(other)
            }
            _ => false,
        }
    }

    fn is_newer(&self, than: &Found) -> bool {
        let age = |found: &Found| found.record.as_ref().map_or(0, |record| record.time);
        self.is_version_of(than) && (age(self), &self.name) > (age(than), &than.name)
    }

    /// Whether the environment has this shared slot.
    pub(crate) fn links_to(&self, key: &str) -> bool {
        self.slots().any(|slot| slot == key)
    }

    /// Keys of its shared slots, as far as they are known.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &str> {
        let slots = self.record.iter().flat_map(|record| &record.slots);
        slots.map(String::as_str)
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

/// Remembers that an environment is used: the time of its record, set at most once a day. Where that cannot be done, as
/// in a store that somebody else fills, nobody is told.
pub(crate) fn touch(record: &OwnedFd, uid: u32) {
    let Ok(stat) = rustix::fs::fstat(record) else {
        return;
    };
    if stat.st_uid == uid && seconds(stat.st_mtime).abs_diff(now()) > DAY {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        let _ = rustix::fs::futimens(record, &times);
    }
}

fn seconds(time: i64) -> u64 {
    u64::try_from(time).unwrap_or(0)
}

/// Sweeps after the environment `new` has become ready: old versions of the same package, and what interrupted starts
/// have left. Without waiting for anything, and without telling anybody when it fails.
pub(crate) fn after(store: &Store, directories: &Directories, new: &str) {
    let now = now();
    let rule = Rule::automatic(now);
    let is_due = |found: &Found, all: &[Found]| {
        let new = all.iter().find(|other| other.name == new);
        new.is_some_and(|new| found.is_version_of(new)) && rule.is_due(found, all)
    };
    let orphaned_since = now.saturating_sub(DAY);
    let all = found(directories.ready.as_fd());
    let is_due_now = |one: &Found| is_due(one, &all);
    let (slots, envs) = (directories.slots.as_fd(), directories.envs.as_fd());
    if all.iter().any(is_due_now) || !orphans(slots, envs, &all, &[], orphaned_since).is_empty() {
        let _ = remove(store, directories, &is_due, orphaned_since);
    }
}

/// Removes the environments that are due and that nobody uses, with the slots that nobody else has; and what belongs to
/// no environment and was last changed before `orphaned_since`.
pub(crate) fn remove(
    store: &Store,
    directories: &Directories,
    is_due: &dyn Fn(&Found, &[Found]) -> bool,
    orphaned_since: u64,
) -> Result<Swept, Errno> {
    let mut swept = Swept::default();
    let Some(gc) = Lock::try_take(directories.locks.as_fd(), GC)? else {
        swept.busy = true;
        return Ok(swept);
    };
    let all = found(directories.ready.as_fd());
    let claimed: Vec<&Found> = all
        .iter()
        .filter(|one| is_due(one, &all) && claim(directories, one))
        .collect();
    let usage = Usage::look(store);
    swept.busy = usage.starting;
    swept.unknown = usage.unknown;
    let is_blocked = usage.starting || usage.unknown;
    let (mut kept, mut released) = (all.clone(), Vec::new());
    for one in claimed {
        let users = usage.users(one, &all);
        if is_blocked || !users.is_empty() || !is_due(&looked_at_again(directories, one), &all) {
            put_back(directories, one);
            if !users.is_empty() {
                swept.used.push((one.name.clone(), users));
            }
            continue;
        }
        kept.retain(|other| other.name != one.name);
        released.push(one.name.as_str());
        released.extend(one.slots());
        swept.environments.push(one.name.clone());
    }
    if is_blocked {
        return Ok(swept);
    }
    let mut staged: Vec<String> = swept
        .environments
        .iter()
        .map(|name| claimed_name(name))
        .collect();
    let (slots, envs) = (directories.slots.as_fd(), directories.envs.as_fd());
    for orphan in orphans(slots, envs, &kept, &released, orphaned_since) {
        if !usage.has(&orphan.key)
            && let Some(stage) = orphan.stage(directories)
        {
            staged.push(stage);
            swept.paths.push(orphan.path());
        }
    }
    // What is in the staging area is nobody's any more.
    drop(gc);
    for name in &staged {
        discard(directories, name);
    }
    Ok(swept)
}

/// The name of a record in the staging area, while it is looked at whether the environment is in use.
fn claimed_name(name: &str) -> String {
    join(&[name, ".gone"])
}

/// Takes the record of an environment away, so that no start finds it. Returns whether that was possible.
fn claim(directories: &Directories, one: &Found) -> bool {
    let (ready, staging) = (directories.ready.as_fd(), directories.staging.as_fd());
    let stage = claimed_name(&one.name);
    remove_tree(staging, stage.as_bytes()).is_ok()
        && at::rename(ready, one.name.as_bytes(), staging, stage.as_bytes()).is_ok()
}

/// A claimed environment as it is now: a start that was quicker has left its mark on the record.
fn looked_at_again(directories: &Directories, one: &Found) -> Found {
    let mut again = one.clone();
    let stat = at::look(
        directories.staging.as_fd(),
        claimed_name(&one.name).as_bytes(),
    );
    again.used = stat.map_or(u64::MAX, |stat| used(&stat, one));
    again
}

/// Gives a claimed environment its record back. Where that fails, the next start looks at the environment again.
fn put_back(directories: &Directories, one: &Found) {
    let (ready, staging) = (directories.ready.as_fd(), directories.staging.as_fd());
    let stage = claimed_name(&one.name);
    let _ = at::rename(staging, stage.as_bytes(), ready, one.name.as_bytes());
}

/// Removes something from the staging area, and the lock that its name had. What is left is removed by the next first
/// start.
fn discard(directories: &Directories, staged: &str) {
    let _ = remove_tree(directories.staging.as_fd(), staged.as_bytes());
    if let Some(lock) = lock_of(staged.as_bytes()) {
        remove_lock(directories, lock);
    }
}

/// Removes the file of a lock that nobody holds. Whoever waits for it sees that it is gone, and makes a new one.
fn remove_lock(directories: &Directories, name: &str) {
    let locks = directories.locks.as_fd();
    if let Ok(Some(_lock)) = Lock::try_take(locks, name) {
        let _ = at::unlink(locks, name.as_bytes());
    }
}

/// Something that belongs to no environment.
pub(crate) struct Orphan {
    /// `slots` or `envs`.
    directory: &'static str,
    name: String,
    /// The slot or environment that it was of.
    pub(crate) key: String,
}

impl Orphan {
    /// The path from the top of the store.
    pub(crate) fn path(&self) -> String {
        join(&[self.directory, "/", &self.name])
    }

    /// Moves it to the staging area. Returns its name there, unless that fails.
    fn stage(&self, directories: &Directories) -> Option<String> {
        // Not the name that a record has there.
        let stage = join(&[&self.name, ".", self.directory]);
        let from = match self.directory {
            "slots" => &directories.slots,
            _ => &directories.envs,
        };
        let staging = directories.staging.as_fd();
        remove_tree(staging, stage.as_bytes()).ok()?;
        let name = self.name.as_bytes();
        at::rename(from.as_fd(), name, staging, stage.as_bytes()).ok()?;
        Some(stage)
    }
}

/// What belongs to none of the environments `all`: what is of one that was just `released`, and what was last changed
/// before `since`.
///
/// A record that cannot be read may refer to any slot.
pub(crate) fn orphans(
    slots: BorrowedFd<'_>,
    envs: BorrowedFd<'_>,
    all: &[Found],
    released: &[&str],
    since: u64,
) -> Vec<Orphan> {
    let mut out = Vec::new();
    let is_slot_known = all.iter().all(|one| one.record.is_some());
    for (directory, handle) in [("envs", envs), ("slots", slots)] {
        let is_slot = directory == "slots";
        if is_slot && !is_slot_known {
            continue;
        }
        for name in names(handle).unwrap_or_default() {
            let Some(key) = lock_of(&name).map(str::to_owned) else {
                continue;
            };
            let belongs = |one: &Found| {
                if is_slot {
                    one.links_to(&key)
                } else {
                    one.name == key
                }
            };
            let is_old =
                || at::look(handle, &name).is_ok_and(|stat| seconds(stat.st_mtime) < since);
            if all.iter().any(belongs) || !(released.contains(&key.as_str()) || is_old()) {
                continue;
            }
            if let Ok(name) = String::from_utf8(name) {
                out.push(Orphan {
                    directory,
                    name,
                    key,
                });
            }
        }
    }
    out
}

/// Every environment with a record.
pub(crate) fn found(ready: BorrowedFd<'_>) -> Vec<Found> {
    let mut out = Vec::new();
    for name in names(ready).unwrap_or_default() {
        let (Some(key), Ok(stat)) = (lock_of(&name), at::look(ready, &name)) else {
            continue;
        };
        if key.len() != name.len() {
            continue;
        }
        let mut found = Found {
            name: key.to_owned(),
            record: read_record(ready, key),
            used: 0,
            uid: stat.st_uid,
        };
        found.used = used(&stat, &found);
        out.push(found);
    }
    out
}

/// When a record was last used. In a store that is filled for everybody, only reading it leaves a mark.
fn used(record: &Stat, found: &Found) -> u64 {
    let is_for_everybody = found.record.as_ref().is_some_and(Record::is_of_any_boot);
    let read = if is_for_everybody {
        seconds(record.st_atime)
    } else {
        0
    };
    seconds(record.st_mtime).max(read)
}

/// The record of an environment.
pub(crate) fn read_record(ready: BorrowedFd<'_>, name: &str) -> Option<Record> {
    let flags = OFlags::RDONLY
        .union(OFlags::NOFOLLOW)
        .union(OFlags::NONBLOCK)
        .union(OFlags::CLOEXEC);
    // This is no use of the environment. Only its owner may read without leaving a mark.
    let file = at::open(ready, name.as_bytes(), flags.union(NO_MARK), 0)
        .or_else(|_| at::open(ready, name.as_bytes(), flags, 0))
        .ok()?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file).ok()?.st_mode);
    if kind != FileType::RegularFile {
        return None;
    }
    Record::parse(&at::read_all(&file, MAX_RECORD).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(name: &str, time: u64, used: u64) -> Found {
        let record = Record {
            name: "app".to_owned(),
            signer: "s".to_owned(),
            time,
            ..Record::default()
        };
        Found {
            name: name.to_owned(),
            record: Some(record),
            used,
            uid: 0,
        }
    }

    #[test]
    fn versions_beyond_the_newest_two_that_are_unused() {
        const NOW: u64 = 100 * DAY;
        let old = NOW - 31 * DAY;
        let mut all = vec![
            version("a", 1, old),
            version("b", 2, old),
            version("c", 3, NOW - 29 * DAY),
            version("d", 4, old),
            version("e", 5, old),
        ];
        let due = |rule: Rule, all: &[Found]| -> String {
            let due = all.iter().filter(|one| rule.is_due(one, all));
            due.map(|one| one.name.as_str()).collect()
        };
        let rule = Rule::automatic(NOW);
        assert_eq!(due(rule, &all), "ab");
        // The same second: the name decides, so that two stay.
        all.iter_mut()
            .filter_map(|one| one.record.as_mut())
            .for_each(|record| record.time = 1);
        assert_eq!(due(rule, &all), "ab");
        for change in [
            |record: &mut Record| record.name = "other".to_owned(),
            |record: &mut Record| record.signer = "other".to_owned(),
        ] {
            let mut all = all.clone();
            all.iter_mut()
                .skip(3)
                .filter_map(|one| one.record.as_mut())
                .for_each(change);
            assert_eq!(due(rule, &all), "a", "two and three of a kind");
        }
        let everything = Rule {
            unused_since: u64::MAX,
            keep: 0,
        };
        assert_eq!(due(everything, &all), "abcde");
        // Those for development are versions apart.
        all[0].name = "a-dev".to_owned();
        assert_eq!(due(rule, &all), "b");
        // What cannot be read is no version, and no reason to keep it for ever.
        all[4].record = None;
        assert_eq!(due(rule, &all), "be");
        all[4].used = NOW;
        assert_eq!(due(rule, &all), "b");
        assert_eq!(Rule::automatic(5).unused_since, 0, "a clock that is wrong");
    }
}
