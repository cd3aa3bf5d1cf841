//! Asking a package about itself: `FLAVOR_LAUNCHER_CLI=1`.
#![allow(clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Output;

use common::{Place, assert_refused, must, output, package, stub, text, write_executable};
use psp_format::digest::Checksum;
use psp_format::metadata::{Command, Lifecycle, Metadata, Policy};
use psp_format::ops::Operations;
use psp_format::range::widen;
use psp_format::tar::{self, Entry, Kind};
use psp_format::verify::verify_bytes;

fn ask<A: AsRef<OsStr>>(place: &Place, program: &Path, args: &[A]) -> Output {
    let mut command = place.command(program);
    output(command.env("FLAVOR_LAUNCHER_CLI", "1").args(args))
}

/// A package on disk, and its bytes.
fn write(place: &Place, files: &[(&str, &[u8])], change: impl FnOnce(&mut Metadata)) -> Vec<u8> {
    let bytes = package(files, change);
    write_executable(&place.path("p.psp"), &bytes);
    bytes
}

const APP: &[u8] = b"#!/bin/sh\necho \"started $# $1 ${FLAVOR_LAUNCHER_CLI-unset}\"\n";

#[test]
fn only_one_value_asks_and_none_is_passed_on() {
    let place = Place::default();
    write(&place, &[("bin/app", APP)], |_| {});
    let path = place.path("p.psp");
    for value in ["", "0", "2", "true", "1 ", " 1", "01"] {
        let mut command = place.command(&path);
        let started = output(command.env("FLAVOR_LAUNCHER_CLI", value).arg("info"));
        assert_eq!(text(&started), "started 1 info unset\n", "{value:?}");
    }
    assert_eq!(text(&place.run(&path, &["info"])), "started 1 info unset\n");
    let started = ask(&place, &path, &["run", "a b", "--help"]);
    assert_eq!(text(&started), "started 2 a b unset\n");
    assert_eq!(text(&ask(&place, &path, &["run"])), "started 0  unset\n");
}

#[test]
fn info_shows_what_was_signed_and_says_what_was_checked() {
    let place = Place::default();
    let bytes = write(&place, &[("bin/app", APP), ("data", b"12345")], |m| {
        m.package.description = Some("\u{1b}[31mred\u{202e}\n\u{9b}".into());
        m.slots[1].lifecycle = Lifecycle::Lazy;
        let argv = ["{workenv}/bin/app", "two words", ""].map(String::from);
        let tool = Command {
            argv: argv.into(),
            cwd: None,
            env: Default::default(),
        };
        m.commands.insert("tool".into(), tool);
    });
    let package = must(verify_bytes(&bytes));
    let info = text(&ask(&place, &place.path("p.psp"), &["info"]));
    for part in [
        "package       demo 1.2\n",
        "about         \\u{1b}[31mred\\u{202e}\\n\\u{9b}\n",
        &format!("package id    {}\n", package.package_id()),
        &format!("signer        {}\n", package.signer().fingerprint()),
        "target        linux_",
        "checked       signature, description and layout; not the launcher and not what is in the slots",
        "  (default) {workenv}/bin/app\n",
        "  tool {workenv}/bin/app \"two words\" \"\"\n",
        "  0  s0  in bin/app, cached, none, 60 bytes stored, 60 of content\n",
        "  1  s1  in data, lazy, none, 5 bytes stored, 5 of content\n",
    ] {
        assert!(info.contains(part), "no {part:?} in: {info}");
    }
    let control = |c: char| c.is_control() && c != '\n';
    assert!(!info.contains(control), "{info:?}");
    assert!(!place.path("home/.cache").exists(), "nothing is unpacked");
    let version = text(&ask(&place, &place.path("p.psp"), &["version"]));
    assert_eq!(version, "1.2\n");
}

/// Whatever does not verify says why, and nothing else: not even what it claims to be.
#[test]
fn no_answer_of_a_package_that_does_not_verify() {
    let place = Place::default();
    let good = write(&place, &[("bin/app", APP)], |_| {});
    let (launcher, path) = (stub().len(), place.path("p.psp"));
    let mut unsigned = good.clone();
    let end = unsigned.len();
    // The signature lies at 128 of the index; its checksum is repaired by nobody.
    unsigned[end - 8196 + 128] ^= 1;
    let mut metadata = good.clone();
    metadata[launcher + 60] ^= 1;
    for bytes in [unsigned, metadata, good[..end - 1].to_vec()] {
        write_executable(&path, &bytes);
        let out = place.path("out").display().to_string();
        for args in [
            &["info"][..],
            &["verify"],
            &["metadata"],
            &["version"],
            &["help"],
            &["extract", "s0", &out],
            &["run"],
            &[],
        ] {
            assert_refused(&ask(&place, &path, args), 125, &[]);
        }
    }
    assert!(!place.path("out").exists());
}

#[test]
fn verify_finds_a_change_in_every_part() {
    let place = Place::default();
    let good = write(&place, &[("bin/app", APP), ("data", b"12345")], |_| {});
    let (path, package) = (place.path("p.psp"), must(verify_bytes(&good)));
    let whole = text(&ask(&place, &path, &["verify"]));
    let lines: Vec<&str> = whole.lines().collect();
    let [checks @ .., verdict] = &lines[..] else {
        panic!("{whole}")
    };
    let names: Vec<_> = checks
        .iter()
        .map(|line| line.strip_suffix("ok").map(str::trim_end))
        .collect();
    let expected = [
        "signature",
        "description",
        "layout",
        "launcher",
        "slot s0",
        "slot s1",
    ];
    assert_eq!(names, expected.map(Some));
    let fingerprint = package.signer().fingerprint().to_string();
    assert!(verdict.starts_with("the file is whole, as the holder of the key "));
    assert!(verdict.contains(&fingerprint) && verdict.contains("who that is"));

    let to = |at: u64| must(usize::try_from(at));
    let (first, second) = (package.layout().slots[0], package.layout().slots[1]);
    for (at, part, name) in [
        // Where nothing is in an ELF header: the launcher still runs.
        (9, "launcher", "the launcher does not match"),
        (to(first.start()), "slot s0", "stored bytes do not match"),
        (to(second.end()) - 1, "slot s1", "stored bytes do not match"),
        (to(second.end()), "layout", "padding at offset"),
    ] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        write_executable(&path, &bytes);
        let found = ask(&place, &path, &["verify"]);
        let answer = String::from_utf8_lossy(&found.stdout);
        assert_eq!(found.status.code(), Some(1), "{answer}");
        assert!(found.stderr.is_empty());
        let bad: Vec<&str> = answer.lines().filter(|line| line.contains("NOT")).collect();
        assert!(
            matches!(bad[..], [line, verdict] if line.starts_with(part) && line.contains(name)
                && verdict == "the file is NOT whole: get it again from its source"),
            "{answer}"
        );
        assert!(!answer.contains("is whole"), "{answer}");
    }
}

#[test]
fn verify_looks_into_the_slots() {
    let place = Place::default();
    let garbage = [b'x'; 1536];
    let tar = |m: &mut Metadata, operations: Operations| {
        m.slots[0].operations = operations;
        m.slots[0].operations_code = operations.code();
        m.slots[0].target = "tree".into();
    };
    write(&place, &[("tree", &garbage)], |m| tar(m, Operations::Tar));
    let found = ask(&place, &place.path("p.psp"), &["verify"]);
    let answer = String::from_utf8_lossy(&found.stdout);
    assert_eq!(found.status.code(), Some(1));
    assert!(
        answer.contains("slot s0       NOT OK: slot s0: archive"),
        "{answer}"
    );
    // Nobody but launchers of flavorpack decodes it.
    write(&place, &[("tree", &garbage)], |m| tar(m, Operations::TarGz));
    let answer = text(&ask(&place, &place.path("p.psp"), &["verify"]));
    assert!(
        answer.contains("slot s0       ok as stored; not unpacked"),
        "{answer}"
    );
    let refused = ask(&place, &place.path("p.psp"), &["extract", "s0", "out"]);
    assert_refused(&refused, 125, &["tar.gz is not decoded", "flavor extract"]);
    assert!(!place.path("out").exists());
}

#[test]
fn metadata_is_what_was_signed_but_for_what_a_terminal_obeys() {
    let place = Place::default();
    let bytes = write(&place, &[("bin/app", APP)], |m| {
        m.package.description = Some("\u{1b}\u{9b}31m\u{7f}\u{e9}".into());
    });
    let signed = must(verify_bytes(&bytes)).text().to_vec();
    let found = ask(&place, &place.path("p.psp"), &["metadata"]);
    assert_eq!(found.stdout, signed);
    // `script` gives it a terminal.
    let mut command = place.command("script");
    command.args(["-qec", "./p.psp metadata", "/dev/null"]);
    let shown = output(command.env("FLAVOR_LAUNCHER_CLI", "1")).stdout;
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("\\u001b\\u009b31m\\u007f\u{e9}"), "{shown}");
    let text = must(String::from_utf8(signed)).replace('\u{9b}', "\\u009b");
    assert_eq!(shown.trim_end(), text.replace('\u{7f}', "\\u007f"));
}

/// Every path below a directory.
fn paths(root: &Path) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for entry in must(std::fs::read_dir(root)).map(must) {
        let name = entry.file_name().display().to_string();
        if must(entry.file_type()).is_dir() {
            out.extend(
                paths(&entry.path())
                    .iter()
                    .map(|path| format!("{name}/{path}")),
            );
        }
        out.insert(name);
    }
    out
}

#[test]
fn extract_by_id_or_number_into_a_new_or_empty_directory() {
    let place = Place::default();
    let files: [(&str, &[u8]); 2] = [("bin/app", APP), ("late/data", b"12345")];
    write(&place, &files, |m| {
        m.slots[0].id = "app".into();
        m.slots[1].id = "0".into();
        m.slots[1].lifecycle = Lifecycle::Lazy;
    });
    let path = place.path("p.psp");
    must(std::fs::create_dir(place.path("empty")));
    for (slot, directory, expected) in [
        ("app", "new", "bin bin/app"),
        ("app", "empty", "bin bin/app"),
        // An id comes before a number.
        ("0", "other", "late late/data"),
        ("1", "last", "late late/data"),
    ] {
        let made = ask(&place, &path, &["extract", slot, directory]);
        assert_eq!(text(&made), "");
        let found: Vec<String> = paths(&place.path(directory)).into_iter().collect();
        assert_eq!(found.join(" "), expected, "{slot}");
    }
    assert_eq!(must(std::fs::read(place.path("new/bin/app"))), APP);
    let mode = must(std::fs::metadata(place.path("new/bin/app"))).permissions();
    assert_eq!(mode.mode() & 0o777, 0o755, "theirs to change");

    must(std::fs::write(place.path("file"), b"x"));
    must(std::os::unix::fs::symlink("empty", place.path("link")));
    for (args, part) in [
        (["app", "new"], "\"new\" is there"),
        (["app", "file"], "\"file\" is there"),
        (["app", "link"], "\"link\" is there"),
        (["none\u{1b}", "x"], "no slot \"none\\u{1b}\""),
        (["2", "x"], "no slot \"2\""),
    ] {
        let args = [&["extract"], &args[..]].concat();
        assert_refused(&ask(&place, &path, &args), 2, &[part]);
    }
    let nowhere = ask(&place, &path, &["extract", "app", "no/such"]);
    assert_refused(&nowhere, 125, &["cannot use the directory \"no/such\""]);
    assert!(!place.path("x").exists());
    assert!(!place.path("home/.cache").exists());
}

#[test]
fn extract_leaves_nothing_of_what_is_not_good() {
    let place = Place::default();
    let path = place.path("p.psp");
    let good = write(&place, &[("bin/app", APP)], |_| {});
    let at = must(usize::try_from(
        must(verify_bytes(&good)).layout().slots[0].start(),
    ));
    let mut damaged = good.clone();
    damaged[at] ^= 1;
    // Its digest is right, and its second entry is no entry.
    let first = Entry {
        path: b"tree/a".to_vec(),
        kind: Kind::File(0),
        mode: 0o644,
        mtime: 0,
    };
    let broken = [tar::encode(&first), vec![b'x'; 1536]].concat();
    let broken = package(&[("tree", &broken)], |m| {
        m.slots[0].operations = Operations::Tar;
        m.slots[0].operations_code = Operations::Tar.code();
        m.slots[0].checksum = Checksum(psp_format::digest::Digest::of(&broken));
        m.slots[0].size = widen(broken.len());
    });
    must(std::fs::create_dir(place.path("empty")));
    for (bytes, part) in [(&damaged, "stored bytes"), (&broken, "archive, offset")] {
        write_executable(&path, bytes);
        for directory in ["new", "empty"] {
            let refused = ask(&place, &path, &["extract", "s0", directory]);
            assert_refused(&refused, 125, &[part, "get it again"]);
            assert!(!place.path("new").exists());
            assert!(paths(&place.path("empty")).is_empty());
        }
    }
}

#[test]
fn wrong_usage() {
    let place = Place::default();
    write(&place, &[("bin/app", APP)], |_| {});
    let path = place.path("p.psp");
    for (args, part) in [
        (&[][..], "no verb is named"),
        (&["--help\u{1b}"], "no verb \"--help\\u{1b}\""),
        (&[""], "no verb \"\""),
        (&["info", "x"], "info takes other arguments"),
        (&["extract"], "extract takes other arguments"),
        (
            &["extract", "s0", "x", "y"],
            "extract takes other arguments",
        ),
    ] {
        assert_refused(&ask(&place, &path, args), 2, &[part]);
    }
    assert!(!place.path("x").exists());
    let help = text(&ask(&place, &path, &["help"]));
    for verb in [
        "info",
        "verify",
        "metadata",
        "extract SLOT DIR",
        "run",
        "version",
    ] {
        assert!(help.contains(&format!("\n  {verb}")), "{help}");
    }
}

#[test]
fn answers_that_nobody_can_read() {
    let place = Place::default();
    write(&place, &[("bin/app", APP)], |_| {});
    let run = |to: &str| {
        let script = format!("export FLAVOR_LAUNCHER_CLI=1; exec ./p.psp info {to}");
        place.sh(&script)
    };
    assert_refused(
        &run(">/dev/full"),
        125,
        &["cannot write to standard output: No space left"],
    );
    assert_refused(
        &run(">&-"),
        125,
        &["cannot write to standard output: Bad file"],
    );
    // A reader that is gone before anything is written.
    let script = "export FLAVOR_LAUNCHER_CLI=1
        mkfifo pipe; sleep 60 <pipe & exec 3>pipe; kill $!; wait $! 2>/dev/null
        ./p.psp info >&3 2>err; echo $? >code; cat err code";
    assert_eq!(text(&place.sh(script)), "125\n");
}

#[test]
fn policy_and_privileges_hold() {
    const NOBODY: u32 = 65_534;
    let place = Place::default();
    let path = place.path("p.psp");
    write(&place, &[("bin/app", APP)], |m| {
        m.policy = Some(Policy {
            max_age_days: 0,
            platforms: vec!["windows_arm64".into()],
            refuse_root: false,
            require_env: vec![],
        });
    });
    for verb in ["info", "verify", "metadata", "run", "help"] {
        assert_refused(&ask(&place, &path, &[verb]), 125, &["windows_arm64 only"]);
    }
    write(&place, &[("bin/app", APP)], |_| {});
    let mode = std::fs::Permissions::from_mode;
    must(std::fs::set_permissions(place.path("."), mode(0o755)));
    must(std::fs::set_permissions(&path, mode(0o4755)));
    // Only root can become somebody else. For the owner, the bit gives no privileges.
    if rustix::process::geteuid().is_root() {
        let mut command = place.command(&path);
        command.env("FLAVOR_LAUNCHER_CLI", "1").arg("info");
        let refused = output(command.uid(NOBODY).gid(NOBODY).current_dir("/"));
        assert_refused(&refused, 125, &["privileges"]);
    } else {
        assert!(ask(&place, &path, &["info"]).status.success());
    }
}
