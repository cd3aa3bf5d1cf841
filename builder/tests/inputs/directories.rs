//! Directories and single files.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flavor::inputs::{self, DEFAULT_TIME, Filter, Source, Times};
use tempfile::TempDir;

use super::{bytes, entries, listed, listing, read, refused};

/// A directory with a file for each path, whose content is the path, and its parents.
fn tree(paths: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for path in paths {
        let file = dir.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, path).unwrap();
        set_mode(&file, 0o644);
    }
    dir
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn selected(dir: &TempDir, include: &[&str], exclude: &[&str]) -> String {
    let filter = Filter::new(include, exclude).unwrap();
    let input = inputs::read(dir.path(), &filter, Times::Normalise(0)).unwrap();
    let paths: Vec<_> = entries(input)
        .into_iter()
        .map(|entry| String::from_utf8(entry.path).unwrap())
        .collect();
    paths.join(" ")
}

#[test]
fn entries_come_in_byte_order_with_parents_first() {
    let dir = tree(&["b", "a/z", "a-b", "a/y/deep"]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    set_mode(&dir.path().join("empty"), 0o700);
    set_mode(&dir.path().join("b"), 0o755);
    symlink("a/z", dir.path().join("link")).unwrap();
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    assert_eq!(
        listed(dir.path()),
        "d755 a\n\
         -644 a-b = a-b\n\
         d755 a/y\n\
         -644 a/y/deep = a/y/deep\n\
         -644 a/z = a/z\n\
         -755 b = b\n\
         l777 dangling -> nowhere\n\
         d700 empty\n\
         l777 link -> a/z\n"
    );
}

#[test]
fn names_need_not_be_text() {
    let dir = tree(&["a"]);
    fs::rename(
        dir.path().join("a"),
        dir.path().join(OsStr::from_bytes(b"\xff\n")),
    )
    .unwrap();
    let entries = entries(read(dir.path()).unwrap());
    assert_eq!(entries[0].path, b"\xff\n");
    assert_eq!(bytes(&entries[0]), b"a");
}

#[test]
fn the_source_itself_may_be_a_link() {
    let dir = tree(&["real/a"]);
    symlink("real", dir.path().join("link")).unwrap();
    assert_eq!(listed(&dir.path().join("link")), "-644 a = real/a\n");
}

#[test]
fn an_empty_directory_is_a_slot_without_entries() {
    assert_eq!(listed(tempfile::tempdir().unwrap().path()), "");
}

#[test]
fn further_names_of_a_file_are_hard_links_to_the_first_that_is_packed() {
    let dir = tree(&["m", "other"]);
    for name in ["a", "z"] {
        fs::hard_link(dir.path().join("m"), dir.path().join(name)).unwrap();
    }
    assert_eq!(
        listed(dir.path()),
        "-644 a = m\n\
         h000 m == a\n\
         -644 other = other\n\
         h000 z == a\n"
    );
    let filter = Filter::new(&["**"], &["a"]).unwrap();
    let input = inputs::read(dir.path(), &filter, Times::Normalise(0)).unwrap();
    assert!(listing(&entries(input)).starts_with("-644 m = m\n-644 other"));
}

#[test]
fn links_into_the_source_become_relative() {
    let dir = tree(&["a/f"]);
    symlink(dir.path().join("a/f"), dir.path().join("a/absolute")).unwrap();
    symlink("../a/./f", dir.path().join("a/roundabout")).unwrap();
    let listing = listed(dir.path());
    assert!(listing.contains("a/absolute -> f\n"), "{listing}");
    assert!(listing.contains("a/roundabout -> f\n"), "{listing}");
}

#[test]
fn links_that_cannot_be_kept_are_refused() {
    let cases = [
        (
            "../x",
            "`l` in src: it is a link to `../x`, which leaves the slot",
        ),
        (
            "/etc/passwd",
            "`l` in src: it is a link to `/etc/passwd`, which leaves the slot",
        ),
        (".", "`l` in src: it is a link to `.`, the slot's own root"),
        (
            "f/../x",
            "`l` in src: it is a link to `f/../x`, which goes back with `..` through `f`, \
             no directory of the slot",
        ),
    ];
    for (target, message) in cases {
        let dir = tree(&["src/f"]);
        symlink(target, dir.path().join("src/l")).unwrap();
        let (text, help) = refused(&dir.path().join("src"), dir.path());
        assert_eq!(text, message);
        assert!(help.starts_with("put a copy in place of the link"));
    }
}

#[test]
fn what_is_no_file_is_refused_unless_it_is_excluded() {
    let dir = tree(&["src/a"]);
    let source = dir.path().join("src");
    let socket = UnixListener::bind(source.join("s")).unwrap();
    let (text, help) = refused(&source, dir.path());
    assert_eq!(text, "`s` in src: it is a socket");
    assert_eq!(
        help,
        "name it in `exclude`: slots hold regular files, directories and links"
    );
    drop(socket);

    let filter = Filter::new(&["**"], &["s"]).unwrap();
    inputs::read(&source, &filter, Times::Keep).unwrap();
    let filter = Filter::new(&["a"], &[]).unwrap();
    inputs::read(&source, &filter, Times::Keep).unwrap();

    fs::remove_file(source.join("s")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(source.join("p"))
        .status()
        .unwrap();
    assert!(made.success());
    assert_eq!(refused(&source, dir.path()).0, "`p` in src: it is a FIFO");
}

#[test]
fn depth_is_limited() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("src").join("a/".repeat(129))).unwrap();
    let (text, help) = refused(&dir.path().join("src"), dir.path());
    assert!(
        text.ends_with(": its name is not possible: 129 components, at most 128 are allowed"),
        "{text}"
    );
    assert_eq!(help, "shorten the path, or name it in `exclude`");
}

#[test]
fn special_bits_are_removed_and_noted() {
    let dir = tree(&["d/su"]);
    set_mode(&dir.path().join("d/su"), 0o4755);
    set_mode(&dir.path().join("d"), 0o2775);
    let input = read(dir.path()).unwrap();
    let notes: Vec<_> = input.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        ["`d/su`: the set-user, set-group or sticky bit of mode 4755 is not packed"]
    );
    assert_eq!(listing(&entries(input)), "d775 d\n-755 d/su = d/su\n");
}

#[test]
fn times_are_normalised_or_kept() {
    let dir = tree(&["early", "late", "usual"]);
    let set = |name: &str, time: SystemTime| {
        File::open(dir.path().join(name))
            .unwrap()
            .set_modified(time)
            .unwrap();
    };
    set("usual", UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    set("early", UNIX_EPOCH - Duration::from_secs(5));
    set("late", UNIX_EPOCH + Duration::from_secs(9_000_000_000));

    let times = |input| {
        entries(input)
            .iter()
            .map(|entry| entry.mtime)
            .collect::<Vec<_>>()
    };
    assert_eq!(times(read(dir.path()).unwrap()), [DEFAULT_TIME; 3]);

    let filter = Filter::new(&["**"], &[]).unwrap();
    let kept = inputs::read(dir.path(), &filter, Times::Keep).unwrap();
    let notes: Vec<_> = kept.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "`early`: its time, -5 seconds from 1970, cannot be packed; 0 is",
            "`late`: its time, 9000000000 seconds from 1970, cannot be packed; 8589934591 is",
        ]
    );
    assert_eq!(times(kept), [0, 8_589_934_591, 1_700_000_000]);
}

#[test]
fn globs_select() {
    let dir = tree(&[
        "bin/run",
        "lib/a.py",
        "lib/a.pyc",
        "lib/test/t.py",
        "top.py",
        "x y.txt",
    ]);
    fs::create_dir(dir.path().join("lib/empty")).unwrap();
    let cases: [(&[&str], &[&str], &str); 14] = [
        (&["**"], &["lib"], "bin bin/run top.py x y.txt"),
        (&["**"], &["lib/**"], "bin bin/run lib top.py x y.txt"),
        (
            &["**"],
            &["**/test", "**/*.pyc", "*.txt"],
            "bin bin/run lib lib/a.py lib/empty top.py",
        ),
        (&["*.py"], &[], "top.py"),
        (
            &["**/*.py"],
            &[],
            "lib lib/a.py lib/test lib/test/t.py top.py",
        ),
        (&["lib/*.py"], &[], "lib lib/a.py"),
        (&["lib/test"], &[], "lib lib/test lib/test/t.py"),
        (&["./bin/"], &[], "bin bin/run"),
        (&["lib/empty"], &[], "lib lib/empty"),
        (
            &["lib"],
            &["**/test/", "**/empty"],
            "lib lib/a.py lib/a.pyc",
        ),
        (
            &["lib/**"],
            &["**/*.py"],
            "lib lib/a.pyc lib/empty lib/test",
        ),
        (
            &["lib/a.{py,pyc}", "x y.[t-u]xt"],
            &[],
            "lib lib/a.py lib/a.pyc x y.txt",
        ),
        (&["lib/?.py"], &[], "lib lib/a.py"),
        (&["bin/run", "lib/a.py"], &["lib"], ""),
    ];
    for (include, exclude, expected) in &cases[..13] {
        assert_eq!(
            selected(&dir, include, exclude),
            *expected,
            "{include:?} {exclude:?}"
        );
    }
    // What `exclude` takes away does not count as matched.
    let (include, exclude, _) = cases[13];
    let filter = Filter::new(include, exclude).unwrap();
    let error = inputs::read(dir.path(), &filter, Times::Keep).unwrap_err();
    assert!(error.to_string().contains("`lib/a.py`"), "{error}");
}

#[test]
fn a_filter_answers_for_a_single_path() {
    let filter = Filter::new(&["lib", "*.py"], &["**/test"]).unwrap();
    for (path, selected) in [
        ("lib/a", true),
        ("a.py", true),
        ("bin/a.py", false),
        ("lib/test", false),
        ("lib/test/a", false),
    ] {
        assert_eq!(filter.selects(path.as_bytes()), selected, "{path}");
    }
}

#[test]
fn a_glob_that_matches_nothing_is_an_error() {
    let dir = tree(&["src/a"]);
    let filter = Filter::new(&["a", "*.py"], &[]).unwrap();
    let error = inputs::read(&dir.path().join("src"), &filter, Times::Keep).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "include glob `*.py` matches nothing in {}/src that `exclude` leaves",
            dir.path().display()
        )
    );
    assert!(error.help().contains("`**/*.py` everywhere"));
}

#[test]
fn a_glob_that_does_not_compile_is_an_error() {
    for (glob, reason) in [
        ("a[", "unclosed character class; missing ']'"),
        ("/etc/*", "it must be a path below the source"),
        ("", "it must be a path below the source"),
    ] {
        let error = Filter::new(&["**"], &[glob]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("glob `{glob}` is not valid: {reason}")
        );
        assert!(error.help().starts_with("globs know"));
    }
}

#[test]
fn a_single_file_is_taken_as_it_is() {
    let dir = tree(&["tool.whl"]);
    set_mode(&dir.path().join("tool.whl"), 0o4711);
    let input = read(&dir.path().join("tool.whl")).unwrap();
    assert_eq!(input.notes.len(), 1);
    let Source::File(file) = input.source else {
        panic!("a tree")
    };
    assert_eq!((file.size, file.mode, file.mtime), (8, 0o711, DEFAULT_TIME));
}

#[test]
fn globs_for_a_single_file_are_an_error() {
    let dir = tree(&["tool"]);
    let filter = Filter::new(&["*"], &[]).unwrap();
    let error = inputs::read(&dir.path().join("tool"), &filter, Times::Keep).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("/tool is a single file, but include or exclude globs are given for it"),
        "{error}"
    );
    assert_eq!(
        error.help(),
        "remove `include` and `exclude`, or make the source a directory"
    );
}

#[test]
fn sources_that_cannot_be_read_are_named() {
    let dir = tree(&[]);
    let (text, help) = refused(&dir.path().join("absent"), dir.path());
    assert_eq!(text, "absent does not exist");
    assert!(help.contains("relative to the manifest's directory"));

    // As root every mode can be read; a link to itself cannot.
    symlink("loop", dir.path().join("loop")).unwrap();
    let (text, help) = refused(&dir.path().join("loop"), dir.path());
    assert!(text.starts_with("cannot read loop: "), "{text}");
    assert!(help.contains("readable"));

    let (text, help) = refused(Path::new("/dev/null"), dir.path());
    assert_eq!(
        text,
        "/dev/null is a device, not a directory, an archive or a file"
    );
    assert!(help.starts_with("point `source`"));
}

#[test]
fn the_order_on_disk_does_not_matter() {
    let names = ["c", "a", "b/2", "b/1", "z"];
    let mut reversed = names;
    reversed.reverse();
    assert_eq!(listed(tree(&names).path()), listed(tree(&reversed).path()));
}
