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
