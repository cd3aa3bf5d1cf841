//! The store: extracted slots and work environments, shared by all packages of a user.
//!
//! A warm start asks [`find_ready`] and is done. Everything else goes through [`Store::open`], which finds a directory
//! that can be trusted with programs, and [`Store::ensure`], which makes the work environment under a lock: slots are
//! extracted into a staging area and published by a rename, and the record that says "ready" is written last. Whoever is
//! killed in between leaves something in the staging area that the next one removes.
//!
//! What nobody needs any more is removed by [`sweep`], which asks [`usage`] who uses what; [`admin`] and [`compare`] are for
//! `flavor cache`. [`layout`] says what lies where.

pub mod admin;
mod compare;
mod config;
mod error;
mod health;
mod layout;
mod lock;
mod private;
mod probe;
mod publish;
mod record;
mod remove;
mod sweep;
mod usage;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use psp_format::VerifiedPackage;
use rustix::fs::Stat;

pub use self::compare::{Comparison, Difference, What};
pub use self::error::{Reason, Rejected, StoreError};
pub(crate) use self::layout::hex;
pub use self::layout::slot_key;
use self::layout::{Arrangement, Directories, env_name, join};
pub use self::private::{Private, has_private_slots};
pub(crate) use self::probe::make_with_parents;
pub use self::record::{BootId, Record};
pub(crate) use self::remove::names;
pub use self::remove::remove_tree;
pub use self::sweep::{Rule, now};
use crate::at;
use crate::extract::ReadAt;

/// Where the private environments lie.
const RUNS: &str = "runs";

/// A directory that may become the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The directory.
    pub path: PathBuf,
    /// What named it.
    pub origin: &'static str,
}

/// A complete work environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workenv {
    /// What `{workenv}` names.
    pub path: PathBuf,
    /// When its record was written, in seconds since 1970; [`u64::MAX`] where that says nothing about its files, as they
    /// have just been made, or are the copy of an image.
    pub made: u64,
}

/// What a person is told and what is run while a work environment is made. Called from several threads.
pub trait Hooks: Sync {
    /// Another start is making the same files, and it has taken half a second. Called once.
    fn waiting(&self);

    /// So many of so many bytes of content are extracted. Called at most every 100 ms.
    fn progress(&self, done: u64, total: u64);

    /// Runs the setup commands in the finished environment.
    ///
    /// # Errors
    ///
    /// [`HookError`] when one of them fails; the environment is removed then.
    fn setup(&self, workenv: &Path) -> Result<(), HookError>;
}

/// A setup command failed; why, is known to the [`Hooks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HookError;

/// A directory with extracted packages.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    root: OwnedFd,
    uid: u32,
    dev: bool,
    durable: bool,
}

/// The first candidate in which the package is ready, for the boot `boot`. Nothing is made or checked beyond what makes
/// the answer safe to believe: seven system calls where the first candidate has it, and once a day one more, which sets
/// the time of the record.
///
/// The candidates may begin with stores that this user cannot write to, such as a system-wide one.
pub fn find_ready(
    candidates: &[Candidate],
    package: &VerifiedPackage,
    boot: &BootId,
    dev: bool,
) -> Option<(Store, Workenv)> {
    let uid = crate::sys::effective_uid();
    let name = env_name(package, dev);
    candidates.iter().find_map(|candidate| {
        let (root, stat) = probe::open_quickly(&candidate.path, uid)?;
        let store = Store {
            path: candidate.path.clone(),
            root,
            uid,
            dev,
            durable: false,
        };
        let made = store.is_ready(&name, boot)?;
        let path = store.is_closed(&stat).then(|| store.env_path(&name))?;
        Some((store, Workenv { path, made }))
    })
}

impl Store {
    /// The first candidate that can be the store, made where it is missing, with room for `needed` bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoPlace`] with the reason for each candidate.
    pub fn open(candidates: &[Candidate], needed: u64) -> Result<Store, StoreError> {
        Store::open_with(candidates, &|_| needed)
    }

    /// As [`Store::open`], with room for what is missing of the package and what a start adds.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub fn open_for(
        candidates: &[Candidate],
        package: &VerifiedPackage,
    ) -> Result<Store, StoreError> {
        let fresh = package
            .slots()
            .filter(|(slot, _)| layout::is_private(slot))
            .fold(0_u64, |sum, (slot, _)| {
                sum.saturating_add(slot.original_size)
            });
        Store::open_with(candidates, &|store| {
            store.missing(package).saturating_add(fresh)
        })
    }

    fn open_with(
        candidates: &[Candidate],
        needed: &dyn Fn(&Store) -> u64,
    ) -> Result<Store, StoreError> {
        let uid = crate::sys::effective_uid();
        let mut rejected = Vec::new();
        for candidate in candidates {
            let opened = probe::open_fully(&candidate.path, uid).and_then(|root| {
                Directories::open(root.as_fd(), uid)
                    .map_err(|(name, errno)| Reason::Part { name, errno })?;
                let store = Store {
                    path: candidate.path.clone(),
                    root,
                    uid,
                    dev: false,
                    durable: false,
                };
                probe::check_space(&store.root, needed(&store))?;
                Ok(store)
            });
            match opened {
                Ok(store) => return Ok(store),
                Err(reason) => rejected.push(Rejected {
                    path: candidate.path.clone(),
                    origin: candidate.origin,
                    reason,
                }),
            }
        }
        Err(StoreError::NoPlace(rejected))
    }

    /// Extracts slots for development too, into an environment of their own.
    #[must_use]
    pub fn with_dev(mut self, dev: bool) -> Store {
        self.dev = dev;
        self
    }

    /// Writes everything to the disk before a package counts as ready, which then holds for every later boot: for stores
    /// that are filled when an image is built.
    #[must_use]
    pub fn durable(mut self) -> Store {
        self.durable = true;
        self
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.path
    }

    /// The work environment of a package, when its record says that it was made in this boot.
    ///
    /// The record is believed; when the program turns out to be missing or changed, [`Store::ensure_again`] heals the
    /// environment.
    pub fn ready(&self, package: &VerifiedPackage, boot: &BootId) -> Option<Workenv> {
        let name = env_name(package, self.dev);
        let made = self.is_ready(&name, boot)?;
        let path = self.env_path(&name);
        Some(Workenv { path, made })
    }

    /// The work environment of a package, made now unless it is ready.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the store is then as good as before.
    pub fn ensure(
        &self,
        package: &VerifiedPackage,
        source: &dyn ReadAt,
        hooks: &dyn Hooks,
    ) -> Result<Workenv, StoreError> {
        publish::ensure(self, package, source, hooks, None)
    }

    /// As [`Store::ensure`], but a record that was written at `made` or before is not believed, and no file either: all are
    /// replaced. For when a program of a ready environment cannot be found, or was changed after that.
    ///
    /// # Errors
    ///
    /// As [`Store::ensure`].
    pub fn ensure_again(
        &self,
        package: &VerifiedPackage,
        source: &dyn ReadAt,
        hooks: &dyn Hooks,
        made: u64,
    ) -> Result<Workenv, StoreError> {
        publish::ensure(self, package, source, hooks, Some(made))
    }

    /// Bytes of content that have to be extracted for a package. Files in it that are damaged do not count.
    pub fn missing(&self, package: &VerifiedPackage) -> u64 {
        let slots = Arrangement::of(package, self.dev);
        let is_there = |name: &str| at::look(self.root.as_fd(), name.as_bytes()).is_ok();
        let mut missing = 0_u64;
        for (slot, key) in &slots.shared {
            if !is_there(&join(&["slots/", &hex(key)])) {
                missing = missing.saturating_add(slot.original_size);
            }
        }
        if !is_there(&join(&["envs/", &env_name(package, self.dev), ".done"])) {
            for slot in slots.own.iter().chain(&slots.init) {
                missing = missing.saturating_add(slot.original_size);
            }
        }
        missing
    }

    /// When the record was written, if it holds.
    fn is_ready(&self, name: &str, boot: &BootId) -> Option<u64> {
        let path = join(&["ready/", name]);
        let file = at::open_file(self.root.as_fd(), path.as_bytes()).ok()?;
        let mut head = [0; record::HEAD_SIZE];
        let read = rustix::io::read(&file, &mut head).unwrap_or(0);
        let made = record::made(head.get(..read).unwrap_or_default(), boot)?;
        sweep::touch(&file, self.uid);
        Some(made)
    }

    /// Whether nobody else can have written into the store. Where others cannot even enter it, there is nothing to ask.
    fn is_closed(&self, root: &Stat) -> bool {
        root.st_mode & 0o077 == 0
            || ["ready", "envs", "slots"].iter().all(|name| {
                at::look(self.root.as_fd(), name.as_bytes())
                    .is_ok_and(|stat| probe::is_private(&stat, self.uid))
            })
    }
}
