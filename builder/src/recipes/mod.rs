//! Recipes: sections of the manifest that stand for slots and commands.
//!
//! A recipe is sugar. What can be known from the manifest alone (slots, commands, their names) is filled in when the
//! manifest is read, by a pure function of the recipe's section, so that the rules that hold between sections are checked
//! for it too. [`expand`] then makes the directories that those slots take in. What comes out is a plain project, which
//! [`explain`] prints as a manifest.
//!
//! One file a recipe; nothing else knows languages.

mod copy;
mod error;
pub mod explain;
pub mod libraries;
pub mod native;
pub mod node;
mod program;
pub mod python;

use std::path::PathBuf;

use tempfile::TempDir;

pub use error::RecipeError;

use crate::interrupt::{self, Kept};
use crate::manifest::Project;

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
}

/// Does what the recipes of a project say, for this target; with `is_checked`, finds out whether its commands can be started.
///
/// # Errors
///
/// When a recipe cannot be followed. What it made until then is removed.
pub fn expand(
    mut project: Project,
    target: &str,
    is_checked: bool,
) -> Result<Expanded, RecipeError> {
    let native = project
        .native
        .as_ref()
        .filter(|native| native::is_staged(native));
    let (mut staged, mut directory, mut remembered) = (Vec::new(), None, None);
    if native.is_some() || project.python.is_some() || project.node.is_some() {
        let make = || tempfile::Builder::new().prefix(RECIPE_DIRECTORY).tempdir();
        let (kept, made) = interrupt::keep(make)
            .map_err(|error| RecipeError::write(&std::env::temp_dir(), error))?;
        if let Some(native) = native {
            staged.push(native::stage(native, target, &made.path().join("native"))?);
        }
        if let Some(python) = &project.python {
            let name = &project.package.name;
            staged.extend(python::stage(
                python,
                name,
                target,
                is_checked,
                made.path(),
            )?);
        }
        if let Some(node) = &project.node {
            staged.extend(node::stage(node, target, made.path())?);
        }
        (directory, remembered) = (Some(made), Some(kept));
    }
    for made in &staged {
        let mut slots = project.slots.iter_mut();
        if let Some(slot) = slots.find(|slot| slot.id == made.slot) {
            slot.source.clone_from(&made.directory);
        }
    }
    Ok(Expanded {
        project,
        staged,
        directory,
        _kept: remembered,
    })
}

impl Expanded {
    /// Whether a directory was made.
    pub fn is_staged(&self) -> bool {
        self.directory.is_some()
    }
}
