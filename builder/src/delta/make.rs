//! From two packages to the patch that makes the second one of the first.
//!
//! Units of the new package that stand in the old one are copied. Any other one becomes a payload that refers to what the
//! old package has of its content: units that were not copied, chosen by what is in them, or else the one with the same
//! role. A frame is worth that only when compressing its content gives its very bytes, which is tried here; otherwise its
//! stored bytes are the content. Nothing depends on time or on the number of processors: the same packages give the same patch.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use psp_format::digest::{Digest, Hasher};
use psp_format::range::{Range, widen};

use super::apply;
use super::codec::{self, Frames, Kind};
use super::format::{Express, Form, Header, MAX_REFERENCE, MAX_REFERENCES, Reference, Step};
use super::similar::Index;
use super::units::{Role, Unit, units};
use crate::compare::Subject;
use crate::package_file::{FileError, PackageFile};

/// Levels in the order in which they are tried: those that people use, then the others.
const LEVELS: [u8; 22] = [
    19, 3, 22, 9, 6, 12, 1, 15, 18, 20, 21, 17, 16, 14, 13, 11, 10, 8, 7, 5, 4, 2,
];

/// Whether frames that changed may be compressed anew when the patch is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recompress {
    /// Where that gives their very bytes with the Zstandard that is used here.
    WherePossible,
    /// Never: any version of Zstandard applies the patch.
    Never,
}

/// What a patch was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its header.
    pub header: Header,
    /// Its size.
    pub size: u64,
    /// Bytes of the new package that are copied.
    pub copied: u64,
    /// Frames that are compressed anew.
    pub recompressed: u64,
}

/// Why no patch was made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// A package cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The patch cannot be written, or there is no memory for it.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Writes the patch; `progress` is told of bytes of both packages that were looked at.
///
/// # Errors
///
/// Those of the system. What a package is like is no reason: both have been verified.
pub fn make(
    old: &Subject,
    new: &Subject,
    recompress: Recompress,
    out: &mut dyn Write,
    progress: &dyn Fn(u64),
) -> Result<Made, MakeError> {
    let header = Header {
        zstd: codec::zstd_version(),
        old_size: old.file().size(),
        old: digest_of(old.file())?,
        new_size: new.file().size(),
        new: digest_of(new.file())?,
    };
    let old_units = units(old)?;
    let new_units = units(new)?;
    let copies = copies(old.file(), &old_units, new.file(), &new_units, progress)?;
    let is_all_copied = copies.iter().all(Option::is_some);
    let mut maker = Maker {
        out: Out {
            out,
            hasher: Hasher::default(),
            size: 0,
        },
        old: old.file(),
        new: new.file(),
        old_units: &old_units,
        roles: old_units
            .iter()
            .zip(0..)
            .map(|(unit, nth)| (&unit.role, nth))
            .collect(),
        index: match is_all_copied {
            true => Index::default(),
            false => index(old.file(), &old_units, &copies)?,
        },
        levels: (recompress == Recompress::WherePossible).then_some(LEVELS.to_vec()),
        copy: None,
        copied: 0,
        recompressed: 0,
    };
    maker.out.put(&header.write())?;
    for (unit, copy) in new_units.iter().zip(copies) {
        match copy {
            Some(nth) => maker.copy(nth)?,
            None => maker.express(unit)?,
        }
        progress(unit.stored.len());
    }
    maker.end_copy()?;
    let (copied, recompressed) = (maker.copied, maker.recompressed);
    Ok(Made {
        header,
        size: maker.out.finish()?,
        copied,
        recompressed,
    })
}

fn digest_of(file: &PackageFile) -> Result<Digest, FileError> {
    match Range::new(0, file.size()) {
        Some(whole) => file.digest(whole, &|_| {}),
        None => Ok(Digest::of(&[])),
    }
}

/// For each unit of the new package, the unit of the old one that has the same bytes.
fn copies(
    old: &PackageFile,
    old_units: &[Unit],
    new: &PackageFile,
    new_units: &[Unit],
    progress: &dyn Fn(u64),
) -> Result<Vec<Option<usize>>, FileError> {
    let digests = |file: &PackageFile, units: &[Unit]| -> Result<Vec<Digest>, FileError> {
        let digests = units.iter().map(|unit| file.digest(unit.stored, &|_| {}));
        digests.collect()
    };
    let old_digests = digests(old, old_units)?;
    progress(old.size());
    let mut places: HashMap<Digest, usize> = HashMap::new();
    for (nth, digest) in old_digests.iter().enumerate() {
        places.entry(*digest).or_insert(nth);
    }
    let mut last: Option<usize> = None;
    let copies = digests(new, new_units)?.into_iter().map(|digest| {
        // The one behind the last, where there are several: both are one copy.
        let next = last.map(|nth| nth + 1);
        let next = next.filter(|nth| old_digests.get(*nth) == Some(&digest));
        last = next.or_else(|| places.get(&digest).copied());
        last
    });
    Ok(copies.collect())
}

/// What the units of the old package hold that are not copied: the new content that resembles it is in their place.
fn index(old: &PackageFile, units: &[Unit], copies: &[Option<usize>]) -> Result<Index, MakeError> {
    let mut is_copied = vec![false; units.len()];
    for nth in copies.iter().flatten() {
        if let Some(is_copied) = is_copied.get_mut(*nth) {
            *is_copied = true;
        }
    }
    let mut index = Index::default();
    let left = units.iter().enumerate().zip(is_copied);
    for ((nth, unit), _) in left.filter(|(_, is_copied)| !is_copied) {
        index.add(nth, &prefix(old, &[unit.reference()])?);
    }
    Ok(index)
}

struct Maker<'a> {
    out: Out<'a>,
    old: &'a PackageFile,
    new: &'a PackageFile,
    old_units: &'a [Unit],
    roles: BTreeMap<&'a Role, usize>,
    index: Index,
    /// Levels to try, the one that was right last first; none when frames are not compressed anew.
    levels: Option<Vec<u8>>,
    /// A copy that the next unit may continue.
    copy: Option<Range>,
    copied: u64,
    recompressed: u64,
}

impl<'a> Maker<'a> {
    fn copy(&mut self, nth: usize) -> Result<(), MakeError> {
        let Some(unit) = self.old_units.get(nth) else {
            return Ok(());
        };
        self.copied += unit.stored.len();
        let (start, end) = (unit.stored.start(), unit.stored.end());
        let continued = self.copy.filter(|copy| copy.end() == start);
        match continued.and_then(|copy| Range::between(copy.start(), end)) {
            Some(both) => self.copy = Some(both),
            None => {
                self.end_copy()?;
                self.copy = Some(unit.stored);
            }
        }
        Ok(())
    }

    fn end_copy(&mut self) -> Result<(), MakeError> {
        if let Some(range) = self.copy.take() {
            self.out.put(&Step::Copy(range).write())?;
        }
        Ok(())
    }

    fn express(&mut self, unit: &Unit) -> Result<(), MakeError> {
        self.end_copy()?;
        let stored = self.new.read(unit.stored)?;
        let Some(size) = unit.content else {
            let similar = self.similar(unit, &stored);
            let references = similar.into_iter().map(Unit::reference).collect();
            return self.plain(&stored, references, Kind::Content);
        };
        let size = usize::try_from(size).unwrap_or(0);
        // Both packages were decoded when they were verified.
        let content = codec::decode(&stored, size).ok_or_else(changed)?;
        let similar = self.similar(unit, &content);
        let references = similar.iter().map(|unit| unit.reference()).collect();
        if !similar.is_empty() && self.frame(&stored, &content, references)? {
            return Ok(());
        }
        drop(content);
        let references = similar.into_iter().map(Unit::stored_reference).collect();
        self.plain(&stored, references, Kind::Stored)
    }

    /// The units of the old package that new content may refer to, the best last: what is near costs less.
    fn similar(&self, unit: &Unit, content: &[u8]) -> Vec<&'a Unit> {
        let votes = self.index.votes(content);
        let size = widen(content.len());
        let worth = |votes: u64| votes.saturating_mul(32) >= size;
        let mut chosen: Vec<usize> = Vec::new();
        let mut found = 0;
        for (nth, votes) in votes.into_iter().filter(|(_, votes)| worth(*votes)) {
            chosen.push(nth);
            found += votes;
        }
        // A small change of something small leaves no chunk as it was.
        let counterpart = self.roles.get(&unit.role);
        if let Some(nth) = counterpart.filter(|nth| found < size / 2 && !chosen.contains(nth)) {
            chosen.push(*nth);
        }
        let mut room = MAX_REFERENCE;
        let units = chosen.into_iter().filter_map(|nth| self.old_units.get(nth));
        let fitting = units.filter(|unit| {
            let size = unit.reference().size().max(unit.stored.len());
            let rest = room.checked_sub(size);
            room = rest.unwrap_or(room);
            rest.is_some()
        });
        let mut units: Vec<&'a Unit> = fitting.take(MAX_REFERENCES).collect();
        units.reverse();
        units
    }

    /// Writes a frame as its content, where that is smaller and gives its bytes again.
    fn frame(
        &mut self,
        stored: &[u8],
        content: &[u8],
        references: Vec<Reference>,
    ) -> Result<bool, MakeError> {
        if self.levels.is_none() {
            return Ok(false);
        }
        let prefix = prefix(self.old, &references)?;
        let payload = codec::express(content, &prefix, Kind::Content).ok_or_else(no_memory)?;
        drop(prefix);
        if payload.len() >= stored.len() {
            return Ok(false);
        }
        let Some(level) = self.level_of(stored, content)? else {
            return Ok(false);
        };
        let form = Form::Frame {
            level,
            window_log: codec::pack_window_log(content.len()),
            size: narrow(stored.len()),
        };
        self.recompressed += 1;
        self.put(content.len(), form, references, &payload)?;
        Ok(true)
    }

    /// The level at which this content gives this frame. When there is none, no other frame is asked: they were made by
    /// another compressor.
    fn level_of(&mut self, stored: &[u8], content: &[u8]) -> Result<Option<u8>, MakeError> {
        let mut frames = Frames::new().ok_or_else(no_memory)?;
        let Some(levels) = &mut self.levels else {
            return Ok(None);
        };
        let found = levels
            .iter()
            .position(|level| frames.is_made_at(stored, content, *level));
        let Some(nth) = found else {
            self.levels = None;
            return Ok(None);
        };
        if let Some(first) = levels.get_mut(..=nth) {
            first.rotate_right(1);
        }
        Ok(levels.first().copied())
    }

    /// Writes bytes as they are.
    fn plain(
        &mut self,
        bytes: &[u8],
        references: Vec<Reference>,
        kind: Kind,
    ) -> Result<(), MakeError> {
        let prefix = prefix(self.old, &references)?;
        let payload = codec::express(bytes, &prefix, kind).ok_or_else(no_memory)?;
        self.put(bytes.len(), Form::Plain, references, &payload)
    }

    fn put(
        &mut self,
        content: usize,
        form: Form,
        references: Vec<Reference>,
        payload: &[u8],
    ) -> Result<(), MakeError> {
        let step = Step::Express(Express {
            references,
            content: narrow(content),
            form,
            payload: Range::new(0, widen(payload.len())).ok_or_else(changed)?,
        });
        self.out.put(&step.write())?;
        self.out.put(payload)?;
        Ok(())
    }
}

/// Units are far smaller than this.
fn narrow(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn prefix(old: &PackageFile, references: &[Reference]) -> Result<Vec<u8>, MakeError> {
    let prefix = apply::prefix(references, old);
    let prefix = prefix.map_err(|(offset, error)| old.reading(offset, error))?;
    Ok(prefix.ok_or_else(changed)?)
}

fn changed() -> io::Error {
    io::Error::other("a package changed while it was read")
}

fn no_memory() -> io::Error {
    io::ErrorKind::OutOfMemory.into()
}

/// The patch, digested as it is written.
struct Out<'a> {
    out: &'a mut dyn Write,
    hasher: Hasher,
    size: u64,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.size += widen(bytes.len());
        self.out.write_all(bytes)
    }

    /// Writes the digest, and gives the size of it all.
    fn finish(self) -> io::Result<u64> {
        let digest = self.hasher.finish();
        self.out.write_all(&digest.0)?;
        Ok(self.size + widen(digest.0.len()))
    }
}
