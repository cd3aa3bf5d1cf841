//! Other users, who were there before or are nobody in particular; and privileges.

use psp_testkit::host::{Host, NOBODY, PACKAGE, SOMEBODY, by, refusal};
use psp_testkit::project::{need, text};

use super::{cache_of, teller, twice};

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
             # The record is younger than that, or a start would notice.
             for record in $place/ready/*; do sed 's/^made .*/made 99999999999/' $record >$place/new; cat $place/new >$record; rm $place/new; done
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

/// A whole store with the right record and another program, made in advance by another user.
///
/// outcome: refused (125), or the next place is used
/// layer: place
/// message: belongs to user | not a directory, or a symbolic link
#[test]
fn case_055_a_store_forged_by_another_user() {
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

/// Every place that several users can prepare, on this host, with a forged store in it.
const PREPARED: [&str; 9] = [
    "/var/tmp/flavor-0",
    "/tmp/flavor-0",
    "/srv/open/cache",
    "/srv/sticky/cache",
    "/srv/theirs/cache",
    "/srv/run/user/cache",
    "/dev/shm/cache",
    "/tmp/cache/flavor",
    "/tmp/home/.cache/flavor",
];

/// Root starts a package after user 65534 has put a forged store into every shared place that exists.
///
/// outcome: refused (125), or root's own place is used; nothing forged runs
/// layer: place
/// message: belongs to user | others can write to
#[test]
fn case_055_root_after_another_user_was_everywhere() {
    let project = teller();
    let package = project.pack();
    let prepare = "mkdir -m 777 /srv/open; mkdir -m 1777 /srv/sticky; mkdir -m 700 /srv/theirs
        mkdir -p /srv/run/user; mount -t tmpfs -o mode=1777 none /dev/shm
        mkdir -m 755 /var/lib/flavor; chown 65534 /srv/theirs /srv/run/user /var/lib/flavor";
    for (homeless, modes) in [
        (true, "755"),
        (true, "1777"),
        (false, "755"),
        (false, "700"),
    ] {
        let passwd = if homeless {
            "; : >/srv/none; mount --bind /srv/none /etc/passwd"
        } else {
            ""
        };
        let host = Host::new(&package, &format!("{prepare}{passwd}"));
        forge(&host, NOBODY, &PREPARED[..1], modes);
        let copy = PREPARED[1..]
            .iter()
            .chain(&["/var/lib/flavor"])
            .map(|place| format!("mkdir -p {place}; cp -a {}/. {place}\n", PREPARED[0]))
            .collect::<String>();
        let mut shell = host.command(by(NOBODY, ["/bin/sh", "-euc", &copy]));
        let shell = shell.env("PATH", "/usr/bin:/bin");
        assert!(shell.status().unwrap().success());
        let theirs = "belongs to user 65534";
        let mut starts = vec![(vec![], theirs)];
        for place in PREPARED {
            let named = ["FLAVOR_CACHE", "CACHE_DIRECTORY"];
            starts.extend(named.map(|name| (vec![(name, place)], theirs)));
            if let Some(parent) = place.strip_suffix("/flavor") {
                starts.push((vec![("XDG_CACHE_HOME", parent)], theirs));
            }
            if let Some(home) = place.strip_suffix("/.cache/flavor") {
                starts.push((vec![("HOME", home)], theirs));
            }
        }
        // A place of root's own in a directory where everybody can put another one in its stead.
        starts.push((
            vec![("FLAVOR_CACHE", "/srv/open/new")],
            "others can write to \"/srv/open\"",
        ));
        for uid in [0, SOMEBODY] {
            for (vars, words) in &starts {
                for _cold_then_warm in 0..2 {
                    let mut start = host.start(uid);
                    let output = start.envs(vars.iter().copied()).output().unwrap();
                    if homeless && uid == 0 {
                        let message = refusal(&output);
                        assert!(message.contains(words), "{vars:?}: {message}");
                    } else {
                        let cache = cache_of(&output);
                        let own = ["/root/.cache/flavor", "/var/tmp/flavor-65533"];
                        assert!(own.contains(&&*cache), "{vars:?}: {cache}");
                    }
                }
            }
        }
    }
}

/// Caches whose directory, parts or parents belong to another user, or that group or all can write to.
///
/// outcome: refused (125); what is ready in a store that others cannot enter runs
/// layer: place
/// message: belongs to user | others can write to | in it belongs to somebody else, or others can write to it
#[test]
fn case_056_caches_that_others_own_or_can_write_to() {
    let project = teller();
    let package = project.pack();
    for (change, words) in [
        ("chown 65534 .", "belongs to user 65534"),
        (
            "chmod 770 .",
            "others can write to \"/srv/c/cache\" (mode 0770)",
        ),
        (
            "chmod 707 .",
            "others can write to \"/srv/c/cache\" (mode 0707)",
        ),
        ("chmod 777 ..", "others can write to \"/srv/c\" (mode 0777)"),
        ("chmod 770 ..", "others can write to \"/srv/c\" (mode 0770)"),
        ("chown 65534 ..", "belongs to user 65534"),
        ("chown 65534 slots", "slots in it belongs to somebody else"),
        (
            "chmod 777 slots",
            "slots in it belongs to somebody else, or others can write to it",
        ),
        ("chmod 775 envs", "envs in it belongs"),
        ("chmod 755 .; chown 65534 slots", "slots in it belongs"),
        ("chmod 755 .; chmod 777 envs", "envs in it belongs"),
        ("chmod 711 .; chmod 722 ready", "ready in it belongs"),
        ("chown 65534 ready", "ready in it belongs"),
        ("chmod 722 ready", "ready in it belongs"),
        ("chown 65534 locks", "locks in it belongs"),
        ("chmod 777 staging", "staging in it belongs"),
    ] {
        let host = Host::new(
            &package,
            "mkdir /srv/c; mount -o remount,ro /root; mount -o remount,ro /tmp; mount -o remount,ro /var/tmp",
        );
        let vars = [("FLAVOR_CACHE", "/srv/c/cache")];
        assert_eq!(twice(&host, 0, &vars), "/srv/c/cache");
        host.sh(&format!("cd /srv/c/cache; {change}"));
        for ready in [true, false] {
            if !ready {
                host.sh("rm /srv/c/cache/ready/*");
            }
            let mut start = host.start(0);
            let output = start.envs(vars).output().unwrap();
            // What is ready is believed where others cannot enter the store: its parts are nobody's to change then, and
            // in place of itself only another one can be put, whose owner is looked at.
            let is_shut = !["chown 65534 .", "chmod 770 .", "chmod 707 ."].contains(&change)
                && !change.contains("; ");
            if ready && is_shut {
                assert_eq!(cache_of(&output), "/srv/c/cache", "{change}");
                continue;
            }
            let message = refusal(&output);
            assert!(message.contains(words), "{change} {ready}: {message}");
        }
    }
    // A sticky directory above protects what others own; a good entry stays as it is.
    let host = Host::new(&package, "mkdir /srv/c");
    let vars = [("FLAVOR_CACHE", "/srv/c/cache")];
    assert_eq!(twice(&host, 0, &vars), "/srv/c/cache");
    host.sh("chmod 1777 /srv/c");
    assert_eq!(twice(&host, 0, &vars), "/srv/c/cache");
    // Without it, anybody puts a forged store in its place: ready or not, it is not theirs that runs.
    host.sh("chmod 777 /srv/c");
    forge(&host, NOBODY, &["/var/tmp/theirs"], "700");
    let swap = "mv /srv/c/cache /srv/c/old; cp -a /var/tmp/theirs /srv/c/cache";
    let mut shell = host.command(by(NOBODY, ["/bin/sh", "-euc", swap]));
    let shell = shell.env("PATH", "/usr/bin:/bin");
    assert!(shell.status().unwrap().success());
    assert_eq!(twice(&host, 0, &vars), "/root/.cache/flavor");
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

/// Fails with the reason where the kernel gives no program any privileges, so that there would be nothing to refuse.
fn assert_privileges_count(host: &Host) {
    let mounts = host.sh("cat /proc/mounts");
    let srv = mounts.lines().rfind(|line| line.contains(" /srv "));
    let srv = srv.unwrap_or_default();
    assert!(
        !srv.contains("nosuid"),
        "set-user-id bits do nothing on this file system: {srv}"
    );
    let status = host.sh("cat /proc/self/status");
    assert!(
        status.contains("NoNewPrivs:\t0\n"),
        "no program gains privileges here (no_new_privs): run the tests without it, in a container with --privileged"
    );
}

/// Set-user-id, set-group-id and capability copies of a package, with hostile variables.
///
/// outcome: refused (125); nothing is made
/// layer: environment
/// message: the package runs with privileges that its caller does not have, which it refuses
#[test]
fn case_048_copies_with_privileges() {
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
        assert_privileges_count(&host);
        for vars in [
            &[][..],
            &[("FLAVOR_CACHE", "/tmp/c"), ("HOME", "/tmp/h")],
            &[("FLAVOR_LAUNCHER_CLI", "1")],
            &[
                ("FLAVOR_CONFIG_DIR", "/tmp"),
                ("XDG_CACHE_HOME", "/var/tmp"),
            ],
        ] {
            let mut start = host.start(SOMEBODY);
            let message = refusal(&start.envs(vars.iter().copied()).output().unwrap());
            let fact =
                "the package runs with privileges that its caller does not have, which it refuses";
            assert!(message.contains(fact), "{privilege}: {message}");
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
