//! Every vector against the verifier and the second reader, the catalog against the files, and the specification
//! against the catalog.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::{env, fs, process};

use psp_testkit::catalog::{self, WITHOUT_VECTOR};
use psp_testkit::reader::second_reader;
use psp_testkit::vector::{self, Vector};
use serde_json::Value;

const SPEC: &str = include_str!("../../format-spec/SPEC.md");

/// Vectors that the verifier is known to answer otherwise, each with its reason. One that it answers rightly after
/// all fails, too: then its line goes.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// What a reader answers: the layer that refuses, and why. Nothing when it accepts.
type Verdict = Option<(String, String)>;

fn disagreement(vector: &Vector, verdict: &Verdict) -> Option<String> {
    match verdict {
        None if vector.is_valid() => None,
        Some((layer, _)) if vector.layers.contains(layer) => None,
        _ => Some(format!(
            "{}: expected {:?}, found {verdict:?} ({})",
            vector.name, vector.layers, vector.comment
        )),
    }
}

#[test]
fn the_verifier_agrees_with_every_vector() {
    let mut wrong = Vec::new();
    for vector in vector::load_all() {
        let exception = EXCEPTIONS
            .iter()
            .find(|exception| exception.0 == vector.name);
        match (
            disagreement(&vector, &common::verdict(&vector.bytes)),
            exception,
        ) {
            (Some(disagreement), None) => wrong.push(disagreement),
            (None, Some((name, _))) => wrong.push(format!("{name} is no exception any more")),
            _ => (),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} vectors:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The second reader has its own author's reading of SPEC.md: where it disagrees, look at the sentence first.
#[test]
fn the_second_reader_agrees_with_every_vector() {
    let vectors = vector::load_all();
    let directory = Directory::new("second-reader");
    for vector in &vectors {
        fs::write(directory.0.join(&vector.name), &vector.bytes).unwrap();
    }
    let answers: BTreeMap<String, Value> = second_reader(&directory.0)
        .into_iter()
        .map(|answer| (answer["file"].as_str().unwrap().to_string(), answer))
        .collect();
    let wrong: Vec<String> = vectors
        .iter()
        .filter_map(|vector| disagreement_of_reader(vector, &answers[&vector.name]))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} vectors:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn disagreement_of_reader(vector: &Vector, answer: &Value) -> Option<String> {
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_string();
    let verdict = (answer["valid"] == false).then(|| (text("layer"), text("detail")));
    let checked = answer["contents"] != "not checked";
    if verdict.is_none() && vector.second_reader_skips == checked {
        return Some(format!(
            "{}: contents are {}",
            vector.name, answer["contents"]
        ));
    }
    disagreement(vector, &verdict)
}

/// A directory of this process that goes away with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = env::temp_dir().join(format!("psp-testkit-{}-{name}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What a test leaves behind must not hide why it failed.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The files are what the catalog makes. Compressed bytes are compared after decompression: another version of zstd
/// is no drift.
#[test]
fn the_files_are_those_of_the_catalog() {
    let files: BTreeMap<String, Vector> = vector::load_all()
        .into_iter()
        .map(|vector| (vector.name.clone(), vector))
        .collect();
    let made = catalog::all();
    let mut wrong = Vec::new();
    for vector in &made {
        match files.get(&vector.name) {
            None => wrong.push(format!("{} has no file", vector.name)),
            Some(file) if file != vector => wrong.push(format!("{} differs", vector.name)),
            Some(_) => (),
        }
    }
    let names: BTreeSet<&String> = made.iter().map(|vector| &vector.name).collect();
    let stale = files.keys().filter(|name| !names.contains(name));
    wrong.extend(stale.map(|name| format!("{name} is not in the catalog")));
    let help = "cargo run -p psp-testkit --bin make-vectors";
    assert!(wrong.is_empty(), "run `{help}`:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_is_named_after_its_vector() {
    for entry in fs::read_dir(vector::directory()).unwrap() {
        let path = entry.unwrap().path();
        let vector = Vector::decode(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(
            path.file_name().unwrap().to_str().unwrap(),
            format!("{}.vec", vector.name)
        );
    }
}

/// Requirements as SPEC.md numbers them.
fn requirements() -> BTreeSet<String> {
    SPEC.split("**[")
        .skip(1)
        .filter_map(|rest| rest.split_once("]**"))
        .map(|(name, _)| name.to_string())
        .collect()
}

#[test]
fn every_requirement_has_a_vector() {
    let named: BTreeSet<String> = vector::load_all()
        .iter()
        .flat_map(|vector| {
            vector
                .requirements
                .split(' ')
                .map(str::to_string)
                .collect::<Vec<_>>()
        })
        .collect();
    let requirements = requirements();
    assert!(
        requirements.len() > 30,
        "the requirements of SPEC.md are not found"
    );
    let excused: BTreeSet<String> = WITHOUT_VECTOR
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    let missing: Vec<_> = requirements
        .iter()
        .filter(|name| !named.contains(*name) && !excused.contains(*name))
        .collect();
    assert!(
        missing.is_empty(),
        "requirements without a vector: {missing:?}"
    );
    let needless: Vec<_> = excused
        .iter()
        .filter(|name| named.contains(*name))
        .collect();
    assert!(
        needless.is_empty(),
        "excused and with a vector: {needless:?}"
    );
    let unknown: Vec<_> = named
        .iter()
        .filter(|name| !requirements.contains(*name))
        .collect();
    assert!(
        unknown.is_empty(),
        "no such requirement in SPEC.md: {unknown:?}"
    );
}

/// A rule that only valid packages name is not tested at all, unless it binds writers only.
#[test]
fn every_requirement_for_readers_refuses_something() {
    let refusing: BTreeSet<String> = vector::load_all()
        .iter()
        .filter(|vector| !vector.is_valid())
        .flat_map(|vector| {
            vector
                .requirements
                .split(' ')
                .map(str::to_string)
                .collect::<Vec<_>>()
        })
        .collect();
    let writers_only = ["M32"];
    let excused = |name: &str| {
        writers_only.contains(&name) || WITHOUT_VECTOR.iter().any(|(other, _)| *other == name)
    };
    let missing: Vec<_> = requirements()
        .into_iter()
        .filter(|name| !refusing.contains(name) && !excused(name))
        .collect();
    assert!(
        missing.is_empty(),
        "requirements that no vector breaks: {missing:?}"
    );
}
