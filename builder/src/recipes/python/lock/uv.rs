//! `uv.lock`: the packages that a project needs, found along the dependencies whose markers hold.
//!
//! The file holds everything for all systems and versions, so that only what can be reached from the project counts: its
//! dependencies, theirs, and those of the extras that a dependency asks for. Extras and groups of the project do not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::ask::Question;
use super::{Failure, Judge, LockFault, Pins, Place, Result, Wanted, is_for, parse};

/// The format that is read; what its revisions add is not needed here.
const VERSION: u32 = 1;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Lock {
    requires_python: Option<String>,
    #[serde(default)]
    supported_markers: Vec<String>,
    #[serde(default, rename = "package")]
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    version: Option<String>,
    source: Source,
    #[serde(default)]
    dependencies: Vec<Dependency>,
    #[serde(default)]
    optional_dependencies: BTreeMap<String, Vec<Dependency>>,
    sdist: Option<Artifact>,
    #[serde(default)]
    wheels: Vec<Artifact>,
    #[serde(default)]
    metadata: Metadata,
}

/// One of these is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Source {
    registry: Option<String>,
    url: Option<String>,
    subdirectory: Option<String>,
    git: Option<String>,
    path: Option<String>,
    directory: Option<String>,
    editable: Option<String>,
    #[serde(rename = "virtual")]
    not_built: Option<String>,
}

/// A dependency; `version` and `source` are there where the name alone does not say which package it is.
#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    version: Option<String>,
    source: Option<Source>,
    #[serde(default)]
    extra: Vec<String>,
    marker: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Artifact {
    hash: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    #[serde(default)]
    requires_dist: Vec<Required>,
}

/// What the project said when it was locked.
#[derive(Debug, Deserialize)]
struct Required {
    name: String,
    #[serde(default)]
    extras: Vec<String>,
    #[serde(default)]
    specifier: String,
    marker: Option<String>,
    #[serde(flatten)]
    source: Source,
}

/// What the text pins.
///
/// # Errors
///
/// [`LockFault`], and what the judge says.
pub(super) fn pins(text: &str, place: &Place<'_>, judge: &Judge<'_>) -> Result<Pins> {
    // The version is looked at first: a later format may have other fields.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let found = parse::<Versioned>(text)?.version;
    if found != VERSION {
        return Err(Failure::Fault(LockFault::Version {
            found: found.to_string(),
            known: "version 1",
        }));
    }
    let lock: Lock = parse(text)?;
    let asked = judge(&Question {
        markers: lock.markers(),
        pythons: lock.requires_python.iter().cloned().collect(),
        ..Question::default()
    })?;
    is_for(
        lock.requires_python.as_deref(),
        &lock.supported_markers,
        &asked,
    )?;
    let root = lock.root(place)?;
    if let (Some(wanted), Some(project)) = (place.wanted, lock.packages.get(root)) {
        compare(wanted, &project.metadata.requires_dist, judge)?;
    }
    let mut pins = Pins::default();
    for at in lock.reached(root, &|marker| asked.holds(marker))? {
        match lock.packages.get(at) {
            Some(package) if at != root => package.pin(&mut pins, place)?,
            _ => {}
        }
    }
    Ok(pins)
}

impl Lock {
    fn markers(&self) -> Vec<String> {
        let dependencies = self.packages.iter().flat_map(|package| {
            let optional = package.optional_dependencies.values().flatten();
            package.dependencies.iter().chain(optional)
        });
        let markers = dependencies.filter_map(|it| it.marker.clone());
        let all: BTreeSet<String> = markers
            .chain(self.supported_markers.iter().cloned())
            .collect();
        all.into_iter().collect()
    }

    /// The project.
    fn root(&self, place: &Place<'_>) -> Result<usize> {
        let is_root = |package: &Package| {
            let source = &package.source;
            let local = source.editable.as_ref().or(source.not_built.as_ref());
            let local = local.or(source.directory.as_ref());
            local.is_some_and(|path| place.is_project(path))
        };
        self.packages.iter().position(is_root).ok_or_else(|| {
            let project = place.project.unwrap_or(place.directory);
            Failure::Fault(LockFault::NoProject {
                project: project.display().to_string(),
            })
        })
    }

    /// The places of all packages that `root` needs, and its own.
    fn reached(
        &self,
        root: usize,
        holds: &dyn Fn(&str) -> Result<bool>,
    ) -> Result<BTreeSet<usize>> {
        let mut seen: BTreeSet<(usize, Option<&str>)> = BTreeSet::new();
        let mut next = vec![(root, None)];
        while let Some((at, extra)) = next.pop() {
            if !seen.insert((at, extra)) {
                continue;
            }
            let Some(package) = self.packages.get(at) else {
                continue;
            };
            let dependencies = match extra {
                None => Some(&package.dependencies),
                // An extra that the package does not have is no more than a warning of pip, and of uv.
                Some(extra) => package.optional_dependencies.get(extra),
            };
            for dependency in dependencies.into_iter().flatten() {
                if let Some(marker) = &dependency.marker
                    && !holds(marker)?
                {
                    continue;
                }
                let found = self.find(dependency)?;
                next.push((found, None));
                next.extend(
                    dependency
                        .extra
                        .iter()
                        .map(|extra| (found, Some(extra.as_str()))),
                );
            }
        }
        Ok(seen.into_iter().map(|(at, _)| at).collect())
    }

    fn find(&self, dependency: &Dependency) -> Result<usize> {
        let is = |package: &Package| {
            package.name == dependency.name
                && (dependency.version.is_none() || dependency.version == package.version)
                && dependency
                    .source
                    .as_ref()
                    .is_none_or(|it| *it == package.source)
        };
        self.packages.iter().position(is).ok_or_else(|| {
            Failure::Fault(LockFault::NoPackage {
                name: dependency.name.clone(),
            })
        })
    }
}

impl Package {
    fn pin(&self, pins: &mut Pins, place: &Place<'_>) -> Result<()> {
        let artifacts = self.wheels.iter().chain(&self.sdist);
        let hashes: Vec<&str> = artifacts.filter_map(|it| it.hash.as_deref()).collect();
        let source = &self.source;
        if let Some(registry) = &source.registry {
            let version = self.version.as_deref().unwrap_or_default();
            return pins.release(&self.name, version, &hashes, registry, place);
        }
        if let Some(url) = &source.url {
            return pins.archive(&self.name, url, source.subdirectory.as_deref(), &hashes);
        }
        if let Some(path) = &source.path {
            let url = super::file_url(&place.resolved(path));
            return pins.archive(&self.name, &url, None, &hashes);
        }
        if let Some(directory) = source.directory.as_ref().or(source.editable.as_ref()) {
            pins.projects.push(place.resolved(directory));
            return Ok(());
        }
        if source.not_built.is_some() {
            return Ok(());
        }
        Err(Failure::Fault(LockFault::NoSource {
            name: self.name.clone(),
            kind: if source.git.is_some() {
                "a Git repository"
            } else {
                "a source of a new kind"
            },
        }))
    }
}

/// Compares what the project says with what it said when it was locked. Markers are not compared by their text, which uv changes,
/// but by what applies.
fn compare(wanted: &Wanted, locked: &[Required], judge: &Judge<'_>) -> Result<()> {
    let texts: Vec<String> = locked.iter().map(Required::text).collect();
    let question = Question {
        requirements: texts.clone(),
        ..Question::default()
    };
    let parsed = judge(&question)?.requirements(&texts)?;
    let locked: Vec<_> = locked
        .iter()
        .zip(parsed.iter().zip(&texts))
        .filter(|(_, (parsed, _))| parsed.applies)
        .collect();
    let is_same = |wanted: &super::Parsed, required: &Required, parsed: &super::Parsed| {
        let is_elsewhere = required.source.is_elsewhere();
        wanted.name == parsed.name
            && wanted.extras == parsed.extras
            // What [tool.uv.sources] has a place for is there in whatever version it has.
            && (is_elsewhere || wanted.specifier == parsed.specifier && wanted.url.is_none())
            && (wanted.url.is_none() || required.source.url.is_none() || wanted.url == required.source.url)
    };
    let lacks: Vec<String> = { wanted.0.iter() }
        .filter(|(_, it)| {
            !locked
                .iter()
                .any(|(required, (parsed, _))| is_same(it, required, parsed))
        })
        .map(|(text, _)| text.clone())
        .collect();
    let surplus: Vec<String> = { locked.iter() }
        .filter(|(required, (parsed, _))| {
            !wanted.0.iter().any(|(_, it)| is_same(it, required, parsed))
        })
        .map(|(_, (_, text))| (*text).clone())
        .collect();
    match lacks.is_empty() && surplus.is_empty() {
        true => Ok(()),
        false => Err(Failure::Fault(LockFault::Mismatch { lacks, surplus })),
    }
}

impl Required {
    /// As `pyproject.toml` would have it.
    fn text(&self) -> String {
        let extras = match self.extras.is_empty() {
            true => String::new(),
            false => format!("[{}]", self.extras.join(",")),
        };
        let marker = self.marker.as_ref().map(|marker| format!("; {marker}"));
        format!(
            "{}{extras}{}{}",
            self.name,
            self.specifier,
            marker.unwrap_or_default()
        )
    }
}

impl Source {
    /// Whether it is anywhere but in an index.
    fn is_elsewhere(&self) -> bool {
        let others = [
            &self.url,
            &self.git,
            &self.path,
            &self.directory,
            &self.editable,
            &self.not_built,
        ];
        others.iter().any(|other| other.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests_judge;
    use super::*;

    const LOCK: &str = r#"
        version = 1
        revision = 5
        requires-python = ">=3.9"
        resolution-markers = ["no", "yes"]

        [[package]]
        name = "app"
        version = "1.0"
        source = { editable = "." }
        dependencies = [
            { name = "forked", version = "1", source = { registry = "https://pypi.org/simple" }, marker = "no" },
            { name = "forked", version = "2", source = { registry = "https://pypi.org/simple" }, marker = "yes" },
            { name = "request", extra = ["socks", "gone"] },
            { name = "member" },
            { name = "pinned" },
            { name = "windows", marker = "no" },
        ]
        [package.optional-dependencies]
        more = [{ name = "only-extra" }]
        [package.dev-dependencies]
        dev = [{ name = "only-dev" }]
        [package.metadata]
        requires-dist = [
            { name = "forked", specifier = ">=1" },
            { name = "request", extras = ["socks"] },
            { name = "member", editable = "member" },
            { name = "pinned", url = "https://x/pinned.whl" },
            { name = "windows", marker = "no", specifier = ">=1" },
            { name = "only-extra", marker = "no" },
        ]

        [[package]]
        name = "forked"
        version = "1"
        source = { registry = "https://pypi.org/simple" }
        dependencies = [{ name = "only-old" }]
        wheels = [{ url = "https://x", hash = "sha256:f1" }]
        [[package]]
        name = "forked"
        version = "2"
        source = { registry = "https://pypi.org/simple" }
        dependencies = [{ name = "deep", marker = "yes" }, { name = "forked", version = "2" }]
        sdist = { url = "https://x", hash = "sha256:f2", size = 1 }
        wheels = [{ url = "https://x", hash = "sha256:f3" }, { url = "https://x", hash = "sha256:f4" }]
        [[package]]
        name = "deep"
        version = "1"
        source = { registry = "https://own.example/simple" }
        wheels = [{ url = "https://x", hash = "sha256:de" }]
        [[package]]
        name = "request"
        version = "3"
        source = { registry = "https://pypi.org/simple" }
        wheels = [{ url = "https://x", hash = "sha256:ee" }]
        [package.optional-dependencies]
        socks = [{ name = "socks" }]
        others = [{ name = "only-others" }]
        [[package]]
        name = "socks"
        version = "1"
        source = { registry = "https://pypi.org/simple" }
        wheels = [{ url = "https://x", hash = "sha256:50" }]
        [[package]]
        name = "member"
        version = "1"
        source = { editable = "member" }
        dependencies = [{ name = "app" }, { name = "deep" }]
        [[package]]
        name = "pinned"
        version = "1"
        source = { url = "https://x/pinned.whl" }
        wheels = [{ url = "https://x/pinned.whl", hash = "sha256:aa" }]
    "#;

    const PROJECT: [&str; 5] = [
        "forked>=1",
        "request[socks]",
        "member>=7",
        "pinned @ https://x/pinned.whl",
        "windows>=2; no",
    ];

    fn read(text: &str, wanted: &[&str]) -> std::result::Result<Pins, String> {
        tests_judge::read(pins, text, wanted)
    }

    #[test]
    fn what_the_project_needs_here_is_pinned() {
        let pins = read(LOCK, &PROJECT).unwrap_or_else(|fault| unreachable!("{fault}"));
        assert_eq!(
            pins.text(),
            "--extra-index-url https://own.example/simple\n\
             forked==2 --hash=sha256:f3 --hash=sha256:f4 --hash=sha256:f2\n\
             deep==1 --hash=sha256:de\n\
             request==3 --hash=sha256:ee\n\
             socks==1 --hash=sha256:50\n\
             pinned @ https://x/pinned.whl --hash=sha256:aa\n"
        );
        assert_eq!(pins.projects, [Path::new("/nowhere/member")]);
    }

    #[test]
    fn a_lock_file_of_another_project_or_another_state_is_refused() {
        for (wanted, expected) in [
            (&["forked>=1", "rich>=13"][..], "it lacks `rich>=13`"),
            (&["forked>=2"], "it lacks `forked>=2`"),
            (&["request"], "it lacks `request`"),
            (
                &["pinned @ https://y/pinned.whl"],
                "it lacks `pinned @ https://y/pinned.whl`",
            ),
            (&PROJECT[1..], "it has `forked>=1`, which is not there"),
        ] {
            let expected = format!("does not match pyproject.toml: {expected}");
            assert_eq!(read(LOCK, wanted), Err(expected));
        }
        for (old, new, expected) in [
            (
                "version = 1\n",
                "version = 2\n",
                "has the format 2; this flavor reads version 1",
            ),
            (
                ">=3.9",
                ">=3.12",
                "is for Python >=3.12, and the interpreter is 3.11.7",
            ),
            (
                "revision = 5",
                "supported-markers = [\"no\"]",
                "is for none of what this interpreter is (its environments are others)",
            ),
            (
                "editable = \".\"",
                "editable = \"x\"",
                "does not hold the project /nowhere",
            ),
            (
                "{ url = \"https://x/pinned.whl\" }",
                "{ git = \"https://x\" }",
                "takes `pinned` from a Git repository, of which no hash can be checked",
            ),
            (", hash = \"sha256:de\"", "", "has no hash for `deep`"),
            (
                "name = \"deep\"\n",
                "name = \"deeper\"\n",
                "names `deep` as a dependency, and does not hold it",
            ),
            (
                "\"yes\" }",
                "\"???\" }",
                "holds `???`, which cannot be used",
            ),
        ] {
            assert!(LOCK.contains(old), "{old}");
            assert_eq!(
                read(&LOCK.replace(old, new), &PROJECT),
                Err(expected.to_owned()),
                "{old}"
            );
        }
        let fault = read("version = 1\n[[package]]\nname = 7\n", &PROJECT).err();
        assert!(fault.is_some_and(|fault| fault.starts_with("cannot be read: line 3: ")));
    }
}
