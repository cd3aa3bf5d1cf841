//! Small values, each read from the same bytes: operation chains, gzip members, base64, digests, paths and targets of
//! links, instants, and the order of versions. Each is compared with a plain second way to say the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_format::digest::Digest;
use psp_format::member::{self, Extent};
use psp_format::ops::{self, Operations};
use psp_format::{base64, instant, path};
use psp_launcher::policy::version;
use psp_testkit::writer::member as written;

fuzz_target!(|input: &[u8]| {
    if let Some(code) = input.first_chunk() {
        chain(*code);
        seconds(u64::from_le_bytes(*code));
    }
    gzip_member(input);
    base64_text(input);
    paths(input);
    if let Ok(text) = core::str::from_utf8(input) {
        instant_text(text);
        versions(text);
        if let Some(digest) = Digest::from_hex(text) {
            assert_eq!(digest.hex(), input);
        }
    }
});

/// M35: known codes, then zeros.
fn chain(bytes: [u8; 8]) {
    let code = u64::from_le_bytes(bytes);
    let len = bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |at| at + 1);
    let is_good = bytes[..len]
        .iter()
        .all(|byte| [0x01, 0x10, 0x13, 0x16, 0x1B].contains(byte));
    let read = ops::decode(code);
    assert_eq!(read.is_ok(), is_good);
    if let Ok(steps) = read {
        assert_eq!(steps.len(), len);
        assert_eq!(ops::encode(&steps), Some(code));
        let known = Operations::ALL
            .into_iter()
            .find(|known| known.code() == code);
        assert!(known.is_none_or(|known| Operations::from_name(known.name()) == Some(known)));
    }
}

/// One member for each text, as the testkit writes it (M20).
fn gzip_member(input: &[u8]) {
    let read = |bytes: &[u8]| {
        let text = member::unwrap(bytes).ok()?;
        assert_eq!(written::stored(&text), bytes);
        assert_eq!(member::wrap(&text), bytes);
        assert_eq!(member::extent(bytes), Extent::Whole(bytes.len()));
        assert_eq!(member::wrapped_len(text.len()), bytes.len() as u64);
        Some(text)
    };
    read(input);
    // The same blocks behind the right header and in front of the right check value and length.
    let mut rest = input;
    let mut text = Vec::new();
    while let Some((&[last, a, b, _, _], body)) = rest.split_first_chunk::<5>() {
        let size = usize::from(u16::from_le_bytes([a, b])).min(body.len());
        text.extend_from_slice(&body[..size]);
        rest = &body[size..];
        if last & 1 == 1 {
            break;
        }
    }
    let blocks = &input[..input.len() - rest.len()];
    let repaired = written::wrap(&written::HEADER, blocks, &text);
    if let Some(found) = read(&repaired) {
        assert_eq!(found, text);
    }
}

fn base64_text(input: &[u8]) {
    let text = base64::encode(input);
    assert_eq!(base64::decode(text.as_bytes()).as_deref(), Some(input));
    if let Some(bytes) = base64::decode(input) {
        assert_eq!(base64::encode(&bytes).as_bytes(), input);
    }
}

/// A path, the target of a link there, and the directory that it may not leave, one a line.
fn paths(input: &[u8]) {
    let mut lines = input.splitn(3, |&byte| byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (link, target, root) = (next(), next(), next());
    let parts = |path: &[u8]| -> Vec<Vec<u8>> {
        let parts = path.split(|&byte| byte == b'/');
        parts
            .filter(|part| !part.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    };
    if path::check(link).is_err() {
        return;
    }
    let (above, inside) = (parts(root), parts(link));
    assert!(!inside.iter().any(|part| part == b"." || part == b".."));
    assert_eq!(
        path::parent(link)
            .split(|&byte| byte == b'/')
            .count()
            .max(1),
        (inside.len() - 1).max(1)
    );
    if !root.is_empty() && path::check(root).is_err() {
        return;
    }
    assert_eq!(path::is_within(link, root), inside.starts_with(&above));
    // The target itself may not be a link; what lies at it has a parent in it.
    if !path::is_within(link, root) || inside.len() == above.len() {
        return;
    }
    let checked = path::check_link_target(link, target, root);
    // Step by step, as a kernel goes where no part is a link.
    let mut at = inside[..inside.len() - 1].to_vec();
    let mut leaves = target.starts_with(b"/");
    for part in parts(target) {
        match &part[..] {
            b"." => {}
            b".." => drop(at.pop()),
            _ => at.push(part),
        }
        leaves |= !at.starts_with(&above);
    }
    assert!(checked.is_err() || !leaves, "a link that leaves");
}

fn instant_text(text: &str) {
    let Ok(seconds) = instant::from_text(text) else {
        return;
    };
    assert_eq!(instant::to_text(seconds), text);
    let number = |at: core::ops::Range<usize>| text[at].parse::<u64>().expect("digits");
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let is_leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if is_leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month).expect("at most twelve");
    assert!(1 <= day && day <= months[month - 1]);
    let leaps = (1970..year).filter(|&year| is_leap(year)).count() as u64;
    let days = (year - 1970) * 365 + leaps + months[..month - 1].iter().sum::<u64>() + day - 1;
    let of_day = number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    assert!(number(11..13) < 24 && number(14..16) < 60 && number(17..19) < 60);
    assert_eq!(seconds, days * 86_400 + of_day);
}

fn seconds(any: u64) {
    let seconds = any % (instant::LAST + 1);
    assert_eq!(instant::from_text(&instant::to_text(seconds)), Ok(seconds));
    assert_eq!(instant::to_text(any).len(), 20);
}

/// Versions have an order.
fn versions(text: &str) {
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (a, b, c) = (next(), next(), next());
    assert_eq!(version::compare(a, b), version::compare(b, a).reverse());
    assert!(version::compare(a, a).is_eq());
    if version::compare(a, b).is_le() && version::compare(b, c).is_le() {
        assert!(version::compare(a, c).is_le());
    }
}
