//! `setup_commands` and what else has to happen once: turned into content of the package where nothing has to run, and
//! into setup commands otherwise.
//!
//! What flavorpack's launchers do by themselves (write a file, change modes, call a program for each file) is done by
//! `/bin/sh`. The scripts are constant; paths and texts are arguments, so that nothing in them is ever read as a script.

use std::collections::BTreeMap;

use super::keys;
use super::paths::{Targets, below, foreign, has_place, in_workenv, inside, mode};
use super::{Fault, argv, is_variable};
use crate::manifest::error::ManifestError;
use crate::manifest::json::{Item, Object};
use crate::manifest::project::{Command, Made, MadeKind, Package};

type Result<T> = std::result::Result<T, ManifestError>;

const SHELL: &str = "/bin/sh";
/// Content, path, mode.
const WRITE: &str = r#"mkdir -p -- "${2%/*}" && printf %s "$1" > "$2" && chmod -- "$3" "$2""#;
/// Mode, path.
const CHMOD: &str = r#"chmod -- "$1" "$2""#;
/// Mode, directory, glob. Without IFS nothing is split, and the glob still is one.
const CHMOD_EACH: &str = r#"IFS=
for path in "$2"/$3; do if [ -e "$path" ]; then chmod -- "$1" "$path" || exit; fi; done"#;
/// Directory, glob, program and arguments.
const FOR_EACH: &str = r#"directory=$1 glob=$2 IFS=
shift 2
for path in "$directory"/$glob; do if [ -e "$path" ]; then "$@" "$path" || exit; fi; done"#;
/// Path, content.
const CHECK: &str =
    r#"[ "$(cat -- "$1")" = "$2" ] || { echo "$1 does not hold: $2" >&2; exit 1; }"#;

/// What a manifest's setup becomes.
#[derive(Default)]
pub(super) struct Setup {
    /// Directories and files that are packed.
    pub(super) made: Vec<Made>,
    /// What runs once.
    pub(super) commands: Vec<Command>,
    /// Whether one of these may bring programs.
    pub(super) installs: bool,
    /// Paths that are written, with their content.
    written: BTreeMap<String, String>,
}

impl Setup {
    /// `workenv.directories`.
    pub(super) fn directories(&mut self, list: &Item<'_>) -> Result<()> {
        for item in list.list()? {
            let directory = item.object()?;
            directory.only(keys::DIRECTORY)?;
            let path = directory.require("path", "\"{workenv}/var\"")?;
            let mode = directory
                .get("mode")
                .map_or(Ok(0o700), |item| mode(&item))?;
            match inside(&path)? {
                root if root == "." => {}
                path => self.made.push(Made {
                    path,
                    kind: MadeKind::Directory,
                    mode,
                }),
            }
        }
        Ok(())
    }

    /// `setup_commands`.
    pub(super) fn commands(&mut self, list: &Item<'_>, targets: &Targets) -> Result<()> {
        for item in list.list()? {
            if item.is_text() {
                let argv = argv(&item, targets)?;
                self.run(&item, argv, true);
                continue;
            }
            let object = item.object()?;
            object.only(keys::SETUP)?;
            object.text("description")?;
            let kind = object.require("type", "\"execute\"")?;
            match kind.text()?.as_str() {
                "execute" => self.execute(&object, targets)?,
                "write_file" => self.write_file(&object, targets)?,
                "chmod" => self.chmod(&object)?,
                "enumerate_and_execute" => self.for_each(&object, targets)?,
                found => {
                    let found = found.into();
                    return Err(foreign(&kind, Fault::SetupKind { found }));
                }
            }
        }
        Ok(())
    }

    /// `cache_validation`: a file that is there when everything is set up.
    pub(super) fn validation(&mut self, item: &Item<'_>, package: &Package) -> Result<()> {
        let object = item.object()?;
        object.only(keys::VALIDATION)?;
        let file = object.require("check_file", "\"{workenv}/metadata/installed\"")?;
        let path = inside(&file)?;
        let expected = object.require("expected_content", "\"app-1.0\"")?.text()?;
        let named = |text: &str| {
            let text = text.replace("{package_name}", &package.name);
            text.replace("{version}", &package.version)
        };
        let written = self.written.get(&path).map(|content| named(content));
        if written.as_deref() != Some(&named(&expected)) {
            let expected = expected.trim_end_matches('\n');
            self.shell(&file, CHECK, [in_workenv(&path), expected.into()]);
        }
        Ok(())
    }

    fn execute(&mut self, object: &Object<'_>, targets: &Targets) -> Result<()> {
        object.only(&["type", "command", "env", "cwd", "description"])?;
        let item = object.require("command", "\"{workenv}/bin/prepare\"")?;
        let argv = argv(&item, targets)?;
        let env = match object.get("env") {
            None => BTreeMap::new(),
            Some(env) => env.text_map(is_variable, "the name of a variable")?,
        };
        let cwd = object.text("cwd")?;
        self.run(&item, argv, true);
        if let Some(command) = self.commands.last_mut() {
            (command.env, command.cwd) = (env, cwd);
        }
        Ok(())
    }

    fn write_file(&mut self, object: &Object<'_>, targets: &Targets) -> Result<()> {
        object.only(&["type", "path", "content", "mode", "description"])?;
        let item = object.require("path", "\"{workenv}/etc/app.ini\"")?;
        let path = below(&item)?;
        let text = object.require("content", "\"...\"")?;
        let content = targets.expand(&text, &text.text()?)?;
        let mode = object.get("mode").map_or(Ok(0o644), |item| mode(&item))?;
        // Packed where nothing can have run before, and all of it is known.
        if self.commands.is_empty() && !has_place(&content) {
            if self.written.contains_key(&path) {
                return Err(foreign(&item, Fault::WrittenTwice { path }));
            }
            self.made.push(Made {
                path: path.clone(),
                kind: MadeKind::File(content.clone()),
                mode,
            });
        } else {
            let octal = format!("{mode:04o}");
            self.shell(&item, WRITE, [content.clone(), in_workenv(&path), octal]);
        }
        self.written.insert(path, content);
        Ok(())
    }

    fn chmod(&mut self, object: &Object<'_>) -> Result<()> {
        object.only(&["type", "path", "mode", "description"])?;
        let item = object.require("path", "\"{workenv}/bin/app\"")?;
        let path = below(&item)?;
        let mode = mode(&object.require("mode", "\"0755\"")?)?;
        let is_this = |made: &&mut Made| made.path == path;
        let octal = format!("{mode:04o}");
        match (self.made.iter_mut().find(is_this), split_at_glob(&path)) {
            (Some(made), _) if self.commands.is_empty() => made.mode = mode,
            (_, None) => self.shell(&item, CHMOD, [octal, in_workenv(&path)]),
            (_, Some((above, glob))) => {
                self.shell(&item, CHMOD_EACH, [octal, in_workenv(above), glob.into()]);
            }
        }
        Ok(())
    }

    fn for_each(&mut self, object: &Object<'_>, targets: &Targets) -> Result<()> {
        object.only(&["type", "command", "enumerate", "description"])?;
        let item = object.require("command", "\"{workenv}/bin/install\"")?;
        let program = argv(&item, targets)?;
        let files = object.require(
            "enumerate",
            "{\"path\": \"{workenv}/parts\", \"pattern\": \"*\"}",
        )?;
        let files = files.object()?;
        files.only(keys::ENUMERATE)?;
        let directory = inside(&files.require("path", "\"{workenv}/parts\"")?)?;
        let glob = files.require("pattern", "\"*\"")?.text_that(
            |glob| !glob.is_empty() && !glob.contains('/'),
            "a glob for the names in a directory",
            "\"*.whl\"",
        )?;
        let args = [in_workenv(&directory), glob].into_iter().chain(program);
        self.shell(&item, FOR_EACH, args);
        self.installs = true;
        Ok(())
    }

    fn shell(&mut self, at: &Item<'_>, script: &str, args: impl IntoIterator<Item = String>) {
        let fixed = [SHELL, "-c", script, "sh"].map(str::to_owned);
        self.run(at, fixed.into_iter().chain(args).collect(), false);
    }

    fn run(&mut self, at: &Item<'_>, argv: Vec<String>, installs: bool) {
        let mut argv = argv.into_iter();
        self.installs |= installs;
        let exec = argv.next().unwrap_or_default();
        self.commands
            .push(Command::new(exec, argv.collect(), at.line()));
    }
}

/// The directory above the first part of `path` with a wildcard, and the rest; `None` without one.
fn split_at_glob(path: &str) -> Option<(&str, &str)> {
    let wild = path.find(['*', '?', '['])?;
    Some(match path.get(..wild).and_then(|start| start.rfind('/')) {
        Some(slash) => (path.get(..slash)?, path.get(slash + 1..)?),
        None => (".", path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_are_parted_from_where_they_begin() {
        assert_eq!(split_at_glob("bin/app"), None);
        assert_eq!(split_at_glob("bin/*"), Some(("bin", "*")));
        assert_eq!(split_at_glob("*.sh"), Some((".", "*.sh")));
        assert_eq!(split_at_glob("a/b*/c/*.sh"), Some(("a", "b*/c/*.sh")));
    }
}
