//! The gzip member around the metadata of a base package: any compression, one member, and nothing behind it.

use std::io::Read as _;

use flate2::bufread::GzDecoder;
use psp_format::limits::MAX_METADATA;

use super::fault::Fault;

/// The text inside. Not more than its limit is ever decoded: this comes before the signature.
pub fn text(member: &[u8]) -> Result<Vec<u8>, Fault> {
    let fault = |detail: String| Fault::Member { detail };
    let mut decoder = GzDecoder::new(member);
    let mut text = Vec::new();
    let limit = MAX_METADATA as u64 + 1;
    let read = decoder.by_ref().take(limit).read_to_end(&mut text);
    read.map_err(|error| fault(error.to_string()))?;
    if text.len() > MAX_METADATA {
        return Err(fault(format!("it holds more than {MAX_METADATA} bytes")));
    }
    // Readers do not agree on what a second member means, so there is none.
    match decoder.into_inner() {
        [] => Ok(text),
        rest => Err(fault(format!("{} bytes follow it", rest.len()))),
    }
}

/// Whether a member holds compressed blocks or optional fields, as every writer but a strict one makes them.
pub fn is_compressed(member: &[u8]) -> bool {
    match member {
        // RFC 1952, 2.3: magic, method 8, flags; RFC 1951, 3.2.3: the type in bits 1 and 2 of a block.
        [0x1f, 0x8b, 8, flags, _, _, _, _, _, _, block, ..] => *flags != 0 || block & 0b110 != 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn member(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        assert!(encoder.write_all(text).is_ok());
        encoder.finish().unwrap_or_default()
    }

    #[test]
    fn one_member_and_nothing_behind_it() {
        let good = member(b"{}");
        assert_eq!(text(&good), Ok(b"{}".to_vec()));
        for more in [&b"\0"[..], b"junk", &good] {
            let refused = text(&[&good[..], more].concat());
            assert!(matches!(refused, Err(Fault::Member { .. })), "{refused:?}");
        }
        for cut in 0..good.len() {
            assert!(text(&good[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let most = vec![b' '; MAX_METADATA];
        assert_eq!(
            text(&member(&most)).map(|text| text.len()),
            Ok(MAX_METADATA)
        );
        let bomb = member(&vec![b' '; 64 << 20]);
        let refused = text(&bomb).map_err(|fault| fault.to_string());
        assert_eq!(
            refused,
            Err("the metadata is not one gzip member: it holds more than 1048576 bytes".into())
        );
    }

    #[test]
    fn members_of_other_builders() {
        let fixed = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
        let with = |block: u8| is_compressed(&[&fixed[..], &[block]].concat());
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(with),
            [false, false, true, true, true, true]
        );
        assert!(is_compressed(&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 0, 0]));
        assert!(!is_compressed(&fixed));
        assert!(!is_compressed(b"{\"format\":1}"));
    }
}
