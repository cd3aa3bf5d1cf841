//! The store: what is shared, what survives a crash, and what two starts at once do to each other.

#![allow(clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use psp_format::metadata::Lifecycle;
use psp_launcher::extract::ReadAt;
use psp_launcher::store::{
    BootId, Candidate, HookError, Hooks, Record, Store, StoreError, Workenv, find_ready, slot_key,
};
use support::*;

/// Hooks that count and, where asked, act.
#[derive(Default)]
struct Counting {
    setups: AtomicUsize,
    waits: AtomicUsize,
    fail_setup: bool,
    /// Set when setup saw the init slot.
    saw_init: AtomicBool,
}

impl Hooks for Counting {
    fn waiting(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    fn progress(&self, done: u64, total: u64) {
        assert!(done <= total);
    }

    fn setup(&self, workenv: &Path) -> Result<(), HookError> {
        self.setups.fetch_add(1, Ordering::Relaxed);
        self.saw_init
            .store(workenv.join("once/tool").exists(), Ordering::Relaxed);
        let _ = fs::write(workenv.join("made-by-setup"), b"x");
        if self.fail_setup {
            Err(HookError)
        } else {
            Ok(())
        }
    }
}

/// A source that counts the bytes read from it.
struct Metered<'a> {
    bytes: &'a [u8],
    read: AtomicUsize,
}

impl ReadAt for Metered<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, rustix::io::Errno> {
        let read = self.bytes.read_at(buffer, offset)?;
        self.read.fetch_add(read, Ordering::Relaxed);
        Ok(read)
    }
}

fn candidate(path: &Path) -> Candidate {
    Candidate {
        path: path.to_owned(),
        origin: "test",
    }
}

/// A new directory for a store; made by the store itself.
struct Place {
    _directory: tempfile::TempDir,
    root: PathBuf,
}

impl Place {
    fn new() -> std::io::Result<Place> {
        let directory = tempfile::tempdir()?;
        let root = directory.path().join("new/store");
        Ok(Place {
            _directory: directory,
            root,
        })
    }

    fn open(&self) -> Result<Store, StoreError> {
        Store::open(&[candidate(&self.root)], 0)
    }

    /// Bytes that had to be read to make the package ready.
    fn ensure(&self, built: &Built) -> Result<(Workenv, usize), StoreError> {
        let source = Metered {
            bytes: &built.bytes,
            read: AtomicUsize::new(0),
        };
        let workenv = self
            .open()?
            .ensure(&built.package, &source, &Counting::default())?;
        Ok((workenv, source.read.into_inner()))
    }

    fn entries(&self, name: &str) -> Result<Vec<String>, Box<dyn std::error::Error>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(name))? {
            names.push(entry?.file_name().display().to_string());
        }
        names.sort();
        Ok(names)
    }
}

fn runtime() -> Result<Made, Box<dyn std::error::Error>> {
    tar_zst("rt", "rt", &sample(), 1)
}

#[test]
fn a_package_becomes_ready_once() -> TestResult {
    let place = Place::new()?;
    let built = package(&[runtime()?, plain("tool", "bin/tool", b"tool")])?;
    let candidates = [candidate(&place.root)];
    let boot = BootId::read();
    assert!(find_ready(&candidates, &built.package, &boot, false).is_none());
    assert!(!place.root.exists(), "a look makes nothing");
    let (workenv, read) = place.ensure(&built)?;
    assert!(read > 0);
    let id = built.package.package_id();
    assert_eq!(workenv.path, place.root.join(format!("envs/{id}")));
    assert_eq!(fs::read(workenv.path.join("rt/bin/up"))?, b"alpha");
    assert_eq!(fs::read(workenv.path.join("bin/tool"))?, b"tool");
    assert!(fs::symlink_metadata(workenv.path.join("rt"))?.is_symlink());
    assert!(fs::read_link(workenv.path.join("rt"))?.is_relative());
    let (again, read) = place.ensure(&built)?;
    assert_eq!((&again.path, read), (&workenv.path, 0));
    let found = find_ready(&candidates, &built.package, &boot, false);
    assert_eq!(found.map(|(_, workenv)| workenv), Some(again));
    assert!(place.root.join("CACHEDIR.TAG").is_file());
    assert_eq!(place.entries("staging")?, [""; 0]);
    let record = Record::parse(&fs::read(place.root.join(format!("ready/{id}")))?);
    let record = record.ok_or("no record")?;
    assert_eq!((&*record.name, &*record.version), ("app", "1.0"));
    assert_eq!(
        record.signer,
        built.package.signer().fingerprint().to_string()
    );
    assert_eq!(record.slots.len(), 2);
    assert_eq!(
        fs::metadata(&place.root)?.permissions().mode() & 0o7777,
        0o700
    );
    Ok(())
}

#[test]
fn versions_share_what_is_the_same() -> TestResult {
    let place = Place::new()?;
    let one = package_with(&[runtime()?, plain("app", "app", b"one")], &[], "1")?;
    let two = package_with(&[runtime()?, plain("app", "app", b"two")], &[], "2")?;
    let (first, _) = place.ensure(&one)?;
    let (second, read) = place.ensure(&two)?;
    assert!(
        read <= 6,
        "only the new slot is read, for digest and content: {read}"
    );
    assert_eq!(fs::read(first.path.join("app"))?, b"one");
    assert_eq!(fs::read(second.path.join("app"))?, b"two");
    let inode = |workenv: &Workenv| fs::metadata(workenv.path.join("rt/a")).map(|stat| stat.ino());
    assert_eq!(inode(&first)?, inode(&second)?);
    // The same bytes for another target are another slot.
    let moved = package(&[plain("app", "elsewhere", b"one")])?;
    let (third, _) = place.ensure(&moved)?;
    assert_eq!(fs::read(third.path.join("elsewhere"))?, b"one");
    assert_eq!(
        place.entries("slots")?.len(),
        8,
        "four slots and their lists"
    );
    Ok(())
}

#[test]
fn overlapping_mutable_and_config_slots_are_private() -> TestResult {
    let place = Place::new()?;
    let mut mutable = tar_zst(
        "m",
        "data",
        &[dir("data", 0o755), file("data/x", 0o666, b"1")],
        1,
    )?;
    mutable.slot.mutable = true;
    let mut config = plain("c", "etc/app.toml", b"a = 1");
    config.slot.lifecycle = Lifecycle::Config;
    config.slot.mode = 0o644;
    let top = tar_zst(
        "t",
        "app",
        &[dir("app", 0o755), file("app/x", 0o644, b"x")],
        1,
    )?;
    let below = plain("b", "app/plugin", b"plugin");
    let mut lazy = plain("l", "late", b"late");
    lazy.slot.lifecycle = Lifecycle::Lazy;
    let mut sbom = plain("s", "app/sbom", b"{}");
    sbom.slot.lifecycle = Lifecycle::Attestation;
    let mut dev = plain("d", "dev", b"dev");
    dev.slot.lifecycle = Lifecycle::Dev;
    let built = package(&[below, mutable, config, top, lazy, sbom, dev])?;
    let (workenv, _) = place.ensure(&built)?;
    let expected = [
        "app/ 755",
        "app/plugin 555 6",
        "app/x 444 1",
        "data/ 755",
        "data/x 644 1",
        "etc/ 755",
        "etc/app.toml 644 5",
    ];
    assert_eq!(tree(&workenv.path)?, expected);
    assert_eq!(place.entries("slots")?, [""; 0]);
    let dev_env = place.open()?.with_dev(true).ensure(
        &built.package,
        &built.bytes.as_slice(),
        &Counting::default(),
    )?;
    assert_ne!(dev_env, workenv);
    assert_eq!(fs::read(dev_env.path.join("dev"))?, b"dev");

    // What a person changed stays; what nobody may change is put right; what is gone comes back.
    fs::write(workenv.path.join("etc/app.toml"), b"a = 22")?;
    fs::write(workenv.path.join("data/x"), b"changed")?;
    fs::remove_file(workenv.path.join("app/x"))?;
    heal(&place, &built)?;
    assert_eq!(fs::read(workenv.path.join("etc/app.toml"))?, b"a = 22");
    assert_eq!(fs::read(workenv.path.join("data/x"))?, b"changed");
    assert_eq!(fs::read(workenv.path.join("app/x"))?, b"x");
    fs::remove_file(workenv.path.join("etc/app.toml"))?;
    heal(&place, &built)?;
    assert_eq!(tree(&workenv.path)?.len(), expected.len());
    assert_eq!(fs::read(workenv.path.join("etc/app.toml"))?, b"a = 1");
    Ok(())
}

fn heal(place: &Place, built: &Built) -> Result<Workenv, StoreError> {
    place.open()?.ensure_again(
        &built.package,
        &built.bytes.as_slice(),
        &Counting::default(),
        u64::MAX,
    )
}

#[test]
fn setup_runs_once_and_init_slots_go_away() -> TestResult {
    let place = Place::new()?;
    let items = [dir("once", 0o755), file("once/tool", 0o755, b"tool")];
    let mut init = tar_zst("i", "once", &items, 1)?;
    init.slot.lifecycle = Lifecycle::Init;
    let built = package_with(&[runtime()?, init], &["/bin/true"], "1")?;
    let source = built.bytes.as_slice();
    let failing = Counting {
        fail_setup: true,
        ..Counting::default()
    };
    let error = place.open()?.ensure(&built.package, &source, &failing);
    assert!(matches!(error, Err(StoreError::Setup)), "{error:?}");
    assert_eq!(place.entries("envs")?, [""; 0]);
    assert_eq!(place.entries("ready")?, [""; 0]);
    assert_eq!(place.entries("staging")?, [""; 0]);

    let hooks = Counting::default();
    let workenv = place.open()?.ensure(&built.package, &source, &hooks)?;
    assert!(hooks.saw_init.load(Ordering::Relaxed));
    assert!(!workenv.path.join("once").exists());
    assert!(workenv.path.join("made-by-setup").exists());
    place
        .open()?
        .ensure_again(&built.package, &source, &hooks, u64::MAX)?;
    assert_eq!(hooks.setups.load(Ordering::Relaxed), 1);

    // Killed before setup was over: there is no mark, so all of it happens again.
    let id = built.package.package_id();
    fs::remove_file(place.root.join(format!("envs/{id}.done")))?;
    fs::remove_file(place.root.join(format!("ready/{id}")))?;
    place.open()?.ensure(&built.package, &source, &hooks)?;
    assert_eq!(hooks.setups.load(Ordering::Relaxed), 2);
    Ok(())
}

/// Makes the record one of another boot.
fn reboot(place: &Place, built: &Built) -> TestResult {
    let path = place
        .root
        .join(format!("ready/{}", built.package.package_id()));
    let record = fs::read_to_string(&path)?;
    let lines: Vec<&str> = record.lines().collect();
    let changed = record.replacen(lines[1], "boot 00000000-0000-0000-0000-000000000000", 1);
    fs::write(&path, changed)?;
    Ok(())
}

#[test]
fn damage_is_found_and_healed_after_a_reboot() -> TestResult {
    let place = Place::new()?;
    let overlap = plain("o", "rt2/own", b"own");
    let items = [dir("rt2", 0o755), file("rt2/f", 0o644, b"ffff")];
    let built = package(&[runtime()?, overlap, tar_zst("u", "rt2", &items, 1)?])?;
    let (workenv, _) = place.ensure(&built)?;
    let good = [tree(&workenv.path)?, tree(&workenv.path.join("rt"))?];
    let key = slot_key(&built.package.metadata().slots[0]);
    let live = place.root.join(format!("slots/{key}/rt"));
    type Damage<'a> = &'a dyn Fn() -> std::io::Result<()>;
    let remove_all = |path: PathBuf| move || fs::remove_dir_all(&path);
    let damages: &[(&str, Damage<'_>)] = &[
        ("a deleted file", &|| fs::remove_file(live.join("a"))),
        ("a truncated file", &|| {
            fs::set_permissions(live.join("bin/run"), fs::Permissions::from_mode(0o755))?;
            fs::write(live.join("bin/run"), b"")
        }),
        ("a deleted directory", &remove_all(live.join("bin"))),
        ("an empty directory gone", &|| {
            fs::remove_dir(live.join("empty"))
        }),
        ("a file for a directory", &|| {
            fs::remove_dir_all(live.join("bin"))?;
            fs::write(live.join("bin"), b"x")
        }),
        ("a directory for a file", &|| {
            fs::remove_file(live.join("a"))?;
            fs::create_dir_all(live.join("a/b"))
        }),
        ("a link for a directory", &|| {
            fs::remove_dir_all(live.join("bin"))?;
            symlink("/", live.join("bin"))
        }),
        ("another link", &|| {
            fs::remove_file(live.join("z"))?;
            symlink("a", live.join("z"))
        }),
        ("the slot gone", &|| {
            fs::remove_dir_all(live.parent().unwrap_or(&live))
        }),
        ("its list gone", &|| {
            fs::remove_file(place.root.join(format!("slots/{key}.list")))
        }),
        ("its list cut", &|| {
            let path = place.root.join(format!("slots/{key}.list"));
            let content = fs::read(&path)?;
            fs::write(&path, &content[..content.len() / 2])
        }),
        ("the environment's own file gone", &|| {
            fs::remove_file(workenv.path.join("rt2/own"))
        }),
        ("the environment's link gone", &|| {
            fs::remove_file(workenv.path.join("rt"))
        }),
        ("the environment gone", &remove_all(workenv.path.clone())),
    ];
    for (what, damage) in damages {
        damage()?;
        let boot = BootId::read();
        reboot(&place, &built)?;
        assert!(
            place.open()?.ready(&built.package, &boot).is_none(),
            "{what}"
        );
        let (healed, _) = place.ensure(&built)?;
        assert_eq!(healed, workenv, "{what}");
        let found = [tree(&workenv.path)?, tree(&workenv.path.join("rt"))?];
        assert_eq!(found, good, "{what}");
        assert_eq!(fs::read(workenv.path.join("rt/a"))?, b"alpha", "{what}");
        assert!(place.open()?.ready(&built.package, &boot).is_some());
        assert_eq!(place.entries("staging")?, [""; 0], "{what}");

        // The same without a reboot, as after a program was not found.
        damage()?;
        heal(&place, &built)?;
        let found = [tree(&workenv.path)?, tree(&workenv.path.join("rt"))?];
        assert_eq!(found, good, "{what}");
    }
    // What programs put beside their files stays.
    fs::write(live.join("bin/cache"), b"x")?;
    reboot(&place, &built)?;
    let (_, read) = place.ensure(&built)?;
    assert_eq!(read, 0);
    assert!(live.join("bin/cache").exists());
    Ok(())
}

#[test]
fn durable_stores_outlive_reboots() -> TestResult {
    let place = Place::new()?;
    let built = package(&[runtime()?])?;
    let source = built.bytes.as_slice();
    let hooks = Counting::default();
    place
        .open()?
        .durable()
        .ensure(&built.package, &source, &hooks)?;
    let later = BootId::from_text("another");
    let candidates = [candidate(&place.root)];
    assert!(find_ready(&candidates, &built.package, &later, false).is_some());
    Ok(())
}

#[test]
fn nothing_is_left_of_a_bad_slot() -> TestResult {
    let place = Place::new()?;
    let bad = [
        dir("rt", 0o755),
        file("rt/f", 0o644, b"x"),
        hard_link("rt/g", "rt"),
    ];
    let built = package(&[tar_zst("b", "rt", &bad, 1)?, plain("g", "good", b"good")])?;
    assert!(place.ensure(&built).is_err());
    let mut changed = package(&[runtime()?])?;
    let at = usize::try_from(changed.package.layout().slots[0].start())?;
    changed.bytes[at] ^= 1;
    assert!(place.ensure(&changed).is_err());
    for name in ["slots", "envs", "ready", "staging"] {
        assert_eq!(place.entries(name)?, [""; 0], "{name}");
    }
    Ok(())
}

#[test]
fn leftovers_of_the_dead_are_removed_and_those_of_the_living_kept() -> TestResult {
    let place = Place::new()?;
    let built = package(&[runtime()?])?;
    let one = package(&[plain("g", "good", b"good")])?;
    place.ensure(&one)?;
    let (dead, alive) = ("0".repeat(64), "1".repeat(64));
    for name in [&dead, &alive] {
        fs::create_dir_all(place.root.join(format!("staging/{name}/a/b")))?;
        fs::write(place.root.join(format!("staging/{name}.list")), b"x")?;
    }
    let lock = fs::File::create(place.root.join(format!("locks/{alive}")))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    place.ensure(&built)?;
    assert_eq!(
        place.entries("staging")?,
        [alive.clone(), format!("{alive}.list")]
    );
    Ok(())
}

#[test]
fn twenty_threads_extract_once() -> TestResult {
    let place = Place::new()?;
    let one = package_with(&[runtime()?, plain("app", "app", b"one")], &[], "1")?;
    let two = package_with(&[runtime()?, plain("app", "app", b"two")], &[], "2")?;
    let total = AtomicUsize::new(0);
    let failures = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for nth in 0..20 {
            let built = if nth % 2 == 0 { &one } else { &two };
            let (place, total, failures) = (&place, &total, &failures);
            scope.spawn(move || match place.ensure(built) {
                Ok((workenv, read)) => {
                    total.fetch_add(read, Ordering::Relaxed);
                    if fs::read(workenv.path.join("rt/a")).ok().as_deref() != Some(b"alpha") {
                        failures.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Err(_) => {
                    failures.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(failures.into_inner(), 0);
    let alone = Place::new()?;
    let once = alone.ensure(&one)?.1 + alone.ensure(&two)?.1;
    assert_eq!(total.into_inner(), once);
    Ok(())
}

/// Entry point of the processes that other tests start; without its variables it does nothing.
#[test]
fn as_a_process_of_its_own() -> TestResult {
    let (Ok(store), Ok(path)) = (
        std::env::var("STORE_TEST_ROOT"),
        std::env::var("STORE_TEST_PACKAGE"),
    ) else {
        return Ok(());
    };
    let package = psp_format::verify::verify_bytes(&fs::read(&path)?)?;
    let file = fs::File::open(&path)?;
    let store = Store::open(&[candidate(Path::new(&store))], 0)?;
    let workenv = store.ensure(&package, &file, &Counting::default())?;
    assert_eq!(fs::read(workenv.path.join("rt/d3/f99"))?, vec![99; 59_400]);
    Ok(())
}

fn child(place: &Place, package: &Path) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--exact", "as_a_process_of_its_own"])
        .env("STORE_TEST_ROOT", &place.root)
        .env("STORE_TEST_PACKAGE", package)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(command)
}

/// A package that takes some time. Few files, because removing them takes longer than making them.
fn large() -> Result<Built, Box<dyn std::error::Error>> {
    let mut items = vec![dir("rt", 0o755)];
    for directory in 0..4 {
        items.push(dir(&format!("rt/d{directory}"), 0o755));
        for nth in 0..100_u8 {
            let content = vec![nth; usize::from(nth) * 600];
            items.push(file(&format!("rt/d{directory}/f{nth:02}"), 0o644, &content));
        }
    }
    package(&[
        tar_zst("rt", "rt", &items, 500_000)?,
        plain("app", "app", b"app"),
    ])
}

#[test]
fn twenty_processes_at_once_all_start() -> TestResult {
    let place = Place::new()?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("package");
    fs::write(&path, large()?.bytes)?;
    let mut children = Vec::new();
    for _ in 0..20 {
        children.push(child(&place, &path)?.spawn()?);
    }
    for mut child in children {
        assert!(child.wait()?.success());
    }
    assert_eq!(place.entries("staging")?, [""; 0]);
    assert_eq!(place.entries("slots")?.len(), 4);
    Ok(())
}

#[test]
fn killed_at_any_instant_the_next_start_works() -> TestResult {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("package");
    let built = large()?;
    fs::write(&path, &built.bytes)?;
    let expected = {
        let place = Place::new()?;
        tree(&place.ensure(&built)?.0.path.join("rt"))?
    };
    let mut killed_in_the_middle = 0;
    for step in 0..12 {
        let place = Place::new()?;
        let mut process = child(&place, &path)?.spawn()?;
        std::thread::sleep(Duration::from_millis(5 + step * 20));
        process.kill()?;
        process.wait()?;
        let staged = place.entries("staging").unwrap_or_default();
        killed_in_the_middle += usize::from(!staged.is_empty());
        let (workenv, _) = place.ensure(&built)?;
        assert_eq!(tree(&workenv.path.join("rt"))?, expected, "{step}");
        assert_eq!(place.entries("staging")?, [""; 0]);
    }
    assert!(
        killed_in_the_middle > 0,
        "no kill came in time to be a test"
    );
    Ok(())
}
