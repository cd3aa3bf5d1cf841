//! Packages for tests: entries to tar, tar to frames, frames to a signed package.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

pub mod place;

use std::error::Error;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use psp_format::digest::{Checksum, Digest};
use psp_format::metadata::{
    Build, Command, Execution, FORMAT, Launcher, Lifecycle, Map, Metadata, PROFILE, Package,
    Platform, Purpose, Slot,
};
use psp_format::ops::Operations;
use psp_format::signature::PrivateKey;
use psp_format::tar::{self, Entry, Kind};
use psp_format::verify::verify_bytes;
use psp_format::{VerifiedPackage, encode, frames};

pub type TestResult = Result<(), Box<dyn Error>>;

pub const FULL: usize = 16 << 20;
pub const MTIME: u64 = 1_700_000_000;

/// An entry with its content.
pub type Item = (Entry, Vec<u8>);

pub fn entry(path: &str, kind: Kind, mode: u32) -> Entry {
    Entry {
        path: path.as_bytes().to_vec(),
        kind,
        mode,
        mtime: MTIME,
    }
}

pub fn file(path: &str, mode: u32, content: &[u8]) -> Item {
    let size = content.len() as u64;
    (entry(path, Kind::File(size), mode), content.to_vec())
}

pub fn dir(path: &str, mode: u32) -> Item {
    (entry(path, Kind::Directory, mode), Vec::new())
}

pub fn symlink(path: &str, to: &str) -> Item {
    let kind = Kind::Symlink(to.as_bytes().to_vec());
    (entry(path, kind, 0o777), Vec::new())
}

pub fn hard_link(path: &str, to: &str) -> Item {
    let kind = Kind::HardLink(to.as_bytes().to_vec());
    (entry(path, kind, 0), Vec::new())
}

/// Headers, content and padding of one entry.
pub fn tar_part((entry, content): &Item) -> Vec<u8> {
    let mut out = tar::encode(entry);
    out.extend(content);
    out.extend(std::iter::repeat_n(0, tar::padding(content.len() as u64)));
    out
}

pub fn tar_of(items: &[Item]) -> Vec<u8> {
    let mut out: Vec<u8> = items.iter().flat_map(tar_part).collect();
    out.extend([0; tar::END_SIZE]);
    out
}

/// Archives cut into runs of at least `size` bytes, at entry boundaries.
pub fn runs_of(items: &[Item], size: usize) -> Vec<Vec<u8>> {
    let mut runs = vec![Vec::new()];
    for item in items {
        if runs.last().is_some_and(|run| run.len() >= size) {
            runs.push(Vec::new());
        }
        if let Some(run) = runs.last_mut() {
            run.extend(tar_part(item));
        }
    }
    if let Some(run) = runs.last_mut() {
        run.extend([0; tar::END_SIZE]);
    }
    runs
}

/// Stored bytes of a framed slot whose runs are these. Returns them with the size of the content.
pub fn framed(runs: &[Vec<u8>]) -> Result<(Vec<u8>, u64), Box<dyn Error>> {
    let (mut stored, mut table, mut total) = (Vec::new(), Vec::new(), 0);
    for piece in runs.iter().flat_map(|run| run.chunks(FULL)) {
        let frame = zstd::bulk::compress(piece, 1)?;
        table.push((u32::try_from(frame.len())?, u32::try_from(piece.len())?));
        stored.extend(frame);
        total += piece.len() as u64;
    }
    stored.extend(frames::write_seek_table(&table));
    Ok((stored, total))
}

/// A slot with its stored bytes.
#[derive(Clone)]
pub struct Made {
    pub slot: Slot,
    pub stored: Vec<u8>,
}

pub fn slot(id: &str, target: &str, operations: Operations, stored: Vec<u8>, size: u64) -> Made {
    Made {
        slot: Slot {
            checksum: Checksum(Digest::of(&stored)),
            id: id.into(),
            lifecycle: Lifecycle::Cached,
            mode: 0o755,
            mutable: false,
            offset: 0,
            operations,
            operations_code: operations.code(),
            original_size: size,
            purpose: Purpose::Payload,
            size: stored.len() as u64,
            slot: 0,
            source: String::new(),
            target: target.into(),
        },
        stored,
    }
}

/// A `tar.zst` slot with runs of at least `run` bytes.
pub fn tar_zst(id: &str, target: &str, items: &[Item], run: usize) -> Result<Made, Box<dyn Error>> {
    let (stored, size) = framed(&runs_of(items, run))?;
    Ok(slot(id, target, Operations::TarZst, stored, size))
}

pub fn plain(id: &str, target: &str, content: &[u8]) -> Made {
    let size = content.len() as u64;
    slot(id, target, Operations::None, content.to_vec(), size)
}

/// A package with its bytes.
pub struct Built {
    pub package: VerifiedPackage,
    pub bytes: Vec<u8>,
}

pub fn package(slots: &[Made]) -> Result<Built, Box<dyn Error>> {
    package_with(slots, &[], "1.0")
}

pub fn package_with(
    slots: &[Made],
    setup: &[&str],
    version: &str,
) -> Result<Built, Box<dyn Error>> {
    let launcher = vec![0x7f; 100];
    let mut records: Vec<Slot> = slots.iter().map(|made| made.slot.clone()).collect();
    for (record, id) in records.iter_mut().zip(encode::slot_ids(slots.len())) {
        record.slot = id;
    }
    let command = |argv: &[&str]| Command {
        argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
        cwd: None,
        env: Map::new(),
    };
    let metadata = Metadata {
        build: Build {
            platform: Platform {
                arch: "amd64".into(),
                os: "linux".into(),
            },
            timestamp: "1970-01-01T00:00:00Z".into(),
            tool: "test".into(),
            tool_version: "1".into(),
        },
        commands: Map::new(),
        desktop: None,
        execution: Execution {
            argv: vec!["{workenv}/rt/x".into()],
            command: "{workenv}/rt/x".into(),
            cwd: None,
            env: Map::new(),
        },
        format: FORMAT.into(),
        launcher: Launcher {
            capabilities: vec![],
            checksum: Checksum(Digest::of(&launcher)),
            size: launcher.len() as u64,
            target: "linux_amd64".into(),
            tool: "test".into(),
            tool_version: "1".into(),
        },
        package: Package {
            authors: vec![],
            description: None,
            homepage: None,
            license: None,
            name: "app".into(),
            version: version.into(),
        },
        policy: None,
        profile: PROFILE.into(),
        runtime: None,
        setup: setup.iter().map(|program| command(&[program])).collect(),
        slots: records,
    };
    let (_, head) = encode::place(metadata)?;
    let mut bytes = launcher;
    bytes.extend(&head.bytes);
    for made in slots {
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(&made.stored);
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend(head.signed_trailer(&PrivateKey::from_text_seed("launcher tests")));
    let package = verify_bytes(&bytes)?;
    Ok(Built { package, bytes })
}

/// The small tree that most tests use.
pub fn sample() -> Vec<Item> {
    vec![
        dir("rt", 0o755),
        file("rt/a", 0o644, b"alpha"),
        file("rt/a.b", 0o4644 & 0o777, b""),
        dir("rt/bin", 0o700),
        file("rt/bin/run", 0o777, b"#!/bin/sh\necho ok\n"),
        hard_link("rt/bin/run2", "rt/bin/run"),
        symlink("rt/bin/up", "../a"),
        dir("rt/empty", 0o000),
        symlink("rt/z", "bin/run"),
    ]
}

/// Everything below `root`, as sorted lines: kind, mode, size or target, path.
pub fn tree(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut out = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(at) = todo.pop() {
        for found in fs::read_dir(&at)? {
            let path = found?.path();
            let stat = fs::symlink_metadata(&path)?;
            let mode = stat.permissions().mode() & 0o7777;
            let name = path.strip_prefix(root)?.display().to_string();
            if stat.is_symlink() {
                out.push(format!("{name} -> {}", fs::read_link(&path)?.display()));
            } else if stat.is_dir() {
                out.push(format!("{name}/ {mode:o}"));
                todo.push(path);
            } else {
                out.push(format!("{name} {mode:o} {}", stat.size()));
            }
        }
    }
    out.sort();
    Ok(out)
}

/// Whether this process may do what only root may.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
