//! Rules that hold between sections: slots among each other, and commands against slots.

use std::collections::HashMap;

use psp_format::limits::MAX_SLOTS;
use psp_format::path::is_within;

use super::error::{ManifestError, Problem};
use super::project::{Command, Lifecycle, MadeKind, Project, Reading, Slot};

/// What can be known before any source is read.
pub(super) fn across_sections(project: &Project) -> Result<(), ManifestError> {
    slots(project)?;
    for (section, command) in project.all_commands() {
        if let Some(path) = project.path_in_package(command)
            && !project.brings(command, &path)
        {
            let slot = providing_slot(project, &section, command, &path)?;
            let is_setup = project.setup.contains(command);
            if !is_there(slot.lifecycle, is_setup) {
                let problem = Problem::CommandNotThere {
                    command: section,
                    exec: command.exec.clone(),
                    slot: slot.id.clone(),
                    lifecycle: slot.lifecycle.name(),
                };
                return Err(ManifestError::new(
                    &project.file,
                    Some(command.line),
                    problem,
                ));
            }
        }
    }
    Ok(())
}

/// Whether the files of a slot are there when a command is started, or, with `is_setup`, a setup command, for which
/// nothing is extracted that is fresh for each start.
fn is_there(lifecycle: Lifecycle, is_setup: bool) -> bool {
    match lifecycle {
        Lifecycle::Lazy | Lifecycle::Attestation => false,
        Lifecycle::Init => is_setup,
        Lifecycle::Startup | Lifecycle::Volatile | Lifecycle::Temporary => !is_setup,
        Lifecycle::Cached
        | Lifecycle::Runtime
        | Lifecycle::Config
        | Lifecycle::Platform
        | Lifecycle::Dev => true,
    }
}

fn slots(project: &Project) -> Result<(), ManifestError> {
    let count = project.slots.len();
    if count > MAX_SLOTS {
        let problem = Problem::TooManySlots {
            count,
            limit: MAX_SLOTS,
        };
        return Err(ManifestError::new(&project.file, None, problem));
    }
    let mut ids = HashMap::new();
    let mut targets = HashMap::new();
    let mut attestation = None;
    for slot in &project.slots {
        let at_slot = |problem| ManifestError::new(&project.file, Some(slot.line), problem);
        for (what, value, seen) in [
            ("id", &slot.id, &mut ids),
            ("target", &slot.target, &mut targets),
        ] {
            // Archives that are read from the top lie beside each other there.
            if what == "target" && matches!(slot.reading, Reading::AtRoot { .. }) {
                continue;
            }
            if let Some(first) = seen.insert(value, slot.line) {
                return Err(at_slot(Problem::DuplicateSlot {
                    what,
                    value: value.clone(),
                    first,
                }));
            }
        }
        if slot.lifecycle == Lifecycle::Attestation
            && let Some(first) = attestation.replace(slot.line)
        {
            return Err(at_slot(Problem::TwoAttestations { first }));
        }
    }
    Ok(())
}

/// The slot that `path` belongs to: of targets that contain each other, the innermost.
fn providing_slot<'p>(
    project: &'p Project,
    section: &str,
    command: &Command,
    path: &str,
) -> Result<&'p Slot, ManifestError> {
    let providing = project
        .slots
        .iter()
        .filter(|slot| slot.target == "." || is_within(path.as_bytes(), slot.target.as_bytes()));
    providing
        .max_by_key(|slot| {
            if slot.target == "." {
                0
            } else {
                slot.target.len()
            }
        })
        .ok_or_else(|| {
            let problem = Problem::CommandOutsideSlots {
                command: section.into(),
                exec: command.exec.clone(),
                targets: project
                    .slots
                    .iter()
                    .map(|slot| slot.target.clone())
                    .collect(),
            };
            ManifestError::new(&project.file, Some(command.line), problem)
        })
}

impl Project {
    /// Checks that every command in the work environment is there, now that the content of the slots is known.
    /// `exists` is asked with paths below the work environment.
    ///
    /// # Errors
    ///
    /// For the first command that is not, naming the section, the file and the slot that it should be in.
    pub fn check_commands(&self, exists: impl Fn(&[u8]) -> bool) -> Result<(), ManifestError> {
        for (section, command) in self.all_commands() {
            let Some(path) = self.path_in_package(command) else {
                continue;
            };
            if self.brings(command, &path) {
                continue;
            }
            let slot = providing_slot(self, &section, command, &path)?;
            if !exists(path.as_bytes()) {
                let problem = Problem::CommandNotInSlot {
                    command: section,
                    exec: command.exec.clone(),
                    slot: slot.id.clone(),
                };
                return Err(ManifestError::new(&self.file, Some(command.line), problem));
            }
        }
        Ok(())
    }

    /// What the package starts of its own: the section that names it, and the path below the work environment.
    pub fn started(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        self.all_commands().filter_map(|(section, command)| {
            let path = self.path_in_package(command)?;
            Some((section, path.into_bytes()))
        })
    }

    /// Every command with the section that names it, in the order of the reference.
    fn all_commands(&self) -> impl Iterator<Item = (String, &Command)> {
        let named = self
            .commands
            .iter()
            .map(|(name, command)| (format!("[commands.{name}]"), command));
        let setup = self
            .setup
            .iter()
            .map(|command| ("[[setup]]".to_owned(), command));
        std::iter::once(("[command]".to_owned(), &self.command))
            .chain(named)
            .chain(setup)
    }

    /// Whether the program of a command need not be in a slot: the manifest writes it, or a setup command may bring it.
    fn brings(&self, command: &Command, path: &str) -> bool {
        let made = &mut self.made.iter();
        made.any(|made| made.path == path && matches!(made.kind, MadeKind::File(_)))
            || (self.installs && self.setup.first() != Some(command))
    }

    /// Where a command lies below the work environment; `None` for a program of the host. The placeholders that are
    /// known when the package is built are replaced.
    fn path_in_package(&self, command: &Command) -> Option<String> {
        let path = command.exec.strip_prefix("{workenv}/")?;
        Some(
            path.replace("{package_name}", &self.package.name)
                .replace("{version}", &self.package.version),
        )
    }
}
