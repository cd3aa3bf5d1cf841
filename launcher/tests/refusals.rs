//! Starts that are refused or fail: the exit code, one line of fact, one of help, nothing on standard output.

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Place, assert_refused, must, output, package, stub, write_executable};
use psp_format::metadata::{Command, Policy};

#[test]
fn files_that_were_changed() {
    let place = Place::default();
    let good = package(&[("bin/app", b"#!/bin/sh\necho started\n")], |_| {});
    let launcher = stub().len();
    let (total, path) = (good.len(), place.path("p.psp"));
    let start = |bytes: &[u8]| {
        write_executable(&path, bytes);
        place.run::<&str>(&path, &[])
    };
    for cut in [1, 8, 8200] {
        let fact = format!("truncated: {} of {total} bytes", total - cut);
        assert_refused(&start(&good[..total - cut]), 125, &[&fact, "download"]);
    }
    let fact = format!(
        "truncated: the file ends after {} bytes, in its metadata",
        launcher + 90
    );
    assert_refused(&start(&good[..launcher + 90]), 125, &[&fact]);
    let fact = format!(
        "1 byte follows the end of the package (at {total} of {})",
        total + 1
    );
    assert_refused(&start(&[&good[..], b"x"].concat()), 125, &[&fact]);
    assert_refused(&start(&good[..launcher]), 125, &["(strip or objcopy)"]);
    let mut upx = good[..launcher].to_vec();
    // Where UPX has it: behind the program headers, in bytes that nothing uses here.
    upx.splice(8..12, *b"UPX!");
    assert_refused(&start(&upx), 125, &["(upx)"]);
    let mut unsigned = good.clone();
    let index = total - 8196;
    unsigned[index + 200] ^= 1;
    assert_refused(&start(&unsigned), 125, &["index checksum", "do not start"]);
    let mut metadata = good.clone();
    metadata[launcher + 40] ^= 1;
    assert_refused(&start(&metadata), 125, &["metadata_checksum"]);
    assert!(!place.path("home/.cache").exists());
    assert_eq!(start(&good).stdout, b"started\n");
}

#[test]
fn a_stripped_package() {
    let place = Place::default();
    let path = place.script("p.psp", "echo started");
    if std::process::Command::new("strip")
        .arg(&path)
        .status()
        .is_ok()
    {
        assert_refused(&place.run::<&str>(&path, &[]), 125, &["(strip or objcopy)"]);
    }
}

/// A program that is missing, not executable, a directory, for another machine, or whose interpreter is missing.
///
/// outcome: refused (126 or 127)
/// layer: exec
/// message: does not exist | its interpreter
#[test]
fn case_112_programs_that_cannot_be_executed() {
    let place = Place::default();
    let start = |app: &[u8], argv: &str, mode: u32| {
        let files = [("bin/app", app)];
        let bytes = package(&files, |m| {
            m.execution.argv = vec![argv.into()];
            m.slots[0].mode = mode;
        });
        let path = place.path("p.psp");
        write_executable(&path, &bytes);
        // Both the first start and the next, which looks whether the cache is damaged.
        place.run::<&str>(&path, &[]);
        place.run::<&str>(&path, &[])
    };
    let app = "{workenv}/bin/app";
    // A whole program, for a machine that does not exist.
    let mut alien = stub();
    alien[18..20].copy_from_slice(&[0xfe, 0xff]);
    for (program, argv, mode, code, part) in [
        (
            &b"#!/bin/sh\n"[..],
            "{workenv}/none",
            0o755,
            127,
            "none\" does not exist",
        ),
        (
            b"#!/bin/sh\n",
            "/no/such/program",
            0o755,
            127,
            "\"/no/such/program\" does not exist",
        ),
        (
            b"#!/bin/sh\n",
            "{workenv}/bin/app/x",
            0o755,
            127,
            "does not exist",
        ),
        (b"#!/bin/sh\n", app, 0o644, 126, "ermission denied"),
        (
            b"#!/no/such/sh -x\n",
            app,
            0o755,
            126,
            "its interpreter \"/no/such/sh\" does not exist",
        ),
        (b"\x7fELF, or not", app, 0o755, 126, "xec format error"),
        (&alien, app, 0o755, 126, "xec format error"),
        (
            b"#!/bin/sh\n",
            "{workenv}/bin",
            0o755,
            126,
            "ermission denied",
        ),
    ] {
        assert_refused(&start(program, argv, mode), code, &[part]);
    }
    let bytes = package(&[("bin/app", b"#!/bin/sh\n")], |m| {
        m.execution.cwd = Some("/no/such\ndirectory".into());
    });
    let path = place.path("p.psp");
    write_executable(&path, &bytes);
    let fact = "cannot enter the directory \"/no/such\\ndirectory\"";
    assert_refused(&place.run::<&str>(&path, &[]), 125, &[fact]);
}

#[test]
fn a_file_that_is_gone_from_the_cache_is_put_back() {
    let place = Place::default();
    let path = place.script("p.psp", "echo \"$FLAVOR_WORKENV\"");
    let workenv = common::text(&place.run::<&str>(&path, &[]));
    must(std::fs::remove_file(format!(
        "{}/bin/app",
        workenv.trim_end()
    )));
    assert_eq!(common::text(&place.run::<&str>(&path, &[])), workenv);
}

#[test]
fn setup_commands() {
    let place = Place::default();
    let setup = |argv: &[&str]| Command {
        argv: argv.iter().map(|&arg| arg.into()).collect(),
        cwd: Some("{workenv}".into()),
        env: [("STEP".to_owned(), "{version}".to_owned())].into(),
    };
    let good = setup(&[
        "/bin/sh",
        "-c",
        "cat; echo \"step $STEP $# in $(pwd)\"; echo x >made",
        "{workenv} x",
    ]);
    let app = "cat \"$FLAVOR_WORKENV/made\"";
    let path = place.package("p.psp", app, |m| m.setup = vec![good.clone()]);
    let first = place.run(&path, &["an argument"]);
    assert_eq!(first.stdout, b"x\n");
    let stderr = String::from_utf8_lossy(&first.stderr);
    assert!(stderr.starts_with("step 1.2 0 in /"), "{stderr}");
    let second = place.run::<&str>(&path, &[]);
    assert_eq!((second.stdout, second.stderr), (b"x\n".to_vec(), vec![]));

    // A caller that ignores SIGCHLD hides no failure.
    let path = place.package("q.psp", app, |m| m.setup = vec![setup(&["/bin/false"])]);
    let ignoring = place.sh(&format!(
        "exec env --ignore-signal=CHLD '{}'",
        path.display()
    ));
    assert_eq!(ignoring.status.code(), Some(125));
    let mut nowhere = good.clone();
    nowhere.cwd = Some("none".into());
    let path = place.package("q.psp", app, |m| m.setup = vec![nowhere]);
    assert_refused(
        &place.run::<&str>(&path, &[]),
        125,
        &["cannot enter the directory"],
    );

    for (argv, part) in [
        (
            ["/bin/sh", "-c", "exit 3"],
            "\"/bin/sh\" failed with status 3",
        ),
        (
            ["/bin/sh", "-c", "kill -9 $$"],
            "\"/bin/sh\" was ended by signal 9",
        ),
        (
            ["/no/such/setup", "-c", ""],
            "\"/no/such/setup\" does not exist",
        ),
    ] {
        let path = place.package("q.psp", app, |m| m.setup = vec![good.clone(), setup(&argv)]);
        for _ in 0..2 {
            let output = place.run::<&str>(&path, &[]);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(stderr.contains(part), "{stderr}");
            assert!(output.stdout.is_empty());
            let code = if part.contains("exist") { 127 } else { 125 };
            assert_eq!(output.status.code(), Some(code));
        }
    }
}

#[test]
fn policy() {
    let place = Place::default();
    let demand = Policy {
        max_age_days: 1,
        platforms: vec![],
        refuse_root: false,
        require_env: vec![],
    };
    let refused = |change: &dyn Fn(&mut Policy)| {
        let mut policy = demand.clone();
        change(&mut policy);
        let path = place.package("p.psp", "", |m| m.policy = Some(policy));
        place.run::<&str>(&path, &[])
    };
    assert_refused(&refused(&|_| {}), 125, &["days old, the limit is 1"]);
    let variable = |p: &mut Policy| p.require_env = vec!["NOT_THERE".into()];
    assert_refused(&refused(&variable), 125, &["variable NOT_THERE"]);
    let platform = |p: &mut Policy| p.platforms = vec!["windows_arm64".into()];
    assert_refused(&refused(&platform), 125, &["windows_arm64 only"]);
    assert!(!place.path("home/.cache").exists());
}

/// A relative path in each variable that names a cache.
///
/// outcome: refused (125)
/// layer: environment
/// message: is not an absolute path
#[test]
fn case_050_cache_variables_that_are_relative() {
    let place = Place::default();
    let path = place.script("p.psp", "");
    for variable in ["FLAVOR_CACHE", "CACHE_DIRECTORY", "XDG_CACHE_HOME"] {
        let mut command = place.command(&path);
        let refused = output(command.env(variable, "here\u{1b}"));
        let fact = format!("{variable} is not an absolute path: \"here\\u{{1b}}\"");
        assert_refused(&refused, 125, &[&fact]);
    }
    assert!(!place.path("here\u{1b}").exists());
}

/// A start that fails where nobody reads standard error, with these dialog programs and no others. Returns what was
/// written down.
struct Desk(Place);

impl Desk {
    fn with(programs: &[&str]) -> Desk {
        let place = Place::default();
        write_executable(&place.path("p.psp"), &stub());
        let log = b"#!/bin/sh\n{ printf '%s|' \"${0##*/}\" \"$@\"; cat; } >\"$LOG.new\"; mv \"$LOG.new\" \"$LOG\"\n";
        for program in programs {
            write_executable(&place.path(program), log);
        }
        // The machine may have a real one beside these.
        for tool in ["cat", "mv"] {
            let real = std::path::Path::new("/bin").join(tool);
            must(std::os::unix::fs::symlink(real, place.path(tool)));
        }
        Desk(place)
    }

    fn start(&self, display: &str, stderr: Stdio, vars: &[(&str, &str)]) {
        // A session of its own has no controlling terminal.
        let mut command = self.0.command("/usr/bin/setsid");
        command.arg("--wait").arg(self.0.path("p.psp"));
        command.env("PATH", self.0.path("")).env("DISPLAY", display);
        command.env("LOG", self.0.path("log")).envs(vars.to_vec());
        let status = must(command.stdout(Stdio::null()).stderr(stderr).status());
        assert_eq!(status.code(), Some(125));
    }

    /// What was shown, once it is.
    fn shown(&self) -> String {
        let end = Instant::now() + Duration::from_secs(60);
        while !self.0.path("log").exists() {
            assert!(Instant::now() < end, "no dialog");
            std::thread::sleep(Duration::from_millis(10));
        }
        let shown = must(std::fs::read_to_string(self.0.path("log")));
        must(std::fs::remove_file(self.0.path("log")));
        shown
    }
}

/// Only where nobody reads standard error and there is a display.
#[test]
fn dialog_where_nobody_reads() {
    let desk = Desk::with(&["kdialog"]);
    let file = |name: &str| Stdio::from(must(std::fs::File::create(desk.0.path(name))));
    desk.start(":0", Stdio::piped(), &[]);
    desk.start(":0", file("log-of-ours"), &[]);
    desk.start("", Stdio::null(), &[]);
    desk.start(":0", file("home/.xsession-errors"), &[("HOME", "/none")]);
    std::thread::sleep(Duration::from_millis(300));
    assert!(!desk.0.path("log").exists());
    desk.start(":0", Stdio::null(), &[]);
    assert!(
        desk.shown()
            .starts_with("kdialog|--title|p.psp does not start|--error|no package data: ")
    );
    desk.start("", Stdio::null(), &[("WAYLAND_DISPLAY", "wayland-0")]);
    assert!(
        desk.shown()
            .starts_with("kdialog|--title|p.psp does not start|--error|no package data: ")
    );
    // What a file manager gives to its children where the session writes a log.
    must(std::fs::create_dir_all(
        desk.0.path("home/.local/share/sddm"),
    ));
    for log in [
        "home/.xsession-errors",
        "home/.local/share/sddm/xorg-session.log",
        "home/.local/share/sddm/wayland-session.log",
    ] {
        desk.start(":0", file(log), &[]);
        assert!(
            desk.shown()
                .starts_with("kdialog|--title|p.psp does not start|--error|no package data: "),
            "{log}"
        );
        let log = must(std::fs::read_to_string(desk.0.path(log)));
        assert!(log.starts_with("error: no package data"), "{log}");
    }
}

/// The first that is there, with the text as it is, and nothing to read.
#[test]
fn dialog_programs() {
    for (programs, start) in [
        (
            &["zenity", "kdialog", "xmessage"][..],
            "zenity|--error|--no-markup|--title|p.psp does not start|--text|",
        ),
        (
            &["kdialog", "xmessage"],
            "kdialog|--title|p.psp does not start|--error|",
        ),
        (
            &["xmessage"],
            "xmessage|-center|-title|p.psp does not start|",
        ),
    ] {
        let desk = Desk::with(programs);
        desk.start(":0", Stdio::null(), &[]);
        let shown = desk.shown();
        assert!(shown.starts_with(start), "{shown}");
        assert!(
            shown.ends_with('|') && shown.matches('|').count() == start.matches('|').count() + 1
        );
        assert!(shown.contains("no package data: "), "{shown}");
        assert!(shown.contains("\n\n"), "fact and help: {shown}");
    }
}

/// Standard error is a pipe that nobody reads any more, and the start is refused.
///
/// outcome: refused (125), which the exit status still tells
/// layer: none
/// message: none
#[test]
fn case_118_nobody_reads_the_message() {
    let place = Place::default();
    let path = place.path("p.psp");
    write_executable(&path, &stub());
    let script = format!(
        "('{}' 2>&3; echo $? >code) 3>&1 | true; sleep 0.2; cat code",
        path.display()
    );
    let code = common::text(&place.sh(&script));
    assert_eq!(code, "125\n");
}
