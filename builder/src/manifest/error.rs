//! What can be wrong with a manifest: one line of fact with file and line, and one line of help.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use psp_format::path::PathFault;
use thiserror::Error;

use super::flavorpack::Fault;
use crate::inputs::InputError;

/// Why there is no [`Project`](super::Project). `Display` is one line of fact.
#[derive(Debug)]
pub struct ManifestError {
    /// The manifest, or the directory in which one was looked for.
    pub file: PathBuf,
    /// The line in it, counted from 1, where the problem has one.
    pub line: Option<usize>,
    /// What is wrong. Boxed: errors are rare, and results with them are passed around a lot.
    pub problem: Box<Problem>,
}

/// What is wrong with a manifest.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is no manifest in the directory.
    #[error(
        "no manifest: there is no `flavor.toml`, and {}",
        if *has_pyproject { "`pyproject.toml` has no `[tool.flavor]`" } else { "no `pyproject.toml`" }
    )]
    NotFound {
        /// Whether there is a `pyproject.toml`.
        has_pyproject: bool,
    },
    /// `[tool.flavor]` is missing in a `pyproject.toml` that was asked for.
    #[error("there is no `[tool.flavor]` in it")]
    NoToolTable,
    /// The operating system refused.
    #[error("cannot read the manifest: {error}")]
    Unreadable {
        /// What the operating system said.
        error: io::Error,
    },
    /// Not UTF-8.
    #[error("the manifest is not UTF-8 text")]
    NotText,
    /// Not TOML.
    #[error("not valid TOML: {message}")]
    Syntax {
        /// What the parser said, on one line.
        message: String,
    },
    /// Not JSON.
    #[error("not valid JSON: {message}")]
    JsonSyntax {
        /// What the parser said.
        message: String,
    },
    /// A key that stands twice in one object of JSON.
    #[error("two keys `{}` in {section}", key.escape_debug())]
    DuplicateKey {
        /// As written.
        key: String,
        /// The path of the object.
        section: String,
    },
    /// A value that only the manifests of flavorpack have.
    #[error("`{path}` {fault}")]
    Foreign {
        /// Of its key.
        path: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Two recipes that would both say what is started.
    #[error("{recipe} beside {first}: a package has one recipe")]
    TwoRecipes {
        /// With brackets.
        recipe: &'static str,
        /// The other one.
        first: &'static str,
    },
    /// A project that `[node]` is to pack has no `package.json`.
    #[error("there is no package.json in {} that can be read: {error}", .project.display())]
    NoPackageJson {
        /// Its directory, resolved.
        project: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// A key that the section does not have.
    #[error("unknown key `{key}` in {section}")]
    UnknownKey {
        /// As written.
        key: String,
        /// With brackets.
        section: String,
        /// The known key that is nearest, where one is near.
        nearest: Option<&'static str>,
        /// All keys of the section.
        known: &'static [&'static str],
    },
    /// A key that must be there is not.
    #[error("{section} has no `{key}`")]
    MissingKey {
        /// With brackets.
        section: String,
        /// The key.
        key: &'static str,
        /// How it could be written.
        example: String,
    },
    /// A value of another type or outside what is possible.
    #[error("`{key}` in {section} must be {expected}, but is {found}")]
    Invalid {
        /// With brackets.
        section: String,
        /// The key.
        key: String,
        /// With its article, and the range or the choices.
        expected: String,
        /// As written, shortened where it is long.
        found: String,
        /// How it could be written.
        example: String,
    },
    /// A key that names something and cannot.
    #[error("`{}` in {section} is not {expected}", key.escape_debug())]
    Name {
        /// With brackets.
        section: String,
        /// As written.
        key: String,
        /// With its article: what the key names.
        expected: &'static str,
        /// How it could be written.
        example: &'static str,
    },
    /// A path inside a package that cannot be one.
    #[error("`{key}` in {section} is {found}, no path inside a package: {fault}")]
    Path {
        /// With brackets.
        section: String,
        /// The key.
        key: String,
        /// As written.
        found: String,
        /// Why.
        fault: PathFault,
    },
    /// A glob that does not compile.
    #[error("`{key}` in {section}: {error}")]
    Glob {
        /// With brackets.
        section: String,
        /// `include` or `exclude`.
        key: String,
        /// Why.
        error: InputError,
    },
    /// Two slots have one id or one target.
    #[error("two slots have the {what} `{value}`: this one and that of line {first}")]
    DuplicateSlot {
        /// `id` or `target`.
        what: &'static str,
        /// The one that both have.
        value: String,
        /// The line of the first one.
        first: usize,
    },
    /// More than one slot of a kind of which there can be one.
    #[error("two slots have the lifecycle `attestation`: this one and that of line {first}")]
    TwoAttestations {
        /// The line of the first one.
        first: usize,
    },
    /// More slots than a package can hold.
    #[error("there are {count} slots; a package holds at most {limit}")]
    TooManySlots {
        /// How many there are.
        count: usize,
        /// The most.
        limit: usize,
    },
    /// There is nothing to start.
    #[error("there is no default command")]
    NoCommand,
    /// A command lies in the work environment, but in no slot.
    #[error("{command} starts `{exec}`, a command that no slot provides")]
    CommandOutsideSlots {
        /// The section that names it, with brackets.
        command: String,
        /// As written.
        exec: String,
        /// The targets of all slots.
        targets: Vec<String>,
    },
    /// A command lies in a slot that is not there when the command is started.
    #[error(
        "{command} starts `{exec}` in the slot `{slot}`, which is not there then (lifecycle {lifecycle})"
    )]
    CommandNotThere {
        /// The section that names it, with brackets.
        command: String,
        /// As written.
        exec: String,
        /// The id of the slot.
        slot: String,
        /// The slot's lifecycle.
        lifecycle: &'static str,
    },
    /// A command lies in a slot's target, but the slot has no such file.
    #[error("{command} starts `{exec}`, which is not in the slot `{slot}`")]
    CommandNotInSlot {
        /// The section that names it, with brackets.
        command: String,
        /// As written.
        exec: String,
        /// The id of the slot whose target it lies in.
        slot: String,
    },
    /// A command lies in slots that packages for this target do not hold.
    #[error(
        "{command} starts `{exec}`, which is in no slot for {target}, only in `{}`",
        .slots.join("`, `")
    )]
    CommandNotForTarget {
        /// The section that names it, with brackets.
        command: String,
        /// As written.
        exec: String,
        /// The ids of the slots whose targets it lies in.
        slots: Vec<String>,
        /// The target.
        target: String,
    },
}

impl ManifestError {
    pub(super) fn new(file: &Path, line: Option<usize>, problem: Problem) -> Self {
        Self {
            file: file.into(),
            line,
            problem: Box::new(problem),
        }
    }

    /// One line that says what to do about it.
    pub fn help(&self) -> String {
        self.problem.help()
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for ManifestError {}

impl Problem {
    fn help(&self) -> String {
        match self {
            Self::NotFound { .. } | Self::NoToolTable => {
                "`flavor init` writes one for a Python, Node, Rust or Go project; a manifest holds at least `[package]` with `name` and `version`, a `[[slot]]` with \
                 `id` and `source`, and `[command]` with `exec`"
                    .into()
            }
            Self::Unreadable { .. } => "name a manifest with `--manifest FILE`".into(),
            Self::NotText => "save it as UTF-8".into(),
            Self::Syntax { .. } => "text values stand in quotes; see https://toml.io".into(),
            Self::JsonSyntax { .. } => "see https://json.org; there are no comments in JSON".into(),
            Self::DuplicateKey { .. } => "keep one of them".into(),
            Self::Foreign { fault, .. } => fault.help().into(),
            Self::NoPackageJson { .. } => {
                "`project` in [node] is the project's directory, relative to the manifest; without it, the manifest's own".into()
            }
            Self::TwoRecipes { .. } => {
                "keep one of them, and describe the rest with a `[[slot]]`".into()
            }
            Self::UnknownKey { section, nearest, known, .. } => {
                let known = known.join(", ");
                match nearest {
                    Some(nearest) => format!("did you mean `{nearest}`? {section} knows {known}"),
                    None => format!("{section} knows {known}"),
                }
            }
            Self::MissingKey { example, .. } => format!("add `{example}`"),
            Self::Invalid { example, .. } => format!("write it like `{example}`"),
            Self::Name { example, .. } => format!("write it like `{example}`"),
            Self::Path { .. } => {
                "paths inside a package are relative and plain: `lib/app`, without `..` or `.`".into()
            }
            Self::Glob { error, .. } => error.help().into(),
            Self::DuplicateSlot { what: "target", .. } => {
                "give one of them another `target`, or each `platforms` that the other does not have".into()
            }
            Self::DuplicateSlot { what, .. } => format!("give one of them another `{what}`"),
            Self::TwoAttestations { .. } => "a package has one attestation; merge them".into(),
            Self::TooManySlots { .. } => "put what belongs together into one directory".into(),
            Self::NoCommand => {
                "add `[command]` with `exec = \"{workenv}/...\"`, the program to start".into()
            }
            Self::CommandOutsideSlots { targets, .. } if targets.is_empty() => {
                "add a `[[slot]]` that holds it".into()
            }
            Self::CommandOutsideSlots { targets, .. } => {
                let targets: Vec<String> =
                    targets.iter().map(|target| format!("{{workenv}}/{target}")).collect();
                format!("the slots are at {}", targets.join(", "))
            }
            Self::CommandNotThere { .. } => {
                "move it to another slot, or give this one another lifecycle, such as `cached`".into()
            }
            Self::CommandNotForTarget { target, .. } => {
                format!("add a `[[slot]]` with the same `target` and `platforms = [\"{target}\"]`")
            }
            Self::CommandNotInSlot { .. } => {
                "check the path, and whether `include` and `exclude` leave the file in".into()
            }
        }
    }
}
