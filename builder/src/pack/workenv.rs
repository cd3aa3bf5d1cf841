//! What the manifests of flavorpack say of the work environment as a whole: archives that are all unpacked at its top, and
//! directories and files that lie in no slot.

use std::collections::BTreeMap;

use psp_format::metadata::{Lifecycle, Purpose};
use psp_format::path::{is_within, parent};

use super::PackError;
use super::compress::Method;
use super::plan::PlannedSlot;
use crate::inputs::{Content, Entry, Kind, Source, Tree};
use crate::manifest::{Made, MadeKind, Package};

/// Id of the slot for what lies in no other.
const MADE: &str = "_workenv";

/// Moves archives, which all lie at `.` yet, to the directory that all of their content lies in, so that two can be there.
/// `stated` has the target that the manifest states for each, by id. Gives the ids of those that are not there.
pub(super) fn place_archives(
    slots: &mut [PlannedSlot],
    stated: &BTreeMap<&str, &str>,
) -> Result<Vec<String>, PackError> {
    let several = stated.len() > 1;
    let mut elsewhere = Vec::new();
    for slot in &mut *slots {
        let (Some(stated), Source::Tree(tree)) = (stated.get(slot.id.as_str()), &mut slot.source)
        else {
            continue;
        };
        let directory = match *stated {
            "." if several => common_directory(tree),
            "." => None,
            stated => Some(stated.as_bytes().to_vec()),
        };
        let fits = directory.filter(|directory| can_move(tree, directory));
        match fits.and_then(|directory| String::from_utf8(directory).ok()) {
            Some(directory) => {
                strip(tree, directory.as_bytes());
                slot.target = directory;
            }
            None if *stated != "." => elsewhere.push(slot.id.clone()),
            None => {}
        }
    }
    let mut seen = BTreeMap::new();
    for slot in &*slots {
        if let Some(first) = seen.insert(slot.target.clone(), slot.id.clone()) {
            return Err(PackError::SameTarget {
                first,
                second: slot.id.clone(),
                target: slot.target.clone(),
            });
        }
    }
    Ok(elsewhere)
}

/// The innermost directory that everything in the tree lies in or above of.
fn common_directory(tree: &Tree) -> Option<Vec<u8>> {
    let mut directory: Option<Vec<u8>> = None;
    // Parents stand before their content, so the way down comes first.
    for entry in &tree.entries {
        let above = directory.as_deref().unwrap_or_default();
        match &entry.kind {
            Kind::Directory if parent(&entry.path) == above && can_move(tree, &entry.path) => {
                directory = Some(entry.path.clone());
            }
            _ => break,
        }
    }
    directory
}

/// Whether everything lies below a directory, but for the way to it, and no link leaves it.
fn can_move(tree: &Tree, directory: &[u8]) -> bool {
    let depth = |path: &[u8]| path.split(|byte| *byte == b'/').count();
    let mut is_empty = true;
    let fits = tree.entries.iter().all(|entry| {
        let below = is_within(&entry.path, directory) && entry.path != directory;
        is_empty &= !below;
        match &entry.kind {
            Kind::Directory if is_within(directory, &entry.path) => true,
            Kind::Symlink { target } => {
                let ups = target
                    .split(|byte| *byte == b'/')
                    .take_while(|part| part == b"..");
                below && ups.count() < depth(&entry.path) - depth(directory)
            }
            _ => below,
        }
    });
    fits && !is_empty
}

/// Makes the names in a tree relative to a directory in it.
fn strip(tree: &mut Tree, directory: &[u8]) {
    let relative = |path: &mut Vec<u8>| {
        path.drain(..directory.len() + 1);
    };
    tree.entries
        .retain(|entry| is_within(&entry.path, directory) && entry.path != directory);
    for entry in &mut tree.entries {
        relative(&mut entry.path);
        if let Kind::HardLink { to } = &mut entry.kind {
            relative(to);
        }
    }
}

/// Puts what the manifest describes itself into the slot that lies at the top, or into one of its own there. The
/// application may write there.
pub(super) fn add_made(
    slots: &mut Vec<PlannedSlot>,
    made: &[Made],
    package: &Package,
    mtime: u64,
) -> Result<(), PackError> {
    if made.is_empty() {
        return Ok(());
    }
    let is_top = |slot: &PlannedSlot| {
        slot.target == "."
            && matches!(slot.lifecycle, Lifecycle::Cached | Lifecycle::Runtime)
            && matches!(slot.source, Source::Tree(_))
    };
    let at = slots.iter().position(is_top).unwrap_or_else(|| {
        slots.push(PlannedSlot {
            id: MADE.into(),
            target: ".".into(),
            lifecycle: Lifecycle::Runtime,
            purpose: Purpose::Data,
            mode: None,
            mutable: true,
            method: Method::Zstd(19),
            source: Source::Tree(Tree {
                entries: Vec::new(),
            }),
        });
        slots.len() - 1
    });
    let Some(slot) = slots.get_mut(at) else {
        return Err(PackError::Internal("a slot is not where it was put"));
    };
    slot.mutable = true;
    if let Source::Tree(tree) = &mut slot.source {
        let entries = std::mem::take(&mut tree.entries).into_iter();
        let mut entries: BTreeMap<Vec<u8>, Entry> =
            entries.map(|entry| (entry.path.clone(), entry)).collect();
        for made in made {
            insert(&mut entries, entry(made, package, mtime), &slot.id)?;
        }
        tree.entries = entries.into_values().collect();
    }
    Ok(())
}

fn entry(made: &Made, package: &Package, mtime: u64) -> Entry {
    let kind = match &made.kind {
        MadeKind::Directory => Kind::Directory,
        MadeKind::File(content) => {
            let content = content.replace("{package_name}", &package.name);
            let content = content.replace("{version}", &package.version).into_bytes();
            Kind::File {
                size: content.len() as u64,
                content: Content::bytes(content),
            }
        }
    };
    Entry {
        path: made.path.clone().into_bytes(),
        kind,
        mode: made.mode,
        mtime,
    }
}

/// Adds an entry and the directories above it. A directory that is there already gets the new mode.
fn insert(
    entries: &mut BTreeMap<Vec<u8>, Entry>,
    entry: Entry,
    slot: &str,
) -> Result<(), PackError> {
    let same = |path: &[u8]| PackError::SamePath {
        first: slot.into(),
        second: "the manifest".into(),
        path: path.into(),
    };
    let mut above = parent(&entry.path);
    while !above.is_empty() {
        let directory = entries.entry(above.to_vec()).or_insert_with(|| Entry {
            path: above.to_vec(),
            kind: Kind::Directory,
            mode: 0o755,
            mtime: entry.mtime,
        });
        if !matches!(directory.kind, Kind::Directory) {
            return Err(same(above));
        }
        above = parent(above);
    }
    match entries.get_mut(&entry.path) {
        None => {
            entries.insert(entry.path.clone(), entry);
        }
        Some(there) => match (&there.kind, &entry.kind) {
            (Kind::Directory, Kind::Directory) => there.mode = entry.mode,
            _ => return Err(same(&entry.path)),
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Tree {
        let entries = paths.iter().map(|path| {
            let (path, kind) = match path.split_once(" -> ") {
                Some((path, target)) => (
                    path,
                    Kind::Symlink {
                        target: target.into(),
                    },
                ),
                None => match path.strip_suffix('/') {
                    Some(path) => (path, Kind::Directory),
                    None => (
                        *path,
                        Kind::File {
                            size: 0,
                            content: Content::bytes([]),
                        },
                    ),
                },
            };
            Entry {
                path: path.into(),
                kind,
                mode: 0o755,
                mtime: 0,
            }
        });
        Tree {
            entries: entries.collect(),
        }
    }

    #[test]
    fn archives_are_placed_where_all_of_them_lies() {
        for (paths, expected) in [
            (
                &["wheels/", "wheels/a.whl", "wheels/b.whl"][..],
                Some("wheels"),
            ),
            (&["a/", "a/b/", "a/b/c", "a/b/d"][..], Some("a/b")),
            (&["a/", "a/b/", "a/b/c/"][..], Some("a/b")),
            (&["a/", "a/x", "b"][..], None),
            (&["a/"][..], None),
            (&[][..], None),
            (&["a/", "a/b -> ../c"][..], None),
            (&["a/", "a/b/", "a/b/c -> ../d", "a/d"][..], Some("a")),
        ] {
            let found = common_directory(&tree(paths));
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{paths:?}");
        }
        let mut tree = tree(&["a/", "a/b/", "a/b/c"]);
        strip(&mut tree, b"a");
        let paths: Vec<_> = tree
            .entries
            .iter()
            .map(|entry| entry.path.as_slice())
            .collect();
        assert_eq!(paths, [&b"b"[..], b"b/c"]);
    }
}
