//! PAX headers (SPEC.md, M53).

use super::Catalog;
use super::archive::{app, refused};
use super::valid_tar::long_path;
use crate::writer::tar::{BLOCK, Entry, checksum, header, record, record_sized};

pub(super) fn add(catalog: &mut Catalog) {
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
    case(
        "pax-size-and-header",
        "81",
        "the record says 1024, the header 512",
        {
            let inner = [&Entry::file("app/b", b"").header()[..], &[0; 512]].concat();
            let header = Entry::file("app/a", &inner[..512]).header();
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
        "70 78 82",
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
            let path = long_path(989);
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
