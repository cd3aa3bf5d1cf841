//! Text of unknown origin, for messages that a person reads: names of files, ids, details.
//!
//! What a terminal would obey, and what would make it show something else than is there, is written as an escape. The
//! standard library's escapes also know which characters join others; its tables for that are 4 KB of every package.

use core::fmt::{self, Write as _};

/// Shows bytes between quotation marks, which are escaped where they stand in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted<'a>(pub &'a [u8]);

/// Shows bytes as text. What is no UTF-8 is written as `\x` and two digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a>(pub &'a [u8]);

/// Whether a character can be shown as it is: no control character, and none that changes the direction of the text or
/// cannot be seen.
pub fn is_plain(c: char) -> bool {
    !(c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'))
}

/// Appends a character to a text, as it is or as an escape.
pub fn push(c: char, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = write_char(c, out);
}

fn write_char(c: char, out: &mut dyn fmt::Write) -> fmt::Result {
    match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        c if is_plain(c) => out.write_char(c),
        c => write!(out, "\\u{{{:x}}}", u32::from(c)),
    }
}

fn write_bytes(bytes: &[u8], quoted: bool, out: &mut dyn fmt::Write) -> fmt::Result {
    let mut rest = bytes;
    while !rest.is_empty() {
        let valid = match core::str::from_utf8(rest) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let (text, after) = rest.split_at_checked(valid).unwrap_or((rest, &[]));
        for c in core::str::from_utf8(text).unwrap_or_default().chars() {
            if quoted && matches!(c, '"' | '\\') {
                out.write_char('\\')?;
            }
            write_char(c, out)?;
        }
        rest = after;
        if let Some((byte, after)) = rest.split_first() {
            write!(out, "\\x{byte:02x}")?;
            rest = after;
        }
    }
    Ok(())
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        write_bytes(self.0, true, f)?;
        f.write_char('"')
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_bytes(self.0, false, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys() {
        for (bytes, shown) in [
            (&b"plain \xc3\xa9"[..], "plain \u{e9}"),
            (b"a\x1b[2Jb\r\n\tc\x7f", "a\\u{1b}[2Jb\\r\\n\\tc\\u{7f}"),
            (
                "\u{9b}\u{202e}\u{200d}\u{feff}".as_bytes(),
                "\\u{9b}\\u{202e}\\u{200d}\\u{feff}",
            ),
            (b"\xff\xfea\xc3", "\\xff\\xfea\\xc3"),
            (b"say \"\\\"", "say \"\\\""),
            (b"", ""),
        ] {
            assert_eq!(Shown(bytes).to_string(), shown);
        }
        assert_eq!(Quoted(b"say \"\\\"\n").to_string(), r#""say \"\\\"\n""#);
    }
}
