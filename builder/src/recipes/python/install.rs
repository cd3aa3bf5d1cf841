//! What pip installs, and what is done to it so that it can be moved.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use psp_format::base64;
use psp_format::digest::Digest;

use super::super::program::run;
use super::super::{Filled, RecipeError};
use super::runtime::Interpreter;
use super::tree::without_prefix;
use super::{modules, pip};
use crate::binary::runpath;
use crate::manifest::Python;
use crate::printer::Printer;

/// Installs what the section names into `lib`, and puts the libraries of the host that it needs beside. Returns a line on each
/// distribution and library.
///
/// # Errors
///
/// When pip fails, or a file cannot be read or written.
pub(super) fn install(
    python: &Python,
    interpreter: &Interpreter,
    rt: &Path,
    lib: &Path,
    target: &str,
    printer: &Printer,
) -> Result<Filled, RecipeError> {
    pip::install(python, interpreter, rt, lib, printer)?;
    tidy(lib, lib, Path::new(&interpreter.prefix))?;
    // Empty without the scripts, as it mostly is.
    let _ = fs::remove_dir(lib.join("bin"));
    let libraries = modules::bundle(lib, target)?;
    let mut filled = Filled::default();
    for distribution in distributions(lib)? {
        list_what_is_there(lib, &distribution)?;
        let name = distribution.file_stem().unwrap_or_default();
        filled.content.push(name.to_string_lossy().into_owned());
    }
    filled.content.extend(libraries.content);
    filled.origins.extend(libraries.origins);
    Ok(filled)
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
        } else if modules::is_library(&name) {
            relocate(&path, bytes()?, prefix)?;
        }
    }
    Ok(())
}

/// Takes out of the list of a distribution's files what is not there (any more), and says what libraries have become:
/// `PATH,sha256=DIGEST,SIZE`, a line each, with paths that count from `lib`
/// (<https://packaging.python.org/en/latest/specifications/recording-installed-packages/>).
fn list_what_is_there(lib: &Path, distribution: &Path) -> Result<(), RecipeError> {
    let record = distribution.join("RECORD");
    let Ok(text) = fs::read_to_string(&record) else {
        return Ok(());
    };
    let mut kept = String::new();
    for line in text.split_inclusive('\n') {
        // A path with a comma in it stands in quotes; what it names is left alone.
        let path = line.split(',').next().unwrap_or_default();
        let file = lib.join(path);
        if path.starts_with('"') {
            kept.push_str(line);
        } else if modules::is_library(path) && file.is_file() {
            let bytes = fs::read(&file).map_err(|error| RecipeError::read(&file, error))?;
            let digest = base64::encode(&Digest::of(&bytes).0);
            // In the alphabet of URLs, without padding.
            let digest = digest.replace('+', "-").replace('/', "_");
            let digest = digest.trim_end_matches('=');
            kept.push_str(&format!("{path},sha256={digest},{}\n", bytes.len()));
        } else if file.exists() {
            kept.push_str(line);
        }
    }
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
}
