//! Starting packages: what reaches the application is what it would get if it were started directly.
#![allow(clippy::panic)]

mod common;

use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use common::{Place, must, output, spawn, text};
use psp_format::metadata::{Command, EnvRules, Runtime};

/// Runs it twice: the first start unpacks, the second finds everything ready.
fn cold_and_warm(run: impl Fn()) {
    run();
    run();
}

/// Exit status 42, and ends by two signals.
///
/// outcome: runs; the caller sees them
/// layer: none
/// message: none
#[test]
fn case_118_status_and_signals() {
    let place = Place::default();
    let package = place.script("p.psp", "[ $# = 0 ] && exit 42; kill -s \"$1\" $$");
    cold_and_warm(|| {
        assert_eq!(place.run::<&str>(&package, &[]).status.code(), Some(42));
        assert_eq!(place.run(&package, &["TERM"]).status.signal(), Some(15));
        assert_eq!(place.run(&package, &["KILL"]).status.signal(), Some(9));
    });
}

#[test]
fn the_process_stays_the_same() {
    let place = Place::default();
    let package = place.script("p.psp", "echo $$");
    cold_and_warm(|| {
        let mut child = spawn(place.command(&package).stdout(Stdio::piped()));
        let mut pid = String::new();
        must(
            child
                .stdout
                .take()
                .map_or(Ok(0), |mut out| out.read_to_string(&mut pid)),
        );
        assert_eq!(pid.trim(), child.id().to_string());
        must(child.wait());
    });
}

/// Arguments with placeholders, quotes, bytes that are no text, and launcher options.
///
/// outcome: runs; the application gets them unchanged
/// layer: none
/// message: none
#[test]
fn case_111_arguments_that_look_like_the_launchers() {
    let place = Place::default();
    let package = place.package("p.psp", r#"printf '%s\0' "$@""#, |m| {
        m.execution.argv.push("{version} own".into());
    });
    let args: Vec<&OsStr> = [
        &b""[..],
        b"a b",
        b"$x",
        b"new\nline",
        b"\xff\xfe",
        b"--help",
        b"{workenv}",
        b"{slot:0}",
        b"'\"\\`",
        b"info",
        b"--",
        b"FLAVOR_LAUNCHER_CLI=1",
        b"--flavor-verify",
    ]
    .map(OsStr::from_bytes)
    .to_vec();
    let expected = [&[OsStr::new("1.2 own")], &args[..]].concat();
    let expected: Vec<u8> = expected
        .iter()
        .flat_map(|arg| [arg.as_bytes(), b"\0"].concat())
        .collect();
    cold_and_warm(|| {
        let found = place.run(&package, &args).stdout;
        assert_eq!(
            found.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    });
}

#[test]
fn a_hundred_megabytes_pass_through() {
    const CHUNK: usize = 1 << 20;
    let place = Place::default();
    let package = place.script("p.psp", "cat; echo end >&2");
    let pattern: Vec<u8> = (0..CHUNK).map(|n| (n % 251) as u8).collect();
    let mut child = spawn(
        place
            .command(&package)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let (Some(mut input), Some(mut out)) = (child.stdin.take(), child.stdout.take()) else {
        panic!("no pipes")
    };
    let sent = pattern.clone();
    let writer = std::thread::spawn(move || (0..100).try_for_each(|_| input.write_all(&sent)));
    for _ in 0..100 {
        let mut chunk = vec![0; CHUNK];
        must(out.read_exact(&mut chunk));
        assert!(chunk == pattern);
    }
    assert_eq!(must(out.read(&mut [0])), 0);
    assert!(writer.join().is_ok_and(|result| result.is_ok()));
    let rest = must(child.wait_with_output());
    assert_eq!(rest.stderr, b"end\n");
}

#[test]
fn environment_rules_and_additions() {
    let place = Place::default();
    let rules = EnvRules {
        unset: vec!["LD_*".into(), "SECRET".into()],
        pass: vec!["LD_KEEP".into()],
        map: [("OLD".to_owned(), "NEW".to_owned())].into(),
        set: [("WHERE".to_owned(), "{package_dir}|{workenv}".to_owned())].into(),
    };
    let package = place.package("p.psp", "env", |m| {
        m.runtime = Some(Runtime { env: rules });
        m.execution.env.insert("MINE".into(), "{version}".into());
    });
    cold_and_warm(|| {
        let mut command = place.command(&package);
        for name in [
            "LD_X",
            "LD_KEEP",
            "SECRET",
            "OLD",
            "OTHER",
            "FLAVOR_COMMAND",
        ] {
            command.env(name, if name == "FLAVOR_COMMAND" { "" } else { name });
        }
        let env = text(&output(&mut command));
        let value = |name: &str| {
            env.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .map(str::to_owned)
        };
        for name in ["LD_X", "SECRET", "OLD", "FLAVOR_COMMAND"] {
            assert_eq!(value(name), None);
        }
        assert_eq!(value("LD_KEEP").as_deref(), Some("LD_KEEP"));
        assert_eq!(value("OTHER").as_deref(), Some("OTHER"));
        assert_eq!(value("NEW").as_deref(), Some("OLD"));
        assert_eq!(value("MINE").as_deref(), Some("1.2"));
        assert_eq!(value("FLAVOR_PACKAGE").as_deref(), Some("demo"));
        assert_eq!(value("FLAVOR_VERSION").as_deref(), Some("1.2"));
        assert_eq!(value("FLAVOR_COMMAND_NAME").as_deref(), Some("p.psp"));
        let path = package.display().to_string();
        assert_eq!(value("FLAVOR_ORIGINAL_COMMAND"), Some(path));
        let cache = place.path("home/.cache/flavor").display().to_string();
        assert_eq!(value("FLAVOR_CACHE").as_deref(), Some(&cache[..]));
        let workenv = value("FLAVOR_WORKENV").unwrap_or_default();
        assert!(workenv.starts_with(&cache));
        let directory = must(place.path(".").canonicalize()).display().to_string();
        assert_eq!(value("WHERE"), Some(format!("{directory}|{workenv}")));
    });
}

#[test]
fn signals_and_limits_are_the_callers() {
    let place = Place::default();
    let report = "grep -E '^(Sig(Blk|Ign)|Umask|Cpus_allowed|Seccomp|NoNewPrivs):' /proc/self/status; pwd; nice; ulimit -n";
    let package = place.script("p.psp", report);
    let direct = place.path("direct");
    common::write_executable(&direct, format!("#!/bin/sh\n{report}\n").as_bytes());
    cold_and_warm(|| {
        for prefix in [
            "",
            "env --ignore-signal=PIPE --block-signal=USR1",
            "env --ignore-signal=INT --ignore-signal=CHLD",
            "nice -n 5",
            "umask 027; cd /;",
        ] {
            let run = |program: &std::path::Path| {
                text(&place.sh(&format!("{prefix} '{}'", program.display())))
            };
            assert_eq!(run(&package), run(&direct), "{prefix}");
        }
    });
}

#[test]
fn started_by_any_name() {
    let place = Place::default();
    let package = place.script("p.psp", r#"printf '%s|%s' "$FLAVOR_ORIGINAL_COMMAND" "$1""#);
    let dir = must(std::fs::canonicalize(place.path(".")));
    must(std::os::unix::fs::symlink("p.psp", place.path("link")));
    let path = package.display();
    for (script, name) in [
        ("./p.psp x".to_owned(), "./p.psp".to_owned()),
        ("./link x".to_owned(), "./link".to_owned()),
        (
            format!("PATH={}:$PATH; p.psp x", dir.display()),
            format!("{}/p.psp", dir.display()),
        ),
        (
            format!("exec 3<'{path}'; rm '{path}'; exec /proc/self/fd/3 x"),
            "/proc/self/fd/3".to_owned(),
        ),
    ] {
        assert_eq!(text(&place.sh(&script)), format!("{name}|x"), "{script}");
    }
}

#[test]
fn deleted_while_it_runs() {
    let place = Place::default();
    let package = place.script("p.psp", r#"rm "$FLAVOR_ORIGINAL_COMMAND"; echo gone"#);
    assert_eq!(text(&place.run::<&str>(&package, &[])), "gone\n");
    assert!(!package.exists());
}

/// Files and directories named ..psp, ...psp, .psp, of 255 bytes, with spaces, quotes, substitutions, ends of lines.
///
/// outcome: runs; nothing is made outside the cache
/// layer: none
/// message: none
#[test]
fn case_062_any_directory_and_file_name() {
    let place = Place::default();
    let names: [&[u8]; 12] = [
        b"...psp",
        b".psp",
        b"$(touch x)`touch x`",
        b"\x1b[31m",
        b"with space",
        b"new\nline",
        b"\xff\xfe",
        b"quote'\"$(x)",
        b"{version}",
        b"..psp",
        b"-rf",
        &[b'n'; 255],
    ];
    for name in names {
        let directory = place.path(OsStr::from_bytes(name));
        must(std::fs::create_dir_all(directory.join("home")));
        let package = place.package(
            directory.join(OsStr::from_bytes(name)),
            r#"printf '%s' "$W" "$1""#,
            |m| {
                m.execution.env.insert("W".into(), "{package_dir}".into());
                m.execution.argv.push("{workenv}".into());
            },
        );
        cold_and_warm(|| {
            let mut command = place.command(&package);
            let found = output(command.env("HOME", directory.join("home"))).stdout;
            let own = must(directory.canonicalize());
            let expected = [own.as_os_str().as_bytes(), directory.as_os_str().as_bytes()].concat();
            assert!(
                found.starts_with(&expected),
                "{}",
                OsStr::from_bytes(name).display()
            );
        });
        // The file and the home, and one cache in it.
        assert_eq!(must(std::fs::read_dir(&directory)).count(), 2);
        let home = directory.join("home");
        assert_eq!(must(std::fs::read_dir(&home)).count(), 1);
        let ready = must(std::fs::read_dir(home.join(".cache/flavor/ready")));
        assert_eq!(ready.count(), 1);
    }
    // And the home of the place itself.
    let count = must(std::fs::read_dir(place.path("."))).count();
    assert_eq!(count, names.len() + 1);
}

#[test]
fn commands_by_name() {
    let place = Place::default();
    let package = place.package(
        "p.psp",
        r#"echo "$FLAVOR_COMMAND_NAME $1 $2 $FLAVOR_COMMAND""#,
        |m| {
            let tool = Command {
                argv: vec!["{workenv}/bin/app".into(), "tool".into()],
                cwd: None,
                env: Default::default(),
            };
            m.commands.insert("tool".into(), tool);
        },
    );
    must(std::os::unix::fs::symlink(&package, place.path("tool")));
    assert_eq!(text(&place.run(&package, &["x"])), "p.psp x  \n");
    assert_eq!(
        text(&place.run(place.path("tool"), &["x"])),
        "tool tool x \n"
    );
    let mut command = place.command(&package);
    let chosen = text(&output(command.env("FLAVOR_COMMAND", "tool")));
    assert_eq!(chosen, "tool tool  \n");
    let mut command = place.command(&package);
    let refused = output(command.env("FLAVOR_COMMAND", "none"));
    common::assert_refused(&refused, 125, &["no command \"none\"; it has tool"]);
}

/// Each standard stream closed, and all of them.
///
/// outcome: runs; they are closed for the application
/// layer: none
/// message: none
#[test]
fn case_118_closed_streams() {
    let place = Place::default();
    // The name of the report is the first argument, so that no stream is redirected before they are counted.
    let script = r#"
        open=
        for n in 0 1 2; do if [ -e /proc/$$/fd/$n ]; then open=$open$n; fi; done
        echo "open $open" >"$1"; exit 7"#;
    let package = place.script("p.psp", script);
    for (streams, open) in [
        ("<&-", "12"),
        (">&-", "02"),
        ("2>&-", "01"),
        ("<&- >&- 2>&-", ""),
    ] {
        let home = place.path("home");
        must(std::fs::remove_dir_all(&home));
        must(std::fs::create_dir(&home));
        cold_and_warm(|| {
            let report = place.path("report");
            let start = format!("exec '{}' \"$0\" {streams}", package.display());
            let shell = [OsStr::new("-c"), OsStr::new(&start), report.as_os_str()];
            let output = place.run("/bin/sh", &shell);
            assert_eq!(output.status.code(), Some(7), "{streams}");
            let report = must(std::fs::read_to_string(report));
            assert_eq!(report, format!("open {open}\n"), "{streams}");
        });
    }
}

#[test]
fn working_directory() {
    let place = Place::default();
    let package = place.package("p.psp", "pwd", |m| m.execution.cwd = Some("bin".into()));
    cold_and_warm(|| {
        let found = text(&place.run::<OsString>(&package, &[]));
        assert!(found.ends_with("/bin\n"), "{found}");
    });
    let caller = place.script("q.psp", "pwd");
    let mut command = place.command(&caller);
    assert_eq!(text(&output(command.current_dir("/"))), "/\n");
}
