//! One static program, started from memory where no directory can be the cache.
#![allow(clippy::panic)]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{Place, must, output, package, write_executable};
use psp_format::metadata::Metadata;
use psp_format::ops::Operations;
use psp_format::range::widen;

/// Says what it finds: its name, its arguments, the two variables, its descriptors, and what it lies in.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    for (int i = 0; i < argc; i++) printf("%s|", argv[i]);
    printf("%s|%s|%s|", getenv("FLAVOR_WORKENV") ? "workenv" : "", getenv("FLAVOR_CACHE") ? "cache" : "", getenv("FLAVOR_PACKAGE"));
    char own[256] = "", here[256] = "";
    readlink("/proc/self/exe", own, sizeof own - 1);
    printf("%s|%s|", own, getcwd(here, sizeof here));
    int self = open("/proc/self/exe", O_RDONLY);
    printf("seals %x|fds", fcntl(self, F_GET_SEALS));
    close(self);
    for (int fd = 0; fd < 64; fd++) if (fcntl(fd, F_GETFD) >= 0) printf(" %d", fd);
    printf("\n");
    return 7;
}
"#;

/// Compiles [`PROGRAM`].
fn compile(place: &Place, flags: &[&str]) -> Vec<u8> {
    let source = place.path("program.c");
    must(std::fs::write(&source, PROGRAM));
    let made = Command::new("gcc")
        .args(flags)
        .arg("-o")
        .arg(place.path("program"))
        .arg(source)
        .status();
    let made = made.unwrap_or_else(|error| panic!("gcc: {error}: apt-get install gcc libc6-dev"));
    assert!(
        made.success(),
        "no static C library: apt-get install libc6-dev"
    );
    must(std::fs::read(place.path("program")))
}

/// The stored bytes of a `zstd` slot with this content, in one frame.
fn one_frame(content: &[u8]) -> Vec<u8> {
    let mut stored = must(zstd::bulk::compress(content, 1));
    let sizes = (
        must(u32::try_from(stored.len())),
        must(u32::try_from(content.len())),
    );
    stored.extend(psp_format::frames::write_seek_table(&[sizes]));
    stored
}

/// Starts a command where nothing can be written: every file system that could hold a cache is mounted read-only, in a
/// mount namespace of its own.
fn where_nothing_can_be_written(place: &Place, command: &str) -> Output {
    let flags = if rustix::process::geteuid().is_root() {
        "-m"
    } else {
        "-rm"
    };
    let script = format!(
        "set -e
        mount -o remount,bind,ro /
        for at in /tmp /var/tmp \"$PWD\"; do
            mount --bind \"$at\" \"$at\"; mount -o remount,bind,ro \"$at\"
        done
        cd \"$PWD\"
        {command}"
    );
    let mut unshare = place.command("unshare");
    unshare.args([flags, "/bin/sh", "-c", &script]);
    unshare.env("FLAVOR_CACHE", place.path("cache"));
    output(&mut unshare)
}

/// A package whose only content is this program.
fn write(place: &Place, program: &[u8], change: impl FnOnce(&mut Metadata)) {
    let bytes = package(&[("bin/app", program)], change);
    write_executable(&place.path("p.psp"), &bytes);
}

/// That the start was refused as ever, with each place tried.
fn assert_no_place(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{stderr}");
    assert!(output.stdout.is_empty());
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines[0], "error: no directory can hold the package's files");
    let count = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
    assert!(count("ead-only") >= 4, "{stderr}");
    assert_eq!(
        (count("/cache\" (FLAVOR_CACHE)"), count("/tmp/flavor-")),
        (1, 2),
        "{stderr}"
    );
    assert!(
        lines
            .last()
            .is_some_and(|line| line.starts_with("help: set FLAVOR_CACHE"))
    );
}

#[test]
fn a_static_program_needs_no_place() {
    let place = Place::default();
    for flags in [&["-static"][..], &["-static-pie", "-fPIE"]] {
        let program = compile(&place, flags);
        let stored = one_frame(&program);
        for compressed in [false, true] {
            let bytes = package(
                &[("bin/app", if compressed { &stored } else { &program })],
                |m| {
                    m.execution.argv.push("{version}".into());
                    if compressed {
                        m.slots[0].operations = Operations::Zstd;
                        m.slots[0].operations_code = Operations::Zstd.code();
                        m.slots[0].original_size = widen(program.len());
                    }
                },
            );
            write_executable(&place.path("p.psp"), &bytes);
            let found = where_nothing_can_be_written(&place, "FLAVOR_WORKENV=/old ./p.psp 'a b'");
            let answer = String::from_utf8_lossy(&found.stdout);
            assert!(
                found.stderr.is_empty(),
                "{}",
                String::from_utf8_lossy(&found.stderr)
            );
            assert_eq!(found.status.code(), Some(7), "{answer}");
            let here = must(place.path(".").canonicalize());
            // All four seals: none can be added, nothing changes. The descriptor is closed.
            let expected = format!(
                "app|1.2|a b|||demo|/memfd:app (deleted)|{}|seals f|fds 0 1 2",
                here.display()
            );
            assert!(answer.starts_with(&expected), "{answer}");
        }
    }
    let direct = where_nothing_can_be_written(&place, "exec ./program");
    let fds = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split("fds").nth(1).map(str::to_owned)
    };
    let started = where_nothing_can_be_written(&place, "exec ./p.psp");
    assert_eq!(fds(&started), fds(&direct));
    assert!(!place.path("cache").exists());
}

#[test]
fn nothing_else_is_started_from_memory() {
    let place = Place::default();
    let program = compile(&place, &["-static"]);
    let start = || where_nothing_can_be_written(&place, "./p.psp");
    write(&place, &compile(&place, &[]), |_| {});
    assert_no_place(&start());
    write(&place, b"#!/bin/sh\necho started\n", |_| {});
    assert_no_place(&start());
    // For another machine, and cut short within its headers.
    let mut other = program.clone();
    other[18] ^= 1;
    write(&place, &other, |_| {});
    assert_no_place(&start());
    for size in [0, 40, 64, 100] {
        write(&place, &program[..size], |_| {});
        assert_no_place(&start());
    }
    // It names what would be on disk; the table of these rules is tested where they are.
    write(&place, &program, |m| {
        m.execution.argv.push("{workenv}".into())
    });
    assert_no_place(&start());
    let bytes = package(&[("bin/app", &program), ("data", b"x")], |_| {});
    write_executable(&place.path("p.psp"), &bytes);
    assert_no_place(&start());
    // As the bytes are compared first, a damaged package is told from one that has no place.
    let mut bytes = package(&[("bin/app", &program)], |_| {});
    let middle = bytes.len() - 100_000;
    bytes[middle] ^= 1;
    write_executable(&place.path("p.psp"), &bytes);
    common::assert_refused(&start(), 125, &["stored bytes do not match"]);
    // Where there is a place, it is used.
    write(&place, &program, |_| {});
    let found = place.run::<&Path>(place.path("p.psp"), &[]);
    let answer = String::from_utf8_lossy(&found.stdout);
    assert!(answer.contains("/bin/app|workenv|cache|demo|"), "{answer}");
}

/// A working directory that is not there is told as ever.
#[test]
fn the_directory_of_the_command() {
    let place = Place::default();
    let program = compile(&place, &["-static"]);
    write(&place, &program, |m| m.execution.cwd = Some("/usr".into()));
    let found = where_nothing_can_be_written(&place, "./p.psp");
    let answer = String::from_utf8_lossy(&found.stdout);
    assert!(answer.contains("(deleted)|/usr|seals"), "{answer}");
    write(&place, &program, |m| {
        m.execution.cwd = Some("/no/such".into())
    });
    let found = where_nothing_can_be_written(&place, "./p.psp");
    common::assert_refused(&found, 125, &["cannot enter the directory \"/no/such\""]);
}
