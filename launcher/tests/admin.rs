//! What a person asks of a store: what is there, how big, what would go, and whether it is what was signed.

#![allow(clippy::panic, missing_docs)]

mod support;

use std::error::Error;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use psp_format::metadata::Lifecycle;
use psp_launcher::store::admin::{Which, look};
use psp_launcher::store::{Rule, Store};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use support::place::*;
use support::*;

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
    let parts = [
        "slots",
        "envs",
        "ready",
        "runs",
        "locks",
        "staging",
        "CACHEDIR.TAG",
    ];
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
