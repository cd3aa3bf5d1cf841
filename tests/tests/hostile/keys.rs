//! Cases 19 to 27: signatures that hold and must not, and keys that nobody owns.

use psp_format::verify::verify_bytes;
use psp_testkit::vector;

use super::readers::case;
use psp_testkit::writer::sample::package;

const SIGNATURE: &str = "the signature does not match the metadata";
const SMALL: &str = "public key refused: of small order";
const MIXED: &str = "public key refused: of mixed order";
const NOT_CANONICAL: &str = "public key refused: not a canonical encoding";

/// The signature is all zero.
///
/// outcome: refused (125)
/// layer: signature
/// message: the package is not signed | the signature does not match the metadata
#[test]
fn case_019_a_signature_of_zeros() {
    case(
        19,
        &["signature"],
        &["the package is not signed", SIGNATURE],
    );
}

/// Key and signature are zero, also where the metadata says that none is required.
///
/// outcome: refused (125)
/// layer: signature
/// message: the package is not signed
#[test]
fn case_020_neither_key_nor_signature() {
    case(20, &["signature"], &["the package is not signed"]);
}

/// Key and R are points of small order and S is zero.
///
/// outcome: refused (125)
/// layer: signature
/// message: of small order
#[test]
fn case_021_key_and_r_are_the_identity() {
    case(21, &["signature"], &[SMALL]);
}

/// The key is written in a second way: y not reduced, or a sign where x is zero.
///
/// outcome: refused (125)
/// layer: signature
/// message: not a canonical encoding | not a point of the curve
#[test]
fn case_022_keys_that_are_not_canonical() {
    let messages = [
        NOT_CANONICAL,
        "public key refused: not a point of the curve",
    ];
    case(22, &["signature"], &messages);
}

/// A key of order 1, 2, 4 or 8, for which anybody can sign.
///
/// outcome: refused (125)
/// layer: signature
/// message: of small order
#[test]
fn case_023_keys_of_small_order() {
    case(23, &["signature"], &[SMALL]);
}

/// R is not canonical or of small order, S is not below the group order.
///
/// outcome: refused (125)
/// layer: signature
/// message: the signature does not match the metadata | of mixed order
#[test]
fn case_024_r_and_s_in_other_forms() {
    case(24, &["signature"], &[SIGNATURE, MIXED]);
}

/// A point of small order is added to a real key.
///
/// outcome: refused (125)
/// layer: signature
/// message: of mixed order
#[test]
fn case_025_keys_of_mixed_order() {
    case(25, &["signature"], &[MIXED]);
}

/// The signature was made for something else: Ed25519ph, a digest of the text, the gzip member.
///
/// outcome: refused (125)
/// layer: signature
/// message: the signature does not match the metadata
#[test]
fn case_026_signatures_of_other_contexts() {
    case(26, &["signature"], &[SIGNATURE]);
}

/// A byte behind the 64 of the signature is not zero.
///
/// outcome: refused (125)
/// layer: signature
/// message: of the signature field is not zero
#[test]
fn case_027_bytes_behind_the_signature() {
    case(27, &["signature"], &["of the signature field is not zero"]);
    for place in 64..512 {
        let parts = package().with_index(|index| index.field("signature")[place] = 1);
        let error = verify_bytes(&parts.bytes()).err().unwrap();
        assert_eq!(error.layer().to_string(), "signature", "{place}: {error}");
    }
}

/// The signatures of `speccheck` are all there, by number.
#[test]
fn every_signature_of_speccheck_is_a_vector() {
    let vectors = vector::load_all();
    for number in 0..12 {
        let name = format!("taming-{number}");
        assert!(vectors.iter().any(|vector| vector.name == name), "{name}");
    }
}
