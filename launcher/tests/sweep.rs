//! Cleaning up: what is swept and what is kept, and who counts as a user.

#![allow(clippy::panic, missing_docs)]

mod support;

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use psp_launcher::store::admin::{Blocked, Which, look};
use psp_launcher::store::{BootId, Record, Rule, find_ready, slot_key};
use support::place::*;
use support::*;

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

/// Removing an environment that a process uses in one of seven ways.
///
/// outcome: what is used stays
/// layer: store
/// message: none
#[test]
fn case_069_removal_while_another_instance_runs() -> TestResult {
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

/// Symbolic links in and in place of everything that is removed.
///
/// outcome: the links are removed, nothing outside is
/// layer: store
/// message: none
#[test]
fn case_069_links_planted_where_things_are_removed() -> TestResult {
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

/// Everything is removed again and again while four threads make environments.
///
/// outcome: every environment is whole
/// layer: store
/// message: none
#[test]
fn case_069_removal_while_first_starts_run() -> TestResult {
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
