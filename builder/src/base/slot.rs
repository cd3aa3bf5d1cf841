//! Slots: what the signed text says of each, with the place that the slot table gives it.

use psp_format::Error as FormatError;
use psp_format::digest::Digest;
use psp_format::layout::{DESCRIPTOR_SIZE, RawDescriptor, RawIndex};
use psp_format::ops::{self, Op};
use psp_format::range::Range;

use super::fault::Fault;
use super::metadata::{self, Builder, Metadata, SlotText};
use crate::examine::Refusal;

/// Id of the slot in which the Python builder describes the build.
const ATTESTATION: &str = "_attestation";
/// The lifecycle of that slot.
pub const ATTESTED: &str = "attestation";
/// The mode of a file whose slot has none that can be read: the Python builder's default.
const PYTHON_MODE: u32 = 0o644;
/// That of the other builders.
const OTHER_MODE: u32 = 0o600;

/// A slot of a base package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name; unique.
    pub id: String,
    /// Where a file goes, without the `{workenv}/` before it. Trees go to the top, whatever this says.
    pub target: String,
    /// The operations as signed.
    pub operations: String,
    /// The steps that the builder means by that, first step first.
    pub steps: Vec<Op>,
    /// The same as a number.
    pub code: u64,
    /// Place of the stored bytes.
    pub range: Range,
    /// Size of the content, as the slot table says; not bound, and not relied on.
    pub original_size: u64,
    /// What binds the stored bytes.
    pub bound: Bound,
    /// Mode of a file.
    pub mode: u32,
    /// What for, as signed.
    pub purpose: String,
    /// When, as signed.
    pub lifecycle: String,
    /// First 8 bytes of the digest, by the slot table.
    table_checksum: u64,
    /// The digest that the index has of an attestation.
    index_digest: Option<[u8; 64]>,
}

/// What the signed text says of the stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Their whole digest.
    Full(Digest),
    /// The first 64 bits of it: the Python builder's `_attestation`.
    Short(u64),
    /// Nothing that could be compared.
    No,
}

impl Slot {
    /// Whether the content is a tree, which goes to the top of the work environment.
    pub fn is_tar(&self) -> bool {
        self.steps.first() == Some(&Op::Tar)
    }

    /// Whether this is a statement about the package, which no start unpacks.
    pub fn is_attestation(&self) -> bool {
        self.lifecycle == ATTESTED
    }

    /// Compares the digest of the stored bytes with everything that speaks of it.
    pub(super) fn check(&self, found: &Digest) -> Result<(), Refusal> {
        let is_signed = match self.bound {
            Bound::Full(signed) => signed == *found,
            Bound::Short(signed) => signed == found.short(),
            Bound::No => false,
        };
        if !is_signed {
            let slot = self.id.clone();
            return Err(FormatError::SlotDigest { slot }.into());
        }
        if self.table_checksum != found.short() {
            return Err(self.contradicts("checksum").into());
        }
        match self.index_digest {
            Some(digest) if digest != found.hex() => Err(Fault::Index {
                field: "attestation_sbom_digest",
                problem: "it is not the digest of the attestation slot",
            }
            .into()),
            _ => Ok(()),
        }
    }

    fn contradicts(&self, field: &'static str) -> Fault {
        Fault::Descriptor {
            slot: self.id.clone(),
            field,
        }
    }
}

/// The signed slots with their descriptors, which must not contradict them.
pub(super) fn read(
    metadata: &Metadata,
    table: &[u8],
    index: &RawIndex,
) -> Result<Vec<Slot>, Fault> {
    let entries = table.len() / DESCRIPTOR_SIZE;
    if entries != metadata.slots.len() {
        return Err(Fault::SlotCount {
            table: entries,
            signed: metadata.slots.len(),
        });
    }
    let builder = metadata.builder();
    let mut slots: Vec<Slot> = Vec::with_capacity(entries);
    let (descriptors, _) = table.as_chunks::<DESCRIPTOR_SIZE>();
    for (text, descriptor) in metadata.slots.iter().zip(descriptors) {
        let slot = one(text, RawDescriptor::from_bytes(descriptor), builder)?;
        if slots.iter().any(|other| other.id == slot.id) {
            return Err(Fault::Value {
                path: format!("slots: {}", slot.id),
                problem: "two slots have this id",
            });
        }
        slots.push(slot);
    }
    attest(&mut slots, index)?;
    Ok(slots)
}

/// Gives the attestation slot the digest that the index has of it.
fn attest(slots: &mut [Slot], index: &RawIndex) -> Result<(), Fault> {
    let digest = index.attestation_sbom_digest;
    if digest == [0; 64] {
        return Ok(());
    }
    let attestation = slots.iter_mut().find(|slot| slot.is_attestation());
    let attestation = attestation.ok_or(Fault::Index {
        field: "attestation_sbom_digest",
        problem: "there is no attestation slot",
    })?;
    attestation.index_digest = Some(digest);
    Ok(())
}

fn one(text: &SlotText, descriptor: &RawDescriptor, builder: Builder) -> Result<Slot, Fault> {
    let contradicts = |field| Fault::Descriptor {
        slot: text.id.clone(),
        field,
    };
    let steps = steps(&text.operations, builder).ok_or_else(|| Fault::Operations {
        slot: text.id.clone(),
        operations: text.operations.clone(),
    })?;
    let code = ops::encode(&steps).unwrap_or(u64::MAX);
    // The Go builder takes the target for the name.
    let name = match builder {
        Builder::Go => &text.target,
        _ => &text.id,
    };
    if descriptor.name_hash.get() != Digest::of(name.as_bytes()).short() {
        return Err(contradicts("name_hash"));
    }
    if descriptor.operations.get() != code {
        return Err(contradicts("operations"));
    }
    // The Python builder signs whatever its caller said, 0 most often. The digest binds the size as well.
    if builder != Builder::Python && descriptor.size.get() != text.size {
        return Err(contradicts("size"));
    }
    let mode = mode(text.permissions.as_deref(), builder);
    let [low, high] = [descriptor.permissions_low, descriptor.permissions_high];
    if u32::from(u16::from_le_bytes([low[0], high[0]])) != mode {
        return Err(contradicts("permissions"));
    }
    let range = Range::new(descriptor.offset.get(), descriptor.size.get());
    let target = text.target.strip_prefix("{workenv}/");
    Ok(Slot {
        id: text.id.clone(),
        target: target.unwrap_or(&text.target).to_owned(),
        operations: text.operations.clone(),
        steps,
        code,
        range: range.ok_or_else(|| contradicts("offset"))?,
        original_size: descriptor.original_size.get(),
        bound: bound(&text.checksum, &text.id),
        mode: mode & 0o777,
        purpose: text.purpose.clone(),
        lifecycle: text.lifecycle.clone(),
        table_checksum: descriptor.checksum.get(),
        index_digest: None,
    })
}

fn bound(checksum: &str, id: &str) -> Bound {
    // `sha256:` and 64 digits, once: only the launcher's prefix is ever doubled.
    let full = metadata::digest(checksum).filter(|_| checksum.matches("sha256:").count() == 1);
    match full {
        Some(digest) => Bound::Full(digest),
        None if id == ATTESTATION => short(checksum).map_or(Bound::No, Bound::Short),
        None => Bound::No,
    }
}

/// 16 digits: the first 8 bytes of a digest, in their order.
fn short(digits: &str) -> Option<u64> {
    let padded = Digest::from_hex(&format!("{digits:0<64}"));
    padded
        .filter(|_| digits.len() == 16)
        .map(|digest| digest.short())
}

/// The mode by the signed text: octal digits.
fn mode(permissions: Option<&str>, builder: Builder) -> u32 {
    let is_python = builder == Builder::Python;
    let otherwise = if is_python { PYTHON_MODE } else { OTHER_MODE };
    let digits = permissions.unwrap_or_default();
    let digits = digits
        .strip_prefix("0o")
        .filter(|_| is_python)
        .unwrap_or(digits);
    let mode = u32::from_str_radix(digits, 8).ok();
    mode.filter(|mode| *mode <= 0o7777).unwrap_or(otherwise)
}

/// What a builder means by the text of `operations`, as steps that can be undone: at most a tar stream, and at most one
/// compression around it. `None` for anything else.
///
/// The Rust and the Go builder know few words, and store a slot as it is, as one file, for every other: so
/// does the Rust builder with `tar.gz`. The number in the slot table, which their launchers go by, is not signed; this is.
fn steps(text: &str, builder: Builder) -> Option<Vec<Op>> {
    let known: &[&str] = match builder {
        Builder::Rust => &["tar", "gzip", "tgz"],
        Builder::Go => &["tar", "gzip", "tgz", "tar.gz"],
        Builder::Python | Builder::Other => return chain(&text.to_ascii_lowercase()),
    };
    if known.contains(&text) {
        chain(text)
    } else {
        Some(Vec::new())
    }
}

fn chain(text: &str) -> Option<Vec<Op>> {
    let mut steps = Vec::new();
    for word in text.split('|').map(str::trim) {
        steps.extend_from_slice(match word {
            "" | "none" | "raw" => &[],
            "tar" => &[Op::Tar],
            "gzip" => &[Op::Gzip],
            "bzip2" => &[Op::Bzip2],
            "xz" => &[Op::Xz],
            "zstd" => &[Op::Zstd],
            "tar.gz" | "tgz" => &[Op::Tar, Op::Gzip],
            "tar.bz2" | "tbz2" => &[Op::Tar, Op::Bzip2],
            "tar.xz" | "txz" => &[Op::Tar, Op::Xz],
            "tar.zst" => &[Op::Tar, Op::Zstd],
            _ => return None,
        });
    }
    match steps.as_slice() {
        [] | [_] => Some(steps),
        [Op::Tar, around] if *around != Op::Tar => Some(steps),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tar_gz_is_a_file_for_the_rust_builder_and_a_tree_for_the_others() {
        assert_eq!(steps("tar.gz", Builder::Rust), Some(vec![]));
        for builder in [Builder::Go, Builder::Python, Builder::Other] {
            assert_eq!(steps("tar.gz", builder), Some(vec![Op::Tar, Op::Gzip]));
        }
        for builder in [Builder::Rust, Builder::Go] {
            for word in ["tar.zst", "tar|gzip", "xz", "a typing error", "raw", ""] {
                assert_eq!(steps(word, builder), Some(vec![]), "{word}");
            }
            assert_eq!(steps("tgz", builder), Some(vec![Op::Tar, Op::Gzip]));
        }
    }

    #[test]
    fn chains_that_can_be_undone() {
        for (text, code) in [
            ("RAW", 0),
            ("tar|zstd", 0x1b01),
            ("tbz2", 0x1301),
            ("txz", 0x1601),
            ("gzip", 0x10),
        ] {
            let steps = steps(text, Builder::Python).and_then(|steps| ops::encode(&steps));
            assert_eq!(steps, Some(code), "{text}");
        }
        for text in ["gzip|tar", "gzip|gzip", "tar|tar", "tar.gz|xz", "lz4"] {
            assert_eq!(steps(text, Builder::Python), None, "{text}");
        }
    }

    #[test]
    fn sixteen_digits_are_for_the_attestation_only() {
        let digest = Digest::of(b"x");
        let hex = digest.to_string();
        let short = &hex[..16];
        assert_eq!(bound(short, "_attestation"), Bound::Short(digest.short()));
        assert_eq!(bound(short, "app"), Bound::No);
        assert_eq!(bound(&format!("sha256:{hex}"), "app"), Bound::Full(digest));
        for text in ["", &hex, &format!("sha256:sha256:{hex}"), &hex[..15]] {
            assert_eq!(bound(text, "_attestation"), Bound::No, "{text}");
        }
    }

    #[test]
    fn modes() {
        for (text, expected) in [(None, 0o644), (Some("0o755"), 0o755), (Some("rwx"), 0o644)] {
            assert_eq!(mode(text, Builder::Python), expected);
        }
        for (text, expected) in [("0640", 0o640), ("755", 0o755), ("rwx", 0o600), ("", 0o600)] {
            assert_eq!(mode(Some(text), Builder::Rust), expected);
        }
    }
}
