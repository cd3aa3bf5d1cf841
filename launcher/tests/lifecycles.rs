//! What each lifecycle does on disk and among the processes.
#![allow(clippy::panic)]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use common::{Place, assert_refused, must, output, spawn, text, until};
use psp_format::metadata::{Command, Lifecycle, Metadata};

const FRESH: [Lifecycle; 2] = [Lifecycle::Startup, Lifecycle::Volatile];

fn script(text: &str) -> Vec<u8> {
    format!("#!/bin/sh\n{text}\n").into_bytes()
}

fn setup(metadata: &mut Metadata, script: &str) {
    metadata.setup.push(Command {
        argv: ["/bin/sh", "-c", script, "{workenv}"]
            .map(str::to_owned)
            .into(),
        cwd: None,
        env: Default::default(),
    });
}

/// Starts it with pipes, and reads its first line.
fn start(place: &Place, package: &Path) -> (Child, String) {
    let mut command = place.command(package);
    let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut line = String::new();
    if let Some(out) = &mut child.stdout {
        // One byte after the other would be needed to leave the rest; there is none before standard input ends.
        must(BufReader::new(out).read_line(&mut line));
    }
    (child, line.trim_end().to_owned())
}

/// Lets a program go on that waits for the end of its input.
fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(must(child.wait()).success());
}

#[test]
fn fresh_files_are_there_anew_for_each_start() {
    for lifecycle in FRESH {
        let place = Place::default();
        let app = script(
            r#"cat "$FLAVOR_WORKENV/var/state"; echo changed >"$FLAVOR_WORKENV/var/state"
            echo own >"$FLAVOR_WORKENV/var/own"; echo; echo "$FLAVOR_WORKENV""#,
        );
        let files = [
            ("var/state", &b"new"[..], lifecycle),
            ("data/file", b"data", Lifecycle::Cached),
        ];
        let package = place.living("p.psp", &app, &files, |_| {});
        for _ in 0..3 {
            let out = text(&place.run::<&str>(&package, &[]));
            let [first, workenv] = out.lines().collect::<Vec<_>>()[..] else {
                panic!("{out}")
            };
            assert_eq!(first, "new");
            // What the last start changed is there until the next one, and nothing of those before.
            let runs = place.stored("runs");
            let [run, lock] = &runs[..] else {
                panic!("{runs:?}")
            };
            assert_eq!(*lock, format!("{run}.lock"));
            let workenv = Path::new(workenv);
            assert_eq!(workenv.file_name(), Some(run.as_ref()));
            assert_eq!(must(fs::read(workenv.join("var/state"))), b"changed\n");
            assert!(workenv.join("var/own").exists());
            // Everything else is a link.
            assert_eq!(must(fs::read(workenv.join("data/file"))), b"data");
            assert!(must(fs::symlink_metadata(workenv.join("data"))).is_symlink());
        }
        let envs = place.stored("envs");
        let env = place.path("home/.cache/flavor/envs").join(&envs[0]);
        assert!(!env.join("var").exists(), "not in the ordinary environment");
    }
}

#[test]
fn temporary_files_go_when_the_application_ends() {
    let place = Place::default();
    let app = script(r#"ls -A "$FLAVOR_WORKENV" "$FLAVOR_WORKENV/tmp"; exit 3"#);
    let package = place.living(
        "p.psp",
        &app,
        &[("tmp/x", b"x", Lifecycle::Temporary)],
        |_| {},
    );
    for _ in 0..2 {
        let out = place.run::<&str>(&package, &[]);
        assert_eq!(out.status.code(), Some(3));
        let listed = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(
            listed.contains("bin\ntmp\n") && listed.ends_with("x\n"),
            "{listed}"
        );
        assert_eq!(place.stored("runs"), [""; 0]);
    }
}

#[test]
fn two_starts_at_once_are_private_to_each_other() {
    for lifecycle in [
        Lifecycle::Startup,
        Lifecycle::Volatile,
        Lifecycle::Temporary,
    ] {
        let place = Place::default();
        let app = script(
            r#"echo $$ >"$FLAVOR_WORKENV/tmp/x"; echo "$FLAVOR_WORKENV"; cat
            [ "$(cat "$FLAVOR_WORKENV/tmp/x")" = $$ ]"#,
        );
        let package = place.living("p.psp", &app, &[("tmp/x", b"x", lifecycle)], |_| {});
        let (a, in_a) = start(&place, &package);
        let (b, in_b) = start(&place, &package);
        assert_ne!(in_a, in_b);
        assert_eq!(place.stored("runs").len(), 4, "two, with their locks");
        let content = |workenv: &str| must(fs::read(Path::new(workenv).join("tmp/x")));
        assert_ne!(content(&in_a), content(&in_b));
        end(a);
        // A third one removes what the first has left, and nothing of the second.
        let (c, in_c) = start(&place, &package);
        assert!(!Path::new(&in_a).exists() || in_c == in_a);
        assert!(Path::new(&in_b).join("tmp/x").exists());
        end(b);
        end(c);
    }
}

#[test]
fn what_any_process_can_use_is_kept() {
    let place = Place::default();
    // The application ends; what it has started in the background does not, and has nothing open below the environment.
    let app = script(r#"sleep 1000 </dev/null >/dev/null 2>&1 & echo "$! $FLAVOR_WORKENV""#);
    let package = place.living("p.psp", &app, &[("x", b"x", Lifecycle::Volatile)], |_| {});
    let out = text(&place.run::<&str>(&package, &[]));
    let Some((pid, workenv)) = out.trim_end().split_once(' ') else {
        panic!("{out}")
    };
    // Neither a start of the same package nor the first of another one removes it.
    let other = place.script("q.psp", "echo other");
    let second = text(&place.run::<&str>(&package, &[]));
    assert_eq!(text(&place.run::<&str>(&other, &[])), "other\n");
    assert!(Path::new(workenv).join("x").exists());
    text(&place.run("kill", &[pid]));
    let Some((second, _)) = second.split_once(' ') else {
        panic!("{second}")
    };
    text(&place.run("kill", &[second]));
    for pid in [pid, second] {
        until("the end of it", || !is_running(pid));
    }
    // The first start of a third package, which has no such files.
    let third = place.script("r.psp", "echo third");
    assert_eq!(text(&place.run::<&str>(&third, &[])), "third\n");
    assert_eq!(place.stored("runs"), [""; 0]);
}

fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn leftovers_of_a_killed_launcher_are_removed() {
    let place = Place::default();
    let package = place.living(
        "p.psp",
        &script(":"),
        &[("x", b"x", Lifecycle::Temporary)],
        |_| {},
    );
    assert!(place.run::<&str>(&package, &[]).status.success());
    let env = place.stored("ready").remove(0);
    let runs = place.path("home/.cache/flavor/runs");
    let left = runs.join(format!("{env}.1"));
    must(fs::create_dir_all(left.join("half/made")));
    must(fs::set_permissions(
        left.join("half"),
        fs::Permissions::from_mode(0o000),
    ));
    must(fs::write(runs.join(format!("{env}.1.lock")), b""));
    must(fs::write(runs.join(format!("{env}.2.lock")), b""));
    // What no launcher has made stays, and so does what has no lock.
    must(fs::write(runs.join("notes.lock"), b""));
    must(fs::create_dir(runs.join(format!("{env}.3"))));
    assert!(place.run::<&str>(&package, &[]).status.success());
    assert_eq!(
        place.stored("runs"),
        [format!("{env}.3"), "notes.lock".into()]
    );
}

#[test]
fn a_failed_start_leaves_no_private_files() {
    for (lifecycle, command, code) in [
        (Lifecycle::Volatile, "{workenv}/bin/none", 127),
        (Lifecycle::Temporary, "{workenv}/bin/none", 127),
        (Lifecycle::Temporary, "{workenv}/x", 126),
        (Lifecycle::Temporary, "{workenv}/bin/app", 126),
    ] {
        let place = Place::default();
        let files = [("x", &b"x"[..], lifecycle)];
        let package = place.living("p.psp", b"#!/none/sh\n", &files, |m| {
            m.execution.argv = vec![command.into()];
            m.execution.command = command.into();
        });
        for _ in 0..2 {
            assert_refused(&place.run::<&str>(&package, &[]), code, &[&command[9..]]);
            assert_eq!(place.stored("runs"), [""; 0]);
        }
        // A directory that is not there.
        let package = place.living("q.psp", &script(":"), &files, |m| {
            m.execution.cwd = Some("none".into());
        });
        assert_refused(&place.run::<&str>(&package, &[]), 125, &["none"]);
        assert_eq!(place.stored("runs"), [""; 0]);
    }
}

#[test]
fn what_a_cleaner_removes_comes_back() {
    let place = Place::default();
    let files = [
        ("x", &b"x"[..], Lifecycle::Temporary),
        ("data", b"data", Lifecycle::Cached),
    ];
    let app = script(r#"cat "$FLAVOR_WORKENV/x" "$FLAVOR_WORKENV/data""#);
    let package = place.living("p.psp", &app, &files, |_| {});
    let store = place.path("home/.cache/flavor");
    assert_eq!(text(&place.run::<&str>(&package, &[])), "xdata");
    let env = store.join("envs").join(&place.stored("ready")[0]);
    for gone in [
        &env,
        &env.join("bin"),
        &store.join("runs"),
        &store.join("slots"),
    ] {
        let stat = must(fs::symlink_metadata(gone));
        must(if stat.is_symlink() {
            fs::remove_file(gone)
        } else {
            fs::remove_dir_all(gone)
        });
        assert_eq!(
            text(&place.run::<&str>(&package, &[])),
            "xdata",
            "{}",
            gone.display()
        );
        assert_eq!(place.stored("runs"), [""; 0]);
    }
}

#[test]
fn private_files_are_verified_at_each_start() {
    let place = Place::default();
    let files = [("x", &b"the content of x"[..], Lifecycle::Temporary)];
    let package = place.living("p.psp", &script("echo started"), &files, |_| {});
    assert_eq!(text(&place.run::<&str>(&package, &[])), "started\n");
    let mut bytes = must(fs::read(&package));
    let at = bytes.windows(16).rposition(|part| part == files[0].1);
    bytes[at.unwrap_or_default()] ^= 1;
    common::write_executable(&package, &bytes);
    assert_refused(
        &place.run::<&str>(&package, &[]),
        125,
        &["slot s", "checksum"],
    );
    assert_eq!(place.stored("runs"), [""; 0]);
}

#[test]
fn a_name_in_two_slots_is_refused() {
    let place = Place::default();
    let tar = |path: &str| {
        let mut bytes = psp_format::tar::encode(&psp_format::tar::Entry {
            path: b"d".to_vec(),
            kind: psp_format::tar::Kind::Directory,
            mode: 0o755,
            mtime: 0,
        });
        bytes.extend(psp_format::tar::encode(&psp_format::tar::Entry {
            path: path.as_bytes().to_vec(),
            kind: psp_format::tar::Kind::File(0),
            mode: 0o644,
            mtime: 0,
        }));
        bytes.extend([0; psp_format::tar::END_SIZE]);
        bytes
    };
    let (directory, file) = (tar("d/x"), b"x");
    let package = place.living(
        "p.psp",
        &script(":"),
        &[
            ("d/x", file, Lifecycle::Cached),
            ("d", &directory, Lifecycle::Temporary),
        ],
        |m| {
            m.slots[2].operations = psp_format::ops::Operations::Tar;
            m.slots[2].operations_code = m.slots[2].operations.code();
            m.slots[2].mode = 0o755;
        },
    );
    assert_refused(&place.run::<&str>(&package, &[]), 125, &["link", "exists"]);
    assert_eq!(place.stored("runs"), [""; 0]);
}

#[test]
fn only_what_belongs_there_is_unpacked() {
    let place = Place::default();
    let app = script(r#"cd "$FLAVOR_WORKENV"; find . -type f -o -type l | sort | tr '\n' ' '"#);
    let files = [
        ("cached", &b"x"[..], Lifecycle::Cached),
        ("runtime", b"x", Lifecycle::Runtime),
        ("platform", b"x", Lifecycle::Platform),
        ("config", b"x", Lifecycle::Config),
        ("init", b"x", Lifecycle::Init),
        ("lazy", b"x", Lifecycle::Lazy),
        ("dev", b"x", Lifecycle::Dev),
        ("sbom", b"x", Lifecycle::Attestation),
    ];
    let package = place.living("p.psp", &app, &files, |m| {
        setup(m, r#"cd "$0"; [ -e init ] && ls init cached config"#);
    });
    for dev in ["0", "1"] {
        let out = output(place.command(&package).env("FLAVOR_DEV", dev));
        // Standard output is the application's.
        assert_eq!(
            String::from_utf8_lossy(&out.stderr),
            "cached\nconfig\ninit\n"
        );
        let dev = if dev == "1" { "./dev " } else { "" };
        let expected = format!("./bin/app ./cached ./config {dev}./platform ./runtime ");
        assert_eq!(text(&out), expected);
    }
}

/// Versions of a package with two settings: a file, and a directory of which the file is a part.
fn version(place: &Place, number: &str, file: &[u8]) -> std::path::PathBuf {
    let app = script(r#"cd "$FLAVOR_WORKENV"; cat etc/app.toml; stat -c %a etc/app.toml"#);
    let files = [("etc/app.toml", file, Lifecycle::Config)];
    place.living(format!("{number}.psp"), &app, &files, |m| {
        m.package.version = number.into()
    })
}

#[test]
fn changed_settings_are_kept_over_an_upgrade() {
    let place = Place::default();
    let change = |with: &str| {
        let newest = place.path("home/.cache/flavor/ready");
        let newest = must(fs::read_dir(newest))
            .flatten()
            .max_by_key(|entry| entry.metadata().and_then(|meta| meta.modified()).ok());
        let newest = newest.map(|entry| entry.file_name()).unwrap_or_default();
        let file = place
            .path("home/.cache/flavor/envs")
            .join(newest)
            .join("etc/app.toml");
        must(fs::write(&file, with));
        must(fs::set_permissions(
            &file,
            fs::Permissions::from_mode(0o600),
        ));
    };
    let start = |number: &str, default: &str| {
        let package = version(&place, number, default.as_bytes());
        text(&place.run::<&str>(&package, &[]))
    };
    assert_eq!(start("1", "a=1\n"), "a=1\n644\n");
    // Not changed: the new default comes.
    assert_eq!(start("2", "a=2\n"), "a=2\n644\n");
    // Changed, to something of the same size, in the same second: it stays, with its mode, over two upgrades.
    change("a=7\n");
    assert_eq!(start("2", "a=2\n"), "a=7\n600\n");
    assert_eq!(start("3", "a=3\n"), "a=7\n600\n");
    assert_eq!(start("4", "a=7\n"), "a=7\n600\n");
    assert_eq!(start("5", "a=5\n"), "a=7\n600\n");
    // The old version has its own.
    assert_eq!(start("1", "a=1\n"), "a=1\n644\n");
}

#[test]
fn settings_of_others_are_not_taken_over() {
    let place = Place::default();
    let first = version(&place, "1", b"a=1\n");
    place.run::<&str>(&first, &[]);
    let env = place.stored("ready").remove(0);
    let file = place
        .path("home/.cache/flavor/envs")
        .join(env)
        .join("etc/app.toml");
    must(fs::write(&file, "a=7\n"));
    // Another name.
    let files = [("etc/app.toml", &b"a=2\n"[..], Lifecycle::Config)];
    let app = script(r#"cat "$FLAVOR_WORKENV/etc/app.toml""#);
    let other = place.living("other.psp", &app, &files, |m| {
        m.package.name = "other".into()
    });
    assert_eq!(text(&place.run::<&str>(&other, &[])), "a=2\n");
    // Another target, and a version that has a directory there or nothing.
    let files = [("etc/app.toml/x", &b"a=2\n"[..], Lifecycle::Config)];
    let app = script(r#"cat "$FLAVOR_WORKENV/etc/app.toml/x""#);
    let moved = place.living("moved.psp", &app, &files, |m| {
        m.package.version = "2".into()
    });
    assert_eq!(text(&place.run::<&str>(&moved, &[])), "a=2\n");
    // A link in place of the file is nothing that is carried anywhere.
    must(fs::remove_file(&file));
    must(std::os::unix::fs::symlink("/etc/hostname", &file));
    let next = version(&place, "3", b"a=3\n");
    assert_eq!(text(&place.run::<&str>(&next, &[])), "a=3\n644\n");
}

#[test]
fn setup_runs_once_in_the_ordinary_environment() {
    let place = Place::default();
    let log = place.path("log");
    let app = script(r#"cd "$FLAVOR_WORKENV"; echo app; ls; cat made"#);
    let files = [("x", &b"x"[..], Lifecycle::Temporary)];
    let package = place.living("p.psp", &app, &files, |m| {
        let log = log.display();
        setup(
            m,
            &format!(r#"cd "$0"; pwd >>'{log}'; ls >>'{log}'; cat; echo out; echo made >made"#),
        );
    });
    let mut command = place.command(&package);
    let mut child = spawn(
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    // The application's input is not read by setup.
    must(
        child
            .stdin
            .take()
            .map_or(Ok(()), |mut input| input.write_all(b"input")),
    );
    let first = must(child.wait_with_output());
    assert_eq!(String::from_utf8_lossy(&first.stderr), "out\n");
    assert_eq!(text(&first), "app\nbin\nmade\nx\nmade\n");
    let second = place.run::<&str>(&package, &[]);
    assert!(second.stderr.is_empty());
    assert_eq!(second.stdout, first.stdout);
    let env = place
        .path("home/.cache/flavor/envs")
        .join(&place.stored("ready")[0]);
    let expected = format!("{}\nbin\n", env.display());
    assert_eq!(must(fs::read_to_string(log)), expected);
}

#[test]
fn a_failed_setup_leaves_nothing() {
    let place = Place::default();
    let files = [
        ("init", &b"x"[..], Lifecycle::Init),
        ("etc/config", b"x", Lifecycle::Config),
        ("tmp", b"x", Lifecycle::Temporary),
    ];
    let package = place.living("p.psp", &script("echo started"), &files, |m| {
        setup(m, r#"echo half >"$0/half"; echo sorry; exit 4"#);
        setup(m, r#"echo never; :"#);
    });
    for _ in 0..2 {
        let out = place.run::<&str>(&package, &[]);
        assert_eq!(out.status.code(), Some(125));
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(
            stderr.starts_with(
                "sorry\nerror: the setup command \"/bin/sh\" failed with status 4\nhelp: "
            ),
            "{stderr}"
        );
        assert!(
            out.stdout.is_empty() && !stderr.contains("never"),
            "{stderr}"
        );
        for directory in ["envs", "ready", "runs", "staging"] {
            assert_eq!(place.stored(directory), [""; 0], "{directory}");
        }
    }
}

#[test]
fn a_killed_setup_runs_again_in_a_clean_environment() {
    let place = Place::default();
    let (reached, go) = (place.path("reached"), place.path("go"));
    let files = [("init", &b"x"[..], Lifecycle::Init)];
    let package = place.living("p.psp", &script("echo started"), &files, |m| {
        setup(
            m,
            &format!(
                r#"cd "$0"; ls; echo half >half; echo $$ >'{0}.new'; mv '{0}.new' '{0}'
                while [ ! -e '{1}' ]; do sleep 0.02; done"#,
                reached.display(),
                go.display()
            ),
        );
    });
    let mut child = spawn(place.command(&package).stderr(Stdio::null()));
    until("the setup command", || reached.exists());
    must(child.kill());
    must(child.wait());
    must(fs::write(&go, b""));
    let setup = must(fs::read_to_string(&reached));
    until("the end of the setup command", || !is_running(setup.trim()));
    assert_eq!(place.stored("ready"), [""; 0]);
    let out = place.run::<&str>(&package, &[]);
    assert_eq!(String::from_utf8_lossy(&out.stderr), "bin\ninit\n");
    assert_eq!(text(&out), "started\n");
}
