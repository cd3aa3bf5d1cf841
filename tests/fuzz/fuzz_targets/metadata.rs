//! The metadata text: what is accepted is canonical, so writing it anew gives the same bytes (M23).

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_format::metadata::Metadata;

fuzz_target!(|text: &[u8]| {
    if let Ok(metadata) = Metadata::read(text) {
        assert_eq!(metadata.to_text(), text);
    }
});
