//! What can go wrong while packing: one line of fact, and one line of help.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::binary::Version;
use crate::inputs::{InputError, shown};
use crate::manifest::ManifestError;
use crate::printer::escape;
use crate::signer::SignerError;

/// Why no package was built. `Display` is one line of fact; [`PackError::help`] is one line of remedy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PackError {
    /// A source cannot be packed.
    #[error("slot {slot}: {error}")]
    Input {
        /// The slot's id.
        slot: String,
        /// What is wrong with it.
        error: InputError,
    },
    /// The content of a file cannot be read. The error names the file.
    #[error(transparent)]
    Content(#[from] InputError),
    /// The manifest and the sources do not fit together.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The metadata would break a rule of the format.
    #[error("the package would not be valid: {0}")]
    Format(psp_format::Error),
    /// The launcher file is not one for the target.
    #[error("{} is not a launcher for {target}: {problem}", .path.display())]
    Launcher {
        /// The file.
        path: PathBuf,
        /// The target.
        target: String,
        /// What it is instead.
        problem: &'static str,
    },
    /// This flavor carries no launcher for the target.
    #[error("no launcher for target {target}")]
    NoLauncher {
        /// The target.
        target: String,
        /// Targets that there are launchers for.
        known: Vec<&'static str>,
    },
    /// Of several packages, the one for this target cannot be built.
    #[error("{target}: {error}")]
    Target {
        /// The target.
        target: String,
        /// Why.
        error: Box<PackError>,
    },
    /// `permissions` stands at a slot that is not a single file.
    #[error("slot {slot}: permissions are for single files, and {} is a tree", .source_path.display())]
    Permissions {
        /// The slot's id.
        slot: String,
        /// Its source.
        source_path: PathBuf,
    },
    /// A tree slot cannot replace the file that another puts there, and so on.
    #[error("slots {first} and {second} both hold {}", shown(path))]
    SamePath {
        /// The slot that came first.
        first: String,
        /// The other.
        second: String,
        /// The path below the work environment.
        path: Vec<u8>,
    },
    /// Two archives are unpacked at the same place.
    #[error("slots {first} and {second} are both unpacked at {target} in the work environment")]
    SameTarget {
        /// The slot that came first.
        first: String,
        /// The other.
        second: String,
        /// Below the work environment.
        target: String,
    },
    /// A slot at `.` holds a name that the launcher keeps for itself (M56 of the specification).
    #[error(
        "slot {slot} holds {}, a name that the launcher keeps for itself",
        shown(path)
    )]
    ReservedPath {
        /// The slot's id.
        slot: String,
        /// The path below the work environment.
        path: Vec<u8>,
    },
    /// A command starts or loads a file for another system or processor.
    #[error("{command} cannot run on {target}: {} is {found}", shown(path))]
    OtherTarget {
        /// The command, as the manifest names it.
        command: String,
        /// The file below the work environment.
        path: Vec<u8>,
        /// Its format and architecture.
        found: String,
        /// The target.
        target: String,
    },
    /// A file needs a newer C library than the manifest allows.
    #[error(
        "{path} needs glibc {version}{}, and `glibc-floor` in [native] is {floor}",
        for_symbol(symbol.as_deref(), version)
    )]
    GlibcFloor {
        /// What the manifest allows.
        floor: Version,
        /// The file below the work environment, escaped.
        path: String,
        /// What it needs.
        version: Version,
        /// The symbol for which it does.
        symbol: Option<String>,
    },
    /// An SBOM was asked for, and its place is taken.
    #[error("slot {slot} stands where the SBOM and the statement of provenance would")]
    SbomTaken {
        /// The slot's id.
        slot: String,
    },
    /// The package would contain itself, or its predecessor.
    #[error("slot {slot} would pack {}, the package that is being built", .output.display())]
    OutputInside {
        /// The slot's id.
        slot: String,
        /// The package.
        output: PathBuf,
    },
    /// Nobody signed it.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// Something cannot be written.
    #[error("cannot write {}: {error}", .path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The launchers of flavorpack cannot make everything that a slot holds.
    #[error("slot {slot}: flavorpack's launchers cannot make {}", .entries.join(", "))]
    Inexpressible {
        /// The slot's id.
        slot: String,
        /// What, each with what it is.
        entries: Vec<String>,
    },
    /// The launchers of flavorpack would pass over a part of the manifest.
    #[error("flavorpack's launchers do not know {what}")]
    PassedOver {
        /// What.
        what: String,
    },
    /// The compressor failed.
    #[error("compression failed: {0}")]
    Compress(&'static str),
    /// A thread of ours ended without saying why.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

fn for_symbol(symbol: Option<&str>, version: &Version) -> String {
    let symbol = symbol.map(|symbol| format!(" for {}@GLIBC_{version}", escape(symbol)));
    symbol.unwrap_or_default()
}

impl PackError {
    /// Turns an I/O error at `path` into one of writing.
    pub(super) fn write(path: &Path) -> impl Fn(io::Error) -> PackError {
        let path = path.to_path_buf();
        move |error| PackError::Write {
            path: path.clone(),
            error,
        }
    }

    /// What a reader of content gave.
    pub(super) fn read(error: io::Error) -> PackError {
        match error.downcast() {
            Ok(error) => PackError::Content(error),
            Err(error) => PackError::Write {
                path: std::env::temp_dir(),
                error,
            },
        }
    }

    /// One line of remedy.
    pub fn help(&self) -> String {
        match self {
            PackError::Input { error, .. } | PackError::Content(error) => error.help().into(),
            PackError::Manifest(error) => error.help(),
            PackError::Signer(error) => error.help(),
            PackError::Format(_) => "change what the manifest says about it".into(),
            PackError::Launcher { .. } => {
                "give --launcher-bin a psp-stub that was built for this target".into()
            }
            PackError::NoLauncher { known, .. } => format!(
                "this flavor carries launchers for {}; give another with --launcher-bin",
                known.join(", ")
            ),
            PackError::Target { error, .. } => error.help(),
            PackError::Permissions { .. } => {
                "set the mode of the files in the source, or leave permissions out".into()
            }
            PackError::SamePath { .. } => "exclude it from one of them, or change a target".into(),
            PackError::SameTarget { .. } => {
                "make them one archive, or give a directory as the source of one".into()
            }
            PackError::ReservedPath { .. } => {
                "exclude it, or give the slot a target of its own".into()
            }
            PackError::OtherTarget { .. } => {
                "build it for the target, or name the target that it is for with --target".into()
            }
            PackError::GlibcFloor { version, .. } => format!(
                "build it on a system with that glibc or an older one, or set glibc-floor to \"{version}\""
            ),
            PackError::SbomTaken { .. } => {
                "leave out --sbom, or the slot: one slot can have the lifecycle attestation, and _sbom and _provenance are taken".into()
            }
            PackError::OutputInside { .. } => {
                "exclude the package from the slot, or give --output another place".into()
            }
            PackError::Write { error, .. } => match error.kind() {
                io::ErrorKind::StorageFull => {
                    "free some space, or give --output another place".into()
                }
                io::ErrorKind::PermissionDenied => {
                    "give --output a place that you can write to".into()
                }
                _ => "check the place that --output names".into(),
            },
            PackError::Inexpressible { .. } => {
                "put copies in place of the links, exclude them, or pack without --compat".into()
            }
            PackError::PassedOver { .. } => "leave it out, or pack without --compat".into(),
            PackError::Compress(_) | PackError::Internal(_) => {
                "this is a mistake in flavor; please report it with the manifest".into()
            }
        }
    }
}
