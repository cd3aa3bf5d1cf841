//! Which place is used, and what is said when none is left.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use psp_testkit::host::{Host, NOBODY, SOMEBODY, refusal};

use super::{teller, twice};

/// What is on the host, what is in the environment of which user, and the place that is used.
pub(super) type Row = (
    &'static str,
    &'static [(&'static str, &'static str)],
    u32,
    &'static str,
);

pub(super) const ROWS: [Row; 17] = [
    // What the environment names, in this order.
    (
        "",
        &[
            ("FLAVOR_CACHE", "/srv/a/b"),
            ("XDG_CACHE_HOME", "/srv/x"),
            ("HOME", "/root"),
        ],
        0,
        "/srv/a/b",
    ),
    (
        "",
        &[
            ("CACHE_DIRECTORY", "/srv/one:/srv/two"),
            ("XDG_CACHE_HOME", "/srv/x"),
        ],
        0,
        "/srv/one",
    ),
    (
        "",
        &[("XDG_CACHE_HOME", "/srv/x"), ("HOME", "/home")],
        0,
        "/srv/x/flavor",
    ),
    // What it names and is no good: the home in the passwd file, then the directories for temporary files.
    (
        "",
        &[("FLAVOR_CACHE", ""), ("XDG_CACHE_HOME", ""), ("HOME", "")],
        0,
        "/root/.cache/flavor",
    ),
    (
        "mount -o remount,noexec /var/tmp",
        &[],
        SOMEBODY,
        "/tmp/flavor-65533",
    ),
    (
        "mount -o remount,ro /var/tmp",
        &[],
        SOMEBODY,
        "/tmp/flavor-65533",
    ),
    (
        "mount -t tmpfs -o mode=700 none /var/tmp",
        &[],
        SOMEBODY,
        "/tmp/flavor-65533",
    ),
    (
        "mount -t tmpfs -o mode=777 none /var/tmp",
        &[],
        SOMEBODY,
        "/tmp/flavor-65533",
    ),
    // What speaks against the place that is named.
    (
        "mkdir /srv/c; mount -t tmpfs -o noexec none /srv/c",
        &[("FLAVOR_CACHE", "/srv/c")],
        0,
        "/root/.cache/flavor",
    ),
    (
        "mkdir /srv/c; mount -t tmpfs -o ro none /srv/c",
        &[("FLAVOR_CACHE", "/srv/c")],
        0,
        "/root/.cache/flavor",
    ),
    (
        "mkdir -m 777 /srv/c",
        &[("FLAVOR_CACHE", "/srv/c")],
        0,
        "/root/.cache/flavor",
    ),
    (
        "mkdir -m 770 /srv/c",
        &[("FLAVOR_CACHE", "/srv/c/deeper")],
        0,
        "/root/.cache/flavor",
    ),
    (
        "mkdir /srv/c; chown 65533 /srv/c",
        &[("FLAVOR_CACHE", "/srv/c/deeper")],
        0,
        "/root/.cache/flavor",
    ),
    (
        "mkdir /srv/d; ln -s d /srv/c",
        &[("FLAVOR_CACHE", "/srv/c")],
        0,
        "/root/.cache/flavor",
    ),
    (
        "mkdir -p /srv/c/slots; chown 65533 /srv/c/slots",
        &[("FLAVOR_CACHE", "/srv/c")],
        0,
        "/root/.cache/flavor",
    ),
    // What does not: a link on the way, and a file system without a size.
    (
        "mkdir /srv/d; ln -s d /srv/c",
        &[("FLAVOR_CACHE", "/srv/c/deeper")],
        0,
        "/srv/c/deeper",
    ),
    (
        "mkdir /srv/c; mount -t tmpfs -o size=0,mode=755 none /srv/c",
        &[("FLAVOR_CACHE", "/srv/c")],
        0,
        "/srv/c",
    ),
];

/// Homes of every kind.
pub(super) const HOMES: [Row; 12] = [
    ("", &[("HOME", "/home")], 0, "/home/.cache/flavor"),
    (
        "mkdir -p '/home/new\nline and space'",
        &[("HOME", "/home/new\nline and space")],
        0,
        "/home/new\nline and space/.cache/flavor",
    ),
    ("", &[], 0, "/root/.cache/flavor"),
    ("", &[("HOME", "relative")], 0, "/root/.cache/flavor"),
    ("", &[("HOME", "/nonexistent")], 0, "/root/.cache/flavor"),
    (
        "",
        &[("HOME", "/nonexistent/deeper")],
        0,
        "/root/.cache/flavor",
    ),
    (
        "mkdir /home/other; chown 65533 /home/other",
        &[("HOME", "/home/other")],
        0,
        "/root/.cache/flavor",
    ),
    (
        "mkdir /home/own; chown 65533 /home/own",
        &[("HOME", "/home/own")],
        SOMEBODY,
        "/home/own/.cache/flavor",
    ),
    ("", &[("HOME", "/root")], SOMEBODY, "/var/tmp/flavor-65533"),
    ("", &[("HOME", "/")], SOMEBODY, "/var/tmp/flavor-65533"),
    (
        "",
        &[("HOME", "/nonexistent")],
        NOBODY,
        "/var/tmp/flavor-65534",
    ),
    ("", &[], NOBODY, "/var/tmp/flavor-65534"),
];

#[test]
fn the_first_place_that_passes_is_used() {
    check(&ROWS);
}

/// HOME unset, empty, relative, missing, the root directory, of somebody else, and with an end of line in its name.
///
/// outcome: runs from a directory of this user's own, mode 0700; never from a name that users share
/// layer: environment
/// message: none
#[test]
fn case_049_homes() {
    check(&HOMES);
}

fn check(rows: &[Row]) {
    let project = teller();
    let package = project.pack();
    for &(prepare, vars, uid, expected) in rows {
        let host = Host::new(&package, prepare);
        assert_eq!(
            twice(&host, uid, vars),
            expected,
            "{prepare} {vars:?} {uid}"
        );
        // Nobody else comes in, and the way there belongs to whom the place belongs.
        let made = host.path(expected);
        if !prepare.contains("/srv/c") {
            assert_eq!(mode(&made), 0o700, "{expected}");
        }
        assert!(!Path::new("/nonexistent").exists());
        let others = host.sh("ls -A /srv/d /home/other 2>/dev/null || :");
        assert!(
            expected.contains("deeper") || !others.contains("flavor"),
            "{others}"
        );
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A cache on a file system that is now mounted noexec.
///
/// outcome: runs from the next place
/// layer: place
/// message: none
#[test]
fn case_067_a_cache_that_became_noexec() {
    let project = teller();
    let host = Host::new(
        &project.pack(),
        "mkdir /srv/c; mount -t tmpfs -o mode=755 none /srv/c",
    );
    let vars = [("FLAVOR_CACHE", "/srv/c/cache")];
    assert_eq!(twice(&host, 0, &vars), "/srv/c/cache");
    host.sh("mount -o remount,noexec /srv/c");
    assert_eq!(twice(&host, 0, &vars), "/root/.cache/flavor");
    host.sh("mount -o remount,exec /srv/c");
    assert_eq!(twice(&host, 0, &vars), "/srv/c/cache");
}

/// Every place with its own reason: the whole message, as a person sees it.
#[test]
fn when_no_place_is_left_each_is_named_with_its_reason() {
    let project = teller();
    let host = Host::new(
        &project.pack(),
        "mkdir /srv/noexec /srv/ro /srv/small /srv/way; chmod 777 /srv/way
         mount -t tmpfs -o noexec,mode=755 none /srv/noexec
         mount -t tmpfs -o ro,mode=755 none /srv/ro
         mount -t tmpfs -o size=8k,mode=755 none /srv/small
         mkdir /home/other; chown 65533 /home/other
         mount -o remount,ro /root
         touch /var/tmp/flavor-0
         mkdir /tmp/flavor-0; chown 65534 /tmp/flavor-0",
    );
    let message = |vars: &[(&str, &str)]| {
        let mut start = host.start(0);
        refusal(&start.envs(vars.iter().copied()).output().unwrap())
    };
    let help = "help: set FLAVOR_CACHE to a directory that only you can write to and programs can be started from\n";
    let rest = r#"  "/root/.cache/flavor" (the home directory of the user): cannot make or open it: Read-only file system (os error 30)
  "/var/tmp/flavor-0" (a directory for temporary files): not a directory, or a symbolic link
  "/tmp/flavor-0" (a directory for temporary files): "/tmp/flavor-0" belongs to user 65534
"#;
    let fact = "error: no directory can hold the package's files\n";
    let vars = [
        ("FLAVOR_CACHE", "/srv/noexec"),
        ("CACHE_DIRECTORY", "/srv/ro"),
        ("XDG_CACHE_HOME", "/srv/way"),
        ("HOME", "/home/other"),
    ];
    let named = r#"  "/srv/noexec" (FLAVOR_CACHE): on a file system that is mounted noexec
  "/srv/ro" (CACHE_DIRECTORY): on a file system that is mounted read-only
  "/srv/way/flavor" (XDG_CACHE_HOME): others can write to "/srv/way" (mode 0777)
  "/home/other/.cache/flavor" (HOME): "/home/other" belongs to user 65533
"#;
    assert_eq!(message(&vars), format!("{fact}{named}{rest}{help}"));
    // With numbers in it: what is free, and what is needed.
    let message = message(&[("FLAVOR_CACHE", "/srv/small"), ("HOME", "/nonexistent")]);
    let line = message.lines().nth(1).unwrap();
    let numbers: Vec<u64> = line
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let [free, needed] = numbers[..] else {
        panic!("{line}")
    };
    assert!(free < needed && needed < 100_000, "{line}");
    let words = format!("  \"/srv/small\" (FLAVOR_CACHE): {free} bytes free, {needed} are needed");
    assert_eq!(line, words);
    let line = message.lines().nth(2).unwrap();
    assert_eq!(
        line,
        "  \"/nonexistent/.cache/flavor\" (HOME): there is no such home directory"
    );
    assert!(message.ends_with(&format!("{rest}{help}")), "{message}");
}

/// Without any variable and any home, there are two places, each with its line.
#[test]
fn a_user_without_a_home_has_two_places() {
    let project = teller();
    let host = Host::new(
        &project.pack(),
        "mount -o remount,ro /tmp; mount -o remount,ro /var/tmp",
    );
    let output = host.start(SOMEBODY).output().unwrap();
    let message = refusal(&output);
    let places: Vec<&str> = message
        .lines()
        .filter(|line| line.starts_with("  "))
        .collect();
    // There is no entry for this user in the passwd file.
    assert_eq!(places.len(), 2, "{message}");
}
