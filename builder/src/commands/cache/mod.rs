//! `flavor cache`: what packages have unpacked on this host. A module for each verb.

mod info;
mod list;
mod prune;
mod remove;
mod verify;
mod warm;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use psp_launcher::plan::Snapshot;
use psp_launcher::start::{self, SYSTEM_STORE};
use psp_launcher::store::admin::{Blocked, Environment, Inventory, Lookup, Removal, look};
use psp_launcher::store::{Candidate, Reason, Record, Store};
use serde::Serialize;

use super::caller::Caller;
use super::{Done, done};
use crate::cli::cache::{CacheVerb, Where};
use crate::error::{CacheError, Error};
use crate::examine;
use crate::package_file::{PackageFile, shown};
use crate::printer::{Printer, escape, size};

/// How long a removal waits for packages that are just being started.
const PATIENCE: Duration = Duration::from_secs(20);
/// Shortest beginning of an id.
const MIN_ID: usize = 4;
/// Digits of an id or a fingerprint that are shown to a person.
const SHORT: usize = 12;
const DAY: u64 = 24 * 60 * 60;

/// Does what the person asked for.
pub(super) fn cache(verb: &CacheVerb, printer: &Printer) -> Result<Done, Error> {
    match verb {
        CacheVerb::List(args) => list::list(args).map(done),
        CacheVerb::Info(args) => info::info(args),
        CacheVerb::Prune(args) => prune::prune(args, printer),
        CacheVerb::Remove(args) => remove::remove(args, printer).map(done),
        CacheVerb::Verify(args) => verify::verify(args, printer),
        CacheVerb::Warm(args) => warm::warm(args, printer).map(done),
    }
}

/// The places that are meant, in order.
fn candidates(place: &Where, snapshot: &Snapshot<'_>) -> Result<Vec<Candidate>, CacheError> {
    match named(place) {
        Some(path) => Ok(vec![Candidate {
            path,
            origin: if place.system { "--system" } else { "--cache" },
        }]),
        None => start::candidates(snapshot).map_err(CacheError::Plan),
    }
}

/// Where builds may keep what they have compressed: the places of the cache, in order.
pub(super) fn places(printer: &Printer) -> Vec<PathBuf> {
    match start::candidates(&Caller::starting("".as_ref(), &[]).snapshot()) {
        Ok(candidates) => candidates.into_iter().map(|one| one.path).collect(),
        Err(error) => {
            printer.detail(&format!("no cache for builds: {error}"));
            Vec::new()
        }
    }
}

/// The cache that the command line names.
fn named(place: &Where) -> Option<PathBuf> {
    match &place.cache {
        _ if place.system => Some(SYSTEM_STORE.into()),
        // An argument is the person's own, and relative to where the person is.
        Some(path) => Some(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
        None => None,
    }
}

/// Where the cache is, or will be.
fn find(place: &Where) -> Result<Lookup, CacheError> {
    if place.system {
        let path = PathBuf::from(SYSTEM_STORE);
        let store = Store::reading(&path).map_err(|reason| unusable(&path, reason))?;
        let origin = "--system";
        return Ok(Lookup {
            place: Some(Candidate { path, origin }),
            store,
            rejected: Vec::new(),
        });
    }
    let caller = Caller::starting("".as_ref(), &[]);
    let mut found = look(&candidates(place, &caller.snapshot())?);
    if found.place.is_some() {
        return Ok(found);
    }
    match (named(place), found.rejected.pop()) {
        (Some(path), Some(rejected)) => Err(unusable(&path, rejected.reason)),
        (_, last) => {
            found.rejected.extend(last);
            Err(CacheError::NoPlace(found.rejected))
        }
    }
}

fn unusable(path: &Path, reason: Reason) -> CacheError {
    let path = path.to_owned();
    CacheError::Unusable { path, reason }
}

/// The store, which must be there.
fn open(place: &Where) -> Result<Store, CacheError> {
    let found = find(place)?;
    let path = found.place.map(|place| place.path).unwrap_or_default();
    found.store.ok_or(CacheError::Absent { path })
}

fn inventory(store: &Store) -> Result<Inventory, CacheError> {
    store.inventory().map_err(CacheError::Store)
}

/// The environments that a person means by a name, NAME@VERSION, a package file, or the beginning of an id.
fn select(wanted: &str, all: &[Environment]) -> Result<Vec<usize>, Error> {
    let by = |is: &dyn Fn(&Environment) -> bool| -> Vec<usize> {
        let numbered = all.iter().enumerate();
        numbered
            .filter(|(_, one)| is(one))
            .map(|(nth, _)| nth)
            .collect()
    };
    let named = by(&|one| {
        one.record
            .as_ref()
            .is_some_and(|record| is_called(record, wanted))
    });
    if !named.is_empty() {
        return Ok(named);
    }
    let is_id = wanted.len() >= MIN_ID
        && wanted
            .bytes()
            .all(|c| c.is_ascii_hexdigit() || b"-dev".contains(&c));
    let ids = by(&|one| is_id && one.id.starts_with(wanted));
    // One package may be there twice: with the slots for development, and without.
    let is_one = ids.iter().filter_map(|nth| all.get(*nth)).all(|one| {
        package_id(&one.id)
            == ids
                .first()
                .and_then(|nth| all.get(*nth))
                .map_or("", |one| package_id(&one.id))
    });
    match ids.len() {
        0 => {}
        _ if is_one => return Ok(ids),
        _ => {
            let ids = ids.iter().filter_map(|nth| all.get(*nth));
            let ids = ids.map(|one| one.id.clone()).collect();
            let wanted = wanted.to_owned();
            return Err(CacheError::Ambiguous { wanted, ids }.into());
        }
    }
    let path = Path::new(wanted);
    if wanted.contains('/') || wanted.ends_with(".psp") || path.exists() {
        let file = PackageFile::open(path)?;
        let package = examine::open(&file)?.map_err(|refusal| Error::Refused {
            path: path.to_owned(),
            refusal,
        })?;
        let id = package.package_id().to_string();
        let found = by(&|one| package_id(&one.id) == id);
        return if found.is_empty() {
            let path = path.to_owned();
            Err(CacheError::NotUnpacked { path }.into())
        } else {
            Ok(found)
        };
    }
    let mut known: Vec<String> = all
        .iter()
        .filter_map(|one| Some(escape(&one.record.as_ref()?.name)))
        .collect();
    known.dedup();
    let wanted = wanted.to_owned();
    Err(CacheError::Unknown { wanted, known }.into())
}

fn is_called(record: &Record, wanted: &str) -> bool {
    wanted == record.name
        || wanted
            .strip_prefix(record.name.as_str())
            .and_then(|rest| rest.strip_prefix('@'))
            .is_some_and(|version| version == record.version)
}

/// The package id in the name of an environment.
fn package_id(id: &str) -> &str {
    id.strip_suffix("-dev").unwrap_or(id)
}

/// An environment in a report; the fields are those of `--json`.
#[derive(Debug, Clone, Serialize)]
struct Entry {
    id: String,
    /// `null`, as the next two and `ready`, when the record cannot be read.
    name: Option<String>,
    version: Option<String>,
    signer: Option<String>,
    /// When it became ready, in seconds since 1970.
    ready: Option<u64>,
    /// When it was last used, likewise.
    used: u64,
    /// Bytes of it alone.
    own: u64,
    /// Bytes that it has in common with others.
    shared: u64,
    uid: u32,
    /// The processes that use it.
    pids: Vec<u32>,
}

impl Entry {
    fn of(environment: &Environment) -> Entry {
        let record = environment.record.as_ref();
        Entry {
            id: environment.id.clone(),
            name: record.map(|record| record.name.clone()),
            version: record.map(|record| record.version.clone()),
            signer: record.map(|record| record.signer.clone()),
            ready: record.map(|record| record.time),
            used: environment.used,
            own: environment.own,
            shared: environment.shared,
            uid: environment.uid,
            pids: environment.users.clone(),
        }
    }

    fn size(&self) -> u64 {
        self.own.saturating_add(self.shared)
    }

    /// Name, version and a short id, for a person.
    fn title(&self) -> String {
        let id = short(&self.id);
        match (&self.name, &self.version) {
            (Some(name), Some(version)) => {
                format!("{} {} ({id})", escape(name), escape(version))
            }
            _ => format!("{id} (its record cannot be read)"),
        }
    }
}

fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// How long ago something was, for a person. Last uses are known to a day.
fn ago(time: u64, now: u64) -> String {
    match now.saturating_sub(time) / DAY {
        0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        days => format!("{days} days ago"),
    }
}

/// What was removed; the fields are those of `--json`.
#[derive(Debug, Serialize)]
struct Removed {
    removed: Vec<Entry>,
    /// Those that were to be removed and are in use.
    kept: Vec<Entry>,
    /// Bytes.
    freed: u64,
    dry_run: bool,
}

impl Removed {
    fn of(removal: &Removal, all: &[Environment], dry_run: bool) -> Result<Removed, CacheError> {
        match removal.blocked {
            Some(Blocked::Busy) => return Err(CacheError::Starting),
            Some(Blocked::Unknown) => return Err(CacheError::NoProcesses),
            None => {}
        }
        let entry = |id: &String| all.iter().find(|one| one.id == *id).map(Entry::of);
        let kept = removal.used.iter().filter_map(|(id, pids)| {
            let mut entry = entry(id)?;
            entry.pids.clone_from(pids);
            Some(entry)
        });
        Ok(Removed {
            removed: removal.environments.iter().filter_map(entry).collect(),
            kept: kept.collect(),
            freed: removal.freed,
            dry_run,
        })
    }

    fn lines(&self) -> String {
        let verb = if self.dry_run {
            "would remove"
        } else {
            "removed"
        };
        let mut out = String::new();
        for entry in &self.removed {
            out.push_str(&format!("{verb} {}\n", entry.title()));
        }
        for entry in &self.kept {
            let pids: Vec<String> = entry.pids.iter().map(u32::to_string).collect();
            out.push_str(&format!(
                "kept {}: in use by {}\n",
                entry.title(),
                pids.join(", ")
            ));
        }
        let freed = size(self.freed);
        match (self.dry_run, self.removed.is_empty() && self.freed == 0) {
            (_, true) => out.push_str("nothing to remove\n"),
            (true, _) => out.push_str(&format!("{freed} would be freed\n")),
            (false, _) => out.push_str(&format!("{freed} freed\n")),
        }
        out
    }
}

impl crate::printer::Report for Removed {
    fn text(&self) -> String {
        self.lines()
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

fn waits(printer: &Printer) -> impl Fn() + '_ {
    || printer.detail("waiting for packages that are just being started")
}

fn path_text(store: &Store) -> String {
    shown(store.root())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (days, text) in [(0, "today"), (1, "yesterday"), (40, "40 days ago")] {
            assert_eq!(ago(100 * DAY - days * DAY - 5, 100 * DAY), text);
        }
        assert_eq!(ago(200 * DAY, 100 * DAY), "today", "a clock that was wrong");
    }

    #[test]
    fn names_and_versions() {
        let record = Record {
            name: "a@b".into(),
            version: "1".into(),
            ..Record::default()
        };
        let called = ["a@b", "a@b@1", "a", "a@b@", "a@b@12", "a@b1"]
            .map(|wanted| is_called(&record, wanted));
        assert_eq!(called, [true, true, false, false, false, false]);
    }
}
