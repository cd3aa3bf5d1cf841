//! Where environments of base packages lie: `base/ID` in the store, made beside and renamed, with `base/ID.done` when
//! everything is there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use psp_launcher::store::Store;
use rustix::fs::{FlockOperation, OFlags, flock, syncfs};

use crate::error::Error;

/// The environment with this id, made now unless it is there. `fill` puts the files into an empty directory; `set_up` does the rest
/// when they lie in their place. When one of them fails, nothing is left.
pub(super) fn ensure(
    store: &Store,
    id: &str,
    fill: &dyn Fn(&Path) -> Result<(), Error>,
    set_up: &dyn Fn(&Path) -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    // The store has been probed: only this user can write to it.
    let directory = store.root().join("base");
    let place = directory.join(id);
    let [done, lock, staged] =
        ["done", "lock", "new"].map(|end| directory.join(format!("{id}.{end}")));
    make_directory(&directory).map_err(failed(&directory))?;
    let lock = locked(&lock).map_err(failed(&lock))?;
    if done.is_file() && place.is_dir() {
        return Ok(place);
    }
    for old in [&done, &staged, &place] {
        remove(old).map_err(failed(old))?;
    }
    let result = DirBuilder::new()
        .mode(0o700)
        .create(&staged)
        .map_err(failed(&staged))
        .and_then(|()| fill(&staged))
        .and_then(|()| fs::rename(&staged, &place).map_err(failed(&place)))
        .and_then(|()| set_up(&place))
        // The mark must not be on the disk before what it speaks of.
        .and_then(|()| {
            syncfs(&lock)
                .map_err(io::Error::from)
                .map_err(failed(&place))
        })
        .and_then(|()| File::create(&done).map(drop).map_err(failed(&done)));
    match result {
        Ok(()) => Ok(place),
        Err(error) => {
            let _ = remove(&staged);
            let _ = remove(&place);
            Err(error)
        }
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A link would lead somewhere that nobody has looked at.
            match fs::symlink_metadata(path)?.is_dir() {
                true => Ok(()),
                false => Err(io::ErrorKind::NotADirectory.into()),
            }
        }
        other => other,
    }
}

/// Waits until no other start makes the same environment. The system releases the lock when this process ends.
fn locked(path: &Path) -> io::Result<File> {
    // A link or a pipe in its place is neither followed nor waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Write {
        path: path.clone(),
        source,
    }
}
