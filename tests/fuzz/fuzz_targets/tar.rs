//! The tar profile: a list of entries has one encoding, so what is accepted is what would have been written (4.5).

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_format::tar::{BLOCK, Header, Parser, TreeCheck, encode, padding};

fuzz_target!(|stream: &[u8]| {
    for root in [&b"app"[..], b""] {
        read(stream, root);
    }
});

/// Reads entries up to the first fault or the end.
fn read(stream: &[u8], root: &[u8]) -> Option<()> {
    let mut parser = Parser::new(root);
    let mut tree = TreeCheck::new(root);
    let (mut rest, mut start) = (stream, stream);
    loop {
        let (block, after) = rest.split_first_chunk::<BLOCK>()?;
        rest = after;
        match parser.header(block).ok()? {
            Header::Zero => return tree.finish().ok(),
            Header::Pax(size) => {
                let (content, after) = rest.split_at_checked(size)?;
                parser.pax(content);
                rest = after;
            }
            Header::Entry(entry) => {
                assert_eq!(encode(&entry), start[..start.len() - rest.len()]);
                assert!(entry.path.starts_with(root));
                let size = usize::try_from(entry.size()).ok()?;
                let size = size.checked_add(padding(entry.size()))?;
                tree.add(&entry.path, entry.kind == psp_format::tar::Kind::Directory)
                    .ok()?;
                rest = rest.split_at_checked(size)?.1;
                start = rest;
            }
        }
    }
}
