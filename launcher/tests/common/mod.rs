//! Packages made of the stub that cargo has just built, and ways to start them.
#![allow(dead_code, clippy::panic)] // each test program uses a part

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use psp_format::digest::{Checksum, Digest};
use psp_format::encode::{place, slot_ids};
use psp_format::metadata::{
    self, Build, Execution, FORMAT, Launcher, Lifecycle, Map, Metadata, PROFILE, Platform, Purpose,
    Slot,
};
use psp_format::ops::Operations;
use psp_format::range::widen;
use psp_format::signature::PrivateKey;
use psp_launcher::plan::{ARCH, OS, PLATFORM};

/// What cannot happen in a test that works.
pub(crate) fn must<T, E: core::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// A directory with a home, and with everything that a test starts in it.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Default for Place {
    fn default() -> Place {
        let dir = must(tempfile::tempdir());
        must(std::fs::create_dir(dir.path().join("home")));
        Place { dir }
    }
}

impl Place {
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a package whose application is a shell script.
    pub(crate) fn script(&self, name: impl AsRef<Path>, script: &str) -> PathBuf {
        self.package(name, script, |_| {})
    }

    /// The same, with other metadata.
    pub(crate) fn package(
        &self,
        name: impl AsRef<Path>,
        script: &str,
        change: impl FnOnce(&mut Metadata),
    ) -> PathBuf {
        let script = format!("#!/bin/sh\n{script}\n");
        let path = self.path(name);
        write_executable(&path, &package(&[("bin/app", script.as_bytes())], change));
        path
    }

    /// A command with an empty environment but for `PATH` and a home of its own.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// Starts a program with these arguments and waits for it.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, args: &[A]) -> Output {
        output(self.command(program).args(args))
    }

    /// Runs a shell script.
    pub(crate) fn sh(&self, script: &str) -> Output {
        self.run("/bin/sh", &["-c", script])
    }
}

/// Waits for a program. Another thread that starts one may hold the file that this thread has just written.
pub(crate) fn output(command: &mut Command) -> Output {
    for _ in 0..100 {
        match command.output() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return must(result),
        }
    }
    panic!("the file stays busy")
}

/// Starts a program, likewise.
pub(crate) fn spawn(command: &mut Command) -> Child {
    for _ in 0..100 {
        match command.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return must(result),
        }
    }
    panic!("the file stays busy")
}

/// Writes a program that can be started at once. Another process writes it: a handle of this one could be inherited by
/// whatever another thread starts at the same time, and the file would be busy for as long as that one has it.
pub(crate) fn write_executable(path: &Path, bytes: &[u8]) {
    let source = must(tempfile::NamedTempFile::new());
    must(std::fs::write(source.path(), bytes));
    let copied = Command::new("cp").arg(source.path()).arg(path).status();
    assert!(must(copied).success());
    must(std::fs::set_permissions(
        path,
        PermissionsExt::from_mode(0o755),
    ));
}

/// The standard output of a program that ended well, as text.
pub(crate) fn text(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asserts that a start failed with this code and a message with these parts, and wrote nothing to standard output.
pub(crate) fn assert_refused(output: &Output, code: i32, parts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "no {part:?} in: {stderr}");
    }
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(
        matches!(lines[..], [fact, help] if fact.starts_with("error: ") && help.starts_with("help: ")),
        "{stderr}"
    );
    assert!(output.stdout.is_empty());
}

/// The launcher: the one that cargo has just built, or `FLAVOR_TEST_STUB`, so that the small static one can be tried.
pub(crate) fn stub() -> Vec<u8> {
    let built = env!("CARGO_BIN_EXE_psp-stub").into();
    let path = std::env::var_os("FLAVOR_TEST_STUB").unwrap_or(built);
    must(std::fs::read(path))
}

/// The bytes of a package with these files, whose default command is `{workenv}/bin/app`.
pub(crate) fn package(files: &[(&str, &[u8])], change: impl FnOnce(&mut Metadata)) -> Vec<u8> {
    package_by(&PrivateKey::from_text_seed("test"), files, change)
}

/// The same, signed by this key.
pub(crate) fn package_by(
    signer: &PrivateKey,
    files: &[(&str, &[u8])],
    change: impl FnOnce(&mut Metadata),
) -> Vec<u8> {
    let stub = stub();
    let slots = files.iter().zip(slot_ids(files.len()));
    let mut metadata = Metadata {
        build: Build {
            platform: Platform {
                arch: ARCH.into(),
                os: OS.into(),
            },
            timestamp: "2025-01-02T03:04:05Z".into(),
            tool: "test".into(),
            tool_version: "1".into(),
        },
        commands: Map::new(),
        desktop: None,
        execution: Execution {
            argv: vec!["{workenv}/bin/app".into()],
            command: "{workenv}/bin/app".into(),
            cwd: None,
            env: Map::new(),
        },
        format: FORMAT.into(),
        launcher: Launcher {
            capabilities: vec![],
            checksum: Checksum(Digest::of(&stub)),
            size: widen(stub.len()),
            target: PLATFORM.into(),
            tool: "test".into(),
            tool_version: "1".into(),
        },
        package: metadata::Package {
            authors: vec![],
            description: None,
            homepage: None,
            license: None,
            name: "demo".into(),
            version: "1.2".into(),
        },
        policy: None,
        profile: PROFILE.into(),
        runtime: None,
        setup: vec![],
        slots: slots
            .map(|((target, bytes), id)| file_slot(id, target, bytes))
            .collect(),
    };
    change(&mut metadata);
    let (_, head) = must(place(metadata));
    let mut out = [&stub[..], &head.bytes].concat();
    let to = |at: u64| must(usize::try_from(at));
    for (range, (_, bytes)) in head.layout.slots.iter().zip(files) {
        out.resize(to(range.start()), 0);
        out.extend(*bytes);
    }
    out.resize(to(head.layout.trailer.start()), 0);
    out.extend(head.signed_trailer(signer));
    out
}

fn file_slot(id: u64, target: &str, bytes: &[u8]) -> Slot {
    Slot {
        checksum: Checksum(Digest::of(bytes)),
        id: format!("s{id}"),
        lifecycle: Lifecycle::Cached,
        mode: 0o755,
        mutable: false,
        offset: 0,
        operations: Operations::None,
        operations_code: 0,
        original_size: widen(bytes.len()),
        purpose: Purpose::Payload,
        size: widen(bytes.len()),
        slot: id,
        source: String::new(),
        target: target.into(),
    }
}

/// A file of a package, with the lifecycle of its slot.
pub(crate) type LivingFile<'a> = (&'a str, &'a [u8], Lifecycle);

impl Place {
    /// Writes a package whose application is this program, with files of these lifecycles beside it.
    pub(crate) fn living(
        &self,
        name: impl AsRef<Path>,
        app: &[u8],
        files: &[LivingFile<'_>],
        change: impl FnOnce(&mut Metadata),
    ) -> PathBuf {
        let mut contents = vec![("bin/app", app)];
        contents.extend(files.iter().map(|(target, bytes, _)| (*target, *bytes)));
        let bytes = package(&contents, |metadata| {
            for (slot, (_, _, lifecycle)) in metadata.slots.iter_mut().skip(1).zip(files) {
                slot.lifecycle = *lifecycle;
                slot.mode = 0o644;
            }
            change(metadata);
        });
        let path = self.path(name);
        write_executable(&path, &bytes);
        path
    }

    /// The names in a directory of the store, sorted.
    pub(crate) fn stored(&self, directory: &str) -> Vec<String> {
        let path = self.path("home/.cache/flavor").join(directory);
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// Waits until something is so, for at most half a minute.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("after half a minute there is still not: {what}")
}
