//! From a project to one signed file.
//!
//! [`plan`] decides what goes in, from the manifest and the inputs; [`host`] says what that asks of a host; [`stream`] and [`compress`] make the stored bytes of each
//! slot; [`assemble`] writes the package beside its place and renames it. Nothing of an earlier package is touched
//! before the new one is complete.

mod assemble;
pub mod build_cache;
mod compat;
pub(crate) mod compress;
mod error;
mod host;
mod plan;
pub(crate) mod stream;
mod workenv;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
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
use crate::signer::Signer;
use build_cache::BuildCache;
use compress::{Form, Means, Stored};
use plan::PlannedSlot;
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
    /// The slots, in order.
    pub slots: Vec<Slot>,
    /// Fingerprint of the signer; none for an unsigned package.
    pub signer: Option<Digest>,
    /// Frames that were taken from earlier builds, and frames that were looked for in vain.
    pub cached: (u64, u64),
    /// Things that the person should know.
    pub notes: Vec<Note>,
    /// Time spent.
    pub elapsed: Duration,
    /// Where it went, in order.
    pub phases: Vec<(&'static str, Duration)>,
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
    let started = Instant::now();
    let mut laps = Laps::from(started);
    let plan = plan::plan(project, options)?;
    laps.end("plan");
    let directory = directory_of(&options.output);
    std::fs::create_dir_all(directory).map_err(PackError::write(directory))?;
    progress.begin(plan.slots.iter().map(PlannedSlot::content_size).sum());

    let jobs = options
        .jobs
        .or_else(|| std::thread::available_parallelism().ok());
    let cache = BuildCache::new(options.caches.clone());
    let means = Means {
        directory,
        jobs: jobs.map_or(1, NonZeroUsize::get),
        cache: &cache,
        progress,
    };
    let mut stored = Vec::with_capacity(plan.slots.len());
    let mut metadata = plan.metadata;
    for (slot, id) in plan.slots.iter().zip(encode::slot_ids(plan.slots.len())) {
        let bytes = compress::store(means, slot.method, &mut |sink| match &slot.source {
            Source::Tree(tree) => {
                let cut = Cut::of(slot.purpose);
                stream::write_tree(tree, &slot.target, plan.mtime, cut, sink)
            }
            Source::File(file) => stream::write_file(file, sink),
        })?;
        metadata.slots.push(record(slot, id, &bytes));
        stored.push(bytes);
    }
    cache.finish();
    laps.end("store");
    let (metadata, head) = encode::place(metadata).map_err(PackError::Format)?;
    // Before anything is written: what a program answers may be no signature.
    let trailer = match signer {
        Some(signer) => head.trailer(Some((&signer.public_key(), &signer.sign(&head.text)?))),
        None => head.trailer(None),
    };
    laps.end("sign");
    assemble::write(
        &options.output,
        &options.launcher.bytes,
        &head,
        &mut stored,
        &trailer,
    )?;
    laps.end("write");
    Ok(Outcome {
        file: options.output.clone(),
        size: head.layout.package_size(),
        package_id: Digest::of(&head.text),
        package: metadata.package,
        slots: metadata.slots,
        signer: signer.map(|key| key.public_key().fingerprint()),
        cached: cache.counts(),
        notes: plan.notes,
        elapsed: started.elapsed(),
        phases: laps.phases,
    })
}

/// Time by phase. Reading, compressing and hashing overlap, and are one: `store`.
struct Laps {
    since: Instant,
    phases: Vec<(&'static str, Duration)>,
}

impl Laps {
    fn from(since: Instant) -> Laps {
        let phases = Vec::new();
        Laps { since, phases }
    }

    fn end(&mut self, name: &'static str) {
        let now = Instant::now();
        self.phases.push((name, now.duration_since(self.since)));
        self.since = now;
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
