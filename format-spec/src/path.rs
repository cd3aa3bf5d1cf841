//! Slot paths (M40): the only way in which a packaged name becomes a path.

use crate::text::Shown;
use core::fmt;

use crate::limits::{MAX_COMPONENT, MAX_DEPTH, MAX_PATH};

/// A relative path without `.`, `..`, empty components or NUL, within the limits of M40. Bytes, not text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotPath(Box<[u8]>);

/// What is wrong with a path or a link target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathFault {
    /// The path has no byte.
    Empty,
    /// The path begins with `/`.
    Absolute,
    /// The path has more than [`MAX_PATH`] bytes.
    TooLong(usize),
    /// A component has more than [`MAX_COMPONENT`] bytes.
    ComponentTooLong(usize),
    /// The path has more than [`MAX_DEPTH`] components.
    TooDeep(usize),
    /// A component is empty (`a//b`, or a final `/`).
    EmptyComponent,
    /// A component is `.`.
    Dot,
    /// A component is `..`, or, in a link, `..` stands after a name.
    DotDot,
    /// The path holds a NUL byte.
    Nul,
    /// The link leads out of its slot's target.
    Leaves,
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathFault::Empty => f.write_str("empty"),
            PathFault::Absolute => f.write_str("absolute"),
            PathFault::TooLong(n) => write!(f, "{n} bytes long, at most {MAX_PATH} are allowed"),
            PathFault::ComponentTooLong(n) => {
                write!(
                    f,
                    "a component of {n} bytes, at most {MAX_COMPONENT} are allowed"
                )
            }
            PathFault::TooDeep(n) => write!(f, "{n} components, at most {MAX_DEPTH} are allowed"),
            PathFault::EmptyComponent => f.write_str("an empty component"),
            PathFault::Dot => f.write_str("a component '.'"),
            PathFault::DotDot => f.write_str("a component '..'"),
            PathFault::Nul => f.write_str("a NUL byte"),
            PathFault::Leaves => f.write_str("it leads out of its slot"),
        }
    }
}

impl SlotPath {
    /// Checks `bytes` against M40.
    pub fn new(bytes: &[u8]) -> Result<SlotPath, PathFault> {
        check(bytes)?;
        Ok(SlotPath(bytes.into()))
    }

    /// The path as bytes, components separated by `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The components in order; there is at least one.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&c| c == b'/')
    }
}

impl fmt::Debug for SlotPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Shown(&self.0))
    }
}

/// Checks that `path` is a slot path.
pub fn check(path: &[u8]) -> Result<(), PathFault> {
    match path.first() {
        None => return Err(PathFault::Empty),
        Some(b'/') => return Err(PathFault::Absolute),
        Some(_) => {}
    }
    if path.len() > MAX_PATH {
        return Err(PathFault::TooLong(path.len()));
    }
    if path.contains(&0) {
        return Err(PathFault::Nul);
    }
    let mut depth = 0_usize;
    for component in path.split(|&c| c == b'/') {
        depth = depth.saturating_add(1);
        match component {
            b"" => return Err(PathFault::EmptyComponent),
            b"." => return Err(PathFault::Dot),
            b".." => return Err(PathFault::DotDot),
            _ if component.len() > MAX_COMPONENT => {
                return Err(PathFault::ComponentTooLong(component.len()));
            }
            _ => {}
        }
    }
    if depth > MAX_DEPTH {
        return Err(PathFault::TooDeep(depth));
    }
    Ok(())
}

/// Checks the target of a symbolic link (M57).
///
/// `link` is the path of the link and `root` the directory that it may not leave, both from the top of the work
/// environment (`root` empty for the top itself). Since `..` stands only at the beginning, where every parent is a real
/// directory, and each later step goes down or through another such link, no chain of links leaves the root.
pub fn check_link_target(link: &[u8], target: &[u8], root: &[u8]) -> Result<(), PathFault> {
    match target.first() {
        None => return Err(PathFault::Empty),
        Some(b'/') => return Err(PathFault::Absolute),
        Some(_) => {}
    }
    if target.len() > MAX_PATH {
        return Err(PathFault::TooLong(target.len()));
    }
    if target.contains(&0) {
        return Err(PathFault::Nul);
    }
    let count = |path: &[u8]| {
        if path.is_empty() {
            0
        } else {
            path.split(|&c| c == b'/').count()
        }
    };
    let parents = count(link).saturating_sub(1).saturating_sub(count(root));
    let (mut up, mut named) = (0_usize, false);
    for component in target.split(|&c| c == b'/') {
        match component {
            b"" => return Err(PathFault::EmptyComponent),
            b"." => return Err(PathFault::Dot),
            b".." if named => return Err(PathFault::DotDot),
            b".." => up = up.saturating_add(1),
            _ if component.len() > MAX_COMPONENT => {
                return Err(PathFault::ComponentTooLong(component.len()));
            }
            _ => named = true,
        }
    }
    if up > parents {
        Err(PathFault::Leaves)
    } else {
        Ok(())
    }
}

/// Whether `path` is `root` itself or lies below it. An empty `root` holds every path.
pub fn is_within(path: &[u8], root: &[u8]) -> bool {
    match path.strip_prefix(root) {
        Some(rest) => root.is_empty() || rest.is_empty() || rest.first() == Some(&b'/'),
        None => false,
    }
}

/// The directory of `path`: everything before the last `/`, empty at the top.
pub fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&c| c == b'/').unwrap_or(0);
    path.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_paths() {
        for path in [
            &b"a"[..],
            b"a/b",
            b"..a/b..",
            b"a b/\n",
            b"\xff\xfe",
            b"C:x",
            b"a\\b",
            b"-",
        ] {
            assert_eq!(check(path), Ok(()), "{path:?}");
        }
        assert_eq!(check(&vec![b'a'; 255]), Ok(()));
        assert_eq!(check(&[&b"a/".repeat(127)[..], b"a"].concat()), Ok(()));
    }

    #[test]
    fn bad_paths() {
        for (path, fault) in [
            (&b""[..], PathFault::Empty),
            (b"/a", PathFault::Absolute),
            (b"a/../b", PathFault::DotDot),
            (b"..", PathFault::DotDot),
            (b".", PathFault::Dot),
            (b"a/./b", PathFault::Dot),
            (b"a//b", PathFault::EmptyComponent),
            (b"a/", PathFault::EmptyComponent),
            (b"a\0", PathFault::Nul),
        ] {
            assert_eq!(check(path), Err(fault), "{path:?}");
        }
        assert_eq!(
            check(&vec![b'a'; 256]),
            Err(PathFault::ComponentTooLong(256))
        );
        assert_eq!(check(&vec![b'a'; 4096]), Err(PathFault::TooLong(4096)));
        assert_eq!(
            check(&[&b"a/".repeat(128)[..], b"a"].concat()),
            Err(PathFault::TooDeep(129))
        );
    }

    #[test]
    fn links_stay_inside() {
        for (link, target, root) in [
            (&b"rt/bin/python"[..], &b"python3.11"[..], &b"rt"[..]),
            (b"rt/bin/python", b"../lib/x", b"rt"),
            (b"rt/a/b/c", b"../..", b"rt"),
            (b"a", b"b/c", b""),
        ] {
            assert_eq!(check_link_target(link, target, root), Ok(()), "{target:?}");
        }
        for (link, target, root, fault) in [
            (
                &b"rt/bin/python"[..],
                &b"../../x"[..],
                &b"rt"[..],
                PathFault::Leaves,
            ),
            (b"a", b"..", b"", PathFault::Leaves),
            (b"rt/a", b"b/../c", b"rt", PathFault::DotDot),
            (b"rt/a", b"./c", b"rt", PathFault::Dot),
            (b"rt/a", b"c/", b"rt", PathFault::EmptyComponent),
            (b"rt/a", b"/etc", b"rt", PathFault::Absolute),
            (b"rt/a", b"", b"rt", PathFault::Empty),
        ] {
            assert_eq!(
                check_link_target(link, target, root),
                Err(fault),
                "{target:?}"
            );
        }
    }

    #[test]
    fn containment_is_by_component() {
        assert!(is_within(b"rt", b"rt") && is_within(b"rt/a", b"rt") && is_within(b"x", b""));
        assert!(!is_within(b"rtx", b"rt") && !is_within(b"r", b"rt"));
        assert_eq!((parent(b"a/b/c"), parent(b"a")), (&b"a/b"[..], &b""[..]));
    }
}
