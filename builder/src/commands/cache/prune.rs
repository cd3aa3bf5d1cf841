//! `flavor cache prune`: what a start sweeps by itself, on demand and by other measures.

use psp_launcher::store::Rule;
use psp_launcher::store::admin::Which;

use serde::Serialize;

use super::super::caller::Caller;
use super::{DAY, Done, PATIENCE, Removed, candidates, done, inventory, now, open, waits};
use crate::cli::cache::PruneArgs;
use crate::error::{CacheError, Error};
use crate::pack::build_cache::{BuildCache, days_ago};
use crate::printer::{Printer, Report, count, size};

pub(super) fn prune(args: &PruneArgs, printer: &Printer) -> Result<Done, Error> {
    if args.build {
        return frames(args).map(done);
    }
    let store = open(&args.place)?;
    let days = u64::from(args.older_than);
    let which = if args.all {
        Which::All
    } else {
        Which::Due(Rule {
            unused_since: now().saturating_sub(days.saturating_mul(DAY)),
            keep: usize::from(args.keep),
        })
    };
    // Before, because afterwards nobody knows what they were.
    let all = inventory(&store)?.environments;
    let removal = if args.dry_run {
        store.would_remove(which)
    } else {
        store.remove(which, PATIENCE, &waits(printer))
    };
    let removal = removal.map_err(CacheError::Store)?;
    Ok(done(Removed::of(&removal, &all, args.dry_run)?))
}

/// What builds keep.
fn frames(args: &PruneArgs) -> Result<Frames, Error> {
    let places = candidates(&args.place, &Caller::starting("".as_ref(), &[]).snapshot())?;
    let places = places.into_iter().map(|candidate| candidate.path).collect();
    let unused_since = match args.all {
        true => u64::MAX,
        false => days_ago(args.older_than.into()),
    };
    let tidied = BuildCache::new(places).prune(unused_since, args.dry_run);
    let tidied = tidied.map_err(CacheError::Frames)?;
    Ok(Frames {
        frames: tidied.frames,
        freed: tidied.bytes,
        dry_run: args.dry_run,
    })
}

/// What was removed of the build cache; the fields are those of `--json`.
#[derive(Debug, Serialize)]
struct Frames {
    frames: u64,
    freed: u64,
    dry_run: bool,
}

impl Report for Frames {
    fn text(&self) -> String {
        let frames = count(self.frames, "frame", "frames");
        let freed = size(self.freed);
        match (self.dry_run, self.frames) {
            (_, 0) => "nothing to remove\n".to_owned(),
            (true, _) => format!("would remove {frames} of earlier builds: {freed}\n"),
            (false, _) => format!("removed {frames} of earlier builds: {freed} freed\n"),
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
