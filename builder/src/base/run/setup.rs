//! What a base package has done once, before its first start: directories, files, modes and programs.
//!
//! Everything that is made lies in the work environment, whatever the package says; programs can do what they like, as
//! the package's own can.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use psp_format::path;
use psp_launcher::exec;
use psp_launcher::plan::{Snapshot, matches};
use psp_launcher::start::StartError;

use super::command::{self, Words};
use super::{RunFault, environment};
use crate::base::Package;
use crate::base::metadata::{Metadata, Setup};
use crate::error::Error;

/// Makes the directories of `workenv`.
pub(super) fn directories(metadata: &Metadata, workenv: &Path) -> Result<(), Error> {
    for (directory, mode) in &metadata.directories {
        let path = inside(directory, workenv)?;
        fs::create_dir_all(&path)
            .and_then(|()| set_mode(&path, mode.as_deref(), 0o700))
            .map_err(failed(&path))?;
    }
    Ok(())
}

/// Runs the setup commands in the finished environment.
pub(super) fn run(package: &Package, snapshot: &Snapshot<'_>, workenv: &Path) -> Result<(), Error> {
    let (metadata, slots) = (package.metadata(), package.slots());
    let execute = |line: &str, last: Option<&Path>| {
        let mut argv = Words::of(line, metadata, slots)?.with(workenv);
        argv.extend(last.map(|path| path.as_os_str().as_bytes().to_vec()));
        let program = command::find(&argv.first().cloned().unwrap_or_default(), snapshot)?;
        let vars = environment::of_setup(snapshot, workenv);
        let plan = super::exec_plan(program, argv, vars)?;
        exec::run(&plan).map_err(|error| Error::from(StartError::Exec(error)))
    };
    let expand = |text: &str| command::constants(text, metadata, slots);
    for item in &metadata.setup {
        match item {
            Setup::Execute { command } => execute(command, None)?,
            Setup::WriteFile {
                path,
                content,
                mode,
            } => {
                let path = inside(&expand(path), workenv)?;
                let content = command::with_workenv(&expand(content), workenv);
                let parent = path.parent().unwrap_or(workenv);
                fs::create_dir_all(parent)
                    .and_then(|()| fs::write(&path, content))
                    .and_then(|()| set_mode(&path, mode.as_deref(), 0o644))
                    .map_err(failed(&path))?;
            }
            Setup::Chmod { path, mode } => {
                let path = inside(&expand(path), workenv)?;
                set_mode(&path, mode.as_deref(), 0o700).map_err(failed(&path))?;
            }
            Setup::Each {
                path,
                pattern,
                command,
            } => {
                let path = inside(&expand(path), workenv)?;
                for file in matching(&path, pattern).map_err(failed(&path))? {
                    execute(command, Some(&file))?;
                }
            }
        }
    }
    for slot in package.slots() {
        // A file for the setup only; the Rust launcher removes it, too.
        if slot.lifecycle == "init" && !slot.is_tar() {
            let path = workenv.join(&slot.target);
            fs::remove_file(&path).map_err(failed(&path))?;
        }
    }
    Ok(())
}

/// A path of the package below the work environment. Links on the way cannot lead out of it: none that does is unpacked.
fn inside(given: &str, workenv: &Path) -> Result<PathBuf, RunFault> {
    let given_path = given.strip_suffix('/').unwrap_or(given);
    if given_path == "{workenv}" {
        return Ok(workenv.to_owned());
    }
    let relative = given_path.strip_prefix("{workenv}/");
    let relative = relative.unwrap_or(given_path);
    match path::check(relative.as_bytes()) {
        Ok(()) => Ok(workenv.join(relative)),
        Err(_) => Err(RunFault::Outside {
            path: given.to_owned(),
        }),
    }
}

fn matching(directory: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_file() && matches(pattern.as_bytes(), name.as_bytes()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn set_mode(path: &Path, mode: Option<&str>, otherwise: u32) -> io::Result<()> {
    let mode = mode.and_then(|digits| u32::from_str_radix(digits, 8).ok());
    let mode = mode.unwrap_or(otherwise) & 0o777;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Write {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_outside() {
        let workenv = Path::new("/w");
        for (given, expected) in [
            ("{workenv}/a/", "/w/a"),
            ("a/b", "/w/a/b"),
            ("{workenv}", "/w"),
            ("{workenv}/", "/w"),
        ] {
            let path = inside(given, workenv).ok();
            assert_eq!(path.as_deref(), Some(Path::new(expected)));
        }
        for given in ["/etc", "../a", "{workenv}/../a", "", "/", "a/../../b"] {
            assert!(inside(given, workenv).is_err(), "{given}");
        }
    }
}
