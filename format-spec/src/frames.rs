//! The seek table behind the Zstandard frames of a slot (SPEC.md 4.6).
//!
//! Decoding is not done here: this module says which stored bytes are a frame and how much content each must give.

use crate::text::Shown;
use core::fmt;

use crate::limits::{FULL_FRAME, MAX_FRAMES};
use crate::range::{Range, widen};

/// Bytes at the end of a slot from which the size of its seek table follows.
pub const FOOTER_SIZE: usize = 9;
const SKIPPABLE_HEADER: u64 = 8;
const ENTRY_SIZE: u64 = 8;
const SKIPPABLE_MAGIC: [u8; 4] = [0x5e, 0x2a, 0x4d, 0x18];
const SEEKABLE_MAGIC: [u8; 4] = [0xb1, 0xea, 0x92, 0x8f];

/// What is wrong with the frames of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameFault {
    /// The slot does not end with a seek table.
    NoSeekTable,
    /// More frames than M60 allows, or none.
    Count(u64),
    /// A frame without stored bytes or content, or with more content than [`FULL_FRAME`].
    Size {
        /// Number of the frame, from 0.
        frame: usize,
    },
    /// The sizes of the frames do not add up to the slot.
    Sum,
    /// A frame cannot be decoded within the limits of M63.
    Decode {
        /// Number of the frame, from 0.
        frame: usize,
        /// The decoder's words.
        detail: String,
    },
    /// A frame gives another amount of content than the seek table says, or stored bytes are left over.
    Content {
        /// Number of the frame, from 0.
        frame: usize,
    },
    /// A run does not begin and end at the ends of entries (M62).
    Boundary {
        /// Number of the run's first frame, from 0.
        frame: usize,
    },
}

impl fmt::Display for FrameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameFault::NoSeekTable => f.write_str("no seek table at the end"),
            FrameFault::Count(n) => write!(f, "{n} frames, from 1 to {MAX_FRAMES} are allowed"),
            FrameFault::Size { frame } => write!(f, "frame {frame}: an impossible size"),
            FrameFault::Sum => f.write_str("the sizes of the frames do not add up to the slot"),
            FrameFault::Decode { frame, detail } => {
                write!(f, "frame {frame}: {}", Shown(detail.as_bytes()))
            }
            FrameFault::Content { frame } => {
                write!(f, "frame {frame} does not hold what the seek table says")
            }
            FrameFault::Boundary { frame } => {
                write!(
                    f,
                    "frame {frame} does not begin or end where an archive entry does"
                )
            }
        }
    }
}

/// One frame of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Its stored bytes, from the start of the slot.
    pub stored: Range,
    /// Its content, from the start of the content.
    pub content: Range,
}

impl Frame {
    /// Whether the next frame continues this one (M61).
    pub fn is_full(&self) -> bool {
        self.content.len() == FULL_FRAME
    }
}

/// The frames of a slot, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeekTable {
    frames: Vec<Frame>,
}

impl SeekTable {
    /// Where the seek table of a slot of `slot_size` bytes lies, from the slot's last [`FOOTER_SIZE`] bytes.
    pub fn range(slot_size: u64, footer: &[u8]) -> Result<Range, FrameFault> {
        let (count, rest) = footer
            .split_first_chunk::<4>()
            .ok_or(FrameFault::NoSeekTable)?;
        if rest.strip_prefix(&[0]) != Some(&SEEKABLE_MAGIC[..]) {
            return Err(FrameFault::NoSeekTable);
        }
        let count = u64::from(u32::from_le_bytes(*count));
        if count == 0 || count > MAX_FRAMES {
            return Err(FrameFault::Count(count));
        }
        let size = count
            .checked_mul(ENTRY_SIZE)
            .and_then(|n| n.checked_add(OVERHEAD));
        size.and_then(|size| slot_size.checked_sub(size))
            .and_then(|start| Range::between(start, slot_size))
            .ok_or(FrameFault::NoSeekTable)
    }

    /// Reads the bytes of [`SeekTable::range`] and checks M60 and M61.
    pub fn read(slot_size: u64, original_size: u64, table: &[u8]) -> Result<SeekTable, FrameFault> {
        let footer = table
            .last_chunk::<FOOTER_SIZE>()
            .ok_or(FrameFault::NoSeekTable)?;
        let range = SeekTable::range(slot_size, footer)?;
        let body_size = range.len().saturating_sub(SKIPPABLE_HEADER);
        let entries = table
            .strip_prefix(&SKIPPABLE_MAGIC)
            .and_then(|rest| rest.split_first_chunk::<4>())
            .filter(|(size, body)| {
                u64::from(u32::from_le_bytes(**size)) == body_size && widen(body.len()) == body_size
            })
            .and_then(|(_, body)| body.strip_suffix(footer))
            .ok_or(FrameFault::NoSeekTable)?;
        let mut frames = Vec::with_capacity(entries.len() / 8);
        let (mut stored_end, mut content_end) = (0, 0);
        for (frame, entry) in entries.as_chunks::<8>().0.iter().enumerate() {
            let [a, b, c, d, e, f, g, h] = *entry;
            let stored_size = u64::from(u32::from_le_bytes([a, b, c, d]));
            let content_size = u64::from(u32::from_le_bytes([e, f, g, h]));
            if stored_size == 0 || content_size == 0 || content_size > FULL_FRAME {
                return Err(FrameFault::Size { frame });
            }
            let stored = Range::new(stored_end, stored_size).ok_or(FrameFault::Sum)?;
            let content = Range::new(content_end, content_size).ok_or(FrameFault::Sum)?;
            (stored_end, content_end) = (stored.end(), content.end());
            frames.push(Frame { stored, content });
        }
        if stored_end != range.start() || content_end != original_size {
            return Err(FrameFault::Sum);
        }
        Ok(SeekTable { frames })
    }

    /// Every frame.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// The runs (M61), each with the number of its first frame: what can be decoded independently.
    pub fn runs(&self) -> impl Iterator<Item = (usize, &[Frame])> {
        let mut first = 0_usize;
        self.frames
            .split_inclusive(|frame| !frame.is_full())
            .map(move |run| {
                let at = first;
                first = first.saturating_add(run.len());
                (at, run)
            })
    }
}

/// Size of a seek table without its entries.
const OVERHEAD: u64 = 17;

/// The seek table for frames of these stored and original sizes.
pub fn write_seek_table(frames: &[(u32, u32)]) -> Vec<u8> {
    let count = u32::try_from(frames.len()).unwrap_or(u32::MAX);
    let body = count.saturating_mul(8).saturating_add(9);
    let mut out = Vec::from(SKIPPABLE_MAGIC);
    out.extend(body.to_le_bytes());
    for (stored, original) in frames {
        out.extend(stored.to_le_bytes());
        out.extend(original.to_le_bytes());
    }
    out.extend(count.to_le_bytes());
    out.push(0);
    out.extend(SEEKABLE_MAGIC);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: u32 = 16 << 20;

    fn read(frames: &[(u32, u32)]) -> Result<SeekTable, FrameFault> {
        let table = write_seek_table(frames);
        let stored: u64 = frames.iter().map(|f| u64::from(f.0)).sum();
        let original = frames.iter().map(|f| u64::from(f.1)).sum();
        SeekTable::read(stored + widen(table.len()), original, &table)
    }

    #[test]
    fn runs_end_with_a_frame_that_is_not_full() {
        let table = read(&[(5, 10), (6, FULL), (7, FULL), (8, 3), (9, 4), (1, FULL)]);
        let table = table.unwrap_or_else(|e| panic!("{e}"));
        let runs: Vec<(usize, usize)> = table.runs().map(|(at, run)| (at, run.len())).collect();
        assert_eq!(runs, [(0, 1), (1, 3), (4, 1), (5, 1)]);
        assert_eq!(table.frames()[3].stored.start(), 18);
        assert_eq!(table.frames()[3].content.start(), 10 + 2 * u64::from(FULL));
    }

    #[test]
    fn sizes_are_checked() {
        assert_eq!(read(&[]), Err(FrameFault::Count(0)));
        assert_eq!(read(&[(0, 1)]), Err(FrameFault::Size { frame: 0 }));
        assert_eq!(read(&[(1, 1), (1, 0)]), Err(FrameFault::Size { frame: 1 }));
        assert_eq!(read(&[(1, FULL + 1)]), Err(FrameFault::Size { frame: 0 }));
        let table = write_seek_table(&[(4, 4)]);
        assert_eq!(table.len(), 25);
        assert!(SeekTable::read(29, 4, &table).is_ok());
        assert_eq!(SeekTable::read(30, 4, &table), Err(FrameFault::Sum));
        assert_eq!(SeekTable::read(29, 5, &table), Err(FrameFault::Sum));
        assert_eq!(SeekTable::read(24, 4, &table), Err(FrameFault::NoSeekTable));
        for at in 0..table.len() {
            let mut changed = table.clone();
            changed[at] ^= 1;
            assert!(SeekTable::read(29, 4, &changed).is_err(), "byte {at}");
            assert!(SeekTable::read(29, 4, &table[..at]).is_err());
        }
    }
}
