//! Many first starts at once.

use std::collections::BTreeMap;
use std::fs;
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::{Child, Output, Stdio};

use psp_testkit::host::PACKAGE;
use psp_testkit::project::{copy_program, text};
use rustix::fs::inotify;

use super::{CACHE, MANIFEST, assert_whole, entries, host, said, subject};

/// What is moved into a directory while this lives.
struct Moves {
    watch: rustix::fd::OwnedFd,
}

impl Moves {
    fn into(directory: &Path) -> Moves {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let watch = inotify::init(flags).unwrap();
        inotify::add_watch(&watch, directory, inotify::WatchFlags::MOVED_TO).unwrap();
        Moves { watch }
    }

    /// How often each name came. Names with a dot are lists and marks.
    fn count(self) -> BTreeMap<String, u32> {
        let mut buffer = [MaybeUninit::uninit(); 1 << 16];
        let mut reader = inotify::Reader::new(&self.watch, &mut buffer);
        let mut out = BTreeMap::new();
        while let Ok(event) = reader.next() {
            let name = event.file_name().unwrap().to_str().unwrap().to_owned();
            if !name.contains('.') {
                *out.entry(name).or_default() += 1;
            }
        }
        out
    }
}

/// 50 first starts at once, of one package and of two versions.
///
/// outcome: all run; each part is unpacked once
/// layer: store
/// message: none
#[test]
fn case_066_fifty_first_starts_at_once() {
    let project = subject(2000);
    let host = host(&project.pack(), "");
    let second = subject(2000);
    second.manifest(&MANIFEST.replace("version = \"1\"", "version = \"2\""));
    second.file("app/other", 0o644, b"only in this version");
    copy_program(&second.pack(), &host.path("/srv/two.psp")).unwrap();
    let cache = host.path(CACHE);
    for (what, packages, slots, envs) in [
        ("one package", [PACKAGE, PACKAGE], 2, 1),
        ("two versions", [PACKAGE, "/srv/two.psp"], 3, 2),
    ] {
        let _ = fs::remove_dir_all(&cache);
        host.sh("umask 077; mkdir -p /srv/c/cache/slots /srv/c/cache/envs");
        let moved = ["slots", "envs"].map(|name| Moves::into(&cache.join(name)));
        let starts: Vec<Child> = (0..50)
            .map(|nth| {
                let mut start = host.command([packages[nth % 2]]);
                start.env("FLAVOR_CACHE", CACHE);
                let start = start.stdout(Stdio::piped()).stderr(Stdio::piped());
                start.spawn().unwrap()
            })
            .collect();
        let outputs: Vec<Output> = starts
            .into_iter()
            .map(|start| start.wait_with_output().unwrap())
            .collect();
        let expected = said(&outputs[0], what);
        for output in &outputs {
            assert_eq!(said(output, what), expected, "{what}");
            // Who waits for longer than half a second says so, once.
            let stderr = text(&output.stderr);
            assert!(stderr.lines().count() <= 1, "{what}: {stderr}");
            assert!(
                stderr.is_empty() || stderr.contains("waiting"),
                "{what}: {stderr}"
            );
        }
        // Each slot and each environment was put in its place once.
        for (moved, expected) in moved.into_iter().zip([slots, envs]) {
            let count = moved.count();
            assert_eq!(count.len(), expected, "{what}: {count:?}");
            assert!(count.values().all(|&times| times == 1), "{what}: {count:?}");
        }
        assert_eq!(entries(&cache.join("staging")), [""; 0], "{what}");
        assert_eq!(entries(&cache.join("ready")).len(), envs, "{what}");
        if envs == 1 {
            assert_whole(&project, &cache, what);
        }
    }
}
