//! A whole file as it comes: any gives an answer, what is found or accepted lies in it, and what is not is explained.

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_format::diagnose::diagnose;
use psp_format::range::Range;
use psp_format::verify::{locate_bytes, verify_bytes};

fuzz_target!(|file: &[u8]| {
    let found = match locate_bytes(file) {
        Ok(found) => found,
        Err(error) => {
            let read = |range: Range| Some(range.of(file)?.to_vec());
            return drop(diagnose(error, file.len() as u64, read).to_string());
        }
    };
    let parts = found.member.len() + found.padding.len() + found.table.len() + found.index.len();
    assert!(parts <= file.len());
    if let Ok(package) = verify_bytes(file) {
        assert_eq!(package.layout().package_size(), file.len() as u64);
        for (slot, range) in package.slots() {
            assert_eq!(range.len(), slot.size);
            assert!(range.of(file).is_some());
        }
    }
});
