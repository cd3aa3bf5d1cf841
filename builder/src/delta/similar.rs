//! Which parts of an old package hold the content of a part of a new one, wherever it has moved to.
//!
//! Content is cut into chunks at places that depend on the bytes around them alone (a gear hash, as in FastCDC), so equal
//! content gives equal chunks whatever stands before it. Each chunk of the new content votes for the part of the old
//! package that has the same one.

use std::collections::{BTreeMap, HashMap, HashSet};

use psp_format::digest::Digest;
use psp_format::range::widen;

/// Sizes of chunks, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// A chunk is at least as long.
    pub(super) min: usize,
    /// From there on, one place in two to the power of so many ends it.
    pub(super) bits: u32,
    /// A chunk is at most as long.
    pub(super) max: usize,
}

/// Chunks that vote: 8 KiB on average.
const VOTING: Shape = Shape {
    min: 2 << 10,
    bits: 13,
    max: 64 << 10,
};

/// A number for each byte, the same in every build: splitmix64.
const GEAR: [u64; 256] = {
    let mut gear = [0; 256];
    let (mut nth, mut state) = (0, 0_u64);
    while nth < gear.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        gear[nth] = z ^ (z >> 31);
        nth += 1;
    }
    gear
};

/// All of `bytes` in chunks. The last one may be short: the content has an end there, and no place to be cut.
pub(super) fn chunks(bytes: &[u8], shape: Shape) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (chunk, after) = rest.split_at(length(rest, shape));
        rest = after;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Length of the first chunk.
fn length(bytes: &[u8], shape: Shape) -> usize {
    // The oldest of the 64 bytes that the hash knows has moved to its highest bit.
    let mask = !(u64::MAX >> shape.bits);
    let mut hash = 0_u64;
    let longest = bytes.len().min(shape.max);
    let warm_up = shape.min.saturating_sub(64);
    let tail = bytes.iter().enumerate().take(longest).skip(warm_up);
    for (nth, byte) in tail {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
        if nth >= shape.min && hash & mask == 0 {
            return nth;
        }
    }
    longest
}

/// Chunks of the old package, by their digests.
#[derive(Debug, Default)]
pub(super) struct Index(HashMap<u64, usize>);

impl Index {
    /// Adds the content of a part.
    pub(super) fn add(&mut self, part: usize, content: &[u8]) {
        for chunk in chunks(content, VOTING) {
            self.0.entry(Digest::of(chunk).short()).or_insert(part);
        }
    }

    /// The parts that have something of this content, with how many bytes of it each has at least, most first.
    pub(super) fn votes(&self, content: &[u8]) -> Vec<(usize, u64)> {
        let (mut seen, mut votes) = (HashSet::new(), BTreeMap::new());
        for chunk in chunks(content, VOTING) {
            let digest = Digest::of(chunk).short();
            // What is there again and again, as zeros, has one vote.
            if let Some(part) = self.0.get(&digest).filter(|_| seen.insert(digest)) {
                *votes.entry(*part).or_insert(0) += widen(chunk.len());
            }
        }
        let mut votes: Vec<(usize, u64)> = votes.into_iter().collect();
        votes.sort_by_key(|(part, bytes)| (std::cmp::Reverse(*bytes), *part));
        votes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u32, size: usize) -> Vec<u8> {
        let blocks =
            (0_u32..).flat_map(|n| Digest::of(&[seed.to_le_bytes(), n.to_le_bytes()].concat()).0);
        blocks.take(size).collect()
    }

    #[test]
    fn chunks_are_those_of_the_content() {
        let bytes = noise(1, 400_000);
        let all: Vec<&[u8]> = chunks(&bytes, VOTING).collect();
        assert_eq!(all.concat(), bytes);
        assert!(all.len() > 20, "{} chunks", all.len());
        let (last, whole) = all.split_last().unwrap_or_else(|| panic!("none"));
        assert!(
            whole
                .iter()
                .all(|it| (VOTING.min..=VOTING.max).contains(&it.len()))
        );
        assert!(last.len() <= VOTING.max);
        // Something in front moves none of them but the first few.
        let moved = [&noise(2, 1001)[..], &bytes].concat();
        let moved: HashSet<&[u8]> = chunks(&moved, VOTING).collect();
        let found = all.iter().filter(|chunk| moved.contains(*chunk)).count();
        assert!(found + 3 >= all.len(), "{found} of {}", all.len());
        assert_eq!(chunks(&[], VOTING).count(), 0);
    }

    #[test]
    fn content_is_found_where_it_is() {
        let parts: Vec<Vec<u8>> = (0..4).map(|seed| noise(seed, 300_000)).collect();
        let mut index = Index::default();
        for (nth, part) in parts.iter().enumerate() {
            index.add(nth, part);
        }
        let content = [&parts[2][200_000..], &parts[1][..], b"something new"].concat();
        let votes = index.votes(&content);
        let order: Vec<usize> = votes.iter().map(|(part, _)| *part).collect();
        assert_eq!(order, [1, 2]);
        assert!(votes[0].1 > 250_000 && votes[1].1 > 50_000, "{votes:?}");
        assert_eq!(index.votes(&noise(9, 300_000)), []);
        assert!(index.votes(&vec![0; 10 << 20]).is_empty());
    }
}
