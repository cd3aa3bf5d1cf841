//! Programs of this machine that recipes look for and run: which there are, and what there is not without them. Nothing is
//! written; byte code and logs neither.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::program::{along_path, run};
use super::{libraries, node, python};

/// A program that recipes need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// What it is called.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Its version and where it is, or why there is none.
    pub found: Result<String, Absent>,
}

/// Why a program is not there, or does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// One line of fact.
    pub fact: String,
    /// One line of remedy.
    pub help: String,
}

/// Every program that a recipe runs, in the order of the manifest's reference. Each is asked as the recipe asks it.
pub fn tools() -> Vec<Tool> {
    let python = python::found();
    let pip = match &python {
        Ok((_, program)) => python::pip_of(program),
        Err(_) => Err(absent(
            "there is no interpreter to ask",
            "install Python with pip",
        )),
    };
    let node = node::found();
    let npm = npm(node.as_ref().ok().map(|(_, program)| program.as_path()));
    vec![
        Tool {
            name: "ldconfig",
            purpose: "where shared libraries are, for [native] bundle-libraries, [python] and [node]",
            found: ldconfig(),
        },
        Tool {
            name: "python3",
            purpose: "the interpreter of [python], where no other is named",
            found: python.map(|(version, program)| at(&version, &program)),
        },
        Tool {
            name: "pip",
            purpose: "installs what [python] packs",
            found: pip,
        },
        Tool {
            name: "uv",
            purpose: "finds other versions for [python], and installs them with `install = true`",
            found: versioned("uv", "--version", "it is not needed for the Python in PATH"),
        },
        Tool {
            name: "pyenv",
            purpose: "finds other versions for [python]",
            found: versioned(
                "pyenv",
                "--version",
                "it is not needed for the Python in PATH",
            ),
        },
        Tool {
            name: "node",
            purpose: "the runtime of [node], where no other is named",
            found: node.map(|(version, program)| at(&version, &program)),
        },
        Tool {
            name: "npm",
            purpose: "installs what [node] packs",
            found: npm,
        },
    ]
}

pub(super) fn absent(fact: &str, help: &str) -> Absent {
    Absent {
        fact: fact.into(),
        help: help.into(),
    }
}

fn at(version: &str, program: &Path) -> String {
    format!("{version}, {}", program.display())
}

fn ldconfig() -> Result<String, Absent> {
    match libraries::LDCONFIG
        .iter()
        .find(|path| Path::new(path).is_file())
    {
        Some(path) => Ok((*path).to_owned()),
        None => Err(absent(
            "not there",
            "libraries are looked for in the default directories and along run paths only; with glibc, it comes with it",
        )),
    }
}

/// What a program in PATH says of its version.
fn versioned(name: &'static str, flag: &str, help: &str) -> Result<String, Absent> {
    let Some(path) = along_path(name).into_iter().next() else {
        return Err(absent("not in PATH", help));
    };
    match run(name, Command::new(&path).arg(flag)) {
        Ok(said) => Ok(at(said.lines().next().unwrap_or_default().trim(), &path)),
        Err(error) => Err(absent(&error.to_string(), help)),
    }
}

/// The npm that comes with this Node, or the one in PATH. It is not started: it writes a log even when it only tells its
/// version.
fn npm(node: Option<&Path>) -> Result<String, Absent> {
    #[derive(Deserialize)]
    struct Package {
        version: String,
    }
    let beside = node.map(|node| node.with_file_name("npm"));
    let beside = beside.filter(|path| path.is_file());
    let path: PathBuf = beside
        .or_else(|| along_path("npm").into_iter().next())
        .ok_or_else(|| {
            absent(
                "not in PATH",
                "install it with Node; a project without dependencies needs none",
            )
        })?;
    // `npm` is a link to bin/npm-cli.js of its package, where it was installed in the usual way.
    let program = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    let package = program
        .ancestors()
        .nth(2)
        .map(|top| top.join("package.json"));
    let text = package.and_then(|package| fs::read(package).ok());
    let package: Option<Package> = text.and_then(|text| serde_json::from_slice(&text).ok());
    Ok(match package {
        Some(package) => at(&package.version, &path),
        None => path.display().to_string(),
    })
}
