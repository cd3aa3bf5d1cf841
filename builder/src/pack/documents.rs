//! The slots with the SBOM and the statement of provenance.
//!
//! Neither is unpacked at a start: the first has the lifecycle `attestation`, the other one `lazy`. Both are stored as they are,
//! so that their digests in the metadata (and in the index, of the SBOM) are those of the documents, and whoever looks at
//! the file as it is finds them.

use std::path::Path;

use psp_format::metadata::{Lifecycle, Purpose};

use super::compress::Method;
use super::plan::PlannedSlot;
use super::{Options, PackError};
use crate::inputs::{Content, DEFAULT_TIME, FileInput, Kind, Source};
use crate::manifest::Project;
use crate::sbom::debian::Database;
use crate::sbom::provenance::Facts;
use crate::sbom::{
    File, Inventory, PROVENANCE, PROVENANCE_TARGET, SBOM, SBOM_TARGET, Telling, Wanted, cyclonedx,
};

/// Adds both slots, if they are wanted. What the second one says is known when all others are stored.
pub(super) fn add(
    project: &Project,
    options: &Options,
    slots: &mut Vec<PlannedSlot>,
    telling: &[Telling],
) -> Result<Option<Facts>, PackError> {
    if options.sbom == Wanted::Never {
        return Ok(None);
    }
    let is_taken = |slot: &&PlannedSlot| {
        slot.lifecycle == Lifecycle::Attestation || [SBOM, PROVENANCE].contains(&&*slot.id)
    };
    if let Some(slot) = slots.iter().find(is_taken) {
        // Somebody brings an SBOM of their own.
        return match options.sbom {
            Wanted::Always => Err(PackError::SbomTaken {
                slot: slot.id.clone(),
            }),
            _ => Ok(None),
        };
    }
    let inventory = inventory(slots, telling, options)?;
    if inventory.is_empty() && options.sbom != Wanted::Always {
        return Ok(None);
    }
    let mtime = options.source_date.unwrap_or(DEFAULT_TIME);
    let sbom = cyclonedx::document(&project.package, &inventory, options.source_date);
    let attestation = Lifecycle::Attestation;
    slots.push(slot(SBOM, SBOM_TARGET, attestation, file(sbom, mtime)));
    let later = file(Vec::new(), mtime);
    slots.push(slot(PROVENANCE, PROVENANCE_TARGET, Lifecycle::Lazy, later));
    let name = project.file.file_name().unwrap_or_default();
    Ok(Some(Facts {
        manifest: (name.to_string_lossy().into_owned(), project.digest),
        inventory,
        for_flavorpack: options.for_flavorpack,
        build_time: options.source_date,
    }))
}

/// A document as the content of a slot.
pub(super) fn file(document: Vec<u8>, mtime: u64) -> Source {
    Source::File(FileInput {
        size: document.len() as u64,
        mode: 0o644,
        mtime,
        content: Content::bytes(document),
    })
}

fn slot(id: &str, target: &str, lifecycle: Lifecycle, source: Source) -> PlannedSlot {
    PlannedSlot {
        id: id.into(),
        target: target.into(),
        lifecycle,
        purpose: Purpose::Data,
        mode: Some(0o644),
        mutable: false,
        method: Method::None,
        source,
    }
}

/// What is in the slots.
fn inventory(
    slots: &[PlannedSlot],
    telling: &[Telling],
    options: &Options,
) -> Result<Inventory, PackError> {
    let mut found = Vec::new();
    for slot in slots {
        match &slot.source {
            Source::File(file) => {
                let path = slot.target.clone().into_bytes();
                found.push((slot.id.as_str(), &[][..], path, &file.content));
            }
            Source::Tree(tree) => {
                for entry in &tree.entries {
                    let content = match &entry.kind {
                        Kind::File { content, .. } => content,
                        Kind::HardLink { to } => {
                            let at = tree.entries.binary_search_by(|other| other.path.cmp(to));
                            let first = at.ok().and_then(|at| tree.entries.get(at));
                            match first.map(|first| &first.kind) {
                                Some(Kind::File { content, .. }) => content,
                                _ => continue,
                            }
                        }
                        Kind::Directory | Kind::Symlink { .. } => continue,
                    };
                    let path = slot.below(&entry.path);
                    found.push((slot.id.as_str(), entry.path.as_slice(), path, content));
                }
            }
        }
    }
    let files: Vec<File<'_>> = found
        .iter()
        .map(|(slot, inside, path, content)| File {
            slot,
            inside,
            path,
            content,
        })
        .collect();
    // What belongs to the system is of interest only where something was taken from it.
    let debian = match options.origins.is_empty() {
        true => Database::default(),
        false => Database::read(Path::new("/")),
    };
    Ok(Inventory::of(&files, telling, &options.origins, &debian)?)
}
