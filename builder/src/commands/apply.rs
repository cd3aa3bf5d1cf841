//! `flavor apply`: a package from an older one and a patch.
//!
//! Nothing is believed: the patch and the old package are compared with the digests that the patch names, what comes out
//! with a third, and it is verified as `flavor verify` does before it is renamed into its place. Until then that place is
//! what it was, and the new file lies beside it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use serde::Serialize;

use super::delta::{OneFile, beside, check_apart, not_written, percent, ratio};
use super::trust_store;
use super::verify::{Verdict, required};
use crate::cli::ApplyArgs;
use crate::delta::apply::{self, ApplyError};
use crate::delta::format::{Header, Patch};
use crate::error::Error;
use crate::package_file::{FileError, PackageFile, json_path, shown};
use crate::printer::{Printer, Report, size};

/// What came of it; the fields are those of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Applied {
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
    size: u64,
    sha256: String,
    old: OneFile,
    patch: Applying,
    /// Size of the patch, against that of the new package.
    ratio: f64,
    seconds: f64,
    /// As `flavor verify` says it.
    verdict: Verdict,
}

#[derive(Debug, Serialize)]
struct Applying {
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
    size: u64,
}

pub(super) fn apply(args: &ApplyArgs, printer: &Printer) -> Result<Applied, Error> {
    let started = Instant::now();
    let trust = trust_store(&args.trusting, printer)?;
    let patch_file = PackageFile::open(&args.patch)?;
    let old = PackageFile::open(&args.old)?;
    check_apart(
        &args.output,
        &[&patch_file],
        "give the package another name",
    )?;
    let wrong = |error| told(args, error);
    let patch = Patch::open(&patch_file).map_err(|error| wrong(error.into()))?;
    let header = patch.header();
    let meter = printer.meter("checking", old.size());
    apply::check_old(&patch, &old, &|n| meter.advance(n)).map_err(wrong)?;
    drop(meter);

    let failed = |source| not_written(&args.output, source);
    let (_kept, file) = beside(&args.output, 0o600).map_err(failed)?;
    reserve(file.as_file(), header).map_err(failed)?;
    let meter = printer.meter("writing", header.new_size);
    let mut out = io::BufWriter::new(file.as_file());
    apply::apply(&patch, &old, &mut out, &|n| meter.advance(n)).map_err(wrong)?;
    io::Write::flush(&mut out).map_err(failed)?;
    drop((out, meter));
    // As the old one, but for what must not come about by a copy.
    let mode = old
        .file()
        .metadata()
        .map(|it| it.permissions().mode() & 0o777);
    let mode = mode.map(fs::Permissions::from_mode);
    let written = mode.and_then(|mode| file.as_file().set_permissions(mode));
    written
        .and_then(|()| file.as_file().sync_all())
        .map_err(failed)?;

    let new = PackageFile::open(file.path())?;
    let verdict = required(&new, &args.output, &args.trusting, &trust, printer)?;
    file.persist(&args.output)
        .map_err(|error| failed(error.error))?;
    Ok(Applied {
        file: args.output.clone(),
        size: header.new_size,
        sha256: header.new.to_string(),
        old: OneFile::new(&args.old, header.old_size, &header.old),
        patch: Applying {
            file: args.patch.clone(),
            size: patch_file.size(),
        },
        ratio: ratio(patch_file.size(), header.new_size),
        seconds: started.elapsed().as_secs_f64(),
        verdict,
    })
}

/// Asks for the room that the new file takes, so that what a patch claims does not fill a disk for nothing.
fn reserve(file: &fs::File, header: &Header) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, header.new_size) {
        // File systems that cannot promise anything.
        Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The error with the path of the file that it is about.
fn told(args: &ApplyArgs, error: ApplyError) -> Error {
    let reading = |path: &Path, offset, source| {
        let path = path.to_owned();
        Error::File(FileError::Read {
            path,
            offset,
            source,
        })
    };
    match error {
        ApplyError::Fault(fault) => Error::Patch {
            path: args.patch.clone(),
            fault,
        },
        ApplyError::Patch { offset, source } => reading(&args.patch, offset, source),
        ApplyError::Old { offset, source } => reading(&args.old, offset, source),
        ApplyError::Write(source) => not_written(&args.output, source),
    }
}

impl Report for Applied {
    fn text(&self) -> String {
        let (file, old) = (shown(&self.file), shown(&self.old.file));
        let (whole, patch) = (size(self.size), size(self.patch.size));
        let percent = percent(self.ratio);
        let made = format!("{file}: {whole}, from {old} and a patch of {patch} ({percent})\n");
        made + &self.verdict.quiet()
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
