//! The matrix: who made a package, and what each tool does with it. Every cell is written down, and an unexpected success
//! fails as much as a failure.

use std::fs;
use std::process::Output;

use psp_testkit::project::text;

use crate::tool::{Bench, Launcher, MANIFEST};

/// What a tool does with a package.
enum Cell {
    /// It does what it was asked for, and the result is the application's.
    Yes,
    /// It refuses, with these words.
    No(&'static str),
    /// It says that all is well, and gives something else than the application: its stored bytes.
    Stored,
}
use Cell::{No, Stored, Yes};

/// How a package is made, and then for each of
/// its verify, its inspect, its extract, its Rust launcher, its Go launcher, our verify, our inspect, our extract, our run.
type Row = (&'static str, fn(&Bench, Launcher, &str), [Cell; 9]);

const MATRIX: [Row; 6] = [
    (
        "its Rust builder",
        |bench, with, output| bench.build(Launcher::Rust, MANIFEST, with, output),
        [Yes, Yes, Yes, Yes, Yes, Yes, Yes, Yes, Yes],
    ),
    (
        "its Go builder",
        |bench, with, output| bench.build(Launcher::Go, MANIFEST, with, output),
        [Yes, Yes, Yes, Yes, Yes, Yes, Yes, Yes, Yes],
    ),
    (
        "its Python API",
        |bench, with, output| {
            let slots = [("tgz", "app.tar"), ("none", "conf.txt")];
            bench.build_python(&slots, with, output);
        },
        [Yes, Yes, Yes, Yes, Yes, Yes, Yes, Yes, Yes],
    ),
    (
        "ours",
        |bench, with, output| pack(bench, with, &[], output),
        [
            Yes,
            Yes,
            Stored,
            No("Unknown operation 27 for slot 0"),
            No("ZSTD not yet implemented"),
            Yes,
            Yes,
            Yes,
            Yes,
        ],
    ),
    (
        "ours --compat",
        |bench, with, output| pack(bench, with, &["--compat", "flavorpack"], output),
        [Yes, Yes, Yes, Yes, Yes, Yes, Yes, Yes, Yes],
    ),
    (
        "ours --compat --sbom",
        |bench, with, output| {
            let flags = ["--compat", "flavorpack", "--sbom"];
            pack(bench, with, &flags, output);
        },
        [Yes, Yes, Yes, Yes, Yes, Yes, Yes, Yes, Yes],
    ),
];

fn pack(bench: &Bench, with: Launcher, more: &[&str], output: &str) {
    let packed = bench.pack(Some(with), more, output);
    assert!(packed.status.success(), "{}", text(&packed.stderr));
}

#[test]
fn every_cell_is_as_written() {
    let names = [
        "its verify",
        "its inspect",
        "its extract",
        "its Rust launcher",
        "its Go launcher",
        "our verify",
        "our inspect",
        "our extract",
        "our run",
    ];
    for (maker, make, cells) in MATRIX {
        let bench = Bench::new();
        make(&bench, Launcher::Rust, "rust.psp");
        make(&bench, Launcher::Go, "go.psp");
        for (name, cell) in names.iter().zip(cells) {
            for package in ["rust.psp", "go.psp"] {
                // Each launcher is in one of the two.
                match (*name, package) {
                    ("its Rust launcher", "go.psp") | ("its Go launcher", "rust.psp") => {}
                    _ => check(
                        &bench,
                        package,
                        name,
                        &cell,
                        &format!("{maker}, {name}, {package}"),
                    ),
                }
            }
        }
    }
}

fn check(bench: &Bench, package: &str, tool: &str, cell: &Cell, what: &str) {
    let out = format!("out of {tool} {package}").replace(' ', "-");
    let output = match tool {
        "its verify" => bench.theirs(&["verify", package]),
        "its inspect" => bench.theirs(&["inspect", package]),
        "its extract" => bench.theirs(&["extract", package, "0", &out]),
        "our verify" => bench.ours(&["verify", package]),
        "our inspect" => bench.ours(&["inspect", package]),
        "our extract" => bench.ours(&["extract", package, "app", &out]),
        "our run" => bench.ours(&["run", package, "--", "x", "y z"]),
        _ => bench.start(package, &["x", "y z"]),
    };
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    if let No(reason) = cell {
        assert!(!output.status.success(), "{what} succeeded: {said}");
        assert!(said.contains(reason), "{what}: {said}");
        return;
    }
    assert!(output.status.success(), "{what}: {said}");
    let is_stored = matches!(cell, Stored);
    let is_right = match tool {
        "its extract" => is_archive(bench, &out),
        "our extract" => is_tree(bench, &out),
        "our run" | "its Rust launcher" | "its Go launcher" => ran(&output),
        "our verify" => said.contains("valid, but its signer"),
        _ => said.contains("demo"),
    };
    assert_eq!(is_right, !is_stored, "{what}: {said}");
}

fn ran(output: &Output) -> bool {
    output.stdout.ends_with(b"hello a b x y z\ndata\n")
}

/// Its `extract` gives the decompressed archive.
fn is_archive(bench: &Bench, out: &str) -> bool {
    let bytes = fs::read(bench.path(out)).unwrap();
    bytes.get(257..262) == Some(b"ustar")
}

/// Ours gives the tree, below the target for packages of ours.
fn is_tree(bench: &Bench, out: &str) -> bool {
    ["", "app/"].iter().any(|target| {
        let path = bench.path(&format!("{out}/{target}data.txt"));
        fs::read(path).is_ok_and(|data| data == b"data\n")
    })
}
