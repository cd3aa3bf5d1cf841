//! Cases 9 to 11, 14 and 17: a slot is replaced and everything that no signature covers is repaired. All six readers, with
//! and without a trust store, cold and warm.

use std::fs;

use psp_testkit::host::refusal;
use psp_testkit::keys::{SIGNER, Secret};
use psp_testkit::project::text;
use psp_testkit::reader::second_reader;
use psp_testkit::writer::member::{HEADER, fixed_huffman, wrap};
use psp_testkit::writer::{Parts, Plan, Slot, hex_sha256};

use super::common;
use super::place::{Place, assert_refused, assert_starts, failed_check};
use super::readers::{case, launched};

const IMPLIED: &str = "is not what the signed metadata implies";
const STORED: &str = "stored bytes do not match their signed checksum";

/// A package with a program and an attestation.
fn parts() -> Parts {
    let sbom = Slot {
        lifecycle: "attestation".to_owned(),
        ..Slot::file(1, "sbom", b"{\"packages\":[]}")
    };
    launched(|| {
        Plan::new()
            .slot(Slot::file(0, "data", b"good content"))
            .slot(sbom)
            .parts()
    })
}

/// What an attacker without the key can make of it: `slot` replaced by as many bytes, every unsigned number and digest
/// computed anew.
fn replaced(slot: usize, content: &[u8]) -> Vec<u8> {
    let parts = parts().with(|parts| {
        parts.slots[slot].bytes.copy_from_slice(content);
        let digest = hex_sha256(&parts.slots[1].bytes);
        parts
            .index
            .set("attestation_sbom_digest", digest.as_bytes());
        parts.repair();
    });
    parts.bytes()
}

/// The signer's key as a file beside the package.
fn trusted(place: &Place) {
    // RFC 8410: SubjectPublicKeyInfo of an Ed25519 key.
    const HEAD: [u8; 12] = [0x30, 0x2A, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 3, 0x21, 0];
    let key = [&HEAD[..], &Secret::from_seed(SIGNER).public()].concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64(&key)
    );
    fs::write(place.path().join("signer.pub"), pem).unwrap();
}

/// RFC 4648, 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let quantum = |chunk: &[u8]| {
        let byte = |place: usize| u32::from(*chunk.get(place).unwrap_or(&0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let digit = |place: usize| match place <= chunk.len() {
            true => char::from(DIGITS[usize::try_from(bits >> (18 - 6 * place) & 63).unwrap()]),
            false => '=',
        };
        [0, 1, 2, 3].map(digit)
    };
    bytes.chunks(3).flat_map(quantum).collect()
}

const TRUSTING: [&str; 3] = ["--trusted-key", "signer.pub", "--require-trusted"];

fn refused_by_all(bytes: &[u8]) {
    let (layer, detail) = common::verdict(bytes).unwrap();
    assert_eq!(layer, "layout", "{detail}");
    let place = Place::new(bytes);
    let answers = second_reader(place.path());
    assert_eq!(answers[0]["layer"], "layout", "{answers:?}");
    assert!(assert_refused(&place, "layout").contains(IMPLIED));
    assert!(refusal(&place.start()).contains(IMPLIED));
    assert!(!place.was_executed());
    assert_eq!(place.entries().len(), 0);
    trusted(&place);
    let words = [&["verify", "--json", "app.psp"], &TRUSTING[..]].concat();
    let output = place.flavor(&words);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(failed_check(&output).unwrap().layer, "layout");
    let words = [&["run"], &TRUSTING[..], &["app.psp"]].concat();
    assert!(refusal(&place.flavor(&words)).contains(IMPLIED));
    assert!(!place.was_executed());
    assert_eq!(place.entries().len(), 0);
}

/// A slot is replaced and its short digest repaired.
///
/// outcome: refused (125) by all six readers, with and without a trust store
/// layer: layout
/// message: is not what the signed metadata implies
#[test]
fn case_009_a_slot_replaced() {
    case(9, &["layout"], &[IMPLIED]);
    refused_by_all(&replaced(0, b"evil content"));
}

/// A slot is replaced by as many bytes, cold and after the good package was started.
///
/// outcome: refused (125) cold; warm, too, with its digest repaired; without, the good entry runs and the bytes are not used
/// layer: layout | slot
/// message: is not what the signed metadata implies | stored bytes do not match their signed checksum
#[test]
fn case_010_a_slot_of_equal_length_cold_and_warm() {
    case(10, &["layout"], &[IMPLIED]);
    let place = Place::new(&parts().bytes());
    assert_starts(&place);
    let before = place.cached();
    place.put(&replaced(0, b"evil content"));
    assert!(refusal(&place.start()).contains(IMPLIED));
    assert!(!place.was_executed());
    // The table as it was: only the stored bytes differ.
    let stored = parts().with(|parts| parts.slots[0].bytes.copy_from_slice(b"evil content"));
    place.put(&stored.bytes());
    assert_starts(&place);
    assert_eq!(
        place.cached(),
        before,
        "what was unpacked from the good file"
    );
    assert!(assert_refused(&Place::new(&stored.bytes()), "slot").contains(STORED));
    assert!(refusal(&Place::new(&stored.bytes()).start()).contains(STORED));
}

/// A slot is replaced in a package whose signer is trusted, where only trusted signers start.
///
/// outcome: refused (125)
/// layer: layout | slot
/// message: is not what the signed metadata implies | stored bytes do not match their signed checksum
#[test]
fn case_011_a_slot_replaced_in_a_trusted_package() {
    let place = Place::new(&parts().bytes());
    trusted(&place);
    // The good one is trusted, and starts.
    let words = [&["run"], &TRUSTING[..], &["app.psp"]].concat();
    let output = place.flavor(&words);
    assert!(
        output.status.success() && place.was_executed(),
        "{output:?}"
    );
    let words = [&["verify", "app.psp"], &TRUSTING[..]].concat();
    assert!(place.flavor(&words).status.success());
    let before = place.cached();
    let stored = parts().with(|parts| parts.slots[0].bytes.copy_from_slice(b"evil content"));
    for (bytes, fact) in [
        (replaced(0, b"evil content"), IMPLIED),
        (stored.bytes(), STORED),
    ] {
        place.put(&bytes);
        let output = place.flavor(&words);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stdout).contains(fact), "{output:?}");
        // Warm, too: `flavor run` reads every slot that it uses.
        let words = [&["run"], &TRUSTING[..], &["app.psp"]].concat();
        assert!(refusal(&place.flavor(&words)).contains(fact));
        assert!(!place.was_executed());
        assert_eq!(place.cached(), before);
    }
}

/// The attestation is replaced, and the unsigned digests of it repaired.
///
/// outcome: refused (125) by all six readers, with and without a trust store
/// layer: layout
/// message: is not what the signed metadata implies | more than one attestation
#[test]
fn case_014_an_attestation_replaced() {
    case(14, &["layout"], &[IMPLIED, "more than one attestation"]);
    refused_by_all(&replaced(1, b"{\"packages\":{}}"));
}

/// A slot whose signed full digest is not that of its bytes, in a package of this builder and of another one.
///
/// outcome: refused (125)
/// layer: slot | container
/// message: stored bytes do not match their signed checksum
#[test]
fn case_017_a_signed_digest_that_is_not_the_slots() {
    case(17, &["slot"], &[STORED]);
    // Compressed metadata, as every other builder writes it: base level.
    let bytes = launched(|| {
        Plan::new()
            .slot(Slot::file(0, "data", b"content"))
            .json(|root| {
                let other = format!("sha256:{}", hex_sha256(b"something else"));
                root["slots"][0]["checksum"] = other.into();
            })
            .member(|text| wrap(&HEADER, &fixed_huffman(text), text))
            .bytes()
    });
    let place = Place::new(&bytes);
    let output = place.flavor(&["verify", "app.psp"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    refusal(&place.flavor(&["run", "app.psp"]));
    refusal(&place.start());
    assert!(!place.was_executed());
    let output = place.flavor(&["extract-all", "app.psp", "out"]);
    assert!(
        !output.status.success() && !place.path().join("out").exists(),
        "{output:?}"
    );
}
