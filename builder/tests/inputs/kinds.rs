//! Files whose kind the manifest says, whatever they are called.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use flavor::inputs::{self, DEFAULT_TIME, FileKind, Filter, Input, InputError, Source, Times};

use super::{entries, listing};

const CONTENT: &[u8] = b"what is in it";

fn read_as(source: &Path, kind: FileKind) -> Result<Input, InputError> {
    let everything = Filter::new(&["**"], &[]).unwrap();
    inputs::read_as(source, &everything, Times::Normalise(DEFAULT_TIME), kind)
}

fn content(input: Input) -> Vec<u8> {
    let Source::File(file) = input.source else {
        panic!("a tree")
    };
    let mut bytes = Vec::new();
    file.content
        .open()
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    assert_eq!(bytes.len() as u64, file.size);
    bytes
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_compressed_file_is_its_content() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("a.gz", gzip(CONTENT)),
        // Two members, as `cat a.gz b.gz` makes them.
        ("b", [gzip(&CONTENT[..5]), gzip(&CONTENT[5..])].concat()),
        ("c.zst", zstd::encode_all(CONTENT, 1).unwrap()),
        ("d.tar.gz", gzip(CONTENT)),
        // What is not compressed is as it is.
        ("e", CONTENT.to_vec()),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        assert_eq!(
            content(read_as(&path, FileKind::Compressed).unwrap()),
            CONTENT,
            "{name}"
        );
    }
}

#[test]
fn a_damaged_compressed_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gz");
    let mut bytes = gzip(CONTENT);
    bytes.truncate(bytes.len() - 6);
    fs::write(&path, bytes).unwrap();
    let error = read_as(&path, FileKind::Compressed).unwrap_err();
    assert!(matches!(error, InputError::Corrupt { .. }), "{error}");
}

#[test]
fn a_file_is_a_file_and_an_archive_an_archive_whatever_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(CONTENT.len() as u64);
    header.set_mode(0o644);
    header.set_path("x").unwrap();
    header.set_cksum();
    tar.append(&header, CONTENT).unwrap();
    let tar = gzip(&tar.into_inner().unwrap());

    let plain = dir.path().join("a.tar.gz");
    fs::write(&plain, &tar).unwrap();
    assert_eq!(content(read_as(&plain, FileKind::Plain).unwrap()), tar);

    let archive = dir.path().join("data.bin");
    fs::write(&archive, &tar).unwrap();
    let found = entries(read_as(&archive, FileKind::Archive).unwrap());
    assert_eq!(listing(&found), "-644 x = what is in it\n");

    let neither = dir.path().join("text.tgz");
    fs::write(&neither, "#!/bin/sh\n".repeat(200)).unwrap();
    let error = read_as(&neither, FileKind::Archive).unwrap_err();
    assert!(error.to_string().contains("text.tgz"), "{error}");
}
