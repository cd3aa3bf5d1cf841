//! Manifests of flavorpack, built by its Rust builder and by ours, and what the application sees of either package.
//!
//! flavorpack lies in the virtual environment that `FLAVORPACK` names, or in `target/flavorpack`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use psp_testkit::app::App;
use psp_testkit::project::{Project, flavor, need, text};
use serde_json::{Value, json};

/// A program of flavorpack's virtual environment.
fn theirs(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let place =
        std::env::var_os("FLAVORPACK").map_or(root.join("target/flavorpack"), PathBuf::from);
    let helpers = || {
        let pythons = fs::read_dir(place.join("lib")).ok()?.flatten();
        let mut helpers = pythons.filter_map(|python| {
            fs::read_dir(python.path().join("site-packages/flavor/helpers/bin")).ok()
        });
        let mut files = helpers.next()?.flatten().map(|file| file.path());
        files.find(|file| {
            file.file_name()
                .is_some_and(|found| found.to_string_lossy().starts_with(name))
        })
    };
    let found = match place.join("bin").join(name) {
        program if program.exists() => Some(program),
        _ => helpers(),
    };
    found.unwrap_or_else(|| {
        let install = "python3 -m venv target/flavorpack && target/flavorpack/bin/pip install flavorpack==0.5.4";
        panic!("flavorpack is needed for this test: {install}")
    })
}

/// A project with sources of several kinds, and an application that tells what it sees.
fn project() -> Project {
    need("tar", "apt-get install tar");
    need("gzip", "apt-get install gzip");
    let project = Project::new();
    let application = r#"#!/bin/sh
for word in "$@"; do printf '<%s>' "$word"; done; echo
env | grep -E '^(ONE|TWO|THREE|KEPT|NEW|HOME|FLAVOR_COMMAND_NAME)=' | sort
echo "$FLAVOR_WORKENV"
cd "$FLAVOR_WORKENV" && find . -type f | sort && cat etc/* data/* lib/*
"#;
    project.file("run.sh", 0o755, application.as_bytes());
    project.file("tree/lib/x.txt", 0o644, b"in the archive\n");
    project.file("plain", 0o644, b"compressed\n");
    run(
        Command::new("tar").args(["-C", "tree", "-czf", "tree.tgz", "lib"]),
        &project,
    );
    run(Command::new("gzip").arg("plain"), &project);
    project
}

fn run(command: &mut Command, project: &Project) -> Output {
    let output = command.current_dir(project.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

/// What both builders take.
fn manifest() -> Value {
    json!({
        "package": {"name": "demo", "version": "1.0"},
        "slots": [
            {"id": "run", "source": "run.sh", "target": "{workenv}/bin/run", "operations": "none", "permissions": "0755",
             "purpose": "payload", "lifecycle": "runtime"},
            {"id": "tree", "source": "tree.tgz", "target": "{workenv}", "operations": "tgz",
             "purpose": "runtime", "lifecycle": "cache"},
            {"id": "plain", "source": "plain.gz", "target": "data/plain", "operations": "gzip",
             "purpose": "payload", "lifecycle": "runtime"},
            {"id": "gone", "source": "run.sh", "target": "gone", "operations": "none",
             "purpose": "payload", "lifecycle": "init"},
        ],
        "execution": {
            "command": "{workenv}/bin/run 'a \"b' \"c 'd\" {slot:2} {version}",
            "env": {"ONE": "{workenv}/1", "TWO": "{package_name}-{version}"},
        },
        "runtime": {"env": {"unset": ["GONE*"], "pass": ["KEPT"], "map": {"OLD": "NEW"}, "set": {"THREE": "3"}}},
        "workenv": {"directories": [{"path": "{workenv}/etc"}], "env": {"HOME": "{workenv}/home"}},
        "setup_commands": [
            {"type": "write_file", "path": "{workenv}/etc/1", "content": "{package_name}-{version}\n"},
            {"type": "execute", "command": "/bin/sh -c 'echo \"ran $0\" > {workenv}/etc/2' 'a b'"},
            {"type": "enumerate_and_execute", "command": "/bin/sh -c 'basename $1 >> {workenv}/etc/3' sh",
             "enumerate": {"path": "{workenv}/lib", "pattern": "*.txt"}},
            {"type": "chmod", "path": "{workenv}/etc/2", "mode": "0700"},
        ],
    })
}

/// Packs with ours.
fn pack(project: &Project, manifest: &Value) -> Output {
    project.file("x.json", 0o644, manifest.to_string().as_bytes());
    flavor()
        .args([
            "pack",
            "-m",
            "x.json",
            "-o",
            "dist/demo.psp",
            "--key-seed",
            "a text",
            "--json",
        ])
        .args(["--level", "1", "--log-level", "error"])
        .current_dir(project.path())
        .output()
        .unwrap()
}

/// Packs with flavorpack's Rust builder, in front of it its Rust launcher.
fn pack_theirs(project: &Project, manifest: &Value) -> PathBuf {
    project.file("x.json", 0o644, manifest.to_string().as_bytes());
    let mut builder = Command::new(theirs("flavor-rs-builder"));
    builder.args([
        "--manifest",
        "x.json",
        "--output",
        "theirs/demo.psp",
        "--key-seed",
        "a text",
    ]);
    builder
        .arg("--launcher-bin")
        .arg(theirs("flavor-rs-launcher"));
    fs::create_dir_all(project.path().join("theirs")).unwrap();
    run(&mut builder, project);
    project.path().join("theirs/demo.psp")
}

/// What the application says, with the work environment called the same for both.
fn said(project: &Project, package: &Path) -> String {
    let cache = project.cache();
    let output = project
        .start(package)
        .args(["the person's", "\\"])
        .env("FLAVOR_CACHE_DIR", &cache)
        .env("FLAVOR_LOG_LEVEL", "error")
        .envs([
            ("GONE1", "1"),
            ("KEPT", "1"),
            ("OLD", "2"),
            ("HOME", "/nowhere"),
        ])
        .current_dir("/")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout).into_owned();
    let is_workenv = |line: &&str| line.starts_with(&cache.display().to_string());
    let workenv = said
        .lines()
        .find(is_workenv)
        .unwrap_or_else(|| panic!("{said}"));
    said.replace(workenv, "(workenv)")
}

#[test]
fn an_application_sees_the_same_whoever_built_it() {
    let project = project();
    let packed = pack(&project, &manifest());
    assert!(packed.status.success(), "{}", text(&packed.stderr));
    let ours = said(&project, &project.output());
    let theirs = said(&project, &pack_theirs(&project, &manifest()));
    assert_eq!(ours, theirs);
    let expected = [
        "<a \"b><c 'd><(workenv)/data/plain><1.0><the person's><\\>",
        "FLAVOR_COMMAND_NAME=demo.psp",
        "HOME=(workenv)/home",
        "KEPT=1",
        "NEW=2",
        "ONE=(workenv)/1",
        "THREE=3",
        "TWO=demo-1.0",
        "(workenv)",
        "./bin/run",
        "./data/plain",
        "./etc/1",
        "./etc/2",
        "./etc/3",
        "./lib/x.txt",
        "demo-1.0",
        "ran a b",
        "x.txt",
        "compressed",
        "in the archive",
    ];
    assert_eq!(ours.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_key_seed_gives_the_key_of_flavorpack() {
    let project = project();
    let packed = pack(&project, &manifest());
    let packed: Value = serde_json::from_slice(&packed.stdout).unwrap();
    // The index at the end of the file, and the fingerprint in it as text.
    let theirs = fs::read(pack_theirs(&project, &manifest())).unwrap();
    let index = &theirs[theirs.len() - 8196..];
    assert_eq!(
        packed["signer"],
        String::from_utf8_lossy(&index[1376..1440]).as_ref()
    );
}

#[test]
fn what_flavorpack_refuses_or_does_not_do_works() {
    let project = project();
    // Its builders look for it where the person is.
    project.file("base/more/y.txt", 0o644, b"");
    run(
        Command::new("tar").args(["-C", "base", "-cf", "base/more.tar", "more"]),
        &project,
    );
    let mut manifest = manifest();
    manifest["slots"].as_array_mut().unwrap().extend([
        json!({"id": "dir", "source": "tree", "target": "dir", "operations": "tar.zst"}),
        json!({"id": "more", "source": "{workenv}/more.tar", "target": "elsewhere", "operations": "tar"}),
        json!({"id": "kept", "source": "tree.tgz", "target": "data/tree.tgz"}),
    ]);
    manifest["execution"]["command"] = "{workenv}/bin/list".into();
    project.file(
        "list.sh",
        0o755,
        b"#!/bin/sh\ncd \"$FLAVOR_WORKENV\" && find . -printf '%m %p\\n' | sort -k 2\n",
    );
    manifest["slots"][0] = json!({"id": "list", "source": "list.sh", "target": "bin/list"});
    manifest["workenv"]["directories"] =
        json!([{"path": "{workenv}/etc", "mode": "0711"}, {"path": "{workenv}/tmp"}]);
    manifest["setup_commands"] = json!([
        {"type": "write_file", "path": "{workenv}/etc/a", "content": "", "mode": "0604"},
        {"type": "chmod", "path": "{workenv}/lib/*.txt", "mode": "0640"},
        {"type": "write_file", "path": "{workenv}/new/where", "content": "{workenv}"},
        {"type": "execute", "command": "/bin/sh -c 'echo $ONE > \"$FLAVOR_WORKENV/etc/env\"'", "env": {"ONE": "1"}},
    ]);
    manifest["cache_validation"] =
        json!({"check_file": "{workenv}/etc/env", "expected_content": "1"});
    project.file("x.json", 0o644, manifest.to_string().as_bytes());
    let packed = flavor()
        .args([
            "pack",
            "-m",
            "x.json",
            "-o",
            "dist/demo.psp",
            "--key-seed",
            "a text",
            "--level",
            "1",
        ])
        .args(["--workenv-base", "base"])
        .current_dir(project.path())
        .output()
        .unwrap();
    assert!(packed.status.success(), "{}", text(&packed.stderr));
    let note = "slot more: unpacked at the top of the work environment, as flavorpack does it";
    assert!(
        text(&packed.stderr).contains(note),
        "{}",
        text(&packed.stderr)
    );

    // A cache with a space in its path, which breaks every package of flavorpack.
    let cache = project.path().join("a cache");
    let output = project
        .start(&project.output())
        .env("FLAVOR_CACHE", &cache)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let found = text(&output.stdout).into_owned();
    for line in [
        "755 ./bin/list",
        "644 ./data/tree.tgz",
        "644 ./dir/lib/x.txt",
        "711 ./etc",
        "604 ./etc/a",
        "640 ./lib/x.txt",
        "644 ./new/where",
        "700 ./tmp",
    ] {
        assert!(found.lines().any(|found| found == line), "{line}: {found}");
    }
    assert!(
        found.contains("./more/y.txt") && !found.contains("elsewhere"),
        "{found}"
    );
    assert!(!found.contains("./gone"), "{found}");
}

#[test]
fn a_file_that_is_not_as_cache_validation_says_fails_the_first_start() {
    let project = project();
    let mut manifest = manifest();
    manifest["cache_validation"] =
        json!({"check_file": "{workenv}/etc/2", "expected_content": "ran"});
    assert!(pack(&project, &manifest).status.success());
    let output = project.start(&project.output()).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("etc/2 does not hold: ran"),
        "{}",
        text(&output.stderr)
    );
    let envs = project.cache().join("envs");
    assert_eq!(fs::read_dir(envs).map_or(0, Iterator::count), 0);
}

#[test]
fn archives_that_lie_over_each_other_are_refused() {
    let project = project();
    project.file("tree/top", 0o644, b"");
    run(
        Command::new("tar").args(["-C", "tree", "-cf", "a.tar", "."]),
        &project,
    );
    run(
        Command::new("tar").args(["-C", "tree", "-cf", "b.tar", "."]),
        &project,
    );
    let mut manifest = manifest();
    manifest["slots"][1]["source"] = "a.tar".into();
    manifest["slots"][2] =
        json!({"id": "b", "source": "b.tar", "target": "{workenv}", "operations": "tar"});
    let packed = pack(&project, &manifest);
    assert_eq!(packed.status.code(), Some(2));
    let said = text(&packed.stdout);
    let expected = "slots tree and b are both unpacked at . in the work environment";
    assert!(said.contains(expected), "{said}");
}

/// Makes a wheel with a script, and the manifest that flavorpack's own tool gives its builders for a Python project.
const WRITE_MANIFEST: &str = r#"
import json, sys, zipfile
from pathlib import Path
from flavor.packaging.orchestrator_helpers import create_builder_manifest

Path("wheels").mkdir()
info = "hello_app-1.2.dist-info/"
files = {
    "hello_app.py": "import os, sys\ndef main(): print('hello', sys.argv[1:], os.environ['HOME'], sys.executable)\n",
    info + "METADATA": "Metadata-Version: 2.1\nName: hello-app\nVersion: 1.2\n",
    info + "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    info + "entry_points.txt": "[console_scripts]\nhello-app = hello_app:main\n",
}
record = "".join(f"{name},,\n" for name in [*files, info + "RECORD"])
with zipfile.ZipFile("wheels/hello_app-1.2-py3-none-any.whl", "w") as wheel:
    for name, text in {**files, info + "RECORD": record}.items():
        wheel.writestr(name, text)
slots = {"uv": "uv.gz", "python": "python.tgz", "wheels": "wheels.tgz"}
scripts = {"cli_scripts": {"hello-app": "hello_app:main"}}
keys = {"private": None, "public": None}
json.dump(create_builder_manifest("hello-app", "1.2", scripts, slots, keys), open("x.json", "w"))
"#;

#[test]
fn the_manifest_that_flavorpacks_tool_writes_for_a_python_project_builds_and_installs_it() {
    let project = Project::new();
    // An interpreter that can be moved.
    let app = App::pack("httpie");
    let python = app.tree.join("rt");
    run(
        Command::new(theirs("python")).args(["-c", WRITE_MANIFEST]),
        &project,
    );
    run(
        Command::new("tar")
            .arg("-C")
            .arg(python)
            .args(["-czf", "python.tgz", "."]),
        &project,
    );
    run(
        Command::new("tar").args(["-czf", "wheels.tgz", "wheels"]),
        &project,
    );
    fs::copy(theirs("uv"), project.path().join("uv")).unwrap();
    run(Command::new("gzip").arg("uv"), &project);
    let manifest = fs::read(project.path().join("x.json")).unwrap();
    let packed = pack(&project, &serde_json::from_slice(&manifest).unwrap());
    assert!(packed.status.success(), "{}", text(&packed.stderr));

    for _first_and_later in 0..2 {
        let output = project
            .start(&project.output())
            .arg("a b")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said = text(&output.stdout).into_owned();
        let envs = project.cache().join("envs");
        assert!(
            said.starts_with(&format!("hello ['a b'] {}", envs.display())),
            "{said}"
        );
        assert!(said.trim_end().ends_with("/bin/python3"), "{said}");
    }
}

/// The first column of a table of the page for people who come from flavorpack.
fn documented(heading: &str) -> BTreeSet<String> {
    let page =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../builder/docs/migrating-from-flavorpack.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let first = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    section.lines().filter_map(first).collect()
}

fn help(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .arg("--help")
        .output()
        .unwrap();
    text(&output.stdout).into_owned()
}

#[test]
fn the_page_about_flavorpack_has_each_of_its_commands_and_flags() {
    let tool = theirs("flavor");
    let said = help(&tool, &[]);
    let (_, commands) = said.split_once("Commands:").unwrap();
    let commands: BTreeSet<String> = commands
        .lines()
        .filter_map(|line| {
            line.strip_prefix("  ")?
                .split_whitespace()
                .next()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(documented("Commands"), commands);

    let mut flags = BTreeSet::new();
    for said in [
        help(&tool, &["pack"]),
        help(&theirs("flavor-rs-builder"), &[]),
        help(&theirs("flavor-go-builder"), &[]),
    ] {
        let options = said.split_once("Options:").or(said.split_once("Flags:"));
        let words = options
            .unwrap()
            .1
            .split(|c: char| c.is_whitespace() || c == ',' || c == '/');
        let is_flag = |word: &&str| word.len() > 2 && word.starts_with("--");
        flags.extend(
            words
                .filter(is_flag)
                .map(|word| word.trim_end_matches(['.', ')']).to_owned()),
        );
    }
    flags.retain(|flag| flag != "--help" && flag != "--version");
    assert_eq!(documented("Flags of `pack`"), flags);
}
