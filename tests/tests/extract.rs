//! Every package that gets as far as its contents is extracted: what is valid becomes files, and what is refused leaves
//! nothing beside the directory that it was extracted into.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use psp_format::ops::Operations;
use psp_format::verify::{VerifiedPackage, verify_bytes};
use psp_launcher::extract::{self, Options};
use psp_testkit::vector;

/// What stands beside the directory that is extracted into, as links of the vectors name it.
const SENTINELS: [&str; 6] = ["x", "other", "app", "data", "secret", "etc/passwd"];

/// Two levels above the directory that is extracted into are watched.
struct Sandbox {
    top: tempfile::TempDir,
    into: PathBuf,
}

impl Sandbox {
    fn new() -> Sandbox {
        let top = tempfile::tempdir().unwrap();
        let middle = top.path().join("middle");
        for directory in [top.path(), &middle] {
            for name in SENTINELS {
                let path = directory.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "sentinel").unwrap();
            }
        }
        let into = middle.join("into");
        fs::create_dir(&into).unwrap();
        Sandbox { top, into }
    }

    /// Everything outside: mode, time, links and content of each path. A directory's own number of links and time
    /// tell of names that came and went.
    fn outside(&self) -> BTreeMap<PathBuf, (u32, i64, i64, u64, Vec<u8>)> {
        let mut found = BTreeMap::new();
        self.collect(self.top.path(), &mut found);
        found
    }

    fn collect(&self, path: &Path, found: &mut BTreeMap<PathBuf, (u32, i64, i64, u64, Vec<u8>)>) {
        let status = fs::symlink_metadata(path).unwrap();
        let content = match status.is_file() {
            true => fs::read(path).unwrap(),
            false => Vec::new(),
        };
        let about = (
            status.mode(),
            status.mtime(),
            status.mtime_nsec(),
            status.nlink(),
            content,
        );
        found.insert(path.to_path_buf(), about);
        if status.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                let path = entry.unwrap().path();
                if path != self.into {
                    self.collect(&path, found);
                }
            }
        }
    }
}

/// Extracts every slot that the launcher decodes, each into the same directory.
fn extract(package: &VerifiedPackage, bytes: &[u8], into: &Path) -> Result<(), String> {
    let directory = File::open(into).unwrap();
    for (slot, _) in package
        .slots()
        .filter(|(slot, _)| slot.operations != Operations::TarGz)
    {
        extract::slot(
            package,
            &slot.id,
            &bytes,
            directory.as_fd(),
            &Options::default(),
        )
        .map_err(|error| format!("slot {:?}: {error}", slot.id))?;
    }
    Ok(())
}

#[test]
fn extraction_agrees_with_every_vector() {
    let mut wrong = Vec::new();
    let mut refused = 0;
    for vector in vector::load_all() {
        let Ok(package) = verify_bytes(&vector.bytes) else {
            continue;
        };
        let sandbox = Sandbox::new();
        let before = sandbox.outside();
        let result = extract(&package, &vector.bytes, &sandbox.into);
        if sandbox.outside() != before {
            wrong.push(format!("{}: something outside has changed", vector.name));
        }
        refused += usize::from(result.is_err());
        match result {
            Ok(()) if !vector.is_valid() => wrong.push(format!("{}: extracted", vector.name)),
            Err(error) if vector.is_valid() => wrong.push(format!("{}: {error}", vector.name)),
            _ => (),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} vectors:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(refused > 200, "only {refused} vectors get as far as this");
}
