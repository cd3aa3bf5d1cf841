//! `[node]`: an application from npm with the runtime that is here, compared with the same tree unpacked; and mistakes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use psp_testkit::app::{App, same, succeed};
use psp_testkit::project::{Project, flavor, need, text};
use psp_testkit::root::Root;

#[test]
fn a_server_with_dependencies_answers() {
    need("npm", "install Node 20 or newer");
    let app = App::pack("node-server");
    let answer = app.get("/hello/you");
    assert!(answer.contains("\"hello\":\"you\""), "{answer}");
    // The runtime itself, so that an application can start it again.
    assert!(answer.contains("/bin/node\""), "{answer}");

    assert!(app.tree.join("app/node_modules/express").exists());
    assert!(!app.tree.join("app/node_modules/left-pad").exists());
    let script = app.tree.join("app/sum.js").display().to_string();
    let mut sum = app.start(&["1", "2", "3"]);
    // What changes a runtime does not reach the packed one.
    sum.env("FLAVOR_COMMAND", "node-sum")
        .env("NODE_OPTIONS", "--nonsense");
    let said = same(
        &mut sum,
        &mut app.unpacked("rt/bin/node", &[&script, "1", "2", "3"]),
    );
    assert_eq!(said, "6\n");
    app.says_nothing_of(&[]);

    let root = Root::new(&app.package, true);
    let answer = App::answer(root.start(&[]), "/hello/you");
    assert!(answer.contains("\"hello\":\"you\""), "{answer}");
    let output = root
        .start(&["1", "2"])
        .env("FLAVOR_COMMAND", "node-sum")
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "3\n", "{}", text(&output.stderr));
}

#[test]
fn a_project_without_dependencies_needs_no_lock_file() {
    let project = Project::new();
    project.file(
        "package.json",
        0o644,
        br#"{"name": "@scope/tool", "version": "1.0.0", "main": "./lib/index.js"}"#,
    );
    project.file("lib/index.js", 0o644, b"console.log(__dirname)\n");
    project.file("node_modules/x/index.js", 0o644, b"");
    project.file(".npmrc", 0o644, b"//registry.example/:_authToken=secret\n");
    project.file(".env", 0o644, b"TOKEN=secret\n");
    succeed(flavor().arg("keygen").current_dir(project.path()));
    project.manifest("[node]\n");
    let package = project.pack();
    let said = succeed(&mut project.start(&package));
    assert!(
        text(&said.stdout).trim().ends_with("/lib"),
        "{}",
        text(&said.stdout)
    );
    let listed = succeed(flavor().args(["inspect", "--files"]).arg(&package));
    let listed = text(&listed.stdout).into_owned();
    assert!(
        listed.contains("index.js") && !listed.contains("node_modules"),
        "{listed}"
    );
    // What is the owner's alone is in no package, least of all the key that signs.
    for secret in ["flavor-signing.key", ".npmrc", ".env", "flavor.toml"] {
        assert!(!listed.contains(secret), "{listed}");
    }
    assert!(listed.contains("tool 1.0.0"), "{listed}");
}

#[test]
fn what_cannot_be_packed_is_said_in_two_lines_and_leaves_nothing() {
    let locked = r#"{"name":"a","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"a","version":"1.0.0"}}}"#;
    let needs = r#"{"name": "a", "version": "1.0.0", "dependencies": {"express": "5.1.0"}}"#;
    let plain = r#"{"name": "a", "version": "1.0.0"}"#;
    for (described, lock, node, status, fact, help) in [
        (plain, None, "", 2, "[node] has no `entry`", "add `entry"),
        (
            plain,
            None,
            "entry = \"x.js\"",
            2,
            "has no x.js",
            "build it first",
        ),
        (
            needs,
            None,
            "entry = \"a.js\"",
            2,
            "has dependencies and no package-lock.json",
            "npm install --package-lock-only",
        ),
        (
            needs,
            Some(locked),
            "entry = \"a.js\"",
            3,
            "npm failed: Missing: express@5.1.0 from lock file",
            "package-lock.json matches package.json",
        ),
        (
            plain,
            None,
            "entry = \"a.js\"\nruntime = \"99\"",
            3,
            "no Node 99 is on this machine; there is",
            "nvm install 99",
        ),
        (
            plain,
            None,
            "entry = \"a.js\"\nruntime = \"a.js\"",
            2,
            "is no Node that starts here",
            "`runtime` is",
        ),
        (
            "",
            None,
            "entry = \"a.js\"",
            2,
            "there is no package.json in",
            "`project` in [node]",
        ),
        (
            "{",
            None,
            "entry = \"a.js\"",
            2,
            "package.json",
            "https://json.org",
        ),
    ] {
        let project = Project::new();
        if !described.is_empty() {
            project.file("package.json", 0o644, described.as_bytes());
        }
        project.file("a.js", 0o644, b"");
        if let Some(lock) = lock {
            project.file("package-lock.json", 0o644, lock.as_bytes());
        }
        project.manifest(&format!(
            "[package]\nname = \"demo\"\nversion = \"1\"\n[node]\n{node}\n"
        ));
        project.refuses(flavor().args(project.pack_args()), status, fact, help);
    }
}
