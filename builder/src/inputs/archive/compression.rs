//! The compression around a `.tar`, told by the first bytes: names lie more often than magic numbers.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use liblzma::stream::{CONCATENATED, Stream};

/// Memory that an xz stream may ask for, in bytes; its highest preset needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;
/// The window that a Zstandard frame may ask for, as a power of two: 128 MiB, the limit of `zstd` itself.
const ZSTD_WINDOW: u32 = 27;

/// A reader of what is inside `file`.
pub(super) fn decoder(file: File) -> io::Result<Box<dyn Read>> {
    let mut file = BufReader::with_capacity(128 * 1024, file);
    let start = file.fill_buf()?;
    // Each decoder goes on with a further member or frame after the first, as the command-line tools do.
    if start.starts_with(b"\x1f\x8b") {
        Ok(Box::new(flate2::bufread::MultiGzDecoder::new(file)))
    } else if start.starts_with(b"\xfd7zXZ\0") {
        let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
        Ok(Box::new(liblzma::bufread::XzDecoder::new_stream(
            file, stream,
        )))
    } else if start.starts_with(b"\x28\xb5\x2f\xfd") || is_skippable_frame(start) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(file)?;
        decoder.window_log_max(ZSTD_WINDOW)?;
        Ok(Box::new(decoder))
    } else if start.starts_with(b"BZh") {
        Ok(Box::new(bzip2::bufread::MultiBzDecoder::new(file)))
    } else {
        Ok(Box::new(file))
    }
}

/// Zstandard files may begin with frames that decoders skip; `pzstd` writes them.
fn is_skippable_frame(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}
