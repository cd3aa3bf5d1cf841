//! What holds for every kind of archive, with archives made by the usual tools.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use flavor::inputs::{self, Filter, Times};
use tempfile::TempDir;

use super::{entries, listed, listing};

/// A directory `src` with a bit of everything that every tool can pack.
fn source() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let src = dir.path().join("src");
    let long = format!("d/{}", "long".repeat(50));
    fs::create_dir_all(src.join("d/empty")).unwrap();
    for (path, mode) in [("d/run", 0o755), ("top", 0o640), (long.as_str(), 0o600)] {
        fs::write(src.join(path), path).unwrap();
        fs::set_permissions(src.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::write(src.join("big"), vec![b'x'; 300_000]).unwrap();
    fs::write(src.join("none"), "").unwrap();
    symlink("d/run", src.join("link")).unwrap();
    symlink(format!("../{long}"), src.join("d/long-link")).unwrap();
    (dir, src)
}

fn run(directory: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect(program);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
}

#[test]
fn every_kind_gives_what_the_directory_gives() {
    let (dir, src) = source();
    let expected = listed(&src);
    for (archive, program, arguments) in [
        ("a.tar", "tar", vec!["-cf", "../a.tar", "."]),
        ("b.tar", "tar", vec!["--format=pax", "-cf", "../b.tar", "."]),
        ("c.tar.gz", "tar", vec!["-czf", "../c.tar.gz", "."]),
        (
            "d.TGZ",
            "tar",
            vec!["-czf", "../d.TGZ", "big", "d", "link", "none", "top"],
        ),
        ("e.tar.xz", "tar", vec!["-cJf", "../e.tar.xz", "."]),
        ("f.tar.bz2", "tar", vec!["-cjf", "../f.tar.bz2", "."]),
        (
            "g.tar.zst",
            "tar",
            vec!["--zstd", "-cf", "../g.tar.zst", "."],
        ),
        ("h.zip", "zip", vec!["-qry", "../h.zip", "."]),
        (
            "i.zip",
            "zip",
            vec![
                "-qry0D", "../i.zip", "big", "d", "link", "none", "top", "d/empty",
            ],
        ),
    ] {
        run(&src, program, &arguments);
        if archive == "i.zip" {
            // Without entries for directories the empty one is not there and the others get the usual mode.
            let expected = expected.replace("d755 d/empty\n", "");
            assert_eq!(listed(&dir.path().join(archive)), expected, "{archive}");
        } else {
            assert_eq!(listed(&dir.path().join(archive)), expected, "{archive}");
        }
    }
}

#[test]
fn the_compression_is_told_by_content() {
    let (dir, src) = source();
    run(&src, "tar", &["-cJf", "../a.tar.gz", "."]);
    run(&src, "tar", &["-cf", "../b.tgz", "."]);
    assert_eq!(listed(&dir.path().join("a.tar.gz")), listed(&src));
    assert_eq!(listed(&dir.path().join("b.tgz")), listed(&src));
}

#[test]
fn several_compressed_members_are_one_stream() {
    let (dir, src) = source();
    run(&src, "tar", &["-cf", "../a.tar", "."]);
    run(dir.path(), "split", &["-n", "3", "a.tar", "part."]);
    for (tool, archive) in [
        ("gzip", "a.tar.gz"),
        ("xz", "a.tar.xz"),
        ("bzip2", "a.tar.bz2"),
        ("zstd", "a.tar.zst"),
    ] {
        let script = format!("for p in part.a?; do {tool} -c $p; done > {archive}");
        run(dir.path(), "sh", &["-c", &script]);
        assert_eq!(listed(&dir.path().join(archive)), listed(&src), "{archive}");
    }
}

#[test]
fn globs_select_in_archives_as_in_directories() {
    let (dir, src) = source();
    run(&src, "tar", &["-cf", "../a.tar", "."]);
    run(&src, "zip", &["-qry", "../a.zip", "."]);
    let filter = Filter::new(&["d", "top"], &["d/long*"]).unwrap();
    for name in ["src", "a.tar", "a.zip"] {
        let input = inputs::read(&dir.path().join(name), &filter, Times::Normalise(0)).unwrap();
        assert_eq!(
            listing(&entries(input)),
            "d755 d\nd755 d/empty\n-755 d/run = d/run\n-640 top = top\n",
            "{name}"
        );
    }
}

#[test]
fn times_can_be_kept() {
    let (dir, src) = source();
    run(&src, "touch", &["-d", "@1700000001", "top"]);
    run(&src, "tar", &["-cf", "../a.tar", "."]);
    run(&src, "zip", &["-qry", "../a.zip", "."]);
    let filter = Filter::new(&["top"], &[]).unwrap();
    for name in ["src", "a.tar", "a.zip"] {
        let input = inputs::read(&dir.path().join(name), &filter, Times::Keep).unwrap();
        assert_eq!(entries(input)[0].mtime, 1_700_000_001, "{name}");
    }
}

#[test]
fn hard_links_in_a_tar_are_those_of_the_directory() {
    let (dir, src) = source();
    fs::hard_link(src.join("top"), src.join("a-first")).unwrap();
    // In an order in which the link comes before what it sorts after.
    run(
        &src,
        "tar",
        &[
            "-cf", "../a.tar", "top", "a-first", "big", "none", "link", "d",
        ],
    );
    let listing = listed(&dir.path().join("a.tar"));
    assert_eq!(listing, listed(&src));
    assert!(listing.contains("-640 a-first = top\n") && listing.contains("h000 top == a-first\n"));

    // The name with the content is excluded; the other one gets it.
    let filter = Filter::new(&["a-first"], &[]).unwrap();
    let input = inputs::read(&dir.path().join("a.tar"), &filter, Times::Keep).unwrap();
    assert_eq!(super::listing(&entries(input)), "-640 a-first = top\n");
}
