//! `flavor doctor`: what it says of settings and tools. What it says of places is tested in the test kit, on hosts with mounts
//! of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Command, Output};

use psp_format::digest::Digest;
use serde_json::Value;

/// A host whose settings, home and cache are all below one directory.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Host {
        let host = Host(tempfile::tempdir().unwrap());
        for name in ["home", "config"] {
            fs::create_dir(host.path(name)).unwrap();
        }
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn doctor(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flavor"));
        command
            .arg("doctor")
            .args(args)
            .env("HOME", self.path("home"))
            .env("FLAVOR_CONFIG_DIR", self.path("config"))
            .env_remove("CACHE_DIRECTORY")
            .env_remove("FLAVOR_TRUSTED_KEYS_DIR")
            .env_remove("XDG_CACHE_HOME")
            .env("FLAVOR_CACHE", self.path("cache"));
        command
    }

    fn report(&self) -> (Option<i32>, Value) {
        report(&self.doctor(&["--json"]).output().unwrap())
    }
}

fn report(output: &Output) -> (Option<i32>, Value) {
    assert!(output.stderr.is_empty(), "{output:?}");
    (
        output.status.code(),
        serde_json::from_slice(&output.stdout).unwrap(),
    )
}

/// The lines of this name: what came out, what it says, and the help.
fn lines<'r>(report: &'r Value, name: &str) -> Vec<(&'r str, &'r str, Option<&'r str>)> {
    let checks = report["checks"].as_array().unwrap();
    let named = checks.iter().filter(|check| check["name"] == name);
    named
        .map(|check| {
            let text = |key: &str| check[key].as_str();
            (
                text("status").unwrap(),
                text("detail").unwrap(),
                text("help"),
            )
        })
        .collect()
}

#[test]
fn a_host_on_which_packages_start() {
    let host = Host::new();
    let (code, report) = host.report();
    assert_eq!((code, &report["ok"]), (Some(0), &Value::Bool(true)));
    for check in report["checks"].as_array().unwrap() {
        let status = check["status"].as_str().unwrap();
        assert!(["ok", "note"].contains(&status), "{check}");
        assert_eq!(check["help"].is_null(), status == "ok", "{check}");
        assert!(!check["detail"].as_str().unwrap().is_empty());
    }
    // The launchers that are there, as packages get them.
    let stubs = report["stubs"].as_array().unwrap();
    assert_eq!(stubs.len(), flavor::stubs::all().len());
    for (said, stub) in stubs.iter().zip(flavor::stubs::all()) {
        assert_eq!(said["target"], stub.target);
        assert_eq!(said["libc"], stub.libc);
        assert_eq!(said["size"], stub.bytes.len());
        assert_eq!(said["sha256"], Digest::of(stub.bytes).to_string());
        assert_eq!(
            lines(&report, &format!("launcher {}", stub.target))[0].0,
            "ok"
        );
    }
    let cache = &report["cache"];
    assert_eq!(cache["path"].as_str(), host.path("cache").to_str());
    assert_eq!(
        (&cache["origin"], &cache["exists"]),
        (&"FLAVOR_CACHE".into(), &false.into())
    );
    assert!(cache["free"].as_u64().unwrap() > 0);
    // Asking has made nothing, and neither have the tools that were asked.
    assert!(!host.path("cache").exists());
    for name in ["home", "config"] {
        assert_eq!(fs::read_dir(host.path(name)).unwrap().count(), 0, "{name}");
    }

    let text = host.doctor(&[]).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap().len();
    let begins = |line: &&str| {
        ["ok  ", "note"]
            .iter()
            .any(|status| line.starts_with(status))
    };
    assert_eq!(text.lines().filter(begins).count(), checks, "{text}");
    assert!(
        text.lines()
            .last()
            .unwrap()
            .starts_with("packages start here"),
        "{text}"
    );
}

#[test]
fn a_policy_that_cannot_be_believed_lets_nothing_start() {
    let host = Host::new();
    let policy = host.path("config/policy.json");
    let failed = |message: &str, help: &str| {
        let (code, report) = host.report();
        let message = format!("{}{message}", policy.display());
        assert_eq!(
            lines(&report, "policy"),
            [("failed", message.as_str(), Some(help))]
        );
        assert_eq!(lines(&report, "trust")[0].0, "note");
        assert_eq!((code, &report["ok"]), (Some(1), &Value::Bool(false)));
    };
    fs::write(&policy, "{\"version\": 1,\n \"trust\": {\"x\": 1}}").unwrap();
    let mend = "mend the file; until then nothing is started";
    failed(", line 2, column 12: there is no such key", mend);
    fs::write(&policy, "{\"version\": 1}").unwrap();
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o666)).unwrap();
    let owner = fs::metadata(&policy).unwrap().uid();
    failed(
        &format!(" can be changed by others (owner {owner}, mode 0666)"),
        "give it to root or to yourself, and take write permission from everyone else",
    );
    let quiet = host.doctor(&["--quiet"]).output().unwrap();
    assert_eq!(
        quiet.stdout,
        b"packages do not start here: 1 check FAILED\n"
    );

    fs::set_permissions(&policy, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, report) = host.report();
    let path = policy.display().to_string();
    assert_eq!(lines(&report, "policy"), [("ok", path.as_str(), None)]);
    assert_eq!(code, Some(0));
}

#[test]
fn keys_are_counted_and_what_is_none_is_named() {
    let host = Host::new();
    let flavor = |args: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_flavor"))
            .args(args)
            .current_dir(host.0.path())
            .env("FLAVOR_CONFIG_DIR", host.path("config"))
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    for name in ["one", "two"] {
        flavor(&["keygen", "--name", name]);
    }
    flavor(&["trust", "add", "one.pub", "--name", "One"]);
    flavor(&[
        "trust",
        "add",
        "two.pub",
        "--name",
        "Two",
        "--expires",
        "2020-01-01",
    ]);
    let (_, report) = host.report();
    assert_eq!(
        lines(&report, "trust"),
        [("ok", "1 trusted key, 1 expired", None)]
    );

    let no_key = host.path("config/trusted-keys/three.pub");
    fs::write(&no_key, "nothing\n").unwrap();
    let (code, report) = host.report();
    let found = lines(&report, "trust");
    assert_eq!(found[0].1, "1 trusted key, 1 expired");
    assert!(
        found[1].0 == "note" && found[1].1.starts_with(&no_key.display().to_string()),
        "{found:?}"
    );
    assert_eq!(code, Some(0), "whatever others have signed still starts");
}

/// The place is a file, and no variable names another one that is good: the next is used, and it is said.
#[test]
fn a_place_that_is_a_file() {
    let host = Host::new();
    fs::write(host.path("file"), "").unwrap();
    let output = host
        .doctor(&["--json"])
        .env_remove("FLAVOR_CACHE")
        .env("XDG_CACHE_HOME", host.path("file"))
        .output();
    let (code, report) = report(&output.unwrap());
    let found = lines(&report, "cache");
    let file = host.path("file/flavor");
    let expected = format!(
        "{} (XDG_CACHE_HOME): not a directory, or a symbolic link; passed over",
        file.display()
    );
    assert_eq!((found[0].0, found[0].1), ("note", expected.as_str()));
    let home = host.path("home/.cache/flavor");
    assert_eq!(report["cache"]["path"].as_str(), home.to_str());
    assert_eq!(code, Some(0));
    assert_eq!(fs::read_dir(host.path("home")).unwrap().count(), 0);

    let output = host
        .doctor(&["--json"])
        .env("FLAVOR_CACHE", "relative")
        .output();
    let (code, report) = self::report(&output.unwrap());
    assert_eq!((lines(&report, "cache")[0].0, code), ("failed", Some(1)));
    assert!(report["cache"].is_null());
}

#[test]
fn tools_that_are_not_there_are_notes_that_say_what_for() {
    let host = Host::new();
    let output = host
        .doctor(&["--json"])
        .env("PATH", host.path("home"))
        .output();
    let (code, report) = report(&output.unwrap());
    for (tool, what_for) in [
        ("python3", "[python]"),
        ("pip", "[python]"),
        ("uv", "[python]"),
        ("pyenv", "[python]"),
        ("node", "[node]"),
        ("npm", "[node]"),
    ] {
        let found = lines(&report, tool);
        assert!(
            found.len() == 1 && found[0].0 == "note",
            "{tool}: {found:?}"
        );
        assert!(
            found[0].1.contains(what_for) && found[0].2.is_some(),
            "{found:?}"
        );
    }
    assert_eq!((code, &report["ok"]), (Some(0), &Value::Bool(true)));

    // Tools that are there say their versions; what is called npm is not started.
    let tool = |name: &str, text: &str| {
        let path = host.path("home").join(name);
        // By another process: whatever another thread starts would inherit what is open for writing.
        let copied = Command::new("sh")
            .args([
                "-c",
                "printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$1\"; chmod 755 \"$1\"",
                "sh",
            ])
            .arg(&path)
            .arg(text)
            .status();
        assert!(copied.unwrap().success());
    };
    tool("uv", "echo uv 9.9.9");
    tool("pyenv", "exit 1");
    tool("npm", "echo 1; : >\"$HOME/started\"");
    let output = host
        .doctor(&["--json"])
        .env("PATH", host.path("home"))
        .output();
    let (_, report) = self::report(&output.unwrap());
    let uv = format!("uv 9.9.9, {}", host.path("home/uv").display());
    assert_eq!(lines(&report, "uv"), [("ok", uv.as_str(), None)]);
    assert_eq!(lines(&report, "pyenv")[0].0, "note");
    assert_eq!(lines(&report, "npm")[0].0, "ok");
    assert!(!host.path("home/started").exists());
}
