//! Keys and signatures (SPEC.md, M22). Where mathematics allows it, the forged signature satisfies the equation, so that
//! only the rule about encodings and subgroups refuses it.

use super::{Catalog, about};
use crate::keys::{self, OTHER, SIGNER, Secret, Signed};
use crate::writer::{Plan, sha256};

pub(super) fn add(catalog: &mut Catalog) {
    missing(catalog);
    other_signers(catalog);
    weak_keys(catalog);
    encodings(catalog);
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
