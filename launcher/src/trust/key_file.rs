//! The file of a trusted key: lines that describe and limit it, then one SPKI PEM block. Pure.
//!
//! ```text
//! # Name: Acme release
//! # Packages: acme-*, tool
//! # Expires: 2027-01-31
//! -----BEGIN PUBLIC KEY-----
//! MCowBQYDK2VwAyEA...
//! -----END PUBLIC KEY-----
//! ```
//!
//! Without `Packages` the key is trusted for every package; without `Expires`, for ever. A mistake in a limit must not
//! widen it, so what looks like one of the two and is not, a limit in the wrong place, a second key, and a byte order
//! mark, behind which the first line would not be seen, make the file a bad one. Other lines are comments.

use core::fmt;

use psp_format::{base64, instant};

use crate::plan::matches;

const BEGIN: &[u8] = b"-----BEGIN PUBLIC KEY-----";
const END: &[u8] = b"-----END PUBLIC KEY-----";
/// What every SPKI document of an Ed25519 key begins with (RFC 8410, 4).
const SPKI: &[u8; 12] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// The last second of a day, behind its date.
const DAY_END: &str = "T23:59:59Z";

/// A key with its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// The raw key. Not yet known to be one that may be used: what is compared with it is.
    pub key: [u8; 32],
    /// Its name.
    pub name: Option<String>,
    /// Patterns of the packages that it is trusted for; empty for all.
    pub packages: Vec<String>,
    /// The last second in which it is trusted, since 1970.
    pub expires: Option<u64>,
}

/// Why a text is not the file of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFileFault {
    /// It has no SPKI PEM block.
    NoKey,
    /// The block is not an Ed25519 key.
    NotEd25519,
    /// Something that counts, a key or a limit, stands behind the first key.
    Behind,
    /// It begins with a byte order mark.
    ByteOrderMark,
    /// A line looks like a limit and is none.
    Misspelt,
    /// A line stands there twice.
    Twice,
    /// `Packages` is not a list of patterns.
    Packages,
    /// `Expires` is neither a date nor an instant.
    Expires,
}

impl KeyFile {
    /// Whether the key is trusted for the package of this name.
    pub fn covers(&self, name: &str) -> bool {
        let fits = |glob: &String| matches(glob.as_bytes(), name.as_bytes());
        self.packages.is_empty() || self.packages.iter().any(fits)
    }

    /// Whether the key has expired.
    pub fn has_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|last| now > last)
    }
}

/// Reads the file of a key.
pub fn read(text: &[u8]) -> Result<KeyFile, KeyFileFault> {
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(KeyFileFault::ByteOrderMark);
    }
    let mut file = KeyFile {
        key: [0; 32],
        name: None,
        packages: Vec::new(),
        expires: None,
    };
    let mut lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    loop {
        let line = lines.next().ok_or(KeyFileFault::NoKey)?;
        if line == BEGIN {
            break;
        }
        if line.starts_with(b"-----BEGIN ") {
            return Err(KeyFileFault::NoKey);
        }
        match header(line)? {
            Some((Header::Name, value)) => {
                let name = String::from_utf8_lossy(value).into_owned();
                set(&mut file.name, name)?;
            }
            Some((Header::Packages, value)) => {
                if !file.packages.is_empty() {
                    return Err(KeyFileFault::Twice);
                }
                file.packages = patterns(value).ok_or(KeyFileFault::Packages)?;
            }
            Some((Header::Expires, value)) => {
                set(&mut file.expires, last_second(value)?)?;
            }
            None => {}
        }
    }
    let mut digits = Vec::new();
    loop {
        let line = lines.next().ok_or(KeyFileFault::NotEd25519)?;
        if line == END {
            break;
        }
        digits.extend_from_slice(line);
    }
    let document = base64::decode(&digits).ok_or(KeyFileFault::NotEd25519)?;
    let key = document.strip_prefix(SPKI).map(TryInto::try_into);
    let Some(Ok(key)) = key else {
        return Err(KeyFileFault::NotEd25519);
    };
    file.key = key;
    for line in lines {
        if line.starts_with(b"-----") || !matches!(header(line), Ok(None | Some((Header::Name, _))))
        {
            return Err(KeyFileFault::Behind);
        }
    }
    file.name = file.name.filter(|name| !name.is_empty());
    Ok(file)
}

enum Header {
    Name,
    Packages,
    Expires,
}

/// The header in a line, if it has one: a word and a colon, mostly behind a `#`.
fn header(line: &[u8]) -> Result<Option<(Header, &[u8])>, KeyFileFault> {
    let mut line = line;
    while let Some((b'#' | b' ' | b'\t', rest)) = line.split_first() {
        line = rest;
    }
    let Some(colon) = line.iter().position(|&byte| matches!(byte, b':' | b'=')) else {
        return Ok(None);
    };
    let (word, value) = line.split_at_checked(colon).unwrap_or_default();
    let value = value.split_first().unwrap_or((&0, b"")).1.trim_ascii();
    Ok(match word {
        b"Name" => Some((Header::Name, value)),
        b"Packages" if line.get(colon) == Some(&b':') => Some((Header::Packages, value)),
        b"Expires" if line.get(colon) == Some(&b':') => Some((Header::Expires, value)),
        _ => {
            let begins = |with: &[u8]| {
                word.get(..with.len())
                    .is_some_and(|w| w.eq_ignore_ascii_case(with))
            };
            // `Package:`, `packages:`, `Expiry:`, `Expiration date:`, ...
            if begins(b"pack") || begins(b"expir") {
                return Err(KeyFileFault::Misspelt);
            }
            None
        }
    })
}

fn set<T>(place: &mut Option<T>, value: T) -> Result<(), KeyFileFault> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(KeyFileFault::Twice),
    }
}

fn patterns(value: &[u8]) -> Option<Vec<String>> {
    let mut out = Vec::new();
    for pattern in value.split(|&byte| byte == b',') {
        let pattern = core::str::from_utf8(pattern.trim_ascii()).ok()?;
        if !is_pattern(pattern) {
            return None;
        }
        out.push(pattern.to_owned());
    }
    Some(out)
}

/// Whether a text is a pattern that a package name can match.
pub fn is_pattern(text: &str) -> bool {
    let fits = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'*' | b'?');
    !text.is_empty() && text.bytes().all(fits)
}

/// What `Expires` means: the last second of `2027-01-31`, or the instant `2027-01-31T12:00:00Z`.
pub fn last_second(value: &[u8]) -> Result<u64, KeyFileFault> {
    let text = core::str::from_utf8(value).unwrap_or_default();
    let end = if text.len() == 10 { DAY_END } else { "" };
    instant::from_text(&[text, end].concat()).map_err(|_| KeyFileFault::Expires)
}

impl fmt::Display for KeyFileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyFileFault::NoKey => "no PEM block of a public key",
            KeyFileFault::NotEd25519 => "not a well-formed Ed25519 key",
            KeyFileFault::Behind => "more behind its first key",
            KeyFileFault::ByteOrderMark => "a byte order mark",
            KeyFileFault::Misspelt => "a line that is almost `# Packages:` or `# Expires:`",
            KeyFileFault::Twice => "the same line twice",
            KeyFileFault::Packages => "a `# Packages:` line that is no list of names",
            KeyFileFault::Expires => "an `# Expires:` line without a date",
        })
    }
}

#[cfg(test)]
mod tests {
    use psp_format::signature::PrivateKey;

    use super::*;

    fn block() -> String {
        let key = PrivateKey::from_text_seed("k").public_key();
        let document = base64::encode(&[&SPKI[..], key.as_bytes()].concat());
        format!("-----BEGIN PUBLIC KEY-----\n{document}\n-----END PUBLIC KEY-----\n")
    }

    fn with(head: &str) -> Result<KeyFile, KeyFileFault> {
        read(format!("{head}{}", block()).as_bytes())
    }

    #[test]
    fn what_a_file_says() {
        let key = *PrivateKey::from_text_seed("k").public_key().as_bytes();
        let none = KeyFile {
            key,
            name: None,
            packages: vec![],
            expires: None,
        };
        assert_eq!(with(""), Ok(none.clone()));
        assert_eq!(
            with("# anything\n\n#: x\nName\n# Key: v\n"),
            Ok(none.clone())
        );
        let all = "# Name:  Acme: release \n# Packages: acme-*,tool\n# Expires: 2027-01-31\n";
        let expected = KeyFile {
            name: Some("Acme: release".into()),
            packages: vec!["acme-*".into(), "tool".into()],
            expires: Some(1_801_439_999),
            ..none.clone()
        };
        assert_eq!(with(all), Ok(expected.clone()));
        let crlf = format!("{all}{}", block()).replace('\n', "\r\n");
        assert_eq!(read(crlf.as_bytes()), Ok(expected));
        let expires = |text: &str| with(&format!("# Expires: {text}\n")).map(|file| file.expires);
        assert_eq!(expires("1970-01-02T00:00:00Z"), Ok(Some(86_400)));
        assert_eq!(with("# Name:\n"), Ok(none.clone()));
        // Without the `#` it still is a limit.
        let scoped = with("Packages: a\n").map(|file| file.packages);
        assert_eq!(scoped, Ok(vec!["a".to_owned()]));
        let behind = format!("{}# Name: late\n# a comment\n\n", block());
        assert_eq!(read(behind.as_bytes()), Ok(none));
    }

    #[test]
    fn what_is_no_file_of_a_key() {
        use KeyFileFault::*;
        for (head, fault) in [
            ("# Package: a\n", Misspelt),
            ("# packages: a\n", Misspelt),
            ("# Packages : a\n", Misspelt),
            ("# Packages= a\n", Misspelt),
            ("# Expiry: 2027-01-31\n", Misspelt),
            ("#EXPIRES: 2027-01-31\n", Misspelt),
            ("# Packages:\n", Packages),
            ("# Packages: a,\n", Packages),
            ("# Packages: a b\n", Packages),
            ("# Packages: Acme\n", Packages),
            ("# Packages: \u{e9}\n", Packages),
            ("# Packages: a\n# Packages: b\n", Twice),
            ("# Name: a\n# Name: b\n", Twice),
            ("# Expires: 2027-01-31\n# Expires: 2027-01-31\n", Twice),
            ("# Expires: 2027-02-29\n", Expires),
            ("# Expires: 31.1.2027\n", Expires),
            ("# Expires: never\n", Expires),
            ("# Expires:\n", Expires),
            ("# Expires: 2027-01-31T00:00:00+01:00\n", Expires),
            ("\u{feff}# Packages: a\n", ByteOrderMark),
            ("# Packages: a\r", Packages),
            ("-----BEGIN PRIVATE KEY-----\n", NoKey),
        ] {
            assert_eq!(with(head), Err(fault), "{head:?}");
        }
        let block = block();
        for (text, fault) in [
            (String::new(), NoKey),
            ("9bbd0dd2".repeat(8), NoKey),
            (block.replace("-----BEGIN", "----BEGIN"), NoKey),
            (block.replace("-----END", "----END"), NotEd25519),
            (block.replace("MCow", "MCox"), NotEd25519),
            (block.replace("=\n", "\n"), NotEd25519),
            (block.replace("=\n", "==\n"), NotEd25519),
            (
                block.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n", 1),
                NotEd25519,
            ),
            (format!("{block}{block}"), Behind),
            (format!("{block}# Packages: a\n"), Behind),
            (format!("{block}# expires: x\n"), Behind),
        ] {
            assert_eq!(read(text.as_bytes()), Err(fault), "{text}");
        }
    }
}
