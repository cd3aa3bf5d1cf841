//! A person who waits for a first start: the line on a terminal, the window without one, and that neither leaves anything
//! to the application.
//!
//! A first start is held where a test wants it by the locks of its slots, so that nothing depends on how long it takes.
#![allow(clippy::panic)]

mod common;

use std::fs::File;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Place, must, package, spawn, write_executable};
use psp_format::digest::Digest;
use psp_format::metadata::Metadata;
use psp_format::verify::verify_bytes;
use psp_launcher::store::slot_key;
use rustix::fs::{FlockOperation, flock};

/// What the application sees of its own process. It writes it to `$OUT`, as its streams may be nowhere.
const APP: &str = r#"#!/bin/sh
read children </proc/$$/task/$$/children
for fd in /proc/$$/fd/*; do fds="$fds ${fd##*/}"; done
exec >"$OUT.new"
echo "children:$children fds:$fds"
grep -E '^Sig(Blk|Ign)' /proc/self/status
mv "$OUT.new" "$OUT"
"#;

/// In the place of zenity: writes down what it is given, and that its input has ended.
const ZENITY: &str = r#"#!/bin/sh
printf '%s|' "$@" >"$LOG.args"
echo $$ >"$LOG.pid"
while read -r line; do echo "$line" >>"$LOG.in"; done
echo end >>"$LOG.in"
"#;

/// A package whose first start stands still before its second and its third slot, until the test lets it go on.
struct Held {
    place: Place,
    keys: Vec<Digest>,
    locks: Vec<Option<File>>,
}

impl Held {
    fn new() -> Held {
        Held::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Metadata)) -> Held {
        let place = Place::default();
        // Different content, so that each is a slot of its own. More than one piece of what a decoder hands on.
        let (a, b) = (vec![b'a'; 1 << 20], vec![b'b'; 1 << 20]);
        let files: [(&str, &[u8]); 3] = [("bin/app", APP.as_bytes()), ("a", &a), ("b", &b)];
        let bytes = package(&files, change);
        write_executable(&place.path("p.psp"), &bytes);
        write_executable(&place.path("app"), APP.as_bytes());
        write_executable(&place.path("zenity"), ZENITY.as_bytes());
        let verified = must(verify_bytes(&bytes));
        let keys: Vec<Digest> = verified.slots().map(|(slot, _)| slot_key(slot)).collect();
        let directory = place.path("home/.cache/flavor/locks");
        let mut builder = std::fs::DirBuilder::new();
        must(builder.recursive(true).mode(0o700).create(&directory));
        let hold = |key: &Digest| {
            let file = must(File::create(directory.join(key.to_string())));
            must(flock(&file, FlockOperation::NonBlockingLockExclusive));
            Some(file)
        };
        let locks = keys.iter().skip(1).map(hold).collect();
        Held { place, keys, locks }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    /// A start in a session of its own, which has no controlling terminal, with nobody reading.
    fn start(&self) -> Child {
        let mut command = self.command("setsid");
        command.arg(self.path("p.psp")).env("DISPLAY", ":0");
        spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.place.command(program);
        let search = format!("{}:/usr/bin:/bin", self.path("").display());
        command.env("PATH", search);
        command
            .env("LOG", self.path("log"))
            .env("OUT", self.path("out"));
        command
    }

    /// Waits until the first slot is there, then until half a second has certainly gone by.
    fn wait_half_a_second(&self) {
        let first = self
            .path("home/.cache/flavor/slots")
            .join(self.keys[0].to_string());
        wait_for(&first);
        std::thread::sleep(Duration::from_millis(600));
    }

    fn release(&mut self, nth: usize) {
        self.locks[nth] = None;
    }

    /// What the application wrote, once it has.
    fn report(&self) -> String {
        wait_for(&self.path("out"));
        must(std::fs::read_to_string(self.path("out")))
    }

    /// What it writes when it is started without a package.
    fn direct(&self) -> String {
        let mut command = self.command("setsid");
        command
            .arg("--wait")
            .arg(self.path("app"))
            .env("OUT", self.path("direct"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        must(spawn(&mut command).wait());
        must(std::fs::read_to_string(self.path("direct")))
    }

    fn shown(&self) -> String {
        std::fs::read_to_string(self.path("log.in")).unwrap_or_default()
    }

    fn window(&self) -> PathBuf {
        let path = self.path("log.pid");
        until("the window", || {
            std::fs::read_to_string(&path).is_ok_and(|pid| pid.ends_with('\n'))
        });
        Path::new("/proc").join(must(std::fs::read_to_string(path)).trim_end())
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn wait_for(path: &Path) {
    until(&path.display().to_string(), || path.exists());
}

#[test]
fn a_line_on_a_terminal() {
    let mut held = Held::new();
    // `script` gives it a terminal, on all three streams.
    let mut command = held.command("script");
    command
        .args(["-qec", "./p.psp", "/dev/null"])
        .env("DISPLAY", ":0");
    let child = spawn(command.stdout(Stdio::piped()));
    held.wait_half_a_second();
    held.release(0);
    held.release(1);
    let shown = must(child.wait_with_output()).stdout;
    let shown = String::from_utf8_lossy(&shown);
    let lines: Vec<&str> = shown.split('\r').collect();
    let [line, cleared] = lines[lines.len() - 2..] else {
        panic!("{shown:?}")
    };
    assert!(
        line.contains("% demo 1.2: first start, unpacking\x1b[?7h"),
        "{shown:?}"
    );
    assert_eq!(cleared, "\x1b[K", "{shown:?}");
    held.report();
    assert!(
        !held.path("log.args").exists(),
        "no window beside a terminal"
    );
}

#[test]
fn a_window_without_one() {
    let mut held = Held::new();
    let mut child = held.start();
    held.wait_half_a_second();
    assert!(
        !held.path("log.args").exists(),
        "nothing has been unpacked since"
    );
    held.release(0);
    until("a percentage", || !held.shown().is_empty());
    let args = must(std::fs::read_to_string(held.path("log.args")));
    assert_eq!(
        args,
        "--progress|--auto-close|--no-cancel|--width=400|--title=First start|--text=demo 1.2: its files are unpacked, once|"
    );
    let window = held.window();
    assert!(window.exists());
    held.release(1);
    // No child, no descriptor and no disposition is left to the application.
    let report = held.report();
    assert_eq!(report, held.direct());
    assert!(report.starts_with("children: fds: 0 1 "), "{report}");
    assert!(!window.exists(), "it closes before the application begins");
    assert!(must(child.wait()).success());
    let numbers: Vec<u64> = held
        .shown()
        .lines()
        .map(|line| must(line.parse()))
        .collect();
    assert!(
        numbers.is_sorted() && numbers.iter().all(|&n| n <= 100),
        "{numbers:?}"
    );
}

#[test]
fn a_window_that_the_person_closes() {
    let mut held = Held::new();
    write_executable(
        &held.path("zenity"),
        b"#!/bin/sh\necho $$ >\"$LOG.pid\"\nread -r line; echo \"$line\" >\"$LOG.in\"\n",
    );
    let mut child = held.start();
    held.wait_half_a_second();
    held.release(0);
    let window = held.window();
    // Its process is there until it is waited for, as nothing but its number.
    until("the end of the window", || {
        std::fs::read_to_string(window.join("stat")).is_ok_and(|stat| stat.contains(") Z "))
    });
    // Longer than between two steps, so that the next one is told to nobody.
    std::thread::sleep(Duration::from_millis(150));
    held.release(1);
    assert_eq!(held.report(), held.direct());
    assert!(must(child.wait()).success());
    assert!(!window.exists());
}

#[test]
fn a_start_that_fails_closes_its_window() {
    let mut held = Held::new();
    let package = held.path("p.psp");
    let mut bytes = must(std::fs::read(&package));
    // The middle of the last slot, which begins right before the trailer.
    let last = bytes.len() - 8200 - (1 << 19);
    bytes[last] ^= 1;
    write_executable(&package, &bytes);
    let mut child = held.start();
    held.wait_half_a_second();
    held.release(0);
    until("a percentage", || !held.shown().is_empty());
    let window = held.window();
    held.release(1);
    assert_eq!(must(child.wait()).code(), Some(125));
    assert!(!window.exists());
    assert!(!held.path("out").exists());
    // And says why.
    until("the dialog", || {
        let args = std::fs::read_to_string(held.path("log.args")).unwrap_or_default();
        args.starts_with("--error|") && args.contains("do not match their signed checksum")
    });
}

#[test]
fn a_start_that_is_killed_takes_its_window_along() {
    let mut held = Held::new();
    let mut child = held.start();
    held.wait_half_a_second();
    held.release(0);
    until("a percentage", || !held.shown().is_empty());
    // As Stdio has it, the child is setsid, which becomes the package.
    must(child.kill());
    must(child.wait());
    until("the end of its input", || held.shown().ends_with("end\n"));
    let window = held.window();
    until("its end", || !window.exists());
}

/// A caller that ignores these signals passes that on. Asked of the program itself: a shell changes some for itself.
#[test]
fn dispositions_are_the_callers() {
    let mut held = Held::with(|m| {
        let argv = ["/bin/grep", "SigIgn", "/proc/self/status"];
        m.execution.argv = argv.map(String::from).into();
    });
    let start = |held: &Held, command: &str, out: &str| {
        let mut shell = held.command("sh");
        let script =
            format!("exec env --ignore-signal=PIPE --ignore-signal=CHLD setsid --wait {command}");
        shell.env("DISPLAY", ":0").args(["-c", &script]);
        let out = must(File::create(held.path(out)));
        spawn(shell.stdout(out).stderr(Stdio::null()))
    };
    let mut child = start(&held, "./p.psp", "out");
    held.wait_half_a_second();
    held.release(0);
    until("a percentage", || !held.shown().is_empty());
    held.release(1);
    assert!(must(child.wait()).success());
    let direct = "grep SigIgn /proc/self/status";
    assert!(must(start(&held, direct, "direct").wait()).success());
    let (report, direct) = (
        held.report(),
        must(std::fs::read_to_string(held.path("direct"))),
    );
    assert_eq!(report, direct);
    let ignored = report.trim().rsplit('\t').next().unwrap_or_default();
    let ignored = must(u64::from_str_radix(ignored, 16));
    assert_eq!(ignored & 0x11000, 0x11000, "SIGPIPE and SIGCHLD");
}

/// Where nobody can see a window, or there is no zenity, nothing happens.
#[test]
fn no_window_where_it_would_be_seen_by_nobody() {
    for (display, stderr, zenity) in [("", false, true), (":0", true, true), (":0", false, false)] {
        let mut held = Held::new();
        if !zenity {
            must(std::fs::remove_file(held.path("zenity")));
        }
        let mut command = held.command("/usr/bin/setsid");
        command.arg(held.path("p.psp")).env("DISPLAY", display);
        if !zenity {
            // Without the directories in which a real one may be; the application needs two programs of them.
            command.env("PATH", held.path(""));
            for tool in ["mv", "grep"] {
                let tool = (Path::new("/bin").join(tool), held.path(tool));
                must(std::os::unix::fs::symlink(tool.0, tool.1));
            }
        }
        let log = must(File::create(held.path("stderr")));
        let stderr = if stderr { log.into() } else { Stdio::null() };
        let mut child = spawn(command.stdout(Stdio::null()).stderr(stderr));
        held.wait_half_a_second();
        held.release(0);
        held.release(1);
        let report = held.report();
        assert!(must(child.wait()).success());
        assert!(report.starts_with("children: fds: 0 1 "), "{report}");
        assert!(!held.path("log.args").exists());
        let text = must(std::fs::read_to_string(held.path("stderr")));
        assert!(!text.contains('%'), "{text}");
    }
}
