//! Which directories can be the store, and that every umask gives the same result.

#![allow(clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use psp_launcher::store::{Candidate, HookError, Hooks, Reason, Store, StoreError};
use support::*;

struct Quiet;

impl Hooks for Quiet {
    fn waiting(&self) {}

    fn progress(&self, _: u64, _: u64) {}

    fn setup(&self, _: &Path) -> Result<(), HookError> {
        Ok(())
    }
}

fn candidate(path: &Path) -> Candidate {
    Candidate {
        path: path.to_owned(),
        origin: "test",
    }
}

fn rejection(path: &Path, needed: u64) -> Reason {
    match Store::open(&[candidate(path)], needed) {
        Err(StoreError::NoPlace(mut rejected)) if rejected.len() == 1 => rejected.remove(0).reason,
        other => panic!("{path:?}: {other:?}"),
    }
}

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[test]
fn the_first_usable_candidate_is_taken() -> TestResult {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("file");
    fs::write(&file, b"")?;
    let good = directory.path().join("a/b/c");
    let candidates = [
        candidate(Path::new("relative")),
        candidate(&file),
        candidate(&good),
        candidate(&directory.path().join("never")),
    ];
    let store = Store::open(&candidates, 0)?;
    assert_eq!(store.root(), good);
    for made in ["a", "a/b", "a/b/c"] {
        let mode = fs::metadata(directory.path().join(made))?
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o700);
    }
    assert!(!directory.path().join("never").exists());
    let tag = fs::read_to_string(good.join("CACHEDIR.TAG"))?;
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    Ok(())
}

#[test]
fn an_error_names_every_candidate_and_the_variable_to_set() -> TestResult {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("file");
    fs::write(&file, b"")?;
    let candidates = [candidate(Path::new("relative")), candidate(&file)];
    let error = Store::open(&candidates, 0).err().ok_or("opened")?;
    let text = error.to_string();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        text.contains("\"relative\" (test): not an absolute path"),
        "{text}"
    );
    assert!(text.contains("not a directory"), "{text}");
    assert!(error.help().contains("FLAVOR_CACHE"));
    Ok(())
}

#[test]
fn directories_that_others_control() -> TestResult {
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    fs::create_dir_all(at("open/store"))?;
    fs::create_dir_all(at("sticky/store"))?;
    fs::create_dir_all(at("store"))?;
    fs::create_dir_all(at("group"))?;
    symlink(at("store"), at("link"))?;
    symlink(at("nowhere"), at("dangling"))?;
    symlink(at("open"), at("way"))?;
    set_mode(&at("open"), 0o777)?;
    set_mode(&at("sticky"), 0o1777)?;
    set_mode(&at("group"), 0o770)?;

    let is_writable = |reason: Reason, path: &Path| {
        assert!(
            matches!(&reason, Reason::Writable { path: found, .. } if found == path),
            "{reason:?}"
        );
    };
    is_writable(rejection(&at("open"), 0), &at("open"));
    is_writable(rejection(&at("group"), 0), &at("group"));
    is_writable(rejection(&at("open/store"), 0), &at("open"));
    is_writable(rejection(&at("open/new"), 0), &at("open"));
    is_writable(rejection(&at("way/store"), 0), &at("way"));
    assert_eq!(rejection(&at("link"), 0), Reason::NotADirectory);
    assert_ne!(rejection(&at("dangling"), 0), Reason::Relative);
    assert!(!at("nowhere").exists());
    assert!(Store::open(&[candidate(&at("sticky/store"))], 0).is_ok());
    assert!(Store::open(&[candidate(&at("sticky/new"))], 0).is_ok());
    Ok(())
}

#[test]
fn real_parents_count_too() -> TestResult {
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    fs::create_dir_all(at("open/real/store"))?;
    set_mode(&at("open"), 0o777)?;
    symlink(at("open/real"), at("link"))?;
    let reason = rejection(&at("link/store"), 0);
    assert!(matches!(reason, Reason::Writable { .. }), "{reason:?}");
    Ok(())
}

#[test]
fn directories_of_somebody_else() -> TestResult {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("theirs");
    fs::create_dir(&path)?;
    if is_root() {
        chown(&path, Some(12_345), None)?;
        let expected = |path: &Path| Reason::Owner {
            path: path.to_owned(),
            uid: 12_345,
        };
        assert_eq!(rejection(&path, 0), expected(&path));
        fs::create_dir(path.join("ours"))?;
        assert_eq!(rejection(&path.join("ours"), 0), expected(&path));
    } else {
        // Only root can give a directory away. The root directory is root's, who is trusted, but not writable.
        let reason = rejection(Path::new("/"), 0);
        assert!(
            matches!(reason, Reason::System { .. } | Reason::ReadOnly),
            "{reason:?}"
        );
    }
    Ok(())
}

#[test]
fn file_systems_without_execution_or_room() -> TestResult {
    let mounts = fs::read_to_string("/proc/mounts")?;
    let options = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.nth(1)?))
        })
        .rfind(|(at, _)| *at == "/proc")
        .map(|(_, options)| options)
        .unwrap_or_default();
    let has = |option: &str| options.split(',').any(|one| one == option);
    let reason = rejection(Path::new("/proc"), 0);
    if has("ro") {
        assert_eq!(reason, Reason::ReadOnly);
    } else if has("noexec") {
        assert_eq!(reason, Reason::NoExec);
    } else {
        assert!(matches!(reason, Reason::Part { .. }), "{reason:?}");
    }
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store");
    let reason = rejection(&path, u64::MAX);
    assert!(
        matches!(
            reason,
            Reason::Space {
                needed: u64::MAX,
                ..
            }
        ),
        "{reason:?}"
    );
    Ok(())
}

#[test]
fn parts_of_a_store_that_are_links_are_refused() -> TestResult {
    for name in ["slots", "envs", "ready", "locks", "staging"] {
        let directory = tempfile::tempdir()?;
        let (root, outside) = (directory.path().join("store"), directory.path().join("out"));
        fs::create_dir(&root)?;
        fs::create_dir(&outside)?;
        symlink(&outside, root.join(name))?;
        let reason = rejection(&root, 0);
        assert!(
            matches!(reason, Reason::Part { name: part, .. } if part == name),
            "{name}: {reason:?}"
        );
        assert_eq!(tree(&outside)?, [""; 0]);
    }
    Ok(())
}

/// Entry point of the process that [`every_umask_gives_the_same`] starts; without its variables it does nothing.
#[test]
fn with_a_umask() -> TestResult {
    let (Ok(root), Ok(mask)) = (std::env::var("PROBE_ROOT"), std::env::var("PROBE_UMASK")) else {
        return Ok(());
    };
    let mask = rustix::fs::Mode::from_raw_mode(u32::from_str_radix(&mask, 8)?);
    rustix::process::umask(mask);
    let slots = [
        tar_zst("rt", "rt", &sample(), 1)?,
        tar_zst(
            "deep",
            "x/y",
            &[dir("x/y", 0o755), file("x/y/z", 0o644, b"z")],
            1,
        )?,
        plain("tool", "bin/tool", b"tool"),
    ];
    let built = package(&slots)?;
    let store = Store::open(&[candidate(Path::new(&root))], 0)?;
    let source = built.bytes.as_slice();
    store.ensure(&built.package, &source, &Quiet)?;
    store.ensure_again(&built.package, &source, &Quiet, u64::MAX)?;
    Ok(())
}

#[test]
fn every_umask_gives_the_same() -> TestResult {
    let mut trees = Vec::new();
    for mask in ["022", "000", "077", "777"] {
        let directory = tempfile::tempdir()?;
        let root = directory.path().join("a/store");
        let status = Command::new(std::env::current_exe()?)
            .args(["--exact", "with_a_umask"])
            .env("PROBE_ROOT", &root)
            .env("PROBE_UMASK", mask)
            .stdout(Stdio::null())
            .status()?;
        assert!(status.success(), "{mask}");
        let mut lines = tree(&root)?;
        // Locks are nobody's content.
        lines.retain(|line| !line.starts_with("locks/"));
        assert!(
            lines
                .iter()
                .any(|line| line.ends_with("/rt/bin/run 555 18"))
        );
        let mode = fs::metadata(&root)?.permissions().mode();
        assert_eq!(mode & 0o7777, 0o700, "{mask}");
        trees.push(lines);
    }
    for other in &trees[1..] {
        for (a, b) in trees[0].iter().zip(other) {
            // The records name the time, whose length does not change.
            assert_eq!(a, b);
        }
        assert_eq!(trees[0].len(), other.len());
    }
    Ok(())
}
