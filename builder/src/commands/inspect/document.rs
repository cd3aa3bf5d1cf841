//! `flavor inspect --sbom` and `--provenance`: a document that the package carries, as it is, when all that was signed about
//! it holds.

use std::io::Read;

use psp_format::metadata::{Lifecycle, Slot};
use serde::de::IgnoredAny;

use super::super::{Answer, Done};
use crate::base;
use crate::cli::InspectArgs;
use crate::contents;
use crate::error::Error;
use crate::examine::{self, Refusal};
use crate::inputs::{Keep, Kind};
use crate::package_file::PackageFile;
use crate::printer::{Printer, Report, printable_json};
use crate::sbom::{self, Document};

/// Most bytes of a document. That of a package with ten thousand components has six million.
const MAX_DOCUMENT: u64 = 256 << 20;

/// The text of a document.
struct Text(String);

fn is(which: Document, slot: &Slot) -> bool {
    let is_it = match which {
        Document::Sbom => slot.lifecycle == Lifecycle::Attestation,
        Document::Provenance => slot.id == sbom::PROVENANCE,
    };
    is_it && !slot.operations.is_tar() && slot.original_size <= MAX_DOCUMENT
}

/// Prints it.
pub(super) fn document(
    args: &InspectArgs,
    which: Document,
    printer: &Printer,
) -> Result<Done, Error> {
    let file = PackageFile::open(&args.package)?;
    let text = match strict(&file, which, printer) {
        Err(Error::Refused {
            refusal: Refusal::OtherBuilder,
            ..
        }) => of_base(&file, which, printer)?,
        text => text?,
    };
    let is_json = |text: &String| serde_json::from_str::<IgnoredAny>(text).is_ok();
    let text = text.filter(is_json).ok_or_else(|| Error::NoDocument {
        path: args.package.clone(),
        which,
    })?;
    Ok(Done {
        answer: Answer::Yes,
        report: Box::new(Text(printable_json(&text))),
    })
}

/// The text in a package of ours; none when it has none.
fn strict(file: &PackageFile, which: Document, printer: &Printer) -> Result<Option<String>, Error> {
    let used = |slot: &Slot| is(which, slot);
    let package = examine::require(file, used, |total| printer.meter("verifying", total))?;
    let mut slots = package.slots();
    let Some((slot, range)) = slots.find(|(slot, _)| is(which, slot)) else {
        return Ok(None);
    };
    let meter = printer.meter("reading", slot.original_size);
    contents::check(file, slot, range, &meter)?.map_err(refused(file))?;
    Ok(contents::decoded(file, slot, range).ok().and_then(utf8))
}

/// What flavorpack's Python builder has in that place.
fn of_base(
    file: &PackageFile,
    which: Document,
    printer: &Printer,
) -> Result<Option<String>, Error> {
    let is_it = |slot: &base::slot::Slot| {
        which == Document::Sbom && slot.is_attestation() && !slot.is_tar()
    };
    let package = base::require(file, is_it, |total| printer.meter("verifying", total))?;
    let Some(slot) = package.slots().iter().find(|slot| is_it(slot)) else {
        return Ok(None);
    };
    let tree = base::content::tree(file, slot, Keep::Content)?.map_err(refused(file))?;
    let content = tree.entries.iter().find_map(|entry| match &entry.kind {
        Kind::File { content, .. } => Some(content),
        _ => None,
    });
    Ok(content
        .and_then(|content| content.open().ok())
        .and_then(utf8))
}

fn refused(file: &PackageFile) -> impl Fn(Refusal) -> Error {
    let path = file.path().to_owned();
    move |refusal| Error::Refused {
        path: path.clone(),
        refusal,
    }
}

/// The text of a reader, if it is one.
fn utf8(content: impl Read) -> Option<String> {
    let mut text = String::new();
    let read = content.take(MAX_DOCUMENT).read_to_string(&mut text);
    read.ok().map(|_| text)
}

impl Report for Text {
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
