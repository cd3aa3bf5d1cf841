//! Two slots of one id, file by file. Paths of a tar slot ascend (SPEC.md 4.5, M55), so both streams are read once, side by
//! side, and a tree of any size takes the memory of its list.

use std::io::{self, Read};

use psp_format::metadata::Slot;
use psp_format::range::{Range, widen};
use psp_format::tar::{self, Entry, Kind};

use super::{Difference, Part};
use crate::contents;
use crate::error::Error;
use crate::examine::Refusal;
use crate::package_file::PackageFile;
use crate::printer::{Meter, escape_bytes};

/// How much of two files is compared at once.
const PIECE: usize = 64 << 10;

/// A slot in its file.
type Place<'a> = (&'a PackageFile, (&'a Slot, Range));

/// What differs between the slots. Both have been checked.
pub(super) fn differences([a, b]: [Place<'_>; 2], meter: &Meter) -> Result<Vec<Difference>, Error> {
    let (slot, other) = (a.1.0, b.1.0);
    if slot.checksum == other.checksum && slot.operations == other.operations {
        meter.advance(slot.original_size.saturating_add(other.original_size));
        return Ok(Vec::new());
    }
    let mut found = match (slot.operations.is_tar(), other.operations.is_tar()) {
        (true, true) => trees(a, b, meter)?,
        (false, false) => files(a, b, meter)?,
        // Told as a difference of the metadata.
        (true, false) | (false, true) => Vec::new(),
    };
    if found.is_empty() {
        let size = |slot: &Slot| Some(format!("{} bytes", slot.size));
        let what = "the same content, stored in another way";
        found.push(Difference::new(Part::Slot, what, size(slot), size(other)));
    }
    Ok(found.into_iter().map(|one| one.in_slot(&slot.id)).collect())
}

fn files(a: Place<'_>, b: Place<'_>, meter: &Meter) -> Result<Vec<Difference>, Error> {
    let (mut one, mut other) = (Stream::open(a)?, Stream::open(b)?);
    let sizes = (a.1.0.original_size, b.1.0.original_size);
    let difference = content(&mut one, &mut other, sizes, meter)?;
    let path = a.1.0.target.as_bytes();
    Ok(difference
        .map(|difference| difference.of_file(path))
        .into_iter()
        .collect())
}

fn trees(a: Place<'_>, b: Place<'_>, meter: &Meter) -> Result<Vec<Difference>, Error> {
    let (list_a, list_b) = (list(a, meter)?, list(b, meter)?);
    let (mut one, mut other) = (Stream::open(a)?, Stream::open(b)?);
    let (mut entries_a, mut entries_b) = (list_a.entries(), list_b.entries());
    let (mut left, mut right) = (entries_a.next(), entries_b.next());
    let (root_a, root_b) = (a.1.0.target.as_bytes(), b.1.0.target.as_bytes());
    let mut found = Vec::new();
    loop {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (&left, &right) {
            (None, None) => return Ok(found),
            (Some(_), None) => Less,
            (None, Some(_)) => Greater,
            // Slots with another target each are still compared file by file.
            (Some(a), Some(b)) => inside(&a.path, root_a).cmp(inside(&b.path, root_b)),
        };
        if let (Less, Some(entry)) = (order, &left) {
            let only = Difference::new(Part::Slot, "", Some(kind(entry).to_owned()), None);
            found.push(only.of_file(&entry.path));
            one.skip_entry(entry)?;
        }
        if let (Greater, Some(entry)) = (order, &right) {
            let only = Difference::new(Part::Slot, "", None, Some(kind(entry).to_owned()));
            found.push(only.of_file(&entry.path));
            other.skip_entry(entry)?;
        }
        if let (Equal, Some(a), Some(b)) = (order, &left, &right) {
            one.skip(header(a))?;
            other.skip(header(b))?;
            let changed = entry(a, b).into_iter();
            found.extend(changed.map(|difference| difference.of_file(&a.path)));
            let sizes = (a.size(), b.size());
            let both = matches!((&a.kind, &b.kind), (Kind::File(_), Kind::File(_)));
            match both {
                true => {
                    let difference = content(&mut one, &mut other, sizes, meter)?;
                    found.extend(difference.map(|difference| difference.of_file(&a.path)));
                }
                false => {
                    one.skip(sizes.0)?;
                    other.skip(sizes.1)?;
                }
            }
            one.skip(widen(tar::padding(sizes.0)))?;
            other.skip(widen(tar::padding(sizes.1)))?;
        }
        if order != Greater {
            left = entries_a.next();
        }
        if order != Less {
            right = entries_b.next();
        }
    }
}

fn list(
    (file, (slot, range)): Place<'_>,
    meter: &Meter,
) -> Result<psp_launcher::extract::Listing, Error> {
    let listing = contents::check(file, slot, range, meter)?;
    listing.map_err(|refusal| refused(file, refusal))
}

fn refused(file: &PackageFile, refusal: Refusal) -> Error {
    Error::Refused {
        path: file.path().to_owned(),
        refusal,
    }
}

/// The path below the slot's target.
fn inside<'a>(path: &'a [u8], root: &[u8]) -> &'a [u8] {
    let rest = path.strip_prefix(root).unwrap_or(path);
    rest.strip_prefix(b"/").unwrap_or(rest)
}

/// What differs between two entries of one path, but for the content of files.
fn entry(a: &Entry, b: &Entry) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |what: &str, a: String, b: String| {
        if a != b {
            found.push(Difference::new(Part::Slot, what, Some(a), Some(b)));
        }
    };
    compare("kind", kind(a).to_owned(), kind(b).to_owned());
    if kind(a) == kind(b) {
        let text = |mode| format!("{mode:04o}");
        compare("mode", text(a.mode), text(b.mode));
        compare("target", link(a), link(b));
    }
    compare("time", a.mtime.to_string(), b.mtime.to_string());
    found
}

fn kind(entry: &Entry) -> &'static str {
    match entry.kind {
        Kind::File(_) => "a file",
        Kind::Directory => "a directory",
        Kind::Symlink(_) => "a symbolic link",
        Kind::HardLink(_) => "a hard link",
    }
}

fn link(entry: &Entry) -> String {
    match &entry.kind {
        Kind::Symlink(target) | Kind::HardLink(target) => escape_bytes(target),
        Kind::File(_) | Kind::Directory => String::new(),
    }
}

/// Bytes in front of an entry's content. An entry has exactly one encoding.
fn header(entry: &Entry) -> u64 {
    widen(tar::encode(entry).len())
}

/// Reads two files of these sizes, to their end, and says where they differ first.
fn content(
    one: &mut Stream<'_>,
    other: &mut Stream<'_>,
    (size_a, size_b): (u64, u64),
    meter: &Meter,
) -> Result<Option<Difference>, Error> {
    let common = size_a.min(size_b);
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    let (mut at, mut first) = (0_u64, None);
    while at < common {
        let len = usize::try_from(common.saturating_sub(at)).unwrap_or(PIECE);
        let (left, _) = left.split_at_mut(len.min(PIECE));
        let (right, _) = right.split_at_mut(len.min(PIECE));
        one.read(left)?;
        other.read(right)?;
        if first.is_none() && left != right {
            let nth = left.iter().zip(right.iter()).position(|(a, b)| a != b);
            first = nth.map(|nth| at.saturating_add(widen(nth)));
        }
        at = at.saturating_add(widen(left.len()));
        meter.advance(widen(left.len()));
    }
    one.skip(size_a.saturating_sub(common))?;
    other.skip(size_b.saturating_sub(common))?;
    let first = first.or((size_a != size_b).then_some(common));
    Ok(first.map(|offset| {
        let size = |size: u64| Some(format!("{size} bytes"));
        Difference::new(Part::Slot, "content", size(size_a), size(size_b)).at(offset)
    }))
}

/// The decoded bytes of a slot.
struct Stream<'a> {
    place: Place<'a>,
    content: Box<dyn Read + 'a>,
}

impl<'a> Stream<'a> {
    fn open(place: Place<'a>) -> Result<Stream<'a>, Error> {
        let (file, (slot, range)) = place;
        let content = contents::decoded(file, slot, range);
        let content = content.map_err(|error| file.reading(range.start(), error))?;
        Ok(Stream { place, content })
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let result = self.content.read_exact(buffer);
        result.map_err(|error| self.failed(error))
    }

    fn skip(&mut self, len: u64) -> Result<(), Error> {
        let skipped = io::copy(&mut self.content.by_ref().take(len), &mut io::sink());
        match skipped {
            Ok(skipped) if skipped == len => Ok(()),
            Ok(_) => Err(self.failed(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn skip_entry(&mut self, entry: &Entry) -> Result<(), Error> {
        let size = entry.size();
        let padding = widen(tar::padding(size));
        self.skip(header(entry).saturating_add(size).saturating_add(padding))
    }

    /// It has been decoded before, so the file was changed since.
    fn failed(&self, error: io::Error) -> Error {
        let (file, (_, range)) = self.place;
        file.reading(range.start(), error).into()
    }
}
