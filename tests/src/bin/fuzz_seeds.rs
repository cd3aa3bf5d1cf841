//! Writes seeds for every fuzz target, taken from the vectors, into `DIRECTORY/<target>/`.
//!
//! usage: fuzz-seeds DIRECTORY
//!
//! Whole files go to `locate` and `index`; the metadata text, archives and framed slots of each package to the targets
//! that read nothing else, and all of these slots to `extract`. The others get small texts and records that have
//! everything: a policy and a manifest with every key, key files with every line. Recipes are arbitrary bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // a tool for developers

use std::path::PathBuf;
use std::{env, fs};

use psp_format::signature::PrivateKey;
use psp_format::{base64, succession};
use psp_testkit::catalog;
use psp_testkit::keys::{OTHER, SIGNER};
use psp_testkit::writer::{TRAILER_SIZE, member, sha256};

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

/// A manifest with every key that there is.
const MANIFEST: &str = r#"[package]
name = "a"
version = "1.0.0-rc.1+x"
description = "d"
license = "MIT"
homepage = "https://a"
authors = ["a"]

[[slot]]
id = "app"
source = "./app"
target = "a/b"
include = ["**/*.py", "[a-z]?/{b,c}/"]
exclude = ["./x/**"]
lifecycle = "cached"
purpose = "code"
platforms = ["linux_amd64"]
compression = { method = "zstd", level = 3 }
mutable = true
permissions = "0755"
times = "keep"

[command]
exec = "{workenv}/a/b/{package_name}"
args = ["-m", "{version}"]
env = { A = "b" }
cwd = "{workenv}"

[commands.c]
exec = "/bin/sh"

[env]
unset = ["LD_*"]
pass = ["*"]
map = { A = "B" }
set = { C = "d" }

[[setup]]
exec = "{workenv}/a/b/s"

[policy]
platforms = ["linux_amd64"]
refuse_root = true
require_env = ["HOME"]
max_age_days = 30

[desktop]
icon = "i.png"
terminal = false

[sign]
key = "env:KEY"
"#;

/// What the documents of keys begin with (RFC 8410, 4 and 7).
const SPKI: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
const PKCS8: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

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
        for target in ["locate", "index"] {
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
            match target {
                // The first byte chooses the directory that the archive is for.
                "tar" => {
                    write("tar", &format!("{name}-app"), &[&[0], stored].concat());
                    write("tar", &format!("{name}-top"), &[&[1], stored].concat());
                }
                _ => write(target, &name, stored),
            }
            // The first byte chooses the operations, and a target: even is `app`.
            let choice = match operations {
                0x01 => 0,
                0x1B => 4,
                _ => 2,
            };
            write("extract", &name, &[&[choice], stored].concat());
        }
    }
    texts(&mut write);
    keys(&mut write);
    records(&mut write);
    println!("{written} seeds");
}

type Write<'a> = &'a mut dyn FnMut(&str, &str, &[u8]);

fn texts(write: Write<'_>) {
    write("policy", "every-key", POLICY.as_bytes());
    // The first byte chooses the name of the file.
    write("manifest", "flavor", &[b"0", MANIFEST.as_bytes()].concat());
    let inner = MANIFEST.replace("\n[[", "\n[[tool.flavor.");
    let inner = inner.replace("\n[c", "\n[tool.flavor.c");
    let inner = inner.replacen("[", "[tool.flavor.", 1);
    write("manifest", "pyproject", &[b"1", inner.as_bytes()].concat());
    // Each section with the least that a manifest needs: short inputs are fast.
    let least = "0[package]\nname = \"a\"\nversion = \"1\"\n[command]\nexec = \"/a\"\n";
    for (nth, section) in MANIFEST.split("\n\n").enumerate() {
        write(
            "manifest",
            &format!("section-{nth}"),
            [least, section].concat().as_bytes(),
        );
    }
    write("values", "chain", &0x1B01_u64.to_le_bytes());
    write(
        "values",
        "member",
        &member::stored(b"{\"format\":\"PSPF/2025\"}"),
    );
    for (name, text) in [
        ("versions", "1.0.0-rc.1+x\n1.0.post1\n2025.10~2"),
        ("instant", "2024-02-29T23:59:59Z"),
        ("base64", "Zm9vYmE="),
        ("paths", "app/a/b\n../../c/d\napp"),
        ("leaves", "app/a\n../../x\napp"),
    ] {
        write("values", name, text.as_bytes());
    }
}

fn keys(write: Write<'_>) {
    let key = PrivateKey::from_seed(&SIGNER);
    let public = [SPKI, key.public_key().as_bytes()].concat();
    let private = [PKCS8, &SIGNER].concat();
    let pem = |label: &str, document: &[u8]| {
        let digits = base64::encode(document);
        format!("-----BEGIN {label}-----\n{digits}\n-----END {label}-----\n")
    };
    let block = pem("PUBLIC KEY", &public);
    write("keys", "raw", key.public_key().as_bytes());
    write("keys", "spki", &public);
    write("keys", "pkcs8", &private);
    write("keys", "spki-pem", block.as_bytes());
    write("keys", "pkcs8-pem", pem("PRIVATE KEY", &private).as_bytes());
    let limits = "# Name: a\n# Packages: a-*, b\n# Expires: 2027-01-31\n";
    for target in ["keys", "trust"] {
        write(target, "limits", [limits, &block].concat().as_bytes());
    }
    let revoked = format!("# a\n{} # b\n", key.public_key().fingerprint());
    write("trust", "revoked", revoked.as_bytes());
    let statement = succession::write(&key, &PrivateKey::from_seed(&OTHER).public_key());
    write("trust", "statement", statement.as_bytes());
}

/// For the targets whose input is no format but says what is to be made.
fn records(write: Write<'_>) {
    for count in 0..4 {
        let mut slots = vec![0; 16];
        slots[0] = 64;
        for number in 0..count {
            let mut record = [0; 40];
            (record[0], record[8], record[16], record[32]) = (number, 5, 9, number);
            slots.extend(record);
        }
        write("slots", &format!("{count}-slots"), &slots);
    }
    for count in [0, 1, 4, 16] {
        let records: Vec<u8> = [0; 6].into_iter().chain(1..=count).collect();
        write("signed_by", &format!("{count}-records"), &records);
    }
    let mut bytes = Vec::new();
    for seed in 0..32_u8 {
        bytes.clear();
        for part in 0..16 {
            bytes.extend(sha256(&[seed, part]));
        }
        write("package", &format!("recipe-{seed}"), &bytes);
        // The first byte chooses what the others are.
        let recipe = [&[2], &bytes[..128]].concat();
        write("delta", &format!("recipe-{seed}"), &recipe);
    }
    let copy = [&[1][..], &5_u64.to_le_bytes(), &20_u64.to_le_bytes()].concat();
    let content = [b'a'; 40];
    let payload = zstd::bulk::compress(&content, 3).unwrap();
    let express = |level: u8, window_log: u8, size: u8| {
        let sizes = [
            40,
            0,
            0,
            0,
            size,
            0,
            0,
            0,
            payload.len().to_le_bytes()[0],
            0,
            0,
            0,
        ];
        [&[2, 0, level, window_log][..], &sizes, &payload].concat()
    };
    let frame = zstd::bulk::compress(&content, 3).unwrap().len();
    for (name, size, steps) in [
        ("copies", 40, [copy.clone(), copy.clone()].concat()),
        ("plain", 60, [copy, express(0, 0, 40)].concat()),
        ("frame", frame, express(3, 10, frame.to_le_bytes()[0])),
    ] {
        let size = &size.to_le_bytes()[..2];
        write("delta", name, &[&[0], size, &steps].concat());
    }
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
