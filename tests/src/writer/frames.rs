//! Zstandard frames (RFC 8878) and the seek table of SPEC.md, 4.6, written by hand: each byte can be wrong, and the
//! vectors do not change with the version of a compressor.
//!
//! The frames hold raw and RLE blocks only. That is poor compression of anything but zeros, and zeros are what large
//! tests are made of.

use super::to_u64;

/// Magic of a Zstandard frame.
pub const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// Content of a full frame (M61).
pub const FULL: usize = 16 << 20;
/// What one block holds at most (RFC 8878, 3.1.1.2.4).
const BLOCK_MAX: usize = 128 << 10;
/// Bytes of equal value from which on an RLE block is worth its header.
const RUN_MIN: usize = 24;

/// The frame header (RFC 8878, 3.1.1.1).
#[derive(Clone, Copy)]
pub struct Header {
    /// Exponent and mantissa of the window; without it, the content is one segment and its own window.
    pub window: Option<u8>,
    /// Whether four bytes give the content size. A single segment always has it.
    pub sized: bool,
    /// Number of a dictionary, in four bytes.
    pub dictionary: Option<u32>,
    /// The bit that must be zero.
    pub reserved: bool,
}

impl Default for Header {
    /// A window of 128 KiB and the content size.
    fn default() -> Header {
        Header {
            window: Some(window(17)),
            sized: true,
            dictionary: None,
            reserved: false,
        }
    }
}

/// Window descriptor of a power of two.
pub fn window(log: u8) -> u8 {
    (log - 10) << 3
}

/// A frame of the given content.
pub fn frame(content: &[u8]) -> Vec<u8> {
    frame_with(Header::default(), content)
}

/// A frame with another header; the content size in it is true.
pub fn frame_with(header: Header, content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len()).expect("a frame of a test is small");
    let single = header.window.is_none();
    let sized = header.sized || single;
    let mut bytes = MAGIC.to_vec();
    let mut descriptor = 0;
    descriptor |= if sized { 0x80 } else { 0 };
    descriptor |= if single { 0x20 } else { 0 };
    descriptor |= if header.reserved { 0x08 } else { 0 };
    descriptor |= if header.dictionary.is_some() { 0x03 } else { 0 };
    bytes.push(descriptor);
    bytes.extend(header.window);
    bytes.extend(
        header
            .dictionary
            .iter()
            .flat_map(|number| number.to_le_bytes()),
    );
    if sized {
        bytes.extend_from_slice(&size.to_le_bytes());
    }
    push_blocks(&mut bytes, content);
    bytes
}

fn push_blocks(bytes: &mut Vec<u8>, content: &[u8]) {
    if content.is_empty() {
        return push_block(bytes, true, 0, 0, &[]);
    }
    let mut start = 0;
    while start < content.len() {
        let rest = &content[start..];
        let run = run_of(rest);
        let size = if run >= RUN_MIN { run } else { raw_size(rest) };
        let last = start + size == content.len();
        if run >= RUN_MIN {
            push_block(bytes, last, 1, size, &rest[..1]);
        } else {
            push_block(bytes, last, 0, size, &rest[..size]);
        }
        start += size;
    }
}

/// A block header: last bit, two bits of type, the size.
fn push_block(bytes: &mut Vec<u8>, last: bool, kind: u32, size: usize, stored: &[u8]) {
    let size = u32::try_from(size).expect("a block has at most 128 KiB");
    let header = u32::from(last) | kind << 1 | size << 3;
    bytes.extend_from_slice(&header.to_le_bytes()[..3]);
    bytes.extend_from_slice(stored);
}

fn run_of(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take(BLOCK_MAX)
        .take_while(|byte| **byte == bytes[0])
        .count()
}

/// Bytes up to the next run.
fn raw_size(bytes: &[u8]) -> usize {
    let mut size = 0;
    while size < bytes.len().min(BLOCK_MAX) {
        let run = run_of(&bytes[size..]);
        if run >= RUN_MIN {
            break;
        }
        size = (size + run).min(BLOCK_MAX);
    }
    size
}

/// Frames and the sizes that the seek table gives for them.
#[derive(Clone, Default)]
pub struct Frames {
    /// Stored bytes and original size of each frame.
    pub frames: Vec<(Vec<u8>, u32)>,
}

impl Frames {
    /// No frames.
    pub fn new() -> Frames {
        Frames::default()
    }

    /// Content as one frame, or as full frames and the rest.
    pub fn of(content: &[u8]) -> Frames {
        Frames::new().run(content)
    }

    /// One run for each piece of the stream between these boundaries.
    pub fn cut(stream: &[u8], boundaries: &[usize]) -> Frames {
        let mut ends: Vec<usize> = boundaries
            .iter()
            .copied()
            .filter(|start| *start > 0)
            .collect();
        ends.push(stream.len());
        let mut start = 0;
        let mut frames = Frames::new();
        for end in ends {
            frames = frames.run(&stream[start..end]);
            start = end;
        }
        frames
    }

    /// Adds a run: full frames and the rest.
    pub fn run(mut self, content: &[u8]) -> Frames {
        for chunk in content.chunks(FULL) {
            self = self.frame(frame(chunk), chunk.len());
        }
        self
    }

    /// Adds a frame as it is.
    pub fn frame(mut self, stored: Vec<u8>, original: usize) -> Frames {
        self.frames.push((
            stored,
            u32::try_from(original).expect("a frame of a test is small"),
        ));
        self
    }

    /// Sum of the original sizes.
    pub fn original(&self) -> u64 {
        self.frames.iter().map(|frame| u64::from(frame.1)).sum()
    }

    /// Stored sizes and original sizes.
    pub fn sizes(&self) -> Vec<(u32, u32)> {
        let size = |stored: &[u8]| u32::try_from(stored.len()).expect("a frame of a test is small");
        self.frames
            .iter()
            .map(|(stored, original)| (size(stored), *original))
            .collect()
    }

    /// The slot's stored bytes.
    pub fn stored(&self) -> Vec<u8> {
        self.stored_with(&seek_table(&self.sizes()))
    }

    /// The slot's stored bytes with another seek table.
    pub fn stored_with(&self, table: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> = self
            .frames
            .iter()
            .flat_map(|frame| &frame.0)
            .copied()
            .collect();
        bytes.extend_from_slice(table);
        bytes
    }
}

/// The seek table: a skippable frame of sizes.
pub fn seek_table(sizes: &[(u32, u32)]) -> Vec<u8> {
    let count = u32::try_from(sizes.len()).expect("a test has few frames");
    let mut bytes = vec![0x5E, 0x2A, 0x4D, 0x18];
    bytes.extend_from_slice(&(8 * count + 9).to_le_bytes());
    for (stored, original) in sizes {
        bytes.extend_from_slice(&stored.to_le_bytes());
        bytes.extend_from_slice(&original.to_le_bytes());
    }
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&[0xB1, 0xEA, 0x92, 0x8F]);
    bytes
}

/// The size of a slot's stored bytes as the type that records use.
pub fn stored_size(frames: &Frames) -> u64 {
    to_u64(frames.stored().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_reads_the_frames_as_one_stream() {
        let mut content = b"some text, then zeros: ".to_vec();
        content.resize(300_000, 0);
        content.extend_from_slice(b"end");
        let stored = Frames::new()
            .run(&content[..1000])
            .run(&content[1000..])
            .stored();
        assert_eq!(zstd::stream::decode_all(&stored[..]).unwrap(), content);
    }
}
