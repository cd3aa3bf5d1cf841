//! Cleaning up: what is swept and what is kept, who counts as a user, and what a comparison finds.

#![allow(clippy::panic, missing_docs)]

mod support;

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::RwLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use psp_format::metadata::Lifecycle;
use psp_launcher::store::admin::{Blocked, Removal, Which, look};
use psp_launcher::store::{
    BootId, Candidate, HookError, Hooks, Record, Rule, Store, Workenv, find_ready, slot_key,
};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use support::*;

const DAY: u64 = 24 * 60 * 60;
/// Nothing is waited for.
const NOW: Duration = Duration::ZERO;

/// A child between fork and exec has this process's handles, and looks like a start under way in every store of the
/// other tests. So nothing is swept while one begins.
static FORKING: RwLock<()> = RwLock::new(());

struct Quiet;

impl Hooks for Quiet {
    fn waiting(&self) {}
    fn progress(&self, _: u64, _: u64) {}
    fn setup(&self, workenv: &Path) -> Result<(), HookError> {
        fs::write(workenv.join("made-by-setup"), b"x").map_err(|_| HookError)
    }
}

/// A store in a directory of its own.
struct Place {
    _directory: tempfile::TempDir,
    root: PathBuf,
}

impl Place {
    fn new() -> std::io::Result<Place> {
        let directory = tempfile::tempdir()?;
        // As the kernel names it, whatever links lead there.
        let root = directory.path().canonicalize()?.join("store");
        Ok(Place {
            _directory: directory,
            root,
        })
    }

    fn candidates(&self) -> [Candidate; 1] {
        [Candidate {
            path: self.root.clone(),
            origin: "test",
        }]
    }

    fn open(&self) -> Result<Store, Box<dyn Error>> {
        Ok(Store::open(&self.candidates(), 0)?)
    }

    fn ensure(&self, built: &Built) -> Result<Workenv, Box<dyn Error>> {
        let source = built.bytes.as_slice();
        let _nobody_forks = FORKING.read();
        Ok(self.open()?.ensure(&built.package, &source, &Quiet)?)
    }

    fn record(&self, built: &Built) -> PathBuf {
        self.root
            .join(format!("ready/{}", built.package.package_id()))
    }

    fn has(&self, built: &Built) -> bool {
        let name = built.package.package_id().to_string();
        let parts = ["ready", "envs"].map(|part| self.root.join(part).join(&name).exists());
        assert_eq!(parts[0], parts[1], "half an environment");
        parts[0]
    }

    fn has_slot(&self, built: &Built, nth: usize) -> bool {
        let key = slot_key(&built.package.metadata().slots[nth]);
        let parts = [format!("slots/{key}"), format!("slots/{key}.list")];
        let parts = parts.map(|part| self.root.join(part).exists());
        assert_eq!(parts[0], parts[1], "half a slot");
        parts[0]
    }

    /// Makes an environment one that became ready as the `nth`, and was last used so many days ago.
    fn age(&self, built: &Built, nth: u64, days: u64) -> TestResult {
        let path = self.record(built);
        let text = fs::read_to_string(&path)?;
        let time = text.lines().nth(2).ok_or("no time")?;
        assert!(time.starts_with("time "));
        fs::write(&path, text.replacen(time, &format!("time {nth}"), 1))?;
        set_age(&path, days)
    }

    fn remove(&self, which: Which<'_>) -> Result<Removal, Box<dyn Error>> {
        let _nobody_forks = FORKING.read();
        Ok(self.open()?.remove(which, NOW, &|| {})?)
    }

    fn names(&self, part: &str) -> Result<Vec<String>, Box<dyn Error>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(part))? {
            names.push(entry?.file_name().display().to_string());
        }
        names.sort();
        Ok(names)
    }
}

fn since_1970() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

fn set_age(path: &Path, days: u64) -> TestResult {
    let time = Timespec {
        tv_sec: i64::try_from(since_1970() - days * DAY)?,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn runtime() -> Result<Made, Box<dyn Error>> {
    tar_zst("rt", "rt", &sample(), 1)
}

/// A version whose application is this file, with a runtime that all versions share.
fn version_of(version: &str, app: &[u8]) -> Result<Built, Box<dyn Error>> {
    package_with(&[runtime()?, plain("app", "app", app)], &[], version)
}

fn version(version: &str) -> Result<Built, Box<dyn Error>> {
    version_of(version, version.as_bytes())
}

fn versions(place: &Place, days: u64) -> Result<[Built; 3], Box<dyn Error>> {
    let built = [version("1")?, version("2")?, version("3")?];
    for one in &built {
        place.ensure(one)?;
    }
    for (nth, one) in built.iter().enumerate() {
        place.age(one, nth as u64, days)?;
    }
    Ok(built)
}

#[test]
fn old_versions_go_when_a_new_one_becomes_ready() -> TestResult {
    let place = Place::new()?;
    let [one, two, three] = versions(&place, 31)?;
    let four = version("4")?;
    place.ensure(&four)?;
    // The newest two stay, however long they were not used.
    let left = [&one, &two, &three, &four].map(|built| place.has(built));
    assert_eq!(left, [false, false, true, true]);
    let apps = [&one, &two, &three, &four].map(|built| place.has_slot(built, 1));
    assert_eq!(apps, [false, false, true, true]);
    assert!(place.has_slot(&one, 0), "the runtime is that of the others");
    assert_eq!(place.names("staging")?, [""; 0]);
    // Two environments, the slots that they have, and the lock of the store.
    assert_eq!(place.names("locks")?.len(), 2 + 3 + 1);
    // What is gone comes back.
    let again = place.ensure(&one)?;
    assert_eq!(fs::read(again.path.join("app"))?, b"1");
    Ok(())
}

#[test]
fn versions_that_are_used_or_of_another_package_stay() -> TestResult {
    let place = Place::new()?;
    let [one, two, three] = versions(&place, 31)?;
    place.age(&one, 0, 29)?;
    // Another signer, to which the first two versions do not count.
    let text = fs::read_to_string(place.record(&two))?;
    let signer = two.package.signer().fingerprint().to_string();
    fs::write(place.record(&two), text.replace(&signer, &"0".repeat(64)))?;
    set_age(&place.record(&two), 31)?;
    place.ensure(&version("4")?)?;
    assert_eq!(
        [&one, &two, &three].map(|built| place.has(built)),
        [true; 3]
    );
    // An environment that is made again after a reboot is no new version.
    let text = fs::read_to_string(place.record(&three))?;
    let boot = text.lines().nth(1).ok_or("no boot")?;
    fs::write(place.record(&three), text.replacen(boot, "boot 0", 1))?;
    place.age(&one, 0, 31)?;
    place.ensure(&three)?;
    assert!(place.has(&one));
    let record = Record::parse(&fs::read(place.record(&three))?).ok_or("no record")?;
    assert_eq!(
        record.time, 2,
        "when it became ready, not when it was looked at"
    );
    Ok(())
}

#[test]
fn a_start_does_not_wait_to_sweep() -> TestResult {
    let place = Place::new()?;
    let built = versions(&place, 31)?;
    let lock = File::open(place.root.join("locks/gc"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockShared)?;
    place.ensure(&version("4")?)?;
    assert!(
        built.iter().all(|one| place.has(one)),
        "another is being made"
    );
    let removal = place.remove(Which::All)?;
    assert_eq!(removal.blocked, Some(Blocked::Busy));
    assert!(removal.environments.is_empty());
    drop(lock);
    assert_eq!(place.remove(Which::All)?.environments.len(), 4);
    Ok(())
}

#[test]
fn uses_are_remembered_once_a_day() -> TestResult {
    let place = Place::new()?;
    let built = version("1")?;
    place.ensure(&built)?;
    let record = place.record(&built);
    let content = fs::read(&record)?;
    let boot = BootId::read();
    for (days_before, touched) in [(40, true), (2, true), (0, false)] {
        set_age(&record, days_before)?;
        let before = fs::metadata(&record)?.mtime();
        let found = find_ready(&place.candidates(), &built.package, &boot, false);
        assert!(found.is_some());
        let after = fs::metadata(&record)?.mtime();
        assert_eq!(after != before, touched, "{days_before}");
        let now = i64::try_from(since_1970())?;
        assert!(!touched || now - after < 100, "{days_before}");
    }
    // Of another boot: not ready, and so not used.
    set_age(&record, 40)?;
    let before = fs::metadata(&record)?.mtime();
    let later = BootId::from_text("another");
    assert!(find_ready(&place.candidates(), &built.package, &later, false).is_none());
    assert_eq!(fs::metadata(&record)?.mtime(), before);
    assert_eq!(fs::read(&record)?, content);
    Ok(())
}

/// A process that ends with the test.
struct User(Child);

impl User {
    fn start(command: &mut Command) -> Result<User, Box<dyn Error>> {
        let _nobody_sweeps = FORKING.write();
        let child = command.stdin(Stdio::piped()).spawn()?;
        let comm = format!("/proc/{}/exe", child.id());
        let own = fs::read_link("/proc/self/exe")?;
        let end = Instant::now() + Duration::from_secs(10);
        // Between fork and exec it would be this test.
        while fs::read_link(&comm).ok() == Some(own.clone()) {
            assert!(Instant::now() < end, "no exec");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(User(child))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The bytes of a program that sleeps. It is linked dynamically, so that it can be started under any name.
fn sleep() -> std::io::Result<Vec<u8>> {
    fs::read("/bin/sleep")
}

#[test]
fn whoever_uses_an_environment_keeps_it() -> TestResult {
    let place = Place::new()?;
    let program = version_of("1", &sleep()?)?;
    let other = version("2")?;
    let (used, unused) = (place.ensure(&program)?.path, place.ensure(&other)?.path);
    let slot = used.join("app").canonicalize()?;
    let app = || slot.clone();
    let elsewhere = || Command::new("/bin/sleep");
    type Start<'a> = &'a dyn Fn() -> Result<User, Box<dyn Error>>;
    let users: &[(&str, Start<'_>)] = &[
        ("its program is in a slot", &|| {
            User::start(Command::new(app()).arg("1000"))
        }),
        ("its program, through the environment", &|| {
            User::start(Command::new(used.join("app")).arg("1000"))
        }),
        ("its directory", &|| {
            User::start(elsewhere().arg("1000").current_dir(&used))
        }),
        ("its directory in a slot", &|| {
            let parent = slot.parent().unwrap_or(&slot);
            User::start(elsewhere().arg("1000").current_dir(parent))
        }),
        ("an open file", &|| {
            let file = File::open(app())?;
            User::start(elsewhere().arg("1000").stdout(file))
        }),
        ("FLAVOR_WORKENV alone", &|| {
            User::start(elsewhere().arg("1000").env("FLAVOR_WORKENV", &used))
        }),
        ("a script that is an argument", &|| {
            let script = format!("{}/app", used.display());
            // It waits for the end of its input.
            User::start(Command::new("/bin/sh").args(["-c", "read x; :", &script]))
        }),
    ];
    let names = [program.package.package_id().to_string()];
    for (what, start) in users {
        let user = start()?;
        let pid = user.0.id();
        let inventory = place.open()?.inventory()?;
        assert!(inventory.is_use_known);
        for environment in &inventory.environments {
            let expected = if environment.id == names[0] {
                vec![pid]
            } else {
                vec![]
            };
            assert_eq!(environment.users, expected, "{what}");
        }
        let refused = place.remove(Which::These(&names))?;
        assert_eq!(refused.used, [(names[0].clone(), vec![pid])], "{what}");
        assert!(
            refused.environments.is_empty() && place.has(&program),
            "{what}"
        );
        // Also by itself.
        place.age(&program, 0, 100)?;
        let old = [version("3")?, version("4")?];
        for one in &old {
            place.ensure(one)?;
        }
        assert!(place.has(&program) && place.has_slot(&program, 1), "{what}");
        let old = old.map(|one| one.package.package_id().to_string());
        place.remove(Which::These(&old))?;
        drop(user);
    }
    let done = place.remove(Which::These(&names))?;
    assert_eq!(done.environments, names);
    assert!(!place.has(&program) && !used.exists() && unused.exists());
    assert!(!place.has_slot(&program, 1) && place.has_slot(&program, 0));
    assert!(done.freed >= sleep()?.len() as u64);
    Ok(())
}

/// What a process has mapped is in use also when the file is closed: a library.
#[test]
fn a_mapped_file_is_in_use() -> TestResult {
    let place = Place::new()?;
    let maps = fs::read_to_string("/proc/self/maps")?;
    let library = maps.lines().find(|line| line.contains("/libgcc_s"));
    let library = library.and_then(|line| line.split_once('/'));
    let library = format!("/{}", library.ok_or("this test maps no library")?.1);
    let built = package(&[plain("lib", "lib.so", &fs::read(library)?)])?;
    let lib = place.ensure(&built)?.path.join("lib.so").canonicalize()?;
    let mut command = Command::new("/bin/sleep");
    let user = User::start(command.env("LD_PRELOAD", &lib).arg("1000"))?;
    let pid = user.0.id();
    let is_mapped = || {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        maps.contains("/lib.so")
    };
    let end = Instant::now() + Duration::from_secs(10);
    while !is_mapped() {
        assert!(Instant::now() < end, "not mapped");
        std::thread::sleep(Duration::from_millis(1));
    }
    let names = [built.package.package_id().to_string()];
    let refused = place.remove(Which::These(&names))?;
    assert_eq!(refused.used, [(names[0].clone(), vec![pid])]);
    drop(user);
    assert_eq!(place.remove(Which::These(&names))?.environments, names);
    Ok(())
}

/// A start that has found its record has the store open until it is replaced by the program.
#[test]
fn a_start_under_way_may_use_anything() -> TestResult {
    let place = Place::new()?;
    let built = version("1")?;
    place.ensure(&built)?;
    let record = fs::read(place.record(&built))?;
    let mut start = Command::new("/bin/sleep");
    let start = User::start(start.arg("1000").stdout(File::open(&place.root)?))?;
    let blocked = place.remove(Which::All)?;
    assert_eq!(blocked.blocked, Some(Blocked::Busy));
    assert!(blocked.environments.is_empty() && place.has(&built));
    assert_eq!(
        fs::read(place.record(&built))?,
        record,
        "put back as it was"
    );
    // It is waited for, and a person is told once.
    let told = std::cell::Cell::new(0);
    let removal = std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(900));
            drop(start);
        });
        let store = place.open()?;
        let patience = Duration::from_secs(60);
        let told = || told.set(told.get() + 1);
        Ok::<_, Box<dyn Error>>(store.remove(Which::All, patience, &told)?)
    })?;
    assert_eq!((removal.environments.len(), told.get()), (1, 1));
    assert!(!place.has(&built));
    Ok(())
}

#[test]
fn what_interrupted_starts_have_left_goes_after_a_day() -> TestResult {
    let place = Place::new()?;
    let [one, two, three] = versions(&place, 0)?;
    // As killed before the record was written.
    fs::remove_file(place.record(&one))?;
    let orphans = || -> Result<Vec<String>, Box<dyn Error>> {
        let mut paths = Vec::new();
        for (path, size) in place.open()?.inventory()?.orphans {
            assert!(size > 0 || path.ends_with(".done"), "{path}");
            paths.push(path);
        }
        paths.sort();
        Ok(paths)
    };
    let id = one.package.package_id();
    let key = slot_key(&one.package.metadata().slots[1]);
    let expected = [
        format!("envs/{id}"),
        format!("envs/{id}.done"),
        format!("slots/{key}"),
        format!("slots/{key}.list"),
    ];
    assert_eq!(orphans()?, expected);
    let rule = Rule::automatic(since_1970());
    place.remove(Which::Due(rule))?;
    assert_eq!(orphans()?, expected, "the next start may need it");
    for path in &expected {
        set_age(&place.root.join(path), 2)?;
    }
    // By itself, when something new has become ready.
    place.ensure(&version("4")?)?;
    assert_eq!(orphans()?, [""; 0]);
    assert!(place.has(&two) && place.has(&three) && place.has_slot(&two, 0));
    // A record that cannot be read may be that of a newer version: nobody knows which slots it needs.
    fs::write(place.record(&two), b"flavor 2\n")?;
    let old = [three.package.package_id().to_string()];
    assert_eq!(place.remove(Which::These(&old))?.environments, old);
    assert!(place.has_slot(&three, 1) && place.has_slot(&two, 1));
    set_age(&place.record(&two), 31)?;
    let removal = place.remove(Which::Due(rule))?;
    assert_eq!(removal.environments, [two.package.package_id().to_string()]);
    place.remove(Which::All)?;
    for part in ["slots", "envs", "ready", "staging"] {
        assert_eq!(place.names(part)?, [""; 0], "{part}");
    }
    assert_eq!(place.names("locks")?, ["gc"]);
    Ok(())
}

#[test]
fn planted_links_are_removed_and_not_followed() -> TestResult {
    let place = Place::new()?;
    let built = version("1")?;
    let workenv = place.ensure(&built)?;
    let outside = tempfile::tempdir()?;
    fs::write(outside.path().join("kept"), b"x")?;
    let id = built.package.package_id().to_string();
    let key = slot_key(&built.package.metadata().slots[0]).to_string();
    // In trees, in place of trees, and in place of what is written while removing.
    symlink(outside.path(), workenv.path.join("planted"))?;
    fs::remove_dir_all(place.root.join(format!("slots/{key}")))?;
    symlink(outside.path(), place.root.join(format!("slots/{key}")))?;
    for name in [
        format!("{id}.gone"),
        format!("{key}.slots"),
        format!("{id}.envs"),
    ] {
        symlink(outside.path(), place.root.join("staging").join(name))?;
    }
    let odd = "0".repeat(64);
    symlink(
        outside.path().join("kept"),
        place.root.join(format!("ready/{odd}")),
    )?;
    symlink(outside.path(), place.root.join(format!("envs/{odd}")))?;
    symlink("/", place.root.join("slots/not-a-key"))?;
    let planned = place.open()?.would_remove(Which::All)?;
    let removal = place.remove(Which::All)?;
    let mut names = removal.environments.clone();
    names.sort();
    assert_eq!(names, [odd, id]);
    assert_eq!(planned.environments.len(), 2);
    assert_eq!(fs::read(outside.path().join("kept"))?, b"x");
    assert_eq!(place.names("slots")?, ["not-a-key"], "nothing of ours");
    for part in ["envs", "ready", "staging"] {
        assert_eq!(place.names(part)?, [""; 0], "{part}");
    }
    // A directory of the store itself that is a link is not used at all.
    fs::remove_dir_all(place.root.join("envs"))?;
    symlink(outside.path(), place.root.join("envs"))?;
    assert!(place.open().is_err());
    let store = look(&place.candidates()).store.ok_or("no store")?;
    assert!(store.remove(Which::All, NOW, &|| {}).is_err());
    assert!(store.inventory().is_err());
    assert!(outside.path().join("kept").exists());
    Ok(())
}

#[test]
fn nothing_is_removed_from_under_what_is_being_made() -> TestResult {
    let place = Place::new()?;
    let built = [version("1")?, version("2")?, version("3")?];
    let store = place.open()?;
    let (mut removed, mut busy) = (0, 0);
    std::thread::scope(|scope| {
        let makers: Vec<_> = (0..4)
            .map(|nth| {
                let (place, built) = (&place, &built[nth % 3]);
                scope.spawn(move || {
                    for _ in 0..30 {
                        place.ensure(built).map_err(|error| error.to_string())?;
                    }
                    Ok::<_, String>(())
                })
            })
            .collect();
        while makers.iter().any(|maker| !maker.is_finished()) {
            let removal = store.remove(Which::All, Duration::from_millis(300), &|| {});
            let removal = removal.unwrap_or_else(|error| panic!("{error}"));
            removed += removal.environments.len();
            busy += usize::from(removal.blocked.is_some());
        }
        for maker in makers {
            match maker.join() {
                Ok(result) => assert_eq!(result, Ok(())),
                Err(_) => panic!("a maker failed"),
            }
        }
    });
    assert!(removed > 0, "{busy} times busy");
    for one in &built {
        let workenv = place.ensure(one)?;
        let store = place.open()?;
        let found = store.compare(&one.package, &one.bytes.as_slice(), &|_| {})?;
        let found = found.ok_or("not there")?;
        assert_eq!(found.differences, [], "{}", workenv.path.display());
    }
    Ok(())
}

#[test]
fn dry_runs_say_what_would_go_and_remove_nothing() -> TestResult {
    let place = Place::new()?;
    let built = versions(&place, 31)?;
    let before = tree(&place.root)?;
    let rule = Rule::automatic(since_1970());
    let planned = place.open()?.would_remove(Which::Due(rule))?;
    let names: Vec<String> = built
        .iter()
        .map(|one| one.package.package_id().to_string())
        .collect();
    assert_eq!(planned.environments, names[..1]);
    assert_eq!(tree(&place.root)?, before);
    let done = place.remove(Which::Due(rule))?;
    assert_eq!(
        (done.environments, done.freed),
        (planned.environments, planned.freed)
    );
    Ok(())
}

/// Bytes on disk, as du(1) counts them.
fn disk_usage(path: &Path) -> Result<u64, Box<dyn Error>> {
    let stat = fs::symlink_metadata(path)?;
    let mut sum = stat.blocks() * 512;
    if stat.is_dir() {
        for entry in fs::read_dir(path)? {
            sum += disk_usage(&entry?.path())?;
        }
    }
    Ok(sum)
}

#[test]
fn inventories_add_up() -> TestResult {
    let place = Place::new()?;
    let big = plain("rt", "rt", &vec![7; 400_000]);
    let with = |version: &str| {
        let app = plain("app", "app", &vec![version.as_bytes()[0]; 100_000]);
        package_with(&[big.clone(), app], &[], version)
    };
    let built = [with("1")?, with("2")?, with("3")?];
    for (nth, one) in built.iter().enumerate() {
        place.ensure(one)?;
        place.age(one, nth as u64, nth as u64)?;
    }
    let inventory = place.open()?.inventory()?;
    let versions: Vec<_> = inventory
        .environments
        .iter()
        .map(|one| one.record.as_ref().map(|record| record.version.as_str()))
        .collect();
    assert_eq!(versions, [Some("3"), Some("2"), Some("1")]);
    for one in &inventory.environments {
        assert!((100_000..150_000).contains(&one.own), "{}", one.own);
        assert!((400_000..450_000).contains(&one.shared), "{}", one.shared);
        assert_eq!(one.uid, rustix::process::geteuid().as_raw());
    }
    assert!((800_000..900_000).contains(&inventory.saved));
    let parts = ["slots", "envs", "ready", "locks", "staging", "CACHEDIR.TAG"];
    let on_disk: Result<Vec<u64>, _> = parts
        .iter()
        .map(|part| disk_usage(&place.root.join(part)))
        .collect();
    assert_eq!(inventory.total, on_disk?.iter().sum::<u64>());
    assert_eq!((inventory.staging, inventory.orphans.len()), (0, 0));
    fs::write(place.root.join("staging/left"), vec![1; 10_000])?;
    assert!(place.open()?.inventory()?.staging >= 10_000);
    Ok(())
}

#[test]
fn the_system_store_remembers_who_reads_it() -> TestResult {
    let place = Place::new()?;
    let built = version("1")?;
    let source = built.bytes.as_slice();
    place
        .open()?
        .durable()
        .ensure(&built.package, &source, &Quiet)?;
    let record = place.record(&built);
    set_age(&record, 90)?;
    let used = || -> Result<u64, Box<dyn Error>> {
        let inventory = place.open()?.inventory()?;
        Ok(inventory.environments.first().ok_or("none")?.used)
    };
    let old = since_1970() - 89 * DAY;
    assert!(used()? < old);
    assert!(used()? < old, "an inventory is no use");
    let mut times = Timestamps {
        last_access: Timespec {
            tv_sec: i64::try_from(since_1970())?,
            tv_nsec: 0,
        },
        last_modification: Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT,
        },
    };
    rustix::fs::utimensat(CWD, &record, &times, AtFlags::empty())?;
    assert!(used()? > old);
    // In a store of one's own every backup program would keep everything for ever.
    let other = Place::new()?;
    other.ensure(&built)?;
    set_age(&other.record(&built), 90)?;
    times.last_access.tv_sec = i64::try_from(since_1970())?;
    rustix::fs::utimensat(CWD, other.record(&built), &times, AtFlags::empty())?;
    let inventory = other.open()?.inventory()?;
    assert!(inventory.environments.first().ok_or("none")?.used < old);
    Ok(())
}

#[test]
fn comparisons_name_every_difference() -> TestResult {
    let place = Place::new()?;
    let mut config = plain("c", "etc/app.toml", b"a = 1");
    config.slot.lifecycle = Lifecycle::Config;
    config.slot.mode = 0o644;
    let items = [dir("rt2", 0o755), file("rt2/f", 0o644, b"ffff")];
    let slots = [
        runtime()?,
        plain("app", "app", b"application"),
        plain("o", "rt2/own", b"own"),
        tar_zst("u", "rt2", &items, 1)?,
        config,
    ];
    let built = package(&slots)?;
    let compare = || -> Result<(Vec<String>, Vec<String>), Box<dyn Error>> {
        let source = built.bytes.as_slice();
        let found = place.open()?.compare(&built.package, &source, &|_| {})?;
        let found = found.ok_or("not there")?;
        assert_eq!(found.entries, 9 + 1 + 1 + 2 + 1);
        let lines = |list: &[psp_launcher::store::Difference]| {
            let lines = list
                .iter()
                .map(|one| format!("{} {}", String::from_utf8_lossy(&one.path), one.what));
            lines.collect::<Vec<_>>()
        };
        Ok((lines(&found.differences), lines(&found.own)))
    };
    let source = built.bytes.as_slice();
    let none = place.open()?.compare(&built.package, &source, &|_| {})?;
    assert!(none.is_none(), "not unpacked");
    let env = place.ensure(&built)?.path;
    assert_eq!(compare()?, (vec![], vec![]));
    let live = env.join("rt").canonicalize()?;
    let own = |name: &str| env.join("rt2").join(name);
    let write = |path: &Path, bytes: &[u8]| -> std::io::Result<()> {
        let mode = fs::metadata(path)?.permissions();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        fs::write(path, bytes)?;
        fs::set_permissions(path, mode)
    };
    write(&live.join("a"), b"alphA")?;
    fs::write(live.join("b"), b"")?;
    write(&live.join("a.b"), b"longer")?;
    fs::set_permissions(live.join("bin"), fs::Permissions::from_mode(0o755))?;
    fs::remove_file(live.join("bin/run2"))?;
    fs::copy(live.join("bin/run"), live.join("bin/run2"))?;
    fs::remove_file(live.join("bin/up"))?;
    symlink("../b", live.join("bin/up"))?;
    fs::remove_dir(live.join("empty"))?;
    fs::write(live.join("empty"), b"")?;
    fs::remove_file(live.join("z"))?;
    fs::create_dir_all(live.join("new/deep"))?;
    write(&env.join("app").canonicalize()?, b"Application")?;
    fs::set_permissions(own("f"), fs::Permissions::from_mode(0o755))?;
    fs::remove_file(own("own"))?;
    fs::write(own("cache"), b"x")?;
    fs::write(env.join("etc/app.toml"), b"a = 22")?;
    fs::write(env.join("etc/other"), b"x")?;
    let (differences, changed) = compare()?;
    assert_eq!(
        differences,
        [
            "app has other content",
            "etc/other was added",
            "rt/a has other content",
            "rt/a.b has 6 bytes, not 0",
            "rt/b was added",
            "rt/bin has mode 0755, not 0700",
            "rt/bin/run2 is not the file that it was a second name of",
            "rt/bin/up leads somewhere else",
            "rt/empty is a file, not a directory",
            "rt/new was added",
            "rt/z is missing",
            "rt2/cache was added",
            "rt2/f has mode 0755, not 0444",
            "rt2/own is missing",
        ]
    );
    // What the application may change.
    assert_eq!(changed, ["etc/app.toml has 6 bytes, not 5"]);
    // A link in the place of the environment's own, and then nothing at all.
    fs::remove_file(env.join("rt"))?;
    symlink("/", env.join("rt"))?;
    assert!(compare()?.0.contains(&"rt leads somewhere else".to_owned()));
    fs::remove_dir_all(place.root.join("slots"))?;
    fs::create_dir(place.root.join("slots"))?;
    let (differences, _) = compare()?;
    assert!(differences.contains(&"rt/a is missing".to_owned()));
    assert!(differences.contains(&"app is missing".to_owned()));
    // What was signed is compared with, whatever the file says by now.
    let mut changed = built.bytes.clone();
    let at = usize::try_from(built.package.layout().slots[0].start())?;
    changed[at] ^= 1;
    let store = place.open()?;
    assert!(
        store
            .compare(&built.package, &changed.as_slice(), &|_| {})
            .is_err()
    );
    Ok(())
}

#[test]
fn what_setup_has_made_is_no_difference() -> TestResult {
    let place = Place::new()?;
    let built = package_with(&[runtime()?], &["/bin/true"], "1")?;
    let env = place.ensure(&built)?.path;
    assert!(env.join("made-by-setup").exists());
    let source = built.bytes.as_slice();
    let found = place.open()?.compare(&built.package, &source, &|_| {})?;
    let found = found.ok_or("not there")?;
    assert_eq!(found.differences, []);
    assert_eq!(found.own.len(), 1);
    // Into a shared slot nothing may be put.
    fs::write(env.join("rt/new"), b"x")?;
    let found = place.open()?.compare(&built.package, &source, &|_| {})?;
    assert_eq!(found.ok_or("not there")?.differences.len(), 1);
    Ok(())
}

#[test]
fn a_look_makes_nothing() -> TestResult {
    let place = Place::new()?;
    let found = look(&place.candidates());
    assert!(found.store.is_none() && found.rejected.is_empty());
    assert_eq!(found.place, place.candidates().first().cloned());
    assert!(!place.root.exists());
    // A directory that somebody has made for it, and one that cannot be it.
    fs::create_dir(&place.root)?;
    assert!(look(&place.candidates()).store.is_none());
    fs::set_permissions(&place.root, fs::Permissions::from_mode(0o777))?;
    let found = look(&place.candidates());
    assert!(found.place.is_none());
    assert_eq!(found.rejected.len(), 1);
    assert!(Store::reading(&place.root).is_err());
    fs::set_permissions(&place.root, fs::Permissions::from_mode(0o700))?;
    place.ensure(&version("1")?)?;
    assert!(look(&place.candidates()).store.is_some());
    assert!(matches!(Store::reading(&place.root), Ok(Some(_))));
    Ok(())
}
