//! Where Node comes from: PATH, nvm, fnm, volta, or a path of the manifest.

use std::path::{Path, PathBuf};
use std::process::Command;

use psp_launcher::env_vars::HOME;
use serde::Deserialize;

use super::super::libraries::{self, Host};
use super::super::program::{along_path, installed, is_version, listed, run};
use super::super::{Filled, RecipeError, Source};
use crate::manifest::Runtime;

/// What Node says of itself, one JSON object. Distributions may keep some of its modules in files of their own, which it
/// reads by absolute paths.
const FACTS: &str = "JSON.stringify({
    version: process.versions.node,
    program: require('fs').realpathSync(process.execPath),
    outside: ((process.config.target_defaults || {}).defines || [])
        .filter(define => define.startsWith('NODE_SHARED_BUILTIN_'))
        .map(define => define.split('=')[1] || '')})";

/// Where version managers keep what they install: directories of versions below the home directory, and in each of those
/// the program.
const MANAGERS: [(&str, &str); 3] = [
    (".nvm/versions/node", "bin/node"),
    (".local/share/fnm/node-versions", "installation/bin/node"),
    (".volta/tools/image/node", "bin/node"),
];

/// A Node on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Found {
    /// The program itself, no link to it.
    pub(super) program: String,
    /// Three numbers.
    pub(super) version: String,
    /// Files that it reads its own modules from.
    outside: Vec<String>,
}

/// Finds it.
///
/// # Errors
///
/// When there is none, saying which there are, or when the one that is there does not work without its distribution.
pub(super) fn find(runtime: &Runtime) -> Result<Found, RecipeError> {
    let places = match runtime {
        Runtime::Path(path) => vec![path.join("bin/node"), path.clone()],
        Runtime::Version(_) => along_path("node").into_iter().chain(managed()).collect(),
        Runtime::Found => along_path("node"),
    };
    let places = places.iter().filter(|path| path.is_file());
    choose(places.filter_map(|path| ask(path)).collect(), runtime)
}

/// The first one of the version that is whole.
fn choose(found: Vec<Found>, runtime: &Runtime) -> Result<Found, RecipeError> {
    let asked: Vec<&Found> = match runtime {
        Runtime::Version(version) => {
            let is_asked = |found: &&Found| is_version(&found.version, version);
            found.iter().filter(is_asked).collect()
        }
        Runtime::Found | Runtime::Path(_) => found.iter().collect(),
    };
    if let Some(whole) = asked.iter().find(|found| found.outside.is_empty()) {
        return Ok((*whole).clone());
    }
    Err(match (asked.first(), runtime) {
        (Some(scattered), _) => RecipeError::Scattered {
            path: scattered.program.clone().into(),
            file: scattered.outside.first().cloned().unwrap_or_default(),
        },
        (None, Runtime::Path(path)) => RecipeError::NotNode { path: path.clone() },
        (None, Runtime::Found) => RecipeError::NoNode {
            version: String::new(),
            found: String::new(),
        },
        (None, Runtime::Version(version)) => RecipeError::NoNode {
            version: version.clone(),
            found: listed(found.into_iter().map(|found| found.version).collect()),
        },
    })
}

/// What version managers have installed.
fn managed() -> Vec<PathBuf> {
    let Some(home) = std::env::var_os(HOME).map(PathBuf::from) else {
        return Vec::new();
    };
    let of_manager = |(versions, program): &(&str, &str)| installed(&home.join(versions), program);
    MANAGERS.iter().flat_map(of_manager).collect()
}

/// What the program says, if it is Node.
fn ask(program: &Path) -> Option<Found> {
    let mut command = Command::new(program);
    command.args(["-p", FACTS]);
    bare(&mut command);
    let output = run("node", &mut command).ok()?;
    serde_json::from_str(&output).ok()
}

/// Gives a command the caller's environment without what changes Node, and without what an npm that started this program says
/// of its own project.
pub(super) fn bare(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let of_a_run = ["npm_package_", "npm_lifecycle_", "npm_config_local_prefix"];
        if super::ISOLATION.contains(&&*text) || of_a_run.iter().any(|it| text.starts_with(it)) {
            command.env_remove(&name);
        }
    }
}

/// The runtime below `rt`, with its libraries.
///
/// # Errors
///
/// When it is not for the target, or a library of it is missing.
pub(super) fn stage(found: &Found, target: &str, rt: &Path) -> Result<Filled, RecipeError> {
    let program = PathBuf::from(&found.program);
    let bundled = libraries::closure(&Host::read(target), std::slice::from_ref(&program), target)?;
    let needs_path =
        libraries::elf(&program, target)?.is_some_and(|elf| libraries::needs_run_path(&elf));
    let run_path = needs_path.then_some("$ORIGIN/../lib");
    libraries::copy(&program, &rt.join("bin/node"), 0o755, run_path)?;
    let runtime = Source::Runtime {
        name: "node".into(),
        version: found.version.clone(),
    };
    let mut filled = Filled {
        content: vec![format!("node {}", found.version)],
        origins: vec![
            ("bin/node".into(), runtime),
            ("bin/node".into(), Source::Program(program)),
        ],
    };
    for library in &bundled {
        libraries::bundle(library, rt, &mut filled)?;
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(version: &str, outside: &[&str]) -> Found {
        Found {
            version: version.into(),
            program: format!("/{version}/node"),
            outside: outside.iter().map(|file| (*file).to_owned()).collect(),
        }
    }

    #[test]
    fn the_first_whole_one_of_the_version_is_taken() {
        let of = |version: &str| {
            let of_debian = found("20.1.0", &["/usr/share/nodejs/undici.js"]);
            let all = vec![of_debian, found("20.2.0", &[]), found("18.0.0", &[])];
            let chosen = choose(all, &Runtime::Version(version.into()));
            chosen
                .map(|node| node.version)
                .map_err(|error| error.to_string())
        };
        assert_eq!(of("20"), Ok("20.2.0".into()));
        assert_eq!(of("18"), Ok("18.0.0".into()));
        let scattered = "/20.1.0/node reads parts of itself from /usr/share/nodejs/undici.js, without which it does not start";
        assert_eq!(of("20.1"), Err(scattered.into()));
        let none = "no Node 22 is on this machine; there is 18.0.0, 20.1.0, 20.2.0";
        assert_eq!(of("22"), Err(none.into()));
        let nowhere = choose(Vec::new(), &Runtime::Found).map_err(|error| error.to_string());
        assert_eq!(nowhere, Err("no Node is on this machine".into()));
    }

    #[test]
    fn nothing_that_is_no_node_is_one() {
        assert_eq!(ask(Path::new("/bin/sh")), None);
        assert_eq!(ask(Path::new("/nonexistent/node")), None);
    }
}
