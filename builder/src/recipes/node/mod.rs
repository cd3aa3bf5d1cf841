//! `[node]`: a runtime and a project with what npm installs by its lock file, as two slots, so that an upgrade of the
//! application shares the first.
//!
//! | path | what |
//! |---|---|
//! | `rt/bin/node` | the runtime, with the shared libraries that it needs in `rt/lib` |
//! | `app/` | the project's files, with `node_modules` as `npm ci --omit=dev` makes it |

mod install;
mod runtime;

use std::path::{Path, PathBuf};

use super::tools::{Absent, absent};
use super::{APP, Filled, Plain, RUNTIME, RecipeError, Staged, runtime_and_app};
use crate::manifest::{Command, Node, Runtime};
use crate::printer::Printer;

/// What a caller's environment could change in the runtime.
pub(super) const ISOLATION: [&str; 2] = ["NODE_OPTIONS", "NODE_PATH"];

/// What the section stands for, which begins on `line` of the manifest.
pub(super) fn plain(node: &Node, package: &str, line: usize) -> Plain {
    let command = |(name, script): &(String, String)| {
        let exec = format!("{{workenv}}/{RUNTIME}/bin/node");
        let args = vec![format!("{{workenv}}/{APP}/{script}")];
        (name.clone(), Command::new(exec, args, line))
    };
    let commands = node.entries.iter().map(command).collect();
    Plain::new(runtime_and_app(line), commands, package)
}

/// The runtime of a recipe that names none: its version, and the program.
pub(super) fn found() -> Result<(String, PathBuf), Absent> {
    match runtime::find(&Runtime::Found) {
        Ok(found) => Ok((found.version.clone(), found.program.into())),
        Err(error) => Err(absent(&error.to_string(), &error.help())),
    }
}

/// Makes the directories that the slots take in, below `into`.
///
/// # Errors
///
/// [`RecipeError`].
pub(super) fn stage(
    node: &Node,
    target: &str,
    into: &Path,
    printer: &Printer,
) -> Result<Vec<Staged>, RecipeError> {
    let (rt, app) = (into.join(RUNTIME), into.join(APP));
    let found = runtime::find(&node.runtime)?;
    let runtime = runtime::stage(&found, target, &rt)?;
    let modules = Filled {
        content: install::install(node, &found, target, &app, printer)?,
        origins: Vec::new(),
    };
    Ok(vec![
        Staged::new(RUNTIME, rt, runtime),
        Staged::new(APP, app, modules),
    ])
}
