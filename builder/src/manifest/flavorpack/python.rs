//! `[tool.flavor]` as flavorpack reads it: a Python project that its tool builds wheels of and packs with an interpreter.
//!
//! All of it is read and checked, and becomes the recipe `[python]`: the interpreter that is found, the project and its
//! `build.dependencies`, one command. Where sections of ours stand beside it, which flavorpack does not look at, they say what
//! is packed, and name, version and environment are taken from here.

use std::path::Path;

use super::super::error::ManifestError;
use super::super::project::{EntryPoint, EnvRules, Package, Python};
use super::super::python;
use super::super::reader::{Section, Value};
use super::super::sections;
use psp_format::metadata::{is_package_name, is_version};

type Result<T> = std::result::Result<T, ManifestError>;

/// Keys that only flavorpack has.
const THEIRS: [&str; 5] = [
    "entry_point",
    "package_name",
    "metadata",
    "build",
    "execution",
];
/// The keys of both, for a project that builds with either tool: flavorpack does not look at ours.
pub(in crate::manifest) const BOTH: &[&str] = &[
    "package",
    "slot",
    "command",
    "commands",
    "env",
    "setup",
    "policy",
    "desktop",
    "sign",
    "native",
    "python",
    "node",
    "entry_point",
    "package_name",
    "metadata",
    "build",
    "execution",
];

/// What flavorpack removes from the environment of every Python application, unless `isolated = false`.
const ISOLATION: [&str; 5] = [
    "PYTHONPATH",
    "UV_PROJECT_ENVIRONMENT",
    "PYTHONHOME",
    "UV_CACHE_DIR",
    "VIRTUAL_ENV",
];

/// A Python project as flavorpack sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::manifest) struct PythonProject {
    /// `package_name`, or the project's name.
    pub name: String,
    /// The project's version.
    pub version: String,
    /// Of the project.
    pub description: Option<String>,
    /// What is started.
    pub entry_point: EntryPoint,
    /// Directories of further projects whose wheels are packed too.
    pub dependencies: Vec<String>,
    /// Rules for the environment.
    pub env: EnvRules,
}

impl PythonProject {
    /// What is packed of it.
    pub(in crate::manifest) fn recipe(&self, directory: &Path) -> Python {
        python::of_project(directory, &self.dependencies, self.entry_point.clone())
    }

    /// What it says of a package: who it is, and the rules for its environment.
    pub(in crate::manifest) fn parts(self) -> (Package, EnvRules) {
        let package = Package {
            name: self.name,
            version: self.version,
            description: self.description,
            license: None,
            homepage: None,
            authors: Vec::new(),
        };
        (package, self.env)
    }
}

/// The project, where `[tool.flavor]` has keys of flavorpack.
pub(in crate::manifest) fn project(
    root: &Section<'_>,
    flavor: &Section<'_>,
) -> Result<Option<PythonProject>> {
    let theirs = |value: &Value<'_>| THEIRS.contains(&value.key());
    match flavor.values().iter().any(theirs) {
        true => read(root, flavor).map(Some),
        false => Ok(None),
    }
}

fn read(root: &Section<'_>, flavor: &Section<'_>) -> Result<PythonProject> {
    flavor.only(BOTH)?;
    let project = root.require("project", "[project]")?.table()?;
    let own_name = project.require("name", "name = \"my-app\"")?;
    let name = match (flavor.get("package_name"), flavor.get("metadata")) {
        (Some(name), _) => name,
        (None, Some(metadata)) => {
            let metadata = metadata.table()?;
            metadata.only(&["package_name"])?;
            metadata.get("package_name").unwrap_or(own_name.clone())
        }
        (None, None) => own_name.clone(),
    };
    let name = name.text_that(
        is_package_name,
        "1 to 64 of a-z, 0-9, `_`, `-`, a letter or digit first",
        "\"my-app\"",
    )?;
    // flavorpack falls back to a file VERSION, to what is installed on the building machine, and to 0.0.0.
    let version = project
        .require("version", "version = \"1.0.0\"")?
        .text_that(is_version, "a version", "\"1.0.0\"")?;
    let build = flavor.get("build").map(|build| build.table()).transpose()?;
    if let Some(build) = &build {
        build.only(&["dependencies", "extra_packages", "manylinux"])?;
    }
    let dependencies = build.and_then(|build| build.get("dependencies"));
    if let Some(policy) = flavor.get("policy") {
        sections::policy(policy)?;
    }
    Ok(PythonProject {
        name: name.into(),
        version: version.into(),
        description: sections::text(&project, "description")?,
        entry_point: entry_point(&project, flavor, own_name.text()?)?,
        dependencies: dependencies.map_or(Ok(Vec::new()), |value| value.texts())?,
        env: env(flavor)?,
    })
}

/// `entry_point`, or the script that has the project's name.
fn entry_point(project: &Section<'_>, flavor: &Section<'_>, name: &str) -> Result<EntryPoint> {
    let script = || {
        let scripts = project.get("scripts")?.table().ok()?;
        scripts.get(name)
    };
    let value = match flavor.get("entry_point").or_else(script) {
        Some(value) => value,
        None => flavor.require("entry_point", "entry_point = \"app.cli:main\"")?,
    };
    let point = python::function(value.text()?);
    point.ok_or_else(|| value.invalid("`module:function`", "\"app.cli:main\""))
}

/// `execution.runtime.env`.
fn env(flavor: &Section<'_>) -> Result<EnvRules> {
    let mut env = None;
    if let Some(execution) = flavor.get("execution") {
        let execution = execution.table()?;
        if let Some(runtime) = only_table(&execution, &["runtime"])? {
            env = only_table(&runtime, &["env"])?;
        }
    }
    let Some(env) = env else {
        return Ok(isolated(EnvRules::default()));
    };
    let is_isolated = env.get("isolated").map_or(Ok(true), |value| value.flag())?;
    let rules = sections::env_rules(&env, &["unset", "pass", "map", "set", "isolated"])?;
    Ok(match is_isolated {
        true => isolated(rules),
        false => rules,
    })
}

/// The one table that a section can hold.
fn only_table<'d>(
    section: &Section<'d>,
    known: &'static [&'static str; 1],
) -> Result<Option<Section<'d>>> {
    section.only(known)?;
    let [key] = known;
    section.get(key).map(|value| value.table()).transpose()
}

fn isolated(mut rules: EnvRules) -> EnvRules {
    let own = std::mem::take(&mut rules.unset);
    rules.unset = ISOLATION.map(str::to_owned).into();
    rules.unset.extend(
        own.into_iter()
            .filter(|name| !ISOLATION.contains(&name.as_str())),
    );
    rules
}
