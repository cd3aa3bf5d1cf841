//! `flavor run` on its packages: what its launchers do, without what they get wrong.

use std::fs;

use psp_testkit::project::text;

use crate::tool::{Bench, Launcher, MANIFEST};

/// Everything that metadata can ask for.
const EVERYTHING: &str = r#"{
  "package": {"name": "demo", "version": "1.2.3"},
  "slots": [
    {"id": "app", "source": "app.tar.gz", "target": "app", "operations": "tgz", "purpose": "payload", "lifecycle": "runtime"},
    {"id": "conf", "source": "conf.txt", "target": "etc/conf.txt", "operations": "none", "purpose": "config", "lifecycle": "init"}
  ],
  "execution": {"command": "/bin/sh -c '/usr/bin/env; echo \"$@\"' {slot:1} \"{package_name} {version}\"", "env": {"ALPHA": "{workenv}/x {version}"}},
  "runtime": {"env": {"unset": ["*"], "pass": ["KEEP_*"], "map": {"OLD": "NEW"}, "set": {"BETA": "2"}}},
  "workenv": {"directories": [{"path": "{workenv}/made/here", "mode": "0711"}]},
  "setup_commands": [
    {"type": "write_file", "path": "{workenv}/written", "content": "of {package_name}\n"},
    {"type": "chmod", "path": "{workenv}/written", "mode": "0700"},
    {"type": "execute", "command": "/bin/cp {workenv}/etc/conf.txt '{workenv}/copied'"},
    {"type": "enumerate_and_execute", "enumerate": {"path": "{workenv}/bin", "pattern": "*.sh"}, "command": "/bin/cp -t {workenv}/made"}
  ]
}"#;

#[test]
fn everything_that_metadata_can_ask_for() {
    let bench = Bench::new();
    bench.build(Launcher::Rust, EVERYTHING, Launcher::Rust, "p.psp");
    // The cache has a space in its path, which breaks every package for its own launchers.
    for _cold_then_warm in 0..2 {
        let output = bench.ours(&["run", "p.psp", "--", "last word"]);
        let said = text(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", text(&output.stderr));
        let value = |name: &str| {
            let mut lines = said.lines();
            lines.find_map(|line| line.strip_prefix(&format!("{name}=")).map(str::to_owned))
        };
        let workenv = value("FLAVOR_WORKENV").unwrap();
        assert!(workenv.contains("our cache/base/"), "{workenv}");
        assert_eq!(value("ALPHA"), Some(format!("{workenv}/x 1.2.3")));
        assert_eq!(value("BETA").as_deref(), Some("2"));
        assert_eq!(value("PATH"), Some(format!("{workenv}/bin")));
        assert_eq!(value("HOME"), None);
        assert_eq!(value("FLAVOR_PACKAGE").as_deref(), Some("demo"));
        // The shell takes the first word for its own name.
        assert!(said.ends_with("demo 1.2.3 last word\n"), "{said}");
        let read = |name: &str| fs::read(format!("{workenv}/{name}"));
        assert_eq!(read("written").unwrap(), b"of demo\n");
        assert_eq!(read("copied").unwrap(), b"conf\n");
        assert!(read("made/run.sh").is_ok() && read("made/here").is_err());
        assert!(read("etc/conf.txt").is_err(), "a file for the setup only");
    }
}

#[test]
fn a_failing_setup_command_leaves_nothing() {
    let bench = Bench::new();
    let manifest = EVERYTHING.replace("/bin/cp {workenv}/etc/conf.txt", "/bin/false");
    bench.build(Launcher::Rust, &manifest, Launcher::Rust, "p.psp");
    let output = bench.ours(&["run", "p.psp"]);
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    let left = fs::read_dir(bench.path("our cache/base")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter()
            .all(|name| name.to_string_lossy().ends_with(".lock")),
        "{left:?}"
    );
}

#[test]
fn nothing_is_made_outside_of_the_work_environment() {
    for path in ["../outside", "/tmp/../outside"] {
        let bench = Bench::new();
        let manifest = EVERYTHING.replace("{workenv}/made/here", path);
        bench.build(Launcher::Rust, &manifest, Launcher::Rust, "p.psp");
        let output = bench.ours(&["run", "p.psp"]);
        let said = text(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(125), "{said}");
        assert!(
            said.contains("does not lie in the work environment"),
            "{said}"
        );
    }
}

#[test]
fn a_bare_name_is_looked_for_in_path_and_a_relative_path_is_refused() {
    for (command, code, says) in [
        ("sh -c 'exit 7'", 7, ""),
        ("./evil", 125, "is named by a relative path"),
        ("no-such-program-here", 127, "is nowhere in PATH"),
        ("/bin/sh 'open", 125, "ends inside quotes"),
    ] {
        let bench = Bench::new();
        let manifest = MANIFEST.replace("/bin/sh {workenv}/bin/run.sh 'a b'", command);
        bench.build(Launcher::Rust, &manifest, Launcher::Rust, "p.psp");
        let output = bench.ours(&["run", "p.psp"]);
        let said = text(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{command}: {said}");
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn who_is_not_trusted_does_not_start_where_trust_is_asked_for() {
    let bench = Bench::new();
    bench.build(Launcher::Go, MANIFEST, Launcher::Go, "p.psp");
    let output = bench.ours(&["run", "--require-trusted", "p.psp"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(
        text(&output.stderr).contains("not trusted"),
        "{}",
        text(&output.stderr)
    );
    // The policy of the host is asked, too.
    bench.file(
        "no config/policy.json",
        0o644,
        br#"{"version":1,"trust":{"require_trusted_key":true}}"#,
    );
    let output = bench.ours(&["run", "p.psp"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(
        text(&output.stderr).contains("is not trusted"),
        "{}",
        text(&output.stderr)
    );
}
