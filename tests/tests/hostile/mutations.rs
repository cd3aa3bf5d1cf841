//! A hundred thousand random changes of a small package, half of them with every unsigned checksum repaired: none is
//! accepted, and each is refused at a layer.
#![allow(clippy::print_stdout)] // its report: how many were refused where

use std::collections::BTreeMap;
use std::ops::Range;
use std::thread;

use psp_format::verify::verify_bytes;
use psp_testkit::keys::{OTHER, Secret};
use psp_testkit::writer::index::repair_adler;
use psp_testkit::writer::member::crc32;
use psp_testkit::writer::{HEAD, Plan, Slot, TAIL, TRAILER_SIZE, sha8, sha256};

const SEED: u64 = 0x5053_5046_2F32_3032;
const MUTATIONS: u64 = 100_000;

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap().max(1);
        usize::try_from(self.next() % bound).unwrap()
    }

    /// A range of at most `most` bytes.
    fn range(&mut self, size: usize, most: usize) -> Range<usize> {
        let start = self.below(size);
        start..start + 1 + self.below(most.min(size - start))
    }
}

/// What is changed. `others` are packages that bytes are taken from.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    match random.below(9) {
        0..=2 => {
            for _ in 0..2 {
                let place = random.below(bytes.len());
                bytes[place] ^= 1 + random.next().to_le_bytes()[0] % 255;
            }
        }
        3 => drop(bytes.drain(random.range(bytes.len(), 64))),
        4 => {
            let place = random.below(bytes.len() + 1);
            let new: Vec<u8> = (0..=random.below(32))
                .map(|_| random.next().to_le_bytes()[0])
                .collect();
            drop(bytes.splice(place..place, new));
        }
        5 => {
            let range = random.range(bytes.len() / 2, 64);
            let to = bytes.len() / 2 + random.below(bytes.len() / 2 - range.len());
            for (offset, from) in range.enumerate() {
                bytes.swap(from, to + offset);
            }
        }
        6 => {
            let range = random.range(bytes.len(), 64);
            let copy = bytes[range].to_vec();
            let place = random.below(bytes.len() + 1);
            drop(bytes.splice(place..place, copy));
        }
        // The same place of another package, or its beginning or end.
        7 => {
            let other = &others[random.below(others.len())];
            let range = random.range(other.len().min(bytes.len()), 512);
            bytes[range.clone()].copy_from_slice(&other[range]);
        }
        _ => {
            let other = &others[random.below(others.len())];
            let size = random.below(other.len().min(bytes.len()));
            let (start, from) = (bytes.len() - size, other.len() - size);
            bytes[start..].copy_from_slice(&other[from..]);
        }
    }
}

fn number(bytes: &[u8], offset: usize) -> usize {
    let field = bytes[offset..offset + 8].try_into().unwrap();
    usize::try_from(u64::from_le_bytes(field)).unwrap_or(usize::MAX)
}

fn within(start: usize, size: usize, end: usize) -> Option<Range<usize>> {
    let range = start..start.checked_add(size)?;
    (range.end <= end).then_some(range)
}

/// Everything that no signature covers, as far as it can be found: both magic values, the size, the digests of member
/// and slots, the CRC-32 of the member, the checksum of the index.
fn repair(bytes: &mut [u8]) {
    let Some(trailer) = bytes.len().checked_sub(TRAILER_SIZE) else {
        return;
    };
    let (index, size) = (trailer + 4, bytes.len());
    bytes[trailer..index].copy_from_slice(&HEAD);
    bytes[size - 4..].copy_from_slice(&TAIL);
    bytes[index + 8..index + 16].copy_from_slice(&u64::try_from(size).unwrap().to_le_bytes());
    let table = within(
        number(bytes, index + 40),
        number(bytes, index + 48),
        trailer,
    );
    for descriptor in table.into_iter().flat_map(|table| table.step_by(64)) {
        if descriptor + 64 > trailer {
            break;
        }
        let slot = within(
            number(bytes, descriptor + 16),
            number(bytes, descriptor + 24),
            trailer,
        );
        if let Some(slot) = slot {
            let sum = sha8(&bytes[slot]);
            bytes[descriptor + 48..descriptor + 56].copy_from_slice(&sum.to_le_bytes());
        }
    }
    if let Some(member) = within(
        number(bytes, index + 24),
        number(bytes, index + 32),
        trailer,
    ) {
        if member.len() > 23 {
            let crc = crc32(&bytes[member.start + 15..member.end - 8]);
            bytes[member.end - 8..member.end - 4].copy_from_slice(&crc.to_le_bytes());
        }
        let digest = sha256(&bytes[member]);
        bytes[index + 96..index + 128].copy_from_slice(&digest);
    }
    repair_adler(&mut bytes[index..size - 4]);
}

/// Refused mutations by layer, and those that were accepted.
fn part(first: u64, step: usize, good: &[Vec<u8>]) -> (BTreeMap<String, u64>, Vec<u64>) {
    let (mut layers, mut accepted) = (BTreeMap::new(), Vec::new());
    for mutation in (first..MUTATIONS).step_by(step) {
        let mut random = Random(SEED ^ mutation.wrapping_mul(0xD134_2543_DE82_EF95));
        let mut bytes = good[0].clone();
        // Packages share much of their bytes: a splice may change nothing, or make one of them of another.
        while good.contains(&bytes) {
            for _ in 0..=random.below(3) {
                mutate(&mut random, &mut bytes, &good[1..]);
            }
            if random.below(2) == 1 {
                repair(&mut bytes);
            }
        }
        match verify_bytes(&bytes) {
            Err(error) => *layers.entry(error.layer().to_string()).or_insert(0) += 1,
            // What was swapped with its like, or repaired back, is one of the packages again.
            Ok(_) if good.contains(&bytes) => {
                *layers.entry("unchanged".to_owned()).or_insert(0) += 1
            }
            Ok(_) => accepted.push(mutation),
        }
    }
    (layers, accepted)
}

/// Bytes that look like nothing.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut random = Random(seed);
    (0..size).map(|_| random.next().to_le_bytes()[0]).collect()
}

#[test]
fn none_of_a_hundred_thousand_mutations_is_accepted() {
    let secret = Secret::from_seed(OTHER);
    let small = || {
        let mut plan = Plan::new();
        plan.launcher = noise(1, 3000);
        plan.slot(Slot::file(0, "config", b"five!"))
            .slot(Slot::file(1, "blob", &noise(2, 3000)))
    };
    let two = small()
        .parts()
        .signed_by(&[&|text| secret.sign(text)])
        .bytes();
    let other = Plan::new()
        .set("/package", "version", "2.0".into())
        .slot(Slot::file(0, "config", b"other"))
        .bytes();
    let by_other = small()
        .signed(|text| Secret::from_seed(OTHER).sign(text))
        .bytes();
    let good = [small().bytes(), two, other, by_other];
    for package in &good {
        verify_bytes(package).unwrap();
        let mut repaired = package.clone();
        repair(&mut repaired);
        assert!(
            repaired == *package,
            "there is nothing to repair in a good package"
        );
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let parts = thread::scope(|scope| {
        let run = |first: usize| {
            let good = &good;
            scope.spawn(move || part(u64::try_from(first).unwrap(), threads, good))
        };
        let workers: Vec<_> = (0..threads).map(run).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect::<Vec<_>>()
    });
    let (mut layers, mut accepted) = (BTreeMap::new(), Vec::new());
    for (some, more) in parts {
        some.into_iter()
            .for_each(|(layer, count)| *layers.entry(layer).or_insert(0) += count);
        accepted.extend(more);
    }
    println!("seed {SEED:#x}: {layers:?}");
    assert!(
        accepted.is_empty(),
        "seed {SEED:#x}, mutations {accepted:?}"
    );
    assert_eq!(layers.values().sum::<u64>(), MUTATIONS);
    for layer in ["container", "signature", "layout", "launcher", "slot"] {
        assert!(
            layers.get(layer).is_some_and(|count| *count > 100),
            "seed {SEED:#x}: {layers:?}"
        );
    }
}
