//! What can be wrong with a lock file.

use thiserror::Error;

use crate::printer::escape;

/// `Display` is what follows the file's name in a line of fact; [`LockFault::help`] is one line of remedy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LockFault {
    /// Not TOML, or not what a lock file has in it.
    #[error("cannot be read: line {line}: {}", escape(message))]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What the parser said, on one line.
        message: String,
    },
    /// A later format.
    #[error("has the format {}; this flavor reads {known}", escape(found))]
    Version {
        /// As written.
        found: String,
        /// What is read.
        known: &'static str,
    },
    /// A name, version, address, hash or marker that is none.
    #[error("holds `{}`, which cannot be used", escape(text))]
    Unusable {
        /// As written.
        text: String,
    },
    /// Of the project: a dependency that is none.
    #[error("has the dependency `{}`, which is none", escape(text))]
    Dependency {
        /// As written.
        text: String,
    },
    /// The project that is packed is not in it.
    #[error("does not hold the project {}", escape(project))]
    NoProject {
        /// Its directory.
        project: String,
    },
    /// A dependency that is not in it.
    #[error("names `{}` as a dependency, and does not hold it", escape(name))]
    NoPackage {
        /// Its name.
        name: String,
    },
    /// A package from where pip cannot check what it gets.
    #[error(
        "takes `{}` from {kind}, of which no hash can be checked",
        escape(name)
    )]
    NoSource {
        /// The package.
        name: String,
        /// With its article.
        kind: &'static str,
    },
    /// A package without a hash.
    #[error("has no hash for `{}`", escape(name))]
    NoHash {
        /// The package.
        name: String,
    },
    /// Made for another project, or for an earlier state of this one.
    #[error("does not match pyproject.toml: {}", differences(lacks, surplus))]
    Mismatch {
        /// Requirements of the project that are not in it, as written there.
        lacks: Vec<String>,
        /// Requirements that it has, and the project has not.
        surplus: Vec<String>,
    },
    /// A pinned version is none that the project asks for.
    #[error(
        "does not match pyproject.toml: it pins {} {}, and `{}` is asked for",
        escape(name),
        escape(version),
        escape(wanted)
    )]
    Pinned {
        /// The package.
        name: String,
        /// As locked.
        version: String,
        /// As `pyproject.toml` has it.
        wanted: String,
    },
    /// Not for this interpreter.
    #[error(
        "is for Python {}, and the interpreter is {}",
        escape(requires),
        escape(found)
    )]
    Python {
        /// A specifier.
        requires: String,
        /// The interpreter's version.
        found: String,
    },
    /// Not for this interpreter or system, by a marker.
    #[error("is for none of what this interpreter is (its environments are others)")]
    Environment,
    /// What pip got has another hash.
    #[error("has another hash for {}: got {}", escape(requirement), escape(got))]
    Hash {
        /// As pip names it.
        requirement: String,
        /// The digest of what came.
        got: String,
    },
}

impl LockFault {
    /// One line of remedy.
    pub fn help(&self) -> &'static str {
        match self {
            LockFault::Syntax { .. } | LockFault::Unusable { .. } | LockFault::NoPackage { .. } => {
                "lock files are not written by hand: make it anew with `uv lock`, or `uv export --format pylock.toml -o pylock.toml`"
            }
            LockFault::Dependency { .. } => {
                "write it like `rich>=13`, or `rich>=13; python_version >= '3.9'`"
            }
            LockFault::Version { .. } => "make it anew with a uv of about the age of this flavor",
            LockFault::NoProject { .. } => {
                "`lock` in [python] is the lock file of `project`, or of the workspace that this is a member of"
            }
            LockFault::NoSource { .. } => {
                "depend on a release, or on an archive at an address; or leave `lock` out, so that pip fetches it unchecked"
            }
            LockFault::NoHash { .. } => "lock it from an index that gives hashes, as PyPI does",
            LockFault::Mismatch { .. } | LockFault::Pinned { .. } => {
                "run `uv lock` (and `uv export --format pylock.toml -o pylock.toml`, where that is packed)"
            }
            LockFault::Python { .. } | LockFault::Environment => {
                "name another interpreter with `runtime` in [python], or widen what the lock file is for, and lock anew"
            }
            LockFault::Hash { .. } => {
                "if the lock file was not edited, what came is not what was locked: find out why before you run `uv lock`"
            }
        }
    }
}

/// What a project has and its lock file has not, or the other way round.
fn differences(lacks: &[String], surplus: &[String]) -> String {
    let listed = |texts: &[String]| {
        let texts: Vec<String> = texts
            .iter()
            .map(|text| format!("`{}`", escape(text)))
            .collect();
        texts.join(", ")
    };
    match lacks.is_empty() {
        false => format!("it lacks {}", listed(lacks)),
        true => format!("it has {}, which is not there", listed(surplus)),
    }
}
