//! The runtime: looked for in PATH and where nvm keeps its versions, or named by a path.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::RecipeError;
use super::super::libraries::{self, Host};
use super::super::program::run;
use crate::manifest::Runtime;

/// A runtime on this machine.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The program itself, no link to it.
    pub(super) program: PathBuf,
    /// `20.11.1`.
    pub(super) version: String,
}

/// Finds it.
///
/// # Errors
///
/// When there is none, saying which there are.
pub(super) fn find(runtime: &Runtime) -> Result<Found, RecipeError> {
    let (version, places) = match runtime {
        Runtime::Path(path) if path.is_dir() => (String::new(), vec![path.join("bin/node")]),
        Runtime::Path(path) => (String::new(), vec![path.clone()]),
        Runtime::Version(version) => (version.clone(), candidates()),
        Runtime::Found => (String::new(), candidates()),
    };
    let mut found = Vec::new();
    for place in &places {
        let Some(runtime) = ask(place) else {
            continue;
        };
        if is_version(&runtime.version, &version) {
            return Ok(runtime);
        }
        found.push(runtime.version);
    }
    found.dedup();
    match runtime {
        Runtime::Path(path) => Err(RecipeError::NotNode { path: path.clone() }),
        _ => Err(RecipeError::NoNode {
            version,
            found: found.join(", "),
        }),
    }
}

/// Programs that may be a runtime: the first in PATH is the one that a person means.
fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut out: Vec<PathBuf> = std::env::split_paths(&path)
        .map(|directory| directory.join("node"))
        .filter(|path| path.is_file())
        .collect();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let nvm = std::env::var_os("NVM_DIR").map(PathBuf::from);
    let nvm = nvm.or_else(|| home.map(|home| home.join(".nvm")));
    if let Some(nvm) = nvm {
        let versions = fs::read_dir(nvm.join("versions/node"))
            .into_iter()
            .flatten();
        let mut versions: Vec<PathBuf> = versions.flatten().map(|entry| entry.path()).collect();
        // The newest first: numbers compare as numbers.
        versions.sort_by_key(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let numbers = name.trim_start_matches('v').split('.');
            std::cmp::Reverse(
                numbers
                    .map(|n| n.parse().unwrap_or(0))
                    .collect::<Vec<u32>>(),
            )
        });
        out.extend(versions.into_iter().map(|version| version.join("bin/node")));
    }
    out
}

fn ask(program: &Path) -> Option<Found> {
    let mut command = Command::new(program);
    command.args(["-p", "process.execPath + '\\n' + process.versions.node"]);
    bare(&mut command);
    let output = run("node", &mut command).ok()?;
    let mut lines = output.lines();
    let (path, version) = (lines.next()?, lines.next()?);
    Some(Found {
        program: fs::canonicalize(path).ok()?,
        version: version.to_owned(),
    })
}

/// Whether a version is the one asked for, as far as that says.
fn is_version(version: &str, asked: &str) -> bool {
    version
        .strip_prefix(asked)
        .is_some_and(|rest| asked.is_empty() || rest.is_empty() || rest.starts_with('.'))
}

/// Gives a command the caller's environment without what changes a runtime.
pub(super) fn bare(command: &mut Command) {
    for name in super::ISOLATION {
        command.env_remove(name);
    }
}

/// The runtime below `rt`, with its libraries. Lines on what is there.
///
/// # Errors
///
/// When it is not for the target, or a library of it is missing.
pub(super) fn stage(found: &Found, target: &str, rt: &Path) -> Result<Vec<String>, RecipeError> {
    let mut content = vec![format!("node {}", found.version)];
    let bundled = libraries::closure(
        &Host::read(target),
        std::slice::from_ref(&found.program),
        target,
    )?;
    if let Some(elf) = libraries::elf(&found.program, target)? {
        copy(
            &found.program,
            &elf,
            &rt.join("bin/node"),
            "$ORIGIN/../lib",
            0o755,
        )?;
    }
    for library in &bundled {
        let to = rt.join("lib").join(&library.name);
        copy(&library.path, &library.elf, &to, "$ORIGIN", 0o644)?;
        content.push(format!(
            "lib/{} from {}",
            library.name,
            library.path.display()
        ));
    }
    Ok(content)
}

fn copy(
    from: &Path,
    elf: &crate::binary::Elf,
    to: &Path,
    run_path: &str,
    mode: u32,
) -> Result<(), RecipeError> {
    let bytes = fs::read(from).map_err(|error| RecipeError::read(from, error))?;
    let bytes = libraries::with_run_path(bytes, from, elf, run_path)?;
    let write = |error| RecipeError::write(to, error);
    fs::create_dir_all(to.parent().unwrap_or(to)).map_err(write)?;
    fs::write(to, bytes).map_err(write)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_match_as_far_as_they_are_given() {
        for (asked, is) in [
            ("", true),
            ("20", true),
            ("20.1", false),
            ("20.11", true),
            ("20.11.1", true),
            ("2", false),
            ("20.11.1.1", false),
        ] {
            assert_eq!(is_version("20.11.1", asked), is, "{asked}");
        }
    }
}
