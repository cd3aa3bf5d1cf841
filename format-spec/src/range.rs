//! Checked offsets and ranges: the only arithmetic on numbers that came from a file.

use core::fmt;

/// `len` bytes at offset `start`. The end never overflows a `u64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    start: u64,
    len: u64,
}

impl Range {
    /// The range, or `None` when its end would overflow.
    pub fn new(start: u64, len: u64) -> Option<Range> {
        start.checked_add(len).map(|_| Range { start, len })
    }

    /// The range from `start` to `end`, or `None` when they are in the wrong order.
    pub fn between(start: u64, end: u64) -> Option<Range> {
        end.checked_sub(start).map(|len| Range { start, len })
    }

    /// Offset of the first byte.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Number of bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the range holds no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Offset after the last byte. Cannot overflow: the constructor has checked it.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.len)
    }

    /// Whether all bytes lie below `size`.
    pub fn fits(&self, size: u64) -> bool {
        self.end() <= size
    }

    /// The bytes of this range in `bytes`, or `None` when they are not all there.
    pub fn of<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::try_from(self.start).ok()?;
        let end = usize::try_from(self.end()).ok()?;
        bytes.get(start..end)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end())
    }
}

/// `n` rounded up to a multiple of 8, or `None` on overflow.
pub fn align8(n: u64) -> Option<u64> {
    n.checked_add(7).map(|n| n & !7)
}

/// A `usize` as `u64`. Lossless on every platform that Rust supports.
pub fn widen(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_never_overflow() {
        assert_eq!(Range::new(u64::MAX, 1), None);
        assert_eq!(Range::new(u64::MAX, 0).map(|r| r.end()), Some(u64::MAX));
        assert_eq!(Range::between(4, 3), None);
        assert_eq!(align8(u64::MAX), None);
        assert_eq!(
            [0, 1, 7, 8, 9].map(align8),
            [Some(0), Some(8), Some(8), Some(8), Some(16)]
        );
    }

    #[test]
    fn slices_are_all_or_nothing() {
        let bytes = [1, 2, 3];
        assert_eq!(
            Range::new(1, 2).and_then(|r| r.of(&bytes)),
            Some(&[2, 3][..])
        );
        assert_eq!(Range::new(1, 3).and_then(|r| r.of(&bytes)), None);
        assert_eq!(Range::new(u64::MAX, 0).and_then(|r| r.of(&bytes)), None);
    }
}
