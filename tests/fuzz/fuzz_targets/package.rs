//! A whole file: verified, then extracted into a jail, then compared.
//!
//! No fuzzer forges a signature, so the input is a recipe: what a package holds, which mistakes its writer makes before
//! signing, and which bytes somebody changes afterwards. The testkit's writer, which shares no code with what is tested,
//! makes the file. Then:
//!
//! - what was changed after signing is refused;
//! - what is accepted is canonical: metadata, index and slot table are what our own encoder writes;
//! - a slot whose content is accepted can be extracted, and one that is refused cannot;
//! - nothing outside the jail is made or changed, whether extraction succeeds or fails, and no link leads out of it;
//! - what lies in it is what the `zstd` and `tar` crates read from the signed bytes: paths, kinds, modes, times, content.

#![no_main]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_target};
use psp_format::VerifiedPackage;
use psp_format::encode;
use psp_format::metadata::Slot as Signed;
use psp_format::ops::Operations;
use psp_format::range::Range;
use psp_format::tar::{Entry as Found, Kind};
use psp_format::verify::verify_bytes;
use psp_launcher::{contents, extract};
use psp_testkit::keys::{OTHER, SIGNER, Secret};
use psp_testkit::writer::frames::{self, Frames};
use psp_testkit::writer::json;
use psp_testkit::writer::tar::{Entry, Tar};
use psp_testkit::writer::{Gaps, Parts, Plan, Slot};
use serde_json::{Value, json};

/// Where slots go; some are no targets.
const TARGETS: [&str; 10] = [
    "app",
    ".",
    "a",
    "a/b",
    "b",
    "..",
    "/a",
    "a/../b",
    "",
    ".flavor-x",
];
/// Parts of paths in archives; some are in no good path.
const PARTS: [&[u8]; 12] = [
    b"a",
    b"b",
    b"c",
    b"a.b",
    b"\xff",
    b"line\nbreak",
    b".flavor-umask",
    b"..",
    b".",
    b"",
    b"A",
    b"app",
];
/// Where links lead, good and bad.
const LINKS: [&[u8]; 16] = [
    b"a",
    b"b",
    b"a/b",
    b"../a",
    b"../../a",
    b"../../../canary/file",
    b"/etc/passwd",
    b"a/../b",
    b".",
    b"..",
    b"",
    b"app/a",
    b"app/b",
    b"a/a",
    b"c",
    b"../canary",
];
/// Places in the metadata, and what a careless writer puts there.
const PLACES: [(&str, &str); 16] = [
    ("/package", "name"),
    ("/package", "version"),
    ("/package", "description"),
    ("/execution", "argv"),
    ("/execution", "cwd"),
    ("/launcher", "size"),
    ("/launcher", "checksum"),
    ("/build", "timestamp"),
    ("", "setup"),
    ("", "policy"),
    ("/slots/0", "size"),
    ("/slots/0", "checksum"),
    ("/slots/0", "offset"),
    ("/slots/0", "mode"),
    ("/slots/0", "lifecycle"),
    ("/slots/0", "operations_code"),
];

/// A directory that belongs to this process: the jail, and beside it what nothing may touch.
struct Place {
    base: PathBuf,
    jail: PathBuf,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let base = std::env::temp_dir().join(format!("psp-fuzz-{}", std::process::id()));
    let _ = fs::remove_dir_all(&base);
    fs::create_dir_all(base.join("canary")).expect("a temporary directory");
    fs::write(base.join("canary/file"), "untouched").expect("a temporary file");
    let jail = base.join("jail");
    Place { base, jail }
});

fuzz_target!(|input: &[u8]| -> Corpus {
    match recipe(&mut Unstructured::new(input)) {
        Ok((bytes, is_changed)) => {
            check(&bytes, is_changed);
            Corpus::Keep
        }
        Err(_) => Corpus::Reject,
    }
});

// --- the recipe ---

/// The file, and whether something was changed after it had been signed.
fn recipe(u: &mut Unstructured<'_>) -> Result<(Vec<u8>, bool)> {
    let mut plan = Plan::new();
    for number in 0..u.int_in_range(0..=3)? {
        plan = plan.slot(slot(u, number)?);
    }
    // One mistake in three, so that good packages are common.
    if rarely(u)? {
        plan = mistaken(u, plan)?;
    }
    let parts = plan.parts();
    let good = parts.bytes();
    let bytes = match rarely(u)? {
        true => changed(u, parts)?,
        false => good.clone(),
    };
    let is_changed = bytes != good;
    Ok((bytes, is_changed))
}

fn rarely(u: &mut Unstructured<'_>) -> Result<bool> {
    u.ratio(1, 4)
}

fn slot(u: &mut Unstructured<'_>, number: u64) -> Result<Slot> {
    let id = ["x", "y", "z", "w"][number as usize];
    let target = match u.ratio(3, 4)? {
        true => u.choose(&TARGETS[..5])?,
        false => u.choose(&TARGETS)?,
    };
    let kind = u.int_in_range(0..=3)?;
    let mut slot = match kind {
        0 => {
            let size = u.int_in_range(0..=40)?.min(u.len());
            Slot::file(number, id, u.bytes(size)?)
        }
        1 => {
            let content = vec![u.arbitrary()?; usize::from(u.arbitrary::<u16>()?)];
            Slot::zstd(number, id, &framed(u, &content, &[])?)
        }
        2 => Slot::tar(number, id, &archive(u, target)?.end()),
        _ => {
            let tar = archive(u, target)?;
            let boundaries = tar.boundaries().to_vec();
            Slot::tar_zst(number, id, &framed(u, &tar.end(), &boundaries)?)
        }
    };
    if rarely(u)? && rarely(u)? {
        slot.original_size = slot
            .original_size
            .wrapping_add_signed(u.int_in_range(-2..=2)?);
    }
    if kind < 2 || rarely(u)? && rarely(u)? {
        slot.mode = u.int_in_range(0..=0o777)? | u64::from(u.ratio(1, 64)?) << 9;
    }
    slot.mutable = u.arbitrary()?;
    Ok(slot.at(target))
}

/// Entries below the target, in order and with their parents unless the writer is careless.
fn archive(u: &mut Unstructured<'_>, target: &str) -> Result<Tar> {
    let root = match target {
        "." => Vec::new(),
        other => vec![other.as_bytes().to_vec()],
    };
    let is_careful = !rarely(u)?;
    let mut entries: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
    if is_careful && !root.is_empty() {
        let path = root.concat();
        entries.insert(path.clone(), Entry::directory(path));
    }
    let mut order = Vec::new();
    for _ in 0..u.int_in_range(0..=5)? {
        let mut path = root.clone();
        for _ in 0..u.int_in_range(1..=3)? {
            let parts = if is_careful { &PARTS[..6] } else { &PARTS };
            path.push(u.choose(parts)?.to_vec());
            let above = path.join(&b"/"[..]);
            if is_careful && u.ratio(3, 4)? {
                entries
                    .entry(above.clone())
                    .or_insert_with(|| Entry::directory(above));
            }
        }
        if rarely(u)? {
            // Long enough for a PAX record.
            path.push(vec![b'n'; u.int_in_range(80..=260)?]);
        }
        let entry = entry(u, path.join(&b"/"[..]))?;
        order.push(entry.clone());
        entries.insert(entry.path.clone(), entry);
    }
    if is_careful {
        order = entries.into_values().collect();
    }
    let mut tar = Tar::new();
    for entry in &order {
        let edit: Option<(usize, u8)> = match rarely(u)? && rarely(u)? {
            true => Some((u.int_in_range(0..=511)?, u.arbitrary()?)),
            false => None,
        };
        tar = tar.entry_with(entry, |header| {
            if let Some((at, value)) = edit {
                header[at] = value;
            }
        });
    }
    Ok(tar)
}

fn entry(u: &mut Unstructured<'_>, path: Vec<u8>) -> Result<Entry> {
    let mut link = u.choose(&LINKS)?.to_vec();
    if rarely(u)? && rarely(u)? {
        link = vec![b'l'; u.int_in_range(90..=260)?];
    }
    let mut entry = match u.int_in_range(0..=7)? {
        0 | 1 => Entry::directory(path),
        2 => Entry::symlink(path, link),
        3 => Entry::hard_link(path, link),
        _ => Entry::file(path, vec![u.arbitrary::<u8>()?; u.int_in_range(0..=1100)?]),
    };
    if matches!(entry.kind, b'0' | b'5') {
        entry.mode = u.int_in_range(0..=0o777)?;
    }
    entry.mtime = u.int_in_range(0..=0o77_777_777_777)?;
    Ok(entry)
}

fn framed(u: &mut Unstructured<'_>, content: &[u8], boundaries: &[usize]) -> Result<Frames> {
    let mut cuts = Vec::new();
    for &at in boundaries {
        if u.ratio(1, 3)? {
            cuts.push(at);
        }
    }
    if rarely(u)? && content.len() > 1 {
        cuts = vec![u.int_in_range(1..=content.len() - 1)?];
    }
    let mut framed = match content.is_empty() {
        true => Frames::new(),
        false => Frames::cut(content, &cuts),
    };
    if rarely(u)? && rarely(u)? {
        let header = frames::Header {
            window: *u.choose(&[
                None,
                Some(frames::window(10)),
                Some(frames::window(23)),
                Some(frames::window(24)),
            ])?,
            sized: u.arbitrary()?,
            dictionary: *u.choose(&[None, None, Some(1)])?,
            reserved: u.ratio(1, 8)?,
        };
        framed = framed.frame(frames::frame_with(header, b"more"), 4);
    }
    if let Some(last) = framed
        .frames
        .last_mut()
        .filter(|_| matches!(u.ratio(1, 16), Ok(true)))
    {
        last.1 = last.1.wrapping_add_signed(u.int_in_range(-1..=1)?);
    }
    Ok(framed)
}

/// What can be wrong in a package and still be signed.
fn mistaken(u: &mut Unstructured<'_>, mut plan: Plan) -> Result<Plan> {
    Ok(match u.int_in_range(0..=6)? {
        0 => {
            let gap = |u: &mut Unstructured<'_>| Ok(8 * u.int_in_range(0..=1)?);
            let gaps = Gaps {
                before_metadata: gap(u)?,
                before_table: gap(u)?,
                before_slots: gap(u)?,
                between_slots: gap(u)?,
                before_trailer: gap(u)?,
            };
            plan.gapped(gaps)
        }
        1 => {
            let (parent, key) = *u.choose(&PLACES)?;
            let value = value(u)?;
            plan.json(move |root| {
                if let Some(Value::Object(parent)) = root.pointer_mut(parent) {
                    parent.insert(key.to_owned(), value.clone());
                }
            })
        }
        2 => {
            let (at, byte): (u16, u8) = u.arbitrary()?;
            plan.text(move |text| {
                let at = usize::from(at) % text.len();
                text[at] = byte;
            })
        }
        3 => {
            let nth: u8 = u.arbitrary()?;
            let delta: u16 = u.arbitrary()?;
            plan.offsets(move |offsets| {
                let count = offsets.len().max(1);
                if let Some(offset) = offsets.get_mut(usize::from(nth) % count) {
                    *offset = offset.wrapping_add(delta.into());
                }
            })
        }
        4 => {
            let secret = Secret::from_seed(OTHER);
            match u.int_in_range(0..=2)? {
                0 => plan.signed(move |text| secret.sign(text)),
                1 => plan.signed(move |text| secret.sign_prehashed(text)),
                _ => plan.signed(move |text| secret.sign_unreduced(text)),
            }
        }
        5 => {
            plan.slots.reverse();
            plan
        }
        _ => {
            plan.launcher.truncate(u.int_in_range(0..=64)?);
            plan
        }
    })
}

fn value(u: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match u.int_in_range(0..=7)? {
        0 => Value::Null,
        1 => json!(u.arbitrary::<u64>()?),
        2 => json!(u.int_in_range(0..=1000)?),
        3 => json!(u.arbitrary::<&str>()?.chars().take(70).collect::<String>()),
        4 => json!([]),
        5 => json!(["{workenv}/a", "b"]),
        6 => json!("2024-02-29T00:00:00Z"),
        _ => json!({ "argv": ["/a"] }),
    })
}

/// What somebody without the key can do.
fn changed(u: &mut Unstructured<'_>, mut parts: Parts) -> Result<Vec<u8>> {
    let (at, byte): (u16, u8) = u.arbitrary()?;
    let put = |bytes: &mut [u8]| {
        if let Some(place) = usize::from(at).checked_rem(bytes.len()) {
            bytes[place] = byte;
        }
    };
    match u.int_in_range(0..=7)? {
        0 => put(&mut parts.launcher),
        1 => put(&mut parts.member),
        2 => put(&mut parts.gap_table),
        3 => put(parts.table.as_flattened_mut()),
        4 => {
            if let Some(slot) = parts.slots.first_mut() {
                put(&mut slot.bytes);
            }
        }
        5 => put(parts.index.as_mut_bytes()),
        6 => parts.gap_trailer.extend([byte; 8]),
        _ => {
            if let Some(slot) = parts.slots.last_mut() {
                slot.bytes.push(byte);
                put(&mut slot.gap);
            }
        }
    }
    if u.arbitrary()? {
        parts.repair();
    }
    let mut bytes = parts.bytes();
    if rarely(u)? {
        bytes.truncate(bytes.len() - u.int_in_range(0..=9)?);
    }
    Ok(bytes)
}

// --- what must hold ---

fn check(bytes: &[u8], is_changed: bool) {
    let package = match verify_bytes(bytes) {
        Ok(package) => package,
        Err(error) => return drop(error.to_string()),
    };
    assert!(!is_changed, "changed after it was signed, and accepted");
    let signers = [SIGNER, OTHER].map(|seed| Secret::from_seed(seed).public());
    assert!(signers.contains(package.signer().as_bytes()));
    let general: Value = serde_json::from_slice(package.text()).expect("JSON");
    assert_eq!(json::canonical(&general), package.text());
    let (_, head) =
        encode::place(package.metadata().clone()).expect("what was read can be written");
    assert_eq!(head.layout, *package.layout());
    let start = usize::try_from(head.layout.metadata.start()).expect("a place in the file");
    assert_eq!(bytes[start..][..head.bytes.len()], head.bytes);
    for (slot, range) in package.slots() {
        check_slot(&package, bytes, slot, range);
    }
}

fn check_slot(package: &VerifiedPackage, bytes: &[u8], slot: &Signed, range: Range) {
    let place = &*PLACE;
    let stored = range.of(bytes).expect("a place in the file");
    let checked = contents::check_slot(slot, stored);
    let _ = fs::remove_dir_all(&place.jail);
    fs::create_dir(&place.jail).expect("a directory");
    let jail = File::open(&place.jail).expect("a directory");
    let written = extract::slot(
        package,
        &slot.id,
        &bytes,
        jail.as_fd(),
        &extract::Options::default(),
    );
    check_canary(place);
    check_links(
        &place.jail,
        &place.jail.join(OsStr::from_bytes(slot.root())),
    );
    match (checked, written) {
        (Ok(listing), Ok(written)) => {
            assert!(listing.entries().eq(written.listing.entries()));
            compare(slot, stored, listing.entries().collect());
        }
        (Err(checked), Err(written)) => {
            assert!(!checked.to_string().is_empty() && !written.to_string().is_empty());
        }
        (checked, written) => panic!("checked: {checked:?}, extracted: {written:?}"),
    }
}

/// Nothing lies beside the jail that was not there, and what was there is the same.
fn check_canary(place: &Place) {
    let names = |directory: &Path| {
        let entries = fs::read_dir(directory).expect("a directory");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("a name").file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&place.base), ["canary", "jail"]);
    assert_eq!(names(&place.base.join("canary")), ["file"]);
    let file = place.base.join("canary/file");
    assert_eq!(fs::read(&file).expect("the canary"), b"untouched");
    assert_eq!(fs::metadata(&file).expect("the canary").nlink(), 1);
}

/// No link that the kernel follows leads out of the slot's target.
fn check_links(directory: &Path, root: &Path) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("a name").path();
        let data = path.symlink_metadata().expect("what is there");
        if data.is_dir() {
            check_links(&path, root);
        } else if data.is_symlink()
            && let Ok(end) = path.canonicalize()
        {
            let root = root.canonicalize().expect("the target is there");
            assert!(end.starts_with(&root), "{path:?} leads to {end:?}");
        }
    }
}

/// Path, kind, mode, time, content of everything in the jail, against what two other decoders say.
fn compare(slot: &Signed, stored: &[u8], entries: Vec<Found>) {
    let content = match slot.operations {
        Operations::Zstd | Operations::TarZst => psp_fuzz::read_frames(stored),
        _ => stored.to_vec(),
    };
    assert_eq!(content.len() as u64, slot.original_size);
    let mut expected: BTreeMap<Vec<u8>, (Found, Vec<u8>)> = BTreeMap::new();
    if slot.operations.is_tar() {
        let Some(general) = psp_fuzz::read_tar(&content, &entries) else {
            return;
        };
        for (entry, content) in general {
            expected.insert(entry.path.clone(), (entry, content));
        }
    } else {
        let kind = Kind::File(slot.original_size);
        let entry = Found {
            path: slot.root().to_vec(),
            kind,
            mode: slot.mode,
            mtime: 0,
        };
        expected.insert(slot.root().to_vec(), (entry, content));
    }
    let above: Vec<Vec<u8>> = slot
        .root()
        .iter()
        .enumerate()
        .filter(|(_, c)| **c == b'/')
        .map(|(at, _)| slot.root()[..at].to_vec())
        .collect();
    let mut found = Vec::new();
    list(&PLACE.jail, &mut found);
    found.retain(|path| !above.contains(path));
    assert!(found.iter().eq(expected.keys()), "{found:?}");
    let is_archive = slot.operations.is_tar();
    for (path, (entry, content)) in &expected {
        let place = |path: &[u8]| PLACE.jail.join(OsStr::from_bytes(path));
        let data = place(path).symlink_metadata().expect("it was listed");
        match &entry.kind {
            Kind::File(_) => {
                assert!(data.is_file());
                assert_eq!(data.mode() & 0o7777, entry.mode & 0o555);
                // Only root reads what its owner may not.
                if entry.mode & 0o400 != 0 {
                    assert_eq!(&fs::read(place(path)).expect("a file"), content);
                }
            }
            Kind::Directory => {
                assert!(data.is_dir());
                assert_eq!(data.mode() & 0o7777, entry.mode & 0o755 | 0o700);
            }
            Kind::Symlink(to) => {
                let target = fs::read_link(place(path)).expect("a link").into_os_string();
                assert_eq!(&target.into_vec(), to);
            }
            Kind::HardLink(to) => {
                let other = place(to).symlink_metadata().expect("a file");
                assert_eq!((data.dev(), data.ino()), (other.dev(), other.ino()));
            }
        }
        if is_archive && !matches!(entry.kind, Kind::HardLink(_)) {
            assert_eq!(
                data.mtime(),
                i64::try_from(entry.mtime).expect("eleven octal digits")
            );
        }
    }
}

/// Every path below a directory, in the order of their bytes.
fn list(directory: &Path, out: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("a name").path();
        let below = path.strip_prefix(&PLACE.jail).expect("below the jail");
        out.push(below.as_os_str().as_bytes().to_vec());
        if path.symlink_metadata().expect("it was listed").is_dir() {
            list(&path, out);
        }
    }
    if directory == PLACE.jail {
        out.sort();
    }
}
