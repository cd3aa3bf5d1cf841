//! Changes single bytes of a real package and checks that each change is noticed.
//!
//! `flip-package FLAVOR PACKAGE [SAMPLES]` flips every byte outside slot data through the verification library, and a random
//! sample of positions of the whole file through the command `FLAVOR verify`, which must end with status 1 and name the
//! layer that failed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

use std::fs;
use std::ops::Range;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use psp_format::digest::Digest;
use psp_format::locate::{Located, locate};
use psp_format::verify::{check_padding, verify, verify_bytes};

const LAYERS: [&str; 6] = [
    "container",
    "signature",
    "layout",
    "launcher",
    "slot",
    "contents",
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [flavor, package, rest @ ..] = &args[..] else {
        panic!("usage: flip-package FLAVOR PACKAGE [SAMPLES]");
    };
    let samples = rest
        .first()
        .map_or(2000, |n| n.parse().expect("a number of samples"));
    let bytes = fs::read(package).unwrap();
    println!(
        "{} bytes outside slot data: every flip noticed",
        outside_slots(&bytes)
    );
    sampled(flavor, package, &bytes, samples);
    println!("{samples} random positions: every flip noticed by {flavor} verify");
}

/// Flips every byte of launcher, head, padding and trailer; gives how many there were.
fn outside_slots(bytes: &[u8]) -> usize {
    let package = verify_bytes(bytes).expect("a good package");
    let layout = package.layout().clone();
    let span = |range: psp_format::range::Range| -> Range<usize> {
        usize::try_from(range.start()).unwrap()..usize::try_from(range.end()).unwrap()
    };
    // Launcher and padding have checks of their own, so that not the whole file is hashed for each byte of them.
    let launcher = span(layout.launcher);
    each(launcher.clone(), |at| {
        let mut changed = bytes[launcher.clone()].to_vec();
        changed[at] ^= 0x01;
        package.check_launcher(&Digest::of(&changed)).is_err()
    });
    let mut count = launcher.len();
    for padding in layout.paddings() {
        for at in 0..span(padding).len() {
            let mut changed = bytes[span(padding)].to_vec();
            changed[at] ^= 0x01;
            assert!(
                check_padding(padding.start(), &changed).is_err(),
                "padding {at} of {padding}"
            );
            count += 1;
        }
    }
    // Only what the verifier reads is copied: a small part of the file.
    let head = span(layout.metadata).start..span(layout.table).end;
    let trailer = span(layout.trailer);
    count += head.len() + trailer.len();
    each(head.clone(), |at| {
        !is_valid(bytes, &flipped(bytes, &head, at), &bytes[trailer.clone()])
    });
    each(trailer.clone(), |at| {
        !is_valid(bytes, &bytes[head.clone()], &flipped(bytes, &trailer, at))
    });
    count
}

/// A region with one bit changed at this position of the file.
fn flipped(bytes: &[u8], region: &Range<usize>, at: usize) -> Vec<u8> {
    let mut changed = bytes[region.clone()].to_vec();
    changed[at - region.start] ^= 0x01;
    changed
}

fn is_valid(bytes: &[u8], head: &[u8], trailer: &[u8]) -> bool {
    match locate(bytes.len() as u64, Some(trailer), Some(head)) {
        Ok(Located::Found(found)) => verify(&found).is_ok(),
        // Another range is asked for: the index names a head that is not the one in the file.
        _ => false,
    }
}

/// Runs `noticed` for every position, on all cores.
fn each(positions: Range<usize>, noticed: impl Fn(usize) -> bool + Sync) {
    let next = AtomicUsize::new(positions.start);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= positions.end {
                        return;
                    }
                    assert!(noticed(at), "a flipped bit at {at} was not noticed");
                }
            });
        }
    });
}

fn sampled(flavor: &str, package: &str, bytes: &[u8], samples: usize) {
    let directory = std::env::temp_dir().join(format!("flip-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let seed = Digest::of(package.as_bytes());
    each(0..samples, |nth| {
        let place = Digest::of(&[&seed.0[..], &nth.to_le_bytes()].concat()).short();
        let at = usize::try_from(place % bytes.len() as u64).unwrap();
        let mut changed = bytes.to_vec();
        changed[at] ^= 1 << (nth % 8);
        let file = directory.join(nth.to_string());
        fs::write(&file, &changed).unwrap();
        let output = Command::new(flavor)
            .arg("verify")
            .arg(&file)
            .output()
            .unwrap();
        fs::remove_file(&file).unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let named = said.lines().any(|line| {
            line.contains("FAILED")
                && LAYERS
                    .iter()
                    .any(|layer| line.trim_start().starts_with(layer))
        });
        output.status.code() == Some(1) && named
    });
    fs::remove_dir(&directory).unwrap();
}
