//! What this system says about a file: names as bytes, permission bits, identity. The only module here that knows the
//! system; another one gets a module with the same functions.

use std::ffi::OsStr;
use std::fs::{File, FileType, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};

use super::draft::Inode;

/// A name as the system stores it.
pub(super) fn bytes(name: &OsStr) -> &[u8] {
    name.as_bytes()
}

/// All mode bits but the type: permissions, set-user, set-group, sticky.
pub(super) fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

/// Modification time in Unix seconds; negative before 1970.
pub(super) fn mtime(metadata: &Metadata) -> i64 {
    metadata.mtime()
}

/// What tells the names of one file from the names of another, for files that have more than one.
pub(super) fn inode(metadata: &Metadata) -> Option<Inode> {
    (metadata.nlink() > 1).then(|| Inode(metadata.dev(), metadata.ino()))
}

/// What something is that is no file, directory or link.
pub(super) fn special(kind: FileType) -> &'static str {
    if kind.is_socket() {
        "a socket"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "of an unknown kind"
    }
}

/// Reads at `offset` without moving a position that other readers share.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}
