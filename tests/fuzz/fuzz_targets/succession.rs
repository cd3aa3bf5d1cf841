//! A key succession: nothing panics, what is decoded is the only text for its bytes, and a statement has one size.

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_format::{base64, succession};

fuzz_target!(|text: &[u8]| {
    if let Some(bytes) = base64::decode(text) {
        assert_eq!(base64::encode(&bytes).as_bytes(), text);
    }
    if let Ok(statement) = succession::read(text) {
        assert_eq!(text.len(), succession::STATEMENT_SIZE);
        assert_ne!(statement.old_key(), statement.new_key());
    }
});
