//! `flavor inspect --sbom` and `--provenance`: a document that the package carries, as it is, when all that was signed about
//! it holds.

use std::io::Read as _;

use psp_format::metadata::{Lifecycle, Slot};
use serde::de::IgnoredAny;

use super::super::{Answer, Done};
use crate::cli::InspectArgs;
use crate::contents;
use crate::error::Error;
use crate::examine;
use crate::package_file::PackageFile;
use crate::printer::{Printer, Report, printable_json};
use crate::sbom;

/// Most bytes of a document. That of a package with ten thousand components has six million.
const MAX_DOCUMENT: u64 = 256 << 20;

/// The text of a document.
struct Document(String);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The slot with lifecycle `attestation`, whoever made it.
    Sbom,
    /// The slot `_provenance`.
    Provenance,
}

impl Which {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Which::Sbom => "SBOM",
            Which::Provenance => "statement of provenance",
        }
    }

    fn is(self, slot: &Slot) -> bool {
        let is_it = match self {
            Which::Sbom => slot.lifecycle == Lifecycle::Attestation,
            Which::Provenance => slot.id == sbom::PROVENANCE,
        };
        is_it && !slot.operations.is_tar() && slot.original_size <= MAX_DOCUMENT
    }
}

/// Prints it.
pub(super) fn document(args: &InspectArgs, which: Which, printer: &Printer) -> Result<Done, Error> {
    let file = PackageFile::open(&args.package)?;
    let used = |slot: &Slot| which.is(slot);
    let package = examine::require(&file, used, |total| printer.meter("verifying", total))?;
    let none = || Error::NoDocument {
        path: args.package.clone(),
        which,
    };
    let mut slots = package.slots();
    let (slot, range) = slots.find(|(slot, _)| which.is(slot)).ok_or_else(none)?;
    let meter = printer.meter("reading", slot.original_size);
    contents::check(&file, slot, range, &meter)?.map_err(|refusal| Error::Refused {
        path: args.package.clone(),
        refusal,
    })?;
    drop(meter);
    let mut text = String::new();
    let read = contents::decoded(&file, slot, range)
        .and_then(|content| content.take(MAX_DOCUMENT).read_to_string(&mut text));
    let is_json = read.is_ok() && serde_json::from_str::<IgnoredAny>(&text).is_ok();
    if !is_json {
        return Err(none());
    }
    Ok(Done {
        answer: Answer::Yes,
        report: Box::new(Document(printable_json(&text))),
    })
}

impl Report for Document {
    fn text(&self) -> String {
        match self.0.ends_with('\n') {
            true => self.0.clone(),
            false => format!("{}\n", self.0),
        }
    }

    fn quiet(&self) -> String {
        self.text()
    }

    fn json(&self) -> serde_json::Result<String> {
        Ok(self.0.trim_end().to_owned())
    }
}
