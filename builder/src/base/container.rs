//! The unsigned records around the signed text: where the regions lie, and that the index says nothing that is not so.

use psp_format::Error as FormatError;
use psp_format::layout::{RawIndex, TRAILER_LEN};
use psp_format::range::Range;
use psp_format::signature::PublicKey;

use super::fault::Fault;
use super::metadata::Metadata;
use super::slot::Slot;
use crate::examine::Refusal;

/// Zeros that the Rust builder leaves behind the launcher.
const BEHIND_LAUNCHER: u64 = 8192;
/// The largest alignment of any builder: the Python builder's slots.
const ALIGNMENT: u64 = 4096;

/// The signer, when the signature holds over `text`: one that is all zero, a weak key, and a key in a second encoding
/// are refused as in strict packages.
pub(super) fn signer(index: &RawIndex, text: &[u8]) -> Result<PublicKey, Refusal> {
    if index.signature.iter().all(|&byte| byte == 0) {
        return Err(FormatError::Unsigned.into());
    }
    let signer = PublicKey::from_bytes(&index.public_key).map_err(FormatError::Key)?;
    let (signature, rest) = index
        .signature
        .split_first_chunk::<64>()
        .ok_or(FormatError::Signature)?;
    if let Some(at) = rest.iter().position(|&byte| byte != 0) {
        let at = at as u64 + 64;
        return Err(FormatError::SignatureField { at }.into());
    }
    signer.verify(text, signature)?;
    Ok(signer)
}

/// Compares what the index derives from the key and the signed text, and sees that nothing lies where no builder writes.
pub(super) fn check_index(
    index: &RawIndex,
    signer: &PublicKey,
    metadata: &Metadata,
) -> Result<(), Fault> {
    let zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
    let fault = |field, problem| Err(Fault::Index { field, problem });
    let fingerprint = &index.attestation_key_fp;
    if !zero(fingerprint) && *fingerprint != signer.fingerprint().hex() {
        return fault(
            "attestation_key_fp",
            "it is not the fingerprint of the key that signed",
        );
    }
    let policy = &index.attestation_policy_hash;
    let digests = metadata.policy.as_ref().map(|policy| policy.digests);
    let is_policy = digests.is_some_and(|both| both.iter().any(|one| one.hex() == *policy));
    if !zero(policy) && !is_policy {
        return fault(
            "attestation_policy_hash",
            "it is not the digest of the signed policy",
        );
    }
    let signed_by: &[u8] = index.as_bytes().get(1568..).unwrap_or_default();
    for (field, area) in [
        ("flags", &index.as_bytes()[60..64]),
        ("future_crypto", &index.future_crypto[..]),
        ("signed_by", signed_by),
    ] {
        if !zero(area) {
            return fault(field, "no builder of base packages writes there");
        }
    }
    Ok(())
}

/// The zeros between the regions, each with the region before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gaps(pub Vec<(String, Range)>);

/// Where the regions lie.
#[derive(Debug)]
pub(super) struct Regions {
    pub(super) launcher: Range,
    pub(super) gaps: Gaps,
}

impl Regions {
    /// Places launcher, metadata, slot table, slots and trailer. They lie in this order, do not overlap, and leave only the
    /// gaps that some builder leaves ([`is_tolerated`]); that those are zeros is for whoever reads the file.
    pub(super) fn of(index: &RawIndex, slots: &[Slot], size: u64) -> Result<Regions, Fault> {
        let launcher_size = index.launcher_size.get();
        let table = (index.slot_table_offset.get(), index.slot_table_size.get());
        let trailer = (size.saturating_sub(TRAILER_LEN), TRAILER_LEN);
        let mut regions = vec![
            (
                "metadata".to_owned(),
                (index.metadata_offset.get(), index.metadata_size.get()),
            ),
            ("slot table".to_owned(), table),
        ];
        regions.extend(slots.iter().map(|slot| {
            let place = (slot.range.start(), slot.range.len());
            (format!("slot {}", slot.id), place)
        }));
        regions.push(("trailer".to_owned(), trailer));

        let (mut before, mut end) = ("launcher".to_owned(), launcher_size);
        let mut gaps = Vec::new();
        for (region, (offset, size)) in regions {
            let range = Range::new(offset, size);
            let gap = Range::between(end, offset);
            let (Some(range), Some(gap)) = (range, gap) else {
                return Err(Fault::Region {
                    region,
                    offset,
                    size,
                    before,
                });
            };
            if !is_tolerated(&before, gap) {
                let (after, size) = (before, gap.len());
                return Err(Fault::Gap {
                    after,
                    offset,
                    size,
                });
            }
            if !gap.is_empty() {
                gaps.push((before, gap));
            }
            (before, end) = (region, range.end());
        }
        Ok(Regions {
            launcher: Range::between(0, launcher_size).ok_or_else(|| Fault::Region {
                region: "launcher".to_owned(),
                offset: 0,
                size: launcher_size,
                before: "start".to_owned(),
            })?,
            gaps: Gaps(gaps),
        })
    }
}

/// Whether a builder leaves such a gap: none; what aligns the next region to a power of two up to 4096; or, behind the
/// launcher, the 8192 bytes of the Rust builder.
fn is_tolerated(before: &str, gap: Range) -> bool {
    let alignment = gap.len().saturating_add(1).checked_next_power_of_two();
    let aligns = alignment.is_some_and(|a| a <= ALIGNMENT && gap.end().is_multiple_of(a));
    aligns || before == "launcher" && gap.len() == BEHIND_LAUNCHER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_these_gaps() {
        let tolerated = |before: &str, start: u64, end: u64| {
            Range::between(start, end).is_some_and(|gap| is_tolerated(before, gap))
        };
        for (before, start, end, expected) in [
            ("slot a", 5, 5, true),
            ("slot a", 5, 8, true),
            ("slot a", 5, 4096, true),
            ("slot a", 4097, 8192, true),
            // Nothing is aligned by a whole page more.
            ("slot a", 4096, 8192, false),
            ("slot a", 4095, 8192, false),
            ("slot a", 5, 7, false),
            ("slot a", 5, 9, false),
            ("launcher", 1000, 9192, true),
            ("launcher", 1000, 9191, false),
            ("launcher", 1000, 9193, false),
            ("metadata", 1000, 9192, false),
            ("launcher", 1001, 1008, true),
        ] {
            assert_eq!(
                tolerated(before, start, end),
                expected,
                "{before} {start}..{end}"
            );
        }
    }
}
