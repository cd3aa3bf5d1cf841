//! Cases 101 to 108: the metadata as a member, as a text, and what it says.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use psp_testkit::vector;
use psp_testkit::writer::{Plan, Slot};
use serde_json::json;

use super::place::{Place, assert_refused, is_plain, measured};
use super::readers::{case, launched};

const CANONICAL: &str = "metadata is not canonical JSON";
const MEMBER: &str = "metadata member differs from the strict form";

/// Not gzip, zlib, plain JSON, an empty text, an array, null.
///
/// outcome: refused (125)
/// layer: container | layout
/// message: metadata member differs from the strict form | the metadata is no JSON document | an object is expected
#[test]
fn case_101_not_metadata() {
    case(
        101,
        &["container", "layout"],
        &[
            MEMBER,
            "the metadata is no JSON document",
            "an object is expected",
        ],
    );
}

/// A byte order mark, bytes behind the text, invalid UTF-8, lone surrogates, NUL.
///
/// outcome: refused (125)
/// layer: layout
/// message: metadata is not canonical JSON | the end of the text | UTF-8 | a character of a string
#[test]
fn case_102_texts_that_are_not_json() {
    case(
        102,
        &["layout"],
        &[
            CANONICAL,
            "expected the end of the text",
            "expected UTF-8",
            "expected a character of a string",
            "expected {",
            "expected \"",
        ],
    );
}

/// A key twice, at every level, in another case, or with an escape.
///
/// outcome: refused (125)
/// layer: layout
/// message: expected
#[test]
fn case_103_keys_twice() {
    case(103, &["layout"], &["expected "]);
}

/// 100,000 levels deep, a string of 10 MB, a million keys, and numbers that are none.
///
/// outcome: refused (125) in bounded memory
/// layer: container | layout
/// message: cannot lie at offset | metadata is not canonical JSON | an integer in its range
#[test]
fn case_104_too_much_and_no_numbers() {
    case(
        104,
        &["container", "layout"],
        &[
            "cannot lie at offset",
            CANONICAL,
            "expected an integer in its range",
            "expected \"",
        ],
    );
    let long = launched(|| {
        Plan::new()
            .set("/package", "description", json!("d".repeat(10 << 20)))
            .bytes()
    });
    let keys = launched(|| {
        Plan::new()
            .text(|text| {
                let keys: String = (0..1_000_000)
                    .map(|key| format!("\"{key:06}\":0,"))
                    .collect();
                drop(text.splice(1..1, keys.bytes()));
            })
            .bytes()
    });
    for bytes in [long, keys] {
        let place = Place::new(&bytes);
        let (_, peak) = measured(&place, &["verify", "app.psp"]);
        assert!(peak < 64 << 10, "{peak} KiB");
        assert!(assert_refused(&place, "container").contains("cannot lie at offset"));
    }
}

/// Metadata of 4 GiB that nobody has signed: in a sparse file, and as a compressed member.
///
/// outcome: refused (125) before a signature is looked at, in bounded memory
/// layer: container
/// message: cannot lie at offset | metadata member differs from the strict form
#[test]
fn case_105_metadata_of_4_gib() {
    case(105, &["container"], &["cannot lie at offset"]);
    let size = 4_u64 << 30;
    let parts = launched(|| Plan::new().slot(Slot::file(0, "data", b"content")).parts());
    let start = u64::try_from(parts.launcher.len()).unwrap();
    let whole = parts.with_index(|index| {
        index.set_u64("metadata_size", size);
        index.set_u64("slot_table_offset", start + size);
        index.set_u64("slot_table_size", 64);
        index.set_u64("package_size", start + size + 64 + 8200);
    });
    let bytes = whole.bytes();
    let place = Place::new(&bytes[..usize::try_from(start).unwrap()]);
    let file = File::options().write(true).open(place.package()).unwrap();
    let trailer = &bytes[bytes.len() - 8200..];
    file.write_all_at(trailer, start + size + 64).unwrap();
    drop(file);
    let (_, peak) = measured(&place, &["verify", "app.psp"]);
    assert!(peak < 64 << 10, "{peak} KiB");
    assert!(assert_refused(&place, "container").contains("cannot lie at offset"));
    psp_testkit::host::refusal(&place.start());
    // A compressed member is refused by its first bytes, whatever it would give.
    let compressed = launched(|| {
        let deflate = |text: &[u8]| {
            let member = psp_testkit::writer::member::fixed_huffman(text);
            psp_testkit::writer::member::wrap(&psp_testkit::writer::member::HEADER, &member, text)
        };
        Plan::new()
            .text(|text| text.resize(900_000, b' '))
            .member(deflate)
            .bytes()
    });
    let said = assert_refused(&Place::new(&compressed), "container");
    assert!(
        said.contains("metadata member differs from the strict form"),
        "{said}"
    );
}

/// Each key of the metadata is absent, or of another type.
///
/// outcome: refused (125); a key that is absent is named, a value of another type by its place in the text
/// layer: layout
/// message: expected | is not what the signed metadata implies | metadata is not canonical JSON
#[test]
fn case_106_each_key() {
    // Without `profile` it is a package of the base format, and its slot table is not that of one.
    let base = "is not what was signed";
    let messages = [
        "metadata, ",
        "expected ",
        CANONICAL,
        "slot table, entry",
        base,
    ];
    let said = case(106, &["layout"], &messages);
    let mut named = 0;
    for vector in vector::load_all() {
        // Their comments are "PATH is absent".
        let path = vector.comment.strip_suffix(" is absent");
        let Some(key) = path.and_then(|path| path.rsplit('/').next()) else {
            continue;
        };
        let (_, said) = said.iter().find(|(name, _)| *name == vector.name).unwrap();
        let expected = match key {
            "profile" => base.to_string(),
            _ => format!("expected \"{key}\":"),
        };
        assert!(
            said.detail.contains(&expected),
            "{}: {}",
            vector.name,
            said.detail
        );
        named += 1;
    }
    assert!(named > 30, "{named}");
}

/// The signed record of a slot and its descriptor contradict each other, or the record breaks a rule.
///
/// outcome: refused (125)
/// layer: layout
/// message: is not what the signed metadata implies | not the number of operations | expected
#[test]
fn case_107_records_and_descriptors() {
    case(
        107,
        &["layout"],
        &[
            "is not what the signed metadata implies",
            "not the number of operations",
            "metadata, ",
        ],
    );
}

/// Escape, newline and right-to-left marks in name, version and slot id.
///
/// outcome: refused (125), and escaped wherever they are shown
/// layer: layout
/// message: expected
#[test]
fn case_108_text_for_terminals() {
    case(108, &["layout"], &["expected "]);
    // What may hold such text is shown without it.
    let bytes = launched(|| {
        Plan::new()
            .set(
                "/package",
                "description",
                json!("\u{1b}[2J\u{202e}\n\u{9b}"),
            )
            .set("/package", "authors", json!(["\u{1b}]0;x\u{7}"]))
            .bytes()
    });
    let place = Place::new(&bytes);
    for words in [
        &["inspect", "app.psp"][..],
        &["inspect", "--json", "app.psp"],
        &["verify", "app.psp"],
        &["verify", "--json", "app.psp"],
    ] {
        let output = place.flavor(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        assert!(
            is_plain(&output.stdout) && is_plain(&output.stderr),
            "{words:?}: {output:?}"
        );
    }
}
