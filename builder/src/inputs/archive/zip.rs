//! `.zip` archives: permission bits and links where a Unix tool wrote them, plain files and directories otherwise.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, Read, Seek};

use psp_format::limits::MAX_PATH;
use zip::extra_fields::ExtraField;
use zip::read::ZipFile;
use zip::{DateTime, System, ZipArchive};

use super::{Header, Unpacker};
use crate::inputs::error::{Fault, InputError};

/// The type bits of a Unix mode, and the types that are known.
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
/// The directory bit of the DOS attributes.
const DOS_DIRECTORY: u32 = 0x10;

/// Reads every entry in the order of the central directory.
pub(super) fn unpack(file: File, unpacker: &mut Unpacker<'_, '_>) -> Result<(), InputError> {
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|error| unpacker.corrupt(error.to_string()))?;
    if archive.has_duplicate_names() {
        // The reader keeps only the last entry of a name, so the name is not known here.
        return Err(unpacker.corrupt("two of its entries have the same name"));
    }
    for index in 0..archive.len() {
        let facts = archive
            .by_index_raw(index)
            .map_err(|error| unpacker.corrupt(error.to_string()))
            .and_then(|entry| Facts::of(&entry, unpacker))?;
        one_entry(&mut archive, index, &facts, unpacker)?;
    }
    Ok(())
}

/// What the central directory says about an entry.
struct Facts {
    name: Vec<u8>,
    /// Type and permission bits.
    mode: u32,
    mtime: i64,
    size: u64,
}

impl Facts {
    fn of<R: Read>(
        entry: &ZipFile<'_, R>,
        unpacker: &Unpacker<'_, '_>,
    ) -> Result<Self, InputError> {
        let unix = matches!(entry.system(), System::Unix | System::OsDarwin);
        let name = match unix {
            true => entry.name_raw().to_vec(),
            // Code page 437 where it is not UTF-8.
            false => {
                let name = entry
                    .name()
                    .map_err(|error| unpacker.corrupt(error.to_string()))?;
                name.as_bytes().to_vec()
            }
        };
        if !unix && name.contains(&b'\\') {
            return Err(unpacker.error(&name, Fault::Backslash));
        }
        if entry.encrypted() {
            return Err(unpacker.error(&name, Fault::Encrypted));
        }
        let mode = mode(unix, entry.external_attributes(), &name);
        Ok(Self {
            mode,
            mtime: mtime(entry),
            size: entry.size(),
            name,
        })
    }
}

/// Type and permission bits: those of the entry where a Unix tool wrote it, or what is usual.
fn mode(unix: bool, attributes: u32, name: &[u8]) -> u32 {
    let written = if unix { attributes >> 16 } else { 0 };
    let directory = name.ends_with(b"/") || !unix && attributes & DOS_DIRECTORY != 0;
    let kind = match written & TYPE {
        _ if directory => DIRECTORY,
        0 => REGULAR,
        kind => kind,
    };
    let permissions = match written & 0o7777 {
        0 if kind == DIRECTORY => 0o755,
        // Libraries that write entries from memory leave the mode out.
        0 => 0o644,
        permissions => permissions,
    };
    kind | permissions
}

/// Unix seconds: exact where the entry has the field for it. Otherwise the DOS time, which is local to a place that
/// the archive does not name and counts every other second; it is taken for UTC, so that the result is the same
/// everywhere.
fn mtime<R: Read>(entry: &ZipFile<'_, R>) -> i64 {
    let exact = entry.extra_data_fields().find_map(|field| match field {
        ExtraField::ExtendedTimestamp(times) => times.mod_time(),
        _ => None,
    });
    match (exact, entry.last_modified()) {
        (Some(seconds), _) => seconds.into(),
        (None, Some(time)) => dos_time(time),
        (None, None) => 0,
    }
}

fn dos_time(time: DateTime) -> i64 {
    let seconds =
        i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    days(time.year().into(), time.month().into(), time.day().into()) * 86_400 + seconds
}

/// Days from 1970-01-01 to a day of the Gregorian calendar from then on. The year is made to begin in March, so that
/// the day that comes and goes is its last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 719_469
}

fn one_entry<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    index: usize,
    facts: &Facts,
    unpacker: &mut Unpacker<'_, '_>,
) -> Result<(), InputError> {
    let header = Header {
        name: &facts.name,
        mode: facts.mode,
        mtime: facts.mtime,
    };
    let path = unpacker.archive;
    let failure = |error: &dyn Display| {
        InputError::entry(
            path,
            &facts.name,
            Fault::Content {
                reason: error.to_string(),
            },
        )
    };
    match facts.mode & TYPE {
        DIRECTORY => unpacker.directory(&header),
        REGULAR => {
            let mut entry = archive.by_index(index).map_err(|error| failure(&error))?;
            unpacker.file(&header, facts.size, &mut entry, |error| failure(&error))
        }
        LINK => {
            let entry = archive.by_index(index).map_err(|error| failure(&error))?;
            let mut target = Vec::new();
            // One byte more than a target can have, so that too long a one is seen as such.
            let most = MAX_PATH as u64 + 1;
            entry
                .take(most)
                .read_to_end(&mut target)
                .map_err(|error| failure(&error))?;
            unpacker.symlink(&header, &target)
        }
        other => {
            let what = format!("of type {other:06o}, no file, directory or link");
            unpacker.special(&facts.name, what)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(1980, 1, 1) * 86_400, 315_532_800);
        assert_eq!(days(2000, 2, 29), 11_016);
        assert_eq!(days(2000, 3, 1), 11_017);
        assert_eq!(days(2107, 12, 31), 50_402);
    }

    #[test]
    fn modes_come_from_unix_tools_only() {
        assert_eq!(mode(true, 0o100_755 << 16, b"a"), 0o100_755);
        assert_eq!(mode(true, 0o120_777 << 16, b"a"), 0o120_777);
        assert_eq!(mode(true, 0o040_700 << 16, b"a/"), 0o040_700);
        assert_eq!(mode(true, 0o600 << 16, b"a"), 0o100_600);
        assert_eq!(mode(true, 0, b"a"), 0o100_644);
        assert_eq!(mode(true, 0, b"a/"), 0o040_755);
        assert_eq!(mode(false, 0o100_755 << 16, b"a"), 0o100_644);
        assert_eq!(mode(false, DOS_DIRECTORY, b"a"), 0o040_755);
        assert_eq!(mode(false, 0, b"a/"), 0o040_755);
    }
}
