//! The comparison of index, slot table and padding with what the signed metadata implies (SPEC.md, M2, M3, M10, M30).

use serde_json::json;

use super::{Catalog, about};
use crate::keys::{OTHER, Secret};
use crate::writer::index::FIELDS;
use crate::writer::{Gaps, Parts, Plan, Slot, hex_sha256};

pub(super) fn add(catalog: &mut Catalog) {
    fields(catalog);
    attestation(catalog);
    descriptors(catalog);
    tables(catalog);
    gaps(catalog);
    padding(catalog);
    offsets(catalog);
}

/// Three slots whose sizes ask for padding between them, and a metadata member that asks for padding, too.
fn plan() -> Plan {
    let plan = |version: &'static str| {
        Plan::new()
            .set("/build", "tool_version", json!(version))
            .slot(Slot::file(0, "one", b"12345"))
            .slot(Slot::file(1, "two", b"12345"))
            .slot(Slot::file(2, "three", b"the third"))
    };
    let version = if plan("1").parts().gap_table.is_empty() {
        "10"
    } else {
        "1"
    };
    plan(version)
}

fn refused(
    catalog: &mut Catalog,
    layer: &str,
    name: &str,
    requirement: &str,
    cases: &str,
    comment: &str,
    parts: Parts,
) {
    catalog.refused(
        layer,
        about(name, requirement, cases, comment),
        parts.bytes(),
    );
}

/// A reader may ask for the zeros behind a signature when it takes the signature out of its field.
fn layer_of(field: &str) -> &'static str {
    match field {
        "signature" => "signature|layout",
        "signed_by_count" => "signature",
        _ => "layout",
    }
}

/// One bit in the last byte of each field that no earlier check uses.
fn fields(catalog: &mut Catalog) {
    let earlier = [
        "format_version",
        "index_checksum",
        "package_size",
        "launcher_size",
        "metadata_offset",
        "metadata_size",
        "slot_table_offset",
        "slot_table_size",
        "slot_count",
        "public_key",
        "metadata_checksum",
    ];
    for (_, size, field) in FIELDS.iter().filter(|field| !earlier.contains(&field.2)) {
        let parts = plan()
            .parts()
            .with_index(|index| index.field(field)[size - 1] ^= 1);
        let name = format!("index-{}", field.replace('_', "-"));
        let comment = format!("one bit in the last byte of {field}, index_checksum repaired");
        let cases = match *field {
            "signature" => "8 27",
            "flags" => "8 95",
            "attestation_key_fp" => "8 30",
            _ => "8",
        };
        refused(
            catalog,
            layer_of(field),
            &name,
            "M10",
            cases,
            &comment,
            parts,
        );
    }
    for (name, offset) in [
        ("index-signature-65th-byte", 64),
        ("index-signature-second", 100),
    ] {
        let parts = plan()
            .parts()
            .with_index(|index| index.field("signature")[offset] = 0x80);
        refused(
            catalog,
            layer_of("signature"),
            name,
            "M10",
            "27",
            "a byte behind the 64 of the signature",
            parts,
        );
    }
    let parts = plan()
        .parts()
        .with_index(|index| index.field("reserved_3112")[0] = 1);
    refused(
        catalog,
        "layout",
        "index-reserved-first",
        "M10",
        "8",
        "the first byte of reserved_3112",
        parts,
    );
    let parts = plan()
        .parts()
        .with_index(|index| index.field("future_crypto")[0] = 1);
    refused(
        catalog,
        "layout",
        "index-future-first",
        "M10",
        "8",
        "the first byte of future_crypto",
        parts,
    );
    for (name, field, step) in [
        ("index-launcher-size-more", "launcher_size", 8),
        ("index-slot-table-offset-more", "slot_table_offset", 8),
    ] {
        let parts = plan().parts().with_index(|index| {
            let value = index.u64(field);
            index.set_u64(field, value + step);
        });
        refused(
            catalog,
            "layout|container",
            name,
            "M10",
            "93",
            "8 more than the metadata implies",
            parts,
        );
    }
}

fn attestation(catalog: &mut Catalog) {
    let upper = plan()
        .parts()
        .with_index(|index| index.field("attestation_key_fp").make_ascii_uppercase());
    refused(
        catalog,
        "layout",
        "fingerprint-upper-case",
        "M10",
        "30",
        "the fingerprint in upper case",
        upper,
    );
    let zero = plan()
        .parts()
        .with_index(|index| index.field("attestation_key_fp").fill(0));
    refused(
        catalog,
        "layout",
        "fingerprint-zero",
        "M10",
        "30",
        "no fingerprint",
        zero,
    );
    let other = plan().parts().with_index(|index| {
        index.set(
            "attestation_key_fp",
            hex_sha256(&Secret::from_seed(OTHER).public()).as_bytes(),
        );
    });
    refused(
        catalog,
        "layout",
        "fingerprint-of-another",
        "M10",
        "30",
        "the fingerprint of somebody else's key",
        other,
    );

    let sbom = || {
        let slot = Slot {
            lifecycle: "attestation".to_string(),
            ..Slot::file(3, "sbom", b"{\"packages\":[]}")
        };
        plan().slot(slot)
    };
    let zero = sbom()
        .parts()
        .with_index(|index| index.field("attestation_sbom_digest").fill(0));
    refused(
        catalog,
        "layout",
        "sbom-digest-zero",
        "M10",
        "14",
        "an attestation slot and no digest of it in the index",
        zero,
    );
    let none = plan()
        .parts()
        .with_index(|index| index.set("attestation_sbom_digest", hex_sha256(b"").as_bytes()));
    refused(
        catalog,
        "layout",
        "sbom-digest-without-slot",
        "M10",
        "14",
        "a digest and no attestation slot",
        none,
    );
    let replaced = sbom().parts().with(|parts| {
        parts.slots[3].bytes.copy_from_slice(b"{\"packages\":{}}");
        let digest = hex_sha256(&parts.slots[3].bytes);
        parts
            .index
            .set("attestation_sbom_digest", digest.as_bytes());
        parts.repair();
    });
    refused(
        catalog,
        "layout|slot",
        "sbom-replaced",
        "M10 M31",
        "14",
        "the attestation replaced, its unsigned digests repaired",
        replaced,
    );
}

/// Every field of a descriptor (SPEC.md, 4.2).
fn descriptors(catalog: &mut Catalog) {
    for (offset, field) in [
        (0, "id"),
        (8, "name_hash"),
        (16, "offset"),
        (24, "size"),
        (32, "original_size"),
        (40, "operations"),
        (48, "checksum"),
        (56, "purpose"),
        (57, "lifecycle"),
        (58, "priority"),
        (59, "platform"),
        (60, "reserved_60"),
        (61, "reserved_61"),
        (62, "permissions_low"),
        (63, "permissions_high"),
    ] {
        let parts = plan().parts().with(|parts| parts.table[1][offset] ^= 8);
        let name = format!("descriptor-{}", field.replace('_', "-"));
        refused(
            catalog,
            "layout",
            &name,
            "M30",
            "4 107",
            &format!("one bit of {field} in the second descriptor"),
            parts,
        );
    }
    let setuid = plan().parts().with(|parts| parts.table[0][63] |= 0x08);
    refused(
        catalog,
        "layout",
        "descriptor-setuid",
        "M30",
        "75 107",
        "the setuid bit in a descriptor",
        setuid,
    );
}

fn tables(catalog: &mut Catalog) {
    let swapped = plan().parts().with(|parts| parts.table.swap(0, 1));
    refused(
        catalog,
        "layout",
        "table-swapped",
        "M30",
        "13",
        "two descriptors exchanged",
        swapped,
    );
    let doubled = plan().parts().with(|parts| parts.table[1] = parts.table[0]);
    refused(
        catalog,
        "layout",
        "table-doubled",
        "M30",
        "13",
        "the first descriptor twice",
        doubled,
    );
    let extra = plan().parts().with(|parts| {
        let mut descriptor = parts.table[2];
        descriptor[0] = 3;
        parts.table.push(descriptor);
        parts.index.set_u32("slot_count", 4);
        parts.index.set_u64("slot_table_size", 256);
        parts.repair();
    });
    refused(
        catalog,
        "layout",
        "table-extra",
        "M10 M30",
        "15",
        "a fourth descriptor that no metadata names",
        extra,
    );
    let fewer = plan().parts().with(|parts| {
        parts.table.pop();
        parts.gap_trailer.extend_from_slice(&[0; 64]);
        parts.index.set_u32("slot_count", 2);
        parts.index.set_u64("slot_table_size", 128);
        parts.repair();
    });
    refused(
        catalog,
        "layout",
        "table-fewer",
        "M10 M30",
        "16",
        "the metadata names a slot more than the table has",
        fewer,
    );
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
            "92",
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
