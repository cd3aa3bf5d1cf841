//! `pylock.toml` (PEP 751, <https://packaging.python.org/en/latest/specifications/pylock-toml/>): every package in it is
//! installed whose marker holds, with its default groups and without extras.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ask::{Asked, Question};
use super::{Failure, Judge, LockFault, Pins, Place, Result, Wanted, is_for, parse};

/// The format that is read, of which later ones keep what is needed here.
const VERSION: &str = "1.";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Lock {
    requires_python: Option<String>,
    #[serde(default)]
    environments: Vec<String>,
    #[serde(default)]
    default_groups: Vec<String>,
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    requires_python: Option<String>,
    index: Option<String>,
    vcs: Option<Ignored>,
    directory: Option<Directory>,
    archive: Option<Archive>,
    sdist: Option<Artifact>,
    #[serde(default)]
    wheels: Vec<Artifact>,
}

/// A table of which nothing is needed.
#[derive(Debug, Deserialize)]
struct Ignored {}

#[derive(Debug, Deserialize)]
struct Directory {
    path: String,
    subdirectory: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Archive {
    url: Option<String>,
    path: Option<String>,
    subdirectory: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Artifact {
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

/// What the text pins.
///
/// # Errors
///
/// [`LockFault`], and what the judge says.
pub(super) fn pins(text: &str, place: &Place<'_>, judge: &Judge<'_>) -> Result<Pins> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Versioned {
        lock_version: String,
    }
    let found = parse::<Versioned>(text)?.lock_version;
    if !found.starts_with(VERSION) {
        return Err(Failure::Fault(LockFault::Version {
            found,
            known: "version 1",
        }));
    }
    let lock: Lock = parse(text)?;
    let markers = lock.packages.iter().filter_map(|it| it.marker.clone());
    let pythons = lock
        .packages
        .iter()
        .filter_map(|it| it.requires_python.clone());
    let asked = judge(&Question {
        markers: markers.chain(lock.environments.iter().cloned()).collect(),
        groups: lock.default_groups.clone(),
        pythons: pythons.chain(lock.requires_python.clone()).collect(),
        ..Question::default()
    })?;
    is_for(lock.requires_python.as_deref(), &lock.environments, &asked)?;
    let mut here = Vec::new();
    for package in &lock.packages {
        if package.is_for(&asked)? {
            here.push(package);
        }
    }
    if let Some(wanted) = place.wanted {
        compare(wanted, &here, judge)?;
    }
    let mut pins = Pins::default();
    for package in here {
        package.pin(&mut pins, place)?;
    }
    Ok(pins)
}

impl Package {
    /// Whether it is installed for this interpreter, which it must then be for.
    fn is_for(&self, asked: &Asked) -> Result<bool> {
        if let Some(marker) = &self.marker
            && !asked.holds(marker)?
        {
            return Ok(false);
        }
        is_for(self.requires_python.as_deref(), &[], asked).map(|()| true)
    }

    fn pin(&self, pins: &mut Pins, place: &Place<'_>) -> Result<()> {
        if let Some(directory) = &self.directory {
            if !place.is_project(&directory.path) {
                let path = place.resolved(&directory.path);
                pins.projects.push(match &directory.subdirectory {
                    Some(below) => path.join(below),
                    None => path,
                });
            }
            return Ok(());
        }
        if let Some(archive) = &self.archive {
            let hashes = texts([&archive.hashes]);
            let hashes: Vec<&str> = hashes.iter().map(String::as_str).collect();
            let url = match (&archive.url, &archive.path) {
                (Some(url), _) => url.clone(),
                (None, path) => {
                    super::file_url(&place.resolved(path.as_deref().unwrap_or_default()))
                }
            };
            return pins.archive(&self.name, &url, archive.subdirectory.as_deref(), &hashes);
        }
        if self.vcs.is_some() {
            return Err(Failure::Fault(LockFault::NoSource {
                name: self.name.clone(),
                kind: "a repository",
            }));
        }
        let artifacts = self.wheels.iter().chain(&self.sdist);
        let hashes = texts(artifacts.map(|it| &it.hashes));
        let hashes: Vec<&str> = hashes.iter().map(String::as_str).collect();
        let version = self.version.as_deref().unwrap_or_default();
        let index = self.index.as_deref().unwrap_or_default();
        pins.release(&self.name, version, &hashes, index, place)
    }
}

/// Hashes as pip takes them, of algorithms that it takes.
fn texts<'h>(all: impl IntoIterator<Item = &'h BTreeMap<String, String>>) -> Vec<String> {
    let pairs = all.into_iter().flatten();
    let known = pairs.filter(|(name, _)| ["sha256", "sha384", "sha512"].contains(&name.as_str()));
    known
        .map(|(name, digits)| format!("{name}:{digits}"))
        .collect()
}

/// Looks for each dependency of the project: the file does not say what the project asked for when it was locked.
fn compare(wanted: &Wanted, here: &[&Package], judge: &Judge<'_>) -> Result<()> {
    let mut lacks = Vec::new();
    let mut pinned = Vec::new();
    for (text, requirement) in &wanted.0 {
        let named = here.iter().find(|it| normal(&it.name) == requirement.name);
        match named {
            None => lacks.push(text.clone()),
            Some(package) => {
                if let Some(version) = &package.version {
                    pinned.push((
                        text,
                        *package,
                        (requirement.specifier.clone(), version.clone()),
                    ));
                }
            }
        }
    }
    if !lacks.is_empty() {
        let surplus = Vec::new();
        return Err(Failure::Fault(LockFault::Mismatch { lacks, surplus }));
    }
    let question = Question {
        specifiers: pinned.iter().map(|(_, _, pair)| pair.clone()).collect(),
        ..Question::default()
    };
    let answers = judge(&question)?.specifiers;
    for ((text, package, (_, version)), allows) in pinned.into_iter().zip(answers) {
        if allows != Some(true) {
            return Err(Failure::Fault(LockFault::Pinned {
                name: package.name.clone(),
                version,
                wanted: text.clone(),
            }));
        }
    }
    Ok(())
}

/// The normal form of a name
/// (<https://packaging.python.org/en/latest/specifications/name-normalization/>).
fn normal(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests_judge;
    use super::*;

    const LOCK: &str = r#"
        lock-version = "1.0"
        requires-python = ">=3.9"
        created-by = "hand"
        default-groups = ["main"]
        [[packages]]
        name = "Rich_x"
        version = "14.0"
        index = "https://pypi.org/simple"
        sdist = { url = "https://x/rich.tar.gz", upload-time = 2026-10-07T12:23:37Z, hashes = { sha256 = "aa", md5 = "bb" } }
        wheels = [{ url = "https://x/rich.whl", hashes = { sha256 = "cc" } }]
        [[packages]]
        name = "old"
        version = "1"
        marker = "no"
        wheels = [{ hashes = { sha256 = "dd" } }]
        [[packages]]
        name = "arch"
        archive = { url = "https://x/arch.zip", hashes = { sha512 = "ee" } }
        [[packages]]
        name = "project"
        directory = { path = ".", editable = true }
        [[packages]]
        name = "other"
        directory = { path = "other", subdirectory = "py" }
    "#;

    fn read(text: &str, wanted: &[&str]) -> std::result::Result<Pins, String> {
        tests_judge::read(pins, text, wanted)
    }

    #[test]
    fn what_applies_is_pinned_with_the_hashes_of_all_its_files() {
        let pins =
            read(LOCK, &["rich-x>=13", "old>=2; no"]).unwrap_or_else(|it| unreachable!("{it}"));
        assert_eq!(
            pins.text(),
            "Rich_x==14.0 --hash=sha256:cc --hash=sha256:aa\narch @ https://x/arch.zip --hash=sha512:ee\n"
        );
        assert_eq!(pins.projects, [Path::new("/nowhere/other/py")]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let vcs = "lock-version = \"1.0\"\n[[packages]]\nname = \"v\"\nvcs = { type = \"git\", url = \"https://x\" }\n";
        for (text, wanted, expected) in [
            (
                LOCK,
                "missing",
                "does not match pyproject.toml: it lacks `missing`",
            ),
            (
                LOCK,
                "rich-x>=15",
                "does not match pyproject.toml: it pins Rich_x 14.0, and `rich-x>=15` is asked for",
            ),
            (
                &LOCK.replace(">=3.9", ">=3.99"),
                "rich-x",
                "is for Python >=3.99, and the interpreter is 3.11.7",
            ),
            (
                &LOCK.replace("created-by", "environments = [\"no\"]\ncreated-by"),
                "rich-x",
                "is for none of what this interpreter is (its environments are others)",
            ),
            (
                &LOCK.replace("lock-version = \"1.0\"", "lock-version = \"2.0\""),
                "rich-x",
                "has the format 2.0; this flavor reads version 1",
            ),
            (
                &LOCK.replace("sha512", "md5"),
                "rich-x",
                "has no hash for `arch`",
            ),
            (
                &LOCK.replace("\"no\"", "\"???\""),
                "rich-x",
                "holds `???`, which cannot be used",
            ),
            (
                vcs,
                "v",
                "takes `v` from a repository, of which no hash can be checked",
            ),
            (
                "lock-version = 1",
                "v",
                "cannot be read: line 1: invalid type: integer `1`, expected a string",
            ),
        ] {
            assert_eq!(
                read(text, &[wanted]),
                Err(expected.to_owned()),
                "{expected}"
            );
        }
    }
}
