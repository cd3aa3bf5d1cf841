//! Cases 70 to 83: hostile archives, each as `tar`, `tar.zst` and `tar.gz`. Files themselves do not start `tar.gz` slots;
//! what looks into them is `flavor`.

use std::fs;
use std::process::Command;

use psp_testkit::host::listing;
use psp_testkit::project::{need, text};
use psp_testkit::vector;
use psp_testkit::writer::frames::Frames;
use psp_testkit::writer::tar::{BLOCK, Entry, header, stream};
use psp_testkit::writer::{Plan, Slot};

use super::place::{Place, assert_refused, assert_starts, is_plain, measured};
use super::readers::{archive_case, launched};

const HEADER: &str = "of the header is not in the strict form";
const ORDER: &str = "path is a duplicate or out of order";
const PARENT: &str = "the path's parent is not a directory of the archive";
const FIRST: &str = "the first entry is not the slot's target directory";
const TYPE: &str = "is not a file, directory or link";
const PAX: &str = "malformed PAX header";

/// Paths that lead out: `..`, absolute, in the prefix, in PAX records, in GNU long names.
///
/// outcome: refused (125); backslashes and colons are ordinary bytes of a name on this system
/// layer: contents
/// message: path refused | path lies outside the slot's target | is not a file, directory or link | of the header is not in the strict form | the first entry is not the slot's target directory | the path's parent is not a directory of the archive
#[test]
fn case_070_paths_that_lead_out() {
    archive_case(
        70,
        &["contents"],
        &[
            "path refused",
            "path lies outside the slot's target",
            TYPE,
            HEADER,
            FIRST,
            PARENT,
        ],
    );
}

/// Symbolic links that lead out, alone, in two steps, or to be written through.
///
/// outcome: refused (125); a chain of 60 links that stays inside is unpacked, and nothing follows it
/// layer: contents
/// message: symbolic link refused | path is a duplicate or out of order | the path's parent is not a directory of the archive | the first entry is not the slot's target directory
#[test]
fn case_071_symbolic_links_that_lead_out() {
    archive_case(
        71,
        &["contents"],
        &["symbolic link refused", ORDER, PARENT, FIRST],
    );
}

/// A symbolic link, then a directory of the same name, whose mode would be set through it.
///
/// outcome: refused (125); what the link names keeps its mode
/// layer: contents
/// message: path is a duplicate or out of order
#[test]
fn case_072_a_link_then_a_directory() {
    archive_case(72, &["contents"], &[ORDER]);
}

/// Hard links to what is outside, missing, later, or no regular file.
///
/// outcome: refused (125)
/// layer: contents
/// message: hard link to what is not an earlier regular file | the path's parent is not a directory of the archive
#[test]
fn case_073_hard_links() {
    let messages = ["hard link to what is not an earlier regular file", PARENT];
    archive_case(73, &["contents"], &messages);
}

/// Devices, FIFOs, sockets, contiguous files and types that nobody defined.
///
/// outcome: refused (125)
/// layer: contents
/// message: is not a file, directory or link
#[test]
fn case_074_types() {
    archive_case(74, &["contents"], &[TYPE]);
}

/// Set-user-id, set-group-id and sticky bits, and directories of mode 0777 and 0.
///
/// outcome: bits beyond 0777 are refused (125); other modes are unpacked
/// layer: contents | layout
/// message: has bits beyond | of the header is not in the strict form | is not what the signed metadata implies
#[test]
fn case_075_modes() {
    archive_case(
        75,
        &["contents", "layout"],
        &[
            "has bits beyond",
            HEADER,
            "is not what the signed metadata implies",
        ],
    );
}

/// A name twice, as it is or in another form.
///
/// outcome: refused (125); names that differ in case or in the form of an accent are two names on this system
/// layer: contents | layout
/// message: path is a duplicate or out of order | path refused | of the header is not in the strict form | the same as
#[test]
fn case_076_duplicates() {
    archive_case(
        76,
        &["contents", "layout"],
        &[ORDER, "path refused", HEADER, "the same as"],
    );
    let alike = vector::load_all()
        .into_iter()
        .find(|vector| vector.name == "ok-tar-names-alike");
    let place = Place::new(&alike.unwrap().bytes);
    let output = place.flavor(&["extract-all", "app.psp", "out"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        fs::read_dir(place.path().join("out/app")).unwrap().count(),
        4
    );
}

/// A file, a directory and a link of one name, in every order.
///
/// outcome: refused (125)
/// layer: contents
/// message: path is a duplicate or out of order | the first entry is not the slot's target directory | the path's parent is not a directory of the archive
#[test]
fn case_077_a_file_and_a_directory_of_one_name() {
    archive_case(77, &["contents"], &[ORDER, FIRST, PARENT]);
}

/// Names with NUL, newline, escape and bytes that are not UTF-8.
///
/// outcome: NUL is refused (125); the others are unpacked, and escaped wherever they are shown
/// layer: contents
/// message: a NUL byte | of the header is not in the strict form
#[test]
fn case_078_names_for_terminals() {
    archive_case(78, &["contents"], &["a NUL byte", HEADER]);
    let names: [&[u8]; 4] = [b"\x1B[2J", b"a\nb", b"\xC2\x9B2J", b"\xFF\xFE"];
    let mut entries = vec![Entry::directory("app")];
    entries.extend(
        names
            .iter()
            .map(|name| Entry::file([b"app/", *name].concat(), b"x")),
    );
    let bytes = launched(|| {
        Plan::new()
            .slot(Slot::tar(0, "app", &stream(&entries)))
            .bytes()
    });
    let place = Place::new(&bytes);
    for words in [
        &["verify", "app.psp"][..],
        &["inspect", "app.psp"],
        &["inspect", "--json", "app.psp"],
        &["inspect", "--files", "app.psp"],
        &["inspect", "--files", "--json", "app.psp"],
        &["extract-all", "app.psp", "out"],
    ] {
        let output = place.flavor(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        assert!(
            is_plain(&output.stdout) && is_plain(&output.stderr),
            "{words:?}: {output:?}"
        );
    }
    assert_eq!(listing(&place.path().join("out/app")).len(), names.len());
    assert_starts(&place);
}

/// A component of 256 bytes, a path of 4096 bytes, 2000 directories deep.
///
/// outcome: refused (125)
/// layer: contents | layout
/// message: bytes long, at most | a component of | components, at most | symbolic link refused
#[test]
fn case_079_long_paths() {
    let allowed = [
        "bytes long, at most 4095 are allowed",
        "a component of 256 bytes, at most 255 are allowed",
        "components, at most 128 are allowed",
    ];
    let messages = [&allowed[..], &["symbolic link refused"]].concat();
    archive_case(79, &["contents", "layout"], &messages);
}

/// Sparse files of a terabyte, sizes of 2^62, negative, and beyond the archive.
///
/// outcome: refused (125) without memory for it
/// layer: contents
/// message: is not a file, directory or link | of the header is not in the strict form | malformed PAX header | ends before its end marker
#[test]
fn case_080_sizes() {
    archive_case(
        80,
        &["contents"],
        &[TYPE, HEADER, PAX, "ends before its end marker"],
    );
    // A size that the profile can write, and no stream can hold: a terabyte in a PAX record.
    let entry = Entry::file("app/a", b"");
    let record = psp_testkit::writer::tar::record(b"size", b"1099511627776");
    let tar = psp_testkit::writer::tar::Tar::new().entry(&Entry::directory("app"));
    let stream = tar.raw(&record, &entry.header(), b"").end();
    for slot in [
        Slot::tar(0, "app", &stream),
        Slot::tar_zst(0, "app", &Frames::of(&stream)),
    ] {
        let place = Place::new(&launched(|| Plan::new().slot(slot).bytes()));
        let (output, peak) = measured(&place, &["verify", "app.psp"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(peak < 64 << 10, "{peak} KiB");
        assert!(assert_refused(&place, "contents").contains("ends before its end marker"));
    }
}

/// A PAX size beside a header size, and archives within archives.
///
/// outcome: refused (125); a file that is an archive is unpacked as a file
/// layer: contents
/// message: of the header is not in the strict form | malformed PAX header | padding is not zero
#[test]
fn case_081_two_sizes() {
    archive_case(81, &["contents"], &[HEADER, PAX, "padding is not zero"]);
    // What is accepted is read by GNU tar in the same way.
    need("tar", "apt-get install tar");
    let inner = stream(&[Entry::file("../../etc/passwd", b"root")]);
    let outer = stream(&[
        Entry::directory("app"),
        Entry::file(format!("app/{}", "n".repeat(150)), b"long name"),
        Entry::file("app/p.tar", inner),
    ]);
    let place = Place::new(&launched(|| {
        Plan::new().slot(Slot::tar(0, "app", &outer)).bytes()
    }));
    assert!(
        place
            .flavor(&["extract-all", "app.psp", "ours"])
            .status
            .success()
    );
    fs::create_dir(place.path().join("theirs")).unwrap();
    fs::write(place.path().join("app.tar"), outer).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--no-same-owner", "-xf", "app.tar", "-C", "theirs"]);
    let output = place.output(tar);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let of = |name: &str| listing(&place.path().join(name));
    assert_eq!(of("ours"), of("theirs"));
}

/// PAX records with wrong lengths, unknown keys, no entry behind them, or of 100 MB.
///
/// outcome: refused (125) without memory for it
/// layer: contents
/// message: malformed PAX header | of the header is not in the strict form | is not a file, directory or link | hard link to what is not an earlier regular file | path refused
#[test]
fn case_082_pax_records() {
    archive_case(
        82,
        &["contents"],
        &[
            PAX,
            HEADER,
            TYPE,
            "hard link to what is not an earlier regular file",
            "path refused",
        ],
    );
    let size = 100 << 20;
    let mut tar = Entry::directory("app").header().to_vec();
    tar.extend(header(b"././@PaxHeader", b'x', 0o644, size, 0, b""));
    tar.extend(format!("{size} path=app/").into_bytes());
    let end = 2 * BLOCK + size;
    tar.resize(end - 1, b'n');
    tar.push(b'\n');
    tar.extend(Entry::file("app/a", b"").header());
    tar.extend([0; 1024]);
    let frames = tar
        .chunks(psp_testkit::writer::frames::FULL)
        .fold(Frames::new(), |frames, part| {
            frames.frame(zstd::bulk::compress(part, 1).unwrap(), part.len())
        });
    let slot = Slot::tar_zst(0, "app", &frames);
    let place = Place::new(&launched(|| Plan::new().slot(slot).bytes()));
    let (output, peak) = measured(&place, &["verify", "app.psp"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(peak < 64 << 10, "{peak} KiB");
    assert!(assert_refused(&place, "contents").contains(PAX));
}

/// A wrong header checksum, a stream that is cut short, and bytes behind the end.
///
/// outcome: refused (125); an archive without entries is allowed
/// layer: contents
/// message: wrong header checksum | of the header is not in the strict form | ends before its end marker | padding is not zero | something follows the end marker | the first entry is not the slot's target directory
#[test]
fn case_083_headers_and_ends() {
    archive_case(
        83,
        &["contents"],
        &[
            "wrong header checksum",
            HEADER,
            "ends before its end marker",
            "padding is not zero",
            "something follows the end marker",
            FIRST,
        ],
    );
}
