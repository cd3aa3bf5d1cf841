//! A package to change.

use super::frames::Frames;
use super::tar::{Entry, stream};
use super::{Parts, Plan, Slot};

/// A package with every region and every kind of padding in it.
pub fn package() -> Parts {
    let tree = stream(&[
        Entry::directory("app"),
        Entry::file("app/run", b"#!/bin/sh\n"),
        Entry::symlink("app/start", "run"),
    ]);
    let plan = |version: &'static str| {
        Plan::new()
            .set("/build", "tool_version", version.into())
            .slot(Slot::file(0, "config", b"five!"))
            .slot(Slot::tar_zst(1, "app", &Frames::of(&tree)))
            .slot(Slot::zstd(2, "blob", &Frames::of(b"some bytes in a frame")))
    };
    // The length of the metadata decides whether there is padding behind it.
    let parts = plan("1").parts();
    let parts = if parts.gap_table.is_empty() {
        plan("10").parts()
    } else {
        parts
    };
    assert!(
        !parts.gap_table.is_empty()
            && !parts.slots[1].gap.is_empty()
            && !parts.gap_trailer.is_empty()
    );
    parts
}
