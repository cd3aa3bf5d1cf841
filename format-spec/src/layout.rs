//! The fixed records: index, slot descriptor and trailer, byte for byte (SPEC.md 1, 2 and 4.2).
//!
//! Every record is `repr(C)` over bytes and little-endian numbers, so it has no padding and no alignment and can be looked at
//! where its bytes lie; each offset is asserted when the
//! crate is compiled and listed in `FIELDS`, which the tables of SPEC.md are compared with.

use core::mem::{offset_of, size_of};

pub use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned, transmute_ref};

use crate::limits::MAX_SIGNED_BY;

/// First 4 bytes of the trailer.
pub const MAGIC_START: [u8; 4] = [0xf0, 0x9f, 0x93, 0xa6];
/// Last 4 bytes of the trailer, and of the file.
pub const MAGIC_END: [u8; 4] = [0xf0, 0x9f, 0xaa, 0x84];
/// Size of the index in bytes.
pub const INDEX_SIZE: usize = 8192;
/// Size of the trailer in bytes: the index between its magic values.
pub const TRAILER_SIZE: usize = 8200;
/// [`TRAILER_SIZE`] as a file size.
pub const TRAILER_LEN: u64 = 8200;
/// Size of a slot descriptor in bytes.
pub const DESCRIPTOR_SIZE: usize = 64;
/// [`DESCRIPTOR_SIZE`] as a file size.
pub const DESCRIPTOR_LEN: u64 = 64;
/// Size of a signed-by record in bytes.
pub const SIGNED_BY_SIZE: usize = 96;
/// Offset of `index_checksum`, which ends with the first eight bytes.
const CHECKSUM_AT: usize = offset_of!(RawIndex, index_checksum);
/// Modulus of Adler-32 (RFC 1950, 8.2).
const ADLER_MODULUS: u32 = 65_521;
/// `format_version` of PSPF/2025.
pub const FORMAT_VERSION: u32 = 0x2025_0001;

/// Name, offset and size of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldInfo {
    /// Name in SPEC.md.
    pub name: &'static str,
    /// Offset in the record.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
}

macro_rules! record {
    ($(#[$doc:meta])* $record:ident [$total:expr] { $($(#[$field_doc:meta])* $offset:literal $field:ident : $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
        #[repr(C)]
        pub struct $record { $($(#[$field_doc])* pub $field: $type,)* }

        $(const _: () = assert!(offset_of!($record, $field) == $offset);)*
        const _: () = assert!(size_of::<$record>() == $total);

        impl $record {
            /// Every field in order; together they fill the record.
            pub const FIELDS: &'static [FieldInfo] = &[
                $(FieldInfo { name: stringify!($field), offset: $offset, size: size_of::<$type>() },)*
            ];

            /// All zeros.
            pub fn zeroed() -> $record {
                FromZeros::new_zeroed()
            }

            /// The record that lies in these bytes of a file.
            pub fn from_bytes(bytes: &[u8; $total]) -> &$record {
                transmute_ref!(bytes)
            }

            /// The record as it lies in the file.
            pub fn as_bytes(&self) -> &[u8; $total] {
                transmute_ref!(self)
            }
        }
    };
}

record! {
    /// A slot descriptor (SPEC.md 4.2).
    RawDescriptor [64] {
        /// Number of the slot, ascending.
        0 id: U64,
        /// sha8 of the slot's id.
        8 name_hash: U64,
        /// Offset of the stored bytes.
        16 offset: U64,
        /// Size of the stored bytes.
        24 size: U64,
        /// Size of the content.
        32 original_size: U64,
        /// Operation chain.
        40 operations: U64,
        /// sha8 of the stored bytes.
        48 checksum: U64,
        /// Code of the purpose.
        56 purpose: [u8; 1],
        /// Code of the lifecycle.
        57 lifecycle: [u8; 1],
        /// Always 1.
        58 priority: [u8; 1],
        /// Zero.
        59 platform: [u8; 1],
        /// Zero.
        60 reserved_60: [u8; 1],
        /// Zero.
        61 reserved_61: [u8; 1],
        /// Low byte of the mode.
        62 permissions_low: [u8; 1],
        /// High byte of the mode.
        63 permissions_high: [u8; 1],
    }
}

/// A signature beside the first one (SPEC.md 2.1).
#[derive(Debug, Clone, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SignedBy {
    /// Raw Ed25519 public key.
    pub public_key: [u8; 32],
    /// Its signature over the metadata text.
    pub signature: [u8; 64],
}

const _: () = assert!(offset_of!(SignedBy, signature) == 32);
const _: () = assert!(size_of::<SignedBy>() == SIGNED_BY_SIZE);

record! {
    /// The index (SPEC.md 2). Its strict values are computed in [`crate::encode`].
    RawIndex [8192] {
        /// [`FORMAT_VERSION`].
        0 format_version: U32,
        /// Adler-32 of the index with this field zero.
        4 index_checksum: U32,
        /// Size of the file.
        8 package_size: U64,
        /// Size of the launcher.
        16 launcher_size: U64,
        /// Offset of the metadata member.
        24 metadata_offset: U64,
        /// Size of the metadata member.
        32 metadata_size: U64,
        /// Offset of the slot table.
        40 slot_table_offset: U64,
        /// Size of the slot table.
        48 slot_table_size: U64,
        /// Number of descriptors.
        56 slot_count: U32,
        /// Zero.
        60 flags: U32,
        /// Raw Ed25519 public key.
        64 public_key: [u8; 32],
        /// SHA-256 of the metadata member.
        96 metadata_checksum: [u8; 32],
        /// Ed25519 signature, then zeros.
        128 signature: [u8; 512],
        /// Zero.
        640 access_mode: [u8; 1],
        /// Zero.
        641 cache_strategy: [u8; 1],
        /// Zero.
        642 reserved_642: U16,
        /// 4096.
        644 page_size: U32,
        /// Zero.
        648 max_memory: U64,
        /// Zero.
        656 min_memory: U64,
        /// Zero.
        664 cpu_features: U64,
        /// Zero.
        672 gpu_requirements: U64,
        /// Zero.
        680 numa_hints: U64,
        /// Zero.
        688 stream_chunk_size: U32,
        /// Zero.
        692 padding_692: [u8; 12],
        /// Build time, Unix seconds; 0 for none.
        704 build_timestamp: U64,
        /// Zero.
        712 build_machine: [u8; 32],
        /// Zero.
        744 source_hash: [u8; 32],
        /// Zero.
        776 dependency_hash: [u8; 32],
        /// Zero.
        808 license_id: [u8; 16],
        /// Zero.
        824 provenance_uri: [u8; 8],
        /// 129: bit 0 mapped, bit 7 signed.
        832 capabilities: U64,
        /// Zero.
        840 requirements: U64,
        /// Zero.
        848 extensions: U64,
        /// [`FORMAT_VERSION`].
        856 compatibility: U32,
        /// 1.
        860 protocol_version: U32,
        /// Zero.
        864 future_crypto: [u8; 512],
        /// Hex SHA-256 of `public_key`.
        1376 attestation_key_fp: [u8; 64],
        /// Hex SHA-256 of the attestation slot, or zeros.
        1440 attestation_sbom_digest: [u8; 64],
        /// Hex SHA-256 of the policy, or zeros.
        1504 attestation_policy_hash: [u8; 64],
        /// Number of signed-by records.
        1568 signed_by_count: U32,
        /// Zero.
        1572 reserved_1572: U32,
        /// Signed-by records, then zeros.
        1576 signed_by: [SignedBy; MAX_SIGNED_BY],
        /// Zero.
        3112 reserved_3112: [u8; 5080],
    }
}

impl RawIndex {
    /// Adler-32 (RFC 1950, 8.2) of the index with `index_checksum` zero.
    pub fn checksum(&self) -> u32 {
        let (mut a, mut b) = (1_u32, 0_u32);
        // 2048 bytes cannot overflow: b grows by at most a <= 65521 + 2048 * 255 each time.
        for (nth, part) in self.as_bytes().as_chunks::<2048>().0.iter().enumerate() {
            // An index is mostly zeros, which leave `a` as it is and are taken a word at a time.
            for (at, word) in part.as_chunks::<8>().0.iter().enumerate() {
                if u64::from_ne_bytes(*word) == 0 {
                    b = b.wrapping_add(a.wrapping_mul(8));
                    continue;
                }
                let mut word = *word;
                if (nth, at) == (0, 0) {
                    word.iter_mut().skip(CHECKSUM_AT).for_each(|byte| *byte = 0);
                }
                for byte in word {
                    a = a.wrapping_add(u32::from(byte));
                    b = b.wrapping_add(a);
                }
            }
            a %= ADLER_MODULUS;
            b %= ADLER_MODULUS;
        }
        b << 16 | a
    }
}

/// The first field in which two records of the same type differ.
pub fn first_difference(
    fields: &'static [FieldInfo],
    found: &[u8],
    expected: &[u8],
) -> Option<&'static FieldInfo> {
    // Nearly always there is none: words are compared before bytes are.
    let (words, expected_words) = (found.as_chunks::<8>().0, expected.as_chunks::<8>().0);
    let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
    let pairs = words.iter().zip(expected_words);
    let equal = pairs.take_while(|(a, b)| word(a) == word(b)).count();
    let start = equal.saturating_mul(8);
    let found = found.get(start..).unwrap_or_default();
    let expected = expected.get(start..).unwrap_or_default();
    let at = found.iter().zip(expected).position(|(a, b)| a != b)?;
    let at = at.saturating_add(start);
    fields.iter().rev().find(|field| field.offset <= at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_fill_their_records() {
        for (fields, total) in [(RawIndex::FIELDS, 8192), (RawDescriptor::FIELDS, 64)] {
            let mut end = 0;
            for field in fields {
                assert_eq!(field.offset, end, "{}", field.name);
                end += field.size;
            }
            assert_eq!(end, total);
        }
    }

    #[test]
    fn reading_is_the_inverse_of_writing() {
        let bytes: [u8; INDEX_SIZE] = core::array::from_fn(|i| (i % 251).to_le_bytes()[0]);
        assert_eq!(RawIndex::from_bytes(&bytes).as_bytes(), &bytes);
        let bytes: [u8; DESCRIPTOR_SIZE] = core::array::from_fn(|i| i.to_le_bytes()[0]);
        let descriptor = RawDescriptor::from_bytes(&bytes);
        assert_eq!(descriptor.as_bytes(), &bytes);
        assert_eq!(descriptor.id.get(), 0x0706_0504_0302_0100);
    }

    #[test]
    fn checksum_leaves_its_own_field_out() {
        let full = [0xff; INDEX_SIZE];
        let sparse: [u8; INDEX_SIZE] =
            core::array::from_fn(|i| if i % 61 < 9 { i.to_le_bytes()[0] } else { 0 });
        for mut bytes in [full, sparse, [0; INDEX_SIZE]] {
            let sum = RawIndex::from_bytes(&bytes).checksum();
            bytes[4..8].fill(0);
            let plain = bytes.iter().fold((1_u64, 0_u64), |(a, b), &byte| {
                let a = (a + u64::from(byte)) % 65_521;
                (a, (a + b) % 65_521)
            });
            assert_eq!(u64::from(sum), plain.1 << 16 | plain.0);
        }
    }

    #[test]
    fn the_first_difference_is_named() {
        let zeros = [0; INDEX_SIZE];
        for field in RawIndex::FIELDS {
            for at in [field.offset, field.offset + field.size - 1] {
                let mut other = zeros;
                (other[at], other[INDEX_SIZE - 1]) = (1, 1);
                let found = first_difference(RawIndex::FIELDS, &zeros, &other);
                assert_eq!(found, Some(field));
            }
        }
        assert_eq!(first_difference(RawIndex::FIELDS, &zeros, &zeros), None);
    }
}
