//! Packages for another processor: built here, together with those for this one, and started under an emulator.
//!
//! The launcher runs under QEMU's user mode, which hands its system calls to this machine's kernel. A program that it starts is
//! started by that kernel, which knows no arm64 unless the machine was set up for it; so the command is a script,
//! which starts the emulator again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use psp_testkit::project::{Project, flavor, need, text};
use serde_json::Value;

const TARGETS: [&str; 2] = ["linux_amd64", "linux_arm64"];

const MANIFEST: &str = r#"
    [package]
    name = "demo"
    version = "1"
    [[slot]]
    id = "data"
    source = "data"
    [[slot]]
    id = "bin-amd64"
    source = "amd64"
    target = "bin"
    platforms = ["linux_amd64"]
    [[slot]]
    id = "bin-arm64"
    source = "arm64"
    target = "bin"
    platforms = ["linux_arm64"]
    [command]
    exec = "{workenv}/bin/start"
    args = ["{workenv}/data/text"]
"#;

/// Says the name of its processor and its arguments, each with an end of line, and ends with 42. Without a C library, so that
/// the compiler alone makes it.
const PROGRAM: &str = r#"
#ifdef __aarch64__
#define NAME "arm64"
enum { WRITE = 64, EXIT = 94 };
static long call(long number, long a, long b, long c) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}
__asm__(".globl _start\n_start: mov x0, sp\nbl start\n");
#else
#define NAME "amd64"
enum { WRITE = 1, EXIT = 231 };
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
__asm__(".globl _start\n_start: mov %rsp, %rdi\ncall start\n");
#endif
static void say(const char *text) {
    long length = 0;
    while (text[length]) length++;
    call(WRITE, 1, (long)text, length);
    call(WRITE, 1, (long)"\n", 1);
}
__attribute__((used)) void start(long *stack) {
    char **argv = (char **)(stack + 1);
    say(NAME);
    for (long n = 1; n < stack[0]; n++) say(argv[n]);
    call(EXIT, 42, 0, 0);
}
"#;

/// A project with a program for each target, packed for both by one command.
struct Packed {
    project: Project,
    report: Value,
}

impl Packed {
    fn new() -> Packed {
        need("qemu-aarch64-static", "apt-get install qemu-user-static");
        need(
            "aarch64-linux-gnu-gcc",
            "apt-get install gcc-aarch64-linux-gnu",
        );
        let project = Project::new();
        project.manifest(MANIFEST);
        project.file("data/text", 0o644, b"shared by both\n");
        project.file("program.c", 0o644, PROGRAM.as_bytes());
        for (arch, compiler, emulator) in [
            ("amd64", "gcc", ""),
            (
                "arm64",
                "aarch64-linux-gnu-gcc",
                "/usr/bin/qemu-aarch64-static ",
            ),
        ] {
            let start = format!("#!/bin/sh\nexec {emulator}\"${{0%/*}}/program\" \"$@\"\n");
            project.file(&format!("{arch}/start"), 0o755, start.as_bytes());
            let built = Command::new(compiler)
                .args([
                    "-static",
                    "-nostdlib",
                    "-ffreestanding",
                    "-fno-stack-protector",
                    "-O1",
                    "-o",
                ])
                .args([&format!("{arch}/program"), "program.c"])
                .current_dir(project.path())
                .status();
            assert!(
                built.unwrap().success(),
                "{compiler} does not make a static program"
            );
        }
        let output = flavor()
            .args([
                "pack",
                "--key-seed",
                "tests",
                "--level",
                "3",
                "--no-cache",
                "--json",
            ])
            .args(TARGETS.iter().flat_map(|target| ["--target", target]))
            .arg(project.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "for packages of every target, build the launchers first: scripts/stubs {}\n{}",
            TARGETS.join(" "),
            text(&output.stdout)
        );
        let report = serde_json::from_slice(&output.stdout).unwrap();
        Packed { project, report }
    }

    fn package(&self, target: &str) -> PathBuf {
        self.project.path().join(format!("dist/demo-{target}.psp"))
    }

    /// A start of the package for arm64, under the emulator.
    fn emulated(&self, args: &[&str]) -> Command {
        let mut start = Command::new("qemu-aarch64-static");
        start
            .arg(self.package("linux_arm64"))
            .args(args)
            .env("FLAVOR_CACHE", self.project.cache())
            .env_remove("FLAVOR_COMMAND");
        start
    }
}

/// Ended by the program itself.
fn said(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(42), "{}", text(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    text(&output.stdout).into_owned()
}

#[test]
fn a_package_for_arm64_starts_its_program_cold_and_warm() {
    let packed = Packed::new();
    let packages = packed.report["packages"].as_array().unwrap();
    assert_eq!(packages[1]["target"], "linux_arm64");
    assert_eq!(packages[1]["slots_shared"], 1);
    for cold_then_warm in ["cold", "warm"] {
        let output = packed.emulated(&["one", "two words"]).output().unwrap();
        let said = said(&output);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(
            (lines[0], &lines[2..]),
            ("arm64", &["one", "two words"][..]),
            "{cold_then_warm}"
        );
        assert_eq!(fs::read(lines[1]).unwrap(), b"shared by both\n");
    }
    let own = packed
        .project
        .start(&packed.package("linux_amd64"))
        .output();
    assert!(said(&own.unwrap()).starts_with("amd64\n"));
}

/// What is verified on one processor is on the other.
#[test]
fn a_launcher_for_arm64_refuses_what_was_changed() {
    let packed = Packed::new();
    let asked = packed
        .emulated(&["verify"])
        .env("FLAVOR_LAUNCHER_CLI", "1")
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", text(&asked.stderr));
    let package = packed.package("linux_arm64");
    let good = fs::read(&package).unwrap();
    let slot = packed.report["packages"][1]["slots"][1].clone();
    assert_eq!(slot["id"], "bin-arm64");
    // In the launcher's own index, in the metadata behind it, and in the last slot.
    let index = good.len() - 8200 + 4 + 16;
    let launcher = u64::from_le_bytes(good[index..index + 8].try_into().unwrap());
    let launcher = usize::try_from(launcher).unwrap();
    for at in [index, launcher + 40, good.len() - 8200 - 1000] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&package, &bad).unwrap();
        let output = packed.emulated(&[]).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(125),
            "byte {at}: {}",
            text(&output.stderr)
        );
        assert!(text(&output.stderr).starts_with("error: "));
        assert!(output.stdout.is_empty());
    }
    fs::write(&package, &good).unwrap();
    assert!(said(&packed.emulated(&[]).output().unwrap()).starts_with("arm64\n"));
}
