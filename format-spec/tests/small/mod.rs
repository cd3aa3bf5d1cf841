//! Packages of a few hundred bytes for the tests in this directory. Each of them uses a part of this.
#![allow(dead_code, clippy::unwrap_used)]
use psp_format::digest::{Checksum, Digest};
use psp_format::layout::{INDEX_SIZE, RawIndex, TRAILER_SIZE};
use psp_format::metadata::{
    Build, Command, Execution, Launcher, Lifecycle, Map, Metadata, Package, Platform, Policy,
    Purpose, Slot,
};
use psp_format::ops::Operations;
use psp_format::signature::PrivateKey;
use psp_format::{encode, signed_by, tar, verify};

const LAUNCHER: &[u8] = b"#!/bin/false\nnot a launcher\n";
const NOTE: &[u8] = b"hello\n";

/// A program in a tar slot and a note in a file slot.
pub(crate) fn package() -> Result<Vec<u8>, psp_format::Error> {
    let tree = tree();
    let slots = vec![
        slot(0, "app", "app", Operations::Tar, &tree),
        slot(1, "note", "doc/note.txt", Operations::None, NOTE),
    ];
    assemble(metadata(slots), &[&tree, NOTE])
}

/// The same, with the signatures of these keys beside the first one.
pub(crate) fn signed_by(package: &[u8], keys: &[&str]) -> Vec<u8> {
    let (rest, trailer) = package.split_at(package.len() - TRAILER_SIZE);
    let verified = verify::verify_bytes(package).unwrap();
    let bytes: &[u8; INDEX_SIZE] = trailer[4..4 + INDEX_SIZE].try_into().unwrap();
    let mut index = RawIndex::from_bytes(bytes).clone();
    for key in keys {
        let key = PrivateKey::from_text_seed(key);
        let signature = key.sign(verified.text());
        index = signed_by::add(&index, &key.public_key(), &signature).unwrap();
    }
    [rest, &encode::trailer(&index)].concat()
}

/// The package with this metadata and these stored bytes.
pub(crate) fn assemble(
    metadata: Metadata,
    contents: &[&[u8]],
) -> Result<Vec<u8>, psp_format::Error> {
    let (_, head) = encode::place(metadata)?;
    let mut out = [LAUNCHER, &head.bytes].concat();
    for (range, bytes) in head.layout.slots.iter().zip(contents) {
        out.resize(usize::try_from(range.start()).unwrap_or(0), 0);
        out.extend(*bytes);
    }
    let trailer = head.layout.trailer.start();
    out.resize(usize::try_from(trailer).unwrap_or(0), 0);
    out.extend(head.signed_trailer(&PrivateKey::from_text_seed("golden")));
    Ok(out)
}

/// A directory with one program.
fn tree() -> Vec<u8> {
    let program = b"#!/bin/sh\necho hello\n";
    let entry = |path: &[u8], kind| tar::Entry {
        path: path.to_vec(),
        kind,
        mode: 0o755,
        mtime: 0,
    };
    let size = program.len();
    let mut out = tar::encode(&entry(b"app", tar::Kind::Directory));
    out.extend(tar::encode(&entry(
        b"app/run",
        tar::Kind::File(u64::try_from(size).unwrap_or(0)),
    )));
    out.extend(program);
    let padding = tar::padding(u64::try_from(size).unwrap_or(0));
    out.extend(std::iter::repeat_n(0, padding + tar::END_SIZE));
    out
}

/// A record for these stored bytes.
pub(crate) fn slot(
    nth: u64,
    id: &str,
    target: &str,
    operations: Operations,
    stored: &[u8],
) -> Slot {
    let size = u64::try_from(stored.len()).unwrap_or(0);
    Slot {
        checksum: Checksum(Digest::of(stored)),
        id: id.into(),
        lifecycle: Lifecycle::Cached,
        mode: if operations.is_tar() { 0o755 } else { 0o644 },
        mutable: false,
        offset: 0,
        operations,
        operations_code: operations.code(),
        original_size: size,
        purpose: Purpose::Payload,
        size,
        slot: nth,
        source: String::new(),
        target: target.into(),
    }
}

/// Metadata with every kind of key.
pub(crate) fn metadata(slots: Vec<Slot>) -> Metadata {
    let argv = vec!["{workenv}/app/run".to_owned(), "two words".to_owned()];
    Metadata {
        build: Build {
            platform: Platform {
                arch: "amd64".into(),
                os: "linux".into(),
            },
            timestamp: "2025-01-02T03:04:05Z".into(),
            tool: "flavor".into(),
            tool_version: "0.1.0".into(),
        },
        commands: Map::from([(
            "again".to_owned(),
            Command {
                argv: vec!["{workenv}/app/run".into()],
                cwd: Some("{workenv}".into()),
                env: Map::from([("TWICE".to_owned(), "1".to_owned())]),
            },
        )]),
        desktop: None,
        execution: Execution {
            command: encode::quote_command(&argv),
            argv,
            cwd: None,
            env: Map::new(),
        },
        format: psp_format::metadata::FORMAT.into(),
        launcher: Launcher {
            capabilities: vec![],
            checksum: Checksum(Digest::of(LAUNCHER)),
            size: u64::try_from(LAUNCHER.len()).unwrap_or(0),
            target: "linux_amd64".into(),
            tool: "flavor".into(),
            tool_version: "0.1.0".into(),
        },
        package: Package {
            authors: vec![],
            description: Some("A package of two slots".into()),
            homepage: None,
            license: None,
            name: "small".into(),
            version: "1.0".into(),
        },
        policy: Some(Policy {
            max_age_days: 0,
            platforms: vec!["linux_amd64".into()],
            refuse_root: true,
            require_env: vec![],
        }),
        profile: psp_format::metadata::PROFILE.into(),
        runtime: None,
        setup: vec![],
        slots,
    }
}
