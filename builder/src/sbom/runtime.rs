//! What recipes took from this machine: interpreters, and shared libraries, each with the Debian package that it is of.

use std::collections::BTreeMap;

use super::debian::Database;
use super::licence::Licence;
use super::purl::purl;
use super::{Component, File, Inventory, Kind, digest};
use crate::inputs::InputError;
use crate::printer::escape_bytes;
use crate::recipes::{Origin, Source};

/// Runtimes as recipes call them; the names that they have in the National Vulnerability Database, and their licences.
const KNOWN: [(&str, &str, &str); 2] = [
    ("python", "python:python", "PSF-2.0"),
    ("node", "nodejs:node.js", "MIT"),
];

/// Adds what is still in the package of it.
pub(super) fn list(
    files: &[File<'_>],
    origins: &[Origin],
    debian: &Database,
    inventory: &mut Inventory,
) -> Result<(), InputError> {
    if origins.is_empty() {
        return Ok(());
    }
    let places = files.iter().map(|file| ((file.slot, file.inside), file));
    let places: BTreeMap<_, _> = places.collect();
    for origin in origins {
        let at = (origin.slot.as_str(), origin.path.as_bytes());
        let Some(file) = places.get(&at) else {
            continue;
        };
        let component = match &origin.source {
            Source::Runtime { name, version } => Some(runtime(name, version)),
            Source::Program(from) => debian.owner(from),
            Source::Library(from) => debian.owner(from).or_else(|| {
                let name = origin.path.rsplit('/').next().unwrap_or_default();
                Some(Component::new(Kind::Library, "file", name, None))
            }),
        };
        if let Some(mut component) = component {
            let path = escape_bytes(file.path);
            component.files.insert(path, digest(file.content)?);
            inventory.add(component);
        }
    }
    Ok(())
}

fn runtime(name: &str, version: &str) -> Component {
    let mut out = Component::new(Kind::Application, "generic", name, Some(version));
    out.purl = Some(purl("generic", "", name, Some(version), &[]));
    if let Some((_, product, licence)) = KNOWN.iter().find(|(known, _, _)| *known == name) {
        out.cpe = Some(format!("cpe:2.3:a:{product}:{version}:*:*:*:*:*:*:*"));
        out.licences = vec![Licence::Id(licence)];
    }
    out
}
