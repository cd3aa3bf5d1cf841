//! The vector file: header lines, an empty line, the package.
//!
//! ```text
//! vector: index-flags
//! case: 95
//! requirement: M10
//! expect: refused
//! layer: layout
//! written: nothing
//! compression: zstd
//! comment: flags is 1
//!
//! <bytes>
//! ```
//!
//! | line | meaning |
//! | --- | --- |
//! | `vector` | name, also of the file |
//! | `case` | kind of attack, by the number that the project's list of hostile input gives it; absent where none fits |
//! | `requirement` | numbers (`M10`) of SPEC.md, or the section whose table states the rule |
//! | `expect` | `ok` or `refused` |
//! | `layer` | which check refuses; two names where the specification leaves the order open; absent with `ok` |
//! | `written` | what may have been written before: `nothing`, or `staging-only` when contents are unpacked |
//! | `compression` | `zstd` when the bytes are compressed |
//! | `second-reader` | `no contents` when the frames need a real decoder, which the second reader does not have |
//! | `comment` | what is wrong, in a few words |
//!
//! The habit is that of the C2SP CCTV vectors for age: one file, one failure, and the layer that must find it.

use std::path::{Path, PathBuf};

/// One vector: a package and what must become of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Vector {
    /// Name, also of the file.
    pub name: String,
    /// Hostile cases, separated by spaces.
    pub cases: String,
    /// Requirements, separated by spaces.
    pub requirements: String,
    /// Layers that may refuse; empty when the package is valid.
    pub layers: Vec<String>,
    /// Whether the second reader cannot decode the slots.
    pub second_reader_skips: bool,
    /// What is wrong.
    pub comment: String,
    /// The package.
    pub bytes: Vec<u8>,
}

impl Vector {
    /// Whether the package is valid.
    pub fn is_valid(&self) -> bool {
        self.layers.is_empty()
    }

    /// The header as it stands in the file, without the compression line.
    pub fn header(&self) -> String {
        let mut header = format!("vector: {}\n", self.name);
        if !self.cases.is_empty() {
            header += &format!("case: {}\n", self.cases);
        }
        header += &format!("requirement: {}\n", self.requirements);
        if self.is_valid() {
            header += "expect: ok\n";
        } else {
            header += &format!("expect: refused\nlayer: {}\n", self.layers.join(", "));
        }
        let unpacked = self.layers.iter().any(|layer| layer == "contents");
        header += if unpacked {
            "written: staging-only\n"
        } else {
            "written: nothing\n"
        };
        if self.second_reader_skips {
            header += "second-reader: no contents\n";
        }
        header + &format!("comment: {}\n", self.comment)
    }

    /// The file.
    pub fn encode(&self) -> Vec<u8> {
        let compressed = zstd::bulk::compress(&self.bytes, 19).expect("memory is enough");
        let (line, bytes) = match compressed.len() < self.bytes.len() {
            true => ("compression: zstd\n", &compressed),
            false => ("", &self.bytes),
        };
        [line.as_bytes(), self.header().as_bytes(), b"\n", bytes].concat()
    }

    /// Reads a file.
    pub fn decode(file: &[u8]) -> Result<Vector, String> {
        let split = file
            .windows(2)
            .position(|pair| pair == b"\n\n")
            .ok_or("no empty line")?;
        let header = std::str::from_utf8(&file[..split]).map_err(|error| error.to_string())?;
        let mut bytes = file[split + 2..].to_vec();
        let mut vector = Vector {
            name: String::new(),
            cases: String::new(),
            requirements: String::new(),
            layers: Vec::new(),
            second_reader_skips: false,
            comment: String::new(),
            bytes: Vec::new(),
        };
        for line in header.lines() {
            let (key, value) = line
                .split_once(": ")
                .ok_or_else(|| format!("not a header line: {line}"))?;
            let value = value.to_string();
            match key {
                "vector" => vector.name = value,
                "case" => vector.cases = value,
                "requirement" => vector.requirements = value,
                "layer" => vector.layers = value.split(", ").map(str::to_string).collect(),
                "second-reader" => vector.second_reader_skips = true,
                "comment" => vector.comment = value,
                "compression" => {
                    bytes =
                        zstd::stream::decode_all(&bytes[..]).map_err(|error| error.to_string())?;
                }
                "expect" | "written" => (),
                _ => return Err(format!("unknown header line: {line}")),
            }
        }
        vector.bytes = bytes;
        Ok(vector)
    }
}

/// Where the vectors lie in the source tree.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// All vectors of the source tree, by name.
pub fn load_all() -> Vec<Vector> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory())
        .expect("tests/vectors exists")
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "vec"))
        .collect();
    paths.sort();
    let load = |path: &PathBuf| {
        let file = std::fs::read(path).expect("a vector is readable");
        Vector::decode(&file).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    paths.iter().map(load).collect()
}
