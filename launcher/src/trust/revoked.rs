//! The list of revoked keys: a fingerprint a line, comments behind `#`. Pure.
//!
//! A line that cannot be read may be the one that matters, so it makes the whole list a bad one, and nothing starts.

use psp_format::digest::Digest;

use super::file::Problem;

/// Name of the list, beside the store.
pub const REVOKED_KEYS: &str = "revoked-keys";
/// Largest list that is read, in bytes: some fifteen thousand keys.
pub const MAX_LIST: usize = 1 << 20;

/// The fingerprints in a list.
pub fn read(text: &[u8]) -> Result<Vec<Digest>, Problem> {
    let mut out = Vec::new();
    let mut at = 0_usize;
    for line in text.split(|&byte| byte == b'\n') {
        let entry = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let entry = entry.trim_ascii();
        if !entry.is_empty() {
            let fingerprint = core::str::from_utf8(entry).ok().and_then(Digest::from_hex);
            let expected = "expected a fingerprint of 64 lower-case hexadecimal digits";
            out.push(fingerprint.ok_or_else(|| Problem::at(text, at, expected))?);
        }
        at = at.saturating_add(line.len()).saturating_add(1);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let text = format!("# stolen in May\r\n{a}\r\n\n  {b} # lost");
        assert_eq!(read(text.as_bytes()), Ok(vec![a, b]));
        assert_eq!(read(b""), Ok(vec![]));
        for bad in [
            &format!("{a}\n{}", &b.to_string()[1..]),
            &format!("{a}\n{}", b.to_string().to_uppercase()),
            &format!("{a}\n{b} {b}"),
            "\nx",
            "\n\u{e9}",
        ] {
            let found = read(bad.as_bytes());
            assert!(
                matches!(
                    found,
                    Err(Problem::Text {
                        line: 2,
                        column: 1,
                        ..
                    })
                ),
                "{found:?}"
            );
        }
    }
}
