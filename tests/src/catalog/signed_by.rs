//! Signatures beside the first one (SPEC.md, 2.1). A record that is bad makes the package bad, whoever else has signed.

use super::{Catalog, about};
use crate::keys::{self, OTHER, SIGNER, Secret, Signed};
use crate::writer::{Parts, Plan, Signer, Slot, sha256};

pub(super) fn add(catalog: &mut Catalog) {
    valid(catalog);
    counts(catalog);
    order(catalog);
    signatures(catalog);
    keys(catalog);
    first(catalog);
}

fn parts() -> Parts {
    Plan::new().slot(Slot::file(0, "data", b"five!")).parts()
}

/// So many signers, none of them the first one, in the order that M12 asks for.
fn signers(count: u8) -> Vec<Secret> {
    let seed = |nth| [&[nth][..], b"psp-testkit: one of several...."].concat();
    let seeds = (0..count).map(|nth| seed(nth).try_into().expect("32 bytes"));
    let mut signers: Vec<Secret> = seeds.map(Secret::from_seed).collect();
    signers.sort_by_key(Secret::public);
    signers
}

/// The records of these signers, as they are.
fn records(parts: &Parts, signers: &[Secret]) -> Vec<Signed> {
    let sign = |signer: &Secret| signer.sign(&parts.text);
    signers.iter().map(sign).collect()
}

/// A package with as many good records, changed before the checksum is computed.
fn with(count: u8, edit: impl FnOnce(&mut Vec<Signed>)) -> Parts {
    parts().with(|parts| {
        let mut records = records(parts, &signers(count));
        edit(&mut records);
        parts.index.set_signed_by(&records);
        parts.repair_adler();
    })
}

fn valid(catalog: &mut Catalog) {
    for (count, comment) in [
        (1, "two signatures"),
        (2, "three signatures, two of them in records"),
        (16, "as many records as there can be"),
    ] {
        let name = format!("ok-signed-by-{count}");
        let bytes = with(count, |_| ()).bytes();
        catalog.ok(about(&name, "M11 M12 M13", "", comment), bytes);
    }
}

fn refused(catalog: &mut Catalog, layer: &str, about: (&str, &str, &str, &str), parts: Parts) {
    let (name, requirements, cases, comment) = about;
    let about = super::about(name, requirements, cases, comment);
    catalog.refused(layer, about, parts.bytes());
}

fn counts(catalog: &mut Catalog) {
    let counted = |records, count| {
        with(records, |_| ()).with_index(|index| index.set_u32("signed_by_count", count))
    };
    refused(
        catalog,
        "signature",
        (
            "signed-by-17",
            "M11",
            "",
            "one record more than there can be, and good",
        ),
        with(17, |_| ()),
    );
    refused(
        catalog,
        "signature",
        (
            "signed-by-count-max",
            "M11",
            "93",
            "signed_by_count is 2^32 - 1",
        ),
        counted(2, u32::MAX),
    );
    refused(
        catalog,
        "signature",
        (
            "signed-by-count-17",
            "M11",
            "93",
            "17 records counted, 16 are there",
        ),
        counted(16, 17),
    );
    refused(
        catalog,
        "signature",
        (
            "signed-by-count-more",
            "M12 M13",
            "93",
            "two records counted, the second is zeros",
        ),
        counted(1, 2),
    );
    refused(
        catalog,
        "layout",
        (
            "signed-by-count-less",
            "M10 M11",
            "8",
            "one record counted, a second good one lies behind it",
        ),
        counted(2, 1),
    );
    refused(
        catalog,
        "layout",
        (
            "signed-by-uncounted",
            "M10 M11",
            "8",
            "a good record, and none is counted",
        ),
        counted(1, 0),
    );
    let behind = with(2, |_| ()).with_index(|index| index.field("signed_by")[2 * 96] = 1);
    refused(
        catalog,
        "layout",
        (
            "signed-by-byte-behind",
            "M10 M11",
            "8",
            "the first byte behind the last record",
        ),
        behind,
    );
}

fn order(catalog: &mut Catalog) {
    let mut order = |name, comment, parts| {
        refused(catalog, "signature", (name, "M12", "", comment), parts);
    };
    order(
        "signed-by-order",
        "two good records in the wrong order",
        with(3, |records| records.swap(1, 2)),
    );
    order(
        "signed-by-order-first",
        "the first two of three in the wrong order",
        with(3, |records| records.swap(0, 1)),
    );
    order(
        "signed-by-twice",
        "the same record twice",
        with(2, |records| records[1] = records[0]),
    );
    order(
        "signed-by-twice-apart",
        "the first record again behind another",
        with(3, |records| records[2] = records[0]),
    );
    let again = |text: &[u8]| Secret::from_seed(SIGNER).sign(text);
    order(
        "signed-by-first-signer",
        "the first signature again in a record",
        parts().signed_by(&[&again]),
    );
}

fn signatures(catalog: &mut Catalog) {
    let mut broken = |name, cases, comment, sign: Signer<'_>| {
        let parts = parts().signed_by(&[sign]);
        refused(catalog, "signature", (name, "M13", cases, comment), parts);
    };
    let other = || Secret::from_seed(OTHER);
    broken("signed-by-r-flipped", "8", "one bit of R", &|text| {
        let mut signed = other().sign(text);
        signed.signature[0] ^= 1;
        signed
    });
    broken("signed-by-s-flipped", "8", "one bit of S", &|text| {
        let mut signed = other().sign(text);
        signed.signature[32] ^= 1;
        signed
    });
    broken(
        "signed-by-zero",
        "19",
        "a key, and zeros for its signature",
        &|text| Signed {
            signature: [0; 64],
            ..other().sign(text)
        },
    );
    broken(
        "signed-by-another",
        "31",
        "a key, and the first signer's signature",
        &|text| Signed {
            key: other().public(),
            ..Secret::from_seed(SIGNER).sign(text)
        },
    );
    broken(
        "signed-by-other-text",
        "3",
        "the signature of another package",
        &|text| other().sign(&[text, b" "].concat()),
    );
    broken(
        "signed-by-prehashed",
        "26",
        "Ed25519ph over the same text",
        &|text| other().sign_prehashed(text),
    );
    broken(
        "signed-by-of-digest",
        "26",
        "a signature of SHA-256 of the text",
        &|text| other().sign(&sha256(text)),
    );
    broken(
        "signed-by-s-plus-order",
        "24",
        "S + L: the equation holds",
        &|text| other().sign_unreduced(text),
    );
    broken(
        "signed-by-r-torsion",
        "24",
        "R has a part of order 8",
        &|text| other().sign_with_torsion_nonce(text),
    );
    broken("signed-by-r-identity", "24", "R is the identity", &|text| {
        other().sign_with_identity_nonce(keys::IDENTITY, text)
    });
    let last = with(16, |records| records[15].signature[63] ^= 0x01);
    refused(
        catalog,
        "signature",
        (
            "signed-by-last-bad",
            "M13",
            "8",
            "fifteen good records and a bad one",
        ),
        last,
    );
}

fn keys(catalog: &mut Catalog) {
    let mut weak = |name, cases, comment, sign: Signer<'_>| {
        let parts = parts().signed_by(&[sign]);
        refused(catalog, "signature", (name, "M13", cases, comment), parts);
    };
    weak(
        "signed-by-key-order-1",
        "23",
        "the identity, for which anybody can sign",
        &|text| keys::sign_with_small_key(0, text),
    );
    weak(
        "signed-by-key-order-8",
        "23",
        "a key of order 8, for which anybody can sign",
        &|text| keys::sign_with_small_key(1, text),
    );
    weak(
        "signed-by-key-mixed-order",
        "25",
        "a real key plus a point of order 8",
        &|text| Secret::from_seed(OTHER).sign_with_mixed_key(text),
    );
    weak(
        "signed-by-key-above-p",
        "22",
        "the identity with y = p + 1",
        &|text| keys::sign_with_encoded_identity(keys::IDENTITY_ABOVE_P, text),
    );
    weak(
        "signed-by-key-not-a-point",
        "22",
        "no point has this y",
        &|text| Signed {
            key: keys::NOT_A_POINT,
            ..Secret::from_seed(OTHER).sign(text)
        },
    );
}

/// Good records do not help a bad first signature.
fn first(catalog: &mut Catalog) {
    let mut bad = |name, cases, comment, edit: fn(&mut Signed)| {
        let plan = Plan::new().signed(move |text| {
            let mut signed = Secret::from_seed(SIGNER).sign(text);
            edit(&mut signed);
            signed
        });
        let other = |text: &[u8]| Secret::from_seed(OTHER).sign(text);
        let parts = plan.parts().signed_by(&[&other]);
        refused(catalog, "signature", (name, "M22", cases, comment), parts);
    };
    bad(
        "signed-by-first-bad",
        "8",
        "the first signature is bad, the record good",
        |signed| {
            signed.signature[0] ^= 1;
        },
    );
    bad(
        "signed-by-first-zero",
        "20",
        "key and signature are zero, the record is good",
        |signed| {
            *signed = Signed {
                key: [0; 32],
                signature: [0; 64],
            };
        },
    );
}
