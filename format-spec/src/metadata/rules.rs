//! The rules for the values of the metadata (SPEC.md 3.1 and 4.1: M24 to M26, M33 to M36, M41).

use super::{
    EnvRules, FORMAT, Lifecycle, Map, Metadata, PROFILE, Package, Policy, RESERVED_PREFIX, Slot,
    TARGETS, WORKENV,
};
use crate::error::Error;
use crate::limits::{MAX_NAME, MAX_SLOTS};
use crate::ops::Operations;
use crate::path;

/// Checks every value against its rule.
pub(super) fn check(metadata: &Metadata) -> Result<(), Error> {
    check_equal("format", &metadata.format, FORMAT)?;
    check_equal("profile", &metadata.profile, PROFILE)?;
    check_package(&metadata.package)?;
    check_target("launcher.target", &metadata.launcher.target)?;
    if metadata.launcher.size == 0 {
        return Err(Error::value("launcher.size", "0"));
    }
    if !metadata.launcher.capabilities.is_empty() {
        return Err(Error::value("launcher.capabilities", "not empty"));
    }
    let platform = format!(
        "{}_{}",
        metadata.build.platform.os, metadata.build.platform.arch
    );
    check_equal("build.platform", &platform, &metadata.launcher.target)?;
    metadata.build_time()?;
    check_command(
        "execution",
        &metadata.execution.argv,
        metadata.execution.cwd.as_deref(),
        &metadata.execution.env,
    )?;
    if metadata.execution.command.is_empty() {
        return Err(Error::value("execution.command", "empty"));
    }
    for (name, command) in metadata.commands.iter() {
        let at = format!("commands.{name}");
        check_name(&at, name)?;
        check_command(&at, &command.argv, command.cwd.as_deref(), &command.env)?;
    }
    for (nth, command) in metadata.setup.iter().enumerate() {
        let at = format!("setup[{nth}]");
        check_command(&at, &command.argv, command.cwd.as_deref(), &command.env)?;
    }
    if let Some(policy) = &metadata.policy {
        check_policy(policy)?;
    }
    if let Some(runtime) = &metadata.runtime {
        check_env_rules(&runtime.env)?;
    }
    check_slots(&metadata.slots)?;
    match metadata
        .desktop
        .as_ref()
        .and_then(|desktop| desktop.icon.as_ref())
    {
        Some(icon) if !metadata.slots.iter().any(|slot| slot.id == *icon) => {
            Err(Error::value("desktop.icon", "no slot has this id"))
        }
        _ => Ok(()),
    }
}

fn check_equal(at: &str, found: &str, expected: &str) -> Result<(), Error> {
    if found == expected {
        Ok(())
    } else {
        Err(Error::value(
            at,
            format!("expected {expected}, found {found}"),
        ))
    }
}

fn check_package(package: &Package) -> Result<(), Error> {
    if !is_package_name(&package.name) {
        return Err(Error::value(
            "package.name",
            "expected [a-z0-9][a-z0-9_-]*, at most 64 bytes",
        ));
    }
    if !is_version(&package.version) {
        let rule = "expected [0-9A-Za-z][0-9A-Za-z.+_~-]*, at most 64 bytes";
        return Err(Error::value("package.version", rule));
    }
    Ok(())
}

/// Whether `name` can name a package.
pub fn is_package_name(name: &str) -> bool {
    let lower = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    is_token(name, lower, |c| lower(c) || matches!(c, b'_' | b'-'))
}

/// Whether `version` can be a package's version.
pub fn is_version(version: &str) -> bool {
    is_token(
        version,
        |c| c.is_ascii_alphanumeric(),
        |c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'+' | b'_' | b'~' | b'-'),
    )
}

/// Whether `id` can name a slot or a command: `[A-Za-z0-9_][A-Za-z0-9._-]*`, at most 64 bytes.
pub fn is_name(id: &str) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    is_token(id, word, |c| word(c) || matches!(c, b'.' | b'-'))
}

fn is_token(text: &str, first: impl Fn(u8) -> bool, rest: impl Fn(u8) -> bool) -> bool {
    text.len() <= MAX_NAME && text.bytes().next().is_some_and(first) && text.bytes().all(rest)
}

fn check_name(at: &str, name: &str) -> Result<(), Error> {
    if is_name(name) {
        Ok(())
    } else {
        Err(Error::value(
            at,
            "expected a name like [A-Za-z0-9_][A-Za-z0-9._-]*, at most 64 bytes",
        ))
    }
}

fn check_target(at: &str, target: &str) -> Result<(), Error> {
    if TARGETS.contains(&target) {
        Ok(())
    } else {
        Err(Error::value(
            at,
            format!("unknown target; known are {}", TARGETS.join(", ")),
        ))
    }
}

fn check_command(
    at: &str,
    argv: &[String],
    cwd: Option<&str>,
    env: &Map<String>,
) -> Result<(), Error> {
    let program = argv.first().map(String::as_str).unwrap_or_default();
    let in_package = program
        .strip_prefix(WORKENV)
        .is_some_and(|rest| rest.starts_with('/'));
    if !in_package && !program.starts_with('/') {
        return Err(Error::value(
            format!("{at}.argv[0]"),
            "expected a path that begins with {workenv}/ or /",
        ));
    }
    if argv
        .iter()
        .map(String::as_str)
        .chain(cwd)
        .any(|text| text.contains('\0'))
    {
        return Err(Error::value(at, "a NUL byte in an argument or directory"));
    }
    check_variables(&format!("{at}.env"), env)
}

fn check_variables(at: &str, env: &Map<String>) -> Result<(), Error> {
    for (name, value) in env.iter() {
        check_variable_name(at, name)?;
        if value.contains('\0') {
            return Err(Error::value(at, "a NUL byte in a value"));
        }
    }
    Ok(())
}

fn check_variable_name(at: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(Error::value(
            at,
            "a variable's name is empty or holds '=' or NUL",
        ));
    }
    Ok(())
}

fn check_env_rules(rules: &EnvRules) -> Result<(), Error> {
    if *rules == EnvRules::default() {
        return Err(Error::value(
            "runtime.env",
            "no rule; an empty table is left out",
        ));
    }
    check_variables("runtime.env.set", &rules.set)?;
    for name in rules.map.iter().flat_map(|(old, new)| [old, new.as_str()]) {
        check_variable_name("runtime.env.map", name)?;
    }
    for pattern in rules.unset.iter().chain(&rules.pass) {
        check_variable_name("runtime.env", pattern)?;
    }
    Ok(())
}

fn check_policy(policy: &Policy) -> Result<(), Error> {
    for platform in &policy.platforms {
        check_target("policy.platforms", platform)?;
    }
    for name in &policy.require_env {
        check_variable_name("policy.require_env", name)?;
        // Base readers hash the policy as JSON that escapes what is not ASCII; we do not.
        if !name.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(Error::value("policy.require_env", "not printable ASCII"));
        }
    }
    Ok(())
}

fn check_slots(slots: &[Slot]) -> Result<(), Error> {
    if slots.len() > MAX_SLOTS {
        return Err(Error::value("slots", format!("more than {MAX_SLOTS}")));
    }
    let mut last = None;
    for (nth, slot) in slots.iter().enumerate() {
        let at = |key: &str| format!("slots[{nth}].{key}");
        check_name(&at("id"), &slot.id)?;
        if last.is_some_and(|last| slot.slot <= last) {
            return Err(Error::value(at("slot"), "not greater than the one before"));
        }
        last = Some(slot.slot);
        if slot.operations_code != slot.operations.code() {
            return Err(Error::value(
                at("operations_code"),
                "not the number of operations",
            ));
        }
        if slot.mode > 0o777 {
            return Err(Error::value(at("mode"), "bits beyond 0777"));
        }
        if slot.operations.is_tar() && slot.mode != 0o755 {
            return Err(Error::value(at("mode"), "a tar slot's is 0755"));
        }
        if !slot.operations.is_framed()
            && slot.operations != Operations::TarGz
            && slot.original_size != slot.size
        {
            return Err(Error::value(
                at("original_size"),
                "not the stored size, and nothing is compressed",
            ));
        }
        if !slot.source.is_empty() {
            return Err(Error::value(at("source"), "not empty"));
        }
        check_slot_target(slot).map_err(|fault| match fault {
            TargetFault::Path(fault) => Error::path(at("target"), fault),
            TargetFault::Reserved => Error::value(
                at("target"),
                format!("names that begin with {RESERVED_PREFIX} are the launcher's"),
            ),
        })?;
    }
    check_unique(slots, "id", |slot| &slot.id)?;
    check_unique(slots, "target", |slot| &slot.target)?;
    if slots
        .iter()
        .filter(|slot| slot.lifecycle == Lifecycle::Attestation)
        .count()
        > 1
    {
        return Err(Error::value("slots", "more than one attestation"));
    }
    Ok(())
}

enum TargetFault {
    Path(path::PathFault),
    Reserved,
}

fn check_slot_target(slot: &Slot) -> Result<(), TargetFault> {
    if slot.target == "." && slot.operations.is_tar() {
        return Ok(());
    }
    path::check(slot.target.as_bytes()).map_err(TargetFault::Path)?;
    if slot.target.starts_with(RESERVED_PREFIX) {
        Err(TargetFault::Reserved)
    } else {
        Ok(())
    }
}

fn check_unique(slots: &[Slot], key: &str, value: impl Fn(&Slot) -> &str) -> Result<(), Error> {
    // Sorted. A megabyte of metadata holds a few thousand slots at most.
    let mut seen: Vec<(&str, usize)> = Vec::new();
    for (nth, slot) in slots.iter().enumerate() {
        let value = value(slot);
        let at = seen.partition_point(|(other, _)| *other < value);
        if let Some((_, first)) = seen.get(at).filter(|(other, _)| *other == value) {
            return Err(Error::value(
                format!("slots[{nth}].{key}"),
                format!("the same as slots[{first}].{key}"),
            ));
        }
        seen.insert(at, (value, nth));
    }
    Ok(())
}
