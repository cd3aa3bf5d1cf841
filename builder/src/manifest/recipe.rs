//! Which recipe a manifest asks for, and the keys of `[native]`. Those of the others have files of their own.

use std::path::{Path, PathBuf};

use psp_format::metadata::is_name;

use super::error::{ManifestError, Problem};
use super::flavorpack::python::PythonProject;
use super::project::{Native, Package, Recipe, Runtime};
use super::reader::{Section, Value};
use super::{node, python};
use crate::binary::Version;

type Result<T> = std::result::Result<T, ManifestError>;

/// What the section of a recipe says.
pub(super) struct Asked {
    pub(super) recipe: Recipe,
    /// What the packed project says of itself, where that is enough for a package.
    pub(super) package: Option<Package>,
    /// The line where the section begins.
    pub(super) line: usize,
}

/// The recipe of the manifest in `section`, if it has one. A project of flavorpack is one, unless sections of ours beside its
/// keys say what is started.
pub(super) fn asked(
    section: &Section<'_>,
    directory: &Path,
    flavorpacks: Option<&PythonProject>,
) -> Result<Option<Asked>> {
    let has_command = section.get("command").is_some();
    let mut found: Option<(&'static str, Asked)> = None;
    for key in ["native", "python", "node"] {
        let Some(value) = section.get(key) else {
            continue;
        };
        let (name, asked) = match key {
            "native" => ("a `binary` in [native]", native(&value, directory)?),
            "python" => (
                "[python]",
                Some(python::read(&value, directory, has_command)?),
            ),
            _ => ("[node]", Some(node::read(&value, directory, has_command)?)),
        };
        let Some(asked) = asked else {
            continue;
        };
        if let Some((first, _)) = found.replace((name, asked)) {
            return Err(value.error(Problem::TwoRecipes {
                recipe: name,
                first,
            }));
        }
    }
    Ok(match (found, flavorpacks) {
        (Some((_, asked)), _) => Some(asked),
        (None, Some(project)) if !has_command => Some(Asked {
            recipe: Recipe::Python(project.recipe(directory)),
            package: None,
            line: section.line(),
        }),
        (None, _) => None,
    })
}

/// `glibc-floor`, which is about the whole package and no recipe.
pub(super) fn glibc_floor(section: &Section<'_>) -> Result<Option<Version>> {
    let Some(value) = section.get("native") else {
        return Ok(None);
    };
    let Some(value) = value.table()?.get("glibc-floor") else {
        return Ok(None);
    };
    let is_version = |text: &str| text.parse::<Version>().is_ok();
    let text = value.text_that(is_version, "a version of glibc in quotes", "\"2.28\"")?;
    Ok(text.parse().ok())
}

fn native(value: &Value<'_>, directory: &Path) -> Result<Option<Asked>> {
    let section = value.table()?;
    section.only(&["binary", "bundle-libraries", "glibc-floor"])?;
    let bundle = section.get("bundle-libraries");
    let Some(value) = section.get("binary") else {
        return match bundle {
            None => Ok(None),
            Some(bundle) => {
                let example = "binary = \"target/release/app\"";
                Err(bundle.invalid("absent without `binary`", example))
            }
        };
    };
    let items = match value.items() {
        Ok(items) => items,
        Err(_) => vec![value.clone()],
    };
    let mut binaries: Vec<PathBuf> = Vec::new();
    for item in &items {
        let path = item.text_that(
            |path| Path::new(path).file_name().is_some_and(|name| is_name(&name.to_string_lossy())),
            "the path of a program whose name has letters, digits, `.`, `_` and `-`, or a list of such",
            "\"target/release/app\"",
        )?;
        let path = directory.join(path);
        if binaries
            .iter()
            .any(|other| other.file_name() == path.file_name())
        {
            return Err(value.invalid(
                "a list of programs with different names",
                "binary = [\"app\"]",
            ));
        }
        binaries.push(path);
    }
    if binaries.is_empty() {
        return Err(value.invalid(
            "a program, or a list of some",
            "binary = \"target/release/app\"",
        ));
    }
    Ok(Some(Asked {
        recipe: Recipe::Native(Native {
            binaries,
            bundle_libraries: bundle.map_or(Ok(false), |value| value.flag())?,
        }),
        package: None,
        line: section.line(),
    }))
}

/// `runtime` of `[python]` and `[node]`.
pub(super) fn runtime(section: &Section<'_>, directory: &Path) -> Result<Runtime> {
    let Some(value) = section.get("runtime") else {
        return Ok(Runtime::Found);
    };
    let text = value.text_that(
        |text| !text.is_empty(),
        "a version, or the path of an installation or a program",
        "\"3.11\"",
    )?;
    let is_version = text.split('.').all(|part| part.parse::<u32>().is_ok());
    Ok(match is_version {
        true => Runtime::Version(text.into()),
        false => Runtime::Path(resolved(directory, text)),
    })
}

/// A path of the manifest, counted from its directory, as a person would write it.
pub(super) fn resolved(directory: &Path, path: &str) -> PathBuf {
    match path {
        "." if !directory.as_os_str().is_empty() => directory.to_owned(),
        path => directory.join(path).components().collect(),
    }
}
