//! Writes seeds for every fuzz target, taken from the vectors, into `DIRECTORY/<target>/`.
//!
//! usage: fuzz-seeds DIRECTORY
//!
//! Whole files go to `locate`, `index` and `verify`; the metadata text, archives and framed slots of each package to
//! the targets that read nothing else, and all of these slots to `extract`. A statement goes to `succession`; a policy
//! with every key, and the file of a key with every line, to `policy` and `trust`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a tool for developers

use std::path::PathBuf;
use std::{env, fs};

use psp_format::signature::PrivateKey;
use psp_format::succession;
use psp_testkit::catalog;
use psp_testkit::keys::{OTHER, SIGNER};
use psp_testkit::writer::TRAILER_SIZE;

/// Larger inputs slow a fuzzer down and teach it nothing.
const SEED_MAX: usize = 64 << 10;

/// A policy with every key that there is.
const POLICY: &str = r#"{"version": 1,
"trust": {"require_trusted_key": true, "use_os_keychain": false,
 "required_signers": ["9bbd0dd2e0f06ad1f1ac1f4a9d0d53ba9bbd0dd2e0f06ad1f1ac1f4a9d0d53ba"]},
"execution": {"refuse_root": true, "max_age_days": 90, "allow_platforms": ["linux_amd64"],
 "minimum_version": {"acme-*": "1.2"}, "refuse_downgrade": true},
"attestation": {"require_sbom": true},
"enforcement": {"default": "deny", "untrusted_key": "warn", "downgrade": "allow"}}
"#;

fn main() {
    let directory = PathBuf::from(env::args_os().nth(1).expect("usage: fuzz-seeds DIRECTORY"));
    let mut written = 0;
    let mut write = |target: &str, name: &str, bytes: &[u8]| {
        if bytes.len() <= SEED_MAX {
            let directory = directory.join(target);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(name), bytes).unwrap();
            written += 1;
        }
    };
    for vector in catalog::all() {
        for target in ["locate", "index", "verify"] {
            write(target, &vector.name, &vector.bytes);
        }
        if let Some(text) = metadata(&vector.bytes) {
            write("metadata", &vector.name, text);
        }
        for (number, (operations, stored)) in slots(&vector.bytes).into_iter().enumerate() {
            let target = match operations {
                0x01 => "tar",
                0x1B | 0x1B01 => "frames",
                _ => continue,
            };
            let name = format!("{}-{number}", vector.name);
            write(target, &name, stored);
            // The first byte chooses the operations, and a target: even is `app`.
            let choice = match operations {
                0x01 => 0,
                0x1B => 4,
                _ => 2,
            };
            write("extract", &name, &[&[choice], stored].concat());
        }
    }
    let key = PrivateKey::from_seed;
    let statement = succession::write(&key(&SIGNER), &key(&OTHER).public_key());
    write("succession", "statement", statement.as_bytes());
    for (nth, line) in statement.lines().enumerate() {
        write("succession", &format!("line-{nth}"), line.as_bytes());
    }
    write("policy", "every-key", POLICY.as_bytes());
    let mut key_file = String::from("# Name: a\n# Packages: a-*, b\n# Expires: 2027-01-31\n");
    key_file.push_str("-----BEGIN PUBLIC KEY-----\n");
    // RFC 8410, 10.1, for an Ed25519 key.
    key_file.push_str("MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n");
    key_file.push_str("-----END PUBLIC KEY-----\n");
    write("trust", "key", key_file.as_bytes());
    let fingerprint = key(&SIGNER).public_key().fingerprint();
    write(
        "trust",
        "revoked",
        format!("# a\n{fingerprint} # b\n").as_bytes(),
    );
    write("trust", "versions", b"1.0.0-rc.1+x\n1.0.post1\n2025.10~2");
    println!("{written} seeds");
}

/// A number of the index; SPEC.md, 2 has the offsets.
fn number(file: &[u8], offset: usize) -> Option<usize> {
    let index = file.len().checked_sub(TRAILER_SIZE)? + 4;
    let bytes = file.get(index + offset..index + offset + 8)?;
    usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
}

fn part(file: &[u8], start: usize, size: usize) -> Option<&[u8]> {
    file.get(start..start.checked_add(size)?)
}

/// The text of a member of one stored block.
fn metadata(file: &[u8]) -> Option<&[u8]> {
    let member = part(file, number(file, 24)?, number(file, 32)?)?;
    let size = usize::from(u16::from_le_bytes(member.get(11..13)?.try_into().ok()?));
    part(member, 15, size)
}

/// Operations and stored bytes by the slot table.
fn slots(file: &[u8]) -> Vec<(u64, &[u8])> {
    let table = || part(file, number(file, 40)?, number(file, 48)?);
    let word = |descriptor: &[u8], offset: usize| {
        u64::from_le_bytes(descriptor[offset..offset + 8].try_into().expect("8 bytes"))
    };
    let slot = |descriptor: &[u8]| {
        let start = usize::try_from(word(descriptor, 16)).ok()?;
        let size = usize::try_from(word(descriptor, 24)).ok()?;
        Some((word(descriptor, 40), part(file, start, size)?))
    };
    let table = table().unwrap_or_default();
    table.chunks_exact(64).filter_map(slot).collect()
}
