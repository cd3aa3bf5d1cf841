//! `flavor cache info`: the cache itself, or everything about one package.

use psp_launcher::start::SYSTEM_STORE;
use psp_launcher::store::Store;
use serde::Serialize;

use super::{Done, Entry, ago, done, find, inventory, now, open, path_text, select};
use crate::cli::cache::InfoArgs;
use crate::error::{CacheError, Error};
use crate::pack::build_cache::BuildCache;
use crate::package_file::shown;
use crate::printer::{Report, count, escape, size};

/// Where the cache is, and what it takes.
#[derive(Debug, Serialize)]
struct Whole {
    cache: String,
    /// What named it.
    origin: &'static str,
    /// Whether it is there; else the next start makes it.
    exists: bool,
    /// The places before it, and why they are not the cache.
    rejected: Vec<Rejected>,
    /// The store that is looked at before, where it is there.
    system: Option<&'static str>,
    environments: usize,
    total: u64,
    saved: u64,
    /// Bytes of what belongs to no environment.
    orphans: u64,
    /// Bytes in the staging area.
    staging: u64,
    /// Bytes of compressed frames that builds keep.
    build: u64,
}

#[derive(Debug, Serialize)]
struct Rejected {
    path: String,
    origin: &'static str,
    reason: String,
}

/// Some environments.
#[derive(Debug, Serialize)]
struct Chosen {
    cache: String,
    environments: Vec<Entry>,
    #[serde(skip)]
    now: u64,
}

pub(super) fn info(args: &InfoArgs) -> Result<Done, Error> {
    match &args.wanted {
        None => whole(args).map(done),
        Some(wanted) => {
            let store = open(&args.place)?;
            let all = inventory(&store)?.environments;
            let chosen = select(wanted, &all)?;
            let chosen = chosen.iter().filter_map(|nth| all.get(*nth));
            Ok(done(Chosen {
                cache: path_text(&store),
                environments: chosen.map(Entry::of).collect(),
                now: now(),
            }))
        }
    }
}

fn whole(args: &InfoArgs) -> Result<Whole, Error> {
    let found = find(&args.place)?;
    let place = found.place.as_ref();
    let mut out = Whole {
        cache: place.map(|place| shown(&place.path)).unwrap_or_default(),
        origin: place.map_or("", |place| place.origin),
        exists: found.store.is_some(),
        rejected: Vec::new(),
        system: matches!(Store::reading(SYSTEM_STORE.as_ref()), Ok(Some(_)))
            .then_some(SYSTEM_STORE),
        environments: 0,
        total: 0,
        saved: 0,
        orphans: 0,
        staging: 0,
        build: 0,
    };
    for rejected in &found.rejected {
        out.rejected.push(Rejected {
            path: shown(&rejected.path),
            origin: rejected.origin,
            reason: rejected.reason.to_string(),
        });
    }
    let build = place.map(|place| BuildCache::new(vec![place.path.clone()]).size());
    out.build = build
        .transpose()
        .map_err(CacheError::Frames)?
        .unwrap_or_default()
        .bytes;
    if let Some(store) = &found.store {
        let inventory = inventory(store)?;
        out.environments = inventory.environments.len();
        (out.total, out.saved) = (inventory.total, inventory.saved);
        out.staging = inventory.staging;
        let orphans = inventory.orphans.iter().map(|(_, size)| *size);
        out.orphans = orphans.fold(0, u64::saturating_add);
    }
    Ok(out)
}

impl Report for Whole {
    fn text(&self) -> String {
        let mut lines = vec![("cache", format!("{} ({})", self.cache, self.origin))];
        for rejected in &self.rejected {
            let Rejected {
                path,
                origin,
                reason,
            } = rejected;
            lines.push(("not", format!("{path} ({origin}): {}", escape(reason))));
        }
        if let Some(system) = self.system {
            lines.push(("before it", format!("{system} (the system's store)")));
        }
        if self.exists {
            let number = count(self.environments as u64, "environment", "environments");
            lines.push(("holds", format!("{number}, {}", size(self.total))));
            lines.push(("shared", format!("{} saved", size(self.saved))));
            let left = self.orphans.saturating_add(self.staging);
            lines.push(("left over", format!("{} of interrupted starts", size(left))));
        } else {
            lines.push(("holds", "nothing: the first start makes it".to_owned()));
        }
        if self.build > 0 {
            let kept = size(self.build);
            lines.push((
                "builds",
                format!("{kept} of compressed frames (`flavor cache prune --build`)"),
            ));
        }
        columns(&lines)
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

impl Report for Chosen {
    fn text(&self) -> String {
        let blocks = self.environments.iter().map(|entry| {
            let text = |text: &Option<String>| text.as_deref().map_or("?".to_owned(), escape);
            let pids: Vec<String> = entry.pids.iter().map(u32::to_string).collect();
            let users = match pids.len() {
                0 => "no".to_owned(),
                _ => format!("by {}", pids.join(", ")),
            };
            let ready = entry
                .ready
                .map_or("?".to_owned(), |time| ago(time, self.now));
            let (own, shared) = (size(entry.own), size(entry.shared));
            columns(&[
                ("name", text(&entry.name)),
                ("version", text(&entry.version)),
                ("id", entry.id.clone()),
                ("signer", text(&entry.signer)),
                ("size", format!("{own} of its own, {shared} shared")),
                ("ready", ready),
                ("last use", ago(entry.used, self.now)),
                ("in use", users),
                ("owner", format!("user {}", entry.uid)),
                ("directory", format!("{}/envs/{}", self.cache, entry.id)),
            ])
        });
        blocks.collect::<Vec<_>>().join("\n")
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

fn columns(lines: &[(&str, String)]) -> String {
    let lines = lines
        .iter()
        .map(|(name, value)| format!("{name:<9}  {value}\n"));
    lines.collect()
}
