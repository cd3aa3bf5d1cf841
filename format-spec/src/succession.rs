//! Statements that a new key continues an old one, signed by the old one (SPEC.md 6).

use core::fmt;

use crate::base64;
use crate::error::KeyFault;
use crate::signature::{PrivateKey, PublicKey};

/// What the signed bytes begin with. Metadata, the other text that a key signs, begins with `{`.
pub const DOMAIN: &[u8; 27] = b"PSPF/2025 key succession 1\0";
/// First line of a statement, with its end.
pub const BEGIN: &str = "-----BEGIN FLAVOR KEY SUCCESSION-----\n";
/// Last line of a statement, with its end.
pub const END: &str = "-----END FLAVOR KEY SUCCESSION-----\n";
/// Size of a statement in bytes; no other text is one.
pub const STATEMENT_SIZE: usize = 286;
/// Digits in a full line.
const LINE: usize = 64;

/// That a new key continues an old one. Only [`read`] makes one, so the old key has signed it.
///
/// Whether the old key is trusted is another question; and a chain of statements is only as good as every one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    old: PublicKey,
    new: PublicKey,
}

impl Statement {
    /// The key that signed the statement.
    pub fn old_key(&self) -> &PublicKey {
        &self.old
    }

    /// The key that continues it.
    pub fn new_key(&self) -> &PublicKey {
        &self.new
    }
}

/// Why a file is no statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SuccessionFault {
    /// The file is not armoured as a statement is: first line, digits in lines of 64, last line, nothing else (M70).
    Armour,
    /// The digits are not the base64 of a statement (M70).
    Base64,
    /// The bytes are not a statement of this version (M71).
    Domain,
    /// The old key may not be used (M72).
    OldKey(KeyFault),
    /// The new key may not be used (M72).
    NewKey(KeyFault),
    /// Both keys are the same (M72).
    SameKey,
    /// The old key has not signed this (M73).
    Signature,
}

/// The statement that `new` continues `old`, as the text of a file.
///
/// A statement about the same key twice is written and never read: a writer compares them.
pub fn write(old: &PrivateKey, new: &PublicKey) -> String {
    let bytes = to_sign(&old.public_key(), new);
    write_signed(&bytes, &old.sign(&bytes))
}

/// The bytes that the old key signs, wherever it is.
pub fn to_sign(old: &PublicKey, new: &PublicKey) -> Vec<u8> {
    [&DOMAIN[..], old.as_bytes(), new.as_bytes()].concat()
}

/// The statement of these bytes with their signature, as the text of a file. [`read`] verifies it.
pub fn write_signed(bytes: &[u8], signature: &[u8; 64]) -> String {
    let mut digits = base64::encode(&[bytes, signature].concat());
    let mut out = String::from(BEGIN);
    while !digits.is_empty() {
        let rest = digits.split_off(digits.len().min(LINE));
        out.push_str(&digits);
        out.push('\n');
        digits = rest;
    }
    out.push_str(END);
    out
}

/// Reads and verifies a statement. There is exactly one text for each.
pub fn read(text: &[u8]) -> Result<Statement, SuccessionFault> {
    let lines = text
        .strip_prefix(BEGIN.as_bytes())
        .and_then(|rest| rest.strip_suffix(END.as_bytes()))
        .filter(|_| text.len() == STATEMENT_SIZE)
        .ok_or(SuccessionFault::Armour)?;
    let mut digits = Vec::new();
    for line in lines.chunks(LINE.saturating_add(1)) {
        let line = line.strip_suffix(b"\n").ok_or(SuccessionFault::Armour)?;
        digits.extend_from_slice(line);
    }
    let bytes = base64::decode(&digits).ok_or(SuccessionFault::Base64)?;
    let (signed, signature) = bytes.split_last_chunk().ok_or(SuccessionFault::Domain)?;
    let (old, new) = keys_of(signed).ok_or(SuccessionFault::Domain)?;
    if old == new {
        return Err(SuccessionFault::SameKey);
    }
    let old = PublicKey::from_bytes(old).map_err(SuccessionFault::OldKey)?;
    let new = PublicKey::from_bytes(new).map_err(SuccessionFault::NewKey)?;
    old.verify(signed, signature)
        .map_err(|_| SuccessionFault::Signature)?;
    Ok(Statement { old, new })
}

/// Both keys, if these are the bytes that a statement signs.
fn keys_of(signed: &[u8]) -> Option<(&[u8; 32], &[u8; 32])> {
    let (old, new) = signed.strip_prefix(DOMAIN)?.split_first_chunk()?;
    Some((old, new.try_into().ok()?))
}

impl fmt::Display for SuccessionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SuccessionFault::Armour => {
                f.write_str("not one block of a key succession, and nothing else")
            }
            SuccessionFault::Base64 => f.write_str("not in base64"),
            SuccessionFault::Domain => f.write_str("not a key succession of version 1"),
            SuccessionFault::OldKey(fault) => write!(f, "old key refused: {fault}"),
            SuccessionFault::NewKey(fault) => write!(f, "new key refused: {fault}"),
            SuccessionFault::SameKey => f.write_str("the new key is the old one"),
            SuccessionFault::Signature => f.write_str("not signed by the old key"),
        }
    }
}

impl std::error::Error for SuccessionFault {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (PrivateKey, PublicKey) {
        let new = PrivateKey::from_text_seed("new").public_key();
        (PrivateKey::from_text_seed("old"), new)
    }

    /// The text around bytes, whatever they are.
    fn armour(bytes: &[u8]) -> String {
        let digits = base64::encode(bytes);
        let lines = digits.as_bytes().chunks(64).map(String::from_utf8_lossy);
        let lines: String = lines.map(|line| format!("{line}\n")).collect();
        format!("{BEGIN}{lines}{END}")
    }

    /// A statement about these keys, signed by `old`.
    fn signed(old: &PrivateKey, old_bytes: &[u8; 32], new_bytes: &[u8; 32]) -> String {
        let mut bytes = [&DOMAIN[..], old_bytes, new_bytes].concat();
        bytes.extend(old.sign(&bytes));
        armour(&bytes)
    }

    #[test]
    fn statements_come_back() {
        let (old, new) = pair();
        let text = write(&old, &new);
        assert_eq!(text.len(), STATEMENT_SIZE);
        let statement = read(text.as_bytes());
        assert_eq!(
            statement.map(|s| (*s.old_key(), *s.new_key())),
            Ok((old.public_key(), new))
        );
        assert_eq!(
            text,
            signed(&old, old.public_key().as_bytes(), new.as_bytes())
        );
    }

    #[test]
    fn no_byte_can_change_be_cut_or_added() {
        let (old, new) = pair();
        let good = write(&old, &new).into_bytes();
        for at in 0..good.len() {
            for mask in 1..=255 {
                let mut text = good.clone();
                text[at] ^= mask;
                assert!(read(&text).is_err(), "byte {at} changed by {mask:#04x}");
            }
            assert!(read(&good[..at]).is_err(), "cut at {at}");
            assert!(read(&good[at + 1..]).is_err(), "begun behind {at}");
            for byte in [b'\n', b'A', 0] {
                let mut text = good.clone();
                text.insert(at, byte);
                assert!(read(&text).is_err(), "inserted at {at}");
            }
        }
        assert_eq!(
            read(&[&good[..], b"\n"].concat()),
            Err(SuccessionFault::Armour)
        );
        assert_eq!(
            read(&[&good[..], &good].concat()),
            Err(SuccessionFault::Armour)
        );
    }

    #[test]
    fn each_fault_has_its_name() {
        let (old, new) = pair();
        let old_bytes = *old.public_key().as_bytes();
        let text = write(&old, &new);
        let ask = |text: &str| read(text.as_bytes()).err();
        assert_eq!(ask(""), Some(SuccessionFault::Armour));
        assert_eq!(
            ask(&text.replace('\n', "\r\n")),
            Some(SuccessionFault::Armour)
        );
        assert_eq!(
            ask(&text.replacen("\nU", "\n!", 1)),
            Some(SuccessionFault::Base64)
        );
        let mut bytes = [&DOMAIN[..], &old_bytes, new.as_bytes()].concat();
        bytes[25] = b'2';
        bytes.extend(old.sign(&bytes));
        assert_eq!(ask(&armour(&bytes)), Some(SuccessionFault::Domain));
        let weak = [0; 32];
        let small = KeyFault::SmallOrder;
        assert_eq!(
            ask(&signed(&old, &weak, new.as_bytes())),
            Some(SuccessionFault::OldKey(small))
        );
        assert_eq!(
            ask(&signed(&old, &old_bytes, &weak)),
            Some(SuccessionFault::NewKey(small))
        );
        let same = write(&old, &old.public_key());
        assert_eq!(ask(&same), Some(SuccessionFault::SameKey));
        // Signed by the key that would profit.
        let thief = PrivateKey::from_text_seed("new");
        assert_eq!(
            ask(&signed(&thief, &old_bytes, new.as_bytes())),
            Some(SuccessionFault::Signature)
        );
        // The other direction is another statement.
        assert_eq!(
            ask(&signed(&old, new.as_bytes(), &old_bytes)),
            Some(SuccessionFault::Signature)
        );
    }
}
