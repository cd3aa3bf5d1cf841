//! Packages that its own readers accept, or differ about, and that ours refuse. Each is made of bytes of its own builder.

use std::fs;

use psp_testkit::project::text;

use crate::edit::Parts;
use crate::tool::{Bench, Launcher, MANIFEST};

/// What is done to a package, whether its `verify` then still accepts it, and the layer and words of ours.
type Edit = (
    &'static str,
    fn(&mut Parts),
    Theirs,
    &'static str,
    &'static str,
);

/// What its `verify` says.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Theirs {
    Accepts,
    Refuses,
}
use Theirs::{Accepts, Refuses};

const FINGERPRINT: usize = 1376;
const KEY: usize = 64;
const SIGNATURE: usize = 128;

/// A point of order 1, and a signature that a verifier without a look at the key takes for any text.
fn of_order_one(parts: &mut Parts) {
    let mut point = vec![0; 32];
    point[0] = 1;
    let signature = [&point[..], &[0; 32]].concat();
    parts.last = vec![
        (KEY, point),
        (SIGNATURE, signature),
        (FINGERPRINT, vec![0; 64]),
    ];
}

/// The same point, its y written as p + 1.
fn non_canonical(parts: &mut Parts) {
    of_order_one(parts);
    let mut key = vec![0xff; 32];
    (key[0], key[31]) = (0xee, 0x7f);
    parts.last[0].1 = key;
}

fn digest_of_conf(parts: &Parts) -> String {
    let at = parts.text.rfind("\"checksum\": \"sha256:").unwrap();
    // The launcher's comes behind those of the slots.
    let before = &parts.text[..at];
    let at = before.rfind("\"checksum\": \"").unwrap() + 13;
    before[at..at + 71].to_owned()
}

const EDITS: [Edit; 24] = [
    ("nothing", |_| {}, Accepts, "", ""),
    (
        "a slot is replaced, its checksum repaired",
        |parts| parts.replace_slot(1, b"evil\n"),
        Accepts,
        "slot conf",
        "do not match their signed checksum",
    ),
    (
        "a slot of another size, as an older version had it",
        |parts| parts.replace_slot(0, &parts.slots[1].clone()),
        Accepts,
        "layout",
        "slot app: what the slot table says of its size is not what was signed",
    ),
    (
        "the fingerprint is another key's",
        |parts| parts.last = vec![(FINGERPRINT, vec![b'a'; 64])],
        Accepts,
        "layout",
        "attestation_key_fp: it is not the fingerprint of the key that signed",
    ),
    (
        "a key of small order",
        of_order_one,
        Accepts,
        "signature",
        "public key refused",
    ),
    (
        "a key in a second encoding",
        non_canonical,
        Accepts,
        "signature",
        "public key refused",
    ),
    (
        "junk between the last slot and the trailer",
        |parts| parts.behind_slots = b"junk".to_vec(),
        Accepts,
        "layout",
        "which no alignment explains",
    ),
    (
        "8192 zeros between the last slot and the trailer",
        |parts| parts.behind_slots = vec![0; 8192],
        Accepts,
        "layout",
        "which no alignment explains",
    ),
    (
        "a byte that is not zero among the 8192 behind the launcher",
        |parts| parts.behind_launcher[4000] = 1,
        Accepts,
        "layout",
        "behind the launcher, is not zero",
    ),
    (
        "8193 zeros behind the launcher",
        |parts| parts.behind_launcher = vec![0; 8193],
        Accepts,
        "layout",
        "which no alignment explains",
    ),
    (
        "a signature of zeros",
        |parts| parts.last = vec![(SIGNATURE, vec![0; 64])],
        Refuses,
        "signature",
        "the package is not signed",
    ),
    (
        "bytes behind the signature",
        |parts| parts.last = vec![(SIGNATURE + 64, vec![1])],
        Accepts,
        "signature",
        "byte 64 of the signature field is not zero",
    ),
    (
        "bytes in the free area of the index",
        |parts| parts.last = vec![(7000, vec![1])],
        Accepts,
        "layout",
        "signed_by: no builder of base packages writes there",
    ),
    (
        "a key of the metadata stands twice",
        |parts| parts.replace_text("\"command\":", "\"command\": \"/bin/false\", \"command\":"),
        Accepts,
        "layout",
        "\"command\" stands twice in an object",
    ),
    (
        "something follows the document",
        |parts| {
            parts.text.push_str("{}");
            (parts.sign, parts.member) = (true, None);
        },
        Refuses,
        "layout",
        "trailing characters",
    ),
    (
        "something follows the member",
        |parts| {
            let member = parts.member.clone().unwrap();
            parts.member = Some([&member[..], b"\0\0\0\0"].concat());
        },
        Accepts,
        "container",
        "4 bytes follow it",
    ),
    (
        "a second member",
        |parts| {
            let member = parts.member.clone().unwrap();
            parts.member = Some([&member[..], &psp_format::member::wrap(b" ")].concat());
        },
        Refuses,
        "container",
        "bytes follow it",
    ),
    (
        "a text of more than 1 MiB",
        |parts| {
            parts.text.push_str(&" ".repeat(1 << 20));
            (parts.sign, parts.member) = (true, None);
        },
        Accepts,
        "container",
        "metadata of",
    ),
    (
        "an entry in the slot table that nobody signed",
        |parts| {
            parts.table.push(parts.table[1]);
            parts.slots.push(b"more\n".to_vec());
        },
        Refuses,
        "layout",
        "the slot table has 3 entries, and 2 slots are signed",
    ),
    (
        "other operations in the slot table than the signed ones",
        |parts| parts.table[0][40..48].fill(0),
        Accepts,
        "layout",
        "slot app: what the slot table says of its operations is not what was signed",
    ),
    (
        "a set-user-id mode in the slot table",
        |parts| parts.table[1][62..64].copy_from_slice(&0o4755_u16.to_le_bytes()),
        Accepts,
        "layout",
        "slot conf: what the slot table says of its permissions is not what was signed",
    ),
    (
        "16 digits for a slot that is no attestation",
        |parts| {
            let digest = digest_of_conf(parts);
            parts.replace_text(&digest, &digest[7..23]);
        },
        Accepts,
        "slot conf",
        "no full digest of it is signed",
    ),
    (
        "another launcher",
        |parts| parts.launcher[100] ^= 1,
        Accepts,
        "launcher",
        "the launcher does not match its signed checksum",
    ),
    (
        "two slots of one name",
        |parts| {
            parts.replace_text("\"id\": \"conf\"", "\"id\": \"app\"");
            let hash: [u8; 8] = parts.table[0][8..16].try_into().unwrap();
            parts.table[1][8..16].copy_from_slice(&hash);
        },
        Accepts,
        "layout",
        "two slots have this id",
    ),
];

/// The metadata text of a package, by its own reader.
pub(crate) fn text_of(bench: &Bench, package: &str) -> String {
    let program = "import gzip,sys,struct;d=open(sys.argv[1],'rb').read();o,n=struct.unpack_from('<QQ',d,len(d)-8196+24);\
                   sys.stdout.write(gzip.decompress(d[o:o+n]).decode())";
    let output = std::process::Command::new("python3")
        .args(["-c", program])
        .arg(bench.path(package))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn original(bench: &Bench) -> Parts {
    bench.build(Launcher::Rust, MANIFEST, Launcher::Rust, "good.psp");
    let bytes = fs::read(bench.path("good.psp")).unwrap();
    Parts::of(&bytes, &text_of(bench, "good.psp"))
}

/// Packages by another builder, changed in ways that its own verifier passes over.
///
/// outcome: refused
/// layer: container | signature | layout | launcher | slot
/// message: no full digest of it is signed | which no alignment explains | stands twice in an object | it is not the fingerprint of the key that signed
#[test]
fn case_017_what_its_own_readers_accept_is_refused() {
    let bench = Bench::new();
    let good = original(&bench);
    let mut wrong = Vec::new();
    for (what, edit, theirs, layer, words) in EDITS {
        let mut parts = good.clone();
        edit(&mut parts);
        bench.file("edited.psp", 0o755, &parts.assemble());
        let found = bench.theirs(&["verify", "edited.psp"]);
        let found = if found.status.success() {
            Accepts
        } else {
            Refuses
        };
        if found != theirs {
            wrong.push(format!("{what}: its verify {found:?}"));
        }
        let ours = bench.ours(&["verify", "edited.psp"]);
        let said = text(&ours.stdout).into_owned();
        let is_good = words.is_empty();
        if ours.status.success() != is_good {
            wrong.push(format!("{what}: {said}"));
            continue;
        }
        let mut lines = said.lines();
        let failed = lines.any(|line| line.starts_with(layer) && line.contains(words));
        if !failed || said.contains("NOT VALID") == is_good {
            wrong.push(format!("{what}: {said}"));
        }
        let started = bench.ours(&["run", "edited.psp"]);
        if !is_good && started.status.code() != Some(125) {
            wrong.push(format!("{what}: it runs"));
        }
        let extracted = bench.ours(&["extract-all", "edited.psp", "out", "--force"]);
        if extracted.status.success() != is_good {
            wrong.push(format!("{what}: extracted"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The signed text of a strict package in a file of the base format: what binds every byte is gone.
///
/// outcome: refused
/// layer: container
/// message: metadata member differs from the strict form
#[test]
fn case_017_a_strict_text_is_no_base_package() {
    let bench = Bench::new();
    let packed = bench.pack(None, &[], "ours.psp");
    assert!(packed.status.success(), "{}", text(&packed.stderr));
    let strict = text_of(&bench, "ours.psp");
    let mut parts = original(&bench);
    parts.text = strict;
    (parts.sign, parts.member) = (true, None);
    // As the only kind of member that makes the base reader look.
    parts.launcher.push(b'x');
    bench.file("mixed.psp", 0o755, &parts.assemble());
    for verb in ["verify", "run", "inspect"] {
        let output = bench.ours(&[verb, "mixed.psp"]);
        assert!(!output.status.success(), "{verb}: {}", text(&output.stdout));
    }
}

#[test]
fn levels_are_said_as_they_are() {
    let bench = Bench::new();
    let good = original(&bench);
    let mut unbound = good.clone();
    unbound.replace_slot(1, b"evil\n");
    bench.file("unbound.psp", 0o755, &unbound.assemble());
    for (package, valid, level) in [
        ("good.psp", true, "base, bound"),
        ("unbound.psp", false, "base, unbound"),
    ] {
        let output = bench.ours(&["verify", "--json", package]);
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["valid"], valid, "{document}");
        assert_eq!(document["level"], level, "{document}");
    }
    let output = bench.ours(&["verify", "good.psp"]);
    let said = text(&output.stdout).into_owned();
    assert!(
        said.contains("; base, bound: index and padding are not bound by the signature"),
        "{said}"
    );
}

/// Makes `app.tar.gz` with Python's `tarfile`, which writes whatever it is told.
fn archive(bench: &Bench, entry: &str) {
    let program = format!(
        "import io,tarfile\n\
         t=tarfile.open('app.tar.gz','w:gz',format=tarfile.USTAR_FORMAT)\n\
         def add(name,kind=tarfile.REGTYPE,link='',data=b''):\n\
         \x20i=tarfile.TarInfo(name);i.type=kind;i.linkname=link;i.size=len(data);t.addfile(i,io.BytesIO(data))\n\
         add('data.txt',data=b'x')\n{entry}\nt.close()\n"
    );
    let made = std::process::Command::new("python3")
        .args(["-c", &program])
        .current_dir(bench.path("."))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
}

/// Archives in slots of another builder that would write outside, twice, or something else than files.
///
/// outcome: refused; nothing is left
/// layer: contents
/// message: its name is not possible | the archive has two entries of this name | it is a link to | it is
#[test]
fn case_017_trees_that_no_slot_can_hold() {
    for (entry, says) in [
        ("add('../outside',data=b'x')", "its name is not possible"),
        ("add('/outside',data=b'x')", "its name is not possible"),
        (
            "add('data.txt',data=b'y')",
            "the archive has two entries of this name",
        ),
        (
            "add('l',tarfile.SYMTYPE,'../../outside')",
            "it is a link to",
        ),
        ("add('l',tarfile.SYMTYPE,'/etc/passwd')", "it is a link to"),
        (
            "add('h',tarfile.LNKTYPE,'../outside')",
            "it is a hard link to",
        ),
        ("add('fifo',tarfile.FIFOTYPE)", "it is a FIFO"),
        ("add('device',tarfile.CHRTYPE)", "it is a device"),
        (
            "add('l',tarfile.SYMTYPE,'data.txt');add('l/x',data=b'x')",
            "which is not a directory",
        ),
    ] {
        let bench = Bench::new();
        archive(&bench, entry);
        bench.build(Launcher::Rust, MANIFEST, Launcher::Rust, "p.psp");
        let output = bench.ours(&["verify", "p.psp"]);
        let said = text(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{entry}: {said}");
        let mut lines = said.lines();
        assert!(
            lines.any(|line| line.starts_with("contents   FAILED") && line.contains(says)),
            "{entry}: {said}"
        );
        let output = bench.ours(&["extract-all", "p.psp", "out"]);
        assert_eq!(output.status.code(), Some(1), "{entry}");
        let output = bench.ours(&["run", "p.psp"]);
        assert_eq!(output.status.code(), Some(125), "{entry}");
        for left in ["out", "outside", "../outside"] {
            assert!(!bench.path(left).exists(), "{entry}: {left}");
        }
    }
}

/// Slots of another builder that unpack to a thousand times their size, or go on behind their gzip member.
///
/// outcome: refused
/// layer: contents
/// message: unpacks to more than | something follows the gzip stream
#[test]
fn case_017_bombs_and_second_members_in_slots() {
    let manifest = MANIFEST.replace("\"operations\": \"none\"", "\"operations\": \"gzip\"");
    for (make, says) in [
        (
            "head -c 1700000000 /dev/zero | gzip -9 > conf.txt",
            "unpacks to more than",
        ),
        (
            "{ echo one | gzip; echo two | gzip; } > conf.txt",
            "something follows the gzip stream",
        ),
        ("echo one | gzip | head -c 15 > conf.txt", "is truncated"),
    ] {
        let bench = Bench::new();
        let made = std::process::Command::new("sh")
            .args(["-c", &format!("{make}.new; mv conf.txt.new conf.txt")])
            .current_dir(bench.path("."))
            .status();
        assert!(made.unwrap().success());
        bench.build(Launcher::Go, &manifest, Launcher::Go, "p.psp");
        let output = bench.ours(&["verify", "p.psp"]);
        let said = text(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{make}: {said}");
        assert!(said.contains(says), "{make}: {said}");
    }
}
