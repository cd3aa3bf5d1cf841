//! Locks between processes: `flock` on a file for each name.
//!
//! The kernel releases them when their holder dies, so there is nothing to clean up after a crash and no process id to
//! mistake for another's. The files stay; they are empty.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::at;

/// Between two looks at a lock that somebody else holds.
const STEP: Duration = Duration::from_millis(10);
/// Looks before a person is told: half a second.
const QUIET_STEPS: u32 = 50;

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: OwnedFd,
}

impl Lock {
    /// Takes the lock `name`, and waits for it as long as it takes. After half a second `waiting` is called, once.
    pub(crate) fn take(
        locks: BorrowedFd<'_>,
        name: &str,
        waiting: &dyn Fn(),
    ) -> Result<Lock, Errno> {
        Lock::wait(
            locks,
            name,
            FlockOperation::NonBlockingLockExclusive,
            waiting,
        )
    }

    /// Takes a share of the lock `name`, likewise: others may have one too, and nobody has the lock.
    pub(crate) fn share(
        locks: BorrowedFd<'_>,
        name: &str,
        waiting: &dyn Fn(),
    ) -> Result<Lock, Errno> {
        Lock::wait(locks, name, FlockOperation::NonBlockingLockShared, waiting)
    }

    fn wait(
        locks: BorrowedFd<'_>,
        name: &str,
        how: FlockOperation,
        waiting: &dyn Fn(),
    ) -> Result<Lock, Errno> {
        let mut steps = 0_u32;
        loop {
            if let Some(lock) = Lock::attempt(locks, name, how)? {
                return Ok(lock);
            }
            if steps == QUIET_STEPS {
                waiting();
            }
            steps = steps.saturating_add(1);
            std::thread::sleep(STEP);
        }
    }

    /// Takes the lock `name` unless somebody else holds it.
    pub(crate) fn try_take(locks: BorrowedFd<'_>, name: &str) -> Result<Option<Lock>, Errno> {
        Lock::attempt(locks, name, FlockOperation::NonBlockingLockExclusive)
    }

    fn attempt(
        locks: BorrowedFd<'_>,
        name: &str,
        how: FlockOperation,
    ) -> Result<Option<Lock>, Errno> {
        // A pipe in place of the file must not make the open wait.
        let flags = OFlags::RDWR
            .union(OFlags::CREATE)
            .union(OFlags::NOFOLLOW)
            .union(OFlags::NONBLOCK)
            .union(OFlags::CLOEXEC);
        let name = name.as_bytes();
        let file = match at::open(locks, name, flags, 0o600) {
            // Made under a umask that hides it from its owner.
            Err(Errno::ACCESS) => {
                at::change_mode(locks, name, 0o600).map_err(|_| Errno::ACCESS)?;
                at::open(locks, name, flags, 0o600)?
            }
            other => other?,
        };
        loop {
            match rustix::fs::flock(file.as_fd(), how) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(errno) => return Err(errno),
            }
        }
        // Whoever removed the file held the lock; the next one to come would make a new file and have a second lock.
        let lock = Lock { file };
        Ok((!lock.is_lost()).then_some(lock))
    }

    /// Whether the file has been removed, so that somebody else can have the lock too.
    pub(crate) fn is_lost(&self) -> bool {
        rustix::fs::fstat(&self.file).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// The lock as a descriptor whose number is at least `first`: for programs that inherit it.
    pub(crate) fn into_descriptor(self, first: i32) -> Result<OwnedFd, Errno> {
        rustix::io::fcntl_dupfd_cloexec(&self.file, first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    #[test]
    fn one_holder_at_a_time() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        let locks = std::fs::File::open(directory.path())?;
        let first = Lock::try_take(locks.as_fd(), "a");
        assert!(matches!(first, Ok(Some(_))));
        assert!(matches!(Lock::try_take(locks.as_fd(), "a"), Ok(None)));
        assert!(matches!(Lock::try_take(locks.as_fd(), "b"), Ok(Some(_))));
        drop(first);
        assert!(matches!(Lock::try_take(locks.as_fd(), "a"), Ok(Some(_))));
        Ok(())
    }

    #[test]
    fn a_person_is_told_once_after_half_a_second() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        let locks = std::fs::File::open(directory.path())?;
        let told = Cell::new(0);
        let first = Lock::try_take(locks.as_fd(), "a");
        let second = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(1200));
                drop(first);
            });
            Lock::take(locks.as_fd(), "a", &|| told.set(told.get() + 1))
        });
        assert!(second.is_ok());
        assert_eq!(told.get(), 1);
        Ok(())
    }
}
