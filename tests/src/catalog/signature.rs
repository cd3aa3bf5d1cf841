//! Keys and signatures (SPEC.md, M22). Where mathematics allows it, the forged signature satisfies the equation, so that
//! only the rule about encodings and subgroups refuses it.

use super::{Catalog, about};
use crate::keys::{self, OTHER, SIGNER, Secret, Signed};
use crate::taming;
use crate::writer::{Plan, sha256};

pub(super) fn add(catalog: &mut Catalog) {
    missing(catalog);
    other_signers(catalog);
    weak_keys(catalog);
    encodings(catalog);
    tamed(catalog);
}

fn signer() -> Secret {
    Secret::from_seed(SIGNER)
}

fn refused(
    catalog: &mut Catalog,
    name: &str,
    cases: &str,
    comment: &str,
    sign: impl Fn(&[u8]) -> Signed + 'static,
) {
    catalog.plan(
        "signature",
        about(name, "M22", cases, comment),
        Plan::new().signed(sign),
    );
}

fn missing(catalog: &mut Catalog) {
    refused(
        catalog,
        "signature-zero",
        "19",
        "all 64 bytes are zero",
        |text| Signed {
            signature: [0; 64],
            ..signer().sign(text)
        },
    );
    refused(
        catalog,
        "signature-and-key-zero",
        "20",
        "key and signature are zero: y = 0 is a point of order 4",
        |_| Signed {
            key: [0; 32],
            signature: [0; 64],
        },
    );
    let not_required = Plan::new()
        .set("", "signature", serde_json::json!("not required"))
        .signed(|_| Signed {
            key: [0; 32],
            signature: [0; 64],
        });
    catalog.plan(
        "signature",
        about(
            "signature-not-required",
            "M22",
            "20",
            "key and signature are zero, and the metadata says that none is required",
        ),
        not_required,
    );
    refused(
        catalog,
        "signature-r-flipped",
        "8",
        "one bit of R",
        |text| {
            let mut signed = signer().sign(text);
            signed.signature[0] ^= 1;
            signed
        },
    );
    refused(
        catalog,
        "signature-s-flipped",
        "8",
        "one bit of S",
        |text| {
            let mut signed = signer().sign(text);
            signed.signature[32] ^= 1;
            signed
        },
    );
    refused(
        catalog,
        "signature-text-changed",
        "3",
        "the text is not the one that was signed",
        |text| signer().sign(&[text, b" "].concat()),
    );
}

fn other_signers(catalog: &mut Catalog) {
    refused(
        catalog,
        "signature-by-another",
        "31",
        "the key of one signer, the signature of another",
        |text| Signed {
            key: signer().public(),
            ..Secret::from_seed(OTHER).sign(text)
        },
    );
    refused(
        catalog,
        "signature-prehashed",
        "26",
        "Ed25519ph over the same text",
        |text| signer().sign_prehashed(text),
    );
    refused(
        catalog,
        "signature-of-digest",
        "26",
        "pure Ed25519 over SHA-256 of the text",
        |text| signer().sign(&sha256(text)),
    );
    refused(
        catalog,
        "signature-of-member",
        "26",
        "pure Ed25519 over the gzip member",
        |text| signer().sign(&crate::writer::member::stored(text)),
    );
}

fn weak_keys(catalog: &mut Catalog) {
    // curve25519-dalek lists the torsion group as multiples of one point of order 8.
    const SMALL: [(usize, &str); 8] = [
        (0, "1"),
        (1, "8-a"),
        (2, "4-a"),
        (3, "8-b"),
        (4, "2"),
        (5, "8-c"),
        (6, "4-b"),
        (7, "8-d"),
    ];
    for (torsion, order) in SMALL {
        let name = format!("key-order-{order}");
        refused(
            catalog,
            &name,
            "23",
            "a key of small order, for which anybody can sign",
            move |text| keys::sign_with_small_key(torsion, text),
        );
    }
    refused(
        catalog,
        "key-and-r-identity",
        "21",
        "key and R are the identity, S is zero",
        |_| {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&keys::IDENTITY);
            Signed {
                key: keys::IDENTITY,
                signature,
            }
        },
    );
    refused(
        catalog,
        "key-mixed-order",
        "25",
        "a real key plus a point of order 8",
        |text| signer().sign_with_mixed_key(text),
    );
}

fn encodings(catalog: &mut Catalog) {
    refused(
        catalog,
        "key-above-p",
        "22",
        "the identity with y = p + 1",
        |text| keys::sign_with_encoded_identity(keys::IDENTITY_ABOVE_P, text),
    );
    refused(
        catalog,
        "key-above-p-negative",
        "22",
        "the identity with y = p + 1 and the sign bit",
        |text| keys::sign_with_encoded_identity(keys::IDENTITY_ABOVE_P_NEGATIVE, text),
    );
    for (name, key, comment) in [
        (
            "key-order-2-negative",
            keys::ORDER_2_NEGATIVE,
            "the point of order 2 with the sign bit of x = 0 set",
        ),
        (
            "key-large-above-p",
            keys::LARGE_ABOVE_P,
            "a point of large order with y = p + 3",
        ),
        (
            "key-large-above-p-negative",
            keys::LARGE_ABOVE_P_NEGATIVE,
            "its negative with y = p + 3",
        ),
    ] {
        refused(catalog, name, "22", comment, move |text| Signed {
            key,
            ..signer().sign(text)
        });
    }
    refused(
        catalog,
        "key-negative-zero",
        "22",
        "the identity with the sign bit of x = 0 set",
        |text| keys::sign_with_encoded_identity(keys::IDENTITY_NEGATIVE, text),
    );
    refused(
        catalog,
        "key-not-a-point",
        "22",
        "no point has this y",
        |text| Signed {
            key: keys::NOT_A_POINT,
            ..signer().sign(text)
        },
    );
    refused(
        catalog,
        "r-above-p",
        "24",
        "R is the identity with y = p + 1; the equation holds",
        |text| signer().sign_with_identity_nonce(keys::IDENTITY_ABOVE_P, text),
    );
    refused(
        catalog,
        "r-above-p-negative",
        "24",
        "R is the identity with y = p + 1 and the sign bit; the equation holds",
        |text| signer().sign_with_identity_nonce(keys::IDENTITY_ABOVE_P_NEGATIVE, text),
    );
    for (name, point, comment) in [
        (
            "r-order-2-negative",
            keys::ORDER_2_NEGATIVE,
            "R is of order 2, with the sign bit of x = 0 set",
        ),
        ("r-as-p", keys::ORDER_4_AS_P, "R is of order 4, with y = p"),
        (
            "r-as-p-negative",
            keys::ORDER_4_AS_P_NEGATIVE,
            "R is of order 4, with y = p and the sign bit",
        ),
    ] {
        refused(catalog, name, "24", comment, move |text| {
            signer().sign_with_identity_nonce(point, text)
        });
    }
    refused(
        catalog,
        "r-identity",
        "24",
        "R is the identity: whoever reads this signature knows the key",
        |text| signer().sign_with_identity_nonce(keys::IDENTITY, text),
    );
    refused(
        catalog,
        "r-negative-zero",
        "24",
        "R is the identity with the sign bit set; the equation holds",
        |text| signer().sign_with_identity_nonce(keys::IDENTITY_NEGATIVE, text),
    );
    refused(
        catalog,
        "r-not-a-point",
        "24",
        "no point has the y of R",
        |text| {
            let mut signed = signer().sign(text);
            signed.signature[..32].copy_from_slice(&keys::NOT_A_POINT);
            signed
        },
    );
    refused(
        catalog,
        "r-torsion",
        "24",
        "R has a part of order 8: only the equation with the cofactor holds",
        |text| signer().sign_with_torsion_nonce(text),
    );
    refused(
        catalog,
        "s-plus-order",
        "24",
        "S + L: the equation holds, the encoding is another",
        |text| signer().sign_unreduced(text),
    );
    refused(catalog, "s-is-order", "24", "S = L", |text| {
        let mut signed = signer().sign(text);
        signed.signature[32..].copy_from_slice(&keys::ORDER);
        signed
    });
    refused(catalog, "s-max", "24", "S = 2^256 - 1", |text| {
        let mut signed = signer().sign(text);
        signed.signature[32..].fill(0xFF);
        signed
    });
}

/// See [`taming`].
fn tamed(catalog: &mut Catalog) {
    for (number, cases, comment) in [
        (0, "21 23", "key and R of small order, S is 0"),
        (1, "23", "a key of small order, R of mixed order"),
        (2, "25", "a key of mixed order, R of small order"),
        (3, "25", "key and R of mixed order, both equations hold"),
        (
            4,
            "25",
            "key and R of mixed order, only the equation with the cofactor holds",
        ),
        (
            5,
            "25",
            "a key of mixed order, only the equation with the cofactor holds",
        ),
        (6, "24", "S + L"),
        (7, "24", "S + 14 L"),
        (
            8,
            "24 25",
            "a key of mixed order, R small and not canonical, hashed as it is",
        ),
        (
            9,
            "24 25",
            "a key of mixed order, R small and not canonical, hashed in canonical form",
        ),
        (10, "22", "a key small and not canonical, hashed as it is"),
        (
            11,
            "22",
            "a key small and not canonical, hashed in canonical form",
        ),
    ] {
        let name = format!("taming-{number}");
        refused(catalog, &name, cases, comment, move |text| {
            taming::sign(number, &signer(), text)
        });
    }
}
