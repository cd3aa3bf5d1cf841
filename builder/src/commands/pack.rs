//! `flavor pack`: from a manifest to a package.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use psp_format::digest::Digest;
use psp_format::range::{Range, widen};
use psp_format::signature::PrivateKey;
use serde::Serialize;

use crate::cli::{Compat, PackArgs};
use crate::env_vars::SOURCE_DATE_EPOCH;
use crate::error::Error;
use crate::examine::content_size;
use crate::manifest::{self, KeySource, Problem, Project};
use crate::pack::{self, Launcher, Options, PackError, Progress};
use crate::package_file::{PackageFile, json_path, shown};
use crate::printer::{GOOD, Meter, Printer, Report, WARN, count, escape, size};
use crate::recipes::{self, Expanded};
use crate::sbom::Wanted;
use crate::signer::Signer;
use crate::stubs;
use crate::sums;

/// Launchers are below 2 MiB.
const MAX_LAUNCHER: u64 = 16 << 20;

/// What was built; the fields are those of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Built {
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
    size: u64,
    /// Of the file. Signing changes it, and not the package id.
    sha256: Option<String>,
    package_id: String,
    name: String,
    version: String,
    target: String,
    slots: Vec<BuiltSlot>,
    /// Fingerprint; `null` for an unsigned package.
    signer: Option<String>,
    /// Compressed frames that were taken from earlier builds.
    cache_hits: u64,
    /// Those that were looked for there and made anew.
    cache_misses: u64,
    seconds: f64,
    /// Where the time went: `recipes`, `plan` (listing inputs and looking at executables), `store` (reading, compressing and
    /// hashing, which overlap), `sign`, `write`.
    phases: BTreeMap<&'static str, f64>,
    original_size: u64,
}

#[derive(Debug, Serialize)]
struct BuiltSlot {
    id: String,
    operations: String,
    stored_size: u64,
    original_size: u64,
    sha256: String,
}

pub(super) fn pack(args: &PackArgs, printer: &Printer) -> Result<Built, Error> {
    let started = Instant::now();
    // It holds what the recipes made until the package is written.
    let expanded = expanded(args, printer)?;
    let recipes = started.elapsed();
    let project = &expanded.project;
    let signer = signer(args, project, printer)?;
    let target = target(args);
    let file = format!("{}.psp", project.package.name);
    let options = Options {
        output: match &args.output {
            Some(output) => output.clone(),
            None => project.directory.join("dist").join(file),
        },
        target: target.to_owned(),
        launcher: launcher(args.launcher_bin.as_deref(), target)?,
        level: args.level,
        for_flavorpack: args.compat == Some(Compat::Flavorpack),
        sbom: wanted(args),
        origins: expanded.origins(),
        jobs: args.jobs,
        caches: if args.no_cache {
            Vec::new()
        } else {
            super::cache::places(printer)
        },
        source_date: source_date(std::env::var_os(SOURCE_DATE_EPOCH))?,
    };
    let follow = Follow::new(printer);
    let outcome = pack::pack(project, &options, signer.as_ref(), &follow);
    drop(follow);
    let mut outcome = outcome?;
    outcome.phases.insert(0, ("recipes", recipes));
    for (name, spent) in &outcome.phases {
        printer.detail(&format!("{name:<8} {:>8.3} s", spent.as_secs_f64()));
    }
    let (hits, misses) = outcome.cached;
    if hits + misses > 0 {
        let all = hits + misses;
        printer.detail(&format!(
            "{hits} of {all} frames are those of earlier builds"
        ));
    }
    for note in &outcome.notes {
        printer.warn(&format!("slot {}: {}", escape(&note.slot), note.note), None);
    }
    let sha256 = sums::of_written(&outcome.file, args.reporting.json, args.sums)?;
    Ok(Built::of(outcome, options.target, sha256))
}

/// The project that the manifest describes, with its recipes followed.
pub(super) fn expanded(args: &PackArgs, printer: &Printer) -> Result<Expanded, Error> {
    let project = match &args.manifest {
        Some(file) => load(file, args, printer)?,
        None => match manifest::find(&args.dir) {
            Ok(file) => load(&file, args, printer)?,
            Err(error) if matches!(*error.problem, Problem::NotFound { .. }) => {
                assumed(&args.dir, printer)?.ok_or(error)?
            }
            Err(error) => return Err(error.into()),
        },
    };
    Ok(recipes::expand(
        project,
        target(args),
        !args.no_check,
        printer,
    )?)
}

fn load(manifest: &Path, args: &PackArgs, printer: &Printer) -> Result<Project, Error> {
    printer.detail(&format!("manifest: {}", shown(manifest)));
    let workenv_base = args.workenv_base.as_deref().unwrap_or(Path::new(""));
    Ok(manifest::load_with(manifest, workenv_base)?)
}

/// The project in a directory without a manifest, if it is one that is recognised.
fn assumed(directory: &Path, printer: &Printer) -> Result<Option<Project>, Error> {
    let Some(recognised) = manifest::recognise(directory)? else {
        return Ok(None);
    };
    let mut fact = format!("no manifest; packing {}", recognised.kind);
    if let Some(note) = recognised.note {
        fact = format!("{fact}: {note}");
    }
    printer.warn(&fact, Some("`flavor init` writes down what is assumed"));
    let file = directory.join(manifest::FLAVOR_TOML);
    Ok(Some(manifest::parse(&file, &recognised.manifest)?))
}

fn wanted(args: &PackArgs) -> Wanted {
    match (args.sbom, args.no_sbom) {
        (true, _) => Wanted::Always,
        (_, true) => Wanted::Never,
        _ => Wanted::WhereListed,
    }
}

fn target(args: &PackArgs) -> &str {
    args.target.as_deref().unwrap_or(stubs::host_target())
}

/// The key that the command line or the manifest names. Signing with nothing must be asked for.
fn signer(args: &PackArgs, project: &Project, printer: &Printer) -> Result<Option<Signer>, Error> {
    let signing = &args.signing;
    if signing.unsigned {
        return Ok(None);
    }
    if let Some(seed) = &signing.key_seed {
        let fact = "signing with a key that is derived from a text: whoever knows it can sign";
        printer.warn(
            fact,
            Some("--key-seed is for tests; use --private-key for anything else"),
        );
        return Ok(Some(Signer::Key(PrivateKey::from_text_seed(seed))));
    }
    let public_key = args.public_key.as_deref();
    if let Some(name) = &signing.private_key {
        return Ok(Some(Signer::named(name, public_key, None, printer)?));
    }
    let sign = project.sign.as_ref().ok_or(Error::NoSigningKey)?;
    let name: OsString = match &sign.key {
        KeySource::File(path) => path.into(),
        KeySource::Env(name) => format!("env:{name}").into(),
        KeySource::Command(program) => format!("cmd:{program}").into(),
    };
    let public_key = public_key.or(sign.public_key.as_deref());
    let directory = Some(project.directory.as_path());
    Ok(Some(Signer::named(&name, public_key, directory, printer)?))
}

/// The launcher that goes in front: a file, or the one that this program carries.
pub(super) fn launcher(file: Option<&Path>, target: &str) -> Result<Launcher, Error> {
    let (bytes, tool, tool_version) = match file {
        Some(path) => (Cow::Owned(read_launcher(path, target)?), "custom", "0"),
        None => {
            let stub = stubs::for_target(target).ok_or_else(|| PackError::NoLauncher {
                target: target.to_owned(),
                known: stubs::all().iter().map(|stub| stub.target).collect(),
            })?;
            let version = env!("CARGO_PKG_VERSION");
            (Cow::Borrowed(stub.bytes), "psp-launcher", version)
        }
    };
    Ok(Launcher {
        bytes,
        tool: tool.into(),
        tool_version: tool_version.into(),
    })
}

fn read_launcher(path: &Path, target: &str) -> Result<Vec<u8>, Error> {
    let wrong = |problem| PackError::Launcher {
        path: path.to_owned(),
        target: target.to_owned(),
        problem,
    };
    let file = PackageFile::open(path)?;
    let whole = Range::new(0, file.size()).filter(|range| range.len() <= MAX_LAUNCHER);
    let bytes = file.read(whole.ok_or_else(|| wrong("far too large for a launcher"))?)?;
    stubs::check(&bytes, target).map_err(wrong)?;
    Ok(bytes)
}

/// <https://reproducible-builds.org/specs/source-date-epoch/>: a malformed value ends the build.
fn source_date(value: Option<OsString>) -> Result<Option<u64>, Error> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let text = value.to_string_lossy().into_owned();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text
        .parse()
        .ok()
        .filter(|seconds| digits && *seconds <= psp_format::instant::LAST)
    {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(Error::SourceDate { value: text }),
    }
}

/// Shows how far the compression is.
pub(super) struct Follow<'a> {
    printer: &'a Printer,
    meter: OnceLock<Meter>,
}

impl Follow<'_> {
    pub(super) fn new(printer: &Printer) -> Follow<'_> {
        Follow {
            printer,
            meter: OnceLock::new(),
        }
    }
}

impl Progress for Follow<'_> {
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

impl Built {
    fn of(outcome: pack::Outcome, target: String, sha256: Option<Digest>) -> Built {
        let slots = outcome.slots.iter().map(|slot| BuiltSlot {
            id: slot.id.clone(),
            operations: slot.operations.to_string(),
            stored_size: slot.size,
            original_size: slot.original_size,
            sha256: slot.checksum.0.to_string(),
        });
        Built {
            slots: slots.collect(),
            original_size: content_size(outcome.slots.iter()),
            file: outcome.file,
            size: outcome.size,
            sha256: sha256.map(|digest| digest.to_string()),
            package_id: outcome.package_id.to_string(),
            name: outcome.package.name,
            version: outcome.package.version,
            target,
            signer: outcome.signer.map(|signer| signer.to_string()),
            cache_hits: outcome.cached.0,
            cache_misses: outcome.cached.1,
            seconds: round(outcome.elapsed),
            phases: outcome
                .phases
                .iter()
                .map(|(name, spent)| (*name, round(*spent)))
                .collect(),
        }
    }
}

/// Milliseconds are enough.
fn round(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1000.0).round() / 1000.0
}

impl Report for Built {
    fn text(&self) -> String {
        let slots = count(widen(self.slots.len()), "slot", "slots");
        let (style, signer) = match &self.signer {
            Some(signer) => (GOOD, format!("signed by {signer}")),
            None => (WARN, "NOT SIGNED: `flavor sign` does it".to_owned()),
        };
        format!(
            "{}: {} from {} in {slots}, {style}{signer}{style:#}, in {:.1} s\n",
            shown(&self.file),
            size(self.size),
            size(self.original_size),
            self.seconds
        )
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_dates() {
        let read = |text: &str| source_date(Some(text.into())).ok();
        assert_eq!(read("0"), Some(Some(0)));
        assert_eq!(read("1700000000"), Some(Some(1_700_000_000)));
        assert_eq!(read(""), Some(None));
        for bad in ["x", "-1", "+1", "1.5", "999999999999", " 1"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
