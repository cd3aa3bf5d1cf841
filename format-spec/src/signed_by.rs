//! Signatures beside the first one: the signed-by records of the index (SPEC.md 2.1).

use core::fmt;

use crate::error::{Error, SignedByFault};
use crate::layout::{RawIndex, SignedBy};
use crate::limits::MAX_SIGNED_BY;
use crate::signature::PublicKey;

/// The records that an index counts, not yet verified (M11).
pub fn records(index: &RawIndex) -> Result<&[SignedBy], Error> {
    let found = index.signed_by_count.get();
    let count = usize::try_from(found).unwrap_or(usize::MAX);
    index
        .signed_by
        .get(..count)
        .ok_or(Error::SignedByCount { found })
}

/// The keys of these records: all different, in order, each with its signature over `text` (M12, M13).
pub(crate) fn check(
    records: &[SignedBy],
    first: &PublicKey,
    text: &[u8],
) -> Result<Vec<PublicKey>, Error> {
    let mut keys: Vec<PublicKey> = Vec::new();
    for (nth, record) in records.iter().enumerate() {
        let refused = |fault| Error::SignedBy { record: nth, fault };
        if record.public_key == *first.as_bytes() {
            return Err(refused(SignedByFault::FirstSigner));
        }
        if keys
            .last()
            .is_some_and(|last| *last.as_bytes() >= record.public_key)
        {
            return Err(refused(SignedByFault::Order));
        }
        let key = PublicKey::from_bytes(&record.public_key)
            .map_err(|fault| refused(SignedByFault::Key(fault)))?;
        key.verify(text, &record.signature)
            .map_err(|_| refused(SignedByFault::Signature))?;
        keys.push(key);
    }
    Ok(keys)
}

/// Why a signature was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddFault {
    /// The key has signed already.
    Signed,
    /// There are as many records as there can be.
    Full,
}

impl fmt::Display for AddFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddFault::Signed => f.write_str("this key has signed it already"),
            AddFault::Full => write!(
                f,
                "{MAX_SIGNED_BY} signatures beside the first one are the most"
            ),
        }
    }
}

impl std::error::Error for AddFault {}

/// The index of a verified package with one more signature over its metadata text.
pub fn add(index: &RawIndex, key: &PublicKey, signature: &[u8; 64]) -> Result<RawIndex, AddFault> {
    let mut all = records(index).map_err(|_| AddFault::Full)?.to_vec();
    let same = |other: &[u8; 32]| other == key.as_bytes();
    if same(&index.public_key) || all.iter().any(|record| same(&record.public_key)) {
        return Err(AddFault::Signed);
    }
    if all.len() >= MAX_SIGNED_BY {
        return Err(AddFault::Full);
    }
    all.push(SignedBy {
        public_key: *key.as_bytes(),
        signature: *signature,
    });
    all.sort_by_key(|record| record.public_key);
    let mut out = index.clone();
    crate::encode::finish_index(&mut out, None, &all);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::PrivateKey;

    const TEXT: &[u8] = b"{}";

    fn key(nth: usize) -> PrivateKey {
        PrivateKey::from_text_seed(&nth.to_string())
    }

    fn signed_by(count: usize) -> RawIndex {
        let mut index = RawIndex::zeroed();
        let first = PrivateKey::from_text_seed("first").public_key();
        index.public_key = *first.as_bytes();
        for nth in 0..count {
            let (public, signature) = (key(nth).public_key(), key(nth).sign(TEXT));
            index = add(&index, &public, &signature).unwrap_or_else(|e| panic!("{e}"));
        }
        index
    }

    fn ask(records: &[SignedBy]) -> Result<usize, Error> {
        let first = PrivateKey::from_text_seed("first").public_key();
        check(records, &first, TEXT).map(|keys| keys.len())
    }

    #[test]
    fn what_is_added_is_accepted_whatever_the_order() {
        for count in 0..=MAX_SIGNED_BY {
            let index = signed_by(count);
            assert_eq!(records(&index).and_then(ask), Ok(count));
            assert!(count == 0 || index.index_checksum.get() == index.checksum());
            let rest = &index.signed_by[count..];
            assert!(rest.iter().all(|record| record.public_key == [0; 32]));
        }
        let full = signed_by(MAX_SIGNED_BY);
        let add_to = |index, nth| add(index, &key(nth).public_key(), &key(nth).sign(TEXT)).err();
        assert_eq!(add_to(&full, 16), Some(AddFault::Full));
        assert_eq!(add_to(&full, 3), Some(AddFault::Signed));
        let mut first = signed_by(2);
        first.public_key = *key(5).public_key().as_bytes();
        assert_eq!(add_to(&first, 5), Some(AddFault::Signed));
    }

    #[test]
    fn each_fault_has_its_name() {
        let mut index = signed_by(3);
        index.signed_by_count = 17.into();
        assert_eq!(records(&index), Err(Error::SignedByCount { found: 17 }));
        let good = signed_by(3).signed_by[..3].to_vec();
        let refused = |edit: fn(&mut Vec<SignedBy>)| {
            let mut changed = good.clone();
            edit(&mut changed);
            match ask(&changed) {
                Err(Error::SignedBy { record, fault }) => (record, fault),
                other => panic!("{other:?}"),
            }
        };
        use SignedByFault::{FirstSigner, Key, Order, Signature};
        assert_eq!(refused(|all| all.swap(0, 1)), (1, Order));
        assert_eq!(refused(|all| all[2] = all[1].clone()), (2, Order));
        assert_eq!(refused(|all| all[1].signature[0] ^= 1), (1, Signature));
        let first = |all: &mut Vec<SignedBy>| {
            let first = PrivateKey::from_text_seed("first");
            all[0].public_key = *first.public_key().as_bytes();
            all[0].signature = first.sign(TEXT);
        };
        assert_eq!(refused(first), (0, FirstSigner));
        let (record, fault) = refused(|all| all[0].public_key = [0; 32]);
        assert!(record == 0 && matches!(fault, Key(_)));
    }
}
