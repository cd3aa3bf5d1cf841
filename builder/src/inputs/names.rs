//! Names inside a slot. What a name may be, the format says; here is what sources make of names.

use psp_format::path::{self, PathFault};

/// The path that an archive means by `name`: without the `./` that many tools write before it and the slash that
/// marks a directory. `None` is the archive's root itself.
pub(super) fn from_archive(name: &[u8]) -> Result<Option<Vec<u8>>, PathFault> {
    if name.first() == Some(&b'/') {
        return Err(PathFault::Absolute);
    }
    let mut path = name;
    while let Some(rest) = path.strip_prefix(b"./") {
        path = rest;
    }
    let path = path.strip_suffix(b"/").unwrap_or(path);
    if path == b"." || path.is_empty() && !name.is_empty() {
        return Ok(None);
    }
    path::check(path)?;
    Ok(Some(path.into()))
}

pub(super) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

/// The directory that `path` lies in; `None` for what lies at the root.
pub(super) fn parent(path: &[u8]) -> Option<&[u8]> {
    let slash = path.iter().rposition(|byte| *byte == b'/')?;
    path.get(..slash)
}

/// Every directory above `path`, the outermost first, and then `path` itself.
pub(super) fn with_ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at);
    ends.chain([path.len()]).filter_map(|end| path.get(..end))
}

pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        return name.into();
    }
    [directory, name].join(&b'/')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn archive_names_lose_what_tools_put_around_them() {
        for (name, path) in [("./a/b", "a/b"), ("a/", "a"), ("././a", "a"), ("a", "a")] {
            assert_eq!(from_archive(name.as_bytes()), Ok(Some(path.into())));
        }
        for root in [".", "./", "././"] {
            assert_eq!(from_archive(root.as_bytes()), Ok(None));
        }
        assert_eq!(from_archive(b"/"), Err(PathFault::Absolute));
        assert_eq!(from_archive(b""), Err(PathFault::Empty));
        assert_eq!(from_archive(b"/etc/passwd"), Err(PathFault::Absolute));
        assert_eq!(from_archive(b"./../a"), Err(PathFault::DotDot));
        assert_eq!(from_archive(b"a//"), Err(PathFault::EmptyComponent));
    }

    #[test]
    fn ancestors_come_outermost_first() {
        let all: Vec<_> = with_ancestors(b"a/bc/d").collect();
        assert_eq!(all, [&b"a"[..], b"a/bc", b"a/bc/d"]);
        assert_eq!(parent(b"a/bc/d"), Some(&b"a/bc"[..]));
        assert_eq!(parent(b"a"), None);
        assert_eq!(join(b"", b"a"), b"a");
        assert_eq!(join(b"a", b"b"), b"a/b");
    }
}
