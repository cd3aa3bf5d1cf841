//! Examining a package layer by layer, for `verify`, and through the same gate for every verb that uses what is inside.
//!
//! [`open`] is the gate: container, signature and layout, after which there is a [`VerifiedPackage`]. [`examine`] goes
//! on to the launcher, the slots and what they decode to, and keeps going after a fault in one of them, so that a report
//! names everything that was changed.

use psp_format::error::Error as FormatError;
use psp_format::layout::RawIndex;
use psp_format::metadata::{Metadata, Slot};
use psp_format::range::Range;
use psp_format::verify::{self, UnsignedPackage};
use psp_format::{Layer, VerifiedPackage};

use crate::base;
use crate::contents;
use crate::error::Error;
use crate::package_file::{PackageFile, Parts};
use crate::printer::{Meter, count, escape, size};

/// The signature holds, over something that breaks the format.
const SIGNED_LIKE_THIS: &str =
    "it was signed like this, by a broken builder or on purpose: do not start it";
/// The signature does not hold, or the bytes are not those that it binds.
const DAMAGED: &str =
    "the file was damaged or changed after it was signed: do not start it, get it again";

/// Why a file is not a valid package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Its bytes break a rule of the format.
    #[error("{0}")]
    Format(#[from] FormatError),
    /// A package of the base format, where only a strict one is of use.
    #[error("not a strict package: made by another builder")]
    OtherBuilder,
    /// A package of the base format, which only its builder signs.
    #[error("a package of flavorpack's, which is signed when it is built and not afterwards")]
    SignedByItsBuilder,
    /// A package of the base format that is not good.
    #[error("{0}")]
    Base(#[from] base::fault::Fault),
    /// A slot whose compressed stream is broken.
    #[error("slot {}: {detail}", escape(.slot))]
    Undecodable {
        /// Id of the slot.
        slot: String,
        /// Why.
        detail: String,
    },
}

impl Refusal {
    /// The layer at which the package fails.
    pub fn layer(&self) -> Layer {
        match self {
            Refusal::Format(error) => error.layer(),
            Refusal::OtherBuilder | Refusal::SignedByItsBuilder => Layer::Container,
            Refusal::Base(fault) => fault.layer(),
            Refusal::Undecodable { .. } => Layer::Contents,
        }
    }

    /// One line that says what a person can do.
    pub fn help(&self) -> Option<&'static str> {
        let error = match self {
            Refusal::Format(error) => error,
            Refusal::OtherBuilder => {
                return Some(
                    "pack the application with `flavor pack`, or use the tool that made this package",
                );
            }
            Refusal::SignedByItsBuilder => {
                return Some(
                    "build it again with `flavor pack --manifest FILE.json --private-key KEY`, or with flavorpack and the other key",
                );
            }
            Refusal::Base(fault) => return Some(fault.help()),
            Refusal::Undecodable { .. } => return Some(SIGNED_LIKE_THIS),
        };
        Some(match error {
            FormatError::Truncated { .. } | FormatError::CutShort { .. } => {
                "the download or copy was interrupted: get the file again"
            }
            FormatError::Appended { .. } => {
                "something was added behind the package: get the file again, from where it was built"
            }
            FormatError::DataRemoved { .. } => {
                "the package data is gone and cannot be recovered: get the file again, and leave it as it is"
            }
            FormatError::TooShort { .. } | FormatError::NoTrailer => {
                "if this was a package, it was changed after it was built: strip, upx, signing tools and text-mode \
                 transfers do that"
            }
            FormatError::Version { .. } => {
                "use the version of flavor that this package was made for"
            }
            FormatError::Unsigned => "sign it with `flavor sign`, or get a signed package",
            FormatError::Json { .. }
            | FormatError::NotCanonical { .. }
            | FormatError::Value { .. } => SIGNED_LIKE_THIS,
            _ if error.layer() == Layer::Contents => SIGNED_LIKE_THIS,
            _ => DAMAGED,
        })
    }
}

/// How a layer came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It holds.
    Ok,
    /// It does not.
    Failed,
    /// It was not looked at.
    Skipped,
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// The layer; `slot NAME` for each slot.
    pub name: String,
    /// How it came out.
    pub status: Status,
    /// What was found, or why.
    pub detail: String,
}

impl Check {
    /// A check that came out in this way.
    pub fn new(name: impl Into<String>, status: Status, detail: impl Into<String>) -> Check {
        Check {
            name: name.into(),
            status,
            detail: detail.into(),
        }
    }

    fn of<T>(name: &str, result: &Result<T, Refusal>, detail: impl FnOnce() -> String) -> Check {
        match result {
            Ok(_) => Check::new(name, Status::Ok, detail()),
            Err(refusal) => Check::new(name, Status::Failed, refusal.to_string()),
        }
    }
}

/// A package behind the gate, or why it stays in front of it.
pub type Gate = Result<VerifiedPackage, Refusal>;

/// Verifies container, signature and layout. The error is for files that cannot be read.
pub fn open(file: &PackageFile) -> Result<Gate, Error> {
    let parts = file.parts()?;
    let verified = parts.found().and_then(|found| verify::verify(&found));
    let package = match verified {
        Ok(package) => package,
        Err(error) => return Ok(Err(explain(file, &parts, error)?)),
    };
    for padding in package.layout().paddings() {
        let bytes = file.read(padding)?;
        if let Err(error) = verify::check_padding(padding.start(), &bytes) {
            return Ok(Err(error.into()));
        }
    }
    Ok(Ok(package))
}

/// [`open`] for verbs that cannot go on without a package; launcher and the slots that are `used` are compared too.
pub fn require(
    file: &PackageFile,
    used: impl Fn(&Slot) -> bool,
    meter: impl FnOnce(u64) -> Meter,
) -> Result<VerifiedPackage, Error> {
    let refused = |refusal| Error::Refused {
        path: file.path().to_owned(),
        refusal,
    };
    let package = open(file)?.map_err(refused)?;
    let meter = meter(package.layout().trailer.start());
    check_launcher(file, &package, &meter)?.map_err(refused)?;
    for (slot, range) in package.slots().filter(|(slot, _)| used(slot)) {
        check_slot(file, &package, slot, range, &meter)?.map_err(refused)?;
    }
    Ok(package)
}

/// Whether nobody has signed it: key and signature are zeros.
pub fn is_unsigned(index: &RawIndex) -> bool {
    let mut bytes = index.signature.iter().chain(&index.public_key);
    bytes.all(|&byte| byte == 0)
}

/// [`require`] for a package that nobody has signed: everything else is checked, every slot too.
pub fn require_unsigned(
    file: &PackageFile,
    meter: impl FnOnce(u64) -> Meter,
) -> Result<(Metadata, UnsignedPackage), Error> {
    let refused = |error: FormatError| Error::Refused {
        path: file.path().to_owned(),
        refusal: error.into(),
    };
    let parts = file.parts()?;
    let found = parts.found().map_err(refused)?;
    let (metadata, unsigned) = verify::verify_unsigned(&found).map_err(refused)?;
    let meter = meter(unsigned.layout.trailer.start());
    let digest = |range: Range| file.digest(range, &|n| meter.advance(n));
    if digest(unsigned.layout.launcher)? != metadata.launcher.checksum.0 {
        return Err(refused(FormatError::LauncherDigest));
    }
    for (slot, range) in metadata.slots.iter().zip(&unsigned.layout.slots) {
        if digest(*range)? != slot.checksum.0 {
            let slot = slot.id.clone();
            return Err(refused(FormatError::SlotDigest { slot }));
        }
    }
    for padding in unsigned.layout.paddings() {
        verify::check_padding(padding.start(), &file.read(padding)?).map_err(refused)?;
    }
    Ok((metadata, unsigned))
}

/// Compares the launcher with its signed digest.
pub fn check_launcher(
    file: &PackageFile,
    package: &VerifiedPackage,
    meter: &Meter,
) -> Result<Result<(), Refusal>, Error> {
    let digest = file.digest(package.layout().launcher, &|n| meter.advance(n))?;
    Ok(package.check_launcher(&digest).map_err(Refusal::from))
}

/// Compares the stored bytes of a slot with their signed digest.
pub fn check_slot(
    file: &PackageFile,
    package: &VerifiedPackage,
    slot: &Slot,
    range: Range,
    meter: &Meter,
) -> Result<Result<(), Refusal>, Error> {
    let digest = file.digest(range, &|n| meter.advance(n))?;
    Ok(package.check_slot(slot, &digest).map_err(Refusal::from))
}

/// Everything about a package that can be said without asking who is trusted.
#[derive(Debug)]
pub struct Examination {
    /// Every layer in order.
    pub checks: Vec<Check>,
    /// The first fault; none makes the package valid.
    pub refusal: Option<Refusal>,
    /// The package, when it came through the gate.
    pub package: Option<VerifiedPackage>,
}

/// Checks every layer.
pub fn examine(file: &PackageFile, meter: impl FnOnce(u64) -> Meter) -> Result<Examination, Error> {
    match open(file)? {
        Ok(package) => examine_inside(file, package, meter),
        Err(refusal) => Ok(Examination {
            checks: gate_checks(&refusal),
            refusal: Some(refusal),
            package: None,
        }),
    }
}

fn examine_inside(
    file: &PackageFile,
    package: VerifiedPackage,
    meter: impl FnOnce(u64) -> Meter,
) -> Result<Examination, Error> {
    let meter = meter(work(&package));
    let mut first = None;
    let mut keep = |result: Result<(), Refusal>| {
        let good = result.is_ok();
        if let Err(refusal) = result {
            first.get_or_insert(refusal);
        }
        good
    };
    let mut checks = passed_gate(file, &package);
    let launcher = check_launcher(file, &package, &meter)?;
    checks.push(Check::of("launcher", &launcher, || {
        let launcher = &package.metadata().launcher;
        format!("{}, {}", launcher.target, size(launcher.size))
    }));
    keep(launcher);
    let mut whole = Vec::new();
    for (slot, range) in package.slots() {
        let result = check_slot(file, &package, slot, range, &meter)?;
        let name = format!("slot {}", escape(&slot.id));
        checks.push(Check::of(&name, &result, || stored_as(slot)));
        if keep(result) {
            whole.push((slot, range));
        }
    }
    let (mut entries, mut faulty) = (0_u64, None);
    for (slot, range) in &whole {
        match contents::check(file, slot, *range, &meter)? {
            Ok(listing) => entries = entries.saturating_add(listing.len()),
            Err(refusal) => {
                faulty.get_or_insert(refusal);
            }
        }
    }
    checks.push(match &faulty {
        Some(refusal) => Check::new("contents", Status::Failed, refusal.to_string()),
        None if whole.len() < package.metadata().slots.len() => {
            let detail = "a slot is not what was signed, and is not decoded";
            Check::new("contents", Status::Skipped, detail)
        }
        None => Check::new("contents", Status::Ok, count(entries, "entry", "entries")),
    });
    if let Some(refusal) = faulty {
        keep(Err(refusal));
    }
    Ok(Examination {
        checks,
        refusal: first,
        package: Some(package),
    })
}

/// Bytes that a complete examination looks at: stored ones for digests, content from the decoders.
pub fn work(package: &VerifiedPackage) -> u64 {
    let content = content_size(package.metadata().slots.iter());
    package.layout().trailer.start().saturating_add(content)
}

/// Bytes of content of these slots, as far as they say; a hostile package may say anything.
pub fn content_size<'a>(slots: impl Iterator<Item = &'a Slot>) -> u64 {
    slots.fold(0, |sum, slot| sum.saturating_add(slot.original_size))
}

fn passed_gate(file: &PackageFile, package: &VerifiedPackage) -> Vec<Check> {
    let metadata = package.metadata();
    let container = format!(
        "{}, {}, {}",
        metadata.format,
        metadata.profile,
        size(file.size())
    );
    let layout = "index, slot table and padding are what the metadata implies";
    let mut checks = vec![Check::new("container", Status::Ok, container)];
    for (key, nth) in package.signers().zip(1..) {
        let name = match nth {
            1 => "signature".to_owned(),
            nth => format!("signature {nth}"),
        };
        let detail = format!("Ed25519, key {}", key.fingerprint());
        checks.push(Check::new(name, Status::Ok, detail));
    }
    checks.push(Check::new("layout", Status::Ok, layout));
    checks
}

/// The lines for a package that did not come through the gate: good before the fault, not checked behind it.
pub(crate) fn gate_checks(refusal: &Refusal) -> Vec<Check> {
    let layers = [
        Layer::Container,
        Layer::Signature,
        Layer::Layout,
        Layer::Launcher,
        Layer::Slot,
        Layer::Contents,
    ];
    let failed = refusal.layer();
    let line = |layer: Layer| {
        let name = match layer {
            Layer::Slot => "slots".to_owned(),
            other => other.to_string(),
        };
        match layer.cmp(&failed) {
            std::cmp::Ordering::Less => Check::new(name, Status::Ok, ""),
            std::cmp::Ordering::Equal => Check::new(name, Status::Failed, refusal.to_string()),
            std::cmp::Ordering::Greater => {
                Check::new(name, Status::Skipped, format!("the {failed} failed"))
            }
        }
    };
    layers.into_iter().map(line).collect()
}

/// How a slot is stored, for a person.
pub fn stored_as(slot: &Slot) -> String {
    let stored = size(slot.size);
    if slot.size == slot.original_size {
        format!("{}, {stored}", slot.operations)
    } else {
        format!(
            "{}, {stored} of {}",
            slot.operations,
            size(slot.original_size)
        )
    }
}

/// A better reason than the format's own, where the file tells one.
fn explain(file: &PackageFile, parts: &Parts, error: FormatError) -> Result<Refusal, Error> {
    // A base package fails at its member at the latest.
    if let Ok(found) = parts.found()
        && base::is_base(found.member)
    {
        return Ok(Refusal::OtherBuilder);
    }
    let diagnosed =
        psp_format::diagnose::diagnose(error, file.size(), |range| file.read(range).ok());
    Ok(Refusal::Format(diagnosed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_behind_a_fault_are_not_called_good() {
        let checks = gate_checks(&Refusal::Format(FormatError::Signature));
        let statuses: Vec<Status> = checks.iter().map(|check| check.status).collect();
        use Status::{Failed, Ok, Skipped};
        assert_eq!(statuses, [Ok, Failed, Skipped, Skipped, Skipped, Skipped]);
        assert_eq!(checks[4].detail, "the signature failed");
    }
}
