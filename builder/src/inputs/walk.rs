//! A source directory: every name in it, links not followed.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::content::Content;
use super::draft::{Body, Draft, Node};
use super::error::{Fault, InputError};
use super::globs::Selection;
use super::{names, os};

/// Lists what lies below `root` and is not excluded.
pub(super) fn collect(root: &Path, selection: &mut Selection<'_>) -> Result<Draft, InputError> {
    let mut draft = Draft::new(root);
    // A list instead of recursion: the depth of a directory is no business of the stack. The order does not matter,
    // the draft sorts.
    let mut open = vec![(root.to_path_buf(), Vec::new())];
    while let Some((directory, path_in_slot)) = open.pop() {
        for entry in fs::read_dir(&directory).map_err(failure(&directory))? {
            let entry = entry.map_err(failure(&directory))?;
            let path = names::join(&path_in_slot, os::bytes(&entry.file_name()));
            if selection.excludes(&path) {
                continue;
            }
            let on_disk = entry.path();
            if let Some(node) = node(&draft, &entry, &on_disk, &path, selection)? {
                if matches!(node.body, Body::Directory) {
                    open.push((on_disk, path.clone()));
                }
                draft.insert(path, node)?;
            }
        }
    }
    Ok(draft)
}

/// `None` for what is not selected and cannot lead to something that is: it may be of any kind and need not be
/// readable.
fn node(
    draft: &Draft,
    entry: &DirEntry,
    on_disk: &Path,
    path: &[u8],
    selection: &mut Selection<'_>,
) -> Result<Option<Node>, InputError> {
    let metadata = entry.metadata().map_err(failure(on_disk))?;
    let selected = selection.includes(path);
    if !selected && !metadata.is_dir() {
        return Ok(None);
    }
    let kind = metadata.file_type();
    let body = if kind.is_dir() {
        Body::Directory
    } else if kind.is_file() {
        file(on_disk, &metadata)
    } else if kind.is_symlink() {
        let target = fs::read_link(on_disk).map_err(failure(on_disk))?;
        Body::Symlink(os::bytes(target.as_os_str()).into())
    } else {
        return Err(draft.error(
            path,
            Fault::Special {
                what: os::special(kind).into(),
            },
        ));
    };
    let (mode, mtime) = (os::mode(&metadata), os::mtime(&metadata));
    Ok(Some(Node {
        mode,
        mtime,
        selected,
        body,
    }))
}

fn file(on_disk: &Path, metadata: &Metadata) -> Body {
    let size = metadata.len();
    let content = Content::disk(on_disk.into(), size);
    Body::File {
        size,
        content,
        inode: os::inode(metadata),
    }
}

fn failure(path: &Path) -> impl Fn(io::Error) -> InputError {
    let path: PathBuf = path.into();
    move |error| match error.kind() {
        io::ErrorKind::NotFound => InputError::Vanished { path: path.clone() },
        _ => InputError::Unreadable {
            path: path.clone(),
            error,
        },
    }
}
