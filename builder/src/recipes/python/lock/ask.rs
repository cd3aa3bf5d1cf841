//! Questions to the interpreter about markers, requirements and versions, answered by the `packaging` of its pip.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::super::super::RecipeError;
use super::super::super::program::run;
use super::super::runtime::bare;
use super::{Failure, LockFault, Result};

/// Reads a [`Question`] from the file that it is called with, and prints an [`Asked`]. What it cannot parse is null. Markers
/// of lock files may ask for extras and groups (PEP 751), which not every `packaging` knows: none and the default ones
/// are asked for here, so that these parts are answered first. What no environment has is an empty `os_name`.
const ANSWER: &str = r#"import json, platform, re, sys
from pip._vendor.packaging.markers import Marker
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.specifiers import SpecifierSet
from pip._vendor.packaging.utils import canonicalize_name, canonicalize_version

with open(sys.argv[1], encoding="utf-8") as file:
    question = json.load(file)
python = platform.python_version().rstrip("+")
sets = r"""(['"])([^'"]*)\1\s+(not\s+)?in\s+(extras|dependency_groups)\b"""

def of_set(found):
    is_in = found.group(4) == "dependency_groups" and found.group(2) in question["groups"]
    return 'os_name != ""' if is_in != bool(found.group(3)) else 'os_name == ""'

def holds(text):
    return bool(Marker(re.sub(sets, of_set, text)).evaluate({"extra": ""}))

def clause(it):
    exact = it.operator in ("~=", "===")
    return it.operator + (it.version if exact else str(canonicalize_version(it.version)))

def parsed(text):
    it = Requirement(text)
    return {
        "name": canonicalize_name(it.name),
        "extras": sorted(canonicalize_name(extra) for extra in it.extras),
        "specifier": ",".join(sorted(clause(each) for each in it.specifier)),
        "url": it.url,
        "applies": it.marker is None or holds(str(it.marker)),
    }

def allows(pair):
    return SpecifierSet(pair[0]).contains(pair[1] or python, prereleases=True)

def each(answer, items):
    out = []
    for item in items:
        try:
            out.append(answer(item))
        except Exception:
            out.append(None)
    return out

print(json.dumps({
    "version": python,
    "markers": dict(zip(question["markers"], each(holds, question["markers"]))),
    "requirements": each(parsed, question["requirements"]),
    "specifiers": each(allows, question["specifiers"]),
    "pythons": dict(zip(question["pythons"], each(lambda it: allows((it, "")), question["pythons"]))),
}))
"#;

/// What is asked.
#[derive(Debug, Default, Serialize)]
pub(in super::super) struct Question {
    /// Whether these hold.
    pub(super) markers: Vec<String>,
    /// The dependency groups that are installed.
    pub(super) groups: Vec<String>,
    /// What these say (PEP 508).
    pub(super) requirements: Vec<String>,
    /// Whether a specifier allows a version.
    pub(super) specifiers: Vec<(String, String)>,
    /// Whether a specifier allows the version of the interpreter.
    pub(super) pythons: Vec<String>,
}

/// The answers, in the order of the questions or by them.
#[derive(Debug, Default, Deserialize)]
pub(in super::super) struct Asked {
    /// That of the interpreter.
    pub(super) version: String,
    pub(super) markers: BTreeMap<String, Option<bool>>,
    requirements: Vec<Option<Parsed>>,
    pub(super) specifiers: Vec<Option<bool>>,
    pub(super) pythons: BTreeMap<String, Option<bool>>,
}

/// A requirement, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Parsed {
    /// In its normal form.
    pub(super) name: String,
    /// In their normal form and order.
    pub(super) extras: Vec<String>,
    /// Clauses in their normal form and order.
    pub(super) specifier: String,
    pub(super) url: Option<String>,
    /// Whether its marker holds.
    pub(super) applies: bool,
}

impl Asked {
    /// Whether a marker holds that was asked about; none does.
    pub(super) fn holds(&self, marker: &str) -> Result<bool> {
        match self.markers.get(marker).copied().flatten() {
            Some(holds) => Ok(holds),
            None => Err(no_marker(marker)),
        }
    }

    /// Whether the interpreter is one of those.
    pub(super) fn allows(&self, specifier: &str) -> Result<bool> {
        match self.pythons.get(specifier).copied().flatten() {
            Some(allows) => Ok(allows),
            None => Err(no_marker(specifier)),
        }
    }

    /// What the requirements say, which were asked about as `texts`.
    pub(super) fn requirements(self, texts: &[String]) -> Result<Vec<Parsed>> {
        let all = self.requirements.into_iter().zip(texts);
        all.map(|(parsed, text)| parsed.ok_or_else(|| no_marker(text)))
            .collect()
    }
}

fn no_marker(text: &str) -> Failure {
    Failure::Fault(LockFault::Unusable { text: text.into() })
}

/// Asks the interpreter `program`, which has pip; `scratch` is a directory for the question.
///
/// # Errors
///
/// When it cannot answer.
pub(in super::super) fn ask(
    program: &Path,
    scratch: &Path,
    question: &Question,
) -> std::result::Result<Asked, RecipeError> {
    let file = scratch.join("question.json");
    let text = serde_json::to_string(question).unwrap_or_default();
    fs::write(&file, text).map_err(|error| RecipeError::write(&file, error))?;
    let mut command = Command::new(program);
    command.args(["-I", "-B", "-c", ANSWER]).arg(&file);
    bare(&mut command);
    let said = run("python3", &mut command)?;
    fs::remove_file(&file).map_err(|error| RecipeError::write(&file, error))?;
    serde_json::from_str(&said).map_err(|error| RecipeError::Program {
        program: "python3",
        said: error.to_string(),
    })
}
