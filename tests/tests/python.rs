//! `[python]`: real applications from PyPI with the interpreter that is here, compared with the same trees unpacked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use psp_testkit::app::{App, same, succeed};
use psp_testkit::project::{Project, flavor, text};
use psp_testkit::python::write_project;
use psp_testkit::root::Root;

/// Its interpreter.
fn python(app: &App, args: &[&str]) -> Command {
    let mut command = app.start(args);
    command.env("FLAVOR_COMMAND", "python");
    command
}

/// The interpreter of the unpacked tree, with an empty environment.
fn unpacked(app: &App, args: &[&str]) -> Command {
    app.unpacked("rt/bin/python3", args)
}

/// No file says where it was made: not the installation that was copied, unless it is the system's.
fn says_nothing_of_this_machine(app: &App) {
    let prefix =
        succeed(Command::new("python3").args(["-c", "import sys; print(sys.base_prefix)"]));
    let prefix = text(&prefix.stdout).trim().to_owned();
    let is_system = ["/usr", "/usr/local"].contains(&prefix.as_str());
    let prefix = [prefix.as_str()];
    app.says_nothing_of(if is_system { &[] } else { &prefix });
}

#[test]
fn httpie_runs_with_nothing_but_the_c_library_of_its_host() {
    let app = App::pack("httpie");
    let script = app.tree.join("app/bin/httpie").display().to_string();
    let version = same(
        &mut app.start(&["--version"]),
        &mut unpacked(&app, &["-s", &script, "--version"]),
    );
    assert_eq!(version, "3.2.4\n");
    same(
        &mut app.start(&["--nonsense"]),
        &mut unpacked(&app, &["-s", &script, "--nonsense"]),
    );
    says_nothing_of_this_machine(&app);
    // Nor is anything there that only debuggers read.
    let mut grep = Command::new("grep");
    grep.args(["-rlF", "-e", ".debug_info"])
        .arg(app.tree.join("rt/lib"));
    let found = text(&grep.output().unwrap().stdout).into_owned();
    let found: Vec<&str> = found.lines().filter(|path| path.contains(".so")).collect();
    assert_eq!(found, [""; 0]);
    assert_eq!(alone(&app, &[&["--version"]]), ["3.2.4\n"]);
}

/// What the package says where there is nothing but itself and the C library: each of these, first and later starts.
fn alone(app: &App, starts: &[&[&str]]) -> Vec<String> {
    let root = Root::new(&app.package, true);
    let said = |args: &&[&str]| text(&succeed(&mut root.start(args)).stdout).into_owned();
    starts.iter().map(said).collect()
}

#[test]
fn the_packed_interpreter_is_a_whole_one() {
    let app = App::pack("httpie");
    // Exactly what is in the package, as its own pip sees it.
    let listed = same(
        &mut python(&app, &["-m", "pip", "list", "--format", "freeze"]),
        &mut unpacked(&app, &["-m", "pip", "list", "--format", "freeze"]),
    );
    let found = succeed(
        Command::new("find")
            .arg(&app.tree)
            .args(["-name", "flavor.pth"]),
    );
    let found = text(&found.stdout).trim().to_owned();
    let site = Path::new(&found).parent().expect("flavor.pth").to_owned();
    // What comes first in the search path hides another of the same name: httpie asks for a pip of its own.
    let mut inside = BTreeMap::new();
    for directory in [site, app.tree.join("app/lib")] {
        for entry in fs::read_dir(directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let name = name.strip_suffix(".dist-info");
            if let Some((name, version)) = name.and_then(|name| name.split_once('-')) {
                let name = name.replace('_', "-").to_lowercase();
                inside.entry(name).or_insert(version.to_owned());
            }
        }
    }
    let listed: BTreeMap<String, String> = listed
        .lines()
        .filter_map(|line| line.split_once("=="))
        .map(|(name, version)| (name.replace('_', "-").to_lowercase(), version.to_owned()))
        .collect();
    assert_eq!(listed, inside);

    // Nothing of the caller's reaches it, and nothing of it reaches what it starts.
    let hostile = app.project.path().join("hostile");
    fs::create_dir(&hostile).unwrap();
    fs::write(hostile.join("httpie.py"), "print('taken over')\n").unwrap();
    let output = app
        .start(&["--version"])
        .current_dir(&hostile)
        .env("PYTHONPATH", &hostile)
        .env("PYTHONHOME", "/nonexistent")
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "3.2.4\n", "{}", text(&output.stderr));
    let facts = "import os, ssl, sqlite3, ctypes, sys; print(sys.executable, [n for n in os.environ if n.startswith(('PYTHON', 'LD_'))])";
    let output = succeed(&mut python(&app, &["-c", facts]));
    let output = text(&output.stdout).into_owned();
    assert!(output.ends_with("/rt/bin/python3 []\n"), "{output}");
    assert!(
        output.starts_with(&app.project.cache().display().to_string()),
        "{output}"
    );

    let venv = app.project.path().join("venv");
    succeed(python(&app, &["-m", "venv", "--without-pip"]).arg(&venv));
    let output = succeed(
        Command::new(venv.join("bin/python")).args(["-c", "import sys; print(sys.prefix)"]),
    );
    assert_eq!(text(&output.stdout).trim(), venv.display().to_string());
}

#[test]
fn black_formats_files_in_several_processes() {
    let app = App::pack("black");
    let script = app.tree.join("app/bin/black").display().to_string();
    for (directory, is_unpacked) in [("a", false), ("b", true)] {
        let directory = app.project.path().join(directory);
        fs::create_dir(&directory).unwrap();
        for name in ["x.py", "y.py"] {
            fs::write(directory.join(name), "x = {  'a':1 }\n").unwrap();
        }
        let mut command = match is_unpacked {
            true => unpacked(&app, &["-s", &script, "--workers", "2", "."]),
            false => app.start(&["--workers", "2", "."]),
        };
        succeed(
            command
                .current_dir(&directory)
                .env("HOME", app.project.path()),
        );
        for name in ["x.py", "y.py"] {
            assert_eq!(
                fs::read_to_string(directory.join(name)).unwrap(),
                "x = {\"a\": 1}\n"
            );
        }
    }
    let said = alone(&app, &[&["--code", "x = {  'a':1 }"], &["--version"]]);
    assert_eq!(said[0], "x = {\"a\": 1}\n");
    assert!(said[1].contains("25.9.0 (compiled: yes)"), "{}", said[1]);
    says_nothing_of_this_machine(&app);
}

#[test]
fn numpy_computes() {
    let app = App::pack("numpy");
    let script = app.tree.join("solve.py").display().to_string();
    let said = same(&mut app.start(&[]), &mut unpacked(&app, &["-s", &script]));
    assert_eq!(said, "2.3.4 True\n");
    // Its modules need the C++ library, which wheels leave to the host.
    assert!(app.tree.join("app/native/libstdc++.so.6").exists());
    assert_eq!(alone(&app, &[&[], &[]]), [said.as_str(), said.as_str()]);
    says_nothing_of_this_machine(&app);
}

#[test]
fn a_project_with_commands_serves_a_page_and_gives_the_same_bytes_again() {
    let app = App::pack("flask-hello");
    let answer = app.get("/hello/you");
    assert!(answer.contains("\"hello\":\"you\""), "{answer}");
    assert!(answer.contains("/rt/bin/python3\""), "{answer}");

    let output = succeed(app.start(&[]).env("FLAVOR_COMMAND", "flask-workers"));
    assert_eq!(text(&output.stdout), "285\n");
    says_nothing_of_this_machine(&app);
    let root = Root::new(&app.package, true);
    let answer = App::answer(root.start(&[]), "/hello/you");
    assert!(answer.contains("\"hello\":\"you\""), "{answer}");
    let mut workers = root.start(&[]);
    let output = succeed(workers.env("FLAVOR_COMMAND", "flask-workers"));
    assert_eq!(text(&output.stdout), "285\n");
    // Its build tool would leave these in the project.
    for left in ["build", "src/flask_hello.egg-info"] {
        assert!(!app.project.path().join("source").join(left).exists());
    }
    let again = App::pack("flask-hello");
    assert!(
        fs::read(&app.package).unwrap() == fs::read(&again.package).unwrap(),
        "packed twice, the same project gives different packages"
    );
}

/// A project without a dependency, whose build needs none either: an in-tree backend.
fn offline(tool: &str) -> Project {
    let project = Project::new();
    let code =
        "import os\n\ndef main():\n    print('small', os.environ.get('A'), os.environ.get('B'))\n";
    write_project(&project, "", "small", code, tool);
    project
}

/// Packs a project without a network.
fn pack(project: &Project) -> Command {
    let mut command = flavor();
    command.args(["pack", "--level", "1", "--no-cache", "--key-seed", "tests"]);
    command.arg("--output").arg(project.output());
    command.env("PIP_NO_INDEX", "1");
    command
}

#[test]
fn a_python_project_of_flavorpack_builds_with_its_dependencies_and_starts() {
    let tool = "[project.scripts]\nsmall = \"small:main\"\n[tool.flavor]\npackage_name = \"renamed\"\n\
                [tool.flavor.build]\ndependencies = [\"lib\"]\n\
                [tool.flavor.execution.runtime.env]\nunset = [\"A\"]\nset = { B = \"b\" }\n\
                [tool.flavor.policy]\nrequire_env = [\"NEEDED\"]\n";
    let project = Project::new();
    let code = "import os, helper\n\ndef main():\n    print(helper.NAME, os.environ.get('A'), os.environ.get('B'))\n";
    write_project(&project, "", "small", code, tool);
    write_project(&project, "lib/", "helper", "NAME = 'helped'\n", "");
    succeed(pack(&project).arg(project.path()));
    let package = project.output();
    let output = succeed(project.start(&package).env("A", "a").env("NEEDED", "1"));
    assert_eq!(text(&output.stdout), "helped None b\n");
    let refused = project.start(&package).output().unwrap();
    let said = text(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("NEEDED"),
        "{said}"
    );
    let inspected = succeed(flavor().arg("inspect").arg(&package));
    assert!(text(&inspected.stdout).contains("renamed 1.0"));
}

#[test]
fn a_project_without_a_manifest_is_packed_as_init_would_write_it() {
    let project = offline("[project.scripts]\nsmall = \"small:main\"\n");
    let output = succeed(pack(&project).arg(project.path()));
    let said = text(&output.stderr).into_owned();
    assert!(
        said.contains("no manifest; packing a Python project (pyproject.toml)")
            && said.contains("`flavor init` writes down what is assumed"),
        "{said}"
    );
    let assumed = fs::read(project.output()).unwrap();
    assert!(!project.path().join("flavor.toml").exists());
    let output = succeed(&mut project.start(&project.output()));
    assert_eq!(text(&output.stdout), "small None None\n");

    succeed(flavor().arg("init").arg(project.path()));
    succeed(pack(&project).arg(project.path()));
    assert!(
        assumed == fs::read(project.output()).unwrap(),
        "the written manifest gives another package"
    );
    // What a person has written is not replaced unless they say so.
    project.manifest("# mine\n");
    let output = flavor().arg("init").arg(project.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(project.read_manifest(), "# mine\n");
    succeed(flavor().args(["init", "--force"]).arg(project.path()));
    assert!(project.read_manifest().contains("[python]"));
}

#[test]
fn what_cannot_be_packed_is_said_in_two_lines_and_leaves_nothing() {
    let project = offline("");
    for (python, status, fact, help) in [
        (
            "project = \".\"\nentry-point = \"small:missing\"",
            2,
            "`small:missing` cannot be started from the packed tree",
            "--no-check",
        ),
        (
            "project = \".\"\nmodule = \"nowhere\"",
            2,
            "no module named nowhere",
            "--no-check",
        ),
        (
            "requirements = [\"surely-not-there==1\"]\nmodule = \"x\"",
            3,
            "pip failed: ",
            "check the requirements",
        ),
        (
            "project = \".\"\nruntime = \"3.99\"\nmodule = \"small\"",
            3,
            "no Python 3.99 is on this machine",
            "uv python install 3.99",
        ),
        (
            "project = \".\"\nruntime = \"small.py\"\nmodule = \"small\"",
            2,
            "small.py is no Python interpreter, and holds none",
            "archive",
        ),
        (
            "project = \"nowhere\"\nmodule = \"small\"",
            2,
            "nowhere: No such file",
            "relative to the manifest",
        ),
    ] {
        project.manifest(&format!(
            "[package]\nname = \"demo\"\nversion = \"1\"\n[python]\n{python}\n"
        ));
        let mut pack = flavor();
        pack.args(project.pack_args()).env("PIP_NO_INDEX", "1");
        project.refuses(&mut pack, status, fact, help);
    }
    // What is not checked is not stopped.
    project.manifest("[package]\nname = \"demo\"\nversion = \"1\"\n[python]\nproject = \".\"\nentry-point = \"small:missing\"\n");
    let output = flavor()
        .args(project.pack_args())
        .arg("--no-check")
        .env("PIP_NO_INDEX", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn extension_modules_for_another_python_are_refused() {
    let facts =
        "import sysconfig as s, sys; print(s.get_config_var('EXT_SUFFIX'), sys.version.split()[0])";
    let facts = succeed(Command::new("python3").args(["-c", facts]));
    let facts = text(&facts.stdout).into_owned();
    let (own, version) = facts.trim().split_once(' ').unwrap();
    let other = ".cpython-399-x86_64-linux-gnu.so";
    let mac = ".cpython-399-darwin.so";
    // Any library of this machine will do as a module of the right kind: it is not imported here.
    let library = std::env::current_exe().unwrap();
    for (files, refused) in [
        (
            &[(other, true)][..],
            Some(
                "_x.cpython-399-x86_64-linux-gnu.so is an extension module for cpython-399-x86_64-linux-gnu",
            ),
        ),
        (
            &[(mac, true)],
            Some("_x.cpython-399-darwin.so is an extension module for cpython-399-darwin"),
        ),
        (
            &[(own, false)],
            Some("is no extension module for linux_amd64"),
        ),
        (&[(other, true), (own, true)], None),
        (&[(other, true), (".abi3.so", true)], None),
        (&[(".so", false)], None),
    ] {
        let project = offline("");
        for (suffix, is_real) in files {
            let content = match is_real {
                true => fs::read(&library).unwrap(),
                false => b"no library".to_vec(),
            };
            project.file(&format!("_x{suffix}"), 0o644, &content);
        }
        project.manifest("[python]\nproject = \".\"\nmodule = \"small\"\n");
        let scratch = project.path().join("scratch");
        fs::create_dir_all(&scratch).unwrap();
        let pack = |flags: &[&str]| {
            let mut command = flavor();
            command.args(project.pack_args()).args(flags);
            command.env("PIP_NO_INDEX", "1").env("TMPDIR", &scratch);
            command.output().unwrap()
        };
        let output = pack(&[]);
        let said = text(&output.stderr).into_owned();
        match refused {
            Some(fact) => {
                assert_eq!(output.status.code(), Some(2), "{said}");
                assert!(said.contains(fact) && said.contains("--no-check"), "{said}");
                let is_by_tag = !said.contains("linux_amd64");
                assert!(
                    !is_by_tag || said.contains(&format!("the interpreter is cpython {version}")),
                    "{said}"
                );
                assert!(!project.output().exists());
            }
            None => assert!(output.status.success(), "{said}"),
        }
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0, "{said}");
        if refused.is_some() {
            assert!(pack(&["--no-check"]).status.success());
        }
    }
}

#[test]
fn uv_installs_the_interpreter_where_that_is_asked_for() {
    let facts = "import sys; print(sys._base_executable, '%d.%d' % sys.version_info[:2])";
    let facts = succeed(Command::new("python3").args(["-I", "-c", facts]));
    let facts = text(&facts.stdout).into_owned();
    let (real, version) = facts.trim().split_once(' ').unwrap();
    let project = offline("[project.scripts]\nsmall = \"small:main\"\n");
    let path = |name: &str| project.path().join(name);
    // It notes what it is called with, and 'installs' a link to the real interpreter.
    let fake = format!(
        "#!/bin/sh\necho \"$*\" >> '{log}'\ncase $2 in\n\
         find) [ -e '{installed}' ] || exit 1; echo '{installed}' ;;\n\
         install) /bin/ln -s '{real}' '{installed}' ;;\nesac\n",
        log = path("log").display(),
        installed = path("python").display(),
    );
    let pack = |install: bool, directory: &str| {
        project.manifest(&format!(
            "[python]\nproject = \".\"\nruntime = \"{version}\"\ninstall = {install}\n"
        ));
        let mut command = flavor();
        command.args(project.pack_args()).env("PIP_NO_INDEX", "1");
        // Nothing else is there that could be an interpreter.
        command.env("PATH", path(directory)).output().unwrap()
    };
    fs::create_dir(path("nothing")).unwrap();
    let output = pack(true, "nothing");
    let said = text(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    let fact = format!("no Python {version} is on this machine, nor uv, which would install it");
    assert!(
        said.contains(&fact) && said.contains("help: install uv"),
        "{said}"
    );

    project.file("bin/uv", 0o755, fake.as_bytes());
    let output = pack(false, "bin");
    let said = text(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("install = true"), "{said}");
    assert!(!path("python").exists());
    fs::remove_file(path("log")).unwrap();

    let output = pack(true, "bin");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let find = format!("python find --no-python-downloads {version}\n");
    let log = fs::read_to_string(path("log")).unwrap();
    assert_eq!(log, format!("{find}python install {version}\n{find}"));
    let output = succeed(&mut project.start(&project.output()));
    assert_eq!(text(&output.stdout), "small None None\n");

    // One that is there is not installed again.
    fs::remove_file(path("log")).unwrap();
    assert!(pack(true, "bin").status.success());
    assert_eq!(fs::read_to_string(path("log")).unwrap(), find);

    // And one that cannot be had is an error of two lines.
    fs::remove_file(path("python")).unwrap();
    let broken = "#!/bin/sh\necho 'error: no route to host' >&2\nexit 2\n";
    project.file("bin/uv", 0o755, broken.as_bytes());
    let output = pack(true, "bin");
    let said = text(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("uv failed: error: no route to host"),
        "{said}"
    );

    project.manifest("[package]\nname = \"a\"\nversion = \"1\"\n[python]\nmodule = \"small\"\nproject = \".\"\ninstall = true\n");
    let output = flavor().args(project.pack_args()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr)
            .contains("`install` in [python] must be absent, or false, without a version")
    );
}

/// Writes an archive of the interpreter that is here, laid out as python-build-standalone has it: what it needs to start, pip's
/// wheel, a link and a hard link.
const ARCHIVE: &str = r#"
import glob, os, sys, sysconfig, tarfile

LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "lib2to3", "site-packages", "dist-packages", "__pycache__", "turtledemo"}

def wanted(info):
    name = info.name.rsplit("/", 1)[-1]
    return None if name in LEFT_OUT or name.startswith(("config-", "_tkinter")) or name.endswith(".a") else info

name = "python%d.%d" % sys.version_info[:2]
stdlib = sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix})
with tarfile.open(sys.argv[1], "w:gz" if sys.argv[1].endswith("gz") else "w") as out:
    out.add(os.path.realpath(getattr(sys, "_base_executable", sys.executable)), "python/install/bin/" + name)
    for link, kind in [("python3", tarfile.SYMTYPE), ("python", tarfile.LNKTYPE)]:
        info = tarfile.TarInfo("python/install/bin/" + link)
        info.type, info.linkname = kind, name if kind == tarfile.SYMTYPE else "python/install/bin/" + name
        out.addfile(info)
    out.add(stdlib, "python/install/lib/" + name, filter=wanted)
    for library in glob.glob(os.path.join(sys.base_prefix, "lib", "libpython3*.so*")):
        out.add(library, "python/install/lib/" + os.path.basename(library))
"#;

#[test]
fn an_archive_of_an_interpreter_needs_no_program_to_unpack_it() {
    let project = offline("[project.scripts]\nsmall = \"small:main\"\n");
    let path = |name: &str| project.path().join(name);
    for name in ["python.tar", "python.tar.gz"] {
        succeed(
            Command::new("python3")
                .args(["-I", "-c", ARCHIVE])
                .arg(path(name)),
        );
    }
    let tar = fs::read(path("python.tar")).unwrap();
    fs::write(
        path("python.tar.zst"),
        zstd::encode_all(&tar[..], 1).unwrap(),
    )
    .unwrap();
    // Cut off, and without an interpreter.
    fs::write(path("cut.tar"), &tar[..tar.len() / 2]).unwrap();
    fs::write(path("empty.tar"), [0; 10240]).unwrap();
    drop(tar);
    fs::remove_file(path("python.tar")).unwrap();
    fs::create_dir(path("nothing")).unwrap();
    let scratch = path("scratch");
    let pack = |name: &str| {
        fs::create_dir_all(&scratch).unwrap();
        project.manifest(&format!(
            "[python]\nproject = \".\"\nruntime = \"{name}\"\n"
        ));
        let mut command = flavor();
        command.args(project.pack_args()).env("PIP_NO_INDEX", "1");
        // No tar, gzip or zstd is there.
        command.env("PATH", path("nothing")).env("TMPDIR", &scratch);
        command.output().unwrap()
    };
    for name in ["python.tar.gz", "python.tar.zst"] {
        let output = pack(name);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let output = succeed(&mut project.start(&project.output()));
        assert_eq!(text(&output.stdout), "small None None\n", "{name}");
        fs::remove_file(project.output()).unwrap();
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0, "{name}");
    }
    for (name, fact) in [
        ("cut.tar", "cut.tar is truncated"),
        (
            "empty.tar",
            "empty.tar is no Python interpreter, and holds none",
        ),
    ] {
        let output = pack(name);
        let said = text(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(fact) && said.contains("\nhelp: "), "{said}");
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0, "{said}");
    }
}

#[test]
fn the_log_of_a_pipeline_says_what_runs() {
    let project = offline("[project.scripts]\nsmall = \"small:main\"\n");
    let backend = fs::read_to_string(project.path().join("backend.py")).unwrap();
    let first = "    info = ";
    let slow = backend.replace(
        first,
        &format!("    import time\n    time.sleep(11)\n{first}"),
    );
    assert!(slow != backend);
    project.file("backend.py", 0o644, slow.as_bytes());
    project.manifest("[python]\nproject = \".\"\n");
    for (flag, is_said) in [(None, true), (Some("--quiet"), false)] {
        let mut command = flavor();
        command.args(flag).args(project.pack_args());
        let output = succeed(command.env("PIP_NO_INDEX", "1"));
        let said = text(&output.stderr).into_owned();
        let is = said
            .lines()
            .any(|line| line.starts_with("running pip install (1"));
        assert_eq!(is, is_said, "{said}");
        assert!(!said.contains(['\r', '\u{1b}']), "{said}");
    }
}
