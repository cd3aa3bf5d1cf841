//! Extraction of single slots: what good ones become, and that bad ones leave nothing outside their directory.

#![allow(clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use psp_format::Error;
use psp_format::frames::FrameFault;
use psp_format::ops::Operations;
use psp_format::tar::{Kind, TarFault};
use psp_launcher::contents;
use psp_launcher::extract::{self, ExtractError, Options};
use support::*;

fn extract(built: &Built, into: &Path, writable: bool) -> Result<extract::Written, ExtractError> {
    let handle = fs::File::open(into).unwrap_or_else(|e| panic!("{e}"));
    let options = Options {
        writable,
        progress: None,
    };
    let source = built.bytes.as_slice();
    extract::slot(&built.package, "s", &source, handle.as_fd(), &options)
}

#[test]
fn a_tree_comes_out_as_it_went_in() -> TestResult {
    let expected = [
        "rt/ 755",
        "rt/a 644 5",
        "rt/a.b 644 0",
        "rt/bin/ 700",
        "rt/bin/run 755 18",
        "rt/bin/run2 755 18",
        "rt/bin/up -> ../a",
        "rt/empty/ 700",
        "rt/z -> bin/run",
    ];
    let items = sample();
    let tar = tar_of(&items);
    let size = tar.len() as u64;
    for made in [
        tar_zst("s", "rt", &items, 1)?,
        tar_zst("s", "rt", &items, 3000)?,
        tar_zst("s", "rt", &items, usize::MAX)?,
        tar_zst("s", ".", &items, 1000)?,
        slot("s", "rt", Operations::Tar, tar, size),
    ] {
        let built = package(&[made])?;
        let directory = tempfile::tempdir()?;
        let written = extract(&built, directory.path(), true)?;
        assert_eq!(tree(directory.path())?, expected);
        assert!(
            written
                .listing
                .entries()
                .eq(items.iter().map(|i| i.0.clone()))
        );
        let at = |name: &str| directory.path().join(name);
        assert_eq!(fs::read(at("rt/a"))?, b"alpha");
        let (run, run2) = (
            fs::metadata(at("rt/bin/run"))?,
            fs::metadata(at("rt/bin/run2"))?,
        );
        assert_eq!(run.ino(), run2.ino());
        for name in [
            "rt",
            "rt/a",
            "rt/a.b",
            "rt/bin",
            "rt/bin/run",
            "rt/bin/up",
            "rt/empty",
        ] {
            let mtime = fs::symlink_metadata(at(name))?.mtime();
            assert_eq!(mtime, i64::try_from(MTIME)?, "{name}");
        }
        contents::check(&built.package, &built.bytes)?;
    }
    Ok(())
}

#[test]
fn shared_files_cannot_be_written_to() -> TestResult {
    let built = package(&[tar_zst("s", "rt", &sample(), 1)?])?;
    let directory = tempfile::tempdir()?;
    extract(&built, directory.path(), false)?;
    let lines = tree(directory.path())?;
    for line in ["rt/ 755", "rt/a 444 5", "rt/bin/run 555 18", "rt/bin/ 700"] {
        assert!(lines.contains(&line.to_owned()), "{line}: {lines:?}");
    }
    Ok(())
}

#[test]
fn single_files_of_many_frames() -> TestResult {
    let content: Vec<u8> = (0..40_000_000_u32)
        .map(|n| (n >> 11) as u8 ^ n as u8)
        .collect();
    let (stored, size) = framed(std::slice::from_ref(&content))?;
    for made in [
        slot("s", "a/b/c", Operations::Zstd, stored, size),
        plain("s", "a/b/c", &content),
    ] {
        let mut made = made;
        made.slot.mode = 0o751;
        let built = package(&[made])?;
        let directory = tempfile::tempdir()?;
        extract(&built, directory.path(), true)?;
        assert_eq!(
            tree(directory.path())?,
            ["a/ 755", "a/b/ 755", "a/b/c 751 40000000"]
        );
        assert!(fs::read(directory.path().join("a/b/c"))? == content);
        contents::check(&built.package, &built.bytes)?;
    }
    let built = package(&[plain("s", "empty", b"")])?;
    let directory = tempfile::tempdir()?;
    extract(&built, directory.path(), false)?;
    assert_eq!(tree(directory.path())?, ["empty 555 0"]);
    Ok(())
}

#[test]
fn a_file_over_several_full_frames_among_thousands_of_small_ones() -> TestResult {
    let mut items = vec![dir("rt", 0o755)];
    let big: Vec<u8> = (0..40_000_003_u32).map(|n| (n >> 9) as u8).collect();
    items.push(file("rt/big", 0o644, &big));
    for directory in 0..40 {
        items.push(dir(&format!("rt/d{directory:02}"), 0o755));
        for nth in 0..100 {
            let content = vec![nth as u8; nth * 37];
            items.push(file(
                &format!("rt/d{directory:02}/f{nth:02}"),
                0o644,
                &content,
            ));
        }
    }
    let made = tar_zst("s", "rt", &items, 200_000)?;
    let built = package(&[made])?;
    let directory = tempfile::tempdir()?;
    let done = AtomicU64::new(0);
    let count = |bytes| {
        done.fetch_add(bytes, Ordering::Relaxed);
    };
    let handle = fs::File::open(directory.path())?;
    let options = Options {
        writable: true,
        progress: Some(&count),
    };
    let source = built.bytes.as_slice();
    extract::slot(&built.package, "s", &source, handle.as_fd(), &options)?;
    for (entry, content) in &items {
        if let Kind::File(_) = entry.kind {
            let path = directory.path().join(std::str::from_utf8(&entry.path)?);
            assert!(fs::read(&path)? == *content, "{path:?}");
        }
    }
    assert_eq!(tree(directory.path())?.len(), items.len());
    assert_eq!(
        done.into_inner(),
        built.package.metadata().slots[0].original_size
    );
    contents::check(&built.package, &built.bytes)?;
    Ok(())
}

#[test]
fn long_and_strange_names() -> TestResult {
    let long = "d".repeat(255);
    let mut items = vec![dir("rt", 0o755)];
    let mut deep = "rt".to_owned();
    for _ in 0..126 {
        deep.push_str("/d");
        items.push(dir(&deep, 0o755));
    }
    items.push(file(&format!("{deep}/f"), 0o644, b"deep"));
    items.push(dir(&format!("rt/{long}"), 0o755));
    items.push(file(&format!("rt/{long}/{long}"), 0o644, b"long"));
    items.push(symlink(
        &format!("rt/{long}/z"),
        &format!("../{long}/{long}"),
    ));
    items.push(file("rt/e \n\u{1b}[0m", 0o644, b""));
    let mut bytes = file("rt/f", 0o644, b"");
    bytes.0.path = b"rt/f\xff".to_vec();
    items.push(bytes);
    items.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    for run in [1, 2000, usize::MAX] {
        let built = package(&[tar_zst("s", "rt", &items, run)?])?;
        let directory = tempfile::tempdir()?;
        extract(&built, directory.path(), true)?;
        assert_eq!(
            fs::read(directory.path().join(format!("{deep}/f")))?,
            b"deep"
        );
        let link = directory.path().join(format!("rt/{long}/z"));
        assert_eq!(fs::read(link)?, b"long");
        assert_eq!(tree(directory.path())?.len(), items.len());
    }
    Ok(())
}

#[test]
fn a_changed_byte_is_noticed_before_anything_is_made() -> TestResult {
    let mut built = package(&[tar_zst("s", "rt", &sample(), 1)?])?;
    let range = built.package.layout().slots[0];
    for at in [
        range.start(),
        range.start() + range.len() / 2,
        range.end() - 1,
    ] {
        let at = usize::try_from(at)?;
        built.bytes[at] ^= 1;
        let directory = tempfile::tempdir()?;
        let error = extract(&built, directory.path(), true).err();
        assert!(
            matches!(error, Some(ExtractError::Format(Error::SlotDigest { .. }))),
            "{error:?}"
        );
        assert_eq!(tree(directory.path())?, [""; 0]);
        built.bytes[at] ^= 1;
    }
    built.bytes.truncate(usize::try_from(range.end() - 1)?);
    let directory = tempfile::tempdir()?;
    let error = extract(&built, directory.path(), true).err();
    assert!(
        matches!(error, Some(ExtractError::Read { .. })),
        "{error:?}"
    );
    Ok(())
}

/// Extracts a hostile slot, checks that `outside` is as it was, and returns the error, which `contents` must find too.
fn refused(made: &Made) -> Result<Error, Box<dyn std::error::Error>> {
    let built = package(std::slice::from_ref(made))?;
    let directory = tempfile::tempdir()?;
    let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
    fs::create_dir(&inside)?;
    fs::create_dir(&outside)?;
    fs::write(outside.join("file"), b"x")?;
    let before = tree(&outside)?;
    let error = extract(&built, &inside, true);
    assert_eq!(tree(&outside)?, before);
    assert_eq!(fs::read(outside.join("file"))?, b"x");
    let in_memory = contents::check(&built.package, &built.bytes);
    match (error, in_memory) {
        (Err(ExtractError::Format(error)), Err(ExtractError::Format(found))) => {
            assert_eq!(error, found);
            Ok(error)
        }
        (error, found) => panic!("{error:?}, {found:?}"),
    }
}

fn tar_fault(made: &Made) -> Result<TarFault, Box<dyn std::error::Error>> {
    match refused(made)? {
        Error::Tar { fault, .. } => Ok(fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn hostile_archives() -> TestResult {
    let rt = || dir("rt", 0o755);
    let cases: Vec<(Vec<Item>, TarFault)> = vec![
        (
            vec![rt(), file("rt/b", 0o644, b"1"), file("rt/a", 0o644, b"2")],
            TarFault::Order,
        ),
        (
            vec![rt(), file("rt/a", 0o644, b"1"), file("rt/a", 0o644, b"2")],
            TarFault::Order,
        ),
        (vec![rt(), file("rt/a/b", 0o644, b"1")], TarFault::NoParent),
        (
            vec![rt(), file("rt/a", 0o644, b"1"), file("rt/a/b", 0o644, b"1")],
            TarFault::NoParent,
        ),
        (
            vec![rt(), symlink("rt/a", "b"), file("rt/a/x", 0o644, b"1")],
            TarFault::NoParent,
        ),
        (
            vec![rt(), symlink("rt/a", "b"), dir("rt/a", 0o777)],
            TarFault::Order,
        ),
        (
            vec![rt(), symlink("rt/a", "b"), hard_link("rt/b", "rt/a")],
            TarFault::HardLink,
        ),
        (
            vec![rt(), dir("rt/a", 0o755), hard_link("rt/b", "rt/a")],
            TarFault::HardLink,
        ),
        (
            vec![rt(), hard_link("rt/b", "rt/missing")],
            TarFault::HardLink,
        ),
        (
            vec![rt(), hard_link("rt/b", "out/file")],
            TarFault::HardLink,
        ),
        (vec![], TarFault::NoTarget),
        (vec![dir("other", 0o755)], TarFault::Outside),
        (vec![file("rt", 0o644, b"")], TarFault::NoTarget),
    ];
    for (items, expected) in cases {
        // In one run, and each entry in a run of its own, where order is only found across runs.
        for run in [usize::MAX, 1] {
            let fault = tar_fault(&tar_zst("s", "rt", &items, run)?)?;
            assert_eq!(fault, expected, "{items:?} {run}");
        }
    }
    for (items, is_expected) in [
        (
            vec![rt(), symlink("rt/a", "../../out")],
            (|fault| matches!(fault, TarFault::Link(_))) as fn(&TarFault) -> bool,
        ),
        (vec![rt(), symlink("rt/a", "/out")], |fault| {
            matches!(fault, TarFault::Link(_))
        }),
        (vec![rt(), file("rt/../out/x", 0o644, b"")], |fault| {
            matches!(fault, TarFault::Path(_))
        }),
        (vec![rt(), file("/out/x", 0o644, b"")], |fault| {
            matches!(fault, TarFault::Path(_))
        }),
    ] {
        let fault = tar_fault(&tar_zst("s", "rt", &items, usize::MAX)?)?;
        assert!(is_expected(&fault), "{fault:?}");
    }
    Ok(())
}

#[test]
fn hostile_ends_and_types() -> TestResult {
    let good = tar_of(&sample());
    let end = good.len() - 1024;
    let mut with_fifo = good.clone();
    with_fifo[512 + 156] = b'6';
    let sum: u32 = with_fifo[512..1024]
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                32
            } else {
                u32::from(*byte)
            }
        })
        .sum();
    with_fifo[512 + 148..512 + 154].copy_from_slice(format!("{sum:06o}").as_bytes());
    let mut padded = good.clone();
    padded[1024 + 5] = 1;
    for (tar, expected) in [
        (good[..end].to_vec(), TarFault::Truncated),
        (good[..end + 512].to_vec(), TarFault::Truncated),
        (good[..1024 + 5].to_vec(), TarFault::Truncated),
        ([&good[..], &[0; 512]].concat(), TarFault::AfterEnd),
        ([&good[..end + 512], &[1; 512]].concat(), TarFault::AfterEnd),
        (with_fifo, TarFault::Type(b'6')),
        (padded, TarFault::Padding),
        (vec![], TarFault::Truncated),
    ] {
        let size = tar.len() as u64;
        let fault = tar_fault(&slot("s", "rt", Operations::Tar, tar.clone(), size))?;
        assert_eq!(fault, expected);
        if !tar.is_empty() {
            let (stored, size) = framed(&[tar])?;
            let fault = tar_fault(&slot("s", "rt", Operations::TarZst, stored, size))?;
            assert_eq!(fault, expected);
        }
    }
    Ok(())
}

#[test]
fn hostile_frames() -> TestResult {
    let frame_fault =
        |stored: Vec<u8>, size: u64| -> Result<FrameFault, Box<dyn std::error::Error>> {
            match refused(&slot("s", "rt", Operations::TarZst, stored, size))? {
                Error::Frames { fault, .. } => Ok(fault),
                other => panic!("{other:?}"),
            }
        };
    let tar = tar_of(&sample());
    let size = u32::try_from(tar.len())?;
    let frame = zstd::bulk::compress(&tar, 3)?;
    let stored = |parts: &[&[u8]], sizes: &[(u32, u32)]| {
        [&parts.concat()[..], &frames_table(sizes)].concat()
    };
    let len = u32::try_from(frame.len())?;
    // One that states the size of its content, which is decoded in one step, and one that does not.
    for frame in [&frame, &unsized_frame(&tar)?] {
        let len = u32::try_from(frame.len())?;
        // A frame and rubbish, or a second frame, within the stored size of one.
        for tail in [&b"x"[..], &zstd::bulk::compress(b"", 1)?] {
            let total = len + u32::try_from(tail.len())?;
            let fault = frame_fault(stored(&[frame, tail], &[(total, size)]), u64::from(size))?;
            assert_eq!(fault, FrameFault::Content { frame: 0 });
        }
        // More and less content than the table says.
        for wrong in [size - 512, size + 512] {
            let fault = frame_fault(stored(&[frame], &[(len, wrong)]), u64::from(wrong))?;
            assert_eq!(fault, FrameFault::Content { frame: 0 });
        }
        let fault = frame_fault(
            stored(&[&frame[..frame.len() - 1]], &[(len - 1, size)]),
            size.into(),
        )?;
        assert_eq!(fault, FrameFault::Content { frame: 0 });
    }
    // A window of 16 MiB.
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1)?;
    encoder.window_log(24)?;
    std::io::Write::write_all(&mut encoder, &tar)?;
    let wide = encoder.finish()?;
    let wide_len = u32::try_from(wide.len())?;
    let fault = frame_fault(stored(&[&wide], &[(wide_len, size)]), size.into())?;
    assert!(
        matches!(fault, FrameFault::Decode { frame: 0, .. }),
        "{fault:?}"
    );
    // A skippable frame in place of a frame.
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0][..], &frame].concat();
    let fault = frame_fault(stored(&[&skippable], &[(len + 8, size)]), size.into())?;
    assert!(
        matches!(fault, FrameFault::Decode { frame: 0, .. }),
        "{fault:?}"
    );
    // A run that ends in the middle of an entry.
    for cut in [1024 + 3, 1024 + 5, 1536 + 100] {
        let (one, two) = tar.split_at(cut);
        let (cut_stored, cut_size) = framed(&[one.to_vec(), two.to_vec()])?;
        let fault = frame_fault(cut_stored, cut_size)?;
        assert_eq!(fault, FrameFault::Boundary { frame: 0 }, "{cut}");
    }
    // An end marker before the last run.
    let (cut_stored, cut_size) = framed(&[tar.clone(), tar])?;
    let fault = tar_fault(&slot("s", "rt", Operations::TarZst, cut_stored, cut_size))?;
    assert_eq!(fault, TarFault::AfterEnd);
    Ok(())
}

/// A frame that does not say how large its content is.
fn unsized_frame(content: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3)?;
    encoder.include_contentsize(false)?;
    std::io::Write::write_all(&mut encoder, content)?;
    encoder.finish()
}

#[test]
fn frames_that_do_not_state_their_size() -> TestResult {
    let tar = tar_of(&sample());
    let frame = unsized_frame(&tar)?;
    assert_eq!(frame[4] >> 5, 0, "neither a size nor a single segment");
    let table = frames_table(&[(u32::try_from(frame.len())?, u32::try_from(tar.len())?)]);
    let stored = [frame, table].concat();
    let made = slot("s", "rt", Operations::TarZst, stored, tar.len() as u64);
    let built = package(&[made])?;
    let directory = tempfile::tempdir()?;
    extract(&built, directory.path(), true)?;
    assert_eq!(tree(directory.path())?.len(), sample().len());
    contents::check(&built.package, &built.bytes)?;
    Ok(())
}

fn frames_table(sizes: &[(u32, u32)]) -> Vec<u8> {
    psp_format::frames::write_seek_table(sizes)
}

#[test]
fn gzip_slots_are_left_to_others() -> TestResult {
    let tar = tar_of(&sample());
    let size = tar.len() as u64;
    let made = slot(
        "s",
        "rt",
        Operations::TarGz,
        b"not looked at".to_vec(),
        size,
    );
    let built = package(&[made])?;
    let directory = tempfile::tempdir()?;
    let error = extract(&built, directory.path(), true).err();
    assert!(
        matches!(error, Some(ExtractError::Unsupported { .. })),
        "{error:?}"
    );
    let error = contents::check(&built.package, &built.bytes).err();
    assert!(
        matches!(error, Some(ExtractError::Unsupported { .. })),
        "{error:?}"
    );
    let slot = &built.package.metadata().slots[0];
    contents::tar_stream(slot, &mut &tar[..])?;
    let handle = fs::File::open(directory.path())?;
    let options = Options::default();
    extract::tar_stream(slot, &mut &tar[..], handle.as_fd(), &options)?;
    assert_eq!(tree(directory.path())?.len(), sample().len());
    for wrong in [&tar[..tar.len() - 512], &[&tar[..], &[0]].concat()] {
        assert!(contents::tar_stream(slot, &mut &wrong[..]).is_err());
    }
    Ok(())
}

#[test]
fn nothing_that_is_there_is_replaced_or_followed() -> TestResult {
    let built = package(&[tar_zst("s", "rt", &sample(), 1)?])?;
    let directory = tempfile::tempdir()?;
    let outside = directory.path().join("outside");
    fs::create_dir(&outside)?;
    let cases: [fn(&Path, &Path) -> std::io::Result<()>; 4] = [
        |inside, outside| std::os::unix::fs::symlink(outside, inside.join("rt")),
        |inside, outside| {
            fs::create_dir(inside.join("rt"))?;
            std::os::unix::fs::symlink(outside, inside.join("rt/bin"))
        },
        |inside, outside| {
            fs::create_dir(inside.join("rt"))?;
            std::os::unix::fs::symlink(outside.join("new"), inside.join("rt/a"))
        },
        |inside, _| {
            fs::create_dir(inside.join("rt"))?;
            fs::write(inside.join("rt/a"), b"mine")
        },
    ];
    for (nth, case) in cases.iter().enumerate() {
        let inside = directory.path().join(nth.to_string());
        fs::create_dir(&inside)?;
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o711))?;
        case(&inside, &outside)?;
        assert!(extract(&built, &inside, true).is_err());
        assert_eq!(tree(&outside)?, [""; 0]);
        assert_eq!(fs::metadata(&outside)?.permissions().mode() & 0o7777, 0o711);
    }
    assert_eq!(fs::read(directory.path().join("3/rt/a"))?, b"mine");
    Ok(())
}
