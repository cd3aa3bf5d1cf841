//! Where a package puts its files and what it needs of a host: every place with what speaks for and against it, hosts that
//! lack most of what hosts have, and other users who were there before.
//!
//! `builder/docs/places.md` says the same to people.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use psp_format::verify::verify_bytes;
use psp_launcher::store::{Candidate, HookError, Hooks, Store};
use psp_testkit::host::{Host, NOBODY, PACKAGE, SOMEBODY, by, refusal};
use psp_testkit::project::{Project, need, text};

/// A project whose application says which cache it runs from.
fn teller() -> Project {
    let project = Project::new();
    project.file(
        "app/run",
        0o755,
        b"#!/bin/sh\nprintf 'genuine %s' \"$FLAVOR_CACHE\"\n",
    );
    project.file("app/data/one", 0o644, b"1");
    project.file("app/data/two", 0o666, b"2");
    project.manifest(MANIFEST);
    project
}

const MANIFEST: &str = r#"
    [package]
    name = "demo"
    version = "1"
    [[slot]]
    id = "app"
    source = "app"
    [command]
    exec = "{workenv}/app/run"
"#;

/// Checks that the application ran, and gives the cache that it ran from.
fn cache_of(output: &Output) -> String {
    let (said, message) = (text(&output.stdout), text(&output.stderr));
    let Some(cache) = said.strip_prefix("genuine ") else {
        panic!("{said} {message}");
    };
    assert!(output.status.success() && message.is_empty(), "{message}");
    cache.to_owned()
}

/// Starts twice, as a first start and one that finds everything ready go different ways.
fn twice(host: &Host, uid: u32, vars: &[(&str, &str)]) -> String {
    let start = || {
        let mut start = host.start(uid);
        cache_of(&start.envs(vars.iter().copied()).output().unwrap())
    };
    let cache = start();
    assert_eq!(start(), cache, "the second time");
    cache
}

// --- which place -----------------------------------------------------------------------------------------------------

/// What is on the host, what is in the environment of which user, and the place that is used.
type Row = (
    &'static str,
    &'static [(&'static str, &'static str)],
    u32,
    &'static str,
);

const ROWS: [Row; 29] = [
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
    ("", &[("HOME", "/home")], 0, "/home/.cache/flavor"),
    (
        "mkdir -p '/home/new\nline and space'",
        &[("HOME", "/home/new\nline and space")],
        0,
        "/home/new\nline and space/.cache/flavor",
    ),
    // What it names and is no good: the home in the passwd file, then the directories for temporary files.
    ("", &[], 0, "/root/.cache/flavor"),
    (
        "",
        &[("FLAVOR_CACHE", ""), ("XDG_CACHE_HOME", ""), ("HOME", "")],
        0,
        "/root/.cache/flavor",
    ),
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

#[test]
fn the_first_place_that_passes_is_used() {
    let project = teller();
    let package = project.pack();
    for (prepare, vars, uid, expected) in ROWS {
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

#[test]
fn a_place_that_became_noexec_is_left_for_the_next() {
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

// --- hosts that lack things ------------------------------------------------------------------------------------------

#[test]
fn hosts_that_lack_things() {
    let project = teller();
    let package = project.pack();
    for missing in [
        "mount -t tmpfs none /proc",
        "mount -t tmpfs -o mode=755 none /tmp",
        "mount -t tmpfs -o mode=755 none /var/tmp",
        "mount -t tmpfs none /dev",
        "mount -t tmpfs none /sys; mount -t tmpfs none /run",
        ": >/srv/none; mount --bind /srv/none /etc/passwd",
    ] {
        let host = Host::new(&package, missing);
        let cache = twice(&host, 0, &[]);
        let expected = if missing.contains("passwd") {
            "/var/tmp/flavor-0"
        } else {
            "/root/.cache/flavor"
        };
        assert_eq!(cache, expected, "{missing}");
        let cache = twice(&host, SOMEBODY, &[]);
        let expected = if missing.contains("/var/tmp") {
            "/tmp/flavor-65533"
        } else {
            "/var/tmp/flavor-65533"
        };
        assert_eq!(cache, expected, "{missing}");
    }
}

/// A root directory with nothing but the file: no shell, no library, no `/proc`, no `/tmp`, no user, no variable.
#[test]
fn from_scratch() {
    need("gcc", "apt-get install gcc libc6-dev");
    let project = Project::new();
    project.file(
        "main.c",
        0o644,
        b"#include <stdio.h>\n#include <stdlib.h>\nint main(void) { printf(\"genuine %s\", getenv(\"FLAVOR_CACHE\")); return 0; }\n",
    );
    fs::create_dir(project.path().join("app")).unwrap();
    let built = Command::new("gcc")
        .args(["-static", "-O1", "-o", "app/run", "main.c"])
        .current_dir(project.path())
        .status();
    assert!(
        built.unwrap().success(),
        "a static program cannot be made: apt-get install libc6-dev"
    );
    project.manifest(MANIFEST);
    let host = Host::new(
        &project.pack(),
        "mkdir /srv/root; mount -t tmpfs -o mode=755 none /srv/root; cp /srv/app.psp /srv/root",
    );
    let start = |uid: u32, home: Option<&str>| {
        let user = format!("--userspec={uid}:{uid}");
        let mut start = host.command(["/usr/sbin/chroot", &user, "/srv/root", "/app.psp"]);
        if let Some(home) = home {
            start.env("HOME", home);
        }
        cache_of(&start.output().unwrap())
    };
    for proc in [
        "",
        "mkdir -p /srv/root/proc; mount -t proc none /srv/root/proc",
        "umount /srv/root/proc",
    ] {
        host.sh(proc);
        for _cold_then_warm in 0..2 {
            assert_eq!(start(0, None), "/var/tmp/flavor-0", "{proc}");
            // As containers set it.
            assert_eq!(start(0, Some("/")), "/.cache/flavor", "{proc}");
        }
        host.sh("mkdir -p /srv/root/data; chown 65533 /srv/root/data");
        assert_eq!(
            start(SOMEBODY, Some("/data")),
            "/data/.cache/flavor",
            "{proc}"
        );
        let top = host.sh("ls -A /srv/root");
        assert_eq!(top.replace("proc\n", ""), ".cache\napp.psp\ndata\nvar\n");
    }
}

/// The launcher reads from the file that it opened first.
#[test]
fn a_file_that_is_deleted_while_it_starts() {
    let project = teller();
    let setup = "[[setup]]\nexec = \"/bin/rm\"\nargs = [\"{package_dir}/copy.psp\"]\n";
    project.manifest(&format!("{MANIFEST}{setup}"));
    project.file("app/run", 0o755, b"#!/bin/sh\nrm /srv/app.psp; cat \"$FLAVOR_WORKENV/app/data/one\"; printf 'genuine %s' \"$FLAVOR_CACHE\"\n");
    let host = Host::new(&project.pack(), "cp /srv/app.psp /srv/copy.psp");
    let output = host.command(["/srv/copy.psp"]).output().unwrap();
    assert_eq!(
        text(&output.stdout),
        "1genuine /root/.cache/flavor",
        "{}",
        text(&output.stderr)
    );
    assert_eq!(host.sh("ls /srv"), "");
}

// --- modes -----------------------------------------------------------------------------------------------------------

#[test]
fn modes_are_the_same_under_every_umask() {
    let project = teller();
    let package = project.pack();
    let mut first = None;
    for mask in ["022", "000", "077", "777"] {
        let host = Host::new(
            &package,
            "mkdir -m 755 /home/user; chown 65533:65533 /home/user",
        );
        let start = || {
            let script = format!("umask {mask}; exec {PACKAGE}");
            let mut start = host.command(by(SOMEBODY, ["/bin/sh", "-c", &script]));
            cache_of(&start.env("HOME", "/home/user").output().unwrap())
        };
        let cache = "/home/user/.cache/flavor";
        assert_eq!(start(), cache);
        // Twice as a first start: what is there already is used under the same mask.
        host.sh(&format!(
            "rm {cache}/ready/* {cache}/CACHEDIR.TAG; rm -r {cache}/slots/*"
        ));
        assert_eq!(start(), cache);
        assert_eq!(start(), cache, "ready");
        let modes = host.sh("cd /home/user; find . ! -type l -printf '%m %U %p\\n' | sort -k 3");
        let mut lines: Vec<&str> = modes
            .lines()
            .filter(|line| !line.contains("/locks/"))
            .collect();
        lines.retain(|line| !line.ends_with(" ."));
        for line in &lines {
            let mode = u32::from_str_radix(line.split(' ').next().unwrap(), 8).unwrap();
            assert_eq!(mode & 0o7022, 0, "others can write, {mask}: {line}");
            assert!(line.contains(" 65533 "), "{mask}: {line}");
        }
        for expected in [
            "700 65533 ./.cache",
            "700 65533 ./.cache/flavor",
            "700 65533 ./.cache/flavor/locks",
            "700 65533 ./.cache/flavor/staging",
            "755 65533 ./.cache/flavor/slots",
        ] {
            assert!(lines.contains(&expected), "{mask}: {modes}");
        }
        let ends = |text: &str| {
            lines.iter().any(|line| {
                line.starts_with(text.split('*').next().unwrap())
                    && line.ends_with(text.rsplit('*').next().unwrap())
            })
        };
        for expected in [
            "555 *app/run",
            "444 *app/data/one",
            "444 *app/data/two",
            "755 *app/data",
        ] {
            assert!(ends(expected), "{mask}: {modes}");
        }
        // Locks can be used by their owner and nobody else.
        let locks = host.sh(&format!("find {cache}/locks -type f -perm /0177 | wc -l"));
        assert_eq!(locks, "0\n", "{mask}");
        let lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
        assert_eq!(first.get_or_insert_with(|| lines.clone()), &lines, "{mask}");
    }
}

// --- other users -----------------------------------------------------------------------------------------------------

#[test]
fn users_do_not_meet() {
    let project = teller();
    let host = Host::new(&project.pack(), "");
    assert_eq!(twice(&host, SOMEBODY, &[]), "/var/tmp/flavor-65533");
    assert_eq!(twice(&host, NOBODY, &[]), "/var/tmp/flavor-65534");
    // Named, each other's place is refused.
    let theirs = [("FLAVOR_CACHE", "/var/tmp/flavor-65533")];
    assert_eq!(twice(&host, NOBODY, &theirs), "/var/tmp/flavor-65534");
    assert_eq!(twice(&host, 0, &theirs), "/root/.cache/flavor");
    let peek = host
        .command(by(NOBODY, ["/bin/ls", "/var/tmp/flavor-65533"]))
        .output()
        .unwrap();
    assert!(!peek.status.success(), "others can look into a cache");
}

/// Makes a store of another user in each of these places: genuine in everything, until its program is exchanged.
fn forge(host: &Host, who: u32, places: &[&str], modes: &str) {
    let first = places[0];
    for place in places {
        let mut start = host.start(who);
        assert_eq!(
            cache_of(&start.env("FLAVOR_CACHE", place).output().unwrap()),
            *place
        );
    }
    let places = places.join(" ");
    let exchange = format!(
        "for place in {places}; do
             for run in $place/slots/*/app/run; do rm -f $run; printf '#!/bin/sh\\necho forged\\n' >$run; chmod 755 $run; done
         done"
    );
    // Everything that a start needs of it is open to all, but for what it would be refused for.
    let open = format!(
        "for place in {places}; do
             chmod -R go+rX $place; chmod 666 $place/locks/*; chmod {modes} $place
         done"
    );
    for script in [exchange, open] {
        // It works, for those who made it, as long as nobody else can come in.
        let mut shell = host.command(by(who, ["/bin/sh", "-euc", &script]));
        let shell = shell.env("PATH", "/usr/bin:/bin");
        assert!(shell.status().unwrap().success(), "{script}");
        if script.contains("forged") {
            let mut start = host.start(who);
            let output = start.env("FLAVOR_CACHE", first).output().unwrap();
            assert_eq!(text(&output.stdout), "forged\n");
        }
    }
}

#[test]
fn nothing_of_another_user_is_run() {
    let project = teller();
    let package = project.pack();
    let no_home = ": >/srv/none; mount --bind /srv/none /etc/passwd";
    let shared = ["/var/tmp/flavor-0", "/tmp/flavor-0"];
    for modes in ["755", "700", "1777"] {
        let host = Host::new(&package, no_home);
        forge(&host, NOBODY, &shared, modes);
        for vars in [
            &[][..],
            &[("FLAVOR_CACHE", shared[0])],
            &[("CACHE_DIRECTORY", shared[1])],
            &[("HOME", "/var/tmp/flavor-0")],
        ] {
            let mut start = host.start(0);
            let message = refusal(&start.envs(vars.iter().copied()).output().unwrap());
            assert!(message.contains("belongs to user 65534"), "{message}");
            assert!(message.contains("FLAVOR_CACHE to a directory"), "{message}");
        }
        // With a place of one's own, there is nothing to complain of.
        assert_eq!(twice(&host, 0, &[("HOME", "/root")]), "/root/.cache/flavor");
    }
    // One of the two is enough.
    let host = Host::new(&package, no_home);
    forge(&host, NOBODY, &shared[..1], "755");
    assert_eq!(twice(&host, 0, &[]), "/tmp/flavor-0");
    // Something else under the name: links to their store and to a directory of root's, a file, a pipe.
    for made in [
        "ln -s /var/tmp/theirs",
        "ln -s /srv/roots",
        "touch",
        "mkfifo",
    ] {
        let host = Host::new(&package, &format!("{no_home}; mkdir -m 755 /srv/roots"));
        forge(&host, NOBODY, &["/var/tmp/theirs"], "755");
        let script = format!("{made} {}; {made} {}", shared[0], shared[1]);
        let mut shell = host.command(by(NOBODY, ["/bin/sh", "-euc", &script]));
        assert!(
            shell
                .env("PATH", "/usr/bin:/bin")
                .status()
                .unwrap()
                .success()
        );
        let message = refusal(&host.start(0).output().unwrap());
        assert_eq!(
            message
                .matches("not a directory, or a symbolic link")
                .count(),
            2,
            "{made}: {message}"
        );
        assert_eq!(host.sh("ls -A /srv/roots"), "", "{made}");
    }
}

/// In a user namespace the kernel shows everybody without a number there as the same user.
#[test]
fn users_without_a_number() {
    let project = teller();
    let package = project.pack();
    let start = |host: &Host, uid: u32, map: &[&str], cache: &str| {
        let words = [&["/usr/bin/unshare", "--user"], map, &["--", PACKAGE]].concat();
        let mut start = host.command(by(uid, words));
        start.env("FLAVOR_CACHE", cache).output().unwrap()
    };
    for uid in [0, SOMEBODY] {
        let host = Host::new(&package, "");
        for _cold_then_warm in 0..2 {
            assert_eq!(
                cache_of(&start(&host, uid, &[], "")),
                "/var/tmp/flavor-65534"
            );
            let as_root = start(&host, SOMEBODY, &["--map-root-user"], "");
            assert_eq!(cache_of(&as_root), "/var/tmp/flavor-0");
        }
        let owner = host.sh("stat -c %u /var/tmp/flavor-65534");
        assert_eq!(owner.trim(), uid.to_string());
        // Prepared by somebody who looks the same from inside.
        let host = Host::new(&package, "");
        forge(
            &host,
            12_345,
            &[
                "/var/tmp/flavor-65534",
                "/tmp/flavor-65534",
                "/var/tmp/flavor-0",
                "/tmp/flavor-0",
            ],
            "755",
        );
        for map in [&[][..], &["--map-root-user"]] {
            for cache in ["", "/var/tmp/flavor-65534", "/tmp/flavor-0"] {
                let message = refusal(&start(&host, SOMEBODY, map, cache));
                assert!(message.contains("belongs to user 65534"), "{message}");
            }
        }
    }
}

#[test]
fn copies_with_privileges_are_refused() {
    need("setcap", "apt-get install libcap2-bin");
    let project = teller();
    let package = project.pack();
    for privilege in [
        "chmod 4755",
        "chmod 2755",
        "chmod 6711",
        "setcap cap_net_raw+ep",
    ] {
        let host = Host::new(&package, "");
        host.sh(&format!("{privilege} {PACKAGE}"));
        for vars in [&[][..], &[("FLAVOR_CACHE", "/tmp/c"), ("HOME", "/tmp/h")]] {
            let mut start = host.start(SOMEBODY);
            let message = refusal(&start.envs(vars.iter().copied()).output().unwrap());
            assert!(message.contains("privileges"), "{privilege}: {message}");
            assert!(
                message.contains("\nhelp: remove the set-user-id"),
                "{privilege}: {message}"
            );
        }
        let made = host.sh("ls -A /tmp /var/tmp /home /root");
        assert_eq!(
            made, "/home:\n\n/root:\n\n/tmp:\n\n/var/tmp:\n",
            "{privilege}"
        );
        // Who has the privileges anyway gains none.
        if !privilege.starts_with("setcap") {
            assert_eq!(twice(&host, 0, &[]), "/root/.cache/flavor", "{privilege}");
        }
    }
}

// --- the system's store ----------------------------------------------------------------------------------------------

struct Quiet;

impl Hooks for Quiet {
    fn waiting(&self) {}

    fn progress(&self, _: u64, _: u64) {}

    fn setup(&self, _: &Path) -> Result<(), HookError> {
        Ok(())
    }
}

/// Fills the system's store of a host, as an image is built.
fn fill_system_store(host: &Host, package: &Path) {
    let candidate = Candidate {
        path: host.path("/var/lib/flavor"),
        origin: "test",
    };
    let bytes = fs::read(package).unwrap();
    let store = Store::open(&[candidate], 0).unwrap().durable();
    let verified = verify_bytes(&bytes).unwrap();
    store.ensure(&verified, &bytes.as_slice(), &Quiet).unwrap();
    host.sh("chmod 755 /var/lib/flavor");
}

#[test]
fn a_read_only_root_with_a_system_store() {
    let project = teller();
    let package = project.pack();
    let host = Host::new(
        &package,
        "cat /proc/sys/kernel/random/boot_id >/srv/boot
        mount --bind /srv/boot /proc/sys/kernel/random/boot_id",
    );
    fill_system_store(&host, &package);
    host.sh("for place in /var/lib /tmp /var/tmp /root /home; do mount -o remount,ro $place; done");
    for uid in [0, SOMEBODY, NOBODY] {
        for _boot in 0..2 {
            assert_eq!(twice(&host, uid, &[("HOME", "/root")]), "/var/lib/flavor");
            assert_eq!(twice(&host, uid, &[]), "/var/lib/flavor");
            host.sh("cat /proc/sys/kernel/random/uuid >/srv/boot");
        }
    }
    // It comes before what the environment names: nothing is unpacked twice.
    let vars = [("FLAVOR_CACHE", "/srv/c")];
    assert_eq!(twice(&host, 0, &vars), "/var/lib/flavor");
    assert!(!host.path("/srv/c").exists());
    // Damaged, it is left as it is, and the user's own takes its place.
    host.sh("mount -o remount,rw /var/lib; rm -r /var/lib/flavor/slots/*/app");
    assert_eq!(twice(&host, 0, &vars), "/srv/c");
    assert_eq!(host.sh("ls /var/lib/flavor/slots/*/"), "");
}

#[test]
fn a_system_store_that_others_can_change_is_passed_by() {
    let project = teller();
    let package = project.pack();
    for change in [
        "chmod 777 .",
        "chmod 775 .",
        "chown 65534 .",
        "chmod 777 slots",
        "chmod 777 ready",
        "chown 65534 envs",
    ] {
        let host = Host::new(&package, "");
        fill_system_store(&host, &package);
        assert_eq!(twice(&host, SOMEBODY, &[]), "/var/lib/flavor");
        host.sh(&format!("cd /var/lib/flavor; {change}"));
        assert_eq!(
            twice(&host, SOMEBODY, &[]),
            "/var/tmp/flavor-65533",
            "{change}"
        );
    }
}

/// Whoever reads the message may be no terminal, and the launcher writes to nothing else.
#[test]
fn refusals_reach_standard_error_only() {
    let project = teller();
    let host = Host::new(
        &project.pack(),
        "mount -o remount,ro /tmp; mount -o remount,ro /var/tmp",
    );
    let mut start = host.start(SOMEBODY);
    let output = start.stdin(Stdio::null()).output().unwrap();
    let message = refusal(&output);
    assert_eq!(message.lines().count(), 4, "{message}");
}
