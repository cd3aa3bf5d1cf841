//! What the targets share: how the `tar` and `zstd` crates read what we accept.

use std::io::Read as _;

use psp_format::tar::{Entry, Kind};

/// Entries with their content, as the `tar` crate reads them. `None` when there is one of which that crate is known to
/// read less than POSIX says: it looks for the end of a PAX record where a path or link has a line of its own.
pub fn read_tar(stream: &[u8], expected: &[Entry]) -> Option<Vec<(Entry, Vec<u8>)>> {
    let breaks = |path: &[u8]| path.contains(&b'\n');
    let is_odd = |entry: &Entry| match &entry.kind {
        Kind::Symlink(to) | Kind::HardLink(to) => breaks(to) || breaks(&entry.path),
        Kind::File(_) | Kind::Directory => breaks(&entry.path),
    };
    if expected.iter().any(is_odd) {
        return None;
    }
    let mut archive = tar::Archive::new(stream);
    let entries = archive.entries().expect("an archive at its beginning");
    let read = entries.map(|entry| {
        let mut entry = entry.expect("an entry of an accepted archive");
        let path = entry.path_bytes().into_owned();
        let link = entry.link_name_bytes().map(|link| link.into_owned());
        let link = link.unwrap_or_default();
        let header = entry.header();
        let kind = match header.entry_type() {
            tar::EntryType::Regular => Kind::File(entry.size()),
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Symlink(link),
            tar::EntryType::Link => Kind::HardLink(link),
            other => panic!("an entry of type {other:?}"),
        };
        let found = Entry {
            path: path.strip_suffix(b"/").map_or(path.clone(), <[u8]>::to_vec),
            kind,
            mode: header.mode().expect("a number"),
            mtime: header.mtime().expect("a number"),
        };
        let mut content = Vec::new();
        entry
            .read_to_end(&mut content)
            .expect("content of an accepted archive");
        (found, content)
    });
    Some(read.collect())
}

/// All frames as one stream; the seek table is a frame that decoders skip.
pub fn read_frames(stored: &[u8]) -> Vec<u8> {
    zstd::stream::decode_all(stored).expect("frames that were accepted")
}
