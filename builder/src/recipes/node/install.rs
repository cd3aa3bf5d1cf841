//! The project's files, and what npm installs beside them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::super::libraries;
use super::super::program::run;
use super::super::{RECIPE_DIRECTORY, RecipeError};
use super::runtime::{Found, bare};
use crate::manifest::Node;

/// What is not copied, besides packages of an earlier build: what npm makes anew, and the history.
const LEFT_OUT: [&str; 2] = ["node_modules", ".git"];

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
) -> Result<Vec<String>, RecipeError> {
    copy(&node.project, app)?;
    for (_, script) in &node.entries {
        let path = app.join(script);
        if !path.is_file() {
            return Err(RecipeError::NoScript {
                script: script.clone(),
                project: node.project.clone(),
            });
        }
    }
    if !has_lock(app) {
        return match node.has_dependencies {
            true => Err(RecipeError::NoLock {
                project: node.project.clone(),
            }),
            false => Ok(Vec::new()),
        };
    }
    let mut npm = Command::new("npm");
    npm.args([
        "ci",
        "--omit=dev",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]);
    npm.current_dir(app);
    bare(&mut npm);
    // Addons are built for the runtime that is packed.
    let own = found.program.parent().unwrap_or(Path::new("/"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(own.to_owned()).chain(std::env::split_paths(&path));
    npm.env("PATH", std::env::join_paths(path).unwrap_or_default());
    run("npm", &mut npm)?;
    let modules = app.join("node_modules");
    // What npm notes for itself; a package is not changed.
    let _ = fs::remove_file(modules.join(".package-lock.json"));
    let mut names = Vec::new();
    examine(&modules, &modules, target, &mut names)?;
    names.sort();
    Ok(names)
}

fn has_lock(app: &Path) -> bool {
    ["package-lock.json", "npm-shrinkwrap.json"]
        .iter()
        .any(|name| app.join(name).exists())
}

/// Copies a directory. Links stay links.
fn copy(from: &Path, to: &Path) -> Result<(), RecipeError> {
    let unreadable = |error| RecipeError::read(from, error);
    fs::create_dir_all(to).map_err(|error| RecipeError::write(to, error))?;
    for entry in fs::read_dir(from).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        // TMPDIR may lie in the project.
        let is_recipes = text.starts_with(RECIPE_DIRECTORY);
        if is_recipes || LEFT_OUT.contains(&&*text) || text.ends_with(".psp") {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        let kind = entry.file_type().map_err(unreadable)?;
        let written = |error| RecipeError::write(&target, error);
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(&source).map_err(unreadable)?;
            symlink(link, &target).map_err(written)?;
        } else if kind.is_file() {
            fs::copy(&source, &target).map_err(|error| RecipeError::read(&source, error))?;
        }
    }
    Ok(())
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
