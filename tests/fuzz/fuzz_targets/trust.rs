//! Files of trusted and revoked keys, and key successions: nothing panics, no limit is overlooked, and no line is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_format::succession;
use psp_launcher::trust::{key_file, revoked};

fuzz_target!(|text: &[u8]| {
    let says = |wanted: &str| {
        text.split(|&byte| byte == b'\n').any(|line| {
            let line = line.trim_ascii();
            let marks = line
                .iter()
                .take_while(|c| matches!(c, b'#' | b' ' | b'\t'))
                .count();
            let word = line[marks..].get(..wanted.len());
            word.is_some_and(|word| word.eq_ignore_ascii_case(wanted.as_bytes()))
        })
    };
    if let Ok(file) = key_file::read(text) {
        assert_eq!(says("packages:"), !file.packages.is_empty());
        assert_eq!(says("expires:"), file.expires.is_some());
        assert!(
            file.packages
                .iter()
                .all(|pattern| key_file::is_pattern(pattern))
        );
    }
    if let Ok(list) = revoked::read(text) {
        let lines = text.split(|&byte| byte == b'\n');
        let entries = lines.filter(|line| {
            let entry = line.split(|&byte| byte == b'#').next().unwrap_or_default();
            !entry.trim_ascii().is_empty()
        });
        assert_eq!(list.len(), entries.count());
    }
    if let Ok(statement) = succession::read(text) {
        assert_eq!(text.len(), succession::STATEMENT_SIZE);
        assert_ne!(statement.old_key(), statement.new_key());
    }
});
