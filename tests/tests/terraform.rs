//! A Terraform provider in Python, packed with its interpreter, and what uses it: Terraform itself, and the handshake by
//! which Terraform starts a provider.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use psp_testkit::project::{flavor, need, text};
use psp_testkit::root::Root;

/// By which a provider knows that Terraform has started it.
const MAGIC_COOKIE: (&str, &str) = (
    "TF_PLUGIN_MAGIC_COOKIE",
    "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
);

/// The packed provider, under the name that Terraform looks for.
static PROVIDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let provider = place().join("plugins/terraform-provider-pyvider");
    let output = flavor()
        .args(["pack", "--level", "1", "--key-seed", "tests", "--manifest"])
        .arg(app().join("flavor.toml"))
        .arg("--output")
        .arg(&provider)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    provider
});

fn app() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("apps/terraform-provider")
}

/// Where the provider and its cache lie; the same for every run, as the cache is large.
fn place() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("terraform")
}

/// A command for which the provider's cache is the one of these tests.
fn with_cache(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env("FLAVOR_CACHE", place().join("cache"))
        .env_remove("FLAVOR_COMMAND");
    command
}

/// Terraform in a directory of its own, with a configuration that names the provider's directory.
struct Terraform {
    directory: tempfile::TempDir,
}

impl Terraform {
    fn new() -> Terraform {
        let directory = tempfile::tempdir().unwrap();
        fs::copy(app().join("main.tf"), directory.path().join("main.tf")).unwrap();
        let plugins = PROVIDER.parent().unwrap().display();
        let rules = format!(
            "provider_installation {{\n  dev_overrides {{\n    \"local/providers/pyvider\" = \"{plugins}\"\n  }}\n  \
             direct {{}}\n}}\n"
        );
        fs::write(directory.path().join("cli.tfrc"), rules).unwrap();
        Terraform { directory }
    }

    /// The exit status and what it says.
    fn run(&self, args: &[&str]) -> (i32, String) {
        let output = with_cache("terraform")
            .args(args)
            .args(["-no-color", "-input=false"])
            .env("TF_CLI_CONFIG_FILE", self.directory.path().join("cli.tfrc"))
            .env("CHECKPOINT_DISABLE", "1")
            .current_dir(&self.directory)
            .output()
            .unwrap();
        let said = [text(&output.stdout), text(&output.stderr)].concat();
        (output.status.code().unwrap_or(-1), said)
    }

    fn greeting(&self) -> PathBuf {
        self.directory.path().join("greeting.txt")
    }
}

#[test]
fn terraform_applies_plans_without_changes_and_destroys() {
    let terraform_is_here = Command::new("terraform").arg("version").output().is_ok();
    if !terraform_is_here {
        // What Terraform would do first; the rest needs it.
        return the_handshake();
    }
    let terraform = Terraform::new();
    let (code, said) = terraform.run(&["apply", "-auto-approve"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("1 added, 0 changed, 0 destroyed"), "{said}");
    assert!(said.contains("size = 21"), "{said}");
    let greeting = fs::read_to_string(terraform.greeting()).unwrap();
    assert_eq!(greeting, "Hello from a package\n");

    // 0: no changes; 2: changes.
    let (code, said) = terraform.run(&["plan", "-detailed-exitcode"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("No changes."), "{said}");
    let (code, said) = terraform.run(&["plan", "-detailed-exitcode", "-var=text=other"]);
    assert_eq!(code, 2, "{said}");

    let (code, said) = terraform.run(&["destroy", "-auto-approve"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("1 destroyed"), "{said}");
    assert!(!terraform.greeting().exists());
}

#[test]
fn the_provider_needs_nothing_of_its_host_but_the_c_library() {
    let root = Root::new(&PROVIDER, true);
    let mut start = root.start(&["launch-context", "--format", "json"]);
    let output = start.env("FLAVOR_COMMAND", "pyvider").output().unwrap();
    let (said, complaint) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}{complaint}");
    assert!(said.contains("\"pspf_package\""), "{said}");
}

#[test]
fn the_provider_answers_terraforms_handshake() {
    the_handshake();
}

/// Ends a provider however the test ends.
struct Provider(Child);

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the provider as Terraform does and reads the line by which it says where it serves.
fn the_handshake() {
    need("openssl", "apt-get install openssl");
    let directory = tempfile::tempdir().unwrap();
    let child = with_cache(&*PROVIDER)
        .env(MAGIC_COOKIE.0, MAGIC_COOKIE.1)
        .env("PLUGIN_PROTOCOL_VERSIONS", "5,6")
        .env("PLUGIN_MIN_PORT", "10000")
        .env("PLUGIN_MAX_PORT", "25000")
        .env("PLUGIN_CLIENT_CERT", certificate(directory.path()))
        .env("TMPDIR", directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut provider = Provider(child.unwrap());
    let mut line = String::new();
    let stdout = provider.0.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();

    // Version of the handshake and of the protocol, where, what is spoken there, and its certificate without padding.
    let fields: Vec<&str> = line.trim_end().split('|').collect();
    let [core, protocol, network, address, spoken, server] = fields.as_slice() else {
        panic!("{line}");
    };
    assert_eq!(
        [*core, protocol, network, spoken],
        ["1", "6", "unix", "grpc"]
    );
    assert!(server.starts_with("MII"), "{line}");
    std::os::unix::net::UnixStream::connect(address).unwrap();

    // The launcher is gone: the process is the interpreter.
    let running = fs::read_link(format!("/proc/{}/exe", provider.0.id())).unwrap();
    let name = running.file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.starts_with("python3"), "{}", running.display());
}

/// A certificate such as Terraform makes for each start.
fn certificate(directory: &Path) -> String {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args([
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-keyout",
            "key.pem",
        ])
        .args(["-out", "certificate.pem"])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    fs::read_to_string(directory.join("certificate.pem")).unwrap()
}

#[test]
fn without_terraform_the_provider_ends_without_a_handshake() {
    let output = with_cache(&*PROVIDER)
        .arg("provide")
        .env_remove(MAGIC_COOKIE.0)
        .output()
        .unwrap();
    assert!(
        !text(&output.stdout).contains("1|6|"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn pyvider_knows_that_it_runs_from_a_package() {
    let output = with_cache(&*PROVIDER)
        .env("FLAVOR_COMMAND", "pyvider")
        .args(["launch-context", "--format", "json"])
        .output()
        .unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    let start = said.find('{').unwrap_or_else(|| panic!("{said}"));
    let context: serde_json::Value = serde_json::from_str(&said[start..]).unwrap();
    assert_eq!(context["method"], "pspf_package", "{said}");
    let details = &context["details"]["flavor_env"];
    for (key, expected) in [
        ("command_name", "pyvider"),
        ("package", "terraform-provider-pyvider"),
        ("version", "0.8.1"),
        ("os", "linux"),
        ("arch", "amd64"),
        ("platform", "linux_amd64"),
        ("original_command", PROVIDER.to_str().unwrap()),
    ] {
        assert_eq!(details[key], expected, "{key}: {said}");
    }
    let workenv = details["workenv"].as_str().unwrap();
    assert!(
        Path::new(workenv).join("rt/bin/python3").exists(),
        "{workenv}"
    );
}
