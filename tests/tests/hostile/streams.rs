//! Cases 84 to 88: what slots are compressed with, how much comes out, and where it goes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use psp_testkit::host::refusal;
use psp_testkit::project::{need, text};
use psp_testkit::writer::frames::{FULL, Frames};
use psp_testkit::writer::member;
use psp_testkit::writer::tar::{BLOCK, Entry, stream};
use psp_testkit::writer::{Plan, Slot};

use super::place::{Place, assert_refused, assert_starts, measured};
use super::readers::{case, launched};

/// Above what a package of nothing takes.
const MEMORY: u64 = 64 << 10;

/// A tar.gz slot of these stored bytes that says that its archive has so many bytes.
fn tar_gz(stored: &[u8], original_size: usize) -> Place {
    let slot = Slot {
        original_size: u64::try_from(original_size).unwrap(),
        mode: 0o755,
        ..Slot::file(0, "app", stored).operation("tar.gz", 0x1001)
    };
    Place::new(&launched(|| Plan::new().slot(slot).bytes()))
}

fn archive() -> Vec<u8> {
    stream(&[Entry::directory("app"), Entry::file("app/a", b"content")])
}

/// What `gzip -9` makes of zeros: a thousand to one, the most that one deflate stream can.
fn bomb(size: usize) -> Vec<u8> {
    need("gzip", "apt-get install gzip");
    let mut gzip = Command::new("gzip")
        .args(["-9", "-n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = gzip.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        for _ in 0..size >> 20 {
            input.write_all(&[0; 1 << 20]).unwrap();
        }
    });
    let output = gzip.wait_with_output().unwrap();
    feeder.join().unwrap();
    output.stdout
}

/// Frames and gzip streams that give more than they say, windows of 2 GiB, dictionaries, skippable frames.
///
/// outcome: refused (125) at the signed size, in bounded memory
/// layer: contents
/// message: no seek table at the end | needs a window of more than | needs a dictionary | has a checksum | not a Zstandard frame | does not hold what the seek table says | an impossible size | frames, from 1 to | the sizes of the frames do not add up to the slot | does not begin or end where an archive entry does | bytes of content signed
#[test]
fn case_084_bombs() {
    case(
        84,
        &["contents"],
        &[
            "no seek table at the end",
            "needs a window of more than",
            "needs a dictionary",
            "has a checksum",
            "not a Zstandard frame",
            "does not hold what the seek table says",
            "an impossible size",
            "frames, from 1 to 262144 are allowed",
            "the sizes of the frames do not add up to the slot",
            "does not begin or end where an archive entry does",
        ],
    );
    let stored = bomb(256 << 20);
    assert!(stored.len() < 300 << 10, "{}", stored.len());
    // An archive of an entry and its content of zeros would be as large as that; these are zeros only.
    let place = tar_gz(&stored, 2048);
    let (output, peak) = measured(&place, &["verify", "app.psp"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(peak < MEMORY, "{peak} KiB");
    let detail = assert_refused(&place, "contents");
    // Zeros are an end marker, and what comes behind it is too much.
    let stops = [
        "bytes of content signed",
        "something follows the end marker",
    ];
    assert!(stops.iter().any(|stop| detail.contains(stop)), "{detail}");
    // A good archive, and zeros behind it.
    let whole = archive();
    let place = tar_gz(
        &member::stored(&[&whole[..], &[0; 4096]].concat()),
        whole.len(),
    );
    let detail = assert_refused(&place, "contents");
    assert!(detail.contains("bytes of content signed"), "{detail}");
}

/// An original size of 0, too small, too large, or 2^63.
///
/// outcome: refused (125)
/// layer: contents | layout
/// message: does not hold what the seek table says | the sizes of the frames do not add up to the slot | not the stored size, and nothing is compressed
#[test]
fn case_085_original_sizes() {
    case(
        85,
        &["contents", "layout"],
        &[
            "does not hold what the seek table says",
            "the sizes of the frames do not add up to the slot",
            "not the stored size, and nothing is compressed",
        ],
    );
    let whole = archive();
    let stored = member::stored(&whole);
    for size in [0, whole.len() - 1, whole.len() + 1, 1 << 62] {
        let detail = assert_refused(&tar_gz(&stored, size), "contents");
        assert!(
            detail.contains("bytes of content signed"),
            "{size}: {detail}"
        );
    }
}

/// The directory `app` and so many empty files in it, as frames of whole entries.
fn many(files: usize) -> Frames {
    let mut frames = Frames::new();
    let mut run = Entry::directory("app").header().to_vec();
    let mut header = Entry::file("app/00000000", b"").header();
    let mut name = String::new();
    for number in 0..files {
        name.clear();
        write!(name, "{number:08}").unwrap();
        // A header made anew for each would take most of the time.
        let digits = |name: &str| name.bytes().map(u32::from).sum::<u32>();
        let sum = digits(&name);
        header[4..12].copy_from_slice(name.as_bytes());
        psp_testkit::writer::tar::put(&mut header, 148, b"        ");
        let rest = BASE.get_or_init(|| {
            let mut plain = header;
            plain[4..12].fill(0);
            plain.iter().map(|byte| u32::from(*byte)).sum()
        });
        let sum = format!("{:06o}\0 ", rest + sum);
        psp_testkit::writer::tar::put(&mut header, 148, sum.as_bytes());
        run.extend_from_slice(&header);
        if run.len() + BLOCK + 1024 >= FULL {
            frames = frames.frame(zstd::bulk::compress(&run, 1).unwrap(), run.len());
            run.clear();
        }
    }
    run.extend_from_slice(&[0; 1024]);
    frames.frame(zstd::bulk::compress(&run, 1).unwrap(), run.len())
}

static BASE: std::sync::OnceLock<u32> = std::sync::OnceLock::new();

/// An archive of 100,000 entries, and one frame too many.
///
/// outcome: 100,000 entries are unpacked; beyond 4,194,304 entries, or 262,144 frames, it is refused (125)
/// layer: contents
/// message: frames, from 1 to
#[test]
fn case_086_a_hundred_thousand_entries() {
    case(86, &["contents"], &["frames, from 1 to 262144 are allowed"]);
    let slot = Slot::tar_zst(0, "app", &many(100_000));
    let place = Place::new(&launched(|| Plan::new().slot(slot).bytes()));
    let (output, peak) = measured(&place, &["verify", "app.psp"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(peak < 2 * MEMORY, "{peak} KiB");
}

/// An archive of ten million entries.
///
/// outcome: refused (125) at entry 4,194,305
/// layer: contents
/// message: more than
#[test]
#[ignore = "makes and decodes 5 GB: part of scripts/test --large"]
fn case_086_ten_million_entries() {
    let slot = Slot::tar_zst(0, "app", &many(10_000_000));
    let place = Place::new(&launched(|| Plan::new().slot(slot).bytes()));
    let (output, peak) = measured(&place, &["verify", "app.psp"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text(&output.stdout).contains("more than 4194304 entries"),
        "{output:?}"
    );
    // A list of four million names, which is the payload here.
    assert!(peak < 256 << 10, "{peak} KiB");
}

/// gzip streams with a second member, bytes behind, FEXTRA of 64 kB, wrong CRC-32 or length, reserved flags.
///
/// outcome: refused (125) around the metadata; in a tar.gz slot, verify and extract refuse what is not one whole stream
/// layer: container | contents
/// message: metadata member differs from the strict form | the metadata is not one gzip member | cannot decode the slot | something follows the gzip stream
#[test]
fn case_087_gzip() {
    let messages = [
        "metadata member differs from the strict form",
        "the metadata is not one gzip member",
    ];
    case(87, &["container"], &messages);
    let whole = archive();
    let good = member::stored(&whole);
    let (front, back) = whole.split_at(700);
    let edited = |offset: usize| {
        let mut bytes = good.clone();
        let offset = offset.min(bytes.len() + offset);
        bytes[offset] ^= 0xE1;
        bytes
    };
    let end = good.len();
    for (what, stored) in [
        (
            "a second member",
            [&good[..], &member::stored(b"")].concat(),
        ),
        (
            "two members for one archive",
            [member::stored(front), member::stored(back)].concat(),
        ),
        ("a byte behind", [&good[..], b"x"].concat()),
        ("a wrong CRC-32", edited(end - 8)),
        ("a wrong length", edited(end - 4)),
        ("a reserved flag", edited(3)),
        ("no magic", edited(0)),
        ("cut short", good[..end - 3].to_vec()),
    ] {
        let detail = assert_refused(&tar_gz(&stored, whole.len()), "contents");
        let one = [
            "cannot decode the slot",
            "something follows the gzip stream",
            "bytes of content signed",
        ];
        assert!(
            one.iter().any(|part| detail.contains(part)),
            "{what}: {detail}"
        );
    }
    // The file itself starts none of them, good or bad.
    let place = tar_gz(&good, whole.len());
    assert!(place.flavor(&["verify", "app.psp"]).status.success());
    assert!(refusal(&place.start()).contains("tar.gz is not decoded by the launcher"));
}

/// Targets that lead out, are absolute or empty, or are the launcher's own names.
///
/// outcome: refused (125)
/// layer: layout | contents
/// message: not a slot path | names that begin with
#[test]
fn case_088_targets() {
    let messages = [
        "not a slot path",
        "names that begin with .flavor are the launcher's",
    ];
    case(88, &["layout", "contents"], &messages);
    // A file where another slot has a directory: each slot is good, and they do not go together.
    let plan = |target: &'static str| {
        launched(|| {
            Plan::new()
                .slot(Slot::tar(0, "app", &archive()))
                .slot(Slot::file(1, "file", b"x").at(target))
                .bytes()
        })
    };
    let place = Place::new(&plan("app/a"));
    refusal(&place.start());
    assert!(!place.was_executed());
    let output = place.flavor(&["extract-all", "app.psp", "out"]);
    assert!(
        !output.status.success() && !place.path().join("out").exists(),
        "{output:?}"
    );
    assert_starts(&Place::new(&plan("app/b")));
}
