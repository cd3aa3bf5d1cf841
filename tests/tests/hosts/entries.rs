//! Cache entries that are not what was unpacked.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::UNIX_EPOCH;

use psp_testkit::host::{Host, listing, refusal};
use psp_testkit::project::{Project, copy_program, flavor, text};

use super::{MANIFEST, said, script};

/// Says all of its data.
const TELL: &str =
    "cd \"${0%/*}\" && printf 'genuine %s %s' \"$(cat data/one)\" \"$(cat data/two)\"";
const TOLD: &str = "genuine one two";

/// A package that has started once.
struct Started {
    project: Project,
    package: PathBuf,
    slot: PathBuf,
}

impl Started {
    fn new() -> Started {
        let project = script(TELL);
        // A package that no other test has. Processes of other mount namespaces whose caches cannot be looked up here count as
        // users of a package of the same name, so `flavor cache remove` would refuse.
        let unique = format!("description = \"{}\"", project.path().display());
        let version = "version = \"1\"";
        let manifest = project.read_manifest();
        assert!(manifest.contains(version));
        project.manifest(&manifest.replacen(version, &format!("{version}\n{unique}"), 1));
        let package = project.pack();
        assert_eq!(said(&project.start(&package).output().unwrap()), TOLD);
        let slots = fs::read_dir(project.cache().join("slots")).unwrap();
        let slot = slots
            .map(|slot| slot.unwrap().path().join("app"))
            .find(|app| app.exists())
            .unwrap();
        Started {
            project,
            package,
            slot,
        }
    }

    fn start(&self) -> Output {
        self.project.start(&self.package).output().unwrap()
    }

    /// Makes every record one of an earlier boot.
    fn reboot(&self) {
        for record in fs::read_dir(self.project.cache().join("ready")).unwrap() {
            let path = record.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let boot = text.lines().nth(1).unwrap();
            assert!(boot.starts_with("boot "), "{text}");
            let zero = "boot 00000000-0000-0000-0000-000000000000";
            fs::write(&path, text.replacen(boot, zero, 1)).unwrap();
        }
    }

    /// What `flavor cache verify` says, and its exit code.
    fn verified(&self) -> (String, Option<i32>) {
        let mut verify = flavor();
        verify.args(["cache", "verify", "--cache"]);
        verify.arg(self.project.cache()).arg(&self.package);
        let output = verify.output().unwrap();
        (text(&output.stdout).into_owned(), output.status.code())
    }

    fn remove(&self) {
        let mut remove = flavor();
        remove.args(["cache", "remove", "--cache"]);
        remove.arg(self.project.cache()).arg(&self.package);
        let output = remove.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

/// Writes other bytes into a file, and puts its mode and its times back.
fn rewrite(path: &Path, content: &[u8]) {
    let stat = fs::metadata(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(path, content).unwrap();
    let file = fs::File::open(path).unwrap();
    file.set_modified(stat.modified().unwrap()).unwrap();
    fs::set_permissions(path, stat.permissions()).unwrap();
}

/// The owner of a cache changes the program in it and keeps its size, mode and times.
///
/// outcome: extracted again at once
/// layer: store
/// message: none
#[test]
fn case_053_the_program_changed_with_size_and_time_kept() {
    let started = Started::new();
    let path = started.slot.join("run");
    let good = fs::read(&path).unwrap();
    // The kernel notes the time of a change, which nobody can set, in seconds for our purpose, and by a clock that is some
    // milliseconds behind.
    let now = || {
        std::time::SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
    };
    let next_second = std::time::Duration::from_secs(now().as_secs() + 1);
    while now() < next_second + std::time::Duration::from_millis(50) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let forged = text(&good).replace("genuine", "foreign");
    assert_ne!(forged.as_bytes(), good);
    rewrite(&path, forged.as_bytes());
    assert_eq!(said(&started.start()), TOLD);
    assert_eq!(fs::read(&path).unwrap(), good);
    assert_eq!(started.verified().1, Some(0));
}

/// The owner of a cache changes content of other files and keeps sizes and times.
///
/// outcome: starts compare no content of other files (documented); flavor cache verify names it (1), flavor cache remove makes it anew
/// layer: store
/// message: has other content
#[test]
fn case_053_content_changed_with_size_and_time_kept() {
    let started = Started::new();
    for name in ["data/one", "data/two"] {
        let path = started.slot.join(name);
        let mut content = fs::read(&path).unwrap();
        let last = content.len() - 2;
        content[last] ^= 1;
        rewrite(&path, &content);
        let (said, code) = started.verified();
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains(&format!("app/{name} has other content")),
            "{said}"
        );
        started.remove();
        assert_eq!(super::said(&started.start()), TOLD);
        assert_eq!(started.verified().1, Some(0));
    }
}

/// Sizes and modes changed: of the program, and of other files.
///
/// outcome: extracted again, at once where it stops the start, else after the next reboot; flavor cache verify names it (1)
/// layer: store
/// message: bytes, not | has mode
#[test]
fn case_053_sizes_and_modes_changed() {
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let cut = |path: &Path| rewrite(path, b"x");
    let shut = |path: &Path| mode(path, 0o000);
    let no_program = |path: &Path| mode(path, 0o444);
    type Change<'a> = &'a dyn Fn(&Path);
    let changes: [(&str, Change<'_>, bool, &str); 4] = [
        ("run", &no_program, true, "has mode"),
        ("data/one", &cut, false, "bytes, not"),
        ("data/two", &shut, false, "has mode"),
        ("run", &cut, false, "bytes, not"),
    ];
    for (name, change, at_once, words) in changes {
        let started = Started::new();
        change(&started.slot.join(name));
        let (said, code) = started.verified();
        assert_eq!(code, Some(1), "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
        if at_once {
            assert_eq!(super::said(&started.start()), TOLD, "{name}");
        }
        started.reboot();
        assert_eq!(super::said(&started.start()), TOLD, "{name}");
        assert_eq!(started.verified().1, Some(0), "{name}");
    }
}

/// A file deleted or added, a file or a directory now a symbolic link to outside, a file now a hard link to outside.
///
/// outcome: extracted again after the next reboot, a missing program at once; nothing outside is touched; flavor cache verify names it (1)
/// layer: store
/// message: is missing | was added | a symbolic link | bytes, not | has other content
#[test]
fn case_054_deleted_added_and_linked_to_outside() {
    type Change = fn(&Path, &Path) -> std::io::Result<()>;
    let linked: Change = |slot, outside| {
        fs::remove_file(slot.join("data/one"))?;
        fs::hard_link(outside.join("long"), slot.join("data/one"))
    };
    let changes: [(&str, Change, &str, &str); 9] = [
        (
            "the program deleted",
            |slot, _| fs::remove_file(slot.join("run")),
            "now",
            "is missing",
        ),
        (
            "a file deleted",
            |slot, _| fs::remove_file(slot.join("data/one")),
            "later",
            "is missing",
        ),
        (
            "a directory deleted",
            |slot, _| fs::remove_dir_all(slot.join("data")),
            "later",
            "is missing",
        ),
        (
            "a file added",
            |slot, _| fs::write(slot.join("data/new"), b"x"),
            "stays",
            "was added",
        ),
        (
            "a file, now a link",
            |slot, outside| {
                fs::remove_file(slot.join("data/one"))?;
                symlink(outside.join("one"), slot.join("data/one"))
            },
            "later",
            "is a symbolic link, not",
        ),
        (
            "the program, now a link to nowhere",
            |slot, outside| {
                fs::remove_file(slot.join("run"))?;
                symlink(outside.join("none"), slot.join("run"))
            },
            "now",
            "is a symbolic link, not",
        ),
        (
            "a directory, now a link",
            |slot, outside| {
                fs::remove_dir_all(slot.join("data"))?;
                symlink(outside, slot.join("data"))
            },
            "later",
            "is a symbolic link, not",
        ),
        ("a file, now a hard link", linked, "later", "bytes, not"),
        (
            "a file, now a hard link to one of its size",
            |slot, outside| {
                fs::remove_file(slot.join("data/one"))?;
                fs::hard_link(outside.join("one"), slot.join("data/one"))
            },
            "never",
            "has other content",
        ),
    ];
    for (what, change, when, words) in changes {
        let started = Started::new();
        // On the same file system, for hard links.
        let outside = started.project.path().join("outside");
        fs::create_dir(&outside).unwrap();
        for (name, content) in [("one", "ONE"), ("two", "TWO"), ("long", "outside")] {
            let path = outside.join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
        }
        let state = || {
            let modes =
                ["one", "two", "long"].map(|name| fs::metadata(outside.join(name)).unwrap().mode());
            (listing(&outside), modes)
        };
        let before = state();
        change(&started.slot, &outside).unwrap();
        let (said, code) = started.verified();
        assert_eq!(code, Some(1), "{what}: {said}");
        assert!(said.contains(words), "{what}: {said}");
        if when == "now" {
            assert_eq!(super::said(&started.start()), TOLD, "{what}");
        }
        started.reboot();
        let told = started.start();
        if when == "never" {
            // Of the right type and size: only a comparison of content finds it, and removal leaves the other name be.
            assert!(started.verified().0.contains(words), "{what}");
            started.remove();
            assert_eq!(super::said(&started.start()), TOLD, "{what}");
        } else {
            assert_eq!(super::said(&told), TOLD, "{what}");
        }
        // What programs put beside their files is left alone, and named.
        let expected = if when == "stays" { 1 } else { 0 };
        assert_eq!(started.verified().1, Some(expected), "{what}");
        assert_eq!(state(), before, "{what}");
    }
}

/// Every directory, record, list, mark and lock of a store that is there, each replaced by a symbolic link to outside.
///
/// outcome: refused (125) or the link is replaced, where something has to be made; a record is believed; nothing outside is touched
/// layer: store | place
/// message: cannot use | not a directory, or a symbolic link
#[test]
fn case_057_links_in_place_of_parts() {
    let project = script(TELL);
    let host = Host::new(
        &project.pack(),
        // Nothing else can be used, so that the reason is seen.
        "mkdir /srv/c; mount -o remount,ro /root; mount -o remount,ro /tmp; mount -o remount,ro /var/tmp",
    );
    let start = || {
        let mut start = host.start(0);
        start.env("FLAVOR_CACHE", "/srv/c/cache").output().unwrap()
    };
    let fresh = || {
        host.sh("rm -rf /srv/c/* /srv/out");
        assert_eq!(said(&start()), TOLD);
        host.sh("mkdir /srv/out; cd /srv/c/cache; ls -d . */ */* CACHEDIR.TAG")
    };
    let parts = fresh();
    let (mut refused, mut right) = (0, 0);
    for part in parts
        .lines()
        .chain(["staging/$E", "staging/$K", "envs/$E.done"])
    {
        let part = part.trim_end_matches('/');
        // With a record and without: what is ready, and what has to be made.
        for record in [":", "rm -rf ready/*"] {
            fresh();
            // A genuine thing outside, as far as there is one; its program is another one.
            let plant = format!(
                "cd /srv/c/cache; E=$(ls ready); K=$(ls slots | head -n 1); [ {part} = ready/$E ] || {record}
                 P=/srv/c/cache/{part}; [ {part} != . ] || P=/srv/c/cache; cd /
                 if [ -e $P ]; then mv $P /srv/out/it; else echo x >/srv/out/it; fi
                 for run in $(find /srv/out -name run); do
                     chmod 755 $run; printf '#!/bin/sh\\necho forged' >$run; chmod 555 $run
                 done
                 ln -s /srv/out/it $P"
            );
            host.sh(&plant);
            let outside = listing(&host.path("/srv/out"));
            let output = start();
            if output.status.success() {
                right += 1;
                let found = said(&output);
                // The owner of the cache has put a directory of its own in its place, and a record that is believed.
                let believed = record == ":" && part.starts_with("slots");
                let is_believed = believed && found == "forged\n";
                assert!(found == TOLD || is_believed, "{part} {record}: {found}");
            } else {
                refused += 1;
                let message = refusal(&output);
                assert!(
                    [
                        "cannot use",
                        "not a directory, or a symbolic link",
                        "/srv/c/cache"
                    ]
                    .iter()
                    .any(|words| message.contains(words)),
                    "{part} {record}: {message}"
                );
            }
            assert_eq!(listing(&host.path("/srv/out")), outside, "{part} {record}");
        }
    }
    assert!(refused > 10 && right > 10, "{refused} {right}");
}

/// A record that says ready, and half of the files.
///
/// outcome: extracted again: at once where it stops the start, after a reboot in any case
/// layer: store
/// message: none
#[test]
fn case_058_a_record_and_half_of_the_content() {
    for (what, gone, rebooted) in [
        ("program and data", &["run", "data"][..], false),
        ("data", &["data"], true),
        ("the program and one file", &["run", "data/one"], true),
    ] {
        let started = Started::new();
        for name in gone {
            let path = started.slot.join(name);
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        if rebooted {
            started.reboot();
        }
        assert_eq!(said(&started.start()), TOLD, "{what}");
        assert_eq!(started.verified().1, Some(0), "{what}");
        assert_eq!(
            fs::read_dir(started.project.cache().join("staging"))
                .unwrap()
                .count(),
            0
        );
    }
}

/// Two packages of the same file name, name and version, signed by different keys.
///
/// outcome: runs; each has an entry of its own
/// layer: store
/// message: none
#[test]
fn case_059_the_same_name_signed_by_another_key() {
    let (one, two) = (script("printf one"), script("printf two"));
    let pack = |project: &Project, seed: &str| {
        let mut args = project.pack_args();
        *args.last_mut().unwrap() = seed.into();
        assert!(flavor().args(args).output().unwrap().status.success());
        project.output()
    };
    let packages = [pack(&one, "a"), pack(&two, "b")];
    assert_eq!(packages[0].file_name(), packages[1].file_name());
    for _cold_then_warm in 0..2 {
        for (package, expected) in packages.iter().zip(["one", "two"]) {
            assert_eq!(said(&one.start(package).output().unwrap()), expected);
        }
    }
    let signers: Vec<String> = fs::read_dir(one.cache().join("ready"))
        .unwrap()
        .map(|record| {
            let text = fs::read_to_string(record.unwrap().path()).unwrap();
            let signer = text.lines().find(|line| line.starts_with("signer "));
            signer.unwrap().to_owned()
        })
        .collect();
    assert_eq!(signers.len(), 2);
    assert_ne!(signers[0], signers[1]);
    let envs = fs::read_dir(one.cache().join("envs")).unwrap();
    let envs = envs.filter(|env| env.as_ref().unwrap().path().is_dir());
    assert_eq!(envs.count(), 2);
}

/// An upgrade, and a downgrade, under the same file name, with files that only one of the two versions has.
///
/// outcome: runs; nothing of the other version is seen
/// layer: store
/// message: none
#[test]
fn case_061_upgrades_and_downgrades() {
    let project = script("cd \"${0%/*}\" && find . -type f | sort | tr '\\n' ' ' && cat data/one");
    let pack = |version: &str| {
        let manifest = MANIFEST.replace("version = \"1\"", &format!("version = \"{version}\""));
        project.manifest(&manifest);
        let package = project.pack();
        let kept = project.path().join(version);
        copy_program(&package, &kept).unwrap();
        kept
    };
    let one = pack("1");
    fs::remove_file(project.path().join("app/data/two")).unwrap();
    project.file("app/data/one", 0o644, b"ONE");
    project.file("app/data/three", 0o644, b"three");
    let two = pack("2");
    let expected = [
        "./data/one ./data/two ./run one",
        "./data/one ./data/three ./run ONE",
    ];
    let package = project.output();
    for version in [0, 1, 0, 1, 1, 0] {
        let new = project.path().join("new");
        copy_program([&one, &two][version], &new).unwrap();
        fs::rename(&new, &package).unwrap();
        assert_eq!(
            said(&project.start(&package).output().unwrap()),
            expected[version]
        );
    }
    assert_eq!(
        fs::read_dir(project.cache().join("ready")).unwrap().count(),
        2
    );
}
