//! What is refused before any key is used: trailer, index header, ranges, and the gzip member.

use super::valid::with_text_of;
use super::{Catalog, about};
use crate::writer::index::Index;
use crate::writer::member::{HEADER, fixed_huffman, push_block, stored, stored_blocks, wrap};
use crate::writer::{Plan, Slot, TRAILER_SIZE};

pub(super) fn add(catalog: &mut Catalog) {
    files(catalog);
    trailers(catalog);
    headers(catalog);
    ranges(catalog);
    members(catalog);
}

fn plan() -> Plan {
    Plan::new().slot(Slot::file(0, "data", b"content"))
}

fn files(catalog: &mut Catalog) {
    let whole = plan().bytes();
    let mut refused = |name, cases, comment, bytes: &[u8]| {
        catalog.refused(
            "container",
            about(name, "M1", cases, comment),
            bytes.to_vec(),
        );
    };
    refused("file-empty", "96", "no bytes", b"");
    refused("file-one-byte", "96", "one byte", b"\x7F");
    refused(
        "file-8199",
        "96",
        "the trailer without its first byte",
        &whole[whole.len() - TRAILER_SIZE + 1..],
    );
    refused(
        "file-truncated-1",
        "96",
        "the last byte is missing",
        &whole[..whole.len() - 1],
    );
    refused(
        "file-truncated-4",
        "96",
        "the last magic is missing",
        &whole[..whole.len() - 4],
    );
    refused(
        "file-truncated-8200",
        "96",
        "the trailer is missing",
        &whole[..whole.len() - TRAILER_SIZE],
    );
    refused(
        "file-appended-byte",
        "97",
        "a byte follows the trailer",
        &[&whole[..], b"x"].concat(),
    );
    refused(
        "file-appended-newline",
        "97",
        "a text tool added a newline",
        &[&whole[..], b"\n"].concat(),
    );
    let zip_end = [b"PK\x05\x06".as_slice(), &[0; 18]].concat();
    refused(
        "file-appended-zip",
        "97",
        "an empty zip archive follows the trailer",
        &[&whole[..], &zip_end].concat(),
    );
    let (front, trailer) = whole.split_at(whole.len() - TRAILER_SIZE);
    let mut refused = |name, cases, comment, bytes: Vec<u8>| {
        catalog.refused("container", about(name, "M4", cases, comment), bytes);
    };
    refused(
        "file-only-trailer",
        "96",
        "the trailer alone",
        trailer.to_vec(),
    );
    refused(
        "file-two-trailers",
        "97",
        "the genuine trailer twice",
        [&whole[..], trailer].concat(),
    );
    let other = crate::keys::Secret::from_seed(crate::keys::OTHER);
    let attackers = plan().signed(move |text| other.sign(text)).bytes();
    refused(
        "file-attackers-trailer",
        "97",
        "the trailer of somebody else's package follows",
        [&whole[..], &attackers[attackers.len() - TRAILER_SIZE..]].concat(),
    );
    refused(
        "file-zip-inside",
        "97",
        "a zip archive before the trailer",
        [front, &zip_end[..], trailer].concat(),
    );
    refused(
        "file-prefix",
        "97",
        "a byte before the launcher",
        [b"x", &whole[..]].concat(),
    );
}

fn trailers(catalog: &mut Catalog) {
    let mut refused = |name, comment, bytes: Vec<u8>| {
        catalog.refused("container", about(name, "M1", "96", comment), bytes);
    };
    refused(
        "magic-first",
        "one bit of the first magic",
        plan().parts().with(|parts| parts.head[3] ^= 1).bytes(),
    );
    refused(
        "magic-last",
        "one bit of the last magic",
        plan().parts().with(|parts| parts.tail[0] ^= 1).bytes(),
    );
    refused(
        "magic-swapped",
        "the two magic values exchanged",
        plan()
            .parts()
            .with(|parts| std::mem::swap(&mut parts.head, &mut parts.tail))
            .bytes(),
    );
}

fn headers(catalog: &mut Catalog) {
    let mut index = |name, requirement, cases, comment, edit: fn(&mut Index)| {
        let bytes = plan().parts().with_index(edit).bytes();
        catalog.refused("container", about(name, requirement, cases, comment), bytes);
    };
    index("version-0", "M10", "95", "format_version 0", |index| {
        index.set_u32("format_version", 0)
    });
    index(
        "version-older",
        "M10",
        "95",
        "format_version 0x20240001",
        |index| index.set_u32("format_version", 0x2024_0001),
    );
    index(
        "version-newer",
        "M10",
        "95",
        "format_version 0x20250002",
        |index| index.set_u32("format_version", 0x2025_0002),
    );
    index(
        "version-big-endian",
        "M10",
        "95",
        "format_version with its bytes reversed",
        |index| {
            index.set_u32("format_version", 0x2025_0001u32.swap_bytes());
        },
    );
    index("package-size-0", "M4", "94", "package_size 0", |index| {
        index.set_u64("package_size", 0)
    });
    index(
        "package-size-less",
        "M4",
        "94",
        "package_size one too small",
        |index| {
            let size = index.u64("package_size");
            index.set_u64("package_size", size - 1);
        },
    );
    index(
        "package-size-more",
        "M4",
        "94",
        "package_size one too large",
        |index| {
            let size = index.u64("package_size");
            index.set_u64("package_size", size + 1);
        },
    );
    index(
        "package-size-max",
        "M4",
        "94 91",
        "package_size 2^64 - 1",
        |index| index.set_u64("package_size", u64::MAX),
    );
    let stale = plan().parts().with(|parts| parts.index.set_u32("flags", 1));
    catalog.refused(
        "container",
        about(
            "adler-stale",
            "M10",
            "7",
            "flags is 1 and index_checksum is as before",
        ),
        stale.bytes(),
    );
    let zero = plan()
        .parts()
        .with(|parts| parts.index.set_u32("index_checksum", 0));
    catalog.refused(
        "container",
        about(
            "adler-zero",
            "M10",
            "7",
            "index_checksum 0 does not mean that it is not checked",
        ),
        zero.bytes(),
    );
    let digest = plan()
        .parts()
        .with_index(|index| index.field("metadata_checksum")[31] ^= 1);
    catalog.refused(
        "container",
        about(
            "metadata-checksum",
            "M10",
            "3",
            "one bit of metadata_checksum",
        ),
        digest.bytes(),
    );
    let zero = plan()
        .parts()
        .with_index(|index| index.field("metadata_checksum").fill(0));
    catalog.refused(
        "container",
        about(
            "metadata-checksum-zero",
            "M10",
            "3",
            "metadata_checksum 0 does not mean that it is not checked",
        ),
        zero.bytes(),
    );
}

/// Values that arithmetic goes wrong on. The end of the file and the like depend on the package.
fn ranges(catalog: &mut Catalog) {
    let size = plan().bytes().len() as u64;
    let values = [
        ("zero", 0),
        ("one", 1),
        ("eof", size),
        ("past-eof", size + 1),
        ("2-40", 1 << 40),
        ("2-63-less", (1 << 63) - 1),
        ("2-63", 1 << 63),
        ("max", u64::MAX),
    ];
    for field in [
        "launcher_size",
        "metadata_offset",
        "metadata_size",
        "slot_table_offset",
        "slot_table_size",
    ] {
        for (word, value) in values {
            let bytes = plan()
                .parts()
                .with_index(|index| index.set_u64(field, value))
                .bytes();
            // Which of these numbers is only compared, and which is used for a range first, is the reader's choice.
            let layer = if field.starts_with("metadata") {
                "container"
            } else {
                "container|layout"
            };
            let name = format!("range-{}-{word}", field.replace('_', "-"));
            catalog.refused(
                layer,
                about(&name, "M10", "91", &format!("{field} is {value}")),
                bytes,
            );
        }
    }
    for count in [0, 2, 65536, u32::MAX] {
        let bytes = plan()
            .parts()
            .with_index(|index| index.set_u32("slot_count", count))
            .bytes();
        let name = format!("range-slot-count-{count}");
        catalog.refused(
            "container|layout",
            about(
                &name,
                "M10",
                "90",
                &format!("slot_count is {count}, the table has 1"),
            ),
            bytes,
        );
    }
    let bytes = plan()
        .parts()
        .with_index(|index| index.set_u64("slot_table_size", 63))
        .bytes();
    catalog.refused(
        "container|layout",
        about(
            "range-slot-table-size-63",
            "M10",
            "90",
            "slot_table_size is not a multiple of 64",
        ),
        bytes,
    );
}

fn members(catalog: &mut Catalog) {
    let mut member = |name: &str, cases, comment: &str, wrapped: fn(&[u8]) -> Vec<u8>| {
        catalog.plan(
            "container",
            about(name, "M20", cases, comment),
            plan().member(wrapped),
        );
    };
    member("member-none", "101", "no metadata at all", |_| Vec::new());
    member(
        "member-plain-json",
        "101",
        "the text without a gzip member",
        <[u8]>::to_vec,
    );
    member("member-zlib", "101", "a zlib stream", |text| {
        [&[0x78, 0x01], &stored_blocks(text, 65535)[..], &[0; 4]].concat()
    });
    member(
        "member-header-only",
        "101",
        "ten bytes of header and nothing else",
        |_| HEADER.to_vec(),
    );
    member("member-compressed", "3", "a compressed block", |text| {
        wrap(&HEADER, &fixed_huffman(text), text)
    });
    member(
        "member-short-blocks",
        "3",
        "stored blocks of 100 bytes",
        |text| wrap(&HEADER, &stored_blocks(text, 100), text),
    );
    member(
        "member-empty-last-block",
        "3",
        "a last block of no bytes",
        |text| {
            let mut deflated = Vec::new();
            push_block(&mut deflated, 0, text);
            push_block(&mut deflated, 1, &[]);
            wrap(&HEADER, &deflated, text)
        },
    );
    member(
        "member-block-bits",
        "3",
        "the unused bits of the block's first byte are set",
        |text| {
            let mut deflated = Vec::new();
            push_block(&mut deflated, 0xF9, text);
            wrap(&HEADER, &deflated, text)
        },
    );
    member(
        "member-no-last-block",
        "87",
        "no block is marked as the last",
        |text| {
            let mut deflated = Vec::new();
            push_block(&mut deflated, 0, text);
            wrap(&HEADER, &deflated, text)
        },
    );
    member(
        "member-length-complement",
        "87",
        "the complement of a block's length is wrong",
        |text| {
            let mut bytes = stored(text);
            bytes[13] ^= 1;
            bytes
        },
    );
    member(
        "member-two-members",
        "87",
        "an empty member follows",
        |text| [stored(text), wrap(&HEADER, &stored_blocks(b"", 1), b"")].concat(),
    );
    member(
        "member-split-in-two",
        "87",
        "two members that together give the text",
        |text| {
            let (front, back) = text.split_at(text.len() / 2);
            [stored(front), stored(back)].concat()
        },
    );
    member(
        "member-junk-after",
        "87",
        "a byte follows the member, within metadata_size",
        |text| [&stored(text)[..], &[0]].concat(),
    );
    member(
        "member-truncated",
        "87",
        "the last byte is missing",
        |text| {
            let mut bytes = stored(text);
            bytes.pop();
            bytes
        },
    );
    member("member-crc", "87", "CRC-32 is wrong", |text| {
        let mut bytes = stored(text);
        let crc = bytes.len() - 8;
        bytes[crc] ^= 1;
        bytes
    });
    member("member-length", "87", "the length is wrong", |text| {
        let mut bytes = stored(text);
        let length = bytes.len() - 4;
        bytes[length] ^= 1;
        bytes
    });
    member("member-file-name", "3 87", "FNAME is present", |text| {
        wrap(
            &[&[0x1F, 0x8B, 8, 8, 0, 0, 0, 0, 0, 0xFF], &b"psp.json\0"[..]].concat(),
            &stored_blocks(text, 65535),
            text,
        )
    });
    member(
        "member-extra-field",
        "87",
        "FEXTRA of 65535 bytes",
        |text| {
            let header = [
                &[0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF][..],
                &[0; 65535],
            ]
            .concat();
            wrap(&header, &stored_blocks(text, 65535), text)
        },
    );
    const HEADER_BYTES: [(&str, usize, u8, &str); 10] = [
        ("member-header-0", 0, 0x1E, "first byte of the magic"),
        ("member-header-1", 1, 0x8A, "second byte of the magic"),
        ("member-header-2", 2, 7, "method 7"),
        ("member-header-3", 3, 0x80, "a reserved flag"),
        ("member-header-4", 4, 1, "mtime 1"),
        ("member-header-5", 5, 1, "mtime 256"),
        ("member-header-6", 6, 1, "mtime 65536"),
        ("member-header-7", 7, 1, "mtime 2^24"),
        ("member-header-8", 8, 2, "XFL 2, as Python's gzip writes it"),
        ("member-header-9", 9, 3, "OS 3, as Python's gzip writes it"),
    ];
    for (name, offset, value, comment) in HEADER_BYTES {
        let plan = plan().member(move |text| {
            let mut bytes = stored(text);
            bytes[offset] = value;
            bytes
        });
        catalog.plan("container", about(name, "M20", "3 87", comment), plan);
    }
    let empty = Plan::new().text(Vec::clear);
    catalog.plan(
        "container",
        about(
            "text-empty",
            "M21",
            "101",
            "an empty text, wrapped and signed",
        ),
        empty,
    );
    catalog.plan(
        "container",
        about(
            "text-1-mib-and-one",
            "M21",
            "104",
            "a text of 1 MiB and one byte, signed",
        ),
        with_text_of((1 << 20) + 1),
    );
    let large = Plan::new().text(|text| text.resize(2 << 20, b' '));
    catalog.plan(
        "container",
        about(
            "text-2-mib",
            "M21",
            "105 104",
            "2 MiB of text: refused before it is hashed for the signature",
        ),
        large,
    );
}
