//! Finding the trailer: any file gives an answer, and the parts that are found lie in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_format::verify::locate_bytes;

fuzz_target!(|file: &[u8]| {
    if let Ok(found) = locate_bytes(file) {
        let parts =
            found.member.len() + found.padding.len() + found.table.len() + found.index.len();
        assert!(parts <= file.len());
    }
});
