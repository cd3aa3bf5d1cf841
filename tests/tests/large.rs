//! A file of 5 GB and a tree of 100,000 files: packed, verified and started within their memory.
//!
//! These need some 12 GB of disk and a few minutes, so they run only when asked for: `scripts/test --large`, as `.ci/run`
//! does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::process::Command;

use psp_testkit::project::{Project, flavor, text};

const MIB: u64 = 1 << 20;

/// Runs a command to its end and gives its largest resident set in bytes.
///
/// The kernel accounts it for the waited-for child (`wait4`); GNU time prints it.
fn peak_memory(command: &Command) -> u64 {
    let mut timed = Command::new("/usr/bin/env");
    timed
        .args(["python3", "-c", PEAK])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    let output = timed.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stderr).into_owned();
    let line = said
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("peak KiB: "))
        .expect("a peak");
    line.parse::<u64>().unwrap() * 1024
}

const PEAK: &str = "
import os, resource, sys
pid = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print('peak KiB:', usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
";

fn pack_verify_start(project: &Project, level: &str, what: &str) {
    let mut pack = flavor();
    pack.args(project.pack_args_at(level));
    let packing = peak_memory(&pack);
    let package = project.output();
    let mut verify = flavor();
    verify.arg("verify").arg(&package);
    let verifying = peak_memory(&verify);
    let mut cold = Command::new(&package);
    cold.env("FLAVOR_CACHE", project.cache());
    let unpacking = peak_memory(&cold);
    let starting = peak_memory(&cold);
    eprintln!(
        "{what}: package {} MiB; peak MiB: pack {}, verify {}, first start {}, start {}",
        fs::metadata(&package).unwrap().len() / MIB,
        packing / MIB,
        verifying / MIB,
        unpacking / MIB,
        starting / MIB
    );
    assert!(packing < 512 * MIB && verifying < 512 * MIB);
    assert!(unpacking < 64 * MIB && starting < 64 * MIB);
}

fn manifest(project: &Project) {
    project.file("bin/true", 0o755, b"#!/bin/sh\nexit 0\n");
    project.manifest(
        "[package]\nname = \"demo\"\nversion = \"1\"\n[[slot]]\nid = \"data\"\nsource = \"data\"\n\
         [[slot]]\nid = \"bin\"\nsource = \"bin\"\n[command]\nexec = \"{workenv}/bin/true\"\n",
    );
}

/// Bytes that neither repeat nor can be predicted: xorshift64.
fn noise(state: &mut u64) -> [u8; 8] {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    state.to_le_bytes()
}

#[test]
#[ignore = "5 GB: run with scripts/test --large"]
fn a_file_of_five_gigabytes() {
    let project = Project::new();
    manifest(&project);
    fs::create_dir(project.path().join("data")).unwrap();
    let mut file = BufWriter::new(File::create(project.path().join("data/big")).unwrap());
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let block: Vec<u8> = (0..MIB / 8).flat_map(|_| noise(&mut state)).collect();
    // A megabyte of noise with its number in front, then a megabyte of one letter, and so on.
    for nth in 0_u32..2560 {
        file.write_all(&nth.to_le_bytes()).unwrap();
        file.write_all(&block[4..]).unwrap();
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    file.flush().unwrap();
    drop(file);
    pack_verify_start(&project, "1", "5 GB");
}

#[test]
#[ignore = "100,000 files: run with scripts/test --large"]
fn a_tree_of_a_hundred_thousand_files() {
    let project = Project::new();
    manifest(&project);
    let mut state = 0x0123_4567_89ab_cdef;
    for directory in 0..2000 {
        let path = project.path().join(format!("data/d{directory}"));
        fs::create_dir_all(&path).unwrap();
        for file in 0..50 {
            let size = u16::from_le_bytes([noise(&mut state)[0], noise(&mut state)[1] & 0x1f]);
            let bytes: Vec<u8> = (0..size / 8).flat_map(|_| noise(&mut state)).collect();
            fs::write(path.join(format!("f{file}")), bytes).unwrap();
        }
    }
    pack_verify_start(&project, "3", "100,000 files");
}
