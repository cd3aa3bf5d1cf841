//! `[tool.flavor]` as flavorpack reads it: a Python project that its tool builds wheels of and packs with an interpreter.
//!
//! All of it is read and checked. Where sections of ours stand beside it, which flavorpack does not look at, they say what is
//! packed, and name, version and environment are taken from here. Otherwise an interpreter and the installed project are
//! missing, the work of a recipe, which this version does not have: the error says so.

use super::super::error::{ManifestError, Problem};
use super::super::project::{EnvRules, Package};
use super::super::reader::Section;
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
/// Sections that only ours has, without one of which there is nothing to pack.
const OURS: [&str; 3] = ["package", "slot", "command"];
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
pub struct PythonProject {
    /// `package_name`, or the project's name.
    pub name: String,
    /// The project's version.
    pub version: String,
    /// Of the project.
    pub description: Option<String>,
    /// `module:function`.
    pub entry_point: String,
    /// Directories of further projects whose wheels are packed too.
    pub dependencies: Vec<String>,
    /// Rules for the environment.
    pub env: EnvRules,
}

impl PythonProject {
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

/// The project, where `[tool.flavor]` has keys of flavorpack. Without sections of ours beside them, it is an error that says
/// what its package lacks.
pub(in crate::manifest) fn project(
    root: &Section<'_>,
    flavor: &Section<'_>,
) -> Result<Option<PythonProject>> {
    let has = |keys: &[&str]| {
        flavor
            .values()
            .iter()
            .any(|value| keys.contains(&value.key()))
    };
    if !has(&THEIRS) {
        return Ok(None);
    }
    let project = read(root, flavor)?;
    match has(&OURS) {
        true => Ok(Some(project)),
        false => Err(flavor.error(Problem::NeedsPython {
            project: Box::new(project),
        })),
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
fn entry_point(project: &Section<'_>, flavor: &Section<'_>, name: &str) -> Result<String> {
    let script = || {
        let scripts = project.get("scripts")?.table().ok()?;
        scripts.get(name)
    };
    let value = match flavor.get("entry_point").or_else(script) {
        Some(value) => value,
        None => flavor.require("entry_point", "entry_point = \"app.cli:main\"")?,
    };
    let is_entry_point = |text: &str| {
        text.split_once(':')
            .is_some_and(|(module, function)| !module.is_empty() && !function.is_empty())
    };
    let text = value.text_that(is_entry_point, "`module:function`", "\"app.cli:main\"")?;
    Ok(text.into())
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
