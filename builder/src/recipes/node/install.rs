//! The project's files, and what npm installs beside them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::libraries;
use super::super::program::run;
use super::super::{RecipeError, copy};
use super::runtime::{Found, bare};
use crate::manifest::Node;
use crate::printer::Printer;

/// What is left out at the top of a project: its history, and what describes the package.
fn is_left_out(name: &str) -> bool {
    [".git", "flavor.toml"].contains(&name)
}

/// Copies the project to `app` and installs what its lock file names, without what is for development. Returns the names of
/// the installed packages.
///
/// # Errors
///
/// When npm fails, an entry is not there, or an addon is for another processor.
pub(super) fn install(
    node: &Node,
    found: &Found,
    target: &str,
    app: &Path,
    printer: &Printer,
) -> Result<Vec<String>, RecipeError> {
    copy::project(&node.project, app, &is_left_out)?;
    for (_, script) in &node.entries {
        let path = app.join(script);
        if !path.is_file() {
            return Err(RecipeError::NoScript {
                script: script.clone(),
                project: node.project.clone(),
            });
        }
    }
    let settings = app.join(".npmrc");
    if !has_lock(app) {
        without(&settings)?;
        return match node.has_dependencies {
            true => Err(RecipeError::NoLock {
                project: node.project.clone(),
            }),
            false => Ok(Vec::new()),
        };
    }
    // npm, and the scripts that it starts, take the node that is first in PATH: addons are compiled for that one.
    let bin = app.with_file_name("bin");
    let node = bin.join("node");
    fs::create_dir_all(&bin)
        .and_then(|()| symlink(&found.program, &node))
        .map_err(|error| RecipeError::write(&node, error))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(bin).chain(std::env::split_paths(&path));
    let mut npm = Command::new(npm_of(Path::new(&found.program)));
    npm.args(["ci", "--omit=dev", "--no-audit", "--no-fund"]);
    npm.args(["--loglevel=error", "--color=false"]);
    npm.current_dir(app);
    bare(&mut npm);
    npm.env("PATH", std::env::join_paths(path).unwrap_or_default());
    let busy = printer.busy("npm ci");
    run("npm", &mut npm)?;
    drop(busy);
    // It is read for the last time, and may hold a token.
    without(&settings)?;
    let modules = app.join("node_modules");
    // What npm notes for itself; a package is not changed.
    let _ = fs::remove_file(modules.join(".package-lock.json"));
    let mut names = Vec::new();
    examine(&modules, &modules, target, &mut names)?;
    names.sort();
    Ok(names)
}

/// The npm that came with this Node, or else the one in PATH.
fn npm_of(node: &Path) -> PathBuf {
    let beside = node.with_file_name("npm");
    match beside.is_file() {
        true => beside,
        false => "npm".into(),
    }
}

fn without(path: &Path) -> Result<(), RecipeError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(RecipeError::write(path, error))
        }
        _ => Ok(()),
    }
}

fn has_lock(app: &Path) -> bool {
    ["package-lock.json", "npm-shrinkwrap.json"]
        .iter()
        .any(|name| app.join(name).exists())
}

/// Names the packages in a `node_modules`, and looks at every native addon.
fn examine(
    top: &Path,
    directory: &Path,
    target: &str,
    names: &mut Vec<String>,
) -> Result<(), RecipeError> {
    let Ok(entries) = fs::read_dir(directory) else {
        // Nothing was to be installed.
        return Ok(());
    };
    for entry in entries {
        let entry = entry.map_err(|error| RecipeError::read(directory, error))?;
        let path = entry.path();
        let kind = entry.file_type();
        let kind = kind.map_err(|error| RecipeError::read(&path, error))?;
        if kind.is_dir() {
            let of_modules = directory.file_name().is_some_and(|it| it == "node_modules")
                || entry_is_scoped(directory);
            if of_modules && path.join("package.json").exists() {
                let inside = path.strip_prefix(top).unwrap_or(&path);
                names.push(inside.display().to_string());
            }
            examine(top, &path, target, names)?;
        } else if kind.is_file()
            && path
                .extension()
                .is_some_and(|extension| extension == "node")
            && libraries::elf(&path, target)?.is_none()
        {
            let inside = path.strip_prefix(top).unwrap_or(&path);
            // Some packages bring their addons for every system, and choose when they are loaded.
            if inside
                .components()
                .any(|part| part.as_os_str() == "prebuilds")
            {
                without(&path)?;
                continue;
            }
            return Err(RecipeError::Addon {
                addon: inside.to_owned(),
                target: target.to_owned(),
            });
        }
    }
    Ok(())
}

/// `node_modules/@scope`.
fn entry_is_scoped(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with('@')
}
