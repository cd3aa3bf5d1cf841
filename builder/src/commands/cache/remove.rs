//! `flavor cache remove`: exactly what is named, all of it or nothing.

use psp_launcher::store::admin::{Environment, Removal, Which};

use super::{Entry, PATIENCE, Removed, inventory, open, select, waits};
use crate::cli::cache::RemoveArgs;
use crate::error::{CacheError, Error};
use crate::printer::Printer;

pub(super) fn remove(args: &RemoveArgs, printer: &Printer) -> Result<Removed, Error> {
    let store = open(&args.place)?;
    let all = inventory(&store)?.environments;
    let mut names = Vec::new();
    for wanted in &args.wanted {
        for nth in select(wanted, &all)? {
            if let Some(one) = all.get(nth)
                && !names.contains(&one.id)
            {
                names.push(one.id.clone());
            }
        }
    }
    let which = Which::These(&names);
    let planned = store.would_remove(which).map_err(CacheError::Store)?;
    refuse_used(&planned, &all)?;
    if args.dry_run {
        return Ok(Removed::of(&planned, &all, true)?);
    }
    let removal = store.remove(which, PATIENCE, &waits(printer));
    let removal = removal.map_err(CacheError::Store)?;
    refuse_used(&removal, &all)?;
    Ok(Removed::of(&removal, &all, false)?)
}

fn refuse_used(removal: &Removal, all: &[Environment]) -> Result<(), CacheError> {
    let Some((id, pids)) = removal.used.first() else {
        return Ok(());
    };
    let entry = all.iter().find(|one| one.id == *id).map(Entry::of);
    Err(CacheError::InUse {
        name: entry.map_or_else(|| id.clone(), |entry| entry.title()),
        pids: pids.clone(),
    })
}
