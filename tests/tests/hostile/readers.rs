//! One vector against every reader: the pure verifier, the second reader in Python, `flavor verify`, `extract`, `run`,
//! and the file itself, started cold and beside a good entry of the same package.
//!
//! The catalog is made again for that, with the launcher that `flavor` puts in front of packages, and with a command that
//! leaves a mark beside the package.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Output;
use std::sync::OnceLock;

use psp_format::verify::verify_bytes;
use psp_testkit::catalog::{self, Launched};
use psp_testkit::host::refusal_of;
use psp_testkit::project::{launcher, text};
use psp_testkit::reader;
use psp_testkit::vector::{self, Vector};
use psp_testkit::writer::setting::{self, Archives, Setting};
use serde_json::Value;

use super::common;
use super::place::{Place, Said, failed_check, is_plain};

/// Vectors that the file itself does not refuse when it is started, each with its reason.
const RUN_WHEN_STARTED: &[(&str, &str)] = &[
    ("launcher-signed-digest-wrong", ITSELF),
    ("padding-before-trailer", BETWEEN),
    ("padding-between-slots", BETWEEN),
    ("padding-between-slots-last", BETWEEN),
];
const ITSELF: &str = "a launcher cannot vouch for itself (SPEC.md, 5)";
const BETWEEN: &str =
    "a start does not read the padding behind the slot table (SPEC.md, 5), nor does anything else";

/// Vectors that do not begin with the launcher, so that nothing of ours is started.
const NOT_STARTED: &[&str] = &[
    "file-8199",
    "file-empty",
    "file-one-byte",
    "file-only-trailer",
    "file-prefix",
    "launcher-empty",
    "launcher-first-byte",
    "launcher-last-byte",
    "launcher-replaced",
    "ok-small-launcher",
    "ok-unaligned-launcher",
    "overlap-launcher",
];

/// Good vectors that are not started, each with its reason.
const DO_NOT_START: &[(&str, &str)] = &[
    (
        "ok-every-key",
        "its policy refuses root, and its setup command is not there",
    ),
    (
        "ok-target-4095",
        "the link to a shared slot would be longer than a path can be",
    ),
];

/// Vectors whose good twin does not start.
const TWIN_DOES_NOT_START: &[&str] = &["policy-hash-zero"];

/// A vector and what came of it, found out once.
struct Tried {
    launched: Launched,
    said: OnceLock<Result<Option<Said>, Vec<String>>>,
}

/// Packages with the launcher that starts, whose command leaves `mark` beside the package.
fn setting_of(archives: Archives) -> Setting {
    let script = "echo started; : > \"$0\"";
    Setting {
        launcher: launcher().to_vec(),
        argv: ["/bin/sh", "-c", script, "{package_dir}/mark"]
            .map(String::from)
            .into(),
        archives,
    }
}

fn all(archives: Archives) -> &'static [Tried] {
    static ALL: [OnceLock<Vec<Tried>>; 3] = [const { OnceLock::new() }; 3];
    let nth = match archives {
        Archives::Tar => 0,
        Archives::TarZst => 1,
        Archives::TarGz => 2,
    };
    ALL[nth].get_or_init(|| {
        let tried = |launched| Tried {
            launched,
            said: OnceLock::new(),
        };
        let vectors = catalog::launched(setting_of(archives));
        vectors.into_iter().map(tried).collect()
    })
}

/// What the second reader says of every vector file, by name.
fn second_reader() -> &'static BTreeMap<String, Value> {
    static ANSWERS: OnceLock<BTreeMap<String, Value>> = OnceLock::new();
    ANSWERS.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        for vector in vector::load_all() {
            fs::write(directory.path().join(&vector.name), &vector.bytes).unwrap();
        }
        reader::second_reader(directory.path())
            .into_iter()
            .map(|answer| (answer["file"].as_str().unwrap().to_owned(), answer))
            .collect()
    })
}

impl Tried {
    fn vector(&self) -> &Vector {
        &self.launched.vector
    }

    fn has_case(&self, number: u32) -> bool {
        let mut cases = self.vector().cases.split(' ');
        cases.any(|case| case == number.to_string())
    }

    /// What came of it; the faults that were found in the readers otherwise.
    fn said(&self, archives: Archives) -> &Result<Option<Said>, Vec<String>> {
        self.said.get_or_init(|| {
            let mut trial = Trial {
                launched: &self.launched,
                archives,
                file: self.launched.file(launcher()),
                wrong: Vec::new(),
            };
            let said = trial.all();
            match trial.wrong.is_empty() {
                true => Ok(said),
                false => Err(trial.wrong),
            }
        })
    }
}

/// One vector being tried; `wrong` collects what a reader should have answered otherwise.
struct Trial<'a> {
    launched: &'a Launched,
    archives: Archives,
    file: Vec<u8>,
    wrong: Vec<String>,
}

impl Trial<'_> {
    fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            let name = &self.launched.vector.name;
            self.wrong.push(format!("{name}: {}", what()));
        }
    }

    fn agrees(&self, layer: Option<&str>) -> bool {
        let layers = &self.launched.vector.layers;
        match layer {
            None => layers.is_empty(),
            Some(layer) => layers.iter().any(|expected| expected == layer),
        }
    }

    fn all(&mut self) -> Option<Said> {
        if self.archives != Archives::TarGz {
            let verdict = common::verdict(&self.file);
            let layer = verdict.as_ref().map(|verdict| &*verdict.0);
            self.check(self.agrees(layer), || format!("the verifier: {verdict:?}"));
        }
        if self.archives == Archives::Tar {
            let answer = &second_reader()[&self.launched.vector.name];
            let layer = answer["layer"].as_str();
            self.check(self.agrees(layer), || {
                format!("the second reader: {answer}")
            });
        }
        let place = Place::new(&self.file);
        let said = self.verify(&place);
        self.extract(&place);
        match self.launched.vector.is_valid() {
            true => self.accepted(&place),
            false => {
                self.refused(&place, "flavor run", place.flavor(&["run", "app.psp"]));
                self.cold();
                self.warm();
            }
        }
        said
    }

    fn verify(&mut self, place: &Place) -> Option<Said> {
        let output = place.flavor(&["verify", "--json", "app.psp"]);
        let said = failed_check(&output);
        let layer = said.as_ref().map(|said| &*said.layer);
        let found = || format!("flavor verify: {output:?}");
        let code = if self.launched.vector.is_valid() {
            0
        } else {
            1
        };
        self.check(self.agrees(layer), found);
        self.check(output.status.code() == Some(code), found);
        let verdict: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        self.check(verdict["valid"] == self.launched.vector.is_valid(), found);
        self.check(is_plain(&output.stdout) && output.stderr.is_empty(), found);
        let people = place.flavor(&["verify", "app.psp"]);
        self.check(people.status.code() == Some(code), || format!("{people:?}"));
        self.check(is_plain(&people.stdout), || format!("{people:?}"));
        let valid = text(&people.stdout)
            .lines()
            .last()
            .map(|line| line.starts_with("valid"));
        self.check(valid == Some(self.launched.vector.is_valid()), || {
            format!("{people:?}")
        });
        said
    }

    fn extract(&mut self, place: &Place) {
        let output = place.flavor(&["extract-all", "app.psp", "out"]);
        let out = place.path().join("out");
        let found = || format!("flavor extract-all: {output:?}");
        self.check(is_plain(&output.stderr) && is_plain(&output.stdout), found);
        if self.launched.vector.is_valid() {
            self.check(output.status.success() && out.exists(), found);
            return;
        }
        let is_explained = text(&output.stderr).starts_with("error: ");
        self.check(output.status.code() == Some(1) && is_explained, found);
        let left = fs::read_dir(place.path()).unwrap().count();
        self.check(left == 1, || {
            "something is left beside the package".to_owned()
        });
    }

    /// A start that must not happen, and must leave nothing.
    fn refused(&mut self, place: &Place, what: &str, output: Output) {
        let message = refusal_of(&output);
        self.check(message.is_ok(), || format!("{what}: {output:?}"));
        self.check(is_plain(&output.stderr), || format!("{what}: {output:?}"));
        self.check(!place.was_executed(), || format!("{what}: was executed"));
        let mut entries = place.entries();
        if self
            .launched
            .vector
            .layers
            .iter()
            .all(|layer| layer == "slot" || layer == "contents")
        {
            // Another slot of the package that was whole is there for whoever has the same one.
            entries.retain(|path| !path.starts_with(place.cache().join("slots")));
        }
        self.check(entries.is_empty(), || format!("{what}: left {entries:?}"));
    }

    fn cold(&mut self) {
        let name = &*self.launched.vector.name;
        if !self.launched.starts {
            return self.check(NOT_STARTED.contains(&name), || "does not start".to_owned());
        }
        self.check(!NOT_STARTED.contains(&name), || "starts".to_owned());
        let place = Place::new(&self.file);
        let output = place.start();
        if RUN_WHEN_STARTED.iter().any(|(other, _)| *other == name) {
            let found = || format!("is refused after all: {output:?}");
            return self.check(output.status.success() && place.was_executed(), found);
        }
        self.refused(&place, "started", output);
    }

    /// Started when the same package without the fault has been started before: nothing happens to what that has left.
    fn warm(&mut self) {
        let Some(twin) = good_twin(self.launched, &self.file) else {
            return;
        };
        let place = Place::new(&twin);
        let output = place.start();
        let is_good = output.status.success() && place.was_executed();
        self.check(is_good, || format!("the good twin: {output:?}"));
        let before = place.cached();
        place.put(&self.file);
        let output = place.start();
        // What lies in the cache was compared with the same signed text when it was put there.
        let runs = self.launched.vector.layers == ["slot"]
            || RUN_WHEN_STARTED
                .iter()
                .any(|(name, _)| *name == self.launched.vector.name);
        if runs {
            let good = output.status.success() && place.was_executed();
            self.check(good, || format!("warm, from the good entry: {output:?}"));
        } else {
            let message = refusal_of(&output);
            self.check(message.is_ok(), || format!("warm: {output:?}"));
            self.check(!place.was_executed(), || "warm: was executed".to_owned());
        }
        self.check(place.cached() == before, || {
            "warm: the good entry has changed".to_owned()
        });
    }

    fn accepted(&mut self, place: &Place) {
        if !self.launched.starts {
            return;
        }
        let name = &*self.launched.vector.name;
        let starts = DO_NOT_START.iter().all(|(other, _)| *other != name);
        for what in ["flavor run", "started"] {
            // tar.gz is for base launchers (SPEC.md, 4.3).
            if self.archives == Archives::TarGz || name == "ok-tar-gz" {
                continue;
            }
            let output = match what {
                "started" => place.start(),
                _ => place.flavor(&["run", "app.psp"]),
            };
            let found = || format!("{what}: {output:?}");
            self.check(output.status.success() == starts, found);
            self.check(place.was_executed() == starts, found);
        }
    }
}

/// A good package with the same signed text, if there is one: its entry is where a warm start looks.
fn good_twin(launched: &Launched, file: &[u8]) -> Option<Vec<u8>> {
    let twin = launched.twin.as_ref().filter(|_| launched.starts)?;
    let twin = [launcher(), twin].concat();
    let package = verify_bytes(&twin).ok()?;
    let member = package.layout().metadata.of(&twin)?;
    // SPEC.md, 3: header, and the five bytes before a block that is the only one; CRC-32 and length.
    let text = member.get(15..member.len() - 8)?;
    let has_text = file.windows(text.len()).any(|part| part == text);
    let starts = !TWIN_DOES_NOT_START.contains(&&*launched.vector.name);
    (starts && has_text && common::verdict(&twin).is_none()).then_some(twin)
}

/// Runs every vector that bears this number, and compares where each was refused with `layers`, and what was said with
/// `messages`: each vector is refused with one of these, and each of these is said of one. What was said of each.
pub(crate) fn case(number: u32, layers: &[&str], messages: &[&str]) -> Vec<(String, Said)> {
    let said = refused(number, Archives::Tar);
    let found: BTreeSet<&str> = said.iter().map(|(_, said)| &*said.layer).collect();
    assert_eq!(
        found,
        layers.iter().copied().collect(),
        "layers of case {number}"
    );
    for (name, said) in &said {
        let one = messages.iter().any(|message| said.detail.contains(message));
        assert!(one, "case {number}, {name}: {}", said.detail);
    }
    for message in messages {
        let one = said.iter().any(|(_, said)| said.detail.contains(message));
        assert!(one, "case {number}: nothing is refused with {message:?}");
    }
    said
}

/// The same for archives, and each again in the other chains.
pub(crate) fn archive_case(number: u32, layers: &[&str], messages: &[&str]) {
    case(number, layers, messages);
    for archives in [Archives::TarZst, Archives::TarGz] {
        refused(number, archives);
    }
}

/// The vectors for a chain: all of them, or those whose archives are in that chain by the setting and not by themselves.
fn of_chain(archives: Archives) -> impl Iterator<Item = &'static Tried> {
    let usual = all(Archives::Tar).iter();
    let is_made_so = move |(tried, usual): &(&'static Tried, &'static Tried)| {
        let has_own = tried.vector().name == "ok-tar-gz";
        archives == Archives::Tar || !(has_own || tried.vector().bytes == usual.vector().bytes)
    };
    all(archives)
        .iter()
        .zip(usual)
        .filter(is_made_so)
        .map(|(tried, _)| tried)
}

/// Runs every vector that bears this number. What was said of those that are refused, by name.
fn refused(number: u32, archives: Archives) -> Vec<(String, Said)> {
    let mut wrong = Vec::new();
    let mut all_said = Vec::new();
    for tried in of_chain(archives).filter(|tried| tried.has_case(number)) {
        match tried.said(archives) {
            Ok(Some(said)) => all_said.push((tried.vector().name.clone(), said.clone())),
            Ok(None) => (),
            Err(faults) => wrong.extend(faults.iter().cloned()),
        }
    }
    assert!(
        wrong.is_empty(),
        "case {number}, {} faults:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        !all_said.is_empty(),
        "no vector of case {number} is refused"
    );
    all_said
}

/// Packages made with the launcher that starts, and the command that leaves a mark.
pub(crate) fn launched<T>(make: impl FnOnce() -> T) -> T {
    setting::with(setting_of(Archives::Tar), make)
}

/// The harness can fail: what is good is executed, by the file itself and by `flavor run`, in every chain of archives.
#[test]
fn every_good_vector_is_executed() {
    let mut good = 0;
    let mut wrong = Vec::new();
    for archives in [Archives::Tar, Archives::TarZst, Archives::TarGz] {
        for tried in of_chain(archives).filter(|tried| tried.vector().is_valid()) {
            good += 1;
            wrong.extend(tried.said(archives).as_ref().err().into_iter().flatten());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(good > 90, "{good}");
}

/// Many a vector is also started beside the entry that its good twin has left.
#[test]
fn good_twins_are_found() {
    let has_twin =
        |tried: &&Tried| good_twin(&tried.launched, &tried.launched.file(launcher())).is_some();
    let twins = all(Archives::Tar).iter().filter(has_twin).count();
    assert!(twins > 150, "{twins}");
}
