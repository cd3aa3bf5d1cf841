//! The comparison of index, slot table and padding with what the signed metadata implies (SPEC.md, M10, M30).

use serde_json::json;

use super::{Catalog, about};
use crate::keys::{OTHER, Secret};
use crate::writer::index::FIELDS;
use crate::writer::{Parts, Plan, Slot, hex_sha256};

pub(super) fn add(catalog: &mut Catalog) {
    fields(catalog);
    attestation(catalog);
    descriptors(catalog);
    tables(catalog);
}

/// Three slots whose sizes ask for padding between them, and a metadata member that asks for padding, too.
pub(super) fn plan() -> Plan {
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

pub(super) fn refused(
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
