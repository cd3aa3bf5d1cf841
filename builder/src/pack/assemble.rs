//! Writing the package: beside its place, then renamed over it.

use std::fs::Permissions;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use psp_format::encode::Head;
use psp_format::layout::TRAILER_SIZE;

use super::PackError;
use super::compress::Stored;
use crate::interrupt;

/// Writes launcher, head, slots and this trailer to `output`. Until the last moment `output` is what it was.
pub(super) fn write(
    output: &Path,
    launcher: &[u8],
    head: &Head,
    slots: &mut [Stored],
    trailer: &[u8; TRAILER_SIZE],
) -> Result<(), PackError> {
    let failed = PackError::write(output);
    let directory = super::directory_of(output);
    let make = || {
        tempfile::Builder::new()
            .prefix(".flavor-")
            .permissions(executable())
            .tempfile_in(directory)
    };
    let (_kept, mut file) = interrupt::keep(make).map_err(&failed)?;
    write_parts(file.as_file_mut(), launcher, head, slots, trailer).map_err(&failed)?;
    // The creation mode went through the umask; a package is executable for everybody.
    file.as_file()
        .set_permissions(executable())
        .map_err(&failed)?;
    file.as_file().sync_all().map_err(&failed)?;
    file.persist(output).map_err(|error| failed(error.error))?;
    Ok(())
}

fn write_parts(
    file: &mut std::fs::File,
    launcher: &[u8],
    head: &Head,
    slots: &mut [Stored],
    trailer: &[u8; TRAILER_SIZE],
) -> io::Result<()> {
    file.write_all(launcher)?;
    file.write_all(&head.bytes)?;
    for (stored, range) in slots.iter_mut().zip(&head.layout.slots) {
        // What is skipped reads as zeros: the padding.
        file.seek(SeekFrom::Start(range.start()))?;
        stored.file.seek(SeekFrom::Start(0))?;
        let copied = io::copy(&mut stored.file, file)?;
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
