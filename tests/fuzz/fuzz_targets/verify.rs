//! A whole file: nothing panics, and what is accepted lies where its layout says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_format::verify::verify_bytes;

fuzz_target!(|file: &[u8]| {
    if let Ok(package) = verify_bytes(file) {
        assert_eq!(package.layout().package_size(), file.len() as u64);
        let signers: Vec<&[u8; 32]> = package.signers().map(|key| key.as_bytes()).collect();
        assert!(signers[1..].is_sorted() && !signers[1..].contains(&signers[0]));
        for (slot, range) in package.slots() {
            assert_eq!(range.len(), slot.size);
            assert!(range.of(file).is_some());
        }
    }
});
