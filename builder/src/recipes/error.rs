//! Why a recipe cannot be followed: one line of fact, and one line of help.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use super::python::LockFault;
use crate::binary::runpath::RunPathError;
use crate::inputs::InputError;
use crate::printer::escape;

/// `Display` is one line of fact; [`RecipeError::help`] is one line of remedy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// A program that the recipe names is not there.
    #[error("{} does not exist", .path.display())]
    Missing {
        /// The program.
        path: PathBuf,
    },
    /// A program or library cannot be read.
    #[error("cannot read {}: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// What the recipe packs is of this machine.
    #[error(
        "[{recipe}] packs what runs on this machine, {host}, and the target is {}",
        escape(target)
    )]
    OtherTarget {
        /// Its section.
        recipe: &'static str,
        /// The target of this machine.
        host: &'static str,
        /// The target that was asked for.
        target: String,
    },
    /// Libraries can be collected for ELF files alone.
    #[error("{} is {found}: libraries can be bundled with ELF programs for {target} only", .path.display())]
    NotElf {
        /// The program.
        path: PathBuf,
        /// What it is.
        found: String,
        /// The target.
        target: String,
    },
    /// A needed library is nowhere to be found.
    #[error("{} needs {}, which is not on this machine for {target}", .needed_by.display(), escape(name))]
    NoLibrary {
        /// Its name.
        name: String,
        /// The program or library that needs it.
        needed_by: PathBuf,
        /// The target.
        target: String,
    },
    /// A needed library is named by a path.
    #[error("{} needs a library by its path, {}", .needed_by.display(), escape(name))]
    ByPath {
        /// The path.
        name: String,
        /// The program or library that needs it.
        needed_by: PathBuf,
    },
    /// The run path cannot be set.
    #[error("{}: {error}", .path.display())]
    RunPath {
        /// The program or library.
        path: PathBuf,
        /// Why not.
        error: RunPathError,
    },
    /// No interpreter of this version is on this machine.
    #[error("no Python {version} is on this machine{}", among(found))]
    NoPython {
        /// One to three numbers.
        version: String,
        /// Those that were looked at, with commas between them.
        found: String,
    },
    /// Nothing is there that could fetch an interpreter of this version.
    #[error("no Python {version} is on this machine, nor uv, which would install it")]
    NoUv {
        /// One to three numbers.
        version: String,
    },
    /// What `runtime` names is no interpreter, and holds none.
    #[error("{} is no Python interpreter, and holds none that starts here", .path.display())]
    NotPython {
        /// As resolved.
        path: PathBuf,
    },
    /// An archive that `runtime` names cannot be unpacked.
    #[error(transparent)]
    Archive {
        /// Which, and why.
        error: InputError,
    },
    /// No Node of this version is on this machine.
    #[error("no Node {version}{}is on this machine{}", if version.is_empty() { "" } else { " " }, among(found))]
    NoNode {
        /// As the manifest has it; empty for any.
        version: String,
        /// Those that were looked at, with commas between them.
        found: String,
    },
    /// A Node that does not work without its distribution.
    #[error("{} reads parts of itself from {}, without which it does not start", .path.display(), escape(file))]
    Scattered {
        /// The program.
        path: PathBuf,
        /// One of those parts.
        file: String,
    },
    /// What `runtime` names is no Node.
    #[error("{} is no Node that starts here", .path.display())]
    NotNode {
        /// As resolved.
        path: PathBuf,
    },
    /// A project with dependencies has no lock file.
    #[error("{} has dependencies and no package-lock.json", .project.display())]
    NoLock {
        /// Its directory.
        project: PathBuf,
    },
    /// What a command starts is not in the project.
    #[error("{} has no {}", .project.display(), escape(script))]
    NoScript {
        /// Its path in the project.
        script: String,
        /// The project's directory.
        project: PathBuf,
    },
    /// A native addon is for another system or processor.
    #[error("node_modules/{} is no addon for {target}", .addon.display())]
    Addon {
        /// Its path below `node_modules`.
        addon: PathBuf,
        /// The target.
        target: String,
    },
    /// An extension module for another interpreter.
    #[error("app/lib/{} is an extension module for {}, and the interpreter is {interpreter}", escape(&.module.display().to_string()), escape(tag))]
    Extension {
        /// Its path below `app/lib`.
        module: PathBuf,
        /// What its name says, such as `cpython-312-x86_64-linux-gnu`.
        tag: String,
        /// Implementation and version.
        interpreter: String,
    },
    /// An extension module that the target's loader cannot load.
    #[error("app/lib/{} is no extension module for {target}", escape(&.module.display().to_string()))]
    Foreign {
        /// Its path below `app/lib`.
        module: PathBuf,
        /// The target.
        target: String,
    },
    /// A project or a file of requirements is not there.
    #[error("[python] names {}: {error}", .path.display())]
    Source {
        /// As resolved.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// A lock file that cannot be followed.
    #[error("{} {fault}", .file.display())]
    Lock {
        /// The lock file, or what it locks.
        file: PathBuf,
        /// What is wrong with it.
        fault: LockFault,
    },
    /// A program that the recipe needs is not there.
    #[error("cannot start {program}: {error}")]
    NoProgram {
        /// Its name.
        program: String,
        /// What the operating system said.
        error: io::Error,
    },
    /// A program failed.
    #[error("{program} failed: {}", escape(&said.replace('\n', "; ")))]
    Program {
        /// Its name.
        program: &'static str,
        /// Its last lines.
        said: String,
    },
    /// What a command starts cannot be imported in the packed tree.
    #[error("`{entry}` cannot be started from the packed tree: {}", escape(said))]
    NoEntry {
        /// `module:function`, or a module.
        entry: String,
        /// The last line of the interpreter.
        said: String,
    },
    /// The staged directory cannot be written.
    #[error("cannot write {}: {error}", .path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

impl RecipeError {
    pub(super) fn write(path: &Path, error: io::Error) -> RecipeError {
        RecipeError::Write {
            path: path.to_owned(),
            error,
        }
    }

    pub(super) fn read(path: &Path, error: io::Error) -> RecipeError {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => RecipeError::Missing { path },
            _ => RecipeError::Unreadable { path, error },
        }
    }

    /// One line of remedy.
    pub fn help(&self) -> String {
        match self {
            RecipeError::Missing { .. } => {
                "build it first; the path is relative to the manifest".into()
            }
            RecipeError::OtherTarget { host, target, .. } => format!(
                "pack for {} on such a machine, and here with --target {host}; or describe what was installed there with a [[slot]]",
                escape(target)
            ),
            RecipeError::Unreadable { .. } => "check the file and its permissions".into(),
            RecipeError::NotElf { .. } => {
                "leave `bundle-libraries` out, or name the target that it is for with --target".into()
            }
            RecipeError::NoLibrary { .. } => {
                "install the package of this machine's system that holds it, or run `ldconfig` after adding its directory".into()
            }
            RecipeError::ByPath { .. } => {
                "link it with `-l` and a library that has a soname".into()
            }
            RecipeError::RunPath { .. } => {
                "set it with `patchelf --set-rpath` and pack the files with a [[slot]] of your own".into()
            }
            RecipeError::NoPython { version, .. } => {
                format!("install it (`uv python install {version}`, which `install = true` in [python] does), or name another with `runtime`")
            }
            RecipeError::NoUv { .. } => {
                "install uv (`pip install uv`), or an interpreter of that version".into()
            }
            RecipeError::NotPython { .. } => {
                "`runtime` is a version, a directory with `bin/python3`, an interpreter, or an archive of such a directory".into()
            }
            RecipeError::Archive { error } => error.help().into(),
            RecipeError::NoNode { version, .. } if version.is_empty() => {
                "install it, or name it with `runtime` in [node]".into()
            }
            RecipeError::NoNode { version, .. } => {
                format!("install it (`nvm install {version}`), or name another with `runtime` in [node]")
            }
            RecipeError::Scattered { .. } => {
                "name a Node that is whole with `runtime` in [node], such as one of nodejs.org or of nvm".into()
            }
            RecipeError::NotNode { .. } => {
                "`runtime` is a version, a directory with `bin/node`, or the program".into()
            }
            RecipeError::NoLock { .. } => {
                "make one with `npm install --package-lock-only`, and keep it with the project".into()
            }
            RecipeError::NoScript { .. } => {
                "build it first, or name another with `entry` in [node]".into()
            }
            RecipeError::Extension { .. } => {
                "build it for the interpreter, name the other one with `runtime` in [python], or leave this check out with --no-check".into()
            }
            RecipeError::Foreign { .. } => {
                "install a build of it for that system and processor, or leave this check out with --no-check".into()
            }
            RecipeError::Addon { .. } => "install it on a machine of that kind".into(),
            RecipeError::Program { program: "npm", .. } => {
                "see that package-lock.json matches package.json (`npm install` makes it so), and try `npm ci --omit=dev` in the project".into()
            }
            RecipeError::Lock { fault, .. } => fault.help().into(),
            RecipeError::Source { .. } => "the path is relative to the manifest".into(),
            RecipeError::NoProgram { .. } => "install it, or check its permissions".into(),
            RecipeError::Program { program: "pip", .. } => {
                "check the requirements, and try the same with `python3 -m pip install --target DIR`".into()
            }
            RecipeError::Program { program: "uv", .. } => {
                "try the same with `uv python install`, or install an interpreter of that version in another way".into()
            }
            RecipeError::Program { .. } => "try another interpreter with `runtime` in [python]".into(),
            RecipeError::NoEntry { .. } => {
                "name what is installed with `entry-point` or `module`, add what is missing to the dependencies, or leave this \
                 check out with --no-check"
                    .into()
            }
            RecipeError::Write { .. } => "free some space, or set TMPDIR to another place".into(),
        }
    }

    /// Whether the machine is at fault, and not the project.
    pub fn is_of_environment(&self) -> bool {
        if let RecipeError::Archive { error } = self {
            return matches!(
                error,
                InputError::Unreadable { .. }
                    | InputError::Changed { .. }
                    | InputError::Vanished { .. }
                    | InputError::Spool { .. }
            );
        }
        matches!(
            self,
            RecipeError::Unreadable { .. }
                | RecipeError::Write { .. }
                | RecipeError::NoLibrary { .. }
                | RecipeError::NoPython { .. }
                | RecipeError::NoUv { .. }
                | RecipeError::NoNode { .. }
                | RecipeError::NoProgram { .. }
                | RecipeError::Program { .. }
        )
    }
}

/// What there is instead, if there is anything.
fn among(found: &str) -> String {
    match found.is_empty() {
        true => String::new(),
        false => format!("; there is {found}"),
    }
}
