//! What packages need of a host, where the packages are values: which library is found where, and what is left over.

use std::fs;
use std::path::Path;

use flavor::binary::base::{BASE, base};
use flavor::binary::{
    Binary, Elf, ElfKind, Family, Finding, Found, Inside, Need, Node, Requirements, Subject, Wanted,
};

fn library(soname: &str, needed: &[&str]) -> Elf {
    Elf {
        machine: "x86_64".into(),
        bits: 64,
        kind: ElfKind::Library,
        interpreter: None,
        soname: Some(soname.into()),
        needed: needed.iter().map(|&name| name.into()).collect(),
        rpath: Vec::new(),
        runpath: None,
        versions: Vec::new(),
        text_relocations: false,
        executable_stack: false,
    }
}

fn program(needed: &[&str]) -> Elf {
    Elf {
        kind: ElfKind::Program,
        interpreter: Some("/lib64/ld-linux-x86-64.so.2".into()),
        soname: None,
        ..library("", needed)
    }
}

fn with_runpath(entries: &[&str], elf: Elf) -> Elf {
    let runpath = Some(entries.iter().map(|&entry| entry.into()).collect());
    Elf { runpath, ..elf }
}

fn with_rpath(entries: &[&str], elf: Elf) -> Elf {
    let rpath = entries.iter().map(|&entry| entry.into()).collect();
    Elf { rpath, ..elf }
}

fn package(files: &[(&str, Elf)], links: &[(&str, &str)], commands: &[&str]) -> Requirements {
    let mut inside = Inside::default();
    let mut subjects = Vec::new();
    for (path, elf) in files {
        inside.insert(path.as_bytes().to_vec(), Node::File(Some(subjects.len())));
        subjects.push(Subject {
            path: path.as_bytes().to_vec(),
            binary: Ok(Binary::Elf(elf.clone())),
        });
    }
    for (path, target) in links {
        inside.insert(
            path.as_bytes().to_vec(),
            Node::Symlink(target.as_bytes().to_vec()),
        );
    }
    let command = |path: &&str| ("[command]".to_owned(), path.as_bytes().to_vec());
    let wanted = Wanted {
        target: "linux_amd64".into(),
        commands: commands.iter().map(command).collect(),
        library_path: Vec::new(),
    };
    Requirements::of(&inside, &subjects, &wanted)
}

/// Where a file finds what it needs.
fn found(needs: &Requirements, path: &str) -> Vec<Found> {
    let file = needs.files.iter().find(|file| file.path == path).unwrap();
    file.needed
        .iter()
        .map(|needed| needed.found.clone())
        .collect()
}

fn inside(path: &str) -> Found {
    Found::Inside(path.into())
}

#[test]
fn run_paths_are_followed_as_the_loader_follows_them() {
    let needs = package(
        &[
            (
                "rt/bin/x",
                with_runpath(&["$ORIGIN/../lib"], program(&["liba.so", "libhost.so"])),
            ),
            ("rt/lib/liba.so.1", library("liba.so", &["libb.so"])),
            ("rt/lib/libb.so", library("libb.so", &[])),
        ],
        &[("rt/lib/liba.so", "liba.so.1"), ("bin", "rt/bin")],
        &["bin/x"],
    );
    assert_eq!(
        found(&needs, "rt/bin/x"),
        [inside("rt/lib/liba.so.1"), Found::Host]
    );
    // `DT_RUNPATH` is for what the file itself needs.
    assert_eq!(found(&needs, "rt/lib/liba.so.1"), [Found::Host]);
    let host: Vec<_> = needs
        .libraries
        .iter()
        .map(|library| library.name.as_str())
        .collect();
    assert_eq!(host, ["libb.so", "libhost.so"]);

    // `DT_RPATH` is for what its libraries need, too.
    let needs = package(
        &[
            (
                "bin/x",
                with_rpath(&["${ORIGIN}/../lib"], program(&["liba.so"])),
            ),
            ("lib/liba.so", library("liba.so", &["libb.so"])),
            ("lib/libb.so", library("libb.so", &["libc.so.6"])),
        ],
        &[],
        &[],
    );
    assert_eq!(found(&needs, "lib/liba.so"), [inside("lib/libb.so")]);
    assert!(needs.files.iter().all(|file| file.findings.is_empty()));

    // Unless these have a `DT_RUNPATH`.
    let needs = package(
        &[
            (
                "bin/x",
                with_rpath(&["$ORIGIN/../lib"], program(&["liba.so"])),
            ),
            (
                "lib/liba.so",
                with_runpath(&["$ORIGIN/none"], library("liba.so", &["libb.so"])),
            ),
            ("lib/libb.so", library("libb.so", &[])),
        ],
        &[],
        &[],
    );
    assert_eq!(found(&needs, "lib/liba.so"), [Found::Host]);
}

#[test]
fn what_is_loaded_already_is_not_looked_for() {
    let needs = package(
        &[
            (
                "bin/python",
                with_runpath(&["$ORIGIN/../lib"], program(&["libpython.so.1", "libz.so"])),
            ),
            (
                "lib/libpython.so.1",
                library("libpython.so.1", &["libz.so"]),
            ),
            ("lib/libz.so", library("libz.so", &[])),
            (
                "lib/plugin.so",
                library("plugin.so", &["libpython.so.1", "libz.so", "libtk.so"]),
            ),
        ],
        &[],
        &["bin/python"],
    );
    let loaded = Found::LoadedBy("bin/python".into());
    assert_eq!(
        found(&needs, "lib/plugin.so"),
        [loaded.clone(), loaded, Found::Host]
    );
    assert_eq!(needs.libraries.len(), 1, "{:?}", needs.libraries);
    assert_eq!(needs.libraries[0].needed_by, ["lib/plugin.so"]);
}

#[test]
fn run_paths_that_leave_are_found() {
    let entries = [
        "$ORIGIN",
        "$ORIGIN/../..",
        "/usr/lib/x",
        "",
        "lib",
        "$ORIGIN/$LIB",
        "$ORIGINAL/x",
        "$ORIGIN/../none",
    ];
    let needs = package(&[("bin/x", with_runpath(&entries, program(&[])))], &[], &[]);
    let leaving: Vec<&str> = needs.files[0]
        .findings
        .iter()
        .map(|finding| match finding {
            Finding::RunPathLeaves { entry } => entry.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        leaving,
        [
            "$ORIGIN/../..",
            "/usr/lib/x",
            "",
            "lib",
            "$ORIGIN/$LIB",
            "$ORIGINAL/x"
        ]
    );
}

#[test]
fn another_processor_stops_commands_and_nothing_else() {
    let arm = |elf: Elf| Elf {
        machine: "aarch64".into(),
        ..elf
    };
    let needs = package(
        &[
            ("bin/x", with_runpath(&["$ORIGIN"], program(&["liba.so"]))),
            ("bin/liba.so", arm(library("liba.so", &[]))),
            ("data/other", arm(program(&[]))),
        ],
        &[],
        &["bin/x"],
    );
    assert_eq!(needs.blockers.len(), 1, "{:?}", needs.blockers);
    assert_eq!(needs.blockers[0].path, b"bin/liba.so");
    assert_eq!(needs.blockers[0].found, "ELF aarch64");
    let other = Finding::OtherTarget {
        found: "ELF aarch64".into(),
    };
    assert_eq!(needs.files[2].findings, [other]);

    let needs = package(&[("bin/x", arm(program(&[])))], &[("x", "bin/x")], &["x"]);
    assert_eq!(needs.blockers[0].command, "[command]");
    assert_eq!(needs.blockers[0].path, b"bin/x");
}

#[test]
fn the_newest_version_that_the_host_has_to_provide_is_named() {
    let need = |library: &str, version: &str, symbol: &str| Need {
        library: library.into(),
        version: version.into(),
        symbol: Some(symbol.into()),
    };
    let mut x = with_runpath(&["$ORIGIN"], program(&["libc.so.6", "libstdc++.so.6"]));
    x.versions = vec![
        need("libc.so.6", "GLIBC_2.4", "__stack_chk_fail"),
        need("libc.so.6", "GLIBC_2.17", "clock_gettime"),
        need("libstdc++.so.6", "GLIBCXX_3.4.32", "new_one"),
    ];
    let mut y = program(&["libc.so.6"]);
    y.versions = vec![
        need("libc.so.6", "GLIBC_2.34", "dlopen"),
        need("libc.so.6", "GLIBC_PRIVATE", "x"),
    ];
    let files = [
        ("bin/x", x),
        ("bin/y", y),
        ("bin/libstdc++.so.6", library("libstdc++.so.6", &[])),
    ];
    let needs = package(&files, &[], &[]);
    // The C++ library is in the package, so its versions are not asked of the host.
    assert_eq!(needs.versions.len(), 1, "{:?}", needs.versions);
    let wants = &needs.versions[0];
    assert_eq!(
        (wants.family, wants.version.to_string().as_str()),
        (Family::Glibc, "2.34")
    );
    assert_eq!(
        (wants.path.as_str(), wants.symbol.as_deref()),
        ("bin/y", Some("dlopen"))
    );
    let above = |floor: &str| needs.above(&floor.parse().unwrap()).is_some();
    assert!(above("2.28") && above("2.9") && !above("2.34") && !above("2.100"));
    // Without it, they are.
    let needs = package(&files[..2], &[], &[]);
    assert_eq!(needs.versions[1].family, Family::Glibcxx);
}

#[test]
fn the_base_set_is_what_the_reference_says() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/manifest.md")).unwrap();
    for (name, why) in BASE {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| {} |", why.name())));
        let row = row.unwrap_or_else(|| panic!("no row for {} in docs/manifest.md", why.name()));
        assert!(row.contains(&format!("`{name}`")), "{name} is not in {row}");
        assert_eq!(base(name), Some(*why));
    }
    assert!(base("ld-linux-aarch64.so.1").is_some() && base("libz.so.1").is_none());
}
