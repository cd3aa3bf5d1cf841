//! The gzip member (RFC 1952) of stored blocks around the metadata (SPEC.md, 3), and its many other forms.

/// The ten bytes that a strict member begins with.
pub const HEADER: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF];

/// The one member of a text.
pub fn stored(text: &[u8]) -> Vec<u8> {
    wrap(&HEADER, &stored_blocks(text, 65535), text)
}

/// Header, deflate stream, CRC-32 and length.
pub fn wrap(header: &[u8], deflated: &[u8], text: &[u8]) -> Vec<u8> {
    let mut member = header.to_vec();
    member.extend_from_slice(deflated);
    member.extend_from_slice(&crc32(text).to_le_bytes());
    let size = u32::try_from(text.len()).expect("a test's text is small");
    member.extend_from_slice(&size.to_le_bytes());
    member
}

/// Stored blocks of at most `block` bytes, the last one marked.
pub fn stored_blocks(text: &[u8], block: usize) -> Vec<u8> {
    let mut deflated = Vec::new();
    let mut chunks = text.chunks(block).peekable();
    if chunks.peek().is_none() {
        push_block(&mut deflated, 1, &[]);
    }
    while let Some(chunk) = chunks.next() {
        push_block(&mut deflated, u8::from(chunks.peek().is_none()), chunk);
    }
    deflated
}

/// One stored block (RFC 1951, 3.2.4) with the given first byte.
pub fn push_block(deflated: &mut Vec<u8>, first: u8, bytes: &[u8]) {
    let size = u16::try_from(bytes.len()).expect("a stored block has at most 65535 bytes");
    deflated.push(first);
    deflated.extend_from_slice(&size.to_le_bytes());
    deflated.extend_from_slice(&(!size).to_le_bytes());
    deflated.extend_from_slice(bytes);
}

/// One block with the fixed Huffman code (RFC 1951, 3.2.6) and literals only: a compressed form of any text.
pub fn fixed_huffman(text: &[u8]) -> Vec<u8> {
    let mut bits = Bits {
        bytes: Vec::new(),
        used: 0,
    };
    bits.push(1, 1);
    bits.push(1, 2);
    for byte in text {
        let literal = u32::from(*byte);
        // Huffman codes are packed from their highest bit.
        if literal < 144 {
            bits.push_reversed(0x30 + literal, 8);
        } else {
            bits.push_reversed(0x190 + literal - 144, 9);
        }
    }
    bits.push_reversed(0, 7);
    bits.bytes
}

struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let set = u8::from(value >> bit & 1 == 1) << (self.used % 8);
            *self.bytes.last_mut().expect("pushed above") |= set;
            self.used += 1;
        }
    }

    fn push_reversed(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            self.push(value >> bit & 1, 1);
        }
    }
}

/// CRC-32 of RFC 1952, 8.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_check_string() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
