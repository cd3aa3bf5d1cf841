//! The shared libraries that a program needs, found on the machine that builds as its dynamic loader would find them.
//!
//! `LD_LIBRARY_PATH` is not looked at: what a package holds should not depend on the shell that it was built from. Neither
//! are libraries that a program loads by itself while it runs (plugins, codecs, name services): nothing in the file says
//! which they are.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use object::read::ReadCache;

use super::{Filled, RecipeError, Source, write};
use crate::binary::base::base;
use crate::binary::{self, Binary, Elf, debug, runpath};

/// The run path of libraries that lie in one directory.
pub(super) const BESIDE: &str = "$ORIGIN";

/// Where a machine keeps its libraries.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// What `ldconfig` knows: files by name, in its order.
    cache: HashMap<String, Vec<PathBuf>>,
    /// The directories in which loaders look in the end.
    directories: Vec<PathBuf>,
}

/// A library that goes into the package.
#[derive(Debug, Clone)]
pub struct Library {
    /// The name by which it is needed, and which its file gets.
    pub name: String,
    /// The file on this machine.
    pub path: PathBuf,
    /// What it says.
    pub elf: Elf,
}

impl Host {
    /// This machine, as a program for `target` meets it.
    pub fn read(target: &str) -> Host {
        let triple = match target.rsplit_once('_').map(|(_, arch)| arch) {
            Some("arm64") => "aarch64-linux-gnu",
            _ => "x86_64-linux-gnu",
        };
        let directories = [
            format!("/lib/{triple}"),
            format!("/usr/lib/{triple}"),
            "/lib64".into(),
            "/usr/lib64".into(),
            "/lib".into(),
            "/usr/lib".into(),
        ];
        Host {
            cache: parse_cache(&ldconfig()),
            directories: directories.map(PathBuf::from).into(),
        }
    }
}

/// Where `ldconfig` may be.
pub(super) const LDCONFIG: [&str; 2] = ["/sbin/ldconfig", "/usr/sbin/ldconfig"];

/// The output of `ldconfig -p`; empty where there is no such program, as with musl.
fn ldconfig() -> String {
    let run = |program: &str| {
        let mut command = Command::new(program);
        command
            .arg("-p")
            .env_clear()
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
            .output()
            .ok()
            .filter(|output| output.status.success())
    };
    let output = LDCONFIG.into_iter().find_map(run);
    output.map_or_else(String::new, |output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
    })
}

/// Lines like `libz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1`. Those for newer processors alone are left
/// out: the package is for all of its kind.
fn parse_cache(text: &str) -> HashMap<String, Vec<PathBuf>> {
    let mut out: HashMap<String, Vec<PathBuf>> = HashMap::new();
    for line in text.lines() {
        let Some((name, path)) = line.trim().split_once(" => ") else {
            continue;
        };
        let Some((name, kind)) = name.split_once(" (") else {
            continue;
        };
        if !kind.contains("hwcap") && path.starts_with('/') {
            out.entry(name.to_owned()).or_default().push(path.into());
        }
    }
    out
}

/// The libraries that these programs need beyond the base set, and those that these need, by name.
///
/// # Errors
///
/// When one cannot be found, or a program is none for the target.
pub fn closure(
    host: &Host,
    programs: &[PathBuf],
    target: &str,
) -> Result<Vec<Library>, RecipeError> {
    let mut found: BTreeMap<String, Library> = BTreeMap::new();
    for program in programs {
        let elf = elf(program, target)?.ok_or_else(|| RecipeError::NotElf {
            path: program.clone(),
            found: kind(program),
            target: target.to_owned(),
        })?;
        // Each with the directories of `DT_RPATH` of what loaded it.
        let mut queue = VecDeque::from([(program.clone(), elf, Vec::new())]);
        while let Some((path, elf, inherited)) = queue.pop_front() {
            let rpath: Vec<PathBuf> = match elf.runpath {
                Some(_) => Vec::new(),
                None => directories(&path, &elf.rpath).chain(inherited).collect(),
            };
            let runpath: Vec<PathBuf> =
                directories(&path, elf.runpath.as_deref().unwrap_or_default()).collect();
            for name in &elf.needed {
                if base(name).is_some() || found.contains_key(name) {
                    continue;
                }
                if name.contains('/') {
                    return Err(RecipeError::ByPath {
                        name: name.clone(),
                        needed_by: path,
                    });
                }
                let library = host
                    .find(name, rpath.iter().chain(&runpath), target)
                    .ok_or_else(|| RecipeError::NoLibrary {
                        name: name.clone(),
                        needed_by: path.clone(),
                        target: target.to_owned(),
                    })?;
                queue.push_back((library.path.clone(), library.elf.clone(), rpath.clone()));
                found.insert(name.clone(), library);
            }
        }
    }
    Ok(found.into_values().collect())
}

impl Host {
    /// The first file of this name that the target's loader would take.
    fn find<'p>(
        &self,
        name: &str,
        run_paths: impl Iterator<Item = &'p PathBuf>,
        target: &str,
    ) -> Option<Library> {
        let along = run_paths.map(|directory| directory.join(name));
        let cached = self.cache.get(name).into_iter().flatten().cloned();
        let default = self
            .directories
            .iter()
            .map(|directory| directory.join(name));
        along.chain(cached).chain(default).find_map(|path| {
            // A loader passes over what it cannot read or use.
            let elf = elf(&path, target).ok().flatten()?;
            let name = name.to_owned();
            Some(Library { name, path, elf })
        })
    }
}

/// The directories that run paths of the file at `path` name.
fn directories<'e>(path: &Path, entries: &'e [String]) -> impl Iterator<Item = PathBuf> + use<'e> {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let origin = real.parent().unwrap_or(Path::new("/")).to_owned();
    entries.iter().filter_map(move |entry| {
        let rest = entry
            .strip_prefix("$ORIGIN")
            .or_else(|| entry.strip_prefix("${ORIGIN}"));
        match rest {
            Some(rest) => Some(origin.join(rest.trim_start_matches('/'))),
            // Without a slash at the beginning, it depends on where the program is started.
            None => entry.starts_with('/').then(|| PathBuf::from(entry)),
        }
    })
}

/// What a file says, where it is one that the target's loader can load.
///
/// # Errors
///
/// When it cannot be read.
pub(super) fn elf(path: &Path, target: &str) -> Result<Option<Elf>, RecipeError> {
    Ok(match read(path)? {
        Some(binary) if binary.is_for(target) => match binary {
            Binary::Elf(elf) => Some(elf),
            _ => None,
        },
        _ => None,
    })
}

/// Whether a file that is moved with its libraries needs a run path: for another one, or instead of its own. The less is
/// changed in a file, the less can go wrong.
pub(super) fn needs_run_path(elf: &Elf) -> bool {
    let needs_another = elf.needed.iter().any(|name| base(name).is_none());
    needs_another || elf.runpath.is_some() || !elf.rpath.is_empty()
}

/// The content of the file at `from`, with this run path, if any, and without what is for debuggers, if that is not wanted.
///
/// # Errors
///
/// When it cannot be read, or its run path cannot be set.
pub(super) fn content(
    from: &Path,
    run_path: Option<&str>,
    for_debuggers: bool,
) -> Result<Vec<u8>, RecipeError> {
    let bytes = fs::read(from).map_err(|error| RecipeError::read(from, error))?;
    let bytes = match for_debuggers {
        true => bytes,
        false => debug::stripped(&bytes).unwrap_or(bytes),
    };
    match run_path {
        None => Ok(bytes),
        Some(path) => runpath::set(&bytes, path).map_err(|error| RecipeError::RunPath {
            path: from.to_owned(),
            error,
        }),
    }
}

/// Copies a program or library, with this run path, if any.
///
/// # Errors
///
/// As [`content`], and when it cannot be written.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    mode: u32,
    run_path: Option<&str>,
) -> Result<(), RecipeError> {
    write(to, &content(from, run_path, true)?, mode)
}

/// Copies a library into `lib` of the tree `into`, where the others are found beside it. Notes what was done.
///
/// # Errors
///
/// As [`copy`].
pub(super) fn bundle(
    library: &Library,
    into: &Path,
    filled: &mut Filled,
) -> Result<(), RecipeError> {
    let name = format!("lib/{}", library.name);
    let run_path = needs_run_path(&library.elf).then_some(BESIDE);
    copy(&library.path, &into.join(&name), 0o644, run_path)?;
    filled.library(name, library, run_path);
    Ok(())
}

impl Filled {
    /// Notes that a library is there.
    pub(super) fn library(&mut self, name: String, library: &Library, run_path: Option<&str>) {
        let line = described(&name, &library.path, run_path);
        self.content.push(line);
        let source = Source::Library(library.path.clone());
        self.origins.push((name, source));
    }
}

/// A line on a file of a tree.
pub(super) fn described(name: &str, from: &Path, run_path: Option<&str>) -> String {
    let run_path = run_path.map(|path| format!(", with the run path {path}"));
    let run_path = run_path.unwrap_or_default();
    format!("{name} from {}{run_path}", from.display())
}

fn read(path: &Path) -> Result<Option<Binary>, RecipeError> {
    let file = File::open(path).map_err(|error| RecipeError::read(path, error))?;
    Ok(binary::read(&ReadCache::new(file)).ok().flatten())
}

/// What a file is, in words.
fn kind(path: &Path) -> String {
    match read(path) {
        Ok(Some(binary)) => binary.summary(),
        _ => "no executable".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_of_the_loader_is_read_without_what_few_processors_have() {
        let cache = parse_cache(
            "2 libs found in cache `/etc/ld.so.cache'\n\
             \tlibz.so.1 (libc6,x86-64, hwcap: \"x86-64-v3\") => /lib/glibc-hwcaps/x86-64-v3/libz.so.1\n\
             \tlibz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1\n\
             \tlibz.so.1 (libc6) => /lib/i386-linux-gnu/libz.so.1\n\
             Cache generated by: ldconfig\n",
        );
        let paths = [
            "/lib/x86_64-linux-gnu/libz.so.1",
            "/lib/i386-linux-gnu/libz.so.1",
        ];
        assert_eq!(
            cache.get("libz.so.1"),
            Some(&paths.map(PathBuf::from).to_vec())
        );
        assert_eq!(cache.len(), 1);
    }
}
