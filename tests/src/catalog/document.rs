//! What the metadata says (SPEC.md, M24-M26 and M36). Every text here is canonical and signed.

use serde_json::{Value, json};

use super::metadata::{plan, refused};
use super::{Catalog, about};

pub(super) fn add(catalog: &mut Catalog) {
    missing_keys(catalog);
    wrong_types(catalog);
    empty_options(catalog);
    commands(catalog);
    platforms_and_times(catalog);
    values(catalog);
    policies(catalog);
}

const REQUIRED: &[(&str, &str)] = &[
    ("", "build"),
    ("/build", "platform"),
    ("/build/platform", "arch"),
    ("/build/platform", "os"),
    ("/build", "timestamp"),
    ("/build", "tool"),
    ("/build", "tool_version"),
    ("", "execution"),
    ("/execution", "argv"),
    ("/execution", "command"),
    ("", "format"),
    ("", "launcher"),
    ("/launcher", "capabilities"),
    ("/launcher", "checksum"),
    ("/launcher", "size"),
    ("/launcher", "target"),
    ("/launcher", "tool"),
    ("/launcher", "tool_version"),
    ("", "package"),
    ("/package", "name"),
    ("/package", "version"),
    ("", "profile"),
    ("", "slots"),
    ("/slots/0", "checksum"),
    ("/slots/0", "id"),
    ("/slots/0", "lifecycle"),
    ("/slots/0", "mode"),
    ("/slots/0", "offset"),
    ("/slots/0", "operations"),
    ("/slots/0", "operations_code"),
    ("/slots/0", "original_size"),
    ("/slots/0", "purpose"),
    ("/slots/0", "size"),
    ("/slots/0", "slot"),
    ("/slots/0", "source"),
    ("/slots/0", "target"),
];

fn name_of(prefix: &str, parent: &str, key: &str) -> String {
    let path = format!("{parent}/{key}").replace("/slots/0", "/slot");
    format!("{prefix}{}", path.replace(['/', '_'], "-"))
}

fn table_of(parent: &str) -> &'static str {
    if parent.starts_with("/slots") {
        "M36"
    } else {
        "M26"
    }
}

fn missing_keys(catalog: &mut Catalog) {
    for (parent, key) in REQUIRED {
        let name = name_of("missing", parent, key);
        let comment = format!("{parent}/{key} is absent");
        refused(
            catalog,
            &name,
            table_of(parent),
            "106",
            &comment,
            plan().remove(parent, key),
        );
    }
    let desktop = plan().set("", "desktop", json!({ "icon": "data" }));
    refused(
        catalog,
        "missing-desktop-terminal",
        "M26",
        "106",
        "/desktop/terminal is absent",
        desktop,
    );
}

fn wrong_types(catalog: &mut Catalog) {
    for (parent, key) in REQUIRED {
        let name = name_of("type", parent, key);
        let comment = format!("{parent}/{key} is true");
        refused(
            catalog,
            &name,
            table_of(parent),
            "106",
            &comment,
            plan().set(parent, key, json!(true)),
        );
    }
    refused(
        catalog,
        "type-argv-item",
        "M26",
        "106",
        "an item of argv is a number",
        plan().set("/execution", "argv", json!(["/bin/sh", 1])),
    );
    refused(
        catalog,
        "type-env-value",
        "M26",
        "106",
        "a value of env is a number",
        plan().set("/execution", "env", json!({ "A": 1 })),
    );
    refused(
        catalog,
        "type-mutable-false",
        "M36",
        "106",
        "`mutable` is never false",
        plan().set("/slots/0", "mutable", json!(false)),
    );
    refused(
        catalog,
        "type-terminal",
        "M26",
        "106",
        "`terminal` is a string",
        plan().set("", "desktop", json!({ "terminal": "yes" })),
    );
}

fn empty_options(catalog: &mut Catalog) {
    let mut empty = |name, comment, parent, key, value: Value| {
        refused(
            catalog,
            name,
            "M26",
            "106",
            comment,
            plan().set(parent, key, value),
        );
    };
    empty(
        "empty-commands",
        "an empty object",
        "",
        "commands",
        json!({}),
    );
    empty("empty-desktop", "an empty object", "", "desktop", json!({}));
    empty("empty-cwd", "null", "/execution", "cwd", json!(null));
    empty(
        "empty-env",
        "an empty object",
        "/execution",
        "env",
        json!({}),
    );
    empty(
        "empty-authors",
        "an empty list",
        "/package",
        "authors",
        json!([]),
    );
    empty(
        "empty-description",
        "null",
        "/package",
        "description",
        json!(null),
    );
    empty("empty-policy", "null", "", "policy", json!(null));
    empty("empty-runtime", "an empty object", "", "runtime", json!({}));
    empty(
        "empty-runtime-env",
        "an empty object",
        "",
        "runtime",
        json!({ "env": {} }),
    );
    empty(
        "empty-runtime-unset",
        "an empty list",
        "",
        "runtime",
        json!({ "env": { "set": { "A": "b" }, "unset": [] } }),
    );
    empty("empty-setup", "an empty list", "", "setup", json!([]));
    empty("empty-mutable", "null", "/slots/0", "mutable", json!(null));
}

fn commands(catalog: &mut Catalog) {
    let mut argv = |name, cases, comment, argv: Value| {
        refused(
            catalog,
            name,
            "M24",
            cases,
            comment,
            plan().set("/execution", "argv", argv),
        );
    };
    argv("argv-empty", "110", "no items", json!([]));
    argv(
        "argv-empty-program",
        "110",
        "the first item is empty",
        json!([""]),
    );
    argv(
        "argv-bare-name",
        "109",
        "the first item is a bare name",
        json!(["python3", "-m", "app"]),
    );
    argv(
        "argv-relative",
        "109",
        "the first item is relative to the caller's directory",
        json!(["./bin/app"]),
    );
    argv(
        "argv-workenv-only",
        "109",
        "`{workenv}` without a slash",
        json!(["{workenv}"]),
    );
    argv(
        "argv-workenv-glued",
        "109",
        "`{workenv}x` is a directory beside the work environment",
        json!(["{workenv}x/bin/app"]),
    );
    argv(
        "argv-other-placeholder",
        "109",
        "another placeholder at the beginning",
        json!(["{package_dir}/app"]),
    );
    argv(
        "argv-nul",
        "110",
        "a NUL in an argument",
        json!(["/bin/sh", "a\0b"]),
    );
    argv(
        "argv-nul-program",
        "110",
        "a NUL in the program",
        json!(["/bin/sh\0"]),
    );
    let mut other = |name, comment, key, value: Value| {
        refused(
            catalog,
            name,
            "M24",
            "109",
            comment,
            plan().set("", key, value),
        )
    };
    other(
        "argv-command-bare",
        "a bare name in commands",
        "commands",
        json!({ "x": { "argv": ["sh"] } }),
    );
    other(
        "argv-command-empty",
        "no items in commands",
        "commands",
        json!({ "x": { "argv": [] } }),
    );
    other(
        "argv-setup-bare",
        "a bare name in setup",
        "setup",
        json!([{ "argv": ["sh"] }]),
    );
    other(
        "argv-setup-nul",
        "a NUL in setup",
        "setup",
        json!([{ "argv": ["/bin/sh", "\0"] }]),
    );
}

fn platforms_and_times(catalog: &mut Catalog) {
    refused(
        catalog,
        "platform-os",
        "M25",
        "106",
        "build.platform.os is not that of the target",
        plan().set("/build/platform", "os", json!("darwin")),
    );
    refused(
        catalog,
        "platform-arch",
        "M25",
        "106",
        "build.platform.arch is not that of the target",
        plan().set("/build/platform", "arch", json!("arm64")),
    );
    refused(
        catalog,
        "target-unknown",
        "M26",
        "106",
        "launcher.target is none of the six",
        plan()
            .set("/launcher", "target", json!("freebsd_amd64"))
            .set("/build/platform", "os", json!("freebsd")),
    );
    for (name, time, comment) in [
        (
            "time-leap-day",
            "2023-02-29T00:00:00Z",
            "2023 has no leap day",
        ),
        (
            "time-leap-day-1900",
            "2100-02-29T00:00:00Z",
            "2100 has no leap day",
        ),
        ("time-month-0", "2024-00-01T00:00:00Z", "month 0"),
        ("time-month-13", "2024-13-01T00:00:00Z", "month 13"),
        ("time-day-0", "2024-01-00T00:00:00Z", "day 0"),
        ("time-april-31", "2024-04-31T00:00:00Z", "April 31"),
        ("time-hour-24", "2024-01-01T24:00:00Z", "hour 24"),
        ("time-minute-60", "2024-01-01T00:60:00Z", "minute 60"),
        (
            "time-second-60",
            "2016-12-31T23:59:60Z",
            "a leap second has no Unix time of its own",
        ),
        (
            "time-before-1970",
            "1969-12-31T23:59:59Z",
            "before the epoch",
        ),
        (
            "time-lower-case",
            "2024-01-01t00:00:00z",
            "lower-case letters",
        ),
        (
            "time-offset",
            "2024-01-01T00:00:00+00:00",
            "an offset instead of Z",
        ),
        ("time-fraction", "2024-01-01T00:00:00.0Z", "a fraction"),
        ("time-space", "2024-01-01 00:00:00Z", "a space instead of T"),
        (
            "time-sign",
            "+024-01-01T00:00:00Z",
            "a sign among the digits",
        ),
        (
            "time-five-digits",
            "10000-01-01T00:00:00Z",
            "a year of five digits",
        ),
        ("time-empty", "", "empty"),
    ] {
        refused(
            catalog,
            name,
            "M25",
            "41",
            comment,
            plan().set("/build", "timestamp", json!(time)),
        );
    }
    refused(
        catalog,
        "time-index",
        "M10 M25",
        "41",
        "build_timestamp is 0 and a build time is signed",
        plan().set("/build", "timestamp", json!("2024-02-29T23:59:59Z")),
    );
}

fn values(catalog: &mut Catalog) {
    let mut value = |name: &str, comment: &str, parent, key, value: Value| {
        let is_for_a_terminal = ["escape", "newline", "rtl"]
            .iter()
            .any(|end| name.ends_with(end));
        refused(
            catalog,
            name,
            table_of(parent),
            if is_for_a_terminal { "106 108" } else { "106" },
            comment,
            plan().set(parent, key, value),
        );
    };
    value(
        "format-other",
        "another format",
        "",
        "format",
        json!("PSPF/2024"),
    );
    value(
        "profile-other",
        "another profile",
        "",
        "profile",
        json!("strict/2"),
    );
    value("profile-empty", "no profile", "", "profile", json!(""));
    value(
        "launcher-capabilities",
        "a capability",
        "/launcher",
        "capabilities",
        json!(["x"]),
    );
    value(
        "launcher-checksum-bare",
        "no `sha256:`",
        "/launcher",
        "checksum",
        json!("0".repeat(64)),
    );
    value(
        "launcher-checksum-short",
        "63 digits",
        "/launcher",
        "checksum",
        json!(format!("sha256:{}", "0".repeat(63))),
    );
    for (name, text) in [
        ("name-empty", "".to_string()),
        ("name-65", "n".repeat(65)),
        ("name-upper-case", "Demo".to_string()),
        ("name-dash-first", "-demo".to_string()),
        ("name-dot", "de.mo".to_string()),
        ("name-slash", "de/mo".to_string()),
        ("name-escape", "demo\u{1B}[2J".to_string()),
        ("name-newline", "demo\n".to_string()),
        ("name-rtl", "demo\u{202E}".to_string()),
    ] {
        value(name, "not a package name", "/package", "name", json!(text));
    }
    for (name, text) in [
        ("version-empty", "".to_string()),
        ("version-65", "1".repeat(65)),
        ("version-dot-first", ".1".to_string()),
        ("version-escape", "1\u{1B}[2J".to_string()),
        ("version-newline", "1\n".to_string()),
        ("version-rtl", "1\u{202E}".to_string()),
        ("version-space", "1 0".to_string()),
        ("version-slash", "1/../..".to_string()),
    ] {
        value(name, "not a version", "/package", "version", json!(text));
    }
    let upper = plan().json(|root| {
        let text = root["launcher"]["checksum"]
            .as_str()
            .unwrap_or_default()
            .to_uppercase()
            .replace("SHA256", "sha256");
        root["launcher"]["checksum"] = json!(text);
    });
    refused(
        catalog,
        "launcher-checksum-upper",
        "M26",
        "106",
        "upper-case hexadecimal",
        upper,
    );
}

fn policies(catalog: &mut Catalog) {
    let whole = json!({ "max_age_days": 1, "platforms": ["linux_amd64"], "refuse_root": false, "require_env": ["A"] });
    for key in ["max_age_days", "platforms", "refuse_root", "require_env"] {
        let mut partial = whole.clone();
        partial.as_object_mut().map(|policy| policy.remove(key));
        let name = format!("policy-without-{}", key.replace('_', "-"));
        refused(
            catalog,
            &name,
            "M26",
            "47",
            "all four keys of a policy are present",
            plan().set("", "policy", partial),
        );
    }
    let mut extra = whole.clone();
    extra["x"] = json!(1);
    refused(
        catalog,
        "policy-unknown-key",
        "M23",
        "47",
        "an unknown key",
        plan().set("", "policy", extra),
    );
    let mut accent = whole.clone();
    accent["require_env"] = json!(["\u{c9}"]);
    refused(
        catalog,
        "policy-not-ascii",
        "M26",
        "47",
        "a policy is ASCII only",
        plan().set("", "policy", accent),
    );
    let parts = plan().set("", "policy", whole).parts();
    let hash = parts.with_index(|index| index.field("attestation_policy_hash").fill(0));
    catalog.refused(
        "layout",
        about(
            "policy-hash-zero",
            "M10",
            "47",
            "attestation_policy_hash is zero and a policy is signed",
        ),
        hash.bytes(),
    );
}
