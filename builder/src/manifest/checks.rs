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
            let slots = providing_slots(project, &section, command, &path)?;
            let is_setup = project.setup.contains(command);
            let mut slots = slots.into_iter();
            if let Some(slot) = slots.find(|slot| !is_there(slot.lifecycle, is_setup)) {
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
    let mut targets: HashMap<&str, Vec<&Slot>> = HashMap::new();
    let mut attestation = None;
    for slot in &project.slots {
        let at_slot = |problem| ManifestError::new(&project.file, Some(slot.line), problem);
        let duplicate = |what, value: &str, first| {
            let value = value.to_owned();
            at_slot(Problem::DuplicateSlot { what, value, first })
        };
        if let Some(first) = ids.insert(&slot.id, slot.line) {
            return Err(duplicate("id", &slot.id, first));
        }
        // Archives that are read from the top lie beside each other there.
        if !matches!(slot.reading, Reading::AtRoot { .. }) {
            // For each target of packages there may be another one at the same place.
            let there = targets.entry(&slot.target).or_default();
            if let Some(first) = there.iter().find(|first| first.meets(slot)) {
                return Err(duplicate("target", &slot.target, first.line));
            }
            there.push(slot);
        }
        if slot.lifecycle == Lifecycle::Attestation
            && let Some(first) = attestation.replace(slot.line)
        {
            return Err(at_slot(Problem::TwoAttestations { first }));
        }
    }
    Ok(())
}

/// The slots that `path` belongs to: of targets that contain each other, those at the innermost. There are several where
/// packages for different targets have another one there.
fn providing_slots<'p>(
    project: &'p Project,
    section: &str,
    command: &Command,
    path: &str,
) -> Result<Vec<&'p Slot>, ManifestError> {
    let depth = |slot: &Slot| match slot.target.as_str() {
        "." => 0,
        target => target.len(),
    };
    let mut providing: Vec<&Slot> = project
        .slots
        .iter()
        .filter(|slot| slot.target == "." || is_within(path.as_bytes(), slot.target.as_bytes()))
        .collect();
    let innermost = providing.iter().map(|slot| depth(slot)).max();
    providing.retain(|slot| Some(depth(slot)) == innermost);
    if providing.is_empty() {
        let targets = project.slots.iter().map(|slot| slot.target.clone());
        let problem = Problem::CommandOutsideSlots {
            command: section.into(),
            exec: command.exec.clone(),
            targets: targets.collect(),
        };
        return Err(ManifestError::new(
            &project.file,
            Some(command.line),
            problem,
        ));
    }
    Ok(providing)
}

impl Project {
    /// Checks that every command in the work environment is there, now that the content of the slots for a target is
    /// known. `exists` is asked with paths below the work environment.
    ///
    /// # Errors
    ///
    /// For the first command that is not, naming the section, the file and the slot that it should be in.
    pub fn check_commands(
        &self,
        target: &str,
        exists: impl Fn(&[u8]) -> bool,
    ) -> Result<(), ManifestError> {
        for (section, command) in self.all_commands() {
            let Some(path) = self.path_in_package(command) else {
                continue;
            };
            if self.brings(command, &path) {
                continue;
            }
            let slots = providing_slots(self, &section, command, &path)?;
            if !exists(path.as_bytes()) {
                let exec = command.exec.clone();
                let problem = match slots.iter().find(|slot| slot.is_for(target)) {
                    Some(slot) => Problem::CommandNotInSlot {
                        command: section,
                        exec,
                        slot: slot.id.clone(),
                    },
                    None => Problem::CommandNotForTarget {
                        command: section,
                        exec,
                        slots: slots.iter().map(|slot| slot.id.clone()).collect(),
                        target: target.to_owned(),
                    },
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
