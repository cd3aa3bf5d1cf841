//! What to execute, and where to extract: pure functions of a verified package and a snapshot of the environment.
//!
//! Everything is bytes, never text: a `HOME` or an argument that is not UTF-8 is as good as any. Nothing that the
//! caller passed is copied unless a rule changes it.

pub mod cache;
mod command;
mod environment;
mod memory;
mod placeholders;

use core::ffi::CStr;
use core::fmt;
use psp_format::text::Quoted;
use std::borrow::Cow;
use std::ffi::CString;

use psp_format::VerifiedPackage;
use psp_format::metadata::{Command, Metadata};

pub use command::Choice;
use command::Chosen;
pub use environment::{matches, variable};
pub(crate) use memory::{only_program, without_files};
use placeholders::Values;

/// The operating system as packages name it.
pub const OS: &str = if cfg!(target_os = "macos") {
    "darwin"
} else if cfg!(windows) {
    "windows"
} else {
    "linux"
};

/// The architecture as packages name it.
pub const ARCH: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};

/// Both, as in `launcher.target` and in policies.
pub const PLATFORM: &str = match (OS.as_bytes(), ARCH.as_bytes()) {
    (b"darwin", b"arm64") => "darwin_arm64",
    (b"darwin", _) => "darwin_amd64",
    (b"windows", b"arm64") => "windows_arm64",
    (b"windows", _) => "windows_amd64",
    (_, b"arm64") => "linux_arm64",
    _ => "linux_amd64",
};

/// What the caller gave the process.
#[derive(Debug, Clone)]
pub struct Snapshot<'a> {
    /// The path of the package as the caller named it.
    pub command: &'a CStr,
    /// The caller's arguments, without `argv[0]`.
    pub args: Vec<&'a CStr>,
    /// The environment: `NAME=VALUE`, or whatever else the caller put there.
    pub vars: Vec<&'a CStr>,
    /// The effective user.
    pub uid: u32,
}

impl<'a> Snapshot<'a> {
    /// The value of a variable; of its first one, as `getenv` has it.
    pub fn var(&self, name: &str) -> Option<&'a [u8]> {
        variable(&self.vars, name.as_bytes())
    }
}

/// Where things lie, once the package's files are there.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    /// The work environment; empty for a program that lies in memory.
    pub workenv: &'a [u8],
    /// The cache that it lies in; empty likewise.
    pub cache: &'a [u8],
    /// Finds the directory that the package lies in; called only where a placeholder asks.
    pub package_dir: &'a dyn Fn() -> Vec<u8>,
}

/// What [`crate::exec`] is to do. Every string is complete; nothing is substituted or searched any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecPlan<'a> {
    /// Path of the program, which is also `argv[0]`.
    pub program: CString,
    /// Its arguments, with `argv[0]`.
    pub argv: Vec<Cow<'a, CStr>>,
    /// Its environment.
    pub envp: Vec<Cow<'a, CStr>>,
    /// Its working directory; without one, the caller's.
    pub cwd: Option<CString>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// The package has no command of this name.
    UnknownCommand {
        /// The name that was asked for.
        name: Vec<u8>,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A variable that names a directory holds a relative path.
    Relative {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: Vec<u8>,
    },
    /// A value holds a NUL byte.
    Nul,
}

/// The plan for the application: the chosen command with the caller's arguments behind its own.
pub fn application<'a>(
    package: &'a VerifiedPackage,
    snapshot: &Snapshot<'a>,
    choice: Choice<'a>,
    places: &Places<'_>,
) -> Result<ExecPlan<'a>, PlanError> {
    let metadata = package.metadata();
    let chosen = command::choose(metadata, snapshot, choice)?;
    build(metadata, snapshot, &chosen, &snapshot.args, places)
}

/// The plan for a setup command: the same environment, and none of the caller's arguments.
pub fn setup<'a>(
    package: &'a VerifiedPackage,
    snapshot: &Snapshot<'a>,
    setup: &'a Command,
    places: &Places<'_>,
) -> Result<ExecPlan<'a>, PlanError> {
    let chosen = Chosen {
        name: command::base_name(snapshot.command.to_bytes()),
        argv: &setup.argv,
        cwd: setup.cwd.as_deref(),
        env: &setup.env,
    };
    build(package.metadata(), snapshot, &chosen, &[], places)
}

/// Checks the caller's choice before anything is extracted.
pub fn check_choice(
    package: &VerifiedPackage,
    snapshot: &Snapshot<'_>,
    choice: Choice<'_>,
) -> Result<(), PlanError> {
    command::choose(package.metadata(), snapshot, choice).map(|_| ())
}

fn build<'a>(
    metadata: &'a Metadata,
    snapshot: &Snapshot<'a>,
    chosen: &Chosen<'a>,
    args: &[&'a CStr],
    places: &Places<'_>,
) -> Result<ExecPlan<'a>, PlanError> {
    let values = Values::new(&metadata.package, places);
    let terminated = |text: &str| CString::new(values.expand(text)).map_err(|_| PlanError::Nul);
    // The caller's directory decides nothing: a relative one lies in the work environment.
    let directory = |text: &str| match values.expand(text) {
        path if path.starts_with(b"/") => CString::new(path),
        path => CString::new([places.workenv, b"/", &path].concat()),
    };
    let directory = |text: &str| directory(text).map_err(|_| PlanError::Nul);
    let mut argv: Vec<Cow<'a, CStr>> =
        Vec::with_capacity(chosen.argv.len().saturating_add(args.len()));
    for text in chosen.argv {
        argv.push(Cow::Owned(terminated(text)?));
    }
    let program = argv
        .first()
        .map(|program| program.clone().into_owned())
        .unwrap_or_default();
    argv.extend(args.iter().copied().map(Cow::Borrowed));
    Ok(ExecPlan {
        program,
        argv,
        envp: environment::build(metadata, snapshot, chosen, &values)?,
        cwd: chosen.cwd.map(directory).transpose()?,
    })
}

impl PlanError {
    /// One line that says what a person can do.
    pub fn help(&self) -> &'static str {
        match self {
            PlanError::UnknownCommand { .. } => {
                "set FLAVOR_COMMAND to one of these names, or to nothing for the default command"
            }
            PlanError::Relative { .. } => "set it to an absolute path, or unset it",
            PlanError::Nul => "report this to the maker of the package",
        }
    }
}

impl std::error::Error for PlanError {}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::UnknownCommand { name, known } if known.is_empty() => write!(
                f,
                "the package has no command {}, only the default one",
                Quoted(name)
            ),
            PlanError::UnknownCommand { name, known } => write!(
                f,
                "the package has no command {}; it has {}",
                Quoted(name),
                known.join(", ")
            ),
            PlanError::Relative { variable, value } => {
                write!(f, "{variable} is not an absolute path: {}", Quoted(value))
            }
            PlanError::Nul => f.write_str("a NUL byte in an argument or variable"),
        }
    }
}

#[cfg(test)]
mod tests;
