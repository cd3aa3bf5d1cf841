//! What holds for every package, archive and table: reading is the inverse of writing, and nothing can be cut off.

#![allow(clippy::unwrap_used)]

mod small;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use psp_format::frames::{SeekTable, write_seek_table};
use psp_format::layout::{INDEX_SIZE, RawIndex, TRAILER_SIZE};
use psp_format::ops::Operations;
use psp_format::signature::PrivateKey;
use psp_format::tar::{self, BLOCK, Entry, Header, Kind, Parser};
use psp_format::{encode, limits, member, verify};

/// Contents of file slots by their id.
fn contents() -> impl Strategy<Value = std::collections::BTreeMap<String, Vec<u8>>> {
    btree_map(
        "[a-z0-9_][a-zA-Z0-9._-]{0,20}",
        vec(any::<u8>(), 0..200),
        0..6,
    )
}

fn package(contents: &std::collections::BTreeMap<String, Vec<u8>>, text: &str) -> Vec<u8> {
    let slots = contents.iter().zip(0..).map(|((id, bytes), nth)| {
        small::slot(nth, id, &format!("files/{id}"), Operations::None, bytes)
    });
    let mut metadata = small::metadata(slots.collect());
    metadata.package.description = Some(text.to_owned());
    let stored: Vec<&[u8]> = contents.values().map(Vec::as_slice).collect();
    small::assemble(metadata, &stored).unwrap()
}

/// The entries of an archive without content.
fn parse(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (mut parser, mut out, mut rest) = (Parser::new(b""), Vec::new(), bytes);
    while let Some((block, after)) = rest.split_first_chunk::<BLOCK>() {
        rest = after;
        match parser.header(block).ok()? {
            Header::Entry(entry) => out.push(entry),
            Header::Zero => return None,
            Header::Pax(len) => {
                let (content, after) = rest.split_at_checked(len)?;
                parser.pax(content);
                rest = after;
            }
        }
    }
    Some(out)
}

fn entry() -> impl Strategy<Value = (Vec<u8>, Kind, u32, u64)> {
    let component = vec((1_u8..).prop_filter("no slash", |c| *c != b'/'), 1..90)
        .prop_filter("a name", |name| !name.starts_with(b"."));
    let path = vec(component.clone(), 1..5).prop_map(|parts| parts.join(&b'/'));
    let kind = prop_oneof![
        Just(Kind::Directory),
        Just(Kind::File(0)),
        vec(component, 1..4).prop_map(|parts| Kind::Symlink(parts.join(&b'/'))),
    ];
    (path, kind, 0_u32..0o1000, 0_u64..1 << 33)
}

proptest! {
    #[test]
    fn packages_come_back(contents in contents(), text in any::<String>()) {
        let bytes = package(&contents, &text);
        let verified = verify::verify_bytes(&bytes).unwrap();
        prop_assert_eq!(verified.metadata().package.description.as_deref(), Some(text.as_str()));
        let stored: Vec<&[u8]> =
            verified.slots().map(|(_, range)| range.of(&bytes).unwrap()).collect();
        prop_assert_eq!(stored, contents.values().map(Vec::as_slice).collect::<Vec<_>>());
    }

    #[test]
    fn no_truncation_and_no_flip_verifies(
        contents in contents(), at in any::<prop::sample::Index>(), mask in 1_u8..,
    ) {
        let bytes = package(&contents, "");
        let at = at.index(bytes.len());
        prop_assert!(verify::verify_bytes(&bytes[..at]).is_err());
        let mut changed = bytes;
        changed[at] ^= mask;
        prop_assert!(verify::verify_bytes(&changed).is_err());
    }

    #[test]
    fn signers_come_back(keys in btree_set("[a-z]{1,8}", 0..=limits::MAX_SIGNED_BY)) {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let bytes = small::signed_by(&small::package().unwrap(), &keys);
        let verified = verify::verify_bytes(&bytes).unwrap();
        let names = |key: &str| *PrivateKey::from_text_seed(key).public_key().as_bytes();
        let mut expected: Vec<[u8; 32]> = keys.iter().map(|key| names(key)).collect();
        expected.sort_unstable();
        expected.insert(0, names("golden"));
        let found: Vec<[u8; 32]> = verified.signers().map(|key| *key.as_bytes()).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(verified.signer().as_bytes(), &names("golden"));
    }

    /// One byte changed among the records, whose checksum anybody can compute.
    #[test]
    fn no_byte_beside_the_first_signature_can_change(
        count in 0..=limits::MAX_SIGNED_BY, at in 1568_usize..INDEX_SIZE, mask in 1_u8..,
    ) {
        let keys = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];
        let bytes = small::signed_by(&small::package().unwrap(), &keys[..count]);
        let start = bytes.len() - TRAILER_SIZE;
        let mut index: [u8; INDEX_SIZE] = bytes[start + 4..start + 4 + INDEX_SIZE].try_into().unwrap();
        index[at] ^= mask;
        let mut index = RawIndex::from_bytes(&index).clone();
        index.index_checksum = index.checksum().into();
        let changed = [&bytes[..start], &encode::trailer(&index)].concat();
        prop_assert!(verify::verify_bytes(&changed).is_err());
    }

    #[test]
    fn members_come_back(text in vec(any::<u8>(), 1..200_000)) {
        prop_assert_eq!(member::unwrap(&member::wrap(&text)), Ok(text));
    }

    #[test]
    fn archives_come_back(entries in vec(entry(), 0..20)) {
        let mut entries: Vec<Entry> = entries
            .into_iter()
            .map(|(path, kind, mode, mtime)| {
                let mode = if matches!(kind, Kind::Symlink(_)) { 0o777 } else { mode };
                Entry { path, kind, mode, mtime }
            })
            .collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries.dedup_by(|a, b| a.path == b.path);
        let bytes: Vec<u8> = entries.iter().flat_map(tar::encode).collect();
        prop_assert_eq!(parse(&bytes), Some(entries));
    }

    #[test]
    fn seek_tables_come_back(frames in vec((1_u32.., 1_u32..=16 << 20), 1..50)) {
        let table = write_seek_table(&frames);
        let stored: u64 = frames.iter().map(|frame| u64::from(frame.0)).sum();
        let original = frames.iter().map(|frame| u64::from(frame.1)).sum();
        let read = SeekTable::read(stored + table.len() as u64, original, &table).unwrap();
        let sizes: Vec<(u64, u64)> =
            read.frames().iter().map(|frame| (frame.stored.len(), frame.content.len())).collect();
        let expected: Vec<(u64, u64)> =
            frames.iter().map(|frame| (frame.0.into(), frame.1.into())).collect();
        prop_assert_eq!(sizes, expected);
    }
}
