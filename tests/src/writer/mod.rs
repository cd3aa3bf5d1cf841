//! A package writer made from SPEC.md alone: valid by default, wrong on request.
//!
//! A package is made in three stages, and each has hooks where a vector puts its one fault:
//!
//! | stage | what it is | hooks |
//! | --- | --- | --- |
//! | [`Plan`] | what the package says | slots, the JSON tree, the JSON text, the gzip member, the signer, gaps, offsets |
//! | [`Parts`] | every region as bytes, index computed | any byte of any region; `repair_*` recompute what depends on it |
//! | bytes | the file | truncation, insertion |
//!
//! A fault in the plan is followed through: offsets, digests and the signature fit it, so that only the rule in
//! question is broken. A fault in the parts breaks also what covers that byte, unless it is repaired.

pub mod frames;
pub mod index;
pub mod json;
pub mod member;
pub mod sample;
pub mod setting;
pub mod slot;
pub mod tar;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::keys::{SIGNER, Secret, Signed};
use index::Index;
pub use slot::Slot;

/// SPEC.md, 1: what stands before the index.
pub const HEAD: [u8; 4] = [0xF0, 0x9F, 0x93, 0xA6];
/// SPEC.md, 1: what stands after the index.
pub const TAIL: [u8; 4] = [0xF0, 0x9F, 0xAA, 0x84];
/// Magic, index, magic.
pub const TRAILER_SIZE: usize = 8200;

/// SHA-256 as bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 as lower-case hexadecimal.
pub fn hex_sha256(bytes: &[u8]) -> String {
    sha256(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The first 8 bytes of SHA-256 as a number.
pub fn sha8(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(sha256(bytes)[..8].try_into().expect("8 of 32"))
}

fn to_u64(size: usize) -> u64 {
    u64::try_from(size).expect("a usize is at most 64 bits")
}

fn padding(size: usize) -> usize {
    size.wrapping_neg() % 8
}

type Edit<T> = Box<dyn Fn(&mut T)>;
type Make<T> = Box<dyn Fn(&[u8]) -> T>;
/// Signs a text in whatever way.
pub type Signer<'a> = &'a dyn Fn(&[u8]) -> Signed;

/// Extra bytes between regions, in multiples of 8 where alignment asks for it. All zero in a valid package.
#[derive(Default)]
pub struct Gaps {
    /// Between launcher and metadata.
    pub before_metadata: usize,
    /// Between metadata and slot table, beyond the padding.
    pub before_table: usize,
    /// Between the slot table and the first slot.
    pub before_slots: usize,
    /// Between each two slots.
    pub between_slots: usize,
    /// Between the last slot and the trailer.
    pub before_trailer: usize,
}

/// What the package says. [`Plan::parts`] computes the rest.
pub struct Plan {
    /// Bytes of the launcher; the verifier does not look into them.
    pub launcher: Vec<u8>,
    /// The metadata but for `launcher.size`, `launcher.checksum` and `slots`.
    pub document: Value,
    /// The slots, in the order of the table.
    pub slots: Vec<Slot>,
    /// Index field `build_timestamp`; `build.timestamp` stands in `document`.
    pub timestamp: u64,
    /// Extra bytes between regions; the signed offsets know of them.
    pub gaps: Gaps,
    signer: Make<Signed>,
    member: Make<Vec<u8>>,
    edit_json: Vec<Edit<Value>>,
    edit_text: Vec<Edit<Vec<u8>>>,
    edit_offsets: Vec<Edit<Vec<u64>>>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan::new()
    }
}

impl Plan {
    /// A valid package without slots: a launcher of 64 bytes and the metadata that SPEC.md asks for.
    pub fn new() -> Plan {
        let secret = Secret::from_seed(SIGNER);
        let launcher =
            b"launcher of 64 bytes: the verifier knows only its size and hash\n".to_vec();
        let argv = vec!["{workenv}/bin/app".to_string()];
        let (launcher, argv) = match setting::current() {
            Some(setting) => (setting.launcher.clone(), setting.argv.clone()),
            None => (launcher, argv),
        };
        Plan {
            launcher,
            document: json!({
                "build": {
                    "platform": { "arch": "amd64", "os": "linux" },
                    "timestamp": "1970-01-01T00:00:00Z",
                    "tool": "psp-testkit",
                    "tool_version": "1",
                },
                "execution": { "argv": argv, "command": "{workenv}/bin/app" },
                "format": "PSPF/2025",
                "launcher": {
                    "capabilities": [],
                    "target": "linux_amd64",
                    "tool": "psp-testkit",
                    "tool_version": "1",
                },
                "package": { "name": "demo", "version": "1.0" },
                "profile": "strict/1",
            }),
            slots: Vec::new(),
            timestamp: 0,
            gaps: Gaps::default(),
            signer: Box::new(move |text| secret.sign(text)),
            member: Box::new(member::stored),
            edit_json: Vec::new(),
            edit_text: Vec::new(),
            edit_offsets: Vec::new(),
        }
    }

    /// Adds a slot to the table.
    pub fn slot(mut self, slot: Slot) -> Plan {
        self.slots.push(slot);
        self
    }

    /// Sets one value of the metadata, by JSON pointer of its parent and its key.
    pub fn set(self, parent: &'static str, key: &'static str, value: Value) -> Plan {
        self.json(move |root| {
            let parent = root
                .pointer_mut(parent)
                .expect("the parent is in the document");
            parent[key] = value.clone();
        })
    }

    /// Removes one key of the metadata.
    pub fn remove(self, parent: &'static str, key: &'static str) -> Plan {
        self.json(move |root| {
            let parent = root.pointer_mut(parent).and_then(Value::as_object_mut);
            parent
                .expect("the parent is an object")
                .remove(key)
                .expect("the key is there");
        })
    }

    /// Edits the finished metadata tree, slot records included, before it is written and signed.
    pub fn json(mut self, edit: impl Fn(&mut Value) + 'static) -> Plan {
        self.edit_json.push(Box::new(edit));
        self
    }

    /// Edits the metadata text before it is signed.
    pub fn text(mut self, edit: impl Fn(&mut Vec<u8>) + 'static) -> Plan {
        self.edit_text.push(Box::new(edit));
        self
    }

    /// Replaces the first occurrence of `from` in the metadata text before it is signed.
    pub fn replace(self, from: &'static str, to: impl AsRef<[u8]>) -> Plan {
        let to = to.as_ref().to_vec();
        self.text(move |text| {
            let from = from.as_bytes();
            let start = text
                .windows(from.len())
                .position(|part| part == from)
                .expect("it occurs in the text");
            text.splice(start..start + from.len(), to.iter().copied());
        })
    }

    /// Signs in another way.
    pub fn signed(mut self, signer: impl Fn(&[u8]) -> Signed + 'static) -> Plan {
        self.signer = Box::new(signer);
        self
    }

    /// Wraps the text in another way than section 3 says.
    pub fn member(mut self, member: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Plan {
        self.member = Box::new(member);
        self
    }

    /// Edits the offsets that slot records and descriptors give, without moving the bytes.
    pub fn offsets(mut self, edit: impl Fn(&mut Vec<u64>) + 'static) -> Plan {
        self.edit_offsets.push(Box::new(edit));
        self
    }

    /// Leaves room between regions; everything else knows of it.
    pub fn gapped(self, gaps: Gaps) -> Plan {
        Plan { gaps, ..self }
    }

    fn tree(&self, offsets: &[u64]) -> Value {
        let mut root = self.document.clone();
        root["launcher"]["size"] = json!(self.launcher.len());
        root["launcher"]["checksum"] = json!(format!("sha256:{}", hex_sha256(&self.launcher)));
        root["slots"] = self
            .slots
            .iter()
            .zip(offsets)
            .map(|(slot, offset)| slot.record(*offset))
            .collect();
        for edit in &self.edit_json {
            edit(&mut root);
        }
        root
    }

    fn text_of(&self, tree: &Value) -> Vec<u8> {
        let mut text = json::canonical(tree);
        for edit in &self.edit_text {
            edit(&mut text);
        }
        text
    }

    /// Where the table and each slot lie behind a member of this size.
    fn place(&self, member: usize) -> Layout {
        let metadata = self.launcher.len() + self.gaps.before_metadata;
        let metadata_end = metadata + member;
        let table = metadata_end + padding(metadata_end) + self.gaps.before_table;
        let mut end = table + 64 * self.slots.len() + self.gaps.before_slots;
        let mut slots = Vec::new();
        for slot in &self.slots {
            end += padding(end);
            slots.push(end);
            end += slot.stored.len() + self.gaps.between_slots;
        }
        end += padding(end) + self.gaps.before_trailer;
        Layout {
            metadata,
            table,
            slots,
            trailer: end,
        }
    }

    /// Computes every region. The metadata names the offsets of the slots, and these depend on its length: it is
    /// written again until both agree. The length only grows, so that takes a few rounds.
    pub fn parts(self) -> Parts {
        let mut offsets = vec![0; self.slots.len()];
        for _ in 0..16 {
            let tree = self.tree(&offsets);
            let text = self.text_of(&tree);
            let member = (self.member)(&text);
            let layout = self.place(member.len());
            let mut next: Vec<u64> = layout.slots.iter().copied().map(to_u64).collect();
            for edit in &self.edit_offsets {
                edit(&mut next);
            }
            if next == offsets {
                return self.finish(&tree, text, member, &layout, &offsets);
            }
            offsets = next;
        }
        panic!("the metadata and the offsets in it do not settle");
    }

    fn finish(
        self,
        tree: &Value,
        text: Vec<u8>,
        member: Vec<u8>,
        layout: &Layout,
        offsets: &[u64],
    ) -> Parts {
        let signed = (self.signer)(&text);
        let table_end = layout.table + 64 * self.slots.len();
        let mut parts = Parts {
            gap_metadata: vec![0; self.gaps.before_metadata],
            gap_table: vec![0; layout.table - layout.metadata - member.len()],
            table: self
                .slots
                .iter()
                .zip(offsets)
                .map(|(slot, offset)| slot.descriptor(*offset))
                .collect(),
            slots: Vec::new(),
            gap_trailer: Vec::new(),
            head: HEAD,
            index: Index::new(),
            tail: TAIL,
            launcher: self.launcher,
            text,
            member,
        };
        let mut end = table_end;
        for (slot, start) in self.slots.iter().zip(&layout.slots) {
            parts.slots.push(Stored {
                gap: vec![0; start - end],
                bytes: slot.stored.clone(),
            });
            end = start + slot.stored.len();
        }
        parts.gap_trailer = vec![0; layout.trailer - end];

        let index = &mut parts.index;
        index.set_u64("package_size", to_u64(layout.trailer + TRAILER_SIZE));
        index.set_u64("launcher_size", to_u64(parts.launcher.len()));
        index.set_u64("metadata_offset", to_u64(layout.metadata));
        index.set_u64("metadata_size", to_u64(parts.member.len()));
        index.set_u64("slot_table_offset", to_u64(layout.table));
        index.set_u64("slot_table_size", to_u64(64 * self.slots.len()));
        index.set_u32(
            "slot_count",
            u32::try_from(self.slots.len()).expect("a test has few slots"),
        );
        index.set_signed(&signed);
        index.set_u64("build_timestamp", self.timestamp);
        if let Some(slot) = self
            .slots
            .iter()
            .find(|slot| slot.lifecycle == "attestation")
        {
            index.set(
                "attestation_sbom_digest",
                hex_sha256(&slot.stored).as_bytes(),
            );
        }
        if let Some(policy) = tree.get("policy") {
            index.set(
                "attestation_policy_hash",
                hex_sha256(&json::canonical(policy)).as_bytes(),
            );
        }
        parts.repair_metadata_checksum();
        parts.repair_adler();
        setting::keep(|| parts.bytes());
        parts
    }

    /// The finished file.
    pub fn bytes(self) -> Vec<u8> {
        self.parts().bytes()
    }
}

struct Layout {
    metadata: usize,
    table: usize,
    slots: Vec<usize>,
    trailer: usize,
}

/// A slot's bytes and the padding before them.
#[derive(Clone)]
pub struct Stored {
    /// Zeros in a valid package.
    pub gap: Vec<u8>,
    /// The stored bytes.
    pub bytes: Vec<u8>,
}

/// Every region as bytes; they are written in the order of SPEC.md, 1.
#[derive(Clone)]
pub struct Parts {
    /// Bytes of the launcher.
    pub launcher: Vec<u8>,
    /// Between launcher and metadata: empty in a valid package.
    pub gap_metadata: Vec<u8>,
    /// The metadata text that was signed. It is not written; `member` is.
    pub text: Vec<u8>,
    /// The gzip member.
    pub member: Vec<u8>,
    /// Padding before the slot table.
    pub gap_table: Vec<u8>,
    /// The slot table.
    pub table: Vec<[u8; 64]>,
    /// The slots with the padding before each.
    pub slots: Vec<Stored>,
    /// Padding before the trailer.
    pub gap_trailer: Vec<u8>,
    /// First magic of the trailer.
    pub head: [u8; 4],
    /// The index.
    pub index: Index,
    /// Second magic of the trailer.
    pub tail: [u8; 4],
}

impl Parts {
    /// Writes `metadata_checksum` anew.
    pub fn repair_metadata_checksum(&mut self) {
        self.index.set("metadata_checksum", &sha256(&self.member));
    }

    /// Writes `index_checksum` anew. Every change of the index needs it, or the fault is hidden behind this one.
    pub fn repair_adler(&mut self) {
        self.index.repair_adler();
    }

    /// Writes the truncated digest of slot `number` in its descriptor anew.
    pub fn repair_sha8(&mut self, number: usize) {
        let sum = sha8(&self.slots[number].bytes);
        self.table[number][48..56].copy_from_slice(&sum.to_le_bytes());
    }

    /// Writes `package_size` anew.
    pub fn repair_package_size(&mut self) {
        let size = to_u64(self.bytes().len());
        self.index.set_u64("package_size", size);
    }

    /// Everything but the signature: what an attacker without the key can do.
    pub fn repair(&mut self) {
        for number in 0..self.slots.len().min(self.table.len()) {
            self.repair_sha8(number);
        }
        self.repair_metadata_checksum();
        self.repair_package_size();
        self.repair_adler();
    }

    /// Puts these records beside the first signature, in this order: each is made by its signer from the signed text.
    pub fn signed_by(mut self, signers: &[Signer<'_>]) -> Parts {
        let records: Vec<Signed> = signers.iter().map(|sign| sign(&self.text)).collect();
        self.index.set_signed_by(&records);
        self.repair_adler();
        self
    }

    /// Applies an edit, for use in one expression.
    pub fn with(mut self, edit: impl FnOnce(&mut Parts)) -> Parts {
        edit(&mut self);
        self
    }

    /// As [`Parts::with`], with the Adler-32 of the index recomputed.
    pub fn with_index(self, edit: impl FnOnce(&mut Index)) -> Parts {
        self.with(|parts| {
            edit(&mut parts.index);
            parts.repair_adler();
        })
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = Vec::new();
        file.extend_from_slice(&self.launcher);
        file.extend_from_slice(&self.gap_metadata);
        file.extend_from_slice(&self.member);
        file.extend_from_slice(&self.gap_table);
        file.extend_from_slice(self.table.as_flattened());
        for slot in &self.slots {
            file.extend_from_slice(&slot.gap);
            file.extend_from_slice(&slot.bytes);
        }
        file.extend_from_slice(&self.gap_trailer);
        file.extend_from_slice(&self.head);
        file.extend_from_slice(self.index.as_bytes());
        file.extend_from_slice(&self.tail);
        file
    }
}
