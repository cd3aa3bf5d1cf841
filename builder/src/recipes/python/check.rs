//! Whether the extension modules are for the interpreter, and the commands can be started: found out before the package is
//! written.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::super::program::run;
use super::super::{RecipeError, libraries};
use super::runtime::Interpreter;
use crate::manifest::{EntryPoint, Python};

/// How the part of a file's name begins that says for which interpreter an extension module is. Libraries have dots in their
/// names, too: `libx-1.2.so`.
const TAGS: [&str; 5] = ["cpython-", "cp3", "abi3", "pypy", "graalpy"];

/// Looks at every extension module in `lib` by its name, as the interpreter's importer does, and at those that it would load by
/// their content. One that it does not load does no harm beside one that it does, or beside the same module in Python.
///
/// # Errors
///
/// [`RecipeError::Extension`] and [`RecipeError::Foreign`].
pub(super) fn extensions(
    interpreter: &Interpreter,
    rt: &Path,
    lib: &Path,
    target: &str,
) -> Result<(), RecipeError> {
    let code = "import importlib.machinery as m, json; print(json.dumps(m.EXTENSION_SUFFIXES))";
    let mut command = Command::new(rt.join("bin/python3"));
    command.args(["-I", "-S", "-B", "-c", code]).env_clear();
    let said = run("python3", &mut command)?;
    let suffixes: Vec<String> = serde_json::from_str(&said).unwrap_or_default();
    let check = Check {
        lib,
        loads: suffixes.iter().map(String::as_str).collect(),
        interpreter: interpreter.described(),
        target,
    };
    check.directory(lib)
}

struct Check<'a> {
    lib: &'a Path,
    /// What names of modules end with that the interpreter loads.
    loads: Vec<&'a str>,
    interpreter: String,
    target: &'a str,
}

impl Check<'_> {
    fn directory(&self, directory: &Path) -> Result<(), RecipeError> {
        let unreadable = |error| RecipeError::read(directory, error);
        let (mut names, mut below) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            match entry.file_type().map_err(unreadable)?.is_dir() {
                true => below.push(name),
                false => names.push(name),
            }
        }
        names.sort();
        below.sort();
        for name in &names {
            let module = directory.join(name);
            let module = module.strip_prefix(self.lib).unwrap_or(&module).to_owned();
            match verdict(name, &names, &self.loads) {
                Verdict::Other(tag) => {
                    return Err(RecipeError::Extension {
                        module,
                        tag: tag.to_owned(),
                        interpreter: self.interpreter.clone(),
                    });
                }
                Verdict::Loaded
                    if libraries::elf(&directory.join(name), self.target)?.is_none() =>
                {
                    return Err(RecipeError::Foreign {
                        module,
                        target: self.target.to_owned(),
                    });
                }
                Verdict::Loaded | Verdict::Nothing => {}
            }
        }
        below
            .iter()
            .try_for_each(|name| self.directory(&directory.join(name)))
    }
}

/// What a file is for an interpreter, by its name.
#[derive(Debug, PartialEq, Eq)]
enum Verdict<'n> {
    /// An extension module that says for whom it is, and is loaded.
    Loaded,
    /// One for others, in place of one that is loaded.
    Other(&'n str),
    /// Something else: a library, a module that says nothing, or one that nobody misses.
    Nothing,
}

/// `beside` are the names of all files in its directory.
fn verdict<'n>(name: &'n str, beside: &[String], loads: &[&str]) -> Verdict<'n> {
    let Some((stem, end)) = name.split_once('.') else {
        return Verdict::Nothing;
    };
    let tag = end.strip_suffix(".so").or_else(|| end.strip_suffix(".pyd"));
    let Some(tag) = tag.filter(|tag| TAGS.iter().any(|start| tag.starts_with(start))) else {
        return Verdict::Nothing;
    };
    let is = |name: &str, suffix: &str| name.strip_prefix(stem) == Some(suffix);
    if loads.iter().any(|suffix| is(name, suffix)) {
        return Verdict::Loaded;
    }
    let replaces = |other: &String| loads.iter().chain(&[".py"]).any(|suffix| is(other, suffix));
    match beside.iter().any(replaces) {
        true => Verdict::Nothing,
        false => Verdict::Other(tag),
    }
}

/// Imports what each command starts in the staged tree.
///
/// # Errors
///
/// [`RecipeError::NoEntry`] with the last line that the interpreter said.
pub(super) fn entries(python: &Python, rt: &Path) -> Result<(), RecipeError> {
    for entry in &python.entries {
        let (shown, code) = match &entry.point {
            EntryPoint::Function { module, function } => (
                format!("{module}:{function}"),
                format!(
                    "import operator, {module} as m; assert callable(operator.attrgetter({function:?})(m)), 'not callable'"
                ),
            ),
            // A module that is run does its work when it is imported.
            EntryPoint::Module(module) => (
                module.clone(),
                format!(
                    "import importlib.util as u; s = u.find_spec({module:?}); assert s, 'no module named {module}'; \
                     assert s.submodule_search_locations is None or u.find_spec({main:?}), '{main} is missing'",
                    main = format!("{module}.__main__"),
                ),
            ),
        };
        let mut command = Command::new(rt.join("bin/python3"));
        command
            .args(["-s", "-B", "-c", &code])
            .current_dir(rt)
            .env_clear();
        run("python3", &mut command).map_err(|error| match error {
            RecipeError::Program { said, .. } => RecipeError::NoEntry {
                entry: shown,
                said: said.lines().last().unwrap_or_default().to_owned(),
            },
            other => other,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_for_others_are_told_by_their_names_and_by_what_is_beside_them() {
        let loads = [".cpython-311-x86_64-linux-gnu.so", ".abi3.so", ".so"];
        for (name, beside, expected) in [
            ("_x.cpython-311-x86_64-linux-gnu.so", "", Verdict::Loaded),
            ("_x.abi3.so", "", Verdict::Loaded),
            ("_x.so", "", Verdict::Nothing),
            ("libx-0.1.2.so", "", Verdict::Nothing),
            ("libcp3.so.1", "", Verdict::Nothing),
            ("x.py", "", Verdict::Nothing),
            (
                "_x.cpython-312-x86_64-linux-gnu.so",
                "",
                Verdict::Other("cpython-312-x86_64-linux-gnu"),
            ),
            (
                "_x.cpython-311-aarch64-linux-gnu.so",
                "_y.abi3.so",
                Verdict::Other("cpython-311-aarch64-linux-gnu"),
            ),
            (
                "_x.cpython-311-darwin.so",
                "",
                Verdict::Other("cpython-311-darwin"),
            ),
            (
                "_x.cp311-win_amd64.pyd",
                "",
                Verdict::Other("cp311-win_amd64"),
            ),
            ("_x.cp311-win_amd64.pyd", "_x.abi3.so", Verdict::Nothing),
            (
                "_x.cpython-312-x86_64-linux-gnu.so",
                "_x.so",
                Verdict::Nothing,
            ),
            (
                "_x.cpython-312-x86_64-linux-gnu.so",
                "_x.py",
                Verdict::Nothing,
            ),
            (
                "_x.cpython-312-x86_64-linux-gnu.so",
                "_x.cpython-311-x86_64-linux-gnu.so",
                Verdict::Nothing,
            ),
        ] {
            let all = [name.to_owned(), beside.to_owned()];
            assert_eq!(
                verdict(name, &all, &loads),
                expected,
                "{name} beside {beside}"
            );
        }
    }
}
