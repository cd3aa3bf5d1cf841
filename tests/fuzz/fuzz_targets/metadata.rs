//! The metadata text: what is accepted is canonical, so that writing it anew gives the same bytes (M23), also when a
//! general library reads and the testkit writes it; and it keeps the rules that extraction and start rely on.

#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use psp_format::metadata::{Metadata, Slot};
use psp_format::{instant, path};
use psp_testkit::writer::json::canonical;
use serde_json::Value;

fuzz_target!(|text: &[u8]| {
    let metadata = match Metadata::read(text) {
        Ok(metadata) => metadata,
        Err(error) => return drop(error.to_string()),
    };
    assert_eq!(metadata.to_text(), text);
    let general: Value = serde_json::from_slice(text).expect("what is read is JSON");
    assert_eq!(canonical(&general), text);
    assert!(metadata.slots.is_sorted_by(|a, b| a.slot < b.slot));
    let unique = |key: fn(&Slot) -> &str| {
        let mut seen = HashSet::new();
        metadata.slots.iter().all(|slot| seen.insert(key(slot)))
    };
    assert!(unique(|slot| &slot.id) && unique(|slot| &slot.target));
    for slot in &metadata.slots {
        let is_top = slot.target == "." && slot.operations.is_tar();
        assert!(is_top || path::check(slot.target.as_bytes()).is_ok());
        assert!(slot.mode <= 0o777);
    }
    let programs = metadata.commands.iter().map(|(_, command)| &command.argv);
    let programs = programs.chain(metadata.setup.iter().map(|command| &command.argv));
    for argv in programs.chain([&metadata.execution.argv]) {
        assert!(argv[0].starts_with("{workenv}/") || argv[0].starts_with('/'));
    }
    let seconds = metadata.build_time().expect("it was checked");
    assert_eq!(instant::to_text(seconds), metadata.build.timestamp);
});
