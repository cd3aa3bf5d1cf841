//! What is left to the host: each needed library is looked for as the dynamic loader will.
//!
//! The order is the loader's (ld.so(8)): a library of that name that is already loaded; `DT_RPATH` of the file and of
//! what loaded it, unless the file has a `DT_RUNPATH`; `LD_LIBRARY_PATH` as the package sets it; `DT_RUNPATH`; the host.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use serde::Serialize;

use super::base::{Base, base};
use super::inside::{Place, join};
use super::{Binary, Elf, ElfKind, Family, Inside, Need, Node, Version};
use crate::printer::escape_bytes;

/// Most times that a library is looked for in one package, so that a hostile one ends. Beyond it, what was not looked for
/// counts as the host's.
const MAX_SEARCHES: usize = 4_000_000;

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

/// A directory that a run path names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Directory {
    /// Below the work environment.
    Inside(Vec<u8>),
    /// Elsewhere, or not known before the program runs.
    Outside,
}

/// A file that the target's loader can load, with its run paths.
struct Loadable<'s> {
    elf: &'s Elf,
    /// Empty where it has a `DT_RUNPATH`.
    rpath: Vec<Directory>,
    runpath: Vec<Directory>,
}

struct Search<'s> {
    inside: &'s Inside,
    subjects: &'s [Subject],
    wanted: &'s Wanted,
    loadable: Vec<Option<Loadable<'s>>>,
    /// For each subject, where its needed libraries are, once it is known.
    found: Vec<Vec<Option<Found>>>,
    /// Names of everything that some program loads, with that program and the library.
    loaded: BTreeMap<String, (usize, usize)>,
    blockers: Vec<Blocker>,
    left: usize,
}

impl<'s> Search<'s> {
    fn new(inside: &'s Inside, subjects: &'s [Subject], wanted: &'s Wanted) -> Search<'s> {
        let loadable: Vec<Option<Loadable<'s>>> = subjects
            .iter()
            .map(|subject| match &subject.binary {
                Ok(binary @ Binary::Elf(elf))
                    if elf.kind != ElfKind::Other && binary.is_for(&wanted.target) =>
                {
                    Some(Loadable::new(inside, &subject.path, elf))
                }
                _ => None,
            })
            .collect();
        let none = |file: &Option<Loadable<'_>>| {
            vec![None; file.as_ref().map_or(0, |file| file.elf.needed.len())]
        };
        Search {
            inside,
            subjects,
            wanted,
            found: loadable.iter().map(none).collect(),
            loadable,
            loaded: BTreeMap::new(),
            blockers: Vec::new(),
            left: MAX_SEARCHES,
        }
    }

    /// Everything that programs load.
    fn programs(&mut self) {
        let mut commands: HashMap<usize, &str> = HashMap::new();
        for (command, path) in &self.wanted.commands {
            let Place::Inside(_, Node::File(Some(nth))) = self.inside.resolve(path) else {
                continue;
            };
            commands.entry(*nth).or_insert(command);
            if let Some(blocker) = self.blocker(command, *nth) {
                self.blockers.push(blocker);
            }
        }
        for nth in 0..self.subjects.len() {
            let is_program = self
                .file(nth)
                .is_some_and(|file| file.elf.kind == ElfKind::Program);
            if is_program || (commands.contains_key(&nth) && self.file(nth).is_some()) {
                self.program(nth, commands.get(&nth).copied());
            }
        }
    }

    /// What is wrong with a file that is to be started or loaded, where it is for another target.
    fn blocker(&self, command: &str, nth: usize) -> Option<Blocker> {
        let subject = self.subjects.get(nth)?;
        let found = match &subject.binary {
            Ok(binary) if !binary.is_for(&self.wanted.target) => binary.summary(),
            _ => return None,
        };
        Some(Blocker {
            command: command.to_owned(),
            path: subject.path.clone(),
            found,
        })
    }

    /// Loads a program as the loader will: its libraries, theirs, and so on, in the order of breadth.
    fn program(&mut self, program: usize, command: Option<&str>) {
        let mut names: HashMap<String, usize> = HashMap::new();
        let mut seen: HashSet<usize> = HashSet::from([program]);
        // Each with those that loaded it, the nearest first.
        let mut queue = VecDeque::from([(program, Vec::new())]);
        while let Some((nth, loaders)) = queue.pop_front() {
            let needed = self.file(nth).map(|file| &file.elf.needed);
            for (place, name) in needed.into_iter().flatten().enumerate() {
                let library = match names.get(name) {
                    Some(library) => Some(*library),
                    None => self.look(nth, &loaders, name, command),
                };
                let found = match library.and_then(|library| self.subjects.get(library)) {
                    Some(library) => Found::Inside(escape_bytes(&library.path)),
                    None => Found::Host,
                };
                self.note(nth, place, found);
                let Some(library) = library else { continue };
                names.insert(name.clone(), library);
                if let Some(soname) = self.file(library).and_then(|file| file.elf.soname.clone()) {
                    names.insert(soname, library);
                }
                if seen.insert(library) {
                    let loaders: Vec<usize> = std::iter::once(nth)
                        .chain(loaders.iter().copied())
                        .collect();
                    queue.push_back((library, loaders));
                }
            }
        }
        for (name, library) in names {
            self.loaded.entry(name).or_insert((program, library));
        }
    }

    /// Libraries that no program of the package loads by itself: plugins and extension modules. Their own run paths count,
    /// and what some program has loaded before.
    fn others(&mut self) {
        for nth in 0..self.subjects.len() {
            let needed = self.file(nth).map(|file| &file.elf.needed);
            for (place, name) in needed.into_iter().flatten().enumerate() {
                if self
                    .found
                    .get(nth)
                    .and_then(|found| found.get(place))
                    .is_some_and(Option::is_some)
                {
                    continue;
                }
                let path = |nth: usize| self.subjects.get(nth).map(|file| escape_bytes(&file.path));
                let found = match self.look(nth, &[], name, None) {
                    Some(library) => path(library).map(Found::Inside),
                    None => self
                        .loaded
                        .get(name)
                        .and_then(|(program, _)| path(*program))
                        .map(Found::LoadedBy),
                };
                self.note(nth, place, found.unwrap_or(Found::Host));
            }
        }
    }

    /// A library that one program finds and another does not is one that the host needs to have.
    fn note(&mut self, nth: usize, place: usize, found: Found) {
        let slot = self
            .found
            .get_mut(nth)
            .and_then(|found| found.get_mut(place));
        if let Some(slot) = slot
            && *slot != Some(Found::Host)
        {
            *slot = Some(found);
        }
    }

    /// Looks for a library along the run paths. With a `command`, one of another target on the way is reported.
    fn look(
        &mut self,
        nth: usize,
        loaders: &[usize],
        name: &str,
        command: Option<&str>,
    ) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        // A name with a slash is a path from the directory that the program is started in.
        if name.contains('/') {
            return None;
        }
        let file = self.file(nth)?;
        let mut directories: Vec<&Directory> = Vec::new();
        if file.elf.runpath.is_none() {
            let chain = std::iter::once(&nth).chain(loaders);
            directories.extend(
                chain
                    .filter_map(|nth| self.file(*nth))
                    .flat_map(|file| &file.rpath),
            );
        }
        let from_env: Vec<Directory> = self
            .wanted
            .library_path
            .iter()
            .cloned()
            .map(Directory::Inside)
            .collect();
        directories.extend(&from_env);
        directories.extend(&file.runpath);
        let mut wrong = None;
        let mut library = None;
        for directory in directories {
            let Directory::Inside(directory) = directory else {
                continue;
            };
            match self.inside.resolve(&join(directory, name.as_bytes())) {
                Place::Inside(_, Node::File(Some(nth))) if self.file(*nth).is_some() => {
                    library = Some(*nth);
                    break;
                }
                // The loader goes on to the next directory.
                Place::Inside(_, Node::File(Some(nth))) => wrong = wrong.or(Some(*nth)),
                _ => {}
            }
        }
        if let (None, Some(command), Some(nth)) = (library, command, wrong)
            && let Some(blocker) = self.blocker(command, nth)
            && !self.blockers.contains(&blocker)
        {
            self.blockers.push(blocker);
        }
        library
    }

    fn file(&self, nth: usize) -> Option<&Loadable<'s>> {
        self.loadable.get(nth).and_then(Option::as_ref)
    }

    fn report(&self, nth: usize) -> Option<FileReport> {
        let subject = self.subjects.get(nth)?;
        let mut findings = Vec::new();
        let binary = match &subject.binary {
            Err(reason) => {
                let reason = reason.clone();
                findings.push(Finding::NotExamined { reason });
                None
            }
            Ok(binary) => Some(binary.clone()),
        };
        if let Some(binary) = &binary
            && !binary.is_for(&self.wanted.target)
        {
            let found = binary.summary();
            findings.push(Finding::OtherTarget { found });
        }
        let mut needed = Vec::new();
        let mut host_versions = Vec::new();
        if let Some(file) = self.file(nth) {
            let found = self.found.get(nth).into_iter().flatten();
            needed.extend(
                file.elf
                    .needed
                    .iter()
                    .zip(found)
                    .map(|(name, found)| Needed {
                        name: name.clone(),
                        found: found.clone().unwrap_or(Found::Host),
                    }),
            );
            let is_here = |library: &String| {
                needed
                    .iter()
                    .any(|needed| needed.name == *library && needed.found != Found::Host)
            };
            host_versions.extend(
                file.elf
                    .versions
                    .iter()
                    .filter(|need| !is_here(&need.library))
                    .cloned(),
            );
            findings.extend(file.leaving().map(|entry| Finding::RunPathLeaves { entry }));
            if file.elf.text_relocations {
                findings.push(Finding::TextRelocations);
            }
            if file.elf.executable_stack {
                findings.push(Finding::ExecutableStack);
            }
        }
        Some(FileReport {
            path: escape_bytes(&subject.path),
            binary,
            needed,
            findings,
            host_versions,
        })
    }
}

impl<'s> Loadable<'s> {
    fn new(inside: &Inside, path: &[u8], elf: &'s Elf) -> Loadable<'s> {
        let directories = |entries: &[String]| -> Vec<Directory> {
            entries
                .iter()
                .map(|entry| directory(inside, path, entry))
                .collect()
        };
        Loadable {
            elf,
            rpath: match elf.runpath {
                None => directories(&elf.rpath),
                Some(_) => Vec::new(),
            },
            runpath: elf.runpath.as_deref().map(directories).unwrap_or_default(),
        }
    }

    /// The run paths, as written, that leave the package.
    fn leaving(&self) -> impl Iterator<Item = String> {
        let entries = self.elf.runpath.as_ref().unwrap_or(&self.elf.rpath);
        let directories = self.rpath.iter().chain(&self.runpath);
        entries
            .iter()
            .zip(directories)
            .filter_map(|(entry, directory)| {
                (*directory == Directory::Outside).then(|| entry.clone())
            })
    }
}

/// What an entry of the run path of the file at `path` names.
fn directory(inside: &Inside, path: &[u8], entry: &str) -> Directory {
    let rest = entry
        .strip_prefix("$ORIGIN")
        .or_else(|| entry.strip_prefix("${ORIGIN}"));
    let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
        return Directory::Outside;
    };
    // `$LIB` and `$PLATFORM` are known when the program runs.
    if rest.contains('$') {
        return Directory::Outside;
    }
    let origin = psp_format::path::parent(path);
    let whole = [origin, rest.as_bytes()].concat();
    match inside.resolve(&whole) {
        Place::Inside(path, _) => Directory::Inside(path),
        Place::Outside => Directory::Outside,
        // Nothing can be found there, and it does not lead out.
        Place::Nowhere if climbs_out(&whole) => Directory::Outside,
        Place::Nowhere => Directory::Inside(whole),
    }
}

/// Whether a path has more `..` than directories before them at some point.
fn climbs_out(path: &[u8]) -> bool {
    let mut depth = 0_usize;
    for part in path.split(|byte| *byte == b'/') {
        depth = match part {
            b"" | b"." => depth,
            b".." => match depth.checked_sub(1) {
                Some(depth) => depth,
                None => return true,
            },
            _ => depth.saturating_add(1),
        };
    }
    false
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
