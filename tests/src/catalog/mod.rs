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
mod regions;
mod rules;
mod signature;
mod signed_by;
mod slots;
mod tree;
mod valid;
mod valid_tar;

use crate::vector::Vector;
use crate::writer::Plan;
use crate::writer::setting::{self, Setting};

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
    fill(&mut catalog);
    sorted(catalog.vectors, |vector| &vector.name)
}

/// A vector that was made with a launcher that starts.
pub struct Launched {
    /// The vector. Its bytes are what follows the launcher, where it begins with it.
    pub vector: Vector,
    /// Whether it begins with the launcher; nothing starts otherwise.
    pub starts: bool,
    /// What follows the launcher of the same package without the fault, where the fault was put in after the package was
    /// planned. It may have a fault, too.
    pub twin: Option<Vec<u8>>,
}

impl Launched {
    /// The file.
    pub fn file(&self, launcher: &[u8]) -> Vec<u8> {
        match self.starts {
            true => [launcher, &self.vector.bytes].concat(),
            false => self.vector.bytes.clone(),
        }
    }
}

/// All vectors made with another setting, sorted by name. A thousand copies of the launcher would fill the memory, so it
/// is taken off each.
pub fn launched(setting: Setting) -> Vec<Launched> {
    let mut catalog = Catalog {
        launcher: Some(setting.launcher.clone()),
        ..Catalog::default()
    };
    setting::with(setting, || fill(&mut catalog));
    let join = |(vector, (starts, twin))| Launched {
        vector,
        starts,
        twin,
    };
    let vectors = catalog.vectors.into_iter().zip(catalog.others);
    sorted(vectors.map(join).collect(), |launched| {
        &launched.vector.name
    })
}

fn sorted<T>(mut vectors: Vec<T>, name: impl Fn(&T) -> &String) -> Vec<T> {
    vectors.sort_by(|left, right| name(left).cmp(name(right)));
    for pair in vectors.windows(2) {
        assert_ne!(name(&pair[0]), name(&pair[1]), "two vectors of one name");
    }
    vectors
}

fn fill(catalog: &mut Catalog) {
    valid::add(catalog);
    valid_tar::add(catalog);
    container::add(catalog);
    signature::add(catalog);
    signed_by::add(catalog);
    metadata::add(catalog);
    document::add(catalog);
    rules::add(catalog);
    index::add(catalog);
    regions::add(catalog);
    slots::add(catalog);
    archive::add(catalog);
    pax::add(catalog);
    tree::add(catalog);
    frames::add(catalog);
}

/// The vectors so far.
#[derive(Default)]
struct Catalog {
    vectors: Vec<Vector>,
    /// The launcher that is taken off.
    launcher: Option<Vec<u8>>,
    /// For each vector, whether the launcher was there, and its twin.
    others: Vec<(bool, Option<Vec<u8>>)>,
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

    fn add(&mut self, about: About<'_>, layers: &[&str], mut bytes: Vec<u8>) {
        if let Some(launcher) = &self.launcher {
            let behind = |file: &[u8]| file.strip_prefix(&launcher[..]).map(<[u8]>::to_vec);
            let twin = setting::take_unchanged().filter(|twin| *twin != bytes);
            let rest = behind(&bytes);
            self.others
                .push((rest.is_some(), twin.and_then(|twin| behind(&twin))));
            bytes = rest.unwrap_or(bytes);
        }
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
