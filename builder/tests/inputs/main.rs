//! Sources as they are found on disk, read into entries.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archives;
mod bytecode;
mod directories;
mod kinds;
mod tars;
mod zips;

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use flavor::inputs::{self, DEFAULT_TIME, Entry, Filter, Input, InputError, Kind, Source, Times};

/// Everything in a source, with normalised times.
fn read(source: &Path) -> Result<Input, InputError> {
    inputs::read(
        source,
        &Filter::new(&["**"], &[]).unwrap(),
        Times::Normalise(DEFAULT_TIME),
    )
}

fn entries(input: Input) -> Vec<Entry> {
    match input.source {
        Source::Tree(tree) => tree.entries,
        Source::File(file) => panic!("not a tree: {file:?}"),
    }
}

fn bytes(entry: &Entry) -> Vec<u8> {
    let Kind::File { size, content } = &entry.kind else {
        panic!("no file: {entry:?}")
    };
    let mut bytes = Vec::new();
    content.open().unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, *size);
    bytes
}

/// One line an entry: mode, path, and what it is.
fn listing(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let path = entry.path.escape_ascii();
        let lossy = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let (kind, rest) = match &entry.kind {
            Kind::Directory => ('d', String::new()),
            Kind::File { .. } => ('-', format!(" = {}", lossy(&bytes(entry)))),
            Kind::Symlink { target } => ('l', format!(" -> {}", lossy(target))),
            Kind::HardLink { to } => ('h', format!(" == {}", lossy(to))),
        };
        writeln!(text, "{kind}{:03o} {path}{rest}", entry.mode).unwrap();
    }
    text
}

/// The listing of everything in a source.
fn listed(source: &Path) -> String {
    listing(&entries(read(source).unwrap()))
}

/// The message and the help of the error, with the directory of the test taken out.
fn refused(source: &Path, directory: &Path) -> (String, &'static str) {
    let error = read(source).expect_err("it was read");
    let text = error
        .to_string()
        .replace(&format!("{}/", directory.display()), "");
    (text, error.help())
}
