//! `lock` in `[python]`: lock files that uv makes, compared with what uv itself installs from them; and what does not match.
//!
//! uv lies in the virtual environment `target/uv`, which `scripts/test` makes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use psp_testkit::app::succeed;
use psp_testkit::project::{Project, flavor, text};
use psp_testkit::python::write_project;

/// uv, in a project's directory.
fn uv(project: &Project, args: &[&str]) -> Command {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(target, PathBuf::from);
    let program = target.join("uv/bin/uv");
    assert!(
        program.is_file(),
        "uv is needed for this test: python3 -m venv target/uv && target/uv/bin/pip install uv==0.13.9"
    );
    let mut command = Command::new(program);
    command.args(args).current_dir(project.path());
    // An environment that the tests run in is not the project's.
    command.env_remove("VIRTUAL_ENV");
    command
}

const MANIFEST: &str = "[python]\nproject = \".\"\nlock = \"LOCK\"\n\n[commands.python]\nexec = \"{workenv}/rt/bin/python3\"\n";

/// A project with dependencies, some of which are for other systems, and its lock files.
fn locked() -> Project {
    let project = Project::new();
    describe(
        &project,
        "\"rich>=13,<14\", \"requests[socks]\", \"colorama; sys_platform == 'win32'\", \"tomli>=2; python_version < '3.4'\"",
    );
    succeed(&mut uv(&project, &["lock", "--python", "python3"]));
    let export = ["export", "--frozen", "--no-dev", "--format", "pylock.toml"];
    succeed(uv(&project, &export).args(["--output-file", "pylock.toml"]));
    project
}

/// Writes the project with these dependencies.
fn describe(project: &Project, dependencies: &str) {
    let code = "import importlib.metadata as m\n\ndef main():\n    import rich\n    print('rich', m.version('rich'))\n";
    let described = format!(
        "requires-python = \">=3.8\"\ndependencies = [{dependencies}]\n\
         [project.optional-dependencies]\nmore = [\"iniconfig\"]\n\
         [project.scripts]\nsmall = \"small:main\"\n[dependency-groups]\ndev = [\"packaging\"]\n"
    );
    write_project(project, "", "small", code, &described);
}

/// Names and versions of a list in pip's format "freeze", without pip.
fn names(list: &[u8]) -> BTreeSet<String> {
    let list = text(list).into_owned();
    let lines = list.lines().map(|line| line.trim().to_lowercase());
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("pip=="))
        .map(|line| line.replace('_', "-"))
        .collect()
}

#[test]
fn what_uv_installs_from_a_lock_file_is_what_is_packed() {
    let project = locked();
    let sync = [
        "sync",
        "--frozen",
        "--no-dev",
        "--no-editable",
        "--python",
        "python3",
    ];
    succeed(&mut uv(&project, &sync));
    let mut list = uv(&project, &["pip", "list", "--format", "freeze"]);
    let installed = names(&succeed(list.args(["--python", ".venv"])).stdout);
    assert!(
        installed.contains("small==1.0") && installed.iter().any(|it| it.starts_with("pysocks=="))
    );
    for lock in ["uv.lock", "pylock.toml"] {
        project.manifest(&MANIFEST.replace("LOCK", lock));
        let scratch = project.path().join("scratch");
        fs::create_dir_all(&scratch).unwrap();
        succeed(flavor().args(project.pack_args()).env("TMPDIR", &scratch));
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0, "{lock}");
        let package = project.output();
        let mut list = project.start(&package);
        list.args(["-m", "pip", "list", "--format", "freeze"]);
        let packed = names(&succeed(list.env("FLAVOR_COMMAND", "python")).stdout);
        assert_eq!(packed, installed, "{lock}");
        let said = succeed(&mut project.start(&package)).stdout;
        assert!(text(&said).starts_with("rich 13."), "{}", text(&said));
        // Building the project leaves nothing in it, and nothing says where it was built.
        assert!(!project.path().join("build").exists());
        let tree = project.path().join("tree");
        succeed(flavor().arg("extract-all").arg(&package).arg(&tree));
        let mut grep = Command::new("grep");
        grep.args(["-rlF", "-e", "file:///"])
            .arg(tree.join("app/lib/small-1.0.dist-info"));
        assert_eq!(text(&grep.output().unwrap().stdout), "");
        fs::remove_dir_all(&tree).unwrap();
    }

    // Without a manifest, the lock file is used, too.
    fs::remove_file(project.path().join("flavor.toml")).unwrap();
    let output = succeed(flavor().arg("init").arg(project.path()));
    assert!(
        text(&output.stdout).contains("uv.lock"),
        "{}",
        text(&output.stdout)
    );
    assert!(project.read_manifest().contains("\nlock = \"uv.lock\"\n"));
}

#[test]
fn a_lock_file_that_does_not_match_packs_nothing() {
    let project = locked();
    // Whatever pip could take instead has another hash, too.
    let other_hashes = |text: &str| {
        let mut out = String::new();
        let mut of_mdurl = false;
        for line in text.lines() {
            if line.starts_with("name = ") {
                of_mdurl = line == "name = \"mdurl\"";
            }
            let other = |text: &str, mark: &str| {
                let mut parts = text.split(mark).map(str::to_owned);
                let mut out = parts.next().unwrap_or_default();
                for part in parts {
                    let digit = if part.starts_with('0') { '1' } else { '0' };
                    out = format!("{out}{mark}{digit}{}", &part[1..]);
                }
                out
            };
            let line = match of_mdurl {
                true => other(&other(line, "sha256:"), "sha256 = \""),
                false => line.to_owned(),
            };
            out.push_str(&line);
            out.push('\n');
        }
        out
    };
    let read = |name: &str| fs::read_to_string(project.path().join(name)).unwrap();
    let (uv_lock, pylock, pyproject) =
        (read("uv.lock"), read("pylock.toml"), read("pyproject.toml"));
    assert!(other_hashes(&uv_lock) != uv_lock && other_hashes(&pylock) != pylock);
    let further = pyproject.replace(
        "dependencies = [\"rich>=13,<14\"",
        "dependencies = [\"attrs>=23\", \"rich>=13,<14\"",
    );
    let newer = pyproject.replace("rich>=13,<14", "rich>=14");
    let old = |lock: &str| {
        lock.replace(
            "requires-python = \">=3.8\"",
            "requires-python = \">=3.99\"",
        )
    };
    let git = uv_lock.replacen(
        "source = { registry = \"https://pypi.org/simple\" }",
        "source = { git = \"https://x\" }",
        1,
    );
    assert!(
        further != pyproject
            && newer != pyproject
            && old(&uv_lock) != uv_lock
            && old(&pylock) != pylock
    );
    for (name, lock, pyproject, status, fact, help) in [
        (
            "uv.lock",
            &uv_lock,
            &further,
            2,
            "uv.lock does not match pyproject.toml: it lacks `attrs>=23`",
            "run `uv lock`",
        ),
        (
            "uv.lock",
            &uv_lock,
            &newer,
            2,
            "uv.lock does not match pyproject.toml: it lacks `rich>=14`",
            "run `uv lock`",
        ),
        (
            "pylock.toml",
            &pylock,
            &further,
            2,
            "pylock.toml does not match pyproject.toml: it lacks `attrs>=23`",
            "run `uv lock`",
        ),
        (
            "pylock.toml",
            &pylock,
            &newer,
            2,
            "pylock.toml does not match pyproject.toml: it pins rich 13.",
            "run `uv lock`",
        ),
        (
            "uv.lock",
            &other_hashes(&uv_lock),
            &pyproject,
            2,
            "uv.lock has another hash for mdurl==0.1.2 from https://",
            "find out why",
        ),
        (
            "pylock.toml",
            &other_hashes(&pylock),
            &pyproject,
            2,
            "pylock.toml has another hash for mdurl==0.1.2 from https://",
            "find out why",
        ),
        (
            "uv.lock",
            &old(&uv_lock),
            &pyproject,
            2,
            "uv.lock is for Python >=3.99",
            "`runtime`",
        ),
        (
            "pylock.toml",
            &old(&pylock),
            &pyproject,
            2,
            "pylock.toml is for Python >=3.99",
            "`runtime`",
        ),
        (
            "uv.lock",
            &git,
            &pyproject,
            2,
            "from a Git repository, of which no hash can be checked",
            "depend on a release",
        ),
        (
            "uv.lock",
            &"[[[".to_owned(),
            &pyproject,
            2,
            "uv.lock cannot be read: line 1: ",
            "uv lock",
        ),
    ] {
        project.file(name, 0o644, lock.as_bytes());
        project.file("pyproject.toml", 0o644, pyproject.as_bytes());
        project.manifest(&MANIFEST.replace("LOCK", name));
        project.refuses(flavor().args(project.pack_args()), status, fact, help);
    }
}

#[test]
fn what_a_lock_file_stands_beside_has_hashes_too() {
    let project = Project::new();
    for (python, fact) in [
        (
            "lock = \"uv.lock\"\nrequirements = [\"rich\"]",
            "`requirements` in [python] must be absent beside `lock`",
        ),
        (
            "lock = \"poetry.lock\"",
            "`lock` in [python] must be the path of a `uv.lock` or a `pylock.toml`",
        ),
    ] {
        project.manifest(&format!(
            "[package]\nname = \"a\"\nversion = \"1\"\n[python]\nmodule = \"a\"\n{python}\n"
        ));
        let output = flavor().args(project.pack_args()).output().unwrap();
        let said = text(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(2) && said.contains(fact),
            "{said}"
        );
    }
}
