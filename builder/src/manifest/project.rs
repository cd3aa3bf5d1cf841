//! A checked manifest, as plain data. Paths of the machine that builds are resolved; paths inside the package are text.

use std::collections::BTreeMap;
use std::path::PathBuf;

use psp_format::digest::Digest;

use crate::binary::Version;
pub use psp_format::metadata::{Lifecycle, Purpose, TARGETS as PLATFORMS};

/// The level that slots are compressed with unless they say otherwise: packing happens once, starting many times.
pub(crate) const DEFAULT_LEVEL: u8 = 19;

/// What the manifest says is to be packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The manifest.
    pub file: PathBuf,
    /// SHA-256 of its text.
    pub digest: Digest,
    /// Its directory, to which the paths in it were relative.
    pub directory: PathBuf,
    /// `[package]`.
    pub package: Package,
    /// `[[slot]]`, in the order of the manifest.
    pub slots: Vec<Slot>,
    /// What lies in the work environment besides the slots; from the manifests of flavorpack.
    pub made: Vec<Made>,
    /// `[command]`.
    pub command: Command,
    /// `[commands.NAME]`, by name.
    pub commands: BTreeMap<String, Command>,
    /// `[env]`; without it, no rules.
    pub env: EnvRules,
    /// `[[setup]]`, in the order of the manifest.
    pub setup: Vec<Command>,
    /// Whether setup commands may bring the programs of the other commands: packages of flavorpack install themselves.
    pub installs: bool,
    /// `[policy]`, with every key filled in; `None` without the section.
    pub policy: Option<Policy>,
    /// `[desktop]`.
    pub desktop: Option<Desktop>,
    /// `[sign]`.
    pub sign: Option<Sign>,
    /// Where slots and commands come from that the manifest does not spell out.
    pub recipe: Option<Recipe>,
    /// The oldest glibc that the package is to run with.
    pub glibc_floor: Option<Version>,
}

/// Who the package is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// `[a-z0-9][a-z0-9_-]*`, at most 64 bytes.
    pub name: String,
    /// `[0-9A-Za-z][0-9A-Za-z.+_~-]*`, at most 64 bytes.
    pub version: String,
    /// One line.
    pub description: Option<String>,
    /// By convention an SPDX expression; not checked.
    pub license: Option<String>,
    /// By convention a URL; not checked.
    pub homepage: Option<String>,
    /// Possibly empty.
    pub authors: Vec<String>,
}

/// One part of the package's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// `[A-Za-z0-9_][A-Za-z0-9._-]*`, at most 64 bytes, unique.
    pub id: String,
    /// The directory, archive or file, resolved.
    pub source: PathBuf,
    /// Where it goes below the work environment: a slot path, or `.` for the work environment itself. Unique.
    pub target: String,
    /// Globs, of which at least one must match; all compile. Default `**`.
    pub include: Vec<String>,
    /// Globs; all compile.
    pub exclude: Vec<String>,
    /// When it is extracted and how long it stays. Default `cached`.
    pub lifecycle: Lifecycle,
    /// What it is for. Default `payload`.
    pub purpose: Purpose,
    /// Some of [`PLATFORMS`]; empty for all.
    pub platforms: Vec<String>,
    /// How it is stored. Default Zstandard at level 19.
    pub compression: Compression,
    /// Whether the application may change the files.
    pub mutable: bool,
    /// Permission bits for a single file, at most 0777; those of the source otherwise.
    pub permissions: Option<u32>,
    /// What happens to modification times.
    pub times: SlotTimes,
    /// How the source is read.
    pub reading: Reading,
    /// What happens to the permission bits of a directory's files.
    pub modes: SlotModes,
    /// The line of the manifest where the slot begins.
    pub line: usize,
}

impl Slot {
    /// Whether packages for this target hold it.
    pub fn is_for(&self, target: &str) -> bool {
        self.platforms.is_empty() || self.platforms.iter().any(|platform| platform == target)
    }

    /// Whether there are packages that hold both.
    pub fn meets(&self, other: &Slot) -> bool {
        other.platforms.is_empty() || other.platforms.iter().any(|target| self.is_for(target))
    }

    /// A slot of which a manifest says no more than this: everything of the source, and the defaults.
    pub fn new(id: &str, source: PathBuf, target: &str, line: usize) -> Slot {
        Slot {
            id: id.into(),
            source,
            target: target.into(),
            include: vec!["**".into()],
            exclude: Vec::new(),
            lifecycle: Lifecycle::Cached,
            purpose: Purpose::Payload,
            platforms: Vec::new(),
            compression: Compression::Zstd {
                level: DEFAULT_LEVEL,
            },
            mutable: false,
            permissions: None,
            times: SlotTimes::default(),
            reading: Reading::default(),
            modes: SlotModes::default(),
            line,
        }
    }
}

/// How a source is read that is no directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reading {
    /// An archive is one by its name.
    #[default]
    ByName,
    /// A file as it is, whatever its name.
    File,
    /// A compressed file, whose content is packed.
    Decompressed,
    /// An archive, whatever its name, whose names count from the work environment, as flavorpack's launchers have it. So
    /// several can lie at `.`: each is then packed at the directory that all of it lies in.
    AtRoot {
        /// The target that the manifest states, or `.`: where all of it lies there, it is packed there.
        stated: String,
    },
}

/// A directory or file that the manifest describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// A slot path.
    pub path: String,
    /// What it is.
    pub kind: MadeKind,
    /// Permission bits, at most 0777.
    pub mode: u32,
}

/// What something made is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MadeKind {
    /// A directory; those above it are made as needed.
    Directory,
    /// A file with this content, in which `{package_name}` and `{version}` are still to be replaced.
    File(String),
}

/// A program with its arguments and surroundings. Placeholders like `{workenv}` are still in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Begins with `{workenv}/` or `/`.
    pub exec: String,
    /// Passed one by one; nothing is ever split.
    pub args: Vec<String>,
    /// Variables that are set for it.
    pub env: BTreeMap<String, String>,
    /// Working directory; the caller's without it.
    pub cwd: Option<String>,
    /// The line of the manifest where `exec` stands.
    pub line: usize,
}

impl Command {
    /// A program with arguments and nothing else; `exec` stands on `line` of the manifest.
    pub fn new(exec: String, args: Vec<String>, line: usize) -> Command {
        Command {
            exec,
            args,
            env: BTreeMap::new(),
            cwd: None,
            line,
        }
    }

    /// `exec` and `args` as one list, as the format wants it.
    pub fn argv(&self) -> Vec<String> {
        std::iter::once(&self.exec)
            .chain(&self.args)
            .cloned()
            .collect()
    }
}

/// What happens to the caller's variables on the way to the application, in the order of the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvRules {
    /// Names that are removed; `*` and `?` stand for others.
    pub unset: Vec<String>,
    /// Names that are passed on; with `*` and `?`.
    pub pass: Vec<String>,
    /// Old names, and the new ones that their values go to.
    pub map: BTreeMap<String, String>,
    /// Names, and what they are set to.
    pub set: BTreeMap<String, String>,
}

/// What the package asks of its host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Some of [`PLATFORMS`]; empty for all.
    pub platforms: Vec<String>,
    /// Whether it refuses to be started by root.
    pub refuse_root: bool,
    /// Variables without which it refuses to start.
    pub require_env: Vec<String>,
    /// Days from the build after which it refuses to start; 0 for never.
    pub max_age_days: u32,
}

/// For double-clicking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desktop {
    /// The image file, resolved.
    pub icon: Option<PathBuf>,
    /// Whether a terminal is opened. Default: yes.
    pub terminal: bool,
}

/// How the package is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// Where the private key is.
    pub key: KeySource,
    /// The file of its public key, resolved; needed with a program.
    pub public_key: Option<PathBuf>,
}

/// Where a private key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A PEM file, resolved.
    File(PathBuf),
    /// `env:NAME`: a variable that holds PEM text.
    Env(String),
    /// `cmd:PROGRAM`: a program that signs.
    Command(String),
}

/// A section that stands for slots and commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipe {
    /// `[native]` with a `binary`.
    Native(Native),
    /// `[python]`, or a Python project of flavorpack.
    Python(Python),
    /// `[node]`.
    Node(Node),
}

/// Programs that were compiled for their processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// The programs, resolved, the default command first; at least one.
    pub binaries: Vec<PathBuf>,
    /// Whether the libraries that they need go with them.
    pub bundle_libraries: bool,
}

/// A Python application: an interpreter, distributions, and what is started of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// Where the interpreter comes from.
    pub runtime: Runtime,
    /// Whether uv is to fetch an interpreter of that version where there is none; only with [`Runtime::Version`].
    pub install: bool,
    /// What pip installs, all of it at once; at least one, or a lock file.
    pub sources: Vec<Requirement>,
    /// The lock file that says what else is installed, resolved: a `uv.lock` or a `pylock.toml`. There is no source beside
    /// it but a project.
    pub lock: Option<PathBuf>,
    /// The commands; none only where `[command]` starts something else.
    pub entries: Vec<Entry>,
    /// Names of directories that are left out of the standard library, wherever they are in it.
    pub strip: Vec<String>,
}

/// Where an interpreter or a runtime comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runtime {
    /// The `python3` or `node` that is found first.
    Found,
    /// The newest installed one of this version, which has one to three numbers.
    Version(String),
    /// An installation's directory, the program, or an archive of an installation (of Python); resolved.
    Path(PathBuf),
}

/// Something that pip installs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// As pip reads it from its command line; never an option.
    Named(String),
    /// A file of requirements, resolved.
    File(PathBuf),
    /// A project's directory, resolved.
    Project(PathBuf),
}

/// A Node application: a runtime, and a project with what npm installs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where the runtime comes from.
    pub runtime: Runtime,
    /// The directory with `package.json`, resolved.
    pub project: PathBuf,
    /// Whether `package.json` names anything that npm would install.
    pub has_dependencies: bool,
    /// Names of commands, and their scripts in the project; none only where `[command]` starts something else.
    pub entries: Vec<(String, String)>,
}

/// A command of a Python application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name of its script; that of the package without one.
    pub name: Option<String>,
    /// What is started.
    pub point: EntryPoint,
}

/// What is started of a Python application. Nothing but names and dots is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryPoint {
    /// As `[project.scripts]` has it.
    Function {
        /// The module that is imported.
        module: String,
        /// What is called of it.
        function: String,
    },
    /// As `python -m` starts it.
    Module(String),
}

/// How a slot is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    None,
    /// Zstandard.
    Zstd {
        /// From 1 to 22.
        level: u8,
    },
}

/// What happens to the permission bits of a slot's files and directories.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SlotModes {
    /// Group and others may read and execute what the owner may, so that a checkout gives the same package under every
    /// umask. Archives keep what they record.
    #[default]
    Normalise,
    /// Each keeps its own.
    Keep,
}

/// What happens to the modification times of a slot's files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SlotTimes {
    /// All get the time of the build, so that the same input gives the same package.
    #[default]
    Normalise,
    /// Each keeps its own.
    Keep,
}
