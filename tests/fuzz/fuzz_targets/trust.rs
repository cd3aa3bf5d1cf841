//! Files of trusted and revoked keys, and versions: nothing panics, no limit is overlooked, and versions have an order.

#![no_main]

use libfuzzer_sys::fuzz_target;
use psp_launcher::policy::version;
use psp_launcher::trust::{key_file, revoked};

fuzz_target!(|text: &[u8]| {
    let says = |wanted: &str| {
        text.split(|&byte| byte == b'\n').any(|line| {
            let line = line.trim_ascii();
            let marks = line.iter().take_while(|c| matches!(c, b'#' | b' ' | b'\t')).count();
            let word = line[marks..].get(..wanted.len());
            word.is_some_and(|word| word.eq_ignore_ascii_case(wanted.as_bytes()))
        })
    };
    if let Ok(file) = key_file::read(text) {
        assert_eq!(says("packages:"), !file.packages.is_empty());
        assert_eq!(says("expires:"), file.expires.is_some());
    }
    if let Ok(list) = revoked::read(text) {
        let lines = text.split(|&byte| byte == b'\n');
        let entries = lines.filter(|line| {
            let entry = line.split(|&byte| byte == b'#').next().unwrap_or_default();
            !entry.trim_ascii().is_empty()
        });
        assert_eq!(list.len(), entries.count());
    }
    let mut versions = text.splitn(3, |&byte| byte == b'\n').map(String::from_utf8_lossy);
    let mut next = || versions.next().unwrap_or_default().into_owned();
    let (a, b, c) = (next(), next(), next());
    assert_eq!(version::compare(&a, &b), version::compare(&b, &a).reverse());
    if version::compare(&a, &b).is_le() && version::compare(&b, &c).is_le() {
        assert!(version::compare(&a, &c).is_le());
    }
});
