//! `flavor cache prune`: what a start sweeps by itself, on demand and by other measures.

use psp_launcher::store::Rule;
use psp_launcher::store::admin::Which;

use super::error::CacheError;
use super::{DAY, PATIENCE, Removed, inventory, now, open, waits};
use crate::cli::cache::PruneArgs;
use crate::error::Error;
use crate::printer::Printer;

pub(super) fn prune(args: &PruneArgs, printer: &Printer) -> Result<Removed, Error> {
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
    Ok(Removed::of(&removal, &all, args.dry_run)?)
}
