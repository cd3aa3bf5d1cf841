//! Hostile and damaged `.zip` archives.

use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, System, ZipWriter};

use super::{listed, refused};

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored)
}

fn archive(fill: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    fill(&mut writer);
    writer.finish().unwrap().into_inner()
}

fn one_file(name: &str, content: &[u8]) -> Vec<u8> {
    archive(|zip| {
        zip.start_file(name, options()).unwrap();
        zip.write_all(content).unwrap();
    })
}

fn saved(bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zip");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn error(bytes: &[u8]) -> String {
    let (dir, path) = saved(bytes);
    let (text, help) = refused(&path, dir.path());
    assert!(!help.is_empty() && !help.contains('\n'));
    text
}

/// Replaces every occurrence of one byte string by another of the same length.
fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut at = 0;
    while let Some(found) = bytes[at..]
        .windows(from.len())
        .position(|window| window == from)
    {
        at += found;
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

/// The place of the only entry's record in the central directory.
fn central(bytes: &[u8]) -> usize {
    bytes
        .windows(4)
        .position(|window| window == b"PK\x01\x02")
        .unwrap()
}

#[test]
fn unix_modes_and_links_are_kept() {
    let bytes = archive(|zip| {
        zip.start_file("bin/run", options().unix_permissions(0o755))
            .unwrap();
        zip.write_all(b"#!").unwrap();
        zip.add_symlink("bin/link", "./run", options()).unwrap();
        zip.add_directory("empty", options().unix_permissions(0o700))
            .unwrap();
    });
    assert_eq!(
        listed(&saved(&bytes).1),
        "d755 bin\nl777 bin/link -> run\n-755 bin/run = #!\nd700 empty\n"
    );
}

#[test]
fn archives_of_other_systems_get_the_usual_modes() {
    let bytes = archive(|zip| {
        let dos = options().system(System::Dos);
        zip.add_directory("d", dos).unwrap();
        zip.start_file("d/a", dos.unix_permissions(0o777)).unwrap();
    });
    assert_eq!(listed(&saved(&bytes).1), "d755 d\n-644 d/a = \n");
}

#[test]
fn deflated_entries_are_unpacked() {
    let bytes = archive(|zip| {
        let options = options().compression_method(CompressionMethod::Deflated);
        zip.start_file("a", options).unwrap();
        zip.write_all(&b"abc".repeat(5)).unwrap();
    });
    assert_eq!(listed(&saved(&bytes).1), "-644 a = abcabcabcabcabc\n");
}

#[test]
fn entries_that_no_slot_can_hold_are_refused() {
    assert_eq!(
        error(&replaced(one_file("XX/x", b""), b"XX/x", b"../x")),
        "`../x` in x.zip: its name is not possible: a component '..'"
    );
    assert_eq!(
        error(&replaced(one_file("X/x", b""), b"X/x", b"//x")),
        "`//x` in x.zip: its name is not possible: absolute"
    );
    let link = archive(|zip| zip.add_symlink("l", "/etc/passwd", options()).unwrap());
    assert_eq!(
        error(&link),
        "`l` in x.zip: it is a link to `/etc/passwd`, which leaves the slot"
    );
    let link = archive(|zip| zip.add_symlink("l", "x".repeat(5000), options()).unwrap());
    assert_eq!(
        error(&link),
        "`l` in x.zip: it is a link whose target is not possible: 4096 bytes long, at most 4095 are allowed"
    );

    let mut device = one_file("a", b"");
    let attributes = central(&device) + 38;
    device[attributes..attributes + 4].copy_from_slice(&(0o060_644_u32 << 16).to_le_bytes());
    assert_eq!(
        error(&device),
        "`a` in x.zip: it is of type 060000, no file, directory or link"
    );

    let mut windows = replaced(one_file("dXa", b""), b"dXa", b"d\\a");
    let system = central(&windows) + 5;
    windows[system] = 0;
    assert_eq!(
        error(&windows),
        "`d\\\\a` in x.zip: its name holds a backslash, \
         written by a tool that does not follow the zip format"
    );

    let mut encrypted = one_file("a", b"");
    let flags = central(&encrypted) + 8;
    encrypted[flags] |= 1;
    assert_eq!(error(&encrypted), "`a` in x.zip: it is encrypted");
}

#[test]
fn names_are_unique() {
    let two = archive(|zip| {
        zip.start_file("a1", options()).unwrap();
        zip.start_file("a2", options()).unwrap();
    });
    assert_eq!(
        error(&replaced(two, b"a2", b"a1")),
        "archive x.zip cannot be read: two of its entries have the same name"
    );
    let both = archive(|zip| {
        zip.start_file("a", options()).unwrap();
        zip.add_directory("a", options()).unwrap();
    });
    assert_eq!(
        error(&both),
        "`a` in x.zip: the archive has two entries of this name"
    );
}

#[test]
fn damage_is_noticed() {
    let bytes = replaced(one_file("a", b"content"), b"content", b"kontent");
    assert_eq!(
        error(&bytes),
        "`a` in x.zip: it cannot be unpacked: Invalid checksum"
    );

    let mut unknown = one_file("a", b"content");
    let method = central(&unknown) + 10;
    unknown[method] = 99;
    assert!(error(&unknown).starts_with("`a` in x.zip: it cannot be unpacked: "));

    let whole = one_file("a", b"content");
    for length in 0..whole.len() {
        let text = error(&whole[..length]);
        assert!(
            text.starts_with("archive x.zip cannot be read: "),
            "{length}: {text}"
        );
    }
}

#[test]
fn declared_sizes_are_true_and_bounded() {
    let mut short = one_file("a", b"content");
    let size = central(&short) + 24;
    short[size..size + 4].copy_from_slice(&3_u32.to_le_bytes());
    assert!(error(&short).starts_with("`a` in x.zip: it cannot be unpacked: "));
    short[size..size + 4].copy_from_slice(&9_u32.to_le_bytes());
    assert_eq!(
        error(&short),
        "`a` in x.zip: it has 9 bytes by the archive's directory and 7 by its content"
    );
    short[size..size + 4].copy_from_slice(&0xf000_0000_u32.to_le_bytes());
    let limit = (1_u64 << 30) + 256 * short.len() as u64;
    assert_eq!(
        error(&short),
        format!("archive x.zip unpacks to more than {limit} bytes")
    );
}
