//! The manifest: `flavor.toml`, or `[tool.flavor]` in `pyproject.toml` with the same keys.
//!
//! [`find`] looks for one, [`load`] turns it into a [`Project`]: plain data in which every rule that the manifest
//! alone can break has been checked, and every path is resolved. Nothing is guessed at: an unknown key, a wrong type
//! or a value out of range is an error with its line, what was expected and what was found.
//!
//! `reader` knows TOML and where each value stood, `sections` knows the keys, `checks` knows the rules that
//! hold between sections. `json` and `flavorpack` are the same for the manifests of flavorpack.

mod checks;
mod error;
pub mod flavorpack;
mod json;
mod node;
mod project;
mod python;
mod reader;
mod recipe;
mod recognise;
mod sections;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use psp_format::digest::Digest;

pub use error::{ManifestError, Problem};
pub use project::{
    Command, Compression, Desktop, Entry, EntryPoint, EnvRules, KeySource, Lifecycle, Made,
    MadeKind, Native, Node, PLATFORMS, Package, Policy, Project, Purpose, Python, Reading, Recipe,
    Requirement, Runtime, Sign, Slot, SlotModes, SlotTimes,
};
pub use recognise::{Recognised, recognise};

use flavorpack::Bases;
use reader::{Document, Section};

/// The manifest of its own.
pub(crate) const FLAVOR_TOML: &str = "flavor.toml";
/// The manifest of a Python project, which may have a table for us.
const PYPROJECT_TOML: &str = "pyproject.toml";

/// Finds the manifest of the project in `directory`: `flavor.toml`, or else a `pyproject.toml` with `[tool.flavor]`.
///
/// # Errors
///
/// When neither is there, saying what was looked for, or a `pyproject.toml` cannot be read.
pub fn find(directory: &Path) -> Result<PathBuf, ManifestError> {
    let own = directory.join(FLAVOR_TOML);
    if own.exists() {
        return Ok(own);
    }
    let python = directory.join(PYPROJECT_TOML);
    let has_pyproject = python.exists();
    if has_pyproject {
        let text = read(&python)?;
        let document = Document::parse(&python, &text)?;
        if tool_table(&document.root())?.is_some() {
            return Ok(python);
        }
    }
    Err(ManifestError::new(
        directory,
        None,
        Problem::NotFound { has_pyproject },
    ))
}

/// Reads the manifest `file`, whose `{workenv}` in sources is the current directory. See [`load_with`].
///
/// # Errors
///
/// As [`load_with`].
pub fn load(file: &Path) -> Result<Project, ManifestError> {
    load_with(file, Path::new(""))
}

/// Reads the manifest `file`. One named `pyproject.toml` is read from its `[tool.flavor]`; one that ends in `.json` is
/// flavorpack's, where `{workenv}` in a source stands for `workenv_base`.
///
/// # Errors
///
/// When it cannot be read, is not TOML, or breaks a rule of the manifest; the first such place is named.
pub fn load_with(file: &Path, workenv_base: &Path) -> Result<Project, ManifestError> {
    if file
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
    {
        let bases = Bases {
            directory: file.parent().unwrap_or(Path::new("")),
            workenv: workenv_base,
        };
        let text = read(file)?;
        let mut project = flavorpack::load(file, &text, &bases)?;
        project.digest = Digest::of(text.as_bytes());
        checks::across_sections(&project)?;
        return Ok(project);
    }
    parse(file, &read(file)?)
}

/// Reads the text of the manifest `file`, as [`load`] does. No file is looked at but the `pyproject.toml` or
/// `package.json` of a project that a recipe packs.
///
/// # Errors
///
/// When it is not TOML, or breaks a rule of the manifest; the first such place is named.
pub fn parse(file: &Path, text: &str) -> Result<Project, ManifestError> {
    let document = Document::parse(file, text)?;
    let root = document.root();
    let section = match is_pyproject(file) {
        false => root,
        true => tool_table(&root)?
            .ok_or_else(|| ManifestError::new(file, None, Problem::NoToolTable))?,
    };
    let python = match is_pyproject(file) {
        true => flavorpack::python::project(&document.root(), &section)?,
        false => None,
    };
    let mut project = sections::project(&section, file, python)?;
    project.digest = Digest::of(text.as_bytes());
    checks::across_sections(&project)?;
    Ok(project)
}

fn is_pyproject(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == PYPROJECT_TOML)
}

/// `[tool.flavor]` of a `pyproject.toml`.
fn tool_table<'d>(root: &Section<'d>) -> Result<Option<Section<'d>>, ManifestError> {
    let Some(tool) = root.get("tool") else {
        return Ok(None);
    };
    let flavor = tool.table()?.get("flavor");
    flavor.map(|flavor| flavor.table()).transpose()
}

fn read(file: &Path) -> Result<String, ManifestError> {
    fs::read_to_string(file).map_err(|error| {
        let problem = match error.kind() {
            io::ErrorKind::InvalidData => Problem::NotText,
            _ => Problem::Unreadable { error },
        };
        ManifestError::new(file, None, problem)
    })
}
