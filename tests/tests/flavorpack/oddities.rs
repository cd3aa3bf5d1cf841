//! What its builders write although its documents say otherwise: each known by a rule, and each rule named by a test.

use std::fs;

use psp_testkit::project::text;

use crate::hostile::text_of;
use crate::tool::{Bench, Launcher, MANIFEST};

fn verified(bench: &Bench, package: &str) -> String {
    let output = bench.ours(&["verify", package]);
    let said = text(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn index(bench: &Bench, package: &str, at: usize) -> u64 {
    let bytes = fs::read(bench.path(package)).unwrap();
    let at = bytes.len() - 8196 + at;
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[test]
fn eight_thousand_zeros_behind_the_launcher_of_the_rust_builder() {
    let bench = Bench::new();
    bench.build(Launcher::Rust, MANIFEST, Launcher::Rust, "p.psp");
    assert_eq!(
        index(&bench, "p.psp", 24) - index(&bench, "p.psp", 16),
        8192
    );
    assert!(verified(&bench, "p.psp").contains("only zeros in"));
}

#[test]
fn slots_of_the_python_builder_lie_at_multiples_of_4096() {
    let bench = Bench::new();
    let slots = [("tgz", "app.tar"), ("none", "conf.txt")];
    bench.build_python(&slots, Launcher::Rust, "p.psp");
    let bytes = fs::read(bench.path("p.psp")).unwrap();
    let table = usize::try_from(index(&bench, "p.psp", 40)).unwrap();
    let offset = u64::from_le_bytes(bytes[table + 64 + 16..table + 64 + 24].try_into().unwrap());
    assert_eq!(offset % 4096, 0);
    verified(&bench, "p.psp");
}

#[test]
fn tar_gz_is_operation_0_for_the_rust_builder_and_its_slot_a_file() {
    let manifest = MANIFEST.replace("\"tgz\"", "\"tar.gz\"");
    for (builder, is_file) in [(Launcher::Rust, true), (Launcher::Go, false)] {
        let bench = Bench::new();
        bench.build(builder, &manifest, Launcher::Rust, "p.psp");
        let bytes = fs::read(bench.path("p.psp")).unwrap();
        let table = usize::try_from(index(&bench, "p.psp", 40)).unwrap();
        assert_eq!(bytes[table + 40] == 0, is_file, "{builder:?}");
        verified(&bench, "p.psp");
        let output = bench.ours(&["extract", "p.psp", "app", "out"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let stored = fs::read(bench.path("app.tar.gz")).unwrap();
        assert_eq!(
            fs::read(bench.path("out/app")).is_ok_and(|file| file == stored),
            is_file
        );
        assert_eq!(bench.path("out/bin/run.sh").exists(), !is_file);
    }
}

#[test]
fn sixteen_digits_of_the_attestation() {
    let bench = Bench::new();
    bench.build_python(&[("tgz", "app.tar")], Launcher::Rust, "p.psp");
    let said = verified(&bench, "p.psp");
    let line = said.lines().find(|line| line.contains("_attestation"));
    assert!(
        line.unwrap()
            .contains("only 64 bits of its digest are signed"),
        "{said}"
    );
    // What it attests is shown as an SBOM is.
    let output = bench.ours(&["inspect", "--sbom", "p.psp"]);
    let shown = serde_json::from_slice::<serde_json::Value>(&output.stdout);
    assert!(shown.is_ok(), "{}", text(&output.stderr));
    let none = bench.ours(&["inspect", "--provenance", "p.psp"]);
    assert_eq!(none.status.code(), Some(1), "{}", text(&none.stderr));
}

#[test]
fn launcher_checksum_of_the_python_builder_with_its_prefix_twice() {
    let bench = Bench::new();
    bench.build_python(&[("tgz", "app.tar")], Launcher::Go, "p.psp");
    assert!(text_of(&bench, "p.psp").contains("\"sha256:sha256:"));
    let said = verified(&bench, "p.psp");
    assert!(said.contains("launcher           ok "), "{said}");
}

#[test]
fn size_0_of_slots_of_the_python_builder() {
    let bench = Bench::new();
    bench.build_python(&[("tgz", "app.tar")], Launcher::Rust, "p.psp");
    assert!(text_of(&bench, "p.psp").contains("\"size\": 0,"));
    verified(&bench, "p.psp");
}

#[test]
fn the_go_builder_hashes_targets_for_names_and_binds_no_launcher() {
    let bench = Bench::new();
    bench.build(Launcher::Go, MANIFEST, Launcher::Go, "p.psp");
    let bytes = fs::read(bench.path("p.psp")).unwrap();
    let table = usize::try_from(index(&bench, "p.psp", 40)).unwrap();
    let hash = psp_format::digest::Digest::of(b"etc/conf.txt").short();
    assert_eq!(bytes[table + 64 + 8..table + 64 + 16], hash.to_le_bytes());
    let said = verified(&bench, "p.psp");
    assert!(
        said.contains("launcher, index and padding are not bound"),
        "{said}"
    );
}

#[test]
fn every_chain_of_the_python_builder_is_unpacked() {
    for operations in [
        "tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "tar|zstd", "txz",
    ] {
        let bench = Bench::new();
        bench.build_python(&[(operations, "app.tar")], Launcher::Rust, "p.psp");
        verified(&bench, "p.psp");
        let output = bench.ours(&["run", "p.psp", "--", operations]);
        let expected = format!("hello a b {operations}\ndata\n");
        assert_eq!(text(&output.stdout), expected, "{}", text(&output.stderr));
    }
    for operations in ["gzip", "bzip2", "xz", "zstd", "raw"] {
        let bench = Bench::new();
        let slots = [("tar", "app.tar"), (operations, "conf.txt")];
        bench.build_python(&slots, Launcher::Rust, "p.psp");
        verified(&bench, "p.psp");
        let output = bench.ours(&["extract", "p.psp", "conf", "out"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let content = fs::read(bench.path("out/etc/conf.txt")).unwrap();
        assert_eq!(content, b"conf\n", "{operations}");
    }
}
