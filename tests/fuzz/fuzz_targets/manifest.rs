//! A manifest as text: no input makes the reader panic or hang, and what it accepts keeps the rules that packing relies
//! on. No file is read: the text is given, and the paths in it are only joined. The first byte chooses the file's name.

#![no_main]

use std::collections::HashSet;
use std::path::Path;

use flavor::manifest::{self, Project};
use libfuzzer_sys::fuzz_target;
use psp_format::metadata::{is_name, is_package_name, is_version};
use psp_format::path;

fuzz_target!(|input: &[u8]| {
    let Some((choice, text)) = input.split_first() else {
        return;
    };
    let Ok(text) = core::str::from_utf8(text) else {
        return;
    };
    let file = ["flavor.toml", "pyproject.toml"][usize::from(choice % 2)];
    match manifest::parse(Path::new(file), text) {
        Ok(project) => check(&project),
        Err(error) => assert!(!error.to_string().is_empty() && !error.help().is_empty()),
    }
});

fn check(project: &Project) {
    assert!(is_package_name(&project.package.name) && is_version(&project.package.version));
    let (mut ids, mut targets) = (HashSet::new(), HashSet::new());
    for slot in &project.slots {
        assert!(is_name(&slot.id) && ids.insert(&slot.id) && targets.insert(&slot.target));
        assert!(slot.target == "." || path::check(slot.target.as_bytes()).is_ok());
        assert!(slot.permissions.is_none_or(|mode| mode <= 0o777));
    }
    let commands = project.commands.values().chain(&project.setup);
    for command in commands.chain([&project.command]) {
        assert!(command.exec.starts_with("{workenv}/") || command.exec.starts_with('/'));
    }
    assert!(project.commands.keys().all(|name| is_name(name)));
}
