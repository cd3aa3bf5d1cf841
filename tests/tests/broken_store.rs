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

use psp_testkit::host::{Host, PACKAGE, SOMEBODY, by, listing, refusal};
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
        b"#!/bin/sh\ncd \"$FLAVOR_WORKENV\" && echo \"$(cat made/* | cksum) $(cat etc/app.conf) $(cat data/d7/* | cksum)\"\n",
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

/// The cache in a host.
const CACHE: &str = "/srv/c/cache";

/// A host with a package, whose cache is in memory where nothing else is mounted: what the rest of the machine writes to
/// its disk does not decide how long anything takes.
fn host(package: &Path, prepare: &str) -> Host {
    Host::new(package, &format!("mkdir /srv/c; {prepare}"))
}

/// A start of the package as this user, with [`CACHE`].
fn start(host: &Host, uid: u32) -> Command {
    let mut start = host.start(uid);
    start.env("FLAVOR_CACHE", CACHE);
    start
}

/// Starts the package as root, and gives how that went.
fn run(host: &Host) -> Output {
    start(host, 0).output().unwrap()
}

/// Checks that a start went well and gives what the application said.
fn said(output: &Output, what: &str) -> String {
    assert!(output.status.success(), "{what}: {}", text(&output.stderr));
    let said = text(&output.stdout).into_owned();
    assert_eq!(said.matches("colour = green").count(), 1, "{what}: {said}");
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
        if !project.path().join(slot).exists() {
            continue;
        }
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
    if project.path().join("once").exists() {
        assert_eq!(entries(&env), ["app", "data", "etc", "made"], "{what}");
        let made = entries(&env.join("made"));
        let sizes = made
            .iter()
            .map(|name| fs::metadata(env.join("made").join(name)).unwrap().len());
        assert_eq!((made.len(), sizes.sum::<u64>()), (20, 60), "{what}");
    }
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
    let host = host(&project.pack(), "");
    let cache = host.path(CACHE);
    let (mut whole, expected) = first_start(&host);
    let env = entries(&cache.join("ready")).remove(0);
    let mut found: BTreeMap<&str, u32> = BTreeMap::new();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut kills = 0;
    // As many more, at most four times, where the machine was so busy with others that phases were missed.
    while kills < count || kills < count * 5 && found.len() < 3 {
        if kills % 20 == 0 {
            whole = first_start(&host).0;
        }
        // One instant in each of as many equal parts, so that none is missed.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let within = f64::from(u32::try_from(random >> 40).unwrap()) / f64::from(1_u32 << 24);
        let part = f64::from(kills % count) + within;
        kills += 1;
        fs::remove_dir_all(&cache).unwrap();
        let instant = whole.mul_f64(part / f64::from(count));
        let mut child = in_a_group(&mut start(&host, 0));
        std::thread::sleep(instant);
        kill(&mut child);
        let phase = phase(&cache, &env);
        *found.entry(phase).or_default() += 1;
        let what = format!("killed after {instant:?} of {whole:?}: {phase}");
        assert_eq!(said(&run(&host), &what), expected, "{what}");
        assert_whole(&project, &cache, &what);
    }
    eprintln!("{kills} kills in {count} equal parts of {whole:?}; what they left: {found:?}");
    assert!(found.len() >= 3, "the instants hit only {found:?}");
}

/// How long a first start takes that nobody disturbs, and what the application says.
fn first_start(host: &Host) -> (Duration, String) {
    let _ = fs::remove_dir_all(host.path(CACHE));
    let begin = Instant::now();
    let output = run(host);
    (begin.elapsed(), said(&output, "a first start"))
}

/// Starts it without a reader of what it says, as the leader of a process group.
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
        mount: "truncate -s 40M /srv/disk; mkfs.ext4 -q -b 4096 -N 8000 -m 0 /srv/disk; mount -o loop /srv/disk /srv/c
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
        let host = host(&package, full.mount);
        let cache = host.path(CACHE);
        let before = fs_used(&host);
        for _ in 0..2 {
            let output = run(&host);
            assert!(!output.status.success(), "{what}: there was room");
            let message = refusal(&output);
            assert!(message.contains(full.words), "{what}: {message}");
            assert!(message.contains("\"/srv/c/cache\""), "{what}: {message}");
            assert!(
                message.contains("\nhelp: free some space"),
                "{what}: {message}"
            );
            for name in ["staging", "ready", "envs"] {
                assert_eq!(entries(&cache.join(name)), [""; 0], "{what}");
            }
        }
        let after = fs_used(&host);
        assert!(after < before + 200, "{what}: {before} KB, then {after}");
        host.sh(full.relief);
        said(&run(&host), what);
        assert_whole(&project, &cache, what);
    }
}

/// Kilobytes in use, when everything has been written.
fn fs_used(host: &Host) -> u64 {
    let line = host.sh("sync -f /srv/c; df -k --output=used /srv/c | tail -n 1");
    line.trim().parse().unwrap()
}

/// Where what is missing cannot fit by its bytes alone, nothing is begun, and another place is looked for.
#[test]
fn a_place_without_room_is_passed_over() {
    let project = subject(3000);
    let small = "mount -t tmpfs -o size=3m,mode=755 none /srv/c";
    let host = host(&project.pack(), small);
    let expected = said(&run(&host), "the next place");
    assert_whole(
        &project,
        &host.path("/root/.cache/flavor"),
        "the next place",
    );
    assert_eq!(entries(&host.path(CACHE).join("slots")), [""; 0]);
    // With room, the place that was named is used again.
    host.sh("mount -o remount,size=64m /srv/c");
    assert_eq!(said(&run(&host), "the place that was named"), expected);
    assert_whole(&project, &host.path(CACHE), "the place that was named");
}

#[test]
fn a_cache_that_became_read_only() {
    let project = subject(300);
    let prepare = format!("{BOOT}; mount -t tmpfs -o mode=755 none /srv/c");
    let host = host(&project.pack(), &prepare);
    let again = |what: &str| said(&run(&host), what);
    let expected = again("first");
    host.sh("mount -o remount,ro /srv/c");
    assert_eq!(
        again("read-only"),
        expected,
        "ready: nothing has to be written"
    );
    assert!(!host.path("/root/.cache").exists());
    // Something is missing, or the machine was started anew: the next place takes over.
    host.sh(
        "mount -o remount,rw /srv/c; rm -r /srv/c/cache/slots/*/app; mount -o remount,ro /srv/c",
    );
    assert_eq!(again("damaged"), expected);
    reboot(&host);
    assert_eq!(again("rebooted"), expected);
    assert_whole(
        &project,
        &host.path("/root/.cache/flavor"),
        "the next place",
    );
    host.sh("mount -o remount,rw /srv/c");
    assert_eq!(again("writable"), expected);
    assert_whole(&project, &host.path(CACHE), "the place that was named");
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
    let host = host(&project.pack(), BOOT);
    let expected = said(&run(&host), "first");
    let cache = host.path(CACHE);
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
                "cd {CACHE}; E=$(ls ready); S=$(echo slots/*/data); S=${{S%/data}}; {damage}"
            ));
            if rebooted {
                reboot(&host);
            }
            let found = said(&run(&host), what);
            if rebooted {
                assert_eq!(found, expected, "{what}");
            } else {
                // What did not stop the start, the application may miss; it is found by the next start that looks.
                reboot(&host);
                assert_eq!(said(&run(&host), what), expected, "{what}, later");
            }
            assert_whole(&project, &cache, what);
            // Files that are good stay, whatever uses them.
            if what.starts_with("a file") || what == "a subtree" || what == "a list, emptied" {
                assert_eq!(inode("data/d0/f0"), before, "{what}");
            }
        }
    }
}

/// The cache goes away under a start, again and again, at once or file by file. That start is right or it is refused, and the
/// one after it is right.
#[test]
fn a_cache_that_vanishes_under_a_start() {
    let project = subject(800);
    let host = host(&project.pack(), BOOT);
    let (cache, gone) = (host.path(CACHE), host.path("/srv/c/gone"));
    let (whole, expected) = first_start(&host);
    let mut refused = 0;
    for nth in 0..40_u32 {
        let _ = fs::remove_dir_all(&cache);
        let mut child = start(&host, 0);
        let child = child.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = child.spawn().unwrap();
        std::thread::sleep(whole.mul_f64(f64::from(nth % 10) / 10.0));
        let at_once = nth % 2 == 0 && fs::rename(&cache, &gone).is_ok();
        // What is made while it is removed makes that fail.
        let _ = fs::remove_dir_all(if at_once { &gone } else { &cache });
        let output = child.wait_with_output().unwrap();
        let _ = fs::remove_dir_all(&gone);
        match output.status.code() {
            // It was too late to disturb more than the application.
            Some(0) => {}
            // The application, or its setup, had begun, and then its files were gone.
            _ if text(&output.stderr).contains("setup") => {}
            Some(1 | 2 | 126 | 127) => {}
            _ => {
                refused += 1;
                refusal(&output);
            }
        }
        if !at_once {
            // Files that went after the record was written are missed when somebody looks.
            reboot(&host);
        }
        assert_eq!(said(&run(&host), "after it vanished"), expected, "{nth}");
        assert_whole(&project, &cache, "after it vanished");
        if nth >= 9 && refused > 0 {
            break;
        }
    }
    assert!(refused > 0, "no start was disturbed");
}

/// A cleaner takes the locks away while one start holds them: the next one makes new ones, and both unpack in the same
/// place. The first one finds out, and waits for the other: neither fails, and neither runs what the other has half made.
#[test]
fn locks_that_vanish_under_a_start() {
    let project = subject(800);
    let host = host(&project.pack(), "");
    let cache = host.path(CACHE);
    let (whole, expected) = first_start(&host);
    for nth in 0..10_u32 {
        let _ = fs::remove_dir_all(&cache);
        let spawn = || {
            let mut start = start(&host, 0);
            let start = start.stdout(Stdio::piped()).stderr(Stdio::piped());
            start.spawn().unwrap()
        };
        let first = spawn();
        std::thread::sleep(whole.mul_f64(f64::from(nth) / 10.0));
        let _ = fs::remove_dir_all(cache.join("locks"));
        let starts = [spawn(), first];
        for start in starts {
            let output = start.wait_with_output().unwrap();
            assert_eq!(said(&output, "disturbed"), expected, "{nth}");
        }
        assert_eq!(said(&run(&host), "afterwards"), expected, "{nth}");
        assert_whole(&project, &cache, "after locks vanished");
    }
}

// --- power -----------------------------------------------------------------------------------------------------------

/// A disk of which a copy is taken while files wait in memory to be written: what a machine finds that lost its power
/// then. On ext4 those are the files whose names are there and whose content is not.
#[test]
fn power_lost_after_a_first_start() {
    need("mkfs.ext4", "apt-get install e2fsprogs");
    // What no list tells the size of is on the disk before the start says that it is there.
    let project = subject(400);
    let package = project.pack();
    assert_whole_after_power_failure(&project, &package);
    // What a list does tell need not be, and is put right.
    let project = subject(400);
    let (slots, _) = MANIFEST.split_once("[[slot]]\n    id = \"etc\"").unwrap();
    project.manifest(&format!(
        "{slots}[command]\nexec = \"{{workenv}}/app/run\"\n"
    ));
    for name in ["etc", "once"] {
        fs::remove_dir_all(project.path().join(name)).unwrap();
    }
    project.file(
        "app/run",
        0o755,
        b"#!/bin/sh\necho \"colour = green $(cat ${0%/*}/../data/d7/* | cksum)\"\n",
    );
    let package = project.pack();
    // Whoever flushes the disks of this machine meanwhile makes a copy with nothing missing.
    let mut empty = (0..5).map(|_| assert_whole_after_power_failure(&project, &package));
    let empty = empty.find(|&empty| empty > 100);
    eprintln!("{empty:?} files were empty after power was lost");
    assert!(empty.is_some(), "everything had reached the disk");
}

/// Gives the number of files that were empty.
fn assert_whole_after_power_failure(project: &Project, package: &Path) -> u32 {
    let disk = "truncate -s 64M /srv/disk; mkfs.ext4 -q /srv/disk; mount -o loop,commit=1 /srv/disk /srv/c";
    let host = host(package, &format!("{BOOT}; {disk}"));
    let expected = said(&run(&host), "first");
    // The names reach the disk with the next commit of the journal.
    let written = || {
        std::thread::sleep(Duration::from_millis(300));
        let ready = host.sh(
            "cp --sparse=always /srv/disk /srv/copy; mkdir -p /srv/look; mount -o loop /srv/copy /srv/look
             ls /srv/look/cache/ready 2>/dev/null || :; umount /srv/look",
        );
        ready.len() > 60
    };
    assert!((0..60).any(|_| written()), "no record on the disk");
    host.sh("umount /srv/c; mount -o loop /srv/copy /srv/c");
    reboot(&host);
    let found = host.sh("find /srv/c/cache/slots /srv/c/cache/envs -type f -size 0 | wc -l");
    assert_eq!(said(&run(&host), "after power was lost"), expected);
    assert_whole(project, &host.path(CACHE), "after power was lost");
    found.trim().parse().unwrap()
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
    let host = host(&project.pack(), "");
    let second = subject(2000);
    second.manifest(&MANIFEST.replace("version = \"1\"", "version = \"2\""));
    second.file("app/other", 0o644, b"only in this version");
    fs::copy(second.pack(), host.path("/srv/two.psp")).unwrap();
    let cache = host.path(CACHE);
    for (what, packages, slots, envs) in [
        ("one package", [PACKAGE, PACKAGE], 2, 1),
        ("two versions", [PACKAGE, "/srv/two.psp"], 3, 2),
    ] {
        let _ = fs::remove_dir_all(&cache);
        host.sh("umask 077; mkdir -p /srv/c/cache/slots /srv/c/cache/envs");
        let moved = ["slots", "envs"].map(|name| Moves::into(&cache.join(name)));
        let starts: Vec<Child> = (0..50)
            .map(|nth| {
                let mut start = host.command([packages[nth % 2]]);
                start.env("FLAVOR_CACHE", CACHE);
                let start = start.stdout(Stdio::piped()).stderr(Stdio::piped());
                start.spawn().unwrap()
            })
            .collect();
        let outputs: Vec<Output> = starts
            .into_iter()
            .map(|start| start.wait_with_output().unwrap())
            .collect();
        let expected = said(&outputs[0], what);
        for output in &outputs {
            assert_eq!(said(output, what), expected, "{what}");
            // Who waits for longer than half a second says so, once.
            let stderr = text(&output.stderr);
            assert!(stderr.lines().count() <= 1, "{what}: {stderr}");
            assert!(
                stderr.is_empty() || stderr.contains("waiting"),
                "{what}: {stderr}"
            );
        }
        // Each slot and each environment was put in its place once.
        for (moved, expected) in moved.into_iter().zip([slots, envs]) {
            let count = moved.count();
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
        &["locks/", "s a directory"],
    ),
    (
        "a lock that is a link",
        "rm locks/$E; ln -s /srv/target locks/$E",
        &["locks/", "symbolic link"],
    ),
    (
        "a lock of root",
        "rm locks/$E; touch locks/$E; chown 0 locks/$E; chmod 600 locks/$E",
        &["locks/", "ermission"],
    ),
    ("records of root", "chown 0 ready", &["ready"]),
    (
        "records that are a link",
        "mv ready ../r; ln -s ../r ready",
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
        let host = host(
            &package,
            "touch /srv/target; chmod 666 /srv/target; chown 65533:65533 /srv/c
            touch /tmp/flavor-65533 /var/tmp/flavor-65533",
        );
        let expected = said(&start(&host, SOMEBODY).output().unwrap(), what);
        let whose = if change.contains("chown") {
            0
        } else {
            SOMEBODY
        };
        let script = format!("cd {CACHE}; E=$(ls ready); rm ready/$E; {change}");
        let mut shell = host.command(by(whose, ["/bin/sh", "-euc", &script]));
        assert!(shell.status().unwrap().success(), "{what}");
        let begin = Instant::now();
        let output = start(&host, SOMEBODY).output().unwrap();
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        if words.is_empty() {
            assert_eq!(said(&output, what), expected, "{what}");
            assert_whole(&project, &host.path(CACHE), what);
        } else {
            assert!(!output.status.success(), "{what}");
            let message = refusal(&output);
            assert!(message.contains(CACHE), "{what}: {message}");
            for word in words {
                assert!(message.contains(word), "{what}: {message}");
            }
        }
        assert_eq!(host.sh("stat -c %s /srv/target"), "0\n", "{what}");
    }
}

/// The setup command still runs when only the launcher is killed. What it then writes is nobody's any more.
#[test]
fn a_setup_command_that_outlives_its_launcher() {
    let project = subject(50);
    let host = host(&project.pack(), "");
    let cache = host.path(CACHE);
    let expected = first_start(&host).1;
    let env = entries(&cache.join("ready")).remove(0);
    for _ in 0..5 {
        fs::remove_dir_all(&cache).unwrap();
        let mut child = in_a_group(&mut start(&host, 0));
        let made = cache.join("envs").join(&env).join("made");
        let end = Instant::now() + Duration::from_secs(20);
        while !made.exists() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(said(&run(&host), "later"), expected);
        // Unless it is over by now, what it writes to was moved there.
        host.sh(&format!("rm -rf {CACHE}/staging/*.old"));
        assert_whole(&project, &cache, "after a launcher was killed");
    }
}
