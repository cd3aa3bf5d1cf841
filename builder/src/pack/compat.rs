//! Packages that flavorpack's launchers start, too: what they can read, and an error for everything that they would
//! refuse or pass over.

use super::PackError;
use super::compress::Method;
use super::plan::PlannedSlot;
use crate::inputs::{Entry, Kind, Source, shown};
use crate::manifest::Project;

/// Names that an error lists; the number of the others follows.
const LISTED: usize = 10;
/// Placeholders of ours that their launchers leave as they stand.
const UNKNOWN: [&str; 2] = ["{cache}", "{package_dir}"];

/// Makes the slots such that base launchers read them: trees as `tar.gz`, files as they are.
pub(super) fn fit(project: &Project, slots: &mut [PlannedSlot]) -> Result<(), PackError> {
    check_project(project)?;
    for slot in slots {
        slot.method = match &slot.source {
            Source::Tree(tree) => {
                check_entries(&slot.id, &tree.entries)?;
                Method::Gzip
            }
            Source::File(_) => Method::None,
        };
    }
    Ok(())
}

fn check_project(project: &Project) -> Result<(), PackError> {
    let passed_over = |what: &str| {
        Err(PackError::PassedOver {
            what: what.to_owned(),
        })
    };
    if !project.setup.is_empty() {
        return passed_over("setup commands of this form");
    }
    if project.command.cwd.is_some() {
        return passed_over("a working directory");
    }
    let argv = project.command.argv();
    for placeholder in UNKNOWN {
        if argv.iter().any(|word| word.contains(placeholder)) {
            return passed_over(&format!("the placeholder {placeholder} in a command"));
        }
    }
    // The Go launcher takes it for an escape.
    if argv.iter().any(|word| word.contains('\\')) {
        return passed_over("a backslash in a command");
    }
    Ok(())
}

fn check_entries(slot: &str, entries: &[Entry]) -> Result<(), PackError> {
    let mut links = entries.iter().filter_map(|entry| match entry.kind {
        Kind::Symlink { .. } => Some(format!("{}, a symbolic link", shown(&entry.path))),
        Kind::HardLink { .. } => Some(format!("{}, a hard link", shown(&entry.path))),
        Kind::Directory | Kind::File { .. } => None,
    });
    let mut listed: Vec<String> = links.by_ref().take(LISTED).collect();
    let more = links.count();
    if more > 0 {
        listed.push(format!("and {more} more links"));
    }
    match listed.is_empty() {
        true => Ok(()),
        false => Err(PackError::Inexpressible {
            slot: slot.to_owned(),
            entries: listed,
        }),
    }
}
