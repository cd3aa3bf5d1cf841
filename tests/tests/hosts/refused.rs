//! Well signed packages whose metadata asks for what no package may have, started by their own launcher.

use std::fs;

use psp_testkit::host::refusal;
use psp_testkit::project::{Project, launcher};
use psp_testkit::writer::{Plan, Slot};
use serde_json::json;

/// Starts the package that the plan makes, where every name of a program that could be searched is a decoy. Gives the
/// message of the refusal; nothing has been made.
fn refused(launcher: &[u8], mut plan: Plan, what: &str) -> String {
    let project = Project::new();
    for name in ["sh", "app", "bin/app", "decoys/sh", "decoys/app"] {
        project.file(name, 0o755, b"#!/bin/sh\necho decoy\n");
    }
    plan.launcher = launcher.to_vec();
    project.file("p.psp", 0o755, &plan.bytes());
    let mut start = project.start(&project.path().join("p.psp"));
    let start = start.current_dir(project.path());
    let start = start.env("PATH", format!("{}/decoys:.", project.path().display()));
    let output = start.output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{what}");
    let message = refusal(&output);
    let count = fs::read_dir(project.path()).unwrap().count();
    assert_eq!(count, 5, "{what}: {message}");
    message
}

fn app() -> Slot {
    let mut slot = Slot::file(0, "app", b"#!/bin/sh\necho started\n");
    slot.target = "bin/app".to_owned();
    slot.mode = 0o755;
    slot
}

/// A command, a named command and a setup command that are a bare name or a relative path.
///
/// outcome: refused (125); nothing is made
/// layer: layout
/// message: expected a path that begins with {workenv}/ or /
#[test]
fn case_109_bare_and_relative_names() {
    let launcher = launcher();
    for name in [
        "sh",
        "./sh",
        "../sh",
        "bin/app",
        "",
        "{workenv}",
        "{cache}/app",
        "~/app",
    ] {
        let argv = json!([name]);
        let plan = || Plan::new().slot(app());
        for (what, plan) in [
            (
                "command",
                plan().set("/execution", "argv", argv.clone()).set(
                    "/execution",
                    "command",
                    json!(name),
                ),
            ),
            (
                "named",
                plan().set("", "commands", json!({"tool": {"argv": argv}})),
            ),
            ("setup", plan().set("", "setup", json!([{"argv": argv}]))),
        ] {
            let message = refused(launcher, plan, name);
            let fact = "expected a path that begins with {workenv}/ or /";
            assert!(message.contains(fact), "{what} {name:?}: {message}");
        }
    }
}

/// Slots whose targets lead outside, are absolute, empty, the work environment itself, or of the launcher's own names.
///
/// outcome: refused (125); nothing is made
/// layer: layout
/// message: not a slot path | names that begin with
#[test]
fn case_088_targets_that_lead_outside() {
    let launcher = launcher();
    for target in [
        "../x",
        "/x",
        "a/../../x",
        "{workenv}/../x",
        "",
        ".",
        "./x",
        "x/",
        "a//b",
        "..",
        ".flavor",
        ".flavor/x",
        ".flavorful",
    ] {
        let mut slot = Slot::file(1, "bad", b"x");
        slot.target = target.to_owned();
        let message = refused(launcher, Plan::new().slot(app()).slot(slot), target);
        let own = target.starts_with(".flavor");
        let fact = if own {
            "names that begin with"
        } else {
            "not a slot path"
        };
        assert!(message.contains("slots[1].target"), "{target:?}: {message}");
        assert!(message.contains(fact), "{target:?}: {message}");
    }
    // Where something else is already.
    let message = refused(
        launcher,
        Plan::new().slot(app()).slot(Slot {
            number: 1,
            id: "bad".to_owned(),
            ..app()
        }),
        "twice",
    );
    assert!(message.contains("target"), "{message}");
}
