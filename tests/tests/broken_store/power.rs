//! Power that fails after a first start.

use std::fs;
use std::path::Path;
use std::time::Duration;

use psp_testkit::project::{Project, need};

use super::{BOOT, CACHE, MANIFEST, assert_whole, host, reboot, run, said, subject};

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
