//! Projects in temporary directories, packed and started with the real programs.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::writer::TRAILER_SIZE;

/// The `flavor` command, built once for this test run.
pub fn flavor() -> Command {
    static FLAVOR: OnceLock<PathBuf> = OnceLock::new();
    let path = FLAVOR.get_or_init(|| {
        let built = escargot::CargoBuild::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
            .package("flavor")
            .bin("flavor")
            .run();
        built
            .unwrap_or_else(|e| panic!("building flavor: {e}"))
            .path()
            .to_path_buf()
    });
    let mut command = Command::new(path);
    // What the person running the tests has set must not change their outcome.
    for name in [
        "FLAVOR_CACHE",
        "FLAVOR_COMMAND",
        "SOURCE_DATE_EPOCH",
        "FLAVOR_CONFIG_DIR",
        "FLAVOR_TRUSTED_KEYS_DIR",
        "XDG_CONFIG_HOME",
    ] {
        command.env_remove(name);
    }
    command
}

/// Fails with the command that installs a missing tool.
pub fn need(tool: &str, install: &str) {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(tool).exists()));
    assert!(found, "{tool} is needed for this test: {install}");
}

/// Writes a file that will be executed: by another process, since whatever another thread starts inherits what this one has
/// open for writing, and the kernel executes no such file ("Text file busy").
pub fn write_program(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut source = tempfile::NamedTempFile::new()?;
    source.write_all(content)?;
    copy_program(source.path(), path)
}

/// Copies a file that will be executed, likewise.
pub fn copy_program(from: &Path, to: &Path) -> std::io::Result<()> {
    let status = Command::new("cp").arg(from).arg(to).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(std::io::Error::other("cp failed")),
    }
}

/// Output as text.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The launcher that `flavor` embeds, as it stands in a package.
pub fn launcher() -> &'static [u8] {
    static LAUNCHER: OnceLock<Vec<u8>> = OnceLock::new();
    LAUNCHER.get_or_init(|| {
        let project = Project::new();
        project.file("app/run", 0o755, b"#!/bin/sh\n");
        project.manifest(MANIFEST);
        let mut package = fs::read(project.pack()).unwrap_or_else(|e| panic!("{e}"));
        // SPEC.md, 2: 16 bytes into the index, which stands behind 4 bytes of magic.
        let at = package.len() - TRAILER_SIZE + 4 + 16;
        let size = package[at..].first_chunk().copied().map(u64::from_le_bytes);
        let size = size.and_then(|size| usize::try_from(size).ok());
        package.truncate(size.expect("a size in the index"));
        package
    })
}

/// The manifest of most projects here: one slot with the program `app/run`.
pub const MANIFEST: &str = r#"
    [package]
    name = "demo"
    version = "1"
    [[slot]]
    id = "app"
    source = "app"
    [command]
    exec = "{workenv}/app/run"
"#;

/// A directory with a manifest, a cache of its own and the package built from it.
pub struct Project {
    directory: tempfile::TempDir,
}

impl Default for Project {
    fn default() -> Project {
        Project::new()
    }
}

impl Project {
    /// An empty project.
    pub fn new() -> Project {
        let directory = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        Project { directory }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The cache that its package uses.
    pub fn cache(&self) -> PathBuf {
        self.path().join("cache")
    }

    /// Where [`Project::pack`] puts the package.
    pub fn output(&self) -> PathBuf {
        self.path().join("dist/demo.psp")
    }

    /// Runs a `pack` that must end with this status: it says one line of fact and one of help, with these words in them, and
    /// leaves neither a package nor anything in the temporary directory.
    pub fn refuses(&self, pack: &mut Command, status: i32, fact: &str, help: &str) {
        let scratch = self.path().join("scratch");
        fs::create_dir_all(&scratch).unwrap_or_else(|e| panic!("{e}"));
        let output = pack.env("TMPDIR", &scratch).output();
        let output = output.unwrap_or_else(|e| panic!("{e}"));
        let said = text(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{said}");
        // The two lines of the warning about keys that are derived from a text.
        let is_about_keys =
            |line: &&str| line.contains("--key-seed") || line.contains("derived from a text");
        let lines = said.lines().filter(|line| !is_about_keys(line));
        assert_eq!(lines.count(), 2, "{said}");
        assert!(said.contains(fact) && said.contains(help), "{said}");
        assert!(!self.output().exists(), "{said}");
        let left = fs::read_dir(&scratch).map_or(usize::MAX, Iterator::count);
        assert_eq!(left, 0, "{said}");
    }

    /// Writes a file with these permission bits, whatever the umask.
    pub fn file(&self, name: &str, mode: u32, content: &[u8]) {
        let path = self.path().join(name);
        let parent = path.parent().unwrap_or(Path::new("/"));
        let done = fs::create_dir_all(parent)
            .and_then(|()| match mode & 0o111 {
                0 => fs::write(&path, content),
                _ => write_program(&path, content),
            })
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)));
        done.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    /// Writes `flavor.toml`.
    pub fn manifest(&self, text: &str) {
        self.file("flavor.toml", 0o644, text.as_bytes());
    }

    /// The text of `flavor.toml`.
    pub fn read_manifest(&self) -> String {
        fs::read_to_string(self.path().join("flavor.toml")).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Arguments of `flavor` that pack this project with a key for tests.
    pub fn pack_args(&self) -> Vec<OsString> {
        self.pack_args_at("3")
    }

    /// The same at a compression level.
    pub fn pack_args_at(&self, level: &str) -> Vec<OsString> {
        self.args(level, &["--key-seed", "tests"])
    }

    /// The same without a signature.
    pub fn pack_args_unsigned(&self) -> Vec<OsString> {
        self.args("3", &["--unsigned"])
    }

    fn args(&self, level: &str, signer: &[&str]) -> Vec<OsString> {
        let mut args: Vec<OsString> = ["pack", "--no-cache", "--level", level, "--manifest"]
            .map(Into::into)
            .into();
        args.push(self.path().join("flavor.toml").into());
        args.push("--output".into());
        args.push(self.output().into());
        args.extend(signer.iter().map(Into::into));
        args
    }

    /// Packs the project.
    pub fn pack(&self) -> PathBuf {
        let output = flavor().args(self.pack_args()).output();
        let output = output.unwrap_or_else(|e| panic!("{e}"));
        assert!(output.status.success(), "{}", text(&output.stderr));
        self.output()
    }

    /// A command that starts a package with this project's cache.
    pub fn start(&self, package: &Path) -> Command {
        let mut command = Command::new(package);
        command
            .env("FLAVOR_CACHE", self.cache())
            .env_remove("FLAVOR_COMMAND");
        command
    }
}
