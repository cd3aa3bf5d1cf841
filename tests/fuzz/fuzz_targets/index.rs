//! The index behind its checksum: version, Adler-32 and package_size are made right, so that the fuzzer gets past them.
//! What can be located is verified, as a signed or an unsigned package, or dumped.

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_format::layout::RawIndex;
use psp_format::verify::{check_bytes, locate_bytes, verify, verify_unsigned};
use psp_format::{dump, signed_by};

const TRAILER_SIZE: usize = 8200;

fuzz_target!(|file: &[u8]| {
    let Some(start) = file.len().checked_sub(TRAILER_SIZE) else {
        return;
    };
    let mut file = file.to_vec();
    let size = (file.len() as u64).to_le_bytes();
    let (head, index) = file[start..].split_at_mut(4);
    head.copy_from_slice(&[0xF0, 0x9F, 0x93, 0xA6]);
    let (index, tail) = index.split_first_chunk_mut::<8192>().unwrap();
    tail.copy_from_slice(&[0xF0, 0x9F, 0xAA, 0x84]);
    index[..4].copy_from_slice(&0x2025_0001u32.to_le_bytes());
    index[8..16].copy_from_slice(&size);
    let checksum = RawIndex::from_bytes(index).checksum();
    index[4..8].copy_from_slice(&checksum.to_le_bytes());
    let Ok(found) = locate_bytes(&file) else {
        return;
    };
    let fields = RawIndex::from_bytes(found.index);
    let count = u32::from_le_bytes(found.index[1568..1572].try_into().unwrap());
    let records = signed_by::records(fields).ok();
    assert_eq!(
        records.map(|records| records.len() as u32),
        (count <= 16).then_some(count)
    );
    // The first byte, which is the launcher's, says what is done: checking a signature takes most of the time.
    match file[0] % 8 {
        0 => {
            // Only what the test key signed can be good, and no fuzzer forges a signature: what passes is that package.
            if let Ok(package) = verify(&found)
                && check_bytes(&package, &file).is_ok()
            {
                let signers: Vec<&[u8; 32]> = package.signers().map(|key| key.as_bytes()).collect();
                assert!(signers[1..].is_sorted() && !signers[1..].contains(&signers[0]));
            }
        }
        1 => assert!(!dump::dump(&found).is_empty()),
        _ => {
            if let Ok((metadata, package)) = verify_unsigned(&found) {
                assert_eq!(metadata.to_text(), package.text);
                assert!(found.index[64..96].iter().all(|&byte| byte == 0));
                assert!(found.index[128..640].iter().all(|&byte| byte == 0));
            }
        }
    }
});
