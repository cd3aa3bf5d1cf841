//! Hosts that lack most of what hosts have, and umasks.

use std::fs;
use std::process::Command;

use psp_testkit::host::{Host, PACKAGE, SOMEBODY, by};
use psp_testkit::project::{Project, need, text};

use super::{MANIFEST, cache_of, teller, twice};

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

/// The file is removed by its own setup command, and another one by its application.
///
/// outcome: runs
/// layer: none
/// message: none
#[test]
fn case_114_deleted_while_it_starts() {
    // The launcher reads from the file that it opened first.
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

/// First starts under the umasks 022, 000, 077 and 777.
///
/// outcome: runs; directories 0700 at the top, nothing that others can write
/// layer: store
/// message: none
#[test]
fn case_068_every_umask() {
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
