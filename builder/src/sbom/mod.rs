//! What a package is made of, written into it: a CycloneDX SBOM and an in-toto statement of its provenance.
//!
//! Everything is read from what is really packed, in the paths of the work environment: [`python`], `wheel`, [`node`], [`cargo`] and
//! [`go`] know what their ecosystems leave in an application; [`embedded`] finds what compilers leave in executables;
//! [`debian`] knows whose the libraries are that recipes took from this machine. What they find goes into an [`Inventory`],
//! which [`cyclonedx`] and [`provenance`] write down. Nothing of it can fail a build: text that is no metadata makes a
//! component with less in it.
//!
//! Files are read that hold metadata, and executables and libraries that are listed by themselves; no others.

pub mod cargo;
pub mod cyclonedx;
pub mod debian;
pub mod embedded;
pub mod go;
mod licence;
pub mod node;
pub mod provenance;
mod purl;
pub mod python;
mod runtime;
mod wheel;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use psp_format::digest::{Digest, Hasher};
use psp_format::path::parent;

pub use licence::Licence;

use crate::inputs::{Content, InputError};
use crate::printer::escape_bytes;
use crate::recipes::Origin;
use embedded::Embedded;

/// Id of the slot that holds the SBOM. It is the one with lifecycle `attestation`, so that the index has its digest.
pub const SBOM: &str = "_sbom";
/// Where it lies below the work environment. Scanners know SBOMs by the end of the name.
pub const SBOM_TARGET: &str = ".sbom/sbom.cdx.json";
/// Id of the slot that holds the statement of provenance.
pub const PROVENANCE: &str = "_provenance";
/// Where it lies below the work environment.
pub const PROVENANCE_TARGET: &str = ".sbom/provenance.intoto.json";

/// Most bytes of a file of metadata that are looked at. What the text says stands at its beginning.
const MAX_METADATA: u64 = 1 << 20;
/// Most characters of a name, a version or a licence: what is longer is cut.
const MAX_TEXT: usize = 256;

/// The two documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The SBOM: the slot with lifecycle `attestation`, whoever made it.
    Sbom,
    /// The statement of provenance: the slot [`PROVENANCE`].
    Provenance,
}

impl Document {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Document::Sbom => "SBOM",
            Document::Provenance => "statement of provenance",
        }
    }
}

/// Whether a package gets an SBOM and a statement of provenance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Where there is something to list.
    #[default]
    WhereListed,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

/// A file of a package.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Id of its slot.
    pub slot: &'a str,
    /// Its path in the slot's tree; empty for the file of a slot that is one.
    pub inside: &'a [u8],
    /// Its path below the work environment.
    pub path: &'a [u8],
    /// Its bytes.
    pub content: &'a Content,
}

/// An executable or library that says what it was compiled from.
#[derive(Debug, Clone)]
pub struct Telling {
    /// Its path below the work environment.
    pub path: Vec<u8>,
    /// Its bytes.
    pub content: Content,
    /// What it says.
    pub embedded: Embedded,
}

/// What a component is, as CycloneDX calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something that is started.
    Application,
    /// Something that others use.
    Library,
}

/// Why an interpreter does not list a distribution that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// It is a copy that another one carries for itself.
    Vendored,
    /// It is a wheel, which something may install.
    Wheel,
}

/// A part of a package that has a name of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// What it is.
    pub kind: Kind,
    /// Where its name is from: `pypi`, `npm`, `cargo`, `golang`, `deb`, `generic` or `file`.
    pub ecosystem: &'static str,
    /// The name there, as its metadata has it.
    pub name: String,
    /// None where nothing says it.
    pub version: Option<String>,
    /// Package URL (<https://github.com/package-url/purl-spec>); none for what no registry has.
    pub purl: Option<String>,
    /// The name that the National Vulnerability Database has for it.
    pub cpe: Option<String>,
    /// As its metadata states them.
    pub licences: Vec<Licence>,
    /// Digest of what the registry gives out, in hex, where metadata has it: the algorithm as CycloneDX calls it.
    pub hash: Option<(&'static str, String)>,
    /// Files of the package by which it is known, with their SHA-256 in hex. Paths are below the work environment, escaped.
    pub files: BTreeMap<String, String>,
    /// References of the components that depend on it; the package itself does where there is none.
    pub needed_by: BTreeSet<String>,
    /// Whether it was used to build, and is not inside.
    pub is_for_build: bool,
    /// Why no interpreter lists it, if none does.
    pub hidden: Option<Hidden>,
}

impl Component {
    fn new(kind: Kind, ecosystem: &'static str, name: &str, version: Option<&str>) -> Component {
        Component {
            kind,
            ecosystem,
            name: cut(name),
            version: version.map(cut).filter(|version| !version.is_empty()),
            purl: None,
            cpe: None,
            licences: Vec::new(),
            hash: None,
            files: BTreeMap::new(),
            needed_by: BTreeSet::new(),
            is_for_build: false,
            hidden: None,
        }
    }

    /// By what the document refers to it: its package URL, or else what makes it unique.
    pub fn reference(&self) -> String {
        let version = self.version.as_deref().unwrap_or_default();
        match (&self.purl, self.files.keys().next()) {
            (Some(purl), _) => purl.clone(),
            // Two libraries of one name may be two.
            (None, Some(file)) if self.ecosystem == "file" => format!("file:{file}"),
            (None, _) => format!("{}:{}@{version}", self.ecosystem, self.name),
        }
    }
}

/// The components of a package, each once, in the order of their references.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    components: BTreeMap<String, Component>,
}

impl Inventory {
    /// Looks at what is packed: every file, the executables among them that tell something, and where recipes took files
    /// from on this machine.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn of(
        files: &[File<'_>],
        telling: &[Telling],
        origins: &[Origin],
        debian: &debian::Database,
    ) -> Result<Inventory, InputError> {
        let mut out = Inventory::default();
        python::list(files, &mut out)?;
        wheel::list(files, &mut out)?;
        node::list(files, &mut out)?;
        for program in telling {
            let digest = digest(&program.content)?;
            let path = escape_bytes(&program.path);
            let file = (path.as_str(), digest.as_str());
            if let Some(data) = &program.embedded.cargo {
                cargo::list(data, file, &mut out);
            }
            if let Some(data) = &program.embedded.go {
                go::list(data, file, &mut out);
            }
        }
        runtime::list(files, origins, debian, &mut out)?;
        Ok(out)
    }

    /// Whether there is nothing to list.
    pub fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// The components with their references, in order.
    pub fn components(&self) -> impl Iterator<Item = (&str, &Component)> {
        self.components.iter().map(|(at, it)| (at.as_str(), it))
    }

    /// Adds a component. What is inside more than once is one component with several files.
    fn add(&mut self, component: Component) {
        let reference = component.reference();
        match self.components.get_mut(&reference) {
            None => {
                self.components.insert(reference, component);
            }
            Some(known) => {
                known.files.extend(component.files);
                known.needed_by.extend(component.needed_by);
                known.is_for_build &= component.is_for_build;
                known.hidden = known.hidden.and(component.hidden);
                if known.licences.is_empty() {
                    known.licences = component.licences;
                }
                known.hash = known.hash.take().or(component.hash);
            }
        }
    }
}

/// SHA-256 of a file's bytes, in hex.
fn digest(content: &Content) -> Result<String, InputError> {
    Ok(read(content, 0)?.1)
}

/// The beginning of a file, at most `most` bytes, and the SHA-256 of the whole of it in hex.
fn read(content: &Content, most: u64) -> Result<(Vec<u8>, String), InputError> {
    let mut reader = content.open()?;
    let mut hasher = Hasher::default();
    let mut start = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    loop {
        let bytes = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => buffer.get(..count).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A disk that fails is met again when the content is packed, and said there.
            Err(error) => match InputError::from_io(error) {
                Ok(error) => return Err(error),
                Err(_) => break,
            },
        };
        hasher.update(bytes);
        let room = most.saturating_sub(start.len()).min(bytes.len());
        start.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }
    Ok((start, hex(&hasher.finish())))
}

fn hex(digest: &Digest) -> String {
    digest.to_string()
}

/// Bytes in hex.
fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Text from a package: without white space around it, and not longer than what a name needs.
fn cut(text: &str) -> String {
    text.trim().chars().take(MAX_TEXT).collect()
}

/// The last name of a path.
fn last(path: &[u8]) -> &[u8] {
    let directory = parent(path);
    let name = path.get(directory.len()..).unwrap_or_default();
    name.strip_prefix(b"/").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_twice_is_one_component_with_two_files() {
        let component = |file: &str, is_for_build| {
            let mut out = Component::new(Kind::Library, "cargo", " a ", Some("1"));
            out.purl = Some("pkg:cargo/a@1".into());
            out.files.insert(file.into(), "00".into());
            out.is_for_build = is_for_build;
            out
        };
        let mut inventory = Inventory::default();
        inventory.add(component("x", true));
        inventory.add(component("y", false));
        let all: Vec<_> = inventory.components().collect();
        assert_eq!(all.len(), 1);
        let (reference, component) = all[0];
        assert_eq!((reference, component.name.as_str()), ("pkg:cargo/a@1", "a"));
        assert_eq!(component.files.len(), 2);
        assert!(!component.is_for_build);
    }

    #[test]
    fn a_file_is_read_to_its_end_and_kept_to_a_limit() {
        let bytes = vec![7; 200_000];
        let content = Content::bytes(bytes.clone());
        let (start, digest) = read(&content, 100_000).unwrap_or_default();
        assert_eq!(start.len(), 100_000);
        assert_eq!(digest, Digest::of(&bytes).to_string());
        assert_eq!(last(b"a/b/c"), b"c");
        assert_eq!(last(b"c"), b"c");
    }
}
