//! A store that cannot stay broken: whatever happens to a first start, or to the files afterwards, the next start is right,
//! and nobody has to do anything for it.
//!
//! The launcher's own tests try the parts of this one by one (`launcher/tests/store.rs`); here it happens to packages
//! that are built and started as users do it, on file systems that are full, limited, read-only, or lose what had not
//! reached the disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

use std::collections::BTreeMap;
use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use psp_testkit::host::{Host, SOMEBODY, listing, refusal};
use psp_testkit::project::{Project, need, text};
use rustix::fs::inotify;
use rustix::process::{Pid, Signal, kill_process_group};

/// A project whose package takes every way through the store: two shared slots, one that the person may change, one that is
/// there for setup only, and a setup command.
fn subject(files: usize) -> Project {
    let project = Project::new();
    for nth in 0..files {
        let content = format!("{nth}\n").repeat(nth * 7 % 900);
        project.file(
            &format!("data/d{}/f{nth}", nth % 40),
            0o644,
            content.as_bytes(),
        );
    }
    symlink("d7", project.path().join("data/link")).unwrap();
    project.file(
        "app/run",
        0o755,
        b"#!/bin/sh\ncd \"$FLAVOR_WORKENV\" && echo \"$(cat made/* | cksum) $(cat etc/app.conf) $(cat data/link/* | cksum)\"\n",
    );
    project.file("etc/app.conf", 0o644, b"colour = green\n");
    project.file(
        "once/setup",
        0o755,
        b"#!/bin/sh\ncd \"$FLAVOR_WORKENV\" && mkdir made && for n in 1 2 3 4; do for m in 1 2 3 4 5; do echo $n$m >made/$n$m; sleep 0.002; done; done\n",
    );
    project.manifest(MANIFEST);
    project
}

const MANIFEST: &str = r#"
    [package]
    name = "demo"
    version = "1"
    [[slot]]
    id = "data"
    source = "data"
    [[slot]]
    id = "app"
    source = "app"
    [[slot]]
    id = "etc"
    source = "etc"
    lifecycle = "config"
    [[slot]]
    id = "once"
    source = "once"
    lifecycle = "init"
    [[setup]]
    exec = "{workenv}/once/setup"
    [command]
    exec = "{workenv}/app/run"
"#;

/// Checks that a start went well and gives what the application said.
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout).into_owned();
    assert_eq!(said.matches("colour = green").count(), 1, "{said}");
    said
}

fn entries(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().display().to_string())
        .collect();
    names.sort();
    names
}

/// Checks that everything in the one environment of a cache is as in the project, and that nothing else is left.
fn assert_whole(project: &Project, cache: &Path, what: &str) {
    let names = entries(&cache.join("ready"));
    assert_eq!(names.len(), 1, "{what}");
    let env = cache.join("envs").join(&names[0]);
    for slot in ["data", "app", "etc"] {
        let found = listing(&env.join(slot));
        let packed = listing(&project.path().join(slot));
        if found != packed {
            let differs = packed.iter().find(|entry| !found.contains(entry));
            let name = differs.map(|(name, ..)| name);
            panic!(
                "{what}: {slot}: {} of {} entries, {name:?} differs",
                found.len(),
                packed.len()
            );
        }
    }
    assert_eq!(entries(&env), ["app", "data", "etc", "made"], "{what}");
    assert_eq!(entries(&env.join("made")).len(), 20, "{what}");
    assert_eq!(entries(&cache.join("staging")), [""; 0], "{what}");
}

// --- killed ----------------------------------------------------------------------------------------------------------

#[test]
fn killed_at_any_instant_the_next_start_is_right() {
    kill_at_instants(20);
}

#[test]
#[ignore = "200 first starts, two minutes: run with scripts/test --full"]
fn killed_at_two_hundred_instants_the_next_start_is_right() {
    kill_at_instants(200);
}

/// Kills as many first starts as asked, each with everything that it has started, at instants spread over the time that one
/// takes. In memory, so that what else writes to the disk does not decide how long that is.
fn kill_at_instants(count: u32) {
    let project = subject(3000);
    let host = Host::new(&project.pack(), "mkdir /srv/c");
    let cache = host.path("/srv/c/cache");
    let start = || {
        let mut start = host.start(0);
        start.env("FLAVOR_CACHE", "/srv/c/cache");
        start
    };
    let (mut whole, expected) = first_start(&cache, &start);
    let env = entries(&cache.join("ready")).remove(0);
    let mut found: BTreeMap<&str, u32> = BTreeMap::new();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut kills = 0;
    // As many more, at most four times, where the machine was so busy with others that phases were missed.
    while kills < count || kills < count * 5 && found.len() < 4 {
        // One instant in each of as many equal parts, so that none is missed.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let within = f64::from(u32::try_from(random >> 40).unwrap()) / f64::from(1_u32 << 24);
        let part = f64::from(kills % count) + within;
        if kills % 20 == 0 {
            whole = first_start(&cache, &start).0;
        }
        kills += 1;
        fs::remove_dir_all(&cache).unwrap();
        let instant = whole.mul_f64(part / f64::from(count));
        let mut child = in_a_group(&mut start());
        std::thread::sleep(instant);
        kill(&mut child);
        let phase = phase(&cache, &env);
        *found.entry(phase).or_default() += 1;
        let what = format!("killed after {instant:?} of {whole:?}: {phase}");
        assert_eq!(said(&start().output().unwrap()), expected, "{what}");
        assert_whole(&project, &cache, &what);
    }
    eprintln!("{kills} kills, {count} parts of {whole:?}; what they left: {found:?}");
    assert!(found.len() > 3, "the instants hit only {found:?}");
}

/// How long a first start takes that nobody disturbs, and what the application says.
fn first_start(cache: &Path, start: &dyn Fn() -> Command) -> (Duration, String) {
    let _ = fs::remove_dir_all(cache);
    let begin = Instant::now();
    let output = start().output().unwrap();
    (begin.elapsed(), said(&output))
}

fn in_a_group(command: &mut Command) -> Child {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0).spawn().unwrap()
}

fn kill(child: &mut Child) {
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    // It may be over.
    let _ = kill_process_group(group, Signal::KILL);
    child.wait().unwrap();
}

/// How far a first start had come.
fn phase(cache: &Path, env: &str) -> &'static str {
    let there = |name: &str| cache.join(name).exists();
    if there(&format!("ready/{env}")) {
        "6 a record"
    } else if there(&format!("envs/{env}.done")) {
        "5 setup done"
    } else if there(&format!("envs/{env}")) {
        "4 setup begun"
    } else if there(&format!("staging/{env}")) {
        "3 environment begun"
    } else if !entries(&cache.join("slots")).is_empty() {
        "2 slots published"
    } else if !entries(&cache.join("staging")).is_empty() {
        "1 slots begun"
    } else {
        "0 nothing"
    }
}

// --- full, limited, read-only ----------------------------------------------------------------------------------------

/// A file system that is full, how it says so, and how it gets room.
struct Full {
    what: &'static str,
    mount: &'static str,
    words: &'static str,
    relief: &'static str,
}

/// Three thousand files of all sizes up to 4 KB: their bytes fit, by what is free when the start looks, but not with
/// what each file takes beside them.
const FULL: [Full; 5] = [
    Full {
        what: "a small tmpfs",
        mount: "mount -t tmpfs -o size=9m,mode=755 none /srv/c",
        words: "No space left on device",
        relief: "mount -o remount,size=64m /srv/c",
    },
    Full {
        what: "a tmpfs with few inodes",
        mount: "mount -t tmpfs -o size=64m,nr_inodes=1000,mode=755 none /srv/c",
        words: "No space left on device",
        relief: "mount -o remount,nr_inodes=9000 /srv/c",
    },
    Full {
        what: "an ext4 with little room",
        mount: "truncate -s 40M /srv/disk; mkfs.ext4 -q -N 8000 -m 0 /srv/disk; mount -o loop /srv/disk /srv/c
                head -c $(($(stat -f -c '%a * %S' /srv/c) - 9000000)) /dev/zero >/srv/c/ballast",
        words: "No space left on device",
        relief: "rm /srv/c/ballast",
    },
    Full {
        what: "an ext4 with few inodes",
        mount: "truncate -s 64M /srv/disk; mkfs.ext4 -q -N 4000 /srv/disk; mount -o loop /srv/disk /srv/c
                cd /srv/c; seq -f ballast%g 2000 | xargs touch; cd /",
        words: "No space left on device",
        relief: "cd /srv/c; seq -f ballast%g 2000 | xargs rm; cd /",
    },
    // Of the file systems with quotas, btrfs is the one that needs no tools but its own, and whose quotas every kernel
    // that has btrfs has: those of ext4, XFS and tmpfs are options of the kernel.
    Full {
        what: "a quota",
        mount: "truncate -s 120M /srv/disk; mkfs.btrfs -q --mixed /srv/disk >&2; mkdir /srv/b; mount -o loop /srv/disk /srv/b
                btrfs -q subvolume create /srv/b/c; btrfs quota enable /srv/b; btrfs qgroup limit 7M /srv/b/c
                mount --bind /srv/b/c /srv/c",
        words: "Disk quota exceeded",
        relief: "btrfs qgroup limit none /srv/b/c",
    },
];

#[test]
fn full_disks_are_said_cleaned_and_forgotten() {
    need("mkfs.ext4", "apt-get install e2fsprogs");
    need("mkfs.btrfs", "apt-get install btrfs-progs");
    let project = subject(3000);
    let package = project.pack();
    for full in FULL {
        let what = full.what;
        let host = Host::new(&package, &format!("mkdir /srv/c; {}", full.mount));
        let used = || fs_used(&host, "/srv/c");
        let before = used();
        for _ in 0..2 {
            let mut start = host.start(0);
            let output = start.env("FLAVOR_CACHE", "/srv/c/cache").output().unwrap();
            let message = refusal(&output);
            assert!(message.contains(full.words), "{what}: {message}");
            assert!(message.contains("\"/srv/c/cache\""), "{what}: {message}");
            assert!(
                message.contains("\nhelp: free some space"),
                "{what}: {message}"
            );
            let cache = host.path("/srv/c/cache");
            assert_eq!(entries(&cache.join("staging")), [""; 0], "{what}");
            assert_eq!(entries(&cache.join("ready")), [""; 0], "{what}");
            assert_eq!(entries(&cache.join("envs")), [""; 0], "{what}");
            // What is left is complete: a slot that had room may stay.
            let left = entries(&cache.join("slots"));
            assert!(left.len() <= 2, "{what}: {left:?}");
        }
        assert!(used() < before + 200, "{what}: {} of {before} KB", used());
        host.sh(full.relief);
        let mut start = host.start(0);
        said(&start.env("FLAVOR_CACHE", "/srv/c/cache").output().unwrap());
        assert_whole(&project, &host.path("/srv/c/cache"), what);
    }
}

/// Kilobytes in use, when everything has been written.
fn fs_used(host: &Host, path: &str) -> u64 {
    let line = host.sh(&format!(
        "sync -f {path}; df -k --output=used {path} | tail -n 1"
    ));
    line.trim().parse().unwrap()
}

/// Where what is missing cannot fit by its bytes alone, nothing is begun, and another place is looked for.
#[test]
fn a_place_without_room_is_passed_over() {
    let project = subject(3000);
    let small = "mkdir /srv/c; mount -t tmpfs -o size=3m,mode=755 none /srv/c";
    let host = Host::new(&project.pack(), small);
    let start = || {
        let mut start = host.start(0);
        start.env("FLAVOR_CACHE", "/srv/c/cache").output().unwrap()
    };
    let expected = said(&start());
    assert_whole(
        &project,
        &host.path("/root/.cache/flavor"),
        "the next place",
    );
    assert_eq!(entries(&host.path("/srv/c/cache/slots")), [""; 0]);
    // With room, the place that was named is used again.
    host.sh("mount -o remount,size=64m /srv/c");
    assert_eq!(said(&start()), expected);
    assert_whole(
        &project,
        &host.path("/srv/c/cache"),
        "the place that was named",
    );
}

#[test]
fn a_cache_that_became_read_only() {
    let project = subject(300);
    let prepare = format!("{BOOT}; mkdir /srv/c; mount -t tmpfs -o mode=755 none /srv/c");
    let host = Host::new(&project.pack(), &prepare);
    let start = || {
        let mut start = host.start(0);
        start.env("FLAVOR_CACHE", "/srv/c/cache").output().unwrap()
    };
    let expected = said(&start());
    host.sh("mount -o remount,ro /srv/c");
    assert_eq!(said(&start()), expected, "ready: nothing has to be written");
    assert!(!host.path("/root/.cache").exists());
    // Something is missing, or the machine was started anew: the next place takes over.
    host.sh(
        "mount -o remount,rw /srv/c; rm -r /srv/c/cache/slots/*/app; mount -o remount,ro /srv/c",
    );
    assert_eq!(said(&start()), expected);
    reboot(&host);
    assert_eq!(said(&start()), expected);
    assert_whole(
        &project,
        &host.path("/root/.cache/flavor"),
        "the next place",
    );
    host.sh("mount -o remount,rw /srv/c");
    assert_eq!(said(&start()), expected);
    assert_whole(
        &project,
        &host.path("/srv/c/cache"),
        "the place that was named",
    );
}

// --- cleaners --------------------------------------------------------------------------------------------------------

/// Gives the host a boot id that a test can change.
const BOOT: &str = "cat /proc/sys/kernel/random/boot_id >/srv/boot; mount --bind /srv/boot /proc/sys/kernel/random/boot_id";

fn reboot(host: &Host) {
    host.sh("cat /proc/sys/kernel/random/uuid >/srv/boot");
}

/// What cleaners, and people, do to a cache. In the cache's directory; `$S` is the slot with the data, `$E` the name of
/// the environment.
const DAMAGES: [(&str, &str); 34] = [
    ("nothing", ":"),
    ("everything", "rm -r ./*"),
    ("the cache itself", "rm -r /srv/c/cache"),
    ("every file", "find . -type f -delete"),
    (
        "every file but the record",
        "find . -type f ! -path './ready/*' -delete",
    ),
    (
        "every file but records and locks",
        "find slots envs -type f -delete",
    ),
    ("every empty file", "find . -type f -empty -delete"),
    (
        "every empty directory",
        "find . -depth -mindepth 1 -type d -empty -delete",
    ),
    ("every symbolic link", "find . -type l -delete"),
    ("every list", "find . -name '*.list' -delete"),
    ("a file", "rm $S/data/d3/f3"),
    ("a file, emptied", ": >$S/data/d3/f43"),
    ("a file, cut", "truncate -s 5 $S/data/d3/f83"),
    ("a file, grown", "echo x >>$S/data/d3/f83"),
    (
        "a file, now a directory",
        "rm $S/data/d3/f3; mkdir -p $S/data/d3/f3/x",
    ),
    (
        "a file, now a pipe",
        "rm $S/data/d3/f3; mkfifo $S/data/d3/f3",
    ),
    ("a file, unreadable", "chmod 0 $S/data/d3/f3"),
    ("a subtree", "rm -r $S/data/d4"),
    (
        "a subtree, now a file",
        "rm -r $S/data/d4; echo x >$S/data/d4",
    ),
    ("a subtree, locked", "chmod 0 $S/data/d5"),
    ("a link, elsewhere", "ln -sfn / $S/data/link"),
    ("the program, not executable", "chmod a-x slots/*/app/run"),
    ("a slot", "rm -r $S"),
    ("a slot, now a file", "rm -r $S; echo x >$S"),
    ("a list, emptied", ": >$S.list"),
    ("a list, now a directory", "rm $S.list; mkdir -p $S.list/x"),
    ("the record, emptied", ": >ready/$E"),
    ("the record, cut", "truncate -s 20 ready/$E"),
    (
        "the record, now a directory",
        "rm ready/$E; mkdir -p ready/$E/x",
    ),
    ("the directory of records", "rm -r ready"),
    ("the locks", "rm -r locks"),
    ("a lock, large", "truncate -s 1G locks/$E"),
    ("the environment", "rm -r envs/$E"),
    ("what is kept of the environment", "rm -r envs/$E.*"),
];

#[test]
fn what_cleaners_do_is_put_right() {
    let project = subject(400);
    let package = project.pack();
    let host = Host::new(&package, &format!("{BOOT}; mkdir /srv/c"));
    let start = || {
        let mut start = host.start(0);
        start.env("FLAVOR_CACHE", "/srv/c/cache").output().unwrap()
    };
    let expected = said(&start());
    let cache = host.path("/srv/c/cache");
    for (what, damage) in DAMAGES {
        for rebooted in [true, false] {
            let inode = |name: &str| {
                let slots = entries(&cache.join("slots"));
                let mut paths = slots
                    .iter()
                    .map(|slot| cache.join("slots").join(slot).join(name));
                let path = paths.find(|path| path.exists()).unwrap();
                fs::metadata(path).unwrap().ino()
            };
            let before = inode("data/d0/f0");
            host.sh(&format!(
                "cd /srv/c/cache; E=$(ls ready); S=$(echo slots/*/data); S=${{S%/data}}; {damage}"
            ));
            if rebooted {
                reboot(&host);
            }
            assert_eq!(said(&start()), expected, "{what}, {rebooted}");
            if !rebooted {
                // What did not stop the start is found by the next one that looks.
                reboot(&host);
                assert_eq!(said(&start()), expected, "{what}, later");
            }
            assert_whole(&project, &cache, what);
            // Files that are good stay, whatever uses them.
            if ["a file", "a file, emptied", "a subtree", "a list, emptied"].contains(&what) {
                assert_eq!(inode("data/d0/f0"), before, "{what}");
            }
        }
    }
}

/// The cache goes away under a start, again and again: it is right or it is refused, and the one after it is right.
#[test]
fn a_cache_that_vanishes_under_a_start() {
    let project = subject(1500);
    let package = project.pack();
    let cache = project.cache();
    let expected = said(&project.start(&package).output().unwrap());
    let mut refused = 0;
    for nth in 0..12_u32 {
        let _ = fs::remove_dir_all(&cache);
        let mut start = project.start(&package);
        let start = start
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(nth) * 12));
        // What is made while it is removed makes that fail.
        let _ = fs::remove_dir_all(&cache);
        let output = start.wait_with_output().unwrap();
        match output.status.code() {
            Some(0) => assert_eq!(said(&output), expected, "{nth}"),
            // Begun, and then its files were gone.
            Some(1 | 2 | 127) => {}
            _ => {
                refused += 1;
                refusal(&output);
            }
        }
        assert_eq!(
            said(&project.start(&package).output().unwrap()),
            expected,
            "{nth}"
        );
        assert_whole(&project, &cache, "after it vanished");
    }
    assert!(refused > 0, "no start was disturbed");
}

// --- power -----------------------------------------------------------------------------------------------------------

/// A disk of which a copy is taken while files wait in memory to be written: what a machine finds that lost its power
/// then. On ext4 those are the files whose names are there and whose content is not.
#[test]
fn power_lost_after_a_first_start() {
    need("mkfs.ext4", "apt-get install e2fsprogs");
    let project = subject(400);
    let package = project.pack();
    let disk = "truncate -s 64M /srv/disk; mkfs.ext4 -q /srv/disk; mkdir /srv/c; mount -o loop,commit=1 /srv/disk /srv/c";
    let mut empty = 0;
    // Whoever flushes the disks of this machine meanwhile makes a copy with nothing missing.
    for _ in 0..5 {
        let host = Host::new(&package, &format!("{BOOT}; {disk}"));
        let start = || {
            let mut start = host.start(0);
            start.env("FLAVOR_CACHE", "/srv/c/cache").output().unwrap()
        };
        let expected = said(&start());
        // The names reach the disk with the next commit of the journal.
        let written = |_: &u32| {
            std::thread::sleep(Duration::from_millis(500));
            host.sh("cp --sparse=always /srv/disk /srv/copy; mkdir -p /srv/look; mount -o loop /srv/copy /srv/look
                     ls /srv/look/cache/ready 2>/dev/null || :; umount /srv/look")
                .len()
                > 60
        };
        assert!(
            (0..20).any(|nth| written(&nth)),
            "no record on the disk after ten seconds"
        );
        host.sh("umount /srv/c; mount -o loop /srv/copy /srv/c");
        reboot(&host);
        let found = host.sh("find /srv/c/cache/slots /srv/c/cache/envs -type f -size 0 | wc -l");
        empty += found.trim().parse::<u32>().unwrap();
        assert_eq!(said(&start()), expected);
        assert_whole(&project, &host.path("/srv/c/cache"), "after power was lost");
        if empty > 10 {
            break;
        }
    }
    eprintln!("{empty} files were empty after power was lost");
    assert!(empty > 10, "everything had reached the disk");
}

// --- at once ---------------------------------------------------------------------------------------------------------

/// What is moved into a directory while this lives.
struct Moves {
    watch: rustix::fd::OwnedFd,
}

impl Moves {
    fn into(directory: &Path) -> Moves {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let watch = inotify::init(flags).unwrap();
        inotify::add_watch(&watch, directory, inotify::WatchFlags::MOVED_TO).unwrap();
        Moves { watch }
    }

    /// How often each name came. Names with a dot are lists and marks.
    fn count(self) -> BTreeMap<String, u32> {
        let mut buffer = [MaybeUninit::uninit(); 1 << 16];
        let mut reader = inotify::Reader::new(&self.watch, &mut buffer);
        let mut out = BTreeMap::new();
        while let Ok(event) = reader.next() {
            let name = event.file_name().unwrap().to_str().unwrap().to_owned();
            if !name.contains('.') {
                *out.entry(name).or_default() += 1;
            }
        }
        out
    }
}

#[test]
fn fifty_first_starts_at_once() {
    let project = subject(2000);
    let one = project.pack();
    let second = subject(2000);
    second.manifest(&MANIFEST.replace("version = \"1\"", "version = \"2\""));
    second.file("app/other", 0o644, b"only in this version");
    let two = second.pack();
    for (what, packages, slots, envs) in [
        ("one package", [&one, &one], 2, 1),
        ("two versions", [&one, &two], 3, 2),
    ] {
        let cache = project.cache();
        let _ = fs::remove_dir_all(&cache);
        for name in ["slots", "envs"] {
            fs::create_dir_all(cache.join(name)).unwrap();
        }
        Command::new("chmod")
            .args(["-R", "700"])
            .arg(&cache)
            .status()
            .unwrap();
        let moved = [
            Moves::into(&cache.join("slots")),
            Moves::into(&cache.join("envs")),
        ];
        let starts: Vec<Child> = (0..50)
            .map(|nth| {
                let mut start = project.start(packages[nth % 2]);
                start
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let outputs: Vec<Output> = starts
            .into_iter()
            .map(|start| start.wait_with_output().unwrap())
            .collect();
        let expected = said(&outputs[0]);
        for output in &outputs {
            assert_eq!(said(output), expected, "{what}");
            // Who waits for longer than half a second says so, once.
            let stderr = text(&output.stderr);
            assert!(stderr.lines().count() <= 1, "{what}: {stderr}");
            assert!(
                stderr.is_empty() || stderr.contains("waiting"),
                "{what}: {stderr}"
            );
        }
        let counts = moved.map(Moves::count);
        for (count, expected) in counts.iter().zip([slots, envs]) {
            assert_eq!(count.len(), expected, "{what}: {count:?}");
            assert!(count.values().all(|&times| times == 1), "{what}: {count:?}");
        }
        assert_eq!(entries(&cache.join("staging")), [""; 0], "{what}");
        assert_eq!(entries(&cache.join("ready")).len(), envs, "{what}");
        if envs == 1 {
            assert_whole(&project, &cache, what);
        }
    }
}

// --- parts of the store that cannot be used --------------------------------------------------------------------------

/// What may stand where a lock or a directory of the store belongs, and what a start says to it; nothing where it goes
/// well.
const PARTS: [(&str, &str, &[&str]); 13] = [
    ("a lock that is a pipe", "rm locks/$E; mkfifo locks/$E", &[]),
    ("a lock of a gigabyte", "truncate -s 1G locks/$E", &[]),
    ("a lock without permissions", "chmod 0 locks/$E", &[]),
    (
        "directories without permissions",
        "chmod 0 slots envs ready locks staging",
        &[],
    ),
    (
        "directories that cannot be written",
        "chmod 500 slots envs ready locks staging",
        &[],
    ),
    ("a cache without permissions", "chmod 0 .", &[]),
    (
        "a lock that is a directory",
        "rm locks/$E; mkdir locks/$E",
        &["lock", "s a directory"],
    ),
    (
        "a lock that is a link",
        "rm locks/$E; ln -s /srv/target locks/$E",
        &["lock", "symbolic link"],
    ),
    (
        "a lock of root",
        "rm locks/$E; touch locks/$E; chown 0 locks/$E; chmod 600 locks/$E",
        &["lock", "ermission"],
    ),
    ("records of root", "chown 0 ready", &["ready"]),
    (
        "records that are a link",
        "mv ready /var/tmp/r; ln -s /var/tmp/r ready",
        &["ready"],
    ),
    (
        "records that are a file",
        "rm -r ready; touch ready",
        &["ready"],
    ),
    (
        "a staging area that others can write",
        "chmod 777 staging",
        &["staging"],
    ),
];

#[test]
fn parts_that_cannot_be_used_are_named() {
    let project = subject(50);
    let package = project.pack();
    for (what, change, words) in PARTS {
        // Nothing else can be used, so that the reason is seen.
        let host = Host::new(&package, "touch /srv/target; chmod 666 /srv/target; mkdir /var/tmp/c; chown 65533:65533 /var/tmp/c
             for place in /tmp /var/tmp; do touch $place/flavor-65533; done");
        let start = || {
            let mut start = host.start(SOMEBODY);
            start
                .env("FLAVOR_CACHE", "/var/tmp/c/cache")
                .output()
                .unwrap()
        };
        let expected = said(&start());
        let script = format!("cd /var/tmp/c/cache; E=$(ls ready); rm ready/$E; {change}");
        host.sh(&script);
        let begin = Instant::now();
        let output = start();
        assert!(begin.elapsed() < Duration::from_secs(10), "{what}");
        if words.is_empty() {
            assert_eq!(said(&output), expected, "{what}");
            assert_whole(&project, &host.path("/var/tmp/c/cache"), what);
        } else {
            let message = refusal(&output);
            assert!(message.contains("/var/tmp/c/cache"), "{what}: {message}");
            for word in words {
                assert!(message.contains(word), "{what}: {message}");
            }
        }
        assert_eq!(host.sh("stat -c %s /srv/target"), "0\n");
    }
}

/// The setup command still runs when only the launcher is killed. What it then writes is nobody's any more.
#[test]
fn a_setup_command_that_outlives_its_launcher() {
    let project = subject(50);
    let package = project.pack();
    let cache = project.cache();
    let expected = said(&project.start(&package).output().unwrap());
    let env = entries(&cache.join("ready")).remove(0);
    for _ in 0..5 {
        fs::remove_dir_all(&cache).unwrap();
        let mut start = project.start(&package);
        let mut start = start
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let made = cache.join("envs").join(&env).join("made");
        let end = Instant::now() + Duration::from_secs(10);
        while !made.exists() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        start.kill().unwrap();
        start.wait().unwrap();
        // At the latest when it is over.
        let again = (0..50).any(|_| {
            let output = project.start(&package).output().unwrap();
            output.status.success() && said(&output) == expected
        });
        assert!(again);
        assert_whole(&project, &cache, "after a launcher was killed");
    }
}
