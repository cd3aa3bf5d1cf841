//! `lock` in `[python]`: what a lock file pins, as requirements with the hashes that pip checks.
//!
//! | file | read by | its packages are |
//! |---|---|---|
//! | `uv.lock` | `uv` | those that the project needs, without its extras and groups |
//! | `pylock.toml`, `pylock.NAME.toml` | `pylock` | all (PEP 751) |
//!
//! Markers, specifiers and versions are judged by the interpreter that is packed, with the rules of its pip (`ask`): so
//! nothing here has to know PEP 440 and PEP 508, and pip never sees another answer.

mod ask;
mod fault;
mod pylock;
mod uv;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(super) use ask::{Asked, ask};
pub use fault::LockFault;

use super::super::RecipeError;
use ask::{Parsed, Question};

/// The index that pip asks by itself.
const PYPI: &str = "https://pypi.org/simple";

/// What a lock file pins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pins {
    /// Requirements, a line each, as in a file of requirements.
    pub(super) requirements: Vec<String>,
    /// Options that say where else they are, a line each.
    pub(super) places: BTreeSet<String>,
    /// Directories of projects that are installed with them. A lock file has no hashes for these.
    pub(super) projects: Vec<PathBuf>,
}

/// Whoever answers questions about markers and versions: the interpreter, or a test.
pub(super) type Judge<'a> = dyn Fn(&Question) -> Result<Asked, RecipeError> + 'a;
type Result<T, E = Failure> = std::result::Result<T, E>;

/// Reads a lock file, and compares it with the project that it locks: `project`, or what lies beside it.
///
/// # Errors
///
/// When it cannot be read, pins what cannot be installed, or does not match the project or the interpreter.
pub(super) fn read(
    lock: &Path,
    project: Option<&Path>,
    judge: &Judge<'_>,
) -> Result<Pins, RecipeError> {
    let text = fs::read_to_string(lock).map_err(|error| RecipeError::Source {
        path: lock.to_owned(),
        error,
    })?;
    let above = lock.parent().unwrap_or(Path::new(""));
    let described = project.unwrap_or(above).join("pyproject.toml");
    let at = |file: &Path| {
        let file = file.to_owned();
        move |failure| match failure {
            Failure::Fault(fault) => RecipeError::Lock { file, fault },
            Failure::Recipe(error) => error,
        }
    };
    let wanted = match fs::read_to_string(&described) {
        Ok(text) => Wanted::of(&text, judge).map_err(at(&described))?,
        Err(_) => None,
    };
    let name = lock.file_name().unwrap_or_default().to_string_lossy();
    let place = Place {
        directory: above,
        project,
        wanted: wanted.as_ref(),
    };
    let pins = match name.ends_with("uv.lock") {
        true => uv::pins(&text, &place, judge),
        false => pylock::pins(&text, &place, judge),
    };
    pins.map_err(at(lock))
}

/// Where a lock file is, and what for.
struct Place<'a> {
    /// The lock file's directory.
    directory: &'a Path,
    /// The project that is packed, if one is.
    project: Option<&'a Path>,
    /// What that project, or else the one beside the lock file, says that it needs.
    wanted: Option<&'a Wanted>,
}

impl Place<'_> {
    /// A path of the lock file.
    fn resolved(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    /// Whether a path of the lock file leads to the project.
    fn is_project(&self, path: &str) -> bool {
        let real = |path: &Path| match path.as_os_str().is_empty() {
            true => fs::canonicalize("."),
            false => fs::canonicalize(path),
        };
        let project = self.project.unwrap_or(self.directory);
        match (real(&self.resolved(path)), real(project)) {
            (Ok(one), Ok(other)) => one == other,
            _ => path == ".",
        }
    }
}

/// What stops the reading of a lock file: a fault in it, or something that is no fault of it.
#[derive(Debug)]
enum Failure {
    Fault(LockFault),
    Recipe(RecipeError),
}

impl From<LockFault> for Failure {
    fn from(fault: LockFault) -> Failure {
        Failure::Fault(fault)
    }
}

impl From<RecipeError> for Failure {
    fn from(error: RecipeError) -> Failure {
        Failure::Recipe(error)
    }
}

/// The dependencies of a project as its `pyproject.toml` has them, as far as they apply to the interpreter.
#[derive(Debug)]
struct Wanted(Vec<(String, Parsed)>);

impl Wanted {
    /// `None` where a build tool finds them elsewhere.
    fn of(text: &str, judge: &Judge<'_>) -> Result<Option<Wanted>> {
        #[derive(Deserialize)]
        struct File {
            project: Option<Table>,
        }
        #[derive(Deserialize)]
        struct Table {
            #[serde(default)]
            dependencies: Vec<String>,
            #[serde(default)]
            dynamic: Vec<String>,
        }
        let file: File = parse(text)?;
        let Some(table) = file.project else {
            return Ok(None);
        };
        if table.dynamic.iter().any(|key| key == "dependencies") {
            return Ok(None);
        }
        let question = Question {
            requirements: table.dependencies.clone(),
            ..Question::default()
        };
        let parsed = { judge(&question)?.requirements(&table.dependencies) };
        let parsed = parsed.map_err(|failure| match failure {
            Failure::Fault(LockFault::Unusable { text }) => LockFault::Dependency { text }.into(),
            other => other,
        })?;
        let all = table.dependencies.into_iter().zip(parsed);
        Ok(Some(Wanted(all.filter(|(_, it)| it.applies).collect())))
    }
}

/// Reads TOML into a structure.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or_default();
        let fault = LockFault::Syntax {
            line: before.matches('\n').count() + 1,
            message: error.message().lines().collect::<Vec<_>>().join(", "),
        };
        Failure::Fault(fault)
    })
}

/// Whether the lock file is for this interpreter: what it says of Python, and the markers of which one must hold.
fn is_for(python: Option<&str>, environments: &[String], asked: &Asked) -> Result<()> {
    if let Some(python) = python
        && !asked.allows(python)?
    {
        return Err(Failure::Fault(LockFault::Python {
            requires: python.to_owned(),
            found: asked.version.clone(),
        }));
    }
    let mut holds = environments.is_empty();
    for marker in environments {
        holds = holds || asked.holds(marker)?;
    }
    match holds {
        true => Ok(()),
        false => Err(Failure::Fault(LockFault::Environment)),
    }
}

impl Pins {
    /// A release of an index. `registry` is an address, or a directory.
    fn release(
        &mut self,
        name: &str,
        version: &str,
        hashes: &[&str],
        registry: &str,
        place: &Place<'_>,
    ) -> Result<()> {
        let requirement = format!("{}=={}", plain(name)?, plain(version)?);
        self.requirements.push(hashed(&requirement, name, hashes)?);
        if registry.contains("://") {
            if registry.trim_end_matches('/') != PYPI {
                self.places
                    .insert(format!("--extra-index-url {}", word(registry)?));
            }
        } else if !registry.is_empty() {
            let directory = file_url(&place.resolved(registry));
            self.places.insert(format!("--find-links {directory}"));
        }
        Ok(())
    }

    /// One file at an address.
    fn archive(
        &mut self,
        name: &str,
        url: &str,
        subdirectory: Option<&str>,
        hashes: &[&str],
    ) -> Result<()> {
        let mut requirement = format!("{} @ {}", plain(name)?, word(url)?);
        if let Some(directory) = subdirectory {
            requirement = format!("{requirement}#subdirectory={}", word(directory)?);
        }
        self.requirements.push(hashed(&requirement, name, hashes)?);
        Ok(())
    }

    /// Adds a wheel that was built here.
    pub(super) fn built(&mut self, wheel: &Path, digest: &str) {
        let name = wheel.file_name().unwrap_or_default().to_string_lossy();
        let name = name.split('-').next().unwrap_or_default();
        let url = file_url(wheel);
        self.requirements
            .push(format!("{name} @ {url} --hash=sha256:{digest}"));
    }

    /// The text of a file of requirements.
    pub(super) fn text(&self) -> String {
        let lines = self.places.iter().chain(&self.requirements);
        lines.map(|line| format!("{line}\n")).collect()
    }
}

/// A requirement with its hashes.
fn hashed(requirement: &str, name: &str, hashes: &[&str]) -> Result<String> {
    if hashes.is_empty() {
        return Err(Failure::Fault(LockFault::NoHash { name: name.into() }));
    }
    let mut line = requirement.to_owned();
    for hash in hashes {
        let (algorithm, digits) = hash.split_once(':').unwrap_or_default();
        let is_plain =
            |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric());
        if !is_plain(algorithm) || !is_plain(digits) {
            return Err(unusable(hash));
        }
        line = format!("{line} --hash={hash}");
    }
    Ok(line)
}

/// A name or a version: letters, digits and marks that mean nothing to pip's reader of lines.
fn plain(text: &str) -> Result<&str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+!".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    match starts && text.chars().all(is_plain) {
        true => Ok(text),
        false => Err(unusable(text)),
    }
}

/// Something that stands in a line as one word.
fn word(text: &str) -> Result<&str> {
    let splits = |c: char| c.is_whitespace() || c.is_control() || "\"'\\$#".contains(c);
    match text.is_empty() || text.starts_with('-') || text.contains(splits) {
        true => Err(unusable(text)),
        false => Ok(text),
    }
}

fn unusable(text: &str) -> Failure {
    Failure::Fault(LockFault::Unusable { text: text.into() })
}

/// The address of a file or directory (RFC 8089).
fn file_url(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut url = "file://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'~' => url.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => url.push(char::from(*byte)),
            byte => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

/// A judge without an interpreter, for tests.
#[cfg(test)]
mod tests_judge {
    use super::*;

    /// Python 3.11.7, for which a marker holds when it is `yes`. `name`, `name[extra]`, `name>=1` are requirements, and of
    /// specifiers there is `>=`, with numbers that are compared as such.
    pub(super) fn judge(question: &Question) -> std::result::Result<Asked, RecipeError> {
        let marker = |text: &str| match text {
            "yes" => serde_json::json!(true),
            "no" => serde_json::json!(false),
            _ => serde_json::Value::Null,
        };
        let numbers = |text: &str| -> Vec<u32> {
            text.split('.')
                .map(|part| part.parse().unwrap_or(0))
                .collect()
        };
        let allows = |specifier: &str, version: &str| match specifier.strip_prefix(">=") {
            Some(least) => serde_json::json!(numbers(version) >= numbers(least)),
            None => serde_json::json!(specifier.is_empty()),
        };
        let parsed = |text: &String| {
            let (text, applies) = match text.split_once("; ") {
                Some((text, condition)) => (text, marker(condition)),
                None => (text.as_str(), true.into()),
            };
            let (text, url) = match text.split_once(" @ ") {
                Some((text, url)) => (text, serde_json::json!(url)),
                None => (text, serde_json::Value::Null),
            };
            let (text, specifier) = text.split_at(text.find(">=").unwrap_or(text.len()));
            let (name, extras) = text.split_once('[').unwrap_or((text, ""));
            let extras: Vec<&str> = extras
                .trim_end_matches(']')
                .split(',')
                .filter(|it| !it.is_empty())
                .collect();
            serde_json::json!({"name": name, "extras": extras, "specifier": specifier, "url": url, "applies": applies})
        };
        let markers: serde_json::Map<String, serde_json::Value> = question
            .markers
            .iter()
            .map(|it| (it.clone(), marker(it)))
            .collect();
        let pythons: serde_json::Map<String, serde_json::Value> = question
            .pythons
            .iter()
            .map(|it| (it.clone(), allows(it, "3.11.7")))
            .collect();
        let asked = serde_json::json!({
            "version": "3.11.7",
            "markers": markers,
            "pythons": pythons,
            "requirements": question.requirements.iter().map(parsed).collect::<Vec<_>>(),
            "specifiers": question.specifiers.iter().map(|(it, version)| allows(it, version)).collect::<Vec<_>>(),
        });
        Ok(serde_json::from_value(asked).unwrap_or_else(|error| unreachable!("{error}")))
    }

    /// What `pins` makes of a lock file for a project in /nowhere that asks for this, or what is wrong.
    pub(super) fn read(
        pins: fn(&str, &Place<'_>, &Judge<'_>) -> Result<Pins>,
        text: &str,
        wanted: &[&str],
    ) -> std::result::Result<Pins, String> {
        let items: Vec<String> = wanted.iter().map(|text| format!("{text:?}")).collect();
        let project = format!("[project]\ndependencies = [{}]\n", items.join(", "));
        let said = |failure| match failure {
            Failure::Fault(fault) => LockFault::to_string(&fault),
            Failure::Recipe(error) => RecipeError::to_string(&error),
        };
        let wanted = Wanted::of(&project, &judge).map_err(said)?;
        let place = Place {
            directory: Path::new("/nowhere"),
            project: None,
            wanted: wanted.as_ref(),
        };
        pins(text, &place, &judge).map_err(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_project_asks_for_is_read_where_it_says_so() {
        let read = |text: &str| {
            let wanted = Wanted::of(text, &tests_judge::judge);
            wanted.map(|wanted| wanted.map(|wanted| wanted.0.len()))
        };
        let two = "[project]\ndependencies = [\"a>=1\", \"b; no\"]\n";
        assert!(matches!(read(two), Ok(Some(1))));
        assert!(matches!(read("[project]\n"), Ok(Some(0))));
        for elsewhere in ["[tool.x]\n", "[project]\ndynamic = [\"dependencies\"]\n"] {
            assert!(matches!(read(elsewhere), Ok(None)), "{elsewhere}");
        }
        assert!(matches!(
            read("[project"),
            Err(Failure::Fault(LockFault::Syntax { .. }))
        ));
    }

    #[test]
    fn nothing_in_a_lock_file_becomes_an_option_of_pip() {
        let place = Place {
            directory: Path::new("/p"),
            project: None,
            wanted: None,
        };
        let mut pins = Pins::default();
        let ok = pins.release("a.b", "1!2.0+x", &["sha256:aB1"], PYPI, &place);
        assert!(ok.is_ok());
        let ok = pins.release("c", "1", &["sha256:1"], "https://other/simple", &place);
        assert!(ok.is_ok());
        assert!(
            pins.release("d", "1", &["sha256:1"], "some wheels", &place)
                .is_ok()
        );
        assert!(
            pins.archive("e", "https://x/e.zip", Some("f"), &["sha512:2"])
                .is_ok()
        );
        pins.built(Path::new("/t mp/g_h-1-py3-none-any.whl"), "ab");
        assert_eq!(
            pins.text(),
            "--extra-index-url https://other/simple\n--find-links file:///p/some%20wheels\n\
             a.b==1!2.0+x --hash=sha256:aB1\nc==1 --hash=sha256:1\nd==1 --hash=sha256:1\n\
             e @ https://x/e.zip#subdirectory=f --hash=sha512:2\n\
             g_h @ file:///t%20mp/g_h-1-py3-none-any.whl --hash=sha256:ab\n"
        );
        for (name, version, hash) in [
            ("a\n--index-url x", "1", "sha256:1"),
            ("-r", "1", "sha256:1"),
            ("", "1", "sha256:1"),
            ("a", "1 --index-url=x", "sha256:1"),
            ("a", "1", "sha256:1 --index-url=x"),
            ("a", "1", "sha256"),
        ] {
            assert!(pins.release(name, version, &[hash], PYPI, &place).is_err());
        }
        assert!(pins.release("a", "1", &[], PYPI, &place).is_err());
        assert!(
            pins.release("a", "1", &["sha256:1"], "https://x y", &place)
                .is_err()
        );
        assert!(
            pins.archive("a", "https://x\n-r y", None, &["sha256:1"])
                .is_err()
        );
    }
}
