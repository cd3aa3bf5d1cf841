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
