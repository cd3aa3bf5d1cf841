//! `.tar` archives, in the dialects that are found: v7, ustar, GNU, PAX.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::rc::Rc;

use tar::{Archive, Entry, EntryType};

use super::{Header, Unpacker, compression};
use crate::inputs::error::{Fault, InputError, shown};

/// Bytes that may stand between two entries' contents: headers, long names, PAX records. The tar reader holds the
/// latter in memory, so this bounds it.
const HEADER_BYTES: u64 = 1 << 20;
/// Zeros that may follow the end mark; tools fill up the last record, 10 KiB by default.
const TRAILING_BYTES: u64 = 64 << 20;

/// Reads every entry of an archive, compressed or not.
pub(super) fn unpack(file: File, unpacker: &mut Unpacker<'_, '_>) -> Result<(), InputError> {
    let decoder =
        compression::decoder(file).map_err(|error| unpacker.corrupt(error.to_string()))?;
    unpack_stream(decoder, unpacker)
}

/// Reads every entry, and then the rest of the stream, so that damage after the last entry is seen as well.
pub(super) fn unpack_stream(
    stream: impl Read,
    unpacker: &mut Unpacker<'_, '_>,
) -> Result<(), InputError> {
    let meter = Rc::new(Meter::default());
    let mut archive = Archive::new(Metered {
        inner: stream,
        meter: meter.clone(),
    });

    meter.allow(HEADER_BYTES);
    let entries = archive
        .entries()
        .map_err(|error| failure(unpacker, &meter, error))?;
    for entry in entries {
        let mut entry = entry.map_err(|error| failure(unpacker, &meter, error))?;
        let left = one_entry(&mut entry, unpacker, &meter)?;
        meter.allow(HEADER_BYTES.saturating_add(left));
    }
    if meter.ended.get() {
        // The reader takes the end of the stream for the end of the archive; the archive has a mark for it.
        return Err(unpacker.truncated());
    }
    meter.allow(TRAILING_BYTES);
    only_zeros(archive.into_inner(), unpacker, &meter)
}

/// Gives the bytes of content that are left to be passed over.
fn one_entry<R: Read>(
    entry: &mut Entry<'_, R>,
    unpacker: &mut Unpacker<'_, '_>,
    meter: &Meter,
) -> Result<u64, InputError> {
    let name = entry.path_bytes().into_owned();
    let size = entry.size();
    if let Some(what) = special(entry, &name, unpacker, meter)? {
        unpacker.reserve(size)?;
        unpacker.special(&name, what)?;
        return Ok(size);
    }
    let raw = entry.header();
    let mode = raw
        .mode()
        .map_err(|error| unpacker.corrupt(format!("{}: {error}", shown(&name))))?;
    // A time before 1970 cannot be told from a damaged field; it is of no consequence.
    let mtime = raw
        .mtime()
        .ok()
        .and_then(|time| i64::try_from(time).ok())
        .unwrap_or(0);
    let header = Header {
        name: &name,
        mode,
        mtime,
    };
    match raw.entry_type() {
        EntryType::XGlobalHeader => {}
        EntryType::Directory => unpacker.directory(&header)?,
        // Before ustar, a slash at the end of the name was all that made a directory.
        EntryType::Regular if name.ends_with(b"/") && size == 0 => unpacker.directory(&header)?,
        EntryType::Symlink => {
            unpacker.symlink(&header, &entry.link_name_bytes().unwrap_or_default())?;
        }
        EntryType::Link => {
            unpacker.hard_link(&header, &entry.link_name_bytes().unwrap_or_default())?;
        }
        _ => {
            meter.allow(size.saturating_add(HEADER_BYTES));
            let archive = unpacker.archive;
            let cut_short = Cell::new(false);
            let mut source = Whole {
                inner: entry,
                left: size,
                cut_short: &cut_short,
            };
            unpacker.file(&header, size, &mut source, |error| match cut_short.get() {
                true => InputError::Truncated {
                    archive: archive.into(),
                },
                false => explain(archive, meter, &error),
            })?;
        }
    }
    Ok(0)
}

/// What an entry is that no slot can hold. The reader passes over PAX records that it does not know, so those that
/// change what the entry is are looked for here.
fn special<R: Read>(
    entry: &mut Entry<'_, R>,
    name: &[u8],
    unpacker: &Unpacker<'_, '_>,
    meter: &Meter,
) -> Result<Option<String>, InputError> {
    let kind = entry.header().entry_type();
    let records = entry
        .pax_extensions()
        .map_err(|error| explain(unpacker.archive, meter, &error))?;
    for record in records.into_iter().flatten() {
        // One that cannot be parsed could be the name, and the reader would silently use the short one.
        let record = record.map_err(|error| {
            unpacker.error(
                name,
                Fault::Content {
                    reason: error.to_string(),
                },
            )
        })?;
        let key = record.key_bytes();
        if key.starts_with(b"GNU.sparse.") {
            return Ok(Some("a sparse file".into()));
        }
        if kind.is_pax_global_extensions() && matches!(key, b"path" | b"linkpath" | b"size") {
            let what = format!("a global header that sets {}", shown(key));
            return Err(unpacker.error(name, Fault::Special { what }));
        }
    }
    Ok(match kind {
        EntryType::Regular
        | EntryType::Continuous
        | EntryType::Directory
        | EntryType::Symlink
        | EntryType::Link
        | EntryType::XGlobalHeader => None,
        EntryType::Fifo => Some("a FIFO".into()),
        EntryType::Char | EntryType::Block => Some("a device".into()),
        EntryType::GNUSparse => Some("a sparse file".into()),
        other => Some(format!("of the unknown type {}", shown(&[other.as_byte()]))),
    })
}

fn only_zeros(
    mut rest: impl Read,
    unpacker: &Unpacker<'_, '_>,
    meter: &Meter,
) -> Result<(), InputError> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match rest.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) if buffer[..count].iter().any(|byte| *byte != 0) => {
                return Err(unpacker.corrupt("something follows its end mark"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failure(unpacker, meter, error)),
        }
    }
}

fn failure(unpacker: &Unpacker<'_, '_>, meter: &Meter, error: io::Error) -> InputError {
    explain(unpacker.archive, meter, &error)
}

/// An error of the tar reader or a decoder. Both say "unexpected end" in several ways, so the meter is asked instead.
fn explain(archive: &std::path::Path, meter: &Meter, error: &io::Error) -> InputError {
    if meter.ended.get() || error.kind() == io::ErrorKind::UnexpectedEof {
        return InputError::Truncated {
            archive: archive.into(),
        };
    }
    InputError::Corrupt {
        archive: archive.into(),
        reason: error.to_string(),
    }
}

/// How many bytes the tar reader may still take, and whether it has seen the end of the stream.
#[derive(Default)]
struct Meter {
    allowed: Cell<u64>,
    ended: Cell<bool>,
}

impl Meter {
    fn allow(&self, bytes: u64) {
        self.allowed.set(bytes);
    }
}

struct Metered<R> {
    inner: R,
    meter: Rc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self.meter.allowed.get();
        let room = usize::try_from(allowed)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if room == 0 && !buffer.is_empty() {
            return Err(io::Error::other("headers or padding of an absurd size"));
        }
        let count = self.inner.read(&mut buffer[..room])?;
        self.meter.allowed.set(allowed - count as u64);
        self.meter.ended.set(count == 0 && !buffer.is_empty());
        Ok(count)
    }
}

/// An entry's content, which must be there to its last byte.
struct Whole<'a, R> {
    inner: R,
    left: u64,
    cut_short: &'a Cell<bool>,
}

impl<R: Read> Read for Whole<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            self.cut_short.set(true);
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}
