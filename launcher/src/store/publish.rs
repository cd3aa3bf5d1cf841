//! Making a work environment: extract into the staging area, publish by rename, write the record last.

use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use psp_format::text::Shown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use psp_format::VerifiedPackage;
use psp_format::digest::Digest;
use psp_format::metadata::{Lifecycle, Slot};
use psp_format::tar::Kind;
use rustix::io::Errno;

use super::error::StoreError;
use super::health::{is_whole, repair};
use super::layout::{
    Arrangement, Directories, env_name, hex, is_crowded, join, link_target, lock_of,
};
use super::lock::Lock;
use super::record::{self, BootId};
use super::remove::{names, remove_tree, replace};
use super::sweep::{self, GC};
use super::{Hooks, Store, Workenv};
use super::{config, private, probe};
use crate::at;
use crate::extract::{self, ExtractError, Listing, Options, ReadAt, Tree};

/// Between two calls of [`Hooks::progress`].
const PROGRESS_STEP: Duration = Duration::from_millis(100);

/// How often a start begins again because a cleaning program has taken its lock away.
const MAX_TRIES: u32 = 3;

/// Largest list that is read: more than [`psp_format::limits::MAX_ENTRIES`] entries of a usual length need.
const MAX_LIST: usize = 256 << 20;

/// See [`Store::ensure`] and, with the time of a record that is not believed, [`Store::ensure_again`].
pub(crate) fn ensure(
    store: &Store,
    package: &VerifiedPackage,
    source: &dyn ReadAt,
    hooks: &dyn Hooks,
    seen: Option<u64>,
) -> Result<Workenv, StoreError> {
    let slots = Arrangement::of(package, store.dev);
    let name = env_name(package, store.dev);
    let path = store.env_path(&name);
    let told = Cell::new(false);
    let waiting = || {
        if !told.replace(true) {
            hooks.waiting();
        }
    };
    let boot = BootId::read();
    let mut tries = 0_u32;
    loop {
        let directories = Directories::open(store.root.as_fd(), store.uid)
            .map_err(|(name, errno)| store.failed("open", name, errno))?;
        private::sweep(directories.runs.as_fd());
        // Nothing is swept while this is held.
        let gc = Lock::share(directories.locks.as_fd(), GC, &waiting);
        let gc = gc.map_err(|errno| store.failed("use", "locks/gc", errno))?;
        let lock = take_lock(store, &directories, &name, &waiting)?;
        clear_staging(&directories, &name);
        // One that is younger than what was seen: another start has put everything right in the meantime.
        let ready = store.is_ready(&name, &boot);
        if let Some(made) = ready.filter(|made| seen.is_none_or(|seen| *made > seen)) {
            return Ok(Workenv { path, made });
        }
        let needed = store.missing(package);
        check_space(store, needed)?;
        let publisher = Publisher {
            store,
            directories: &directories,
            package,
            source,
            hooks,
            waiting: &waiting,
            name: &name,
            lock: &lock,
            anew: seen.is_some(),
            meter: Meter::new(hooks, needed),
        };
        match publisher.all(&slots, &boot) {
            Ok(is_new) => {
                drop(lock);
                drop(gc);
                // A store that is filled for everybody is swept by whoever fills it.
                if is_new && !store.durable {
                    sweep::after(store, &directories, &name);
                }
                let made = u64::MAX;
                return Ok(Workenv { path, made });
            }
            // Behind whoever has the new lock.
            Err(error) if tries < MAX_TRIES && (lock.is_lost() || error.is_stale()) => {
                tries = tries.saturating_add(1);
            }
            Err(error) => {
                // What is half made takes room, which may be what was missing.
                clear_staging(&directories, &name);
                return Err(error);
            }
        }
    }
}

fn take_lock(
    store: &Store,
    directories: &Directories,
    name: &str,
    waiting: &dyn Fn(),
) -> Result<Lock, StoreError> {
    let lock = Lock::take(directories.locks.as_fd(), name, waiting);
    lock.map_err(|errno| store.failed("use", &join(&["locks/", name]), errno))
}

impl Store {
    /// A system call that failed. One copy: there are many.
    #[cold]
    #[inline(never)]
    pub(crate) fn failed(&self, step: &'static str, name: &str, errno: Errno) -> StoreError {
        StoreError::System {
            step,
            name: name.to_owned(),
            path: self.path.clone(),
            errno,
        }
    }
}

fn check_space(store: &Store, needed: u64) -> Result<(), StoreError> {
    match probe::free_space(&store.root) {
        Ok(free) if free < needed => Err(StoreError::NoSpace {
            path: store.path.clone(),
            free,
            needed,
        }),
        // A file system that does not tell is found full when it is.
        _ => Ok(()),
    }
}

/// Removes what others have left in the staging area: everything whose lock is free. What cannot be removed is tried
/// again by the next start.
pub(crate) fn clear_staging(directories: &Directories, own: &str) {
    for staged in names(directories.staging.as_fd()).unwrap_or_default() {
        let Some(name) = lock_of(&staged) else {
            continue;
        };
        let lock = if name == own {
            None
        } else {
            match Lock::try_take(directories.locks.as_fd(), name) {
                Ok(Some(lock)) => Some(lock),
                _ => continue,
            }
        };
        let _ = remove_tree(directories.staging.as_fd(), &staged);
        drop(lock);
    }
}

/// Adds up what is extracted, and tells the hooks now and then.
struct Meter<'a> {
    hooks: &'a dyn Hooks,
    done: AtomicU64,
    total: u64,
    last: Mutex<Instant>,
}

impl<'a> Meter<'a> {
    fn new(hooks: &'a dyn Hooks, total: u64) -> Meter<'a> {
        Meter {
            hooks,
            done: AtomicU64::new(0),
            total,
            last: Mutex::new(Instant::now()),
        }
    }

    fn add(&self, bytes: u64) {
        let before = self.done.fetch_add(bytes, Ordering::Relaxed);
        // A thread that finds another one here has nothing to add.
        if let Ok(mut last) = self.last.try_lock()
            && last.elapsed() >= PROGRESS_STEP
        {
            *last = Instant::now();
            let done = before.saturating_add(bytes);
            self.hooks.progress(done.min(self.total), self.total);
        }
    }
}

/// One package on its way into the store, under its lock.
struct Publisher<'a> {
    store: &'a Store,
    directories: &'a Directories,
    package: &'a VerifiedPackage,
    source: &'a dyn ReadAt,
    hooks: &'a dyn Hooks,
    waiting: &'a dyn Fn(),
    /// Of the environment.
    name: &'a str,
    /// Of the same name.
    lock: &'a Lock,
    /// Whether files are replaced that look as they should.
    anew: bool,
    meter: Meter<'a>,
}

impl Publisher<'_> {
    fn all(&self, slots: &Arrangement<'_>, boot: &BootId) -> Result<bool, StoreError> {
        for (slot, key) in &slots.shared {
            self.shared(slot, key)?;
        }
        self.environment(slots)?;
        self.keep(self.lock, self.name)?;
        self.record(slots, boot)
    }

    fn stage(&self, name: &str) -> Result<OwnedFd, StoreError> {
        let staged = self.directories.stage(name);
        staged.map_err(|errno| self.store.failed("make", name, errno))
    }

    fn write(&self, content: &[u8], to: &OwnedFd, name: &str) -> Result<(), StoreError> {
        let written = self.directories.publish_file(content, name, to, name);
        written.map_err(|errno| self.store.failed("write", name, errno))
    }

    /// Sees that a shared slot is there and whole.
    fn shared(&self, slot: &Slot, key: &Digest) -> Result<(), StoreError> {
        let key = hex(key);
        let list = join(&[&key, ".list"]);
        if self.is_shared_whole(&key, &list) {
            return Ok(());
        }
        let lock = take_lock(self.store, self.directories, &key, self.waiting)?;
        // Another package may have put it there in the meantime.
        if self.is_shared_whole(&key, &list) {
            return Ok(());
        }
        let result = self.make_shared(slot, &key, &list, &lock);
        if result.is_err() {
            self.keep(&lock, &key)?;
        }
        // Nothing is left after a success, and nothing that anybody could use after a failure.
        let _ = remove_tree(self.directories.staging.as_fd(), key.as_bytes());
        result
    }

    /// Fails where a lock has been taken away: another start may be at work in the same place.
    fn keep(&self, lock: &Lock, name: &str) -> Result<(), StoreError> {
        if lock.is_lost() {
            return Err(self.store.failed("keep the lock of", name, Errno::STALE));
        }
        Ok(())
    }

    fn make_shared(
        &self,
        slot: &Slot,
        key: &str,
        list: &str,
        lock: &Lock,
    ) -> Result<(), StoreError> {
        let staged = self.stage(key)?;
        let listing = self.extract(slot, staged.as_fd(), false)?;
        let slots = &self.directories.slots;
        self.keep(lock, key)?;
        // The list first: a slot without a list would be extracted again.
        self.write(&listing.to_file(), slots, list)?;
        let published = match at::open_directory(slots.as_fd(), key.as_bytes()) {
            Ok(live) => repair(live.as_fd(), staged.as_fd(), &listing, self.anew),
            Err(_) => self.publish(key, slots),
        };
        published.map_err(|errno| self.store.failed("publish", key, errno))
    }

    /// Moves a directory from the staging area to its place. What is there is removed.
    fn publish(&self, name: &str, to: &OwnedFd) -> Result<(), Errno> {
        let name = name.as_bytes();
        let staging = self.directories.staging.as_fd();
        replace(staging, name, to.as_fd(), name)
    }

    fn is_shared_whole(&self, key: &str, list: &str) -> bool {
        at::open_directory(self.directories.slots.as_fd(), key.as_bytes()).is_ok_and(|live| {
            read_list(&self.directories.slots, list)
                .is_some_and(|listing| self.is_good(live.as_fd(), &listing))
        })
    }

    /// Whether what is there can stay, as far as that can be known without unpacking.
    fn is_good(&self, live: BorrowedFd<'_>, listing: &Listing) -> bool {
        !self.anew && is_whole(live, listing)
    }

    fn extract(
        &self,
        slot: &Slot,
        into: BorrowedFd<'_>,
        writable: bool,
    ) -> Result<Listing, StoreError> {
        let meter = &self.meter;
        let progress = |bytes| meter.add(bytes);
        let options = Options {
            writable,
            progress: Some(&progress),
        };
        match extract::slot(self.package, &slot.id, self.source, into, &options) {
            Ok(written) => Ok(written.listing),
            // The path of an entry alone does not tell which disk is full.
            Err(ExtractError::Write { step, path, errno }) => {
                Err(self.store.failed(step, &Shown(&path).to_string(), errno))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sees that the environment is there, set up, and whole.
    fn environment(&self, slots: &Arrangement<'_>) -> Result<(), StoreError> {
        let envs = self.directories.envs.as_fd();
        let done = join(&[self.name, ".done"]);
        let is_done = at::look(envs, done.as_bytes()).is_ok();
        match at::open_directory(envs, self.name.as_bytes()) {
            Ok(live) if is_done => self.check_environment(&live, slots),
            _ => self.make_environment(slots, &done),
        }
    }

    /// Makes the environment from nothing, and runs the setup commands.
    fn make_environment(&self, slots: &Arrangement<'_>, done: &str) -> Result<(), StoreError> {
        let envs = &self.directories.envs;
        // First of all: without this mark, whatever is there is made anew.
        remove_tree(envs.as_fd(), done.as_bytes())
            .map_err(|errno| self.store.failed("remove", done, errno))?;
        let staged = self.stage(self.name)?;
        for slot in &slots.own {
            self.own(slot, &staged)?;
            if slot.lifecycle == Lifecycle::Config {
                config::carry_over(self.directories, self.package, self.name, slot, &staged)
                    .map_err(|errno| self.store.failed("carry over", &slot.target, errno))?;
            }
        }
        let mut init = Vec::new();
        for slot in &slots.init {
            init.push(self.extract(slot, staged.as_fd(), true)?);
        }
        self.link(slots, &staged)?;
        self.keep(self.lock, self.name)?;
        self.publish(self.name, envs)
            .map_err(|errno| self.store.failed("publish", self.name, errno))?;
        if !self.package.metadata().setup.is_empty() {
            if self.hooks.setup(&self.store.env_path(self.name)).is_err() {
                let _ = remove_tree(envs.as_fd(), self.name.as_bytes());
                for slot in &slots.own {
                    let _ = remove_tree(envs.as_fd(), self.list_name(slot).as_bytes());
                }
                return Err(StoreError::Setup);
            }
            for (slot, listing) in slots.init.iter().zip(&init) {
                self.remove_init(slot, listing, &staged)
                    .map_err(|errno| self.store.failed("remove", &slot.target, errno))?;
            }
        }
        if !self.package.metadata().setup.is_empty() || slots.own.iter().copied().any(is_writable) {
            self.flush()?;
        }
        self.keep(self.lock, self.name)?;
        self.write(b"", envs, done)
    }

    /// Waits until the disk has everything. No list tells how large files are that setup commands made or the application
    /// may change; so nobody could tell, after a power failure, that they are empty for it.
    fn flush(&self) -> Result<(), StoreError> {
        sync(&self.store.root).map_err(|errno| self.store.failed("flush", "the file system", errno))
    }

    /// Sees that the environment has a link to each shared slot.
    fn link(&self, slots: &Arrangement<'_>, env: &OwnedFd) -> Result<(), StoreError> {
        let mut tree = Tree::reading(env.as_fd());
        for (slot, key) in &slots.shared {
            link(&mut tree, slot, key)
                .map_err(|errno| self.store.failed("link", &slot.target, errno))?;
        }
        Ok(())
    }

    /// Removes an init slot from the published environment, which `root` is the handle of.
    fn remove_init(&self, slot: &Slot, listing: &Listing, root: &OwnedFd) -> Result<(), Errno> {
        let mut tree = Tree::reading(root.as_fd());
        if !is_crowded(slot, &self.package.metadata().slots) {
            let (at, name) = tree.parent(slot.root(), false)?;
            return remove_tree(at, name);
        }
        // Among other slots: only what came with this one, and directories that are empty then.
        let entries: Vec<_> = listing.entries().collect();
        for entry in entries.iter().rev() {
            let Ok((at, name)) = tree.parent(&entry.path, false) else {
                continue;
            };
            let removed = match entry.kind {
                Kind::Directory => at::remove_directory(at, name),
                _ => at::unlink(at, name),
            };
            match removed {
                Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Looks at an environment that was made earlier, and puts right what differs.
    ///
    /// What the application may change is not compared: only when nothing is left of it, it is extracted again.
    fn check_environment(&self, live: &OwnedFd, slots: &Arrangement<'_>) -> Result<(), StoreError> {
        self.link(slots, live)?;
        let envs = &self.directories.envs;
        let mut tree = Tree::reading(live.as_fd());
        for slot in &slots.own {
            let list = self.list_name(slot);
            let is_good = if is_writable(slot) {
                slot.root().is_empty()
                    || tree
                        .parent(slot.root(), false)
                        .is_ok_and(|(at, name)| at::look(at, name).is_ok())
            } else {
                read_list(envs, &list).is_some_and(|listing| self.is_good(live.as_fd(), &listing))
            };
            if is_good {
                continue;
            }
            let staged = self.stage(self.name)?;
            let listing = self.own(slot, &staged)?;
            repair(live.as_fd(), staged.as_fd(), &listing, self.anew)
                .map_err(|errno| self.store.failed("repair", &slot.target, errno))?;
            let _ = remove_tree(self.directories.staging.as_fd(), self.name.as_bytes());
            if is_writable(slot) {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Extracts a slot of the environment itself, and writes its list.
    fn own(&self, slot: &Slot, staged: &OwnedFd) -> Result<Listing, StoreError> {
        let mut listing = self.extract(slot, staged.as_fd(), is_writable(slot))?;
        if slot.lifecycle == Lifecycle::Config {
            listing = config::with_times(slot, listing, staged.as_fd())
                .map_err(|errno| self.store.failed("set the time of", &slot.target, errno))?;
        }
        self.write(
            &listing.to_file(),
            &self.directories.envs,
            &self.list_name(slot),
        )?;
        Ok(listing)
    }

    fn list_name(&self, slot: &Slot) -> String {
        if slot.lifecycle == Lifecycle::Config {
            return config::list_name(self.name, slot);
        }
        join(&[self.name, ".", &slot.slot.to_string(), ".list"])
    }

    /// Writes the record: from now on the environment is ready. Returns whether it has become so for the first time, and
    /// not after a reboot or a repair.
    fn record(&self, slots: &Arrangement<'_>, boot: &BootId) -> Result<bool, StoreError> {
        let boot = if self.store.durable {
            self.flush()?;
            None
        } else {
            Some(boot)
        };
        let ready = &self.directories.ready;
        let before = sweep::read_record(ready.as_fd(), self.name);
        let now = sweep::now();
        let time = before.as_ref().map_or(now, |record| record.time);
        let keys: Vec<Digest> = slots.shared.iter().map(|(_, key)| *key).collect();
        let content = record::write(self.package, boot, now, time, &keys);
        // Not under its own name, which is that of a directory in the staging area.
        let stage = join(&[self.name, ".ready"]);
        self.directories
            .publish_file(&content, &stage, ready, self.name)
            .map_err(|errno| self.store.failed("write the record", self.name, errno))?;
        Ok(before.is_none())
    }
}

/// Whether the application may change the files of a slot that lies in the environment itself.
pub(crate) fn is_writable(slot: &Slot) -> bool {
    slot.mutable || slot.lifecycle == Lifecycle::Config
}

/// Sees that the environment has the link to a shared slot.
fn link(tree: &mut Tree<'_>, slot: &Slot, key: &Digest) -> Result<(), Errno> {
    let target = link_target(slot, key);
    tree.make_parents(slot.root())?;
    let (at, name) = tree.parent(slot.root(), false)?;
    if at::is_link_to(at, name, &target) {
        return Ok(());
    }
    remove_tree(at, name)?;
    at::symlink(&target, at, name)
}

pub(crate) fn read_list(directory: &OwnedFd, name: &str) -> Option<Listing> {
    let file = at::open_file(directory.as_fd(), name.as_bytes()).ok()?;
    let size = usize::try_from(rustix::fs::fstat(&file).ok()?.st_size).ok()?;
    if size > MAX_LIST {
        return None;
    }
    let mut content = vec![0; size];
    extract::read_exact(&file, &mut content, 0).ok()?;
    Listing::from_file(&content)
}

#[cfg(target_os = "linux")]
fn sync(root: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::syncfs(root)
}

#[cfg(not(target_os = "linux"))]
fn sync(_: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::sync();
    Ok(())
}
