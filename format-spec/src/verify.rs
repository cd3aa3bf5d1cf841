//! From located bytes to a [`VerifiedPackage`], the gate in front of extraction and execution.
//!
//! The signature is checked before anything is parsed; what was signed is parsed once; everything else in the file is
//! computed from it and compared. A [`VerifiedPackage`] cannot be made in any other way.

use crate::digest::Digest;
use crate::encode::{self, Layout};
use crate::error::Error;
use crate::layout::{DESCRIPTOR_SIZE, RawDescriptor, RawIndex, first_difference};
use crate::locate::{Found, Located, locate};
use crate::member;
use crate::metadata::{Metadata, Slot};
use crate::range::{Range, widen};
use crate::signature::PublicKey;
use crate::signed_by;

/// A package whose signature, metadata, index and slot table are good. Launcher and slots are named by digests in it and are
/// checked when they are used: [`VerifiedPackage::check_launcher`], [`VerifiedPackage::check_slot`].
#[derive(Debug, Clone)]
pub struct VerifiedPackage {
    metadata: Metadata,
    text: Vec<u8>,
    layout: Layout,
    signer: PublicKey,
    others: Vec<PublicKey>,
}

/// A package that was written without a signature and is otherwise whole. It can be signed and nothing else.
#[derive(Debug)]
pub struct UnsignedPackage {
    /// The metadata text: what is to be signed.
    pub text: Vec<u8>,
    /// Where everything lies.
    pub layout: Layout,
    index: RawIndex,
}

impl VerifiedPackage {
    /// The signed metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The exact text that was signed.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// SHA-256 of the signed text: the name of this package in caches.
    pub fn package_id(&self) -> Digest {
        Digest::of(&self.text)
    }

    /// Where the regions lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The key that signed first. Whoever holds the file can make another signer the first one, so nothing may hang on it:
    /// ask whether any of [`VerifiedPackage::signers`] is trusted.
    pub fn signer(&self) -> &PublicKey {
        &self.signer
    }

    /// Every key that signed, all different: the first one, then those of the signed-by records.
    pub fn signers(&self) -> impl Iterator<Item = &PublicKey> {
        core::iter::once(&self.signer).chain(&self.others)
    }

    /// The slots with the places of their stored bytes, in table order.
    pub fn slots(&self) -> impl Iterator<Item = (&Slot, Range)> {
        self.metadata
            .slots
            .iter()
            .zip(self.layout.slots.iter().copied())
    }

    /// Compares the digest of the launcher's bytes with the signed one.
    pub fn check_launcher(&self, found: &Digest) -> Result<(), Error> {
        if *found == self.metadata.launcher.checksum.0 {
            Ok(())
        } else {
            Err(Error::LauncherDigest)
        }
    }

    /// Compares the digest of a slot's stored bytes with the signed one (M31).
    pub fn check_slot(&self, slot: &Slot, found: &Digest) -> Result<(), Error> {
        if *found == slot.checksum.0 {
            Ok(())
        } else {
            Err(Error::SlotDigest {
                slot: slot.id.clone(),
            })
        }
    }
}

/// Verifies located bytes: signature, metadata, index, slot table, and the padding between them.
pub fn verify(found: &Found<'_>) -> Result<VerifiedPackage, Error> {
    let fields = RawIndex::from_bytes(found.index);
    let text = text_of(found, fields)?;
    let (signer, signature) = check_signature(fields, &text)?;
    let records = signed_by::records(fields)?;
    let others = signed_by::check(records, &signer, &text)?;
    let metadata = Metadata::read(&text)?;
    let (layout, mut index) = check_layout(found, fields, &metadata, text.len())?;
    encode::finish_index(&mut index, Some((&signer, &signature)), records);
    compare_index(found, &mut index)?;
    Ok(VerifiedPackage {
        metadata,
        text,
        layout,
        signer,
        others,
    })
}

/// Checks a package that was written without a signature as far as that is possible.
///
/// A package that has a signature, good or bad, is refused with [`Error::IndexField`].
pub fn verify_unsigned(found: &Found<'_>) -> Result<(Metadata, UnsignedPackage), Error> {
    let fields = RawIndex::from_bytes(found.index);
    let text = text_of(found, fields)?;
    let metadata = Metadata::read(&text)?;
    let (layout, index) = check_layout(found, fields, &metadata, text.len())?;
    let mut expected = index.clone();
    encode::finish_index(&mut expected, None, &[]);
    compare_index(found, &mut expected)?;
    Ok((
        metadata,
        UnsignedPackage {
            text,
            layout,
            index,
        },
    ))
}

impl UnsignedPackage {
    /// The trailer with a signature over [`UnsignedPackage::text`]. It takes the place of the unsigned one.
    pub fn trailer(
        &self,
        signer: &PublicKey,
        signature: &[u8; 64],
    ) -> [u8; crate::layout::TRAILER_SIZE] {
        let mut index = self.index.clone();
        encode::finish_index(&mut index, Some((signer, signature)), &[]);
        encode::trailer(&index)
    }
}

/// Verifies a whole package in memory: everything but the content of the slots.
pub fn verify_bytes(bytes: &[u8]) -> Result<VerifiedPackage, Error> {
    let package = verify(&locate_bytes(bytes)?)?;
    check_bytes(&package, bytes)?;
    Ok(package)
}

/// Locates the parts of a package in memory.
pub fn locate_bytes(bytes: &[u8]) -> Result<Found<'_>, Error> {
    let size = widen(bytes.len());
    let (mut trailer, mut head) = (None, None);
    // Two ranges are needed at most; a third answer of `Need` would be about bytes that are not there.
    for _ in 0..3 {
        match locate(size, trailer, head)? {
            Located::Found(found) => return Ok(found),
            Located::Need(range) if trailer.is_none() => trailer = range.of(bytes),
            Located::Need(range) => head = range.of(bytes),
        }
    }
    Err(Error::NoTrailer)
}

/// Checks launcher, slots and padding of a verified package that is in memory.
pub fn check_bytes(package: &VerifiedPackage, bytes: &[u8]) -> Result<(), Error> {
    let part = |range: Range| range.of(bytes).unwrap_or_default();
    package.check_launcher(&Digest::of(part(package.layout.launcher)))?;
    for (slot, range) in package.slots() {
        package.check_slot(slot, &Digest::of(part(range)))?;
    }
    for padding in package.layout.paddings() {
        check_padding(padding.start(), part(padding))?;
    }
    Ok(())
}

/// Checks that padding, which lies at `offset` of the file, is zero (M3).
pub fn check_padding(offset: u64, padding: &[u8]) -> Result<(), Error> {
    match padding.iter().position(|&byte| byte != 0) {
        Some(at) => Err(Error::Padding {
            at: offset.saturating_add(widen(at)),
        }),
        None => Ok(()),
    }
}

fn text_of(found: &Found<'_>, fields: &RawIndex) -> Result<Vec<u8>, Error> {
    if Digest::of(found.member).0 != fields.metadata_checksum {
        return Err(Error::MemberDigest);
    }
    member::unwrap(found.member)
}

/// M22. The key is looked at before the signature, and both before the text is parsed.
fn check_signature(index: &RawIndex, text: &[u8]) -> Result<(PublicKey, [u8; 64]), Error> {
    if index.signature.iter().all(|&byte| byte == 0) {
        return Err(Error::Unsigned);
    }
    let signer = PublicKey::from_bytes(&index.public_key).map_err(Error::Key)?;
    let (signature, rest) = index
        .signature
        .split_first_chunk::<64>()
        .ok_or(Error::Signature)?;
    if let Some(at) = rest.iter().position(|&byte| byte != 0) {
        return Err(Error::SignatureField {
            at: widen(at).saturating_add(64),
        });
    }
    signer.verify(text, signature)?;
    Ok((signer, *signature))
}

/// Computes what the metadata implies and compares offsets, slot table and the padding before it.
fn check_layout(
    found: &Found<'_>,
    fields: &RawIndex,
    metadata: &Metadata,
    text_len: usize,
) -> Result<(Layout, RawIndex), Error> {
    let layout = Layout::of(metadata, text_len)?;
    layout.check_offsets(metadata)?;
    let index = encode::index(metadata, &layout, &Digest(fields.metadata_checksum));
    if fields.slot_count != index.slot_count {
        return Err(Error::IndexField {
            field: "slot_count",
            at: field_offset(found, 56),
        });
    }
    let entries = found
        .table
        .chunks(DESCRIPTOR_SIZE)
        .zip(encode::table(&metadata.slots));
    for (slot, (found, expected)) in entries.enumerate() {
        if let Some(field) = first_difference(RawDescriptor::FIELDS, found, expected.as_bytes()) {
            return Err(Error::SlotField {
                slot,
                field: field.name,
            });
        }
    }
    check_padding(layout.metadata.end(), found.padding)?;
    Ok((layout, index))
}

/// M10.
fn compare_index(found: &Found<'_>, expected: &mut RawIndex) -> Result<(), Error> {
    let Some(first) = first_difference(RawIndex::FIELDS, found.index, expected.as_bytes()) else {
        return Ok(());
    };
    // The checksum stands before whatever makes it another one.
    expected.index_checksum = RawIndex::from_bytes(found.index).index_checksum;
    let field = first_difference(RawIndex::FIELDS, found.index, expected.as_bytes());
    let field = field.unwrap_or(first);
    Err(Error::IndexField {
        field: field.name,
        at: field_offset(found, field.offset),
    })
}

/// Offset in the file of an index field: the index lies behind 4 bytes of magic.
fn field_offset(found: &Found<'_>, offset: usize) -> u64 {
    found
        .file_size
        .saturating_sub(crate::layout::TRAILER_LEN)
        .saturating_add(4)
        .saturating_add(widen(offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Checksum;
    use crate::metadata::tests::example;
    use crate::signature::PrivateKey;

    fn package() -> Vec<u8> {
        let mut metadata = example();
        let launcher = [b'L'; 61];
        metadata.launcher.size = 61;
        metadata.launcher.checksum = Checksum(Digest::of(&launcher));
        let slots = [&b"x"[..], b"second"];
        for (slot, bytes) in metadata.slots.iter_mut().zip(slots) {
            slot.checksum = Checksum(Digest::of(bytes));
            (slot.size, slot.original_size) = (widen(bytes.len()), widen(bytes.len()));
        }
        let (_, head) = encode::place(metadata).unwrap_or_else(|e| panic!("{e}"));
        let mut out = [&launcher[..], &head.bytes].concat();
        for (range, bytes) in head.layout.slots.iter().zip(slots) {
            out.resize(usize::try_from(range.start()).unwrap_or(0), 0);
            out.extend(bytes);
        }
        out.resize(usize::try_from(head.layout.trailer.start()).unwrap_or(0), 0);
        out.extend(head.signed_trailer(&PrivateKey::from_text_seed("t")));
        out
    }

    #[test]
    fn whole_package() {
        let bytes = package();
        let verified = verify_bytes(&bytes).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(verified.metadata().package.name, "app");
        assert_eq!(verified.slots().count(), 2);
    }

    #[test]
    fn no_byte_can_change() {
        let good = package();
        for at in 0..good.len() {
            for mask in [1, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= mask;
                assert!(verify_bytes(&bytes).is_err(), "byte {at} of {}", good.len());
            }
        }
    }

    #[test]
    fn the_field_that_was_changed_is_named() {
        let good = package();
        for (offset, name) in [
            (60, "flags"),
            (664, "cpu_features"),
            (8191, "reserved_3112"),
        ] {
            let mut bytes = good.clone();
            let start = bytes.len() - 8196;
            bytes[start + offset] ^= 1;
            let index = bytes[start..].first_chunk().map(RawIndex::from_bytes);
            let checksum = index.map(RawIndex::checksum).unwrap_or_default();
            bytes[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
            let field = match verify_bytes(&bytes) {
                Err(Error::IndexField { field, .. }) => field,
                _ => "",
            };
            assert_eq!(field, name);
        }
    }

    #[test]
    fn no_byte_can_be_cut_or_added() {
        let good = package();
        for at in 0..good.len() {
            assert!(verify_bytes(&good[..at]).is_err(), "cut at {at}");
            let mut longer = good.clone();
            longer.insert(at, 0);
            assert!(verify_bytes(&longer).is_err(), "inserted at {at}");
        }
        assert!(verify_bytes(&[&good[..], &[0]].concat()).is_err());
    }

    #[test]
    fn unsigned_packages_can_be_signed_and_nothing_else() {
        let good = package();
        let key = PrivateKey::from_text_seed("t");
        let found = locate_bytes(&good).unwrap_or_else(|e| panic!("{e}"));
        assert!(matches!(
            verify_unsigned(&found),
            Err(Error::IndexField { .. })
        ));
        let (metadata, head) = verify(&found)
            .and_then(|package| encode::place(package.metadata().clone()))
            .unwrap_or_else(|e| panic!("{e}"));
        let start = good.len() - 8200;
        let unsigned = [&good[..start], &head.trailer(None)].concat();
        assert!(matches!(verify_bytes(&unsigned), Err(Error::Unsigned)));
        let found = locate_bytes(&unsigned).unwrap_or_else(|e| panic!("{e}"));
        let (read, package) = verify_unsigned(&found).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(read, metadata);
        let trailer = package.trailer(&key.public_key(), &key.sign(&package.text));
        assert_eq!([&unsigned[..start], &trailer].concat(), good);
    }
}
