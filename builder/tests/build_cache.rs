//! What builds keep for the next one: a package is the same with and without.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Content of a file, compressible and like no other.
fn content(seed: usize) -> Vec<u8> {
    let lines =
        (0..4_000_usize).map(|n| format!("{} of {seed}\n", n.wrapping_mul(seed * 7919 + 1)));
    lines.collect::<String>().into_bytes()
}

/// A project of several frames, with a cache for builds.
struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Project {
        let project = Project(tempfile::tempdir().unwrap());
        fs::create_dir(project.path("app")).unwrap();
        for nth in 1..300 {
            fs::write(project.path("app").join(format!("f{nth:03}")), content(nth)).unwrap();
        }
        let manifest = "[package]\nname = \"p\"\nversion = \"1\"\n[[slot]]\nid = \"app\"\nsource = \"app\"\n\
                        [command]\nexec = \"{workenv}/app/f001\"\n";
        fs::write(project.path("flavor.toml"), manifest).unwrap();
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn flavor(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flavor"));
        command
            .current_dir(self.0.path())
            .env("FLAVOR_CACHE", self.path("cache"));
        command
    }

    fn pack_command(&self, output: &str, more: &[&str]) -> Command {
        let mut command = self.flavor();
        command.args([
            "pack",
            "--key-seed",
            "tests",
            "--level",
            "6",
            "--json",
            "--output",
            output,
        ]);
        command.args(more);
        command
    }

    /// The package, and how many frames were found and not found.
    fn pack(&self, more: &[&str]) -> (Vec<u8>, u64, u64) {
        let output = self.pack_command("out.psp", more).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let count = |key: &str| report[key].as_u64().unwrap();
        let bytes = fs::read(self.path("out.psp")).unwrap();
        (bytes, count("cache_hits"), count("cache_misses"))
    }

    fn kept(&self) -> Vec<PathBuf> {
        let build = fs::read_dir(self.path("cache/build")).unwrap();
        let files = build.map(|entry| entry.unwrap().path());
        files.filter(|path| !path.ends_with("lock")).collect()
    }
}

#[test]
fn one_changed_file_costs_one_frame_and_changes_no_other_byte() {
    let project = Project::new();
    let (first, hits, frames) = project.pack(&[]);
    assert!(hits == 0 && frames > 3, "{hits} {frames}");
    assert_eq!(project.pack(&[]), (first.clone(), frames, 0));
    assert_eq!(project.pack(&["--no-cache"]), (first, 0, 0));

    fs::write(project.path("app/f120"), content(1000)).unwrap();
    let (changed, hits, misses) = project.pack(&[]);
    assert_eq!((hits, misses), (frames - 1, 1));
    assert_eq!(project.pack(&["--no-cache", "--jobs", "1"]).0, changed);
}

/// Nothing that lies in the cache can get into a package: not what is damaged, and not what somebody has put there.
#[test]
fn a_damaged_cache_is_made_anew() {
    let project = Project::new();
    let (first, _, frames) = project.pack(&[]);
    let kept = project.kept();
    // Frames that are good, each under the name of another.
    let mut good: Vec<Vec<u8>> = kept.iter().map(|path| fs::read(path).unwrap()).collect();
    good.rotate_left(1);
    for (path, bytes) in kept.iter().zip(good) {
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(project.pack(&[]), (first.clone(), 0, frames));
    for path in &kept {
        fs::write(path, b"").unwrap();
    }
    assert_eq!(project.pack(&[]), (first.clone(), 0, frames));
    assert_eq!(project.pack(&[]), (first, frames, 0));
}

#[test]
fn builds_at_once_and_a_killed_one() {
    let project = Project::new();
    let (alone, _, frames) = project.pack(&["--no-cache"]);
    assert_eq!(frames, 0);
    let start = |name: &str| -> Child {
        let mut command = project.pack_command(name, &["--jobs", "1"]);
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let mut killed = start("killed.psp");
    let others = ["a.psp", "b.psp"].map(|name| (name, start(name)));
    killed.kill().unwrap();
    killed.wait().unwrap();
    for (name, mut child) in others {
        assert!(child.wait().unwrap().success());
        assert_eq!(fs::read(project.path(name)).unwrap(), alone, "{name}");
    }
    // What a killed build was writing goes with the next one that is alone.
    fs::write(project.path("cache/build/.new-1-1"), b"cut short").unwrap();
    assert_eq!(project.pack(&[]).0, alone);
    let unfinished = |path: &&PathBuf| path.file_name().unwrap().to_string_lossy().starts_with('.');
    assert_eq!(project.kept().iter().filter(unfinished).count(), 0);
}

#[test]
fn pruning() {
    let project = Project::new();
    let (first, _, frames) = project.pack(&[]);
    let prune = |more: &[&str]| -> Value {
        let output = project
            .flavor()
            .args(["cache", "prune", "--build", "--json"])
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(prune(&[])["frames"], 0, "nothing is older than 30 days");
    assert_eq!(prune(&["--all", "--dry-run"])["frames"], frames);
    assert_eq!(project.kept().len() as u64, frames);
    assert_eq!(prune(&["--all"])["frames"], frames);
    assert!(project.kept().is_empty());
    assert_eq!(project.pack(&[]), (first, 0, frames));
}

/// A cache that cannot be used ends no build.
#[test]
fn without_a_place() {
    let project = Project::new();
    let (first, _, _) = project.pack(&["--no-cache"]);
    fs::write(project.path("cache"), b"a file").unwrap();
    let output = project
        .pack_command("out.psp", &[])
        .env("FLAVOR_CACHE", "relative/path")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read(project.path("out.psp")).unwrap(), first);
    assert!(!Path::new("relative").exists());
}
