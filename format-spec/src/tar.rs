//! The tar profile: one encoding for each list of entries (SPEC.md 4.5).
//!
//! [`encode`] writes the headers of an entry. [`Parser`] reads them, and accepts only what [`encode`] would have written.
//! Content passes by the parser: it says how much follows, and the caller moves it.

use core::fmt;

use crate::limits::{MAX_ENTRIES, MAX_PATH};
use crate::metadata::RESERVED_PREFIX;
use crate::path::{self, PathFault};
use crate::range::widen;

/// Size of a header and of the unit that content is padded to.
pub const BLOCK: usize = 512;
/// Size of the zeros after the last entry.
pub const END_SIZE: usize = 1024;
/// Largest size that the header field holds: eleven octal digits.
const MAX_OCTAL_SIZE: u64 = 0o77_777_777_777;
const PAX_NAME: &[u8] = b"././@PaxHeader";
/// Most bytes of a PAX header: two paths and a size, each with its length and key.
const MAX_PAX: u64 = 2 * 4095 + 128;

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path from the top of the work environment, without a final `/`.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, at most 0777.
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of this many bytes.
    File(u64),
    /// A directory.
    Directory,
    /// A symbolic link to this target.
    Symlink(Vec<u8>),
    /// Another name of the file with this path.
    HardLink(Vec<u8>),
}

impl Entry {
    /// Bytes of content that follow the headers, without padding.
    pub fn size(&self) -> u64 {
        match self.kind {
            Kind::File(size) => size,
            _ => 0,
        }
    }

    /// What the link leads to; empty for anything else.
    fn link(&self) -> &[u8] {
        match &self.kind {
            Kind::Symlink(target) | Kind::HardLink(target) => target,
            _ => b"",
        }
    }

    fn type_flag(&self) -> u8 {
        match self.kind {
            Kind::File(_) => b'0',
            Kind::HardLink(_) => b'1',
            Kind::Symlink(_) => b'2',
            Kind::Directory => b'5',
        }
    }
}

/// Zeros after `size` bytes of content.
pub fn padding(size: u64) -> usize {
    let over = usize::try_from(size % 512).unwrap_or(0);
    if over == 0 {
        0
    } else {
        BLOCK.saturating_sub(over)
    }
}

/// The headers of an entry (M52, M53): one block, or a PAX header, its content and a block.
pub fn encode(entry: &Entry) -> Vec<u8> {
    let mut path = entry.path.clone();
    if entry.kind == Kind::Directory {
        path.push(b'/');
    }
    let mut records = Vec::new();
    if entry.link().len() > 100 {
        record(&mut records, b"linkpath", entry.link());
    }
    if path.len() > 100 {
        record(&mut records, b"path", &path);
    }
    let mut size = entry.size();
    if size > MAX_OCTAL_SIZE {
        record(&mut records, b"size", size.to_string().as_bytes());
        size = 0;
    }
    let mut out = Vec::with_capacity(BLOCK);
    if !records.is_empty() {
        let size = widen(records.len());
        out.extend(header(PAX_NAME, 0o644, size, 0, b'x', b""));
        out.extend(&records);
        out.extend(core::iter::repeat_n(0, padding(size)));
    }
    out.extend(header(
        &path,
        entry.mode,
        size,
        entry.mtime,
        entry.type_flag(),
        entry.link(),
    ));
    out
}

/// Appends a PAX record, `LENGTH KEY=VALUE\n`, whose length counts its own digits.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len().saturating_add(value.len()).saturating_add(3);
    let mut len = rest;
    loop {
        let next = rest.saturating_add(len.to_string().len());
        if next == len {
            break;
        }
        len = next;
    }
    out.extend(len.to_string().as_bytes());
    out.push(b' ');
    out.extend(key);
    out.push(b'=');
    out.extend(value);
    out.push(b'\n');
}

fn header(name: &[u8], mode: u32, size: u64, mtime: u64, flag: u8, link: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        let places = block.iter_mut().skip(at);
        places.zip(bytes).for_each(|(place, byte)| *place = *byte);
    };
    put(0, name.get(..100).unwrap_or(name));
    put(100, format!("{mode:07o}").as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{mtime:011o}").as_bytes());
    put(148, b"        ");
    put(156, &[flag]);
    put(157, link.get(..100).unwrap_or(link));
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    let sum = format!("{sum:06o}\0");
    block
        .iter_mut()
        .skip(148)
        .zip(sum.bytes())
        .for_each(|(place, byte)| *place = byte);
    block
}

/// What is wrong with an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TarFault {
    /// A header's checksum is wrong.
    Checksum,
    /// An entry of a type that the profile does not have.
    Type(u8),
    /// A header or PAX record that is not the one encoding of its entry; the byte in the header at which it differs.
    NotCanonical(usize),
    /// A PAX header that is malformed, too long, dangling or has a record that is not needed.
    Pax,
    /// A path breaks M40.
    Path(PathFault),
    /// Mode bits beyond 0777.
    Mode(u32),
    /// A path that is not greater than the one before: unsorted, or twice the same.
    Order,
    /// A path outside the slot's target.
    Outside,
    /// A path that begins with what the launcher keeps for itself.
    Reserved,
    /// The first entry is not the slot's target directory.
    NoTarget,
    /// A path whose parent is not a directory of the archive.
    NoParent,
    /// The target of a symbolic link breaks M57.
    Link(PathFault),
    /// A hard link to something that is not an earlier regular file.
    HardLink,
    /// More entries than M59 allows.
    TooMany,
    /// Padding that is not zero.
    Padding,
    /// The archive ends before its end marker.
    Truncated,
    /// Something follows the end marker.
    AfterEnd,
}

impl fmt::Display for TarFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TarFault::Checksum => f.write_str("wrong header checksum"),
            TarFault::Type(flag) => {
                write!(
                    f,
                    "entry type '{}' is not a file, directory or link",
                    flag.escape_ascii()
                )
            }
            TarFault::NotCanonical(at) => {
                write!(f, "byte {at} of the header is not in the strict form")
            }
            TarFault::Pax => f.write_str("malformed PAX header"),
            TarFault::Path(fault) => write!(f, "path refused: {fault}"),
            TarFault::Mode(mode) => write!(f, "mode {mode:o} has bits beyond 777"),
            TarFault::Order => f.write_str("path is a duplicate or out of order"),
            TarFault::Outside => f.write_str("path lies outside the slot's target"),
            TarFault::Reserved => {
                write!(
                    f,
                    "names that begin with {RESERVED_PREFIX} are the launcher's"
                )
            }
            TarFault::NoTarget => f.write_str("the first entry is not the slot's target directory"),
            TarFault::NoParent => {
                f.write_str("the path's parent is not a directory of the archive")
            }
            TarFault::Link(fault) => write!(f, "symbolic link refused: {fault}"),
            TarFault::HardLink => f.write_str("hard link to what is not an earlier regular file"),
            TarFault::TooMany => write!(f, "more than {MAX_ENTRIES} entries"),
            TarFault::Padding => f.write_str("padding is not zero"),
            TarFault::Truncated => f.write_str("ends before its end marker"),
            TarFault::AfterEnd => f.write_str("something follows the end marker"),
        }
    }
}

/// What a header block announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// A PAX header; give this many bytes, its content and padding, to [`Parser::pax`].
    Pax(usize),
    /// An entry; [`Entry::size`] bytes of content and [`padding`] follow.
    Entry(Entry),
    /// A block of zeros: with the next one, which must be zero too, the archive ends.
    Zero,
}

/// Reads the headers of one archive, or of one run of it (M62), and checks each entry by itself and its order.
///
/// Rules about the whole tree (M56, M58) need all entries: see [`crate::tar::TreeCheck`].
#[derive(Debug)]
pub struct Parser {
    root: Vec<u8>,
    last: Option<Vec<u8>>,
    pax: Option<Vec<u8>>,
    pax_size: usize,
    entries: u64,
}

impl Parser {
    /// A parser for a slot whose target is `root`: empty for the top of the work environment.
    pub fn new(root: &[u8]) -> Parser {
        Parser {
            root: root.to_vec(),
            last: None,
            pax: None,
            pax_size: 0,
            entries: 0,
        }
    }

    /// Reads one header block.
    pub fn header(&mut self, block: &[u8; BLOCK]) -> Result<Header, TarFault> {
        if block.iter().all(|&byte| byte == 0) {
            return if self.pax.is_none() {
                Ok(Header::Zero)
            } else {
                Err(TarFault::Pax)
            };
        }
        let fields = Fields::read(block)?;
        if fields.flag == b'x' {
            return self.pax_header(&fields, block);
        }
        let entry = self.entry(&fields)?;
        compare(&entry, self.pax.take().as_deref(), block)?;
        self.check(&entry)?;
        self.last = Some(entry.path.clone());
        Ok(Header::Entry(entry))
    }

    /// Takes the content of a PAX header with its padding; it belongs to the next entry.
    pub fn pax(&mut self, content: &[u8]) {
        self.pax = Some(content.to_vec());
    }

    /// Path of the last entry.
    pub fn last(&self) -> Option<&[u8]> {
        self.last.as_deref()
    }

    fn pax_header(&mut self, fields: &Fields<'_>, block: &[u8; BLOCK]) -> Result<Header, TarFault> {
        if self.pax.is_some() || fields.size > MAX_PAX || fields.size == 0 {
            return Err(TarFault::Pax);
        }
        let expected = header(PAX_NAME, 0o644, fields.size, 0, b'x', b"");
        match block.iter().zip(expected).position(|(a, b)| *a != b) {
            Some(at) => Err(TarFault::NotCanonical(at)),
            None => {
                self.pax_size = usize::try_from(fields.size).map_err(|_| TarFault::Pax)?;
                Ok(Header::Pax(
                    self.pax_size.saturating_add(padding(fields.size)),
                ))
            }
        }
    }

    /// The entry that header and PAX records mean. Whether they are its one encoding is checked afterwards.
    fn entry(&self, fields: &Fields<'_>) -> Result<Entry, TarFault> {
        let records = match &self.pax {
            Some(content) => Records::read(content.get(..self.pax_size).ok_or(TarFault::Pax)?)?,
            None => Records::default(),
        };
        let path = records.path.unwrap_or(fields.name);
        let link = records.link.unwrap_or(fields.link).to_vec();
        let size = records.size.unwrap_or(fields.size);
        let (kind, path) = match fields.flag {
            b'0' => (Kind::File(size), path),
            b'1' => (Kind::HardLink(link), path),
            b'2' => (Kind::Symlink(link), path),
            b'5' => (Kind::Directory, path.strip_suffix(b"/").unwrap_or(path)),
            other => return Err(TarFault::Type(other)),
        };
        Ok(Entry {
            path: path.to_vec(),
            kind,
            mode: fields.mode,
            mtime: fields.mtime,
        })
    }

    /// M40 and M54 to M59, as far as they concern one entry.
    fn check(&mut self, entry: &Entry) -> Result<(), TarFault> {
        self.entries = self.entries.saturating_add(1);
        if self.entries > MAX_ENTRIES {
            return Err(TarFault::TooMany);
        }
        path::check(&entry.path).map_err(TarFault::Path)?;
        let mode_allowed = match entry.kind {
            Kind::Symlink(_) => entry.mode == 0o777,
            Kind::HardLink(_) => entry.mode == 0,
            Kind::File(_) | Kind::Directory => entry.mode <= 0o777,
        };
        if !mode_allowed {
            return Err(TarFault::Mode(entry.mode));
        }
        if !path::is_within(&entry.path, &self.root) {
            return Err(TarFault::Outside);
        }
        // Only in a slot at `.`: no other target begins like this (M41).
        if entry.path.starts_with(RESERVED_PREFIX.as_bytes()) {
            return Err(TarFault::Reserved);
        }
        if self.last.as_ref().is_some_and(|last| *last >= entry.path) {
            return Err(TarFault::Order);
        }
        match &entry.kind {
            Kind::Symlink(target) => {
                path::check_link_target(&entry.path, target, &self.root).map_err(TarFault::Link)
            }
            // The order of paths is the order of entries, so a smaller path is an earlier entry.
            Kind::HardLink(to) if path::check(to).is_err() || *to >= entry.path => {
                Err(TarFault::HardLink)
            }
            _ => Ok(()),
        }
    }
}

/// Compares what was read with what [`encode`] writes for the entry.
fn compare(entry: &Entry, pax: Option<&[u8]>, block: &[u8; BLOCK]) -> Result<(), TarFault> {
    let encoded = encode(entry);
    let (before, expected) = encoded
        .split_last_chunk::<BLOCK>()
        .ok_or(TarFault::NotCanonical(0))?;
    if let Some(at) = block.iter().zip(expected).position(|(a, b)| a != b) {
        return Err(TarFault::NotCanonical(at));
    }
    let records = before.get(BLOCK..).unwrap_or_default();
    let same = pax.unwrap_or_default() == records;
    if same { Ok(()) } else { Err(TarFault::Pax) }
}

/// The fields of a header that carry information.
struct Fields<'a> {
    name: &'a [u8],
    mode: u32,
    size: u64,
    mtime: u64,
    flag: u8,
    link: &'a [u8],
}

impl Fields<'_> {
    fn read(block: &[u8; BLOCK]) -> Result<Fields<'_>, TarFault> {
        let field = |at: usize, len: usize| -> &[u8] {
            block
                .get(at..)
                .and_then(|rest| rest.get(..len))
                .unwrap_or_default()
        };
        let number =
            |at: usize, len: usize| octal(field(at, len)).ok_or(TarFault::NotCanonical(at));
        let blank = |at: usize| (148..156).contains(&at);
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, &byte)| if blank(at) { 32 } else { u32::from(byte) })
            .sum();
        if octal(field(148, 6)) != Some(u64::from(sum)) {
            return Err(TarFault::Checksum);
        }
        let mode = u32::try_from(number(100, 7)?).map_err(|_| TarFault::NotCanonical(100))?;
        let flag = field(156, 1).first().copied().unwrap_or(0);
        if !b"0125x".contains(&flag) {
            return Err(TarFault::Type(flag));
        }
        if mode > 0o777 {
            return Err(TarFault::Mode(mode));
        }
        Ok(Fields {
            name: until_nul(field(0, 100)),
            mode,
            size: number(124, 11)?,
            mtime: number(136, 11)?,
            flag,
            link: until_nul(field(157, 100)),
        })
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

fn octal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |n, digit| match digit {
        b'0'..=b'7' => n
            .checked_mul(8)?
            .checked_add(u64::from(digit.checked_sub(b'0')?)),
        _ => None,
    })
}

/// The records of a PAX header. Any other key than these is refused.
#[derive(Default)]
struct Records<'a> {
    link: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    size: Option<u64>,
}

impl Records<'_> {
    fn read(mut content: &[u8]) -> Result<Records<'_>, TarFault> {
        let mut records = Records::default();
        while !content.is_empty() {
            let space = content
                .iter()
                .position(|&c| c == b' ')
                .ok_or(TarFault::Pax)?;
            let (digits, _) = content.split_at(space);
            let len = decimal(digits)
                .and_then(|n| usize::try_from(n).ok())
                .ok_or(TarFault::Pax)?;
            let (record, rest) = content.split_at_checked(len).ok_or(TarFault::Pax)?;
            let body = record
                .get(space.saturating_add(1)..)
                .and_then(|b| b.strip_suffix(b"\n"));
            let body = body.ok_or(TarFault::Pax)?;
            let equals = body.iter().position(|&c| c == b'=').ok_or(TarFault::Pax)?;
            let (key, value) = body.split_at(equals);
            let value = value.get(1..).unwrap_or_default();
            if value.len() > MAX_PATH.saturating_add(1) {
                return Err(TarFault::Pax);
            }
            match key {
                b"linkpath" => records.link = Some(value),
                b"path" => records.path = Some(value),
                b"size" => records.size = Some(decimal(value).ok_or(TarFault::Pax)?),
                _ => return Err(TarFault::Pax),
            }
            content = rest;
        }
        Ok(records)
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |n, digit| match digit {
        b'0'..=b'9' => n
            .checked_mul(10)?
            .checked_add(u64::from(digit.checked_sub(b'0')?)),
        _ => None,
    })
}

/// The rules about the tree as a whole (M56): entries are given in order, and every parent must have been a directory.
#[derive(Debug)]
pub struct TreeCheck {
    root: Vec<u8>,
    started: bool,
    /// Sorted, as entries are (M55).
    directories: Vec<Vec<u8>>,
    /// The parent that was found last: most entries share it with the one before.
    known: Vec<u8>,
}

impl TreeCheck {
    /// A check for a slot whose target is `root`: empty for the top of the work environment.
    pub fn new(root: &[u8]) -> TreeCheck {
        TreeCheck {
            root: root.to_vec(),
            started: false,
            directories: Vec::new(),
            known: root.to_vec(),
        }
    }

    /// Takes the next entry's path.
    pub fn add(&mut self, path: &[u8], is_directory: bool) -> Result<(), TarFault> {
        if !self.started {
            self.started = true;
            if !self.root.is_empty() {
                return match is_directory && path == self.root {
                    true => Ok(()),
                    false => Err(TarFault::NoTarget),
                };
            }
        }
        let parent = path::parent(path);
        if parent != self.known {
            if parent != self.root && self.place_of(parent).is_err() {
                return Err(TarFault::NoParent);
            }
            self.known = parent.to_vec();
        }
        if is_directory && let Err(place) = self.place_of(path) {
            self.directories.insert(place, path.to_vec());
        }
        Ok(())
    }

    fn place_of(&self, directory: &[u8]) -> Result<usize, usize> {
        self.directories
            .binary_search_by(|other| other.as_slice().cmp(directory))
    }

    /// Called at the end: an archive for a target must have held at least the target.
    pub fn finish(&self) -> Result<(), TarFault> {
        if self.started || self.root.is_empty() {
            Ok(())
        } else {
            Err(TarFault::NoTarget)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &[u8], kind: Kind) -> Entry {
        let mode = match kind {
            Kind::Symlink(_) => 0o777,
            Kind::HardLink(_) => 0,
            _ => 0o755,
        };
        Entry {
            path: path.to_vec(),
            kind,
            mode,
            mtime: 315_532_800,
        }
    }

    fn parse(bytes: &[u8], root: &[u8]) -> Result<Vec<Entry>, TarFault> {
        let (mut parser, mut entries, mut rest) = (Parser::new(root), Vec::new(), bytes);
        while let Some((block, after)) = rest.split_first_chunk::<BLOCK>() {
            rest = after;
            match parser.header(block)? {
                Header::Pax(len) => {
                    let (content, after) = rest.split_at_checked(len).ok_or(TarFault::Truncated)?;
                    parser.pax(content);
                    rest = after;
                }
                Header::Entry(entry) => {
                    let len = usize::try_from(entry.size()).unwrap_or(0);
                    rest = rest.get(len + padding(widen(len))..).unwrap_or_default();
                    entries.push(entry);
                }
                Header::Zero => break,
            }
        }
        Ok(entries)
    }

    fn samples() -> Vec<Entry> {
        let long = [b"rt/".to_vec(), b"d".repeat(120)].concat();
        vec![
            entry(b"rt", Kind::Directory),
            entry(b"rt/\xff\n", Kind::File(0)),
            entry(b"rt/a", Kind::File(0)),
            entry(b"rt/b", Kind::HardLink(b"rt/a".to_vec())),
            entry(b"rt/c", Kind::Symlink(b"a".to_vec())),
            entry(&long, Kind::Directory),
            entry(
                &[&long[..], b"/h"].concat(),
                Kind::HardLink(b"rt/a".to_vec()),
            ),
            entry(
                &[&long[..], b"/s"].concat(),
                Kind::Symlink(b"s".repeat(140)),
            ),
            entry(b"rt/e", Kind::File(MAX_OCTAL_SIZE + 1)),
        ]
    }

    #[test]
    fn decode_of_encode_is_the_identity() {
        let mut entries = samples();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let big = entries.pop().into_iter().collect::<Vec<_>>();
        let bytes: Vec<u8> = entries.iter().flat_map(encode).collect();
        let mut found = parse(&bytes, b"rt");
        assert_eq!(found.as_ref(), Ok(&entries));
        found = parse(&big.iter().flat_map(encode).collect::<Vec<u8>>(), b"rt");
        assert_eq!(found, Ok(big));
    }

    #[test]
    fn every_changed_header_byte_is_noticed_or_another_entry() {
        for sample in samples() {
            let good = encode(&sample);
            for at in 0..good.len() {
                let mut bytes = good.clone();
                bytes[at] ^= 1;
                let found = parse(&bytes, b"rt");
                assert_ne!(found, Ok(vec![sample.clone()]), "byte {at} of {sample:?}");
            }
        }
    }

    #[test]
    fn entries_outside_the_rules() {
        let refuse = |entry: Entry| parse(&encode(&entry), b"rt").err();
        assert_eq!(refuse(entry(b"x", Kind::File(0))), Some(TarFault::Outside));
        assert_eq!(
            refuse(entry(b"rtx", Kind::File(0))),
            Some(TarFault::Outside)
        );
        let fault = refuse(entry(b"rt/../x", Kind::File(0)));
        assert_eq!(fault, Some(TarFault::Path(PathFault::DotDot)));
        let fault = refuse(entry(b"rt/a", Kind::Symlink(b"../x".to_vec())));
        assert_eq!(fault, Some(TarFault::Link(PathFault::Leaves)));
        let fault = refuse(entry(b"rt/a", Kind::HardLink(b"rt/b".to_vec())));
        assert_eq!(fault, Some(TarFault::HardLink));
        let reserved = encode(&entry(b".flavorful", Kind::File(0)));
        assert_eq!(parse(&reserved, b""), Err(TarFault::Reserved));
        let similar = encode(&entry(b"a.flavor", Kind::File(0)));
        assert!(parse(&similar, b"").is_ok());
        let mut setuid = entry(b"rt/a", Kind::File(0));
        setuid.mode = 0o4755;
        assert_eq!(refuse(setuid), Some(TarFault::Mode(0o4755)));
        let twice = [entry(b"rt/a", Kind::File(0)), entry(b"rt/a", Kind::File(0))];
        let bytes: Vec<u8> = twice.iter().flat_map(encode).collect();
        assert_eq!(parse(&bytes, b"rt"), Err(TarFault::Order));
    }

    #[test]
    fn trees_have_their_parents() {
        let check = |root: &[u8], paths: &[(&[u8], bool)]| {
            let mut tree = TreeCheck::new(root);
            paths
                .iter()
                .try_for_each(|(path, dir)| tree.add(path, *dir))
                .and_then(|()| tree.finish())
        };
        assert_eq!(
            check(
                b"rt",
                &[
                    (b"rt", true),
                    (b"rt/a", true),
                    (b"rt/a.b", false),
                    (b"rt/a/b", false)
                ]
            ),
            Ok(())
        );
        assert_eq!(check(b"", &[(b"a", true), (b"a/b", false)]), Ok(()));
        assert_eq!(check(b"", &[]), Ok(()));
        assert_eq!(check(b"rt", &[]), Err(TarFault::NoTarget));
        assert_eq!(check(b"rt", &[(b"rt", false)]), Err(TarFault::NoTarget));
        assert_eq!(check(b"rt", &[(b"rt/a", true)]), Err(TarFault::NoTarget));
        assert_eq!(
            check(
                b"rt",
                &[(b"rt", true), (b"rt/a", false), (b"rt/a/b", false)]
            ),
            Err(TarFault::NoParent)
        );
        assert_eq!(check(b"", &[(b"a/b", false)]), Err(TarFault::NoParent));
    }
}
