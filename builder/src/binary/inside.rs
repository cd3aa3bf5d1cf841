//! Paths and links as they will be below the work environment, before anything is there.

use std::collections::HashMap;

/// Most links that are followed on the way to a file; the kernel's own limit.
const MAX_LINKS: usize = 40;

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A file; with its number among the executables and libraries, where it is one.
    File(Option<usize>),
    /// A symbolic link with its target.
    Symlink(Vec<u8>),
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place<'a> {
    /// To this node, at a path without links.
    Inside(Vec<u8>, &'a Node),
    /// To nothing.
    Nowhere,
    /// Out of the package.
    Outside,
}

/// All paths of a package below the work environment.
#[derive(Debug, Default)]
pub struct Inside {
    nodes: HashMap<Vec<u8>, Node>,
}

impl Inside {
    /// Adds what lies at a path, which is relative and plain, and the directories above it.
    pub fn insert(&mut self, path: Vec<u8>, node: Node) {
        let mut above = psp_format::path::parent(&path);
        while !above.is_empty() && !self.nodes.contains_key(above) {
            self.nodes.insert(above.to_vec(), Node::Directory);
            above = psp_format::path::parent(above);
        }
        self.nodes.insert(path, node);
    }

    /// What lies at exactly this path, not through links.
    pub fn get(&self, path: &[u8]) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Follows `path` from the work environment, link by link.
    pub fn resolve(&self, path: &[u8]) -> Place<'_> {
        let mut todo: Vec<Vec<u8>> = reversed(path);
        let mut at: Vec<u8> = Vec::new();
        let mut links = 0_usize;
        while let Some(part) = todo.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." if at.is_empty() => return Place::Outside,
                b".." => at = psp_format::path::parent(&at).to_vec(),
                name => {
                    let next = join(&at, name);
                    match self.nodes.get(&next) {
                        Some(Node::Symlink(target)) => {
                            links = links.saturating_add(1);
                            if target.starts_with(b"/") {
                                return Place::Outside;
                            }
                            if links > MAX_LINKS {
                                return Place::Nowhere;
                            }
                            todo.extend(reversed(target));
                        }
                        Some(_) => at = next,
                        None => return Place::Nowhere,
                    }
                }
            }
        }
        match self.nodes.get(&at) {
            Some(node) => Place::Inside(at, node),
            // The work environment itself.
            None => Place::Inside(at, &Node::Directory),
        }
    }
}

fn reversed(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .rev()
        .map(<[u8]>::to_vec)
        .collect()
}

/// A name in a directory; the empty directory is the work environment.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match directory {
        b"" => name.to_vec(),
        directory => [directory, b"/", name].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_and_not_out() {
        let mut inside = Inside::default();
        inside.insert(b"rt/lib/libz.so.1.2".to_vec(), Node::File(Some(7)));
        for (path, target) in [
            ("rt/lib/libz.so.1", "libz.so.1.2"),
            ("rt/lib64", "lib"),
            ("loop", "loop"),
            ("out", "../../etc"),
            ("absolute", "/usr"),
        ] {
            inside.insert(path.into(), Node::Symlink(target.into()));
        }
        let file = Place::Inside(b"rt/lib/libz.so.1.2".to_vec(), &Node::File(Some(7)));
        for path in [
            "rt/lib/libz.so.1",
            "rt/lib64/libz.so.1",
            "rt/x/../lib64/./libz.so.1",
        ] {
            let found = inside.resolve(path.as_bytes());
            // As for the kernel, `..` needs the directory before it to be there.
            match path.contains('x') {
                true => assert_eq!(found, Place::Nowhere),
                false => assert_eq!(found, file, "{path}"),
            }
        }
        assert_eq!(inside.resolve(b"rt/bin/../lib"), Place::Nowhere);
        assert_eq!(inside.resolve(b"loop"), Place::Nowhere);
        for path in ["out", "absolute", "..", "rt/../../x"] {
            assert_eq!(inside.resolve(path.as_bytes()), Place::Outside, "{path}");
        }
        assert_eq!(
            inside.resolve(b"rt/.."),
            Place::Inside(Vec::new(), &Node::Directory)
        );
    }
}
