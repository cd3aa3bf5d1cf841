//! What happened to a file that should be a package and is none: cut off, something behind it, its data removed.
//!
//! Only for the message. Nothing here is verified, so nothing here is believed beyond that: every number is bounded, and
//! the worst that a hostile file can reach is a wrong explanation of why it is refused.

use crate::encode::Layout;
use crate::error::Error;
use crate::layout::{MAGIC_END, MAGIC_START, TRAILER_LEN};
use crate::limits::MAX_MEMBER;
use crate::member;
use crate::metadata::Metadata;
use crate::range::{Range, widen};

/// The bytes by which a launcher is recognised when the data behind it is gone. Every launcher has them in its
/// constants.
pub const LAUNCHER_MARK: &[u8; 30] = b"\0PSPF/2025 strict/1 launcher\0\0";

/// Launchers are below 2 MiB; what is looked through for [`LAUNCHER_MARK`] ends there.
const MAX_SEARCHED: u64 = 4 << 20;
/// What UPX leaves in a file that it packed, near the beginning.
const UPX_MARK: &[u8] = b"UPX!";
const UPX_SEARCHED: u64 = 4096;
/// Size of an ELF-64 program header.
const PROGRAM_HEADER: usize = 56;

/// A better explanation for `error`, which [`crate::locate`] gave for a file of `size` bytes; `error` itself, where
/// there is none or it needs none.
///
/// `read` returns all bytes of a range, or `None` when it cannot. At most 6 MiB are read.
pub fn diagnose(error: Error, size: u64, mut read: impl FnMut(Range) -> Option<Vec<u8>>) -> Error {
    match error {
        Error::TooShort { .. } | Error::NoTrailer | Error::PackageSize { .. } => {
            explain(size, &mut read).unwrap_or(error)
        }
        _ => error,
    }
}

type Read<'r> = &'r mut dyn FnMut(Range) -> Option<Vec<u8>>;

fn explain(size: u64, read: Read<'_>) -> Option<Error> {
    let start = read(Range::between(0, size.min(UPX_SEARCHED))?)?;
    if contains(&start, UPX_MARK) {
        return Some(Error::DataRemoved { tool: "upx" });
    }
    let launcher_end = elf_end(&start, read)?;
    if launcher_end > size {
        return recognised(size, read).then_some(Error::CutShort {
            size,
            part: "launcher",
        });
    }
    let member_len = Range::between(launcher_end, size)?.len().min(MAX_MEMBER);
    let bytes = read(Range::new(launcher_end, member_len)?)?;
    match member::extent(&bytes) {
        member::Extent::Not => recognised(size, read).then_some(Error::DataRemoved {
            tool: "strip or objcopy",
        }),
        member::Extent::Cut => Some(Error::CutShort {
            size,
            part: "metadata",
        }),
        member::Extent::Whole(len) => {
            let text = member::unwrap(bytes.get(..len)?).ok()?;
            let metadata = Metadata::read(&text).ok()?;
            let layout = Layout::of(&metadata, text.len()).ok()?;
            compare_sizes(size, &layout, read)
        }
    }
}

/// Compares the file's size with the one that its metadata implies.
fn compare_sizes(size: u64, layout: &Layout, read: Read<'_>) -> Option<Error> {
    let expected = layout.package_size();
    if size < expected {
        return Some(Error::Truncated { size, expected });
    }
    // Only a whole package can have something behind it.
    let trailer = read(layout.trailer)?;
    let whole = widen(trailer.len()) == TRAILER_LEN
        && trailer.starts_with(&MAGIC_START)
        && trailer.ends_with(&MAGIC_END);
    (size > expected && whole).then_some(Error::Appended { size, expected })
}

/// Whether a launcher is in the first bytes of the file: any other program without package data is just a program.
fn recognised(size: u64, read: Read<'_>) -> bool {
    Range::between(0, size.min(MAX_SEARCHED))
        .and_then(read)
        .is_some_and(|bytes| contains(&bytes, LAUNCHER_MARK))
}

fn contains(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark)
}

/// Where a 64-bit little-endian ELF file ends by its own headers (ELF-64 Object File Format 1.5, 3 to 6): behind its last
/// segment and its section header table.
fn elf_end(start: &[u8], read: Read<'_>) -> Option<u64> {
    if !start.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let program_headers = Range::new(
        number(start, 32, 8)?,
        number(start, 54, 2)?.checked_mul(number(start, 56, 2)?)?,
    )?;
    let section_headers = Range::new(
        number(start, 40, 8)?,
        number(start, 58, 2)?.checked_mul(number(start, 60, 2)?)?,
    )?;
    if number(start, 54, 2)? != widen(PROGRAM_HEADER) {
        return None;
    }
    let mut end = section_headers.end().max(program_headers.end());
    // A file that is cut off in its headers has no end that could be told.
    for header in read(program_headers)?.chunks_exact(PROGRAM_HEADER) {
        let segment = Range::new(number(header, 8, 8)?, number(header, 32, 8)?)?;
        end = end.max(segment.end());
    }
    Some(end)
}

/// A little-endian number of `size` bytes at offset `at`.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    bytes.iter().rev().try_fold(0_u64, |n, &byte| {
        Some(n.checked_mul(256)? | u64::from(byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Checksum, Digest};
    use crate::encode::place;
    use crate::metadata::tests::example;

    /// The smallest launcher: an ELF header, one program header, the mark.
    fn launcher() -> Vec<u8> {
        let mut elf = vec![0; 120];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf.extend(LAUNCHER_MARK);
        elf[32] = 64; // program headers
        elf[54] = 56; // size of one
        elf[56] = 1; // how many
        elf[64 + 32] = 160; // bytes of the segment
        elf.resize(160, 0);
        elf
    }

    fn package() -> Vec<u8> {
        let launcher = launcher();
        let mut metadata = example();
        metadata.launcher.size = widen(launcher.len());
        metadata.launcher.checksum = Checksum(Digest::of(&launcher));
        let (_, head) = place(metadata).unwrap_or_else(|e| panic!("{e}"));
        let mut out = [&launcher[..], &head.bytes].concat();
        let end = usize::try_from(head.layout.trailer.start()).unwrap_or(0);
        out.resize(end, 0);
        out.extend(head.trailer(None));
        out
    }

    /// What is said about these bytes, and how many were read for it.
    fn ask(bytes: &[u8]) -> (Error, u64) {
        let mut read = 0;
        let error = diagnose(Error::NoTrailer, widen(bytes.len()), |range| {
            assert!(range.len() < 8 << 20);
            read += range.len();
            range.of(bytes).map(<[u8]>::to_vec)
        });
        (error, read)
    }

    #[test]
    fn what_happened() {
        let good = package();
        let (size, elf) = (good.len(), launcher().len());
        let truncated = |size| Error::Truncated {
            size,
            expected: widen(good.len()),
        };
        for cut in [1, 4, 8200, 8300] {
            let (error, _) = ask(&good[..size - cut]);
            assert_eq!(error, truncated(widen(size - cut)));
        }
        for (end, part) in [
            (elf + 1, "metadata"),
            (elf + 40, "metadata"),
            (155, "launcher"),
        ] {
            let size = widen(end);
            assert_eq!(ask(&good[..end]).0, Error::CutShort { size, part });
        }
        let tool = "strip or objcopy";
        assert_eq!(ask(&good[..elf]).0, Error::DataRemoved { tool });
        let (appended, _) = ask(&[&good[..], b"x"].concat());
        assert!(matches!(appended, Error::Appended { .. }));
        // Any other program is just a program.
        assert_eq!(ask(&good[..120]).0, Error::NoTrailer);
        assert_eq!(ask(b"").0, Error::NoTrailer);
        assert_eq!(ask(b"#!/bin/sh\n").0, Error::NoTrailer);
    }

    #[test]
    fn no_number_is_believed() {
        let good = package();
        for at in (0..launcher().len() - 8).chain(160..400) {
            for value in [0, 1, u64::MAX, 1 << 63, 1 << 40, 0xffff_ffff] {
                let mut bytes = good.clone();
                bytes[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
                assert!(ask(&bytes).1 < 16 << 20);
            }
        }
    }
}
