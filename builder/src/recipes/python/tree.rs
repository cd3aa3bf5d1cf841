//! A copy of an interpreter that can be moved: its program, its standard library, the shared libraries that these need.
//!
//! What belongs to developers stays behind, and so does what is installed for the building machine. Paths of that machine
//! are not in it: run paths become relative, and where the installation's directory stands in a file (an interpreter
//! that was compiled here knows where it was to be installed), something of the same length takes its place. Nothing
//! reads these: the interpreter finds its library by its own place.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::libraries::{self, Host, Library};
use super::super::program::run;
use super::super::{Filled, RecipeError, Source};
use super::runtime::Interpreter;
use super::{APP, write};

/// What is never taken: what is installed on this machine, what says so, and byte code, which is made anew.
const NEVER: [&str; 6] = [
    "__pycache__",
    "site-packages",
    "dist-packages",
    "EXTERNALLY-MANAGED",
    "sitecustomize.py",
    "usercustomize.py",
];
/// Beginnings of what is left out where anything is: how the interpreter was built, with the static library, and the
/// extension of Tk.
const DEVELOPERS: [&str; 2] = ["config-", "_tkinter"];
/// What stands in place of the directory that the installation lies in, cut or filled with slashes.
const INSTALL: &[u8] = b"/install";

/// How `ensurepip` asks where its wheels are, and where most distributions have them.
const ELSEWHERE: &str = "sysconfig.get_config_var('WHEEL_PKG_DIR')";
const BESIDE: &str = "__file__.rpartition('/')[0] + '/_bundled'";

/// The copy at `rt`.
///
/// # Errors
///
/// [`RecipeError`].
pub(super) fn stage(
    interpreter: &Interpreter,
    strip: &[String],
    target: &str,
    rt: &Path,
) -> Result<Filled, RecipeError> {
    let name = interpreter.name();
    let mut copy = Copy {
        prefix: PathBuf::from(&interpreter.prefix),
        host: Host::read(target),
        target,
        rt,
        for_debuggers: strip.is_empty(),
        libraries: BTreeMap::new(),
        left_out: Vec::new(),
    };
    copy.file(
        Path::new(&interpreter.executable),
        &Path::new("bin").join(&name),
        true,
    )?;
    for link in ["python3", "python"] {
        let at = rt.join("bin").join(link);
        symlink(&name, &at).map_err(|error| RecipeError::write(&at, error))?;
    }
    let stdlib = Path::new(&interpreter.stdlib);
    let inside = stdlib.strip_prefix(&interpreter.prefix);
    let library = inside.map_or_else(|_| Path::new("lib").join(&name), Path::to_owned);
    copy.directory(stdlib, &library, strip)?;
    let mut filled = Filled::default();
    filled.content.push(interpreter.described());
    let program = format!("bin/{name}");
    let from = Source::Program(PathBuf::from(&interpreter.executable));
    filled.origins.push((program.clone(), from));
    filled.origins.push((program, interpreter.runtime()));
    copy.bundle(interpreter, &mut filled)?;
    filled.content.extend(site(&library, rt)?);
    Ok(filled)
}

struct Copy<'a> {
    /// The installation's directory.
    prefix: PathBuf,
    host: Host,
    target: &'a str,
    rt: &'a Path,
    /// Whether debugging information is kept.
    for_debuggers: bool,
    /// What goes to `lib/`.
    libraries: BTreeMap<String, Library>,
    /// Lines on modules that cannot be taken.
    left_out: Vec<String>,
}

impl Copy<'_> {
    /// Copies a directory of the standard library; `strip` are names that are left out.
    fn directory(&mut self, from: &Path, to: &Path, strip: &[String]) -> Result<(), RecipeError> {
        let unreadable = |error| RecipeError::read(from, error);
        let mut names: Vec<_> = fs::read_dir(from)
            .map_err(unreadable)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<_, _>>()
            .map_err(unreadable)?;
        names.sort();
        for name in names {
            let text = name.to_string_lossy();
            let is_developers = !strip.is_empty()
                && (DEVELOPERS.iter().any(|start| text.starts_with(start)) || text.ends_with(".a"));
            if NEVER.contains(&&*text) || is_developers || strip.iter().any(|strip| *strip == *text)
            {
                continue;
            }
            let (from, to) = (from.join(&name), to.join(&name));
            // Links are followed: some distributions have links that leave the library.
            let metadata = fs::metadata(&from).map_err(|error| RecipeError::read(&from, error))?;
            match metadata.is_dir() {
                true => self.directory(&from, &to, strip)?,
                false => self.file(&from, &to, false)?,
            }
        }
        Ok(())
    }

    /// Copies a file, with what its libraries are. A module whose libraries are not on this machine does not work here
    /// either, and is left out; the program itself is not.
    fn file(&mut self, from: &Path, to: &Path, is_program: bool) -> Result<(), RecipeError> {
        let Some(elf) = libraries::elf(from, self.target)? else {
            return self.put(
                libraries::content(from, None, self.for_debuggers)?,
                to,
                0o644,
            );
        };
        match libraries::closure(&self.host, &[from.to_owned()], self.target) {
            Ok(found) => {
                for library in found {
                    self.libraries
                        .entry(library.name.clone())
                        .or_insert(library);
                }
            }
            Err(error) if !is_program => {
                self.left_out
                    .push(format!("without {}: {error}", to.display()));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let up = to.components().count().saturating_sub(1);
        let run_path = format!("$ORIGIN/{}lib", "../".repeat(up));
        let run_path = libraries::needs_run_path(&elf).then_some(run_path.as_str());
        let mode = if is_program { 0o755 } else { 0o644 };
        self.put(
            libraries::content(from, run_path, self.for_debuggers)?,
            to,
            mode,
        )
    }

    fn put(&self, bytes: Vec<u8>, to: &Path, mode: u32) -> Result<(), RecipeError> {
        let bytes = match to.file_name().map(|name| name.to_string_lossy()) {
            Some(name) if name.starts_with("_sysconfigdata") => without_sources(bytes),
            _ => bytes,
        };
        write(
            &self.rt.join(to),
            &without_prefix(bytes, &self.prefix),
            mode,
        )
    }

    /// Puts the libraries into `lib/`. Notes these, and what was left out.
    fn bundle(self, interpreter: &Interpreter, filled: &mut Filled) -> Result<(), RecipeError> {
        for library in self.libraries.values() {
            let name = format!("lib/{}", library.name);
            let run_path = libraries::needs_run_path(&library.elf).then_some(libraries::BESIDE);
            let bytes = libraries::content(&library.path, run_path, self.for_debuggers)?;
            self.put(bytes, Path::new(&name), 0o644)?;
            if library.name.starts_with("libpython") && self.prefix != Path::new("/usr") {
                // Its own, and of no package.
                let line = libraries::described(&name, &library.path, run_path);
                filled.content.push(line);
                filled.origins.push((name, interpreter.runtime()));
                continue;
            }
            filled.library(name, library, run_path);
        }
        filled.content.extend(self.left_out);
        Ok(())
    }
}

/// The bytes with something of the same length wherever `prefix` stands as a path. Directories of the system say
/// nothing of the machine.
pub(super) fn without_prefix(mut bytes: Vec<u8>, prefix: &Path) -> Vec<u8> {
    if ["/", "/usr", "/usr/local"]
        .iter()
        .any(|system| prefix == Path::new(system))
    {
        return bytes;
    }
    let old = prefix.as_os_str().as_encoded_bytes();
    // The last name stays: linkers let `3.11.7`, as a text of its own, begin inside of `/opt/python/3.11.7`.
    let tail = old.iter().rev().take_while(|byte| **byte != b'/').count() + 1;
    let (head, tail) = old.split_at(old.len().saturating_sub(tail));
    let filled = INSTALL.iter().copied().chain(std::iter::repeat(b'/'));
    let new: Vec<u8> = filled
        .take(head.len())
        .chain(tail.iter().copied())
        .collect();
    let finder = memchr::memmem::Finder::new(old);
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| finder.find(rest)) {
        let (start, end) = (at + found, at + found + old.len());
        // `/opt/py` is no part of `/opt/python`.
        let ends = bytes
            .get(end)
            .is_none_or(|byte| !byte.is_ascii_alphanumeric());
        if let (true, Some(place)) = (ends, bytes.get_mut(start..end)) {
            place.copy_from_slice(&new);
        }
        at = end;
    }
    bytes
}

/// `_sysconfigdata` without the directory that the interpreter was compiled in.
fn without_sources(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(text) = String::from_utf8(bytes.clone()) else {
        return bytes;
    };
    let mut out = text.clone();
    for key in ["'abs_srcdir': '", "'abs_builddir': '"] {
        let value = text
            .split_once(key)
            .and_then(|(_, rest)| rest.split_once('\''));
        if let Some((directory, _)) = value.filter(|(directory, _)| directory.len() > 1) {
            out = out.replace(directory, "/build");
        }
    }
    out.into_bytes()
}

/// Sets up the directory of the interpreter's own packages: pip, from the wheel that comes with the interpreter, and the
/// line that leads to the application's.
fn site(library: &Path, rt: &Path) -> Result<Vec<String>, RecipeError> {
    let wheels = wheels(&rt.join(library), rt)?;
    // Distributions differ in what they call it.
    let asked = "import site; print(*site.getsitepackages(), sep='\\n')";
    let output = python(rt, &["-c", asked])?;
    let rt = fs::canonicalize(rt).map_err(|error| RecipeError::read(rt, error))?;
    let directories = output.lines().map(PathBuf::from);
    let directory = { directories }.find(|path| path.starts_with(&rt));
    let directory = directory.unwrap_or_else(|| rt.join(library).join("site-packages"));
    let inside = directory.strip_prefix(&rt).unwrap_or(&directory);
    let up = inside.components().count() + 1;
    let line = format!("{}{APP}/lib\n", "../".repeat(up));
    write(&directory.join("flavor.pth"), line.as_bytes(), 0o644)?;
    let is_pip = |wheel: &&PathBuf| {
        let name = wheel.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with("pip-")
    };
    let Some(wheel) = wheels.iter().find(is_pip) else {
        return Ok(vec![
            "without pip: the interpreter comes without its wheel".into(),
        ]);
    };
    let unpack = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
    let (from, to) = (wheel.to_string_lossy(), directory.to_string_lossy());
    python(&rt, &["-c", unpack, &from, &to])?;
    let name = wheel.file_name().unwrap_or_default();
    Ok(vec![format!("pip from {}", name.display())])
}

/// Runs the staged interpreter, which leaves no byte code behind.
fn python(rt: &Path, args: &[&str]) -> Result<String, RecipeError> {
    let mut command = Command::new(rt.join("bin/python3"));
    command.args(["-I", "-B"]).args(args).env_clear();
    run("python3", &mut command)
}

/// The wheels that `ensurepip` installs. Those that a distribution keeps in a place of its own are copied to where all others
/// have them, so that virtual environments can be made on hosts that are none of its.
fn wheels(library: &Path, rt: &Path) -> Result<Vec<PathBuf>, RecipeError> {
    let bundled = library.join("ensurepip/_bundled");
    let asked = "import sysconfig; print(sysconfig.get_config_var('WHEEL_PKG_DIR') or '')";
    let elsewhere = python(rt, &["-c", asked])?;
    if !elsewhere.trim().is_empty() {
        for wheel in directory_of_wheels(Path::new(elsewhere.trim())) {
            let name = wheel.file_name().unwrap_or_default();
            let bytes = fs::read(&wheel).map_err(|error| RecipeError::read(&wheel, error))?;
            write(&bundled.join(name), &bytes, 0o644)?;
        }
        let code = library.join("ensurepip/__init__.py");
        let text = fs::read_to_string(&code).unwrap_or_default();
        write(&code, text.replace(ELSEWHERE, BESIDE).as_bytes(), 0o644)?;
    }
    Ok(directory_of_wheels(&bundled))
}

/// The wheels of pip and setuptools in a directory, in the order of their names.
fn directory_of_wheels(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let starts = ["pip-", "setuptools-"];
        name.ends_with(".whl") && starts.iter().any(|start| name.starts_with(start))
    };
    let mut wheels: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(is_wanted)
        .collect();
    wheels.sort();
    wheels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_the_installation_is_replaced_where_it_is_a_path() {
        let clean = |text: &str| {
            let bytes = without_prefix(text.as_bytes().to_vec(), Path::new("/home/me/py3"));
            String::from_utf8(bytes).unwrap_or_default()
        };
        assert_eq!(clean("x=/home/me/py3/lib"), "x=/install/py3/lib");
        assert_eq!(clean("/home/me/py3"), "/install/py3");
        assert_eq!(clean("/home/me/py312"), "/home/me/py312");
        let system = without_prefix(b"/usr/lib".to_vec(), Path::new("/usr"));
        assert_eq!(system, b"/usr/lib");
    }

    #[test]
    fn the_directory_of_the_sources_is_replaced() {
        let text =
            "{'abs_srcdir': '/tmp/build.1/Python', 'CC': 'gcc -I/tmp/build.1/Python/Include'}";
        let clean = without_sources(text.as_bytes().to_vec());
        assert_eq!(
            String::from_utf8(clean).unwrap_or_default(),
            "{'abs_srcdir': '/build', 'CC': 'gcc -I/build/Include'}"
        );
    }
}
