//! Writes every vector of the catalog into `tests/vectors`, and removes those that it no longer has.
//!
//! A file whose vector is the same is left alone, even if another version of zstd would compress it otherwise.

#![allow(clippy::print_stdout)] // a tool for developers; its output is its report

use std::fs;
use std::io;

use psp_testkit::{catalog, vector};

fn main() -> io::Result<()> {
    let directory = vector::directory();
    fs::create_dir_all(&directory)?;
    let vectors = catalog::all();
    let mut written = 0;
    for vector in &vectors {
        let path = directory.join(format!("{}.vec", vector.name));
        let same =
            fs::read(&path).is_ok_and(|file| vector::Vector::decode(&file).as_ref() == Ok(vector));
        if !same {
            fs::write(&path, vector.encode())?;
            written += 1;
        }
    }
    let mut removed = 0;
    for entry in fs::read_dir(&directory)? {
        let path = entry?.path();
        let known = |name: &str| vectors.iter().any(|vector| vector.name == name);
        if !path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .is_some_and(known)
        {
            fs::remove_file(&path)?;
            removed += 1;
        }
    }
    println!(
        "{} vectors: {written} written, {removed} removed",
        vectors.len()
    );
    Ok(())
}
