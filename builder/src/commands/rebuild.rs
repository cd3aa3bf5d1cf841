//! `flavor rebuild`: whether the manifest still gives a package.
//!
//! It is packed again, unsigned, in a temporary directory, for the target and with the build time that the package names,
//! and compared with it but for who signed. No key is needed, and no program of the manifest is started.

use std::path::{Path, PathBuf};

use psp_format::instant;
use psp_format::metadata::Metadata;
use psp_format::ops::Operations;
use psp_format::range::widen;
use serde::Serialize;

use super::diff::{answer, lines};
use super::{Done, pack as command};
use crate::cli::RebuildArgs;
use crate::compare::{Difference, Signatures, Subject, compare};
use crate::error::Error;
use crate::interrupt;
use crate::manifest::{self, Project};
use crate::pack::{self, Options};
use crate::package_file::{json_path, plain, shown};
use crate::printer::{GOOD, Printer, Report, WARN, count};
use crate::recipes;
use crate::sbom;

/// What `flavor rebuild` says; the fields are those of `--json`.
#[derive(Debug, Serialize)]
struct Rebuilt {
    same: bool,
    #[serde(serialize_with = "json_path")]
    package: PathBuf,
    #[serde(serialize_with = "json_path")]
    manifest: PathBuf,
    /// `a` is the package, `b` what was built.
    differences: Vec<Difference>,
}

pub(super) fn rebuild(args: &RebuildArgs, printer: &Printer) -> Result<Done, Error> {
    let original = Subject::open(&args.package, printer)?;
    let manifest = match &args.manifest {
        Some(file) => file.clone(),
        None => manifest::find(Path::new("."))?,
    };
    // It holds what the recipes made until everything is compared.
    let expanded = recipes::expand(
        manifest::load(&manifest)?,
        &original.metadata().launcher.target,
        false,
        printer,
    )?;
    let (_kept, directory) = interrupt::keep(tempfile::tempdir).map_err(|source| Error::Write {
        path: std::env::temp_dir(),
        source: plain(source),
    })?;
    let output = directory.path().join("rebuilt.psp");
    let mut differences = Vec::new();
    for source_date in build_times(original.metadata()) {
        let mut options = options(args, &original, &output, source_date)?;
        options.origins = expanded.origins();
        build(&expanded.project, &options, printer)?;
        let rebuilt = Subject::open(&output, printer)?;
        let found = compare(&original, &rebuilt, Signatures::Ignored, printer)?;
        if found.is_empty() || differences.is_empty() {
            differences = found;
        }
        if differences.is_empty() {
            break;
        }
    }
    let report = Rebuilt {
        same: differences.is_empty(),
        package: args.package.clone(),
        manifest,
        differences,
    };
    Ok(Done {
        answer: answer(report.same),
        report: Box::new(report),
    })
}

/// The values of `SOURCE_DATE_EPOCH` with which it may have been built. Without the variable, 1970 is signed, as with 0;
/// only the times of files tell which it was.
fn build_times(metadata: &Metadata) -> Vec<Option<u64>> {
    match instant::from_text(&metadata.build.timestamp) {
        Err(_) | Ok(0) => vec![None, Some(0)],
        Ok(time) => vec![Some(time)],
    }
}

fn options(
    args: &RebuildArgs,
    original: &Subject,
    output: &Path,
    source_date: Option<u64>,
) -> Result<Options, Error> {
    let target = original.metadata().launcher.target.clone();
    Ok(Options {
        output: output.to_owned(),
        launcher: command::launcher(args.launcher_bin.as_deref(), &target)?,
        target,
        level: args.level,
        // The one that writes such slots.
        for_flavorpack: original
            .metadata()
            .slots
            .iter()
            .any(|slot| slot.operations == Operations::TarGz),
        sbom: match original
            .metadata()
            .slots
            .iter()
            .any(|slot| slot.id == sbom::SBOM)
        {
            true => sbom::Wanted::Always,
            false => sbom::Wanted::Never,
        },
        origins: Vec::new(),
        jobs: args.jobs,
        // What an earlier build has left must not answer for this one.
        caches: Vec::new(),
        source_date,
    })
}

fn build(project: &Project, options: &Options, printer: &Printer) -> Result<(), Error> {
    let follow = command::Follow::new(printer);
    pack::pack(project, options, None, &follow)?;
    Ok(())
}

impl Report for Rebuilt {
    fn text(&self) -> String {
        format!("{}{}", lines(&self.differences), self.quiet())
    }

    fn quiet(&self) -> String {
        let (package, manifest) = (shown(&self.package), shown(&self.manifest));
        match self.differences.as_slice() {
            [] => format!(
                "{GOOD}{package} is what {manifest} gives, byte for byte but for signatures{GOOD:#}\n"
            ),
            all => {
                let count = count(widen(all.len()), "difference", "differences");
                format!("{WARN}{package} is not what {manifest} gives: {count}{WARN:#}\n")
            }
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
