//! The libraries that extension modules take from a host.
//!
//! A wheel brings the libraries that few hosts have, and leaves others to the host, of which the C++ library is the most common
//! (<https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/>). A package leaves to it what belongs
//! to the base set alone ([`crate::binary::base`]); the others go to `app/native`, and the modules that need them get that as a
//! further run path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::super::libraries::{self, BESIDE, Host, Library};
use super::super::{Filled, RecipeError};
use crate::binary::runpath;

/// The directory beside that of the distributions.
const NATIVE: &str = "native";

/// Copies what the modules below `lib` need and no file of the package is, and notes each library.
///
/// A library that is not on this machine either is left alone: its module works nowhere, or something loads the library
/// first. A module that no run path can be given to takes its libraries from the host, as `flavor inspect --requirements` says.
///
/// # Errors
///
/// When a file cannot be read or written.
pub(super) fn bundle(lib: &Path, target: &str) -> Result<Filled, RecipeError> {
    let mut files = Vec::new();
    walk(lib, &mut files)?;
    // What a wheel has of its own it finds, or loads beforehand.
    let inside: BTreeSet<&str> = files.iter().filter_map(|path| name(path)).collect();
    // The interpreter's is there before any module.
    let is_inside = |name: &str| inside.contains(name) || name.starts_with("libpython");
    let host = Host::read(target);
    let mut bundled: BTreeMap<String, Library> = BTreeMap::new();
    let mut filled = Filled::default();
    for path in &files {
        let Some(elf) = libraries::elf(path, target)? else {
            continue;
        };
        let Ok(closure) = libraries::closure(&host, std::slice::from_ref(path), target) else {
            continue;
        };
        let from_host: Vec<Library> = closure
            .into_iter()
            .filter(|library| !is_inside(&library.name))
            .collect();
        if from_host.iter().any(|it| elf.needed.contains(&it.name)) {
            let entries = elf.runpath.iter().flatten().chain(&elf.rpath).cloned();
            let native = format!("$ORIGIN/{}{NATIVE}", up(path, lib));
            let run_path: Vec<String> = entries.chain([native]).collect();
            match add_run_path(path, &run_path.join(":")) {
                Err(RecipeError::RunPath { error, .. }) => {
                    let module = path.strip_prefix(lib).unwrap_or(path).display();
                    filled
                        .content
                        .push(format!("{module} with libraries of the host: {error}"));
                    continue;
                }
                added => added?,
            }
        }
        for library in from_host {
            bundled.entry(library.name.clone()).or_insert(library);
        }
    }
    let app = lib.parent().unwrap_or(lib);
    for library in bundled.values() {
        let name = format!("{NATIVE}/{}", library.name);
        let run_path = libraries::needs_run_path(&library.elf).then_some(BESIDE);
        libraries::copy(&library.path, &app.join(&name), 0o644, run_path)?;
        filled.library(name, library, run_path);
    }
    Ok(filled)
}

/// The way from the directory of a module to the one that `lib` lies in.
fn up(module: &Path, lib: &Path) -> String {
    let inside = module.strip_prefix(lib).unwrap_or(module);
    "../".repeat(inside.components().count())
}

fn add_run_path(path: &Path, run_path: &str) -> Result<(), RecipeError> {
    let bytes = fs::read(path).map_err(|error| RecipeError::read(path, error))?;
    let bytes = runpath::set(&bytes, run_path).map_err(|error| RecipeError::RunPath {
        path: path.to_owned(),
        error,
    })?;
    fs::write(path, bytes).map_err(|error| RecipeError::write(path, error))
}

fn name(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}

/// `x.so`, `libx.so.1`.
pub(super) fn is_library(name: &str) -> bool {
    name.ends_with(".so") || name.contains(".so.")
}

/// The libraries below a directory, in the order of their names.
fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), RecipeError> {
    let unreadable = |error| RecipeError::read(directory, error);
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        entries.push((entry.path(), entry.file_type().map_err(unreadable)?));
    }
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    for (path, kind) in entries {
        if kind.is_dir() {
            walk(&path, files)?;
        } else if kind.is_file() && name(&path).is_some_and(is_library) {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_way_up_leads_to_where_the_distributions_lie() {
        let lib = Path::new("/app/lib");
        assert_eq!(up(Path::new("/app/lib/x.so"), lib), "../");
        assert_eq!(up(Path::new("/app/lib/numpy/_core/x.so"), lib), "../../../");
    }
}
