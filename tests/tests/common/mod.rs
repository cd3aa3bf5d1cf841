//! What several tests share: the verdict on a package, contents included.

use std::collections::HashSet;
use std::io::Read;

use psp_format::frames::{FOOTER_SIZE, Frame, FrameFault, SeekTable};
use psp_format::limits::{MAX_ENTRIES, MAX_WINDOW_LOG};
use psp_format::metadata::Slot;
use psp_format::ops::Operations;
use psp_format::tar::{BLOCK, END_SIZE, Entry, Header, Kind, Parser, TreeCheck, padding};
use psp_format::verify::{VerifiedPackage, verify_bytes};

/// Nothing, or the layer that refuses and its message.
pub(crate) fn verdict(bytes: &[u8]) -> Option<(String, String)> {
    match verify_bytes(bytes) {
        Err(error) => Some((error.layer().to_string(), error.to_string())),
        Ok(package) => contents(&package, bytes)
            .err()
            .map(|detail| ("contents".to_string(), detail)),
    }
}

/// Checks what the slots hold, in memory and slot by slot: what an extraction checks while it writes.
fn contents(package: &VerifiedPackage, bytes: &[u8]) -> Result<(), String> {
    for (slot, range) in package.slots() {
        let stored = range.of(bytes).ok_or("outside the file")?;
        slot_contents(slot, stored).map_err(|detail| format!("slot {:?}: {detail}", slot.id))?;
    }
    Ok(())
}

fn slot_contents(slot: &Slot, stored: &[u8]) -> Result<(), String> {
    let mut tree = match slot.operations {
        Operations::Tar | Operations::TarZst => Some(Tree::new(slot)),
        // A tar.gz slot is for other launchers; its digest is all that the strict profile says of it.
        Operations::None | Operations::Zstd | Operations::TarGz => None,
    };
    let mut take = |run: &[u8], is_last, is_only| match &mut tree {
        Some(tree) => tree.run(slot, run, is_last, is_only),
        None => Ok(()),
    };
    if !slot.operations.is_framed() {
        take(stored, true, true)?;
    } else {
        let table = seek_table(slot, stored)?;
        let runs = table.runs().count();
        for (number, (_, frames)) in table.runs().enumerate() {
            take(&decode_run(frames, stored)?, number + 1 == runs, runs == 1)?;
        }
    }
    tree.map_or(Ok(()), |tree| {
        tree.check.finish().map_err(|fault| fault.to_string())
    })
}

fn seek_table(slot: &Slot, stored: &[u8]) -> Result<SeekTable, String> {
    let fault = |fault: FrameFault| fault.to_string();
    let footer = &stored[stored.len().saturating_sub(FOOTER_SIZE)..];
    let table = SeekTable::range(slot.size, footer).map_err(fault)?;
    let table = table.of(stored).ok_or("seek table outside the slot")?;
    SeekTable::read(slot.size, slot.original_size, table).map_err(fault)
}

fn decode_run(frames: &[Frame], stored: &[u8]) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    for frame in frames {
        let bytes = frame.stored.of(stored).ok_or("frame outside the slot")?;
        content.extend(decode_frame(bytes, frame.content.len())?);
    }
    Ok(content)
}

/// Decodes one frame. The decoder's own limit on windows is not asked when the whole frame is at hand (it decodes in
/// one pass then, without a window), so the header is read here.
fn decode_frame(bytes: &[u8], size: u64) -> Result<Vec<u8>, String> {
    if window(bytes).ok_or("not a Zstandard frame")? > 1 << MAX_WINDOW_LOG {
        return Err("a window of more than 8 MiB".to_string());
    }
    if bytes[4] & 3 != 0 {
        return Err("a dictionary".to_string());
    }
    // The decoder reports where the frame ends by what it leaves of its input.
    let text = |error: std::io::Error| error.to_string();
    let mut input = bytes;
    let decoder = zstd::stream::read::Decoder::with_buffer(&mut input).map_err(text)?;
    let mut content = Vec::new();
    decoder
        .single_frame()
        .take(size + 1)
        .read_to_end(&mut content)
        .map_err(text)?;
    match content.len() as u64 == size && input.is_empty() {
        true => Ok(content),
        false => Err("a frame is not what the seek table says".to_string()),
    }
}

/// Window of a frame (RFC 8878, 3.1.1.1.2).
fn window(frame: &[u8]) -> Option<u64> {
    let rest = frame.strip_prefix(&[0x28, 0xB5, 0x2F, 0xFD])?;
    let (descriptor, rest) = rest.split_first()?;
    if descriptor & 0x20 == 0 {
        let base = 1u64 << (10 + (rest.first()? >> 3));
        return Some(base + base / 8 * u64::from(rest.first()? & 7));
    }
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let width = 1 << (descriptor >> 6);
    let size = rest.get(dictionary..dictionary + width)?;
    let size = size
        .iter()
        .rev()
        .fold(0, |size, byte| size << 8 | u64::from(*byte));
    Some(if width == 2 { size + 256 } else { size })
}

/// What is remembered of the entries before.
struct Tree {
    check: TreeCheck,
    files: HashSet<Vec<u8>>,
    last: Option<Vec<u8>>,
    entries: u64,
}

impl Tree {
    fn new(slot: &Slot) -> Tree {
        let check = TreeCheck::new(slot.root());
        Tree {
            check,
            files: HashSet::new(),
            last: None,
            entries: 0,
        }
    }

    fn run(&mut self, slot: &Slot, run: &[u8], is_last: bool, is_only: bool) -> Result<(), String> {
        let run = match is_last {
            true => run.strip_suffix(&[0; END_SIZE][..]).ok_or("no end")?,
            false => run,
        };
        if run.is_empty() && !is_only {
            return Err("a run without an entry".to_string());
        }
        let entries = run_entries(slot, run)?;
        entries.into_iter().try_for_each(|entry| self.entry(entry))
    }

    fn entry(&mut self, entry: Entry) -> Result<(), String> {
        if self.last.as_ref().is_some_and(|last| *last >= entry.path) {
            return Err("runs are out of order".to_string());
        }
        self.check
            .add(&entry.path, entry.kind == Kind::Directory)
            .map_err(|fault| fault.to_string())?;
        match &entry.kind {
            Kind::File(_) => drop(self.files.insert(entry.path.clone())),
            Kind::HardLink(target) if !self.files.contains(target) => {
                return Err("a hard link to no file".to_string());
            }
            _ => (),
        }
        self.last = Some(entry.path);
        self.entries += 1;
        match self.entries > MAX_ENTRIES {
            true => Err(format!("more than {MAX_ENTRIES} entries")),
            false => Ok(()),
        }
    }
}

fn run_entries(slot: &Slot, mut run: &[u8]) -> Result<Vec<Entry>, String> {
    let mut parser = Parser::new(slot.root());
    let mut entries = Vec::new();
    let mut dangling = false;
    while let Some((block, rest)) = run.split_first_chunk::<BLOCK>() {
        run = rest;
        match parser.header(block).map_err(|fault| fault.to_string())? {
            Header::Zero => return Err("zeros before the end".to_string()),
            Header::Pax(size) => {
                let (content, rest) = run.split_at_checked(size).ok_or("truncated")?;
                parser.pax(content);
                dangling = true;
                run = rest;
            }
            Header::Entry(entry) => {
                let size = usize::try_from(entry.size()).map_err(|error| error.to_string())?;
                let zeros = padding(entry.size());
                let end = size.checked_add(zeros).ok_or("too large")?;
                let (content, rest) = run.split_at_checked(end).ok_or("truncated")?;
                if content[size..].iter().any(|byte| *byte != 0) {
                    return Err("padding is not zero".to_string());
                }
                entries.push(entry);
                dangling = false;
                run = rest;
            }
        }
    }
    match run.is_empty() && !dangling {
        true => Ok(entries),
        false => Err("truncated".to_string()),
    }
}
