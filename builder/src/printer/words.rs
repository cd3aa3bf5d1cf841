//! Text for terminals: numbers as people read them, and nothing raw of what comes from a package, a file name or a key file.

use std::fmt::Write as _;

/// A number of bytes for a person: three digits and a unit.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    // Tenths of a unit, in integers: a float would be rounded up to "1024.0 KiB".
    let mut scaled = u128::from(bytes).saturating_mul(10) / 1024;
    let mut unit = UNITS.iter();
    let mut name = unit.next();
    while scaled >= 10_240 {
        scaled /= 1024;
        name = unit.next();
    }
    format!("{}.{} {}", scaled / 10, scaled % 10, name.unwrap_or(&"EiB"))
}

/// `count` things, with the right word.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Text that may come from a package, in printable characters: controls, line ends, direction marks and the like become
/// escapes, and so does the backslash, so that an escape is never mistaken for the text.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out
}

/// [`escape`] for bytes that may not be UTF-8.
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// A JSON document without the characters that JSON allows raw and a terminal may obey: DEL, C1 controls, direction
/// marks. They stand in strings only, where an escape means the same.
pub fn printable_json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        let plain = c.is_ascii() && c != '\u{7f}';
        if plain || c.escape_debug().len() == 1 {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size(0), "0 bytes");
        assert_eq!(size(1023), "1023 bytes");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size(1024 * 1024 - 1), "1023.9 KiB");
        assert_eq!(size(1_572_864), "1.5 MiB");
        assert_eq!(size(u64::MAX), "15.9 EiB");
    }

    #[test]
    fn nothing_raw_reaches_a_terminal() {
        assert_eq!(
            escape("a\u{1b}[31m\nb\u{202e}"),
            "a\\u{1b}[31m\\nb\\u{202e}"
        );
        assert_eq!(escape("it's \"\u{e9}\" \\n"), "it's \"\u{e9}\" \\\\n");
        assert_eq!(escape_bytes(b"a\xff/\x07"), "a\\xff/\\u{7}");
    }

    #[test]
    fn nor_from_a_json_document() {
        let document = "{\n\"a\": \"\u{e9}\u{7f}\u{9b}\u{202e}\u{e0001}\"}";
        let safe = "{\n\"a\": \"\u{e9}\\u007f\\u009b\\u202e\\udb40\\udc01\"}";
        assert_eq!(printable_json(document), safe);
    }
}
