//! Limits whose other side is too large for a vector file: run with `--ignored --release` and a few GiB of memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use psp_testkit::writer::frames::{FULL, Frames};
use psp_testkit::writer::tar::{BLOCK, Entry};
use psp_testkit::writer::{Plan, Slot};

/// A slot of the directory `app` and so many empty files in it.
fn package(files: usize) -> Vec<u8> {
    let mut frames = Frames::new();
    let mut run = Entry::directory("app").header().to_vec();
    for number in 0..files {
        run.extend_from_slice(&Entry::file(format!("app/{number:08}"), b"").header());
        if run.len() + BLOCK + 1024 >= FULL {
            frames = frames.frame(zstd::bulk::compress(&run, 1).unwrap(), run.len());
            run.clear();
        }
    }
    run.extend_from_slice(&[0; 1024]);
    frames = frames.frame(zstd::bulk::compress(&run, 1).unwrap(), run.len());
    Plan::new().slot(Slot::tar_zst(0, "app", &frames)).bytes()
}

/// M59: 4194304 entries, the directory among them.
#[test]
#[ignore = "decodes 4 GiB"]
fn entries_of_a_slot() {
    assert_eq!(common::verdict(&package((1 << 22) - 1)), None);
    let (layer, detail) = common::verdict(&package(1 << 22)).unwrap();
    assert_eq!(layer, "contents", "{detail}");
}
