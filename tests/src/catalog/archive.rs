//! The tar profile: ends, types and headers (SPEC.md, M50-M52, M54). Every archive here is signed, and its digest holds.

use super::{Catalog, about};
use crate::writer::tar::{BLOCK, Entry, Tar, header, put, record};
use crate::writer::{Plan, Slot};

pub(super) fn add(catalog: &mut Catalog) {
    ends(catalog);
    types(catalog);
    header_fields(catalog);
    modes(catalog);
}

pub(super) fn refused(
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
pub(super) fn app() -> Tar {
    Tar::new().entry(&Entry::directory("app"))
}

/// The directory of the target and these entries.
pub(super) fn with(entries: &[Entry]) -> Vec<u8> {
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
        "70 78",
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
