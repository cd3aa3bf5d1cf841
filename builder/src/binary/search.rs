//! Each needed library is looked for as the dynamic loader will.
//!
//! The order is the loader's (ld.so(8)): a library of that name that is already loaded; `DT_RPATH` of the file and of
//! what loaded it, unless the file has a `DT_RUNPATH`; `LD_LIBRARY_PATH` as the package sets it; `DT_RUNPATH`; the host.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::inside::{Place, join};
use super::requirements::{Blocker, FileReport, Finding, Found, Needed, Subject, Wanted};
use super::{Binary, Elf, ElfKind, Inside, Node};
use crate::printer::escape_bytes;

/// Most times that a library is looked for in one package, so that a hostile one ends. Beyond it, what was not looked for
/// counts as the host's.
const MAX_SEARCHES: usize = 4_000_000;

/// A directory that a run path names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Directory {
    /// Below the work environment.
    Inside(Vec<u8>),
    /// Elsewhere, or not known before the program runs.
    Outside,
}

/// A file that the target's loader can load, with its run paths.
pub(super) struct Loadable<'s> {
    pub(super) elf: &'s Elf,
    /// Empty where it has a `DT_RUNPATH`.
    rpath: Vec<Directory>,
    runpath: Vec<Directory>,
}

pub(super) struct Search<'s> {
    inside: &'s Inside,
    subjects: &'s [Subject],
    wanted: &'s Wanted,
    loadable: Vec<Option<Loadable<'s>>>,
    /// For each subject, where its needed libraries are, once it is known.
    found: Vec<Vec<Option<Found>>>,
    /// Names of everything that some program loads, with that program and the library.
    loaded: BTreeMap<String, (usize, usize)>,
    pub(super) blockers: Vec<Blocker>,
    left: usize,
}

impl<'s> Search<'s> {
    pub(super) fn new(
        inside: &'s Inside,
        subjects: &'s [Subject],
        wanted: &'s Wanted,
    ) -> Search<'s> {
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
    pub(super) fn programs(&mut self) {
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
                let Some(left) = self.left.checked_sub(1) else {
                    return;
                };
                self.left = left;
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
    pub(super) fn others(&mut self) {
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
        let cost = directories.len().saturating_add(loaders.len());
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
        self.left = self.left.saturating_sub(cost);
        if let (None, Some(command), Some(nth)) = (library, command, wrong)
            && let Some(blocker) = self.blocker(command, nth)
            && !self.blockers.contains(&blocker)
        {
            self.blockers.push(blocker);
        }
        library
    }

    pub(super) fn file(&self, nth: usize) -> Option<&Loadable<'s>> {
        self.loadable.get(nth).and_then(Option::as_ref)
    }

    pub(super) fn report(&self, nth: usize) -> Option<FileReport> {
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
            .filter(|(_, directory)| **directory == Directory::Outside)
            .map(|(entry, _)| entry.clone())
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
