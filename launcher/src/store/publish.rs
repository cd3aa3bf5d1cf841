//! Making a work environment: extract into the staging area, publish by rename, write the record last.

use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use psp_format::VerifiedPackage;
use psp_format::digest::Digest;
use psp_format::metadata::{Lifecycle, Slot};
use psp_format::tar::Kind;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::error::StoreError;
use super::health::{is_link_to, is_whole, repair};
use super::layout::{Arrangement, Directories, env_name, hex, is_crowded, link_target, lock_of};
use super::lock::Lock;
use super::probe::{self, DIRECTORY};
use super::record::{self, BootId};
use super::remove::{names, remove_tree};
use super::{Hooks, Store, Workenv};
use crate::extract::{self, Listing, Options, ReadAt, Tree};

/// Between two calls of [`Hooks::progress`].
const PROGRESS_STEP: Duration = Duration::from_millis(100);

/// Largest list that is read: more than [`psp_format::limits::MAX_ENTRIES`] entries of a usual length need.
const MAX_LIST: usize = 256 << 20;

/// See [`Store::ensure`] and, with `again`, [`Store::ensure_again`].
pub(crate) fn ensure(
    store: &Store,
    package: &VerifiedPackage,
    source: &dyn ReadAt,
    hooks: &dyn Hooks,
    again: bool,
) -> Result<Workenv, StoreError> {
    let slots = Arrangement::of(package, store.dev)?;
    let name = env_name(package, store.dev);
    let directories = Directories::open(store.root.as_fd(), store.uid)
        .map_err(|(name, errno)| failed(store, "open", name, errno))?;
    let told = Cell::new(false);
    let waiting = || {
        if !told.replace(true) {
            hooks.waiting();
        }
    };
    let boot = BootId::read();
    let lock = Lock::take(directories.locks.as_fd(), &name, &waiting);
    let _lock = lock.map_err(|errno| failed(store, "lock", &name, errno))?;
    let path = store.env_path(&name);
    if !again && store.is_ready(&name, &boot) {
        return Ok(Workenv { path });
    }
    sweep(&directories, &name);
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
        meter: Meter::new(hooks, needed),
    };
    for (slot, key) in &slots.shared {
        publisher.shared(slot, key)?;
    }
    publisher.environment(&slots)?;
    publisher.record(&slots, &boot)?;
    Ok(Workenv { path })
}

fn failed(store: &Store, step: &'static str, name: &str, errno: Errno) -> StoreError {
    StoreError::System {
        step,
        name: name.to_owned(),
        path: store.path.clone(),
        errno,
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
fn sweep(directories: &Directories, own: &str) {
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
    meter: Meter<'a>,
}

impl Publisher<'_> {
    fn failed(&self, step: &'static str, name: &str) -> impl Fn(Errno) -> StoreError {
        let (path, name) = (self.store.path.clone(), name.to_owned());
        move |errno| StoreError::System {
            step,
            name: name.clone(),
            path: path.clone(),
            errno,
        }
    }

    /// Sees that a shared slot is there and whole.
    fn shared(&self, slot: &Slot, key: &Digest) -> Result<(), StoreError> {
        let key = hex(key);
        let list = format!("{key}.list");
        if self.is_shared_whole(&key, &list) {
            return Ok(());
        }
        let lock = Lock::take(self.directories.locks.as_fd(), &key, self.waiting);
        let _lock = lock.map_err(self.failed("lock", &key))?;
        // Another package may have put it there in the meantime.
        if self.is_shared_whole(&key, &list) {
            return Ok(());
        }
        let stage = &self.directories.staging;
        let staged = self
            .directories
            .stage(&key)
            .map_err(self.failed("make", &key))?;
        let result = self
            .extract(slot, staged.as_fd(), false)
            .and_then(|listing| {
                // The list first: a slot without a list would be extracted again.
                self.directories
                    .publish_file(&listing.to_file(), &list, &self.directories.slots, &list)
                    .map_err(self.failed("write", &list))?;
                let publish = || match open(&self.directories.slots, &key) {
                    Ok(live) => repair(live.as_fd(), staged.as_fd(), &listing),
                    Err(_) => {
                        remove_tree(self.directories.slots.as_fd(), key.as_bytes())?;
                        rustix::fs::renameat(
                            stage,
                            key.as_str(),
                            &self.directories.slots,
                            key.as_str(),
                        )
                    }
                };
                publish().map_err(self.failed("publish", &key))
            });
        // Nothing is left after a success, and nothing that anybody could use after a failure.
        let _ = remove_tree(stage.as_fd(), key.as_bytes());
        result
    }

    fn is_shared_whole(&self, key: &str, list: &str) -> bool {
        open(&self.directories.slots, key).is_ok_and(|live| {
            read_list(&self.directories.slots, list)
                .is_some_and(|listing| is_whole(live.as_fd(), &listing))
        })
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
        let written = extract::slot(self.package, &slot.id, self.source, into, &options)?;
        Ok(written.listing)
    }

    /// Sees that the environment is there, set up, and whole.
    fn environment(&self, slots: &Arrangement<'_>) -> Result<(), StoreError> {
        let envs = &self.directories.envs;
        let done = format!("{}.done", self.name);
        let is_done = rustix::fs::statat(envs, done.as_str(), AtFlags::SYMLINK_NOFOLLOW).is_ok();
        match open(envs, self.name) {
            Ok(live) if is_done => self.check_environment(&live, slots),
            _ => self.make_environment(slots, &done),
        }
    }

    /// Makes the environment from nothing, and runs the setup commands.
    fn make_environment(&self, slots: &Arrangement<'_>, done: &str) -> Result<(), StoreError> {
        let (envs, staging) = (&self.directories.envs, &self.directories.staging);
        // First of all: without this mark, whatever is there is made anew.
        remove_tree(envs.as_fd(), done.as_bytes()).map_err(self.failed("remove", done))?;
        let staged = self
            .directories
            .stage(self.name)
            .map_err(self.failed("make", self.name))?;
        for slot in &slots.own {
            let listing = self.extract(slot, staged.as_fd(), is_writable(slot))?;
            self.write_list(slot, &listing)?;
        }
        let mut init = Vec::new();
        for slot in &slots.init {
            init.push(self.extract(slot, staged.as_fd(), true)?);
        }
        let mut tree = Tree::reading(staged.as_fd());
        for (slot, key) in &slots.shared {
            link(&mut tree, slot, key).map_err(self.failed("link", &slot.target))?;
        }
        let publish = || {
            remove_tree(envs.as_fd(), self.name.as_bytes())?;
            rustix::fs::renameat(staging, self.name, envs, self.name)
        };
        publish().map_err(self.failed("publish", self.name))?;
        if !self.package.metadata().setup.is_empty() {
            if self.hooks.setup(&self.store.env_path(self.name)).is_err() {
                let _ = remove_tree(envs.as_fd(), self.name.as_bytes());
                return Err(StoreError::Setup);
            }
            for (slot, listing) in slots.init.iter().zip(&init) {
                self.remove_init(slot, listing, &staged)
                    .map_err(self.failed("remove", &slot.target))?;
            }
        }
        let stage = format!("{}.done", self.name);
        self.directories
            .publish_file(b"", &stage, envs, done)
            .map_err(self.failed("write", done))
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
            let flags = match entry.kind {
                Kind::Directory => AtFlags::REMOVEDIR,
                _ => AtFlags::empty(),
            };
            match rustix::fs::unlinkat(at, name, flags) {
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
        let mut tree = Tree::reading(live.as_fd());
        for (slot, key) in &slots.shared {
            link(&mut tree, slot, key).map_err(self.failed("link", &slot.target))?;
        }
        for slot in &slots.own {
            let is_good = if is_writable(slot) {
                slot.root().is_empty()
                    || tree.parent(slot.root(), false).is_ok_and(|(at, name)| {
                        rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
                    })
            } else {
                read_list(&self.directories.envs, &self.list_name(slot))
                    .is_some_and(|listing| is_whole(live.as_fd(), &listing))
            };
            if is_good {
                continue;
            }
            let staged = self
                .directories
                .stage(self.name)
                .map_err(self.failed("make", self.name))?;
            let listing = self.extract(slot, staged.as_fd(), is_writable(slot))?;
            repair(live.as_fd(), staged.as_fd(), &listing)
                .map_err(self.failed("repair", &slot.target))?;
            self.write_list(slot, &listing)?;
            let _ = remove_tree(self.directories.staging.as_fd(), self.name.as_bytes());
        }
        Ok(())
    }

    fn list_name(&self, slot: &Slot) -> String {
        format!("{}.{}.list", self.name, slot.slot)
    }

    fn write_list(&self, slot: &Slot, listing: &Listing) -> Result<(), StoreError> {
        let name = self.list_name(slot);
        self.directories
            .publish_file(&listing.to_file(), &name, &self.directories.envs, &name)
            .map_err(self.failed("write", &name))
    }

    /// Writes the record: from now on the environment is ready.
    fn record(&self, slots: &Arrangement<'_>, boot: &BootId) -> Result<(), StoreError> {
        let boot = if self.store.durable {
            sync(&self.store.root).map_err(self.failed("flush", "the file system"))?;
            None
        } else {
            Some(boot)
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let keys: Vec<Digest> = slots.shared.iter().map(|(_, key)| *key).collect();
        let content = record::write(
            self.package,
            boot,
            now.map_or(0, |now| now.as_secs()),
            &keys,
        );
        let stage = format!("{}.ready", self.name);
        self.directories
            .publish_file(&content, &stage, &self.directories.ready, self.name)
            .map_err(self.failed("write the record", self.name))
    }
}

/// Whether the application may change the files of a slot that lies in the environment itself.
fn is_writable(slot: &Slot) -> bool {
    slot.mutable || slot.lifecycle == Lifecycle::Config
}

/// Sees that the environment has the link to a shared slot.
fn link(tree: &mut Tree<'_>, slot: &Slot, key: &Digest) -> Result<(), Errno> {
    let target = link_target(slot, key);
    tree.make_parents(slot.root())?;
    let (at, name) = tree.parent(slot.root(), false)?;
    if is_link_to(at, name, &target) {
        return Ok(());
    }
    remove_tree(at, name)?;
    rustix::fs::symlinkat(target.as_slice(), at, name)
}

fn open(directory: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(directory, name, DIRECTORY, Mode::empty())
}

fn read_list(directory: &OwnedFd, name: &str) -> Option<Listing> {
    let flags = OFlags::RDONLY
        .union(OFlags::NOFOLLOW)
        .union(OFlags::NONBLOCK)
        .union(OFlags::CLOEXEC);
    let file = rustix::fs::openat(directory, name, flags, Mode::empty()).ok()?;
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
