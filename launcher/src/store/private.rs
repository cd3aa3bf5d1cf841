//! Work environments of one start: for packages with slots that are fresh for each.
//!
//! `runs/ENV.N/` is the ordinary environment `envs/ENV/` once more, made of links, with the private slots extracted into
//! it. Directories are real where a private slot lies below them or has them too, and there the names of both are seen;
//! elsewhere a link leads to the ordinary environment, where everything lies that outlives the start. What the application
//! adds in the real directories goes with them.
//!
//! Whoever has the lock `runs/ENV.N.lock` has the name. The application inherits the lock: its descriptor stays open as
//! long as any process is left that could use the files, in whatever container, and the kernel closes it. What has a free
//! lock is removed by a later start.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use psp_format::VerifiedPackage;
use psp_format::metadata::Lifecycle;
use rustix::fs::FileType;
use rustix::io::{Errno, FdFlags};

use super::error::StoreError;
use super::layout::{Arrangement, env_name, is_private, join, lock_of, make_directory, open_own};
use super::lock::Lock;
use super::remove::{names, remove_tree};
use super::{RUNS, Store};
use crate::at;
use crate::extract::{self, Options, ReadAt};

/// The first number for the inherited descriptor: scripts count on those below being free (sh: `exec 9>file`).
const FIRST_FREE: i32 = 10;
const LOCK: &str = ".lock";

/// A work environment of one start. Removed when dropped, which the application's process never does.
#[derive(Debug)]
pub struct Private {
    runs: OwnedFd,
    name: String,
    lock: OwnedFd,
    path: PathBuf,
    is_temporary: bool,
}

/// Whether a package has slots that are fresh for each start.
pub fn has_private_slots(package: &VerifiedPackage) -> bool {
    package.metadata().slots.iter().any(is_private)
}

impl Store {
    /// A new private environment for a package whose ordinary one is ready; `None` where the package has no use for one.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing is left then.
    pub fn private(
        &self,
        package: &VerifiedPackage,
        source: &dyn ReadAt,
    ) -> Result<Option<Private>, StoreError> {
        if !has_private_slots(package) {
            return Ok(None);
        }
        let runs = open_own(self.root.as_fd(), RUNS.as_bytes(), 0o755, self.uid)
            .map_err(|errno| self.failed("open", RUNS, errno))?;
        let env = env_name(package, self.dev);
        let slots = Arrangement::of(package, self.dev).private;
        let (name, lock) =
            claim(runs.as_fd(), &env).map_err(|errno| self.failed("lock", RUNS, errno))?;
        let private = Private {
            path: self.path.join(RUNS).join(&name),
            runs,
            name,
            lock,
            is_temporary: slots
                .iter()
                .any(|slot| slot.lifecycle == Lifecycle::Temporary),
        };
        let name = &private.name;
        let root = private
            .make()
            .map_err(|errno| self.failed("make", name, errno))?;
        let options = Options {
            writable: true,
            progress: None,
        };
        for slot in slots {
            extract::slot(package, &slot.id, source, root.as_fd(), &options)?;
        }
        let below = join(&["envs/", &env]);
        at::open_directory(self.root.as_fd(), below.as_bytes())
            .and_then(|ordinary| {
                let up = join(&["../../", &below, "/"]);
                link_all(ordinary.as_fd(), root.as_fd(), up.as_bytes())
            })
            .map_err(|errno| self.failed("link the files of the package into", name, errno))?;
        Ok(Some(private))
    }
}

impl Private {
    /// What `{workenv}` names.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is to be removed when the application ends, and not only by a later start.
    pub fn is_temporary(&self) -> bool {
        self.is_temporary
    }

    /// The descriptors that are needed to the end.
    pub fn handles(&self) -> [BorrowedFd<'_>; 2] {
        [self.runs.as_fd(), self.lock.as_fd()]
    }

    /// From now on, programs that this process executes inherit the lock.
    pub fn hand_over(&self) {
        // It can only fail for a descriptor that is not open.
        let _ = rustix::io::fcntl_setfd(&self.lock, FdFlags::empty());
    }

    /// Makes the directory. Whatever is there has been left by somebody who is gone: the lock is ours.
    fn make(&self) -> Result<OwnedFd, Errno> {
        let (runs, name) = (self.runs.as_fd(), self.name.as_bytes());
        remove_tree(runs, name)?;
        make_directory(runs, name, 0o755)?;
        at::open_directory(runs, name)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        remove(self.runs.as_fd(), &self.name);
    }
}

/// Removes what ended starts have left: everything whose lock is free. What cannot be removed is tried again by the next
/// start. Names without a lock are left alone: somebody has removed the lock of what may be in use.
pub(crate) fn sweep(runs: BorrowedFd<'_>) {
    for name in names(runs).unwrap_or_default() {
        let run = name.strip_suffix(LOCK.as_bytes());
        let run = run.filter(|run| lock_of(run).is_some());
        let Some(run) = run.and_then(|run| core::str::from_utf8(run).ok()) else {
            continue;
        };
        if let Ok(Some(_lock)) = Lock::try_take(runs, &join(&[run, LOCK])) {
            remove(runs, run);
        }
    }
}

/// Removes an environment, and then its lock, which the caller holds.
fn remove(runs: BorrowedFd<'_>, run: &str) {
    if remove_tree(runs, run.as_bytes()).is_ok() {
        let _ = at::unlink(runs, join(&[run, LOCK]).as_bytes());
    }
}

/// Finds a name that nobody uses, and takes its lock. Processes in different containers may have one number.
fn claim(runs: BorrowedFd<'_>, env: &str) -> Result<(String, OwnedFd), Errno> {
    let mut number = std::process::id();
    loop {
        let name = join(&[env, ".", &number.to_string()]);
        if let Some(lock) = Lock::try_take(runs, &join(&[&name, LOCK]))? {
            return Ok((name, lock.into_descriptor(FIRST_FREE)?));
        }
        number = number.wrapping_add(1);
    }
}

/// Gives `to` everything that `from` has: directories that both have are gone through, links are copied, and of the
/// rest there is a link. `up` leads from a link in `to` to `from`; both lie equally deep, so copied links lead to the same
/// place. Any other name that both have is an error.
fn link_all(from: BorrowedFd<'_>, to: BorrowedFd<'_>, up: &[u8]) -> Result<(), Errno> {
    for name in names(from)? {
        let below = [up, &name].concat();
        match FileType::from_raw_mode(at::look(from, &name)?.st_mode) {
            FileType::Symlink => {
                let target = at::read_link(from, &name)?;
                at::symlink(target.as_bytes(), to, &name)?;
            }
            kind => match at::symlink(&below, to, &name) {
                Err(Errno::EXIST) if kind == FileType::Directory => link_all(
                    at::open_directory(from, &name)?.as_fd(),
                    at::open_directory(to, &name)
                        .map_err(|_| Errno::EXIST)?
                        .as_fd(),
                    &[b"../", &below[..], b"/"].concat(),
                )?,
                other => other?,
            },
        }
    }
    Ok(())
}
