//! What lies where in a store, and which slots share their files. Everything but [`Directories`] is pure.
//!
//! | name | what it is |
//! | --- | --- |
//! | `CACHEDIR.TAG` | tells backup programs to pass by |
//! | `slots/KEY/` | one extracted slot, for every package that carries the same signed bytes for the same target |
//! | `slots/KEY.list` | the list of its entries, for the check after a reboot |
//! | `envs/ENV/` | what `{workenv}` names |
//! | `envs/ENV.N.list` | the list of the slot with descriptor id N, where its content lies in the environment itself |
//! | `envs/ENV.done` | its setup commands have run |
//! | `envs/ENV.KEY.config` | the list of a `config` slot, by the digest of its target |
//! | `ready/ENV` | written last: the environment is complete |
//! | `runs/ENV.N/` | the environment of one start, for packages with slots that are fresh for each |
//! | `runs/ENV.N.lock` | locked as long as a process of that start is left |
//! | `locks/` | one file for each key and environment |
//! | `staging/` | what is being made, under the name of the lock that its maker holds |
//!
//! ENV is the package id, with `-dev` behind it where slots for development are there too.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use psp_format::VerifiedPackage;
use psp_format::digest::{Digest, Hasher};
use psp_format::metadata::{Lifecycle, Slot};
use psp_format::path;
use rustix::io::Errno;

use super::remove::{clear_away, remove_tree, replace};
use super::{RUNS, Store, probe};
use crate::at;

/// <https://bford.info/cachedir/>
const CACHE_TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55\n\
    # This directory holds files that flavor packages have unpacked. It may be removed.\n";

/// The directories of a store, open.
pub(crate) struct Directories {
    pub(crate) slots: OwnedFd,
    pub(crate) envs: OwnedFd,
    pub(crate) ready: OwnedFd,
    pub(crate) runs: OwnedFd,
    pub(crate) locks: OwnedFd,
    pub(crate) staging: OwnedFd,
}

impl Directories {
    /// Makes what is missing and opens everything. None of the directories may be a link or open to others.
    pub(crate) fn open(
        root: BorrowedFd<'_>,
        uid: u32,
    ) -> Result<Directories, (&'static str, Errno)> {
        let open = |name: &'static str, mode: u32| match open_own(root, name.as_bytes(), mode, uid)
        {
            Ok(directory) => Ok(directory),
            Err(errno) => Err((name, errno)),
        };
        let directories = Directories {
            slots: open("slots", 0o755)?,
            envs: open("envs", 0o755)?,
            ready: open("ready", 0o755)?,
            runs: open(RUNS, 0o755)?,
            locks: open("locks", 0o700)?,
            staging: open("staging", 0o700)?,
        };
        match write_file(root, b"CACHEDIR.TAG", CACHE_TAG) {
            Ok(()) | Err(Errno::EXIST) => Ok(directories),
            Err(errno) => Err(("CACHEDIR.TAG", errno)),
        }
    }

    /// Writes a file under `name` in `to`: readers see nothing of it, or everything.
    ///
    /// `stage` is the name that it has before; whoever calls holds the lock of that name.
    pub(crate) fn publish_file(
        &self,
        content: &[u8],
        stage: &str,
        to: &OwnedFd,
        name: &str,
    ) -> Result<(), Errno> {
        remove_tree(self.staging.as_fd(), stage.as_bytes())?;
        write_file(self.staging.as_fd(), stage.as_bytes(), content)?;
        let staging = self.staging.as_fd();
        replace(staging, stage.as_bytes(), to.as_fd(), name.as_bytes())
    }

    /// Makes an empty directory in the staging area and opens it. What was there before is removed.
    pub(crate) fn stage(&self, name: &str) -> Result<OwnedFd, Errno> {
        let (staging, name) = (self.staging.as_fd(), name.as_bytes());
        clear_away(staging, name, staging)?;
        make_directory(staging, name, 0o755)?;
        at::open_directory(staging, name)
    }
}

/// Opens a directory of the store, and makes it where it is missing.
#[inline(never)]
pub(crate) fn open_own(
    root: BorrowedFd<'_>,
    name: &[u8],
    mode: u32,
    uid: u32,
) -> Result<OwnedFd, Errno> {
    let opened = match at::open_directory(root, name) {
        Err(Errno::NOENT) => make_directory(root, name, mode),
        // Made under a umask that hides it from its owner, by a start that was killed then.
        Err(Errno::ACCESS) => at::change_mode(root, name, mode).map_err(|_| Errno::ACCESS),
        opened => opened.map(drop),
    };
    let directory = opened.and_then(|()| at::open_directory(root, name))?;
    let stat = rustix::fs::fstat(&directory)?;
    if stat.st_uid != uid || !probe::is_private(&stat, uid) {
        return Err(Errno::PERM);
    }
    if stat.st_mode & 0o700 != 0o700 {
        at::set_mode(&directory, mode)?;
    }
    Ok(directory)
}

/// Makes a directory with exactly this mode. One that is there stays as it is: another start has made it.
pub(crate) fn make_directory(at: BorrowedFd<'_>, name: &[u8], mode: u32) -> Result<(), Errno> {
    match at::make_directory(at, name, mode) {
        // Whatever the umask was.
        Ok(()) => at::change_mode(at, name, mode),
        Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn write_file(at: BorrowedFd<'_>, name: &[u8], content: &[u8]) -> Result<(), Errno> {
    let file = at::new_file(at, name, 0o644)?;
    at::set_mode(&file, 0o644)?;
    at::write_all(&file, content)
}

/// How the slots of a package are laid out in its work environment.
#[derive(Debug, Default)]
pub(crate) struct Arrangement<'a> {
    /// Slots that are shared, with their keys: the environment has a link to each.
    pub(crate) shared: Vec<(&'a Slot, Digest)>,
    /// Slots whose content lies in the environment itself, by target.
    pub(crate) own: Vec<&'a Slot>,
    /// Slots that are there while the setup commands run, by target.
    pub(crate) init: Vec<&'a Slot>,
    /// Slots that are extracted for each start, by target.
    pub(crate) private: Vec<&'a Slot>,
}

impl<'a> Arrangement<'a> {
    /// The arrangement for a package. `dev` tells whether slots for development are extracted.
    pub(crate) fn of(package: &'a VerifiedPackage, dev: bool) -> Arrangement<'a> {
        let slots = &package.metadata().slots;
        let mut out = Arrangement::default();
        for slot in slots {
            match slot.lifecycle {
                Lifecycle::Lazy | Lifecycle::Attestation => {}
                Lifecycle::Dev if !dev => {}
                _ if is_private(slot) => insert(&mut out.private, slot),
                Lifecycle::Init if package.metadata().setup.is_empty() => {}
                Lifecycle::Init => insert(&mut out.init, slot),
                Lifecycle::Config => insert(&mut out.own, slot),
                _ if slot.mutable || is_crowded(slot, slots) => insert(&mut out.own, slot),
                _ => out.shared.push((slot, slot_key(slot))),
            }
        }
        out
    }
}

/// Whether a slot is fresh for each start.
pub(crate) fn is_private(slot: &Slot) -> bool {
    matches!(
        slot.lifecycle,
        Lifecycle::Startup | Lifecycle::Volatile | Lifecycle::Temporary
    )
}

/// Inserts a slot behind those with smaller targets: a target stands before those below it.
fn insert<'a>(slots: &mut Vec<&'a Slot>, slot: &'a Slot) {
    let at = slots.partition_point(|other| other.root() <= slot.root());
    slots.insert(at, slot);
}

/// Whether something else in the package lies at, above or below the slot's target. Slots that are never extracted do not
/// count; lazy ones do, because they may be extracted later.
pub(crate) fn is_crowded(slot: &Slot, slots: &[Slot]) -> bool {
    if slot.root().is_empty() {
        return true;
    }
    slots.iter().any(|other| {
        other.id != slot.id
            && other.lifecycle != Lifecycle::Attestation
            && (path::is_within(slot.root(), other.root())
                || path::is_within(other.root(), slot.root()))
    })
}

/// The name of a shared slot: the digest of everything that decides what is extracted.
///
/// The target is in it because it is part of the extracted paths; the same bytes for another target are another slot.
pub fn slot_key(slot: &Slot) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(b"flavor slot 1\0");
    hasher.update(&slot.checksum.0.0);
    hasher.update(&slot.operations_code.to_le_bytes());
    hasher.update(&slot.original_size.to_le_bytes());
    hasher.update(&slot.mode.to_le_bytes());
    hasher.update(slot.target.as_bytes());
    hasher.finish()
}

/// The target of the link from an environment to a shared slot.
pub(crate) fn link_target(slot: &Slot, key: &Digest) -> Vec<u8> {
    let target = slot.root();
    // Up from the link's directory: the target's own parents, the environment, `envs`.
    let parents = target.iter().filter(|&&c| c == b'/').count();
    let mut out = b"../".repeat(parents.saturating_add(2));
    out.extend_from_slice(b"slots/");
    out.extend_from_slice(&key.hex());
    out.push(b'/');
    out.extend_from_slice(target);
    out
}

/// The name of a package's environment, record and lock.
pub(crate) fn env_name(package: &VerifiedPackage, dev: bool) -> String {
    let mut name = hex(&package.package_id());
    if dev {
        name.push_str("-dev");
    }
    name
}

/// A digest as text, without the formatter.
pub(crate) fn hex(digest: &Digest) -> String {
    digest.hex().iter().map(|&byte| char::from(byte)).collect()
}

/// The name of the lock under which something lies in the staging area: everything before the first `.`. `None` for
/// names that no launcher gives.
pub(crate) fn lock_of(staged: &[u8]) -> Option<&str> {
    let name = core::str::from_utf8(staged).ok()?;
    let lock = name.split('.').next().unwrap_or(name);
    let digits = lock.strip_suffix("-dev").unwrap_or(lock);
    Digest::from_hex(digits).map(|_| lock)
}

/// Texts one behind the other, without the formatter.
pub(crate) fn join(parts: &[&str]) -> String {
    parts.concat()
}

impl Store {
    /// The path of an environment.
    pub(crate) fn env_path(&self, name: &str) -> PathBuf {
        let mut path = self.path.join("envs");
        path.push(name);
        path
    }
}

#[cfg(test)]
mod tests {
    use psp_format::digest::Checksum;
    use psp_format::metadata::{Lifecycle, Purpose};
    use psp_format::ops::Operations;

    use super::*;

    fn slot(id: &str, target: &str, lifecycle: &str, mutable: bool) -> Slot {
        Slot {
            checksum: Checksum(Digest::of(b"")),
            id: id.to_owned(),
            lifecycle: Lifecycle::from_name(lifecycle).unwrap_or(Lifecycle::Cached),
            mode: 0o755,
            mutable,
            offset: 0,
            operations: Operations::Tar,
            operations_code: Operations::Tar.code(),
            original_size: 1,
            purpose: Purpose::Payload,
            size: 1,
            slot: 0,
            source: String::new(),
            target: target.to_owned(),
        }
    }

    #[test]
    fn slots_share_where_nothing_else_lies() {
        let slots = [
            slot("rt", "rt", "runtime", false),
            slot("lib", "app/lib", "cached", false),
            slot("app", "app", "cached", false),
            slot("app2", "app2", "cached", false),
            slot("sbom", "rt/x", "attestation", false),
            slot("late", "late/x", "lazy", false),
            slot("below-late", "late", "cached", false),
        ];
        let crowded: Vec<&str> = slots
            .iter()
            .filter(|slot| slot.lifecycle != Lifecycle::Attestation)
            .filter(|slot| is_crowded(slot, &slots))
            .map(|slot| slot.id.as_str())
            .collect();
        assert_eq!(crowded, ["lib", "app", "late", "below-late"]);
        let top = slot("top", ".", "cached", false);
        assert!(is_crowded(&top, std::slice::from_ref(&top)));
    }

    #[test]
    fn keys_differ_with_everything_that_is_extracted() {
        let base = slot("a", "rt", "cached", false);
        let key = slot_key(&base);
        let mut same = base.clone();
        same.id = "b".into();
        same.offset = 8;
        same.lifecycle = Lifecycle::Runtime;
        assert_eq!(slot_key(&same), key);
        type Change = fn(&mut Slot);
        let changes: [Change; 5] = [
            |s| s.target = "ru".into(),
            |s| s.mode = 0o644,
            |s| s.original_size = 2,
            |s| s.operations_code = 0,
            |s| s.checksum.0 = Digest::of(b"x"),
        ];
        for change in changes {
            let mut other = base.clone();
            change(&mut other);
            assert_ne!(slot_key(&other), key);
        }
    }

    #[test]
    fn links_go_up_to_the_store() {
        let key = Digest::of(b"");
        let link = |target: &str| {
            let target = link_target(&slot("a", target, "cached", false), &key);
            String::from_utf8(target).unwrap_or_default()
        };
        assert_eq!(link("rt"), format!("../../slots/{key}/rt"));
        assert_eq!(link("a/b/c"), format!("../../../../slots/{key}/a/b/c"));
    }

    #[test]
    fn only_our_own_staged_names_have_a_lock() {
        let name = Digest::of(b"").to_string();
        for (staged, lock) in [
            (name.clone(), Some(name.clone())),
            (format!("{name}.list"), Some(name.clone())),
            (format!("{name}-dev.3.list"), Some(format!("{name}-dev"))),
            ("x".to_owned(), None),
            (format!("../{name}"), None),
        ] {
            assert_eq!(lock_of(staged.as_bytes()).map(str::to_owned), lock);
        }
    }
}
