//! What `flavor pack` reads of its input, as the kernel sees it: every byte once, but for the beginning of each file, at which
//! it looks before anything is compressed, so that a build that must fail does so in a moment.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use psp_testkit::project::{MANIFEST, Project, flavor, need, text};

/// Most bytes of a file that are looked at beforehand.
const BEGINNING: u64 = 64;
/// The same of an executable: section headers, and the names and versions that the dynamic linker needs.
const TABLES: u64 = 64 << 10;

/// Bytes read of each file below a directory, by all threads of a command.
fn read_below(directory: &Path, command: &Command) -> BTreeMap<String, u64> {
    need("strace", "apt-get install strace");
    let logs = tempfile::tempdir().unwrap();
    let mut strace = Command::new("strace");
    // A file for each thread: in one for all, calls would be cut by those of others.
    strace
        .args(["-ff", "-y", "-o"])
        .arg(logs.path().join("log"));
    strace.args([
        "-e",
        "trace=read,pread64,readv,preadv,mmap,copy_file_range,sendfile",
    ]);
    strace.arg(command.get_program()).args(command.get_args());
    let output = strace.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let below = format!("<{}/", directory.display());
    let mut all = BTreeMap::new();
    for log in fs::read_dir(logs.path()).unwrap() {
        for line in fs::read_to_string(log.unwrap().path()).unwrap().lines() {
            let Some((call, rest)) = line.split_once(&below) else {
                continue;
            };
            assert!(
                call.starts_with("read(") || call.starts_with("pread64("),
                "it is read in another way, too: {line}"
            );
            let (name, _) = rest.split_once('>').unwrap();
            let (_, count) = line.rsplit_once(" = ").unwrap();
            *all.entry(name.to_owned()).or_insert(0) += count.parse::<u64>().unwrap();
        }
    }
    all
}

#[test]
fn of_the_input_nothing_but_beginnings_is_read_twice() {
    let project = Project::new();
    project.manifest(MANIFEST);
    project.file("app/run", 0o755, b"#!/bin/sh\n");
    let mut sizes = BTreeMap::from([("run".to_owned(), 10)]);
    for (nth, size) in [0, 63, 1000, 5000, 100_000, 3 << 20, 40 << 20]
        .into_iter()
        .enumerate()
    {
        let name = format!("file-{nth}");
        let content: Vec<u8> = (0_u32..)
            .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
            .take(size)
            .collect();
        project.file(&format!("app/{name}"), 0o644, &content);
        sizes.insert(name, u64::try_from(size).unwrap());
    }
    // An executable, whose headers are looked at, too.
    let program = fs::read(flavor().get_program()).unwrap();
    project.file("app/program", 0o644, &program);
    sizes.insert("program".to_owned(), u64::try_from(program.len()).unwrap());

    let mut pack = flavor();
    pack.args(project.pack_args());
    let read = read_below(&project.path().join("app"), &pack);
    for (name, size) in &sizes {
        let beginning = (*size).min(BEGINNING);
        let tables = if name == "program" { TABLES } else { 0 };
        let found = read.get(name).copied().unwrap_or(0);
        assert!(
            (*size..=size + beginning + tables).contains(&found),
            "{name} has {size} bytes, and {found} are read"
        );
    }
}
