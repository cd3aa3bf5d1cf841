//! What differs between two packages: metadata, launcher, slots, the files in them, and who signed.
//!
//! Both are verified as a whole first, and nothing is extracted. Of what follows from something else, the cause alone is
//! told: a changed file, and not the digests and offsets that change with it.

mod content;
mod metadata;

use std::path::Path;

use psp_format::digest::Digest;
use psp_format::encode::Layout;
use psp_format::layout::RawIndex;
use psp_format::metadata::{Metadata, Slot};
use psp_format::range::{Range, widen};
use serde::Serialize;

use crate::contents;
use crate::error::Error;
use crate::examine;
use crate::package_file::PackageFile;
use crate::printer::{Printer, escape, escape_bytes};

/// How much of two files is compared at once.
const PIECE: u64 = 1 << 20;

/// One difference; the fields are those of `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where it is.
    pub part: Part,
    /// Id of the slot, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Path of the file below the work environment, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The metadata key, or what of a file differs.
    pub what: String,
    /// The first byte that differs, counted from 0 in the file, launcher or stored slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What it is in the first package, escaped; nothing when it is not there.
    pub a: Option<String>,
    /// What it is in the second one.
    pub b: Option<String>,
}

/// The part of a package in which something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The signed description.
    Metadata,
    /// The launcher.
    Launcher,
    /// A slot.
    Slot,
    /// Who signed.
    Signature,
    /// Bytes of the file that nothing above explains.
    File,
}

impl Difference {
    fn new(part: Part, what: &str, a: Option<String>, b: Option<String>) -> Difference {
        Difference {
            part,
            slot: None,
            path: None,
            what: what.to_owned(),
            offset: None,
            a,
            b,
        }
    }

    fn at(mut self, offset: u64) -> Difference {
        self.offset = Some(offset);
        self
    }

    fn in_slot(mut self, slot: &str) -> Difference {
        self.slot = Some(escape(slot));
        self
    }

    fn of_file(mut self, path: &[u8]) -> Difference {
        self.path = Some(escape_bytes(path));
        self
    }

    /// One line for a person.
    pub fn text(&self) -> String {
        let mut line = match self.part {
            Part::Metadata => "metadata".to_owned(),
            Part::Launcher => "launcher".to_owned(),
            Part::Signature => "signature".to_owned(),
            Part::File => "file".to_owned(),
            Part::Slot => format!("slot {}", self.slot.as_deref().unwrap_or_default()),
        };
        for part in [self.path.as_deref(), Some(self.what.as_str())] {
            if let Some(part) = part.filter(|part| !part.is_empty()) {
                line.push_str(&format!(": {part}"));
            }
        }
        if let Some(offset) = self.offset {
            line.push_str(&format!(" from byte {offset}"));
        }
        match (&self.a, &self.b) {
            (Some(a), Some(b)) => line.push_str(&format!(": {a} | {b}")),
            (Some(a), None) => line.push_str(&format!(": {a} | nothing")),
            (None, Some(b)) => line.push_str(&format!(": nothing | {b}")),
            (None, None) => {}
        }
        line
    }
}

/// Whether it matters who signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// The trailer counts, too.
    Compared,
    /// Everything in front of the trailer counts.
    Ignored,
}

/// A package that was verified as a whole; one that nobody signed is as good as others here.
#[derive(Debug)]
pub struct Subject {
    file: PackageFile,
    text: Vec<u8>,
    metadata: Metadata,
    layout: Layout,
    signers: Vec<Digest>,
}

impl Subject {
    /// Opens a package and verifies everything about it but who is trusted.
    pub fn open(path: &Path, printer: &Printer) -> Result<Subject, Error> {
        let file = PackageFile::open(path)?;
        let parts = file.parts()?;
        let is_unsigned = parts
            .found()
            .is_ok_and(|found| examine::is_unsigned(RawIndex::from_bytes(found.index)));
        let meter = |total| printer.meter("checking", total);
        let subject = if is_unsigned {
            let (metadata, unsigned) = examine::require_unsigned(&file, meter)?;
            Subject {
                file,
                text: unsigned.text,
                metadata,
                layout: unsigned.layout,
                signers: Vec::new(),
            }
        } else {
            let package = examine::require(&file, |_| true, meter)?;
            Subject {
                text: package.text().to_vec(),
                metadata: package.metadata().clone(),
                layout: package.layout().clone(),
                signers: package.signers().map(|key| key.fingerprint()).collect(),
                file,
            }
        };
        let meter = printer.meter(
            "checking",
            examine::content_size(subject.metadata.slots.iter()),
        );
        for (slot, range) in subject.slots() {
            let checked = contents::check(&subject.file, slot, range, &meter)?;
            checked.map_err(|refusal| Error::Refused {
                path: path.to_owned(),
                refusal,
            })?;
        }
        Ok(subject)
    }

    /// Its metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The open file.
    pub fn file(&self) -> &PackageFile {
        &self.file
    }

    /// Where everything lies in it.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether nobody has signed it.
    pub fn is_unsigned(&self) -> bool {
        self.signers.is_empty()
    }

    /// Its slots, and where their stored bytes lie.
    pub fn slots(&self) -> impl Iterator<Item = (&Slot, Range)> {
        let ranges = self.layout.slots.iter().copied();
        self.metadata.slots.iter().zip(ranges)
    }

    fn slot(&self, id: &str) -> Option<(&Slot, Range)> {
        self.slots().find(|(slot, _)| slot.id == id)
    }
}

/// Everything that differs, in the order of the file. Nothing means that all bytes are the same that are compared.
pub fn compare(
    a: &Subject,
    b: &Subject,
    signatures: Signatures,
    printer: &Printer,
) -> Result<Vec<Difference>, Error> {
    let mut found = launchers(a, b)?;
    found.extend(metadata::differences(&a.text, &b.text));
    let size = |subject: &Subject| examine::content_size(subject.metadata.slots.iter());
    let meter = printer.meter("comparing", size(a).saturating_add(size(b)));
    for (slot, _) in a.slots().filter(|(slot, _)| b.slot(&slot.id).is_none()) {
        let there = Some("there".to_owned());
        found.push(Difference::new(Part::Slot, "", there, None).in_slot(&slot.id));
    }
    for (slot, range) in b.slots() {
        match a.slot(&slot.id) {
            Some(first) => {
                let pair = [(&a.file, first), (&b.file, (slot, range))];
                found.extend(content::differences(pair, &meter)?);
            }
            None => {
                let there = Some("there".to_owned());
                found.push(Difference::new(Part::Slot, "", None, there).in_slot(&slot.id));
            }
        }
    }
    let only_signatures = found.is_empty();
    if signatures == Signatures::Compared && a.signers != b.signers {
        let who = |subject: &Subject| {
            let signers: Vec<String> = subject.signers.iter().map(Digest::to_string).collect();
            (!signers.is_empty()).then(|| signers.join(", "))
        };
        found.push(Difference::new(Part::Signature, "", who(a), who(b)));
    }
    // What is said above should be all there is; the bytes themselves have the last word.
    if only_signatures {
        let end = |subject: &Subject| match signatures {
            Signatures::Compared if a.signers == b.signers => subject.file.size(),
            _ => subject.layout.trailer.start(),
        };
        if let Some(offset) = first_difference(a, b, (0, end(a)), (0, end(b)))? {
            found.push(Difference::new(Part::File, "", None, None).at(offset));
        }
    }
    Ok(found)
}

fn launchers(a: &Subject, b: &Subject) -> Result<Vec<Difference>, Error> {
    if a.metadata.launcher.checksum == b.metadata.launcher.checksum {
        return Ok(Vec::new());
    }
    let whole = |subject: &Subject| (0, subject.layout.launcher.len());
    let offset = first_difference(a, b, whole(a), whole(b))?;
    let size = |subject: &Subject| Some(format!("{} bytes", subject.layout.launcher.len()));
    let difference = Difference::new(Part::Launcher, "", size(a), size(b));
    Ok(vec![difference.at(offset.unwrap_or(0))])
}

/// Where two pieces of files, each from an offset to another, differ first; counted from their beginning.
fn first_difference(
    a: &Subject,
    b: &Subject,
    (start_a, end_a): (u64, u64),
    (start_b, end_b): (u64, u64),
) -> Result<Option<u64>, Error> {
    let (len_a, len_b) = (end_a.saturating_sub(start_a), end_b.saturating_sub(start_b));
    let common = len_a.min(len_b);
    let mut at = 0_u64;
    while at < common {
        let len = common.saturating_sub(at).min(PIECE);
        let piece = |subject: &Subject, start: u64| {
            let range = Range::new(start.saturating_add(at), len);
            // Both lie in files of known size.
            range.map_or(Ok(Vec::new()), |range| subject.file.read(range))
        };
        let (one, other) = (piece(a, start_a)?, piece(b, start_b)?);
        if let Some(nth) = one.iter().zip(&other).position(|(a, b)| a != b) {
            return Ok(Some(at.saturating_add(widen(nth))));
        }
        at = at.saturating_add(len);
    }
    Ok((len_a != len_b).then_some(common))
}
