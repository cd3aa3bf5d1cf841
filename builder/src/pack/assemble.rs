//! Writing packages: beside their places, then renamed over them.

use std::fs::Permissions;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use psp_format::encode::Head;
use psp_format::layout::TRAILER_SIZE;
use rustix::io::Errno;
use tempfile::{NamedTempFile, PersistError};

use super::PackError;
use super::compress::Stored;
use crate::interrupt::{self, Kept};

/// A complete package that is not in its place yet.
pub(super) struct Written {
    output: PathBuf,
    file: NamedTempFile,
    /// Stands after the file, so that it is dropped after it.
    kept: Kept,
}

/// Writes launcher, head, slots and this trailer beside `output`, which stays what it was.
pub(super) fn write(
    output: &Path,
    launcher: &[u8],
    head: &Head,
    slots: &[Rc<Stored>],
    trailer: &[u8; TRAILER_SIZE],
) -> Result<Written, PackError> {
    let failed = PackError::write(output);
    let directory = super::directory_of(output);
    let make = || {
        tempfile::Builder::new()
            .prefix(".flavor-")
            .permissions(executable())
            .tempfile_in(directory)
    };
    let (kept, mut file) = interrupt::keep(make).map_err(&failed)?;
    write_parts(file.as_file_mut(), launcher, head, slots, trailer).map_err(&failed)?;
    // The creation mode went through the umask; a package is executable for everybody.
    file.as_file()
        .set_permissions(executable())
        .map_err(&failed)?;
    file.as_file().sync_all().map_err(&failed)?;
    let output = output.to_owned();
    Ok(Written { output, file, kept })
}

/// Renames packages to their places. What can be seen to prevent one is seen before the first.
pub(super) fn publish(written: Vec<Written>) -> Result<(), PackError> {
    for Written { output, .. } in &written {
        if std::fs::symlink_metadata(output).is_ok_and(|data| data.is_dir()) {
            return Err(PackError::write(output)(Errno::ISDIR.into()));
        }
    }
    let mut all_kept = Vec::with_capacity(written.len());
    let files: Vec<(PathBuf, NamedTempFile)> = written
        .into_iter()
        .map(|Written { output, file, kept }| {
            all_kept.push(kept);
            (output, file)
        })
        .collect();
    interrupt::undisturbed(|| {
        files.into_iter().try_for_each(|(output, file)| {
            let persisted = file.persist(&output);
            let failed = |error: PersistError| PackError::write(&output)(error.error);
            persisted.map(drop).map_err(failed)
        })
    })
}

fn write_parts(
    file: &mut std::fs::File,
    launcher: &[u8],
    head: &Head,
    slots: &[Rc<Stored>],
    trailer: &[u8; TRAILER_SIZE],
) -> io::Result<()> {
    file.write_all(launcher)?;
    file.write_all(&head.bytes)?;
    for (stored, range) in slots.iter().zip(&head.layout.slots) {
        // What is skipped reads as zeros: the padding.
        file.seek(SeekFrom::Start(range.start()))?;
        let mut content = &stored.file;
        content.seek(SeekFrom::Start(0))?;
        let copied = io::copy(&mut content, file)?;
        if copied != range.len() {
            return Err(io::Error::other("a spool file changed its size"));
        }
    }
    file.seek(SeekFrom::Start(head.layout.trailer.start()))?;
    file.write_all(trailer)
}

#[cfg(unix)]
fn executable() -> Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    Permissions::from_mode(0o755)
}
