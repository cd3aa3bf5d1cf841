//! `[python]`: an interpreter and what pip installs, as two slots, so that an upgrade of the application shares the first.
//!
//! | path | what |
//! |---|---|
//! | `rt/` | the interpreter: `bin/python3`, its standard library, the shared libraries that these need, pip |
//! | `rt/.../site-packages/flavor.pth` | the relative path of `app/lib`, which the interpreter adds to its search path |
//! | `app/lib/` | the installed distributions |
//! | `app/bin/NAME` | a script for each command |
//!
//! No variable tells the interpreter where things are, so none reaches the programs that the application starts. A
//! script is started instead of `-m MODULE`, as that would look for modules in the caller's directory first.

mod check;
mod install;
mod runtime;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{RecipeError, Staged};
use crate::manifest::{
    Command, Compression, DEFAULT_LEVEL, Entry, EntryPoint, EnvRules, Lifecycle, Purpose, Python,
    Reading, Slot, SlotModes, SlotTimes,
};

/// Id and target of the interpreter's slot.
const RUNTIME: &str = "rt";
/// Id and target of the application's slot.
const APP: &str = "app";

/// The slots and the commands that the section stands for; the default command has the empty name: the script that is
/// called as the package, or the first. The section begins on `line` of the manifest.
pub fn plain(
    python: &Python,
    package: &str,
    line: usize,
) -> (Vec<Slot>, BTreeMap<String, Command>) {
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
    let command = |name: &str| Command {
        exec: format!("{{workenv}}/{RUNTIME}/bin/python3"),
        args: vec!["-s".into(), format!("{{workenv}}/{APP}/bin/{name}")],
        env: BTreeMap::new(),
        cwd: None,
        line,
    };
    let names: Vec<&str> = python
        .entries
        .iter()
        .map(|entry| name(entry, package))
        .collect();
    let mut commands = BTreeMap::new();
    let own = names.iter().find(|name| **name == package);
    if let Some(default) = own.or(names.first()) {
        commands.insert(String::new(), command(default));
    }
    if names.len() > 1 {
        commands.extend(names.iter().map(|name| ((*name).to_owned(), command(name))));
    }
    let slots = vec![slot(RUNTIME, Purpose::Runtime), slot(APP, Purpose::Code)];
    (slots, commands)
}

/// Adds that no variable of the caller's reaches the interpreter. A manifest that passes one by name has it passed.
pub fn isolate(rules: &mut EnvRules) {
    let all = "PYTHON*";
    if !rules.unset.iter().any(|name| name == all) {
        rules.unset.push(all.into());
    }
}

fn name<'e>(entry: &'e Entry, package: &'e str) -> &'e str {
    entry.name.as_deref().unwrap_or(package)
}

/// Makes the directories that the slots take in, below `into`.
///
/// # Errors
///
/// [`RecipeError`].
pub fn stage(
    python: &Python,
    package: &str,
    target: &str,
    is_checked: bool,
    into: &Path,
) -> Result<Vec<Staged>, RecipeError> {
    let interpreter = runtime::find(&python.runtime, &into.join("unpacked"))?;
    let rt = into.join(RUNTIME);
    let content = tree::stage(&interpreter, &python.strip, target, &rt)?;
    let app = into.join(APP);
    let distributions = install::install(python, &interpreter, &rt, &app.join("lib"))?;
    let mut scripts = Vec::new();
    for entry in &python.entries {
        let script = format!("bin/{}", name(entry, package));
        write(&app.join(&script), script_text(&entry.point).as_bytes())?;
        scripts.push(script);
    }
    for directory in [&rt, &app] {
        install::compile(&rt, directory, into)?;
    }
    if is_checked {
        check::entries(python, &rt)?;
    }
    let staged = |slot: &str, directory, content| Staged {
        slot: slot.into(),
        directory,
        content,
    };
    let app_content = distributions.into_iter().chain(scripts).collect();
    Ok(vec![
        staged(RUNTIME, rt, content),
        staged(APP, app, app_content),
    ])
}

/// The script of a command. It does nothing when it is imported, as `multiprocessing` does with what was started.
fn script_text(point: &EntryPoint) -> String {
    match point {
        EntryPoint::Function { module, function } => format!(
            "import sys\n\nfrom {module} import {first}\n\nif __name__ == \"__main__\":\n    sys.exit({function}())\n",
            first = function.split('.').next().unwrap_or(function),
        ),
        EntryPoint::Module(module) => format!(
            "import runpy\n\nif __name__ == \"__main__\":\n    runpy.run_module(\"{module}\", run_name=\"__main__\", alter_sys=True)\n"
        ),
    }
}

/// Writes a file whose directory is made, too.
fn write(path: &Path, content: &[u8]) -> Result<(), RecipeError> {
    let error = |error| RecipeError::write(path, error);
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(error)?;
    fs::write(path, content).map_err(error)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Runtime;

    fn python(names: &[Option<&str>]) -> Python {
        let entry = |name: &Option<&str>| Entry {
            name: name.map(str::to_owned),
            point: EntryPoint::Module("m".into()),
        };
        Python {
            runtime: Runtime::Found,
            sources: Vec::new(),
            entries: names.iter().map(entry).collect(),
            strip: Vec::new(),
        }
    }

    #[test]
    fn the_default_command_is_the_one_that_is_called_as_the_package_or_the_first() {
        let of = |names: &[Option<&str>]| {
            let (_, commands) = plain(&python(names), "app", 1);
            let default = commands.get("").map(|command| command.args.join(" "));
            (default, commands.into_keys().collect::<Vec<_>>().join(","))
        };
        let script = |name: &str| Some(format!("-s {{workenv}}/app/bin/{name}"));
        assert_eq!(of(&[None]), (script("app"), String::new()));
        assert_eq!(of(&[Some("x")]), (script("x"), String::new()));
        assert_eq!(
            of(&[Some("x"), Some("y")]),
            (script("x"), ",x,y".to_owned())
        );
        assert_eq!(
            of(&[Some("x"), Some("app")]),
            (script("app"), ",app,x".to_owned())
        );
    }

    #[test]
    fn scripts_call_functions_of_classes_too() {
        let text = script_text(&EntryPoint::Function {
            module: "a.b".into(),
            function: "C.main".into(),
        });
        assert!(
            text.contains("from a.b import C\n") && text.contains("sys.exit(C.main())"),
            "{text}"
        );
    }
}
