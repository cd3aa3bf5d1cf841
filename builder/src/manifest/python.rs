//! `[python]`: the keys of the recipe, and what it takes over from the project's `pyproject.toml`.

use std::path::{Path, PathBuf};

use psp_format::metadata::{is_name, is_package_name, is_version};

use super::error::ManifestError;
use super::project::{Entry, EntryPoint, Package, Python, Recipe, Requirement, Runtime};
use super::reader::{Document, Section, Value};
use super::recipe::{Asked, resolved, runtime};
use super::sections::text;

type Result<T> = std::result::Result<T, ManifestError>;

/// What is left out of the standard library unless `strip` says otherwise: nothing of it is for users of an application.
const STRIP: [&str; 7] = [
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "pydoc_data",
];

/// Without an entry point, `has_command` says that something else is started.
pub(super) fn read(value: &Value<'_>, directory: &Path, has_command: bool) -> Result<Asked> {
    let section = value.table()?;
    section.only(&[
        "runtime",
        "install",
        "project",
        "requirements",
        "requirements-file",
        "lock",
        "entry-point",
        "module",
        "strip",
    ])?;
    let runtime = runtime(&section, directory)?;
    let install = match section.get("install") {
        Some(value) if value.flag()? && !matches!(runtime, Runtime::Version(_)) => {
            let expected = "absent, or false, without a version in `runtime`";
            return Err(value.invalid(expected, "runtime = \"3.12\""));
        }
        value => value.map_or(Ok(false), |value| value.flag())?,
    };
    let project = text(&section, "project")?.map(|path| resolved(directory, &path));
    let mut sources = Vec::new();
    if let Some(project) = &project {
        sources.push(Requirement::Project(project.clone()));
    }
    if let Some(file) = text(&section, "requirements-file")? {
        sources.push(Requirement::File(resolved(directory, &file)));
    }
    if let Some(value) = section.get("requirements") {
        for item in value.items()? {
            // What begins with a dash would be an option of pip.
            let name = item.text_that(
                |text| text.starts_with(|c: char| c.is_ascii_alphanumeric()),
                "a list of requirements, as pip reads them",
                "\"httpie==3.2.4\"",
            )?;
            sources.push(Requirement::Named(name.into()));
        }
    }
    let lock = lock(&section, directory)?;
    if sources.is_empty() && lock.is_none() {
        section.require("project", "project = \".\"")?;
    }
    let described = match &project {
        Some(project) => described(&project.join("pyproject.toml"))?,
        None => Described::default(),
    };
    let entries = match entry(&section)? {
        Some(entry) => vec![entry],
        None if has_command || !described.scripts.is_empty() => described.scripts,
        None => {
            section.require("entry-point", "entry-point = \"app.cli:main\"")?;
            Vec::new()
        }
    };
    let strip = match section.get("strip") {
        Some(value) => {
            for item in value.items()? {
                item.text_that(is_name, "a list of names of directories", "\"tests\"")?;
            }
            value.texts()?
        }
        None => STRIP.map(str::to_owned).into(),
    };
    Ok(Asked {
        recipe: Recipe::Python(Python {
            runtime,
            install,
            sources,
            lock,
            entries,
            strip,
        }),
        package: described.package,
        line: section.line(),
    })
}

/// What is packed for a project of flavorpack.
pub(super) fn of_project(directory: &Path, further: &[String], entry_point: EntryPoint) -> Python {
    let all = std::iter::once(".").chain(further.iter().map(String::as_str));
    Python {
        runtime: Runtime::Found,
        install: false,
        sources: all
            .map(|path| Requirement::Project(resolved(directory, path)))
            .collect(),
        lock: None,
        entries: vec![Entry {
            name: None,
            point: entry_point,
        }],
        strip: STRIP.map(str::to_owned).into(),
    }
}

/// `lock`, beside which nothing is installed that has no hash.
fn lock(section: &Section<'_>, directory: &Path) -> Result<Option<PathBuf>> {
    let Some(value) = section.get("lock") else {
        return Ok(None);
    };
    let path = value.text_that(
        is_lock,
        "the path of a `uv.lock` or a `pylock.toml`",
        "\"uv.lock\"",
    )?;
    for key in ["requirements", "requirements-file"] {
        if let Some(value) = section.get(key) {
            return Err(value.invalid("absent beside `lock`", "lock = \"uv.lock\""));
        }
    }
    Ok(Some(resolved(directory, path)))
}

/// Whether a file is a lock file that is known, by its name (PEP 751 has `pylock.NAME.toml`).
pub(super) fn is_lock(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_pylock = name.starts_with("pylock.") && name.ends_with(".toml");
    is_pylock || name.ends_with("uv.lock")
}

/// `entry-point` or `module`.
fn entry(section: &Section<'_>) -> Result<Option<Entry>> {
    let module = section.get("module");
    let point = match (section.get("entry-point"), &module) {
        (Some(_), Some(module)) => {
            return Err(module.invalid("absent beside `entry-point`", "module = \"app\""));
        }
        (Some(value), None) => {
            let text = value.text()?;
            let point = function(text);
            Some(point.ok_or_else(|| value.invalid("`module:function`", "\"app.cli:main\""))?)
        }
        (None, Some(value)) => {
            let name = value.text_that(is_dotted, "the name of a module", "\"app\"")?;
            Some(EntryPoint::Module(name.into()))
        }
        (None, None) => None,
    };
    Ok(point.map(|point| Entry { name: None, point }))
}

/// `module:function`, with no more in it than names and dots: it becomes a line of Python.
pub(super) fn function(text: &str) -> Option<EntryPoint> {
    let (module, function) = text.split_once(':')?;
    // Extras, as old entry points have them.
    let function = function.split('[').next().unwrap_or_default();
    let (module, function) = (module.trim(), function.trim());
    (is_dotted(module) && is_dotted(function)).then(|| EntryPoint::Function {
        module: module.into(),
        function: function.into(),
    })
}

fn is_dotted(text: &str) -> bool {
    let is_identifier = |part: &str| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && chars.all(|c| c.is_alphanumeric() || c == '_')
    };
    text.split('.').all(is_identifier)
}

/// What a project says of itself.
#[derive(Default)]
struct Described {
    package: Option<Package>,
    scripts: Vec<Entry>,
}

/// `[project]` of a `pyproject.toml`. One that is not there, or that leaves out what we can do without, says nothing.
fn described(file: &Path) -> Result<Described> {
    let Ok(content) = std::fs::read_to_string(file) else {
        return Ok(Described::default());
    };
    let document = Document::parse(file, &content)?;
    let root = document.root();
    let Some(project) = root.get("project") else {
        return Ok(Described::default());
    };
    let project = project.table()?;
    let mut scripts = Vec::new();
    if let Some(table) = project.get("scripts") {
        for script in table.table()?.values() {
            let point = function(script.text()?);
            let point =
                point.ok_or_else(|| script.invalid("`module:function`", "\"app.cli:main\""))?;
            if !is_name(script.key()) {
                return Err(script.bad_name(
                    "the name of a command: 1 to 64 letters, digits, `.`, `_`, `-`",
                    "app = \"app.cli:main\"",
                ));
            }
            scripts.push(Entry {
                name: Some(script.key().into()),
                point,
            });
        }
    }
    let name = text(&project, "name")?.map(|name| name.to_ascii_lowercase().replace('.', "-"));
    let version = text(&project, "version")?;
    let package = match (name, version) {
        (Some(name), Some(version)) if is_package_name(&name) && is_version(&version) => {
            Some(Package {
                name,
                version,
                description: text(&project, "description")?,
                // A table in older projects.
                license: project
                    .get("license")
                    .and_then(|value| value.text().ok().map(str::to_owned)),
                homepage: None,
                authors: Vec::new(),
            })
        }
        _ => None,
    };
    Ok(Described { package, scripts })
}
