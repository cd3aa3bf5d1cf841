//! Packages of one project for several targets.
//!
//! Whether this `flavor` carries a launcher for arm64 depends on what was built before it, so the tests bring their own: for
//! this machine the real one, and for arm64 a file that has an ELF header for it and is never started. That the real
//! one starts is tested in the test kit.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const TARGETS: [&str; 2] = ["linux_amd64", "linux_arm64"];

/// A slot of several frames for all targets, one more for each, at the same place, and a small one in which they differ.
const MANIFEST: &str = r#"
[package]
name = "p"
version = "1"
[[slot]]
id = "data"
source = "data"
[[slot]]
id = "for-amd64"
source = "run-amd64"
target = "bin/run"
permissions = "0755"
platforms = ["linux_amd64"]
[[slot]]
id = "for-arm64"
source = "run-arm64"
target = "bin/run"
permissions = "0755"
platforms = ["linux_arm64", "darwin_arm64"]
[[slot]]
id = "notes"
source = "notes.tar"
[command]
exec = "{workenv}/bin/run"
"#;

struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Project {
        let project = Project(tempfile::tempdir().unwrap());
        fs::create_dir(project.path("data")).unwrap();
        for nth in 1..300_usize {
            let lines = (0..4_000_usize).map(|n| format!("{}\n", n.wrapping_mul(nth * 7919 + 1)));
            let content: String = lines.collect();
            fs::write(project.path(&format!("data/f{nth:03}")), content).unwrap();
        }
        for arch in ["amd64", "arm64"] {
            let program = format!("#!/bin/sh\necho for {arch}\n");
            project.write(&format!("run-{arch}"), program.as_bytes());
        }
        let tar = Command::new("tar")
            .args([
                "--create",
                "--file",
                "notes.tar",
                "--directory",
                "data",
                "f001",
            ])
            .current_dir(project.0.path())
            .status();
        assert!(tar.unwrap().success());
        project.write("flavor.toml", MANIFEST.as_bytes());
        let own = flavor::stubs::for_target("linux_amd64").unwrap().bytes;
        project.write("launchers/linux_amd64", own);
        project.write("launchers/linux_arm64", &elf_header(183));
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn command(&self, targets: &[&str], more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flavor"));
        command
            .current_dir(self.0.path())
            .env("FLAVOR_CACHE", self.path("cache"))
            .args(["pack", "--level", "6", "--json"])
            .args(["--launcher-bin", "launchers/{target}"])
            .args(targets.iter().flat_map(|target| ["--target", target]))
            .args(more);
        command
    }

    /// Packs, signed with a key for tests.
    fn pack(&self, targets: &[&str], more: &[&str]) -> Output {
        let signed = [&["--key-seed", "tests"], more].concat();
        self.command(targets, &signed).output().unwrap()
    }

    /// The document of a run that succeeds.
    fn packed(&self, targets: &[&str], more: &[&str]) -> Value {
        let output = self.pack(targets, more);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A program for `--private-key` that signs once, with the key of `test.pub`, and the second time does this.
    fn signer_of_one(&self, second: &str) -> String {
        let signer = self.path("sign");
        let script = format!(
            "#!/bin/sh\nif [ -e signed ]; then {second}; fi\n: > signed\ncat > text\n\
             openssl pkeyutl -sign -rawin -inkey key -in text\n"
        );
        self.write("sign", script.as_bytes());
        fs::set_permissions(&signer, fs::Permissions::from_mode(0o755)).unwrap();
        let pair = Command::new(env!("CARGO_BIN_EXE_flavor"))
            .args(["keygen", "--name", "test"])
            .current_dir(self.0.path())
            .output();
        assert!(pair.unwrap().status.success());
        fs::rename(self.path("test.key"), self.path("key")).unwrap();
        format!("cmd:sh {}", signer.display())
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

/// A 64-bit little-endian executable for this machine, without content.
fn elf_header(machine: u8) -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    (header[16], header[18], header[20]) = (2, machine, 1);
    (header[52], header[54], header[58]) = (64, 56, 64);
    header
}

fn ids(package: &Value) -> Vec<&str> {
    let slots = package["slots"].as_array().unwrap();
    slots
        .iter()
        .map(|slot| slot["id"].as_str().unwrap())
        .collect()
}

fn number(package: &Value, key: &str) -> u64 {
    package[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} in {package}"))
}

#[test]
fn each_target_gets_its_launcher_and_its_slots_and_what_it_gets_alone() {
    let project = Project::new();
    let report = project.packed(&TARGETS, &["--no-cache"]);
    let packages = report["packages"].as_array().unwrap();
    assert_eq!(packages.len(), 2);
    for (package, target) in packages.iter().zip(TARGETS) {
        let file = format!("dist/p-{target}.psp");
        assert_eq!(package["target"], target);
        assert!(package["file"].as_str().unwrap().ends_with(&file));
        let own = target.replace("linux_", "for-");
        assert_eq!(ids(package), ["data", &own, "notes"]);
        let bytes = project.read(&file);
        let launcher = project.read(&format!("launchers/{target}"));
        assert!(bytes.starts_with(&launcher) && bytes.len() as u64 == number(package, "size"));

        let alone = project.packed(&[target], &["--no-cache", "--output", "alone.psp"]);
        assert!(alone["packages"].is_null() && alone["slots_shared"].is_null());
        assert_eq!(alone["package_id"], package["package_id"]);
        assert!(project.read("alone.psp") == bytes, "{target}");
    }
    let inspect = Command::new(env!("CARGO_BIN_EXE_flavor"))
        .args(["inspect", "--json"])
        .arg(project.path("dist/p-linux_arm64.psp"))
        .output()
        .unwrap();
    let inspected: Value = serde_json::from_slice(&inspect.stdout).unwrap();
    assert_eq!(inspected["launcher"]["target"], "linux_arm64");

    let program = project.path("dist/p-linux_amd64.psp");
    let started = Command::new(program)
        .env("FLAVOR_CACHE", project.path("cache"))
        .output();
    assert_eq!(started.unwrap().stdout, b"for amd64\n");
}

/// With a cache, the frames of the second package would be found there; they are not even looked for.
#[test]
fn slots_that_are_the_same_are_compressed_once() {
    let project = Project::new();
    let cold = project.packed(&TARGETS, &[]);
    let (first, second) = (&cold["packages"][0], &cold["packages"][1]);
    assert_eq!(number(first, "cache_hits"), 0);
    let frames = number(first, "cache_misses");
    assert!(frames > 3, "{frames}");
    assert_eq!(
        (number(second, "cache_hits"), number(second, "cache_misses")),
        (0, 0)
    );
    // The directory, and the archive, which was unpacked once.
    assert_eq!(
        (
            number(first, "slots_shared"),
            number(second, "slots_shared")
        ),
        (0, 2)
    );
    assert_eq!(first["slots"][0]["sha256"], second["slots"][0]["sha256"]);

    let none = project.packed(&TARGETS, &["--no-cache"]);
    let second = &none["packages"][1];
    assert_eq!(
        (
            number(second, "cache_misses"),
            number(second, "slots_shared")
        ),
        (0, 2)
    );

    let alone = project.packed(&["linux_arm64"], &["--output", "alone.psp"]);
    assert_eq!(
        (number(&alone, "cache_hits"), number(&alone, "cache_misses")),
        (frames, 0)
    );
}

/// Nothing is in its place before everything is complete.
#[test]
fn one_that_fails_leaves_all_files_as_they_were() {
    let project = Project::new();
    let names = TARGETS.map(|target| format!("out/{target}"));
    for name in &names {
        project.write(name, b"old");
    }
    let output = ["--output", "out/{target}"];
    let refused = |output: Output, code: i32, message: &str| {
        let error: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(error["error"]["message"], message);
        assert_eq!(output.status.code(), Some(code));
        // No temporary file either.
        assert_eq!(fs::read_dir(project.path("out")).unwrap().count(), 2);
        assert_eq!(project.read(&names[0]), b"old");
    };

    // Known before anything is compressed: no slot for the second target has the command.
    let less = MANIFEST.replace("[\"linux_arm64\", \"darwin_arm64\"]", "[\"darwin_arm64\"]");
    project.write("flavor.toml", less.as_bytes());
    let message = "linux_arm64: ./flavor.toml:24: [command] starts `{workenv}/bin/run`, which is in no slot for \
                   linux_arm64, only in `for-amd64`, `for-arm64`";
    refused(project.pack(&TARGETS, &output), 2, message);
    assert_eq!(project.read(&names[1]), b"old");
    project.write("flavor.toml", MANIFEST.as_bytes());

    // Known when the first package is complete: whoever signs has signed one, and does not sign the second.
    let program = project.signer_of_one("echo had enough >&2; exit 1");
    let by_program = ["--private-key", &program, "--public-key", "test.pub"];
    let failed = project.command(&TARGETS, &[&by_program[..], &output].concat());
    let message = "linux_arm64: the signing program sh ended with exit status 1: had enough";
    refused({ failed }.output().unwrap(), 3, message);
    assert!(project.path("signed").exists());
    assert_eq!(project.read(&names[1]), b"old");

    // Known before the first one would be renamed: the place of the second is a directory.
    fs::remove_file(project.path(&names[1])).unwrap();
    fs::create_dir(project.path(&names[1])).unwrap();
    let message = "cannot write out/linux_arm64: Is a directory (os error 21)";
    refused(project.pack(&TARGETS, &output), 3, message);

    fs::remove_dir(project.path(&names[1])).unwrap();
    project.packed(&TARGETS, &output);
    assert!(names.iter().all(|name| project.read(name).len() > 1000));
}

/// The first package is complete and the second is being signed: neither that one nor a part of this one is left.
#[test]
fn a_signal_leaves_no_package() {
    let project = Project::new();
    for name in ["started", "wait"] {
        let mode = Mode::from_raw_mode(0o600);
        mknodat(CWD, project.path(name), FileType::Fifo, mode, 0).unwrap();
    }
    let program = project.signer_of_one("echo yes > started; read line < wait");
    let by_program = ["--private-key", &program, "--public-key", "test.pub"];
    let mut pack = project.command(&TARGETS, &by_program);
    let mut child = pack.stdout(Stdio::null()).spawn().unwrap();
    // Opens when the program is asked for the second time; a pack that fails before would be waited for without an end.
    let started = project.path("started");
    let started = std::thread::spawn(move || fs::read_to_string(started));
    while !started.is_finished() {
        assert!(child.try_wait().unwrap().is_none(), "pack has ended");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let in_dist = || fs::read_dir(project.path("dist")).unwrap().count();
    assert_eq!(in_dist(), 1, "the first package, under a temporary name");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = child.wait().unwrap();
    fs::write(project.path("wait"), "go\n").unwrap();
    assert_eq!(status.signal(), Some(Signal::INT.as_raw()));
    assert_eq!(in_dist(), 0);
}

#[test]
fn a_package_takes_in_neither_itself_nor_another_one_of_the_run() {
    let project = Project::new();
    let output = project.pack(&TARGETS, &["--output", "data/{target}.psp"]);
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    let message =
        "linux_amd64: slot data would pack data/linux_amd64.psp, the package that is being built";
    assert_eq!(error["error"]["message"], message);
    // The slot leaves out what is made from it, but not what is made from another.
    let manifest = MANIFEST.replace(
        "source = \"data\"\n",
        "source = \"data\"\nexclude = [\"linux_amd64*\"]\n",
    );
    project.write("flavor.toml", manifest.as_bytes());
    let output = project.pack(&TARGETS, &["--output", "data/{target}.psp"]);
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    let message =
        "linux_amd64: slot data would pack data/linux_arm64.psp, the package that is being built";
    assert_eq!(error["error"]["message"], message);
}

/// Said before anything is installed: an interpreter of this machine runs on no other.
#[test]
fn recipes_of_this_machine_say_so() {
    let project = Project::new();
    for (recipe, section) in [
        (
            "python",
            "[python]\nrequirements = [\"nothing-of-this-name\"]\nmodule = \"x\"\n",
        ),
        ("node", "[node]\nentry = \"main.js\"\n"),
    ] {
        let manifest = format!("[package]\nname = \"p\"\nversion = \"1\"\n{section}");
        project.write("flavor.toml", manifest.as_bytes());
        project.write("main.js", b"");
        project.write("package.json", b"{}");
        let output = project.pack(&TARGETS, &[]);
        let error: Value = serde_json::from_slice(&output.stdout).unwrap();
        let message = format!(
            "[{recipe}] packs what runs on this machine, linux_amd64, and the target is linux_arm64"
        );
        assert_eq!(error["error"]["message"], message);
        assert_eq!(output.status.code(), Some(2));
    }
    assert!(!project.path("dist").exists());
}

#[test]
fn sums_have_a_line_for_each() {
    let project = Project::new();
    project.packed(&TARGETS, &["--sums"]);
    let check = Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(project.path("dist"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&check.stdout),
        "p-linux_amd64.psp: OK\np-linux_arm64.psp: OK\n"
    );
}
