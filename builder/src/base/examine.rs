//! Examining a base package layer by layer, for `verify`: what is bound, and what is not.

use super::content;
use super::metadata::Launcher;
use super::slot::{Bound, Slot};
use super::{Package, open};
use crate::error::Error;
use crate::examine::{Check, Refusal, Status, gate_checks};
use crate::inputs::Keep;
use crate::package_file::PackageFile;
use crate::printer::{Meter, count, escape, size};

/// The level of a base package that is good.
pub const BOUND: &str = "base, bound";
/// The level of one with a slot that no signed digest speaks for.
pub const UNBOUND: &str = "base, unbound";

/// What no signature binds in a good one, for the last line of a report.
pub fn not_bound(package: &Package) -> &'static str {
    match &package.metadata().launcher {
        Some(Launcher {
            checksum: Some(_), ..
        }) => "index and padding are not bound by the signature",
        _ => "launcher, index and padding are not bound by the signature",
    }
}

/// Everything about a base package that can be said without asking who is trusted.
#[derive(Debug)]
pub struct Examination {
    /// Every layer in order.
    pub checks: Vec<Check>,
    /// The first fault; none makes the package valid.
    pub refusal: Option<Refusal>,
    /// The package, when signature and records hold.
    pub package: Option<Package>,
    /// [`BOUND`] or [`UNBOUND`], when there is a package.
    pub level: Option<&'static str>,
}

/// Checks every layer.
pub fn examine(file: &PackageFile, meter: impl FnOnce(u64) -> Meter) -> Result<Examination, Error> {
    let package = match open(file)? {
        Ok(package) => package,
        Err(refusal) => {
            return Ok(Examination {
                checks: gate_checks(&refusal),
                refusal: Some(refusal),
                package: None,
                level: None,
            });
        }
    };
    let meter = meter(file.size());
    let mut checks = passed(file, &package);
    let mut first = None;
    let launcher = package.check_launcher(file, &meter)?;
    checks.push(launcher_check(&package, &launcher));
    if let Err(refusal) = launcher {
        first.get_or_insert(refusal);
    }
    let (mut whole, mut is_bound) = (Vec::new(), true);
    for slot in package.slots() {
        let name = format!("slot {}", escape(&slot.id));
        checks.push(match package.check_slot(file, slot, &meter)? {
            Ok(()) => {
                whole.push(slot);
                Check::new(name, Status::Ok, stored_as(slot))
            }
            Err(refusal) => {
                is_bound = false;
                let check = Check::new(name, Status::Failed, refusal.to_string());
                first.get_or_insert(refusal);
                check
            }
        });
    }
    let (check, faulty) = contents(file, &package, &whole)?;
    checks.push(check);
    Ok(Examination {
        checks,
        refusal: first.or(faulty),
        package: Some(package),
        level: Some(if is_bound { BOUND } else { UNBOUND }),
    })
}

fn passed(file: &PackageFile, package: &Package) -> Vec<Check> {
    let metadata = package.metadata();
    let builder = match (&*metadata.build.tool, &*metadata.build.tool_version) {
        ("", _) => "an unnamed builder".to_owned(),
        (tool, version) => format!("{} {}", escape(tool), escape(version)),
    };
    let container = format!("base format, by {builder}, {}", size(file.size()));
    let key = package.signer().fingerprint();
    let gaps = match package.gaps().0.len() as u64 {
        0 => "no byte between the regions".to_owned(),
        gaps => format!("only zeros in {}", count(gaps, "gap", "gaps")),
    };
    vec![
        Check::new("container", Status::Ok, container),
        Check::new("signature", Status::Ok, format!("Ed25519, key {key}")),
        Check::new(
            "layout",
            Status::Ok,
            format!("records do not contradict the metadata, {gaps}"),
        ),
        Check::new(
            "index",
            Status::Skipped,
            "not bound: sizes, times and hints in it can be changed unseen",
        ),
    ]
}

fn launcher_check(package: &Package, result: &Result<(), Refusal>) -> Check {
    let bytes = size(package.launcher().len());
    match (&package.metadata().launcher, result) {
        (_, Err(refusal)) => Check::new("launcher", Status::Failed, refusal.to_string()),
        (
            Some(Launcher {
                checksum: Some(_), ..
            }),
            Ok(()),
        ) => Check::new(
            "launcher",
            Status::Ok,
            format!("{bytes}, as the builder says; base readers do not compare it"),
        ),
        (_, Ok(())) => Check::new(
            "launcher",
            Status::Skipped,
            format!("not bound: {bytes} that can be changed unseen"),
        ),
    }
}

/// Whether everything can be unpacked, without keeping anything of it.
fn contents(
    file: &PackageFile,
    package: &Package,
    whole: &[&Slot],
) -> Result<(Check, Option<Refusal>), Error> {
    let mut entries = 0_u64;
    for slot in whole.iter().filter(|slot| !slot.is_attestation()) {
        match content::tree(file, slot, Keep::Nothing)? {
            Ok(tree) => entries += tree.entries.len() as u64,
            Err(refusal) => {
                let check = Check::new("contents", Status::Failed, refusal.to_string());
                return Ok((check, Some(refusal)));
            }
        }
    }
    let check = if whole.len() < package.slots().len() {
        let detail = "a slot is not what was signed, and is not decoded";
        Check::new("contents", Status::Skipped, detail)
    } else {
        Check::new("contents", Status::Ok, count(entries, "entry", "entries"))
    };
    Ok((check, None))
}

/// How a slot is stored, for a person.
pub fn stored_as(slot: &Slot) -> String {
    let stored = size(slot.range.len());
    let operations = operations(slot);
    match slot.bound {
        Bound::Short(_) => format!("{operations}, {stored}; only 64 bits of its digest are signed"),
        _ => format!("{operations}, {stored}"),
    }
}

/// What the builder means by a slot's operations; with its own word, where that says something else.
pub fn operations(slot: &Slot) -> String {
    let names: Vec<&str> = slot.steps.iter().map(|step| step.name()).collect();
    match (names.as_slice(), slot.operations.as_str()) {
        ([], "" | "none" | "raw" | "RAW") => "none".to_owned(),
        ([], other) => format!("none (its builder does not know {})", escape(other)),
        (names, _) => names.join("."),
    }
}
