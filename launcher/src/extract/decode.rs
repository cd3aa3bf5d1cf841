//! Frames to content (M60 to M63), a piece at a time.
//!
//! A decoder needs its window, at most 8 MiB, and two small buffers, whatever the size of the frame.

use psp_format::Error;
use psp_format::frames::{FOOTER_SIZE, Frame, FrameFault, SeekTable};
use psp_format::limits::MAX_WINDOW_LOG;
use psp_format::metadata::Slot;
use psp_format::range::{Range, widen};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use super::error::ExtractError;
use super::source::{ReadAt, at_most, read_exact};

/// Stored bytes that are read at once.
const INPUT: usize = 128 << 10;
/// Content that is handed on at once. Two blocks of the format; fits the second-level cache.
pub(crate) const OUTPUT: usize = 256 << 10;

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
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Decoder {
    pub(crate) fn new() -> Result<Decoder, ExtractError> {
        let mut context = DCtx::try_create().ok_or(ExtractError::NoMemory)?;
        context
            .set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))
            .map_err(|_| ExtractError::NoMemory)?;
        Ok(Decoder {
            context,
            input: vec![0; INPUT],
            output: vec![0; OUTPUT],
        })
    }

    /// Decodes frame number `nth` of a slot whose stored bytes begin at `start` of the file, and gives the content to
    /// `take` in pieces of at most [`OUTPUT`] bytes.
    pub(crate) fn frame(
        &mut self,
        source: &dyn ReadAt,
        (slot, start): (&Slot, u64),
        (nth, frame): (usize, &Frame),
        take: &mut dyn FnMut(&[u8]) -> Result<(), ExtractError>,
    ) -> Result<(), ExtractError> {
        let wrong_size = || frame_error(slot, FrameFault::Content { frame: nth });
        let mut at = start.saturating_add(frame.stored.start());
        let end = start.saturating_add(frame.stored.end());
        let mut content_left = frame.content.len();
        let mut is_first = true;
        let mut is_complete = false;
        while at < end {
            let len = at_most(INPUT, end.saturating_sub(at));
            let piece = self.input.get_mut(..len).unwrap_or_default();
            read_exact(source, piece, at)?;
            at = at.saturating_add(widen(len));
            if is_first {
                check_header(piece).map_err(|detail| decode_error(slot, nth, detail))?;
                is_first = false;
            }
            let mut input = InBuffer::around(piece);
            loop {
                if is_complete {
                    // A second frame, or rubbish, within the stored size of one.
                    return Err(wrong_size());
                }
                let mut output = OutBuffer::around(self.output.as_mut_slice());
                let hint = self
                    .context
                    .decompress_stream(&mut output, &mut input)
                    .map_err(|code| decode_error(slot, nth, get_error_name(code)))?;
                is_complete = hint == 0;
                let produced = output.pos();
                content_left = content_left
                    .checked_sub(widen(produced))
                    .ok_or_else(wrong_size)?;
                take(self.output.get(..produced).unwrap_or_default())?;
                let needs_input = input.pos == len && (produced < OUTPUT || is_complete);
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
}

fn decode_error(slot: &Slot, frame: usize, detail: &str) -> ExtractError {
    let detail = detail.to_owned();
    frame_error(slot, FrameFault::Decode { frame, detail })
}

/// M63: no dictionary, no checksum, and a window of at most 8 MiB (RFC 8878, 3.1.1.1).
///
/// The decoder has the same limit, but does not apply it to frames that it can decode in one step.
fn check_header(frame: &[u8]) -> Result<(), &'static str> {
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
    let window = if descriptor & 0x20 == 0 {
        let byte = u64::from(*rest.first().ok_or("truncated header")?);
        let base = 1024_u64.checked_shl(u32::try_from(byte >> 3).unwrap_or(u32::MAX));
        let base = base.unwrap_or(u64::MAX);
        base.saturating_add((base >> 3).saturating_mul(byte & 7))
    } else {
        let field = match descriptor >> 6 {
            0 => 1,
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
        size.saturating_add(if field == 2 { 256 } else { 0 })
    };
    if window > MAX_WINDOW {
        Err("needs a window of more than 8 MiB")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::check_header;

    #[test]
    fn windows_are_bounded_before_decoding() {
        let header = |rest: &[u8]| check_header(&[&[0x28, 0xb5, 0x2f, 0xfd], rest].concat());
        assert!(header(&[0, 13 << 3]).is_ok(), "8 MiB");
        assert!(header(&[0, 13 << 3 | 1]).is_err(), "9 MiB");
        assert!(header(&[0, 0xff]).is_err(), "the largest");
        assert!(header(&[0x20, 0]).is_ok(), "one segment of 0 bytes");
        assert!(header(&[0xa0, 0, 0, 0x80, 0]).is_ok(), "8 MiB");
        assert!(header(&[0xa0, 1, 0, 0x80, 0]).is_err(), "8 MiB + 1");
        assert!(header(&[0xe0, 0, 0, 0, 0, 0, 0, 0, 1]).is_err(), "2^56");
        assert!(header(&[0x60, 0xff, 0xff]).is_ok());
        assert!(header(&[1, 0, 7]).is_err(), "dictionary");
        assert!(header(&[4, 0]).is_err(), "checksum");
        assert!(header(&[]).is_err());
        assert!(check_header(&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]).is_err());
    }
}
