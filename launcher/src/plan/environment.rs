//! The environment of the application: the caller's, through the package's rules, and what the launcher adds.
//!
//! The rules apply in the order unset, pass, map, set. Whatever else the caller put there is passed on: duplicates,
//! names that are no text, entries without `=`.

use core::ffi::CStr;
use std::borrow::Cow;
use std::ffi::CString;

use psp_format::metadata::{EnvRules, Metadata};

use super::command::Chosen;
use super::placeholders::Values;
use super::{ARCH, OS, PLATFORM, PlanError, Snapshot};
use crate::env_vars;

type Vars<'a> = Vec<Cow<'a, CStr>>;

/// The value of the first variable of this name.
pub fn variable<'a>(vars: &[&'a CStr], name: &[u8]) -> Option<&'a [u8]> {
    vars.iter()
        .find_map(|var| var.to_bytes().strip_prefix(name)?.strip_prefix(b"="))
}

/// The environment for a command.
pub(super) fn build<'a>(
    metadata: &Metadata,
    snapshot: &Snapshot<'a>,
    chosen: &Chosen<'_>,
    values: &Values<'_>,
) -> Result<Vars<'a>, PlanError> {
    let mut vars: Vars<'a> = Vec::with_capacity(snapshot.vars.len().saturating_add(16));
    vars.extend(snapshot.vars.iter().copied().map(Cow::Borrowed));
    // Meant for this launcher only: a package that this one starts chooses for itself.
    remove(&mut vars, env_vars::FLAVOR_COMMAND.as_bytes());
    remove(&mut vars, env_vars::FLAVOR_LAUNCHER_CLI.as_bytes());
    if let Some(runtime) = &metadata.runtime {
        unset_but_pass(&mut vars, &runtime.env);
        map(&mut vars, &runtime.env)?;
        for (name, value) in runtime.env.set.iter() {
            set(&mut vars, name, &values.expand(value))?;
        }
    }
    for (name, value) in chosen.env.iter() {
        set(&mut vars, name, &values.expand(value))?;
    }
    let own: [(&str, &[u8]); 9] = [
        (env_vars::FLAVOR_WORKENV, values.workenv()),
        (env_vars::FLAVOR_COMMAND_NAME, chosen.name),
        (
            env_vars::FLAVOR_ORIGINAL_COMMAND,
            snapshot.command.to_bytes(),
        ),
        (env_vars::FLAVOR_PACKAGE, metadata.package.name.as_bytes()),
        (
            env_vars::FLAVOR_VERSION,
            metadata.package.version.as_bytes(),
        ),
        (env_vars::FLAVOR_OS, OS.as_bytes()),
        (env_vars::FLAVOR_ARCH, ARCH.as_bytes()),
        (env_vars::FLAVOR_PLATFORM, PLATFORM.as_bytes()),
        (env_vars::FLAVOR_CACHE, values.cache()),
    ];
    for (name, value) in own {
        set(&mut vars, name, value)?;
    }
    if values.workenv().is_empty() {
        remove(&mut vars, env_vars::FLAVOR_WORKENV.as_bytes());
        remove(&mut vars, env_vars::FLAVOR_CACHE.as_bytes());
    }
    Ok(vars)
}

/// Removes what `unset` matches, unless a pattern of `pass` that is at least as specific matches it too.
fn unset_but_pass(vars: &mut Vars<'_>, rules: &EnvRules) {
    if rules.unset.is_empty() {
        return;
    }
    vars.retain(|var| {
        let name = name_of(var);
        match most_specific(&rules.unset, name) {
            None => true,
            // `Some(n) >= Some(m)` compares, and `None`, no pattern, is below all of them.
            unset => most_specific(&rules.pass, name) >= unset,
        }
    });
}

/// Renames variables, all at once, so that two names can be exchanged. What had the new name before goes.
fn map(vars: &mut Vars<'_>, rules: &EnvRules) -> Result<(), PlanError> {
    let mut renamed = Vec::new();
    for (old, new) in rules.map.iter() {
        let value = vars.iter().find_map(|var| value_of(var, old.as_bytes()));
        if let Some(value) = value {
            renamed.push((old, new, value.to_vec()));
        }
    }
    for (old, new, _) in &renamed {
        remove(vars, old.as_bytes());
        remove(vars, new.as_bytes());
    }
    for (_, new, value) in &renamed {
        set(vars, new, value)?;
    }
    Ok(())
}

/// Sets a variable, instead of every one that has its name.
fn set(vars: &mut Vars<'_>, name: &str, value: &[u8]) -> Result<(), PlanError> {
    remove(vars, name.as_bytes());
    let var = [name.as_bytes(), b"=", value].concat();
    vars.push(Cow::Owned(CString::new(var).map_err(|_| PlanError::Nul)?));
    Ok(())
}

fn remove(vars: &mut Vars<'_>, name: &[u8]) {
    vars.retain(|var| value_of(var, name).is_none());
}

fn value_of<'v>(var: &'v CStr, name: &[u8]) -> Option<&'v [u8]> {
    var.to_bytes().strip_prefix(name)?.strip_prefix(b"=")
}

/// The part before `=`; all of an entry that has none.
fn name_of(var: &CStr) -> &[u8] {
    var.to_bytes()
        .split(|&byte| byte == b'=')
        .next()
        .unwrap_or_default()
}

/// How specific the most specific matching pattern is: the number of its bytes that are no wildcard.
fn most_specific(patterns: &[String], name: &[u8]) -> Option<usize> {
    patterns
        .iter()
        .map(String::as_bytes)
        .filter(|pattern| matches(pattern, name))
        .map(|pattern| pattern.iter().filter(|c| !matches!(c, b'*' | b'?')).count())
        .max()
}

/// Whether `pattern` matches all of `name`: `*` any bytes, `?` one byte.
///
/// Only the last `*` is ever tried again, so the time is at most the product of the lengths.
pub fn matches(mut pattern: &[u8], mut name: &[u8]) -> bool {
    // The pattern behind the last `*`, and the name from where that `*` has to take one more byte.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), name.split_first()) {
            (Some((b'*', rest)), _) => {
                retry = Some((rest, name));
                pattern = rest;
            }
            (None, None) => return true,
            (Some((p, rest)), Some((n, tail))) if p == n || *p == b'?' => {
                pattern = rest;
                name = tail;
            }
            _ => match retry.and_then(|(rest, from)| Some((rest, from.split_first()?.1))) {
                Some((rest, tail)) => {
                    retry = Some((rest, tail));
                    pattern = rest;
                    name = tail;
                }
                None => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "ANY", true),
            ("LD_*", "LD_PRELOAD", true),
            ("LD_*", "LD_", true),
            ("LD_*", "OLD_X", false),
            ("*_TOKEN", "A_TOKEN_TOKEN", true),
            ("A?C", "ABC", true),
            ("A?C", "AC", false),
            ("A*B*C", "AxxBxBxC", true),
            ("A*B*C", "AxxBxBx", false),
            ("ABC", "ABCD", false),
            ("ABCD", "ABC", false),
            ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            let found = matches(pattern.as_bytes(), name.as_bytes());
            assert_eq!(found, expected, "{pattern} {name}");
        }
    }
}
