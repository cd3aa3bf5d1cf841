//! Removing a tree by handles: no name is ever followed out of it, whatever lies in it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Dir, FileType, Mode};
use rustix::io::Errno;

use crate::at;

/// Handles that are open at once. What lies deeper is moved to the top of the tree first.
const MAX_DEPTH: usize = 32;

/// Removes `name` in `parent`: a file, a link, or a directory with everything below it. Nothing there is fine too.
///
/// Links are removed, not followed. Directories without permissions for their owner get them first.
///
/// # Errors
///
/// The first system call that fails; what could be removed until then is gone.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    if is_unlinked(parent, name)? {
        return Ok(());
    }
    let top = match open(parent, name) {
        Err(Errno::NOENT) => return Ok(()),
        top => top?,
    };
    let mut moved = 0_u32;
    // Each round removes what the one before has moved up.
    loop {
        let before = moved;
        clear(top.as_fd(), top.as_fd(), 0, &mut moved)?;
        if moved == before {
            break;
        }
    }
    remove_directory(parent, name)
}

/// Removes an empty directory. Others may be removing the same tree.
fn remove_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    match at::remove_directory(parent, name) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Removes a tree in any case: what somebody still adds to is moved to the staging area, where a later start removes it.
///
/// That somebody is a setup command whose launcher was killed, or a start whose lock was taken away.
pub(crate) fn clear_away(
    parent: BorrowedFd<'_>,
    name: &[u8],
    staging: BorrowedFd<'_>,
) -> Result<(), Errno> {
    match remove_tree(parent, name) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {
            let old = [name, b".old"].concat();
            remove_tree(staging, &old)?;
            at::rename(parent, name, staging, &old)
        }
        other => other,
    }
}

/// Moves something from the staging area to a name, in place of whatever has that name.
pub(crate) fn replace(
    from: BorrowedFd<'_>,
    old: &[u8],
    to: BorrowedFd<'_>,
    new: &[u8],
) -> Result<(), Errno> {
    match at::rename(from, old, to, new) {
        Err(Errno::NOTDIR | Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
            clear_away(to, new, from)?;
            at::rename(from, old, to, new)
        }
        other => other,
    }
}

/// Whether `name` is gone now. It is not when it is a directory.
fn is_unlinked(parent: BorrowedFd<'_>, name: &[u8]) -> Result<bool, Errno> {
    match at::unlink(parent, name) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        // Linux says the first of a directory, POSIX the second.
        Err(Errno::ISDIR | Errno::PERM) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Opens a directory, made usable where its mode hides it from its owner.
fn open(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let stat = at::look(parent, name)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(Errno::NOTDIR);
    }
    if stat.st_mode & Mode::RWXU.bits() != Mode::RWXU.bits() {
        at::change_mode(parent, name, Mode::RWXU.bits())?;
    }
    at::open_directory(parent, name)
}

fn clear(
    top: BorrowedFd<'_>,
    directory: BorrowedFd<'_>,
    depth: usize,
    moved: &mut u32,
) -> Result<(), Errno> {
    for name in names(directory)? {
        if is_unlinked(directory, &name)? {
            continue;
        }
        let child = match open(directory, &name) {
            Err(Errno::NOENT) => continue,
            child => child?,
        };
        if depth >= MAX_DEPTH {
            *moved = moved.saturating_add(1);
            let aside = format!(".flavor-removed-{moved}");
            at::rename(directory, &name, top, aside.as_bytes())?;
            continue;
        }
        clear(top, child.as_fd(), depth.saturating_add(1), moved)?;
        drop(child);
        remove_directory(directory, &name)?;
    }
    Ok(())
}

/// The names in a directory, all read before any of them is removed: removing while reading may skip some.
pub(crate) fn names(directory: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn links_are_removed_and_hidden_directories_too() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        let handle = fs::File::open(directory.path())?;
        let (tree, outside) = (directory.path().join("tree"), directory.path().join("out"));
        fs::create_dir_all(tree.join("a/b"))?;
        fs::create_dir(&outside)?;
        fs::write(outside.join("kept"), b"x")?;
        symlink(&outside, tree.join("a/link"))?;
        fs::write(tree.join("a/b/file"), b"x")?;
        fs::set_permissions(tree.join("a/b"), fs::Permissions::from_mode(0o000))?;
        fs::set_permissions(tree.join("a"), fs::Permissions::from_mode(0o500))?;
        assert_eq!(remove_tree(handle.as_fd(), b"tree"), Ok(()));
        assert!(!tree.exists());
        assert_eq!(
            remove_tree(handle.as_fd(), b"tree"),
            Ok(()),
            "nothing there"
        );
        symlink(&outside, &tree)?;
        assert_eq!(remove_tree(handle.as_fd(), b"tree"), Ok(()));
        assert!(fs::symlink_metadata(&tree).is_err());
        assert!(outside.join("kept").exists());
        Ok(())
    }

    #[test]
    fn deep_trees_need_few_handles() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        let root = fs::File::open(directory.path())?;
        let mut at = OwnedFd::from(root.try_clone()?);
        for _ in 0..2000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU)?;
            at = at::open_directory(at.as_fd(), b"d")?;
        }
        assert_eq!(remove_tree(root.as_fd(), b"d"), Ok(()));
        assert_eq!(fs::read_dir(directory.path())?.count(), 0);
        Ok(())
    }
}
