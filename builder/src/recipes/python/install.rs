//! What pip installs, and what is done to it so that it can be moved.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::program::run;
use super::super::{RecipeError, copy};
use super::runtime::{Interpreter, bare};
use super::tree::without_prefix;
use crate::binary::runpath;
use crate::manifest::{Python, Requirement};

/// What pip says of its version, where this interpreter has one.
pub(super) fn has_pip(program: &Path) -> Result<String, RecipeError> {
    let mut command = Command::new(program);
    command.args(["-s", "-B", "-m", "pip", "--version"]);
    bare(&mut command);
    run("pip", &mut command)
}

/// Installs what the section names into `lib`. Returns `NAME-VERSION` of each distribution.
///
/// pip is the interpreter's own, or, where it has none, the one in the staged tree. What configures pip (its variables,
/// its files) is the caller's: indexes, proxies, hashes.
///
/// # Errors
///
/// When pip fails, with its last lines.
pub(super) fn install(
    python: &Python,
    interpreter: &Interpreter,
    rt: &Path,
    lib: &Path,
) -> Result<Vec<String>, RecipeError> {
    fs::create_dir_all(lib).map_err(|error| RecipeError::write(lib, error))?;
    let program = match has_pip(Path::new(&interpreter.executable)) {
        Ok(_) => PathBuf::from(&interpreter.executable),
        Err(_) => rt.join("bin/python3"),
    };
    let mut pip = Command::new(program);
    pip.args([
        "-s",
        "-B",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "--quiet",
    ]);
    pip.args([
        "install",
        "--no-compile",
        "--no-warn-script-location",
        "--target",
    ]);
    pip.arg(lib);
    let projects = lib.with_file_name("projects");
    for (nth, source) in python.sources.iter().enumerate() {
        match source {
            Requirement::Named(name) => pip.arg(name),
            Requirement::File(path) => pip.arg("--requirement").arg(existing(path)?),
            Requirement::Project(path) => {
                // Building leaves files in a project, and would take in those of an earlier build.
                let copied = projects.join(nth.to_string());
                copy::project(existing(path)?, &copied, &is_built)?;
                pip.arg(copied)
            }
        };
    }
    bare(&mut pip);
    run("pip", &mut pip)?;
    if projects.exists() {
        fs::remove_dir_all(&projects).map_err(|error| RecipeError::write(&projects, error))?;
    }
    tidy(lib, lib, Path::new(&interpreter.prefix))?;
    // Empty without the scripts, as it mostly is.
    let _ = fs::remove_dir(lib.join("bin"));
    let mut names = Vec::new();
    for distribution in distributions(lib)? {
        list_what_is_there(lib, &distribution)?;
        let name = distribution.file_stem().unwrap_or_default();
        names.push(name.to_string_lossy().into_owned());
    }
    Ok(names)
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

/// Makes what was installed movable: scripts that name this machine's interpreter go, as the package's commands take their
/// place; run paths become relative; and what says where on this machine a distribution came from goes, too.
fn tidy(lib: &Path, directory: &Path, prefix: &Path) -> Result<(), RecipeError> {
    let unreadable = |error| RecipeError::read(directory, error);
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            tidy(lib, &path, prefix)?;
            continue;
        }
        if !kind.is_file() {
            continue;
        }
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let of_distribution = directory.extension().is_some_and(|it| it == "dist-info");
        let bytes = || fs::read(&path).map_err(|error| RecipeError::read(&path, error));
        let is_local =
            || Ok::<_, RecipeError>(bytes()?.windows(8).any(|window| window == b"file:///"));
        let is_bound = directory == lib.join("bin") && bytes()?.starts_with(b"#!/");
        if is_bound || of_distribution && name == "direct_url.json" && is_local()? {
            fs::remove_file(&path).map_err(|error| RecipeError::write(&path, error))?;
        } else if is_library(&name) {
            relocate(&path, bytes()?, prefix)?;
        }
    }
    Ok(())
}

/// `x.so`, `libx.so.1`.
fn is_library(name: &str) -> bool {
    name.ends_with(".so") || name.contains(".so.")
}

/// Takes out of the list of a distribution's files what is not there (any more): `PATH,DIGEST,SIZE`, a line each, with paths
/// that count from `lib` (<https://packaging.python.org/en/latest/specifications/recording-installed-packages/>).
fn list_what_is_there(lib: &Path, distribution: &Path) -> Result<(), RecipeError> {
    let record = distribution.join("RECORD");
    let Ok(text) = fs::read_to_string(&record) else {
        return Ok(());
    };
    let is_there = |line: &&str| {
        // A path with a comma in it stands in quotes; what it names is left alone.
        let path = line.split(',').next().unwrap_or_default();
        path.starts_with('"') || lib.join(path).exists()
    };
    let kept: String = text.split_inclusive('\n').filter(is_there).collect();
    match kept == text {
        true => Ok(()),
        false => fs::write(&record, kept).map_err(|error| RecipeError::write(&record, error)),
    }
}

/// Writes a library again without absolute run paths; wheels from an index have none.
fn relocate(path: &Path, bytes: Vec<u8>, prefix: &Path) -> Result<(), RecipeError> {
    let old = crate::binary::read(&bytes[..]).ok().flatten();
    let mut new = bytes.clone();
    if let Some(crate::binary::Binary::Elf(elf)) = old {
        let entries = elf.runpath.iter().flatten().chain(&elf.rpath);
        let (relative, absolute): (Vec<&String>, Vec<&String>) = entries
            .partition(|entry| entry.starts_with("$ORIGIN") || entry.starts_with("${ORIGIN}"));
        if !absolute.is_empty() {
            let kept: Vec<&str> = relative.iter().map(|entry| entry.as_str()).collect();
            let run_path = match kept.is_empty() {
                true => "$ORIGIN".to_owned(),
                false => kept.join(":"),
            };
            new = runpath::set(&bytes, &run_path).map_err(|error| RecipeError::RunPath {
                path: path.to_owned(),
                error,
            })?;
        }
    }
    let new = without_prefix(new, prefix);
    match new == bytes {
        true => Ok(()),
        false => fs::write(path, new).map_err(|error| RecipeError::write(path, error)),
    }
}

/// The directories `NAME-VERSION.dist-info`, in the order of their names.
fn distributions(lib: &Path) -> Result<Vec<PathBuf>, RecipeError> {
    let unreadable = |error| RecipeError::read(lib, error);
    let mut out = Vec::new();
    for entry in fs::read_dir(lib).map_err(unreadable)? {
        out.push(entry.map_err(unreadable)?.path());
    }
    out.retain(|path| path.extension().is_some_and(|it| it == "dist-info"));
    out.sort();
    Ok(out)
}

/// Compiles what is below the second argument; names in it count from the first. Byte code that is not checked against its
/// source (PEP 552) is valid wherever it lies. What cannot be compiled (templates, tests of syntax errors) stays as it is.
const COMPILE: &str = "import os, py_compile, sys
unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
for directory, names, files in os.walk(sys.argv[2]):
    names.sort()
    for path in sorted(os.path.join(directory, name) for name in files if name.endswith('.py')):
        try:
            name = os.path.relpath(path, sys.argv[1])
            py_compile.compile(path, dfile=name, doraise=True, invalidation_mode=unchecked)
        except py_compile.PyCompileError:
            pass
";

/// Compiles all of `directory`, which is below `top`, for the interpreter in `rt`.
///
/// # Errors
///
/// When the interpreter cannot do that.
pub(super) fn compile(rt: &Path, directory: &Path, top: &Path) -> Result<(), RecipeError> {
    let mut command = Command::new(rt.join("bin/python3"));
    // Not -I, which would have it ignore the seed: before 3.11, the order of sets is in the byte code.
    command
        .args(["-s", "-S", "-B", "-c", COMPILE])
        .args([top, directory])
        .current_dir(top)
        .env_clear()
        .env("PYTHONHASHSEED", "0");
    run("python3", &mut command).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_not_listed() {
        let lib = tempfile::tempdir().unwrap_or_else(|error| unreachable!("{error}"));
        let distribution = lib.path().join("a-1.dist-info");
        let record = distribution.join("RECORD");
        let lines = "a.py,sha256=x,1\n../../bin/a,sha256=y,2\n\"b,c\",,\na-1.dist-info/RECORD,,\n";
        let made = fs::create_dir(&distribution)
            .and_then(|()| fs::write(lib.path().join("a.py"), ""))
            .and_then(|()| fs::write(&record, lines));
        assert!(made.is_ok());
        assert!(list_what_is_there(lib.path(), &distribution).is_ok());
        let kept = fs::read_to_string(&record).unwrap_or_default();
        assert_eq!(kept, "a.py,sha256=x,1\n\"b,c\",,\na-1.dist-info/RECORD,,\n");
    }

    #[test]
    fn libraries_are_known_by_their_names() {
        for (name, is) in [
            ("x.so", true),
            ("_x.cpython-311-x86_64-linux-gnu.so", true),
            ("libz.so.1", true),
            ("x.sorted", false),
            ("x.py", false),
        ] {
            assert_eq!(is_library(name), is, "{name}");
        }
    }
}
