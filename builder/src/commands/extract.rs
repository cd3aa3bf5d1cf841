//! `flavor extract` and `flavor extract-all`: slots to a directory, verified first.
//!
//! The tree grows in a staging directory beside the one that was asked for and is renamed when it is whole; whatever
//! fails before leaves nothing behind.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use psp_format::metadata::Slot;
use serde::Serialize;
use tempfile::TempDir;

use crate::base;
use crate::cli::{ExtractAllArgs, ExtractArgs, Into};
use crate::contents;
use crate::error::Error;
use crate::examine::{self, Refusal};
use crate::interrupt::{self, Kept};
use crate::package_file::{PackageFile, json_path, plain, shown};
use crate::printer::{Printer, Report, count, escape};

#[derive(Debug, Serialize)]
pub(super) struct Extracted {
    #[serde(serialize_with = "json_path")]
    directory: PathBuf,
    slots: Vec<String>,
    entries: u64,
}

pub(super) fn one(args: &ExtractArgs, printer: &Printer) -> Result<Extracted, Error> {
    let file = PackageFile::open(&args.package)?;
    if is_base(&file)? {
        return one_of_base(&file, args, printer);
    }
    // The metadata says which slot is meant, so it is verified before the slot is looked for.
    let package = examine::open(&file)?.map_err(|refusal| Error::Refused {
        path: args.package.clone(),
        refusal,
    })?;
    let slots = &package.metadata().slots;
    let by_id = slots.iter().find(|slot| slot.id == args.slot);
    let by_number = || args.slot.parse().ok().and_then(|n: usize| slots.get(n));
    let slot = by_id.or_else(by_number).ok_or_else(|| Error::NoSlot {
        path: args.package.clone(),
        wanted: args.slot.clone(),
        known: slots.iter().map(|slot| slot.id.clone()).collect(),
    })?;
    extract(&file, &args.into, |other| other.id == slot.id, printer)
}

pub(super) fn all(args: &ExtractAllArgs, printer: &Printer) -> Result<Extracted, Error> {
    let file = PackageFile::open(&args.package)?;
    if is_base(&file)? {
        return extract_base(&file, &args.into, None, printer);
    }
    extract(&file, &args.into, |_| true, printer)
}

fn is_base(file: &PackageFile) -> Result<bool, Error> {
    Ok(matches!(examine::open(file)?, Err(Refusal::OtherBuilder)))
}

fn one_of_base(
    file: &PackageFile,
    args: &ExtractArgs,
    printer: &Printer,
) -> Result<Extracted, Error> {
    let package = base::open(file)?.map_err(|refusal| Error::Refused {
        path: args.package.clone(),
        refusal,
    })?;
    let slots = package.slots();
    let by_id = slots.iter().position(|slot| slot.id == args.slot);
    let by_number = || args.slot.parse().ok().filter(|n| *n < slots.len());
    let nth = by_id.or_else(by_number).ok_or_else(|| Error::NoSlot {
        path: args.package.clone(),
        wanted: args.slot.clone(),
        known: slots.iter().map(|slot| slot.id.clone()).collect(),
    })?;
    extract_base(file, &args.into, Some(nth), printer)
}

/// Extracts a slot of a base package, or all of them.
fn extract_base(
    file: &PackageFile,
    into: &Into,
    only: Option<usize>,
    printer: &Printer,
) -> Result<Extracted, Error> {
    check_free(into)?;
    let package = base::require(file, |_| true, |total| printer.meter("checking", total))?;
    let staging = Staging::beside(&into.out)?;
    let chosen = package.slots().iter().enumerate();
    let chosen = chosen.filter(|(nth, _)| only.is_none_or(|only| only == *nth));
    let chosen: Vec<_> = chosen.map(|(_, slot)| slot).collect();
    let total = chosen.iter().map(|slot| slot.range.len()).sum();
    let meter = printer.meter("extracting", total);
    let mut entries = 0_u64;
    for slot in &chosen {
        let made = base::content::extract(file, slot, &staging.tree, &meter)?;
        entries = entries.saturating_add(made);
    }
    drop(meter);
    staging.publish(into)?;
    Ok(Extracted {
        directory: into.out.clone(),
        slots: chosen.iter().map(|slot| slot.id.clone()).collect(),
        entries,
    })
}

fn extract(
    file: &PackageFile,
    into: &Into,
    wanted: impl Fn(&Slot) -> bool,
    printer: &Printer,
) -> Result<Extracted, Error> {
    // Refused before a large package is read; renaming looks again.
    check_free(into)?;
    // Slots are compared with their digests while they are extracted, before a decoder sees them.
    let package = examine::require(file, |_| false, |total| printer.meter("checking", total))?;
    let staging = Staging::beside(&into.out)?;
    let chosen: Vec<_> = package.slots().filter(|(slot, _)| wanted(slot)).collect();
    let total = examine::content_size(chosen.iter().map(|(slot, _)| *slot));
    let meter = printer.meter("extracting", total);
    let mut entries = 0_u64;
    for (slot, range) in &chosen {
        let made = contents::extract(file, &package, slot, *range, &staging.tree, &meter)?;
        entries = entries.saturating_add(made);
    }
    drop(meter);
    staging.publish(into)?;
    Ok(Extracted {
        directory: into.out.clone(),
        slots: chosen.iter().map(|(slot, _)| slot.id.clone()).collect(),
        entries,
    })
}

/// Whether something is in the way: anything but an empty directory, unless it is to be replaced.
fn check_free(into: &Into) -> Result<(), Error> {
    let out = &into.out;
    let exists = |help| Error::Exists {
        path: out.clone(),
        help,
    };
    match fs::symlink_metadata(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(write_error(out, source)),
        Ok(data) if !data.is_dir() => Err(exists("it is no directory: name another one")),
        Ok(_) if into.force => Ok(()),
        Ok(_) => match fs::read_dir(out).map(|mut entries| entries.next().is_none()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(exists(
                "name another directory, or replace this one with --force",
            )),
            Err(source) => Err(write_error(out, source)),
        },
    }
}

/// A directory beside the one that was asked for, removed when it is dropped.
struct Staging {
    holder: TempDir,
    tree: PathBuf,
    /// Stands after the directory, so that it is dropped after it.
    _kept: Kept,
}

impl Staging {
    fn beside(out: &Path) -> Result<Staging, Error> {
        let failed = |source| write_error(out, source);
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix(".flavor-extract-");
        let make = || builder.tempdir_in(parent.unwrap_or(Path::new(".")));
        let (kept, holder) = interrupt::keep(make).map_err(failed)?;
        // Made by an ordinary mkdir, so that the umask decides who may read it; its holder is private.
        let tree = holder.path().join("tree");
        fs::create_dir(&tree).map_err(failed)?;
        Ok(Staging {
            holder,
            tree,
            _kept: kept,
        })
    }

    /// Gives the tree its name. A directory that it replaces is moved out of the way first, and back when that fails.
    fn publish(self, into: &Into) -> Result<(), Error> {
        let failed = |source| write_error(&into.out, source);
        check_free(into)?;
        let old = self.holder.path().join("old");
        let replaced = into.force && into.out.symlink_metadata().is_ok();
        let rename = || {
            if replaced {
                fs::rename(&into.out, &old)?;
            }
            // Over an empty directory, a rename is allowed.
            fs::rename(&self.tree, &into.out).inspect_err(|_| {
                if replaced {
                    let _ = fs::rename(&old, &into.out);
                }
            })
        };
        // A signal between the two would have the replaced directory removed with the staging.
        interrupt::undisturbed(rename).map_err(failed)?;
        if replaced {
            fs::remove_dir_all(&old).map_err(failed)?;
        }
        Ok(())
    }
}

fn write_error(path: &Path, source: io::Error) -> Error {
    Error::Write {
        path: path.to_owned(),
        source: plain(source),
    }
}

impl Report for Extracted {
    fn text(&self) -> String {
        let slots: Vec<String> = self.slots.iter().map(|id| escape(id)).collect();
        let entries = count(self.entries, "entry", "entries");
        format!(
            "{}: {entries} of {}\n",
            shown(&self.directory),
            slots.join(", ")
        )
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
