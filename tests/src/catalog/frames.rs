//! Zstandard frames and seek tables (SPEC.md, M60-M63). Every slot here is signed, and its digest holds.

use super::{Catalog, about};
use crate::writer::frames::{FULL, Frames, Header, frame, frame_with, seek_table, window};
use crate::writer::tar::{Entry, Tar};
use crate::writer::{Plan, Slot};

pub(super) fn add(catalog: &mut Catalog) {
    seek_tables(catalog);
    sizes(catalog);
    frame_headers(catalog);
    frame_bodies(catalog);
    runs(catalog);
}

/// A zstd slot of these stored bytes and this original size.
fn stored(
    catalog: &mut Catalog,
    name: &str,
    requirement: &str,
    cases: &str,
    comment: &str,
    bytes: &[u8],
    original: u64,
) {
    let slot = Slot {
        original_size: original,
        ..Slot::file(0, "data", bytes).operation("zstd", 0x1B)
    };
    catalog.plan(
        "contents",
        about(name, requirement, cases, comment),
        Plan::new().slot(slot),
    );
}

fn two() -> Frames {
    Frames::new().run(b"the first frame").run(b"and the second")
}

fn seek_tables(catalog: &mut Catalog) {
    let frames = two();
    let original = frames.original();
    let mut table = |name, cases, comment, edit: fn(&mut Vec<u8>)| {
        let mut table = seek_table(&frames.sizes());
        edit(&mut table);
        stored(
            catalog,
            name,
            "M60",
            cases,
            comment,
            &frames.stored_with(&table),
            original,
        );
    };
    table("seek-missing", "84", "no seek table", Vec::clear);
    table(
        "seek-magic",
        "84",
        "one bit of the seekable magic",
        |table| *table.last_mut().expect("not empty") ^= 1,
    );
    table(
        "seek-skippable-magic",
        "84",
        "another skippable frame: 5F",
        |table| table[0] = 0x5F,
    );
    table(
        "seek-size-less",
        "84",
        "the skippable frame's size is one too small",
        |table| table[4] -= 1,
    );
    table(
        "seek-size-more",
        "84",
        "the skippable frame's size is one too large",
        |table| table[4] += 1,
    );
    table("seek-count-less", "84", "one frame too few", |table| {
        table[24] = 1
    });
    table("seek-count-more", "84", "one frame too many", |table| {
        table[24] = 3
    });
    table("seek-count-max", "84 91", "2^32 - 1 frames", |table| {
        table[24..28].fill(0xFF)
    });
    table(
        "seek-descriptor-checksums",
        "84",
        "the descriptor announces checksums",
        |table| table[28] = 0x80,
    );
    table(
        "seek-descriptor-reserved",
        "84",
        "a reserved bit of the descriptor",
        |table| table[28] = 0x04,
    );
    table(
        "seek-stored-more",
        "84",
        "a stored size one too large",
        |table| table[8] += 1,
    );
    table(
        "seek-stored-less",
        "84",
        "a stored size one too small",
        |table| table[16] -= 1,
    );
    table(
        "seek-stored-max",
        "84 91",
        "a stored size of 2^32 - 1",
        |table| table[8..12].fill(0xFF),
    );
    table(
        "seek-original-more",
        "85",
        "an original size one too large",
        |table| table[12] += 1,
    );
    table(
        "seek-original-less",
        "85",
        "an original size one too small",
        |table| table[20] -= 1,
    );
    table(
        "seek-moved-byte",
        "85",
        "one byte more for the first frame, one less for the second",
        |table| {
            table[12] += 1;
            table[20] -= 1;
        },
    );
    table(
        "seek-zero-stored",
        "84",
        "a third frame of no stored bytes",
        |table| {
            table.splice(24..24, [0, 0, 0, 0, 1, 0, 0, 0]);
            table[4] += 8;
            table[32] = 3;
        },
    );
    table(
        "seek-checksums",
        "84",
        "a true checksum for each frame, as the seekable format allows",
        |table| {
            table.splice(24..24, [0; 4]);
            table.splice(16..16, [0; 4]);
            table[4] += 8;
            table[36] = 0x80;
        },
    );
    let table = seek_table(&two().sizes());
    let mut around = |name, comment, bytes: Vec<u8>| {
        stored(catalog, name, "M60", "84", comment, &bytes, original)
    };
    around(
        "seek-twice",
        "two seek tables",
        [two().stored(), table].concat(),
    );
    around(
        "seek-byte-after",
        "a byte after the seek table",
        [two().stored(), vec![0]].concat(),
    );
    around(
        "seek-byte-before",
        "a byte between the frames and the seek table",
        {
            let frames: Vec<u8> = two().frames.into_iter().flat_map(|frame| frame.0).collect();
            [frames, vec![0], seek_table(&two().sizes())].concat()
        },
    );
    around("seek-first", "the seek table before the frames", {
        let frames: Vec<u8> = two().frames.into_iter().flat_map(|frame| frame.0).collect();
        [seek_table(&two().sizes()), frames].concat()
    });
    around(
        "seek-only-half",
        "the last 9 bytes of a seek table",
        seek_table(&[])[8..].to_vec(),
    );
    around("seek-nothing", "no bytes at all", Vec::new());
}

fn sizes(catalog: &mut Catalog) {
    let bytes = two().stored();
    let original = two().original();
    for (name, size, comment) in [
        (
            "original-size-zero",
            0,
            "original_size 0 does not mean that it is unknown",
        ),
        (
            "original-size-less",
            original - 1,
            "original_size one too small",
        ),
        (
            "original-size-more",
            original + 1,
            "original_size one too large",
        ),
        ("original-size-2-63", 1 << 63, "original_size 2^63"),
        ("original-size-max", u64::MAX, "original_size 2^64 - 1"),
    ] {
        stored(catalog, name, "M60", "85", comment, &bytes, size);
    }
    let empty = Frames::new().run(b"abc").frame(frame(b""), 0);
    stored(
        catalog,
        "frame-empty",
        "M60",
        "84",
        "a frame without content",
        &empty.stored(),
        3,
    );
    let none = Frames::new();
    stored(
        catalog,
        "frames-none",
        "M60",
        "84",
        "no frames: an empty file is stored as it is",
        &none.stored(),
        0,
    );
    let many = (0..262_145).fold(Frames::new(), |frames, _| frames.frame(frame(b"x"), 1));
    stored(
        catalog,
        "frames-262145",
        "M60",
        "86",
        "one frame too many",
        &many.stored(),
        262_145,
    );
    let large = vec![0; FULL + 1];
    let large = Frames::new().frame(frame(&large), large.len());
    stored(
        catalog,
        "frame-too-large",
        "M61",
        "84",
        "a frame of 16 MiB and one byte",
        &large.stored(),
        large.original(),
    );
}

fn frame_headers(catalog: &mut Catalog) {
    let mut header = |name, comment, content: &[u8], header| {
        let frames = Frames::new().frame(frame_with(header, content), content.len());
        stored(
            catalog,
            name,
            "M63",
            "84",
            comment,
            &frames.stored(),
            frames.original(),
        );
    };
    let usual = Header::default();
    header(
        "frame-window-16-mib",
        "a window of 16 MiB",
        b"content",
        Header {
            window: Some(window(24)),
            ..usual
        },
    );
    header(
        "frame-window-9-mib",
        "a window of 8 MiB and an eighth",
        b"content",
        Header {
            window: Some(window(23) + 1),
            ..usual
        },
    );
    header(
        "frame-window-2-gib",
        "a window of 2 GiB",
        b"content",
        Header {
            window: Some(window(31)),
            ..usual
        },
    );
    header(
        "frame-window-max",
        "the largest window that the format can write",
        b"content",
        Header {
            window: Some(0xFF),
            ..usual
        },
    );
    header(
        "frame-single-segment",
        "a single segment of 8 MiB and one byte",
        &vec![b'x'; (8 << 20) + 1],
        Header {
            window: None,
            ..usual
        },
    );
    header(
        "frame-single-segment-full",
        "a full frame as a single segment",
        &vec![b'x'; FULL],
        Header {
            window: None,
            ..usual
        },
    );
    header(
        "frame-dictionary",
        "a dictionary id",
        b"content",
        Header {
            dictionary: Some(0x1234_5678),
            ..usual
        },
    );
    header(
        "frame-reserved-bit",
        "the reserved bit of the frame header",
        b"content",
        Header {
            reserved: true,
            ..usual
        },
    );
}

fn frame_bodies(catalog: &mut Catalog) {
    let mut body = |name, cases, comment, bytes: Vec<u8>, original: usize| {
        let frames = Frames::new().frame(bytes, original);
        stored(
            catalog,
            name,
            "M63",
            cases,
            comment,
            &frames.stored(),
            frames.original(),
        );
    };
    let content = b"some content";
    let edited = |edit: fn(&mut Vec<u8>)| {
        let mut bytes = frame(content);
        edit(&mut bytes);
        bytes
    };
    body(
        "frame-checksum",
        "84",
        "a checksum of the content, and it is right",
        edited(|bytes| {
            bytes[4] |= 0x04;
            // The low half of XXH64 of `some content`.
            bytes.extend_from_slice(&[0x37, 0x04, 0xEB, 0x29]);
        }),
        content.len(),
    );
    body(
        "frame-magic",
        "84",
        "no Zstandard frame",
        edited(|bytes| bytes[0] ^= 1),
        content.len(),
    );
    body(
        "frame-legacy",
        "84",
        "the magic of format 0.7",
        edited(|bytes| bytes[0] = 0x27),
        content.len(),
    );
    body(
        "frame-not-zstd",
        "84",
        "the content itself instead of a frame",
        content.to_vec(),
        content.len(),
    );
    body(
        "frame-truncated",
        "84",
        "the last byte is missing",
        edited(|bytes| bytes.truncate(bytes.len() - 1)),
        content.len(),
    );
    body(
        "frame-byte-after",
        "84",
        "a byte after the frame, within its stored size",
        edited(|bytes| bytes.push(0)),
        content.len(),
    );
    body(
        "frame-skippable-after",
        "84",
        "a skippable frame after the frame, within its stored size",
        edited(|bytes| {
            bytes.extend_from_slice(&[0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0]);
        }),
        content.len(),
    );
    body(
        "frame-skippable-before",
        "84",
        "a skippable frame before the frame, within its stored size",
        edited(|bytes| {
            drop(bytes.splice(..0, [0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0]));
        }),
        content.len(),
    );
    body(
        "frame-skippable",
        "84",
        "a skippable frame instead of a frame",
        vec![0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 0],
        1,
    );
    body(
        "frame-two-in-one",
        "84",
        "two frames within one stored size",
        [frame(&content[..5]), frame(&content[5..])].concat(),
        content.len(),
    );
    body(
        "frame-block-reserved",
        "84",
        "a block of the reserved type",
        edited(|bytes| bytes[10] |= 0x06),
        content.len(),
    );
    body(
        "frame-no-last-block",
        "84",
        "no block is the last",
        edited(|bytes| bytes[10] &= 0xFE),
        content.len(),
    );
    body(
        "frame-content-size",
        "85",
        "the frame header gives another content size",
        edited(|bytes| bytes[6] += 1),
        content.len(),
    );
    body(
        "frame-short",
        "85",
        "the frame gives one byte less than the seek table says",
        frame(&content[1..]),
        content.len(),
    );
    body(
        "frame-long",
        "85",
        "the frame gives one byte more than the seek table says",
        frame(content),
        content.len() - 1,
    );
    let bomb = frame_with(
        Header {
            sized: false,
            ..Header::default()
        },
        &vec![0; 64 << 20],
    );
    body(
        "frame-bomb",
        "84",
        "10 bytes are announced, 64 MiB come",
        bomb,
        10,
    );
    let short_then_long = Frames::new()
        .frame(frame(b"12345"), 6)
        .frame(frame(b"6789"), 3);
    stored(
        catalog,
        "frame-sizes-shifted",
        "M63",
        "85",
        "each frame gives another size; the sum is right",
        &short_then_long.stored(),
        9,
    );
}

fn runs(catalog: &mut Catalog) {
    let tar = || {
        Tar::new()
            .entry(&Entry::directory("app"))
            .entry(&Entry::file("app/a", vec![0; 2000]))
            .entry(&Entry::file(
                format!("app/{}", "b".repeat(200)),
                b"long name",
            ))
    };
    let stream = tar().end();
    let long = tar().boundaries()[2];
    let end = stream.len() - 1024;
    let mut cut = |name, comment, stream: &[u8], places: &[usize]| {
        let slot = Slot::tar_zst(0, "app", &Frames::cut(stream, places));
        catalog.plan(
            "contents",
            about(name, "M62", "84", comment),
            Plan::new().slot(slot),
        );
    };
    cut("run-in-header", "a run begins in a header", &stream, &[700]);
    cut(
        "run-after-header",
        "a run begins between header and content",
        &stream,
        &[1024],
    );
    cut(
        "run-in-content",
        "a run begins in a content",
        &stream,
        &[1536],
    );
    cut(
        "run-in-padding",
        "a run begins in the padding after a content",
        &stream,
        &[1024 + 2000],
    );
    cut(
        "run-before-records",
        "a run begins between a PAX header and its records",
        &stream,
        &[long + 512],
    );
    cut(
        "run-after-pax",
        "a run begins between a PAX header's records and the entry",
        &stream,
        &[long + 1024],
    );
    cut("run-of-end", "a run of the end alone", &stream, &[end]);
    cut(
        "run-in-end",
        "a run begins in the middle of the end",
        &stream,
        &[end + 512],
    );
    let first = Tar::new()
        .entry(&Entry::directory("app"))
        .entry(&Entry::file("app/big", vec![0; FULL]))
        .end();
    let mut crossing = |name, comment, frames: Frames| {
        let slot = Slot::tar_zst(0, "app", &frames);
        catalog.plan(
            "contents",
            about(name, "M62", "84", comment),
            Plan::new().slot(slot),
        );
    };
    let one_less = FULL - 1;
    crossing(
        "run-not-full",
        "a frame one byte short of full does not let the next continue it",
        Frames::new()
            .frame(frame(&first[..one_less]), one_less)
            .run(&first[one_less..]),
    );
    let rest = first.len() - FULL;
    crossing(
        "run-ends-early",
        "a full frame, and after it a frame that ends in the padding",
        Frames::new()
            .run(&first[..FULL + rest - 1500])
            .run(&first[FULL + rest - 1500..]),
    );
}
