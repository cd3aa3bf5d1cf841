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

mod at_once;
mod cleaners;
mod killed;
mod parts;
mod power;
mod room;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use psp_testkit::host::{Host, listing};
use psp_testkit::project::{Project, text};

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

/// Gives the host a boot id that a test can change.
const BOOT: &str = "cat /proc/sys/kernel/random/boot_id >/srv/boot; mount --bind /srv/boot /proc/sys/kernel/random/boot_id";

fn reboot(host: &Host) {
    host.sh("cat /proc/sys/kernel/random/uuid >/srv/boot");
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
