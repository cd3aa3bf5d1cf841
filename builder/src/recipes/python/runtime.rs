//! Where the interpreter comes from: uv, pyenv, PATH, a directory or an archive.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::super::program::{along_path, installed, is_version, listed, run};
use super::super::{self as recipes, RecipeError};
use crate::inputs::{self, Filter, Kind, Source, Times};
use crate::manifest::{Python, Runtime};
use crate::printer::Printer;

/// What an interpreter says of itself, one JSON object; no site is set up for it.
const FACTS: &str = "import json, os, sys, sysconfig; print(json.dumps({
    'version': list(sys.version_info[:3]),
    'executable': os.path.realpath(getattr(sys, '_base_executable', None) or sys.executable),
    'prefix': os.path.realpath(sys.base_prefix),
    'stdlib': sysconfig.get_path('stdlib', vars={'installed_base': sys.base_prefix, 'base': sys.base_prefix}),
    'implementation': sys.implementation.name}))";

/// An interpreter on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Interpreter {
    /// Major, minor, micro.
    pub(super) version: (u32, u32, u32),
    /// The program itself, no link to it and none of a virtual environment.
    pub(super) executable: String,
    /// The installation's directory.
    pub(super) prefix: String,
    /// The directory of the standard library.
    pub(super) stdlib: String,
    /// `cpython`, and so on.
    pub(super) implementation: String,
}

impl Interpreter {
    /// `python3.11`: the name of its program and of its library's directory.
    pub(super) fn name(&self) -> String {
        format!("python{}.{}", self.version.0, self.version.1)
    }

    /// For people: `cpython 3.11.7`.
    pub(super) fn described(&self) -> String {
        format!("{} {}", self.implementation, self.numbers())
    }

    /// For the SBOM. An implementation of its own has a name of its own.
    pub(super) fn runtime(&self) -> recipes::Source {
        let name = match self.implementation.as_str() {
            "cpython" => "python",
            other => other,
        };
        recipes::Source::Runtime {
            name: name.to_owned(),
            version: self.numbers(),
        }
    }

    fn numbers(&self) -> String {
        let (major, minor, micro) = self.version;
        format!("{major}.{minor}.{micro}")
    }
}

/// Finds it, or has uv install it where the recipe asks for that; `scratch` is where an archive is unpacked.
///
/// # Errors
///
/// When there is none, saying which there are.
pub(super) fn find(
    python: &Python,
    scratch: &Path,
    printer: &Printer,
) -> Result<Interpreter, RecipeError> {
    match (on_this_machine(&python.runtime, scratch), &python.runtime) {
        (Err(RecipeError::NoPython { .. }), Runtime::Version(version)) if python.install => {
            fetched(version, printer)
        }
        (found, _) => found,
    }
}

/// Finds it among those that are there.
///
/// # Errors
///
/// As [`find`].
pub(super) fn on_this_machine(
    runtime: &Runtime,
    scratch: &Path,
) -> Result<Interpreter, RecipeError> {
    let (version, places) = match runtime {
        Runtime::Found => ("3", along_path("python3")),
        Runtime::Version(version) => (version.as_str(), candidates(version)),
        Runtime::Path(path) => return at(path, scratch),
    };
    let mut found = Vec::new();
    for interpreter in places.iter().filter_map(|path| ask(path)) {
        if is_version(&interpreter.numbers(), version) {
            return Ok(interpreter);
        }
        found.push(interpreter.numbers());
    }
    Err(RecipeError::NoPython {
        version: version.to_owned(),
        found: listed(found),
    })
}

/// An interpreter of this version that uv fetches into its own place, where others can use it, too.
fn fetched(version: &str, printer: &Printer) -> Result<Interpreter, RecipeError> {
    if along_path("uv").is_empty() {
        return Err(RecipeError::NoUv {
            version: version.to_owned(),
        });
    }
    let busy = printer.busy("uv python install");
    run(
        "uv",
        Command::new("uv").args(["python", "install", version]),
    )?;
    drop(busy);
    let found = by_uv(version).and_then(|program| ask(&program));
    let found = found.filter(|interpreter| is_version(&interpreter.numbers(), version));
    found.ok_or_else(|| RecipeError::NoPython {
        version: version.to_owned(),
        found: String::new(),
    })
}

/// The interpreter that uv has, or knows of.
fn by_uv(version: &str) -> Option<PathBuf> {
    let find = ["python", "find", "--no-python-downloads", version];
    first_line("uv", &find).map(PathBuf::from)
}

/// Programs that may be an interpreter of this version, the best first.
fn candidates(version: &str) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = by_uv(version).into_iter().collect();
    if let Some(root) = first_line("pyenv", &["root"]) {
        out.extend(installed(&Path::new(&root).join("versions"), "bin/python3"));
    }
    let short: Vec<&str> = version.split('.').take(2).collect();
    for name in [&format!("python{}", short.join(".")), "python3", "python"] {
        out.extend(along_path(name));
    }
    out
}

/// The interpreter at a path of the manifest.
fn at(path: &Path, scratch: &Path) -> Result<Interpreter, RecipeError> {
    let metadata = fs::metadata(path).map_err(|error| RecipeError::read(path, error))?;
    let is_program = metadata.permissions().mode() & 0o111 != 0;
    let programs = match (metadata.is_dir(), is_program) {
        (true, _) => vec![path.join("bin/python3")],
        (false, true) => vec![path.to_owned()],
        (false, false) => {
            unpack(path, scratch)?;
            // As python-build-standalone has them, or as they are.
            let inside = ["python/install", "python", "."];
            let program = |directory| scratch.join(directory).join("bin/python3");
            inside.map(program).into()
        }
    };
    let found = programs.iter().find_map(|program| ask(program));
    found.ok_or_else(|| RecipeError::NotPython { path: path.into() })
}

/// Unpacks it with the reader that slots have: no program of the machine is needed, and nothing leaves `scratch`.
fn unpack(archive: &Path, scratch: &Path) -> Result<(), RecipeError> {
    let unreadable = |error| RecipeError::Archive { error };
    let everything = Filter::new(&["**"], &[]).map_err(unreadable)?;
    let input = inputs::read(archive, &everything, Times::Keep).map_err(unreadable)?;
    let Source::Tree(tree) = input.source else {
        return Err(RecipeError::NotPython {
            path: archive.into(),
        });
    };
    fs::create_dir_all(scratch).map_err(|error| RecipeError::write(scratch, error))?;
    // The reader has checked these paths: none leaves the tree, and none lies below a link.
    let place = |path: &[u8]| scratch.join(OsStr::from_bytes(path));
    for entry in &tree.entries {
        let to = place(&entry.path);
        let written = |error| RecipeError::write(&to, error);
        match &entry.kind {
            Kind::Directory => fs::create_dir(&to).map_err(written)?,
            Kind::File { content, .. } => {
                let mut from = content.open().map_err(unreadable)?;
                let mut file = File::create(&to).map_err(written)?;
                io::copy(&mut from, &mut file).map_err(written)?;
                let mode = fs::Permissions::from_mode(entry.mode | 0o600);
                fs::set_permissions(&to, mode).map_err(written)?;
            }
            Kind::Symlink { target } => {
                symlink(OsStr::from_bytes(target), &to).map_err(written)?;
            }
            Kind::HardLink { to: first } => {
                fs::hard_link(place(first), &to).map_err(written)?;
            }
        }
    }
    Ok(())
}

/// What the program says, if it is an interpreter.
fn ask(program: &Path) -> Option<Interpreter> {
    let mut command = Command::new(program);
    // Nothing is left beside its library, where a module of it was not compiled yet.
    command.args(["-I", "-S", "-B", "-c", FACTS]);
    bare(&mut command);
    let output = run("python3", &mut command).ok()?;
    serde_json::from_str(&output).ok()
}

/// The first line that a program says, where it is there and succeeds.
fn first_line(program: &'static str, args: &[&str]) -> Option<String> {
    let output = run(program, Command::new(program).args(args)).ok()?;
    output.lines().next().map(|line| line.trim().to_owned())
}

/// Gives a command the caller's environment without what changes an interpreter.
pub(super) fn bare(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let is_pythons = name.as_encoded_bytes().starts_with(b"PYTHON");
        if is_pythons || name == OsStr::new("VIRTUAL_ENV") || name == OsStr::new("LD_LIBRARY_PATH")
        {
            command.env_remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_no_interpreter_is_one() {
        assert_eq!(ask(Path::new("/bin/sh")), None);
        assert_eq!(ask(Path::new("/nonexistent/python3")), None);
    }
}
