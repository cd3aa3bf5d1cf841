//! A package as a row of units: frames, and pieces of everything else. Together they are the whole file.

use psp_format::frames::{FOOTER_SIZE, SeekTable};
use psp_format::metadata::Slot;
use psp_format::ops::Operations;
use psp_format::range::{Range, widen};

use super::codec;
use super::format::{MAX_CONTENT, Reference};
use super::similar::{Shape, chunks};
use crate::compare::Subject;
use crate::package_file::FileError;

/// Pieces of what is no frame: a launcher is one, a large file that is not compressed has many.
const PIECES: Shape = Shape {
    min: 512 << 10,
    bits: 19,
    max: 4 << 20,
};
/// How much is read to be cut into pieces.
const WINDOW: u64 = 16 << 20;

/// A part of a package that is looked for as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// Where it lies in the file.
    pub(super) stored: Range,
    /// Bytes of content of a frame.
    pub(super) content: Option<u32>,
    /// What it is.
    pub(super) role: Role,
}

impl Unit {
    /// The unit as a part of a prefix: the content of a frame, everything else as it is.
    pub(super) fn reference(&self) -> Reference {
        Reference {
            stored: self.stored,
            content: self.content,
        }
    }

    /// Likewise, but as it is in any case.
    pub(super) fn stored_reference(&self) -> Reference {
        Reference {
            stored: self.stored,
            content: None,
        }
    }
}

/// What a unit is: in another package, the one with the same role stands for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Role {
    part: Part,
    /// Id of the slot, or nothing.
    slot: String,
    /// Which of several.
    nth: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Launcher,
    /// Metadata and slot table.
    Head,
    /// A frame of a slot.
    Frame,
    /// Stored bytes that are no frames.
    Bytes,
    /// The seek table of a slot.
    Table,
    Trailer,
}

/// The units of a package, in order.
pub(super) fn units(package: &Subject) -> Result<Vec<Unit>, FileError> {
    let mut row = Row {
        package,
        units: Vec::new(),
        at: 0,
    };
    let layout = package.layout();
    row.pieces(Part::Launcher, "", layout.launcher.end())?;
    // The padding in front of a region belongs to the one before it.
    let starts = layout.slots.iter().skip(1).map(Range::start);
    let ends = starts.chain([layout.trailer.start()]);
    let first = layout
        .slots
        .first()
        .map_or(layout.trailer.start(), Range::start);
    row.pieces(Part::Head, "", first)?;
    for ((slot, range), end) in package.slots().zip(ends) {
        if let Some(table) = seek_table(package, slot, range)? {
            row.frames(&slot.id, range.start(), &table)?;
            row.pieces(Part::Table, &slot.id, end)?;
        } else {
            row.pieces(Part::Bytes, &slot.id, end)?;
        }
    }
    row.pieces(Part::Trailer, "", package.file().size())?;
    Ok(row.units)
}

/// The seek table of a slot that has one.
fn seek_table(
    package: &Subject,
    slot: &Slot,
    range: Range,
) -> Result<Option<SeekTable>, FileError> {
    if !matches!(slot.operations, Operations::Zstd | Operations::TarZst) {
        return Ok(None);
    }
    let footer = range.end().saturating_sub(widen(FOOTER_SIZE));
    let Some(footer) = Range::between(footer.max(range.start()), range.end()) else {
        return Ok(None);
    };
    let footer = package.file().read(footer)?;
    let Ok(table) = SeekTable::range(range.len(), &footer) else {
        return Ok(None);
    };
    let start = range.start().checked_add(table.start());
    let Some(table) = start.and_then(|start| Range::new(start, table.len())) else {
        return Ok(None);
    };
    let table = package.file().read(table)?;
    Ok(SeekTable::read(range.len(), slot.original_size, &table).ok())
}

struct Row<'a> {
    package: &'a Subject,
    units: Vec<Unit>,
    /// Where the next unit begins.
    at: u64,
}

impl Row<'_> {
    fn push(&mut self, part: Part, slot: &str, nth: usize, len: u64, content: Option<u32>) {
        let Some(stored) = Range::new(self.at, len).filter(|stored| !stored.is_empty()) else {
            return;
        };
        self.at = stored.end();
        let slot = slot.to_owned();
        self.units.push(Unit {
            stored,
            content,
            role: Role { part, slot, nth },
        });
    }

    fn frames(&mut self, slot: &str, start: u64, table: &SeekTable) -> Result<(), FileError> {
        for (nth, frame) in table.frames().iter().enumerate() {
            let content = u32::try_from(frame.content.len()).ok();
            let usual = content.filter(|content| {
                let bound = codec::bound(*content).min(MAX_CONTENT);
                frame.stored.len() <= bound
            });
            match usual {
                Some(_) => self.push(Part::Frame, slot, nth, frame.stored.len(), usual),
                // A builder that stores more than there is.
                None => self.pieces(Part::Bytes, slot, start.saturating_add(frame.stored.end()))?,
            }
        }
        Ok(())
    }

    /// Everything up to `end`, cut at places that what stands before does not move.
    fn pieces(&mut self, part: Part, slot: &str, end: u64) -> Result<(), FileError> {
        let mut nth = 0;
        while self.at < end {
            let left = end.saturating_sub(self.at);
            let Some(window) = Range::new(self.at, left.min(WINDOW)) else {
                break;
            };
            let bytes = self.package.file().read(window)?;
            let mut lengths: Vec<usize> = chunks(&bytes, PIECES).map(<[u8]>::len).collect();
            if window.len() < left {
                // It ends with the window, and not where it should.
                lengths.pop();
            }
            for length in lengths {
                self.push(part, slot, nth, widen(length), None);
                nth += 1;
            }
        }
        Ok(())
    }
}
