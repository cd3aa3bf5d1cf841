//! Where packages unpack themselves on this host: the place that a start would take, and what is wrong with those before it.
//!
//! The launcher's own search makes what is missing, so its conditions are asked about here without that
//! (`builder/docs/places.md` lists them).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use psp_launcher::start::{self, SYSTEM_STORE};
use psp_launcher::store::admin::look;
use psp_launcher::store::{Candidate, Reason, Rejected, Store};
use psp_launcher::sys;
use rustix::fs::{Access, AtFlags, CWD, StatVfsMountFlags, accessat, statvfs};
use rustix::io::Errno;
use serde::Serialize;

use super::Check;
use crate::commands::caller::Caller;
use crate::package_file::{json_path, shown};
use crate::printer::size;

/// Below so many bytes that are free, it is said that this is little: interpreters have some 100 MB.
const LITTLE: u64 = 256 << 20;
/// The directories of a store (`psp_launcher::store::layout`).
const PARTS: [&str; 6] = ["slots", "envs", "ready", "runs", "locks", "staging"];
const HELP: &str =
    "set FLAVOR_CACHE to a directory that only you can write to and programs can be started from";

/// A place that passes.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    #[serde(serialize_with = "json_path")]
    path: PathBuf,
    /// What named it.
    origin: &'static str,
    /// Whether it is there; else the first start makes it.
    exists: bool,
    /// Bytes that may still be written; `null` where the file system does not tell.
    free: Option<u64>,
}

/// Finds the place, and adds a line for it and for each that does not pass before it.
pub(super) fn check(checks: &mut Vec<Check>) -> Option<Place> {
    let system = Path::new(SYSTEM_STORE);
    match Store::reading(system) {
        Ok(None) => {}
        Ok(Some(_)) => checks.push(Check::ok(
            "system cache",
            format!("{SYSTEM_STORE}, looked at first"),
        )),
        Err(reason) => checks.push(Check::note(
            "system cache",
            format!("{SYSTEM_STORE}: {reason}; it is passed over"),
            "make it root's, and writable by nobody else",
        )),
    }
    let candidates = match start::candidates(&Caller::starting("".as_ref(), &[]).snapshot()) {
        Ok(candidates) => candidates,
        Err(error) => {
            checks.push(Check::failed("cache", error.to_string(), HELP));
            return None;
        }
    };
    let mut rejected = Vec::new();
    let place = candidates.iter().find_map(|candidate| {
        let found = examine(candidate);
        found
            .map_err(|reason| rejected.push((candidate, reason)))
            .ok()
    });
    let line = |(candidate, reason): &(&Candidate, Reason)| {
        format!(
            "{} ({}): {reason}",
            shown(&candidate.path),
            candidate.origin
        )
    };
    match &place {
        Some(place) => {
            for one in &rejected {
                let detail = format!("{}; passed over", line(one));
                checks.push(Check::note(
                    "cache",
                    detail,
                    "the place below is used instead",
                ));
            }
            checks.push(place.check());
        }
        None => {
            let lines: Vec<String> = rejected.iter().map(line).collect();
            let detail = format!("no place to unpack to: {}", lines.join("; "));
            checks.push(Check::failed("cache", detail, HELP));
        }
    }
    place
}

impl Place {
    fn check(&self) -> Check {
        let is_there = match self.exists {
            true => "there",
            false => "made by the first start",
        };
        let free = match self.free {
            Some(free) => format!(", {} free", size(free)),
            None => String::new(),
        };
        let path = shown(&self.path);
        let detail = format!("{path} ({}), {is_there}{free}", self.origin);
        match self.free {
            Some(0) => Check::failed("cache", detail, "free some space, or set FLAVOR_CACHE"),
            Some(..LITTLE) => Check::note(
                "cache",
                detail,
                "packages with an interpreter need more; free some space, or set FLAVOR_CACHE",
            ),
            _ => Check::ok("cache", detail),
        }
    }
}

/// Whether the first start could use this place.
fn examine(candidate: &Candidate) -> Result<Place, Reason> {
    let path = &candidate.path;
    let step = |step| move |errno| Reason::System { step, errno };
    let nearest = path.ancestors().find(|above| above.exists());
    let nearest = nearest.unwrap_or(Path::new("/"));
    let mount = statvfs(nearest).map_err(step("look at its file system"))?;
    let is_read_only = mount.f_flag.contains(StatVfsMountFlags::RDONLY);
    match look(std::slice::from_ref(candidate)).rejected.pop() {
        // The search only sees that it cannot be made.
        Some(Rejected {
            reason: Reason::System { .. },
            ..
        }) if is_read_only => return Err(Reason::ReadOnly),
        Some(rejected) => return Err(rejected.reason),
        None => {}
    }
    let exists = path.is_dir();
    if !exists && lacks_home(path) {
        return Err(Reason::NoHome);
    }
    check_parents(path)?;
    if is_read_only {
        return Err(Reason::ReadOnly);
    }
    if mount.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Err(Reason::NoExec);
    }
    let access = Access::WRITE_OK | Access::EXEC_OK;
    accessat(CWD, nearest, access, AtFlags::EACCESS).map_err(step("write to it"))?;
    for name in PARTS {
        if is_anothers(&path.join(name)) {
            let errno = Errno::PERM;
            return Err(Reason::Part { name, errno });
        }
    }
    // A file system without a size has no limit, or does not tell.
    let free = (mount.f_blocks != 0).then(|| mount.f_bavail.saturating_mul(mount.f_frsize));
    Ok(Place {
        path: path.clone(),
        origin: candidate.origin,
        exists,
        free,
    })
}

/// Whoever can write to a directory above can put another one in the store's place; a sticky one protects what others own.
/// Of a place that is there, the search has seen to that.
fn check_parents(path: &Path) -> Result<(), Reason> {
    for above in path.ancestors().skip(1) {
        let Ok(data) = fs::metadata(above) else {
            continue;
        };
        let uid = data.uid();
        let path = || above.to_owned();
        if uid != 0 && uid != sys::effective_uid() {
            return Err(Reason::Owner { path: path(), uid });
        }
        let mode = data.mode() & 0o7777;
        if mode & 0o022 != 0 && mode & 0o1000 == 0 {
            return Err(Reason::Writable { path: path(), mode });
        }
    }
    Ok(())
}

/// Whether it would lie in a home that is not there: what a `.cache` lies in is never made.
fn lacks_home(path: &Path) -> bool {
    let mut missing = path.ancestors().filter(|above| above.ends_with(".cache"));
    missing.any(|cache| cache.parent().is_some_and(|home| !home.is_dir()))
}

/// Whether a directory of a store is not this user's, or others can write to it.
fn is_anothers(part: &Path) -> bool {
    fs::symlink_metadata(part).is_ok_and(|data| {
        data.uid() != sys::effective_uid() || data.mode() & 0o022 != 0 || !data.is_dir()
    })
}
