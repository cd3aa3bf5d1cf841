//! The launcher as the parent of the application: what is sent to it arrives, and how the application ends is how it ends.
#![allow(clippy::panic)]

mod common;

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use common::{Place, must, output, spawn, text, until};
use psp_format::metadata::Lifecycle;
use rustix::process::{Pid, WaitOptions, waitpid};

const TEMPORARY: [common::LivingFile<'_>; 1] = [("tmp/x", b"x", Lifecycle::Temporary)];

/// The program of `common/signals.c`, built once.
fn signals() -> &'static [u8] {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/signals.c");
        let directory = must(tempfile::tempdir());
        let path = directory.path().join("signals");
        let built = Command::new("cc")
            .args(["-Wall", "-Wextra", "-Werror", "-o"])
            .args([&path, Path::new(source)])
            .status();
        let done = built.is_ok_and(|status| status.success());
        assert!(
            done,
            "cc is needed for this test: apt-get install gcc libc6-dev"
        );
        must(fs::read(path))
    })
}

/// A place with that program under the name `signals`, and a package with it and a temporary slot.
fn signals_package() -> (Place, PathBuf) {
    let place = Place::default();
    common::write_executable(&place.path("signals"), signals());
    let package = place.living("p.psp", signals(), &TEMPORARY, |_| {});
    (place, package)
}

fn script_package(place: &Place, script: &str) -> PathBuf {
    let app = format!("#!/bin/sh\n{script}\n");
    place.living("p.psp", app.as_bytes(), &TEMPORARY, |_| {})
}

fn send(place: &Place, pid: u32, number: i32, value: &[&str]) {
    let (pid, number) = (pid.to_string(), number.to_string());
    let words = [&["send", &*pid, &*number], value].concat();
    assert!(place.run(place.path("signals"), &words).status.success());
}

/// A started program, whose output is read line by line.
struct Started {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Started {
    fn new(command: &mut Command) -> Started {
        let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let Some(out) = child.stdout.take() else {
            panic!("no pipe")
        };
        let out = BufReader::new(out);
        Started { child, out }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        must(self.out.read_line(&mut line));
        line.trim_end().to_owned()
    }

    /// The number behind `ready`.
    fn ready(&mut self) -> u32 {
        let line = self.line();
        let Some(pid) = line.strip_prefix("ready ") else {
            panic!("{line:?}")
        };
        must(pid.parse())
    }

    fn type_keys(&mut self, keys: &[u8]) {
        if let Some(input) = &mut self.child.stdin {
            must(input.write_all(keys));
        }
    }

    /// Everything that is still to be read, and the exit code.
    fn end(mut self) -> (String, Option<i32>) {
        let mut rest = String::new();
        must(self.out.read_to_string(&mut rest));
        (rest, must(self.child.wait()).code())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The fields of `/proc/PID/stat` from the state on: state, parent, process group, session, terminal.
fn stat(pid: u32) -> Vec<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    fields.split(' ').map(str::to_owned).collect()
}

fn is_stopped(pid: u32) -> bool {
    stat(pid)[0] == "T"
}

fn is_gone(pid: u32) -> bool {
    matches!(&*stat(pid)[0], "" | "Z" | "X")
}

#[test]
fn the_application_is_a_child_in_the_same_group() {
    let (place, package) = signals_package();
    let mut launcher = Started::new(place.command(&package).arg("log"));
    let application = launcher.ready();
    let (own, its) = (stat(launcher.pid()), stat(application));
    assert_eq!(its[1], launcher.pid().to_string());
    assert_eq!(own[2..6], its[2..6], "group, session, terminal");
    let status = must(fs::read_to_string(format!(
        "/proc/{}/status",
        launcher.pid()
    )));
    assert!(status.contains("\nThreads:\t1\n"), "{status}");
    until(
        "nothing open but the lock and the directory that it lies in",
        || {
            let open = must(fs::read_dir(format!("/proc/{}/fd", launcher.pid())));
            let open = open
                .flatten()
                .filter_map(|entry| fs::read_link(entry.path()).ok());
            let open: Vec<_> = open.collect();
            open.len() == 2
                && open
                    .iter()
                    .all(|path| path.to_string_lossy().contains("/runs"))
        },
    );
    send(&place, launcher.pid(), 10, &["99"]);
    assert_eq!(launcher.end(), ("10 -1 99\n".to_owned(), Some(7)));
    assert_eq!(place.stored("runs"), [""; 0]);
}

#[test]
fn every_catchable_signal_arrives_once() {
    let (place, package) = signals_package();
    let mut launcher = Started::new(place.command(&package).arg("log"));
    launcher.ready();
    let catchable = || (1..=64).filter(|number| ![9, 19].contains(number));
    for number in catchable() {
        send(&place, launcher.pid(), number, &[]);
        assert_eq!(
            launcher.line().split(' ').next(),
            Some(&*number.to_string())
        );
    }
    // Those that are queued come each, in order, with their values.
    for value in ["1", "2", "3", "99"] {
        send(&place, launcher.pid(), 40, &[value]);
    }
    let expected = "40 -1 1\n40 -1 2\n40 -1 3\n40 -1 99\n";
    assert_eq!(launcher.end(), (expected.to_owned(), Some(7)));
    assert_eq!(place.stored("runs"), [""; 0]);
}

#[test]
fn the_end_is_the_launchers_own() {
    let place = Place::default();
    let package = script_package(
        &place,
        r#"[ "$1" = exit ] && exit "$2"; kill "-$2" $$; sleep 1000"#,
    );
    for code in [0, 1, 42, 127, 255] {
        let out = place.run(&package, &["exit", &code.to_string()]);
        assert_eq!(out.status.code(), Some(code));
    }
    for number in [1, 2, 6, 9, 10, 11, 13, 15, 40, 64] {
        let out = place.run(&package, &["kill", &number.to_string()]);
        assert_eq!(out.status.signal(), Some(number));
        assert_eq!(place.stored("runs"), [""; 0]);
    }
}

/// Waits for the next stop of a child, and tells the signal.
fn stop_of(pid: u32) -> Option<i32> {
    let pid = Pid::from_raw(must(i32::try_from(pid)));
    let (_, status) = must(waitpid(pid, WaitOptions::UNTRACED))?;
    status.stopping_signal()
}

#[test]
fn it_stops_and_goes_on_with_the_application() {
    let (place, package) = signals_package();
    // A group of its own, as a shell makes one: in a group whose leader's parent is gone, nothing stops.
    let mut command = place.command(&package);
    let mut launcher = Started::new(command.args(["log", "20"]).process_group(0));
    let application = launcher.ready();
    let own = launcher.pid();
    for _ in 0..3 {
        // Sent to the launcher alone: the application has kept the effect of this one.
        send(&place, own, 20, &[]);
        assert_eq!(stop_of(own), Some(20));
        assert!(is_stopped(own) && is_stopped(application));
        send(&place, own, 18, &[]);
        assert_eq!(launcher.line(), "18 0 0");
        assert!(!is_stopped(own) && !is_stopped(application));
        // Stopped by somebody else.
        send(&place, application, 19, &[]);
        assert_eq!(stop_of(own), Some(19));
        send(&place, own, 18, &[]);
        assert_eq!(launcher.line(), "18 0 0");
        // To a launcher that has not stopped, it is a signal like others.
        send(&place, own, 18, &[]);
        assert_eq!(launcher.line(), "18 0 0");
    }
    send(&place, own, 10, &["99"]);
    assert_eq!(launcher.end(), ("10 -1 99\n".to_owned(), Some(7)));
}

#[test]
fn keys_reach_the_application_once() {
    let (place, package) = signals_package();
    let keys = |shell: &[&str]| {
        let mut command = place.command(place.path("signals"));
        command.arg("pty").args(shell).arg(&package).arg("log");
        let mut terminal = Started::new(&mut command);
        terminal.ready();
        for (key, expected) in [
            (3, "^C2 128 0"),
            (28, "^\\3 128 0"),
            (26, "^Z20 128 0"),
            (255, "28 128 0"),
            (3, "^C2 128 0"),
        ] {
            terminal.type_keys(&[key]);
            assert_eq!(terminal.line(), expected);
        }
        terminal
    };
    // As the leader of the session, and below a shell that is.
    for shell in [&[][..], &SHELL] {
        let mut terminal = keys(shell);
        let launcher = launcher_below(terminal.pid());
        send(&place, launcher, 10, &["99"]);
        assert_eq!(terminal.line(), "10 -1 99");
        assert_eq!(terminal.end(), (String::new(), Some(7)), "{shell:?}");
        assert_eq!(place.stored("runs"), [""; 0]);
    }
}

/// A shell that is not ended by keys, and has programs that it starts find their usual effect.
const SHELL: [&str; 4] = ["sh", "-c", "trap : INT QUIT TSTP; \"$@\"; exit $?", "sh"];

/// The launcher among what a process has started: the parent of the last.
fn launcher_below(top: u32) -> u32 {
    let mut pid = top;
    loop {
        let children = must(fs::read_dir("/proc")).flatten().filter_map(|entry| {
            let child: u32 = entry.file_name().to_str()?.parse().ok()?;
            (stat(child).get(1) == Some(&pid.to_string())).then_some(child)
        });
        let Some(child) = children.max() else {
            return must(stat(pid)[1].parse());
        };
        pid = child;
    }
}

#[test]
fn a_terminal_that_is_gone_is_told_once() {
    let (place, package) = signals_package();
    for (nth, shell) in [&[][..], &SHELL].into_iter().enumerate() {
        let log = place.path(format!("log{nth}"));
        let mut command = place.command(place.path("signals"));
        command.env("LOG", &log).arg("pty").args(shell);
        let mut terminal = Started::new(command.arg(&package).arg("log"));
        let lines = || fs::read_to_string(&log).unwrap_or_default();
        let count = |number: &str| lines().matches(&format!("\n{number} ")).count();
        until("a start", || lines().starts_with("ready "));
        let launcher = launcher_below(terminal.pid());
        drop(terminal.child.stdin.take());
        until("a hangup", || count("1") > 0);
        until("what follows a hangup", || count("18") > 0);
        send(&place, launcher, 10, &["99"]);
        until("the end", || is_gone(launcher));
        assert_eq!((count("1"), count("18")), (1, 1), "{}", lines());
        drop(terminal.end());
        assert_eq!(place.stored("runs"), [""; 0]);
    }
}

#[test]
fn a_shell_can_stop_it_and_bring_it_back() {
    let (place, package) = signals_package();
    let signals = place.path("signals");
    let mut command = place.command(&signals);
    command
        .arg("pty")
        .arg(&signals)
        .arg("job")
        .arg(&package)
        .args(["log", "20"]);
    let mut terminal = Started::new(&mut command);
    let job = terminal.line();
    let Some((shell, launcher)) = job.strip_prefix("job ").and_then(|job| job.split_once(' '))
    else {
        panic!("{job}")
    };
    let (shell, launcher): (u32, u32) = (must(shell.parse()), must(launcher.parse()));
    let application = terminal.ready();
    for _ in 0..3 {
        terminal.type_keys(b"\x1a");
        assert_eq!(terminal.line(), "^Zstopped 20");
        assert!(is_stopped(launcher) && is_stopped(application));
        send(&place, shell, 10, &[]);
        // To the whole group, by the shell.
        assert_eq!(terminal.line(), "18 0 0");
        terminal.type_keys(b"\x03");
        assert_eq!(terminal.line(), "^C2 128 0");
    }
    send(&place, launcher, 10, &["99"]);
    assert_eq!(terminal.line(), "10 -1 99");
    assert_eq!(terminal.end(), (String::new(), Some(7)));
}

#[test]
fn a_killed_launcher_takes_the_application_along() {
    let (place, package) = signals_package();
    let mut launcher = Started::new(place.command(&package).arg("log"));
    let application = launcher.ready();
    must(launcher.child.kill());
    assert_eq!(must(launcher.child.wait()).signal(), Some(9));
    until("the end of the application", || is_gone(application));
    let left = place.stored("runs");
    assert_eq!(left.len(), 2, "{left:?}");
    let mut next = Started::new(place.command(&package).arg("log"));
    next.ready();
    let now = place.stored("runs");
    assert!(now.len() == 2 && now != left, "{now:?}");
    send(&place, next.pid(), 10, &["99"]);
    assert_eq!(next.end().1, Some(7));
    assert_eq!(place.stored("runs"), [""; 0]);
}

#[test]
fn a_stream_that_the_application_closes_is_closed() {
    let place = Place::default();
    let package = script_package(&place, "echo open; exec >&- 2>&-; read -r line; exit 9");
    let mut launcher = Started::new(&mut place.command(&package));
    let mut out = String::new();
    // Its end comes while the application waits for input.
    must(launcher.out.read_to_string(&mut out));
    assert_eq!(out, "open\n");
    launcher.type_keys(b"go\n");
    assert_eq!(launcher.end().1, Some(9));
}

#[test]
fn descriptors_variables_and_signals_are_the_callers() {
    let place = Place::default();
    let report = r#"
        env | grep -v -e ^FLAVOR_ -e ^_= | sort
        for n in 0 1 2 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && readlink /proc/$$/fd/$n | sed 's/:.*//'; done
        grep -E '^(Sig(Blk|Ign)|Umask|Cpus_allowed|Seccomp|NoNewPrivs):' /proc/self/status; pwd; nice; ulimit -n"#;
    let package = script_package(&place, report);
    let direct = place.path("direct");
    common::write_executable(&direct, format!("#!/bin/sh\n{report}\n").as_bytes());
    for prefix in [
        "",
        "env --ignore-signal=PIPE --block-signal=USR1",
        "env --ignore-signal=INT --ignore-signal=CHLD --block-signal=TERM --block-signal=CHLD",
        "nice -n 5",
        "umask 027; cd /; ulimit -n 64; A='b c'; export A; exec 4</etc/passwd 7</; ",
    ] {
        let run = |program: &Path| {
            let out = place.sh(&format!("{prefix} '{}'", program.display()));
            text(&out)
        };
        assert_eq!(run(&package), run(&direct), "{prefix}");
    }
    // The lock is the one thing that is added, above what scripts use.
    let package = script_package(
        &place,
        "readlink /proc/$$/fd/* | grep /runs/ && ls /proc/$$/fd",
    );
    let out = text(&place.run::<OsString>(&package, &[]));
    let mut lines = out.lines();
    assert!(
        lines.next().is_some_and(|lock| lock.ends_with(".lock")),
        "{out}"
    );
    let own: Vec<u32> = lines
        .filter_map(|n| n.parse().ok())
        .filter(|n| *n >= 10)
        .collect();
    assert!(!own.is_empty(), "{out}");
}

#[test]
fn as_the_first_process_of_a_container() {
    let place = Place::default();
    // What it starts and does not wait for becomes the launcher's child, which waits for it.
    let package = script_package(
        &place,
        r#"[ $PPID = 1 ] || exit 1
        orphan=$(sh -c 'sleep 0.1 >&- & echo $!'); i=0
        while [ -e "/proc/$orphan" ]; do i=$((i+1)); [ $i -lt 500 ] || exit 2; sleep 0.02; done
        [ "$1" = exit ] && exit "$2"; kill "-$2" $$"#,
    );
    let run = |words: &[&str]| {
        let mut command = place.command("unshare");
        command
            .args(["--pid", "--fork", "--mount-proc"])
            .arg(&package)
            .args(words);
        loop {
            let out = output(&mut command);
            // See `output`; here it is not this process that the system tells.
            if !String::from_utf8_lossy(&out.stderr).contains("Text file busy") {
                return out;
            }
        }
    };
    assert_eq!(run(&["exit", "5"]).status.code(), Some(5));
    // The first process is not ended by its own signals.
    assert_eq!(run(&["kill", "15"]).status.code(), Some(128 + 15));
    assert_eq!(place.stored("runs"), [""; 0]);
}
