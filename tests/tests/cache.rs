//! The cache from outside: what versions share, what is swept when, and removal while packages start.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use psp_testkit::host;
use psp_testkit::project::{Project, copy_program, flavor, need, text};

const DAY: u64 = 24 * 60 * 60;
/// Bytes of the runtime that all versions share; they do not compress.
const RUNTIME: usize = 8 << 20;

/// A package whose versions share a runtime.
struct Versions {
    project: Project,
}

impl Versions {
    fn new() -> Versions {
        Versions::with_runtime(RUNTIME)
    }

    fn with_runtime(size: usize) -> Versions {
        let project = Project::new();
        let mut state = 1_u64;
        let noise: Vec<u8> = (0..size)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                state.to_be_bytes()[0]
            })
            .collect();
        project.file("rt/noise", 0o644, &noise);
        // The interpreter of the application: a shell that lies in the runtime.
        let shell = fs::read("/bin/sh").unwrap();
        project.file("rt/sh", 0o755, &shell);
        Versions { project }
    }

    fn pack(&self, version: &str, script: &str) -> PathBuf {
        let app = format!("#!/bin/sh\n# {version}\n{script}\n");
        self.project.file("app/run", 0o755, app.as_bytes());
        self.project.manifest(&format!(
            "[package]\nname = \"demo\"\nversion = \"{version}\"\n\
             [[slot]]\nid = \"rt\"\nsource = \"rt\"\n[[slot]]\nid = \"app\"\nsource = \"app\"\n\
             [command]\nexec = \"{{workenv}}/app/run\"\n"
        ));
        let package = self.project.pack();
        let named = package.with_file_name(format!("demo-{version}.psp"));
        fs::rename(&package, &named).unwrap();
        named
    }

    fn start(&self, package: &Path) -> String {
        let output = self.project.start(package).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
        text(&output.stdout).into_owned()
    }

    fn cache(&self, args: &[&str]) -> Output {
        let mut command = flavor();
        command.arg("cache").args(args).arg("--cache");
        command.arg(self.project.cache()).output().unwrap()
    }

    /// The versions in the cache, the newest first.
    fn versions(&self) -> Vec<String> {
        let output = self.cache(&["list", "--json"]);
        assert!(output.status.success(), "{}", text(&output.stdout));
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let all = list["environments"].as_array().unwrap();
        let versions = all
            .iter()
            .map(|one| one["version"].as_str().unwrap().to_owned());
        versions.collect()
    }

    /// As if no version had been started for so many days, and each had become ready an hour after the one before.
    fn age(&self, days: u64) {
        for entry in fs::read_dir(self.project.cache().join("ready")).unwrap() {
            let path = entry.unwrap().path();
            let record = fs::read_to_string(&path).unwrap();
            let version = record
                .lines()
                .find_map(|line| line.strip_prefix("version "))
                .unwrap();
            let time = record
                .lines()
                .find(|line| line.starts_with("time "))
                .unwrap();
            let hours: u64 = version.parse().unwrap();
            fs::write(
                &path,
                record.replacen(time, &format!("time {}", hours * 3600), 1),
            )
            .unwrap();
            let then = SystemTime::now() - Duration::from_secs(days * DAY);
            File::open(&path).unwrap().set_modified(then).unwrap();
        }
    }
}

/// Bytes on disk, as du(1) counts them.
fn disk_usage(path: &Path) -> u64 {
    let stat = fs::symlink_metadata(path).unwrap();
    let mut sum = stat.blocks() * 512;
    if stat.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            sum += disk_usage(&entry.unwrap().path());
        }
    }
    sum
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a package whose script writes a line, and waits for it.
fn start_and_wait(command: &mut Command) -> Running {
    use std::io::BufRead as _;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = child.stdout.take().unwrap();
    std::io::BufReader::new(output)
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "runs\n");
    Running(child)
}

#[test]
fn an_upgrade_unpacks_the_application_only() {
    let demo = Versions::new();
    let (one, two) = (demo.pack("1", "echo 1"), demo.pack("2", "echo 2"));
    assert_eq!(demo.start(&one), "1\n");
    let first = disk_usage(&demo.project.cache());
    let names = |part: &str| {
        let entries = fs::read_dir(demo.project.cache().join(part)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let noise = |slots: &[std::ffi::OsString]| {
        let paths = slots
            .iter()
            .map(|slot| demo.project.cache().join("slots").join(slot));
        let stats = paths.filter_map(|path| fs::metadata(path.join("rt/noise")).ok());
        stats
            .map(|stat| (stat.ino(), stat.ctime_nsec()))
            .collect::<Vec<_>>()
    };
    let (slots, before) = (names("slots"), noise(&names("slots")));
    assert_eq!(
        (slots.len(), before.len()),
        (4, 1),
        "two slots with their lists"
    );
    assert!(first > RUNTIME as u64);
    assert_eq!(demo.start(&two), "2\n");
    let second = disk_usage(&demo.project.cache()) - first;
    assert!(second < 64 << 10, "the upgrade took {second} bytes more");
    assert_eq!(names("slots").len(), 6, "one more slot with its list");
    assert_eq!(
        noise(&names("slots")),
        before,
        "the runtime is the very same file"
    );
    let list: serde_json::Value =
        serde_json::from_slice(&demo.cache(&["list", "--json"]).stdout).unwrap();
    assert!(list["saved"].as_u64().unwrap() >= RUNTIME as u64);
    let total = list["total"].as_u64().unwrap();
    assert!(total.abs_diff(first + second) < 64 << 10, "{total}");
}

#[test]
fn the_oldest_goes_when_the_fourth_first_starts() {
    let demo = Versions::new();
    for version in ["1", "2", "3"] {
        assert_eq!(
            demo.start(&demo.pack(version, &format!("echo {version}"))),
            format!("{version}\n")
        );
    }
    demo.age(31);
    // Used again: a warm start leaves its mark.
    demo.start(&demo.project.output().with_file_name("demo-2.psp"));
    assert_eq!(demo.start(&demo.pack("4", "echo 4")), "4\n");
    assert_eq!(demo.versions(), ["4", "3", "2"]);
    demo.age(31);
    let output = demo.cache(&["prune"]);
    assert!(
        text(&output.stdout).contains("removed demo 2"),
        "{}",
        text(&output.stdout)
    );
    assert_eq!(demo.versions(), ["4", "3"]);
    // Gone is not lost.
    assert_eq!(
        demo.start(&demo.project.output().with_file_name("demo-1.psp")),
        "1\n"
    );
}

#[test]
fn what_runs_stays() {
    let demo = Versions::new();
    // A script, whose interpreter is elsewhere; and a program in a slot that has forgotten where it came from.
    let one = demo.pack("1", "echo runs; read line");
    let two = demo.pack(
        "2",
        "exec env -u FLAVOR_WORKENV \"$FLAVOR_WORKENV/app/sleep\" 1000",
    );
    fs::copy("/bin/sleep", demo.project.path().join("app/sleep")).unwrap();
    let two = {
        let _ = fs::remove_file(two);
        demo.pack(
            "2",
            "echo runs; exec env -u FLAVOR_WORKENV \"$FLAVOR_WORKENV/app/sleep\" 1000",
        )
    };
    let script = start_and_wait(&mut demo.project.start(&one));
    let program = start_and_wait(&mut demo.project.start(&two));
    let exe = format!("/proc/{}/exe", program.0.id());
    let end = Instant::now() + Duration::from_secs(10);
    while !fs::read_link(&exe).unwrap().ends_with("app/sleep") {
        assert!(Instant::now() < end, "no exec");
        std::thread::sleep(Duration::from_millis(5));
    }
    for version in ["3", "4"] {
        demo.start(&demo.pack(version, "echo x"));
    }
    demo.age(100);
    demo.start(&demo.pack("5", "echo x"));
    assert_eq!(demo.versions(), ["5", "4", "2", "1"]);
    let refused = demo.cache(&["remove", "demo@1"]);
    assert_eq!(refused.status.code(), Some(1));
    let message = text(&refused.stderr).into_owned();
    let pid = script.0.id();
    assert!(
        message.contains(&format!("is in use by process {pid}\n")),
        "{message}"
    );
    let kept = demo.cache(&["prune", "--all"]);
    assert!(kept.status.success(), "{}", text(&kept.stderr));
    assert_eq!(demo.versions(), ["2", "1"]);
    drop((script, program));
    assert!(demo.cache(&["remove", "demo@1", "demo@2"]).status.success());
    assert_eq!(demo.versions(), [""; 0]);
    let left = disk_usage(&demo.project.cache());
    assert!(left < 64 << 10, "{left} bytes are left");
}

/// Starts 30 packages at once, all of which must succeed.
fn thirty_starts(demo: &Versions, packages: &[PathBuf]) {
    let starting: Vec<Child> = (0..30)
        .map(|nth| {
            let mut start = demo.project.start(&packages[nth % packages.len()]);
            let piped = start.stdout(Stdio::piped()).stderr(Stdio::piped());
            piped.spawn().unwrap()
        })
        .collect();
    for start in starting {
        let output = start.wait_with_output().unwrap();
        let (said, wrong) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success() && said == "good\n",
            "{said} {wrong}"
        );
    }
}

#[test]
fn packages_start_while_everything_is_removed() {
    let demo = Versions::with_runtime(1 << 10);
    // Files of both slots are opened one after the other, after the program has begun.
    let shell = b"\"$FLAVOR_WORKENV/rt/sh\" -c 'echo good'\n";
    demo.project.file("app/next", 0o644, shell);
    let packages = ["1", "2"].map(|version| demo.pack(version, ". \"$FLAVOR_WORKENV/app/next\""));
    let (started, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (mut removed, mut busy) = (0, 0);
    let end = Instant::now() + Duration::from_secs(200);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for wave in 0_u64.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                thirty_starts(&demo, &packages);
                started.fetch_add(30, Ordering::Relaxed);
                // What removes gets its turn at another moment each time.
                std::thread::sleep(Duration::from_millis(wave * 37 % 200));
            }
        });
        while (removed < 4 || started.load(Ordering::Relaxed) < 90) && Instant::now() < end {
            let output = demo.cache(&["prune", "--all", "--json"]);
            let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            match output.status.code() {
                Some(0) => removed += said["removed"].as_array().unwrap().len(),
                // Nothing yet, or a start at every moment.
                Some(1) => busy += 1,
                _ => panic!("{said}"),
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(removed >= 4, "{removed} removed, {busy} times busy");
    for package in &packages {
        demo.start(package);
        let same = demo.cache(&["verify", package.to_str().unwrap()]);
        assert!(same.status.success(), "{}", text(&same.stdout));
    }
}

#[test]
fn a_start_that_lost_the_race_heals() {
    let demo = Versions::new();
    let package = demo.pack("1", "echo good");
    demo.start(&package);
    // What it would find when the record was read just before it was taken away.
    let cache = demo.project.cache();
    let (ready, kept) = (cache.join("ready"), cache.join("kept"));
    let name = fs::read_dir(&ready)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .file_name();
    fs::copy(ready.join(&name), &kept).unwrap();
    assert!(demo.cache(&["prune", "--all"]).status.success());
    assert!(!cache.join("envs").join(&name).exists());
    fs::copy(&kept, ready.join(&name)).unwrap();
    assert_eq!(demo.start(&package), "good\n");
    assert_eq!(demo.start(&package), "good\n");
}

#[test]
fn differences_are_named_and_healed() {
    let demo = Versions::new();
    let package = demo.pack("1", "echo good");
    let path = package.to_str().unwrap();
    assert!(demo.cache(&["warm", path]).status.success());
    let slots = fs::read_dir(demo.project.cache().join("slots")).unwrap();
    let noise = slots
        .map(|slot| slot.unwrap().path().join("rt/noise"))
        .find(|path| path.exists())
        .unwrap();
    let mut bytes = fs::read(&noise).unwrap();
    bytes[RUNTIME / 2] ^= 1;
    fs::set_permissions(&noise, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&noise, &bytes).unwrap();
    fs::set_permissions(&noise, fs::Permissions::from_mode(0o444)).unwrap();
    let found = demo.cache(&["verify", path]);
    assert_eq!(found.status.code(), Some(1));
    let said = text(&found.stdout).into_owned();
    assert!(said.contains("rt/noise has other content\n"), "{said}");
    assert!(said.contains("1 difference in "), "{said}");
    assert!(demo.cache(&["remove", path]).status.success());
    assert_eq!(demo.start(&package), "good\n");
    assert!(demo.cache(&["verify", path]).status.success());
}

#[test]
fn names_ids_and_packages_are_told_apart() {
    let demo = Versions::new();
    let (one, two) = (demo.pack("1", "echo 1"), demo.pack("2", "echo 2"));
    demo.start(&one);
    demo.start(&two);
    demo.age(1);
    let ids = text(&demo.cache(&["list", "--quiet"]).stdout).into_owned();
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(ids.len(), 2);
    let list = text(&demo.cache(&["list"]).stdout).into_owned();
    let columns: Vec<&str> = list.lines().next().unwrap().split("  ").collect();
    let columns: Vec<&str> = columns.iter().map(|name| name.trim()).collect();
    let columns: Vec<&str> = columns
        .into_iter()
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(
        columns,
        [
            "NAME", "VERSION", "SIZE", "LAST USE", "IN USE", "OWNER", "SIGNER", "ID"
        ]
    );
    let second = list.lines().nth(1).unwrap();
    for part in ["demo", "2", "MiB", "yesterday", "no", &ids[0][..12]] {
        assert!(second.contains(part), "{list}");
    }
    let info = demo.cache(&["info", &ids[0][..12]]);
    assert!(text(&info.stdout).contains(ids[0]) && !text(&info.stdout).contains(ids[1]));
    let both = demo.cache(&["info", "demo", "--json"]);
    let both: serde_json::Value = serde_json::from_slice(&both.stdout).unwrap();
    assert_eq!(both["environments"].as_array().unwrap().len(), 2);
    // Two ids that begin alike.
    let ready = demo.project.cache().join("ready");
    let twin = format!("{}{}", &ids[0][..32], "0".repeat(32));
    fs::copy(ready.join(ids[0]), ready.join(&twin)).unwrap();
    let ambiguous = demo.cache(&["remove", &ids[0][..8]]);
    assert_eq!(ambiguous.status.code(), Some(2));
    assert!(
        text(&ambiguous.stderr).contains("is the beginning of 2 ids\nhelp: give more of one of ")
    );
    fs::remove_file(ready.join(&twin)).unwrap();
    let removed = demo.cache(&["remove", two.to_str().unwrap(), "--dry-run"]);
    assert!(
        text(&removed.stdout).starts_with("would remove demo 2"),
        "{}",
        text(&removed.stdout)
    );
    assert_eq!(demo.versions(), ["2", "1"]);
    assert!(demo.cache(&["remove", ids[0]]).status.success());
    assert_eq!(demo.versions().len(), 1);
}

/// Whose cache it is, and who may look: as root in the gate.
#[test]
fn caches_of_others_are_refused() {
    let demo = Versions::new();
    demo.start(&demo.pack("1", "echo 1"));
    let cache = demo.project.cache();
    let check = |facts: &str| {
        for verb in [
            &["list"][..],
            &["prune", "--all"],
            &["remove", "demo"],
            &["info"],
        ] {
            let refused = demo.cache(verb);
            assert_eq!(refused.status.code(), Some(3), "{verb:?}");
            let message = text(&refused.stderr).into_owned();
            let lines: Vec<&str> = message.lines().collect();
            assert!(
                matches!(lines[..], [fact, help]
                if fact.starts_with("error: ") && fact.contains(facts) && help.starts_with("help: ")),
                "{message}"
            );
        }
    };
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    check("others can write to");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).unwrap();
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        std::os::unix::fs::chown(&cache, Some(12_345), None).unwrap();
        check("belongs to user 12345");
        std::os::unix::fs::chown(&cache, Some(0), None).unwrap();
        // Another user may not even enter it.
        let path = demo.project.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        let copy = path.join("flavor");
        copy_program(Path::new(flavor().get_program()), &copy).unwrap();
        let mut command = Command::new(&copy);
        command.args(["cache", "list", "--cache"]).arg(&cache);
        let refused = command
            .uid(65_534)
            .gid(65_534)
            .current_dir("/")
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(3));
        let message = text(&refused.stderr).into_owned();
        assert!(
            message.contains("ermission denied") && message.contains("\nhelp: "),
            "{message}"
        );
    }
    assert_eq!(demo.versions(), ["1"]);
}

/// What an image has in `/var/lib/flavor` is found by every user, and nothing is unpacked again. In a mount namespace of
/// its own, so that nothing of this machine changes; needs root.
#[test]
fn the_system_store_serves_everybody() {
    need("unshare", "apt-get install util-linux");
    host::need_root();
    let demo = Versions::new();
    let package = demo.pack("1", "echo \"$FLAVOR_WORKENV\"");
    fs::set_permissions(demo.project.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = r#"
        set -eu
        mount -t tmpfs -o mode=755 tmpfs /var/lib
        umask 077
        "$FLAVOR" cache warm --system "$1"
        "$FLAVOR" cache verify --system "$1"
        cd /
        env -i HOME=/nonexistent setpriv --reuid=65534 --regid=65534 --clear-groups "$1"
        mount -o remount,ro /var/lib
        env -i HOME=/nonexistent setpriv --reuid=65534 --regid=65534 --clear-groups "$1"
        "$FLAVOR" cache list --system
        mount -o remount,rw /var/lib
        "$FLAVOR" cache remove --system demo
        ls /var/lib/flavor/envs | wc -l
    "#;
    let mut command = Command::new("unshare");
    command
        .args(["-m", "/bin/sh", "-c", script, "sh"])
        .arg(&package);
    let output = command
        .env("FLAVOR", flavor().get_program())
        .output()
        .unwrap();
    let (said, wrong) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}{wrong}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].starts_with("demo 1 is ready: /var/lib/flavor/envs/"),
        "{said}"
    );
    let workenv = lines[0].rsplit(' ').next().unwrap();
    assert_eq!([lines[2], lines[3]], [workenv; 2], "{said}");
    assert_eq!(lines.last(), Some(&"0"), "{said}");
}

#[test]
fn backup_programs_pass_the_cache_by() {
    need("tar", "apt-get install tar");
    let demo = Versions::new();
    demo.start(&demo.pack("1", "echo 1"));
    let listed = |flag: &str| {
        let mut tar = Command::new("tar");
        tar.args(["-c", flag, "-C"])
            .arg(demo.project.path())
            .arg("cache");
        let archive = tar.output().unwrap();
        assert!(archive.status.success(), "{}", text(&archive.stderr));
        archive.stdout.len()
    };
    assert!(listed("--sparse") > RUNTIME);
    assert!(listed("--exclude-caches") < 64 << 10);
}
