//! A command line as words, in the way of a shell and without one: quotes and backslashes, and nothing else. The libraries
//! for this pass over everything behind a `#`, in silence, which may be the beginning of a PIN.

use core::fmt;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

/// Why a text is no command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WordsFault {
    /// There is no word in it.
    Empty,
    /// A quotation mark has no partner.
    Quote,
    /// A backslash stands at the end.
    Backslash,
    /// It holds a NUL, which no argument can.
    Nul,
}

impl fmt::Display for WordsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WordsFault::Empty => "no program stands behind cmd:",
            WordsFault::Quote => "a quotation mark has no partner",
            WordsFault::Backslash => "a backslash stands at the end",
            WordsFault::Nul => "it holds a NUL",
        })
    }
}

/// The words of a command line; at least one.
///
/// Blanks part words. Between single quotes every byte stands for itself; between double quotes a backslash is only
/// special before `"` and `\`; outside, it takes the meaning from the byte that follows.
pub(super) fn split(line: &[u8]) -> Result<Vec<OsString>, WordsFault> {
    let (mut words, mut word) = (Vec::new(), None::<Vec<u8>>);
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            0 => return Err(WordsFault::Nul),
            b' ' | b'\t' | b'\n' | b'\r' => words.extend(word.take()),
            b'\'' | b'"' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next().ok_or(WordsFault::Quote)? {
                        0 => return Err(WordsFault::Nul),
                        end if end == byte => break,
                        b'\\' if byte == b'"' => {
                            let special = bytes.next_if(|next| matches!(next, b'"' | b'\\'));
                            word.push(special.unwrap_or(b'\\'));
                        }
                        other => word.push(other),
                    }
                }
            }
            b'\\' => {
                let next = bytes.next().ok_or(WordsFault::Backslash)?;
                word.get_or_insert_default().push(next);
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    match words.is_empty() {
        true => Err(WordsFault::Empty),
        false => Ok(words.into_iter().map(OsString::from_vec).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        for (line, expected) in [
            ("a", &["a"][..]),
            ("  a\tb\n c ", &["a", "b", "c"]),
            ("'a b'c \"d e\"", &["a bc", "d e"]),
            ("a '' \"\"", &["a", "", ""]),
            (
                "'a\\b' \"c\\d\\\"\\\\\" e\\ f\\'",
                &["a\\b", "c\\d\"\\", "e f'"],
            ),
            (
                "$HOME `x` * ; | > #",
                &["$HOME", "`x`", "*", ";", "|", ">", "#"],
            ),
        ] {
            let words = split(line.as_bytes()).unwrap_or_default();
            assert_eq!(words, expected, "{line}");
        }
        assert_eq!(
            split(b"\xff").map(|words| words.len()),
            Ok(1),
            "names need not be UTF-8"
        );
    }

    #[test]
    fn what_is_no_command_line() {
        for (line, fault) in [
            (&b""[..], WordsFault::Empty),
            (b" \n", WordsFault::Empty),
            (b"a 'b", WordsFault::Quote),
            (b"a \"b'", WordsFault::Quote),
            (b"a \"b\\\"", WordsFault::Quote),
            (b"a\\", WordsFault::Backslash),
            (b"a\0", WordsFault::Nul),
            (b"'\0'", WordsFault::Nul),
        ] {
            assert_eq!(split(line), Err(fault), "{line:?}");
        }
    }
}
