//! A package that is replaced while it starts.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use psp_testkit::project::{Project, copy_program, need, text};
use rustix::process::{Pid, Signal, kill_process};

use super::{MANIFEST, script};

/// The calls of one start before its program is executed, as name and how often it came by then.
fn calls(project: &Project, package: &Path) -> Vec<(String, usize)> {
    let log = project.path().join("trace");
    let mut strace = project.start(Path::new("strace"));
    let done = strace.arg("-o").arg(&log).arg(package).output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    let log = fs::read_to_string(log).unwrap();
    let mut out: Vec<(String, usize)> = Vec::new();
    for line in log.lines().skip(1) {
        let Some((name, _)) = line.split_once('(') else {
            continue;
        };
        let nth = 1 + out.iter().filter(|(other, _)| other == name).count();
        if name == "execve" {
            return out;
        }
        out.push((name.to_owned(), nth));
    }
    panic!("nothing was executed: {log}");
}

/// The process that is traced.
fn traced(strace: &Child) -> Option<u32> {
    let id = strace.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

fn is_stopped(pid: u32, package: &Path) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    // Of the launcher, and not of what strace is before it.
    let is_launcher = fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == package);
    matches!(state, Some('T' | 't')) && is_launcher && is_in_stop(pid)
}

/// The kernel holds a traced process at each call for a moment, too: a stop by the signal lasts.
fn is_in_stop(pid: u32) -> bool {
    (0..5).all(|_| {
        std::thread::sleep(Duration::from_millis(4));
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.contains(") t ") || stat.contains(") T ")
    })
}

/// Stops a start at one call, puts the other package in its place, and lets it go on. Gives what the application said.
fn replaced_at(project: &Project, call: &str, nth: usize, other: &Path) -> Option<String> {
    let package = project.output().canonicalize().unwrap();
    let mut strace = project.start(Path::new("strace"));
    let mut strace = strace
        .args(["-o", "/dev/null", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:signal=SIGSTOP:when={nth}")])
        .arg(&package)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(120);
    let stopped = loop {
        assert!(
            Instant::now() < end,
            "{call} {nth}: neither stopped nor over"
        );
        if let Some(pid) = traced(&strace).filter(|&pid| is_stopped(pid, &package)) {
            break Some(pid);
        }
        if strace.try_wait().unwrap().is_some() {
            break None;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    if let Some(pid) = stopped {
        let new = project.path().join("new");
        copy_program(other, &new).unwrap();
        fs::rename(&new, &package).unwrap();
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        // One signal may come before the stop has taken hold, and is then lost; more of them mean nothing.
        while strace.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "{call} {nth}: it does not go on");
            let _ = kill_process(pid, Signal::CONT);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    let output = strace.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{call} {nth}: {}",
        text(&output.stderr)
    );
    stopped.map(|_| text(&output.stdout).into_owned())
}

/// Another package takes the place of a package at each system call between its start and the execution of its program.
///
/// outcome: runs; what was opened first is used throughout
/// layer: none
/// message: none
#[test]
fn case_113_replaced_at_each_call() {
    need("strace", "apt-get install strace");
    let project = script("printf '%s %s' \"$FLAVOR_VERSION\" \"$(cat \"${0%/*}/data/one\")\"");
    let one = project.path().join("one.psp");
    copy_program(&project.pack(), &one).unwrap();
    project.manifest(&MANIFEST.replace("version = \"1\"", "version = \"2\""));
    project.file("app/data/one", 0o644, b"TWO");
    let two = project.path().join("two.psp");
    copy_program(&project.pack(), &two).unwrap();
    let reset = || {
        let new = project.path().join("new");
        copy_program(&one, &new).unwrap();
        fs::rename(&new, project.output()).unwrap();
    };
    let ready = || fs::read_dir(project.cache().join("ready")).map_or(0, Iterator::count);
    for warm in [false, true] {
        reset();
        if !warm {
            let _ = fs::remove_dir_all(project.cache());
        }
        let calls = calls(&project, &project.output());
        let own = calls.len();
        // Every call of a warm start; of a first start, which makes many more, every third.
        let (mut stopped, step) = (0, if warm { 1 } else { 3 });
        for (call, nth) in calls.iter().step_by(step) {
            reset();
            if !warm {
                let _ = fs::remove_dir_all(project.cache());
            }
            // Threads make the same calls in another order, so that a call of a first start may not come again.
            if let Some(said) = replaced_at(&project, call, *nth, &two) {
                stopped += 1;
                assert_eq!(said, "1 one", "{call} {nth}");
            }
            assert_eq!(ready(), 1, "{call} {nth}");
        }
        let tried = own.div_ceil(step);
        assert!(stopped * 10 >= tried * 9, "{stopped} of {tried}");
        assert!(own > 15, "{own}");
    }
    // The next start is that of the other one.
    let output = Command::new(project.output())
        .env("FLAVOR_CACHE", project.cache())
        .output();
    assert_eq!(text(&output.unwrap().stdout), "2 TWO");
}
