//! Long work: where its time went, and what a `flavor pack` leaves behind that is ended by a signal: nothing.
//!
//! The signing program says in one FIFO that it was started, and waits at another: when it is waited for, the directories
//! of recipes are there. Nothing depends on time.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const MANIFEST: &str =
    "[package]\nname = \"demo\"\nversion = \"1\"\n[native]\nbinary = [\"one\", \"two\"]\n";

fn number_in(dir: &Path) -> std::io::Result<usize> {
    Ok(fs::read_dir(dir)?.count())
}

/// What `flavor` is started by: its signals do what they usually do, whatever whoever runs the tests has ignored.
const USUAL: [&str; 2] = ["env", "--default-signal"];

/// Sends this signal to a `flavor pack` that waits for its signing program, and says how it ended. It is started by `before`.
fn ended_by(signal: Signal, before: &[&str]) -> Result<ExitStatus> {
    let place = tempfile::tempdir()?;
    let path = |name: &str| place.path().join(name);
    fs::write(path("flavor.toml"), MANIFEST)?;
    for name in ["one", "two"] {
        fs::copy("/bin/sh", path(name))?;
    }
    fs::create_dir(path("temporary"))?;
    fs::create_dir(path("output"))?;
    for name in ["started", "wait"] {
        mknodat(
            CWD,
            path(name),
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )?;
    }
    let (started, wait) = (path("started"), path("wait"));
    let script = format!(
        "#!/bin/sh\necho yes > {}\nread line < {}\n",
        started.display(),
        wait.display()
    );
    fs::write(path("signer"), script)?;
    fs::set_permissions(path("signer"), fs::Permissions::from_mode(0o755))?;
    let made = flavor(&["keygen", "--out-dir"], place.path())
        .arg(path("keys"))
        .output()?;
    assert!(made.status.success());

    let key = format!("cmd:sh {}", path("signer").display());
    let mut words: Vec<&str> = before.to_vec();
    words.push(env!("CARGO_BIN_EXE_flavor"));
    let (first, rest) = words.split_first().ok_or("no program")?;
    let mut child = Command::new(first)
        .args(rest)
        .args([
            "pack",
            ".",
            "--no-cache",
            "--launcher-bin",
            "/bin/sh",
            "--output",
            "output/demo.psp",
            "--private-key",
            &key,
        ])
        .args(["--public-key", "keys/flavor-signing.pub"])
        .current_dir(place.path())
        .env("TMPDIR", path("temporary"))
        .env("FLAVOR_CONFIG_DIR", "/nonexistent")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(path("said"))?)
        .spawn()?;
    // Opens when the program has been started; a pack that fails before would be waited for without an end.
    let started = std::thread::spawn(move || fs::read_to_string(started));
    while !started.is_finished() {
        if let Some(status) = child.try_wait()? {
            return Err(format!("{status}: {}", fs::read_to_string(path("said"))?).into());
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(number_in(&path("temporary"))?, 1, "the recipe's directory");
    kill_process(Pid::from_child(&child), signal)?;
    if before != USUAL {
        // It waits on: let the program end without a signature.
        fs::write(&wait, "go\n")?;
        let status = child.wait()?;
        assert_eq!(number_in(&path("temporary"))?, 0);
        return Ok(status);
    }
    let status = child.wait()?;
    fs::write(&wait, "go\n")?;
    assert_eq!(number_in(&path("temporary"))?, 0);
    assert_eq!(number_in(&path("output"))?, 0);
    assert_eq!(fs::read_to_string(path("said"))?, "");
    Ok(status)
}

fn flavor(args: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flavor"));
    command.args(args).current_dir(dir);
    command
}

#[test]
fn a_signal_leaves_nothing_behind_and_is_what_the_command_ended_by() -> Result {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let status = ended_by(signal, &USUAL)?;
        assert_eq!(status.signal(), Some(signal.as_raw()));
    }
    Ok(())
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() -> Result {
    let status = ended_by(Signal::HUP, &["nohup"])?;
    assert_eq!(status.code(), Some(3), "the program gave no signature");
    Ok(())
}

#[test]
fn pack_tells_where_the_time_went() -> Result {
    let place = tempfile::tempdir()?;
    let manifest = MANIFEST.replace(", \"two\"", "");
    fs::write(place.path().join("flavor.toml"), manifest)?;
    fs::copy("/bin/sh", place.path().join("one"))?;
    let arguments = [
        "pack",
        "--verbose",
        "--json",
        "--unsigned",
        "--no-cache",
        "--launcher-bin",
        "/bin/sh",
    ];
    let done = flavor(&arguments, place.path()).output()?;
    let said = String::from_utf8(done.stderr)?;
    assert!(done.status.success(), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&done.stdout)?;
    for name in ["recipes", "plan", "store", "sign", "write"] {
        assert!(report["phases"][name].is_f64(), "{report}");
        let line = said.lines().find(|line| line.starts_with(name));
        assert!(line.is_some_and(|line| line.ends_with(" s")), "{said}");
    }
    Ok(())
}
