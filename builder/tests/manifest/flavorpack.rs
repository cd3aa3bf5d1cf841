//! The manifests of flavorpack: what each key becomes, and every mistake with the path of its key.

use flavor::manifest::{Made, MadeKind, Reading, load_with};
use serde_json::{Value, json};

use super::*;

/// The least that flavorpack's builders take.
fn least() -> Value {
    json!({
        "package": {"name": "app", "version": "1.0"},
        "slots": [{"id": "run", "source": "run.sh", "target": "bin/run"}],
        "execution": {"command": "{workenv}/bin/run"},
    })
}

/// Every key there is.
fn most() -> Value {
    json!({
        "format": "PSPF/2025",
        "package": {
            "name": "app", "version": "1.0", "description": "d", "license": "MIT", "homepage": "https://example.org",
            "authors": ["A"],
        },
        "slots": [
            {
                "slot": 0, "id": "run", "source": "{workenv}/run.sh", "target": "{workenv}/bin/run", "operations": "none",
                "purpose": "tool", "lifecycle": "cache", "permissions": "0750", "resolution": "build", "type": "file",
            },
            {"slot": 1, "id": "python", "source": "python.tgz", "target": "{workenv}", "operations": "tgz"},
            {"id": "wheels", "source": "wheels.tar", "target": "wheels", "operations": "tar", "lifecycle": "init"},
            {"id": "uv", "source": "uv.gz", "target": "bin/uv", "operations": "gzip", "purpose": "media"},
            {"id": "tree", "source": "tree", "target": "share/app/", "operations": "tar.zst"},
        ],
        "execution": {"command": "{workenv}/bin/run '{slot:3} x' {version} {slot:1}/y", "env": {"A": "{slot:2}"}},
        "runtime": {"env": {"unset": ["PYTHON*"], "pass": ["PYTHONUTF8"], "map": {"B": "C"}, "set": {"D": "1"}}},
        "workenv": {
            "directories": [{"path": "{workenv}"}, {"path": "{workenv}/tmp"}, {"path": "var/log", "mode": "755"}],
            "env": {"HOME": "{workenv}/home", "D": "2"},
        },
        "setup_commands": [
            {"type": "write_file", "path": "{workenv}/etc/app", "content": "{package_name} 1\n", "mode": "0600"},
            {"type": "write_file", "path": "{workenv}/etc/run", "content": ""},
            {"type": "chmod", "path": "{workenv}/etc/run", "mode": "700", "description": "for all"},
            {"type": "execute", "command": "{workenv}/bin/run \"a b\"", "env": {"E": "1"}, "cwd": "{workenv}"},
            "touch {workenv}/here",
            {"type": "write_file", "path": "{workenv}/metadata/installed", "content": "{package_name}-{version}"},
        ],
        "cache_validation": {"check_file": "{workenv}/metadata/installed", "expected_content": "app-1.0"},
        "policy": {"platforms": ["linux_arm64"], "refuse_root": true, "max_age_days": 7, "require_env": ["HOME"]},
        "signature": {"private_key": "release.key", "public_key": null},
    })
}

fn directory_of(manifest: &str) -> TempDir {
    let dir = directory(&[("x.json", manifest), ("run.sh", "#!/bin/sh\n")]);
    fs::create_dir(dir.path().join("tree")).unwrap();
    dir
}

fn load_json(manifest: &Value) -> (TempDir, Project) {
    let dir = directory_of(&manifest.to_string());
    let project = load_with(&dir.path().join("x.json"), Path::new("base"));
    let project = project.unwrap_or_else(|error| panic!("{error}\n{}", error.help()));
    (dir, project)
}

/// The message without the directory, and the help.
fn refused_json(manifest: &str) -> (String, String) {
    let dir = directory_of(manifest);
    let error = manifest::load(&dir.path().join("x.json")).expect_err(manifest);
    (without(&error.to_string(), dir.path()), error.help())
}

#[test]
fn the_least_that_builds_has_the_defaults_of_flavorpack() {
    let (dir, project) = load_json(&least());
    let slot = &project.slots[0];
    assert_eq!(slot.source, dir.path().join("run.sh"));
    assert_eq!(
        (slot.target.as_str(), slot.lifecycle, slot.purpose),
        ("bin/run", Lifecycle::Runtime, Purpose::Data)
    );
    assert_eq!(
        (slot.permissions, slot.mutable, &slot.reading),
        (None, false, &Reading::File)
    );
    assert_eq!(project.command.argv(), ["{workenv}/bin/run"]);
    assert!(project.made.is_empty() && project.setup.is_empty() && !project.installs);
    assert_eq!((project.policy, project.sign), (None, None));
}

#[test]
fn every_key_becomes_something() {
    let (dir, project) = load_json(&most());
    assert_eq!(project.package.description.as_deref(), Some("d"));
    let slots: Vec<_> = project
        .slots
        .iter()
        .map(|slot| (slot.target.as_str(), &slot.reading))
        .collect();
    let at_root = |stated: &str| Reading::AtRoot {
        stated: stated.into(),
    };
    assert_eq!(
        slots,
        [
            ("bin/run", &Reading::File),
            (".", &at_root(".")),
            (".", &at_root("wheels")),
            ("bin/uv", &Reading::Decompressed),
            ("share/app", &Reading::ByName),
        ]
    );
    let run = &project.slots[0];
    assert_eq!(run.source, Path::new("base/run.sh"));
    assert_eq!(
        (run.lifecycle, run.purpose, run.permissions),
        (Lifecycle::Cached, Purpose::Tool, Some(0o750))
    );
    assert!(project.slots.iter().all(|slot| slot.mutable));
    assert_eq!(
        project.command.argv(),
        [
            "{workenv}/bin/run",
            "{workenv}/bin/uv x",
            "{version}",
            "{workenv}/y"
        ]
    );
    assert_eq!(project.command.env, map(&[("A", "{workenv}/wheels")]));
    assert_eq!(
        project.env,
        EnvRules {
            unset: texts(&["PYTHON*"]),
            pass: texts(&["PYTHONUTF8"]),
            map: map(&[("B", "C")]),
            set: map(&[("D", "1"), ("HOME", "{workenv}/home")]),
        }
    );
    let made = |path: &str, mode, content: Option<&str>| Made {
        path: path.into(),
        kind: content.map_or(MadeKind::Directory, |content| {
            MadeKind::File(content.into())
        }),
        mode,
    };
    assert_eq!(
        project.made,
        [
            made("tmp", 0o700, None),
            made("var/log", 0o755, None),
            made("etc/app", 0o600, Some("{package_name} 1\n")),
            made("etc/run", 0o700, Some("")),
        ]
    );
    let setup: Vec<_> = project.setup.iter().map(Command::argv).collect();
    assert_eq!(setup[0], ["{workenv}/bin/run", "a b"]);
    assert_eq!(project.setup[0].env, map(&[("E", "1")]));
    assert_eq!(project.setup[0].cwd.as_deref(), Some("{workenv}"));
    assert_eq!(setup[1], ["/usr/bin/env", "touch", "{workenv}/here"]);
    assert_eq!(setup[2][..2], ["/bin/sh", "-c"]);
    assert_eq!(
        setup[2][3..],
        [
            "sh",
            "{package_name}-{version}",
            "{workenv}/metadata/installed",
            "0644"
        ]
    );
    // What a command writes needs no check.
    assert_eq!(setup.len(), 3);
    assert!(project.installs);
    let policy = project.policy.unwrap();
    assert_eq!((policy.max_age_days, policy.refuse_root), (7, true));
    assert_eq!(
        project.sign.unwrap().key,
        KeySource::File(dir.path().join("release.key"))
    );
}

#[test]
fn what_is_not_written_is_checked() {
    let mut manifest = most();
    manifest["cache_validation"]["expected_content"] = "other\n".into();
    let (_dir, project) = load_json(&manifest);
    let check = project.setup.last().unwrap().argv();
    assert_eq!(check[3..], ["sh", "{workenv}/metadata/installed", "other"]);
}

#[test]
fn enumerating_and_globs_go_through_the_shell_as_arguments() {
    let mut manifest = least();
    manifest["setup_commands"] = json!([
        {
            "type": "enumerate_and_execute", "command": "{workenv}/bin/run -i",
            "enumerate": {"path": "{workenv}/wheels", "pattern": "*.whl"},
        },
        {"type": "chmod", "path": "{workenv}/bin/*", "mode": "700"},
        {"type": "chmod", "path": "{workenv}/bin/run", "mode": "0755"},
        {"type": "write_file", "path": "{workenv}/where", "content": "{workenv}"},
    ]);
    let (_dir, project) = load_json(&manifest);
    let args: Vec<_> = project
        .setup
        .iter()
        .map(|command| command.argv()[4..].to_vec())
        .collect();
    assert_eq!(
        args[0],
        ["{workenv}/wheels", "*.whl", "{workenv}/bin/run", "-i"]
    );
    assert_eq!(args[1], ["0700", "{workenv}/bin", "*"]);
    assert_eq!(args[2], ["0755", "{workenv}/bin/run"]);
    assert_eq!(args[3], ["{workenv}", "{workenv}/where", "0644"]);
}

#[test]
fn programs_may_be_written_or_installed_by_the_setup() {
    let write = json!([{"type": "write_file", "path": "{workenv}/bin/app", "content": "#!/bin/sh", "mode": "0755"}]);
    let install = json!([{"type": "execute", "command": "{workenv}/bin/run --install"}]);
    for setup in [write, install] {
        let mut manifest = least();
        manifest["execution"]["command"] = "{workenv}/bin/app".into();
        manifest["setup_commands"] = setup;
        load_json(&manifest);
    }
    // The first command has nothing that could have installed it.
    let mut manifest = least();
    manifest["setup_commands"] = json!([{"type": "execute", "command": "{workenv}/bin/app"}]);
    let (found, _) = refused_json(&manifest.to_string());
    assert!(
        found.contains("[[setup]] starts `{workenv}/bin/app`, a command that no slot provides"),
        "{found}"
    );
}

#[test]
fn what_the_go_launcher_alone_reads_counts() {
    let mut manifest = least();
    manifest["execution"]["environment"] = json!({"A": "1"});
    let (_dir, project) = load_json(&manifest);
    assert_eq!(project.command.env, map(&[("A", "1")]));
}

/// Each case puts a value at a path of the least manifest.
#[test]
fn mistakes_are_named_with_the_path_of_their_key() {
    let slot = |key: &str, value: Value| {
        let mut slot = least()["slots"][0].clone();
        slot[key] = value;
        ("slots", json!([slot]))
    };
    let setup = |value: Value| ("setup_commands", json!([value]));
    let command = |text: &str| ("execution", json!({"command": text}));
    let cases = [
        (
            ("pakage", json!({})),
            "unknown key `pakage` in the manifest",
            "did you mean `package`?",
        ),
        (
            ("verification", json!({})),
            "unknown key `verification` in the manifest",
            "the manifest knows package, slots",
        ),
        (
            ("format", json!("PSPF/2024")),
            "`format` in the manifest must be `PSPF/2025`",
            "\"format\": \"PSPF/2025\"",
        ),
        (
            ("package", json!({"name": "App", "version": "1"})),
            "`name` in package must be 1 to 64 of a-z",
            "\"name\": \"my-app\"",
        ),
        (
            ("package", json!({"name": "app"})),
            "package has no `version`",
            "add `\"version\": \"1.0.0\"`",
        ),
        (
            ("package", json!(7)),
            "`package` in the manifest must be an object, but is 7",
            "\"package\": {...}",
        ),
        (
            ("slots", json!({})),
            "`slots` in the manifest must be a list, but is an object",
            "[...]",
        ),
        (
            slot("taget", json!("x")),
            "unknown key `taget` in slots[0]",
            "did you mean `target`?",
        ),
        (
            slot("slot", json!(5)),
            "`slot` in slots[0] must be an integer from 0 to 0, but is 5",
            "\"slot\": 0",
        ),
        (
            slot("source", json!("$SELF")),
            "`slots[0].source` is `$SELF`: a package cannot hold itself",
            "FLAVOR_ORIGINAL_COMMAND",
        ),
        (
            slot("target", json!("/bin/run")),
            "`slots[0].target` is `/bin/run`, which is not in the work environment",
            "a package writes nowhere else",
        ),
        (
            slot("target", json!("{workenv}/../run")),
            "`slots[0].target` is `{workenv}/../run`, which is not in",
            "`..`",
        ),
        (
            slot("target", json!("{workenv}")),
            "`target` in slots[0] must be the path of the file",
            "bin/app",
        ),
        (
            slot("target", json!("a//b")),
            "`target` in slots[0] is \"a//b\", no path inside a package",
            "relative and plain",
        ),
        (
            slot("operations", json!("tar.zs")),
            "`operations` in slots[0] must be one of none, raw, tar, gzip",
            "\"operations\": \"tar.zst\"",
        ),
        (
            slot("purpose", json!("librray")),
            "`purpose` in slots[0] must be one of payload, data",
            "\"purpose\": ",
        ),
        (
            slot("lifecycle", json!("shutdown")),
            "`lifecycle` in slots[0] must be one of cached, runtime",
            "\"lifecycle\": ",
        ),
        (
            slot("permissions", json!("rwx")),
            "`permissions` in slots[0] must be octal digits",
            "\"0755\"",
        ),
        (
            slot("permissions", json!("4755")),
            "`permissions` in slots[0] must be octal digits",
            "\"0755\"",
        ),
        (
            slot("resolution", json!("runtime")),
            "`resolution` in slots[0] must be `build`",
            "\"build\"",
        ),
        (
            slot("type", json!("directory")),
            "`type` in slots[0] must be `file`",
            "\"file\"",
        ),
        (
            command("{workenv}/bin/run 'x"),
            "`execution.command` has a quotation mark that is not closed",
            "close it",
        ),
        (
            command("{workenv}/bin/run a\\ b"),
            "`execution.command` has a backslash",
            "single quotation marks",
        ),
        (
            command(""),
            "`execution.command` names no program",
            "write the program first",
        ),
        (
            command("bin/run"),
            "`execution.command` starts `bin/run`, a path that depends",
            "{workenv}/bin/app",
        ),
        (
            command("A=1 run"),
            "`execution.command` starts `A=1`, which is not the name of a program",
            "the path of the program",
        ),
        (
            command("{workenv}/../sh"),
            "`command` in execution is `{workenv}/../sh`, no path inside",
            "relative and plain",
        ),
        (
            command("{workenv}/bin/run {slot:1}"),
            "`execution.command` names `{slot:1}`, but there are 1 slots",
            "count the slots from 0",
        ),
        (
            command("{workenv}/bin/other"),
            "[command] starts `{workenv}/bin/other`, a command that no slot provides",
            "{workenv}/bin/run",
        ),
        (
            ("execution", json!({"command": "x", "args": []})),
            "unknown key `args` in execution",
            "execution knows command, env, environment",
        ),
        (
            (
                "execution",
                json!({"command": "x", "env": {}, "environment": {}}),
            ),
            "`execution.environment` is there twice, as `env` too",
            "keep one of them",
        ),
        (
            ("execution", json!({"command": "x", "env": {"A=": ""}})),
            "`A=` in execution.env is not the name of a variable",
            "\"NAME\"",
        ),
        (
            ("runtime", json!({"env": {"isolated": true}})),
            "unknown key `isolated` in runtime.env",
            "unset, pass, map, set",
        ),
        (
            ("runtime", json!({"env": {"unset": [1]}})),
            "`unset[0]` in runtime.env must be text in quotes",
            "\"unset\": ",
        ),
        (
            ("workenv", json!({"directories": [{"path": "/var"}]})),
            "`workenv.directories[0].path` is `/var`, which is not in",
            "writes nowhere else",
        ),
        (
            (
                "workenv",
                json!({"directories": [{"path": "x", "mode": "9"}]}),
            ),
            "`mode` in workenv.directories[0] must be octal",
            "0755",
        ),
        (
            setup(json!({"type": "shell"})),
            "`setup_commands[0].type` is `shell`, which is no kind of setup command",
            "enumerate_and_execute",
        ),
        (
            setup(json!({"command": "x"})),
            "setup_commands[0] has no `type`",
            "\"type\": \"execute\"",
        ),
        (
            setup(json!({"type": "execute", "path": "x"})),
            "unknown key `path` in setup_commands[0]",
            "knows type, command, env, cwd",
        ),
        (
            setup(json!({"type": "execute"})),
            "setup_commands[0] has no `command`",
            "add",
        ),
        (
            setup(json!({"type": "write_file", "path": "rel", "content": ""})),
            "`setup_commands[0].path` is `rel`, which is not in the work environment",
            "{workenv}/",
        ),
        (
            setup(json!({"type": "chmod", "path": "{workenv}/x"})),
            "setup_commands[0] has no `mode`",
            "0755",
        ),
        (
            setup(
                json!({"type": "enumerate_and_execute", "command": "x", "enumerate": {"path": "{workenv}/x", "pattern": "a/*"}}),
            ),
            "`pattern` in setup_commands[0].enumerate must be a glob for the names",
            "*.whl",
        ),
        (
            ("cache_validation", json!({"check_file": "x"})),
            "cache_validation has no `expected_content`",
            "add",
        ),
        (
            ("policy", json!({"platforms": ["linux"]})),
            "`platforms[0]` in policy must be one of linux_amd64",
            "\"platforms\": ",
        ),
        (
            ("policy", json!({"require_env": ["É"]})),
            "`require_env[0]` in policy must be an ASCII name",
            "HOME",
        ),
        (
            ("signature", json!({"private_key": ""})),
            "`private_key` in signature must be a PEM file",
            "release.key",
        ),
    ];
    for ((key, value), message, help) in cases {
        let mut manifest = least();
        manifest[key] = value;
        let (found, found_help) = refused_json(&manifest.to_string());
        let expected = format!("x.json:1: {message}");
        // What many can be wrong about has no line.
        let is_named =
            found.starts_with(&expected) || found.starts_with(&format!("x.json: {message}"));
        assert!(is_named, "{found}\ninstead of {expected}");
        assert!(
            found_help.contains(help),
            "{found}\n{found_help}\ninstead of {help}"
        );
    }
}

#[test]
fn mistakes_have_lines_and_keys_that_stand_twice_are_refused() {
    let (found, _) =
        refused_json("{\n  \"package\": {\n    \"name\": \"x\",\n    \"name\": \"y\"\n  }\n}");
    assert_eq!(found, "x.json:4: two keys `name` in package");
    let (found, _) = refused_json("{\n  \"package\": {\n    \"name\": 1, \"version\": \"1\"}\n}");
    assert_eq!(
        found,
        "x.json:3: `name` in package must be text in quotes, but is 1"
    );
    let (found, help) = refused_json("{\n  // no\n}");
    assert!(found.starts_with("x.json:2: not valid JSON: "), "{found}");
    assert!(!found.contains("column"), "{found}");
    assert!(help.contains("no comments"));
    let (found, _) = refused_json("{} x");
    assert!(
        found.starts_with("x.json:1: not valid JSON: trailing characters"),
        "{found}"
    );
}
