//! The templates for CI services, step by step.

use std::path::Path;
use std::process::{Command, Output};

use psp_testkit::project::{flavor, need, text};

use super::{Release, fs};

/// Runs a template's steps with the `flavor` under test in front of `PATH`.
fn steps(release: &Release, args: &[&str], key: &str) -> Output {
    need("git", "apt-get install git");
    // Debian's own, for which its package of the YAML reader is.
    let python = "/usr/bin/python3";
    let found = Command::new(python).args(["-c", "import yaml"]).output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(
        found,
        "a YAML reader is needed for this test: apt-get install python3-yaml"
    );
    let program = flavor().get_program().to_owned();
    let programs = Path::new(&program).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path)));
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python);
    command
        .arg(here.join("tests/pipeline/steps.py"))
        .args(args)
        .current_dir(release.project.path())
        .env("PATH", path.unwrap())
        .env("FLAVOR_SIGNING_KEY", key)
        .env("FLAVOR_CONFIG_DIR", "/nonexistent")
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("FLAVOR_KEY_PASSPHRASE");
    command.output().unwrap()
}

fn template(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/ci-templates");
    path.join(name).display().to_string()
}

/// Makes the directory a repository with one commit of a known time.
fn commit(release: &Release, directory: &str) {
    let run = |args: &[&str]| {
        let mut command = Command::new("git");
        command
            .args(args)
            .current_dir(release.path(directory))
            .env("GIT_COMMITTER_DATE", "1700000000 +0000")
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    run(&["init", "--quiet"]);
    run(&["add", "app", "flavor.toml"]);
    let who = ["-c", "user.name=n", "-c", "user.email=e@example.org"];
    run(&[&who[..], &["commit", "--quiet", "--message", "one"]].concat());
}

/// The build time that a package signs.
fn build_time(release: &Release, package: &str) -> String {
    let report = release.done(&["inspect", package, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    report["format"]["build_time"]
        .as_str()
        .unwrap_or("none")
        .to_owned()
}

#[test]
fn the_github_action() {
    let release = Release::new();
    commit(&release, ".");
    let key = fs::read_to_string(release.path("release.key")).unwrap();
    let action = template("github/action.yml");
    let secret = format!("private-key={key}");
    let base = ["github", &action, ".", "output=dist/demo.psp"];
    let output = steps(
        &release,
        &[&base[..], &[&secret, "public-key=release.pub"]].concat(),
        "",
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("\nfile=dist/demo.psp\npackage-id="), "{said}");
    assert!(!said.contains("PRIVATE KEY") && !text(&output.stderr).contains("PRIVATE KEY"));
    release.verify("dist/demo.psp", "release.pub");
    assert_eq!(
        build_time(&release, "dist/demo.psp"),
        "2023-11-14T22:13:20Z"
    );
    // Without a secret, as for a change from outside, it is built and stays unsigned.
    let output = steps(&release, &base, "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let verify = release
        .flavor(&["verify", "dist/demo.psp"])
        .output()
        .unwrap();
    assert_eq!(verify.status.code(), Some(1));
    // With the key of somebody else it ends.
    release.pair("other");
    let output = steps(
        &release,
        &[&base[..], &[&secret, "public-key=other.pub"]].concat(),
        "",
    );
    assert!(!output.status.success() && text(&output.stderr).contains("--public-key is"));
}

#[test]
fn the_gitlab_template() {
    let release = Release::new();
    fs::create_dir(release.path("project")).unwrap();
    release.tool(
        "cp",
        &["-a", "app", "flavor.toml", "release.pub", "project"],
    );
    commit(&release, "project");
    let key = release.path("release.key").display().to_string();
    let file = template("gitlab.yml");
    let output = steps(&release, &["gitlab", &file, "."], &key);
    assert!(output.status.success(), "{}", text(&output.stderr));
    release.verify("flavor-verify/dist/app.psp", "release.pub");
    assert_eq!(
        build_time(&release, "flavor-verify/dist/app.psp"),
        "2023-11-14T22:13:20Z"
    );
    let sums = text(&output.stdout).contains("app.psp: OK");
    assert!(sums, "{}", text(&output.stdout));
    // Where it was built and where it was verified, there was no key.
    for job in ["flavor-pack", "flavor-verify"] {
        assert!(!release.path(job).join("release.key").exists());
    }
}
