//! Text of packages, and of files on the host, where a person reads it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use psp_testkit::catalog;
use psp_testkit::project::{Project, flavor, launcher, text};
use psp_testkit::writer::tar::{Entry, Tar};
use psp_testkit::writer::{Plan, Slot};
use serde_json::json;

use super::script;

/// Escape sequences of both kinds, ends of lines, a bell, text that runs backwards, and a byte order mark.
const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\r\n\nerror: forged\u{202e}gnp\u{2066}\u{200f}\u{7f}\u{8}";

/// Whether a terminal would show this character and do nothing else.
fn is_tame(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    c == '\n' || !c.is_control() && !turns
}

/// Checks everything that a program has printed. Nothing of a package begins a line.
fn assert_tame(what: &str, output: &Output) {
    for stream in [&output.stdout, &output.stderr] {
        let said = String::from_utf8(stream.clone());
        let said = said.unwrap_or_else(|e| panic!("{what}: no text: {e}"));
        let wild: Vec<char> = said.chars().filter(|&c| !is_tame(c)).collect();
        assert!(wild.is_empty(), "{what}: {wild:?} in {said:?}");
        assert!(!said.contains("\nerror: forged"), "{what}: {said}");
    }
}

fn ask(project: &Project, args: &[&str]) -> Output {
    let mut command = flavor();
    command.args(args).current_dir(project.path());
    command.env("FLAVOR_CACHE", project.cache());
    command.env("FLAVOR_CONFIG_DIR", project.path().join("config"));
    command.output().unwrap()
}

/// A package with such text wherever the format allows it. Its launcher is the one of a real package.
fn hostile(project: &Project, cwd: &str) -> Vec<u8> {
    let name = [b"app/", HOSTILE.as_bytes(), b"\xff"].concat();
    let app = Entry {
        mode: 0o755,
        ..Entry::file("app/run", "#!/bin/sh\nprintf started\n")
    };
    // In the order of their bytes.
    let tree = Tar::new()
        .entry(&Entry::directory("app"))
        .entry(&Entry::file(name, "x"))
        .entry(&app)
        .end();
    let mut plan = Plan::new().slot(Slot::tar(0, "app", &tree));
    plan.launcher = launcher().to_vec();
    let (cwd, text) = (cwd.to_owned(), HOSTILE.to_owned());
    let plan = plan.json(move |root| {
        let command = json!({"argv": ["{workenv}/app/run", text], "cwd": cwd, "env": {"A": text}});
        root["package"]["description"] = json!(text);
        root["package"]["authors"] = json!([text, text]);
        root["package"]["homepage"] = json!(text);
        root["package"]["license"] = json!(text);
        root["build"]["tool"] = json!(text);
        root["build"]["tool_version"] = json!(text);
        root["launcher"]["tool"] = json!(text);
        root["launcher"]["tool_version"] = json!(text);
        root["execution"]["argv"] = command["argv"].clone();
        root["execution"]["cwd"] = command["cwd"].clone();
        root["execution"]["env"] = command["env"].clone();
        root["commands"] = json!({"tool": command});
        root["runtime"] = json!({"env": {"unset": ["X*"], "set": {"B": text}}});
    });
    let bytes = plan.bytes();
    let path = project.path().join("bad.psp");
    fs::write(&path, &bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    bytes
}

/// Escape sequences, ends of lines and text that runs backwards in everything that a valid package says.
///
/// outcome: escaped in what every verb prints, in messages of starts, and in what the package says of itself
/// layer: none
/// message: none
#[test]
fn case_108_text_of_packages_is_escaped() {
    let project = Project::new();
    let bytes = hostile(&project, HOSTILE);
    let valid = ask(&project, &["verify", "bad.psp"]);
    assert!(valid.status.success(), "{}", text(&valid.stdout));
    for args in [
        &["verify", "bad.psp"][..],
        &["verify", "bad.psp", "--verbose"],
        &["verify", "bad.psp", "--json"],
        &["inspect", "bad.psp"],
        &["inspect", "bad.psp", "--files"],
        &["inspect", "bad.psp", "--files", "--json"],
        &["inspect", "bad.psp", "--dump"],
        &["inspect", "bad.psp", "--dump", "--json"],
        &["extract", "bad.psp", HOSTILE, "x"],
        &["extract", "bad.psp", "app", "one", "--verbose"],
        &["extract-all", "bad.psp", "all"],
        &["extract-all", "bad.psp", HOSTILE],
        &["extract-all", "bad.psp", HOSTILE],
        &["policy", "check", "bad.psp"],
        &["trust", "verify", "bad.psp"],
        &["link", "bad.psp", "bin"],
        &["run", "bad.psp"],
        &["run", HOSTILE],
        &["verify", HOSTILE],
        &["cache", "warm", "bad.psp"],
        &["cache", "list"],
        &["cache", "info", "demo"],
        &["cache", "verify", "bad.psp"],
        &["cache", "remove", HOSTILE],
        &["cache", "remove", "demo", "--verbose"],
    ] {
        let output = ask(&project, args);
        assert_tame(&format!("{args:?}"), &output);
    }
    // The launcher itself: its messages, and its answers.
    let package = project.path().join("bad.psp");
    for args in [
        &[][..],
        &["info"],
        &["verify"],
        &["help"],
        &["version"],
        &["extract", HOSTILE, "y"],
        &["extract", "app", "y"],
        &["extract", "app", "y"],
        &[HOSTILE],
    ] {
        for value in ["", "1"] {
            let mut start = project.start(&package);
            start.args(args).current_dir(project.path());
            if !value.is_empty() {
                start.env("FLAVOR_LAUNCHER_CLI", value);
            }
            let output = start.output().unwrap();
            assert_tame(&format!("{args:?} {value}"), &output);
            if value.is_empty() {
                assert_eq!(output.status.code(), Some(125));
                let message = text(&output.stderr).into_owned();
                let fact = "cannot enter the directory \"";
                assert!(message.contains(fact), "{message}");
                assert!(message.contains("/\\u{1b}[2J\\u{1b}]0;x"), "{message}");
            }
        }
    }
    // The same with a byte changed in each region, so that every message of a refusal is seen.
    for nth in 0..40 {
        let mut changed = bytes.clone();
        let at = bytes.len() * nth / 40 + 17;
        changed[at] ^= 0x20;
        fs::write(project.path().join("changed.psp"), changed).unwrap();
        for args in [
            &["verify", "changed.psp"][..],
            &["inspect", "changed.psp", "--files"],
            &["inspect", "changed.psp", "--dump"],
            &["extract-all", "changed.psp", "never"],
        ] {
            assert_tame(&format!("{args:?} {at}"), &ask(&project, args));
        }
    }
}

/// The same where the format allows no such text: every vector whose name, version, id, path or field is not as it should be.
///
/// outcome: refused (1), and escaped in the message
/// layer: layout | contents
/// message: none
#[test]
fn case_108_text_that_is_refused_is_escaped() {
    let project = Project::new();
    let mut count = 0;
    for vector in catalog::all() {
        let words = [
            "escape", "newline", "rtl", "nul", "control", "space", "tar-name", "unknown",
        ];
        if !words.iter().any(|word| vector.name.contains(word)) {
            continue;
        }
        count += 1;
        fs::write(project.path().join("v.psp"), &vector.bytes).unwrap();
        for args in [
            &["verify", "v.psp"][..],
            &["inspect", "v.psp", "--files"],
            &["inspect", "v.psp", "--dump"],
            &["extract-all", "v.psp", "out"],
        ] {
            let what = format!("{}: {args:?}", vector.name);
            assert_tame(&what, &ask(&project, args));
        }
        let _ = fs::remove_dir_all(project.path().join("out"));
    }
    assert!(count > 20, "{count}");
}

/// Names in archives with ESC, ends of lines and bytes that are no text.
///
/// outcome: unpacked as they are, escaped wherever they are printed
/// layer: contents
/// message: none
#[test]
fn case_078_names_of_archives_are_escaped() {
    let project = Project::new();
    hostile(&project, ".");
    let files = ask(&project, &["inspect", "bad.psp", "--files"]);
    assert_tame("files", &files);
    assert!(
        text(&files.stdout).contains("app/\\u{1b}[2J"),
        "{}",
        text(&files.stdout)
    );
    let done = ask(&project, &["extract-all", "bad.psp", "out"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let name = OsStr::from_bytes(b"\xff");
    let name = [HOSTILE.as_bytes(), name.as_bytes()].concat();
    let file = project
        .path()
        .join("out/app")
        .join(OsStr::from_bytes(&name));
    assert_eq!(fs::read(file).unwrap(), b"x");
    // Gone from the cache, it is named as a difference.
    let started = ask(&project, &["run", "bad.psp"]);
    assert_eq!(
        text(&started.stdout),
        "started",
        "{}",
        text(&started.stderr)
    );
    for slot in fs::read_dir(project.cache().join("slots")).unwrap() {
        let path = slot
            .unwrap()
            .path()
            .join("app")
            .join(OsStr::from_bytes(&name));
        let _ = fs::remove_file(path);
    }
    let differs = ask(&project, &["cache", "verify", "bad.psp"]);
    assert_tame("cache verify", &differs);
    assert!(
        text(&differs.stdout).contains("app/\\u{1b}[2J"),
        "{}",
        text(&differs.stdout)
    );
}

/// Labels and file names of trusted keys, values of policies, and records of a cache, with such text.
///
/// outcome: escaped in trust list, trust verify, policy show, policy check and cache list
/// layer: none
/// message: none
#[test]
fn case_108_text_of_the_host_is_escaped() {
    let project = script("exit 0");
    let package = project.pack();
    let package = package.to_str().unwrap();
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let config = project.path().join("config");
    let store = config.join("trusted-keys");
    fs::create_dir_all(&store).unwrap();
    mode(&config, 0o755);
    mode(&store, 0o755);
    let mut keygen = flavor();
    let made = keygen
        .args(["keygen", "--name", "k"])
        .current_dir(project.path());
    assert!(made.output().unwrap().status.success());
    let key = fs::read_to_string(project.path().join("k.pub")).unwrap();
    let hostile = HOSTILE.replace(['\n', '\r'], "");
    for (file, content) in [
        (
            format!("a{hostile}.pub"),
            format!("# Name: {hostile}\n{key}"),
        ),
        (
            format!("b{hostile}.pub"),
            format!("# {hostile}: {hostile}\n# Packages: {hostile}\n{key}"),
        ),
        (
            format!("c\nerror: forged{hostile}.pub"),
            format!("{hostile}\n"),
        ),
    ] {
        let path = store.join(file);
        fs::write(&path, content).unwrap();
        mode(&path, 0o644);
    }
    let verbs = [
        &["trust", "list"][..],
        &["trust", "list", "--json"],
        &["trust", "verify", package],
        &["trust", "remove", HOSTILE],
        &["trust", "revoke", HOSTILE],
        &["policy", "show"],
        &["policy", "show", "--json"],
        &["policy", "check", package],
        &["verify", package],
        &["run", package],
        &["cache", "list"],
        &["cache", "info"],
    ];
    let escaped = ask(&project, &["trust", "list"]);
    let said = [&escaped.stdout[..], &escaped.stderr].concat();
    assert!(text(&said).contains("\\u{1b}[2J"), "{}", text(&said));
    for policy in [
        None,
        Some(format!("{{\"version\": 1, {}: 1}}", json!(HOSTILE))),
        Some(format!(
            "{{\"version\": 1, \"execution\": {{\"minimum_version\": {{{}: \"1\"}}}}}}",
            json!(HOSTILE)
        )),
        Some(format!(
            "{{\"version\": 1, \"execution\": {{\"allow_platforms\": [{}]}}}}",
            json!(HOSTILE)
        )),
        Some(format!("{{\"version\": 1, {hostile}}}")),
    ] {
        if let Some(policy) = &policy {
            let path = config.join("policy.json");
            fs::write(&path, policy).unwrap();
            mode(&path, 0o644);
        }
        for args in verbs {
            assert_tame(&format!("{args:?} with {policy:?}"), &ask(&project, args));
        }
    }
    // Whoever can write to a cache can write such a record; its reader is a person all the same.
    fs::remove_file(config.join("policy.json")).unwrap();
    assert!(ask(&project, &["cache", "warm", package]).status.success());
    for record in fs::read_dir(project.cache().join("ready")).unwrap() {
        let path = record.unwrap().path();
        let record = fs::read_to_string(&path).unwrap();
        let forged = record.replace("name demo", &format!("name {hostile}"));
        fs::write(
            &path,
            forged.replace("version 1", &format!("version {hostile}")),
        )
        .unwrap();
    }
    for args in [
        &["cache", "list"][..],
        &["cache", "list", "--json"],
        &["cache", "info"],
        &["cache", "prune", "--all", "--verbose"],
    ] {
        assert_tame(&format!("{args:?}"), &ask(&project, args));
    }
}
