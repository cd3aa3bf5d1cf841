//! The manifests of flavorpack: the JSON of its builders, as its tools write it and people do, turned into the same
//! [`Project`] as ours.
//!
//! What it says and a package can hold is taken over; what flavorpack ignores, or does otherwise than it looks, works or is an
//! error that names the path of the key. `keys` knows every key, `words` parts commands, `paths` keeps paths in the work
//! environment, `setup` turns its setup commands into content and commands; `python` reads the other kind of its
//! manifests, `[tool.flavor]` of a Python project.

mod fault;
pub(crate) mod keys;
mod paths;
pub(super) mod python;
mod setup;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use psp_format::metadata::{FORMAT, WORKENV, is_name, is_package_name, is_version};

pub use fault::Fault;

use super::error::{ManifestError, Problem};
use super::json::{Document, Item, Object};
use super::project::{
    Command, EnvRules, KeySource, Lifecycle, PLATFORMS, Package, Policy, Project, Purpose, Reading,
    Sign, Slot,
};
use super::sections::{MAX_AGE_DAYS, is_variable};
use paths::{Targets, foreign, inside};
use setup::Setup;

type Result<T> = std::result::Result<T, ManifestError>;

/// The program that finds others in PATH.
const ENV: &str = "/usr/bin/env";

/// Where the paths in a manifest begin.
pub(super) struct Bases<'p> {
    /// The manifest's directory.
    pub(super) directory: &'p Path,
    /// What `{workenv}` stands for in a source.
    pub(super) workenv: &'p Path,
}

/// Reads the text of a JSON manifest.
pub(super) fn load(file: &Path, text: &str, bases: &Bases<'_>) -> Result<Project> {
    let document = Document::parse(file, text)?;
    let root = document.root().object()?;
    root.only(keys::MANIFEST)?;
    if let Some(format) = root.get("format") {
        format.text_that(|format| format == FORMAT, "`PSPF/2025`", "\"PSPF/2025\"")?;
    }
    let package = package(&root.require("package", "{...}")?.object()?)?;
    let (mut slots, targets) = slots(&root.require("slots", "[...]")?, bases)?;
    let execution = root.require("execution", "{\"command\": \"{workenv}/bin/app\"}")?;
    let command = execution_of(&execution.object()?, &targets)?;
    let mut env = root
        .get("runtime")
        .map_or(Ok(EnvRules::default()), |item| runtime(&item, &targets))?;
    let mut setup = Setup::default();
    if let Some(item) = root.get("workenv") {
        let workenv = item.object()?;
        workenv.only(keys::WORKENV)?;
        if let Some(list) = workenv.get("directories") {
            setup.directories(&list)?;
        }
        if let Some(variables) = workenv.get("env") {
            for (name, value) in variables_of(&variables, &targets)? {
                env.set.entry(name).or_insert(value);
            }
        }
    }
    if let Some(list) = root.get("setup_commands") {
        setup.commands(&list, &targets)?;
    }
    if let Some(item) = root.get("cache_validation") {
        setup.validation(&item, &package)?;
    }
    // What they change must be this package's own.
    for slot in &mut slots {
        slot.mutable = !setup.commands.is_empty();
    }
    Ok(Project {
        file: file.into(),
        // Whoever has the whole text fills it in.
        digest: psp_format::digest::Digest([0; 32]),
        directory: bases.directory.into(),
        package,
        slots,
        made: setup.made,
        command,
        commands: BTreeMap::new(),
        env,
        setup: setup.commands,
        installs: setup.installs,
        policy: root.get("policy").map(|item| policy(&item)).transpose()?,
        desktop: None,
        sign: match root.get("signature") {
            Some(item) => sign(&item, bases)?,
            None => None,
        },
        recipe: None,
        glibc_floor: None,
    })
}

fn package(object: &Object<'_>) -> Result<Package> {
    object.only(keys::PACKAGE)?;
    let name = object.require("name", "\"my-app\"")?.text_that(
        is_package_name,
        "1 to 64 of a-z, 0-9, `_`, `-`, a letter or digit first",
        "\"my-app\"",
    )?;
    let version = object.require("version", "\"1.0.0\"")?.text_that(
        is_version,
        "1 to 64 letters, digits, `.`, `+`, `_`, `~`, `-`, a letter or digit first",
        "\"1.0.0\"",
    )?;
    Ok(Package {
        name,
        version,
        description: object.text("description")?,
        license: object.text("license")?,
        homepage: object.text("homepage")?,
        authors: texts(object, "authors")?,
    })
}

fn slots(list: &Item<'_>, bases: &Bases<'_>) -> Result<(Vec<Slot>, Targets)> {
    let mut slots = Vec::new();
    let mut targets = Vec::new();
    for (nth, item) in list.list()?.into_iter().enumerate() {
        let (slot, target) = slot(&item.object()?, nth, bases)?;
        slots.push(slot);
        targets.push(target);
    }
    Ok((slots, Targets(targets)))
}

/// The slot, and where `{slot:N}` leads.
fn slot(object: &Object<'_>, nth: usize, bases: &Bases<'_>) -> Result<(Slot, String)> {
    object.only(keys::SLOT)?;
    if let Some(number) = object.get("slot") {
        let own = u32::try_from(nth).unwrap_or(u32::MAX);
        number.integer(own..=own)?;
    }
    let id = object.require("id", "\"app\"")?.text_that(
        is_name,
        "1 to 64 letters, digits, `.`, `_`, `-`, a letter, digit or `_` first",
        "\"app\"",
    )?;
    let source = source(&object.require("source", "\"build/app\"")?, bases)?;
    if let Some(resolution) = object.get("resolution") {
        let expected = "`build`: a source is read when the package is built";
        resolution.text_that(|text| text == "build", expected, "\"build\"")?;
    }
    let is_directory = source.is_dir();
    let content = match object.get("operations") {
        None => Content::Plain,
        Some(item) => item.choice(OPERATIONS, content)?,
    };
    if let Some(kind) = object.get("type") {
        let is_file = content != Content::Archive && !is_directory;
        let expected = "`file`, at a slot of one file";
        kind.text_that(|kind| is_file && kind == "file", expected, "\"file\"")?;
    }
    let at = object.require("target", "\"bin/app\"")?;
    // Its Rust builder takes an empty target for an archive, where it plays no part.
    let is_archive = content == Content::Archive && !is_directory;
    let stated = match at.text()?.as_str() {
        "" if is_archive => ".".into(),
        _ => inside(&at)?,
    };
    if stated == "." && !is_archive && !is_directory {
        return Err(at.invalid("the path of the file", "\"bin/app\""));
    }
    let (reading, target) = match (is_directory, content) {
        (true, _) => (Reading::ByName, stated.clone()),
        (false, Content::Plain) => (Reading::File, stated.clone()),
        (false, Content::Compressed) => (Reading::Decompressed, stated.clone()),
        (false, Content::Archive) => {
            let stated = stated.clone();
            (Reading::AtRoot { stated }, ".".into())
        }
    };
    let lifecycles: Vec<&str> = Lifecycle::ALL.iter().map(|value| value.name()).collect();
    let purposes: Vec<&str> = Purpose::ALL.iter().map(|value| value.name()).collect();
    let slot = Slot {
        lifecycle: object
            .get("lifecycle")
            .map_or(Ok(Lifecycle::Runtime), |item| {
                item.choice(&lifecycles, lifecycle)
            })?,
        purpose: object.get("purpose").map_or(Ok(Purpose::Data), |item| {
            item.choice(&purposes, Purpose::from_name)
        })?,
        permissions: object
            .get("permissions")
            .map(|item| paths::mode(&item))
            .transpose()?,
        reading,
        ..Slot::new(&id, source, &target, object.at().line())
    };
    Ok((slot, stated))
}

fn source(item: &Item<'_>, bases: &Bases<'_>) -> Result<PathBuf> {
    let text = item.text_that(|path| !path.is_empty(), "a path", "\"build/app\"")?;
    if text == "$SELF" {
        return Err(foreign(item, Fault::SelfSource));
    }
    match text.strip_prefix(WORKENV) {
        Some("") => Ok(bases.workenv.into()),
        Some(rest) if rest.starts_with('/') => Ok(bases.workenv.join(rest.trim_start_matches('/'))),
        _ => Ok(bases.directory.join(text)),
    }
}

/// What a source is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// A file, as it is.
    Plain,
    /// A file in a compressed one.
    Compressed,
    /// An archive, compressed or not.
    Archive,
}

/// What `operations` can be; the names that flavorpack's documents and its Python tools know.
const OPERATIONS: &[&str] = &[
    "none",
    "raw",
    "tar",
    "gzip",
    "tgz",
    "tar.gz",
    "tar|gzip",
    "zstd",
    "tar.zst",
    "tar|zstd",
    "xz",
    "txz",
    "tar.xz",
    "tar|xz",
    "bzip2",
    "tbz2",
    "tar.bz2",
    "tar|bzip2",
];

fn content(name: &str) -> Option<Content> {
    match name {
        "" | "none" | "raw" => Some(Content::Plain),
        "gzip" | "zstd" | "xz" | "bzip2" => Some(Content::Compressed),
        name => OPERATIONS.contains(&name).then_some(Content::Archive),
    }
}

/// `cache` is flavorpack's word for what is `cached` here; `eager` ones are not told apart from them.
pub(crate) fn lifecycle(name: &str) -> Option<Lifecycle> {
    match name {
        "cache" | "eager" => Some(Lifecycle::Cached),
        name => Lifecycle::from_name(name),
    }
}

fn execution_of(object: &Object<'_>, targets: &Targets) -> Result<Command> {
    object.only(keys::EXECUTION)?;
    let item = object.require("command", "\"{workenv}/bin/app\"")?;
    let mut argv = argv(&item, targets)?.into_iter();
    let env = match (object.get("env"), object.get("environment")) {
        (Some(_), Some(second)) => return Err(foreign(&second, Fault::Twice { first: "env" })),
        (Some(env), None) | (None, Some(env)) => variables_of(&env, targets)?,
        (None, None) => BTreeMap::new(),
    };
    let exec = argv.next().unwrap_or_default();
    Ok(Command {
        env,
        ..Command::new(exec, argv.collect(), item.line())
    })
}

/// The words of a command, the first of them a program that a package can start.
fn argv(item: &Item<'_>, targets: &Targets) -> Result<Vec<String>> {
    let text = targets.expand(item, &item.text()?)?;
    let mut words = words::split(&text).map_err(|fault| foreign(item, fault))?;
    let program = words.first().cloned().unwrap_or_default();
    let is_path = |path: &str| path.starts_with('/') || path.starts_with("{workenv}/");
    match program.as_str() {
        "" => Err(foreign(item, Fault::NoProgram)),
        program if is_path(program) => {
            if let Some(path) = program.strip_prefix("{workenv}/") {
                psp_format::path::check(path.as_bytes()).map_err(|fault| {
                    let (section, key) = item.section_and_key();
                    let (key, found) = (key.into(), format!("`{program}`"));
                    item.error(Problem::Path {
                        section,
                        key,
                        found,
                        fault,
                    })
                })?;
            }
            Ok(words)
        }
        program if program.contains('/') => {
            let program = program.into();
            Err(foreign(item, Fault::RelativeProgram { program }))
        }
        program if program.starts_with('-') || program.contains(['=', '{']) => {
            let program = program.into();
            Err(foreign(item, Fault::ProgramName { program }))
        }
        _ => {
            words.insert(0, ENV.into());
            Ok(words)
        }
    }
}

fn runtime(item: &Item<'_>, targets: &Targets) -> Result<EnvRules> {
    let runtime = item.object()?;
    runtime.only(keys::RUNTIME)?;
    let Some(env) = runtime.get("env") else {
        return Ok(EnvRules::default());
    };
    let env = env.object()?;
    env.only(keys::RUNTIME_ENV)?;
    let map = match env.get("map") {
        None => BTreeMap::new(),
        Some(map) => {
            for (_, new) in map.object()?.items() {
                new.text_that(is_variable, "the name of a variable", "\"NAME\"")?;
            }
            map.text_map(is_variable, "the name of a variable")?
        }
    };
    Ok(EnvRules {
        unset: variable_names(&env, "unset")?,
        pass: variable_names(&env, "pass")?,
        map,
        set: env
            .get("set")
            .map_or(Ok(BTreeMap::new()), |set| variables_of(&set, targets))?,
    })
}

fn policy(item: &Item<'_>) -> Result<Policy> {
    let policy = item.object()?;
    policy.only(keys::POLICY)?;
    let platforms = policy
        .get("platforms")
        .map_or(Ok(Vec::new()), |list| list.list())?;
    let platforms = platforms.iter().map(|item| {
        item.choice(&PLATFORMS, |name| {
            PLATFORMS.iter().find(|known| **known == name)
        })
    });
    let platforms: Vec<&&str> = platforms.collect::<Result<_>>()?;
    for item in policy
        .get("require_env")
        .map_or(Ok(Vec::new()), |list| list.list())?
    {
        // The base format hashes the policy as ASCII.
        let is_plain = |name: &str| is_variable(name) && name.bytes().all(|c| c.is_ascii_graphic());
        item.text_that(is_plain, "an ASCII name of a variable", "[\"HOME\"]")?;
    }
    Ok(Policy {
        platforms: platforms
            .into_iter()
            .map(|name| (*name).to_owned())
            .collect(),
        refuse_root: policy
            .get("refuse_root")
            .map_or(Ok(false), |item| item.flag())?,
        require_env: texts(&policy, "require_env")?,
        max_age_days: policy
            .get("max_age_days")
            .map_or(Ok(0), |item| item.integer(0..=MAX_AGE_DAYS))?,
    })
}

/// `flavor pack` of flavorpack writes both keys, as `null` where there is none.
fn sign(item: &Item<'_>, bases: &Bases<'_>) -> Result<Option<Sign>> {
    let signature = item.object()?;
    signature.only(keys::SIGNATURE)?;
    signature.text("public_key")?;
    let key = signature
        .get("private_key")
        .map(|item| item.text_that(|path| !path.is_empty(), "a PEM file", "\"release.key\""));
    let key = key.transpose()?.map(|key| bases.directory.join(key));
    Ok(key.map(|key| Sign {
        key: KeySource::File(key),
        public_key: None,
    }))
}

/// Variables with the values that they get.
fn variables_of(item: &Item<'_>, targets: &Targets) -> Result<BTreeMap<String, String>> {
    let mut variables = item.text_map(is_variable, "the name of a variable")?;
    for value in variables.values_mut() {
        *value = targets.expand(item, value)?;
    }
    Ok(variables)
}

fn variable_names(object: &Object<'_>, key: &str) -> Result<Vec<String>> {
    let items = object.get(key).map_or(Ok(Vec::new()), |item| item.list())?;
    let name =
        |item: &Item<'_>| item.text_that(is_variable, "the name of a variable", "[\"NAME\"]");
    items.iter().map(name).collect()
}

fn texts(object: &Object<'_>, key: &str) -> Result<Vec<String>> {
    let items = object.get(key).map_or(Ok(Vec::new()), |item| item.list())?;
    items.iter().map(Item::text).collect()
}
