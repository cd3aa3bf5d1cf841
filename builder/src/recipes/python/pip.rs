//! Installing with pip: what is asked for by name, in versions that pip chooses, or exactly what a lock file pins.
//!
//! pip is the interpreter's own, or, where it has none, the one in the staged tree. What configures pip (its variables, its
//! files) is the caller's: indexes, proxies, hashes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use psp_format::digest::Digest;

use super::super::program::{run, run_or};
use super::super::{RecipeError, copy};
use super::lock::{self, LockFault};
use super::runtime::{Interpreter, bare};
use crate::manifest::{Python, Requirement};
use crate::printer::Printer;

/// What pip says of its version, where this interpreter has one.
pub(super) fn has_pip(program: &Path) -> Result<String, RecipeError> {
    let mut command = Command::new(program);
    command.args(["-s", "-B", "-m", "pip", "--version"]);
    bare(&mut command);
    run("pip", &mut command)
}

/// Installs what the section names into `lib`.
///
/// # Errors
///
/// When pip fails, with its last lines, or a lock file does not fit.
pub(super) fn install(
    python: &Python,
    interpreter: &Interpreter,
    rt: &Path,
    lib: &Path,
    printer: &Printer,
) -> Result<(), RecipeError> {
    fs::create_dir_all(lib).map_err(|error| RecipeError::write(lib, error))?;
    let program = match has_pip(Path::new(&interpreter.executable)) {
        Ok(_) => PathBuf::from(&interpreter.executable),
        Err(_) => rt.join("bin/python3"),
    };
    match &python.lock {
        None => unlocked(python, &program, lib, printer),
        Some(lock) => locked(python, lock, &program, lib, printer),
    }
}

/// pip of the interpreter `program`.
fn pip(program: &Path, verb: &str) -> Command {
    let mut pip = Command::new(program);
    pip.args(["-s", "-B", "-m", "pip", "--disable-pip-version-check"]);
    pip.args(["--no-input", "--quiet", verb]);
    bare(&mut pip);
    pip
}

fn pip_install(program: &Path, lib: &Path) -> Command {
    let mut pip = pip(program, "install");
    pip.args(["--no-compile", "--no-warn-script-location", "--target"]);
    pip.arg(lib);
    pip
}

/// Installs projects and requirements, in versions that pip chooses.
fn unlocked(
    python: &Python,
    program: &Path,
    lib: &Path,
    printer: &Printer,
) -> Result<(), RecipeError> {
    let mut pip = pip_install(program, lib);
    let projects = lib.with_file_name("projects");
    for (nth, source) in python.sources.iter().enumerate() {
        match source {
            Requirement::Named(name) => pip.arg(name),
            Requirement::File(path) => pip.arg("--requirement").arg(existing(path)?),
            Requirement::Project(path) => pip.arg(copied(path, &projects, nth)?),
        };
    }
    let busy = printer.busy("pip install");
    run("pip", &mut pip)?;
    drop(busy);
    gone(&projects)
}

/// Installs exactly what the lock file pins. Projects become wheels first, so that all is installed at once, by hashes:
/// what is installed in two goes does not share the directories of a namespace.
fn locked(
    python: &Python,
    lock: &Path,
    program: &Path,
    lib: &Path,
    printer: &Printer,
) -> Result<(), RecipeError> {
    let scratch = lib.with_file_name("locked");
    fs::create_dir_all(&scratch).map_err(|error| RecipeError::write(&scratch, error))?;
    let own = python.sources.iter().find_map(|source| match source {
        Requirement::Project(path) => Some(path.as_path()),
        _ => None,
    });
    let mut pins = lock::read(lock, own, &|question| {
        lock::ask(program, &scratch, question)
    })?;
    let projects = scratch.join("projects");
    let mut all: Vec<PathBuf> = own.map(Path::to_owned).into_iter().collect();
    all.append(&mut pins.projects);
    for (nth, project) in all.iter().enumerate() {
        let wheels = scratch.join(format!("wheels-{nth}"));
        let mut pip = pip(program, "wheel");
        pip.arg("--no-deps").arg("--wheel-dir").arg(&wheels);
        pip.arg(copied(project, &projects, nth)?);
        let busy = printer.busy("pip wheel");
        run("pip", &mut pip)?;
        drop(busy);
        for wheel in fs::read_dir(&wheels).map_err(|error| RecipeError::read(&wheels, error))? {
            let wheel = wheel
                .map_err(|error| RecipeError::read(&wheels, error))?
                .path();
            let bytes = fs::read(&wheel).map_err(|error| RecipeError::read(&wheel, error))?;
            pins.built(&wheel, &Digest::of(&bytes).to_string());
        }
    }
    let requirements = scratch.join("requirements.txt");
    fs::write(&requirements, pins.text())
        .map_err(|error| RecipeError::write(&requirements, error))?;
    let mut pip = pip_install(program, lib);
    pip.args(["--require-hashes", "--no-deps", "--requirement"]);
    pip.arg(&requirements);
    let busy = printer.busy("pip install");
    run_or("pip", &mut pip, |said| {
        Some(RecipeError::Lock {
            file: lock.to_owned(),
            fault: other_hash(said)?,
        })
    })?;
    drop(busy);
    gone(&scratch)
}

/// What pip says when a hash differs: the requirement, the expected hashes, what came.
///
/// ```text
/// ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. ...
///     mdurl==0.1.2 from https://files.pythonhosted.org/.../mdurl-0.1.2-py3-none-any.whl (from -r r.txt (line 1)):
///         Expected sha256 84...
///              Got        83...
/// ```
fn other_hash(said: &str) -> Option<LockFault> {
    let (_, said) = said.split_once("DO NOT MATCH THE HASHES")?;
    let mut lines = said.lines().map(str::trim).skip(1);
    let requirement = lines.find(|line| line.contains(" from ") || line.ends_with(':'))?;
    let got = lines.find_map(|line| line.strip_prefix("Got "))?;
    let named = requirement.split(" (from ").next().unwrap_or(requirement);
    Some(LockFault::Hash {
        requirement: named.trim_end_matches(':').to_owned(),
        got: got.trim().to_owned(),
    })
}

/// A copy of a project: building leaves files in it, and would take in those of an earlier build.
fn copied(project: &Path, projects: &Path, nth: usize) -> Result<PathBuf, RecipeError> {
    let copied = projects.join(nth.to_string());
    copy::project(existing(project)?, &copied, &is_built)?;
    Ok(copied)
}

/// Removes a directory that may not be there.
fn gone(directory: &Path) -> Result<(), RecipeError> {
    match directory.exists() {
        true => fs::remove_dir_all(directory).map_err(|error| RecipeError::write(directory, error)),
        false => Ok(()),
    }
}

/// What an earlier build has left at the top of a project.
fn is_built(name: &str) -> bool {
    name == "build" || name.ends_with(".egg-info")
}

fn existing(path: &Path) -> Result<&Path, RecipeError> {
    fs::metadata(path).map_err(|error| RecipeError::Source {
        path: path.to_owned(),
        error,
    })?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_hash_is_told_from_other_failures() {
        let said = "WARNING: x\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated\n    \
                    mdurl==0.1.2 from https://x/mdurl.whl (from -r r.txt (line 1)):\n        \
                    Expected sha256 84\n        Expected     or 85\n             Got        83\n\n";
        let fault = LockFault::Hash {
            requirement: "mdurl==0.1.2 from https://x/mdurl.whl".into(),
            got: "83".into(),
        };
        assert_eq!(other_hash(said), Some(fault));
        assert_eq!(
            other_hash("ERROR: No matching distribution found for x\n"),
            None
        );
    }
}
