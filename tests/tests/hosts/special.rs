//! What is no file, or no ordinary one, where a package is expected.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use psp_testkit::project::{flavor, need, text};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::script;

/// Every verb that takes a package; `PKG` is where it stands.
const VERBS: [&[&str]; 12] = [
    &["verify", "PKG"],
    &["inspect", "PKG"],
    &["inspect", "PKG", "--dump"],
    &["extract", "PKG", "app", "out"],
    &["extract-all", "PKG", "out"],
    &["run", "PKG"],
    &["trust", "verify", "PKG"],
    &["policy", "check", "PKG"],
    &["sign", "PKG", "--private-key", "k.key"],
    &["link", "PKG", "out"],
    &["cache", "warm", "PKG"],
    &["cache", "verify", "PKG"],
];

/// Runs a program with 256 MB of addresses, and ends it after a minute: then it hangs.
fn bounded(program: &Path, args: &[&str], place: &Path, input: Stdio) -> Output {
    need("timeout", "apt-get install coreutils");
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "ulimit -v 262144; exec timeout 60 \"$0\" \"$@\""])
        .arg(program)
        .args(args)
        .current_dir(place)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("FLAVOR_CONFIG_DIR", place)
        .env("FLAVOR_CACHE", place.join("cache"));
    command.stdin(input).output().unwrap()
}

/// One line of fact, one of help. `verify` and `inspect` answer with a report when what is there can be read.
fn assert_clear(what: &str, output: &Output, fact: &str, codes: &[i32]) {
    let (said, message) = (text(&output.stdout), text(&output.stderr));
    let code = output.status.code();
    assert!(codes.contains(&code.unwrap()), "{what}: {code:?} {message}");
    assert!(
        said.contains(fact) || message.contains(fact),
        "{what}: {said}{message}"
    );
    let lines: Vec<&str> = message.lines().collect();
    let is_message = matches!(lines[..], [fact, help] if fact.starts_with("error: ") && help.starts_with("help: "));
    assert!(is_message != message.is_empty(), "{what}: {message}");
}

/// Writes the signer's key that `sign` is given.
fn with_key(place: &Path) {
    let mut keygen = flavor();
    let made = keygen.args(["keygen", "--name", "k"]).current_dir(place);
    assert!(made.output().unwrap().status.success());
}

/// A FIFO, devices, a directory and a socket, and links to them, given to every verb.
///
/// outcome: refused (3, of run 125), without being opened
/// layer: input
/// message: not a regular file
#[test]
fn case_100_what_is_no_file() {
    let project = script("echo started");
    let place = project.path();
    with_key(place);
    mknodat(CWD, place.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _listener = UnixListener::bind(place.join("socket")).unwrap();
    for (name, target, kind) in [
        ("a-fifo", "fifo", "a FIFO"),
        ("zero", "/dev/zero", "a device"),
        ("full", "/dev/full", "a device"),
        ("dir", "app", "a directory"),
        ("sock", "socket", "a socket"),
    ] {
        symlink(target, place.join(name)).unwrap();
        for path in [target, name] {
            for verb in VERBS {
                let args: Vec<&str> = verb
                    .iter()
                    .map(|arg| if *arg == "PKG" { path } else { arg })
                    .collect();
                let output = bounded(flavor_path().as_ref(), &args, place, Stdio::null());
                let fact = format!("{path} is {kind}, not a regular file");
                assert_clear(&format!("{args:?}"), &output, &fact, &[3, 125]);
                assert_eq!(verb[0] == "run", output.status.code() == Some(125));
            }
        }
    }
    assert!(!place.join("out").exists() && !place.join("cache").exists());
}

fn flavor_path() -> std::path::PathBuf {
    flavor().get_program().into()
}

/// An endless pipe as standard input, by each of its names.
///
/// outcome: refused (3, of run 125), without reading from it
/// layer: input
/// message: not a regular file
#[test]
fn case_100_an_endless_pipe() {
    let project = script("echo started");
    let place = project.path();
    with_key(place);
    for path in ["/dev/stdin", "/proc/self/fd/0"] {
        for verb in VERBS {
            let args: Vec<&str> = verb
                .iter()
                .map(|arg| if *arg == "PKG" { path } else { arg })
                .collect();
            let mut yes = Command::new("yes").stdout(Stdio::piped()).spawn().unwrap();
            let pipe = yes.stdout.take().unwrap();
            let output = bounded(&flavor_path(), &args, place, pipe.into());
            let _ = yes.kill();
            yes.wait().unwrap();
            let fact = format!("{path} is a FIFO, not a regular file");
            assert_clear(&format!("{args:?}"), &output, &fact, &[3, 125]);
        }
    }
    assert!(!place.join("out").exists() && !place.join("cache").exists());
}

/// Files that pretend: a terabyte of nothing, files below /proc, and links to them.
///
/// outcome: refused (1, of run 125)
/// layer: container
/// message: no package data: the file does not end with a trailer | a trailer alone has
#[test]
fn case_100_files_without_an_end() {
    let project = script("echo started");
    let place = project.path();
    with_key(place);
    let sparse = File::create(place.join("sparse")).unwrap();
    sparse
        .set_len(1 << 40)
        .expect("a file system with sparse files of a terabyte, as ext4, XFS, btrfs and tmpfs are");
    let no_trailer = "no package data: the file does not end with a trailer";
    for (name, target, fact) in [
        ("terabyte", "sparse", no_trailer),
        ("version", "/proc/version", "a trailer alone has 8200"),
        ("mem", "/proc/self/mem", "a trailer alone has 8200"),
        ("maps", "/proc/self/maps", "a trailer alone has 8200"),
    ] {
        symlink(target, place.join(name)).unwrap();
        for path in [target, name] {
            for verb in VERBS {
                let args: Vec<&str> = verb
                    .iter()
                    .map(|arg| if *arg == "PKG" { path } else { arg })
                    .collect();
                let output = bounded(&flavor_path(), &args, place, Stdio::null());
                assert_clear(&format!("{args:?}"), &output, fact, &[1, 125]);
                assert_eq!(verb[0] == "run", output.status.code() == Some(125));
            }
        }
    }
    assert!(!place.join("out").exists() && !place.join("cache").exists());
}

/// A genuine package with a terabyte of nothing behind it, and one with a hole of a terabyte before its trailer, started.
///
/// outcome: refused (125)
/// layer: container
/// message: no package data: the file does not end with a trailer | the file has
#[test]
fn case_100_a_package_of_a_terabyte_started() {
    let project = script("echo started");
    let package = project.pack();
    let good = fs::read(&package).unwrap();
    let (start, trailer) = good.split_at(good.len() - 8200);
    for (end, fact) in [
        (&b""[..], "no package data"),
        (trailer, "the file has 1099511627776"),
    ] {
        let file = File::create(&package).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, start, 0).unwrap();
        let size = (1_u64 << 40) - end.len() as u64;
        file.set_len(size).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, end, size).unwrap();
        drop(file);
        let output = bounded(&package, &[], project.path(), Stdio::null());
        assert_clear("started", &output, fact, &[125]);
        assert_eq!(text(&output.stdout), "");
        for verb in [&["verify"][..], &["inspect"], &["run"]] {
            let args = [verb, &["dist/demo.psp"]].concat();
            let output = bounded(&flavor_path(), &args, project.path(), Stdio::null());
            assert_clear(verb[0], &output, fact, &[1, 125]);
        }
    }
    assert!(!project.cache().exists());
}
