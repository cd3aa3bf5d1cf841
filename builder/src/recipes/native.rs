//! `[native]`: programs that were compiled for their processor, with the libraries that they need.
//!
//! One program without libraries becomes a slot of a single file, which a launcher that has no place to write to starts
//! from memory. Several, or such with libraries, become a tree: `bin/`, and `lib/` for the libraries, found through run
//! paths that are relative to each file.

use std::path::Path;

use super::libraries::{self, Host};
use super::{Filled, Plain, RecipeError, Source, Staged};
use crate::manifest::{Command, Native, Slot};

/// Id of the recipe's slot, and its place below the work environment.
const SLOT: &str = "native";

/// The run path of programs.
const OF_PROGRAMS: &str = "$ORIGIN/../lib";

/// What the section stands for, which begins on `line` of the manifest. The first program is the default command.
pub(super) fn plain(native: &Native, line: usize) -> Plain {
    let names: Vec<String> = native.binaries.iter().map(|path| file_name(path)).collect();
    let (Some(path), Some(first)) = (native.binaries.first(), names.first()) else {
        return Plain::default();
    };
    let slot = match is_staged(native) {
        false => Slot {
            permissions: Some(0o755),
            ..Slot::new(SLOT, path.clone(), &format!("{SLOT}/bin/{first}"), line)
        },
        // What is staged is not there yet.
        true => Slot::new(SLOT, SLOT.into(), SLOT, line),
    };
    let command = |name: &String| {
        let exec = format!("{{workenv}}/{SLOT}/bin/{name}");
        (name.clone(), Command::new(exec, Vec::new(), line))
    };
    Plain::new(vec![slot], names.iter().map(command).collect(), first)
}

/// Whether the recipe makes a directory.
pub(super) fn is_staged(native: &Native) -> bool {
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
pub(super) fn stage(native: &Native, target: &str, into: &Path) -> Result<Staged, RecipeError> {
    let bundled = match native.bundle_libraries {
        true => libraries::closure(&Host::read(target), &native.binaries, target)?,
        false => Vec::new(),
    };
    let mut filled = Filled::default();
    for binary in &native.binaries {
        let name = format!("bin/{}", file_name(binary));
        // A static program has no libraries to look for.
        let run_path = match native.bundle_libraries && !bundled.is_empty() {
            true => libraries::elf(binary, target)?
                .filter(|elf| !elf.needed.is_empty())
                .map(|_| OF_PROGRAMS),
            false => None,
        };
        libraries::copy(binary, &into.join(&name), 0o755, run_path)?;
        let line = libraries::described(&name, binary, run_path);
        filled.content.push(line);
        filled.origins.push((name, Source::Program(binary.clone())));
    }
    for library in &bundled {
        libraries::bundle(library, into, &mut filled)?;
    }
    Ok(Staged::new(SLOT, into.into(), filled))
}
