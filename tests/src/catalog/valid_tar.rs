//! Archives that must be accepted.

use super::{Catalog, about};
use crate::writer::tar::{Entry, stream};
use crate::writer::{Plan, Slot};

/// A small tree with every type of entry.
pub(super) fn tree(root: &str) -> Vec<u8> {
    let path = |name: &str| format!("{root}/{name}");
    stream(&[
        Entry::directory(root),
        Entry::directory(path("bin")),
        Entry {
            mode: 0o755,
            ..Entry::file(path("bin/app"), b"#!/bin/sh\necho started\n")
        },
        Entry::hard_link(path("bin/same"), path("bin/app")),
        Entry::symlink(path("bin/up"), "../data"),
        Entry::file(path("data"), vec![b'z'; 2000]),
    ])
}

pub(super) fn add(catalog: &mut Catalog) {
    archives(catalog);
    alike(catalog);
}

fn ok(catalog: &mut Catalog, about: super::About<'_>, target: &str, stream: Vec<u8>) {
    let plan = Plan::new().slot(Slot::tar(0, "app", &stream).at(target));
    catalog.ok(about, plan.bytes());
}

fn archives(catalog: &mut Catalog) {
    let mut ok = |name, requirements, cases, comment, target: &str, stream: Vec<u8>| {
        ok(
            catalog,
            about(name, requirements, cases, comment),
            target,
            stream,
        );
    };
    ok(
        "ok-tar",
        "M50 M51 M52 M54 M56",
        "",
        "every type of entry",
        "app",
        tree("app"),
    );
    ok(
        "ok-tar-empty",
        "M50",
        "83",
        "no entries, at the work environment itself",
        ".",
        stream(&[]),
    );
    ok(
        "ok-tar-only-target",
        "M56",
        "",
        "the directory of the target and nothing else",
        "app",
        stream(&[Entry::directory("app")]),
    );
    ok(
        "ok-tar-root",
        "M56",
        "",
        "at the work environment itself, top-level entries have no parent entry",
        ".",
        stream(&[
            Entry::file("a", b"1"),
            Entry::directory("b"),
            Entry::symlink("b/c", "../a"),
        ]),
    );
    ok(
        "ok-tar-deep-target",
        "M56 M57",
        "",
        "the target is two deep; its parent has no entry",
        "a/b",
        stream(&[
            Entry::directory("a/b"),
            Entry::file("a/b/c", b"1"),
            Entry::directory("a/b/d"),
            Entry::symlink("a/b/d/e", ".."),
        ]),
    );
    ok(
        "ok-tar-order",
        "M55",
        "",
        "byte order puts x-y between x and x/y",
        "app",
        stream(&[
            Entry::directory("app"),
            Entry::directory("app/x"),
            Entry::file("app/x-y", b""),
            Entry::file("app/x/y", b""),
            Entry::file("app/x0", b""),
        ]),
    );
    ok(
        "ok-tar-names",
        "M55",
        "78",
        "names with newline, escape, backslash, colon, bytes that are not UTF-8",
        "app",
        stream(&[
            Entry::directory("app"),
            Entry::file(b"app/\x1B[31m", b""),
            Entry::file(b"app/C:x", b""),
            Entry::file(b"app/a\nb", b""),
            Entry::file(b"app/a\\b", b""),
            Entry::file(b"app/\xFF\xFE", b""),
        ]),
    );
    let exactly = format!("app/{}", "n".repeat(96));
    let longer = format!("app/{}", "n".repeat(97));
    ok(
        "ok-tar-name-100",
        "M53",
        "",
        "a name of 100 bytes needs no PAX header, one of 101 does",
        "app",
        stream(&[
            Entry::directory("app"),
            Entry::file(&exactly, b"100"),
            Entry::file(&longer, b"101"),
        ]),
    );
    let directory = format!("app/{}", "d".repeat(96));
    ok(
        "ok-tar-directory-100",
        "M53",
        "",
        "a directory of 100 bytes has 101 with its final slash",
        "app",
        stream(&[
            Entry::directory("app"),
            Entry::directory(&directory),
            Entry::symlink(format!("{directory}/{}", "l".repeat(255)), "l".repeat(255)),
        ]),
    );
    ok(
        "ok-tar-link-100",
        "M53",
        "",
        "link targets of 100 and 101 bytes",
        "app",
        stream(&[
            Entry::directory("app"),
            Entry::file(&longer, b"x"),
            Entry::hard_link("app/o", &longer),
            Entry::symlink("app/p", "t".repeat(100)),
            Entry::symlink("app/q", "t".repeat(101)),
        ]),
    );
    let long = long_path(989);
    ok(
        "ok-tar-pax-999",
        "M53",
        "82",
        "the record's length may be 999 or 1000: the shorter is written",
        "app",
        long_tree(&long),
    );
    ok(
        "ok-tar-path-4095",
        "M40",
        "79",
        "a path of 4095 bytes",
        "app",
        long_tree(&long_path(4095)),
    );
    let mut deep = vec![Entry::directory("app")];
    for depth in 2..=128 {
        deep.push(Entry::directory(format!("app{}", "/d".repeat(depth - 1))));
    }
    ok(
        "ok-tar-128-deep",
        "M40",
        "79",
        "128 components",
        "app",
        stream(&deep),
    );
    ok(
        "ok-tar-modes",
        "M54",
        "75",
        "modes 0 and 0777, the largest mtime",
        "app",
        stream(&[
            Entry {
                mode: 0,
                ..Entry::directory("app")
            },
            Entry {
                mode: 0o777,
                mtime: (1 << 33) - 1,
                ..Entry::file("app/a", b"")
            },
            Entry {
                mtime: 1,
                ..Entry::symlink("app/b", "a")
            },
        ]),
    );
    ok(
        "ok-tar-symlinks",
        "M57",
        "71",
        "dangling, to itself, to the top, through another link",
        "app",
        stream(&[
            Entry::directory("app"),
            Entry::directory("app/a"),
            Entry::directory("app/a/b"),
            Entry::symlink("app/a/b/dangling", "nowhere/at/all"),
            Entry::symlink("app/a/b/self", "self"),
            Entry::symlink("app/a/b/top", "../.."),
            Entry::symlink("app/a/b/via", "top/a/b/..data"),
        ]),
    );
}

/// A path below `app` of exactly this many bytes, in components of at most 255.
pub(super) fn long_path(size: usize) -> String {
    let mut path = "app".to_string();
    while path.len() < size {
        let component = (size - path.len() - 1).min(255);
        // A rest of one byte would be a slash without a name.
        let component = if size - path.len() - 1 - component == 1 {
            component - 1
        } else {
            component
        };
        path = format!("{path}/{}", "p".repeat(component));
    }
    path
}

/// The file at a path and its parents.
pub(super) fn long_tree(path: &str) -> Vec<u8> {
    let mut entries: Vec<Entry> = path
        .match_indices('/')
        .map(|(slash, _)| Entry::directory(&path[..slash]))
        .collect();
    entries.push(Entry::file(path, b"far down"));
    stream(&entries)
}

/// What looks hostile and is not, or is so on other systems only.
fn alike(catalog: &mut Catalog) {
    let mut ok = |name, cases, comment, entries: &[Entry]| {
        let app = [Entry::directory("app")];
        let entries: Vec<Entry> = app.iter().chain(entries).cloned().collect();
        let about = about(name, "M40 M55 M57", cases, comment);
        ok(catalog, about, "app", stream(&entries));
    };
    ok(
        "ok-tar-names-of-windows",
        "70",
        "what leads out of a directory on Windows are ordinary names on this system",
        &[
            Entry::file("app/..\\x", b"1"),
            Entry::file("app/C:\\x", b"2"),
            Entry::file("app/C:x", b"3"),
        ],
    );
    ok(
        "ok-tar-names-alike",
        "76",
        "names that differ in case, or in the form of an accent: two files on this system",
        &[
            Entry::file("app/README", b"1"),
            Entry::file("app/e\u{301}", b"decomposed"),
            Entry::file("app/readme", b"2"),
            Entry::file("app/\u{e9}", b"composed"),
        ],
    );
    let link = |number| Entry::symlink(format!("app/l{number:02}"), format!("l{:02}", number + 1));
    let mut chain: Vec<Entry> = (0..60).map(link).collect();
    chain.push(Entry::file("app/l60", b"the end of the chain"));
    ok(
        "ok-tar-symlink-chain",
        "71",
        "a chain of 60 links within the archive, which nothing follows",
        &chain,
    );
    let inner = stream(&[Entry::file("../../etc/passwd", b"root")]);
    ok(
        "ok-tar-nested",
        "81",
        "a file that is an archive",
        &[Entry::file("app/inner.tar", inner)],
    );
}
