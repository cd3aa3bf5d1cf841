//! The environment of a base package's command: the caller's through the rules of `runtime.env`, what its launchers add,
//! and what ours do.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use psp_launcher::env_vars as names;
use psp_launcher::plan::{ARCH, ExecPlan, OS, PLATFORM, Snapshot, matches};
use psp_launcher::store::Store;

use super::command::{self, Words};
use crate::base::metadata::{Metadata, Rules};
use crate::error::Error;

type Vars = Vec<Vec<u8>>;

/// The plan for the command, with the caller's arguments behind its own.
pub(super) fn plan<'a>(
    metadata: &Metadata,
    snapshot: &Snapshot<'_>,
    words: &Words,
    workenv: &Path,
    store: &Store,
) -> Result<ExecPlan<'a>, Error> {
    let mut argv = words.with(workenv);
    let first = argv.first().cloned().unwrap_or_default();
    let program = command::find(&first, snapshot)?;
    // As base launchers have it: the base name of the package.
    if let Some(name) = argv.first_mut() {
        *name = base_name(snapshot).to_vec();
    }
    argv.extend(snapshot.args.iter().map(|arg| arg.to_bytes().to_vec()));
    super::exec_plan(program, argv, vars(metadata, snapshot, workenv, store))
}

/// The environment of the command.
fn vars(metadata: &Metadata, snapshot: &Snapshot<'_>, workenv: &Path, store: &Store) -> Vars {
    let mut vars: Vars = snapshot
        .vars
        .iter()
        .map(|var| var.to_bytes().to_vec())
        .collect();
    for own in [names::FLAVOR_COMMAND, names::FLAVOR_LAUNCHER_CLI] {
        remove(&mut vars, own.as_bytes());
    }
    unset_but_pass(&mut vars, &metadata.rules);
    rename(&mut vars, &metadata.rules);
    launchers(&mut vars, workenv);
    let expand = |value: &str| {
        let value = value.replace("{package_name}", &metadata.name);
        let value = value.replace("{version}", &metadata.version);
        command::with_workenv(&value, workenv)
    };
    for (name, value) in &metadata.workenv_env {
        set(&mut vars, name, &expand(value));
    }
    // Base launchers put these in as they stand.
    for (name, value) in &metadata.rules.set {
        set(&mut vars, name, value.as_bytes());
    }
    for (name, value) in &metadata.env {
        set(&mut vars, name, &expand(value));
    }
    let cache = store.root().as_os_str().as_bytes();
    for (name, value) in [
        (names::FLAVOR_WORKENV, workenv.as_os_str().as_bytes()),
        (names::FLAVOR_COMMAND_NAME, base_name(snapshot)),
        (names::FLAVOR_ORIGINAL_COMMAND, snapshot.command.to_bytes()),
        (names::FLAVOR_PACKAGE, metadata.name.as_bytes()),
        (names::FLAVOR_VERSION, metadata.version.as_bytes()),
        (names::FLAVOR_OS, OS.as_bytes()),
        (names::FLAVOR_ARCH, ARCH.as_bytes()),
        (names::FLAVOR_PLATFORM, PLATFORM.as_bytes()),
        (names::FLAVOR_CACHE, cache),
    ] {
        set(&mut vars, name, value);
    }
    vars
}

/// The environment of a setup command: the caller's, and where things are.
pub(super) fn of_setup(snapshot: &Snapshot<'_>, workenv: &Path) -> Vars {
    let mut vars: Vars = snapshot
        .vars
        .iter()
        .map(|var| var.to_bytes().to_vec())
        .collect();
    launchers(&mut vars, workenv);
    set(
        &mut vars,
        names::FLAVOR_WORKENV,
        workenv.as_os_str().as_bytes(),
    );
    vars
}

/// Puts the programs of the work environment in front of `PATH`.
fn launchers(vars: &mut Vars, workenv: &Path) {
    let bin = [workenv.as_os_str().as_bytes(), b"/bin"].concat();
    let path = vars.iter().find_map(|var| var.strip_prefix(b"PATH="));
    let path = match path {
        Some(path) if !path.is_empty() => [&bin, &b":"[..], path].concat(),
        _ => bin,
    };
    set(vars, "PATH", &path);
}

fn base_name<'a>(snapshot: &Snapshot<'a>) -> &'a [u8] {
    let command = snapshot.command.to_bytes();
    command.rsplit(|&c| c == b'/').next().unwrap_or(command)
}

fn name_of(var: &[u8]) -> &[u8] {
    var.split(|&c| c == b'=').next().unwrap_or_default()
}

fn unset_but_pass(vars: &mut Vars, rules: &Rules) {
    let any = |patterns: &[String], name: &[u8]| {
        patterns
            .iter()
            .any(|pattern| matches(pattern.as_bytes(), name))
    };
    vars.retain(|var| {
        let name = name_of(var);
        !any(&rules.unset, name) || any(&rules.pass, name)
    });
}

fn rename(vars: &mut Vars, rules: &Rules) {
    for (old, new) in &rules.map {
        let value = vars.iter().find(|var| name_of(var) == old.as_bytes());
        let value = value
            .and_then(|var| var.get(old.len() + 1..))
            .map(<[u8]>::to_vec);
        if let Some(value) = value {
            remove(vars, old.as_bytes());
            set(vars, new, &value);
        }
    }
}

fn set(vars: &mut Vars, name: &str, value: &[u8]) {
    remove(vars, name.as_bytes());
    vars.push([name.as_bytes(), b"=", value].concat());
}

fn remove(vars: &mut Vars, name: &[u8]) {
    vars.retain(|var| name_of(var) != name || !var.contains(&b'='));
}
