//! Hostile and damaged `.tar` archives.

use std::fs;
use std::path::PathBuf;

use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use flavor::inputs::{self, Filter, Times};

use super::{entries, listed, listing, refused};

/// An archive under construction that may say anything: names are written as they are, checksums are right.
struct Hostile(Vec<u8>);

impl Hostile {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn entry(mut self, kind: EntryType, name: &str, link: &str, content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.entry(EntryType::Regular, name, "", content.as_bytes())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn saved(bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tar");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn error(bytes: &[u8]) -> (String, &'static str) {
    let (dir, path) = saved(bytes);
    refused(&path, dir.path())
}

fn good() -> Vec<u8> {
    Hostile::new()
        .entry(EntryType::Directory, "./", "", b"")
        .file("./a/b", "content")
        .entry(EntryType::Symlink, "a/l", "b", b"")
        .entry(EntryType::Link, "c", "./a/b", b"")
        .end()
}

#[test]
fn directories_that_are_implied_are_added() {
    let (_dir, path) = saved(&good());
    assert_eq!(
        listed(&path),
        "d755 a\n-644 a/b = content\nl777 a/l -> b\nh000 c == a/b\n"
    );
}

#[test]
fn entries_that_no_slot_can_hold_are_refused() {
    use EntryType::{Block, Char, Directory, Fifo, GNUSparse, Link, Symlink};
    let new = Hostile::new;
    let long = "x".repeat(90);
    let deep = "a/".repeat(49);
    let cases = [
        (
            new().file("/etc/x", ""),
            "`/etc/x` in x.tar: its name is not possible: absolute",
        ),
        (
            new().file("a/../../x", ""),
            "`a/../../x` in x.tar: its name is not possible: a component '..'",
        ),
        (
            new().file("a//x", ""),
            "`a//x` in x.tar: its name is not possible: an empty component",
        ),
        (
            new()
                .file("a\x1b[31m\u{202e}", "")
                .file("./a\x1b[31m\u{202e}", ""),
            "`a\\u{1b}[31m\\u{202e}` in x.tar: the archive has two entries of this name",
        ),
        (
            new().entry(Directory, "a/", "", b"").file("a", ""),
            "`a` in x.tar: the archive has two entries of this name",
        ),
        (
            new().entry(Symlink, "a", "b", b"").file("a/x", ""),
            "`a/x` in x.tar: it lies below `a`, which is not a directory",
        ),
        (
            new().entry(Char, "a", "", b""),
            "`a` in x.tar: it is a device",
        ),
        (
            new().entry(Block, "a", "", b""),
            "`a` in x.tar: it is a device",
        ),
        (
            new().entry(Fifo, "a", "", b""),
            "`a` in x.tar: it is a FIFO",
        ),
        (
            new().entry(EntryType::new(b'V'), "a", "", b""),
            "`a` in x.tar: it is of the unknown type `V`",
        ),
        (
            new().entry(Link, "a", "b", b"").file("b", ""),
            "`a` in x.tar: it is a hard link to `b`, which is no file before it in the archive",
        ),
        (
            new()
                .entry(Directory, "d", "", b"")
                .entry(Link, "a", "d", b""),
            "`a` in x.tar: it is a hard link to `d`, which is no file before it in the archive",
        ),
        (
            new().file("b", "").entry(Link, "a", "/b", b""),
            "`a` in x.tar: it is a hard link to `/b`, which is no file before it in the archive",
        ),
        (
            new().entry(Symlink, "a", "/etc", b""),
            "`a` in x.tar: it is a link to `/etc`, which leaves the slot",
        ),
        (
            new().entry(Symlink, "d/a", "../../x", b""),
            "`d/a` in x.tar: it is a link to `../../x`, which leaves the slot",
        ),
        (
            new().entry(Symlink, "a", "", b""),
            "`a` in x.tar: it is a link whose target is not possible: empty",
        ),
        (
            new()
                .entry(EntryType::XHeader, "p", "", b"22 GNU.sparse.major=1\n")
                .file("a", ""),
            "`a` in x.tar: it is a sparse file",
        ),
        (
            new()
                .entry(EntryType::XHeader, "p", "", b"14 path=one\ntwo\n")
                .file("a", ""),
            "`a` in x.tar: it cannot be unpacked: malformed pax extension",
        ),
        (
            new()
                .entry(EntryType::XHeader, "p", "", b"12 path=a\0b\n")
                .file("a", ""),
            "`a\\0b` in x.tar: its name is not possible: a NUL byte",
        ),
        (
            new()
                .entry(EntryType::XGlobalHeader, "g", "", b"10 path=b\n")
                .file("a", ""),
            "`g` in x.tar: it is a global header that sets `path`",
        ),
        (
            new()
                .entry(
                    EntryType::GNULongName,
                    "././@LongLink",
                    "",
                    &b"y".repeat(300),
                )
                .file("a", ""),
            &format!(
                "`{}` in x.tar: its name is not possible: a component of 300 bytes, at most 255 are allowed",
                "y".repeat(300)
            ),
        ),
        (
            new()
                .entry(
                    EntryType::GNULongName,
                    "././@LongLink",
                    "",
                    [&*deep; 50].concat().as_bytes(),
                )
                .file("a", ""),
            &format!(
                "`{}` in x.tar: its name is not possible: 4899 bytes long, at most 4095 are allowed",
                [&*deep; 50].concat()
            ),
        ),
    ];
    for (archive, message) in cases {
        let (text, help) = error(&archive.end());
        assert_eq!(text, message);
        assert!(!help.is_empty() && !help.contains('\n'));
    }
    // Neither is what the reader would expand on the way.
    let mut sparse = Header::new_gnu();
    sparse.as_old_mut().name[..long.len()].copy_from_slice(long.as_bytes());
    sparse.set_entry_type(GNUSparse);
    sparse.set_mode(0o644);
    sparse.set_mtime(0);
    sparse.set_size(0);
    if let Some(gnu) = sparse.as_gnu_mut() {
        gnu.realsize = *b"00000000000\0";
    }
    sparse.set_cksum();
    let (text, _) = error(&[sparse.as_bytes().as_slice(), &[0; 1024]].concat());
    assert_eq!(text, format!("`{long}` in x.tar: it is a sparse file"));
}

#[test]
fn what_is_excluded_may_be_of_any_kind() {
    let archive = Hostile::new()
        .entry(EntryType::Char, "dev/null", "", b"")
        .entry(EntryType::XHeader, "p", "", b"22 GNU.sparse.major=1\n")
        .file("dev/sparse", &"x".repeat(2 << 20))
        .entry(EntryType::Symlink, "dev/out", "/etc", b"")
        .file("a", "x")
        .end();
    let (_dir, path) = saved(&archive);
    let filter = Filter::new(&["**"], &["dev"]).unwrap();
    let input = inputs::read(&path, &filter, Times::Keep).unwrap();
    assert_eq!(listing(&entries(input)), "-644 a = x\n");
}

#[test]
fn a_global_header_with_a_comment_is_passed_over() {
    // As `git archive` writes it.
    let archive = Hostile::new()
        .entry(
            EntryType::XGlobalHeader,
            "pax_global_header",
            "",
            b"16 comment=abcd\n",
        )
        .file("a", "x")
        .end();
    let (_dir, path) = saved(&archive);
    assert_eq!(listed(&path), "-644 a = x\n");
}

#[test]
fn every_cut_is_noticed() {
    let whole = good();
    let marked = whole.len() - 512;
    for length in 0..marked {
        let (text, help) = error(&whole[..length]);
        assert_eq!(text, "archive x.tar is truncated", "{length}");
        assert_eq!(help, "fetch or make the archive again");
    }
}

#[test]
fn every_cut_of_a_compressed_one_is_noticed() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&good()).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&good()[..], 3).unwrap();
    for whole in [gzip, zstd] {
        for length in 20..whole.len() {
            let (text, _) = error(&whole[..length]);
            assert_eq!(
                text,
                "archive x.tar is truncated",
                "{length} of {}",
                whole.len()
            );
        }
    }
}

#[test]
fn damage_is_noticed_even_after_the_last_entry() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&good()).unwrap();
    let mut bytes = gzip.finish().unwrap();
    let checksum = bytes.len() - 8;
    bytes[checksum] ^= 1;
    let (text, help) = error(&bytes);
    assert_eq!(
        text,
        "archive x.tar cannot be read: corrupt gzip stream does not have a matching checksum"
    );
    assert!(help.contains("(plain, .gz, .xz, .zst, .bz2)"));

    let mut header = good();
    header[0] ^= 1;
    assert_eq!(
        error(&header).0,
        "archive x.tar cannot be read: archive header checksum mismatch"
    );
}

#[test]
fn nothing_may_follow_the_end() {
    let twice = [good(), good()].concat();
    assert_eq!(
        error(&twice).0,
        "archive x.tar cannot be read: something follows its end mark"
    );
}

#[test]
fn bombs_are_refused_before_they_are_unpacked() {
    let mut header = Header::new_gnu();
    header.set_path("bomb").unwrap();
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(1 << 40);
    header.set_cksum();
    let (text, help) = error(header.as_bytes());
    // 1 GiB and 256 times the size of the archive.
    assert_eq!(text, "archive x.tar unpacks to more than 1073872896 bytes");
    assert!(help.ends_with("give the directory as `source`"));
}

#[test]
fn long_names_are_bounded() {
    let name = b"x".repeat(2 << 20);
    let archive = Hostile::new()
        .entry(EntryType::GNULongName, "././@LongLink", "", &name)
        .file("a", "")
        .end();
    assert_eq!(
        error(&archive).0,
        "archive x.tar cannot be read: headers or padding of an absurd size"
    );
}

#[test]
fn special_bits_are_noted() {
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_mode(0o6755);
    header.set_mtime(0);
    header.set_size(0);
    builder.append_data(&mut header, "su", &b""[..]).unwrap();
    let (_dir, path) = saved(&builder.into_inner().unwrap());
    let input = super::read(&path).unwrap();
    assert_eq!(
        input.notes[0].to_string(),
        "`su`: the set-user, set-group or sticky bit of mode 6755 is not packed"
    );
}
