//! The gzip member around the metadata: stored blocks only, one form for each text (SPEC.md 3, M20).

use crate::error::Error;
use crate::limits::MAX_METADATA;
use crate::range::widen;

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const BLOCK: usize = 65_535;
const BLOCK_HEADER: usize = 5;
/// Header, CRC-32 and length.
const FIXED: usize = 18;

/// The member that holds `text`.
pub fn wrap(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::from(HEADER);
    let mut blocks = text.chunks(BLOCK).peekable();
    while let Some(block) = blocks.next() {
        let len = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(len.to_le_bytes());
        out.extend((!len).to_le_bytes());
        out.extend(block);
    }
    out.extend(crc32(text).to_le_bytes());
    out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out
}

/// Size of the member that holds a text of `len` bytes.
pub fn wrapped_len(len: usize) -> u64 {
    let blocks = len.div_ceil(BLOCK);
    widen(
        len.saturating_add(blocks.saturating_mul(BLOCK_HEADER))
            .saturating_add(FIXED),
    )
}

/// Offset in the member of the byte of the text at `at`.
pub fn offset_of(at: usize) -> u64 {
    let blocks = (at / BLOCK).saturating_add(1);
    widen(
        at.saturating_add(blocks.saturating_mul(BLOCK_HEADER))
            .saturating_add(HEADER.len()),
    )
}

/// The text inside `member`, or where it differs from the one form.
pub fn unwrap(member: &[u8]) -> Result<Vec<u8>, Error> {
    let fault = |rest: &[u8], part| Error::Member {
        at: widen(member.len().saturating_sub(rest.len())),
        part,
    };
    let mut rest = match member.split_first_chunk::<10>() {
        Some((&HEADER, rest)) => rest,
        _ => {
            let at = member
                .iter()
                .zip(HEADER)
                .take_while(|(a, b)| **a == *b)
                .count();
            return Err(Error::Member {
                at: widen(at),
                part: "gzip header",
            });
        }
    };
    let mut text = Vec::new();
    loop {
        let Some((&[kind, a, b, c, d], body)) = rest.split_first_chunk::<BLOCK_HEADER>() else {
            return Err(fault(rest, "block header"));
        };
        let len = u16::from_le_bytes([a, b]);
        let last = match kind {
            0 if len == u16::MAX => false,
            1 if len > 0 => true,
            _ => return Err(fault(rest, "block header")),
        };
        if u16::from_le_bytes([c, d]) != !len {
            return Err(fault(rest, "block length"));
        }
        let Some((block, after)) = body.split_at_checked(usize::from(len)) else {
            return Err(fault(body, "block"));
        };
        if text.len().saturating_add(block.len()) > MAX_METADATA {
            return Err(Error::value("", format!("more than {MAX_METADATA} bytes")));
        }
        text.extend_from_slice(block);
        rest = after;
        if last {
            break;
        }
    }
    let size = u32::try_from(text.len()).unwrap_or(u32::MAX);
    match rest.split_first_chunk::<4>() {
        Some((crc, size_field)) if u32::from_le_bytes(*crc) == crc32(&text) => {
            if size_field == size.to_le_bytes() {
                Ok(text)
            } else {
                Err(fault(size_field, "length"))
            }
        }
        _ => Err(fault(rest, "CRC-32")),
    }
}

/// How far a member reaches whose beginning is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// There is no member of the strict form.
    Not,
    /// The bytes end inside a member.
    Cut,
    /// The member has this many bytes.
    Whole(usize),
}

/// Walks the blocks of a member at the beginning of `bytes`, to tell how much of an unusable file is there.
pub fn extent(bytes: &[u8]) -> Extent {
    let Some(mut rest) = bytes.strip_prefix(&HEADER) else {
        let cut = !bytes.is_empty() && HEADER.starts_with(bytes);
        return if cut { Extent::Cut } else { Extent::Not };
    };
    loop {
        let Some((&[kind, a, b, c, d], body)) = rest.split_first_chunk::<BLOCK_HEADER>() else {
            return Extent::Cut;
        };
        let len = u16::from_le_bytes([a, b]);
        if kind > 1 || u16::from_le_bytes([c, d]) != !len {
            return Extent::Not;
        }
        let Some(after) = body.get(usize::from(len)..) else {
            return Extent::Cut;
        };
        rest = after;
        if kind == 1 {
            break;
        }
    }
    // CRC-32 and length.
    match rest.split_first_chunk::<8>() {
        Some((_, after)) => Extent::Whole(bytes.len().saturating_sub(after.len())),
        None => Extent::Cut,
    }
}

/// CRC-32 of RFC 1952, 8, a byte at a time.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        let [low, ..] = (crc ^ u32::from(byte)).to_le_bytes();
        crc >> 8 ^ CRC_TABLE.get(usize::from(low)).copied().unwrap_or(0)
    })
}

/// What each byte does to the CRC.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut rest: &mut [u32] = &mut table;
    let mut byte = 0_u32;
    while let Some((entry, tail)) = rest.split_first_mut() {
        let (mut crc, mut bits) = (byte, 0xff_u8);
        while bits != 0 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
            bits >>= 1;
        }
        *entry = crc;
        byte = byte.wrapping_add(1);
        rest = tail;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_usual_check_string() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn every_length_around_the_block_size() {
        for len in [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, MAX_METADATA] {
            let text = vec![b'x'; len];
            let member = wrap(&text);
            assert_eq!(widen(member.len()), wrapped_len(len));
            assert_eq!(unwrap(&member), Ok(text));
        }
        assert_eq!(wrapped_len(MAX_METADATA), crate::limits::MAX_MEMBER);
        assert!(unwrap(&wrap(&vec![b'x'; MAX_METADATA + 1])).is_err());
    }

    #[test]
    fn one_form_only() {
        let member = wrap(b"{}");
        for at in 0..member.len() {
            let mut changed = member.clone();
            changed[at] ^= 1;
            assert!(unwrap(&changed).is_err(), "byte {at}");
            assert!(unwrap(&member[..at]).is_err(), "cut at {at}");
        }
        assert!(unwrap(&[&member[..], &[0]].concat()).is_err());
        // An empty last block after a full one would be a second form of the same text.
        let text = vec![b'x'; BLOCK];
        let mut two = wrap(&text);
        two[10] = 0;
        let end = two.len() - 8;
        two.splice(end..end, [1, 0, 0, 0xff, 0xff]);
        assert!(unwrap(&two).is_err());
    }
}
