//! `flavor cache verify`: what is unpacked against what was signed.

use psp_launcher::extract::ExtractError;
use psp_launcher::store::{Comparison, Difference, StoreError};
use serde::Serialize;

use super::open;
use crate::cli::cache::CompareArgs;
use crate::commands::{Answer, Done};
use crate::error::{CacheError, Error};
use crate::examine;
use crate::package_file::{PackageFile, shown};
use crate::printer::{BAD, GOOD, HELP, Printer, Report, WARN, count, escape_bytes};

#[derive(Debug, Serialize)]
struct Verdict {
    package: String,
    /// Whether everything is as it was signed.
    same: bool,
    entries: u64,
    differences: Vec<Named>,
    /// Of what the application may change.
    own: Vec<Named>,
}

#[derive(Debug, Serialize)]
struct Named {
    environment: String,
    path: String,
    what: &'static str,
    #[serde(skip)]
    text: String,
}

pub(super) fn verify(args: &CompareArgs, printer: &Printer) -> Result<Done, Error> {
    let file = PackageFile::open(&args.package)?;
    // Slots are compared with their digests before they are decoded.
    let package = examine::require(&file, |_| false, |total| printer.meter("checking", total))?;
    let mut verdict = Verdict {
        package: shown(&args.package),
        same: true,
        entries: 0,
        differences: Vec::new(),
        own: Vec::new(),
    };
    let meter = printer.meter(
        "comparing",
        examine::content_size(package.metadata().slots.iter()),
    );
    let mut is_there = false;
    for dev in [false, true] {
        let store = open(&args.place)?.with_dev(dev);
        let progress = |bytes| meter.advance(bytes);
        let comparison = store.compare(&package, file.file(), &progress);
        if let Some(found) = comparison.map_err(|error| fault(args, error))? {
            is_there = true;
            verdict.add(&found);
        }
    }
    drop(meter);
    if !is_there {
        let path = args.package.clone();
        return Err(CacheError::NotUnpacked { path }.into());
    }
    verdict.same = verdict.differences.is_empty();
    let answer = if verdict.same {
        Answer::Yes
    } else {
        Answer::No
    };
    Ok(Done {
        report: Box::new(verdict),
        answer,
    })
}

fn fault(args: &CompareArgs, error: StoreError) -> Error {
    match error {
        StoreError::Extract(ExtractError::Format(error)) => Error::Refused {
            path: args.package.clone(),
            refusal: examine::Refusal::Format(error),
        },
        other => CacheError::Store(other).into(),
    }
}

impl Verdict {
    fn add(&mut self, found: &Comparison) {
        let named = |one: &Difference| Named {
            environment: found.environment.clone(),
            path: escape_bytes(&one.path),
            what: one.what.name(),
            text: one.what.to_string(),
        };
        self.entries = self.entries.saturating_add(found.entries);
        self.differences.extend(found.differences.iter().map(named));
        self.own.extend(found.own.iter().map(named));
    }
}

impl Report for Verdict {
    fn text(&self) -> String {
        let mut out = String::new();
        for one in &self.differences {
            out.push_str(&format!("{BAD}DIFFERS{BAD:#}  {} {}\n", one.path, one.text));
        }
        for one in &self.own {
            out.push_str(&format!(
                "{WARN}changed{WARN:#}  {} {}, as it may\n",
                one.path, one.text
            ));
        }
        out.push_str(&self.quiet());
        if !self.same {
            out.push_str(&format!(
                "{HELP}help:{HELP:#} `flavor cache remove {}`, and the next start unpacks it again\n",
                self.package
            ));
        }
        out
    }

    fn quiet(&self) -> String {
        let entries = count(self.entries, "entry", "entries");
        if self.same {
            format!("{GOOD}{entries} as signed{GOOD:#}\n")
        } else {
            let n = count(self.differences.len() as u64, "difference", "differences");
            format!("{BAD}{n}{BAD:#} in {entries}\n")
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
