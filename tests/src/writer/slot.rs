//! A slot: its signed record (SPEC.md, 4.1) and its descriptor (4.2), both from the same fields.

use serde_json::{Value, json};

use super::{frames, hex_sha256, setting, sha8, to_u64};

/// What record and descriptor are made from.
#[derive(Clone)]
pub struct Slot {
    /// Name of the slot.
    pub id: String,
    /// The descriptor's id.
    pub number: u64,
    /// Where the slot goes.
    pub target: String,
    /// The chain as text.
    pub operations: String,
    /// The chain as number.
    pub code: u64,
    /// The lifecycle as text.
    pub lifecycle: String,
    /// The purpose as text.
    pub purpose: String,
    /// Permission bits.
    pub mode: u64,
    /// Whether the record says `"mutable": true`.
    pub mutable: bool,
    /// Bytes before compression.
    pub original_size: u64,
    /// Bytes in the file.
    pub stored: Vec<u8>,
}

impl Slot {
    /// A file that is stored as it is, at the target `id`.
    pub fn file(number: u64, id: &str, content: &[u8]) -> Slot {
        Slot {
            id: id.to_string(),
            number,
            target: id.to_string(),
            operations: "none".to_string(),
            code: 0,
            lifecycle: "runtime".to_string(),
            purpose: "payload".to_string(),
            mode: 0o644,
            mutable: false,
            original_size: to_u64(content.len()),
            stored: content.to_vec(),
        }
    }

    /// A file in Zstandard frames.
    pub fn zstd(number: u64, id: &str, frames: &frames::Frames) -> Slot {
        let slot = Slot::file(number, id, &frames.stored());
        Slot {
            original_size: frames.original(),
            ..slot.operation("zstd", 0x1B)
        }
    }

    /// A tar stream that is stored as it is.
    pub fn tar(number: u64, id: &str, stream: &[u8]) -> Slot {
        let (operations, code, stored) = setting::archive(stream);
        Slot {
            mode: 0o755,
            stored,
            ..Slot::file(number, id, stream).operation(operations, code)
        }
    }

    /// A tar stream in Zstandard frames.
    pub fn tar_zst(number: u64, id: &str, frames: &frames::Frames) -> Slot {
        Slot {
            mode: 0o755,
            ..Slot::zstd(number, id, frames).operation("tar.zst", 0x1B01)
        }
    }

    /// The slot with another chain, text and number.
    pub fn operation(self, name: &str, code: u64) -> Slot {
        Slot {
            operations: name.to_string(),
            code,
            ..self
        }
    }

    /// The slot at another target.
    pub fn at(self, target: &str) -> Slot {
        Slot {
            target: target.to_string(),
            ..self
        }
    }

    pub(super) fn record(&self, offset: u64) -> Value {
        let mut record = json!({
            "checksum": format!("sha256:{}", hex_sha256(&self.stored)),
            "id": self.id,
            "lifecycle": self.lifecycle,
            "mode": self.mode,
            "offset": offset,
            "operations": self.operations,
            "operations_code": self.code,
            "original_size": self.original_size,
            "purpose": self.purpose,
            "size": self.stored.len(),
            "slot": self.number,
            "source": "",
            "target": self.target,
        });
        if self.mutable {
            record["mutable"] = json!(true);
        }
        record
    }

    pub(super) fn descriptor(&self, offset: u64) -> [u8; 64] {
        let mut bytes = [0; 64];
        let words = [
            self.number,
            sha8(self.id.as_bytes()),
            offset,
            to_u64(self.stored.len()),
            self.original_size,
            self.code,
            sha8(&self.stored),
        ];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes[56] = purpose_code(&self.purpose);
        bytes[57] = lifecycle_code(&self.lifecycle);
        bytes[58] = 1;
        let mode = self.mode.to_le_bytes();
        bytes[62] = mode[0];
        bytes[63] = mode[1];
        bytes
    }
}

fn purpose_code(purpose: &str) -> u8 {
    match purpose {
        "runtime" | "code" => 1,
        "tool" | "config" => 2,
        "media" => 3,
        _ => 0,
    }
}

fn lifecycle_code(lifecycle: &str) -> u8 {
    match lifecycle {
        "startup" | "volatile" => 1,
        "runtime" => 2,
        "cached" => 4,
        "temporary" => 5,
        "lazy" => 6,
        "dev" => 8,
        "config" => 9,
        "platform" => 10,
        "attestation" => 11,
        _ => 0,
    }
}
