//! `[node]`: a runtime and a project with what npm installs by its lock file, as two slots, so that an upgrade of the
//! application shares the first.
//!
//! | path | what |
//! |---|---|
//! | `rt/bin/node` | the runtime, with the shared libraries that it needs in `rt/lib` |
//! | `app/` | the project's files, with `node_modules` as `npm ci --omit=dev` makes it |

mod install;
mod runtime;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{RecipeError, Staged};
use crate::manifest::{
    Command, Compression, DEFAULT_LEVEL, EnvRules, Lifecycle, Node, Purpose, Reading, Slot,
    SlotModes, SlotTimes,
};

/// Id and target of the runtime's slot.
const RUNTIME: &str = "rt";
/// Id and target of the application's slot.
const APP: &str = "app";

/// What a caller's environment could change in the runtime.
const ISOLATION: [&str; 2] = ["NODE_OPTIONS", "NODE_PATH"];

/// The slots and the commands that the section stands for; the default command has the empty name: the one that is
/// called as the package, or the first. The section begins on `line` of the manifest.
pub fn plain(node: &Node, package: &str, line: usize) -> (Vec<Slot>, BTreeMap<String, Command>) {
    let slot = |id: &str, purpose| Slot {
        id: id.into(),
        // What is staged is not there yet.
        source: PathBuf::from(id),
        target: id.into(),
        include: vec!["**".into()],
        exclude: Vec::new(),
        lifecycle: Lifecycle::Cached,
        purpose,
        platforms: Vec::new(),
        compression: Compression::Zstd {
            level: DEFAULT_LEVEL,
        },
        mutable: false,
        permissions: None,
        times: SlotTimes::Normalise,
        modes: SlotModes::Normalise,
        reading: Reading::ByName,
        line,
    };
    let command = |script: &String| Command {
        exec: format!("{{workenv}}/{RUNTIME}/bin/node"),
        args: vec![format!("{{workenv}}/{APP}/{script}")],
        env: BTreeMap::new(),
        cwd: None,
        line,
    };
    let own = node.entries.iter().find(|(name, _)| name == package);
    let mut commands = BTreeMap::new();
    if let Some((_, script)) = own.or(node.entries.first()) {
        commands.insert(String::new(), command(script));
    }
    if node.entries.len() > 1 {
        let entries = node.entries.iter();
        commands.extend(entries.map(|(name, script)| (name.clone(), command(script))));
    }
    let slots = vec![slot(RUNTIME, Purpose::Runtime), slot(APP, Purpose::Code)];
    (slots, commands)
}

/// Adds that no variable of the caller's changes the runtime.
pub fn isolate(rules: &mut EnvRules) {
    for name in ISOLATION {
        if !rules.unset.iter().any(|unset| unset == name) {
            rules.unset.push(name.into());
        }
    }
}

/// Makes the directories that the slots take in, below `into`.
///
/// # Errors
///
/// [`RecipeError`].
pub fn stage(node: &Node, target: &str, into: &Path) -> Result<Vec<Staged>, RecipeError> {
    let (rt, app) = (into.join(RUNTIME), into.join(APP));
    let found = runtime::find(&node.runtime)?;
    let runtime = runtime::stage(&found, target, &rt)?;
    let modules = install::install(node, &found, target, &app)?;
    let staged = |slot: &str, directory, content| Staged {
        slot: slot.into(),
        directory,
        content,
    };
    Ok(vec![
        staged(RUNTIME, rt, runtime),
        staged(APP, app, modules),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Runtime;

    #[test]
    fn the_default_command_is_the_one_that_is_called_as_the_package_or_the_first() {
        for (entries, default, names) in [
            (&[("x", "x.js")][..], "x.js", ""),
            (&[("x", "x.js"), ("app", "a.js")], "a.js", ",app,x"),
            (&[("x", "x.js"), ("y", "y.js")], "x.js", ",x,y"),
        ] {
            let entries = entries.iter();
            let entries = entries.map(|(name, script)| ((*name).to_owned(), (*script).to_owned()));
            let node = Node {
                runtime: Runtime::Found,
                project: PathBuf::new(),
                has_dependencies: false,
                entries: entries.collect(),
            };
            let (_, commands) = plain(&node, "app", 1);
            let args = commands.get("").map(|command| command.args.join(" "));
            assert_eq!(args, Some(format!("{{workenv}}/app/{default}")));
            let all: Vec<String> = commands.into_keys().collect();
            assert_eq!(all.join(","), names);
        }
    }
}
