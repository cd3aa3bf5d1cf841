//! A store in a directory of its own, and versions of a package for it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use psp_launcher::store::admin::{Removal, Which};
use psp_launcher::store::{Candidate, HookError, Hooks, Store, Workenv, slot_key};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use super::*;

pub const DAY: u64 = 24 * 60 * 60;
/// Nothing is waited for.
pub const NOW: Duration = Duration::ZERO;

/// A child between fork and exec has this process's handles, and looks like a start under way in every store of the
/// other tests. So nothing is swept while one begins.
pub static FORKING: RwLock<()> = RwLock::new(());

pub struct Quiet;

impl Hooks for Quiet {
    fn waiting(&self) {}
    fn progress(&self, _: u64, _: u64) {}
    fn setup(&self, workenv: &Path) -> Result<(), HookError> {
        fs::write(workenv.join("made-by-setup"), b"x").map_err(|_| HookError)
    }
}

/// A store in a directory of its own.
pub struct Place {
    _directory: tempfile::TempDir,
    pub root: PathBuf,
}

impl Place {
    pub fn new() -> std::io::Result<Place> {
        let directory = tempfile::tempdir()?;
        // As the kernel names it, whatever links lead there.
        let root = directory.path().canonicalize()?.join("store");
        Ok(Place {
            _directory: directory,
            root,
        })
    }

    pub fn candidates(&self) -> [Candidate; 1] {
        [Candidate {
            path: self.root.clone(),
            origin: "test",
        }]
    }

    pub fn open(&self) -> Result<Store, Box<dyn Error>> {
        Ok(Store::open(&self.candidates(), 0)?)
    }

    pub fn ensure(&self, built: &Built) -> Result<Workenv, Box<dyn Error>> {
        let source = built.bytes.as_slice();
        let _nobody_forks = FORKING.read();
        Ok(self.open()?.ensure(&built.package, &source, &Quiet)?)
    }

    pub fn record(&self, built: &Built) -> PathBuf {
        self.root
            .join(format!("ready/{}", built.package.package_id()))
    }

    pub fn has(&self, built: &Built) -> bool {
        let name = built.package.package_id().to_string();
        let parts = ["ready", "envs"].map(|part| self.root.join(part).join(&name).exists());
        assert_eq!(parts[0], parts[1], "half an environment");
        parts[0]
    }

    pub fn has_slot(&self, built: &Built, nth: usize) -> bool {
        let key = slot_key(&built.package.metadata().slots[nth]);
        let parts = [format!("slots/{key}"), format!("slots/{key}.list")];
        let parts = parts.map(|part| self.root.join(part).exists());
        assert_eq!(parts[0], parts[1], "half a slot");
        parts[0]
    }

    /// Makes an environment one that became ready as the `nth`, and was last used so many days ago.
    pub fn age(&self, built: &Built, nth: u64, days: u64) -> TestResult {
        let path = self.record(built);
        let text = fs::read_to_string(&path)?;
        let time = text.lines().find(|line| line.starts_with("time "));
        let time = time.ok_or("no time")?;
        fs::write(&path, text.replacen(time, &format!("time {nth}"), 1))?;
        set_age(&path, days)
    }

    pub fn remove(&self, which: Which<'_>) -> Result<Removal, Box<dyn Error>> {
        let _nobody_forks = FORKING.read();
        Ok(self.open()?.remove(which, NOW, &|| {})?)
    }

    pub fn names(&self, part: &str) -> Result<Vec<String>, Box<dyn Error>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(part))? {
            names.push(entry?.file_name().display().to_string());
        }
        names.sort();
        Ok(names)
    }
}

pub fn since_1970() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

pub fn set_age(path: &Path, days: u64) -> TestResult {
    let time = Timespec {
        tv_sec: i64::try_from(since_1970() - days * DAY)?,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

pub fn runtime() -> Result<Made, Box<dyn Error>> {
    tar_zst("rt", "rt", &sample(), 1)
}

/// A version whose application is this file, with a runtime that all versions share.
pub fn version_of(version: &str, app: &[u8]) -> Result<Built, Box<dyn Error>> {
    package_with(&[runtime()?, plain("app", "app", app)], &[], version)
}

pub fn version(version: &str) -> Result<Built, Box<dyn Error>> {
    version_of(version, version.as_bytes())
}

pub fn versions(place: &Place, days: u64) -> Result<[Built; 3], Box<dyn Error>> {
    let built = [version("1")?, version("2")?, version("3")?];
    for one in &built {
        place.ensure(one)?;
    }
    for (nth, one) in built.iter().enumerate() {
        place.age(one, nth as u64, days)?;
    }
    Ok(built)
}
