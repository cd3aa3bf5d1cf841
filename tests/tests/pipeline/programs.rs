//! Signing programs that do not do what they should: nothing is written, and the message says what they did.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use psp_testkit::project::text;

use super::{Release, fs, names, signer};

/// Signs in place with these arguments, which must fail with this code and say this.
fn refused(release: &Release, args: &[&str], code: i32, message: &str) {
    let before = (release.read("demo.psp"), names(release.project.path()));
    let args = [&["sign", "demo.psp", "--private-key"], args].concat();
    let output = release.flavor(&args).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(stderr.contains(message), "{args:?}: {stderr}");
    assert!(
        stderr.starts_with("error: ") && stderr.contains("\nhelp: "),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
    let after = (release.read("demo.psp"), names(release.project.path()));
    assert!(
        before == after,
        "{args:?} left something behind: {:?}",
        after.1
    );
}

#[test]
fn programs_that_do_not_sign() {
    let release = Release::new();
    release.pair("other");
    let public = ["--public-key", "release.pub"];
    let by = |program: &str, code, message: &str| {
        let program = format!("cmd:{program}");
        refused(
            &release,
            &[&[program.as_str()], &public[..]].concat(),
            code,
            message,
        );
    };
    by("", 2, "no program stands behind cmd:");
    by("sh -c 'x", 2, "a quotation mark has no partner");
    by("sh \\", 2, "a backslash stands at the end");
    by(
        "/nonexistent/sign",
        3,
        "cannot start the signing program /nonexistent/sign: No such file",
    );
    by(
        "no-such-program",
        3,
        "cannot start the signing program no-such-program: No such file",
    );
    by(
        "./release.key",
        3,
        "cannot start the signing program ./release.key: Permission denied",
    );
    by(
        "false",
        3,
        "the signing program false ended with exit status 1\n",
    );
    by("sh -c 'kill -9 $$'", 3, "ended with signal 9");
    by(
        "sh -c 'printf \"first\\nno \\033[31mtoken\\n\\n\" >&2; exit 3'",
        3,
        "the signing program sh ended with exit status 3: first; no \\u{1b}[31mtoken\n",
    );
    by(
        "sh -c 'seq 1000 >&2; exit 1'",
        3,
        "exit status 1: 998; 999; 1000\n",
    );
    by("true", 3, "answered 0 bytes, which are neither");
    by("printf abc", 3, "answered 3 bytes, which are neither");
    by(
        "sh -c 'printf %065d 0'",
        3,
        "answered 65 bytes, which are neither",
    );
    by(
        "yes",
        3,
        "the signing program yes answered more than 1024 bytes",
    );
    by("sh -c 'yes; sleep 20'", 3, "answered more than 1024 bytes");
    by("sh -c 'printf %064d 0'", 2, "is no signature by");
    by(
        &format!("{} other.key", signer("openssl")),
        2,
        "is no signature by",
    );
    // It signs something, and not what it was given.
    let digest = format!("sh -c 'sha256sum | {} release.key'", signer("openssl"));
    by(&digest, 2, "is no signature by");
}

#[test]
fn the_key_of_a_program_is_named() {
    let release = Release::new();
    release.pair("other");
    refused(
        &release,
        &["cmd:sh -c secret"],
        2,
        "nothing says which key the signing program sh has",
    );
    refused(
        &release,
        &["cmd:true", "--public-key", "none.pub"],
        3,
        "cannot read the key none.pub",
    );
    refused(
        &release,
        &["cmd:true", "--public-key", "release.key"],
        2,
        "release.key holds a private key",
    );
    refused(
        &release,
        &["release.key", "--public-key", "other.pub"],
        2,
        "and --public-key is",
    );
    release.done(&[
        "sign",
        "demo.psp",
        "--private-key",
        "release.key",
        "--public-key",
        "release.pub",
    ]);
}

#[test]
fn packing_is_as_careful() {
    let release = Release::new();
    let before = names(release.project.path());
    let args = [
        "pack",
        "--level",
        "1",
        "--output",
        "new.psp",
        "--private-key",
        "cmd:true",
        "--public-key",
        "release.pub",
    ];
    let output = release.flavor(&args).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(
        text(&output.stderr).contains("answered 0 bytes"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(names(release.project.path()), before);
}

#[test]
fn a_program_may_be_interrupted() {
    let release = Release::new();
    let before = names(release.project.path());
    for verb in [
        &["sign", "demo.psp"][..],
        &["pack", "--level", "1", "--output", "new.psp"],
    ] {
        let program = "cmd:sh -c 'echo $$ >started.tmp; mv started.tmp started; exec sleep 1000'";
        let args = [
            verb,
            &["--private-key", program, "--public-key", "release.pub"],
        ]
        .concat();
        // Whoever runs the tests may ignore the signal.
        let mut command = Command::new("env");
        let mut child = command
            .arg("--default-signal=INT")
            .arg(release.flavor(&args).get_program())
            .args(&args)
            .current_dir(release.project.path())
            .process_group(0)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while !release.path("started").exists() {
            assert!(
                Instant::now() < until,
                "{verb:?}: the program was not started"
            );
            sleep(Duration::from_millis(10));
        }
        let program = fs::read_to_string(release.path("started")).unwrap();
        // What a terminal does at Ctrl-C.
        release.tool("kill", &["-INT", "--", &format!("-{}", child.id())]);
        assert_eq!(child.wait().unwrap().signal(), Some(2), "{verb:?}");
        let gone = || !std::path::Path::new(&format!("/proc/{}", program.trim())).exists();
        while !gone() {
            assert!(
                Instant::now() < until,
                "{verb:?}: the program is still there"
            );
            sleep(Duration::from_millis(10));
        }
        fs::remove_file(release.path("started")).unwrap();
        assert_eq!(names(release.project.path()), before, "{verb:?}");
    }
}
