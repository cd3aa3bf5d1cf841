//! What a slot is made of: a directory, an archive or a single file, read into one sorted list of entries.
//!
//! Whatever the source, the result is the same kind of list, within the restrictions that the format puts on a tar slot
//! (section 4.5 of its specification): names that are slot paths, in ascending byte order, parents before children,
//! regular files, directories, symbolic links that stay inside, hard links to an earlier file, permission bits only.
//! What does not fit is an error that names the file; nothing is left out in silence.
//!
//! The work runs in stages. `walk` or `archive` collects a `draft::Draft`, in which names are unique and checked;
//! `include` and `exclude` prune it; `links` brings link targets into the one form that the format knows;
//! `bytecode` keeps compiled Python files valid when times are normalised; then the draft becomes a [`Tree`].
//!
//! File content is never held in memory: a [`Content`] says where the bytes are and is opened when they are packed.

mod archive;
mod bytecode;
mod content;
mod draft;
mod error;
mod globs;
mod links;
mod names;
mod os;
mod spool;
mod stream;
mod walk;

use std::fs;
use std::io;
use std::path::Path;

pub use content::{Content, Image};
pub use error::{Fault, InputError, shown};
pub use globs::Filter;
pub use stream::{Keep, Packed};

use draft::Draft;
use globs::Selection;

/// The time that entries get when the person building gave none: 1980-01-01T00:00:00Z in Unix seconds, the oldest
/// that a zip file can hold, because programs that zip up their own files refuse anything older.
pub const DEFAULT_TIME: u64 = 315_532_800;

/// The latest time that a ustar header can hold, in Unix seconds (eleven octal digits: the year 2242).
const MAX_TIME: u64 = 0o777_7777_7777;

/// What happens to the modification times of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Each entry keeps its own.
    Keep,
    /// Each entry gets this one, in Unix seconds, so that two checkouts of one commit give the same bytes.
    Normalise(u64),
}

/// A source that was read.
#[derive(Debug)]
pub struct Input {
    /// The entries, or the one file.
    pub source: Source,
    /// What the package will hold otherwise than the source did, in the order of the entries.
    pub notes: Vec<Note>,
}

/// Either kind of slot content.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A directory or an archive.
    Tree(Tree),
    /// A regular file that is not an archive.
    File(FileInput),
}

/// The content of a tar slot, relative to the slot's target.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// In strictly ascending order of their paths' bytes; the parent of each stands before it. The root itself is
    /// not among them.
    pub entries: Vec<Entry>,
}

/// One entry of a [`Tree`].
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Slash-separated, relative to the slot's target, without a final slash. Not necessarily UTF-8.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, at most 0777; 0777 for symbolic and 0 for hard links, as the format writes them.
    pub mode: u32,
    /// Modification time in Unix seconds, at most what a ustar header holds.
    pub mtime: u64,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A directory, possibly empty.
    Directory,
    /// A regular file.
    File {
        /// Size in bytes.
        size: u64,
        /// Where its bytes are.
        content: Content,
    },
    /// A symbolic link that stays inside the tree.
    Symlink {
        /// Relative, `..` only at its beginning. It may name something that does not exist.
        target: Vec<u8>,
    },
    /// Another name of a file that stands earlier in the list.
    HardLink {
        /// The path of that file, relative to the slot's target.
        to: Vec<u8>,
    },
}

/// The content of a file slot.
#[derive(Debug, Clone, PartialEq)]
pub struct FileInput {
    /// Size in bytes.
    pub size: u64,
    /// Permission bits, at most 0777.
    pub mode: u32,
    /// Modification time in Unix seconds.
    pub mtime: u64,
    /// Where its bytes are.
    pub content: Content,
}

/// A difference between the source and what is packed that is no error, but that the person building should know of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Note {
    /// An archive of a flavorpack manifest that has a target, and does not lie there.
    #[error(
        "unpacked at the top of the work environment, as flavorpack does it; its target {target} would need a \
         directory as the source"
    )]
    AtRoot {
        /// As the manifest states it.
        target: String,
    },
    /// A package cannot give a program the rights of its owner, so the bits are not carried.
    #[error(
        "{}: the set-user, set-group or sticky bit of mode {mode:04o} is not packed",
        shown(path)
    )]
    SpecialBits {
        /// The entry.
        path: Vec<u8>,
        /// Its mode in the source.
        mode: u32,
    },
    /// Before 1970 or after what a ustar header can hold; the nearest time that can be written is used.
    #[error(
        "{}: its time, {mtime} seconds from 1970, cannot be packed; {used} is",
        shown(path)
    )]
    TimeOutOfRange {
        /// The entry.
        path: Vec<u8>,
        /// Its time in the source, in Unix seconds.
        mtime: i64,
        /// The time that is packed, in Unix seconds.
        used: u64,
    },
}

/// Reads the directory, archive or file at `source`, which may itself be a symbolic link to one.
///
/// # Errors
///
/// When it cannot be read, holds something that a slot cannot, or an `include` glob of `filter` selects nothing.
pub fn read(source: &Path, filter: &Filter, times: Times) -> Result<Input, InputError> {
    read_as(source, filter, times, FileKind::ByName)
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// An archive when its name says so, and otherwise a file.
    ByName,
    /// A file, whatever its name.
    Plain,
    /// A compressed file, told by its first bytes, whose content counts.
    Compressed,
    /// A tar archive, compressed or not.
    Archive,
}

/// The same for a file that is of this kind. A directory is one in any case.
///
/// # Errors
///
/// As [`read`].
pub fn read_as(
    source: &Path,
    filter: &Filter,
    times: Times,
    kind: FileKind,
) -> Result<Input, InputError> {
    let metadata = fs::metadata(source).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => InputError::Missing {
            path: source.into(),
        },
        _ => InputError::Unreadable {
            path: source.into(),
            error,
        },
    })?;

    let mut selection = Selection::new(filter);
    let (mut draft, root) = if metadata.is_dir() {
        (walk::collect(source, &mut selection)?, Some(source))
    } else if !metadata.is_file() {
        let what = os::special(metadata.file_type());
        return Err(InputError::NotASource {
            path: source.into(),
            what,
        });
    } else if let Some(format) = archive_format(source, kind) {
        (archive::collect(source, format, &mut selection)?, None)
    } else if filter.selects_everything() {
        let mut input = single_file(source, &metadata, times);
        if let (FileKind::Compressed, Source::File(file)) = (kind, &mut input.source) {
            (file.size, file.content) = archive::decompress(source)?;
        }
        return Ok(input);
    } else {
        return Err(InputError::GlobsForFile {
            path: source.into(),
        });
    };

    if let Some(glob) = selection.unmatched() {
        return Err(InputError::NoMatch {
            glob: glob.into(),
            container: source.into(),
        });
    }
    draft.prune();
    links::normalise(&mut draft, root)?;
    if matches!(times, Times::Normalise(_)) {
        bytecode::keep_valid(&mut draft);
    }
    let mut notes = Vec::new();
    let tree = into_tree(draft, times, &mut notes);
    Ok(Input {
        source: Source::Tree(tree),
        notes,
    })
}

fn archive_format(source: &Path, kind: FileKind) -> Option<archive::Format> {
    match kind {
        FileKind::ByName => archive::Format::of(source),
        FileKind::Archive => Some(archive::Format::Tar),
        FileKind::Plain | FileKind::Compressed => None,
    }
}

fn single_file(path: &Path, metadata: &fs::Metadata, times: Times) -> Input {
    let mut notes = Vec::new();
    let name = os::bytes(path.file_name().unwrap_or(path.as_os_str()));
    let file = FileInput {
        size: metadata.len(),
        mode: permissions(name, os::mode(metadata), &mut notes),
        mtime: time(name, os::mtime(metadata), times, &mut notes),
        content: Content::disk(path.into(), metadata.len()),
    };
    Input {
        source: Source::File(file),
        notes,
    }
}

/// The last stage: every further name of a file becomes a hard link to the first in order.
fn into_tree(draft: Draft, times: Times, notes: &mut Vec<Note>) -> Tree {
    let mut first_names = std::collections::HashMap::new();
    let entries = draft.into_nodes().map(|(path, node)| {
        let mtime = time(&path, node.mtime, times, notes);
        let (kind, mode) = match node.body {
            draft::Body::Directory => (Kind::Directory, node.mode & 0o777),
            draft::Body::Symlink(target) => (Kind::Symlink { target }, 0o777),
            draft::Body::File {
                size,
                content,
                inode,
            } => {
                let first = inode.and_then(|inode| match first_names.entry(inode) {
                    std::collections::hash_map::Entry::Occupied(first) => {
                        Some(Vec::clone(first.get()))
                    }
                    std::collections::hash_map::Entry::Vacant(slot) => {
                        slot.insert(path.clone());
                        None
                    }
                });
                match first {
                    Some(to) => (Kind::HardLink { to }, 0),
                    None => (
                        Kind::File { size, content },
                        permissions(&path, node.mode, notes),
                    ),
                }
            }
        };
        Entry {
            path,
            kind,
            mode,
            mtime,
        }
    });
    Tree {
        entries: entries.collect(),
    }
}

/// The bits that are packed. On directories the others only steer which group new files get (set-group) and who may
/// remove them (sticky); a checkout in a shared directory has them everywhere, so only those of files are noted.
fn permissions(path: &[u8], mode: u32, notes: &mut Vec<Note>) -> u32 {
    if mode & 0o7000 != 0 {
        notes.push(Note::SpecialBits {
            path: path.into(),
            mode: mode & 0o7777,
        });
    }
    mode & 0o777
}

fn time(path: &[u8], mtime: i64, times: Times, notes: &mut Vec<Note>) -> u64 {
    match times {
        Times::Normalise(time) => time.min(MAX_TIME),
        Times::Keep => {
            let used = u64::try_from(mtime).unwrap_or(0).min(MAX_TIME);
            if i64::try_from(used) != Ok(mtime) {
                notes.push(Note::TimeOutOfRange {
                    path: path.into(),
                    mtime,
                    used,
                });
            }
            used
        }
    }
}
