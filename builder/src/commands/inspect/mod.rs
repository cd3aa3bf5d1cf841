//! `flavor inspect`: what is inside, without running or extracting it.
//!
//! Metadata is shown when the signature over it holds. Of a package that fails before, only what the file says about
//! its own layout is shown, and that is marked.

mod document;
mod of_base;
mod requirements;
mod text;

use std::path::PathBuf;

use psp_format::VerifiedPackage;
use psp_format::dump;
use psp_format::layout::RawIndex;
use psp_format::metadata::{Command, Map, Metadata, Package, Policy};
use psp_format::tar::{Entry, Kind};
use serde::Serialize;

use super::signers::{self, Signer};
use super::{Answer, Done, host_rules};
use crate::base;
use crate::cli::InspectArgs;
use crate::contents;
use crate::error::Error;
use crate::examine::{self, Refusal};
use crate::keyring::TrustStore;
use crate::package_file::{PackageFile, Parts, json_path};
use crate::printer::{Meter, Printer, escape_bytes};
use crate::sbom::Document;

/// What `flavor inspect` shows; the fields are those of `--json`.
#[derive(Debug, Serialize)]
struct Inspection {
    file: FileFacts,
    signature: Signature,
    package: Option<Package>,
    format: Option<Format>,
    launcher: Option<Launcher>,
    slots: Vec<SlotFacts>,
    commands: Map<Command>,
    /// The command line of a base package, which is one text.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    setup: Vec<Command>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
    signer: Option<Signer>,
    signers: Vec<Signer>,
    /// The trailer's own words, of a package that does not hold: not verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<Container>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dump: Option<Vec<DumpLine>>,
    #[serde(skip)]
    help: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct FileFacts {
    #[serde(serialize_with = "json_path")]
    path: PathBuf,
    size: u64,
}

/// What is known about the signature; never more than was checked.
#[derive(Debug, Serialize)]
struct Signature {
    good: bool,
    detail: String,
}

#[derive(Debug, Serialize)]
struct Format {
    format: String,
    profile: String,
    package_id: String,
    /// None when the package does not sign one.
    build_time: Option<String>,
    tool: String,
    tool_version: String,
}

#[derive(Debug, Serialize)]
struct Launcher {
    size: u64,
    /// Base packages do not say it.
    target: Option<String>,
    /// None when nothing of it is signed.
    sha256: Option<String>,
}

#[derive(Debug, Serialize)]
struct SlotFacts {
    index: usize,
    id: String,
    target: String,
    operations: String,
    stored_size: u64,
    original_size: u64,
    /// None when no full digest is signed.
    sha256: Option<String>,
    purpose: String,
    lifecycle: String,
    offset: u64,
    mode: String,
    mutable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<FileEntry>>,
}

/// One entry of a slot. Bytes that are not printable text are escaped as in `\xff`, and a backslash is doubled.
#[derive(Debug, Serialize)]
struct FileEntry {
    path: String,
    kind: &'static str,
    mode: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

#[derive(Debug, Serialize)]
struct Container {
    launcher_size: u64,
    metadata_offset: u64,
    metadata_size: u64,
    slot_table_offset: u64,
    slot_count: u32,
}

#[derive(Debug, Serialize)]
struct DumpLine {
    offset: u64,
    size: u64,
    field: String,
    value: String,
}

pub(super) fn inspect(args: &InspectArgs, printer: &Printer) -> Result<Done, Error> {
    if args.requirements {
        return requirements::requirements(args, printer);
    }
    let documents = [
        (args.sbom, Document::Sbom),
        (args.provenance, Document::Provenance),
    ];
    if let Some((_, which)) = documents.iter().find(|(is_asked, _)| *is_asked) {
        return document::document(args, *which, printer);
    }
    let file = PackageFile::open(&args.package)?;
    let parts = file.parts()?;
    let mut inspection = match examine::open(&file)? {
        Ok(package) => {
            // Whether the signer is trusted is the question of `verify`; here their name is of use.
            let trust = TrustStore::load(&[], &host_rules()?, printer)?;
            let mut inspection = Inspection::of(&file, &package, &trust);
            if args.files {
                list_files(&file, &package, &mut inspection, printer)?;
            }
            inspection
        }
        Err(Refusal::OtherBuilder) => match base::open(&file)? {
            Ok(package) => {
                let trust = TrustStore::load(&[], &host_rules()?, printer)?;
                let mut inspection = of_base::inspection(&file, &package, &trust);
                if args.files {
                    of_base::list_files(&file, &package, &mut inspection, printer)?;
                }
                inspection
            }
            Err(refusal) => Inspection::of_refused(&file, &parts, &refusal),
        },
        Err(refusal) => Inspection::of_refused(&file, &parts, &refusal),
    };
    if args.dump {
        let found = parts.found().map_err(|error| Error::Refused {
            path: args.package.clone(),
            refusal: Refusal::Format(error),
        })?;
        let lines = dump::dump(&found).into_iter().map(|line| DumpLine {
            offset: line.range.start(),
            size: line.range.len(),
            field: line.field,
            value: line.value,
        });
        inspection.dump = Some(lines.collect());
    }
    Ok(Done {
        answer: if inspection.signature.good {
            Answer::Yes
        } else {
            Answer::No
        },
        report: Box::new(inspection),
    })
}

/// Lists what the slots hold. Their digests are compared first: nothing else is decoded.
fn list_files(
    file: &PackageFile,
    package: &VerifiedPackage,
    inspection: &mut Inspection,
    printer: &Printer,
) -> Result<(), Error> {
    let refused = |refusal| Error::Refused {
        path: file.path().to_owned(),
        refusal,
    };
    let meter: Meter = printer.meter("reading", examine::work(package));
    for ((slot, range), facts) in package.slots().zip(&mut inspection.slots) {
        examine::check_slot(file, package, slot, range, &meter)?.map_err(refused)?;
        let listing = contents::check(file, slot, range, &meter)?.map_err(refused)?;
        facts.files = Some(
            listing
                .entries()
                .map(|entry| FileEntry::of(&entry))
                .collect(),
        );
    }
    Ok(())
}

impl Inspection {
    fn of(file: &PackageFile, package: &VerifiedPackage, trust: &TrustStore) -> Inspection {
        let metadata = package.metadata();
        let signers = signers::of(package, trust);
        Inspection {
            file: FileFacts::of(file),
            signature: Signature {
                good: true,
                detail: "good; launcher and slots are not checked here, `flavor verify` does"
                    .into(),
            },
            package: Some(metadata.package.clone()),
            format: Some(Format {
                format: metadata.format.clone(),
                profile: metadata.profile.clone(),
                package_id: package.package_id().to_string(),
                build_time: (metadata.build_time() != Ok(0))
                    .then(|| metadata.build.timestamp.clone()),
                tool: metadata.build.tool.clone(),
                tool_version: metadata.build.tool_version.clone(),
            }),
            launcher: Some(Launcher {
                size: metadata.launcher.size,
                target: Some(metadata.launcher.target.clone()),
                sha256: Some(metadata.launcher.checksum.0.to_string()),
            }),
            slots: slots(metadata),
            commands: commands(metadata),
            command: None,
            setup: metadata.setup.clone(),
            policy: metadata.policy.clone(),
            signer: signers.first().cloned(),
            signers,
            container: None,
            dump: None,
            help: None,
        }
    }

    fn of_refused(file: &PackageFile, parts: &Parts, refusal: &Refusal) -> Inspection {
        Inspection {
            file: FileFacts::of(file),
            signature: Signature {
                good: false,
                detail: format!("NOT VERIFIED: {refusal}"),
            },
            package: None,
            format: None,
            launcher: None,
            slots: Vec::new(),
            commands: Map::new(),
            command: None,
            setup: Vec::new(),
            policy: None,
            signer: None,
            signers: Vec::new(),
            container: Container::of(parts),
            dump: None,
            help: refusal.help(),
        }
    }
}

impl FileFacts {
    fn of(file: &PackageFile) -> FileFacts {
        FileFacts {
            path: file.path().to_owned(),
            size: file.size(),
        }
    }
}

impl Container {
    fn of(parts: &Parts) -> Option<Container> {
        let found = parts.found().ok()?;
        let index = RawIndex::from_bytes(found.index);
        Some(Container {
            launcher_size: index.launcher_size.get(),
            metadata_offset: index.metadata_offset.get(),
            metadata_size: index.metadata_size.get(),
            slot_table_offset: index.slot_table_offset.get(),
            slot_count: index.slot_count.get(),
        })
    }
}

impl FileEntry {
    fn of(entry: &Entry) -> FileEntry {
        let (kind, link) = match &entry.kind {
            Kind::File(_) => ("file", None),
            Kind::Directory => ("directory", None),
            Kind::Symlink(target) => ("symlink", Some(escape_bytes(target))),
            Kind::HardLink(path) => ("hardlink", Some(escape_bytes(path))),
        };
        FileEntry {
            path: escape_bytes(&entry.path),
            kind,
            mode: format!("{:04o}", entry.mode),
            size: entry.size(),
            link,
        }
    }
}

fn slots(metadata: &Metadata) -> Vec<SlotFacts> {
    let facts = metadata.slots.iter().enumerate();
    facts
        .map(|(index, slot)| SlotFacts {
            index,
            id: slot.id.clone(),
            target: slot.target.clone(),
            operations: slot.operations.to_string(),
            stored_size: slot.size,
            original_size: slot.original_size,
            sha256: Some(slot.checksum.0.to_string()),
            purpose: slot.purpose.name().to_owned(),
            lifecycle: slot.lifecycle.name().to_owned(),
            offset: slot.offset,
            mode: format!("{:04o}", slot.mode),
            mutable: slot.mutable,
            files: None,
        })
        .collect()
}

/// The commands by name; the default command has the empty name.
fn commands(metadata: &Metadata) -> Map<Command> {
    let execution = metadata.execution.clone();
    let default = Command {
        argv: execution.argv,
        cwd: execution.cwd,
        env: execution.env,
    };
    let mut commands = metadata.commands.clone();
    commands.insert(String::new(), default);
    commands
}
