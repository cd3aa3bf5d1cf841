//! Where a package puts its files and what it needs of a host: every place with what speaks for and against it, hosts that
//! lack most of what hosts have, and other users who were there before.
//!
//! `builder/docs/places.md` says the same to people.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod choice;
mod doctor;
mod hosts;
mod system;
mod users;

use std::process::Output;

use psp_testkit::host::Host;
use psp_testkit::project::{MANIFEST, Project, text};

/// A project whose application says which cache it runs from.
fn teller() -> Project {
    let project = Project::new();
    project.file(
        "app/run",
        0o755,
        b"#!/bin/sh\nprintf 'genuine %s' \"$FLAVOR_CACHE\"\n",
    );
    project.file("app/data/one", 0o644, b"1");
    project.file("app/data/two", 0o666, b"2");
    project.manifest(MANIFEST);
    project
}

/// Checks that the application ran, and gives the cache that it ran from.
fn cache_of(output: &Output) -> String {
    let (said, message) = (text(&output.stdout), text(&output.stderr));
    let Some(cache) = said.strip_prefix("genuine ") else {
        panic!("{said} {message}");
    };
    assert!(output.status.success() && message.is_empty(), "{message}");
    cache.to_owned()
}

/// Starts twice, as a first start and one that finds everything ready go different ways.
fn twice(host: &Host, uid: u32, vars: &[(&str, &str)]) -> String {
    let start = || {
        let mut start = host.start(uid);
        cache_of(&start.envs(vars.iter().copied()).output().unwrap())
    };
    let cache = start();
    assert_eq!(start(), cache, "the second time");
    cache
}
