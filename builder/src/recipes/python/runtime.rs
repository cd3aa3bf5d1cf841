//! Where the interpreter comes from: uv, pyenv, PATH, a directory or an archive.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::super::RecipeError;
use super::super::program::{along_path, installed, is_version, listed, run};
use crate::manifest::Runtime;

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

    fn numbers(&self) -> String {
        let (major, minor, micro) = self.version;
        format!("{major}.{minor}.{micro}")
    }
}

/// Finds it; `scratch` is where an archive is unpacked.
///
/// # Errors
///
/// When there is none, saying which there are.
pub(super) fn find(runtime: &Runtime, scratch: &Path) -> Result<Interpreter, RecipeError> {
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

/// Programs that may be an interpreter of this version, the best first.
fn candidates(version: &str) -> Vec<PathBuf> {
    let uv = ["python", "find", "--no-python-downloads", version];
    let mut out: Vec<PathBuf> = first_line("uv", &uv)
        .map(PathBuf::from)
        .into_iter()
        .collect();
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

fn unpack(archive: &Path, scratch: &Path) -> Result<(), RecipeError> {
    fs::create_dir_all(scratch).map_err(|error| RecipeError::write(scratch, error))?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--file"]).arg(archive);
    tar.arg("--directory").arg(scratch);
    run("tar", &mut tar).map(drop)
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
