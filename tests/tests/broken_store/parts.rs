//! Parts of the store that cannot be used.

use std::time::{Duration, Instant};

use psp_testkit::host::{SOMEBODY, by, refusal};

use super::{CACHE, assert_whole, host, said, start, subject};

/// What may stand where a lock or a directory of the store belongs, and what a start says to it; nothing where it goes
/// well.
type Part = (&'static str, &'static str, &'static [&'static str]);

const PARTS: [Part; 7] = [
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

/// What may stand in place of a lock.
const LOCKS: [Part; 9] = [
    (
        "a lock with the number of a process that lives",
        "echo 1 >locks/$E; echo $$ >locks/gc",
        &[],
    ),
    (
        "a lock with garbage",
        "head -c 5000 /dev/urandom >locks/$E",
        &[],
    ),
    ("a lock that is a pipe", "rm locks/$E; mkfifo locks/$E", &[]),
    ("a lock of a gigabyte", "truncate -s 1G locks/$E", &[]),
    ("a lock without permissions", "chmod 0 locks/$E", &[]),
    ("a lock whose holder is gone", "flock locks/$E true", &[]),
    (
        "a lock that is a directory",
        "rm locks/$E; mkdir locks/$E",
        &["locks/", "s a directory"],
    ),
    (
        "a lock that is a link",
        "rm locks/$E; ln -s /srv/target locks/$E",
        &["locks/", "ymbolic link"],
    ),
    (
        "a lock of root",
        "rm locks/$E; touch locks/$E; chown 0 locks/$E; chmod 600 locks/$E",
        &["locks/", "ermission"],
    ),
];

#[test]
fn parts_that_cannot_be_used_are_named() {
    check(&PARTS);
}

/// The number of a live process, garbage, a gigabyte, a FIFO, a directory, a link, a file of root's in place of a lock.
///
/// outcome: runs without waiting where the lock can be opened, else refused (125)
/// layer: store
/// message: check the directory, or set FLAVOR_CACHE to another one
#[test]
fn case_064_what_stands_in_place_of_a_lock() {
    check(&LOCKS);
}

fn check(parts: &[Part]) {
    let project = subject(50);
    let package = project.pack();
    for &(what, change, words) in parts {
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
            let help = "check the directory, or set FLAVOR_CACHE to another one";
            let is_lock = words[0] == "locks/";
            assert!(!is_lock || message.contains(help), "{what}: {message}");
            for word in words {
                assert!(message.contains(word), "{what}: {message}");
            }
        }
        assert_eq!(host.sh("stat -c %s /srv/target"), "0\n", "{what}");
    }
}
