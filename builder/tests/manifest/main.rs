//! Manifests as people write them, right and wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod flavorpack;
mod mistakes;
mod python;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use flavor::manifest::{
    self, Command, Compression, Desktop, EnvRules, KeySource, Lifecycle, ManifestError, Package,
    Policy, Project, Purpose, Sign, SlotModes, SlotTimes,
};
use tempfile::TempDir;

/// The least that a manifest can hold, to which tests add.
const LEAST: &str = r#"
[package]
name = "app"
version = "1.0"

[[slot]]
id = "files"
source = "build"

[command]
exec = "{workenv}/files/run"
"#;

fn directory(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn load(text: &str) -> (TempDir, Result<Project, ManifestError>) {
    let dir = directory(&[("flavor.toml", text)]);
    let project = manifest::load(&dir.path().join("flavor.toml"));
    (dir, project)
}

/// The message without the directory, and the help.
fn refused(text: &str) -> (String, String) {
    let (dir, project) = load(text);
    let error = project.expect_err(text);
    (without(&error.to_string(), dir.path()), error.help())
}

fn without(text: &str, directory: &Path) -> String {
    text.replace(&format!("{}/", directory.display()), "")
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn the_least_has_the_defaults() {
    let (dir, project) = load(LEAST);
    let project = project.unwrap();
    assert_eq!(project.directory, dir.path());
    let [slot] = project.slots.as_slice() else {
        panic!("{project:?}")
    };
    assert_eq!((slot.id.as_str(), slot.target.as_str()), ("files", "files"));
    assert_eq!(slot.source, dir.path().join("build"));
    assert_eq!(
        (slot.include.clone(), slot.exclude.clone()),
        (texts(&["**"]), texts(&[]))
    );
    assert_eq!(
        (slot.lifecycle, slot.purpose),
        (Lifecycle::Cached, Purpose::Payload)
    );
    assert_eq!(slot.compression, Compression::Zstd { level: 19 });
    assert_eq!(
        (slot.mutable, slot.permissions, slot.line),
        (false, None, 6)
    );
    assert_eq!(
        (slot.times, slot.modes, slot.platforms.len()),
        (SlotTimes::Normalise, SlotModes::Normalise, 0)
    );
    assert_eq!(project.command.argv(), ["{workenv}/files/run"]);
    assert_eq!(project.command.line, 11);
    assert_eq!(project.env, EnvRules::default());
    assert!(project.commands.is_empty() && project.setup.is_empty());
    assert_eq!(
        (project.policy, project.desktop, project.sign),
        (None, None, None)
    );
}

/// Every key there is.
const MOST: &str = r#"
[package]
name = "my-app_2"
version = "1.0~rc.1+b"
description = "d"
license = "MIT"
homepage = "https://example.org"
authors = ["A <a@example.org>"]

[[slot]]
id = "runtime"
source = "/opt/python"
target = "rt/python"
include = ["bin/**", "lib/**"]
exclude = ["**/test"]
lifecycle = "volatile"
purpose = "runtime"
platforms = ["linux_amd64", "windows_arm64"]
compression = { method = "zstd", level = 0x16 }
mutable = true
permissions = "0750"
times = "keep"
modes = "keep"

[[slot]]
id = "all"
source = "x"
target = "."
lifecycle = "attestation"
compression.method = "none"

[command]
exec = "{workenv}/rt/python/bin/python3.11"
args = ["-m", "app", ""]
env = { A = "1" }
cwd = "{workenv}"

[commands."serve.https"]
exec = "/usr/bin/env"

[env]
unset = ["PYTHON*", "LD_LIBRARY_PATH"]
pass = ["*"]
map = { OLD = "NEW" }
set = { DIR = "{package_dir}/config" }

[[setup]]
exec = "/bin/anything"
args = ["x"]

[policy]
platforms = ["linux_amd64"]
refuse_root = true
require_env = ["HOME"]
max_age_days = 90

[desktop]
icon = "icon.png"
terminal = false

[sign]
key = "env:KEY"
"#;

#[test]
fn every_key_is_read() {
    let (dir, project) = load(MOST);
    let project = project.unwrap();
    let package = Package {
        name: "my-app_2".into(),
        version: "1.0~rc.1+b".into(),
        description: Some("d".into()),
        license: Some("MIT".into()),
        homepage: Some("https://example.org".into()),
        authors: texts(&["A <a@example.org>"]),
    };
    assert_eq!(project.package, package);
    let slot = &project.slots[0];
    assert_eq!(slot.source, Path::new("/opt/python"));
    assert_eq!(slot.target, "rt/python");
    assert_eq!(slot.include, ["bin/**", "lib/**"]);
    assert_eq!(slot.exclude, ["**/test"]);
    assert_eq!(
        (slot.lifecycle, slot.purpose),
        (Lifecycle::Volatile, Purpose::Runtime)
    );
    assert_eq!(slot.platforms, ["linux_amd64", "windows_arm64"]);
    assert_eq!(slot.compression, Compression::Zstd { level: 22 });
    assert_eq!((slot.mutable, slot.permissions), (true, Some(0o750)));
    assert_eq!((slot.times, slot.modes), (SlotTimes::Keep, SlotModes::Keep));
    assert_eq!(project.slots[1].compression, Compression::None);
    assert_eq!(
        project.command,
        Command {
            exec: "{workenv}/rt/python/bin/python3.11".into(),
            args: texts(&["-m", "app", ""]),
            env: map(&[("A", "1")]),
            cwd: Some("{workenv}".into()),
            line: 33,
        }
    );
    assert_eq!(project.commands["serve.https"].exec, "/usr/bin/env");
    assert_eq!(project.setup[0].argv(), ["/bin/anything", "x"]);
    assert_eq!(
        project.env,
        EnvRules {
            unset: texts(&["PYTHON*", "LD_LIBRARY_PATH"]),
            pass: texts(&["*"]),
            map: map(&[("OLD", "NEW")]),
            set: map(&[("DIR", "{package_dir}/config")]),
        }
    );
    assert_eq!(
        project.policy,
        Some(Policy {
            platforms: texts(&["linux_amd64"]),
            refuse_root: true,
            require_env: texts(&["HOME"]),
            max_age_days: 90,
        })
    );
    let icon = Some(dir.path().join("icon.png"));
    assert_eq!(
        project.desktop,
        Some(Desktop {
            icon,
            terminal: false
        })
    );
    assert_eq!(
        project.sign,
        Some(Sign {
            key: KeySource::Env("KEY".into()),
            public_key: None
        })
    );
}

#[test]
fn sections_have_defaults_of_their_own() {
    let (_dir, project) = load(&format!("{LEAST}[policy]\n[desktop]\n"));
    let project = project.unwrap();
    assert_eq!(project.policy, Some(Policy::default()));
    assert_eq!(
        project.desktop,
        Some(Desktop {
            icon: None,
            terminal: true
        })
    );
}

#[test]
fn keys_come_from_three_places() {
    for (key, source) in [
        ("env:NAME", KeySource::Env("NAME".into())),
        (
            "cmd:sign --with kms",
            KeySource::Command("sign --with kms".into()),
        ),
        ("/etc/key.pem", KeySource::File("/etc/key.pem".into())),
    ] {
        let (_dir, project) = load(&format!("{LEAST}[sign]\nkey = \"{key}\"\n"));
        assert_eq!(
            project.unwrap().sign,
            Some(Sign {
                key: source,
                public_key: None
            })
        );
    }
    let (dir, project) = load(&format!("{LEAST}[sign]\nkey = \"keys/my.pem\"\n"));
    let key = KeySource::File(dir.path().join("keys/my.pem"));
    assert_eq!(
        project.unwrap().sign,
        Some(Sign {
            key,
            public_key: None
        })
    );
}

#[test]
fn a_program_has_a_public_key_beside_it() {
    let sign = "[sign]\nkey = \"cmd:sign\"\npublic-key = \"release.pub\"\n";
    let (dir, project) = load(&format!("{LEAST}{sign}"));
    assert_eq!(
        project.unwrap().sign,
        Some(Sign {
            key: KeySource::Command("sign".into()),
            public_key: Some(dir.path().join("release.pub"))
        })
    );
}

#[test]
fn names_in_metadata_and_manifest_are_the_same() {
    for lifecycle in Lifecycle::ALL {
        let line = format!("source = \"x\"\nlifecycle = \"{}\"", lifecycle.name());
        let text = LEAST.replace("source = \"build\"", &line);
        // Not every slot is there when a command is started.
        let (_dir, project) = load(&text.replace("{workenv}/files/run", "/bin/sh"));
        assert_eq!(project.unwrap().slots[0].lifecycle, *lifecycle);
    }
    for purpose in Purpose::ALL {
        let line = format!("source = \"x\"\npurpose = \"{}\"", purpose.name());
        let (_dir, project) = load(&LEAST.replace("source = \"build\"", &line));
        assert_eq!(project.unwrap().slots[0].purpose, *purpose);
    }
}

#[test]
fn flavor_toml_comes_before_pyproject() {
    let tool = LEAST
        .replace("[[", "[[tool.flavor.")
        .replace("\n[p", "\n[tool.flavor.p")
        .replace("\n[c", "\n[tool.flavor.c");
    let both = directory(&[("flavor.toml", LEAST), ("pyproject.toml", &tool)]);
    assert_eq!(
        manifest::find(both.path()).unwrap(),
        both.path().join("flavor.toml")
    );

    let python = directory(&[(
        "pyproject.toml",
        &format!("[project]\nname = \"x\"\n{tool}"),
    )]);
    let found = manifest::find(python.path()).unwrap();
    assert_eq!(found, python.path().join("pyproject.toml"));
    let project = manifest::load(&found).unwrap();
    assert_eq!(
        (project.package.name.as_str(), project.slots.len()),
        ("app", 1)
    );

    let wrong = directory(&[("pyproject.toml", &tool.replace("source", "sauce"))]);
    let error = manifest::load(&wrong.path().join("pyproject.toml")).unwrap_err();
    assert_eq!(
        without(&error.to_string(), wrong.path()),
        "pyproject.toml:8: unknown key `sauce` in [[tool.flavor.slot]]"
    );
}

#[test]
fn without_a_manifest_the_error_says_what_was_looked_for() {
    let help = "`flavor init` writes one for a Python, Node, Rust or Go project; a manifest holds at least `[package]` with `name` and `version`, a `[[slot]]` with \
                `id` and `source`, and `[command]` with `exec`";
    let empty = directory(&[]);
    let error = manifest::find(empty.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: no manifest: there is no `flavor.toml`, and no `pyproject.toml`",
            empty.path().display()
        )
    );
    assert_eq!(error.help(), help);

    let python = directory(&[("pyproject.toml", "[tool.other]\nx = 1\n")]);
    let error = manifest::find(python.path()).unwrap_err();
    assert!(
        error.to_string().ends_with(
            ": no manifest: there is no `flavor.toml`, and `pyproject.toml` has no `[tool.flavor]`"
        ),
        "{error}"
    );
    let error = manifest::load(&python.path().join("pyproject.toml")).unwrap_err();
    assert_eq!(
        without(&error.to_string(), python.path()),
        "pyproject.toml: there is no `[tool.flavor]` in it"
    );
    assert_eq!(error.help(), help);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let dir = directory(&[("flavor.toml", LEAST)]);
    let error = manifest::load(&dir.path().join("absent.toml")).unwrap_err();
    assert_eq!(
        without(&error.to_string(), dir.path()),
        "absent.toml: cannot read the manifest: No such file or directory (os error 2)"
    );
    assert!(error.help().contains("--manifest"));

    fs::write(dir.path().join("flavor.toml"), b"\xff").unwrap();
    let error = manifest::load(&dir.path().join("flavor.toml")).unwrap_err();
    assert_eq!(
        without(&error.to_string(), dir.path()),
        "flavor.toml: the manifest is not UTF-8 text"
    );
    assert_eq!(error.help(), "save it as UTF-8");
}

#[test]
fn the_number_of_slots_is_limited() {
    let mut text = LEAST.to_owned();
    for number in 0..4096 {
        text += &format!("[[slot]]\nid = \"s{number}\"\nsource = \"x\"\n");
    }
    let (message, help) = refused(&text);
    assert_eq!(
        message,
        "flavor.toml: there are 4097 slots; a package holds at most 4096"
    );
    assert_eq!(help, "put what belongs together into one directory");
}

#[test]
fn long_values_are_shortened_in_messages() {
    let (message, _) = refused(&LEAST.replace("\"app\"", &format!("\"{}\"", "Ä".repeat(100))));
    assert!(
        message.ends_with(&format!("but is \"{}...", "Ä".repeat(39))),
        "{message}"
    );
}

#[test]
fn commands_are_checked_against_the_content() {
    let text = LEAST.replace("files/run", "files/{package_name}-{version}")
        + "[commands.host]\nexec = \"/usr/bin/env\"\n\
           [commands.inner]\nexec = \"{workenv}/files/in/x\"\n\
           [[slot]]\nid = \"in\"\nsource = \"y\"\ntarget = \"files/in\"\n\
           [[setup]]\nexec = \"{workenv}/files/setup\"\n";
    let (dir, project) = load(&text);
    let project = project.unwrap();
    let all: [&[u8]; 3] = [b"files/app-1.0", b"files/in/x", b"files/setup"];
    let found = project.check_commands("linux_amd64", |path| all.contains(&path));
    found.unwrap();

    for (absent, message) in [
        (
            all[0],
            "flavor.toml:11: [command] starts `{workenv}/files/{package_name}-{version}`, \
             which is not in the slot `files`",
        ),
        (
            all[1],
            "flavor.toml:15: [commands.inner] starts `{workenv}/files/in/x`, \
             which is not in the slot `in`",
        ),
        (
            all[2],
            "flavor.toml:21: [[setup]] starts `{workenv}/files/setup`, \
             which is not in the slot `files`",
        ),
    ] {
        let error = project
            .check_commands("linux_amd64", |path| path != absent)
            .unwrap_err();
        assert_eq!(without(&error.to_string(), dir.path()), message);
        assert!(error.help().starts_with("check the path"));
    }
}
