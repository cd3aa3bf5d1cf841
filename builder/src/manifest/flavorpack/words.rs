//! A command as flavorpack writes it, one text, taken apart into words as its launchers do it.
//!
//! There is no shell: white space separates, both quotation marks quote, and nothing else has a meaning. Its
//! two launchers differ about backslashes, and about a quotation mark that stays open; what they read differently is
//! refused, but for `\"` and `\\` between double quotation marks. They put values in place of placeholders first,
//! so that a space in a path breaks the command; here the words are parted first. Empty words, which the Rust
//! launcher loses, are kept as the Go launcher does it.

use super::Fault;

/// The words of `text`.
pub(super) fn split(text: &str) -> Result<Vec<String>, Fault> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            blank if blank.is_whitespace() => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                quoted(character, &mut characters, word)?;
            }
            '\\' => return Err(Fault::Backslash),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Takes what follows a quotation mark, up to the one that ends it.
fn quoted(
    mark: char,
    characters: &mut impl Iterator<Item = char>,
    word: &mut String,
) -> Result<(), Fault> {
    loop {
        match characters.next().ok_or(Fault::OpenQuote)? {
            character if character == mark => return Ok(()),
            '\\' if mark == '"' => match characters.next().ok_or(Fault::OpenQuote)? {
                escaped @ ('"' | '\\') => word.push(escaped),
                _ => return Err(Fault::Backslash),
            },
            character => word.push(character),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_flavorpacks_launchers() {
        for (text, expected) in [
            ("a  b\tc\nd\u{a0}e ", vec!["a", "b", "c", "d", "e"]),
            ("", vec![]),
            ("'a b' \"c d\"", vec!["a b", "c d"]),
            ("'q \"x' \"d 'y\"", vec!["q \"x", "d 'y"]),
            ("x\"y z\"w a''b '' \"\"", vec!["xy zw", "ab", "", ""]),
            (r#""a\"b" "c\\d" 'e\'"#, vec!["a\"b", "c\\d", "e\\"]),
            ("a#b # $HOME ~ *", vec!["a#b", "#", "$HOME", "~", "*"]),
            ("{workenv}/é 'ü ü'", vec!["{workenv}/é", "ü ü"]),
        ] {
            assert_eq!(split(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_they_read_differently_is_refused() {
        for text in [r"a\ b", r#""a\nb""#, r"\", r"a\\"] {
            assert!(matches!(split(text), Err(Fault::Backslash)), "{text}");
        }
        for text in ["'a", "\"a", "a'", "\"a\\"] {
            assert!(matches!(split(text), Err(Fault::OpenQuote)), "{text}");
        }
    }
}
