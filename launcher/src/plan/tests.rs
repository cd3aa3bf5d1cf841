//! The rules about commands, arguments, environment and cache, as tables.

use std::path::PathBuf;

use psp_format::digest::{Checksum, Digest};
use psp_format::encode::place;
use psp_format::metadata::{
    Build, EnvRules, Execution, FORMAT, Launcher, Map, Metadata, PROFILE, Package, Platform,
    Policy, Runtime,
};
use psp_format::signature::PrivateKey;
use psp_format::verify::verify_bytes;

use super::cache::{fallbacks, named};
use super::*;
use crate::policy::{Facts, Refusal, check};
use crate::store::Candidate;

fn metadata() -> Metadata {
    Metadata {
        build: Build {
            platform: Platform {
                arch: ARCH.into(),
                os: OS.into(),
            },
            timestamp: "2025-01-02T03:04:05Z".into(),
            tool: "t".into(),
            tool_version: "1".into(),
        },
        commands: Map::new(),
        desktop: None,
        execution: Execution {
            argv: vec!["{workenv}/bin/app".into()],
            command: "{workenv}/bin/app".into(),
            cwd: None,
            env: Map::new(),
        },
        format: FORMAT.into(),
        launcher: Launcher {
            capabilities: vec![],
            checksum: Checksum(Digest::of(b"L")),
            size: 1,
            target: PLATFORM.into(),
            tool: "t".into(),
            tool_version: "1".into(),
        },
        package: Package {
            authors: vec![],
            description: None,
            homepage: None,
            license: None,
            name: "demo".into(),
            version: "1.2".into(),
        },
        policy: None,
        profile: PROFILE.into(),
        runtime: None,
        setup: vec![],
        slots: vec![],
    }
}

pub(super) fn package(change: impl FnOnce(&mut Metadata)) -> VerifiedPackage {
    let mut metadata = metadata();
    change(&mut metadata);
    let (_, head) = place(metadata).unwrap_or_else(|e| panic!("{e}"));
    let mut bytes = [b"L", &head.bytes[..]].concat();
    bytes.resize(
        usize::try_from(head.layout.trailer.start()).unwrap_or_default(),
        0,
    );
    bytes.extend(head.signed_trailer(&PrivateKey::from_text_seed("t")));
    verify_bytes(&bytes).unwrap_or_else(|e| panic!("{e}"))
}

pub(super) fn command(argv: &[&str]) -> Command {
    Command {
        argv: argv.iter().map(|&arg| arg.into()).collect(),
        cwd: None,
        env: Map::new(),
    }
}

pub(super) fn snapshot<'a>(vars: &[&'a CStr]) -> Snapshot<'a> {
    Snapshot {
        command: c"/opt/demo.psp",
        args: vec![],
        vars: vars.to_vec(),
        uid: 1000,
    }
}

const PLACES: Places<'_> = Places {
    workenv: b"/c/envs/{version} \xff",
    cache: b"/c",
    package_dir: &|| b"/opt".to_vec(),
};

fn application_of<'a>(package: &'a VerifiedPackage, snapshot: &Snapshot<'a>) -> ExecPlan<'a> {
    application(package, snapshot, Choice::Caller, &PLACES).unwrap_or_else(|e| panic!("{e}"))
}

pub(super) fn texts(list: &[Cow<'_, CStr>]) -> Vec<Vec<u8>> {
    list.iter().map(|text| text.to_bytes().to_vec()).collect()
}

/// The environment without what the launcher adds.
pub(super) fn vars_of(plan: &ExecPlan<'_>) -> Vec<String> {
    let added = |var: &String| var.starts_with("FLAVOR_");
    texts(&plan.envp)
        .iter()
        .map(|var| var.escape_ascii().to_string())
        .filter(|var| !added(var))
        .collect()
}

#[test]
fn placeholders_once_and_arguments_untouched() {
    let package = package(|m| {
        m.execution.argv = [
            "{workenv}/x",
            "{package_name}-{version}",
            "{cache}:{package_dir}",
            "{unknown} {workenv {} }{{version}}",
            "",
            "a b",
        ]
        .map(String::from)
        .to_vec();
        m.execution.cwd = Some("{workenv}/d".into());
    });
    let mut snapshot = snapshot(&[]);
    snapshot.args = vec![c"{version}", c"", c"--help", c"\xff\xfe\n$x"];
    let plan = application_of(&package, &snapshot);
    let expected: [&[u8]; 10] = [
        b"/c/envs/{version} \xff/x",
        b"demo-1.2",
        b"/c:/opt",
        b"{unknown} {workenv {} }{1.2}",
        b"",
        b"a b",
        b"{version}",
        b"",
        b"--help",
        b"\xff\xfe\n$x",
    ];
    assert_eq!(texts(&plan.argv), expected);
    assert_eq!(plan.program.as_bytes(), b"/c/envs/{version} \xff/x");
    let cwd = plan.cwd.unwrap_or_default();
    assert_eq!(cwd.as_bytes(), b"/c/envs/{version} \xff/d");
    let package = super::tests::package(|m| m.execution.cwd = Some("d".into()));
    let relative = application_of(&package, &snapshot).cwd.unwrap_or_default();
    assert_eq!(relative, cwd);
    // The caller's strings are passed on by pointer.
    assert!(matches!(plan.argv[9], Cow::Borrowed(_)));
}

#[test]
fn command_by_variable_by_name_or_default() {
    let package = package(|m| {
        m.commands.insert("tool".into(), command(&["/bin/tool"]));
        m.commands.insert("other".into(), command(&["/bin/other"]));
    });
    let choose = |path: &'static CStr, vars: &[&'static CStr], choice| {
        let mut snapshot = snapshot(vars);
        snapshot.command = path;
        application(&package, &snapshot, choice, &PLACES).map(|plan| {
            let name = variable_of(&plan, "FLAVOR_COMMAND_NAME");
            (plan.program.into_bytes(), name)
        })
    };
    let default = b"/c/envs/{version} \xff/bin/app";
    for (path, vars, program, name) in [
        (c"/opt/demo.psp", &[][..], &default[..], "demo.psp"),
        (c"tool", &[], b"/bin/tool", "tool"),
        (c"./a/tool", &[], b"/bin/tool", "tool"),
        (c"/x/tool.psp", &[], default, "tool.psp"),
        (c"tool", &[c"FLAVOR_COMMAND=other"], b"/bin/other", "other"),
        (c"tool", &[c"FLAVOR_COMMAND="], b"/bin/tool", "tool"),
        (c"/dev/fd/3", &[], default, "3"),
        (c"", &[], default, ""),
    ] {
        let found = choose(path, vars, Choice::Caller);
        assert_eq!(found, Ok((program.to_vec(), name.to_owned())), "{path:?}");
    }
    let named = choose(c"tool", &[c"FLAVOR_COMMAND=x"], Choice::Named(b"other"));
    assert!(named.is_ok_and(|(program, _)| program == b"/bin/other"));
    let unknown = choose(c"tool", &[c"FLAVOR_COMMAND=\xffx"], Choice::Caller);
    let Err(error) = unknown else {
        panic!("no such command")
    };
    let message = "the package has no command \"\\xffx\"; it has other, tool";
    assert_eq!(error.to_string(), message);
}

pub(super) fn variable_of(plan: &ExecPlan<'_>, name: &str) -> String {
    let vars: Vec<&CStr> = plan.envp.iter().map(|var| &**var).collect();
    let value = variable(&vars, name.as_bytes()).unwrap_or(b"(none)");
    value.escape_ascii().to_string()
}

#[test]
fn what_the_launcher_adds() {
    let package = package(|_| {});
    // Of another package that started this one.
    let inherited = [
        c"FLAVOR_WORKENV=/old",
        c"FLAVOR_COMMAND=",
        c"FLAVOR_CACHE=/x",
    ];
    let plan = application_of(&package, &snapshot(&inherited));
    let expected = [
        r"FLAVOR_WORKENV=/c/envs/{version} \xff",
        "FLAVOR_COMMAND_NAME=demo.psp",
        "FLAVOR_ORIGINAL_COMMAND=/opt/demo.psp",
        "FLAVOR_PACKAGE=demo",
        "FLAVOR_VERSION=1.2",
        &format!("FLAVOR_OS={OS}"),
        &format!("FLAVOR_ARCH={ARCH}"),
        &format!("FLAVOR_PLATFORM={PLATFORM}"),
        "FLAVOR_CACHE=/c",
    ];
    let found: Vec<String> = texts(&plan.envp)
        .iter()
        .map(|var| var.escape_ascii().to_string())
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn without_rules_everything_passes() {
    let package = package(|_| {});
    let vars = [c"A=1", c"A=2", c"NOEQUALS", c"=x", c"N\xff=\xfe", c"B="];
    let plan = application_of(&package, &snapshot(&vars));
    let expected = ["A=1", "A=2", "NOEQUALS", "=x", r"N\xff=\xfe", "B="];
    assert_eq!(vars_of(&plan), expected);
    let borrowed = |var: &&Cow<'_, CStr>| matches!(var, Cow::Borrowed(_));
    assert_eq!(plan.envp.iter().filter(borrowed).count(), vars.len());
}

#[test]
fn environment_rules() {
    let list = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
    let pairs = |pairs: &[(&str, &str)]| -> Map<String> {
        let owned = |&(a, b): &(&str, &str)| (a.to_owned(), b.to_owned());
        pairs.iter().map(owned).collect()
    };
    type Pairs = &'static [(&'static str, &'static str)];
    type Case = (
        [&'static [&'static str]; 2],
        [Pairs; 2],
        &'static [&'static str],
    );
    let vars = [c"LD_PRELOAD=p", c"LD_X=x", c"HOME=/h", c"PATH=/b", c"X"];
    let cases: [Case; 12] = [
        ([&["LD_*"], &[]], [&[], &[]], &["HOME=/h", "PATH=/b", "X"]),
        ([&["*"], &[]], [&[], &[]], &[]),
        ([&["*"], &["HOME"]], [&[], &[]], &["HOME=/h"]),
        // As specific as what unsets it: passes. Less specific: does not.
        (
            [&["HOME"], &["HOME"]],
            [&[], &[]],
            &["LD_PRELOAD=p", "LD_X=x", "HOME=/h", "PATH=/b", "X"],
        ),
        (
            [&["LD_*", "*"], &["*"]],
            [&[], &[]],
            &["HOME=/h", "PATH=/b", "X"],
        ),
        (
            [&["LD_*"], &["LD_?"]],
            [&[], &[]],
            &["LD_X=x", "HOME=/h", "PATH=/b", "X"],
        ),
        (
            [&[], &["HOME"]],
            [&[], &[]],
            &["LD_PRELOAD=p", "LD_X=x", "HOME=/h", "PATH=/b", "X"],
        ),
        // Renamed, after unset.
        (
            [&["LD_*"], &["LD_X"]],
            [&[("LD_X", "Y"), ("LD_PRELOAD", "Z")], &[]],
            &["HOME=/h", "PATH=/b", "X", "Y=x"],
        ),
        // Exchanged; what had the new name before is gone.
        (
            [&["LD_*"], &[]],
            [&[("HOME", "PATH"), ("PATH", "HOME")], &[]],
            &["X", "PATH=/h", "HOME=/b"],
        ),
        (
            [&["LD_*"], &[]],
            [&[("HOME", "PATH")], &[]],
            &["X", "PATH=/h"],
        ),
        // Set last, with placeholders.
        (
            [&["*"], &[]],
            [&[], &[("A", "{version}:{none}"), ("B", "")]],
            &["A=1.2:{none}", "B="],
        ),
        (
            [&["LD_*"], &[]],
            [&[("HOME", "A")], &[("A", "new")]],
            &["PATH=/b", "X", "A=new"],
        ),
    ];
    for (nth, ([unset, pass], [map, set], expected)) in cases.into_iter().enumerate() {
        let package = package(|m| {
            let env = EnvRules {
                map: pairs(map),
                pass: list(pass),
                set: pairs(set),
                unset: list(unset),
            };
            m.runtime = Some(Runtime { env });
        });
        let plan = application_of(&package, &snapshot(&vars));
        assert_eq!(vars_of(&plan), expected, "case {nth}");
    }
}

#[test]
fn the_command_has_the_last_word() {
    let package = package(|m| {
        let set = Map::from([("A".to_owned(), "rules".to_owned())]);
        let env = EnvRules {
            set,
            ..EnvRules::default()
        };
        m.runtime = Some(Runtime { env });
        m.execution
            .env
            .insert("A".into(), "{workenv}/command".into());
        m.execution.env.insert("FLAVOR_VERSION".into(), "9".into());
    });
    let plan = application_of(&package, &snapshot(&[c"A=caller", c"A=again"]));
    let expected = [r"A=/c/envs/{version} \xff/command"];
    assert_eq!(vars_of(&plan), expected);
    assert_eq!(variable_of(&plan, "FLAVOR_VERSION"), "1.2");
}

#[test]
fn setup_commands_get_the_rules_and_no_arguments() {
    let package = package(|m| m.setup.push(command(&["{workenv}/setup", "x"])));
    let mut snapshot = snapshot(&[c"A=1", c"FLAVOR_COMMAND=none"]);
    snapshot.args = vec![c"user"];
    let plan = setup(&package, &snapshot, &package.metadata().setup[0], &PLACES)
        .unwrap_or_else(|e| panic!("{e}"));
    let expected: [&[u8]; 2] = [b"/c/envs/{version} \xff/setup", b"x"];
    assert_eq!(texts(&plan.argv), expected);
    assert_eq!(vars_of(&plan), ["A=1"]);
}

#[test]
fn cache_candidates() {
    let paths = |vars: &[&CStr]| -> Result<Vec<String>, PlanError> {
        let list = named(&snapshot(vars))?;
        Ok(list
            .iter()
            .map(|c| {
                c.path
                    .as_os_str()
                    .as_encoded_bytes()
                    .escape_ascii()
                    .to_string()
            })
            .collect())
    };
    type Case = (&'static [&'static CStr], &'static [&'static str]);
    let cases: [Case; 8] = [
        (
            &[
                c"HOME=/h",
                c"XDG_CACHE_HOME=/x",
                c"CACHE_DIRECTORY=/var/cache/s:/var/cache/t",
                c"FLAVOR_CACHE=/f",
            ],
            &["/f", "/var/cache/s", "/x/flavor", "/h/.cache/flavor"],
        ),
        (&[c"HOME=/h"], &["/h/.cache/flavor"]),
        (&[c"HOME=/"], &["/.cache/flavor"]),
        (&[c"HOME=relative"], &[]),
        (&[c"HOME="], &[]),
        (&[], &[]),
        (
            &[c"HOME=/h\n\xff {version}"],
            &[r"/h\n\xff {version}/.cache/flavor"],
        ),
        (
            &[c"XDG_CACHE_HOME=", c"FLAVOR_CACHE=", c"HOME=/h"],
            &["/h/.cache/flavor"],
        ),
    ];
    for (vars, expected) in cases {
        let expected: Vec<String> = expected.iter().map(|&path| path.to_owned()).collect();
        assert_eq!(paths(vars), Ok(expected));
    }
    for var in [
        c"FLAVOR_CACHE=relative",
        c"XDG_CACHE_HOME=./x",
        c"CACHE_DIRECTORY=a:/b",
    ] {
        assert!(matches!(paths(&[var]), Err(PlanError::Relative { .. })));
    }
}

#[test]
fn cache_candidates_when_those_fail() {
    let passwd = b"root:x:0:0:root:/root:/bin/sh\nbroken\n\nu:x:1000:1000:U:/home/u:/bin/sh\nv:x:1001:1::relative:/x\n";
    let paths = |vars: &[&CStr], uid| -> Vec<PathBuf> {
        let mut snapshot = snapshot(vars);
        snapshot.uid = uid;
        let candidates = fallbacks(&snapshot, Some(passwd));
        candidates
            .into_iter()
            .map(|Candidate { path, .. }| path)
            .collect()
    };
    let temporary = |uid: u32| ["/var/tmp", "/tmp"].map(|d| format!("{d}/flavor-{uid}").into());
    let home = PathBuf::from("/home/u/.cache/flavor");
    let with_home: Vec<PathBuf> = core::iter::once(home).chain(temporary(1000)).collect();
    assert_eq!(paths(&[], 1000), with_home);
    assert_eq!(paths(&[c"HOME=/elsewhere"], 1000), with_home);
    // It has been tried as HOME already.
    assert_eq!(paths(&[c"HOME=/home/u"], 1000), temporary(1000));
    assert_eq!(paths(&[], 1001), temporary(1001));
    assert_eq!(paths(&[], 7), temporary(7));
}

#[test]
fn policy() {
    const BUILT: u64 = 1_735_787_045; // 2025-01-02T03:04:05Z
    let demand = |change: fn(&mut Policy)| {
        let mut policy = Policy {
            max_age_days: 0,
            platforms: vec![],
            refuse_root: false,
            require_env: vec![],
        };
        change(&mut policy);
        package(|m| m.policy = Some(policy))
    };
    let ask = |package: &VerifiedPackage, uid, now: fn() -> u64| {
        let has_var = |name: &[u8]| name == b"PRESENT";
        let facts = Facts {
            uid,
            now,
            has_var: &has_var,
        };
        check(package.metadata(), &facts)
    };
    assert_eq!(ask(&package(|_| {}), 0, || 0), Ok(()));
    assert_eq!(ask(&demand(|_| {}), 0, || 0), Ok(()));
    let here = demand(|p| p.platforms = vec![PLATFORM.into()]);
    assert_eq!(ask(&here, 0, || 0), Ok(()));
    let elsewhere = demand(|p| p.platforms = vec!["windows_arm64".into()]);
    assert!(matches!(
        ask(&elsewhere, 0, || 0),
        Err(Refusal::Platform { .. })
    ));
    let no_root = demand(|p| p.refuse_root = true);
    assert_eq!(ask(&no_root, 0, || 0), Err(Refusal::Root));
    assert_eq!(ask(&no_root, 1, || 0), Ok(()));
    let vars = demand(|p| p.require_env = vec!["PRESENT".into(), "ABSENT".into()]);
    let name = "ABSENT".to_owned();
    assert_eq!(ask(&vars, 1, || 0), Err(Refusal::Variable { name }));
    let old = demand(|p| p.max_age_days = 2);
    assert_eq!(ask(&old, 1, || BUILT + 2 * 86_400), Ok(()));
    assert_eq!(
        ask(&old, 1, || BUILT + 2 * 86_400 + 1),
        Err(Refusal::Expired {
            days: 3,
            allowed: 2
        })
    );
    // A clock of 1970, and a signed time that is none, do not mean "young".
    assert!(matches!(ask(&old, 1, || 0), Err(Refusal::Future { .. })));
    let mut policy = demand(|p| p.max_age_days = u64::MAX).metadata().clone();
    policy.build.timestamp = "1970-01-01T00:00:00Z".into();
    let timeless = package(|m| *m = policy);
    assert_eq!(ask(&timeless, 1, || BUILT), Err(Refusal::NoBuildTime));
}

#[test]
fn the_question_to_a_package_is_not_passed_on() {
    let package = package(|_| {});
    let vars = [c"FLAVOR_LAUNCHER_CLI=0", c"FLAVOR_LAUNCHER_CLI=1"];
    let plan = application_of(&package, &snapshot(&vars));
    assert_eq!(variable_of(&plan, "FLAVOR_LAUNCHER_CLI"), "(none)");
}
