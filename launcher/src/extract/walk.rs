//! Tar content to entries (SPEC.md 4.5), pushed in pieces of any size.
//!
//! A [`Walk`] reads one run: a whole archive, or the part of it that a run of frames holds (M62). It parses headers with
//! [`psp_format::tar::Parser`], hands entries and content to a [`Visitor`], and keeps the list of what it saw, from
//! which the rules about the whole tree are checked later ([`super::listing::Listing::check`]).

use core::sync::atomic::{AtomicU64, Ordering};

use psp_format::Error;
use psp_format::limits::MAX_ENTRIES;
use psp_format::metadata::Slot;
use psp_format::range::widen;
use psp_format::tar::{BLOCK, Entry, Header, Kind, Parser, TarFault, padding};

use super::error::ExtractError;
use super::listing::Listing;
use super::source::at_most;

/// What is done with the entries of an archive. Calls come in the order of the archive.
pub(crate) trait Visitor {
    /// An entry begins.
    fn entry(&mut self, entry: &Entry) -> Result<(), ExtractError>;
    /// Some content of the file that began last.
    fn data(&mut self, bytes: &[u8]) -> Result<(), ExtractError>;
    /// The content of the file that began last is complete.
    fn end(&mut self) -> Result<(), ExtractError>;
}

enum State {
    /// At an entry, or after the PAX header of one.
    Header { after_pax: bool },
    /// In a PAX header of this many bytes with its padding.
    Pax(usize),
    /// In content, with so many bytes left.
    Content(u64),
    /// In zeros, with so many bytes left.
    Padding(usize),
    /// After one of the two zero blocks.
    Ending,
    /// After both.
    Ended,
}

/// Reads one run of an archive.
pub(crate) struct Walk<'a> {
    slot: &'a Slot,
    parser: Parser,
    state: State,
    /// A header or PAX header of which only a part has arrived.
    partial: Vec<u8>,
    /// Offset in the archive.
    at: u64,
    /// Padding after the content.
    padding: usize,
    listing: Listing,
    /// Entries of all runs together (M59).
    count: &'a AtomicU64,
}

impl<'a> Walk<'a> {
    /// A walk over the run that begins at offset `at` of the archive.
    pub(crate) fn new(slot: &'a Slot, at: u64, count: &'a AtomicU64) -> Walk<'a> {
        Walk {
            slot,
            parser: Parser::new(slot.root()),
            state: State::Header { after_pax: false },
            partial: Vec::new(),
            at,
            padding: 0,
            listing: Listing::default(),
            count,
        }
    }

    /// Takes the next piece of the run.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        visitor: &mut dyn Visitor,
    ) -> Result<(), ExtractError> {
        while !bytes.is_empty() {
            let taken = match self.state {
                State::Header { .. } | State::Ending => self.block(bytes, visitor)?,
                State::Pax(len) => self.pax(bytes, len),
                State::Content(left) => self.content(bytes, left, visitor)?,
                State::Padding(left) => self.zeros(bytes, left)?,
                State::Ended => return Err(self.fault(TarFault::AfterEnd)),
            };
            self.at = self.at.saturating_add(widen(taken));
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Ends the run and returns what it held. `is_last` tells whether the end marker belongs to this run.
    ///
    /// `None` when the run does not end where an entry does (M62).
    pub(crate) fn finish(self, is_last: bool) -> Result<Option<Listing>, ExtractError> {
        match self.state {
            State::Ended if is_last => Ok(Some(self.listing)),
            State::Ended => Err(self.fault(TarFault::AfterEnd)),
            _ if is_last => Err(self.fault(TarFault::Truncated)),
            State::Header { after_pax: false } if self.partial.is_empty() => Ok(Some(self.listing)),
            _ => Ok(None),
        }
    }

    fn fault(&self, fault: TarFault) -> ExtractError {
        ExtractError::Format(Error::Tar {
            slot: self.slot.id.clone(),
            at: self.at,
            fault,
        })
    }

    /// Collects a block and acts on it. Returns the bytes taken.
    fn block(&mut self, bytes: &[u8], visitor: &mut dyn Visitor) -> Result<usize, ExtractError> {
        if self.partial.is_empty()
            && let Some((block, _)) = bytes.split_first_chunk::<BLOCK>()
        {
            self.header(block, visitor)?;
            return Ok(BLOCK);
        }
        let taken = self.collect(bytes, BLOCK);
        if let Some(block) = self.partial.first_chunk::<BLOCK>() {
            let block = *block;
            self.partial.clear();
            self.header(&block, visitor)?;
        }
        Ok(taken)
    }

    /// Adds to the partial header until it has `size` bytes. Returns the bytes taken.
    fn collect(&mut self, bytes: &[u8], size: usize) -> usize {
        let wanted = size.saturating_sub(self.partial.len());
        let part = bytes.get(..wanted).unwrap_or(bytes);
        self.partial.extend_from_slice(part);
        part.len()
    }

    fn header(
        &mut self,
        block: &[u8; BLOCK],
        visitor: &mut dyn Visitor,
    ) -> Result<(), ExtractError> {
        if matches!(self.state, State::Ending) {
            if block.iter().any(|&byte| byte != 0) {
                return Err(self.fault(TarFault::AfterEnd));
            }
            self.state = State::Ended;
            return Ok(());
        }
        let header = self.parser.header(block);
        self.state = match header.map_err(|fault| self.fault(fault))? {
            Header::Zero => State::Ending,
            Header::Pax(len) => State::Pax(len),
            Header::Entry(entry) => self.entry(&entry, visitor)?,
        };
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, visitor: &mut dyn Visitor) -> Result<State, ExtractError> {
        // The previous value: this entry is one more.
        if self.count.fetch_add(1, Ordering::Relaxed) >= MAX_ENTRIES {
            return Err(self.fault(TarFault::TooMany));
        }
        visitor.entry(entry)?;
        self.listing.push(entry);
        let size = entry.size();
        if size > 0 {
            self.padding = padding(size);
            return Ok(State::Content(size));
        }
        if matches!(entry.kind, Kind::File(_)) {
            visitor.end()?;
        }
        Ok(State::Header { after_pax: false })
    }

    fn pax(&mut self, bytes: &[u8], len: usize) -> usize {
        let taken = self.collect(bytes, len);
        if self.partial.len() >= len {
            self.parser.pax(&self.partial);
            self.partial.clear();
            self.state = State::Header { after_pax: true };
        }
        taken
    }

    fn content(
        &mut self,
        bytes: &[u8],
        left: u64,
        visitor: &mut dyn Visitor,
    ) -> Result<usize, ExtractError> {
        let taken = at_most(bytes.len(), left);
        visitor.data(bytes.get(..taken).unwrap_or_default())?;
        let left = left.saturating_sub(widen(taken));
        self.state = if left > 0 {
            State::Content(left)
        } else {
            visitor.end()?;
            self.after_content(self.padding)
        };
        Ok(taken)
    }

    fn zeros(&mut self, bytes: &[u8], left: usize) -> Result<usize, ExtractError> {
        let zeros = bytes.get(..left).unwrap_or(bytes);
        if zeros.iter().any(|&byte| byte != 0) {
            return Err(self.fault(TarFault::Padding));
        }
        self.state = self.after_content(left.saturating_sub(zeros.len()));
        Ok(zeros.len())
    }

    fn after_content(&self, padding: usize) -> State {
        if padding > 0 {
            State::Padding(padding)
        } else {
            State::Header { after_pax: false }
        }
    }
}
