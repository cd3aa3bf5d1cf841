//! Slot records and stored bytes (SPEC.md, M31-M41), and the launcher's digest.

use serde_json::json;

use super::{Catalog, about};
use crate::writer::{Parts, Plan, Slot};

pub(super) fn add(catalog: &mut Catalog) {
    records(catalog);
    operations(catalog);
    targets(catalog);
    digests(catalog);
}

fn refused(
    catalog: &mut Catalog,
    name: &str,
    requirement: &str,
    cases: &str,
    comment: &str,
    plan: Plan,
) {
    catalog.plan("layout", about(name, requirement, cases, comment), plan);
}

fn one(slot: Slot) -> Plan {
    Plan::new().slot(slot)
}

fn file() -> Slot {
    Slot::file(0, "data", b"content")
}

fn records(catalog: &mut Catalog) {
    for (name, id) in [
        ("slot-id-empty", String::new()),
        ("slot-id-65", "i".repeat(65)),
        ("slot-id-dot-first", ".data".to_string()),
        ("slot-id-dash-first", "-data".to_string()),
        ("slot-id-slash", "da/ta".to_string()),
        ("slot-id-space", "da ta".to_string()),
        ("slot-id-newline", "da\nta".to_string()),
        ("slot-id-rtl", "da\u{202E}ta".to_string()),
        ("slot-id-escape", "da\u{1B}[2Jta".to_string()),
        ("slot-id-not-ascii", "d\u{e4}ta".to_string()),
    ] {
        refused(
            catalog,
            name,
            "M36",
            "108",
            "not a slot id",
            one(Slot { id, ..file() }),
        );
    }
    let twice = one(file()).slot(Slot::file(1, "data", b"other").at("other"));
    refused(
        catalog,
        "slot-id-twice",
        "M36",
        "107",
        "two slots of one id",
        twice,
    );
    let mut wrong =
        |name, comment, slot: Slot| refused(catalog, name, "M36", "106 107", comment, one(slot));
    wrong(
        "slot-lifecycle-unknown",
        "a lifecycle that 4.1 does not name",
        Slot {
            lifecycle: "shutdown".to_string(),
            ..file()
        },
    );
    wrong(
        "slot-purpose-unknown",
        "a purpose that 4.1 does not name",
        Slot {
            purpose: "secret".to_string(),
            ..file()
        },
    );
    wrong(
        "slot-mode-setuid",
        "mode 04755",
        Slot {
            mode: 0o4755,
            ..file()
        },
    );
    wrong(
        "slot-mode-1000",
        "mode 01000",
        Slot {
            mode: 0o1000,
            ..file()
        },
    );
    wrong(
        "slot-mode-tar",
        "a tar slot has mode 0755",
        Slot {
            mode: 0o700,
            ..Slot::tar(0, "app", &[0; 1024]).at(".")
        },
    );
    let mut edit = |name, comment, key, value: serde_json::Value| {
        refused(
            catalog,
            name,
            "M36",
            "106 107",
            comment,
            one(file()).set("/slots/0", key, value),
        );
    };
    edit(
        "slot-source",
        "`source` is not empty",
        "source",
        json!("/etc/passwd"),
    );
    edit(
        "slot-mode-2-32",
        "a mode beyond 32 bits",
        "mode",
        json!((1u64 << 32) + 0o644),
    );
    edit(
        "slot-checksum-16",
        "16 digits, as flavorpack writes them for attestations",
        "checksum",
        json!("0123456789abcdef"),
    );
    edit("slot-checksum-empty", "no checksum", "checksum", json!(""));
    edit(
        "slot-checksum-other",
        "the digest of something else",
        "checksum",
        json!(format!("sha256:{}", "0".repeat(64))),
    );
    let mut numbers = |name, comment, first, second| {
        let plan = one(Slot::file(first, "a", b"a")).slot(Slot::file(second, "b", b"b"));
        refused(catalog, name, "M36", "107", comment, plan);
    };
    numbers("slot-number-descending", "numbers 1, 0", 1, 0);
    numbers("slot-number-twice", "numbers 5, 5", 5, 5);
    let attestation = |number, id: &str| Slot {
        lifecycle: "attestation".to_string(),
        ..Slot::file(number, id, b"{}")
    };
    let two = one(attestation(0, "a")).slot(attestation(1, "b"));
    refused(
        catalog,
        "slot-two-attestations",
        "M33",
        "14",
        "two slots with lifecycle attestation",
        two,
    );
}

fn operations(catalog: &mut Catalog) {
    let mut chain = |name, comment, text: &str, code| {
        refused(
            catalog,
            name,
            "M35",
            "99 107",
            comment,
            one(file().operation(text, code)),
        );
    };
    chain("ops-text-disagrees", "text none, number zstd", "none", 0x1B);
    chain("ops-number-disagrees", "text tar, number none", "tar", 0);
    chain(
        "ops-after-end",
        "a step after the first 0 byte",
        "none",
        0x1B00,
    );
    chain("ops-after-end-tar", "tar, end, zstd", "tar", 0x1B_0001);
    chain("ops-reversed", "zstd, then tar", "tar.zst", 0x011B);
    chain("ops-unknown", "a step 0x7F", "none", 0x7F);
    chain(
        "ops-eight-times",
        "zstd eight times",
        "zstd",
        0x1B1B_1B1B_1B1B_1B1B,
    );
    chain(
        "ops-gzip",
        "gzip alone is a chain of the base format only",
        "gzip",
        0x10,
    );
    chain(
        "ops-tar-xz",
        "tar.xz is a chain of the base format only",
        "tar.xz",
        0x1601,
    );
    chain(
        "ops-pipe",
        "the base format's other spelling",
        "tar|zstd",
        0x1B01,
    );
    chain("ops-upper-case", "upper case", "NONE", 0);
    chain("ops-empty", "an empty text", "", 0);
    chain("ops-tar-gz-zero", "text tar.gz, number 0", "tar.gz", 0);
    chain("ops-raw", "`raw`, another name of none", "raw", 0);
    for (name, size, comment) in [
        (
            "original-size-file-less",
            6,
            "a file slot of 7 bytes claims 6",
        ),
        (
            "original-size-file-more",
            8,
            "a file slot of 7 bytes claims 8",
        ),
        (
            "original-size-file-2-63",
            1 << 63,
            "a file slot of 7 bytes claims 2^63",
        ),
    ] {
        let plan = one(Slot {
            original_size: size,
            ..file()
        });
        catalog.plan("layout|contents", about(name, "M36", "85", comment), plan);
    }
}

fn targets(catalog: &mut Catalog) {
    for (name, requirement, target) in [
        ("target-empty", "M40", ""),
        ("target-parent", "M40", "../x"),
        ("target-parent-only", "M40", ".."),
        ("target-parent-inside", "M40", "a/../../x"),
        ("target-parent-harmless", "M40", "a/../b"),
        ("target-absolute", "M40", "/etc/passwd"),
        ("target-workenv", "M40", "{workenv}/../x"),
        ("target-double-slash", "M40", "a//b"),
        ("target-final-slash", "M40", "a/"),
        ("target-dot-first", "M40", "./a"),
        ("target-dot-inside", "M40", "a/./b"),
        ("target-nul", "M40", "a\0b"),
        ("target-dot-file", "M41", "."),
        ("target-flavor", "M41", ".flavor"),
        ("target-flavor-inside", "M41", ".flavor/complete"),
        ("target-flavor-prefix", "M41", ".flavorful"),
    ] {
        refused(
            catalog,
            name,
            requirement,
            "88",
            &format!("target {target:?}"),
            one(file().at(target)),
        );
    }
    let mut long = |name, comment, target: String| {
        refused(
            catalog,
            name,
            "M40",
            "79 88",
            comment,
            one(file().at(&target)),
        )
    };
    long(
        "target-component-256",
        "a component of 256 bytes",
        "c".repeat(256),
    );
    long(
        "target-4096",
        "4096 bytes",
        vec!["c".repeat(240); 17].join("/")[..4096].to_string(),
    );
    long(
        "target-129-deep",
        "129 components",
        vec!["d"; 129].join("/"),
    );
    let tar = |target: &str| one(Slot::tar(0, "app", &[0; 1024]).at(target));
    refused(
        catalog,
        "target-tar-flavor",
        "M41",
        "88",
        "an archive at .flavor",
        tar(".flavor"),
    );
    refused(
        catalog,
        "target-tar-parent",
        "M40",
        "88",
        "an archive at ..",
        tar(".."),
    );
    refused(
        catalog,
        "target-tar-dot-slash",
        "M41",
        "88",
        "an archive at ./",
        tar("./"),
    );
    let twice = one(file()).slot(Slot::file(1, "other", b"other").at("data"));
    refused(
        catalog,
        "target-twice",
        "M34",
        "76",
        "two slots of one target",
        twice,
    );
}

fn digests(catalog: &mut Catalog) {
    let plan = || {
        Plan::new()
            .slot(Slot::file(0, "one", b"the first content"))
            .slot(Slot::file(1, "two", b"another content.."))
    };
    let mut slot = |layer, name, cases, comment, edit: fn(&mut Parts)| {
        catalog.refused(
            layer,
            about(name, "M31", cases, comment),
            plan().parts().with(edit).bytes(),
        );
    };
    slot(
        "slot",
        "slot-first-byte",
        "5",
        "one bit of a slot's first byte",
        |parts| parts.slots[0].bytes[0] ^= 1,
    );
    slot(
        "slot",
        "slot-middle-byte",
        "5",
        "one bit in the middle of a slot",
        |parts| parts.slots[1].bytes[8] ^= 1,
    );
    slot(
        "slot",
        "slot-last-byte",
        "5",
        "one bit of a slot's last byte",
        |parts| parts.slots[1].bytes[16] ^= 0x80,
    );
    slot(
        "slot",
        "slots-exchanged",
        "13",
        "the bytes of two slots exchanged",
        |parts| {
            let (front, back) = parts.slots.split_at_mut(1);
            std::mem::swap(&mut front[0].bytes, &mut back[0].bytes);
        },
    );
    slot(
        "slot",
        "slot-of-older-package",
        "12",
        "the bytes of another signed package",
        |parts| {
            parts.slots[0].bytes.copy_from_slice(b"the older content");
        },
    );
    slot(
        "layout|slot",
        "slot-sha8-repaired",
        "9 10",
        "a slot replaced, its truncated digest repaired",
        |parts| {
            parts.slots[0].bytes.copy_from_slice(b"replaced content!");
            parts.repair();
        },
    );
    // The signed digest is of other bytes, and what is unsigned follows it: nothing but M31 sees it.
    let lied = plan().json(|root| {
        root["slots"][0]["checksum"] = json!(format!(
            "sha256:{}",
            crate::writer::hex_sha256(b"something else")
        ));
    });
    let lied = lied.parts().with(|parts| {
        parts.table[0][48..56]
            .copy_from_slice(&crate::writer::sha8(b"something else").to_le_bytes());
    });
    catalog.refused(
        "slot",
        about(
            "slot-signed-digest-wrong",
            "M31",
            "17",
            "record and descriptor agree on the digest of other bytes",
        ),
        lied.bytes(),
    );
    // What a collision of the truncated digest looks like: 8 bytes are right, the other 24 are not.
    let collided = plan().json(|root| {
        let text = root["slots"][0]["checksum"]
            .as_str()
            .expect("a string")
            .to_string();
        root["slots"][0]["checksum"] = json!(format!("{}{}", &text[..23], "0".repeat(48)));
    });
    catalog.refused(
        "slot",
        about(
            "slot-truncated-collision",
            "M31",
            "18",
            "the first 8 bytes of the digest hold, the others do not",
        ),
        collided.bytes(),
    );

    let mut launcher = |name, cases, comment, edit: fn(&mut Parts)| {
        catalog.refused(
            "launcher",
            about(name, "M26", cases, comment),
            plan().parts().with(edit).bytes(),
        );
    };
    launcher(
        "launcher-first-byte",
        "1",
        "one bit of the launcher's first byte",
        |parts| parts.launcher[0] ^= 1,
    );
    launcher(
        "launcher-last-byte",
        "1",
        "one bit of the launcher's last byte",
        |parts| parts.launcher[63] ^= 1,
    );
    launcher(
        "launcher-replaced",
        "2",
        "another launcher of the same size",
        |parts| parts.launcher.fill(0x90),
    );
    let longer = plan().parts().with(|parts| {
        parts.launcher.extend_from_slice(&[0x90; 8]);
        for field in ["launcher_size", "metadata_offset", "slot_table_offset"] {
            let value = parts.index.u64(field);
            parts.index.set_u64(field, value + 8);
        }
        for descriptor in &mut parts.table {
            let offset = u64::from_le_bytes(descriptor[16..24].try_into().expect("8 bytes"));
            descriptor[16..24].copy_from_slice(&(offset + 8).to_le_bytes());
        }
        parts.repair();
    });
    catalog.refused(
        "container|layout",
        about(
            "launcher-longer",
            "M10 M26",
            "2",
            "another launcher of another size, everything unsigned repaired",
        ),
        longer.bytes(),
    );
    let wrong = plan().set(
        "/launcher",
        "checksum",
        json!(format!("sha256:{}", "0".repeat(64))),
    );
    catalog.plan(
        "launcher",
        about(
            "launcher-signed-digest-wrong",
            "M26",
            "2",
            "the signed digest is of another launcher",
        ),
        wrong,
    );
}
