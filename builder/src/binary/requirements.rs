//! What is left to the host, summed up from what `search` finds for each file.

use std::collections::BTreeMap;

use serde::Serialize;

use super::base::{Base, base};
use super::search::Search;
use super::{Binary, Family, Inside, Need, Version};

/// A file of a package that is, or begins like, an executable or library.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Below the work environment.
    pub path: Vec<u8>,
    /// What it says, or why that is not known.
    pub binary: Result<Binary, String>,
}

/// What the package says about itself.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The target, such as `linux_amd64`.
    pub target: String,
    /// What it starts: the name of the command, and the path below the work environment.
    pub commands: Vec<(String, Vec<u8>)>,
    /// Directories below the work environment that it puts into `LD_LIBRARY_PATH`.
    pub library_path: Vec<Vec<u8>>,
}

/// What a package needs of its host.
#[derive(Debug, Clone, Serialize)]
pub struct Requirements {
    /// The highest version of each family that the host's libraries have to provide.
    pub versions: Vec<Wants>,
    /// Dynamic loaders, each with the first program that asks for it.
    pub interpreters: Vec<NeededBy>,
    /// Libraries that the package does not have, by name.
    pub libraries: Vec<HostLibrary>,
    /// Every executable and library, in the order of the package.
    pub files: Vec<FileReport>,
    /// What the package cannot be started with.
    #[serde(skip)]
    pub blockers: Vec<Blocker>,
}

/// A version that the host must provide.
#[derive(Debug, Clone, Serialize)]
pub struct Wants {
    /// `GLIBC_`, `GLIBCXX_` or `CXXABI_`.
    #[serde(serialize_with = "prefix")]
    pub family: Family,
    /// Its number.
    pub version: Version,
    /// The file that asks for most.
    pub path: String,
    /// The symbol for which it does.
    pub symbol: Option<String>,
}

/// A name, and a file that asks for it.
#[derive(Debug, Clone, Serialize)]
pub struct NeededBy {
    /// What is asked for.
    pub name: String,
    /// The file, escaped.
    pub path: String,
}

/// A library of the host.
#[derive(Debug, Clone, Serialize)]
pub struct HostLibrary {
    /// Its name, as the files ask for it.
    pub name: String,
    /// The reason why it belongs to the base set, where it does.
    pub base: Option<Base>,
    /// The files that ask for it, escaped.
    pub needed_by: Vec<String>,
}

/// What is known of one file.
#[derive(Debug, Clone, Serialize)]
pub struct FileReport {
    /// Below the work environment, escaped.
    pub path: String,
    /// What it says; `null` where it could not be read.
    pub binary: Option<Binary>,
    /// Its needed libraries, and where they are found. Empty for a file that the target does not load.
    pub needed: Vec<Needed>,
    /// What a person should look at.
    pub findings: Vec<Finding>,
    /// Versions that it needs of libraries that the host has to provide.
    #[serde(skip)]
    pub host_versions: Vec<Need>,
}

/// A needed library.
#[derive(Debug, Clone, Serialize)]
pub struct Needed {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub found: Found,
}

/// Where a needed library is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// In the package, at this path, along the run paths.
    Inside(String),
    /// In the package, loaded before by this program; the file alone would not find it.
    LoadedBy(String),
    /// Left to the host.
    Host,
}

/// Something about a file that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// It is for another system or processor than the package.
    OtherTarget {
        /// What it is for.
        found: String,
    },
    /// A run path that names a place outside the package.
    RunPathLeaves {
        /// As written.
        entry: String,
    },
    /// The loader has to write into its code, which hardened hosts refuse.
    TextRelocations,
    /// It asks for a stack that can be executed, which hardened hosts refuse.
    ExecutableStack,
    /// It could not be read.
    NotExamined {
        /// Why.
        reason: String,
    },
}

/// Why the package cannot be started on any host of its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// The command, as the manifest names it.
    pub command: String,
    /// The file below the work environment.
    pub path: Vec<u8>,
    /// What that is for.
    pub found: String,
}

impl Finding {
    /// In words.
    pub fn text(&self) -> String {
        match self {
            Finding::OtherTarget { found } => format!("for another target: {found}"),
            Finding::RunPathLeaves { entry } if entry.is_empty() => {
                "an empty run path, which is the directory that it is started in".to_owned()
            }
            Finding::RunPathLeaves { entry } => format!("run path {entry} leaves the package"),
            Finding::TextRelocations => "text relocations: hardened hosts refuse to load it".into(),
            Finding::ExecutableStack => "executable stack: hardened hosts refuse to load it".into(),
            Finding::NotExamined { reason } => format!("not examined: {reason}"),
        }
    }
}

fn prefix<S: serde::Serializer>(family: &Family, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(family.prefix())
}

impl Requirements {
    /// What `subjects`, which lie in a package as `inside` says, need of its host.
    pub fn of(inside: &Inside, subjects: &[Subject], wanted: &Wanted) -> Requirements {
        let mut search = Search::new(inside, subjects, wanted);
        search.programs();
        search.others();
        let files: Vec<FileReport> = (0..subjects.len())
            .filter_map(|nth| search.report(nth))
            .collect();
        Requirements {
            versions: highest(&files),
            interpreters: interpreters(&search, &files),
            libraries: host_libraries(&files),
            blockers: search.blockers,
            files,
        }
    }

    /// The file that asks for the newest glibc, where that is newer than `floor`.
    pub fn above(&self, floor: &Version) -> Option<&Wants> {
        let glibc = self
            .versions
            .iter()
            .find(|wants| wants.family == Family::Glibc);
        glibc.filter(|wants| wants.version > *floor)
    }
}

fn highest(files: &[FileReport]) -> Vec<Wants> {
    let of_family = |family| {
        let all = files.iter().flat_map(|file| {
            file.host_versions.iter().filter_map(move |need| {
                let (found, version) = Family::of(&need.version)?;
                (found == family).then_some((version, file, need))
            })
        });
        // Of several files that ask for the same, the first.
        let first = all.reduce(|best, next| if next.0 > best.0 { next } else { best });
        first.map(|(version, file, need)| Wants {
            family,
            version,
            path: file.path.clone(),
            symbol: need.symbol.clone(),
        })
    };
    Family::ALL.into_iter().filter_map(of_family).collect()
}

fn interpreters(search: &Search<'_>, files: &[FileReport]) -> Vec<NeededBy> {
    let mut out: Vec<NeededBy> = Vec::new();
    for (nth, report) in files.iter().enumerate() {
        let interpreter = search
            .file(nth)
            .and_then(|file| file.elf.interpreter.as_ref());
        if let Some(name) = interpreter
            && !out.iter().any(|known| known.name == *name)
        {
            out.push(NeededBy {
                name: name.clone(),
                path: report.path.clone(),
            });
        }
    }
    out
}

fn host_libraries(files: &[FileReport]) -> Vec<HostLibrary> {
    let mut by_name: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in files {
        for needed in file
            .needed
            .iter()
            .filter(|needed| needed.found == Found::Host)
        {
            by_name
                .entry(&needed.name)
                .or_default()
                .push(file.path.clone());
        }
    }
    let library = |(name, needed_by): (&str, Vec<String>)| HostLibrary {
        name: name.to_owned(),
        base: base(name),
        needed_by,
    };
    by_name.into_iter().map(library).collect()
}
