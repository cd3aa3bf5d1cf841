//! The keys of each section, from TOML to plain data. A function a section, in the order of the reference.

use std::collections::BTreeMap;
use std::path::Path;

use psp_format::metadata::{RESERVED_PREFIX, is_name, is_package_name, is_version};
use psp_format::path;

use super::error::{ManifestError, Problem};
use super::flavorpack::{self, python::PythonProject};
use super::project::{
    Command, Compression, DEFAULT_LEVEL, Desktop, EnvRules, KeySource, Lifecycle, PLATFORMS,
    Package, Policy, Project, Purpose, Sign, Slot, SlotModes, SlotTimes,
};
use super::reader::{Section, Value};
use super::recipe;
use crate::inputs::Filter;
use crate::recipes::{self, Plain};

type Result<T> = std::result::Result<T, ManifestError>;

/// The longest age that a policy can name: a hundred years.
pub(super) const MAX_AGE_DAYS: u32 = 36_525;

/// The whole manifest. What it does not say of the package and its environment, `python` does, where flavorpack's keys
/// stand beside ours.
pub(super) fn project(
    section: &Section<'_>,
    file: &Path,
    python: Option<PythonProject>,
) -> Result<Project> {
    section.only(match python {
        Some(_) => flavorpack::python::BOTH,
        None => &[
            "package", "slot", "command", "commands", "env", "setup", "policy", "desktop", "sign",
            "native", "python", "node",
        ],
    })?;
    let directory = file.parent().unwrap_or(Path::new(""));
    let asked = recipe::asked(section, directory, python.as_ref())?;
    let (named, rules) = python.map(|python| python.parts()).unzip();
    let optional = |key| section.get(key);
    let described = asked.as_ref().and_then(|asked| asked.package.clone());
    let package = match (section.get("package"), named.or(described)) {
        (None, Some(package)) => package,
        _ => package(&section.require("package", "[package]")?.table()?)?,
    };
    let mut rules = optional("env").map_or(Ok(rules.unwrap_or_default()), env)?;
    let Plain {
        mut slots,
        command: recipe_command,
        commands: mut by_name,
    } = match &asked {
        Some(asked) => {
            recipes::isolate(&asked.recipe, &mut rules);
            recipes::plain(&asked.recipe, &package.name, asked.line)
        }
        None => Plain::default(),
    };
    slots.extend(each(optional("slot"), |section| slot(section, directory))?);
    by_name.extend(optional("commands").map_or(Ok(BTreeMap::new()), commands)?);
    Ok(Project {
        file: file.into(),
        // Whoever has the whole text fills it in.
        digest: psp_format::digest::Digest([0; 32]),
        directory: directory.into(),
        package,
        slots,
        made: Vec::new(),
        command: match (section.get("command"), recipe_command) {
            (Some(value), _) => command(&value.table()?)?,
            (None, Some(command)) => command,
            (None, None) => return Err(section.error(Problem::NoCommand)),
        },
        commands: by_name,
        env: rules,
        setup: each(optional("setup"), command)?,
        installs: false,
        policy: optional("policy").map(policy).transpose()?,
        desktop: optional("desktop")
            .map(|value| desktop(&value, directory))
            .transpose()?,
        sign: optional("sign")
            .map(|value| sign(&value, directory))
            .transpose()?,
        recipe: asked.map(|asked| asked.recipe),
        glibc_floor: recipe::glibc_floor(section)?,
    })
}

fn package(section: &Section<'_>) -> Result<Package> {
    section.only(&[
        "name",
        "version",
        "description",
        "license",
        "homepage",
        "authors",
    ])?;
    let name = section.require("name", "name = \"my-app\"")?.text_that(
        is_package_name,
        "1 to 64 of a-z, 0-9, `_`, `-`, a letter or digit first",
        "\"my-app\"",
    )?;
    let version = section
        .require("version", "version = \"1.0.0\"")?
        .text_that(
            is_version,
            "1 to 64 letters, digits, `.`, `+`, `_`, `~`, `-`, a letter or digit first",
            "\"1.0.0\"",
        )?;
    Ok(Package {
        name: name.into(),
        version: version.into(),
        description: text(section, "description")?,
        license: text(section, "license")?,
        homepage: text(section, "homepage")?,
        authors: texts(section, "authors")?,
    })
}

fn slot(section: &Section<'_>, directory: &Path) -> Result<Slot> {
    section.only(&[
        "id",
        "source",
        "target",
        "include",
        "exclude",
        "lifecycle",
        "purpose",
        "platforms",
        "compression",
        "mutable",
        "permissions",
        "times",
        "modes",
    ])?;
    let id = section.require("id", "id = \"app\"")?.text_that(
        is_name,
        "1 to 64 letters, digits, `.`, `_`, `-`, a letter, digit or `_` first",
        "\"app\"",
    )?;
    let source = section
        .require("source", "source = \"build/app\"")?
        .text_that(|path| !path.is_empty(), "a path", "\"build/app\"")?;
    let choice = |key| section.get(key);
    let target = section.get("target").map_or(Ok(id.into()), target)?;
    let new = Slot::new(id, directory.join(source), &target, section.line());
    Ok(Slot {
        include: globs(section, "include")?.unwrap_or_else(|| new.include.clone()),
        exclude: globs(section, "exclude")?.unwrap_or_default(),
        lifecycle: choice("lifecycle").map_or(Ok(new.lifecycle), |value| {
            value.choice(Lifecycle::ALL, |lifecycle| lifecycle.name())
        })?,
        purpose: choice("purpose").map_or(Ok(new.purpose), |value| {
            value.choice(Purpose::ALL, |purpose| purpose.name())
        })?,
        platforms: platforms(section)?,
        compression: section
            .get("compression")
            .map_or(Ok(new.compression), |value| compression(&value.table()?))?,
        mutable: section
            .get("mutable")
            .map_or(Ok(new.mutable), |value| value.flag())?,
        permissions: section.get("permissions").map(permissions).transpose()?,
        times: choice("times").map_or(Ok(new.times), |value| {
            value.choice(
                &[SlotTimes::Normalise, SlotTimes::Keep],
                |times| match times {
                    SlotTimes::Normalise => "normalise",
                    SlotTimes::Keep => "keep",
                },
            )
        })?,
        modes: choice("modes").map_or(Ok(new.modes), |value| {
            value.choice(
                &[SlotModes::Normalise, SlotModes::Keep],
                |modes| match modes {
                    SlotModes::Normalise => "normalise",
                    SlotModes::Keep => "keep",
                },
            )
        })?,
        ..new
    })
}

/// A slot path in text, or `.`; what begins with `.flavor` belongs to the launcher (M41 of the specification).
fn target(value: Value<'_>) -> Result<String> {
    let target = value.text_that(
        |target| !target.starts_with(RESERVED_PREFIX),
        "a path that does not begin with `.flavor`, which the launcher keeps for itself",
        "\"app\"",
    )?;
    if target != "." {
        slot_path(&value, target)?;
    }
    Ok(target.into())
}

/// Refuses `path`, which `value` holds or is about, unless it is one inside a package.
fn slot_path(value: &Value<'_>, path: &str) -> Result<()> {
    path::check(path.as_bytes()).map_err(|fault| {
        value.error(Problem::Path {
            section: value.section(),
            key: value.key().into(),
            found: value.shown(),
            fault,
        })
    })
}

fn globs(section: &Section<'_>, key: &str) -> Result<Option<Vec<String>>> {
    let Some(value) = section.get(key) else {
        return Ok(None);
    };
    let globs = value.texts()?;
    if key == "include" && globs.is_empty() {
        return Err(value.invalid("a list of at least one glob", "include = [\"**\"]"));
    }
    // Compiled anew when the source is read; here it is found out before anything else is done.
    for (glob, item) in globs.iter().zip(value.items()?) {
        Filter::new(&["**"], &[glob]).map_err(|error| {
            let (section, key) = (value.section(), key.into());
            item.error(Problem::Glob {
                section,
                key,
                error,
            })
        })?;
    }
    Ok(Some(globs))
}

fn compression(section: &Section<'_>) -> Result<Compression> {
    section.only(&["method", "level"])?;
    let zstd = match section.get("method") {
        Some(method) => method.choice(&[true, false], |zstd| if zstd { "zstd" } else { "none" })?,
        None => true,
    };
    match (zstd, section.get("level")) {
        (true, None) => Ok(Compression::Zstd {
            level: DEFAULT_LEVEL,
        }),
        (true, Some(level)) => {
            let number = level.integer(1..=22)?;
            Ok(Compression::Zstd {
                level: u8::try_from(number).unwrap_or(DEFAULT_LEVEL),
            })
        }
        (false, None) => Ok(Compression::None),
        (false, Some(level)) => {
            Err(level.invalid("absent, since nothing is compressed", "method = \"none\""))
        }
    }
}

/// Octal digits in text: a TOML integer 755 would be another number.
fn permissions(value: Value<'_>) -> Result<u32> {
    let parse = |text: &str| match text.bytes().all(|digit| digit.is_ascii_digit()) {
        true => u32::from_str_radix(text, 8)
            .ok()
            .filter(|mode| *mode <= 0o777),
        false => None,
    };
    let mode = value.text().ok().and_then(parse);
    let expected = "octal digits in quotes, at most \"0777\"";
    mode.ok_or_else(|| value.invalid(expected, "permissions = \"0755\""))
}

fn command(section: &Section<'_>) -> Result<Command> {
    section.only(&["exec", "args", "env", "cwd"])?;
    let example = "\"{workenv}/bin/app\"";
    let exec = section.require("exec", &format!("exec = {example}"))?;
    let program = exec.text_that(
        |exec| exec.starts_with("{workenv}/") || exec.starts_with('/'),
        "a path that begins with `{workenv}/` or `/`",
        example,
    )?;
    if let Some(inside) = program.strip_prefix("{workenv}/") {
        slot_path(&exec, inside)?;
    }
    Ok(Command {
        exec: program.into(),
        args: texts(section, "args")?,
        env: section
            .get("env")
            .map_or(Ok(BTreeMap::new()), |value| variables(&value))?,
        cwd: text(section, "cwd")?,
        line: exec.line(),
    })
}

fn commands(value: Value<'_>) -> Result<BTreeMap<String, Command>> {
    let mut commands = BTreeMap::new();
    for value in value.table()?.values() {
        if !is_name(value.key()) {
            // It is used as the name of a link.
            return Err(value.bad_name(
                "the name of a command: 1 to 64 letters, digits, `.`, `_`, `-`",
                "[commands.serve]",
            ));
        }
        commands.insert(value.key().into(), command(&value.table()?)?);
    }
    Ok(commands)
}

fn env(value: Value<'_>) -> Result<EnvRules> {
    env_rules(&value.table()?, &["unset", "pass", "map", "set"])
}

/// The rules in a section that may have these keys.
pub(super) fn env_rules(section: &Section<'_>, known: &'static [&'static str]) -> Result<EnvRules> {
    section.only(known)?;
    let map = match section.get("map") {
        None => BTreeMap::new(),
        Some(value) => {
            let map = variables(&value)?;
            for new in value.table()?.values() {
                new.text_that(is_variable, "the name of a variable", "\"NAME\"")?;
            }
            map
        }
    };
    Ok(EnvRules {
        unset: variable_names(section, "unset")?,
        pass: variable_names(section, "pass")?,
        map,
        set: section
            .get("set")
            .map_or(Ok(BTreeMap::new()), |value| variables(&value))?,
    })
}

pub(super) fn policy(value: Value<'_>) -> Result<Policy> {
    let section = value.table()?;
    section.only(&["platforms", "refuse_root", "require_env", "max_age_days"])?;
    for item in section
        .get("require_env")
        .map_or(Ok(Vec::new()), |value| value.items())?
    {
        // The base format hashes the policy as ASCII.
        item.text_that(|name| name.is_ascii(), "a list of ASCII names", "\"HOME\"")?;
    }
    Ok(Policy {
        platforms: platforms(&section)?,
        refuse_root: section
            .get("refuse_root")
            .map_or(Ok(false), |value| value.flag())?,
        require_env: variable_names(&section, "require_env")?,
        max_age_days: section
            .get("max_age_days")
            .map_or(Ok(0), |value| value.integer(0..=MAX_AGE_DAYS))?,
    })
}

fn desktop(value: &Value<'_>, directory: &Path) -> Result<Desktop> {
    let section = value.table()?;
    section.only(&["icon", "terminal"])?;
    let icon = section.get("icon").map(|value| {
        value.text_that(
            |path| !path.is_empty(),
            "the path of an image",
            "\"icon.png\"",
        )
    });
    Ok(Desktop {
        icon: icon.transpose()?.map(|path| directory.join(path)),
        terminal: section
            .get("terminal")
            .map_or(Ok(true), |value| value.flag())?,
    })
}

fn sign(value: &Value<'_>, directory: &Path) -> Result<Sign> {
    let section = value.table()?;
    section.only(&["key", "public-key"])?;
    let key = section.require("key", "key = \"env:FLAVOR_SIGNING_KEY\"")?;
    let key = key.text_that(
        |key| {
            let variable = key.strip_prefix("env:").map(is_variable);
            let program = key
                .strip_prefix("cmd:")
                .map(|program| !program.trim().is_empty());
            variable.or(program).unwrap_or(!key.is_empty())
        },
        "a PEM file, `env:NAME` or `cmd:PROGRAM`",
        "\"env:FLAVOR_SIGNING_KEY\"",
    )?;
    let key = match (key.strip_prefix("env:"), key.strip_prefix("cmd:")) {
        (Some(name), _) => KeySource::Env(name.into()),
        (_, Some(program)) => KeySource::Command(program.into()),
        _ => KeySource::File(directory.join(key)),
    };
    let public_key = text(&section, "public-key")?.map(|path| directory.join(path));
    Ok(Sign { key, public_key })
}

/// What `read` makes of each table of a list.
fn each<T>(list: Option<Value<'_>>, read: impl Fn(&Section<'_>) -> Result<T>) -> Result<Vec<T>> {
    let tables = list.map_or(Ok(Vec::new()), |value| value.tables())?;
    tables.iter().map(read).collect()
}

pub(super) fn text(section: &Section<'_>, key: &str) -> Result<Option<String>> {
    section
        .get(key)
        .map(|value| Ok(value.text()?.to_owned()))
        .transpose()
}

fn texts(section: &Section<'_>, key: &str) -> Result<Vec<String>> {
    section
        .get(key)
        .map_or(Ok(Vec::new()), |value| value.texts())
}

fn platforms(section: &Section<'_>) -> Result<Vec<String>> {
    let Some(value) = section.get("platforms") else {
        return Ok(Vec::new());
    };
    let items = value.items()?.into_iter();
    items
        .map(|item| Ok(item.choice(&PLATFORMS, |name| name)?.to_owned()))
        .collect()
}

/// Variables with the values that they get.
fn variables(value: &Value<'_>) -> Result<BTreeMap<String, String>> {
    let values = value.table()?.values();
    if let Some(bad) = values.iter().find(|value| !is_variable(value.key())) {
        return Err(bad.bad_name("the name of a variable", "NAME = \"value\""));
    }
    value.text_map()
}

fn variable_names(section: &Section<'_>, key: &str) -> Result<Vec<String>> {
    let Some(value) = section.get(key) else {
        return Ok(Vec::new());
    };
    for item in value.items()? {
        item.text_that(is_variable, "a list of names of variables", "\"NAME\"")?;
    }
    value.texts()
}

/// Whether an environment can hold a variable of this name; patterns are names with `*` and `?` in them.
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}
