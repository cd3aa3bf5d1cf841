//! Packages of the base format taken apart, changed and put together again, with every checksum that their own readers
//! look at repaired.

use psp_format::digest::Digest;
use psp_format::layout::RawIndex;
use psp_format::member;
use psp_format::signature::PrivateKey;

use crate::tool::SEED;

const TRAILER: usize = 8200;

/// A package of the Rust builder, whose regions have no other gap than the one behind the launcher.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) launcher: Vec<u8>,
    pub(crate) behind_launcher: Vec<u8>,
    /// The signed text.
    pub(crate) text: String,
    /// The member around it; made of the text when there is none.
    pub(crate) member: Option<Vec<u8>>,
    /// Descriptors without places: those are computed.
    pub(crate) table: Vec<[u8; 64]>,
    pub(crate) slots: Vec<Vec<u8>>,
    pub(crate) behind_slots: Vec<u8>,
    /// The index; its offsets, sizes and checksums are computed.
    pub(crate) index: Vec<u8>,
    /// Whether the text is signed anew.
    pub(crate) sign: bool,
    /// Changes of the index after everything else, but before its checksum.
    pub(crate) last: Vec<(usize, Vec<u8>)>,
}

fn number(bytes: &[u8], at: usize) -> usize {
    let bytes = bytes[at..at + 8].try_into().unwrap();
    usize::try_from(u64::from_le_bytes(bytes)).unwrap()
}

impl Parts {
    /// `text` is what the member of `package` holds.
    pub(crate) fn of(package: &[u8], text: &str) -> Parts {
        let index = &package[package.len() - TRAILER + 4..package.len() - 4];
        let (launcher, metadata, table) = (number(index, 16), number(index, 24), number(index, 40));
        let member = &package[metadata..metadata + number(index, 32)];
        let descriptors = &package[table..table + number(index, 48)];
        let table: Vec<[u8; 64]> = descriptors
            .chunks(64)
            .map(|descriptor| descriptor.try_into().unwrap())
            .collect();
        let slots = table.iter().map(|descriptor| {
            let (offset, size) = (number(descriptor, 16), number(descriptor, 24));
            package[offset..offset + size].to_vec()
        });
        Parts {
            launcher: package[..launcher].to_vec(),
            behind_launcher: package[launcher..metadata].to_vec(),
            text: text.to_owned(),
            member: Some(member.to_vec()),
            slots: slots.collect(),
            table,
            behind_slots: Vec::new(),
            index: index.to_vec(),
            sign: false,
            last: Vec::new(),
        }
    }

    /// Replaces a part of the text and signs it anew, as its builder could have.
    pub(crate) fn replace_text(&mut self, from: &str, to: &str) {
        assert!(self.text.contains(from), "{from} is not in {}", self.text);
        self.text = self.text.replacen(from, to, 1);
        (self.sign, self.member) = (true, None);
    }

    /// Puts other bytes into a slot, with the checksum that its readers compare.
    pub(crate) fn replace_slot(&mut self, nth: usize, bytes: &[u8]) {
        let checksum = Digest::of(bytes).short().to_le_bytes();
        self.table[nth][48..56].copy_from_slice(&checksum);
        self.slots[nth] = bytes.to_vec();
    }

    /// The whole file.
    pub(crate) fn assemble(&self) -> Vec<u8> {
        let member = match &self.member {
            Some(member) => member.clone(),
            None => member::wrap(self.text.as_bytes()),
        };
        let mut out = [&self.launcher[..], &self.behind_launcher].concat();
        let metadata = out.len();
        out.extend(&member);
        out.resize(out.len().next_multiple_of(8), 0);
        let table = out.len();
        let mut at = table + 64 * self.table.len();
        for (nth, descriptor) in self.table.iter().enumerate() {
            let mut descriptor = *descriptor;
            let size = self.slots.get(nth).map_or(0, Vec::len);
            at = at.next_multiple_of(8);
            descriptor[16..24].copy_from_slice(&(at as u64).to_le_bytes());
            descriptor[24..32].copy_from_slice(&(size as u64).to_le_bytes());
            at += size;
            out.extend(descriptor);
        }
        for slot in &self.slots {
            out.resize(out.len().next_multiple_of(8), 0);
            out.extend(slot);
        }
        out.extend(&self.behind_slots);
        let mut index = self.index.clone();
        let mut set = |at: usize, bytes: &[u8]| index[at..at + bytes.len()].copy_from_slice(bytes);
        set(8, &((out.len() + TRAILER) as u64).to_le_bytes());
        set(16, &(self.launcher.len() as u64).to_le_bytes());
        set(24, &(metadata as u64).to_le_bytes());
        set(32, &(member.len() as u64).to_le_bytes());
        set(40, &(table as u64).to_le_bytes());
        set(48, &(64 * self.table.len() as u64).to_le_bytes());
        set(56, &u32::try_from(self.table.len()).unwrap().to_le_bytes());
        set(96, &Digest::of(&member).0);
        if self.sign {
            set(
                128,
                &PrivateKey::from_text_seed(SEED).sign(self.text.as_bytes()),
            );
        }
        for (at, bytes) in &self.last {
            set(*at, bytes);
        }
        let checksum = RawIndex::from_bytes(index[..].try_into().unwrap()).checksum();
        index[4..8].copy_from_slice(&checksum.to_le_bytes());
        out.extend([0xf0, 0x9f, 0x93, 0xa6]);
        out.extend(index);
        out.extend([0xf0, 0x9f, 0xaa, 0x84]);
        out
    }
}
