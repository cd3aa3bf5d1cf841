//! What is wrong with a base package, beyond what is wrong with a strict one in the same words.

use psp_format::Layer;

use crate::printer::escape;

/// Why a base package is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The metadata is not one gzip member with a text of at most 1 MiB.
    #[error("the metadata is not one gzip member: {detail}")]
    Member {
        /// What is wrong.
        detail: String,
    },
    /// The signed text is of the strict profile, and the file around it is not.
    #[error("the signed metadata is of the strict profile, and the file around it is not")]
    StrictText,
    /// The signed text is not a JSON document that can mean one thing only.
    #[error("the metadata is no JSON document: {detail}")]
    Json {
        /// What is wrong.
        detail: String,
    },
    /// A value of the metadata is missing, of another type, or not possible.
    #[error("metadata{}: {problem}", key(.path))]
    Value {
        /// Where.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Two regions overlap, are in another order, or lie outside of the file.
    #[error("the {} at offset {offset} with {size} bytes does not lie behind the {}", escape(.region), escape(.before))]
    Region {
        /// The region.
        region: String,
        /// Where it begins.
        offset: u64,
        /// Its size.
        size: u64,
        /// The one that it should follow.
        before: String,
    },
    /// Bytes between two regions that no builder leaves.
    #[error("{size} bytes lie between the {} and what follows at offset {offset}, which no alignment explains", escape(.after))]
    Gap {
        /// The region before.
        after: String,
        /// Where the next one begins.
        offset: u64,
        /// Bytes between them.
        size: u64,
    },
    /// A byte between two regions that is not zero.
    #[error("the byte at offset {at}, behind the {}, is not zero", escape(.after))]
    Junk {
        /// The region before.
        after: String,
        /// Where.
        at: u64,
    },
    /// A field of the index contradicts the signed text or the key, or is not zero where nobody writes.
    #[error("index field {field}: {problem}")]
    Index {
        /// Its name in SPEC.md.
        field: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// The slot table has more or fewer entries than slots are signed.
    #[error("the slot table has {table} entries, and {signed} slots are signed")]
    SlotCount {
        /// Entries.
        table: usize,
        /// Signed slots.
        signed: usize,
    },
    /// A field of a slot's descriptor contradicts the signed text.
    #[error("slot {}: what the slot table says of its {field} is not what was signed", escape(.slot))]
    Descriptor {
        /// Id of the slot.
        slot: String,
        /// The field.
        field: &'static str,
    },
    /// The signed text holds no full digest of a slot.
    #[error("slot {}: no full digest of it is signed", escape(.slot))]
    Unbound {
        /// Id of the slot.
        slot: String,
    },
    /// A chain of operations that nobody can undo.
    #[error("slot {}: nothing reads the operations {}", escape(.slot), escape(.operations))]
    Operations {
        /// Id of the slot.
        slot: String,
        /// As signed.
        operations: String,
    },
    /// The content of a slot cannot be unpacked, or holds what must not be.
    #[error("slot {}: {detail}", escape(.slot))]
    Content {
        /// Id of the slot.
        slot: String,
        /// Why.
        detail: String,
    },
}

/// The place of a value, in a message; nothing for the whole document.
fn key(path: &str) -> String {
    match path {
        "" => String::new(),
        path => format!(", {}", escape(path)),
    }
}

impl Fault {
    /// The layer at which the package fails.
    pub fn layer(&self) -> Layer {
        match self {
            Fault::Member { .. } | Fault::StrictText => Layer::Container,
            Fault::Unbound { .. } => Layer::Slot,
            Fault::Operations { .. } | Fault::Content { .. } => Layer::Contents,
            _ => Layer::Layout,
        }
    }

    /// One line that says what a person can do.
    pub fn help(&self) -> &'static str {
        match self {
            Fault::Unbound { .. } => {
                "ask for a package whose builder signs the digest of every slot; this one's can be exchanged unseen"
            }
            Fault::Json { .. }
            | Fault::Value { .. }
            | Fault::Operations { .. }
            | Fault::Content { .. } => {
                "it was signed like this, by a broken builder or on purpose: do not start it"
            }
            _ => {
                "the file was damaged or changed after it was signed: do not start it, get it again"
            }
        }
    }
}
