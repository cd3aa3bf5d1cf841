//! Keys that are encrypted with a passphrase: OpenSSL's, and those of `flavor keygen`.

use std::process::{Command, Output, Stdio};

use psp_testkit::project::{flavor, launcher, need, text};

use super::{Release, fs};

const SECRET: &str = "correct horse \u{e9}";

/// Types what is asked for on a terminal of its own: pairs of what is waited for and what is typed then.
const TERMINAL: &str = r#"
import os, pty, signal, sys
count = int(sys.argv[1])
talk, argv = sys.argv[2 : 2 + 2 * count], sys.argv[2 + 2 * count :]
pid, tty = pty.fork()
if pid == 0:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs the tests may ignore it
    os.execvp(argv[0], argv)
said = b""
while True:
    try:
        piece = os.read(tty, 4096)
    except OSError:
        break
    said += piece
    if talk and talk[0].encode() in said:
        os.write(tty, talk[1].encode())
        said, talk = said.split(talk[0].encode(), 1)[1], talk[2:]
    sys.stdout.buffer.write(piece)
    if not piece:
        break
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"#;

fn on_a_terminal(release: &Release, talk: &[(&str, &str)], args: &[&str]) -> Output {
    need("python3", "apt-get install python3");
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL, &talk.len().to_string()]);
    for (asked, typed) in talk {
        command.args([asked, typed]);
    }
    command.arg(flavor().get_program()).args(args);
    command.env_remove("FLAVOR_KEY_PASSPHRASE");
    command
        .current_dir(release.project.path())
        .output()
        .unwrap()
}

/// Signs into a file, with this variable and no terminal.
fn sign(release: &Release, key: &str, passphrase: Option<&str>, output: &str) -> Output {
    need("setsid", "apt-get install util-linux");
    let mut command = Command::new("setsid");
    command
        .args(["--wait"])
        .arg(flavor().get_program())
        .args(["sign", "demo.psp", "--private-key", key, "--output", output])
        .current_dir(release.project.path())
        .stdin(Stdio::null())
        .env_remove("FLAVOR_KEY_PASSPHRASE");
    if let Some(passphrase) = passphrase {
        command.env("FLAVOR_KEY_PASSPHRASE", passphrase);
    }
    command.output().unwrap()
}

/// `release.key`, encrypted by OpenSSL.
fn encrypted(release: &Release, name: &str, args: &[&str]) {
    let pass = format!("pass:{SECRET}");
    let base = [
        "pkcs8",
        "-topk8",
        "-in",
        "release.key",
        "-out",
        name,
        "-passout",
        &pass,
    ];
    release.tool("openssl", &[&base[..], args].concat());
    release.tool("chmod", &["600", name]);
}

#[test]
fn keys_that_openssl_encrypts() {
    let release = Release::new();
    assert!(
        sign(&release, "release.key", None, "plain.psp")
            .status
            .success()
    );
    for args in [
        &[][..],
        &["-v2", "aes-128-cbc"],
        &[
            "-v2",
            "aes-256-cbc",
            "-v2prf",
            "hmacWithSHA512",
            "-iter",
            "100000",
        ],
        &["-scrypt"],
    ] {
        encrypted(&release, "secret.key", args);
        let output = sign(&release, "secret.key", Some(SECRET), "signed.psp");
        assert!(
            output.status.success(),
            "{args:?}: {}",
            text(&output.stderr)
        );
        assert_eq!(text(&output.stderr), "", "{args:?}");
        assert!(
            release.read("signed.psp") == release.read("plain.psp"),
            "{args:?}"
        );
    }
    let pass = format!("pass:{SECRET}");
    let make = [
        "genpkey",
        "-algorithm",
        "ed25519",
        "-aes256",
        "-out",
        "made.key",
        "-pass",
        &pass,
    ];
    release.tool("openssl", &make);
    release.tool(
        "openssl",
        &[
            "pkey", "-in", "made.key", "-passin", &pass, "-pubout", "-out", "made.pub",
        ],
    );
    release.tool("chmod", &["600", "made.key"]);
    assert!(
        sign(&release, "made.key", Some(SECRET), "made.psp")
            .status
            .success()
    );
    release.verify("made.psp", "made.pub");
    // In a variable.
    encrypted(&release, "secret.key", &[]);
    let mut command = release.flavor(&[
        "sign",
        "demo.psp",
        "--private-key",
        "env:KEY",
        "-o",
        "env.psp",
    ]);
    command.env(
        "KEY",
        fs::read_to_string(release.path("secret.key")).unwrap(),
    );
    let output = command
        .env("FLAVOR_KEY_PASSPHRASE", SECRET)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(release.read("env.psp") == release.read("plain.psp"));
}

#[test]
fn passphrases_that_do_not_open() {
    let release = Release::new();
    encrypted(&release, "secret.key", &[]);
    encrypted(&release, "weak.key", &["-v2", "des3"]);
    let refused = |key: &str, passphrase: Option<&str>, message: &str, help: &str| {
        let output = sign(&release, key, passphrase, "signed.psp");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert_eq!(stderr, format!("error: {message}\nhelp: {help}\n"));
        assert!(!release.path("signed.psp").exists());
    };
    let wrong = "the passphrase does not open the private key of secret.key";
    let again = "try again, or check FLAVOR_KEY_PASSPHRASE if it is set";
    refused("secret.key", Some("wrong passphrase"), wrong, again);
    for nothing in [None, Some("")] {
        refused(
            "secret.key",
            nothing,
            "secret.key holds an encrypted private key, and there is no terminal to ask for its passphrase",
            "set FLAVOR_KEY_PASSPHRASE, or start flavor on a terminal",
        );
    }
    refused(
        "weak.key",
        Some(SECRET),
        "weak.key holds an encrypted private key that is damaged, or encrypted in a way that is not read here",
        "encrypt it anew, with AES in CBC: openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW",
    );
    // Many wrong ones: one in 256 passes the padding, and is still no key.
    for nth in 0..8 {
        let output = sign(&release, "secret.key", Some(&nth.to_string()), "signed.psp");
        assert!(
            text(&output.stderr).contains(wrong),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_person_types_the_passphrase() {
    let release = Release::new();
    encrypted(&release, "secret.key", &[]);
    let args = [
        "sign",
        "demo.psp",
        "--private-key",
        "secret.key",
        "--output",
        "signed.psp",
    ];
    let asked = "Passphrase of secret.key: ";
    // A mistake, taken back with Ctrl-U.
    let typed = format!("wrong\u{15}{SECRET}\n");
    let output = on_a_terminal(&release, &[(asked, &typed)], &args);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(
        shown.contains(asked) && !shown.contains("horse") && !shown.contains("wrong"),
        "{shown}"
    );
    release.verify("signed.psp", "release.pub");

    let output = on_a_terminal(&release, &[(asked, "wrong\n")], &args);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stdout).contains("does not open"),
        "{}",
        text(&output.stdout)
    );
    // Ctrl-C ends it as the signal does: -2.
    let output = on_a_terminal(&release, &[(asked, "half\u{3}")], &args);
    assert_eq!(output.status.code(), Some(254), "{}", text(&output.stdout));
}

/// Packages for several targets are signed by one key, which is opened once.
#[test]
fn a_passphrase_is_asked_for_once_for_several_targets() {
    let release = Release::new();
    encrypted(&release, "secret.key", &[]);
    let directory = release.path("launchers");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("linux_amd64"), launcher()).unwrap();
    // As much of a launcher for arm64 as packing looks at; it is not started.
    let mut other = launcher().to_vec();
    other[18] = 183;
    fs::write(directory.join("linux_arm64"), other).unwrap();
    let args = [
        "pack",
        "--target",
        "linux_amd64",
        "--target",
        "linux_arm64",
        "--launcher-bin",
        "launchers/{target}",
        "--private-key",
        "secret.key",
    ];
    let asked = "Passphrase of secret.key: ";
    let typed = format!("{SECRET}\n");
    // Whoever were asked again would get this.
    let talk = [(asked, typed.as_str()), (asked, "wrong\n")];
    let output = on_a_terminal(&release, &talk, &args);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert_eq!(shown.matches(asked).count(), 1, "{shown}");
    for target in ["linux_amd64", "linux_arm64"] {
        release.verify(&format!("dist/demo-{target}.psp"), "release.pub");
    }
}

#[test]
fn a_person_waits_for_a_program() {
    let release = Release::new();
    let program = "cmd:sh -c 'echo touch the token >&2; exec sleep 1000'";
    let args = [
        "sign",
        "demo.psp",
        "--private-key",
        program,
        "--public-key",
        "release.pub",
    ];
    let talk = [
        ("sh: touch the token", ""),
        (
            "waiting for the signing program sh; Ctrl-C ends it",
            "\u{3}",
        ),
    ];
    let output = on_a_terminal(&release, &talk, &args);
    assert_eq!(output.status.code(), Some(254), "{}", text(&output.stdout));
}

#[test]
fn keygen_encrypts() {
    let release = Release::new();
    let pass = format!("pass:{SECRET}");
    let check = |name: &str| {
        let (key, public) = (format!("{name}.key"), format!("{name}.pub"));
        let text = fs::read_to_string(release.path(&key)).unwrap();
        assert!(
            text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
            "{text}"
        );
        // OpenSSL reads it, and finds the same key.
        let found = release.tool(
            "openssl",
            &["pkey", "-in", &key, "-passin", &pass, "-pubout"],
        );
        assert_eq!(found.stdout, release.read(&public));
        let output = sign(&release, &key, Some(SECRET), &format!("{name}.psp"));
        assert!(
            output.status.success(),
            "{}",
            psp_testkit::project::text(&output.stderr)
        );
        release.verify(&format!("{name}.psp"), &public);
    };
    let mut command = release.flavor(&["keygen", "--name", "first", "--passphrase"]);
    let output = command
        .env("FLAVOR_KEY_PASSPHRASE", SECRET)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    check("first");

    let args = ["keygen", "--name", "second", "--passphrase"];
    let typed = format!("{SECRET}\n");
    let (once, again) = ("Passphrase of the new key: ", "The same again: ");
    let output = on_a_terminal(&release, &[(once, &typed), (again, "another\n")], &args);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stdout).contains("two different passphrases"),
        "{}",
        text(&output.stdout)
    );
    assert!(!release.path("second.key").exists() && !release.path("second.pub").exists());
    let output = on_a_terminal(&release, &[(once, &typed), (again, &typed)], &args);
    assert!(output.status.success(), "{}", text(&output.stdout));
    check("second");
    let output = on_a_terminal(
        &release,
        &[(once, "\n"), (again, "\n")],
        &["keygen", "--name", "third", "--passphrase"],
    );
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
}
