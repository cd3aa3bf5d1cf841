//! The index (SPEC.md, 2) as 8192 bytes with named fields.

use super::hex_sha256;
use crate::keys::Signed;

/// Size of the index.
pub const SIZE: usize = 8192;

/// Offset, size and name of each field: the table of SPEC.md, 2, with which a test compares it.
pub const FIELDS: &[(usize, usize, &str)] = &[
    (0, 4, "format_version"),
    (4, 4, "index_checksum"),
    (8, 8, "package_size"),
    (16, 8, "launcher_size"),
    (24, 8, "metadata_offset"),
    (32, 8, "metadata_size"),
    (40, 8, "slot_table_offset"),
    (48, 8, "slot_table_size"),
    (56, 4, "slot_count"),
    (60, 4, "flags"),
    (64, 32, "public_key"),
    (96, 32, "metadata_checksum"),
    (128, 512, "signature"),
    (640, 1, "access_mode"),
    (641, 1, "cache_strategy"),
    (642, 2, "reserved_642"),
    (644, 4, "page_size"),
    (648, 8, "max_memory"),
    (656, 8, "min_memory"),
    (664, 8, "cpu_features"),
    (672, 8, "gpu_requirements"),
    (680, 8, "numa_hints"),
    (688, 4, "stream_chunk_size"),
    (692, 12, "padding_692"),
    (704, 8, "build_timestamp"),
    (712, 32, "build_machine"),
    (744, 32, "source_hash"),
    (776, 32, "dependency_hash"),
    (808, 16, "license_id"),
    (824, 8, "provenance_uri"),
    (832, 8, "capabilities"),
    (840, 8, "requirements"),
    (848, 8, "extensions"),
    (856, 4, "compatibility"),
    (860, 4, "protocol_version"),
    (864, 512, "future_crypto"),
    (1376, 64, "attestation_key_fp"),
    (1440, 64, "attestation_sbom_digest"),
    (1504, 64, "attestation_policy_hash"),
    (1568, 4, "signed_by_count"),
    (1572, 4, "reserved_1572"),
    (1576, 1536, "signed_by"),
    (3112, 5080, "reserved_3112"),
];

/// The index. Fields are set by name, so that a vector reads like the table.
#[derive(Clone)]
pub struct Index(Box<[u8; SIZE]>);

impl Index {
    /// All fields that do not depend on the package.
    pub(super) fn new() -> Index {
        let mut index = Index(Box::new([0; SIZE]));
        index.set_u32("format_version", 0x2025_0001);
        index.set_u32("page_size", 4096);
        index.set_u64("capabilities", 129);
        index.set_u32("compatibility", 0x2025_0001);
        index.set_u32("protocol_version", 1);
        index
    }

    /// All 8192 bytes.
    pub fn as_bytes(&self) -> &[u8; SIZE] {
        &self.0
    }

    /// All 8192 bytes, to change.
    pub fn as_mut_bytes(&mut self) -> &mut [u8; SIZE] {
        &mut self.0
    }

    /// Bytes of a field.
    pub fn field(&mut self, name: &str) -> &mut [u8] {
        let (offset, size, _) = FIELDS
            .iter()
            .find(|field| field.2 == name)
            .expect("the field exists");
        &mut self.0[*offset..offset + size]
    }

    /// Writes the first bytes of a field.
    pub fn set(&mut self, name: &str, bytes: &[u8]) {
        self.field(name)[..bytes.len()].copy_from_slice(bytes);
    }

    /// Writes a field of 4 bytes.
    pub fn set_u32(&mut self, name: &str, value: u32) {
        self.field(name).copy_from_slice(&value.to_le_bytes());
    }

    /// Writes a field of 8 bytes.
    pub fn set_u64(&mut self, name: &str, value: u64) {
        self.field(name).copy_from_slice(&value.to_le_bytes());
    }

    /// Reads a field of 8 bytes.
    pub fn u64(&mut self, name: &str) -> u64 {
        u64::from_le_bytes(self.field(name).try_into().expect("a field of 8 bytes"))
    }

    /// Writes the public key, its fingerprint and the signature.
    pub fn set_signed(&mut self, signed: &Signed) {
        self.set("public_key", &signed.key);
        self.set("attestation_key_fp", hex_sha256(&signed.key).as_bytes());
        self.set("signature", &signed.signature);
    }

    /// Writes these records, as they are and in this order, and their number (SPEC.md, 2.1).
    pub fn set_signed_by(&mut self, records: &[Signed]) {
        let count = u32::try_from(records.len()).expect("a test has few records");
        self.set_u32("signed_by_count", count);
        let join = |record: &Signed| [&record.key[..], &record.signature[..]].concat();
        let bytes: Vec<u8> = records.iter().flat_map(join).collect();
        // More records than there is room for run into what lies behind, as a careless writer's would.
        self.0[1576..1576 + bytes.len()].copy_from_slice(&bytes);
    }

    /// Writes Adler-32 (RFC 1950) of the index with this field zero.
    pub fn repair_adler(&mut self) {
        repair_adler(self.0.as_mut_slice());
    }
}

/// Writes `index_checksum` of an index that is part of a file.
pub fn repair_adler(index: &mut [u8]) {
    index[4..8].fill(0);
    let (mut low, mut high) = (1u32, 0u32);
    for byte in index.iter() {
        low = (low + u32::from(*byte)) % 65521;
        high = (high + low) % 65521;
    }
    index[4..8].copy_from_slice(&((high << 16) | low).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_touch_and_fill_the_index() {
        let mut end = 0;
        for (offset, size, name) in FIELDS {
            assert_eq!(*offset, end, "{name}");
            end += size;
        }
        assert_eq!(end, SIZE);
    }

    #[test]
    fn fields_are_those_of_the_specification() {
        let spec = include_str!("../../../format-spec/SPEC.md");
        let section = spec
            .split("## 2. Index")
            .nth(1)
            .unwrap()
            .split("### 2.1")
            .next()
            .unwrap();
        let rows: Vec<(usize, usize, String)> = section
            .lines()
            .filter_map(|line| {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                Some((
                    cells.get(1)?.parse().ok()?,
                    cells.get(2)?.parse().ok()?,
                    cells.get(3)?.to_string(),
                ))
            })
            .collect();
        let ours: Vec<_> = FIELDS
            .iter()
            .map(|(offset, size, name)| (*offset, *size, name.to_string()))
            .collect();
        assert_eq!(rows, ours);
    }
}
