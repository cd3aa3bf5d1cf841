//! Every vector. One module for each part of the format; within it, one call is one vector.
//!
//! A name begins with the part it is about; the comment says what is wrong.

mod archive;
mod container;
mod document;
mod frames;
mod index;
mod metadata;
mod pax;
mod rules;
mod signature;
mod signed_by;
mod slots;
mod tree;
mod valid;

use crate::vector::Vector;
use crate::writer::Plan;

/// Requirements without a vector file, each with its reason.
pub const WITHOUT_VECTOR: &[(&str, &str)] = &[
    (
        "M59",
        "a slot of 4194305 entries is a stream of 2 GiB; a test makes it when asked to (tests/tests/limits.rs)",
    ),
    (
        "M14",
        "whom a host trusts is in no package; builder/tests/signatures.rs counts trusted signers",
    ),
    ("M70", STATEMENT),
    ("M71", STATEMENT),
    ("M72", STATEMENT),
    ("M73", STATEMENT),
];

const STATEMENT: &str =
    "a key succession is no package; tests/tests/succession.rs has its cases for both readers";

/// All vectors, sorted by name.
pub fn all() -> Vec<Vector> {
    let mut catalog = Catalog::default();
    valid::add(&mut catalog);
    container::add(&mut catalog);
    signature::add(&mut catalog);
    signed_by::add(&mut catalog);
    metadata::add(&mut catalog);
    document::add(&mut catalog);
    rules::add(&mut catalog);
    index::add(&mut catalog);
    slots::add(&mut catalog);
    archive::add(&mut catalog);
    pax::add(&mut catalog);
    tree::add(&mut catalog);
    frames::add(&mut catalog);
    let mut vectors = catalog.vectors;
    vectors.sort_by(|left, right| left.name.cmp(&right.name));
    for pair in vectors.windows(2) {
        assert_ne!(pair[0].name, pair[1].name, "two vectors of one name");
    }
    vectors
}

/// The vectors so far.
#[derive(Default)]
struct Catalog {
    vectors: Vec<Vector>,
}

/// What is said of a vector besides its bytes: name, requirements, hostile cases, comment.
struct About<'a> {
    name: &'a str,
    requirements: &'a str,
    cases: &'a str,
    comment: &'a str,
}

/// Shorthand: the calls of the catalog are a table.
fn about<'a>(name: &'a str, requirements: &'a str, cases: &'a str, comment: &'a str) -> About<'a> {
    About {
        name,
        requirements,
        cases,
        comment,
    }
}

impl Catalog {
    /// A package that must be accepted.
    fn ok(&mut self, about: About<'_>, bytes: Vec<u8>) {
        self.add(about, &[], bytes);
    }

    /// A package that this layer (or one of these, separated by `|`) must refuse.
    fn refused(&mut self, layer: &str, about: About<'_>, bytes: Vec<u8>) {
        let layers: Vec<&str> = layer.split('|').collect();
        self.add(about, &layers, bytes);
    }

    /// A plan that must be refused.
    fn plan(&mut self, layer: &str, about: About<'_>, plan: Plan) {
        self.refused(layer, about, plan.bytes());
    }

    fn add(&mut self, about: About<'_>, layers: &[&str], bytes: Vec<u8>) {
        self.vectors.push(Vector {
            name: about.name.to_string(),
            cases: about.cases.to_string(),
            requirements: about.requirements.to_string(),
            layers: layers.iter().map(|layer| layer.to_string()).collect(),
            second_reader_skips: false,
            comment: about.comment.to_string(),
            bytes,
        });
    }

    /// The second reader cannot decode the slot of the vector that was added last.
    fn skip_in_second_reader(&mut self) {
        self.vectors
            .last_mut()
            .expect("a vector was added")
            .second_reader_skips = true;
    }
}
