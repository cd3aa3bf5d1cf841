//! `[native]`: programs that were compiled for their processor, with the libraries that they need.
//!
//! One program without libraries becomes a slot of a single file, which a launcher that has no place to write to starts
//! from memory. Several, or such with libraries, become a tree: `bin/`, and `lib/` for the libraries, found through run
//! paths that are relative to each file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::libraries::{self, Host};
use super::{RecipeError, Staged};
use crate::binary::{base::base, runpath};
use crate::manifest::{
    Command, Compression, DEFAULT_LEVEL, Lifecycle, Native, Purpose, Reading, Slot, SlotModes,
    SlotTimes,
};

/// Id of the recipe's slot, and its place below the work environment.
pub const SLOT: &str = "native";

/// The run path of programs, and that of libraries.
const OF_PROGRAMS: &str = "$ORIGIN/../lib";
const OF_LIBRARIES: &str = "$ORIGIN";

/// The slot and the commands that the section stands for; the default command has the empty name. The section begins on
/// `line` of the manifest.
pub fn plain(native: &Native, line: usize) -> (Vec<Slot>, BTreeMap<String, Command>) {
    let names: Vec<String> = native.binaries.iter().map(|path| file_name(path)).collect();
    let Some(first) = names.first() else {
        return (Vec::new(), BTreeMap::new());
    };
    let (source, target, permissions) = match (is_staged(native), native.binaries.first()) {
        (false, Some(path)) => (path.clone(), format!("{SLOT}/bin/{first}"), Some(0o755)),
        // What is staged is not there yet.
        _ => (PathBuf::from(SLOT), SLOT.to_owned(), None),
    };
    let slot = Slot {
        id: SLOT.into(),
        source,
        target,
        include: vec!["**".into()],
        exclude: Vec::new(),
        lifecycle: Lifecycle::Cached,
        purpose: Purpose::Payload,
        platforms: Vec::new(),
        compression: Compression::Zstd {
            level: DEFAULT_LEVEL,
        },
        mutable: false,
        permissions,
        times: SlotTimes::Normalise,
        modes: SlotModes::Normalise,
        reading: Reading::ByName,
        line,
    };
    let command = |name: &String| Command {
        exec: format!("{{workenv}}/{SLOT}/bin/{name}"),
        args: Vec::new(),
        env: BTreeMap::new(),
        cwd: None,
        line,
    };
    let mut commands = BTreeMap::from([(String::new(), command(first))]);
    if names.len() > 1 {
        commands.extend(names.iter().map(|name| (name.clone(), command(name))));
    }
    (vec![slot], commands)
}

/// Whether the recipe makes a directory.
pub fn is_staged(native: &Native) -> bool {
    native.bundle_libraries || native.binaries.len() > 1
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Makes the directory that the slot takes in.
///
/// # Errors
///
/// [`RecipeError`].
pub fn stage(native: &Native, target: &str, into: &Path) -> Result<Staged, RecipeError> {
    let bundled = match native.bundle_libraries {
        true => libraries::closure(&Host::read(target), &native.binaries, target)?,
        false => Vec::new(),
    };
    let mut content = Vec::new();
    for binary in &native.binaries {
        let name = format!("bin/{}", file_name(binary));
        // A static program has no libraries to look for.
        let run_path = match native.bundle_libraries && !bundled.is_empty() {
            true => libraries::elf(binary, target)?
                .filter(|elf| !elf.needed.is_empty())
                .map(|_| OF_PROGRAMS),
            false => None,
        };
        copy(binary, &into.join(&name), 0o755, run_path)?;
        content.push(described(&name, binary, run_path));
    }
    for library in &bundled {
        let name = format!("lib/{}", library.name);
        let needs_another = library.elf.needed.iter().any(|name| base(name).is_none());
        let has_its_own = library.elf.runpath.is_some() || !library.elf.rpath.is_empty();
        // The less is changed in a library, the less can go wrong.
        let run_path = (needs_another || has_its_own).then_some(OF_LIBRARIES);
        copy(&library.path, &into.join(&name), 0o644, run_path)?;
        content.push(described(&name, &library.path, run_path));
    }
    Ok(Staged {
        slot: SLOT.into(),
        directory: into.into(),
        content,
    })
}

fn described(name: &str, from: &Path, run_path: Option<&str>) -> String {
    let run_path = run_path.map(|path| format!(", with the run path {path}"));
    let run_path = run_path.unwrap_or_default();
    format!("{name} from {}{run_path}", from.display())
}

fn copy(from: &Path, to: &Path, mode: u32, run_path: Option<&str>) -> Result<(), RecipeError> {
    let write = |error| RecipeError::write(to, error);
    let directory = to.parent().unwrap_or(to);
    fs::create_dir_all(directory).map_err(write)?;
    match run_path {
        None => {
            fs::copy(from, to).map_err(|error| RecipeError::read(from, error))?;
        }
        Some(path) => {
            let bytes = fs::read(from).map_err(|error| RecipeError::read(from, error))?;
            let bytes = runpath::set(&bytes, path).map_err(|error| RecipeError::RunPath {
                path: from.to_owned(),
                error,
            })?;
            fs::write(to, bytes).map_err(write)?;
        }
    }
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(write)
}
