//! Names, variables and references in the metadata (SPEC.md, M24 and M26). Every text here is canonical and signed.

use serde_json::{Value, json};

use super::metadata::{plan, refused};
use super::{Catalog, about};
use crate::writer::Plan;

pub(super) fn add(catalog: &mut Catalog) {
    commands(catalog);
    variables(catalog);
    values(catalog);
    let all = json!({
        "map": { "A": "B" }, "pass": ["LC_*", "HOME"], "set": { "C": "", "D": "a=b\n" }, "unset": ["*"],
    });
    let plan = plan().set("", "runtime", json!({ "env": all })).set(
        "",
        "commands",
        json!({ "a.b-c_D": { "argv": ["/bin/sh"] } }),
    );
    catalog.ok(
        about(
            "ok-rules",
            "M24 M26",
            "",
            "every rule for variables, and a name with every kind of byte",
        ),
        plan.bytes(),
    );
}

fn rule(catalog: &mut Catalog, name: &str, requirement: &str, comment: &str, plan: Plan) {
    refused(catalog, name, requirement, "106", comment, plan);
}

fn commands(catalog: &mut Catalog) {
    for (name, command) in [
        ("command-name-empty", ""),
        ("command-name-dash-first", "-x"),
        ("command-name-slash", "a/b"),
        ("command-name-newline", "a\n"),
        ("command-name-accent", "\u{e9}"),
    ] {
        let commands = json!({ command: { "argv": ["/bin/sh"] } });
        let comment = format!("a command named {command:?}");
        rule(
            catalog,
            name,
            "M24",
            &comment,
            plan().set("", "commands", commands),
        );
    }
    let long = json!({ "c".repeat(65): { "argv": ["/bin/sh"] } });
    let comment = "a command's name of 65 bytes";
    rule(
        catalog,
        "command-name-65",
        "M24",
        comment,
        plan().set("", "commands", long),
    );
    for (name, parent, key, value) in [
        ("cwd-nul", "/execution", "cwd", json!("a\0b")),
        (
            "cwd-command-nul",
            "",
            "commands",
            json!({ "x": { "argv": ["/bin/sh"], "cwd": "\0" } }),
        ),
        (
            "cwd-setup-nul",
            "",
            "setup",
            json!([{ "argv": ["/bin/sh"], "cwd": "\0" }]),
        ),
    ] {
        let comment = "a NUL in a working directory";
        rule(
            catalog,
            name,
            "M24",
            comment,
            plan().set(parent, key, value),
        );
    }
}

fn variables(catalog: &mut Catalog) {
    for (part, variable, comment) in [
        ("empty", "", "a variable without a name"),
        ("equals", "A=B", "a variable whose name holds `=`"),
        ("nul", "A\0", "a variable whose name holds a NUL"),
    ] {
        let command = json!({ "argv": ["/bin/sh"], "env": { variable: "1" } });
        let rules = |rules: Value| json!({ "env": rules });
        for (place, parent, key, value) in [
            ("env", "/execution", "env", json!({ variable: "1" })),
            ("command-env", "", "commands", json!({ "x": command })),
            ("setup-env", "", "setup", json!([command])),
            (
                "runtime-set",
                "",
                "runtime",
                rules(json!({ "set": { variable: "1" } })),
            ),
            (
                "runtime-map-from",
                "",
                "runtime",
                rules(json!({ "map": { variable: "A" } })),
            ),
            (
                "runtime-map-to",
                "",
                "runtime",
                rules(json!({ "map": { "A": variable } })),
            ),
            (
                "runtime-unset",
                "",
                "runtime",
                rules(json!({ "unset": [variable] })),
            ),
            (
                "runtime-pass",
                "",
                "runtime",
                rules(json!({ "pass": [variable] })),
            ),
            ("policy-env", "", "policy", policy("require_env", variable)),
        ] {
            let name = format!("{place}-{part}");
            rule(
                catalog,
                &name,
                "M24",
                comment,
                plan().set(parent, key, value),
            );
        }
    }
    let comment = "a NUL in a variable's value";
    let value = json!({ "A": "\0" });
    let set = plan().set("", "runtime", json!({ "env": { "set": value } }));
    rule(catalog, "runtime-value-nul", "M24", comment, set);
    let env = plan().set("/execution", "env", value);
    rule(catalog, "env-value-nul", "M24", comment, env);
}

/// A policy with one item in one of its lists.
fn policy(key: &str, item: &str) -> Value {
    let mut policy =
        json!({ "max_age_days": 1, "platforms": [], "refuse_root": false, "require_env": [] });
    policy[key] = json!([item]);
    policy
}

fn values(catalog: &mut Catalog) {
    let mut value = |name, comment, parent, key, value: Value| {
        rule(
            catalog,
            name,
            "M26",
            comment,
            plan().set(parent, key, value),
        );
    };
    value(
        "policy-platform",
        "a platform that is no target",
        "",
        "policy",
        policy("platforms", "linux_386"),
    );
    value(
        "policy-env-space",
        "a space in a name",
        "",
        "policy",
        policy("require_env", "A B"),
    );
    value(
        "policy-env-control",
        "a control character in a name",
        "",
        "policy",
        policy("require_env", "A\u{7f}"),
    );
    value(
        "command-text-empty",
        "execution.command is empty",
        "/execution",
        "command",
        json!(""),
    );
    let desktop = json!({ "icon": "none", "terminal": false });
    value(
        "icon-without-slot",
        "desktop.icon names no slot",
        "",
        "desktop",
        desktop,
    );
    let mut none = plan();
    none.launcher.clear();
    rule(
        catalog,
        "launcher-empty",
        "M26",
        "a launcher of no bytes",
        none,
    );
}
