//! Where regions lie, and what lies between them (SPEC.md, M2, M3).

use serde_json::json;

use super::Catalog;
use super::index::{plan, refused};
use crate::writer::{Gaps, Parts, Plan, Slot};

pub(super) fn add(catalog: &mut Catalog) {
    gaps(catalog);
    padding(catalog);
    offsets(catalog);
}

/// Room between regions that index, table and metadata agree about.
fn gaps(catalog: &mut Catalog) {
    for (name, gaps, comment) in [
        (
            "gap-before-metadata",
            Gaps {
                before_metadata: 8,
                ..Gaps::default()
            },
            "8 zeros between launcher and metadata",
        ),
        (
            "gap-before-metadata-8192",
            Gaps {
                before_metadata: 8192,
                ..Gaps::default()
            },
            "8192 zeros, as flavorpack's Rust builder has them",
        ),
        (
            "gap-before-table",
            Gaps {
                before_table: 8,
                ..Gaps::default()
            },
            "8 zeros too many before the slot table",
        ),
        (
            "gap-before-slots",
            Gaps {
                before_slots: 8,
                ..Gaps::default()
            },
            "8 zeros between the table and the first slot",
        ),
        (
            "gap-between-slots",
            Gaps {
                between_slots: 8,
                ..Gaps::default()
            },
            "8 zeros too many between slots",
        ),
        (
            "gap-before-trailer",
            Gaps {
                before_trailer: 8,
                ..Gaps::default()
            },
            "8 zeros too many before the trailer",
        ),
        (
            "gap-before-trailer-1",
            Gaps {
                before_trailer: 1,
                ..Gaps::default()
            },
            "one zero too many: the trailer is not aligned",
        ),
    ] {
        // The place of the table can be computed from the index alone, or from the metadata later.
        let layer = if name == "gap-before-table" {
            "container|layout"
        } else {
            "layout"
        };
        let parts = plan().gapped(gaps).parts();
        refused(catalog, layer, name, "M2", "92", comment, parts);
    }
    let parts = Plan::new()
        .gapped(Gaps {
            before_trailer: 8,
            ..Gaps::default()
        })
        .parts();
    refused(
        catalog,
        "layout",
        "gap-no-slots",
        "M2",
        "92",
        "8 zeros between an empty table and the trailer",
        parts,
    );
    let unaligned = plan().parts().with(|parts| {
        parts.gap_trailer.clear();
        parts.repair();
    });
    assert_ne!(unaligned.bytes().len() % 8, 0);
    refused(
        catalog,
        "layout",
        "gap-missing-trailer",
        "M2",
        "92",
        "the padding before the trailer is missing",
        unaligned,
    );
}

fn padding(catalog: &mut Catalog) {
    let mut byte = |name, comment, edit: fn(&mut Parts)| {
        refused(
            catalog,
            "layout",
            name,
            "M3",
            "6",
            comment,
            plan().parts().with(edit),
        )
    };
    byte(
        "padding-before-table",
        "a padding byte after the metadata is 1",
        |parts| parts.gap_table[0] = 1,
    );
    byte(
        "padding-between-slots",
        "a padding byte between slots is 1",
        |parts| parts.slots[1].gap[0] = 1,
    );
    byte(
        "padding-between-slots-last",
        "the last padding byte between slots is 0x80",
        |parts| {
            *parts.slots[2]
                .gap
                .last_mut()
                .expect("five bytes ask for padding") = 0x80;
        },
    );
    byte(
        "padding-before-trailer",
        "a padding byte before the trailer is 1",
        |parts| parts.gap_trailer[0] = 1,
    );
}

/// Records and descriptors agree, and the digests hold; only the place is wrong.
fn offsets(catalog: &mut Catalog) {
    let mut at = |name, comment, edit: fn(&mut Vec<u64>)| {
        refused(
            catalog,
            "layout",
            name,
            "M2",
            "13 92",
            comment,
            plan().offsets(edit).parts(),
        )
    };
    at(
        "overlap-same-bytes",
        "two slots of equal content at one place",
        |offsets| offsets[1] = offsets[0],
    );
    at(
        "overlap-out-of-order",
        "two slots of equal content, the second before the first",
        |offsets| offsets.swap(0, 1),
    );
    let mut huge = |name, value: u64| {
        let plan = plan().offsets(move |offsets| offsets[2] = value);
        refused(
            catalog,
            "layout",
            name,
            "M2",
            "91",
            &format!("the third slot's offset is {value}"),
            plan.parts(),
        );
    };
    huge("offset-zero", 0);
    huge("offset-one", 1);
    huge("offset-2-40", 1 << 40);
    huge("offset-2-63", 1 << 63);
    huge("offset-overflow", u64::MAX - 7);
    huge("offset-max", u64::MAX);
    let size = plan().bytes().len() as u64;
    huge("offset-eof", size);
    huge("offset-in-trailer", size - 8200);

    let mut launcher = Plan::new();
    launcher.launcher = b"12345".to_vec();
    let inside = launcher
        .slot(Slot::file(0, "one", b"12345"))
        .offsets(|offsets| offsets[0] = 0);
    refused(
        catalog,
        "layout",
        "overlap-launcher",
        "M2",
        "92",
        "the slot is the launcher; its digest holds",
        inside.parts(),
    );
    // The first bytes of the member are always the same, and so are those of a descriptor whose id is 0.
    let metadata = u64::try_from(Plan::new().launcher.len()).expect("a launcher is small");
    let parts = Plan::new()
        .slot(Slot::file(0, "head", &crate::writer::member::HEADER))
        .offsets(move |offsets| offsets[0] = metadata)
        .parts();
    refused(
        catalog,
        "layout",
        "overlap-metadata",
        "M2",
        "92",
        "the slot is the first ten bytes of the metadata; its digest holds",
        parts,
    );
    let mut table = 0;
    let parts = loop {
        let parts = Plan::new()
            .slot(Slot::file(0, "zero", &[0; 8]))
            .offsets(move |offsets| offsets[0] = table)
            .parts();
        let mut index = parts.index.as_bytes().to_vec();
        let start = u64::from_le_bytes(index.drain(40..48).as_slice().try_into().expect("8 bytes"));
        if start == table {
            break parts;
        }
        table = start;
    };
    refused(
        catalog,
        "layout",
        "overlap-table",
        "M2",
        "92",
        "the slot is the id in its own descriptor; its digest holds",
        parts,
    );
    let tail = Plan::new().slot(Slot::file(0, "tail", &crate::writer::TAIL));
    let end = Plan::new()
        .slot(Slot::file(0, "tail", &crate::writer::TAIL))
        .parts();
    let end = end.bytes().len() as u64 - 4;
    refused(
        catalog,
        "layout",
        "overlap-trailer",
        "M2",
        "92",
        "the slot is the last magic; its digest holds",
        tail.offsets(move |offsets| offsets[0] = end).parts(),
    );

    for (name, value) in [
        ("size-2-40", 1u64 << 40),
        ("size-2-63", 1 << 63),
        ("size-max", u64::MAX),
        ("size-zero", 0),
    ] {
        let parts = plan()
            .json(move |root| root["slots"][2]["size"] = json!(value))
            .parts()
            .with(|parts| {
                parts.table[2][24..32].copy_from_slice(&value.to_le_bytes());
            });
        refused(
            catalog,
            "layout",
            name,
            "M2",
            "91",
            &format!("the third slot's size is {value}"),
            parts,
        );
    }
    for (name, value) in [
        ("launcher-size-zero", 0u64),
        ("launcher-size-max", u64::MAX),
        ("launcher-size-less", 56),
    ] {
        let parts = plan()
            .json(move |root| root["launcher"]["size"] = json!(value))
            .parts()
            .with_index(|index| {
                index.set_u64("launcher_size", value);
            });
        refused(
            catalog,
            "layout|container",
            name,
            "M2",
            "93",
            &format!("launcher.size is {value}, in the index, too"),
            parts,
        );
    }
}
