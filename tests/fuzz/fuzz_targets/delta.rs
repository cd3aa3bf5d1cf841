//! Patches: what comes of one has the digest that it names, and is what its steps say; anything else is an error.
//!
//! The first byte chooses how the rest is read: as steps, for which the target makes header and digest, as a whole patch, or
//! as a recipe of steps that are right, whose result is known.

#![no_main]

use std::io::Write as _;
use std::sync::LazyLock;

use flavor::delta::PatchFault;
use flavor::delta::apply::{ApplyError, apply, check_old};
use flavor::delta::format::{Express, Form, Header, Patch, Reference, Step};
use libfuzzer_sys::fuzz_target;
use psp_format::digest::Digest;
use psp_format::range::Range;

/// More would take long, and show nothing new.
const CONTENT_MAX: u32 = 64 << 10;
const NEW_MAX: u64 = 1 << 20;

/// The old file: text, and a frame of the same text in another order.
static OLD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let frame = zstd::bulk::compress(&FRAME, 3).expect("a frame");
    [&TEXT[..], &frame].concat()
});
static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| lines(0..100));
static FRAME: LazyLock<Vec<u8>> = LazyLock::new(|| lines((0..100).map(|n| n * 37 % 100)));

fn lines(numbers: impl Iterator<Item = u32>) -> Vec<u8> {
    let line = |n: u32| format!("{n:03} is line {n}\n");
    numbers.flat_map(|n| line(n).into_bytes()).collect()
}

fuzz_target!(|input: &[u8]| {
    let _ = check(input);
});

fn check(input: &[u8]) -> Option<()> {
    let (mode, input) = input.split_first()?;
    match mode % 3 {
        0 => {
            let (size, steps) = input.split_first_chunk::<2>()?;
            check_steps(u16::from_le_bytes(*size).into(), steps);
        }
        1 => {
            let _ = applied(input);
            let _ = applied(&sealed(input));
        }
        _ => check_recipe(input)?,
    }
    Some(())
}

/// With any digest but that of what comes out, there is no result.
fn check_steps(new_size: u64, steps: &[u8]) {
    let (out, result) = applied(&patch(new_size, Digest::default(), steps));
    let is_complete = matches!(result, Some(Err(ApplyError::Fault(PatchFault::Result { .. }))));
    assert!(!matches!(result, Some(Ok(()))), "nothing has this digest");
    if result.is_none() {
        return;
    }
    let (again, result) = applied(&patch(new_size, Digest::of(&out), steps));
    assert_eq!(out, again);
    // A frame of another size ends it early, with the same words.
    if is_complete && out.len() as u64 == new_size {
        assert!(matches!(result, Some(Ok(()))), "{result:?}");
    } else {
        assert!(!matches!(result, Some(Ok(()))));
    }
}

/// Steps that are right give what they should.
fn check_recipe(input: &[u8]) -> Option<()> {
    let (mut steps, mut expected) = (Vec::new(), Vec::new());
    for record in input.as_chunks::<8>().0.iter().take(16) {
        let [kind, a, b, c, d, e, f, g] = record.map(usize::from);
        let part = |start: usize, len: usize| {
            let start = start.min(TEXT.len() - 1);
            (start, len.clamp(1, TEXT.len() - start))
        };
        let (start, len) = part(a * 8 + b, c + 1);
        let range = |start: usize, len: usize| Range::new(start as u64, len as u64);
        if kind % 3 == 0 {
            steps.extend(Step::Copy(range(start, len)?).write());
            expected.extend(&TEXT[start..start + len]);
            continue;
        }
        let raw = Reference {
            stored: range(start, len)?,
            content: None,
        };
        let frame = Reference {
            stored: range(TEXT.len(), OLD.len() - TEXT.len())?,
            content: Some(FRAME.len() as u32),
        };
        let (references, prefix) = match kind % 4 {
            0 => (Vec::new(), Vec::new()),
            1 => (vec![raw], TEXT[start..start + len].to_vec()),
            2 => (vec![frame], FRAME.to_vec()),
            _ => (
                vec![frame, raw],
                [&FRAME[..], &TEXT[start..start + len]].concat(),
            ),
        };
        let (start, len) = part(d * 8 + e, f * 4 + 1);
        let mut content = TEXT[start..start + len].to_vec();
        content.extend(std::iter::repeat_n(g as u8, g));
        let payload = express(&content, &prefix);
        let step = Step::Express(Express {
            references,
            content: content.len() as u32,
            form: Form::Plain,
            payload: range(0, payload.len())?,
        });
        steps.extend(step.write());
        steps.extend(payload);
        expected.extend(content);
    }
    let bytes = patch(expected.len() as u64, Digest::of(&expected), &steps);
    let (out, result) = applied(&bytes);
    assert!(matches!(result, Some(Ok(()))), "{result:?}");
    assert_eq!(out, expected);
    Some(())
}

fn express(content: &[u8], prefix: &[u8]) -> Vec<u8> {
    let mut encoder = match prefix {
        [] => zstd::Encoder::new(Vec::new(), 3),
        prefix => zstd::Encoder::with_ref_prefix(Vec::new(), 3, prefix),
    }
    .expect("an encoder");
    let size = Some(content.len() as u64);
    encoder.set_pledged_src_size(size).expect("a size");
    encoder.write_all(content).expect("memory");
    encoder.finish().expect("memory")
}

fn patch(new_size: u64, new: Digest, steps: &[u8]) -> Vec<u8> {
    let header = Header {
        zstd: 10_507,
        old_size: OLD.len() as u64,
        old: Digest::of(&OLD),
        new_size,
        new,
    };
    sealed(&[&header.write(), steps].concat())
}

fn sealed(bytes: &[u8]) -> Vec<u8> {
    [bytes, &Digest::of(bytes).0].concat()
}

/// What was written, and how it ended; nothing for what is not tried, or is no patch for the old file.
fn applied(bytes: &[u8]) -> (Vec<u8>, Option<Result<(), ApplyError>>) {
    let mut out = Vec::new();
    let (old, bytes) = (OLD.as_slice(), &bytes);
    let Ok(patch) = Patch::open(bytes) else {
        return (out, None);
    };
    if patch.header().new_size > NEW_MAX || check_old(&patch, &old, &|_| {}).is_err() {
        return (out, None);
    }
    let (mut steps, mut added) = (patch.steps(), 0);
    while let Ok(Some(step)) = steps.next() {
        added += match step {
            Step::Copy(range) => range.len(),
            Step::Express(step) if step.content > CONTENT_MAX => return (out, None),
            Step::Express(step) => step.size().into(),
        };
        assert!(added <= patch.header().new_size);
    }
    let result = apply(&patch, &old, &mut out, &|_| {});
    assert!(out.len() as u64 <= patch.header().new_size);
    if result.is_ok() {
        assert_eq!(Digest::of(&out), patch.header().new);
        assert_eq!(out.len() as u64, patch.header().new_size);
    }
    (out, Some(result))
}
