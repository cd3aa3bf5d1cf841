//! The compression around a `.tar`, told by the first bytes: names lie more often than magic numbers.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use liblzma::stream::{CONCATENATED, Stream};
use psp_format::ops::Op;

/// Memory that an xz stream may ask for, in bytes; its highest preset needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;
/// The window that a Zstandard frame may ask for, as a power of two: 128 MiB, the limit of `zstd` itself.
const ZSTD_WINDOW: u32 = 27;

/// A reader of what is inside `file`.
pub(super) fn decoder(file: File) -> io::Result<Box<dyn Read>> {
    let mut file = BufReader::with_capacity(128 * 1024, file);
    let start = file.fill_buf()?;
    let step = if start.starts_with(b"\x1f\x8b") {
        Op::Gzip
    } else if start.starts_with(b"\xfd7zXZ\0") {
        Op::Xz
    } else if start.starts_with(b"\x28\xb5\x2f\xfd") || is_skippable_frame(start) {
        Op::Zstd
    } else if start.starts_with(b"BZh") {
        Op::Bzip2
    } else {
        return Ok(Box::new(file));
    };
    undo(step, file)
}

/// A reader of what one step of compression has made of `packed`.
///
/// Each decoder goes on with a further member or frame after the first, as the command-line tools do.
pub(in crate::inputs) fn undo<'r>(
    step: Op,
    packed: impl BufRead + 'r,
) -> io::Result<Box<dyn Read + 'r>> {
    Ok(match step {
        Op::Tar => Box::new(packed),
        Op::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Op::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
        Op::Xz => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
        }
        Op::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
    })
}

/// Zstandard files may begin with frames that decoders skip; `pzstd` writes them.
fn is_skippable_frame(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}
