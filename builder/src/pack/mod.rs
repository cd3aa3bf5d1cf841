//! From a project to one signed file.
//!
//! [`plan`] decides what goes in, from the manifest and the inputs; [`host`] says what that asks of a host; [`documents`] adds
//! what is known about it; [`stream`] and [`compress`] make the stored bytes of each
//! slot; [`assemble`] writes the package beside its place and renames it. Nothing of an earlier package is touched
//! before the new one is complete, or, of several for different targets, all of them. [`share`] has what those have in
//! common.

mod assemble;
pub mod build_cache;
mod compat;
pub(crate) mod compress;
mod documents;
mod error;
mod host;
mod plan;
mod share;
pub(crate) mod stream;
mod workenv;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use psp_format::digest::{Checksum, Digest};
use psp_format::encode;
use psp_format::metadata::Slot;
use psp_format::ops::Operations;

pub use error::PackError;
pub use host::Concern;
pub use plan::{Note, Remark};

use crate::inputs::Source;
use crate::manifest::Project;
use crate::recipes::Origin;
use crate::sbom;
use crate::signer::Signer;
use compress::{Form, Means, Stored};
use plan::{Plan, PlannedSlot};
use share::Shared;
use stream::Cut;

/// What the person building chose.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the package goes.
    pub output: PathBuf,
    /// `os_arch`.
    pub target: String,
    /// The launcher for that target.
    pub launcher: Launcher,
    /// Compression level instead of the manifest's, 1 to 22.
    pub level: Option<i32>,
    /// Whether flavorpack's launchers are to start the package: slots that they can read, and nothing that they would pass over.
    pub for_flavorpack: bool,
    /// Threads that compress; the number of cores without it.
    pub jobs: Option<NonZeroUsize>,
    /// Directories of which the first that is usable keeps compressed frames for the next build; none for no such cache.
    pub caches: Vec<PathBuf>,
    /// Whether it gets an SBOM and a statement of provenance.
    pub sbom: sbom::Wanted,
    /// Files that recipes took from this machine, for these.
    pub origins: Vec<Origin>,
    /// `SOURCE_DATE_EPOCH`: the build time that is signed, and the time of every entry, in Unix seconds. Without it no
    /// build time is signed.
    pub source_date: Option<u64>,
}

/// The launcher that goes in front.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// Its bytes.
    pub bytes: std::borrow::Cow<'static, [u8]>,
    /// Name of what made it.
    pub tool: String,
    /// Version of that.
    pub tool_version: String,
}

/// Follows the work. Called from several threads.
pub trait Progress: Sync {
    /// So many bytes of content will be packed.
    fn begin(&self, total: u64);
    /// So many more are done.
    fn advance(&self, bytes: u64);
}

/// What was built.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The package.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of the file's metadata text: the name of the package in caches.
    pub package_id: Digest,
    /// Name and version.
    pub package: psp_format::metadata::Package,
    /// `os_arch`.
    pub target: String,
    /// The slots, in order.
    pub slots: Vec<Slot>,
    /// Fingerprint of the signer; none for an unsigned package.
    pub signer: Option<Digest>,
    /// Frames that were taken from earlier builds, and frames that were looked for in vain.
    pub cached: (u64, u64),
    /// Slots whose stored bytes are those of another one that was stored before in the same run.
    pub slots_shared: u64,
    /// Things that the person should know.
    pub notes: Vec<Note>,
    /// Time spent.
    pub elapsed: Duration,
    /// Where it went, in order.
    pub phases: Vec<(&'static str, Duration)>,
}

/// One package of a run.
#[derive(Debug, Clone)]
pub struct Build {
    /// What goes in.
    pub project: Project,
    /// For whom, and where to.
    pub options: Options,
}

/// Builds the package of `project`; without `signer` an unsigned one.
///
/// # Errors
///
/// When an input, the manifest or the place of the package does not allow it; nothing is written then.
pub fn pack(
    project: &Project,
    options: &Options,
    signer: Option<&Signer>,
    progress: &dyn Progress,
) -> Result<Outcome, PackError> {
    let mut shared = Shared::new(options.caches.clone());
    let planned = plan_one(project, options, &mut shared, std::slice::from_ref(options))?;
    progress.begin(share::content_size(std::iter::once(&planned.plan)));
    let ready = planned.build(&mut shared, signer, progress)?;
    let mut outcomes = publish(vec![ready])?;
    let none = PackError::Internal("nothing was built");
    outcomes.pop().ok_or(none)
}

/// Builds the packages of one project for several targets. A slot that is the same in several is compressed once. All of
/// them are complete before the first is put in its place.
///
/// The caches are those of the first.
///
/// # Errors
///
/// As [`pack`], with the target for which it is not possible. No place has a new package then.
pub fn pack_all(
    builds: &[Build],
    signer: Option<&Signer>,
    progress: &dyn Progress,
) -> Result<Vec<Outcome>, PackError> {
    let caches = builds.first().map(|build| build.options.caches.clone());
    let mut shared = Shared::for_several(caches.unwrap_or_default());
    let all: Vec<Options> = builds.iter().map(|build| build.options.clone()).collect();
    let of = |target: &str| {
        let target = target.to_owned();
        move |error| PackError::Target {
            target,
            error: Box::new(error),
        }
    };
    let mut planned = Vec::with_capacity(builds.len());
    for Build { project, options } in builds {
        let one = plan_one(project, options, &mut shared, &all);
        planned.push(one.map_err(of(&options.target))?);
    }
    progress.begin(share::content_size(planned.iter().map(|one| &one.plan)));
    let mut ready = Vec::with_capacity(builds.len());
    for one in planned {
        let target = one.options.target.clone();
        let built = one.build(&mut shared, signer, progress);
        ready.push(built.map_err(of(&target))?);
    }
    publish(ready)
}

/// A package of which everything is known but the bytes.
struct Planned<'a> {
    plan: Plan,
    options: &'a Options,
    laps: Laps,
}

fn plan_one<'a>(
    project: &Project,
    options: &'a Options,
    shared: &mut Shared,
    all: &[Options],
) -> Result<Planned<'a>, PackError> {
    let mut laps = Laps::start();
    let outputs: Vec<&Path> = all.iter().map(|one| one.output.as_path()).collect();
    let plan = plan::plan(project, options, &outputs, shared)?;
    laps.end("plan");
    Ok(Planned {
        plan,
        options,
        laps,
    })
}

/// A complete package that lies beside its place.
struct Ready {
    written: assemble::Written,
    outcome: Outcome,
}

impl Planned<'_> {
    fn build(
        self,
        shared: &mut Shared,
        signer: Option<&Signer>,
        progress: &dyn Progress,
    ) -> Result<Ready, PackError> {
        let Planned {
            plan,
            options,
            mut laps,
        } = self;
        laps.resume();
        let directory = directory_of(&options.output);
        std::fs::create_dir_all(directory).map_err(PackError::write(directory))?;
        let jobs = options
            .jobs
            .or_else(|| std::thread::available_parallelism().ok());
        let jobs = jobs.map_or(1, NonZeroUsize::get);
        let cached_before = shared.cache.counts();
        let mut stored = Vec::with_capacity(plan.slots.len());
        let mut metadata = plan.metadata;
        let mut slots_shared = 0;
        let ids = encode::slot_ids(plan.slots.len());
        for (mut slot, id) in plan.slots.into_iter().zip(ids) {
            if let Some(facts) = plan.provenance.as_ref()
                && slot.id == sbom::PROVENANCE
            {
                let statement = facts.statement(&metadata, &metadata.slots);
                slot.source = documents::file(statement, plan.mtime);
            }
            let slot = Rc::new(slot);
            let (bytes, was_there) = shared.stored(&slot, plan.mtime, |cache| {
                let means = Means {
                    directory,
                    jobs,
                    cache,
                    progress,
                };
                compress::store(means, slot.method, &mut |sink| match &slot.source {
                    Source::Tree(tree) => {
                        let cut = Cut::of(slot.purpose);
                        stream::write_tree(tree, &slot.target, plan.mtime, cut, sink)
                    }
                    Source::File(file) => stream::write_file(file, sink),
                })
            })?;
            slots_shared += u64::from(was_there);
            metadata.slots.push(record(&slot, id, &bytes));
            stored.push(bytes);
        }
        shared.cache.finish();
        laps.end("store");
        let (metadata, head) = encode::place(metadata).map_err(PackError::Format)?;
        // Before anything is written: what a program answers may be no signature.
        let trailer = match signer {
            Some(signer) => head.trailer(Some((&signer.public_key(), &signer.sign(&head.text)?))),
            None => head.trailer(None),
        };
        laps.end("sign");
        let written = assemble::write(
            &options.output,
            &options.launcher.bytes,
            &head,
            &stored,
            &trailer,
        )?;
        laps.end("write");
        let cached = shared.cache.counts();
        let outcome = Outcome {
            file: options.output.clone(),
            size: head.layout.package_size(),
            package_id: Digest::of(&head.text),
            package: metadata.package,
            target: options.target.clone(),
            slots: metadata.slots,
            signer: signer.map(|key| key.public_key().fingerprint()),
            cached: (cached.0 - cached_before.0, cached.1 - cached_before.1),
            slots_shared,
            notes: plan.notes,
            elapsed: laps.total(),
            phases: laps.phases,
        };
        Ok(Ready { written, outcome })
    }
}

/// Puts packages in their places: all of them, or none where it can be known before. A signal comes before or after.
fn publish(ready: Vec<Ready>) -> Result<Vec<Outcome>, PackError> {
    let (written, outcomes): (Vec<_>, Vec<_>) = ready
        .into_iter()
        .map(|Ready { written, outcome }| (written, outcome))
        .unzip();
    assemble::publish(written)?;
    Ok(outcomes)
}

/// Time by phase. Reading, compressing and hashing overlap, and are one: `store`. What passes while other packages of the
/// run are built does not count.
struct Laps {
    since: Instant,
    phases: Vec<(&'static str, Duration)>,
}

impl Laps {
    fn start() -> Laps {
        Laps {
            since: Instant::now(),
            phases: Vec::new(),
        }
    }

    fn resume(&mut self) {
        self.since = Instant::now();
    }

    fn end(&mut self, name: &'static str) {
        let now = Instant::now();
        self.phases.push((name, now.duration_since(self.since)));
        self.since = now;
    }

    fn total(&self) -> Duration {
        self.phases.iter().map(|(_, spent)| *spent).sum()
    }
}

/// A slot's signed record. Its offset follows when all sizes are known.
fn record(slot: &PlannedSlot, id: u64, stored: &Stored) -> Slot {
    let (is_tree, mode) = match &slot.source {
        Source::Tree(_) => (true, 0o755),
        Source::File(file) => (false, slot.mode.unwrap_or(file.mode)),
    };
    let operations = match (is_tree, stored.form) {
        (true, Form::Frames) => Operations::TarZst,
        (true, Form::Gzip) => Operations::TarGz,
        (true, Form::Plain) => Operations::Tar,
        (false, Form::Frames) => Operations::Zstd,
        // Only trees are planned as gzip.
        (false, Form::Plain | Form::Gzip) => Operations::None,
    };
    Slot {
        checksum: Checksum(stored.digest),
        id: slot.id.clone(),
        lifecycle: slot.lifecycle,
        mode,
        mutable: slot.mutable,
        offset: 0,
        operations,
        operations_code: operations.code(),
        original_size: stored.original_size,
        purpose: slot.purpose,
        size: stored.size,
        slot: id,
        source: String::new(),
        target: slot.target.clone(),
    }
}

/// The directory in which a file of this name lies.
fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
