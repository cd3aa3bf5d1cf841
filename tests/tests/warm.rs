//! A warm start asks the kernel for what `builder/docs/performance.md` says, call by call.

#![allow(clippy::panic)]
use std::fs;

use psp_testkit::project::{Project, need, text};

/// System calls before `execve`, with those of the C library.
const MOST: usize = 25;

/// Names of the calls in the table of the documentation.
fn documented() -> Vec<String> {
    let page = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../builder/docs/performance.md"
    ));
    let page = page.unwrap_or_else(|e| panic!("{e}"));
    let (_, section) = page.split_once("## A warm start").unwrap_or_default();
    section
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(call, _)| call.to_owned())
        .collect()
}

/// The calls of a start, from behind the `execve` that began it to the one that ends it.
fn traced(project: &Project) -> Vec<String> {
    let log = project.path().join("trace");
    let mut command = project.start(std::path::Path::new("strace"));
    let output = command.arg("-o").arg(&log).arg(project.output()).output();
    let output = output.unwrap_or_else(|e| panic!("{e}"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let log = fs::read_to_string(&log).unwrap_or_else(|e| panic!("{e}"));
    let mut calls = Vec::new();
    for line in log.lines().skip(1) {
        calls.push(line.to_owned());
        if line.starts_with("execve(") {
            return calls;
        }
    }
    panic!("the application was not executed: {log}");
}

#[test]
fn a_warm_start_takes_the_calls_that_are_documented() {
    need("strace", "apt-get install strace");
    let project = Project::new();
    project.file("app", 0o755, b"#!/bin/sh\n");
    project.manifest(
        "[package]\nname = \"demo\"\nversion = \"1.0.0\"\n\n[[slot]]\nid = \"app\"\nsource = \"app\"\n\
         target = \"bin/app\"\n\n[command]\nexec = \"{workenv}/bin/app\"\n",
    );
    let package = project.pack();
    let first = project.start(&package).status();
    assert!(first.unwrap_or_else(|e| panic!("{e}")).success());
    let calls = traced(&project);
    let own = calls
        .iter()
        .position(|line| line.starts_with("open") && line.contains("/proc/self/exe"))
        .unwrap_or_else(|| panic!("{calls:#?}"));
    let names: Vec<_> = calls[own..]
        .iter()
        .filter_map(|line| line.split_once('('))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, documented(), "{calls:#?}");
    // The stub that a plain `cargo build` makes is linked with glibc, whose own calls are not the launcher's.
    let is_musl = fs::read(&package).unwrap_or_default().len() < 400 << 10;
    assert!(!is_musl || calls.len() <= MOST, "{calls:#?}");
}
