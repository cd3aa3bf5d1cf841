//! Recipes: sections of the manifest that stand for slots and commands.
//!
//! A recipe is sugar. What can be known from the manifest alone (slots, commands, their names) is filled in when the
//! manifest is read, by a pure function of the recipe's section, so that the rules that hold between sections are checked
//! for it too. [`expand`] then makes the directories that those slots take in. What comes out is a plain project, which
//! [`explain`] prints as a manifest.
//!
//! One module a recipe; nothing else knows languages. What two of them need has a module of its own: [`libraries`], `copy`,
//! `program`.

mod copy;
mod error;
pub mod explain;
pub mod libraries;
mod native;
mod node;
mod program;
mod python;
pub mod tools;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub use error::{LockFault, RecipeError};

use crate::interrupt::{self, Kept};
use crate::manifest::{Command, EnvRules, Project, Purpose, Recipe, Slot};
use crate::printer::Printer;
use crate::stubs;

/// Id and target of the slot of an interpreter or runtime, which upgrades of an application share.
const RUNTIME: &str = "rt";
/// Id and target of the slot of an application.
const APP: &str = "app";

/// How the names of the directories begin that recipes work in.
const RECIPE_DIRECTORY: &str = "flavor-recipe-";

/// A project without recipes.
#[derive(Debug)]
pub struct Expanded {
    /// The slots take in the staged directories.
    pub project: Project,
    /// What the recipes made.
    pub staged: Vec<Staged>,
    /// Where they made it; removed with this value.
    directory: Option<TempDir>,
    /// Stands after the directory, so that it is dropped after it.
    _kept: Option<Kept>,
}

/// A directory that a recipe made for a slot.
#[derive(Debug)]
pub struct Staged {
    /// The slot's id.
    pub slot: String,
    /// The directory.
    pub directory: PathBuf,
    /// What is in it and where that comes from, a line each.
    pub content: Vec<String>,
    /// Files that were taken from this machine.
    pub origins: Vec<Origin>,
}

/// A file of a staged directory that was taken from this machine as it is, but for its run path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Id of the slot that takes in the directory.
    pub slot: String,
    /// Its path in there.
    pub path: String,
    /// What it was.
    pub source: Source,
}

/// What a file was on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A program.
    Program(PathBuf),
    /// A shared library.
    Library(PathBuf),
    /// The program of an interpreter or runtime, whose library is there, too.
    Runtime {
        /// Its usual name: `python`, `node`.
        name: String,
        /// Its version: three numbers.
        version: String,
    },
}

/// What a recipe put into a directory.
#[derive(Debug, Default)]
struct Filled {
    /// Lines for people.
    content: Vec<String>,
    /// The same for the SBOM: paths in the directory, and what was there.
    origins: Vec<(String, Source)>,
}

/// The slots and commands that a recipe's section stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plain {
    /// Their sources are made when the recipe is followed.
    pub slots: Vec<Slot>,
    /// The default command.
    pub command: Option<Command>,
    /// The named commands, if there are several.
    pub commands: BTreeMap<String, Command>,
}

impl Plain {
    /// The command called `default` is the default one, or else the first.
    fn new(slots: Vec<Slot>, commands: Vec<(String, Command)>, default: &str) -> Plain {
        let own = commands.iter().find(|(name, _)| name == default);
        let command = own.or(commands.first()).map(|(_, command)| command.clone());
        let commands = match commands.len() {
            0 | 1 => BTreeMap::new(),
            _ => commands.into_iter().collect(),
        };
        Plain {
            slots,
            command,
            commands,
        }
    }
}

/// What a recipe stands for in the package of this name. Its section begins on `line` of the manifest.
pub fn plain(recipe: &Recipe, package: &str, line: usize) -> Plain {
    match recipe {
        Recipe::Native(native) => native::plain(native, line),
        Recipe::Python(python) => python::plain(python, package, line),
        Recipe::Node(node) => node::plain(node, package, line),
    }
}

/// Adds that no variable of the caller's changes what the package brings. A manifest that passes one by name has it passed.
pub fn isolate(recipe: &Recipe, rules: &mut EnvRules) {
    let names: &[&str] = match recipe {
        Recipe::Native(_) => &[],
        Recipe::Python(_) => &python::ISOLATION,
        Recipe::Node(_) => &node::ISOLATION,
    };
    for name in names {
        if !rules.unset.iter().any(|unset| unset == name) {
            rules.unset.push((*name).to_owned());
        }
    }
}

/// The slots of an application and of what it runs on.
fn runtime_and_app(line: usize) -> Vec<Slot> {
    let slot = |id: &str, purpose| Slot {
        purpose,
        // What is staged is not there yet.
        ..Slot::new(id, id.into(), id, line)
    };
    vec![slot(RUNTIME, Purpose::Runtime), slot(APP, Purpose::Code)]
}

/// Whether the recipe of a project can be followed for this target, as far as that is known before it is.
///
/// # Errors
///
/// When an interpreter of this machine would be packed for another one.
pub fn check_target(project: &Project, target: &str) -> Result<(), RecipeError> {
    let recipe = match &project.recipe {
        Some(Recipe::Python(_)) => "python",
        Some(Recipe::Node(_)) => "node",
        Some(Recipe::Native(_)) | None => return Ok(()),
    };
    let host = stubs::host_target();
    if target == host {
        return Ok(());
    }
    let target = target.to_owned();
    Err(RecipeError::OtherTarget {
        recipe,
        host,
        target,
    })
}

/// Follows the recipe of a project, for this target; with `is_checked`, finds out whether its commands can be started. Programs
/// that run long are named by `printer`.
///
/// # Errors
///
/// When that is not possible. What was made until then is removed.
pub fn expand(
    mut project: Project,
    target: &str,
    is_checked: bool,
    printer: &Printer,
) -> Result<Expanded, RecipeError> {
    check_target(&project, target)?;
    let Some(recipe) = project.recipe.as_ref().filter(|recipe| is_staged(recipe)) else {
        return Ok(Expanded {
            project,
            staged: Vec::new(),
            directory: None,
            _kept: None,
        });
    };
    let make = || tempfile::Builder::new().prefix(RECIPE_DIRECTORY).tempdir();
    let (kept, made) =
        interrupt::keep(make).map_err(|error| RecipeError::write(&std::env::temp_dir(), error))?;
    let into = made.path();
    let staged = match recipe {
        Recipe::Native(native) => vec![native::stage(native, target, &into.join("native"))?],
        Recipe::Python(python) => python::stage(
            python,
            &project.package.name,
            target,
            is_checked,
            into,
            printer,
        )?,
        Recipe::Node(node) => node::stage(node, target, into, printer)?,
    };
    for made in &staged {
        let mut slots = project.slots.iter_mut();
        if let Some(slot) = slots.find(|slot| slot.id == made.slot) {
            slot.source.clone_from(&made.directory);
        }
    }
    Ok(Expanded {
        project,
        staged,
        directory: Some(made),
        _kept: Some(kept),
    })
}

/// Whether a recipe makes directories.
fn is_staged(recipe: &Recipe) -> bool {
    match recipe {
        Recipe::Native(native) => native::is_staged(native),
        Recipe::Python(_) | Recipe::Node(_) => true,
    }
}

impl Expanded {
    /// Whether a directory was made.
    pub fn is_staged(&self) -> bool {
        self.directory.is_some()
    }

    /// Every file that a recipe took from this machine.
    pub fn origins(&self) -> Vec<Origin> {
        let staged = self.staged.iter();
        staged.flat_map(|staged| &staged.origins).cloned().collect()
    }
}

impl Staged {
    fn new(slot: &str, directory: PathBuf, filled: Filled) -> Staged {
        let origin = |(path, source)| Origin {
            slot: slot.into(),
            path,
            source,
        };
        Staged {
            slot: slot.into(),
            directory,
            content: filled.content,
            origins: filled.origins.into_iter().map(origin).collect(),
        }
    }
}

/// Writes a file with these permission bits; its directory is made.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), RecipeError> {
    let error = |error| RecipeError::write(path, error);
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(error)?;
    fs::write(path, content).map_err(error)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_command_is_the_one_that_is_called_so_or_the_first() {
        for (names, default, named) in [
            (&[][..], None, ""),
            (&["x"], Some("x"), ""),
            (&["x", "y"], Some("x"), "x,y"),
            (&["x", "app"], Some("app"), "app,x"),
        ] {
            let command = |name: &&str| {
                let command = Command::new((*name).to_owned(), Vec::new(), 1);
                ((*name).to_owned(), command)
            };
            let plain = Plain::new(Vec::new(), names.iter().map(command).collect(), "app");
            assert_eq!(plain.command.map(|it| it.exec).as_deref(), default);
            let all: Vec<String> = plain.commands.into_keys().collect();
            assert_eq!(all.join(","), named);
        }
    }
}
