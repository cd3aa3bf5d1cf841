//! Which command is started.

use psp_format::metadata::{Map, Metadata};

use super::{PlanError, Snapshot};
use crate::env_vars::FLAVOR_COMMAND;

/// How the command is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice<'a> {
    /// By `FLAVOR_COMMAND`, by the name under which the package was started, or the default.
    Caller,
    /// The command of this name (`flavor run --command`).
    Named(&'a [u8]),
}

/// The chosen command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen<'a> {
    /// What the application sees as `FLAVOR_COMMAND_NAME`.
    pub(super) name: &'a [u8],
    /// Program and arguments.
    pub(super) argv: &'a [String],
    /// Working directory.
    pub(super) cwd: Option<&'a str>,
    /// Variables.
    pub(super) env: &'a Map<String>,
}

/// Chooses a command. An asked-for name must be there; a file name that is no command's means the default.
pub(super) fn choose<'a>(
    metadata: &'a Metadata,
    snapshot: &Snapshot<'a>,
    choice: Choice<'a>,
) -> Result<Chosen<'a>, PlanError> {
    let started_as = base_name(snapshot.command.to_bytes());
    let asked = match choice {
        Choice::Named(name) => Some(name),
        Choice::Caller => snapshot.var(FLAVOR_COMMAND).filter(|name| !name.is_empty()),
    };
    if let Some(chosen) = named(metadata, asked.unwrap_or(started_as)) {
        return Ok(chosen);
    }
    if let Some(name) = asked {
        return Err(PlanError::UnknownCommand {
            name: name.to_vec(),
            known: metadata.commands.keys().map(str::to_owned).collect(),
        });
    }
    Ok(Chosen {
        name: started_as,
        argv: &metadata.execution.argv,
        cwd: metadata.execution.cwd.as_deref(),
        env: &metadata.execution.env,
    })
}

/// The last component of a path.
pub(super) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

fn named<'a>(metadata: &'a Metadata, name: &[u8]) -> Option<Chosen<'a>> {
    let (name, command) = metadata
        .commands
        .get_key_value(core::str::from_utf8(name).ok()?)?;
    Some(Chosen {
        name: name.as_bytes(),
        argv: &command.argv,
        cwd: command.cwd.as_deref(),
        env: &command.env,
    })
}
