//! `[python]`: an interpreter and what pip installs, as two slots, so that an upgrade of the application shares the first.
//!
//! | path | what |
//! |---|---|
//! | `rt/` | the interpreter: `bin/python3`, its standard library, the shared libraries that these need, pip |
//! | `rt/.../site-packages/flavor.pth` | the relative path of `app/lib`, which the interpreter adds to its search path |
//! | `app/lib/` | the installed distributions |
//! | `app/native/` | libraries that modules of these would take from a host |
//! | `app/bin/NAME` | a script for each command |
//!
//! No variable tells the interpreter where things are, so none reaches the programs that the application starts. A
//! script is started instead of `-m MODULE`, as that would look for modules in the caller's directory first.

mod check;
mod install;
mod lock;
mod modules;
mod pip;
mod runtime;
mod tree;

use std::path::{Path, PathBuf};

pub use lock::LockFault;

use super::tools::{Absent, absent};
use super::{APP, Plain, RUNTIME, RecipeError, Staged, runtime_and_app, write};
use crate::manifest::{Command, Entry, EntryPoint, Python, Runtime};
use crate::printer::Printer;

/// What a caller's environment could change in the interpreter.
pub(super) const ISOLATION: [&str; 1] = ["PYTHON*"];

/// What the section stands for, which begins on `line` of the manifest.
pub(super) fn plain(python: &Python, package: &str, line: usize) -> Plain {
    let command = |entry: &Entry| {
        let name = name(entry, package);
        let exec = format!("{{workenv}}/{RUNTIME}/bin/python3");
        let args = vec!["-s".into(), format!("{{workenv}}/{APP}/bin/{name}")];
        (name.to_owned(), Command::new(exec, args, line))
    };
    let commands = python.entries.iter().map(command).collect();
    Plain::new(runtime_and_app(line), commands, package)
}

fn name<'e>(entry: &'e Entry, package: &'e str) -> &'e str {
    entry.name.as_deref().unwrap_or(package)
}

/// Makes the directories that the slots take in, below `into`.
///
/// # Errors
///
/// [`RecipeError`].
pub(super) fn stage(
    python: &Python,
    package: &str,
    target: &str,
    is_checked: bool,
    into: &Path,
    printer: &Printer,
) -> Result<Vec<Staged>, RecipeError> {
    let interpreter = runtime::find(python, &into.join("unpacked"), printer)?;
    let rt = into.join(RUNTIME);
    let filled = tree::stage(&interpreter, &python.strip, target, &rt)?;
    let app = into.join(APP);
    let lib = app.join("lib");
    let mut installed = install::install(python, &interpreter, &rt, &lib, target, printer)?;
    if is_checked {
        check::extensions(&interpreter, &rt, &lib, target)?;
    }
    for entry in &python.entries {
        let script = format!("bin/{}", name(entry, package));
        let text = script_text(&entry.point);
        write(&app.join(&script), text.as_bytes(), 0o644)?;
        installed.content.push(script);
    }
    for directory in [&rt, &app] {
        install::compile(&rt, directory, into)?;
    }
    if is_checked {
        check::entries(python, &rt)?;
    }
    Ok(vec![
        Staged::new(RUNTIME, rt, filled),
        Staged::new(APP, app, installed),
    ])
}

/// The interpreter of a recipe that names none: what it is, and the program.
pub(super) fn found() -> Result<(String, PathBuf), Absent> {
    match runtime::on_this_machine(&Runtime::Found, Path::new("")) {
        Ok(interpreter) => Ok((interpreter.described(), interpreter.executable.into())),
        Err(error) => Err(absent(&error.to_string(), &error.help())),
    }
}

/// The version of an interpreter's pip.
pub(super) fn pip_of(program: &Path) -> Result<String, Absent> {
    let said = pip::has_pip(program).map_err(|_| {
        let help = "the wheel that comes with Python (ensurepip) is used; where that is not installed either, install pip";
        absent(&format!("{} has none", program.display()), help)
    })?;
    // `pip 23.0.1 from DIRECTORY (python 3.11)`.
    let words: Vec<&str> = said.split_whitespace().take(2).collect();
    Ok(words.join(" "))
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

#[cfg(test)]
mod tests {
    use super::*;

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
