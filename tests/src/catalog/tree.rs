//! Paths, order, places and links of archive entries (SPEC.md, M40, M55-M58).

use super::archive::{app, refused, with};
use super::{Catalog, about};
use crate::writer::tar::{Entry, stream};
use crate::writer::{Plan, Slot};

pub(super) fn add(catalog: &mut Catalog) {
    paths(catalog);
    order(catalog);
    places(catalog);
    reserved(catalog);
    symlinks(catalog);
    hard_links(catalog);
}

fn paths(catalog: &mut Catalog) {
    for (name, path) in [
        ("tar-path-parent", "../x"),
        ("tar-path-parent-inside", "app/../../x"),
        ("tar-path-parent-harmless", "app/../app/x"),
        ("tar-path-parent-last", "app/.."),
        ("tar-path-absolute", "/etc/passwd"),
        ("tar-path-double-slash", "app//x"),
        ("tar-path-dot-first", "./app/x"),
        ("tar-path-dot-inside", "app/./x"),
        ("tar-path-dot-last", "app/."),
        ("tar-path-final-slash", "app/x/"),
        ("tar-path-empty", ""),
    ] {
        refused(
            catalog,
            name,
            "M55 M40",
            "70 76",
            &format!("a file at {path:?}"),
            with(&[Entry::file(path, b"")]),
        );
    }
    refused(
        catalog,
        "tar-directory-no-slash",
        "M52",
        "76",
        "a directory without a final slash",
        app()
            .entry_with(&Entry::directory("app/d"), |header| header[5] = 0)
            .end(),
    );
    refused(
        catalog,
        "tar-directory-two-slashes",
        "M55 M40",
        "76",
        "a directory with two final slashes",
        with(&[Entry::directory("app/d/")]),
    );
    refused(
        catalog,
        "tar-path-2000-deep",
        "M40",
        "79",
        "2000 components",
        with(&[Entry::file(format!("app{}", "/d".repeat(1999)), b"")]),
    );
    let component = format!("app/{}", "c".repeat(256));
    refused(
        catalog,
        "tar-path-component-256",
        "M40",
        "79",
        "a component of 256 bytes",
        with(&[Entry::file(component, b"")]),
    );
    refused(
        catalog,
        "tar-path-4096",
        "M40",
        "79",
        "a path of 4096 bytes",
        super::valid_tar::long_tree(&super::valid_tar::long_path(4096)),
    );
    let deep: Vec<Entry> = (1..129)
        .map(|depth| Entry::directory(format!("app{}", "/d".repeat(depth))))
        .collect();
    refused(
        catalog,
        "tar-path-129-deep",
        "M40",
        "79",
        "129 components",
        with(&deep),
    );
}

fn order(catalog: &mut Catalog) {
    let mut order = |name, cases, comment, entries: &[Entry]| {
        refused(catalog, name, "M55", cases, comment, with(entries))
    };
    order(
        "tar-twice",
        "76",
        "a file twice",
        &[Entry::file("app/a", b"1"), Entry::file("app/a", b"2")],
    );
    order(
        "tar-descending",
        "76",
        "b before a",
        &[Entry::file("app/b", b""), Entry::file("app/a", b"")],
    );
    order(
        "tar-file-then-directory",
        "77",
        "a file, then a directory of its name",
        &[Entry::file("app/a", b""), Entry::directory("app/a")],
    );
    order(
        "tar-directory-then-file",
        "77",
        "a directory, then a file of its name",
        &[Entry::directory("app/a"), Entry::file("app/a", b"")],
    );
    order(
        "tar-symlink-then-directory",
        "72",
        "a symbolic link, then a directory of its name",
        &[Entry::symlink("app/a", "b"), Entry::directory("app/a")],
    );
    order(
        "tar-directory-then-symlink",
        "71 77",
        "a directory, then a symbolic link in its place",
        &[Entry::directory("app/a"), Entry::symlink("app/a", "b")],
    );
    order(
        "tar-symlink-then-file",
        "71 77",
        "a symbolic link, then a file that would be written through it",
        &[
            Entry::symlink("app/a", "b"),
            Entry::file("app/a", b"through"),
        ],
    );
    order(
        "tar-target-twice",
        "76",
        "the target's directory twice",
        &[Entry::directory("app")],
    );
    order(
        "tar-slash-order",
        "76",
        "the order of a walk, not of bytes: x, x/y, x-y",
        &[
            Entry::directory("app/x"),
            Entry::file("app/x/y", b""),
            Entry::file("app/x-y", b""),
        ],
    );
    order(
        "tar-byte-order",
        "76",
        "the order of signed bytes: FF before 61",
        &[Entry::file(b"app/\xFF", b""), Entry::file("app/a", b"")],
    );
}

fn places(catalog: &mut Catalog) {
    let mut place =
        |name, cases, comment, stream| refused(catalog, name, "M56", cases, comment, stream);
    place(
        "tar-empty-for-target",
        "83",
        "no entries; the target's directory is missing",
        stream(&[]),
    );
    place(
        "tar-target-missing",
        "70",
        "the target's directory is missing",
        stream(&[Entry::file("app/a", b"")]),
    );
    place(
        "tar-target-is-file",
        "77",
        "the target is a file",
        stream(&[Entry::file("app", b"")]),
    );
    place(
        "tar-target-is-link",
        "71",
        "the target is a symbolic link",
        stream(&[Entry::symlink("app", "b")]),
    );
    place(
        "tar-outside-target",
        "70",
        "a path beside the target",
        with(&[Entry::file("other", b"")]),
    );
    place(
        "tar-target-prefix",
        "70",
        "the target's name is only a prefix of the path",
        with(&[Entry::file("app2", b"")]),
    );
    place(
        "tar-before-target",
        "70",
        "an entry before the target's directory",
        stream(&[Entry::file("aaa", b""), Entry::directory("app")]),
    );
    place(
        "tar-parent-missing",
        "70",
        "a file in a directory that has no entry",
        with(&[Entry::file("app/d/a", b"")]),
    );
    place(
        "tar-parent-is-file",
        "77",
        "a file below a file",
        with(&[Entry::file("app/d", b""), Entry::file("app/d/a", b"")]),
    );
    place(
        "tar-parent-is-link",
        "71",
        "a file below a symbolic link",
        with(&[
            Entry::directory("app/a"),
            Entry::symlink("app/d", "a"),
            Entry::file("app/d/x", b""),
        ]),
    );
    place(
        "tar-parent-is-hard-link",
        "73",
        "a file below a hard link",
        with(&[
            Entry::file("app/a", b""),
            Entry::hard_link("app/d", "app/a"),
            Entry::file("app/d/x", b""),
        ]),
    );
}

/// Slots at the work environment itself.
fn reserved(catalog: &mut Catalog) {
    for (name, entries) in [
        ("tar-flavor", &[Entry::file(".flavor", b"")][..]),
        ("tar-flavor-prefix", &[Entry::symlink(".flavorful", "a")]),
        (
            "tar-flavor-directory",
            &[
                Entry::directory(".flavor"),
                Entry::file(".flavor/complete", b""),
            ],
        ),
    ] {
        let slot = Slot::tar(0, "app", &stream(entries)).at(".");
        catalog.plan(
            "contents",
            about(
                name,
                "M56",
                "88",
                "a name that the launcher keeps for itself",
            ),
            Plan::new().slot(slot),
        );
    }
}

fn symlinks(catalog: &mut Catalog) {
    let at = |target: &str| with(&[Entry::directory("app/d"), Entry::symlink("app/d/l", target)]);
    for (name, target) in [
        ("tar-symlink-absolute", "/etc/passwd"),
        ("tar-symlink-root", "/"),
        ("tar-symlink-empty", ""),
        ("tar-symlink-out", "../../x"),
        ("tar-symlink-far-out", "../../../../../../etc"),
        ("tar-symlink-out-only", "../.."),
        ("tar-symlink-parent-later", "a/../b"),
        ("tar-symlink-parent-last", "a/.."),
        ("tar-symlink-two-steps", "../d/m/../../../x"),
        ("tar-symlink-parent-after-parent", "../a/../../x"),
        ("tar-symlink-dot", "."),
        ("tar-symlink-dot-first", "./a"),
        ("tar-symlink-dot-after-parent", ".././a"),
        ("tar-symlink-dot-last", "a/."),
        ("tar-symlink-double-slash", "a//b"),
        ("tar-symlink-final-slash", "a/"),
        ("tar-symlink-parent-slash", "../"),
    ] {
        refused(
            catalog,
            name,
            "M57",
            "71",
            &format!("a symbolic link to {target:?}"),
            at(target),
        );
    }
    refused(
        catalog,
        "tar-symlink-nul",
        "M57",
        "71",
        "a NUL in a link target of 101 bytes",
        at(&format!("a\0{}", "b".repeat(99))),
    );
    refused(
        catalog,
        "tar-symlink-4096",
        "M57",
        "79",
        "a link target of 4096 bytes",
        at(&"l/".repeat(2048).replacen('/', "", 1)),
    );
    let deep = stream(&[Entry::directory("a/b"), Entry::symlink("a/b/l", "..")]);
    let plan = Plan::new().slot(Slot::tar(0, "app", &deep).at("a/b"));
    catalog.plan(
        "contents",
        about(
            "tar-symlink-above-target",
            "M57",
            "71",
            "a link inside the work environment but above the target",
        ),
        plan,
    );
    let root = stream(&[Entry::symlink("l", "..")]);
    let plan = Plan::new().slot(Slot::tar(0, "app", &root).at("."));
    catalog.plan(
        "contents",
        about(
            "tar-symlink-above-root",
            "M57",
            "71",
            "a link above the work environment",
        ),
        plan,
    );
}

fn hard_links(catalog: &mut Catalog) {
    let mut link = |name, comment, entries: &[Entry]| {
        refused(catalog, name, "M58", "73", comment, with(entries))
    };
    link(
        "tar-hard-link-outside",
        "to a file outside",
        &[Entry::hard_link("app/l", "../../etc/passwd")],
    );
    link(
        "tar-hard-link-absolute",
        "to an absolute path",
        &[Entry::hard_link("app/l", "/etc/passwd")],
    );
    link(
        "tar-hard-link-missing",
        "to nothing",
        &[Entry::hard_link("app/l", "app/a")],
    );
    link(
        "tar-hard-link-later",
        "to a file that comes later",
        &[
            Entry::hard_link("app/l", "app/m"),
            Entry::file("app/m", b""),
        ],
    );
    link(
        "tar-hard-link-itself",
        "to itself",
        &[Entry::hard_link("app/l", "app/l")],
    );
    link(
        "tar-hard-link-symlink",
        "to a symbolic link",
        &[
            Entry::symlink("app/a", "b"),
            Entry::hard_link("app/l", "app/a"),
        ],
    );
    link(
        "tar-hard-link-hard-link",
        "to a hard link",
        &[
            Entry::file("app/a", b""),
            Entry::hard_link("app/b", "app/a"),
            Entry::hard_link("app/c", "app/b"),
        ],
    );
    link(
        "tar-hard-link-directory",
        "to a directory",
        &[
            Entry::directory("app/d"),
            Entry::hard_link("app/l", "app/d"),
        ],
    );
    link(
        "tar-hard-link-relative",
        "relative to its own directory",
        &[Entry::file("app/a", b""), Entry::hard_link("app/l", "a")],
    );
    link(
        "tar-hard-link-dot",
        "with a . before the path",
        &[
            Entry::file("app/a", b""),
            Entry::hard_link("app/l", "./app/a"),
        ],
    );
    link(
        "tar-hard-link-empty",
        "to an empty name",
        &[Entry::file("app/a", b""), Entry::hard_link("app/l", "")],
    );
    link(
        "tar-hard-link-cut",
        "to the first 100 bytes of a longer name",
        &[
            Entry::file(format!("app/{}", "n".repeat(97)), b""),
            Entry::hard_link("app/o", format!("app/{}", "n".repeat(96))),
        ],
    );
    // Two slots: the file is in the other one.
    let first = stream(&[Entry::directory("app"), Entry::file("app/a", b"")]);
    let second = stream(&[Entry::directory("bin"), Entry::hard_link("bin/l", "app/a")]);
    let plan = Plan::new()
        .slot(Slot::tar(0, "app", &first))
        .slot(Slot::tar(1, "bin", &second));
    catalog.plan(
        "contents",
        about(
            "tar-hard-link-other-slot",
            "M58",
            "73",
            "to a file of another slot",
        ),
        plan,
    );
}
