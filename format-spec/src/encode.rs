//! The only producer of format bytes: where each region lies, and the head and trailer of a package.
//!
//! Verification uses the same functions: a reader computes what a writer would have written and compares (M10, M30).

use crate::digest::Digest;
use crate::error::Error;
use crate::json;
use crate::layout::{
    DESCRIPTOR_LEN, FORMAT_VERSION, MAGIC_END, MAGIC_START, RawDescriptor, RawIndex, SignedBy,
    TRAILER_LEN, TRAILER_SIZE,
};
use crate::member;
use crate::metadata::{Metadata, Slot};
use crate::range::{Range, align8, widen};
use crate::signature::{PrivateKey, PublicKey};

/// Where the regions of a package lie. Everything here follows from the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The launcher.
    pub launcher: Range,
    /// The metadata member.
    pub metadata: Range,
    /// The slot table.
    pub table: Range,
    /// The stored bytes of each slot, in table order.
    pub slots: Vec<Range>,
    /// The trailer.
    pub trailer: Range,
}

impl Layout {
    /// The layout of a package with this metadata, whose text has `text_len` bytes.
    ///
    /// Offsets recorded in the slots are not looked at; [`place`] sets them and [`Layout::check_offsets`] compares.
    pub fn of(metadata: &Metadata, text_len: usize) -> Result<Layout, Error> {
        Layout::compute(metadata, text_len)
            .ok_or_else(|| Error::value("slots", "sizes that no file can have"))
    }

    fn compute(metadata: &Metadata, text_len: usize) -> Option<Layout> {
        let launcher = Range::new(0, metadata.launcher.size)?;
        let member = Range::new(launcher.end(), member::wrapped_len(text_len))?;
        let table_size = widen(metadata.slots.len()).checked_mul(DESCRIPTOR_LEN)?;
        let table = Range::new(align8(member.end())?, table_size)?;
        let mut end = table.end();
        let mut slots = Vec::with_capacity(metadata.slots.len());
        for slot in &metadata.slots {
            let range = Range::new(align8(end)?, slot.size)?;
            end = range.end();
            slots.push(range);
        }
        let trailer = Range::new(align8(end)?, TRAILER_LEN)?;
        Some(Layout {
            launcher,
            metadata: member,
            table,
            slots,
            trailer,
        })
    }

    /// Compares the offsets that the slots record with where they lie.
    pub fn check_offsets(&self, metadata: &Metadata) -> Result<(), Error> {
        for (nth, (slot, range)) in metadata.slots.iter().zip(&self.slots).enumerate() {
            if slot.offset != range.start() {
                let problem = format!(
                    "{} recorded, {} is where it lies",
                    slot.offset,
                    range.start()
                );
                return Err(Error::value(format!("slots[{nth}].offset"), problem));
            }
        }
        Ok(())
    }

    /// Size of the file.
    pub fn package_size(&self) -> u64 {
        self.trailer.end()
    }

    /// The padding of the file, in order: before the table, before each slot, before the trailer. Some are empty.
    pub fn paddings(&self) -> impl Iterator<Item = Range> {
        let starts = core::iter::once(self.metadata.end())
            .chain(core::iter::once(self.table.end()))
            .chain(self.slots.iter().map(Range::end));
        let ends = core::iter::once(self.table.start())
            .chain(self.slots.iter().map(Range::start))
            .chain(core::iter::once(self.trailer.start()));
        starts
            .zip(ends)
            .filter_map(|(start, end)| Range::between(start, end))
    }
}

/// A package that is ready to be written: launcher, [`Head::bytes`], the slots at their places, the trailer.
#[derive(Debug, Clone)]
pub struct Head {
    /// The metadata text: what is signed.
    pub text: Vec<u8>,
    /// Where everything lies.
    pub layout: Layout,
    /// Member, padding and slot table: the bytes from `layout.metadata.start()` to `layout.table.end()`.
    pub bytes: Vec<u8>,
    index: RawIndex,
}

/// Sets the offset of every slot, and checks the metadata as a reader will.
///
/// The offsets depend on the length of the text in which they are written; starting from zero they only grow, so the
/// loop ends after as many rounds as an offset has digits.
pub fn place(mut metadata: Metadata) -> Result<(Metadata, Head), Error> {
    metadata.slots.iter_mut().for_each(|slot| slot.offset = 0);
    loop {
        let text = metadata.to_text();
        let layout = Layout::of(&metadata, text.len())?;
        if layout.check_offsets(&metadata).is_ok() {
            // The reader is the judge of what may be written.
            Metadata::read(&text)?;
            let head = head(&metadata, text, layout);
            return Ok((metadata, head));
        }
        for (slot, range) in metadata.slots.iter_mut().zip(&layout.slots) {
            slot.offset = range.start();
        }
    }
}

fn head(metadata: &Metadata, text: Vec<u8>, layout: Layout) -> Head {
    let mut bytes = member::wrap(&text);
    let index = index(metadata, &layout, &Digest::of(&bytes));
    let padding = layout.table.start().saturating_sub(layout.metadata.end());
    bytes.extend((0..padding).map(|_| 0));
    for slot in &metadata.slots {
        bytes.extend(descriptor(slot).as_bytes());
    }
    Head {
        text,
        layout,
        bytes,
        index,
    }
}

impl Head {
    /// The trailer, signed with `key`.
    pub fn signed_trailer(&self, key: &PrivateKey) -> [u8; TRAILER_SIZE] {
        self.trailer(Some((&key.public_key(), &key.sign(&self.text))))
    }

    /// The trailer with this key and signature; without them, of an unsigned package.
    pub fn trailer(&self, signer: Option<(&PublicKey, &[u8; 64])>) -> [u8; TRAILER_SIZE] {
        let mut index = self.index.clone();
        finish_index(&mut index, signer, &[]);
        trailer(&index)
    }
}

/// The trailer around an index.
pub fn trailer(index: &RawIndex) -> [u8; TRAILER_SIZE] {
    let mut out = [0; TRAILER_SIZE];
    let parts = MAGIC_START.iter().chain(index.as_bytes()).chain(&MAGIC_END);
    out.iter_mut()
        .zip(parts)
        .for_each(|(place, byte)| *place = *byte);
    out
}

/// The index that the metadata implies, without key, signature and checksum.
pub fn index(metadata: &Metadata, layout: &Layout, member_digest: &Digest) -> RawIndex {
    let sbom = metadata.attestation().map(|slot| slot.checksum.0.hex());
    let policy = metadata.policy.as_ref().map(|policy| json::text(policy));
    RawIndex {
        format_version: FORMAT_VERSION.into(),
        package_size: layout.package_size().into(),
        launcher_size: layout.launcher.len().into(),
        metadata_offset: layout.metadata.start().into(),
        metadata_size: layout.metadata.len().into(),
        slot_table_offset: layout.table.start().into(),
        slot_table_size: layout.table.len().into(),
        slot_count: u32::try_from(layout.slots.len()).unwrap_or(u32::MAX).into(),
        metadata_checksum: member_digest.0,
        page_size: 4096.into(),
        build_timestamp: metadata.build_time().unwrap_or(0).into(),
        capabilities: 129.into(),
        compatibility: FORMAT_VERSION.into(),
        protocol_version: 1.into(),
        attestation_sbom_digest: sbom.unwrap_or([0; 64]),
        attestation_policy_hash: policy.map_or([0; 64], |json| Digest::of(&json).hex()),
        ..RawIndex::zeroed()
    }
}

/// Adds key, fingerprint, signature, the signatures beside it and the checksum to an index.
pub fn finish_index(
    index: &mut RawIndex,
    signer: Option<(&PublicKey, &[u8; 64])>,
    others: &[SignedBy],
) {
    if let Some((key, signature)) = signer {
        index.public_key = *key.as_bytes();
        index.attestation_key_fp = key.fingerprint().hex();
        index
            .signature
            .iter_mut()
            .zip(signature)
            .for_each(|(place, byte)| *place = *byte);
    }
    for (place, record) in index.signed_by.iter_mut().zip(others) {
        place.clone_from(record);
    }
    index.signed_by_count = u32::try_from(others.len()).unwrap_or(u32::MAX).into();
    index.index_checksum = index.checksum().into();
}

/// The descriptor that a signed record implies (M30).
pub fn descriptor(slot: &Slot) -> RawDescriptor {
    let [low, high, ..] = slot.mode.to_le_bytes();
    RawDescriptor {
        id: slot.slot.into(),
        name_hash: Digest::of(slot.id.as_bytes()).short().into(),
        offset: slot.offset.into(),
        size: slot.size.into(),
        original_size: slot.original_size.into(),
        operations: slot.operations_code.into(),
        checksum: slot.checksum.0.short().into(),
        purpose: [slot.purpose.code()],
        lifecycle: [slot.lifecycle.code()],
        priority: [1],
        permissions_low: [low],
        permissions_high: [high],
        ..RawDescriptor::zeroed()
    }
}

/// The bytes of a slot table.
pub fn table(slots: &[Slot]) -> impl Iterator<Item = RawDescriptor> {
    slots.iter().map(descriptor)
}

/// Descriptor ids for `count` slots: 0, 1, 2 and so on without those that M32 forbids.
pub fn slot_ids(count: usize) -> impl Iterator<Item = u64> {
    (0_u64..)
        .filter(|id| id % 256 != 123 && id % 65_536 != 35_615)
        .take(count)
}

/// The text of `execution.command` for base readers, which split at spaces and know quotes, but not backslashes.
pub fn quote_command(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./{}:=,+@%".contains(c);
    let quoted: Vec<String> = argv
        .iter()
        .map(|word| {
            if !word.is_empty() && word.chars().all(plain) {
                word.clone()
            } else {
                // A single quote cannot stand between single quotes: it gets double ones.
                format!("'{}'", word.replace('\'', "'\"'\"'"))
            }
        })
        .collect();
    quoted.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::example;

    #[test]
    fn regions_touch() {
        let (metadata, head) = place(example()).unwrap_or_else(|e| panic!("{e}"));
        let layout = &head.layout;
        assert_eq!(layout.metadata.start(), layout.launcher.end());
        assert_eq!(
            widen(head.bytes.len()),
            layout.table.end() - layout.metadata.start()
        );
        assert!(
            layout
                .paddings()
                .all(|padding| padding.len() < 8 && padding.end() % 8 == 0)
        );
        assert_eq!(layout.paddings().count(), metadata.slots.len() + 2);
        assert_eq!(metadata.slots[0].offset, layout.slots[0].start());
        assert_eq!(layout.package_size(), layout.trailer.end());
    }

    #[test]
    fn offsets_settle_at_every_length() {
        for len in 0..300 {
            for size in [1, 9_000_000, 99_999_000] {
                let mut metadata = example();
                metadata.package.description = Some("x".repeat(len));
                metadata.slots[0].size = size;
                metadata.slots[0].original_size = size;
                assert!(place(metadata).is_ok());
            }
        }
    }

    #[test]
    fn ids_avoid_the_two_patterns() {
        let ids: Vec<u64> = slot_ids(40_000).collect();
        assert!(ids.iter().all(|id| {
            let bytes = id.to_le_bytes();
            bytes[0] != 0x7b && bytes[..2] != [0x1f, 0x8b]
        }));
        assert_eq!((ids[122], ids[123]), (122, 124));
    }

    #[test]
    fn quoting() {
        let argv = ["{workenv}/a", "", "a b", "it's", "\"x\"", "a\nb"].map(String::from);
        assert_eq!(
            quote_command(&argv),
            "{workenv}/a '' 'a b' 'it'\"'\"'s' '\"x\"' 'a\nb'"
        );
    }

    #[test]
    fn unplaceable_sizes_are_an_error() {
        let mut metadata = example();
        metadata.slots[0].size = u64::MAX;
        metadata.slots[0].original_size = u64::MAX;
        assert!(place(metadata).is_err());
    }
}
