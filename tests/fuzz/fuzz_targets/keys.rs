//! Keys: raw, as DER, in PEM and in the files of a trust store. Nothing panics, each key has one raw form, and a reader
//! gives back no other key than the one that stands there.

#![no_main]

use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::IsIdentity as _;
use libfuzzer_sys::fuzz_target;
use psp_format::signature::PublicKey;
use psp_format::{base64, keys};
use psp_launcher::trust::key_file;

/// What SPKI and PKCS#8 documents of an Ed25519 key begin with (RFC 8410, 4 and 7).
const SPKI: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
const PKCS8: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

fuzz_target!(|input: &[u8]| {
    if let Ok(raw) = input.try_into() {
        raw_key(raw);
    }
    document(input);
    let file = key_file::read(input);
    let Ok(text) = core::str::from_utf8(input) else {
        return;
    };
    if let Ok(key) = keys::public_key_from_pem(text) {
        let pem = keys::public_key_to_pem(&key).expect("a key that was read");
        assert_eq!(keys::public_key_from_pem(&pem), Ok(key));
        // Whoever reads lines and whoever looks for a block may see different blocks, but not in what we write.
        let again = key_file::read(pem.as_bytes()).expect("a block alone");
        assert_eq!(again.key, *key.as_bytes());
        if pem.as_bytes().trim_ascii() == input.trim_ascii() {
            assert!(file.is_ok_and(|file| file.key == *key.as_bytes()));
        }
    }
    if let Ok(key) = keys::private_key_from_pem(text) {
        let pem = keys::private_key_to_pem(&key).expect("a key that was read");
        let again = keys::private_key_from_pem(&pem).expect("what was written");
        assert_eq!(again.public_key(), key.public_key());
        assert!(
            keys::public_key_from_pem(&pem).is_err() && key_file::read(pem.as_bytes()).is_err()
        );
    }
});

/// A key is accepted when it is a point of the prime-order group in its one encoding.
fn raw_key(raw: &[u8; 32]) {
    let point = CompressedEdwardsY(*raw).decompress();
    let is_good = point.is_some_and(|point| {
        point.compress().0 == *raw && !point.is_identity() && point.is_torsion_free()
    });
    let key = PublicKey::from_bytes(raw);
    assert_eq!(key.is_ok(), is_good);
    if let Ok(key) = key {
        assert_eq!(key.as_bytes(), raw);
        let pem = keys::public_key_to_pem(&key).expect("a good key");
        assert_eq!(keys::public_key_from_pem(&pem), Ok(key));
    }
}

/// The bytes as the document in a PEM block.
fn document(der: &[u8]) {
    let mut digits = base64::encode(der);
    let mut lines = String::new();
    while !digits.is_empty() {
        let rest = digits.split_off(digits.len().min(64));
        lines = lines + &digits + "\n";
        digits = rest;
    }
    let pem = |label: &str| format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n");
    let public = pem("PUBLIC KEY");
    let raw = der.strip_prefix(SPKI).filter(|raw| raw.len() == 32);
    let file = key_file::read(public.as_bytes());
    assert_eq!(file.ok().as_ref().map(|file| &file.key[..]), raw);
    if let Ok(key) = keys::public_key_from_pem(&public) {
        assert_eq!(Some(&key.as_bytes()[..]), raw);
    }
    if let Ok(key) = keys::private_key_from_pem(&pem("PRIVATE KEY")) {
        let seed = der.windows(32).any(|seed| {
            let seed = seed.try_into().expect("32 bytes");
            psp_format::signature::PrivateKey::from_seed(seed).public_key() == key.public_key()
        });
        assert!(seed, "a key of other bytes");
        // Version 1 has one form; version 2 brings the public key.
        assert!(der.starts_with(PKCS8) || der.get(4) == Some(&1));
    }
}
