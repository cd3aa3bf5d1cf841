//! The list of entries while it is being collected: by path, with everything about the source that a later stage needs.

use std::collections::HashSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::path::{Path, PathBuf};

use psp_format::limits::MAX_ENTRIES;
use psp_format::path;

use super::content::Content;
use super::error::{Fault, InputError};
use super::names;

/// Entries by path. Names are checked and unique; the order of the map is the order of the format.
pub(super) struct Draft {
    /// The directory or archive, for messages.
    pub(super) container: PathBuf,
    limit: u64,
    nodes: BTreeMap<Vec<u8>, Node>,
}

pub(super) struct Node {
    /// As in the source, with set-user, set-group and sticky bits.
    pub(super) mode: u32,
    /// As in the source, in Unix seconds.
    pub(super) mtime: i64,
    /// Whether `include` and `exclude` select it. A directory that they do not select is still kept as the parent of
    /// something that they do.
    pub(super) selected: bool,
    pub(super) body: Body,
}

pub(super) enum Body {
    Directory,
    File {
        size: u64,
        content: Content,
        inode: Option<Inode>,
    },
    Symlink(Vec<u8>),
}

/// Names with the same `Inode` are names of one file. On disk, device and inode number; in an archive, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Inode(pub(super) u64, pub(super) u64);

impl Draft {
    pub(super) fn new(container: &Path) -> Self {
        Self {
            container: container.into(),
            limit: MAX_ENTRIES,
            nodes: BTreeMap::new(),
        }
    }

    pub(super) fn insert(&mut self, path: Vec<u8>, node: Node) -> Result<(), InputError> {
        if let Err(fault) = path::check(&path) {
            return Err(self.error(&path, Fault::Name(fault)));
        }
        if self.nodes.len() as u64 == self.limit {
            return Err(InputError::TooMany {
                container: self.container.clone(),
                limit: self.limit,
            });
        }
        match self.nodes.entry(path) {
            Entry::Vacant(slot) => {
                slot.insert(node);
                Ok(())
            }
            Entry::Occupied(there) => Err(InputError::entry(
                &self.container,
                there.key(),
                Fault::Duplicate,
            )),
        }
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    pub(super) fn get_mut(&mut self, path: &[u8]) -> Option<&mut Node> {
        self.nodes.get_mut(path)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Node)> {
        self.nodes
            .iter()
            .map(|(path, node)| (path.as_slice(), node))
    }

    pub(super) fn into_nodes(self) -> impl Iterator<Item = (Vec<u8>, Node)> {
        self.nodes.into_iter()
    }

    pub(super) fn is_directory(&self, path: &[u8]) -> bool {
        matches!(
            self.get(path),
            Some(Node {
                body: Body::Directory,
                ..
            })
        )
    }

    /// Adds the directories that an archive implies without having entries for them, and refuses entries that lie
    /// below something that is not a directory.
    pub(super) fn complete_parents(&mut self) -> Result<(), InputError> {
        let mut missing = HashSet::new();
        for path in self.nodes.keys() {
            let mut above = path.as_slice();
            while let Some(parent) = names::parent(above) {
                match self.nodes.get(parent) {
                    // Its own parents are looked at when its turn comes.
                    Some(Node {
                        body: Body::Directory,
                        ..
                    }) => break,
                    Some(_) => {
                        let ancestor = parent.into();
                        return Err(self.error(path, Fault::BelowFile { ancestor }));
                    }
                    None if !missing.insert(parent.to_vec()) => break,
                    None => above = parent,
                }
            }
        }
        for path in missing {
            let mtime = super::DEFAULT_TIME as i64;
            let body = Body::Directory;
            self.insert(
                path,
                Node {
                    mode: 0o755,
                    mtime,
                    selected: false,
                    body,
                },
            )?;
        }
        Ok(())
    }

    /// Removes what is not selected, but for the directories that lead to something that is.
    pub(super) fn prune(&mut self) {
        if self.nodes.values().all(|node| node.selected) {
            return;
        }
        // Backwards, so that what lies in a directory is decided before the directory is.
        let mut needed: HashSet<Vec<u8>> = HashSet::new();
        for (path, node) in self.nodes.iter().rev() {
            let keep = node.selected || needed.contains(path);
            if let (true, Some(parent)) = (keep, names::parent(path)) {
                needed.insert(parent.into());
            }
        }
        self.nodes
            .retain(|path, node| node.selected || needed.contains(path));
    }

    pub(super) fn error(&self, entry: &[u8], fault: Fault) -> InputError {
        InputError::entry(&self.container, entry, fault)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn directory(selected: bool) -> Node {
        Node {
            mode: 0o755,
            mtime: 0,
            selected,
            body: Body::Directory,
        }
    }

    fn link() -> Node {
        Node {
            mode: 0o777,
            mtime: 0,
            selected: true,
            body: Body::Symlink("x".into()),
        }
    }

    #[test]
    fn the_number_of_entries_is_limited() {
        let mut draft = Draft::new(Path::new("src"));
        draft.limit = 2;
        draft.insert("a".into(), directory(true)).unwrap();
        draft.insert("b".into(), directory(true)).unwrap();
        let error = draft.insert("c".into(), directory(true)).unwrap_err();
        assert_eq!(error.to_string(), "src holds more than 2 entries");
        assert!(error.help().contains("several slots"));
    }

    #[test]
    fn parents_are_completed_once_and_sorted() {
        let mut draft = Draft::new(Path::new("a.tar"));
        for path in ["a/b/c", "a/b/d", "a-b", "x"] {
            draft.insert(path.into(), link()).unwrap();
        }
        draft.complete_parents().unwrap();
        let paths: Vec<_> = draft.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, [&b"a"[..], b"a-b", b"a/b", b"a/b/c", b"a/b/d", b"x"]);
    }

    #[test]
    fn nothing_lies_below_a_link() {
        let mut draft = Draft::new(Path::new("a.tar"));
        draft.insert("a".into(), link()).unwrap();
        draft.insert("a/b/c".into(), link()).unwrap();
        assert_eq!(
            draft.complete_parents().unwrap_err().to_string(),
            "`a/b/c` in a.tar: it lies below `a`, which is not a directory"
        );
    }

    #[test]
    fn pruning_keeps_the_way_to_what_is_selected() {
        let mut draft = Draft::new(Path::new("src"));
        for (path, selected) in [("a", false), ("a/b", false), ("a/b/c", true), ("d", false)] {
            draft.insert(path.into(), directory(selected)).unwrap();
        }
        draft.prune();
        let paths: Vec<_> = draft.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, [&b"a"[..], b"a/b", b"a/b/c"]);
    }
}
