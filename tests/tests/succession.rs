//! Key successions (SPEC.md, 6), made by the writer of this crate: what both readers say about each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::Command;

use psp_format::succession;
use psp_testkit::keys::{self, OTHER, SIGNER, Secret};

const DOMAIN: &[u8; 27] = b"PSPF/2025 key succession 1\0";
const BEGIN: &str = "-----BEGIN FLAVOR KEY SUCCESSION-----\n";
const END: &str = "-----END FLAVOR KEY SUCCESSION-----\n";
const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn old() -> Secret {
    Secret::from_seed(SIGNER)
}

fn new() -> Secret {
    Secret::from_seed(OTHER)
}

/// RFC 4648, 4, bit by bit.
fn base64(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let digit = |bits: &[u8]| {
        let value = (0..6).fold(0, |value, nth| value * 2 + bits.get(nth).unwrap_or(&0));
        char::from(DIGITS[usize::from(value)])
    };
    let mut out: String = bits.chunks(6).map(digit).collect();
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    out
}

fn armour(bytes: &[u8], line: usize) -> String {
    let digits = base64(bytes);
    let lines = digits
        .as_bytes()
        .chunks(line)
        .map(|line| String::from_utf8_lossy(line) + "\n");
    format!("{BEGIN}{}{END}", lines.collect::<String>())
}

/// A statement with these keys, signed by `signer` in whatever way.
fn statement(
    domain: &[u8],
    old: [u8; 32],
    new: [u8; 32],
    sign: impl Fn(&[u8]) -> [u8; 64],
) -> Vec<u8> {
    let signed = [domain, &old, &new].concat();
    let signature = sign(&signed);
    [&signed[..], &signature].concat()
}

fn by_old(text: &[u8]) -> [u8; 64] {
    old().sign(text).signature
}

/// Every case: its name, the requirement that it breaks (none: it is good), the text.
fn cases() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (first, second) = (old().public(), new().public());
    let bytes = statement(DOMAIN, first, second, by_old);
    let good = armour(&bytes, 64);
    let mut cases: Vec<(&str, &str, Vec<u8>)> = Vec::new();
    let mut add = |name, rule, text: String| cases.push((name, rule, text.into_bytes()));
    let armoured = |bytes: &[u8]| armour(bytes, 64);
    add("good", "", good.clone());

    add("empty", "M70", String::new());
    add("crlf", "M70", good.replace('\n', "\r\n"));
    add("text-before", "M70", format!("# from somebody\n{good}"));
    add("line-behind", "M70", format!("{good}\n"));
    add("no-last-newline", "M70", good.trim_end().to_owned());
    add("twice", "M70", format!("{good}{good}"));
    add("lines-of-76", "M70", armour(&bytes, 76));
    add("one-line", "M70", armour(&bytes, 1000));
    add("space", "M70", good.replacen("\nU", "\n U", 1));
    add("tab-for-digit", "M70", good.replacen("\nU", "\n\t", 1));
    add(
        "url-alphabet",
        "M70",
        good.replace('+', "-")
            .replace('/', "_")
            .replacen("\nU", "\n-", 1),
    );
    add(
        "other-label",
        "M70",
        good.replace("KEY SUCCESSION", "KEY_SUCCESSION"),
    );
    add(
        "public-key",
        "M70",
        good.replace("FLAVOR KEY SUCCESSION", "PUBLIC KEY"),
    );
    // 155 bytes leave four bits of the last digit without a byte.
    let at = good.find("=\n").unwrap() - 1;
    let digit = DIGITS
        .iter()
        .position(|digit| *digit == good.as_bytes()[at])
        .unwrap();
    let mut unused = good.clone().into_bytes();
    unused[at] = DIGITS[digit | 1];
    cases.push(("unused-bits", "M70", unused));
    let mut padding = good.clone().into_bytes();
    padding[at + 1] = b'A';
    cases.push(("digit-for-padding", "M70", padding));

    let mut add =
        |name, rule, bytes: Vec<u8>| cases.push((name, rule, armoured(&bytes).into_bytes()));
    add("a-byte-more", "M70", [&bytes[..], &[0]].concat());
    add("a-byte-less", "M70", bytes[..154].to_vec());
    let other = b"PSPF/2025 key succession 2\0";
    add(
        "other-version",
        "M71",
        statement(other, first, second, by_old),
    );
    let other = b"{SPF/2025 key succession 1\0";
    add(
        "like-metadata",
        "M71",
        statement(other, first, second, by_old),
    );

    add("same-key", "M72", statement(DOMAIN, first, first, by_old));
    let small = |text: &[u8]| keys::sign_with_small_key(1, text).signature;
    let weak = keys::sign_with_small_key(1, b"").key;
    add(
        "old-small-order",
        "M72",
        statement(DOMAIN, weak, second, small),
    );
    add(
        "new-small-order",
        "M72",
        statement(DOMAIN, first, weak, by_old),
    );
    let mixed = |text: &[u8]| old().sign_with_mixed_key(text).signature;
    let mixed_key = old().sign_with_mixed_key(b"").key;
    add(
        "old-mixed-order",
        "M72",
        statement(DOMAIN, mixed_key, second, mixed),
    );
    add(
        "new-mixed-order",
        "M72",
        statement(DOMAIN, first, mixed_key, by_old),
    );
    add(
        "new-above-p",
        "M72",
        statement(DOMAIN, first, keys::IDENTITY_ABOVE_P, by_old),
    );
    add(
        "new-not-a-point",
        "M72",
        statement(DOMAIN, first, keys::NOT_A_POINT, by_old),
    );

    let by_new = |text: &[u8]| new().sign(text).signature;
    add(
        "signed-by-new",
        "M73",
        statement(DOMAIN, first, second, by_new),
    );
    add(
        "keys-swapped",
        "M73",
        statement(DOMAIN, second, first, by_old),
    );
    add(
        "signature-zero",
        "M73",
        statement(DOMAIN, first, second, |_| [0; 64]),
    );
    let unreduced = |text: &[u8]| old().sign_unreduced(text).signature;
    add(
        "s-plus-order",
        "M73",
        statement(DOMAIN, first, second, unreduced),
    );
    let torsion = |text: &[u8]| old().sign_with_torsion_nonce(text).signature;
    add(
        "r-torsion",
        "M73",
        statement(DOMAIN, first, second, torsion),
    );
    let prehashed = |text: &[u8]| old().sign_prehashed(text).signature;
    add(
        "prehashed",
        "M73",
        statement(DOMAIN, first, second, prehashed),
    );
    let keys_only = |text: &[u8]| by_old(&text[27..]);
    add(
        "signed-without-domain",
        "M73",
        statement(DOMAIN, first, second, keys_only),
    );
    cases
}

#[test]
fn the_library_agrees_with_every_case() {
    for (name, rule, text) in cases() {
        let read = succession::read(&text);
        assert_eq!(read.is_ok(), rule.is_empty(), "{name}: {read:?}");
        if let Ok(statement) = read {
            assert_eq!(statement.old_key().as_bytes(), &old().public());
            assert_eq!(statement.new_key().as_bytes(), &new().public());
        }
    }
}

#[test]
fn the_library_writes_what_the_writer_writes() {
    let seeded = psp_format::signature::PrivateKey::from_seed;
    let text = succession::write(&seeded(&SIGNER), &seeded(&OTHER).public_key());
    assert_eq!(text.as_bytes(), cases()[0].2);
}

/// The second reader knows the specification only.
#[test]
fn the_second_reader_agrees_with_every_case() {
    let directory = tempfile::tempdir().unwrap();
    for (name, _, text) in cases() {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/succession.py");
    let output = Command::new("python3")
        .arg("-B")
        .arg(script)
        .arg(directory.path())
        .output()
        .expect("Python 3 is needed for the second reader");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8(output.stdout).unwrap();
    let said: Vec<&str> = said.lines().collect();
    let mut expected: Vec<String> = cases()
        .iter()
        .map(|(name, rule, _)| format!("{name} {}", if rule.is_empty() { "good" } else { rule }))
        .collect();
    expected.sort();
    assert_eq!(said, expected);
}

/// No requirement about statements is without a case that breaks it.
#[test]
fn every_requirement_has_a_case() {
    let cases = cases();
    for rule in ["M70", "M71", "M72", "M73"] {
        assert!(cases.iter().any(|case| case.1 == rule), "{rule}");
    }
}
