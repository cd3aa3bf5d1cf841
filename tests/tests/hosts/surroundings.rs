//! Variables that others set.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use psp_testkit::project::{flavor, need, text};

use super::{said, script};

/// The variables by which flavorpack and others choose a log file or a level.
const LOGS: [&str; 8] = [
    "FLAVOR_LOG_PATH",
    "FLAVOR_LOG_FILE",
    "FLAVOR_LOG",
    "FLAVOR_LAUNCHER_LOG_PATH",
    "FLAVOR_JSON_LOG",
    "FLAVOR_DEBUG_METADATA",
    "LOG_FILE",
    "RUST_LOG_FILE",
];

/// Every log-file variable naming a file with content, a symbolic link to it, and a file that is not there.
///
/// outcome: runs; no launcher writes a log, so there is no such variable
/// layer: environment
/// message: none
#[test]
fn case_051_log_files() {
    let project = script("echo \"started $FLAVOR_LOG_PATH\"");
    let package = project.pack();
    let at = |name: &str| project.path().join(name);
    fs::write(at("precious"), "precious\n").unwrap();
    symlink("precious", at("link")).unwrap();
    for name in ["precious", "link", "new"] {
        for start in ["cold", "warm", "flavor run"] {
            let mut command = project.start(&package);
            if start == "flavor run" {
                command = flavor();
                command.arg("run").arg(&package);
                command.env("FLAVOR_CACHE", project.cache());
            } else if start == "cold" {
                let _ = fs::remove_dir_all(project.cache());
            }
            for variable in LOGS {
                command.env(variable, at(name));
            }
            command
                .env("FLAVOR_LOG_LEVEL", "trace")
                .env("RUST_LOG", "trace");
            let expected = format!("started {}\n", at(name).display());
            assert_eq!(said(&command.output().unwrap()), expected, "{start} {name}");
        }
        assert_eq!(fs::read_to_string(at("precious")).unwrap(), "precious\n");
        assert!(at("link").is_symlink() && !at("new").exists());
    }
}

/// A library that leaves a mark, in the name of whoever loads it.
const LIBRARY: &str = r#"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
unsigned la_version(unsigned v) { return v; }
__attribute__((constructor)) static void mark(void) {
    char name[4096];
    ssize_t n = readlink("/proc/self/exe", name, sizeof name - 1);
    const char *at = getenv("MARKS");
    int file = at ? open(at, O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;
    if (n > 0 && file >= 0) {
        name[n++] = '\n';
        if (write(file, name, n) != n) _exit(99);
    }
}
"#;

fn library(at: &Path) {
    need("gcc", "apt-get install gcc libc6-dev");
    let source = at.with_extension("c");
    fs::write(&source, LIBRARY).unwrap();
    let built = Command::new("gcc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(at)
        .arg(&source)
        .status();
    assert!(built.unwrap().success());
}

/// LD_PRELOAD, LD_AUDIT and LD_LIBRARY_PATH with a library that leaves a mark where it is loaded.
///
/// outcome: runs; the launcher loads nothing, the application gets the variables as they are
/// layer: environment
/// message: none
#[test]
fn case_052_variables_of_the_dynamic_linker() {
    let project = script("printf '%s|%s|%s' \"$LD_PRELOAD\" \"$LD_AUDIT\" \"$LD_LIBRARY_PATH\"");
    let package = project.pack();
    let at = |name: &str| project.path().join(name);
    fs::create_dir(at("lib")).unwrap();
    let evil = at("lib/evil.so");
    library(&evil);
    // Under the names of what a program linked with glibc loads.
    for name in ["libc.so.6", "libgcc_s.so.1", "libm.so.6"] {
        fs::copy(&evil, at("lib").join(name)).unwrap();
    }
    let marks = || fs::read_to_string(at("marks")).unwrap_or_default();
    // It works: whatever is linked dynamically loads it.
    let mut control = Command::new("/bin/true");
    control.env("LD_PRELOAD", &evil).env("MARKS", at("marks"));
    assert!(control.status().unwrap().success());
    assert_eq!(marks().lines().count(), 1, "{}", marks());
    let evil = evil.to_str().unwrap();
    let lib = at("lib").to_str().unwrap().to_owned();
    for (preload, audit, path) in [(evil, "", ""), ("", evil, ""), ("", "", &*lib)] {
        for _cold_then_warm in 0..2 {
            let _ = fs::remove_file(at("marks"));
            let mut start = project.start(&package);
            start.env("MARKS", at("marks"));
            // The test may have been started with it.
            start.env_remove("LD_LIBRARY_PATH");
            for (name, value) in [
                ("LD_PRELOAD", preload),
                ("LD_AUDIT", audit),
                ("LD_LIBRARY_PATH", path),
            ] {
                if !value.is_empty() {
                    start.env(name, value);
                }
            }
            let output = start.output().unwrap();
            let marks = marks();
            let package = package.canonicalize().unwrap();
            let of_launcher = marks
                .lines()
                .filter(|line| Path::new(line) == package)
                .count();
            assert_eq!(of_launcher, 0, "{marks}");
            if path.is_empty() {
                // The shell of the application had it.
                assert!(!marks.is_empty(), "the application did not get it");
                assert_eq!(text(&output.stdout), format!("{preload}|{audit}|{path}"));
            } else {
                // The application gets the false C library, and cannot begin with it.
                let message = text(&output.stderr).into_owned();
                let refused = message.lines().any(|line| line.starts_with("error: "));
                assert!(!refused, "{message}");
            }
        }
        let _ = fs::remove_dir_all(project.cache());
    }
}

/// The same variables, which the package unsets for its application.
///
/// outcome: runs; the application does not get them
/// layer: environment
/// message: none
#[test]
fn case_052_a_package_that_unsets_them() {
    let project = script("printf '%s|%s|%s' \"$LD_PRELOAD\" \"$LD_AUDIT\" \"$LD_LIBRARY_PATH\"");
    project.manifest(&format!("{}\n[env]\nunset = [\"LD_*\"]\n", super::MANIFEST));
    let package = project.pack();
    let evil = project.path().join("evil.so");
    library(&evil);
    for _cold_then_warm in 0..2 {
        let mut start = project.start(&package);
        start.env("MARKS", project.path().join("marks"));
        for name in ["LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH"] {
            start.env(name, &evil);
        }
        assert_eq!(said(&start.output().unwrap()), "||");
        assert!(!project.path().join("marks").exists());
    }
}
