//! What cleaning programs and people remove, between starts and during them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use psp_testkit::host::refusal;
use psp_testkit::project::text;

use super::{
    BOOT, CACHE, assert_whole, entries, first_start, host, reboot, run, said, start, subject,
};

/// What cleaners, and people, do to a cache. In the cache's directory; `$S` is the slot with the data, `$E` the name of
/// the environment.
const DAMAGES: [(&str, &str); 34] = [
    ("nothing", ":"),
    ("everything", "rm -r ./*"),
    ("the cache itself", "rm -r /srv/c/cache"),
    ("every file", "find . -type f -delete"),
    (
        "every file but the record",
        "find . -type f ! -path './ready/*' -delete",
    ),
    (
        "every file but records and locks",
        "find slots envs -type f -delete",
    ),
    ("every empty file", "find . -type f -empty -delete"),
    (
        "every empty directory",
        "find . -depth -mindepth 1 -type d -empty -delete",
    ),
    ("every symbolic link", "find . -type l -delete"),
    ("every list", "find . -name '*.list' -delete"),
    ("a file", "rm $S/data/d3/f3"),
    ("a file, emptied", ": >$S/data/d3/f43"),
    ("a file, cut", "truncate -s 5 $S/data/d3/f83"),
    ("a file, grown", "echo x >>$S/data/d3/f83"),
    (
        "a file, now a directory",
        "rm $S/data/d3/f3; mkdir -p $S/data/d3/f3/x",
    ),
    (
        "a file, now a pipe",
        "rm $S/data/d3/f3; mkfifo $S/data/d3/f3",
    ),
    ("a file, unreadable", "chmod 0 $S/data/d3/f3"),
    ("a subtree", "rm -r $S/data/d4"),
    (
        "a subtree, now a file",
        "rm -r $S/data/d4; echo x >$S/data/d4",
    ),
    ("a subtree, locked", "chmod 0 $S/data/d5"),
    ("a link, elsewhere", "ln -sfn / $S/data/link"),
    ("the program, not executable", "chmod a-x slots/*/app/run"),
    ("a slot", "rm -r $S"),
    ("a slot, now a file", "rm -r $S; echo x >$S"),
    ("a list, emptied", ": >$S.list"),
    ("a list, now a directory", "rm $S.list; mkdir -p $S.list/x"),
    ("the record, emptied", ": >ready/$E"),
    ("the record, cut", "truncate -s 20 ready/$E"),
    (
        "the record, now a directory",
        "rm ready/$E; mkdir -p ready/$E/x",
    ),
    ("the directory of records", "rm -r ready"),
    ("the locks", "rm -r locks"),
    ("a lock, large", "truncate -s 1G locks/$E"),
    ("the environment", "rm -r envs/$E"),
    ("what is kept of the environment", "rm -r envs/$E.*"),
];

#[test]
fn what_cleaners_do_is_put_right() {
    let project = subject(400);
    let host = host(&project.pack(), BOOT);
    let expected = said(&run(&host), "first");
    let cache = host.path(CACHE);
    for (what, damage) in DAMAGES {
        for rebooted in [true, false] {
            let inode = |name: &str| {
                let slots = entries(&cache.join("slots"));
                let mut paths = slots
                    .iter()
                    .map(|slot| cache.join("slots").join(slot).join(name));
                let path = paths.find(|path| path.exists()).unwrap();
                fs::metadata(path).unwrap().ino()
            };
            let before = inode("data/d0/f0");
            host.sh(&format!(
                "cd {CACHE}; E=$(ls ready); S=$(echo slots/*/data); S=${{S%/data}}; {damage}"
            ));
            if rebooted {
                reboot(&host);
            }
            let found = said(&run(&host), what);
            if rebooted {
                assert_eq!(found, expected, "{what}");
            } else {
                // What did not stop the start, the application may miss; it is found by the next start that looks.
                reboot(&host);
                assert_eq!(said(&run(&host), what), expected, "{what}, later");
            }
            assert_whole(&project, &cache, what);
            // Files that are good stay, whatever uses them.
            if what.starts_with("a file") || what == "a subtree" || what == "a list, emptied" {
                assert_eq!(inode("data/d0/f0"), before, "{what}");
            }
        }
    }
}

/// The cache goes away under a start, again and again, at once or file by file. That start is right or it is refused, and the
/// one after it is right.
#[test]
fn a_cache_that_vanishes_under_a_start() {
    let project = subject(800);
    let host = host(&project.pack(), BOOT);
    let (cache, gone) = (host.path(CACHE), host.path("/srv/c/gone"));
    let (whole, expected) = first_start(&host);
    let mut refused = 0;
    for nth in 0..40_u32 {
        let _ = fs::remove_dir_all(&cache);
        let mut child = start(&host, 0);
        let child = child.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = child.spawn().unwrap();
        std::thread::sleep(whole.mul_f64(f64::from(nth % 10) / 10.0));
        let at_once = nth % 2 == 0 && fs::rename(&cache, &gone).is_ok();
        // What is made while it is removed makes that fail.
        let _ = fs::remove_dir_all(if at_once { &gone } else { &cache });
        let output = child.wait_with_output().unwrap();
        let _ = fs::remove_dir_all(&gone);
        match output.status.code() {
            // It was too late to disturb more than the application.
            Some(0) => {}
            // The application, or its setup, had begun, and then its files were gone.
            _ if text(&output.stderr).contains("setup") => {}
            Some(1 | 2 | 126 | 127) => {}
            _ => {
                refused += 1;
                refusal(&output);
            }
        }
        if !at_once {
            // Files that went after the record was written are missed when somebody looks.
            reboot(&host);
        }
        assert_eq!(said(&run(&host), "after it vanished"), expected, "{nth}");
        assert_whole(&project, &cache, "after it vanished");
        if nth >= 9 && refused > 0 {
            break;
        }
    }
    assert!(refused > 0, "no start was disturbed");
}

/// A cleaner takes the locks away while one start holds them: the next one makes new ones, and both unpack in the same
/// place. The first one finds out, and waits for the other: neither fails, and neither runs what the other has half made.
#[test]
fn locks_that_vanish_under_a_start() {
    let project = subject(800);
    let host = host(&project.pack(), "");
    let cache = host.path(CACHE);
    let (whole, expected) = first_start(&host);
    for nth in 0..10_u32 {
        let _ = fs::remove_dir_all(&cache);
        let spawn = || {
            let mut start = start(&host, 0);
            let start = start.stdout(Stdio::piped()).stderr(Stdio::piped());
            start.spawn().unwrap()
        };
        let first = spawn();
        std::thread::sleep(whole.mul_f64(f64::from(nth) / 10.0));
        let _ = fs::remove_dir_all(cache.join("locks"));
        let starts = [spawn(), first];
        for start in starts {
            let output = start.wait_with_output().unwrap();
            assert_eq!(said(&output, "disturbed"), expected, "{nth}");
        }
        assert_eq!(said(&run(&host), "afterwards"), expected, "{nth}");
        assert_whole(&project, &cache, "after locks vanished");
    }
}
