//! The same inputs give the same bytes to anyone, anywhere; and what differs between two packages is found.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use psp_testkit::project::{copy_program, flavor, need, text};
use tempfile::TempDir;

const MANIFEST: &str = r#"
[package]
name = "demo"
version = "1.2.3"
[[slot]]
id = "app"
source = "app"
[[slot]]
id = "notes"
source = "notes.txt"
[command]
exec = "{workenv}/app/run"
"#;

/// Where the index, and with it every signature, begins: so many bytes before the end.
const TRAILER: usize = 8200;

fn put(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A project with what real trees have: links, empty directories, programs, odd names, more than one frame.
fn checkout(directory: &Path) {
    let app = directory.join("app");
    put(&directory.join("flavor.toml"), MANIFEST.as_bytes());
    put(&directory.join("notes.txt"), b"notes\n");
    put(&app.join("run"), b"#!/bin/sh\necho hello\n");
    fs::set_permissions(app.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    for nth in 0..200_u32 {
        let content: Vec<u8> = (0..100_000_u32)
            .map(|n| (n.wrapping_mul(n ^ nth) >> 7) as u8)
            .collect();
        put(&app.join(format!("data/{}/file {nth}", nth % 7)), &content);
    }
    put(&app.join(OsStr::from_bytes(b"not utf-8 \xff")), b"odd");
    put(
        &app.join("\u{e4}\u{130}i"),
        b"letters that locales sort and fold",
    );
    fs::create_dir_all(app.join("empty/inner")).unwrap();
    symlink("data/1", app.join("soft")).unwrap();
    fs::hard_link(app.join("run"), app.join("zz-hard")).unwrap();
}

/// The same tree in a new directory, made from the end, under another umask, at another time, for another user.
fn another_checkout(from: &Path, to: &Path, owner: u32) {
    let script = r#"
        umask 077
        cd "$1" && find . -depth ! -type d -print0 | sort -zr | tar -c --null -T - --no-recursion |
            tar -x -C "$2" --no-same-permissions
        find . -type d -print0 | (cd "$2" && xargs -0 mkdir -p)
        chown -hR "$3:$3" "$2"
        find "$2" -exec touch -h -d 2001-02-03T04:05:06 {} +
    "#;
    let done = Command::new("sh")
        .args(["-ec", script, "sh"])
        .args([from, to])
        .arg(owner.to_string())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(
        (mode(to.join("app/run")), mode(to.join("notes.txt"))),
        (0o700, 0o600)
    );
}

/// Packs the project in `directory`, with these changes to how it is done.
fn pack(directory: &Path, output: &Path, args: &[&str], change: impl Fn(&mut Command)) -> Vec<u8> {
    let mut command = flavor();
    command
        .args(["pack", "--unsigned", "--level", "3", "--output"])
        .args([output, directory])
        .args(args);
    change(&mut command);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    fs::read(output).unwrap()
}

fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

#[test]
fn one_thing_after_another_is_varied() {
    need("setpriv", "apt-get install util-linux");
    assert!(
        rustix::process::geteuid().is_root(),
        "this test changes users: run it as root"
    );
    const NOBODY: u32 = 65_534;
    let (here, there) = (directory(), directory());
    let there = there.path().join("another/directory with a longer name");
    fs::create_dir_all(&there).unwrap();
    checkout(here.path());
    another_checkout(here.path(), &there, NOBODY);
    let out = directory();
    let date = ("SOURCE_DATE_EPOCH", "1700000000");
    let first = pack(
        here.path(),
        &out.path().join("first.psp"),
        &["--jobs", "1"],
        |command| {
            command
                .env(date.0, date.1)
                .env("LC_ALL", "C")
                .env("TZ", "UTC");
        },
    );
    let same = |what: &str, bytes: Vec<u8>| {
        let at = first.iter().zip(&bytes).position(|(a, b)| a != b);
        assert!(
            bytes == first,
            "{what}: {} bytes, not {}; first at {at:?}",
            bytes.len(),
            first.len()
        );
    };
    let again = out.path().join("again.psp");
    let vary = |variables: &[(&str, &str)], args: &[&str]| {
        pack(here.path(), &again, args, |command| {
            command.env(date.0, date.1).envs(variables.iter().copied());
        })
    };
    same("jobs", vary(&[], &["--jobs", "2"]));
    same("more jobs than files", vary(&[], &["--jobs", "300"]));
    let turkish = [("LC_ALL", "tr_TR.UTF-8"), ("LANG", "de_DE")];
    same("locale", vary(&turkish, &[]));
    same("time zone", vary(&[("TZ", "Pacific/Kiritimati")], &[]));
    let person = [
        ("HOME", "/nonexistent"),
        ("USER", "x"),
        ("TMPDIR", "/var/tmp"),
    ];
    same("person", vary(&person, &[]));
    let manifest = there.join("flavor.toml").display().to_string();
    same("place", vary(&[], &["--manifest", &manifest]));
    let at_root = pack(here.path(), &again, &[], |command| {
        command.env(date.0, date.1).current_dir("/");
    });
    same("working directory", at_root);
    // Everything at once, by another user, who has a copy of the program where they can read it.
    let program = out.path().join("flavor");
    copy_program(Path::new(flavor().get_program()), &program).unwrap();
    let place = directory();
    std::os::unix::fs::chown(place.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let output = place.path().join("theirs.psp");
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command
        .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
        .args(["sh", "-c", "umask 027 && exec \"$@\"", "sh"])
        .arg(&program)
        .args([
            "pack",
            "--unsigned",
            "--level",
            "3",
            "--jobs",
            "2",
            "--output",
        ])
        .args([&output, &there])
        .env(date.0, date.1)
        .env("TZ", "America/St_Johns")
        .env("LC_ALL", "tr_TR.UTF-8")
        .env_remove("HOME");
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    same("everything", fs::read(&output).unwrap());
    assert_eq!(fs::metadata(&output).unwrap().mode() & 0o777, 0o755);
    // File times do not matter without SOURCE_DATE_EPOCH either, which is then another package.
    let plain = out.path().join("plain.psp");
    let one = pack(here.path(), &plain, &[], |_| {});
    assert!(one == pack(&there, &again, &[], |_| {}) && one != first);
}

/// Runs `flavor` in a directory; its exit code, and what it says.
fn say(directory: &Path, args: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = flavor().args(args).current_dir(directory).output().unwrap();
    (status.code(), format!("{}{}", text(&stdout), text(&stderr)))
}

/// Packs the project in the directory into a file there.
fn packed(place: &Path, name: &str, args: &[&str]) -> Vec<u8> {
    pack(place, &place.join(name), args, |_| {})
}

#[test]
fn rebuilding_needs_the_manifest_and_no_key() {
    let place = directory();
    let place = place.path();
    checkout(place);
    let pack = |args: &[&str], date: Option<&str>| {
        let mut command = flavor();
        let base = [
            "pack",
            "--level",
            "3",
            "--key-seed",
            "x",
            "--output",
            "signed.psp",
        ];
        command.args([&base[..], args].concat()).current_dir(place);
        if let Some(date) = date {
            command.env("SOURCE_DATE_EPOCH", date);
        }
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
    };
    let rebuild = |args: &[&str]| {
        say(
            place,
            &[&["rebuild", "signed.psp", "--level", "3"], args].concat(),
        )
    };
    let same = "signed.psp is what ./flavor.toml gives, byte for byte but for signatures\n";
    for date in [None, Some("0"), Some("1700000000")] {
        pack(&["--jobs", "1"], date);
        assert_eq!(
            rebuild(&["--jobs", "2"]),
            (Some(0), same.to_owned()),
            "{date:?}"
        );
    }
    // The level is not in the package: it has to be said, and only storing differs.
    let (code, said) = say(place, &["rebuild", "signed.psp", "--level", "1"]);
    let (line, sentence) = said.split_once('\n').unwrap();
    assert_eq!(code, Some(1));
    assert!(
        line.starts_with("slot app: the same content, stored in another way: "),
        "{said}"
    );
    assert_eq!(
        sentence,
        "signed.psp is not what ./flavor.toml gives: 1 difference\n"
    );
    // From elsewhere.
    let manifest = place.join("flavor.toml");
    let elsewhere = directory();
    let args = ["rebuild", "--level", "3", "--json", "--manifest"].map(OsStr::new);
    let mut command = flavor();
    command
        .args(args)
        .arg(&manifest)
        .arg(place.join("signed.psp"));
    let done = command.current_dir(elsewhere.path()).output().unwrap();
    assert!(done.status.success() && text(&done.stdout).contains("\"same\": true"));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    // What was changed since is named.
    put(&place.join("app/data/3/file 3"), b"changed");
    put(&manifest, MANIFEST.replace("1.2.3", "1.2.4").as_bytes());
    let (code, said) = rebuild(&[]);
    assert_eq!(code, Some(1));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "metadata: package.version: \"1.2.3\" | \"1.2.4\"",
            "slot app: app/data/3/file 3: content from byte 0: 100000 bytes | 7 bytes",
            "signed.psp is not what ./flavor.toml gives: 2 differences",
        ]
    );
}

#[test]
fn differences_are_found_and_named() {
    let place = directory();
    let place = place.path();
    checkout(place);
    let before = packed(place, "a.psp", &[]);
    assert_eq!(
        say(place, &["diff", "a.psp", "a.psp"]),
        (
            Some(0),
            "a.psp and a.psp are the same, byte for byte\n".to_owned()
        )
    );
    let app = place.join("app");
    put(&app.join("added"), b"new");
    fs::remove_file(app.join("empty/inner")).unwrap_err();
    fs::remove_dir(app.join("empty/inner")).unwrap();
    let mut content = fs::read(app.join("data/0/file 77")).unwrap();
    content[70_000] ^= 1;
    put(&app.join("data/0/file 77"), &content);
    content.truncate(50_000);
    put(&app.join("data/0/file 70"), &content);
    fs::remove_file(app.join("soft")).unwrap();
    symlink("data/2", app.join("soft")).unwrap();
    fs::remove_file(app.join("zz-hard")).unwrap();
    put(&app.join("zz-hard"), b"#!/bin/sh\necho hello\n");
    put(&place.join("notes.txt"), b"notEs\n");
    put(
        &place.join("flavor.toml"),
        format!("{MANIFEST}args = [\"one\"]\n[[slot]]\nid = \"more\"\nsource = \"notes.txt\"\n")
            .as_bytes(),
    );
    let after = packed(place, "b.psp", &[]);
    assert_ne!(before, after);
    let (code, said) = say(place, &["diff", "a.psp", "b.psp"]);
    let expected = [
        "metadata: execution.argv[1]: nothing | \"one\"",
        "metadata: execution.command: \"{workenv}/app/run\" | \"{workenv}/app/run one\"",
        "slot app: app/added: nothing | a file",
        "slot app: app/data/0/file 70: content from byte ",
        "slot app: app/data/0/file 77: content from byte 70000: 100000 bytes | 100000 bytes",
        "slot app: app/empty/inner: a directory | nothing",
        "slot app: app/soft: target: data/1 | data/2",
        "slot app: app/zz-hard: kind: a hard link | a file",
        "slot notes: notes: content from byte 3: 6 bytes | 6 bytes",
        "slot more: nothing | there",
        "a.psp and b.psp are not the same: 10 differences",
    ];
    assert_eq!(code, Some(1));
    assert_eq!(said.lines().count(), expected.len(), "{said}");
    for (line, expected) in said.lines().zip(expected) {
        assert!(line.starts_with(expected), "{line}\n{expected}");
    }
    let (code, said) = say(place, &["diff", "b.psp", "a.psp", "--json"]);
    assert_eq!(code, Some(1));
    let document: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(document["same"], false);
    let found = document["differences"].as_array().unwrap();
    let changed = found
        .iter()
        .find(|one| one["path"] == "app/data/0/file 77")
        .unwrap();
    assert_eq!(
        (&changed["part"], &changed["what"]),
        (&"slot".into(), &"content".into())
    );
    assert_eq!(changed["offset"], 70_000);
}

#[test]
fn launchers_and_signers_are_compared() {
    let place = directory();
    let place = place.path();
    checkout(place);
    packed(place, "a.psp", &[]);
    for (seed, name) in [("x", "x.psp"), ("y", "y.psp")] {
        let args = ["pack", "--level", "3", "--key-seed", seed, "--output", name];
        assert_eq!(say(place, &args).0, Some(0));
    }
    for pair in [["a.psp", "x.psp"], ["x.psp", "y.psp"]] {
        let (code, said) = say(place, &["diff", pair[0], pair[1]]);
        assert_eq!(code, Some(1));
        assert!(said.starts_with("signature: "), "{said}");
        let sentence = format!(
            "{} and {} differ in their signatures only\n",
            pair[0], pair[1]
        );
        assert!(
            said.ends_with(&sentence) && said.lines().count() == 2,
            "{said}"
        );
    }
    // A launcher with one more byte, at its end.
    let bytes = fs::read(place.join("a.psp")).unwrap();
    let (_, json) = say(place, &["inspect", "x.psp", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    let size = usize::try_from(document["launcher"]["size"].as_u64().unwrap()).unwrap();
    put(&place.join("launcher"), &[&bytes[..size], &[0]].concat());
    packed(
        place,
        "b.psp",
        &["--launcher-bin", "launcher"].map(|arg| match arg {
            "launcher" => place.join("launcher").to_str().unwrap().to_owned().leak() as &str,
            other => other,
        }),
    );
    let (code, said) = say(place, &["diff", "a.psp", "b.psp"]);
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with(&format!(
            "launcher from byte {size}: {size} bytes | {} bytes\n",
            size + 1
        )),
        "{said}"
    );
    assert!(
        said.contains("\nmetadata: launcher.tool: \"psp-launcher\" | \"custom\"\n"),
        "{said}"
    );
    assert!(
        !said.contains("slot"),
        "the offsets of slots follow from the launcher: {said}"
    );
}

#[test]
fn what_is_not_valid_is_not_compared() {
    let place = directory();
    let place = place.path();
    checkout(place);
    let good = packed(place, "good.psp", &[]);
    let signed = [
        "pack",
        "--level",
        "3",
        "--key-seed",
        "x",
        "--output",
        "signed.psp",
    ];
    assert_eq!(say(place, &signed).0, Some(0));
    let signed = fs::read(place.join("signed.psp")).unwrap();
    for (name, bytes) in [("unsigned", good), ("signed", signed)] {
        // In the launcher, a slot, and the index.
        for at in [100, bytes.len() - TRAILER - 1000, bytes.len() - 100] {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            put(&place.join("bad.psp"), &bad);
            for args in [
                ["diff", "good.psp", "bad.psp"],
                ["diff", "bad.psp", "good.psp"],
                ["rebuild", "bad.psp", "--quiet"],
            ] {
                let (code, said) = say(place, &args);
                assert_eq!(code, Some(1), "{name} {at}: {said}");
                assert!(said.starts_with("error: bad.psp: "), "{name} {at}: {said}");
            }
        }
    }
    let (code, said) = say(place, &["diff", "good.psp", "missing.psp"]);
    assert_eq!(
        (code, said.starts_with("error: cannot open missing.psp")),
        (Some(3), true)
    );
    // Nothing is left behind where it is built anew.
    let temp = directory();
    let mut command = flavor();
    command
        .args(["rebuild", "good.psp", "--level", "3"])
        .current_dir(place);
    let done = command.env("TMPDIR", temp.path()).output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}
