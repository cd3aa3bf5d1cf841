//! What kind of project a directory holds, and the manifest that packs it.

use std::fs;
use std::path::Path;

use psp_format::metadata::{is_name, is_package_name, is_version};

use super::error::ManifestError;
use super::reader::Document;

/// A project without a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    /// What it is, and by which file: `a Python project (pyproject.toml)`.
    pub kind: &'static str,
    /// The text of its `flavor.toml`.
    pub manifest: String,
    /// What a person has to do before it packs, or should know.
    pub note: Option<&'static str>,
}

/// The texts of the files that tell projects apart, where they are there.
#[derive(Debug, Clone, Default)]
struct Files {
    pyproject: Option<String>,
    package_json: Option<String>,
    cargo: Option<String>,
    go_mod: Option<String>,
    /// Names of the directories in `cmd`, where Go modules without a program at the top have theirs.
    go_commands: Vec<String>,
    requirements: bool,
    /// The lock file beside `pyproject.toml`.
    lock: Option<&'static str>,
}

/// Lock files of Python projects, the preferred one first.
const LOCKS: [&str; 2] = ["uv.lock", "pylock.toml"];

const HEAD: &str = "# How `flavor pack` makes one signed executable file of this project.\n";

const PYTHON: &str = r#"# The interpreter, the project with its dependencies, and a command for each of [project.scripts].
[python]
project = "."
LOCK# The interpreter: a version, or the path of an installation. Without it, `python3`.
# runtime = "3.11"
# What is started, where there are no scripts; or module = "app", as `python -m app`.
"#;

/// What stands for `LOCK` in [`PYTHON`] where there is a lock file.
const LOCKED: &str =
    "# The dependencies, in the versions and with the hashes of the lock file.\nlock = \"LOCK\"\n";

const REQUIREMENTS: &str = r#"# The interpreter, and what pip installs.
[python]
requirements-file = "requirements.txt"
# The interpreter: a version, or the path of an installation. Without it, `python3`.
# runtime = "3.11"
# What is started of it; or module = "app", as `python -m app`.
entry-point = "app:main"
"#;

const NODE: &str = r#"# The runtime, the project, what npm installs by its lock file, and a command for each name of `bin`.
[node]
project = "."
# The runtime: a version, or the path of an installation. Without it, `node`.
# runtime = "20"
# What is started, where package.json names neither `bin` nor `main`.
"#;

const NATIVE: &str = r#"
[native]
# Or a list of programs, of which the first is the default command.
binary = "target/release/BINARY"
# true: the shared libraries that it needs beyond the C library go with it.
bundle-libraries = false
# The oldest C library that it is to run with: the build fails when it asks for more.
# glibc-floor = "2.28"
"#;

const GO: &str = r#"
# Built first: CGO_ENABLED=0 go build -o BINARY PACKAGE
# Static like that, it starts on every host, from memory where it has to.
[native]
binary = "BINARY"
"#;

const SIGN: &str = r#"
# Who signs: a PEM file of `flavor keygen`, a variable, or a program.
# [sign]
# key = "env:FLAVOR_SIGNING_KEY"
"#;

/// Looks for a project in a directory.
///
/// # Errors
///
/// When a file that says what it is cannot be read.
pub fn recognise(directory: &Path) -> Result<Option<Recognised>, ManifestError> {
    let text = |name: &str| fs::read_to_string(directory.join(name)).ok();
    let files = Files {
        pyproject: text("pyproject.toml"),
        package_json: text("package.json"),
        cargo: text("Cargo.toml"),
        go_mod: text("go.mod"),
        go_commands: go_commands(directory),
        requirements: directory.join("requirements.txt").is_file(),
        lock: { LOCKS.into_iter() }.find(|name| directory.join(name).is_file()),
    };
    describe(&files, directory)
}

/// Decides by the files alone. One that is for tools only (a `pyproject.toml` without `[project]`, a workspace) is none.
fn describe(files: &Files, directory: &Path) -> Result<Option<Recognised>, ManifestError> {
    if let Some(text) = &files.pyproject
        && let Some(recognised) = python(&directory.join("pyproject.toml"), text, files.lock)?
    {
        return Ok(Some(recognised));
    }
    if let Some(text) = &files.package_json
        && let Some(recognised) = node(text)
    {
        return Ok(Some(recognised));
    }
    if let Some(text) = &files.cargo
        && let Some(recognised) = cargo(&directory.join("Cargo.toml"), text)?
    {
        return Ok(Some(recognised));
    }
    if let Some(text) = &files.go_mod
        && let Some(recognised) = go(text, &files.go_commands)
    {
        return Ok(Some(recognised));
    }
    Ok(files.requirements.then(|| Recognised {
        kind: "Python requirements (requirements.txt)",
        manifest: format!(
            "{HEAD}{}\n{REQUIREMENTS}{SIGN}",
            package(&name_of(directory), "0.1.0")
        ),
        note: Some("name what is started with `entry-point` or `module`"),
    }))
}

fn python(
    file: &Path,
    text: &str,
    lock: Option<&str>,
) -> Result<Option<Recognised>, ManifestError> {
    let document = Document::parse(file, text)?;
    let root = document.root();
    let Some(project) = root.get("project") else {
        return Ok(None);
    };
    let project = project.table()?;
    let text = |key| project.get(key).and_then(|value| value.text().ok());
    let has_scripts = project.get("scripts").is_some();
    let name = text("name").unwrap_or("app");
    let plain = name.to_ascii_lowercase().replace('.', "-");
    let says_both = is_package_name(&plain) && text("version").is_some_and(is_version);
    let section = match says_both {
        true => String::new(),
        // Build tools may find the version elsewhere.
        false => format!("{}\n", package(&plain, text("version").unwrap_or("0.1.0"))),
    };
    let module = plain.replace('-', "_");
    let entry = match has_scripts {
        true => format!("# entry-point = \"{module}.cli:main\"\n"),
        false => format!("module = \"{module}\"\n"),
    };
    let locked = lock.map(|lock| LOCKED.replace("LOCK", lock));
    let python = PYTHON.replace("LOCK", locked.as_deref().unwrap_or_default());
    Ok(Some(Recognised {
        kind: match lock {
            None => "a Python project (pyproject.toml)",
            Some("uv.lock") => "a Python project (pyproject.toml, uv.lock)",
            Some(_) => "a Python project (pyproject.toml, pylock.toml)",
        },
        manifest: format!("{HEAD}{section}{python}{entry}{SIGN}"),
        note: match (has_scripts, says_both) {
            (true, true) => None,
            (false, _) => Some("it has no [project.scripts]: the module of its name is started"),
            (true, false) => Some("it does not say its version: 0.1.0 is put down"),
        },
    }))
}

fn node(text: &str) -> Option<Recognised> {
    let described: serde_json::Value = serde_json::from_str(text).ok()?;
    let field = |key: &str| described.get(key).and_then(|value| value.as_str());
    let name = field("name").and_then(|name| name.rsplit('/').next());
    let name = name.map(|name| name.to_ascii_lowercase().replace('.', "-"));
    let says_both =
        name.as_deref().is_some_and(is_package_name) && field("version").is_some_and(is_version);
    let section = match says_both {
        true => String::new(),
        false => {
            let name = name.unwrap_or_else(|| "app".into());
            format!("{}\n", package(&name, field("version").unwrap_or("0.1.0")))
        }
    };
    let start = described
        .pointer("/scripts/start")
        .and_then(|start| start.as_str());
    let is_node = start.is_some_and(|start| start.starts_with("node "));
    let starts = described.get("bin").is_some() || field("main").is_some() || is_node;
    let entry = match starts {
        true => "# entry = \"server.js\"\n",
        false => "entry = \"index.js\"\n",
    };
    Some(Recognised {
        kind: "a Node project (package.json)",
        manifest: format!("{HEAD}{section}{NODE}{entry}{SIGN}"),
        note: (!starts).then_some("it names neither `bin` nor `main`: index.js is started"),
    })
}

fn cargo(file: &Path, text: &str) -> Result<Option<Recognised>, ManifestError> {
    let document = Document::parse(file, text)?;
    let root = document.root();
    let Some(of_cargo) = root.get("package") else {
        return Ok(None);
    };
    let of_cargo = of_cargo.table()?;
    let text = |key| of_cargo.get(key).and_then(|value| value.text().ok());
    let name = text("name").unwrap_or("app");
    let first = root.get("bin").and_then(|bins| bins.tables().ok());
    let first = first.and_then(|bins| bins.first()?.get("name")?.text().ok().map(str::to_owned));
    let binary = first.filter(|name| is_name(name));
    let native = NATIVE.replace("BINARY", binary.as_deref().unwrap_or(name));
    // A version may stand in the workspace.
    let section = package(
        &name.to_ascii_lowercase(),
        text("version").unwrap_or("0.1.0"),
    );
    Ok(Some(Recognised {
        kind: "a Rust project (Cargo.toml)",
        manifest: format!("{HEAD}{section}{native}{SIGN}"),
        note: Some("build it first: `cargo build --release`"),
    }))
}

/// The names of the directories in `cmd`, in their order; none where there is Go code at the top.
fn go_commands(directory: &Path) -> Vec<String> {
    if directory.join("main.go").is_file() {
        return Vec::new();
    }
    let entries = fs::read_dir(directory.join("cmd")).into_iter().flatten();
    let directories = entries.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = directories
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| is_name(name))
        .collect();
    names.sort();
    names
}

/// A module by its path (<https://go.dev/ref/mod#go-mod-file>), whose last part is its name, unless that is a version.
fn go(text: &str, commands: &[String]) -> Option<Recognised> {
    let mut lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().trim());
    let path = lines.find_map(|line| line.strip_prefix("module"))?;
    let path = path.trim().trim_matches('"');
    let is_major = |part: &&str| {
        let digits = part.strip_prefix('v').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let module = path.rsplit('/').find(|part| !is_major(part))?;
    let command = { commands.iter() }
        .find(|name| *name == module)
        .or(commands.first());
    let name = command.map_or(module, String::as_str);
    let name = if is_name(name) { name } else { "app" };
    let of_package = command.map_or(".".to_owned(), |command| format!("./cmd/{command}"));
    let native = GO.replace("BINARY", name).replace("PACKAGE", &of_package);
    Some(Recognised {
        kind: "a Go module (go.mod)",
        manifest: format!(
            "{HEAD}{}{native}{SIGN}",
            package(&name.to_ascii_lowercase().replace('.', "-"), "0.1.0")
        ),
        note: Some(
            "build it first, as flavor.toml says: `CGO_ENABLED=0 go build`; the version 0.1.0 is put down",
        ),
    })
}

/// `[package]`, with what cannot be a name or a version replaced.
fn package(name: &str, version: &str) -> String {
    let name = match is_package_name(name) {
        true => name,
        false => "app",
    };
    let version = match is_version(version) {
        true => version,
        false => "0.1.0",
    };
    format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\n")
}

fn name_of(directory: &Path) -> String {
    let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let name = directory.file_name().unwrap_or_default();
    name.to_string_lossy().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::project::Recipe;
    use super::*;

    fn of(
        pyproject: &str,
        package_json: &str,
        cargo: &str,
        requirements: bool,
    ) -> Option<Recognised> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let files = Files {
            pyproject: text(pyproject),
            package_json: text(package_json),
            cargo: text(cargo),
            requirements,
            ..Files::default()
        };
        describe(&files, Path::new("/nonexistent/My App")).unwrap_or_default()
    }

    #[test]
    fn projects_are_told_apart_by_their_files() {
        let python = "[project]\nname = \"a\"\nversion = \"1\"\n[project.scripts]\na = \"a:f\"\n";
        let node = "{\"name\": \"@s/b\", \"version\": \"1.0.0\", \"main\": \"x.js\"}";
        let rust = "[package]\nname = \"c\"\nversion = \"1.0.0\"\n[[bin]]\nname = \"d\"\n";
        for (recognised, kind, inside, note) in [
            (
                of(python, node, rust, true),
                "a Python",
                "project = \".\"",
                false,
            ),
            (
                of("[tool.x]\n", node, rust, true),
                "a Node",
                "[node]",
                false,
            ),
            (
                of("", "{}", "", false),
                "a Node",
                "entry = \"index.js\"",
                true,
            ),
            (
                of("", "", rust, true),
                "a Rust",
                "binary = \"target/release/d\"",
                true,
            ),
            (
                of("", "", "[workspace]\n", true),
                "Python requirements",
                "name = \"app\"",
                true,
            ),
            (
                of(
                    "[project]\nname = \"My.App\"\ndynamic = [\"version\"]\n",
                    "",
                    "",
                    false,
                ),
                "a Python",
                "module = \"my_app\"",
                true,
            ),
        ] {
            let recognised = recognised.unwrap_or_else(|| unreachable!("{kind}"));
            assert!(recognised.kind.starts_with(kind), "{}", recognised.kind);
            assert!(
                recognised.manifest.contains(inside),
                "{}",
                recognised.manifest
            );
            assert_eq!(recognised.note.is_some(), note, "{kind}");
        }
        assert_eq!(of("", "", "", false), None);
        assert_eq!(of("[tool.x]\n", "no JSON", "[workspace]\n", false), None);
    }

    #[test]
    fn go_modules_are_called_as_go_calls_their_programs() {
        for (text, commands, package, binary, built) in [
            (
                "module example.com/x/tool\n\ngo 1.22\n",
                &[][..],
                "tool",
                "tool",
                "-o tool .",
            ),
            (
                "// Old.\nmodule \"example.com/Tool/v2\" // x\n",
                &[],
                "tool",
                "Tool",
                "-o Tool .",
            ),
            (
                "module tool\n",
                &["serve", "tool"],
                "tool",
                "tool",
                "-o tool ./cmd/tool",
            ),
            (
                "module tool\n",
                &["admin", "serve"],
                "admin",
                "admin",
                "-o admin ./cmd/admin",
            ),
        ] {
            let files = Files {
                go_mod: Some(text.into()),
                go_commands: commands.iter().map(|name| (*name).into()).collect(),
                requirements: true,
                ..Files::default()
            };
            let recognised = describe(&files, Path::new("/nonexistent")).unwrap_or_default();
            let recognised = recognised.unwrap_or_else(|| unreachable!("{text}"));
            assert_eq!(recognised.kind, "a Go module (go.mod)");
            let manifest = recognised.manifest;
            let command = format!("CGO_ENABLED=0 go build {built}\n");
            assert!(manifest.contains(&command), "{manifest}");
            let project = super::super::parse(Path::new("/p/flavor.toml"), &manifest);
            let project = project.unwrap_or_else(|error| unreachable!("{error}"));
            assert_eq!(project.package.name, package);
            let Some(Recipe::Native(native)) = project.recipe else {
                unreachable!("{manifest}");
            };
            assert_eq!(native.binaries, [Path::new("/p").join(binary)]);
        }
        let none = Files {
            go_mod: Some("go 1.22\n".into()),
            ..Files::default()
        };
        assert_eq!(
            describe(&none, Path::new("/nonexistent")).unwrap_or_default(),
            None
        );
    }

    #[test]
    fn lock_files_are_used_where_they_are() {
        let described = |lock| {
            let files = Files {
                pyproject: Some("[project]\nname = \"a\"\nversion = \"1\"\n".into()),
                lock,
                ..Files::default()
            };
            let recognised = describe(&files, Path::new("/nonexistent")).unwrap_or_default();
            recognised.unwrap_or_else(|| unreachable!()).manifest
        };
        for lock in LOCKS {
            let line = format!("\nlock = \"{lock}\"\n");
            assert!(described(Some(lock)).contains(&line), "{lock}");
        }
        assert!(!described(None).contains("lock"), "{}", described(None));
    }

    #[test]
    fn what_is_written_is_a_manifest() {
        // Those of Python and Node read files of the project: tests with real ones do the same for them.
        let rust =
            of("", "", "[package]\nname = \"C_1\"\n", false).unwrap_or_else(|| unreachable!());
        let project = super::super::parse(Path::new("flavor.toml"), &rust.manifest);
        let project = project.unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(project.package.name, "c_1");
        let requirements = of("", "", "", true).unwrap_or_else(|| unreachable!());
        let project = super::super::parse(Path::new("flavor.toml"), &requirements.manifest);
        assert!(project.is_ok_and(|project| matches!(project.recipe, Some(Recipe::Python(_)))));
    }
}
