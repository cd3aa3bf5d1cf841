//! Signing apart from building: in another directory, by another program, with a key that is elsewhere.
//!
//! The programs of `scripts/signers` are run with what they are for: OpenSSL, an SSH agent, a PKCS#11 token.

#![allow(clippy::unwrap_used, clippy::panic)]

mod keys;
mod programs;
mod templates;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use psp_testkit::project::{Project, flavor, need, text};

/// Where the index, and with it every signature, begins: so many bytes before the end.
const TRAILER: usize = 8200;

/// A directory with an unsigned package `demo.psp` and a key pair of OpenSSL, `release.key` and `release.pub`.
struct Release {
    project: Project,
}

impl Release {
    fn new() -> Release {
        need("openssl", "apt-get install openssl");
        let project = Project::new();
        project.file("app/run", 0o755, b"#!/bin/sh\necho hello\n");
        project.manifest(MANIFEST);
        let release = Release { project };
        release.pack(&["--unsigned"], "demo.psp");
        release.pair("release");
        release
    }

    fn path(&self, name: &str) -> PathBuf {
        self.project.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn pack(&self, args: &[&str], output: &str) {
        let args = [&["pack", "--level", "1", "--output", output], args].concat();
        self.done(&args);
    }

    /// Makes NAME.key and NAME.pub.
    fn pair(&self, name: &str) {
        let (key, public) = (format!("{name}.key"), format!("{name}.pub"));
        self.tool(
            "openssl",
            &["genpkey", "-algorithm", "ed25519", "-out", &key],
        );
        self.tool(
            "openssl",
            &["pkey", "-in", &key, "-pubout", "-out", &public],
        );
    }

    /// Runs a program in the directory.
    fn tool(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new(program);
        let output = command.args(args).current_dir(self.project.path()).output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "{program}: {}",
            text(&output.stderr)
        );
        output
    }

    /// `flavor` in the directory.
    fn flavor(&self, args: &[&str]) -> Command {
        let mut command = flavor();
        command
            .args(args)
            .current_dir(self.project.path())
            .env_remove("FLAVOR_KEY_PASSPHRASE");
        command
    }

    /// Runs `flavor`, which must succeed.
    fn done(&self, args: &[&str]) -> String {
        let output = self.flavor(args).output().unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout).into_owned()
    }

    /// Signs `demo.psp` with a program, into another file.
    fn sign(&self, program: &str, public: &str, output: &str) {
        let key = format!("cmd:{program}");
        let args = [
            "sign",
            "demo.psp",
            "--private-key",
            &key,
            "--public-key",
            public,
        ];
        self.done(&[&args[..], &["--output", output]].concat());
    }

    /// Whether a package is signed by a key and no other is needed to see it.
    fn verify(&self, package: &str, public: &str) {
        let args = [
            "verify",
            package,
            "--trusted-key",
            public,
            "--require-trusted",
        ];
        self.done(&args);
    }
}

const MANIFEST: &str = r#"
    [package]
    name = "demo"
    version = "1.2.3"
    [[slot]]
    id = "app"
    source = "app"
    [command]
    exec = "{workenv}/app/run"
"#;

/// A program that comes with flavor.
fn signer(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/signers");
    path.join(name).display().to_string()
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn built_here_signed_there_verified_elsewhere() {
    let (build, sign) = (Release::new(), Release::new());
    let verify = Project::new();
    // Where it is built is no key, and nothing that could lead to one.
    for name in ["release.key", "release.pub", "demo.psp"] {
        fs::remove_file(build.path(name)).unwrap();
    }
    let mut pack = build.flavor(&["pack", "--unsigned", "--level", "1", "--output", "demo.psp"]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let packed = pack.env_clear().env("PATH", path).output().unwrap();
    assert!(packed.status.success(), "{}", text(&packed.stderr));
    let unsigned = build.read("demo.psp");

    fs::copy(build.path("demo.psp"), sign.path("demo.psp")).unwrap();
    let key = format!("cmd:{} release.key", signer("openssl"));
    let args = [
        "sign",
        "demo.psp",
        "--private-key",
        &key,
        "--public-key",
        "release.pub",
    ];
    sign.done(&[&args[..], &["--sums"]].concat());
    sign.tool("sha256sum", &["--check", "--strict", "SHA256SUMS"]);
    let signed = sign.read("demo.psp");
    let start = unsigned.len() - TRAILER;
    assert_eq!(unsigned.len(), signed.len());
    assert!(unsigned[..start] == signed[..start] && unsigned[start..] != signed[start..]);

    for name in ["demo.psp", "release.pub"] {
        fs::copy(sign.path(name), verify.path().join(name)).unwrap();
    }
    let trusting = ["--trusted-key", "release.pub", "--require-trusted"];
    for verb in ["verify", "run"] {
        let mut command = flavor();
        command
            .args([&[verb, "demo.psp"], &trusting[..]].concat())
            .env("FLAVOR_CACHE", verify.cache())
            .current_dir(verify.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{verb}: {}", text(&output.stderr));
        assert!(verb != "run" || text(&output.stdout) == "hello\n");
    }
    // What was not signed, or by somebody else, does not pass there.
    fs::copy(build.path("demo.psp"), verify.path().join("unsigned.psp")).unwrap();
    let mut command = flavor();
    command.args([&["verify", "unsigned.psp"], &trusting[..]].concat());
    let output = command.current_dir(verify.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_program_signs_what_a_key_file_signs() {
    let release = Release::new();
    let before = release.read("demo.psp");
    let args = [
        "sign",
        "demo.psp",
        "--private-key",
        "release.key",
        "--output",
        "by-key.psp",
    ];
    release.done(&args);
    release.sign(
        &format!("{} release.key", signer("openssl")),
        "release.pub",
        "by-program.psp",
    );
    // Ed25519 signatures of one key over one text are the same.
    assert_eq!(release.read("by-key.psp"), release.read("by-program.psp"));
    assert_eq!(
        release.read("demo.psp"),
        before,
        "--output leaves PKG alone"
    );
    let start = before.len() - TRAILER;
    assert!(release.read("by-program.psp")[..start] == before[..start]);
    // In base64, on one line.
    let program = format!("sh -c '{} release.key | base64 -w0'", signer("openssl"));
    release.sign(&program, "release.pub", "by-base64.psp");
    assert_eq!(release.read("by-key.psp"), release.read("by-base64.psp"));

    // While it is packed, named by the manifest, whose directory is where the program is started.
    let sign = "[sign]\nkey = \"cmd:./sign 'release.key'\"\npublic-key = \"release.pub\"\n";
    release.project.manifest(&format!("{MANIFEST}\n{sign}"));
    release.project.file(
        "sign",
        0o755,
        format!("#!/bin/sh\nexec {} \"$@\"\n", signer("openssl")).as_bytes(),
    );
    let output = release.path("packed.psp");
    let packed = flavor()
        .args(["pack", "--level", "1", "--output"])
        .args([&output, release.project.path()])
        .output()
        .unwrap();
    assert!(packed.status.success(), "{}", text(&packed.stderr));
    assert_eq!(release.read("by-key.psp"), release.read("packed.psp"));
    // Packing again needs no key, and starts no program.
    release
        .project
        .file("sign", 0o755, b"#!/bin/sh\ntouch started\nexit 1\n");
    release.done(&["rebuild", "packed.psp", "--level", "1"]);
    assert!(!release.path("started").exists());
}

#[test]
fn a_program_signs_beside_others_and_names_successors() {
    let release = Release::new();
    release.pair("second");
    release.done(&["sign", "demo.psp", "--private-key", "release.key"]);
    let signed = release.read("demo.psp");
    let program = |key: &str| format!("cmd:{} {key}", signer("openssl"));
    let second = program("second.key");
    let add = [
        "sign",
        "demo.psp",
        "--add",
        "--private-key",
        &second,
        "--public-key",
        "second.pub",
    ];
    release.done(&add);
    let both = release.read("demo.psp");
    let start = signed.len() - TRAILER;
    assert!(both[..start] == signed[..start] && both[start..] != signed[start..]);
    let threshold = [
        "verify",
        "demo.psp",
        "--trusted-key",
        "release.pub",
        "--trusted-key",
        "second.pub",
    ];
    release.done(&[&threshold[..], &["--threshold", "2"]].concat());
    // A second time there is no place for it, and nobody is asked.
    let touch = [
        "sign",
        "demo.psp",
        "--add",
        "--private-key",
        "cmd:touch asked",
        "--public-key",
        "second.pub",
    ];
    let output = release.flavor(&touch).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(!release.path("asked").exists() && release.read("demo.psp") == both);

    let rotate = ["trust", "rotate", "--new", "second.pub", "--old"];
    release.done(&[&rotate[..], &["release.key", "-o", "by-key"]].concat());
    let old = program("release.key");
    release.done(
        &[
            &rotate[..],
            &[&old, "--public-key", "release.pub", "-o", "by-program"],
        ]
        .concat(),
    );
    assert_eq!(release.read("by-key"), release.read("by-program"));
}

#[test]
fn an_ssh_agent_signs() {
    need("ssh-agent", "apt-get install openssh-client");
    let release = Release::new();
    release.tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "id"]);
    let exported = release.tool(&signer("ssh-agent"), &["--export", "id.pub"]);
    fs::write(release.path("ssh.pub"), exported.stdout).unwrap();
    // The agent lives as long as the command that it is given.
    let script = format!(
        "ssh-add -q id && rm id && exec \"$0\" sign demo.psp --output by-agent.psp \
         --private-key 'cmd:{} ssh.pub' --public-key ssh.pub",
        signer("ssh-agent")
    );
    let mut command = Command::new("ssh-agent");
    command
        .args(["sh", "-c", &script])
        .arg(flavor().get_program());
    let output = command
        .current_dir(release.project.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    release.verify("by-agent.psp", "ssh.pub");
    // Without an agent, what its program says is told.
    let program = format!("cmd:{} ssh.pub", signer("ssh-agent"));
    let args = [
        "sign",
        "demo.psp",
        "--private-key",
        &program,
        "--public-key",
        "ssh.pub",
    ];
    let output = release
        .flavor(&args)
        .env_remove("SSH_AUTH_SOCK")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("ended with exit status 1: SSH_AUTH_SOCK is not set"),
        "{stderr}"
    );
}

#[test]
fn packing_reports_what_it_built() {
    let release = Release::new();
    let args = [
        "pack",
        "--level",
        "1",
        "--output",
        "new.psp",
        "--private-key",
        "release.key",
        "--sums",
        "--json",
    ];
    let report = release.done(&args);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let sum = release.tool("sha256sum", &["new.psp"]).stdout;
    assert!(text(&sum).starts_with(report["sha256"].as_str().unwrap()));
    assert_eq!(release.read("SHA256SUMS"), sum);
    assert_eq!(report["file"], "new.psp");
    assert_eq!(report["size"], release.read("new.psp").len());
    assert_eq!(report["slots"][0]["id"], "app");
    assert!(report["original_size"].as_u64().unwrap() >= 22 && report["seconds"].is_f64());
    assert_eq!(report["signer"].as_str().unwrap().len(), 64);
    // A second package gets a second line, the same one no other.
    release.pack(&["--unsigned", "--sums"], "old.psp");
    release.pack(&["--unsigned", "--sums"], "new.psp");
    let check = release.tool("sha256sum", &["--check", "--strict", "SHA256SUMS"]);
    assert_eq!(text(&check.stdout), "new.psp: OK\nold.psp: OK\n");
    // Something else of that name is no place for it.
    fs::remove_file(release.path("SHA256SUMS")).unwrap();
    fs::create_dir(release.path("SHA256SUMS")).unwrap();
    let args = [
        "pack",
        "--level",
        "1",
        "--output",
        "new.psp",
        "--unsigned",
        "--sums",
    ];
    let output = release.flavor(&args).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let fact = "error: cannot write SHA256SUMS: ";
    assert!(
        text(&output.stderr).starts_with(fact),
        "{}",
        text(&output.stderr)
    );
}

/// Where Debian has the library of SoftHSM.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

#[test]
fn a_token_signs() {
    need("softhsm2-util", "apt-get install softhsm2");
    need("pkcs11-tool", "apt-get install opensc");
    let release = Release::new();
    fs::create_dir(release.path("tokens")).unwrap();
    let config = format!(
        "directories.tokendir = {}\n",
        release.path("tokens").display()
    );
    release
        .project
        .file("softhsm2.conf", 0o600, config.as_bytes());
    let tool = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(args)
            .env("SOFTHSM2_CONF", release.path("softhsm2.conf"))
            .env("PKCS11_PIN", "1234")
            .env_remove("FLAVOR_KEY_PASSPHRASE")
            .current_dir(release.project.path());
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{program}: {}",
            text(&output.stderr)
        );
    };
    let init = [
        "--init-token",
        "--free",
        "--label",
        "releases",
        "--pin",
        "1234",
        "--so-pin",
        "5678",
    ];
    tool("softhsm2-util", &init);
    let token = [
        "--module",
        MODULE,
        "--token-label",
        "releases",
        "--login",
        "--pin",
        "env:PKCS11_PIN",
    ];
    let make = [
        "--keypairgen",
        "--key-type",
        "EC:edwards25519",
        "--label",
        "release",
        "--id",
        "01",
    ];
    tool("pkcs11-tool", &[&token[..], &make].concat());
    let read = [
        "--read-object",
        "--type",
        "pubkey",
        "--id",
        "01",
        "--output-file",
        "token.pub",
    ];
    tool("pkcs11-tool", &[&token[..], &read].concat());
    let key = format!("cmd:{} {MODULE} releases release", signer("pkcs11"));
    let args = [
        "sign",
        "demo.psp",
        "--private-key",
        &key,
        "--public-key",
        "token.pub",
    ];
    let flavor = flavor().get_program().to_string_lossy().into_owned();
    tool(
        &flavor,
        &[&args[..], &["--output", "by-token.psp"]].concat(),
    );
    release.verify("by-token.psp", "token.pub");
}
