//! The tar profile: a list of entries has one encoding, so what is accepted is what would have been written (4.5), and
//! the `tar` crate reads the same from it.
//!
//! The first byte says whether checksums of headers are made right before they are read, and chooses the target.

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_format::path;
use psp_format::tar::{BLOCK, Entry, Header, Kind, Parser, TreeCheck, encode, padding};
use psp_testkit::writer::tar::checksum;

fuzz_target!(|input: &[u8]| {
    let Some((choice, stream)) = input.split_first() else {
        return;
    };
    let root = [&b"app"[..], b""][usize::from(choice & 1)];
    let mut stream = stream.to_vec();
    let mut entries = Vec::new();
    let read = read(&mut stream, root, choice & 2 != 0, &mut entries);
    if let Some(end) = read {
        stream.truncate(end);
        stream.extend([0; 2 * BLOCK]);
        let general = psp_fuzz::read_tar(&stream, &entries);
        let same = |general: Vec<(Entry, Vec<u8>)>| {
            general.into_iter().map(|(entry, _)| entry).eq(entries)
        };
        assert!(general.is_none_or(same));
    }
});

/// Reads entries up to the first fault or the end, whose offset is returned.
fn read(stream: &mut [u8], root: &[u8], repair: bool, entries: &mut Vec<Entry>) -> Option<usize> {
    let mut parser = Parser::new(root);
    let mut tree = TreeCheck::new(root);
    let (mut at, mut start) = (0, 0);
    loop {
        let block: &mut [u8; BLOCK] = stream.get_mut(at..)?.first_chunk_mut()?;
        if repair && block.iter().any(|&byte| byte != 0) {
            checksum(block);
        }
        match parser.header(block).ok()? {
            Header::Zero => {
                tree.finish().ok()?;
                return Some(at);
            }
            Header::Pax(size) => {
                at += BLOCK;
                parser.pax(stream.get(at..at.checked_add(size)?)?);
                at += size;
            }
            Header::Entry(entry) => {
                at += BLOCK;
                assert_eq!(encode(&entry), stream[start..at]);
                assert!(path::check(&entry.path).is_ok() && path::is_within(&entry.path, root));
                let size = usize::try_from(entry.size()).ok()?;
                at = at.checked_add(size)?.checked_add(padding(entry.size()))?;
                tree.add(&entry.path, entry.kind == Kind::Directory).ok()?;
                entries.push(entry);
                start = at;
            }
        }
    }
}
