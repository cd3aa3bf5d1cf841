//! Cases 90 to 99: counts, offsets, sizes, and what surrounds a package.

use psp_testkit::writer::{Plan, Slot};

use super::common;
use super::place::{Place, assert_refused, assert_starts, measured};
use super::readers::{case, launched};

const IMPLIED: &str = "is not what the signed metadata implies";
const TABLE: &str = "cannot lie at offset";
const LIES: &str = "is where it lies";

/// slot_count 0, 2, 65536 and 2^32 - 1, and a table that is no multiple of 64.
///
/// outcome: refused (125)
/// layer: container
/// message: cannot lie at offset
#[test]
fn case_090_slot_counts() {
    case(90, &["container"], &[TABLE]);
}

/// Every offset and size is 0, 1, the end of the file, 2^40, 2^63 and beyond.
///
/// outcome: refused (125)
/// layer: container | layout | contents
/// message: cannot lie at offset | index records | is not what the signed metadata implies | is where it lies | not the stored size, and nothing is compressed | frames, from 1 to | the sizes of the frames do not add up to the slot
#[test]
fn case_091_offsets_and_sizes() {
    case(
        91,
        &["container", "layout", "contents"],
        &[
            TABLE,
            "index records",
            IMPLIED,
            LIES,
            "not the stored size, and nothing is compressed",
            "frames, from 1 to 262144 are allowed",
            "the sizes of the frames do not add up to the slot",
        ],
    );
}

/// Slots over each other, over the table, the metadata, the launcher and the trailer; out of order; with gaps.
///
/// outcome: refused (125)
/// layer: layout | container
/// message: is where it lies | is not what the signed metadata implies | cannot lie at offset
#[test]
fn case_092_overlaps_and_gaps() {
    case(92, &["layout", "container"], &[LIES, IMPLIED, TABLE]);
}

/// launcher_size is wrong, and the metadata lies in the launcher.
///
/// outcome: refused (125)
/// layer: layout | container | signature
/// message: is where it lies | is not what the signed metadata implies | cannot lie at offset | sizes that no file can have | metadata,  | signed-by records, there can be | its key does not come behind the one before
#[test]
fn case_093_launcher_sizes() {
    case(
        93,
        &["layout", "container", "signature"],
        &[
            LIES,
            IMPLIED,
            TABLE,
            "sizes that no file can have",
            "metadata, launcher.size: 0",
            "signed-by records, there can be",
            "its key does not come behind the one before",
        ],
    );
}

/// package_size is not the size of the file.
///
/// outcome: refused (125)
/// layer: container
/// message: index records
#[test]
fn case_094_package_sizes() {
    case(94, &["container"], &["index records"]);
}

/// Another format version, and flags that nobody defined.
///
/// outcome: refused (125)
/// layer: container | layout
/// message: this reader knows 0x20250001 | is not what the signed metadata implies
#[test]
fn case_095_versions_and_flags() {
    case(
        95,
        &["container", "layout"],
        &["this reader knows 0x20250001", IMPLIED],
    );
}

/// Files of 0, 1, 8199 and 8200 bytes, and packages that are cut short.
///
/// outcome: refused (125) where there is a launcher; by verify, extract and run everywhere
/// layer: container
/// message: not a package | no package data | truncated | index records
#[test]
fn case_096_short_files() {
    let messages = [
        "not a package",
        "no package data",
        "truncated",
        "index records",
    ];
    case(96, &["container"], &messages);
}

/// A byte, a zip archive or another trailer behind the package, or a zip archive before the trailer.
///
/// outcome: refused (125)
/// layer: container
/// message: the end of the package (at | index records
#[test]
fn case_097_something_added() {
    case(
        97,
        &["container"],
        &["the end of the package (at", "index records"],
    );
}

/// Slot ids 123 and 35615, which the peer's launcher takes for something else, thousands of slots, and ten thousand.
///
/// outcome: the ids and 2000 slots are accepted; ten thousand do not fit into the metadata and are refused (125)
/// layer: container
/// message: cannot lie at offset
#[test]
fn case_098_many_slots() {
    let ids = launched(|| {
        Plan::new()
            .slot(Slot::file(123, "a", b"a"))
            .slot(Slot::file(35615, "b", b"b"))
            .bytes()
    });
    assert_starts(&Place::new(&ids));
    let many = |count: u64| {
        let slots = (0..count).map(|number| Slot::file(number, &format!("s{number}"), b"x"));
        launched(|| slots.fold(Plan::new(), Plan::slot).bytes())
    };
    let place = Place::new(&many(2000));
    let (output, peak) = measured(&place, &["verify", "app.psp"]);
    assert!(output.status.success(), "{output:?}");
    assert!(peak < 64 << 10, "{peak} KiB");
    let place = Place::new(&many(10_000));
    assert!(assert_refused(&place, "container").contains("cannot lie at offset"));
}

/// Chains of operations that are unknown, reversed, repeated, or go on behind their end.
///
/// outcome: refused (125)
/// layer: layout
/// message: expected  | not the number of operations
#[test]
fn case_099_chains() {
    case(
        99,
        &["layout"],
        &["expected operations", "not the number of operations"],
    );
    // Every code of one step that is none of ours, with every text.
    for step in 0..=u64::from(u8::MAX) {
        for text in ["none", "zstd", "tar"] {
            let ours = matches!((text, step), ("none", 0) | ("zstd", 0x1B) | ("tar", 0x01));
            if !ours {
                let slot = Slot::file(0, "data", b"content").operation(text, step);
                let (layer, _) = common::verdict(&Plan::new().slot(slot).bytes()).unwrap();
                assert_eq!(layer, "layout", "{text} {step:#x}");
            }
        }
    }
}
