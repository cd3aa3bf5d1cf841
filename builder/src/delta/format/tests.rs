//! Steps that break a rule, each in a patch whose digest is good.

use super::*;
use crate::delta::apply::{ApplyError, apply, check_old};

const OLD: &[u8] = b"the old file, which has some bytes";

/// A patch for [`OLD`] with these steps and a new file of this size.
fn patch(new_size: u64, steps: &[u8]) -> Vec<u8> {
    let header = Header {
        zstd: codec::zstd_version(),
        old_size: widen(OLD.len()),
        old: Digest::of(OLD),
        new_size,
        new: Digest::of(b"the old new"),
    };
    sealed(&[&header.write(), steps].concat())
}

fn sealed(bytes: &[u8]) -> Vec<u8> {
    [bytes, &Digest::of(bytes).0].concat()
}

fn express(new: &[u8], form: Form, references: Vec<Reference>) -> Vec<u8> {
    let prefix: Vec<u8> = references
        .iter()
        .flat_map(|it| it.stored.of(OLD).unwrap_or_default())
        .copied()
        .collect();
    let payload = codec::express(new, &prefix, codec::Kind::Content).unwrap_or_default();
    let step = Step::Express(Express {
        references,
        content: narrow(widen(new.len())),
        form,
        payload: range(0, widen(payload.len())),
    });
    [step.write(), payload].concat()
}

fn range(start: u64, len: u64) -> Range {
    Range::new(start, len).unwrap_or_else(|| panic!("{start}, {len}"))
}

fn reference(start: u64, len: u64, content: Option<u32>) -> Reference {
    Reference {
        stored: range(start, len),
        content,
    }
}

fn applied(patch: &[u8]) -> Result<Vec<u8>, PatchFault> {
    let mut out = Vec::new();
    let done = Patch::open(&patch)
        .map_err(ApplyError::from)
        .and_then(|patch| {
            check_old(&patch, &OLD, &|_| {})?;
            apply(&patch, &OLD, &mut out, &|_| {})
        });
    match done {
        Ok(()) => Ok(out),
        Err(ApplyError::Fault(fault)) => Err(fault),
        Err(other) => panic!("{other}"),
    }
}

/// What is wrong with this step, which is the only one.
fn what(step: &[u8]) -> &'static str {
    match applied(&patch(11, step)) {
        Err(PatchFault::Step { offset: 96, what }) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn steps_give_the_new_file() {
    let copy = Step::Copy(range(0, 8)).write();
    let plain = express(b"new", Form::Plain, vec![reference(4, 9, None)]);
    assert_eq!(copy.len(), COPY_SIZE);
    let bytes = patch(11, &[copy.clone(), plain.clone()].concat());
    let good = &bytes[..];
    assert_eq!(applied(good), Ok(b"the old new".to_vec()));
    let opened = Patch::open(&good).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(opened.header().new_size, 11);
    // Every byte counts, and every length.
    for at in 0..good.len() {
        let mut flipped = good.to_vec();
        flipped[at] ^= 1;
        let fault = applied(&flipped);
        let expected = match at {
            0..8 => PatchFault::NotAPatch,
            8 => PatchFault::Version { found: 0 },
            9..12 => PatchFault::Version {
                found: 1 + (1 << (8 * (at - 8))),
            },
            _ => PatchFault::Damaged,
        };
        assert_eq!(fault, Err(expected), "byte {at}");
    }
    for length in 0..good.len() {
        let fault = applied(&good[..length]);
        let is_named = matches!(fault, Err(PatchFault::NotAPatch | PatchFault::Damaged));
        assert!(is_named, "{length} bytes: {fault:?}");
    }
    // The other way round it is another file.
    let wrong = patch(11, &[plain, copy].concat());
    assert_eq!(applied(&wrong), Err(PatchFault::Result { zstd: None }));
}

#[test]
fn frames_are_made_again() {
    let content = b"the old content, the old content, the old content".repeat(20);
    let mut frames = codec::Frames::new().unwrap_or_else(|| panic!("no memory"));
    let frame = frames.make(&content, 7, 10).unwrap_or_default();
    let form = |size| Form::Frame {
        level: 7,
        window_log: 10,
        size,
    };
    let of = |size: u32, zstd| {
        let mut header = Header {
            zstd,
            old_size: widen(OLD.len()),
            old: Digest::of(OLD),
            new_size: size.into(),
            new: Digest::of(&frame),
        };
        let step = express(&content, form(size), vec![reference(0, 8, None)]);
        header.new_size = size.into();
        applied(&sealed(&[header.write(), step].concat()))
    };
    let size = narrow(widen(frame.len()));
    assert_eq!(of(size, codec::zstd_version()).as_ref(), Ok(&frame));
    assert_eq!(of(size, 10_000).as_ref(), Ok(&frame), "by luck");
    let wrong = |zstd| Err(PatchFault::Result { zstd });
    assert_eq!(of(size + 1, codec::zstd_version()), wrong(None));
    assert_eq!(of(size + 1, 10_405), wrong(Some(10_405)));
    let text = PatchFault::Result { zstd: Some(10_405) }.to_string();
    assert!(
        text.contains("was made with Zstandard 1.4.5, and this is 1."),
        "{text}"
    );
}

#[test]
fn steps_that_break_a_rule() {
    let number = |n: u32| n.to_le_bytes();
    assert_eq!(what(&[0; 17]), "there is no such step");
    assert_eq!(what(&Step::Copy(range(0, 0)).write()), "it copies nothing");
    for (start, len) in [(0, 35), (35, 1), (u64::MAX, 1), (1, u64::MAX)] {
        let copy = [&[COPY][..], &start.to_le_bytes(), &len.to_le_bytes()].concat();
        assert_eq!(what(&copy), "it copies what the old file does not have");
    }
    assert_eq!(
        what(&Step::Copy(range(0, 12)).write()),
        "more than the new file has"
    );
    assert_eq!(what(&[]), "the new file is not complete");
    assert_eq!(what(&[COPY, 1]), "the step is cut short");
    let head = |count: u8, level: u8, log: u8, content: u32, size: u32, payload: u32| {
        let sizes = [content, size, payload].map(number).concat();
        [&[EXPRESS, count, level, log][..], &sizes].concat()
    };
    for (bytes, expected) in [
        (head(0, 0, 0, 11, 11, 5), "the step is cut short"),
        (head(1, 0, 0, 11, 11, 5), "the step is cut short"),
        (head(17, 0, 0, 11, 11, 5), "it has too many references"),
        (head(0, 0, 0, 0, 0, 5), "its content has an impossible size"),
        (
            head(0, 0, 0, 18 << 20, 18 << 20, 5),
            "its content has an impossible size",
        ),
        (
            head(0, 0, 0, 11, 11, 0),
            "its payload has an impossible size",
        ),
        (
            head(0, 0, 0, 11, 11, 1 << 20),
            "its payload has an impossible size",
        ),
        (
            head(0, 0, 10, 11, 11, 5),
            "it has a window, and compresses nothing",
        ),
        (head(0, 0, 0, 11, 12, 5), "its two sizes differ"),
        (
            head(0, 1, 9, 11, 11, 5),
            "its window has an impossible size",
        ),
        (
            head(0, 1, 24, 11, 11, 5),
            "its window has an impossible size",
        ),
        (head(0, 1, 10, 11, 0, 5), "its frame has an impossible size"),
        (
            head(0, 1, 10, 11, 1 << 20, 5),
            "its frame has an impossible size",
        ),
        (head(0, 23, 10, 11, 11, 5), "there is no such level"),
    ] {
        assert_eq!(what(&bytes), expected);
    }
    let references = |all: &[(u64, u32, u32)]| {
        let count = u8::try_from(all.len()).unwrap_or(0);
        let mut step = head(count, 0, 0, 11, 11, 5);
        for (start, len, content) in all {
            step.extend(start.to_le_bytes());
            step.extend([*len, *content].map(number).concat());
        }
        [step, vec![0; 5]].concat()
    };
    for (all, expected) in [
        (
            &[(0, 35, 0)][..],
            "it refers to what the old file does not have",
        ),
        (
            &[(u64::MAX, 1, 0)],
            "it refers to what the old file does not have",
        ),
        (&[(0, 0, 0)], "a reference has an impossible size"),
        (&[(0, 5, 18 << 20)], "a reference has an impossible size"),
        (&[(0, 5, 16 << 20); 3], "its references are too long"),
        (&[(0, 34, 9)], "a reference is not a frame of this size"),
        (&[(0, 34, 0)], "its payload cannot be decoded"),
    ] {
        assert_eq!(what(&references(all)), expected);
    }
    // The payload stands for other bytes than the step says.
    let mut step = express(b"new", Form::Plain, Vec::new());
    step[4] = 4;
    step[8] = 4;
    assert_eq!(what(&step), "its payload cannot be decoded");
    let whole = Step::Copy(range(0, 11)).write();
    let more = [whole.clone(), vec![0]].concat();
    match applied(&patch(11, &more)) {
        Err(PatchFault::Step { offset: 113, what }) => {
            assert_eq!(what, "the new file is complete, and something follows");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        applied(&patch(11, &whole)),
        Err(PatchFault::Result { zstd: None })
    );
}

#[test]
fn the_old_file_is_looked_at_first() {
    let bytes = patch(8, &Step::Copy(range(0, 8)).write());
    let good = &bytes[..];
    let opened = Patch::open(&good).unwrap_or_else(|e| panic!("{e}"));
    let mut other = OLD.to_vec();
    other[3] ^= 1;
    for other in [&other[..], &OLD[1..], b""] {
        let refused = check_old(&opened, &other, &|_| {});
        let is_named = matches!(refused, Err(ApplyError::Fault(PatchFault::OtherOld { .. })));
        assert!(is_named, "{refused:?}");
    }
    assert!(check_old(&opened, &OLD, &|_| {}).is_ok());
}
