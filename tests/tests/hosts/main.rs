//! Hosts that are against a package: what stands under its name instead of a file, what others put into its environment and
//! its cache, who replaces it while it starts; and packages that are against whoever only looks at them.
//!
//! Numbers are those of the list of hostile cases.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod entries;
mod names;
mod refused;
mod replaced;
mod shown;
mod special;
mod surroundings;
mod untouched;

use std::process::Output;

use psp_testkit::project::{MANIFEST, Project, text};
use psp_testkit::writer::index;

/// A project whose application is this shell script, with a directory of data beside it.
fn script(body: &str) -> Project {
    let project = Project::new();
    project.file("app/run", 0o755, format!("#!/bin/sh\n{body}\n").as_bytes());
    project.file("app/data/one", 0o644, b"one");
    project.file("app/data/two", 0o644, b"two");
    project.manifest(MANIFEST);
    project
}

/// The standard output of a program that ended well and had nothing to complain of.
fn said(output: &Output) -> String {
    let message = text(&output.stderr);
    assert!(output.status.success() && message.is_empty(), "{message}");
    text(&output.stdout).into_owned()
}

/// The launcher of a real package, for packages that only the writer that misbehaves can make.
fn real_launcher() -> Vec<u8> {
    let real = std::fs::read(script("exit 0").pack()).unwrap();
    let trailer = real.len() - 4 - index::SIZE;
    let mut fields = index::FIELDS.iter();
    let (offset, ..) = fields.find(|(.., name)| *name == "launcher_size").unwrap();
    let at = trailer + offset;
    let size = u64::from_le_bytes(real[at..at + 8].try_into().unwrap());
    real[..usize::try_from(size).unwrap()].to_vec()
}
