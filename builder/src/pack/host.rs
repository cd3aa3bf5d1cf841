//! What is known at build time about the hosts of a package: failures that would otherwise be met on a user's machine.
//!
//! Two things fail the build: a command that is, or on its way loads, a file for another processor; and a file that needs a
//! newer glibc than `glibc-floor` in `[native]`. Foreign files that nothing starts are common (wheels of Python and
//! modules of Node ship them side by side) and only warned about, as are names that some file systems cannot hold, and private
//! keys, which nobody means to hand out, but for those of tests.

use std::collections::HashMap;
use std::io::Read as _;

use object::read::ReadCache;

use super::plan::PlannedSlot;
use super::{Note, PackError, Remark};
use crate::binary::{self, Binary, Finding, Inside, Node, Requirements, Subject, Version, Wanted};
use crate::inputs::{Content, InputError, Kind, Source, shown};
use crate::manifest::Project;
use crate::sbom::Telling;
use crate::sbom::embedded::{self, Embedded};
use crate::signer::{PEM_LINE, begins_private_key};

/// The largest file that every file system holds: FAT32 counts the bytes in 32 bits.
const MAX_PORTABLE: u64 = u32::MAX as u64;

/// Files of fewer bytes are no executables, and are not opened to see that: a 64-bit ELF header has as many.
const MIN_EXECUTABLE: u64 = 64;

/// Something about the package that some hosts will not like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Concern {
    /// A path that is too long with the directory of a cache before it.
    #[error(
        "{}: the path has {length} bytes; with that of a cache before it, it can be longer than the {limit} that the target allows",
        shown(path)
    )]
    LongPath {
        /// The longest below the work environment.
        path: Vec<u8>,
        /// Its length in bytes.
        length: usize,
        /// What the system of the target allows in all.
        limit: usize,
    },
    /// Names that are one where case does not count.
    #[error(
        "{} and {} are one name where case does not count{}",
        shown(first), shown(second), others(*more)
    )]
    Case {
        /// The first below the work environment.
        first: Vec<u8>,
        /// The other.
        second: Vec<u8>,
        /// How many further pairs there are in the package.
        more: usize,
    },
    /// A file that FAT32 cannot hold.
    #[error(
        "{}: {size} bytes are more than some file systems can hold in one file (4 GiB)",
        shown(path)
    )]
    LargeFile {
        /// Below the work environment.
        path: Vec<u8>,
        /// In bytes.
        size: u64,
    },
    /// A private key, which everybody gets who gets the package.
    #[error("{} is a private key, which everybody gets who gets the package: exclude it{}", shown(path), others(*more))]
    PrivateKey {
        /// Below the work environment.
        path: Vec<u8>,
        /// How many further keys there are in the slot.
        more: usize,
    },
    /// An executable or library for another system, which no command starts.
    #[error("{path} is {found}, not for {target}: exclude it if nothing needs it{}", others(*more))]
    Foreign {
        /// Below the work environment, escaped.
        path: String,
        /// Format and architecture.
        found: String,
        /// The target.
        target: String,
        /// How many further files there are like it.
        more: usize,
    },
}

fn others(more: usize) -> String {
    match more {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    }
}

/// Refuses what could not run; notes what some hosts will not like, and what executables say that they were made of.
pub(super) fn check(
    project: &Project,
    slots: &[PlannedSlot],
    target: &str,
) -> Result<(Vec<Note>, Vec<Telling>), PackError> {
    let mut notes = names(slots, target);
    let Contents {
        inside,
        subjects,
        of_slot,
        keys,
        telling,
    } = collect(slots)?;
    notes.extend(keys);
    // The formats of other systems are read, but how their loaders search is not known here.
    if !target.starts_with("linux_") {
        return Ok((notes, telling));
    }
    let wanted = Wanted {
        target: target.to_owned(),
        commands: project.started().collect(),
        library_path: Vec::new(),
    };
    let needs = Requirements::of(&inside, &subjects, &wanted);
    if let Some(blocker) = needs.blockers.first() {
        return Err(PackError::OtherTarget {
            command: blocker.command.clone(),
            path: blocker.path.clone(),
            found: blocker.found.clone(),
            target: target.to_owned(),
        });
    }
    if let Some(floor) = &project.glibc_floor {
        check_floor(&needs, floor)?;
    }
    notes.extend(foreign(&needs, &of_slot, target));
    Ok((notes, telling))
}

fn check_floor(needs: &Requirements, floor: &Version) -> Result<(), PackError> {
    match needs.above(floor) {
        None => Ok(()),
        Some(wants) => Err(PackError::GlibcFloor {
            floor: floor.clone(),
            path: wants.path.clone(),
            version: wants.version.clone(),
            symbol: wants.symbol.clone(),
        }),
    }
}

/// What there is in the slots.
#[derive(Default)]
struct Contents<'s> {
    /// Every path.
    inside: Inside,
    /// What executables and libraries say.
    subjects: Vec<Subject>,
    /// The slot of each of those.
    of_slot: Vec<&'s str>,
    /// One note for each slot with private keys.
    keys: Vec<Note>,
    /// Executables and libraries that say what they were made of.
    telling: Vec<Telling>,
}

fn collect(slots: &[PlannedSlot]) -> Result<Contents<'_>, PackError> {
    let mut out = Contents::default();
    let Contents {
        inside,
        subjects,
        of_slot,
        keys,
        telling,
    } = &mut out;
    for slot in slots {
        let mut private = Vec::new();
        let mut file = |inside: &mut Inside, path: Vec<u8>, content: &Content| {
            let number = match examined(content)? {
                Seen::Other => None,
                Seen::PrivateKey => {
                    private.push(path.clone());
                    None
                }
                Seen::Binary(seen) => {
                    let (binary, embedded) = *seen;
                    let path = path.clone();
                    if !embedded.is_empty() {
                        telling.push(Telling {
                            path: path.clone(),
                            content: content.clone(),
                            embedded,
                        });
                    }
                    subjects.push(Subject { path, binary });
                    of_slot.push(slot.id.as_str());
                    Some(subjects.len() - 1)
                }
            };
            inside.insert(path, Node::File(number));
            Ok::<(), PackError>(())
        };
        let entries = match &slot.source {
            Source::File(input) => {
                file(inside, slot.target.clone().into_bytes(), &input.content)?;
                &[][..]
            }
            Source::Tree(tree) => &tree.entries,
        };
        for entry in entries {
            let path = slot.below(&entry.path);
            let node = match &entry.kind {
                Kind::File { size, .. } if *size < MIN_EXECUTABLE => Node::File(None),
                Kind::File { content, .. } => {
                    file(inside, path, content)?;
                    continue;
                }
                Kind::Directory => Node::Directory,
                Kind::Symlink { target } => Node::Symlink(target.clone()),
                Kind::HardLink { to } => {
                    let first = inside.get(&slot.below(to)).cloned();
                    first.unwrap_or(Node::File(None))
                }
            };
            inside.insert(path, node);
        }
        let more = private.len().saturating_sub(1);
        keys.extend(private.into_iter().next().map(|path| Note {
            slot: slot.id.clone(),
            note: Remark::Concern(Concern::PrivateKey { path, more }),
        }));
    }
    Ok(out)
}

/// What a file is.
enum Seen {
    /// An executable or library, or a damaged one, and what it was made of.
    Binary(Box<(Result<Binary, String>, Embedded)>),
    PrivateKey,
    Other,
}

/// Looks at how a file begins. Of a large executable, only the parts that matter are read.
fn examined(content: &Content) -> Result<Seen, InputError> {
    let Some(mut image) = content.image()? else {
        return Ok(Seen::Other);
    };
    let mut start = Vec::new();
    // A disk that fails is met again when the content is packed.
    if image
        .by_ref()
        .take(PEM_LINE)
        .read_to_end(&mut start)
        .is_err()
    {
        return Ok(Seen::Other);
    }
    if begins_private_key(&start) {
        return Ok(Seen::PrivateKey);
    }
    if !binary::begins_like_one(&start) {
        return Ok(Seen::Other);
    }
    let parts = ReadCache::new(image);
    Ok(match binary::read(&parts) {
        Ok(Some(binary)) => Seen::Binary(Box::new((Ok(binary), embedded::read(&parts)))),
        Ok(None) => Seen::Other,
        Err(error) => Seen::Binary(Box::new((Err(error.to_string()), Embedded::default()))),
    })
}

/// One note a slot for files of other targets.
fn foreign(needs: &Requirements, of_slot: &[&str], target: &str) -> Vec<Note> {
    let mut notes: Vec<Note> = Vec::new();
    for (file, slot) in needs.files.iter().zip(of_slot) {
        // Programs for Windows are no mistake on Linux: nobody takes them for libraries of it.
        let Some(Binary::Elf(_)) = &file.binary else {
            continue;
        };
        let other = file.findings.iter().find_map(|finding| match finding {
            Finding::OtherTarget { found } => Some(found),
            _ => None,
        });
        let Some(found) = other else { continue };
        let known = notes.iter_mut().find(|note| note.slot == **slot);
        match known.map(|note| &mut note.note) {
            Some(Remark::Concern(Concern::Foreign { more, .. })) => *more += 1,
            _ => notes.push(Note {
                slot: (*slot).to_owned(),
                note: Remark::Concern(Concern::Foreign {
                    path: file.path.clone(),
                    found: found.clone(),
                    target: target.to_owned(),
                    more: 0,
                }),
            }),
        }
    }
    notes
}

/// The most bytes that a path has on the target, and how many of them the directory of a cache may take.
fn path_limit(target: &str) -> (usize, usize) {
    match target.split_once('_').map_or(target, |(os, _)| os) {
        "windows" => (260, 140),
        "darwin" => (1024, 300),
        _ => (4096, 300),
    }
}

/// The longest path, names that differ in case alone, and files that some file systems cannot hold.
fn names(slots: &[PlannedSlot], target: &str) -> Vec<Note> {
    let (limit, cache) = path_limit(target);
    let mut notes = Vec::new();
    let mut longest: Option<(&str, Vec<u8>)> = None;
    let mut folded: HashMap<String, Vec<u8>> = HashMap::new();
    let mut clash: Option<(&str, Vec<u8>, Vec<u8>)> = None;
    let mut clashes = 0_usize;
    for slot in slots {
        for (path, size) in slot.sizes() {
            if size > MAX_PORTABLE {
                let path = path.clone();
                notes.push(Note {
                    slot: slot.id.clone(),
                    note: Remark::Concern(Concern::LargeFile { path, size }),
                });
            }
            if longest
                .as_ref()
                .is_none_or(|(_, longest)| path.len() > longest.len())
            {
                longest = Some((&slot.id, path.clone()));
            }
            let key = String::from_utf8_lossy(&path).to_lowercase();
            match folded.get(&key) {
                // Slots that lie in each other share directories.
                Some(first) if *first == path => {}
                // What lies below two directories that clash is no further news.
                Some(first)
                    if psp_format::path::parent(first) != psp_format::path::parent(&path) => {}
                Some(first) => {
                    clashes += 1;
                    clash.get_or_insert_with(|| (&slot.id, first.clone(), path.clone()));
                }
                None => {
                    folded.insert(key, path);
                }
            }
        }
    }
    if let Some((slot, path)) = longest
        && path.len() + cache > limit
    {
        let length = path.len();
        notes.push(Note {
            slot: slot.to_owned(),
            note: Remark::Concern(Concern::LongPath {
                path,
                length,
                limit,
            }),
        });
    }
    if let Some((slot, first, second)) = clash {
        let more = clashes - 1;
        notes.push(Note {
            slot: slot.to_owned(),
            note: Remark::Concern(Concern::Case {
                first,
                second,
                more,
            }),
        });
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::{Entry, Tree};
    use crate::pack::compress::Method;
    use psp_format::metadata::{Lifecycle, Purpose};

    fn slot(files: &[(&str, u64)]) -> PlannedSlot {
        let entry = |(path, size): &(&str, u64)| Entry {
            path: path.as_bytes().to_vec(),
            kind: Kind::File {
                size: *size,
                content: Content::bytes(*b""),
            },
            mode: 0o644,
            mtime: 0,
        };
        PlannedSlot {
            id: "app".into(),
            target: "app".into(),
            lifecycle: Lifecycle::Cached,
            purpose: Purpose::Payload,
            mode: None,
            mutable: false,
            method: Method::None,
            source: Source::Tree(Tree {
                entries: files.iter().map(entry).collect(),
            }),
        }
    }

    fn said(files: &[(&str, u64)], target: &str) -> Vec<String> {
        let notes = names(&[slot(files)], target);
        notes.iter().map(|note| note.note.to_string()).collect()
    }

    #[test]
    fn what_some_file_systems_cannot_hold_is_noted() {
        assert!(said(&[("a", u64::from(u32::MAX)), ("b", 0)], "linux_amd64").is_empty());
        assert_eq!(
            said(&[("a", 1 << 32)], "linux_amd64"),
            [
                "`app/a`: 4294967296 bytes are more than some file systems can hold in one file (4 GiB)"
            ]
        );
        let names = ["X/a", "X/b", "x/a", "\u{c4}", "\u{e4}", "n", "N"].map(|name| (name, 0));
        assert_eq!(
            said(&names, "linux_amd64"),
            ["`app/\u{c4}` and `app/\u{e4}` are one name where case does not count (and 1 more)"]
        );
        let long = "d/".repeat(60) + "end";
        assert!(said(&[(&long, 0)], "linux_amd64").is_empty());
        assert_eq!(
            said(&[(&long, 0), ("a", 0)], "windows_amd64"),
            [format!(
                "`app/{long}`: the path has 127 bytes; with that of a cache before it, it can be longer than the 260 that the target allows"
            )]
        );
    }
}
