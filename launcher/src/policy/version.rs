//! Which of two versions is higher. Pure.
//!
//! A version is a row of numbers and words; `.`, `_`, `-` and `~` only separate, and everything from a `+` on is left out.
//! Numbers compare as numbers, words letter by letter without regard to case. A word makes a version lower than one that
//! ends there (`1.0rc1`, `1.0-beta` and `1.0.dev3` are below `1.0`), and `dev` lower than every other word; `post` makes
//! it higher. A number behind `-` or `~` makes it lower, too (`1.0-1` is below `1.0`). Missing numbers are 0: `1` is
//! `1.0.0`.
//!
//! That is the order of Semantic Versioning and of Python's versions for what both of them write in practice.

use core::cmp::Ordering;

/// A part of a version, in the order of what can stand at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field<'v> {
    Word(&'v [u8]),
    End,
    Post,
    /// Its digits, without zeros before them.
    Number(&'v [u8]),
}

/// Compares two versions.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (ordered_part(a), ordered_part(b));
    let (mut left, mut right) = (next(&mut a), next(&mut b));
    loop {
        let order = match (left, right) {
            (Field::Number(l), Field::Number(r)) => l.len().cmp(&r.len()).then(l.cmp(r)),
            // A zero more says nothing.
            (Field::Number([]), _) => {
                left = next(&mut a);
                continue;
            }
            (_, Field::Number([])) => {
                right = next(&mut b);
                continue;
            }
            (Field::End, Field::End) => return Ordering::Equal,
            (Field::Word(l), Field::Word(r)) => compare_words(l, r),
            (l, r) => l.rank().cmp(&r.rank()),
        };
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (next(&mut a), next(&mut b));
    }
}

impl Field<'_> {
    fn rank(self) -> u8 {
        match self {
            Field::Word(_) => 0,
            Field::End => 1,
            Field::Post => 2,
            Field::Number(_) => 3,
        }
    }
}

fn compare_words(l: &[u8], r: &[u8]) -> Ordering {
    let rank = |word: &[u8]| !word.eq_ignore_ascii_case(b"dev");
    let lower = |c: &u8| c.to_ascii_lowercase();
    let letters = l.iter().map(lower).cmp(r.iter().map(lower));
    rank(l).cmp(&rank(r)).then(letters)
}

fn ordered_part(version: &str) -> &[u8] {
    let mut parts = version.as_bytes().split(|&byte| byte == b'+');
    parts.next().unwrap_or_default()
}

fn next<'v>(rest: &mut &'v [u8]) -> Field<'v> {
    let mut lowers = false;
    while let Some((c @ (b'.' | b'_' | b'-' | b'~'), tail)) = rest.split_first() {
        lowers |= matches!(c, b'-' | b'~');
        *rest = tail;
    }
    let is_number = rest.first().is_some_and(u8::is_ascii_digit);
    if is_number && lowers {
        return Field::Word(b"");
    }
    let fits = |c: &&u8| match is_number {
        true => c.is_ascii_digit(),
        false => c.is_ascii_alphabetic(),
    };
    let length = rest.iter().take_while(fits).count();
    let (mut field, tail) = rest.split_at_checked(length).unwrap_or_default();
    *rest = tail;
    if is_number {
        while let Some((b'0', digits)) = field.split_first() {
            field = digits;
        }
        return Field::Number(field);
    }
    match field {
        // Nothing left, or nothing that a version is made of.
        b"" => Field::End,
        word if word.eq_ignore_ascii_case(b"post") => Field::Post,
        word => Field::Word(word),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each is below the next; those in one row are equal.
    const ROWS: &[&[&str]] = &[
        &["dev"],
        &["rc"],
        &["0", "0.0"],
        &["0.0.1-1"],
        &["0.0.1", "0.0.1.0", "00.0.01"],
        &["0.9"],
        &["0.10"],
        &["1.0.dev1", "1.0-dev1", "1dev1", "1.0.DEV.1"],
        &["1.0.dev2"],
        &["1.0.0-1"],
        &["1.0.0-alpha"],
        &["1.0.0-alpha.1"],
        &["1.0.0-beta.2", "1.0beta2", "1~beta2"],
        &["1.0.0-beta.11"],
        &["1.0rc1.dev1"],
        &["1.0.0-rc.1", "1.0rc1", "1.0.0_RC1"],
        &["1", "1.0", "1.0.0", "1.0.0+build.7", "1.0+2", "1."],
        &["1.0.post1", "1.post1", "1.0.0-post1"],
        &["1.0.0.1"],
        &["1.0.1"],
        &["1.2"],
        &["1.10"],
        &["2025.1"],
        &["20250102"],
        &["18446744073709551615"],
        &["18446744073709551616"],
        &["99999999999999999999999999999999"],
    ];

    #[test]
    fn order() {
        for (i, low) in ROWS.iter().enumerate() {
            for (j, high) in ROWS.iter().enumerate() {
                for a in *low {
                    for b in *high {
                        assert_eq!(compare(a, b), i.cmp(&j), "{a} and {b}");
                    }
                }
            }
        }
    }

    fn version() -> impl Strategy<Value = String> {
        "[0-2a]{1,2}([.~+-]?(0|1|a|rc|dev|post)){0,4}"
    }

    proptest! {
        #[test]
        fn is_an_order(a in version(), b in version(), c in version()) {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b) != Ordering::Greater && compare(&b, &c) != Ordering::Greater {
                prop_assert!(compare(&a, &c) != Ordering::Greater);
            }
        }
    }
}
