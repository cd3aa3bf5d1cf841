//! Zstandard as patches use it: data that refers to a prefix, and frames of packages, decoded and made again.

use psp_format::limits;
use psp_format::range::widen;
use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, ResetDirective, compress_bound, get_frame_content_size, version_number,
};

use crate::pack::compress::{set_up, window_log};

/// The level of what refers to a prefix: little data, made once and fetched often.
const CONTENT_LEVEL: i32 = 19;
/// The level for long content. Where little of it is new, a seventh of the time gives nearly the same; where much is, it is
/// tried again.
const QUICK_LEVEL: i32 = 12;
/// Up to so much content and prefix, the best level takes a second.
const SHORT: usize = 12 << 20;
/// The level for stored bytes, which are compressed: nothing is to be found but what stands in the prefix as it is.
const STORED_LEVEL: i32 = 3;
/// The window for a prefix and what refers to it: 128 MiB, more than both can have.
const MAX_WINDOW_LOG: u32 = 27;
/// So much of a frame is made to see whether a level is the right one...
const PROBE: usize = 256 << 10;
/// ...and so much of that is compared: a block of at most 128 KiB may not have been finished.
const PROBED: usize = 96 << 10;

/// What the bytes are that a payload stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes as programs write them.
    Content,
    /// Bytes that are compressed.
    Stored,
}

/// `ZSTD_versionNumber()`.
pub(super) fn zstd_version() -> u32 {
    version_number()
}

/// Most bytes that so much content takes when it is compressed.
pub(super) fn bound(content: u32) -> u64 {
    usize::try_from(content).map_or(0, |content| widen(compress_bound(content)))
}

/// `content` as data that refers to `prefix`, as `zstd --patch-from` makes it. Nothing when the compressor has no memory.
pub(super) fn express(content: &[u8], prefix: &[u8], kind: Kind) -> Option<Vec<u8>> {
    let both = prefix.len().saturating_add(content.len());
    match kind {
        Kind::Stored => express_at(STORED_LEVEL, content, prefix),
        Kind::Content if both <= SHORT => express_at(CONTENT_LEVEL, content, prefix),
        Kind::Content => {
            let quick = express_at(QUICK_LEVEL, content, prefix)?;
            if quick.len() <= content.len() / 64 {
                return Some(quick);
            }
            let small = express_at(CONTENT_LEVEL, content, prefix)?;
            Some(if small.len() < quick.len() {
                small
            } else {
                quick
            })
        }
    }
}

fn express_at(level: i32, content: &[u8], prefix: &[u8]) -> Option<Vec<u8>> {
    let both = prefix.len().saturating_add(content.len());
    let mut context = CCtx::try_create()?;
    set_up(&mut context, level, window_log(both, MAX_WINDOW_LOG)).ok()?;
    if !prefix.is_empty() {
        // The prefix is larger than what the level looks back at.
        let far = CParameter::EnableLongDistanceMatching(true);
        context.set_parameter(far).ok()?;
        context.ref_prefix(prefix).ok()?;
    }
    let mut out = Vec::with_capacity(compress_bound(content.len()));
    context.compress2(&mut out, content).ok()?;
    out.shrink_to_fit();
    Some(out)
}

/// The `size` bytes that a payload stands for; nothing when it stands for something else. The caller bounds `size`.
pub(super) fn resolve(payload: &[u8], prefix: &[u8], size: usize) -> Option<Vec<u8>> {
    // Looked at first: what claims more than it has is not worth the memory.
    let stated = get_frame_content_size(payload).ok()??;
    if stated != widen(size) {
        return None;
    }
    decompress(payload, prefix, size)
}

/// The content of a frame of a package. Other builders need not state its size in the frame.
pub(super) fn decode(frame: &[u8], size: usize) -> Option<Vec<u8>> {
    decompress(frame, &[], size)
}

fn decompress(frame: &[u8], prefix: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut context = DCtx::try_create()?;
    if !prefix.is_empty() {
        context.ref_prefix(prefix).ok()?;
    }
    // In one step, and without a window: matches are copied from where they lie in the result or the prefix.
    let mut out = Vec::with_capacity(size);
    context.decompress(&mut out, frame).ok()?;
    (out.len() == size).then_some(out)
}

/// Makes frames as `flavor pack` does.
pub(super) struct Frames(CCtx<'static>);

impl Frames {
    pub(super) fn new() -> Option<Frames> {
        CCtx::try_create().map(Frames)
    }

    /// The frame for this content.
    pub(super) fn make(&mut self, content: &[u8], level: u8, window_log: u8) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(compress_bound(content.len()));
        self.into(&mut out, content, level, window_log)?;
        Some(out)
    }

    /// Whether this frame was made of this content at this level. A wrong level takes a moment only.
    pub(super) fn is_made_at(&mut self, frame: &[u8], content: &[u8], level: u8) -> bool {
        let log = pack_window_log(content.len());
        self.may_be(frame, content, level, log)
            && self.make(content, level, log).as_deref() == Some(frame)
    }

    /// Whether this is how the frame begins.
    fn may_be(&mut self, frame: &[u8], content: &[u8], level: u8, window_log: u8) -> bool {
        if frame.len() <= PROBE {
            return true;
        }
        // There is no room for all of it, which is what ends the compressor. What it has written by then is there. (As a
        // stream, with an end after this much, the blocks would be other ones.)
        let mut begun = vec![0; PROBE];
        let _ = self.into(begun.as_mut_slice(), content, level, window_log);
        begun.get(..PROBED) == frame.get(..PROBED)
    }

    fn into<B: zstd::zstd_safe::WriteBuf + ?Sized>(
        &mut self,
        out: &mut B,
        content: &[u8],
        level: u8,
        window_log: u8,
    ) -> Option<()> {
        // What an end in the middle has left.
        self.0.reset(ResetDirective::SessionOnly).ok()?;
        set_up(&mut self.0, i32::from(level), u32::from(window_log)).ok()?;
        self.0.compress2(out, content).ok()?;
        Some(())
    }
}

/// The window that `flavor pack` uses for so much content.
pub(super) fn pack_window_log(content: usize) -> u8 {
    let log = window_log(content, limits::MAX_WINDOW_LOG);
    u8::try_from(log).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text of which no two parts are the same.
    fn text(lines: u32) -> Vec<u8> {
        let line = |n: u32| format!("{n} {:x}\n", n.wrapping_mul(2_654_435_761));
        (0..lines).flat_map(|n| line(n).into_bytes()).collect()
    }

    #[test]
    fn what_refers_to_a_prefix_is_small() {
        let old = text(70_000);
        let mut new = old.clone();
        new.splice(500_000..500_004, *b"something else");
        for kind in [Kind::Content, Kind::Stored] {
            let payload = express(&new, &old, kind).unwrap_or_default();
            assert!(payload.len() < 500, "{} bytes", payload.len());
            assert!(resolve(&payload, &old, new.len()).as_ref() == Some(&new));
            assert!(resolve(&payload, &old[..old.len() - 1], new.len()).as_ref() != Some(&new));
            assert_eq!(resolve(&payload, &old, new.len() - 1), None);
        }
    }

    #[test]
    fn the_level_of_a_frame_is_found() {
        let content = text(70_000);
        let mut frames = Frames::new().unwrap_or_else(|| panic!("no memory"));
        let log = pack_window_log(content.len());
        for made in [1, 3, 9, 19] {
            let frame = frames.make(&content, made, log).unwrap_or_default();
            assert!(frame.len() > PROBE, "{} bytes", frame.len());
            for level in [1, 3, 9, 19] {
                assert_eq!(frames.may_be(&frame, &content, level, log), level == made);
                assert_eq!(frames.is_made_at(&frame, &content, level), level == made);
            }
            assert!(frames.make(&content, made, log).as_ref() == Some(&frame));
        }
    }
}
