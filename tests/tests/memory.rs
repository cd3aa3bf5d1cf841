//! One static program in a package that finds no place to be unpacked to, as in a container with nothing but the file.
//!
//! The rules are tested in the launcher's crate; this is the real launcher, where there is neither `/proc` nor `/tmp`.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output};

use psp_testkit::project::{Project, copy_program, flavor, need, text};

const PROGRAM: &str = r#"
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    printf("%s %s %s", argv[0], argc > 1 ? argv[1] : "", getenv("FLAVOR_WORKENV") ? "files" : "no files");
    return 42;
}
"#;

/// A project whose application is one program, linked with these flags.
fn project(flags: &[&str]) -> Project {
    need("gcc", "apt-get install gcc libc6-dev");
    let project = Project::new();
    project.file("program.c", 0o644, PROGRAM.as_bytes());
    let made = Command::new("gcc")
        .args(flags)
        .args(["-o", "program", "program.c"])
        .current_dir(project.path())
        .status()
        .unwrap();
    assert!(made.success(), "apt-get install libc6-dev");
    project.manifest(
        r#"
        [package]
        name = "demo"
        version = "1.2.3"
        [[slot]]
        id = "program"
        source = "program"
        target = "bin/app"
        permissions = "0755"
        [command]
        exec = "{workenv}/bin/app"
        "#,
    );
    project
}

/// The flag of unshare for a mount namespace; an ordinary user needs a user namespace for it.
fn own_mounts() -> &'static str {
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        "-m"
    } else {
        "-rm"
    }
}

/// Starts a package where there is nothing but it, and nothing can be written.
fn alone(project: &Project, package: &Path, vars: &[(&str, &str)], args: &[&str]) -> Output {
    need("unshare", "apt-get install util-linux");
    let root = project.path().join("root");
    fs::create_dir_all(&root).unwrap();
    copy_program(package, &root.join("demo.psp")).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o555)).unwrap();
    let script = r#"
        mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec chroot "$0" /demo.psp "$@""#;
    Command::new("unshare")
        .args([own_mounts(), "/bin/sh", "-c", script])
        .arg(&root)
        .args(args)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(vars.to_vec())
        .output()
        .unwrap()
}

#[test]
fn a_static_program_starts_where_there_is_nothing_else() {
    let project = project(&["-static"]);
    let package = project.pack();
    let output = alone(&project, &package, &[], &["x"]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout), "app x no files");
    assert_eq!(output.status.code(), Some(42));
    let root = fs::read_dir(project.path().join("root")).unwrap();
    assert_eq!(root.count(), 1, "nothing was written");
    // It also answers there.
    let output = alone(
        &project,
        &package,
        &[("FLAVOR_LAUNCHER_CLI", "1")],
        &["verify"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("the file is whole"));
}

#[test]
fn other_programs_are_refused_with_every_place() {
    let project = project(&[]);
    let package = project.pack();
    let output = alone(&project, &package, &[], &[]);
    let stderr = text(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(125), "{stderr}");
    assert!(
        stderr.starts_with("error: no directory can hold the package's files\n"),
        "{stderr}"
    );
    for place in [
        "\"/var/tmp/flavor-0\"",
        "\"/tmp/flavor-0\"",
        "help: set FLAVOR_CACHE",
    ] {
        assert!(stderr.contains(place), "{stderr}");
    }
    assert!(output.stdout.is_empty());
}

/// With `flavor run`, where `/tmp` cannot be written to either. The command itself is not static everywhere.
#[test]
fn flavor_run_does_the_same() {
    let project = project(&["-static"]);
    let package = project.pack();
    let script = r#"
        set -e
        mount -o remount,bind,ro /
        for at in /tmp /var/tmp "$PWD"; do mount --bind "$at" "$at"; mount -o remount,bind,ro "$at"; done
        exec "$0" run "$1" -- x"#;
    let output = Command::new("unshare")
        .args([own_mounts(), "/bin/sh", "-c", script])
        .arg(flavor().get_program())
        .arg(&package)
        .current_dir(project.path())
        .env("HOME", project.path())
        .env("FLAVOR_CACHE", project.path().join("cache"))
        .output()
        .unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout), "app x no files");
    assert_eq!(output.status.code(), Some(42));
}
