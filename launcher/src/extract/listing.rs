//! The list of a slot's entries: what was found in the archive, and what should be found on disk.
//!
//! Paths are written as what they share with the path before and the rest, so that a list of 100,000 files has one or two
//! megabytes. A list in a file ends with its SHA-256: after a power failure a file may be shorter than it was.

use psp_format::Error;
use psp_format::digest::Digest;
use psp_format::limits::MAX_ENTRIES;
use psp_format::metadata::Slot;
use psp_format::path;
use psp_format::range::widen;
use psp_format::tar::{self, Entry, Kind, TarFault, TreeCheck};

use super::error::ExtractError;

const MAGIC: &[u8] = b"flavor list 1\n";
const KIND_BITS: u8 = 3;
const SAME_MODE: u8 = 4;
const SAME_MTIME: u8 = 8;

/// Entries in the order of their archive.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    bytes: Vec<u8>,
    count: u64,
    /// The last entry's path, mode and time: the next is written against them.
    last: Vec<u8>,
    mode: Option<u32>,
    mtime: Option<u64>,
}

impl Listing {
    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The entries, in order.
    pub fn entries(&self) -> Entries<'_> {
        Entries {
            rest: &self.bytes,
            path: Vec::new(),
            mode: 0,
            mtime: 0,
        }
    }

    /// The list as the content of a file.
    pub fn to_file(&self) -> Vec<u8> {
        let mut out = [MAGIC, &self.bytes].concat();
        let digest = Digest::of(&out);
        out.extend(digest.0);
        out
    }

    /// Reads what [`Listing::to_file`] wrote; `None` for anything else.
    pub fn from_file(content: &[u8]) -> Option<Listing> {
        let (body, digest) = content.split_last_chunk::<32>()?;
        if Digest::of(body).0 != *digest {
            return None;
        }
        let bytes = body.strip_prefix(MAGIC)?.to_vec();
        let mut listing = Listing {
            bytes,
            ..Listing::default()
        };
        listing.count = widen(listing.entries().count());
        Some(listing)
    }

    pub(crate) fn push(&mut self, entry: &Entry) {
        let shared = self
            .last
            .iter()
            .zip(&entry.path)
            .take_while(|(a, b)| a == b)
            .count();
        let rest = entry.path.get(shared..).unwrap_or_default();
        let (kind, size, link): (u8, u64, &[u8]) = match &entry.kind {
            Kind::File(size) => (0, *size, b""),
            Kind::Directory => (1, 0, b""),
            Kind::Symlink(to) => (2, widen(to.len()), to),
            Kind::HardLink(to) => (3, widen(to.len()), to),
        };
        let same_mode = self.mode == Some(entry.mode);
        let same_mtime = self.mtime == Some(entry.mtime);
        let flag = |bit: u8, on: bool| if on { bit } else { 0 };
        self.bytes
            .push(kind | flag(SAME_MODE, same_mode) | flag(SAME_MTIME, same_mtime));
        put(&mut self.bytes, widen(shared));
        put(&mut self.bytes, widen(rest.len()));
        self.bytes.extend_from_slice(rest);
        if !same_mode {
            put(&mut self.bytes, u64::from(entry.mode));
        }
        if !same_mtime {
            put(&mut self.bytes, entry.mtime);
        }
        put(&mut self.bytes, size);
        self.bytes.extend_from_slice(link);
        self.last.clone_from(&entry.path);
        self.mode = Some(entry.mode);
        self.mtime = Some(entry.mtime);
        self.count = self.count.saturating_add(1);
    }

    /// Adds the entries of the run that follows. Each run's list begins with a whole path, mode and time.
    pub(crate) fn append(&mut self, mut run: Listing) {
        self.bytes.append(&mut run.bytes);
        self.count = self.count.saturating_add(run.count);
        self.last = run.last;
        (self.mode, self.mtime) = (run.mode, run.mtime);
    }

    /// Checks what concerns the tree as a whole: order across runs (M55), parents (M56), hard links (M58), and the
    /// number of entries (M59).
    pub(crate) fn check(&self, slot: &Slot) -> Result<(), ExtractError> {
        self.find_fault(slot.root()).map_err(|(nth, fault)| {
            // The offset is computed only now: a good archive never needs it.
            let before = self.entries().take(nth);
            let at = before.fold(0_u64, |at, entry| {
                at.saturating_add(widen(tar::encode(&entry).len()))
                    .saturating_add(entry.size())
                    .saturating_add(widen(tar::padding(entry.size())))
            });
            let slot = slot.id.clone();
            ExtractError::Format(Error::Tar { slot, at, fault })
        })
    }

    /// The first broken rule, with the number of its entry.
    fn find_fault(&self, root: &[u8]) -> Result<(), (usize, TarFault)> {
        let mut tree = TreeCheck::new(root);
        let mut last: Option<Vec<u8>> = None;
        let mut targets = Vec::new();
        let mut end = 0_usize;
        for (nth, entry) in self.entries().enumerate() {
            if last.is_some_and(|last| last >= entry.path) {
                return Err((nth, TarFault::Order));
            }
            tree.add(&entry.path, entry.kind == Kind::Directory)
                .map_err(|fault| (nth, fault))?;
            if let Kind::HardLink(to) = entry.kind {
                targets.push(to);
            }
            last = Some(entry.path);
            end = nth.saturating_add(1);
        }
        tree.finish().map_err(|fault| (end, fault))?;
        if self.count > MAX_ENTRIES || widen(end) != self.count {
            return Err((end, TarFault::TooMany));
        }
        self.find_loose_link(targets)
    }

    /// M58. That a target stands before its link is checked by the parser, because paths are in order.
    fn find_loose_link(&self, mut targets: Vec<Vec<u8>>) -> Result<(), (usize, TarFault)> {
        if targets.is_empty() {
            return Ok(());
        }
        targets.sort_unstable();
        targets.dedup();
        // Both lists are sorted: what is in the way of the next file is none.
        let mut loose = Vec::new();
        let mut files = self.entries().filter(|e| matches!(e.kind, Kind::File(_)));
        let mut file = files.next();
        for target in targets {
            while file.as_ref().is_some_and(|file| file.path < target) {
                file = files.next();
            }
            if file.as_ref().is_none_or(|file| file.path != target) {
                loose.push(target);
            }
        }
        let is_loose =
            |kind: &Kind| matches!(kind, Kind::HardLink(to) if loose.binary_search(to).is_ok());
        match self.entries().position(|entry| is_loose(&entry.kind)) {
            Some(nth) if !loose.is_empty() => Err((nth, TarFault::HardLink)),
            _ => Ok(()),
        }
    }
}

/// A listing for a slot that is one file.
pub(crate) fn of_file(slot: &Slot) -> Listing {
    let mut listing = Listing::default();
    listing.push(&Entry {
        path: slot.root().to_vec(),
        kind: Kind::File(slot.original_size),
        mode: slot.mode,
        mtime: 0,
    });
    listing
}

/// The entries of a [`Listing`]. Ends early where a list is malformed; [`Listing::from_file`] refuses damaged ones.
#[derive(Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
    path: Vec<u8>,
    mode: u32,
    mtime: u64,
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let (flags, rest) = self.rest.split_first()?;
        self.rest = rest;
        let shared = usize::try_from(self.number()?).ok()?;
        let suffix = self.bytes()?;
        if shared > self.path.len() || shared.checked_add(suffix.len())? > path_limit() {
            return None;
        }
        self.path.truncate(shared);
        self.path.extend_from_slice(suffix);
        if flags & SAME_MODE == 0 {
            self.mode = u32::try_from(self.number()?).ok()?;
        }
        if flags & SAME_MTIME == 0 {
            self.mtime = self.number()?;
        }
        let kind = match flags & KIND_BITS {
            0 => Kind::File(self.number()?),
            1 => {
                self.number()?;
                Kind::Directory
            }
            2 => Kind::Symlink(self.bytes()?.to_vec()),
            _ => Kind::HardLink(self.bytes()?.to_vec()),
        };
        path::check(&self.path).ok()?;
        Some(Entry {
            path: self.path.clone(),
            kind,
            mode: self.mode,
            mtime: self.mtime,
        })
    }
}

impl<'a> Entries<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A length and so many bytes.
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }
}

fn path_limit() -> usize {
    psp_format::limits::MAX_PATH
}

/// Appends a number, seven bits a byte, the lowest first.
fn put(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &[u8], kind: Kind, mtime: u64) -> Entry {
        Entry {
            path: path.to_vec(),
            kind,
            mode: 0o755,
            mtime,
        }
    }

    fn samples() -> Vec<Entry> {
        vec![
            entry(b"rt", Kind::Directory, 5),
            entry(b"rt/a", Kind::File(1 << 40), 5),
            entry(b"rt/b", Kind::HardLink(b"rt/a".to_vec()), 6),
            entry(b"rt/c\xff", Kind::Symlink(b"a".to_vec()), u64::MAX),
            entry(b"rt/d", Kind::Directory, 0),
            entry(b"rt/d/e", Kind::File(0), 0),
        ]
    }

    fn list(entries: &[Entry]) -> Listing {
        let mut listing = Listing::default();
        entries.iter().for_each(|entry| listing.push(entry));
        listing
    }

    #[test]
    fn entries_come_back_also_from_a_file_and_joined() {
        let entries = samples();
        let listing = list(&entries);
        assert!(listing.entries().eq(entries.iter().cloned()));
        let file = listing.to_file();
        let read = Listing::from_file(&file).unwrap_or_default();
        assert!(read.entries().eq(entries.iter().cloned()));
        assert_eq!(read.len(), 6);
        for cut in 0..entries.len() {
            let (head, tail) = entries.split_at(cut);
            let mut joined = list(head);
            joined.append(list(tail));
            assert!(joined.entries().eq(entries.iter().cloned()), "{cut}");
            assert_eq!(joined.len(), 6);
        }
    }

    #[test]
    fn damaged_files_are_no_list() {
        let file = list(&samples()).to_file();
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert!(Listing::from_file(&changed).is_none(), "byte {at}");
            assert!(Listing::from_file(&file[..at]).is_none(), "{at} bytes");
        }
    }

    #[test]
    fn rules_of_the_tree() {
        let good = samples();
        assert_eq!(list(&good).find_fault(b"rt"), Ok(()));
        assert_eq!(
            list(&good[1..]).find_fault(b"rt"),
            Err((0, TarFault::NoTarget))
        );
        let swapped = [good[0].clone(), good[5].clone(), good[1].clone()];
        assert_eq!(
            list(&swapped).find_fault(b"rt"),
            Err((1, TarFault::NoParent))
        );
        let twice = [good[0].clone(), good[1].clone(), good[1].clone()];
        assert_eq!(list(&twice).find_fault(b"rt"), Err((2, TarFault::Order)));
        let link = |to: &[u8]| entry(b"rt/z", Kind::HardLink(to.to_vec()), 0);
        for (to, fine) in [
            (&b"rt/a"[..], true),
            (b"rt/d/e", true),
            (b"rt/b", false),
            (b"rt/c\xff", false),
            (b"rt/d", false),
            (b"rt/aa", false),
            (b"a", false),
            (b"rt/y", false),
        ] {
            let mut entries = good.clone();
            entries.push(link(to));
            let expected = if fine {
                Ok(())
            } else {
                Err((6, TarFault::HardLink))
            };
            assert_eq!(list(&entries).find_fault(b"rt"), expected, "{to:?}");
        }
    }
}
