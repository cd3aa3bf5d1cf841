//! Symbolic links, brought into the one form that the format knows (M57 of the specification): relative, `..` only at
//! the beginning and never above the slot.
//!
//! A target that says the same in another form is rewritten; one that could mean something else once the slot lies
//! somewhere else is an error. The link may dangle: what it names can be made at run time.

use std::path::Path;

use psp_format::path::{self, PathFault};

use super::draft::{Body, Draft};
use super::error::{Fault, InputError};
use super::names::{self, components};
use super::os;

/// Rewrites every link of `draft`. `root` is the source directory, where there is one: absolute targets inside it are
/// links inside the slot.
pub(super) fn normalise(draft: &mut Draft, root: Option<&Path>) -> Result<(), InputError> {
    let roots = root.map(root_names).unwrap_or_default();
    let mut rewritten = Vec::new();
    for (path, node) in draft.iter() {
        let Body::Symlink(target) = &node.body else {
            continue;
        };
        let normal =
            normal_target(draft, &roots, path, target).map_err(|fault| draft.error(path, fault))?;
        if normal != *target {
            rewritten.push((path.to_vec(), normal));
        }
    }
    for (path, normal) in rewritten {
        if let Some(node) = draft.get_mut(&path) {
            node.body = Body::Symlink(normal);
        }
    }
    Ok(())
}

/// The absolute names under which a link may know the source directory: as it was given, and with links resolved.
fn root_names(root: &Path) -> Vec<Vec<u8>> {
    let given = std::path::absolute(root).ok();
    let resolved = root.canonicalize().ok();
    let mut names: Vec<Vec<u8>> = given
        .iter()
        .chain(&resolved)
        .map(|path| os::bytes(path.as_os_str()).into())
        .collect();
    names.dedup();
    names
}

/// `target` in normal form, for the link `link`.
fn normal_target(
    draft: &Draft,
    roots: &[Vec<u8>],
    link: &[u8],
    target: &[u8],
) -> Result<Vec<u8>, Fault> {
    match path::check_link_target(link, target, b"") {
        Ok(()) => return Ok(target.into()),
        Err(PathFault::Leaves) => {
            return Err(Fault::LinkLeaves {
                target: target.into(),
            });
        }
        // Forms that may mean the same as one that is possible.
        Err(
            PathFault::Absolute | PathFault::EmptyComponent | PathFault::Dot | PathFault::DotDot,
        ) => {}
        Err(fault) => return Err(Fault::LinkTarget(fault)),
    }
    let directory: Vec<&[u8]> = names::parent(link)
        .map(|directory| components(directory).collect())
        .unwrap_or_default();
    let destination = match target.first() {
        Some(b'/') => {
            let below_root = roots.iter().find_map(|root| below(root, target));
            let rest = below_root.ok_or_else(|| Fault::LinkLeaves {
                target: target.into(),
            })?;
            follow(draft, &[], rest, target)?
        }
        _ => follow(draft, &directory, target, target)?,
    };
    let normal = relative(&directory, &destination).ok_or_else(|| Fault::LinkToRoot {
        target: target.into(),
    })?;
    path::check_link_target(link, &normal, b"").map_err(Fault::LinkTarget)?;
    Ok(normal)
}

/// What is left of the absolute `target` below `root`.
fn below<'a>(root: &[u8], target: &'a [u8]) -> Option<&'a [u8]> {
    let rest = target.strip_prefix(root.strip_suffix(b"/").unwrap_or(root))?;
    match rest.first() {
        None => Some(rest),
        Some(b'/') => Some(&rest[1..]),
        Some(_) => None,
    }
}

/// The components below the slot's root that `rest` leads to from the directory `start`. Going back with `..` means
/// what it says only through real directories; those of `start` are, because the link lies in them.
fn follow<'a>(
    draft: &Draft,
    start: &[&'a [u8]],
    rest: &'a [u8],
    target: &[u8],
) -> Result<Vec<&'a [u8]>, Fault> {
    let mut at = start.to_vec();
    let mut known = start.len();
    for component in components(rest) {
        match component {
            b"" | b"." => {}
            b".." => {
                let through = at.join(&b'/');
                if at.pop().is_none() {
                    return Err(Fault::LinkLeaves {
                        target: target.into(),
                    });
                }
                if at.len() >= known && !draft.is_directory(&through) {
                    return Err(Fault::LinkThrough {
                        target: target.into(),
                        through,
                    });
                }
                known = known.min(at.len());
            }
            name => at.push(name),
        }
    }
    Ok(at)
}

/// The way from one directory to a destination; `None` where it would be empty or `.` at the slot's root, which no
/// target of a link can say. From anywhere deeper the destination is named through its parent.
fn relative(directory: &[&[u8]], destination: &[&[u8]]) -> Option<Vec<u8>> {
    let pairs = directory.iter().zip(destination);
    let mut common = pairs.take_while(|(a, b)| a == b).count();
    if common == destination.len() && common == directory.len() {
        common = common.checked_sub(1)?;
    }
    let ups = directory.len() - common;
    let way: Vec<&[u8]> = std::iter::repeat_n(&b".."[..], ups)
        .chain(destination[common..].iter().copied())
        .collect();
    Some(way.join(&b'/'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::inputs::draft::Node;

    /// `d`, `d/e` and `f/g` are directories, `d/file` is a file, `d/link` a link.
    fn tree() -> Draft {
        let mut draft = Draft::new(Path::new("src"));
        let bodies = [
            ("d", Body::Directory),
            ("d/e", Body::Directory),
            ("f", Body::Directory),
            ("f/g", Body::Directory),
            ("d/link", Body::Symlink("e".into())),
        ];
        for (path, body) in bodies {
            let node = Node {
                mode: 0o755,
                mtime: 0,
                selected: true,
                body,
            };
            draft.insert(path.into(), node).unwrap();
        }
        draft
    }

    fn normal(path: &str, target: &str) -> Result<String, Fault> {
        let roots = [b"/given/src".to_vec(), b"/real/src".to_vec()];
        normal_target(&tree(), &roots, path.as_bytes(), target.as_bytes())
            .map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn normal_targets_stay_as_they_are() {
        for (path, target) in [
            ("l", "d/e"),
            ("l", "nothing/there"),
            ("d/l", ".."),
            ("d/l", "../f"),
            ("d/l", "../d/file"),
            ("d/e/l", "../../f/g"),
            ("d/l", "..."),
            ("d/l", "..x"),
        ] {
            assert_eq!(
                normal(path, target).as_deref(),
                Ok(target),
                "{path} -> {target}"
            );
        }
    }

    #[test]
    fn other_forms_of_the_same_target_are_rewritten() {
        for (path, target, expected) in [
            ("l", "./d", "d"),
            ("l", "d//e/", "d/e"),
            ("l", "d/../f", "f"),
            ("l", "d/e/../../f/./g", "f/g"),
            ("d/l", "e/../../f", "../f"),
            ("d/e/l", ".././file", "../file"),
            ("d/l", "../f/../d/e", "e"),
            ("d/l", ".", "../d"),
            ("d/l", "./..", ".."),
            ("d/l", "/given/src/f/g", "../f/g"),
            ("l", "/real/src/d/", "d"),
            ("d/l", "/real/src", ".."),
            ("l", "/real/src/d/e/../x", "d/x"),
        ] {
            assert_eq!(
                normal(path, target).as_deref(),
                Ok(expected),
                "{path} -> {target}"
            );
        }
    }

    #[test]
    fn targets_outside_the_slot_are_refused() {
        for (path, target) in [
            ("l", ".."),
            ("l", "../x"),
            ("d/l", "../../x"),
            ("d/l", "../.././x"),
            ("l", "d/../../x"),
            ("l", "/etc/passwd"),
            ("l", "/given/srcs/x"),
            ("l", "/given/src/../x"),
        ] {
            let fault = Fault::LinkLeaves {
                target: target.into(),
            };
            assert_eq!(normal(path, target), Err(fault), "{path} -> {target}");
        }
    }

    #[test]
    fn going_back_through_what_is_no_directory_is_refused() {
        for (path, target, through) in [
            ("l", "d/link/../x", "d/link"),
            ("l", "absent/../x", "absent"),
            ("d/l", "../d/link/../x", "d/link"),
        ] {
            let fault = Fault::LinkThrough {
                target: target.into(),
                through: through.into(),
            };
            assert_eq!(normal(path, target), Err(fault), "{path} -> {target}");
        }
    }

    #[test]
    fn links_to_the_root_from_the_root_have_no_form() {
        for target in [".", "./", "d/..", "/given/src"] {
            assert_eq!(
                normal("l", target),
                Err(Fault::LinkToRoot {
                    target: target.into()
                })
            );
        }
    }

    #[test]
    fn targets_that_no_system_takes_are_refused() {
        for (target, fault) in [
            (String::new(), PathFault::Empty),
            ("a\0b".into(), PathFault::Nul),
            ("x".repeat(256), PathFault::ComponentTooLong(256)),
            ("x/".repeat(2048), PathFault::TooLong(4096)),
            (
                format!("./{}", "x".repeat(256)),
                PathFault::ComponentTooLong(256),
            ),
        ] {
            assert_eq!(normal("l", &target), Err(Fault::LinkTarget(fault)));
        }
    }
}
