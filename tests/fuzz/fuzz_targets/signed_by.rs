//! Signatures beside the first one (SPEC.md 2.1): of good and forged records in any order, a package is accepted exactly
//! when its records are what the specification asks for.
//!
//! The input chooses the first signer, one byte that is changed, and the records, which are made once.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use psp_format::verify::verify_bytes;
use psp_testkit::keys::{self, Secret, Signed};
use psp_testkit::writer::{Plan, Slot};

/// So many of the choices are good.
const GOOD: usize = 20;

struct Fixed {
    bytes: Vec<u8>,
    choices: Vec<Signed>,
}

static FIXED: LazyLock<Fixed> = LazyLock::new(|| {
    let parts = Plan::new().slot(Slot::file(0, "data", b"five!")).parts();
    let text = &parts.text;
    let secret = |nth: u8| Secret::from_seed([nth; 32]);
    let mut choices: Vec<Signed> = (0..20).map(|nth| secret(nth).sign(text)).collect();
    choices.extend([
        secret(1).sign(b"another text"),
        secret(2).sign_unreduced(text),
        secret(3).sign_prehashed(text),
        secret(4).sign_with_identity_nonce(keys::IDENTITY, text),
        secret(5).sign_with_identity_nonce(keys::IDENTITY_ABOVE_P, text),
        secret(6).sign_with_torsion_nonce(text),
        secret(7).sign_with_mixed_key(text),
        keys::sign_with_small_key(1, text),
        keys::sign_with_encoded_identity(keys::IDENTITY_NEGATIVE, text),
        Signed {
            key: keys::NOT_A_POINT,
            ..secret(8).sign(text)
        },
        Signed {
            key: secret(9).public(),
            ..secret(10).sign(text)
        },
        Signed {
            key: [0; 32],
            signature: [0; 64],
        },
    ]);
    Fixed {
        bytes: parts.bytes(),
        choices,
    }
});

fuzz_target!(|input: &[u8]| {
    let Some((&[first, order, count, place, high, mask], records)) = input.split_first_chunk()
    else {
        return;
    };
    let fixed = &*FIXED;
    let choose = |byte: u8| usize::from(byte) % fixed.choices.len();
    let mut records: Vec<usize> = records.iter().take(18).map(|&byte| choose(byte)).collect();
    // Mostly in order and without doubles: chance alone rarely sorts.
    if order & 1 == 0 {
        records.sort_by_key(|&nth| fixed.choices[nth].key);
    }
    if order & 2 == 0 {
        records.dedup_by_key(|nth| fixed.choices[*nth].key);
    }
    let first = choose(first);
    let mut file = fixed.bytes.clone();
    let index_start = file.len() - 8196;
    let index: &mut [u8] = &mut file[index_start..][..8192];
    write(index, first, &records);
    let place = 1568 + usize::from(u16::from_le_bytes([place, high])) % (8192 - 1568);
    index[1568] ^= count;
    index[place] ^= mask;
    // Changes can undo each other, and a record of zeros is none when the count leaves it out: what counts is what stands
    // there now.
    let records = read(index);
    let is_good = first < GOOD && records.as_ref().is_some_and(|records| {
        let mut again = index.to_vec();
        again[1568..].fill(0);
        write(&mut again, first, records);
        again == index && are_good(first, records)
    });
    psp_testkit::writer::index::repair_adler(index);
    let accepted = verify_bytes(&file);
    assert_eq!(accepted.is_ok(), is_good);
    if let Ok(package) = accepted {
        let found = package.signers().map(|key| *key.as_bytes());
        let records = records.unwrap_or_default();
        assert!(found.eq([first].iter().chain(&records).map(|&nth| key(nth))));
    }
});

fn key(nth: usize) -> [u8; 32] {
    FIXED.choices[nth].key
}

/// Puts the first signature and the records into an index.
fn write(index: &mut [u8], first: usize, records: &[usize]) {
    let signed = &FIXED.choices[first];
    index[64..96].copy_from_slice(&signed.key);
    index[128..192].copy_from_slice(&signed.signature);
    index[1376..1440].copy_from_slice(psp_testkit::writer::hex_sha256(&signed.key).as_bytes());
    index[1568..1572].copy_from_slice(&(records.len() as u32).to_le_bytes());
    for (nth, record) in records.iter().enumerate() {
        let at = 1576 + 96 * nth;
        index[at..at + 32].copy_from_slice(&FIXED.choices[*record].key);
        index[at + 32..at + 96].copy_from_slice(&FIXED.choices[*record].signature);
    }
}

/// The records of an index by their choices; nothing when there are too many, or one is none of them.
fn read(index: &[u8]) -> Option<Vec<usize>> {
    let count = u32::from_le_bytes(index[1568..1572].try_into().unwrap());
    let record = |nth: usize| {
        let bytes = &index[1576 + 96 * nth..][..96];
        let mut choices = FIXED.choices.iter();
        choices.position(|choice| choice.key == bytes[..32] && choice.signature == bytes[32..])
    };
    (count <= 16).then(|| (0..count as usize).map(record).collect())?
}

/// Whether these are what SPEC.md 2.1 asks for.
fn are_good(first: usize, records: &[usize]) -> bool {
    let is_good = |&nth: &usize| nth < GOOD && key(nth) != key(first);
    records.iter().all(is_good) && records.is_sorted_by(|&a, &b| key(a) < key(b))
}
