//! `flavor delta`: a patch that turns one package into another one.
//!
//! Both are verified first, so that nobody makes a patch to something that `flavor apply` would refuse. The old one may be
//! unsigned, as a package that is signed on another machine.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use psp_format::digest::Digest;
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::cli::DeltaArgs;
use crate::compare::Subject;
use crate::delta::make::{MakeError, Recompress, make};
use crate::error::Error;
use crate::examine::Refusal;
use crate::interrupt::{self, Kept};
use crate::package_file::{PackageFile, json_path, plain, shown};
use crate::printer::{Printer, Report, count, size};

/// What was made; the fields are those of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Written {
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
    size: u64,
    old: OneFile,
    new: OneFile,
    /// Size of the patch, against that of the new package.
    ratio: f64,
    /// Bytes of the new package that stand in the old one.
    copied: u64,
    /// Frames that are compressed anew when the patch is applied.
    recompressed: u64,
    seconds: f64,
}

/// One of the files that a patch is about.
#[derive(Debug, Serialize)]
pub(super) struct OneFile {
    #[serde(serialize_with = "json_path")]
    pub(super) file: PathBuf,
    pub(super) size: u64,
    pub(super) sha256: String,
}

impl OneFile {
    pub(super) fn new(file: &Path, size: u64, digest: &Digest) -> OneFile {
        OneFile {
            file: file.to_owned(),
            size,
            sha256: digest.to_string(),
        }
    }
}

pub(super) fn delta(args: &DeltaArgs, printer: &Printer) -> Result<Written, Error> {
    let started = Instant::now();
    let old = Subject::open(&args.old, printer)?;
    let new = Subject::open(&args.new, printer)?;
    if new.is_unsigned() {
        return Err(Error::Refused {
            path: args.new.clone(),
            refusal: Refusal::Format(psp_format::Error::Unsigned),
        });
    }
    let help = "give the patch a name of its own";
    check_apart(&args.output, &[old.file(), new.file()], help)?;
    let recompress = match args.no_recompress {
        true => Recompress::Never,
        false => Recompress::WherePossible,
    };
    let failed = |source| not_written(&args.output, source);
    let (_kept, file) = beside(&args.output, 0o666).map_err(failed)?;
    let total = old.file().size().saturating_add(new.file().size());
    let meter = printer.meter("comparing", total);
    let mut out = io::BufWriter::new(file.as_file());
    let made = make(&old, &new, recompress, &mut out, &|n| meter.advance(n));
    drop(meter);
    let made = made.map_err(|error| match error {
        MakeError::File(error) => Error::File(error),
        MakeError::Write(source) => failed(source),
    })?;
    let written = io::Write::flush(&mut out).and_then(|()| file.as_file().sync_all());
    written.map_err(failed)?;
    drop(out);
    let persisted = file.persist(&args.output);
    persisted.map_err(|error| failed(error.error))?;
    let header = &made.header;
    Ok(Written {
        file: args.output.clone(),
        size: made.size,
        old: OneFile::new(&args.old, header.old_size, &header.old),
        new: OneFile::new(&args.new, header.new_size, &header.new),
        ratio: ratio(made.size, header.new_size),
        copied: made.copied,
        recompressed: made.recompressed,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Refuses to put the result in the place of what it is made from.
pub(super) fn check_apart(
    output: &Path,
    inputs: &[&PackageFile],
    help: &'static str,
) -> Result<(), Error> {
    // The name itself is replaced: a link leads nowhere afterwards, and what it led to is as it was.
    let Ok(there) = fs::symlink_metadata(output) else {
        return Ok(());
    };
    let is_it = |input: &&PackageFile| {
        let input = input.file().metadata();
        input.is_ok_and(|it| (it.dev(), it.ino()) == (there.dev(), there.ino()))
    };
    match inputs.iter().any(is_it) {
        true => Err(Error::Exists {
            path: output.to_owned(),
            help,
        }),
        false => Ok(()),
    }
}

/// A file in the directory where it will be renamed. The umask takes from the mode what it takes from any other.
pub(super) fn beside(output: &Path, mode: u32) -> io::Result<(Kept, NamedTempFile)> {
    let parent = output
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    interrupt::keep(|| {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".flavor-").permissions(permissions);
        builder.tempfile_in(directory)
    })
}

pub(super) fn not_written(output: &Path, source: io::Error) -> Error {
    Error::Write {
        path: output.to_owned(),
        source: plain(source),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// A ratio in percent, with two digits that mean something.
pub(super) fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    match percent {
        _ if percent >= 10.0 => format!("{percent:.0} %"),
        _ if percent >= 1.0 => format!("{percent:.1} %"),
        _ if percent >= 0.1 => format!("{percent:.2} %"),
        _ => format!("{percent:.3} %"),
    }
}

impl Report for Written {
    fn text(&self) -> String {
        let (file, new) = (shown(&self.file), shown(&self.new.file));
        let frames = match self.recompressed {
            0 => String::new(),
            n => format!("; {} to compress anew", count(n, "frame", "frames")),
        };
        let (size, percent) = (size(self.size), percent(self.ratio));
        format!("{file}: {size}, {percent} of {new}{frames}\n")
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
