//! The text form and the rules, by example.

use super::*;

pub(crate) fn example() -> Metadata {
    Metadata {
        build: Build {
            platform: Platform {
                arch: "amd64".into(),
                os: "linux".into(),
            },
            timestamp: "2025-01-02T03:04:05Z".into(),
            tool: "flavor".into(),
            tool_version: "0.1.0".into(),
        },
        commands: Map::from([(
            "other".to_owned(),
            Command {
                argv: vec!["{workenv}/rt/x".into()],
                cwd: Some("{workenv}".into()),
                env: Map::new(),
            },
        )]),
        desktop: Some(Desktop {
            icon: Some("app".into()),
            terminal: true,
        }),
        execution: Execution {
            argv: vec!["{workenv}/rt/x".into(), "a \"b\" \u{1} \u{e9}".into()],
            command: "{workenv}/rt/x".into(),
            cwd: None,
            env: Map::from([("A".to_owned(), "b".to_owned())]),
        },
        format: FORMAT.into(),
        launcher: Launcher {
            capabilities: vec![],
            checksum: Checksum::default(),
            size: 64,
            target: "linux_amd64".into(),
            tool: "flavor".into(),
            tool_version: "0.1.0".into(),
        },
        package: Package {
            authors: vec!["A".into()],
            description: Some("d".into()),
            homepage: Some("h".into()),
            license: Some("MIT".into()),
            name: "app".into(),
            version: "1.0".into(),
        },
        policy: Some(Policy {
            max_age_days: 0,
            platforms: vec!["linux_amd64".into()],
            refuse_root: false,
            require_env: vec!["HOME".into()],
        }),
        profile: PROFILE.into(),
        runtime: Some(Runtime {
            env: EnvRules {
                map: Map::from([("A".to_owned(), "B".to_owned())]),
                pass: vec!["*".into()],
                set: Map::from([("C".to_owned(), String::new())]),
                unset: vec!["PYTHON*".into()],
            },
        }),
        setup: vec![Command {
            argv: vec!["/bin/true".into()],
            cwd: None,
            env: Map::new(),
        }],
        slots: vec![slot(0, "app", "rt"), slot(1, "more", "m")],
    }
}

pub(crate) fn slot(nth: u64, id: &str, target: &str) -> Slot {
    Slot {
        checksum: Checksum::default(),
        id: id.into(),
        lifecycle: Lifecycle::Cached,
        mode: 0o755,
        mutable: false,
        offset: 0,
        operations: Operations::None,
        operations_code: 0,
        original_size: 1,
        purpose: Purpose::Payload,
        size: 1,
        slot: nth,
        source: String::new(),
        target: target.into(),
    }
}

fn is_sorted(value: &serde_json::Value, raw: &str) -> bool {
    // serde_json sorts maps on reading, so writing the generic value again gives sorted keys.
    serde_json::to_string(value).is_ok_and(|text| text == raw)
}

#[test]
fn text_is_canonical_and_comes_back() {
    let metadata = example();
    let text = metadata.to_text();
    assert_eq!(Metadata::read(&text), Ok(metadata));
    let raw = String::from_utf8(text).unwrap_or_default();
    assert!(
        serde_json::from_str(&raw).is_ok_and(|value| is_sorted(&value, &raw)),
        "{raw}"
    );
}

#[test]
fn other_texts_of_the_same_document_are_refused() {
    let text = String::from_utf8(example().to_text()).unwrap_or_default();
    for (from, to) in [
        ("{\"build\"", " {\"build\""),
        ("\"mode\":493", "\"mode\":493.0"),
        ("\"mode\":493", "\"mode\":-1"),
        ("\"mode\":493", "\"mode\":493,\"mode\":493"),
        ("\"d\"", "\"\\u0064\""),
        ("\\u0001", "\\U0001"),
        ("\"format\"", "\"formal\""),
        ("\"cwd\":", "\"extra\":1,\"cwd\":"),
        ("\"mode\":493", "\"mutable\":false,\"mode\":493"),
        (
            "\"argv\":[\"/bin/true\"]",
            "\"argv\":[\"/bin/true\"],\"cwd\":null",
        ),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        assert!(Metadata::read(changed.as_bytes()).is_err(), "{to}");
    }
    for tail in [" ", "\n", "x", "\0"] {
        assert!(Metadata::read(format!("{text}{tail}").as_bytes()).is_err());
    }
    assert!(Metadata::read(format!("\u{feff}{text}").as_bytes()).is_err());
    for whole in ["", "null", "[]", "{}", "1"] {
        assert!(Metadata::read(whole.as_bytes()).is_err(), "{whole}");
    }
}

#[test]
fn values_outside_their_rule() {
    type Change = fn(&mut Metadata);
    let changes: &[(&str, Change)] = &[
        ("format", |m| m.format = "PSPF/2026".into()),
        ("profile", |m| m.profile = "strict/2".into()),
        ("package.name", |m| m.package.name = "App".into()),
        ("package.name", |m| m.package.name = "a".repeat(65)),
        ("package.version", |m| m.package.version = "1 0".into()),
        ("launcher.target", |m| {
            m.launcher.target = "linux_386".into()
        }),
        ("launcher.size", |m| m.launcher.size = 0),
        ("build.platform", |m| m.build.platform.arch = "arm64".into()),
        ("build.timestamp", |m| m.build.timestamp = "now".into()),
        ("execution.argv[0]", |m| {
            m.execution.argv = vec!["sh".into()]
        }),
        ("execution.argv[0]", |m| m.execution.argv = vec![]),
        ("execution.argv[0]", |m| {
            m.execution.argv = vec!["{workenv}x".into()]
        }),
        ("execution", |m| m.execution.argv.push("\0".into())),
        ("execution.command", |m| m.execution.command.clear()),
        ("commands./x", |m| {
            m.commands.insert(
                "/x".into(),
                Command {
                    argv: vec![],
                    cwd: None,
                    env: Map::new(),
                },
            );
        }),
        ("slots[1].id", |m| m.slots[1].id = "app".into()),
        ("slots[1].target", |m| m.slots[1].target = "rt".into()),
        ("slots[0].target", |m| m.slots[0].target = ".".into()),
        ("slots[0].target", |m| m.slots[0].target = "../x".into()),
        ("slots[0].target", |m| {
            m.slots[0].target = ".flavor-x".into()
        }),
        ("slots[1].slot", |m| m.slots[1].slot = 0),
        ("slots[0].mode", |m| m.slots[0].mode = 0o4755),
        ("slots[0].operations_code", |m| {
            m.slots[0].operations_code = 1
        }),
        ("slots[0].original_size", |m| m.slots[0].original_size = 2),
        ("slots[0].source", |m| m.slots[0].source = "/home/x".into()),
        ("desktop.icon", |m| {
            m.desktop = Some(Desktop {
                icon: Some("none".into()),
                terminal: false,
            })
        }),
        ("runtime.env", |m| {
            m.runtime = Some(Runtime {
                env: EnvRules::default(),
            })
        }),
        ("policy.require_env", |m| {
            m.policy
                .iter_mut()
                .for_each(|p| p.require_env.push("\u{e9}".into()));
        }),
    ];
    for (at, change) in changes {
        let mut metadata = example();
        change(&mut metadata);
        match Metadata::read(&metadata.to_text()) {
            Err(Error::Value { path, .. }) => assert_eq!(path, *at),
            other => panic!("{at}: {other:?}"),
        }
    }
}
