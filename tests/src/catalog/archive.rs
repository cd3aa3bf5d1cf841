//! The tar profile (SPEC.md, M50-M58). Every archive here is signed, and its digest holds.

use super::{Catalog, about};
use crate::writer::tar::{BLOCK, Entry, Tar, checksum, header, put, record, record_sized, stream};
use crate::writer::{Plan, Slot};

pub(super) fn add(catalog: &mut Catalog) {
    ends(catalog);
    types(catalog);
    header_fields(catalog);
    pax(catalog);
    modes(catalog);
    paths(catalog);
    order(catalog);
    places(catalog);
    symlinks(catalog);
    hard_links(catalog);
}

fn refused(
    catalog: &mut Catalog,
    name: &str,
    requirement: &str,
    cases: &str,
    comment: &str,
    stream: Vec<u8>,
) {
    let plan = Plan::new().slot(Slot::tar(0, "app", &stream));
    catalog.plan("contents", about(name, requirement, cases, comment), plan);
}

/// A stream that begins well: the directory of the target.
fn app() -> Tar {
    Tar::new().entry(&Entry::directory("app"))
}

/// The directory of the target and these entries.
fn with(entries: &[Entry]) -> Vec<u8> {
    entries
        .iter()
        .fold(app(), |tar, entry| tar.entry(entry))
        .end()
}

fn ends(catalog: &mut Catalog) {
    let mut end = |name, comment, stream| refused(catalog, name, "M50", "83", comment, stream);
    end("tar-no-end", "no zeros at the end", app().open());
    end(
        "tar-half-end",
        "512 zeros at the end",
        app().block(&[0; 512]).open(),
    );
    end(
        "tar-long-end",
        "1536 zeros at the end",
        app().block(&[0; 1536]).open(),
    );
    end("tar-record-end", "zeros up to 10240, as tar writes them", {
        let mut stream = app().end();
        stream.resize(10240, 0);
        stream
    });
    end(
        "tar-after-end",
        "an entry after the end",
        app()
            .block(&[0; 1024])
            .entry(&Entry::file("app/a", b""))
            .end(),
    );
    end(
        "tar-byte-after-end",
        "a byte after the end",
        [app().end(), vec![0]].concat(),
    );
    end(
        "tar-zero-block-inside",
        "512 zeros between entries",
        app()
            .block(&[0; 512])
            .entry(&Entry::file("app/a", b""))
            .end(),
    );
    end("tar-nothing", "no bytes at all", Vec::new());
    end(
        "tar-junk",
        "text that is no archive",
        b"just some text".to_vec(),
    );
    end(
        "tar-header-truncated",
        "the stream ends in a header",
        app().end()[..300].to_vec(),
    );
    end(
        "tar-content-truncated",
        "the stream ends in a content",
        app().entry(&Entry::file("app/a", vec![1; 2000])).open()[..1500].to_vec(),
    );
    end(
        "tar-content-padding",
        "the padding after a content is not zero",
        {
            let mut stream = with(&[Entry::file("app/a", b"abc")]);
            stream[2 * BLOCK + 3] = 1;
            stream
        },
    );
    end(
        "tar-content-padding-last",
        "the last byte of the padding is not zero",
        {
            let mut stream = with(&[Entry::file("app/a", b"abc")]);
            stream[3 * BLOCK - 1] = 1;
            stream
        },
    );
    end("tar-end-not-zero", "a byte of the end is not zero", {
        let mut stream = app().end();
        *stream.last_mut().expect("not empty") = 1;
        stream
    });
}

fn types(catalog: &mut Catalog) {
    for (name, kind, comment) in [
        ("tar-type-nul", 0, "the old type of files"),
        ("tar-type-character", b'3', "a character device"),
        ("tar-type-block", b'4', "a block device"),
        ("tar-type-fifo", b'6', "a FIFO"),
        ("tar-type-contiguous", b'7', "a contiguous file"),
        ("tar-type-8", b'8', "a type that nobody defined"),
        ("tar-type-dump", b'D', "a GNU directory listing"),
        ("tar-type-multi-volume", b'M', "a GNU continuation"),
        ("tar-type-sparse", b'S', "a GNU sparse file"),
        ("tar-type-volume", b'V', "a GNU volume label"),
        ("tar-type-solaris", b'X', "a Solaris extended header"),
        ("tar-type-socket", b's', "what some tools write for sockets"),
    ] {
        let stream = app()
            .entry(&Entry {
                kind,
                ..Entry::file("app/a", b"")
            })
            .end();
        refused(catalog, name, "M51", "74 80", comment, stream);
    }
    let global = record(b"path", b"app/other");
    let header = header(b"././@PaxHeader", b'g', 0o644, global.len(), 0, b"");
    let stream = app()
        .raw(&[], &header, &global)
        .entry(&Entry::file("app/a", b""))
        .end();
    refused(
        catalog,
        "tar-type-global",
        "M51",
        "82",
        "a global PAX header",
        stream,
    );
    let long = b"app/x\0/../../etc/passwd\0";
    let header = crate::writer::tar::header(b"././@LongLink", b'L', 0o644, long.len(), 0, b"");
    let stream = app()
        .raw(&[], &header, long)
        .entry(&Entry::file("app/x", b""))
        .end();
    refused(
        catalog,
        "tar-type-long-name",
        "M51",
        "70",
        "a GNU long name with NUL and ..",
        stream,
    );
    let header = crate::writer::tar::header(b"././@LongLink", b'K', 0o644, long.len(), 0, b"");
    let stream = app()
        .raw(&[], &header, long)
        .entry(&Entry::symlink("app/x", "y"))
        .end();
    refused(
        catalog,
        "tar-type-long-link",
        "M51",
        "70",
        "a GNU long link",
        stream,
    );
}

/// One wrong byte in each field of a header whose checksum is right.
fn header_fields(catalog: &mut Catalog) {
    let mut edit = |name: &str, cases, comment: &str, edit: fn(&mut [u8; BLOCK])| {
        refused(
            catalog,
            name,
            "M52",
            cases,
            comment,
            app().entry_with(&Entry::file("app/a", b"abc"), edit).end(),
        );
    };
    edit(
        "tar-name-after-nul",
        "70",
        "bytes after the NUL of the name",
        |header| header[60] = b'x',
    );
    edit("tar-mode-space", "83", "mode ends with a space", |header| {
        header[107] = b' '
    });
    edit(
        "tar-mode-six-digits",
        "83",
        "mode of six digits, space, NUL",
        |header| put(header, 100, b"000644 \0"),
    );
    edit(
        "tar-mode-spaces-first",
        "83",
        "mode with leading spaces",
        |header| put(header, 100, b"    644\0"),
    );
    edit("tar-mode-not-octal", "83", "a digit 8 in mode", |header| {
        put(header, 100, b"0000648\0")
    });
    edit("tar-mode-empty", "83", "mode of NULs", |header| {
        put(header, 100, &[0; 8])
    });
    edit("tar-uid", "83", "uid 1000", |header| {
        put(header, 108, b"0001750")
    });
    edit("tar-uid-empty", "83", "uid of NULs", |header| {
        put(header, 108, &[0; 8])
    });
    edit("tar-gid", "83", "gid 1000", |header| {
        put(header, 116, b"0001750")
    });
    edit("tar-size-space", "83", "size ends with a space", |header| {
        header[135] = b' '
    });
    edit("tar-size-base-256", "80", "size 3 in base 256", |header| {
        put(header, 124, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3])
    });
    edit("tar-size-negative", "80", "size -1 in base 256", |header| {
        put(header, 124, &[0xFF; 12])
    });
    edit("tar-size-2-62", "80", "size 2^62 in base 256", |header| {
        put(header, 124, &[0x80, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0])
    });
    edit(
        "tar-size-twelve-digits",
        "80",
        "size of twelve digits without NUL",
        |header| put(header, 124, b"000000000003"),
    );
    edit(
        "tar-mtime-negative",
        "83",
        "mtime -1 in base 256",
        |header| put(header, 136, &[0xFF; 12]),
    );
    edit(
        "tar-mtime-space",
        "83",
        "mtime ends with a space",
        |header| header[147] = b' ',
    );
    edit(
        "tar-linkname-file",
        "83",
        "a file with a link name",
        |header| put(header, 157, b"app"),
    );
    edit("tar-magic-gnu", "83", "magic of GNU tar", |header| {
        put(header, 257, b"ustar  \0")
    });
    edit(
        "tar-magic-none",
        "83",
        "no magic: a header from before POSIX",
        |header| put(header, 257, &[0; 8]),
    );
    edit("tar-version", "83", "version 01", |header| {
        put(header, 263, b"01")
    });
    edit("tar-uname", "83", "a user name", |header| {
        put(header, 265, b"root")
    });
    edit("tar-gname", "83", "a group name", |header| {
        put(header, 297, b"root")
    });
    edit(
        "tar-devmajor",
        "83",
        "devmajor of zeros in digits",
        |header| put(header, 329, b"0000000"),
    );
    edit(
        "tar-devminor",
        "83",
        "devminor of zeros in digits",
        |header| put(header, 337, b"0000000"),
    );
    edit("tar-prefix", "70", "a prefix ../..", |header| {
        put(header, 345, b"../..")
    });
    edit(
        "tar-prefix-honest",
        "83",
        "the path divided in prefix and name",
        |header| {
            put(header, 0, b"a\0\0\0\0");
            put(header, 345, b"app");
        },
    );
    edit(
        "tar-last-byte",
        "83",
        "the last byte of the header",
        |header| header[511] = 1,
    );

    let raw = |edit: fn(&mut [u8; BLOCK])| {
        let entry = Entry::file("app/a", b"abc");
        let mut header = entry.header();
        edit(&mut header);
        app().raw(&[], &header, &entry.content).end()
    };
    let mut sum = |name, comment, edit| refused(catalog, name, "M52", "83", comment, raw(edit));
    sum(
        "tar-chksum-wrong",
        "the checksum is one too large",
        |header| header[153] ^= 1,
    );
    sum(
        "tar-chksum-signed-space",
        "the checksum ends with space, NUL",
        |header| header[154..156].reverse(),
    );
    sum(
        "tar-chksum-seven-digits",
        "the checksum of seven digits and NUL",
        |header| {
            let digits: Vec<u8> = header[148..154].to_vec();
            put(header, 148, b"0");
            put(header, 149, &digits);
            header[155] = 0;
        },
    );
    sum("tar-chksum-zero", "no checksum", |header| {
        put(header, 148, &[0; 8])
    });
    let size = app()
        .entry_with(&Entry::file("app/a", b"abc"), |header| {
            put(header, 124, b"77777777777")
        })
        .end();
    refused(
        catalog,
        "tar-size-beyond-end",
        "M50",
        "80",
        "a size of 8 GiB - 1 in a short stream",
        size,
    );
    let less = app()
        .entry_with(&Entry::file("app/a", vec![b'x'; 600]), |header| {
            put(header, 124, b"00000000012")
        })
        .end();
    refused(
        catalog,
        "tar-size-less",
        "M50",
        "81",
        "the size is 10, 600 bytes follow",
        less,
    );
}

fn pax(catalog: &mut Catalog) {
    let long = format!("app/{}", "n".repeat(150));
    let entry = Entry::file(&long, b"content");
    let records = |records: Vec<u8>| app().raw(&records, &entry.header(), &entry.content).end();
    let path = record(b"path", long.as_bytes());
    let mut case =
        |name, cases, comment, stream| refused(catalog, name, "M53", cases, comment, stream);
    case(
        "pax-missing",
        "82",
        "a link target of 101 bytes is cut, and no PAX header has the rest",
        {
            let target = Entry::file(format!("app/{}", "n".repeat(97)), b"");
            let link = Entry::hard_link("app/o", &target.path);
            app().entry(&target).raw(&[], &link.header(), b"").end()
        },
    );
    case("pax-not-needed", "82", "a record for a path of 5 bytes", {
        let entry = Entry::file("app/a", b"");
        app()
            .raw(&record(b"path", b"app/a"), &entry.header(), b"")
            .end()
    });
    case(
        "pax-link-not-needed",
        "82",
        "a record for a short link target",
        {
            let entry = Entry::symlink("app/a", "b");
            app()
                .raw(&record(b"linkpath", b"b"), &entry.header(), b"")
                .end()
        },
    );
    case(
        "pax-size-not-needed",
        "81",
        "a record for a size of 3, the header's size is 3",
        {
            let entry = Entry::file("app/a", b"abc");
            app()
                .raw(&record(b"size", b"3"), &entry.header(), b"abc")
                .end()
        },
    );
    case(
        "pax-size-smuggles",
        "81",
        "the record says 1024, the header 0: two readers see two lists",
        {
            let inner = [&Entry::file("app/b", b"").header()[..], &[0; 512]].concat();
            let mut header = Entry::file("app/a", b"").header();
            checksum(&mut header);
            app().raw(&record(b"size", b"1024"), &header, &inner).end()
        },
    );
    case("pax-sparse", "80", "GNU sparse records of 1 TiB", {
        let entry = Entry::file("app/a", b"0\n");
        let records = [
            record(b"GNU.sparse.major", b"1"),
            record(b"GNU.sparse.minor", b"0"),
            record(b"GNU.sparse.name", b"app/a"),
            record(b"GNU.sparse.realsize", b"1099511627776"),
        ];
        app()
            .raw(&records.concat(), &entry.header(), &entry.content)
            .end()
    });
    case(
        "pax-mtime",
        "82",
        "a record that the profile does not have",
        records([record(b"mtime", b"1.5"), path.clone()].concat()),
    );
    case(
        "pax-unknown",
        "82",
        "an unknown record",
        records([path.clone(), record(b"x", b"y")].concat()),
    );
    case(
        "pax-twice",
        "82",
        "the record twice",
        records([path.clone(), path.clone()].concat()),
    );
    case("pax-order", "82", "`path` before `linkpath`", {
        let entry = Entry::symlink(&long, "t".repeat(101));
        let records = [
            record(b"path", &entry.path),
            record(b"linkpath", &entry.link),
        ]
        .concat();
        app().raw(&records, &entry.header(), b"").end()
    });
    case(
        "pax-other-name",
        "82",
        "the name in the header is not the beginning of the path",
        {
            let mut header = entry.header();
            header[4] = b'N';
            checksum(&mut header);
            app().raw(&path, &header, &entry.content).end()
        },
    );
    let size = path.len();
    case(
        "pax-length-less",
        "82",
        "the record's length is one too small",
        records(record_sized(size - 1, b"path", long.as_bytes())),
    );
    case(
        "pax-length-more",
        "82",
        "the record's length is one too large",
        records(record_sized(size + 1, b"path", long.as_bytes())),
    );
    case(
        "pax-length-zero",
        "82",
        "the record's length is 0",
        records(record_sized(0, b"path", long.as_bytes())),
    );
    case(
        "pax-length-huge",
        "82",
        "the record's length is beyond 64 bits",
        records([b"99999999999999999999 path=", long.as_bytes(), b"\n"].concat()),
    );
    case(
        "pax-length-leading-zero",
        "82",
        "a zero before the record's length",
        records([b"0", &record_sized(size + 1, b"path", long.as_bytes())[..]].concat()),
    );
    case(
        "pax-length-words",
        "82",
        "letters for a length",
        records([b"abc path=", long.as_bytes(), b"\n"].concat()),
    );
    case(
        "pax-no-newline",
        "82",
        "no newline at the end of the record",
        {
            let mut path = path.clone();
            *path.last_mut().expect("a record") = b' ';
            records(path)
        },
    );
    case(
        "pax-nul",
        "70 82",
        "a NUL in the path",
        records(record(
            b"path",
            format!("app/{}\0{}", "n".repeat(100), "m".repeat(49)).as_bytes(),
        )),
    );
    case(
        "pax-escape",
        "70",
        "the record leads out, the name does not",
        records(record(
            b"path",
            format!("../{}", "n".repeat(151)).as_bytes(),
        )),
    );
    case(
        "pax-1000",
        "82",
        "the record's length is 1000 where 999 fits",
        {
            let path = super::valid::long_path(989);
            let file = Entry::file(&path, b"far down");
            let parents = path
                .match_indices('/')
                .skip(1)
                .map(|(slash, _)| Entry::directory(&path[..slash]));
            let tar = parents.fold(app(), |tar, entry| tar.entry(&entry));
            tar.raw(
                &record_sized(1000, b"path", path.as_bytes()),
                &file.header(),
                &file.content,
            )
            .end()
        },
    );
    case("pax-empty", "82", "a PAX header without records", {
        let header = header(b"././@PaxHeader", b'x', 0o644, 0, 0, b"");
        app()
            .raw(&[], &header, b"")
            .entry(&Entry::file("app/a", b""))
            .end()
    });
    case("pax-dangling", "82", "a PAX header at the end", {
        let header = header(b"././@PaxHeader", b'x', 0o644, path.len(), 0, b"");
        app().raw(&[], &header, &path).end()
    });
    case("pax-before-pax", "82", "two PAX headers for one entry", {
        let header = header(b"././@PaxHeader", b'x', 0o644, path.len(), 0, b"");
        app()
            .raw(&[], &header, &path)
            .raw(&path, &entry.header(), &entry.content)
            .end()
    });
    let own = |name: &'static [u8], mode, mtime| {
        let header = header(name, b'x', mode, path.len(), mtime, b"");
        app()
            .raw(&[], &header, &path)
            .block(&entry.header())
            .padded(&entry.content)
            .end()
    };
    case(
        "pax-header-name",
        "82",
        "another name of the PAX header",
        own(b"PaxHeaders.1/a", 0o644, 0),
    );
    case(
        "pax-header-mode",
        "82",
        "mode 0600 of the PAX header",
        own(b"././@PaxHeader", 0o600, 0),
    );
    case(
        "pax-header-mtime",
        "82",
        "an mtime of the PAX header",
        own(b"././@PaxHeader", 0o644, 1),
    );
    case(
        "pax-padding",
        "82",
        "the padding after the records is not zero",
        {
            let mut stream = records(path.clone());
            stream[2 * BLOCK + path.len()] = b'1';
            stream
        },
    );
    case(
        "pax-huge",
        "82",
        "a record of 1 MiB",
        records(record(b"path", &vec![b'n'; 1 << 20])),
    );
    let claimed = app()
        .block(&header(b"././@PaxHeader", b'x', 0o644, 100 << 20, 0, b""))
        .end();
    refused(
        catalog,
        "pax-size-beyond-end",
        "M50",
        "82",
        "a PAX header claims 100 MiB of records",
        claimed,
    );
}

fn modes(catalog: &mut Catalog) {
    let mut mode = |name, cases, comment, entry: Entry| {
        refused(catalog, name, "M54", cases, comment, with(&[entry]))
    };
    mode(
        "tar-setuid",
        "75",
        "setuid",
        Entry {
            mode: 0o4755,
            ..Entry::file("app/a", b"")
        },
    );
    mode(
        "tar-setgid",
        "75",
        "setgid",
        Entry {
            mode: 0o2755,
            ..Entry::file("app/a", b"")
        },
    );
    mode(
        "tar-sticky",
        "75",
        "a sticky directory",
        Entry {
            mode: 0o1777,
            ..Entry::directory("app/a")
        },
    );
    mode(
        "tar-mode-type-bits",
        "75",
        "the bits of the file's type in mode",
        Entry {
            mode: 0o100644,
            ..Entry::file("app/a", b"")
        },
    );
    mode(
        "tar-symlink-mode",
        "75",
        "a symbolic link of mode 0755",
        Entry {
            mode: 0o755,
            ..Entry::symlink("app/a", "b")
        },
    );
    mode(
        "tar-symlink-size",
        "80",
        "a symbolic link with content",
        Entry {
            content: b"x".to_vec(),
            ..Entry::symlink("app/a", "b")
        },
    );
    mode(
        "tar-directory-size",
        "80",
        "a directory with content",
        Entry {
            content: b"x".to_vec(),
            ..Entry::directory("app/a")
        },
    );
    let file = Entry::file("app/a", b"");
    let linked = |link: Entry| with(&[file.clone(), link]);
    let mut link =
        |name, comment, entry| refused(catalog, name, "M54", "75", comment, linked(entry));
    link(
        "tar-hard-link-mode",
        "a hard link of mode 0644",
        Entry {
            mode: 0o644,
            ..Entry::hard_link("app/b", "app/a")
        },
    );
    link(
        "tar-hard-link-size",
        "a hard link with content",
        Entry {
            content: b"x".to_vec(),
            ..Entry::hard_link("app/b", "app/a")
        },
    );
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
        super::valid::long_tree(&super::valid::long_path(4096)),
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
