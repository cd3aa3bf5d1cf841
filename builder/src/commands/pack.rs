//! `flavor pack`: from a manifest to a package.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use psp_format::digest::Digest;
use psp_format::range::{Range, widen};
use psp_format::signature::PrivateKey;
use serde::Serialize;

use super::{Done, done};
use crate::cli::{Compat, PackArgs};
use crate::env_vars::SOURCE_DATE_EPOCH;
use crate::error::Error;
use crate::examine::content_size;
use crate::manifest::{self, KeySource, Problem, Project};
use crate::pack::{self, Build, Launcher, Options, Outcome, PackError, Progress};
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
struct Built {
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

/// Packages of one project for several targets.
#[derive(Debug, Serialize)]
pub(super) struct BuiltAll {
    packages: Vec<BuiltOne>,
}

#[derive(Debug, Serialize)]
struct BuiltOne {
    #[serde(flatten)]
    built: Built,
    /// Slots that are stored as another one of the run is, for this target or one before it: they were compressed once.
    slots_shared: u64,
}

pub(super) fn pack(args: &PackArgs, printer: &Printer) -> Result<Done, Error> {
    let targets = targets(args)?;
    // Before a recipe works for minutes: a launcher that is not there.
    let launchers = targets
        .iter()
        .map(|target| launcher_for(args, target))
        .collect::<Result<Vec<Launcher>, Error>>()?;
    let source_date = source_date(std::env::var_os(SOURCE_DATE_EPOCH))?;
    let project = project(args, printer)?;
    for target in &targets {
        recipes::check_target(&project, target)?;
    }
    let mut builds = Vec::with_capacity(targets.len());
    // They hold what the recipes made until the packages are written.
    let (mut staged, mut recipes) = (Vec::new(), Vec::new());
    for (target, launcher) in targets.iter().zip(launchers) {
        let started = Instant::now();
        let expanded = expanded(args, project.clone(), target, printer)?;
        recipes.push(started.elapsed());
        let options = Options {
            output: output(args, &project, target, targets.len() > 1),
            target: (*target).to_owned(),
            launcher,
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
            source_date,
        };
        builds.push(Build {
            project: expanded.project.clone(),
            options,
        });
        staged.push(expanded);
    }
    // One for all: whoever is asked for a passphrase is asked once.
    let signer = signer(args, &project, printer)?;
    let follow = Follow::new(printer);
    let outcomes = match builds.as_slice() {
        [Build { project, options }] => {
            let outcome = pack::pack(project, options, signer.as_ref(), &follow);
            outcome.map(|outcome| vec![outcome])
        }
        several => pack::pack_all(several, signer.as_ref(), &follow),
    };
    drop(follow);
    let mut packages = Vec::with_capacity(targets.len());
    let mut said = HashSet::new();
    for (mut outcome, recipes) in outcomes?.into_iter().zip(recipes) {
        outcome.phases.insert(0, ("recipes", recipes));
        tell(&outcome, targets.len() > 1, &mut said, printer);
        let sha256 = sums::of_written(&outcome.file, args.reporting.json, args.sums)?;
        let slots_shared = outcome.slots_shared;
        let built = Built::of(outcome, sha256);
        packages.push(BuiltOne {
            built,
            slots_shared,
        });
    }
    Ok(match <[BuiltOne; 1]>::try_from(packages) {
        Ok([BuiltOne { built, .. }]) => done(built),
        Err(packages) => done(BuiltAll { packages }),
    })
}

/// What the person should know of a package. What was `said` of another one is not said again.
fn tell(outcome: &Outcome, is_of_several: bool, said: &mut HashSet<String>, printer: &Printer) {
    if is_of_several {
        printer.detail(&format!("{}:", outcome.target));
    }
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
    if outcome.slots_shared > 0 {
        let shared = count(outcome.slots_shared, "slot is", "slots are");
        printer.detail(&format!("{shared} those of another package"));
    }
    for note in &outcome.notes {
        let fact = format!("slot {}: {}", escape(&note.slot), note.note);
        if said.insert(fact.clone()) {
            printer.warn(&fact, None);
        }
    }
}

/// What stands for the target in `--output` and `--launcher-bin`.
const TARGET: &str = "{target}";

/// The targets: those that are named, or this system. What goes with one alone is refused with several.
fn targets(args: &PackArgs) -> Result<Vec<&str>, Error> {
    let targets: Vec<&str> = args.targets.iter().map(String::as_str).collect();
    if targets.len() < 2 {
        return Ok(vec![
            targets.first().copied().unwrap_or(stubs::host_target()),
        ]);
    }
    let mut seen = HashSet::new();
    if let Some(twice) = targets.iter().find(|target| !seen.insert(**target)) {
        let target = (*twice).to_owned();
        return Err(Error::TargetTwice { target });
    }
    let names_one = |path: &Option<PathBuf>| {
        let path = path.as_ref().map(|path| path.to_string_lossy());
        path.is_some_and(|path| !path.contains(TARGET))
    };
    let flag = if names_one(&args.output) {
        Some("--output")
    } else if names_one(&args.launcher_bin) {
        Some("--launcher-bin")
    } else {
        None
    };
    match flag {
        Some(flag) => Err(Error::ForSeveralTargets { flag }),
        None => Ok(targets),
    }
}

/// The one target of `--explain`.
pub(super) fn one_target(args: &PackArgs) -> Result<&str, Error> {
    match targets(args)?.as_slice() {
        [target] => Ok(target),
        _ => Err(Error::ForSeveralTargets { flag: "--explain" }),
    }
}

/// A path with the target in it, where it asks for that.
fn for_target(path: &Path, target: &str) -> PathBuf {
    match path.to_str() {
        Some(text) => text.replace(TARGET, target).into(),
        None => path.to_owned(),
    }
}

fn output(args: &PackArgs, project: &Project, target: &str, is_of_several: bool) -> PathBuf {
    let name = &project.package.name;
    let file = match is_of_several {
        true => format!("{name}-{target}.psp"),
        false => format!("{name}.psp"),
    };
    match &args.output {
        Some(output) => for_target(output, target),
        None => project.directory.join("dist").join(file),
    }
}

fn launcher_for(args: &PackArgs, target: &str) -> Result<Launcher, Error> {
    let file = args.launcher_bin.as_deref();
    launcher(file.map(|file| for_target(file, target)).as_deref(), target)
}

/// The project for a target, with its recipes followed.
pub(super) fn expanded(
    args: &PackArgs,
    project: Project,
    target: &str,
    printer: &Printer,
) -> Result<Expanded, Error> {
    Ok(recipes::expand(project, target, !args.no_check, printer)?)
}

/// The project that the manifest describes.
pub(super) fn project(args: &PackArgs, printer: &Printer) -> Result<Project, Error> {
    Ok(match &args.manifest {
        Some(file) => load(file, args, printer)?,
        None => match manifest::find(&args.dir) {
            Ok(file) => load(&file, args, printer)?,
            Err(error) if matches!(*error.problem, Problem::NotFound { .. }) => {
                assumed(&args.dir, printer)?.ok_or(error)?
            }
            Err(error) => return Err(error.into()),
        },
    })
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
    fn of(outcome: Outcome, sha256: Option<Digest>) -> Built {
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
            target: outcome.target,
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

impl Report for BuiltAll {
    fn text(&self) -> String {
        self.packages.iter().map(|one| one.built.text()).collect()
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
