//! `flavor pack`: from a manifest to one signed file.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use psp_format::signature::PrivateKey;
use serde::Serialize;

use crate::cli::PackArgs;
use crate::env_vars::SOURCE_DATE_EPOCH;
use crate::error::Error;
use crate::keyring;
use crate::manifest::{self, KeySource, Project};
use crate::pack::{self, Launcher, Options, Outcome, PackError};
use crate::package_file::{json_path, shown};
use crate::printer::{Meter, Printer, Report, count, escape, size};
use crate::stubs;

#[derive(Debug, Serialize)]
pub(super) struct Packed {
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
    size: u64,
    name: String,
    version: String,
    target: String,
    package_id: String,
    slots: Vec<PackedSlot>,
    signer: Option<String>,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct PackedSlot {
    id: String,
    operations: String,
    stored_size: u64,
    original_size: u64,
    sha256: String,
}

pub(super) fn pack(args: &PackArgs, printer: &Printer) -> Result<Packed, Error> {
    let file = match &args.manifest {
        Some(file) => file.clone(),
        None => manifest::find(&args.dir)?,
    };
    let project = manifest::load(&file)?;
    // Asked for first: nobody wants to be told after the compression.
    let signer = signer(args, &project, printer)?;
    let target = args
        .target
        .clone()
        .unwrap_or_else(|| stubs::host_target().to_owned());
    let options = Options {
        output: args
            .output
            .clone()
            .unwrap_or_else(|| default_output(&project)),
        launcher: launcher(args.launcher_bin.as_deref(), &target)?,
        target: target.clone(),
        level: args.level,
        jobs: args.jobs,
        source_date: source_date()?,
    };
    let progress = Progress {
        printer,
        meter: OnceLock::new(),
    };
    let outcome = pack::pack(&project, &options, signer.as_ref(), &progress)?;
    drop(progress);
    for note in &outcome.notes {
        printer.warn(&format!("slot {}: {}", escape(&note.slot), note.note), None);
    }
    Ok(Packed::of(outcome, target))
}

/// The key that signs: from the command line, else from the manifest. None only when that was asked for.
fn signer(
    args: &PackArgs,
    project: &Project,
    printer: &Printer,
) -> Result<Option<PrivateKey>, Error> {
    let signing = &args.signing;
    if signing.unsigned {
        return Ok(None);
    }
    if let Some(text) = &signing.key_seed {
        printer.warn(
            "a key from --key-seed is for tests: whoever knows the text can sign",
            None,
        );
        return Ok(Some(PrivateKey::from_text_seed(text)));
    }
    let read = |name: &OsStr| keyring::private_key(name, Path::new(""), printer);
    let key = match (
        &signing.private_key,
        project.sign.as_ref().map(|sign| &sign.key),
    ) {
        (Some(name), _) => read(name)?,
        (None, Some(KeySource::File(path))) => read(path.as_os_str())?,
        (None, Some(KeySource::Env(name))) => read(format!("env:{name}").as_ref())?,
        (None, Some(KeySource::Command(_))) => return Err(Error::SigningProgram),
        (None, None) => return Err(Error::NoSigningKey),
    };
    Ok(Some(key))
}

fn default_output(project: &Project) -> PathBuf {
    project
        .directory
        .join("dist")
        .join(format!("{}.psp", project.package.name))
}

fn launcher(file: Option<&Path>, target: &str) -> Result<Launcher, Error> {
    let (bytes, tool, tool_version) = match file {
        Some(path) => {
            let bytes = std::fs::read(path).map_err(|source| Error::Read {
                path: path.to_owned(),
                source,
            })?;
            stubs::check(&bytes, target).map_err(|problem| PackError::Launcher {
                path: path.to_owned(),
                target: target.to_owned(),
                problem,
            })?;
            (Cow::Owned(bytes), "custom", "0")
        }
        None => {
            let stub = stubs::for_target(target).ok_or_else(|| PackError::NoLauncher {
                target: target.to_owned(),
                known: stubs::all().iter().map(|stub| stub.target).collect(),
            })?;
            (
                Cow::Borrowed(stub.bytes),
                "psp-launcher",
                env!("CARGO_PKG_VERSION"),
            )
        }
    };
    Ok(Launcher {
        bytes,
        tool: tool.into(),
        tool_version: tool_version.into(),
    })
}

/// The build time that reproducible builds agree on (<https://reproducible-builds.org/specs/source-date-epoch/>).
fn source_date() -> Result<Option<u64>, Error> {
    let Some(value) = std::env::var_os(SOURCE_DATE_EPOCH).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let seconds = value.to_str().and_then(|text| text.parse().ok());
    match seconds.filter(|seconds| *seconds <= psp_format::instant::LAST) {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(Error::SourceDate {
            value: value.to_string_lossy().into_owned(),
        }),
    }
}

/// Progress on a terminal, once the amount of work is known.
struct Progress<'a> {
    printer: &'a Printer,
    meter: OnceLock<Meter>,
}

impl pack::Progress for Progress<'_> {
    fn begin(&self, total: u64) {
        self.meter
            .get_or_init(|| self.printer.meter("packing", total));
    }

    fn advance(&self, bytes: u64) {
        if let Some(meter) = self.meter.get() {
            meter.advance(bytes);
        }
    }
}

impl Packed {
    fn of(outcome: Outcome, target: String) -> Packed {
        let slots = outcome.slots.iter().map(|slot| PackedSlot {
            id: slot.id.clone(),
            operations: slot.operations.to_string(),
            stored_size: slot.size,
            original_size: slot.original_size,
            sha256: slot.checksum.0.to_string(),
        });
        Packed {
            file: outcome.file,
            size: outcome.size,
            name: outcome.package.name,
            version: outcome.package.version,
            target,
            package_id: outcome.package_id.to_string(),
            slots: slots.collect(),
            signer: outcome.signer.map(|signer| signer.to_string()),
            seconds: outcome.elapsed.as_secs_f64(),
        }
    }
}

impl Report for Packed {
    fn text(&self) -> String {
        let mut text = format!(
            "{}: {}, {}, ",
            shown(&self.file),
            size(self.size),
            count(self.slots.len() as u64, "slot", "slots")
        );
        // Writing to a String cannot fail.
        let _ = match &self.signer {
            Some(signer) => write!(text, "signed by {signer}"),
            None => write!(text, "not signed: `flavor sign` makes it start"),
        };
        let _ = writeln!(text, ", {:.1} s", self.seconds);
        text
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
