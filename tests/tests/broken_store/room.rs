//! File systems that are full, limited or read-only.

use psp_testkit::host::{Host, refusal};
use psp_testkit::project::need;

use super::{BOOT, CACHE, assert_whole, entries, host, reboot, run, said, subject};

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
        mount: "truncate -s 120M /srv/disk; mkfs.btrfs -q --mixed /srv/disk >/dev/null; mkdir /srv/b; mount -o loop /srv/disk /srv/b
                btrfs -q subvolume create /srv/b/c; btrfs quota enable /srv/b; btrfs qgroup limit 7M /srv/b/c
                mount --bind /srv/b/c /srv/c",
        // The C libraries have words of their own.
        words: "uota exceeded (os error 122)",
        relief: "btrfs qgroup limit none /srv/b/c",
    },
];

/// A full disk, no inodes left, a quota.
///
/// outcome: refused (125), cleaned up; runs when there is room
/// layer: store
/// message: free some space
#[test]
fn case_067_full_disks() {
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

/// A cache that is read-only when something has to be written.
///
/// outcome: runs from the next place
/// layer: place
/// message: none
#[test]
fn case_067_a_cache_that_became_read_only() {
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
