//! Base64 (RFC 4648, 4), for keys and statements in text files: with padding, and one text for each sequence of bytes.

/// The sixty-four digits, by their value.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text of these bytes, in one line.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0_u32;
        for nth in 0..3 {
            bits = bits << 8 | u32::from(group.get(nth).copied().unwrap_or(0));
        }
        for (nth, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = usize::try_from(bits >> shift & 63).unwrap_or(0);
            let digit = DIGITS.get(digit).copied().unwrap_or(b'=');
            out.push(char::from(if nth > group.len() { b'=' } else { digit }));
        }
    }
    out
}

/// The bytes of a text, if it is the one that [`encode`] makes of them: no white space, no missing padding, nothing
/// behind it, no set bits that stand for no byte.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text
        .strip_suffix(b"==")
        .or(text.strip_suffix(b"="))
        .unwrap_or(text);
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::new();
    // Bits that are not yet a byte, and how many.
    let (mut bits, mut waiting) = (0_u32, 0_u32);
    for digit in digits {
        bits = (bits << 6 | value(*digit)?) & 0xfff;
        waiting = waiting.wrapping_add(6);
        if waiting >= 8 {
            waiting = waiting.wrapping_sub(8);
            out.push(u8::try_from(bits >> waiting & 0xff).ok()?);
        }
    }
    // Two digits are one byte and four bits, three are two bytes and two bits; these bits are zero.
    let rest = bits & (1_u32 << waiting).wrapping_sub(1);
    (waiting < 6 && rest == 0).then_some(out)
}

fn value(digit: u8) -> Option<u32> {
    let (first, value) = match digit {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'+' => (b'+', 62),
        b'/' => (b'/', 63),
        _ => return None,
    };
    Some(u32::from(digit.wrapping_sub(first)).wrapping_add(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, 10.
    const VECTORS: [(&str, &str); 7] = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ];

    #[test]
    fn vectors_of_rfc_4648() {
        for (bytes, text) in VECTORS {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes.as_bytes()));
        }
    }

    #[test]
    fn every_value_of_every_digit_comes_back() {
        for high in 0..=255 {
            for low in 0..=255 {
                for bytes in [&[high, low][..], &[high, low, high], &[low], &[]] {
                    assert_eq!(decode(encode(bytes).as_bytes()).as_deref(), Some(bytes));
                }
            }
        }
    }

    /// Whatever is decoded is the encoding of what comes out: no second text for the same bytes.
    #[test]
    fn there_is_one_text_for_each_sequence_of_bytes() {
        let alphabet: Vec<u8> = DIGITS.iter().chain(b"=\n -_\x80").copied().collect();
        let mut accepted = 0;
        for third in &alphabet {
            for fourth in &alphabet {
                for second in b"AQgB=/" {
                    let text = [b'Z', *second, *third, *fourth];
                    if let Some(bytes) = decode(&text) {
                        assert_eq!(encode(&bytes).as_bytes(), text);
                        accepted += 1;
                    }
                }
            }
        }
        // Five second digits (of which A, Q and g have four zero bits) with two, one or no digit behind them.
        assert_eq!(accepted, 5 * 64 * 64 + 5 * 16 + 3);
        for text in [
            "Z", "Zg", "Zg=", "Zm9", "Zh==", "Zm9=", "Zg==Zg==", "Zg===", "====", "=", "Zm9v\n",
            " Zm9v", "Zm9v====", "Z===", "Zm\n8=",
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
    }
}
