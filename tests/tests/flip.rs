//! One byte of a package changed, removed or added: none of it goes unnoticed.
//!
//! This is the promise of the strict profile in one test: every byte of the file is bound by the signature.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::thread;

use psp_format::Layer;
use psp_format::verify::verify_bytes;
use psp_testkit::keys::{OTHER, Secret};

use psp_testkit::writer::Parts;
use psp_testkit::writer::index::repair_adler;
use psp_testkit::writer::sample::package;

/// Tries a change at every place of the file, on all processors, and names those that are accepted.
fn accepted(count: usize, change: impl Fn(usize) -> Vec<u8> + Sync) -> Vec<usize> {
    places(count, |place| verify_bytes(&change(place)).is_ok())
}

/// The places of which something is true, asked on all processors.
fn places(count: usize, is_so: impl Fn(usize) -> bool + Sync) -> Vec<usize> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let is_so = &is_so;
    thread::scope(|scope| {
        let part = |first: usize| {
            move || {
                (first..count)
                    .step_by(threads)
                    .filter(|place| is_so(*place))
                    .collect()
            }
        };
        let workers: Vec<thread::ScopedJoinHandle<'_, Vec<usize>>> =
            (0..threads).map(|first| scope.spawn(part(first))).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    })
}

/// The package with two signatures beside the first one.
fn signed_by_two() -> Parts {
    let mut signers = [OTHER, *b"psp-testkit: a third signer....."].map(Secret::from_seed);
    signers.sort_by_key(Secret::public);
    let [second, third] = signers;
    package().signed_by(&[&|text| second.sign(text), &|text| third.sign(text)])
}

#[test]
fn the_packages_are_valid() {
    verify_bytes(&package().bytes()).unwrap();
    let three = verify_bytes(&signed_by_two().bytes()).unwrap();
    assert_eq!(three.signers().count(), 3);
}

#[test]
fn no_byte_can_change() {
    no_byte_of(&package());
}

#[test]
fn no_byte_of_a_package_with_three_signatures_can_change() {
    no_byte_of(&signed_by_two());
}

fn no_byte_of(parts: &Parts) {
    let whole = parts.bytes();
    let regions = regions(parts);
    assert_eq!(regions.last().map(|region| region.0), Some(whole.len()));
    let layer_of = |place: usize| {
        let region = regions.iter().find(|(end, _)| place < *end);
        region.map(|(_, layer)| *layer)
    };
    for mask in [0x01, 0x80, 0xFF] {
        let places = places(whole.len(), |place| {
            let mut bytes = whole.clone();
            bytes[place] ^= mask;
            let layer = verify_bytes(&bytes).err().map(|error| error.layer());
            layer != layer_of(place)
        });
        assert!(
            places.is_empty(),
            "changed by {mask:#04x} and accepted, or refused at another layer: {places:?}"
        );
    }
}

/// Where each region ends, and the layer that finds a changed byte in it when nothing is repaired.
fn regions(parts: &Parts) -> Vec<(usize, Layer)> {
    let mut regions = vec![
        (parts.launcher.len(), Layer::Launcher),
        (parts.member.len(), Layer::Container),
        (parts.gap_table.len(), Layer::Layout),
        (64 * parts.table.len(), Layer::Layout),
    ];
    for slot in &parts.slots {
        regions.push((slot.gap.len(), Layer::Layout));
        regions.push((slot.bytes.len(), Layer::Slot));
    }
    regions.push((parts.gap_trailer.len(), Layer::Layout));
    // The trailer: both magic values, and the index with its checksum.
    regions.push((8200, Layer::Container));
    let mut end = 0;
    for region in &mut regions {
        end += region.0;
        region.0 = end;
    }
    regions
}

/// As above in the index, with its checksum computed anew: the checksum is not what keeps it whole.
#[test]
fn no_byte_of_the_index_can_change_with_its_checksum() {
    no_byte_of_the_index_of(&package());
}

#[test]
fn no_byte_of_an_index_with_three_signatures_can_change_with_its_checksum() {
    no_byte_of_the_index_of(&signed_by_two());
}

fn no_byte_of_the_index_of(parts: &Parts) {
    for mask in [0x01, 0x80, 0xFF] {
        let start = parts.bytes().len() - 4 - 8192;
        let whole = parts.bytes();
        let places = accepted(8192, |place| {
            let mut bytes = whole.clone();
            bytes[start + place] ^= mask;
            repair_adler(&mut bytes[start..start + 8192]);
            bytes
        });
        // The checksum's own bytes are repaired with the rest.
        assert_eq!(
            places
                .iter()
                .filter(|place| !(4..8).contains(*place))
                .count(),
            0,
            "{places:?}"
        );
    }
}

#[test]
fn nothing_can_be_cut_off() {
    let whole = package().bytes();
    let places = accepted(whole.len(), |end| whole[..end].to_vec());
    assert!(places.is_empty(), "cut off and accepted: {places:?}");
    let places = accepted(whole.len(), |start| whole[start + 1..].to_vec());
    assert!(places.is_empty(), "begun later and accepted: {places:?}");
}

#[test]
fn no_byte_can_be_added_or_removed() {
    let whole = package().bytes();
    for added in [0, 0xFF] {
        let places = accepted(whole.len() + 1, |place| {
            let mut bytes = whole.clone();
            bytes.insert(place, added);
            bytes
        });
        assert!(
            places.is_empty(),
            "added {added:#04x} and accepted: {places:?}"
        );
    }
    let places = accepted(whole.len(), |place| {
        let mut bytes = whole.clone();
        bytes.remove(place);
        bytes
    });
    assert!(places.is_empty(), "removed and accepted: {places:?}");
}

/// As above at the borders of regions, with every unsigned size and digest computed anew.
#[test]
fn no_byte_can_be_added_to_a_region() {
    type Edit = fn(&mut Parts);
    let edits: [(&str, Edit); 8] = [
        ("launcher", |parts| parts.launcher.push(0)),
        ("before the metadata", |parts| parts.gap_metadata.push(0)),
        ("metadata", |parts| parts.member.push(0)),
        ("before the table", |parts| parts.gap_table.push(0)),
        ("table", |parts| parts.table.push([0; 64])),
        ("before a slot", |parts| parts.slots[1].gap.push(0)),
        ("slot", |parts| parts.slots[1].bytes.push(0)),
        ("before the trailer", |parts| parts.gap_trailer.push(0)),
    ];
    for (region, edit) in edits {
        let mut parts = package();
        edit(&mut parts);
        parts.repair();
        assert!(
            verify_bytes(&parts.bytes()).is_err(),
            "a byte added: {region}"
        );
    }
}
