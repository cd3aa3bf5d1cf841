//! Cases 1 to 8, 12, 13, 15, 16 and 18: bytes of each part of the file changed, and parts of the file exchanged.

use psp_format::verify::verify_bytes;
use psp_testkit::project::launcher;
use psp_testkit::writer::sample::package;
use psp_testkit::writer::{Parts, Plan, Slot};

use super::common;
use super::place::{Place, assert_refused, assert_starts};
use super::readers::{case, launched};

const LAUNCHER: &str = "the launcher does not match its signed checksum";
const SIGNATURE: &str = "the signature does not match the metadata";
const IMPLIED: &str = "is not what the signed metadata implies";
const STORED: &str = "stored bytes do not match their signed checksum";

/// Changes each byte that `pick` gives in a copy of the package, then repairs what `repair` says. Each must be refused at
/// one of these layers.
fn each_byte(
    count: usize,
    pick: impl Fn(&mut Parts, usize) -> &mut u8,
    repair: impl Fn(&mut Parts),
    layers: &[&str],
) {
    assert!(count > 0);
    let good = package();
    for place in 0..count {
        for mask in [0x01, 0x80] {
            let mut parts = good.clone();
            *pick(&mut parts, place) ^= mask;
            repair(&mut parts);
            match verify_bytes(&parts.bytes()) {
                Ok(_) => panic!("byte {place} changed by {mask:#x} and accepted"),
                Err(error) => assert!(
                    layers.contains(&&*error.layer().to_string()),
                    "byte {place}: {error}"
                ),
            }
        }
    }
}

/// A byte of the launcher is changed.
///
/// outcome: refused by verify, extract and run; the file itself, if it still starts, cannot tell
/// layer: launcher
/// message: the launcher does not match its signed checksum
#[test]
fn case_001_a_byte_of_the_launcher() {
    case(1, &["launcher"], &[LAUNCHER]);
    let good = launched(|| Plan::new().slot(Slot::file(0, "data", b"content")).bytes());
    let size = launcher().len();
    for place in (0..size).step_by(size / 64) {
        let mut bytes = good.clone();
        bytes[place] ^= 0x10;
        let (layer, detail) = common::verdict(&bytes).unwrap();
        assert_eq!(layer, "launcher", "{place}: {detail}");
        if place % 16 == 0 {
            assert!(assert_refused(&Place::new(&bytes), "launcher").contains(LAUNCHER));
        }
    }
    assert_starts(&Place::new(&good));
}

/// Another launcher, of the same size and of another.
///
/// outcome: refused by verify, extract and run; what a launcher that was exchanged does is its own affair
/// layer: launcher | layout
/// message: the launcher does not match its signed checksum | is not what the signed metadata implies
#[test]
fn case_002_another_launcher() {
    case(2, &["launcher", "layout"], &[LAUNCHER, IMPLIED]);
    // Its own digest is signed wrongly, and it starts: it does not vouch for itself.
    let bytes = launched(|| {
        let other = format!("sha256:{}", "0".repeat(64));
        Plan::new()
            .set("/launcher", "checksum", other.into())
            .bytes()
    });
    let place = Place::new(&bytes);
    assert_starts(&place);
    assert!(assert_refused(&Place::new(&bytes), "launcher").contains(LAUNCHER));
}

/// Each byte of the gzip member around the metadata is changed, as it is and with its checksums repaired.
///
/// outcome: refused (125)
/// layer: container | signature
/// message: metadata does not match metadata_checksum in the index | metadata member differs from the strict form | the metadata is not one gzip member | the signature does not match the metadata
#[test]
fn case_003_each_byte_of_the_metadata() {
    case(
        3,
        &["container", "signature"],
        &[
            "metadata does not match metadata_checksum in the index",
            "metadata member differs from the strict form",
            "the metadata is not one gzip member",
            SIGNATURE,
        ],
    );
    let size = package().member.len();
    each_byte(
        size,
        |parts, place| &mut parts.member[place],
        |_| (),
        &["container"],
    );
    let repaired = |parts: &mut Parts| parts.repair();
    each_byte(
        size,
        |parts, place| &mut parts.member[place],
        repaired,
        &["container"],
    );
    // With the CRC-32 of the member, too, only the signature is left.
    let text = size - 15 - 8;
    let repaired = |parts: &mut Parts| {
        let changed = parts.member[15..15 + text].to_vec();
        parts.member = psp_testkit::writer::member::stored(&changed);
        parts.repair();
    };
    each_byte(
        text,
        |parts, place| &mut parts.member[15 + place],
        repaired,
        &["signature"],
    );
}

/// Each byte of the slot table is changed.
///
/// outcome: refused (125)
/// layer: layout
/// message: is not what the signed metadata implies
#[test]
fn case_004_each_byte_of_the_slot_table() {
    case(4, &["layout"], &[IMPLIED]);
    let size = 64 * package().table.len();
    each_byte(
        size,
        |parts, place| &mut parts.table[place / 64][place % 64],
        |_| (),
        &["layout"],
    );
}

/// The first, a middle and the last byte of a slot are changed.
///
/// outcome: refused (125) before anything is decoded; a warm start uses what was unpacked before
/// layer: slot
/// message: stored bytes do not match their signed checksum
#[test]
fn case_005_bytes_of_a_slot() {
    case(5, &["slot"], &[STORED]);
    for slot in 0..3 {
        let size = package().slots[slot].bytes.len();
        each_byte(
            size,
            |parts, place| &mut parts.slots[slot].bytes[place],
            |_| (),
            &["slot"],
        );
    }
}

/// A padding byte is not zero.
///
/// outcome: refused (125) before the slot table; behind it by verify, extract and run, a start does not read those bytes
/// layer: layout
/// message: padding at offset
#[test]
fn case_006_padding() {
    case(6, &["layout"], &["padding at offset"]);
    let parts = package();
    let gaps = [
        parts.gap_table.len(),
        parts.slots[1].gap.len(),
        parts.gap_trailer.len(),
    ];
    each_byte(
        gaps[0],
        |parts, place| &mut parts.gap_table[place],
        |_| (),
        &["layout"],
    );
    each_byte(
        gaps[1],
        |parts, place| &mut parts.slots[1].gap[place],
        |_| (),
        &["layout"],
    );
    each_byte(
        gaps[2],
        |parts, place| &mut parts.gap_trailer[place],
        |_| (),
        &["layout"],
    );
}

/// Each byte of the index is changed and its checksum left as it was.
///
/// outcome: refused (125)
/// layer: container
/// message: index checksum
#[test]
fn case_007_each_byte_of_the_index() {
    case(7, &["container"], &["index checksum"]);
    each_byte(
        8192,
        |parts, place| &mut parts.index.as_mut_bytes()[place],
        |_| (),
        &["container"],
    );
}

/// Each byte of the index is changed and its checksum repaired.
///
/// outcome: refused (125)
/// layer: container | signature | layout
/// message: is not what the signed metadata implies | the signature does not match the metadata | of the signature field is not zero | signed-by records, there can be
#[test]
fn case_008_each_byte_of_the_index_with_its_checksum() {
    case(
        8,
        &["layout", "signature"],
        &[
            IMPLIED,
            SIGNATURE,
            "of the signature field is not zero",
            "signed-by records, there can be",
        ],
    );
    for (offset, size, name) in psp_testkit::writer::index::FIELDS {
        let layers: &[&str] = match *name {
            "index_checksum" => continue,
            "format_version" | "package_size" | "metadata_offset" | "metadata_size"
            | "metadata_checksum" => &["container"],
            "launcher_size" | "slot_table_offset" | "slot_table_size" | "slot_count" => {
                &["container", "layout"]
            }
            "public_key" | "signature" | "signed_by_count" => &["signature"],
            _ => &["layout"],
        };
        each_byte(
            *size,
            |parts, place| &mut parts.index.as_mut_bytes()[offset + place],
            |parts| parts.repair_adler(),
            layers,
        );
    }
}

/// Slots of an older signed version lie in a newer package.
///
/// outcome: refused (125)
/// layer: slot | layout
/// message: stored bytes do not match their signed checksum
#[test]
fn case_012_slots_of_an_older_version() {
    case(12, &["slot"], &[STORED]);
    let version = |text: &'static str, content: &'static [u8]| {
        Plan::new()
            .set("/package", "version", text.into())
            .slot(Slot::file(0, "data", content))
            .parts()
    };
    let (older, newer) = launched(|| {
        (
            version("1.0", b"with a hole"),
            version("1.1", b"without one"),
        )
    });
    let slots = launched(|| version("1.1", b"without one")).with(|parts| {
        parts.slots[0].bytes = older.slots[0].bytes.clone();
    });
    let place = Place::new(&newer.bytes());
    assert_starts(&place);
    place.put(&slots.bytes());
    assert!(assert_refused(&Place::new(&slots.bytes()), "slot").contains(STORED));
    // With the older table, too: the table is not what is signed.
    let table = launched(|| version("1.1", b"without one")).with(|parts| {
        parts.slots[0].bytes = older.slots[0].bytes.clone();
        parts.table = older.table.clone();
        parts.repair();
    });
    assert_refused(&Place::new(&table.bytes()), "layout");
}

/// Entries of the slot table are exchanged, doubled, or point at the same bytes.
///
/// outcome: refused (125)
/// layer: layout | slot
/// message: is not what the signed metadata implies | stored bytes do not match their signed checksum | is where it lies
#[test]
fn case_013_entries_exchanged_and_doubled() {
    case(
        13,
        &["layout", "slot"],
        &[IMPLIED, STORED, "is where it lies"],
    );
}

/// The slot table has one entry more than the signed metadata.
///
/// outcome: refused (125)
/// layer: layout
/// message: is not what the signed metadata implies
#[test]
fn case_015_an_entry_too_many() {
    case(15, &["layout"], &[IMPLIED]);
}

/// The signed metadata lists one slot more than the table.
///
/// outcome: refused (125)
/// layer: layout
/// message: is not what the signed metadata implies
#[test]
fn case_016_an_entry_too_few() {
    case(16, &["layout"], &[IMPLIED]);
}

/// The first 8 bytes of the digest are right, as in a collision of the short digest, and the other 24 are not.
///
/// outcome: refused (125): the full digest decides
/// layer: slot
/// message: stored bytes do not match their signed checksum
#[test]
fn case_018_a_collision_of_the_short_digest() {
    case(18, &["slot"], &[STORED]);
}
