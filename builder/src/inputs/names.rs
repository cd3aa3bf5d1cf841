//! Names inside a slot: the rules of slot paths (M40 of the specification) as they apply to inputs.

use super::error::Fault;

/// The longest path, in bytes: what Linux takes in one call.
pub(super) const MAX_PATH: usize = 4095;
/// The longest component, in bytes: what file systems store.
const MAX_COMPONENT: usize = 255;
/// The deepest path, in components.
const MAX_DEPTH: usize = 128;

/// Whether `path` can name an entry of a slot.
pub(crate) fn check(path: &[u8]) -> Result<(), Fault> {
    if path.first() == Some(&b'/') {
        return Err(Fault::Absolute);
    }
    if path.contains(&0) {
        return Err(Fault::Nul);
    }
    if path.len() > MAX_PATH {
        return Err(Fault::NameTooLong {
            length: path.len(),
            limit: MAX_PATH,
        });
    }
    let mut depth = 0;
    for component in components(path) {
        depth += 1;
        match component {
            b"" | b"." => return Err(Fault::EmptyComponent),
            b".." => return Err(Fault::Parent),
            _ if component.len() > MAX_COMPONENT => {
                let length = component.len();
                return Err(Fault::ComponentTooLong {
                    length,
                    limit: MAX_COMPONENT,
                });
            }
            _ => {}
        }
    }
    if depth > MAX_DEPTH {
        return Err(Fault::TooDeep {
            depth,
            limit: MAX_DEPTH,
        });
    }
    Ok(())
}

/// The path that an archive means by `name`: without the `./` that many tools write before it and the slash that
/// marks a directory. `None` is the archive's root itself.
pub(super) fn from_archive(name: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    if name.first() == Some(&b'/') {
        return Err(Fault::Absolute);
    }
    let mut path = name;
    while let Some(rest) = path.strip_prefix(b"./") {
        path = rest;
    }
    let path = path.strip_suffix(b"/").unwrap_or(path);
    if path == b"." || path.is_empty() && !name.is_empty() {
        return Ok(None);
    }
    check(path)?;
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
    fn slot_paths_are_accepted_and_others_are_not() {
        let long = [b"x".repeat(250), b"y".repeat(250)].join(&b'/');
        for good in [&b"a"[..], b"a/b c", b"..a/...", b"\xff\xfe", &long] {
            assert_eq!(check(good), Ok(()));
        }
        let cases: [(Vec<u8>, Fault); 9] = [
            (b"".to_vec(), Fault::EmptyComponent),
            (b"/a".to_vec(), Fault::Absolute),
            (b"a//b".to_vec(), Fault::EmptyComponent),
            (b"a/./b".to_vec(), Fault::EmptyComponent),
            (b"a/../b".to_vec(), Fault::Parent),
            (b"a\0b".to_vec(), Fault::Nul),
            (
                b"x".repeat(256),
                Fault::ComponentTooLong {
                    length: 256,
                    limit: 255,
                },
            ),
            (
                b"a/".repeat(2048),
                Fault::NameTooLong {
                    length: 4096,
                    limit: 4095,
                },
            ),
            (
                [&b"a/".repeat(128)[..], b"a"].concat(),
                Fault::TooDeep {
                    depth: 129,
                    limit: 128,
                },
            ),
        ];
        for (bad, fault) in cases {
            assert_eq!(check(&bad), Err(fault));
        }
    }

    #[test]
    fn archive_names_lose_what_tools_put_around_them() {
        for (name, path) in [("./a/b", "a/b"), ("a/", "a"), ("././a", "a"), ("a", "a")] {
            assert_eq!(from_archive(name.as_bytes()), Ok(Some(path.into())));
        }
        for root in [".", "./", "././"] {
            assert_eq!(from_archive(root.as_bytes()), Ok(None));
        }
        assert_eq!(from_archive(b"/"), Err(Fault::Absolute));
        assert_eq!(from_archive(b""), Err(Fault::EmptyComponent));
        assert_eq!(from_archive(b"/etc/passwd"), Err(Fault::Absolute));
        assert_eq!(from_archive(b"./../a"), Err(Fault::Parent));
        assert_eq!(from_archive(b"a//"), Err(Fault::EmptyComponent));
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
