//! Frames to content (M60 to M63), a piece at a time.
//!
//! Where memory allows, a frame is decoded in one step, from one buffer that holds it into another that holds its content:
//! no window is kept besides, nothing is copied out of it, and a file of the frame is written at once. A frame that is too
//! large for that, or does not say how large its content is, is decoded in pieces, with its window and two small buffers.
//! Either way a thread needs no more than its share of [`MEMORY`].

use psp_format::Error;
use psp_format::frames::{FOOTER_SIZE, Frame, FrameFault, SeekTable};
use psp_format::limits::{FULL_FRAME, MAX_WINDOW_LOG};
use psp_format::metadata::Slot;
use psp_format::range::{Range, widen};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, find_frame_compressed_size};

use super::error::ExtractError;
use super::source::{ReadAt, at_most, read_exact};
use crate::sys;

/// Memory for the decoders of all threads together, in bytes: the rest of 64 MiB is for everything else, and for
/// large pages of which only a part is used.
const MEMORY: usize = 48 << 20;
/// Stored bytes that are read at once, where a frame is decoded in pieces.
const INPUT: usize = 128 << 10;
/// Content that is handed on at once then. Two blocks of the format; fits the second-level cache.
pub(crate) const OUTPUT: usize = 256 << 10;
/// Most bytes of a frame's header (RFC 8878, 3.1.1.1).
const MAX_HEADER: usize = 18;

/// Reads and checks the seek table of a framed slot that lies at `range` of the file.
pub(crate) fn seek_table(
    slot: &Slot,
    source: &dyn ReadAt,
    range: Range,
) -> Result<SeekTable, ExtractError> {
    let fault = |fault| frame_error(slot, fault);
    let footer_size = at_most(FOOTER_SIZE, range.len());
    let footer_at = range.end().saturating_sub(widen(footer_size));
    let mut footer = [0; FOOTER_SIZE];
    let footer = footer.get_mut(..footer_size).unwrap_or_default();
    read_exact(source, footer, footer_at)?;
    let place = SeekTable::range(range.len(), footer).map_err(fault)?;
    // At most 2 MiB: the number of frames has been bounded.
    let size = usize::try_from(place.len()).map_err(|_| ExtractError::NoMemory)?;
    let mut table = vec![0; size];
    let table_at = range.start().saturating_add(place.start());
    read_exact(source, &mut table, table_at)?;
    SeekTable::read(range.len(), slot.original_size, &table).map_err(fault)
}

pub(crate) fn frame_error(slot: &Slot, fault: FrameFault) -> ExtractError {
    ExtractError::Format(Error::Frames {
        slot: slot.id.clone(),
        fault,
    })
}

/// A decoder with its buffers. One for each thread.
pub(crate) struct Decoder {
    context: DCtx<'static>,
    /// Whether the context has a window, because it has decoded in pieces.
    has_window: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    /// How much of the two buffers has been written to, and so takes memory.
    used: (usize, usize),
    /// How much that may be together, in bytes.
    share: usize,
}

impl Decoder {
    /// A decoder for one of `threads` threads.
    pub(crate) fn new(threads: usize) -> Result<Decoder, ExtractError> {
        Ok(Decoder {
            context: new_context()?,
            has_window: false,
            input: Vec::new(),
            output: Vec::new(),
            used: (0, 0),
            share: MEMORY.checked_div(threads).unwrap_or(0),
        })
    }

    /// Decodes frame number `nth` of a slot whose stored bytes begin at `start` of the file, and gives the content to
    /// `take`: all of it at once, or in pieces of at most [`OUTPUT`] bytes.
    pub(crate) fn frame(
        &mut self,
        source: &dyn ReadAt,
        (slot, start): (&Slot, u64),
        (nth, frame): (usize, &Frame),
        take: &mut dyn FnMut(&[u8]) -> Result<(), ExtractError>,
    ) -> Result<(), ExtractError> {
        let wrong_size = || frame_error(slot, FrameFault::Content { frame: nth });
        let failed = |detail: &str| {
            let detail = detail.to_owned();
            frame_error(slot, FrameFault::Decode { frame: nth, detail })
        };
        let mut at = start.saturating_add(frame.stored.start());
        let end = start.saturating_add(frame.stored.end());
        let mut header = [0; MAX_HEADER];
        let header = header
            .get_mut(..at_most(MAX_HEADER, frame.stored.len()))
            .unwrap_or_default();
        read_exact(source, header, at)?;
        let stated = check_header(header).map_err(failed)?;
        let mut content_left = frame.content.len();
        if stated.is_some_and(|size| size != content_left) {
            return Err(wrong_size());
        }
        let is_whole = self.prepare(frame, stated.is_some())?;
        let input_size = if is_whole { self.share } else { INPUT };
        let output_size = if is_whole { self.share } else { OUTPUT };
        let output_size = at_most(output_size, frame.content.len());
        let mut is_complete = false;
        while at < end {
            let len = at_most(input_size, end.saturating_sub(at));
            let piece = self.input.get_mut(..len).unwrap_or_default();
            read_exact(source, piece, at)?;
            at = at.saturating_add(widen(len));
            // Only a frame that is there as a whole is decoded in one step.
            if is_whole && find_frame_compressed_size(piece) != Ok(len) {
                return Err(wrong_size());
            }
            let mut input = InBuffer::around(piece);
            loop {
                if is_complete {
                    // A second frame, or rubbish, within the stored size of one.
                    return Err(wrong_size());
                }
                let output = self.output.get_mut(..output_size).unwrap_or_default();
                let mut output = OutBuffer::around(output);
                let hint = self
                    .context
                    .decompress_stream(&mut output, &mut input)
                    .map_err(|code| failed(&error_name(code)))?;
                is_complete = hint == 0;
                let produced = output.pos();
                content_left = content_left
                    .checked_sub(widen(produced))
                    .ok_or_else(wrong_size)?;
                take(self.output.get(..produced).unwrap_or_default())?;
                let needs_input = input.pos == len && (produced < output_size || is_complete);
                if needs_input {
                    break;
                }
            }
        }
        if is_complete && content_left == 0 {
            Ok(())
        } else {
            Err(wrong_size())
        }
    }

    /// Makes room for a frame. Whether it can be decoded in one step.
    fn prepare(&mut self, frame: &Frame, is_sized: bool) -> Result<bool, ExtractError> {
        let stored = at_most(self.share, frame.stored.len());
        let content = at_most(self.share, frame.content.len());
        let is_whole = is_sized && stored.saturating_add(content) < self.share;
        if self.has_window == is_whole {
            // What the one way needs goes before the other begins.
            self.context = new_context()?;
            self.has_window = !is_whole;
            self.used = (usize::MAX, 0);
        }
        let (input, output) = if is_whole {
            (stored, content)
        } else {
            (INPUT, OUTPUT)
        };
        self.used = (self.used.0.max(input), self.used.1.max(output));
        if self.used.0.saturating_add(self.used.1) > self.share {
            self.used = (input, output);
            renew(&mut self.input, 0);
            renew(&mut self.output, 0);
        }
        // Larger than this frame needs, for the next ones: memory is taken only where it is written to.
        if self.input.len() < input {
            renew(&mut self.input, input.saturating_mul(2));
        }
        if self.output.len() < output {
            renew(&mut self.output, output.max(at_most(MEMORY, FULL_FRAME)));
            sys::use_large_pages(&mut self.output);
        }
        Ok(is_whole)
    }
}

/// An error of the library by its number (zstd_errors.h). Its texts are 2 KB, and who sees one of them has a package
/// whose maker signed what cannot be decoded.
fn error_name(code: usize) -> String {
    let number = code.wrapping_neg();
    ["error ", &number.to_string(), " of Zstandard"].concat()
}

fn new_context() -> Result<DCtx<'static>, ExtractError> {
    let mut context = DCtx::try_create().ok_or(ExtractError::NoMemory)?;
    context
        .set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))
        .map_err(|_| ExtractError::NoMemory)?;
    Ok(context)
}

/// Gives a buffer another size, without what was in it.
#[inline(never)]
fn renew(buffer: &mut Vec<u8>, size: usize) {
    // The old one goes first.
    *buffer = Vec::new();
    *buffer = vec![0; size];
}

/// M63: no dictionary, no checksum, and a window of at most 8 MiB (RFC 8878, 3.1.1.1).
///
/// The decoder has the same limit, but does not apply it to frames that it can decode in one step. Returns the size of the
/// content, where the frame states it.
fn check_header(frame: &[u8]) -> Result<Option<u64>, &'static str> {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    const MAX_WINDOW: u64 = 1 << MAX_WINDOW_LOG;
    let rest = frame.strip_prefix(&MAGIC).ok_or("not a Zstandard frame")?;
    let (descriptor, rest) = rest.split_first().ok_or("truncated header")?;
    if descriptor & 3 != 0 {
        return Err("needs a dictionary");
    }
    if descriptor & 4 != 0 {
        // The signed digest of the stored bytes says more, and has been compared.
        return Err("has a checksum");
    }
    let is_single = descriptor & 0x20 != 0;
    let (window, rest) = if is_single {
        (None, rest)
    } else {
        let (byte, rest) = rest.split_first().ok_or("truncated header")?;
        let base = 1024_u64.checked_shl(u32::from(byte >> 3));
        let base = base.unwrap_or(u64::MAX);
        let eighths = (base >> 3).saturating_mul(u64::from(byte & 7));
        (Some(base.saturating_add(eighths)), rest)
    };
    let field = match descriptor >> 6 {
        0 if is_single => 1,
        0 => 0,
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let size = rest.get(..field).ok_or("truncated header")?;
    let size = size
        .iter()
        .rev()
        .fold(0_u64, |n, &byte| n << 8 | u64::from(byte));
    // RFC 8878, 3.1.1.1.4: two bytes count from 256.
    let size = size.saturating_add(if field == 2 { 256 } else { 0 });
    if window.unwrap_or(size) > MAX_WINDOW {
        Err("needs a window of more than 8 MiB")
    } else {
        Ok((field > 0).then_some(size))
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use psp_format::digest::{Checksum, Digest};
    use psp_format::metadata::{Lifecycle, Purpose};
    use psp_format::ops::Operations;

    use super::*;

    #[test]
    fn errors_have_the_numbers_of_the_library() {
        let mut context = new_context().unwrap_or_else(|error| panic!("{error:?}"));
        let mut output = [0; 16];
        let mut output = OutBuffer::around(&mut output[..]);
        // A block of the kind that is reserved.
        let mut input = InBuffer::around(&[0x28, 0xb5, 0x2f, 0xfd, 0x20, 4, 7, 0, 0, 0]);
        let result = context.decompress_stream(&mut output, &mut input);
        let name = result.map_err(error_name);
        assert_eq!(name, Err("error 20 of Zstandard".to_owned()));
    }

    #[test]
    fn windows_are_bounded_before_decoding() {
        let header = |rest: &[u8]| check_header(&[&[0x28, 0xb5, 0x2f, 0xfd], rest].concat());
        assert_eq!(header(&[0, 13 << 3]), Ok(None), "8 MiB");
        assert!(header(&[0, 13 << 3 | 1]).is_err(), "9 MiB");
        assert!(header(&[0, 0xff]).is_err(), "the largest");
        assert_eq!(header(&[0x20, 0]), Ok(Some(0)), "one segment of 0 bytes");
        assert_eq!(header(&[0xa0, 0, 0, 0x80, 0]), Ok(Some(8 << 20)));
        assert!(header(&[0xa0, 1, 0, 0x80, 0]).is_err(), "8 MiB + 1");
        assert!(header(&[0xe0, 0, 0, 0, 0, 0, 0, 0, 1]).is_err(), "2^56");
        assert_eq!(header(&[0x60, 0xff, 0xff]), Ok(Some(65535 + 256)));
        let sized = [0xc0, 13 << 3, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(header(&sized), Ok(Some(16 << 20)), "a size and a window");
        assert!(header(&[1, 0, 7]).is_err(), "dictionary");
        assert!(header(&[4, 0]).is_err(), "checksum");
        assert!(header(&[0x80, 0, 1]).is_err(), "half a size");
        assert!(header(&[]).is_err());
        assert!(check_header(&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]).is_err());
    }

    fn slot() -> Slot {
        Slot {
            checksum: Checksum(Digest::of(b"")),
            id: "s".to_owned(),
            lifecycle: Lifecycle::Cached,
            mode: 0o755,
            mutable: false,
            offset: 0,
            operations: Operations::TarZst,
            operations_code: Operations::TarZst.code(),
            original_size: 1,
            purpose: Purpose::Payload,
            size: 1,
            slot: 0,
            source: String::new(),
            target: "rt".to_owned(),
        }
    }

    /// Decodes a frame, and counts the pieces.
    fn decode(decoder: &mut Decoder, stored: &[u8], content: usize) -> (Vec<u8>, usize) {
        let range = |len: usize| Range::new(0, widen(len)).unwrap_or_else(|| panic!("{len}"));
        let frame = Frame {
            stored: range(stored.len()),
            content: range(content),
        };
        let (mut out, mut pieces) = (Vec::new(), 0);
        let mut take = |piece: &[u8]| {
            out.extend_from_slice(piece);
            pieces += 1;
            Ok(())
        };
        decoder
            .frame(&stored, (&slot(), 0), (0, &frame), &mut take)
            .unwrap_or_else(|error| panic!("{error:?}"));
        (out, pieces)
    }

    #[test]
    fn memory_decides_how_frames_are_decoded_and_both_ways_give_the_same() {
        let content = |len: u32, shift: u32| -> Vec<u8> {
            (0..len)
                .map(|n| (n.wrapping_mul(2_654_435_761) >> shift) as u8 & 0x3f)
                .collect()
        };
        let samples: Vec<(Vec<u8>, Vec<u8>)> =
            [(9 << 20, 24), (1 << 20, 3), (16 << 20, 24), (700, 1)]
                .map(|(len, shift)| content(len, shift))
                .map(|content| {
                    (
                        zstd::bulk::compress(&content, 1).unwrap_or_default(),
                        content,
                    )
                })
                .into();
        for threads in [1, 4, 1000] {
            let mut decoder = Decoder::new(threads).unwrap_or_else(|error| panic!("{error:?}"));
            // Again in the same order: the buffers are those of another frame then.
            for (stored, content) in samples.iter().chain(&samples) {
                let (found, pieces) = decode(&mut decoder, stored, content.len());
                assert!(found == *content);
                let fits = stored.len() + content.len() < MEMORY / threads;
                assert_eq!(pieces == 1, fits || content.len() < OUTPUT, "{threads}");
                // A window of 8 MiB takes the place of the buffers; they never take more than the share.
                let used = decoder.used.0 + decoder.used.1;
                assert!(used <= (MEMORY / threads).max(INPUT + OUTPUT));
                assert!(!decoder.has_window || used == INPUT + OUTPUT);
            }
        }
    }
}
