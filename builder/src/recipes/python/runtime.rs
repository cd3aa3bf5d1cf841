//! Where the interpreter comes from: uv, pyenv, PATH, a directory or an archive.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::super::RecipeError;
use super::super::program::run;
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

    /// For people: `CPython 3.11.7`.
    pub(super) fn described(&self) -> String {
        let (major, minor, micro) = self.version;
        format!("{} {major}.{minor}.{micro}", self.implementation)
    }

    /// Whether it is of this version, which has one to three numbers.
    fn is(&self, version: &str) -> bool {
        let own = [self.version.0, self.version.1, self.version.2];
        let mut asked = version.split('.');
        own.iter()
            .all(|own| asked.next().is_none_or(|text| text.parse() == Ok(*own)))
            && asked.next().is_none()
    }
}

/// Finds it; `scratch` is where an archive is unpacked.
///
/// # Errors
///
/// When there is none, saying which there are.
pub(super) fn find(runtime: &Runtime, scratch: &Path) -> Result<Interpreter, RecipeError> {
    match runtime {
        Runtime::Found => {
            candidates("3")
                .iter()
                .find_map(|path| ask(path))
                .ok_or(RecipeError::NoPython {
                    version: "3".into(),
                    found: String::new(),
                })
        }
        Runtime::Version(version) => {
            let asked = candidates(version);
            let mut found = Vec::new();
            for interpreter in asked.iter().filter_map(|path| ask(path)) {
                if interpreter.is(version) {
                    return Ok(interpreter);
                }
                found.push(interpreter.described());
            }
            found.dedup();
            Err(RecipeError::NoPython {
                version: version.clone(),
                found: found.join(", "),
            })
        }
        Runtime::Path(path) => at(path, scratch),
    }
}

/// Programs that may be an interpreter of this version, the best first.
fn candidates(version: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    out.extend(
        output("uv", &["python", "find", "--no-python-downloads", version]).map(PathBuf::from),
    );
    if let Some(root) = output("pyenv", &["root"]) {
        let mut installed: Vec<PathBuf> = fs::read_dir(Path::new(&root).join("versions"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join("bin/python3"))
            .filter(|path| path.exists())
            .collect();
        // The newest first: numbers compare as numbers.
        installed.sort_by_key(|path| {
            let name = path.ancestors().nth(2).and_then(Path::file_name);
            let name = name.map(|name| name.to_string_lossy().into_owned());
            let parts = name.unwrap_or_default();
            std::cmp::Reverse(
                parts
                    .split('.')
                    .map(|part| part.parse::<u32>().unwrap_or(0))
                    .collect::<Vec<_>>(),
            )
        });
        match version == "3" {
            // Whatever is first in PATH is meant.
            true => {}
            false => out.extend(installed),
        }
    }
    let mut parts = version.split('.');
    let short: Vec<&str> = parts.by_ref().take(2).collect();
    let names = [
        format!("python{}", short.join(".")),
        "python3".into(),
        "python".into(),
    ];
    let path = std::env::var_os("PATH").unwrap_or_default();
    for name in &names {
        out.extend(
            std::env::split_paths(&path)
                .map(|directory| directory.join(name))
                .filter(|path| path.is_file()),
        );
    }
    out
}

/// The interpreter at a path of the manifest.
fn at(path: &Path, scratch: &Path) -> Result<Interpreter, RecipeError> {
    let metadata = fs::metadata(path).map_err(|error| RecipeError::read(path, error))?;
    let is_program = metadata.permissions().mode() & 0o111 != 0;
    let roots = match (metadata.is_dir(), is_program) {
        (true, _) => vec![path.to_owned()],
        (false, true) => {
            return ask(path).ok_or_else(|| RecipeError::NotPython { path: path.into() });
        }
        (false, false) => {
            unpack(path, scratch)?;
            // As python-build-standalone has them.
            let inside = ["python/install", "python", "."];
            inside.map(|name| scratch.join(name)).into()
        }
    };
    let program = |root: &PathBuf| ask(&root.join("bin/python3"));
    roots
        .iter()
        .find_map(program)
        .ok_or_else(|| RecipeError::NotPython { path: path.into() })
}

fn unpack(archive: &Path, scratch: &Path) -> Result<(), RecipeError> {
    fs::create_dir_all(scratch).map_err(|error| RecipeError::write(scratch, error))?;
    let mut tar = Command::new("tar");
    tar.arg("--extract")
        .arg("--file")
        .arg(archive)
        .arg("--directory")
        .arg(scratch);
    run("tar", &mut tar).map(drop)
}

/// What the program says, if it is an interpreter.
fn ask(program: &Path) -> Option<Interpreter> {
    let mut command = Command::new(program);
    command
        .args(["-I", "-S", "-c", FACTS])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    bare(&mut command);
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    serde_json::from_slice(&output.stdout).ok()
}

/// The first line that a program of the machine says, where it is there and succeeds.
fn output(program: &str, args: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
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
    fn versions_match_as_far_as_they_are_given() {
        let interpreter = Interpreter {
            version: (3, 11, 7),
            executable: String::new(),
            prefix: String::new(),
            stdlib: String::new(),
            implementation: "cpython".into(),
        };
        for (version, is) in [
            ("3", true),
            ("3.11", true),
            ("3.11.7", true),
            ("3.1", false),
            ("3.11.70", false),
            ("3.11.7.1", false),
        ] {
            assert_eq!(interpreter.is(version), is, "{version}");
        }
    }

    #[test]
    fn nothing_that_is_no_interpreter_is_one() {
        assert_eq!(ask(Path::new("/bin/sh")), None);
        assert_eq!(ask(Path::new("/nonexistent/python3")), None);
    }
}
