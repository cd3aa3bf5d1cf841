//! `[node]`: the keys of the recipe, and what it takes over from the project's `package.json`.

use std::fs;
use std::path::Path;

use psp_format::metadata::{is_name, is_package_name, is_version};
use psp_format::path;
use serde::Deserialize;

use super::error::{ManifestError, Problem};
use super::project::{Node, Package, Recipe};
use super::reader::{Section, Value};
use super::recipe::{Asked, resolved, runtime};
use super::sections::text;

type Result<T> = std::result::Result<T, ManifestError>;

/// Without an entry, `has_command` says that something else is started.
pub(super) fn read(value: &Value<'_>, directory: &Path, has_command: bool) -> Result<Asked> {
    let section = value.table()?;
    section.only(&["runtime", "project", "entry"])?;
    let project = text(&section, "project")?.unwrap_or_else(|| ".".into());
    let project = resolved(directory, &project);
    let file = project.join("package.json");
    let content = fs::read_to_string(&file).map_err(|error| {
        value.error(Problem::NoPackageJson {
            project: project.clone(),
            error,
        })
    })?;
    let described: Described = serde_json::from_str(&content).map_err(|error| {
        let message = error.to_string();
        ManifestError::new(&file, Some(error.line()), Problem::JsonSyntax { message })
    })?;
    let name = described.package_name();
    let entries = match entry(&section)? {
        Some(script) => vec![(name.clone(), script)],
        None => described.entries(&name),
    };
    if entries.is_empty() && !has_command {
        section.require("entry", "entry = \"server.js\"")?;
    }
    Ok(Asked {
        recipe: Recipe::Node(Node {
            runtime: runtime(&section, directory)?,
            has_dependencies: described.installs_something(),
            project,
            entries,
        }),
        package: described.package(name),
        line: section.line(),
    })
}

fn entry(section: &Section<'_>) -> Result<Option<String>> {
    let Some(value) = section.get("entry") else {
        return Ok(None);
    };
    let is_path = |text: &str| path::check(text.as_bytes()).is_ok();
    let entry = value.text_that(
        is_path,
        "the path of a script in the project",
        "\"server.js\"",
    )?;
    Ok(Some(entry.into()))
}

/// What a `package.json` says of itself; what it gets wrong says nothing.
#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    name: serde_json::Value,
    #[serde(default)]
    version: serde_json::Value,
    #[serde(default)]
    description: serde_json::Value,
    #[serde(default)]
    license: serde_json::Value,
    #[serde(default)]
    homepage: serde_json::Value,
    #[serde(default)]
    main: serde_json::Value,
    #[serde(default)]
    bin: serde_json::Value,
    #[serde(default)]
    scripts: serde_json::Value,
    #[serde(default)]
    dependencies: serde_json::Value,
    #[serde(default, rename = "optionalDependencies")]
    optional_dependencies: serde_json::Value,
    #[serde(default)]
    workspaces: serde_json::Value,
}

impl Described {
    /// Whether npm would install anything for those who use the project.
    fn installs_something(&self) -> bool {
        let all = [
            &self.dependencies,
            &self.optional_dependencies,
            &self.workspaces,
        ];
        all.iter().any(|value| match value {
            serde_json::Value::Object(items) => !items.is_empty(),
            serde_json::Value::Array(items) => !items.is_empty(),
            _ => false,
        })
    }

    /// The name without its scope, as `bin` has it.
    fn package_name(&self) -> String {
        let name = self.name.as_str().unwrap_or_default();
        let name = name.rsplit('/').next().unwrap_or_default();
        name.to_ascii_lowercase().replace('.', "-")
    }

    fn package(&self, name: String) -> Option<Package> {
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let version = text(&self.version)?;
        (is_package_name(&name) && is_version(&version)).then(|| Package {
            name,
            version,
            description: text(&self.description),
            license: text(&self.license),
            homepage: text(&self.homepage),
            authors: Vec::new(),
        })
    }

    /// `bin`, or else `main`, or else the script of `node SCRIPT` in `scripts.start`. Names and paths that a package cannot have are none.
    fn entries(&self, name: &str) -> Vec<(String, String)> {
        let script = |value: &serde_json::Value| {
            let text = value.as_str()?;
            let text = text.strip_prefix("./").unwrap_or(text);
            path::check(text.as_bytes()).ok().map(|_| text.to_owned())
        };
        let one = |value| script(value).map(|script| (name.to_owned(), script));
        match &self.bin {
            serde_json::Value::Object(all) => all
                .iter()
                .filter(|(name, _)| is_name(name))
                .filter_map(|(name, value)| Some((name.clone(), script(value)?)))
                .collect(),
            serde_json::Value::String(_) => one(&self.bin).into_iter().collect(),
            _ => {
                let start = self.scripts.get("start").and_then(|start| start.as_str());
                let start = start.and_then(|start| start.strip_prefix("node "));
                let start = start.filter(|start| !start.contains(' '));
                let start = start.map(serde_json::Value::from).unwrap_or_default();
                let entry = one(&self.main).or_else(|| one(&start));
                entry.into_iter().collect()
            }
        }
    }
}
