//! Which program a package starts, and with which words; and that the names of cache entries are nobody's to choose.
#![allow(clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::{Place, assert_refused, must, output, package, text, write_executable};
use psp_format::encode::place;
use psp_format::signature::PrivateKey;

/// Writes programs of these names that say that they are the wrong ones, where a search could find them.
fn decoys(place: &Place, names: &[&str]) {
    for directory in ["", "decoys"] {
        must(fs::create_dir_all(place.path(directory)));
        for name in names {
            let path = place.path(directory).join(name);
            write_executable(&path, b"#!/bin/sh\necho decoy\n");
        }
    }
}

/// Every search path that is against the package, from a directory that holds the program's name.
fn paths(place: &Place) -> Vec<Option<String>> {
    let decoys = place.path("decoys").display().to_string();
    let mut out: Vec<Option<String>> = ["", ".", ":", "/nonexistent", "./decoys"]
        .map(|path| Some(path.to_owned()))
        .into();
    out.extend([None, Some(format!("{decoys}:/usr/bin:/bin"))]);
    out
}

/// The package's own program and an absolute path, with hostile search paths and the same names in the caller's directory.
///
/// outcome: runs; nothing is searched
/// layer: exec
/// message: none
#[test]
fn case_109_programs_are_not_searched() {
    let place = Place::default();
    decoys(&place, &["app", "sh"]);
    let own = place.script("own.psp", "echo own");
    let absolute = place.package("absolute.psp", "", |m| {
        m.execution.argv = ["/bin/sh", "-c", "echo own"].map(String::from).into();
    });
    for path in paths(&place) {
        for program in [&own, &absolute] {
            let mut command = place.command(program);
            match &path {
                Some(path) => command.env("PATH", path),
                None => command.env_remove("PATH"),
            };
            assert_eq!(text(&output(&mut command)), "own\n", "{path:?}");
        }
    }
}

/// Signed arguments with quotes, backslashes, dollars, backticks, nothing, and 128 kB.
///
/// outcome: runs with exactly these words and no shell, or refused (126) where the kernel takes no argument that long
/// layer: exec
/// message: start it with fewer or shorter arguments and variables
#[test]
fn case_110_exact_arguments() {
    let place = Place::default();
    let hostile = [
        "",
        "a b",
        "\"",
        "'",
        "\\",
        "\\\\n",
        "$HOME",
        "$(touch x)",
        "`touch x`",
        ";touch x",
        "*",
        "\n",
        "\u{1b}[31m",
        "%s",
        "{",
        "}",
        "{}",
        "{none}",
        "--",
        "-c",
        "\u{e9}",
    ];
    let start = |longest: usize| {
        let package = place.package("p.psp", r#"printf '%s\0' "$@""#, |m| {
            m.execution.argv.extend(hostile.map(String::from));
            m.execution.argv.push("x".repeat(longest));
        });
        let first = place.run::<&str>(&package, &[]);
        assert_eq!(first, place.run::<&str>(&package, &[]));
        first
    };
    // The kernel's limit is 128 KiB with the final NUL.
    let longest = (128 << 10) - 1;
    let found = start(longest).stdout;
    let mut expected = Vec::new();
    for word in hostile.iter().copied().chain([&*"x".repeat(longest)]) {
        expected.extend([word.as_bytes(), b"\0"].concat());
    }
    assert!(
        found == expected,
        "{}",
        found[..400.min(found.len())].escape_ascii()
    );
    assert!(!place.path("x").exists());
    let help = "start it with fewer or shorter arguments and variables";
    assert_refused(&start(longest + 1), 126, &[help]);
}

/// Two packages of one name whose index checksums are equal: found by making some ten thousand versions.
///
/// outcome: runs; each has an entry of its own, named by all of SHA-256
/// layer: store
/// message: none
#[test]
fn case_060_equal_index_checksums() {
    let home = Place::default();
    let app = b"#!/bin/sh\necho \"$FLAVOR_VERSION\"\n";
    let made = |nth: u32| {
        package(&[("bin/app", app)], |m| {
            m.package.version = format!("1.{nth}")
        })
    };
    let signer = PrivateKey::from_text_seed("test");
    let mut metadata = None;
    package(&[("bin/app", app)], |m| metadata = Some(m.clone()));
    let Some(mut metadata) = metadata else {
        panic!("no metadata")
    };
    let mut seen = BTreeMap::new();
    let pair = (0..300_000).find_map(|nth| {
        metadata.package.version = format!("1.{nth}");
        let (_, head) = must(place(metadata.clone()));
        let trailer = head.signed_trailer(&signer);
        // Behind the first magic, and the version of the format.
        let checksum = trailer.get(8..12).map(<[u8]>::to_vec);
        seen.insert(checksum, nth).map(|other| (other, nth))
    });
    let Some((one, two)) = pair else {
        panic!("no two of {} are equal", seen.len())
    };
    for nth in [one, two, one] {
        let path = home.path("p.psp");
        let _ = fs::remove_file(&path);
        write_executable(&path, &made(nth));
        let found = text(&home.run::<&str>(&path, &[]));
        assert_eq!(found, format!("1.{nth}\n"));
    }
    let ready = home.stored("ready");
    assert_eq!(ready.len(), 2);
    assert!(ready.iter().all(|name| name.len() == 64), "{ready:?}");
}

/// Slots whose targets are the names that the store gives to its own parts.
///
/// outcome: runs; they lie in the work environment like any other
/// layer: store
/// message: none
#[test]
fn case_088_targets_named_like_parts_of_the_store() {
    let place = Place::default();
    let names = [
        "slots/x",
        "envs/x",
        "ready/x",
        "locks/x",
        "staging/x",
        "runs/x.lock",
        "CACHEDIR.TAG",
        "x.done",
        "x.list",
        "..x",
        "...",
        ".x",
        "-rf",
        "~",
        "{workenv}",
        "a\\..\\x",
    ];
    let mut files = vec![(
        "bin/app",
        &b"#!/bin/sh\ncd \"$FLAVOR_WORKENV\" && find -L . -type f | LC_ALL=C sort\n"[..],
    )];
    files.extend(names.map(|name| (name, name.as_bytes())));
    write_executable(&place.path("p.psp"), &package(&files, |_| {}));
    let mut expected: Vec<String> = files.iter().map(|(name, _)| format!("./{name}")).collect();
    expected.sort();
    for _cold_then_warm in 0..2 {
        let found = text(&place.run::<&str>(place.path("p.psp"), &[]));
        assert_eq!(found.lines().collect::<Vec<_>>(), expected);
    }
    let top = must(fs::read_dir(place.path("home/.cache/flavor"))).count();
    assert_eq!(top, 7);
}
