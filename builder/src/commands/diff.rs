//! `flavor diff`: what differs between two packages.

use std::path::{Path, PathBuf};

use psp_format::range::widen;
use serde::Serialize;

use super::{Answer, Done};
use crate::cli::DiffArgs;
use crate::compare::{Difference, Part, Signatures, Subject, compare};
use crate::error::Error;
use crate::package_file::{json_path, shown};
use crate::printer::{GOOD, Printer, Report, WARN, count};

/// What `flavor diff` says; the fields are those of `--json`.
#[derive(Debug, Serialize)]
struct Comparison {
    same: bool,
    #[serde(serialize_with = "json_path")]
    a: PathBuf,
    #[serde(serialize_with = "json_path")]
    b: PathBuf,
    differences: Vec<Difference>,
}

pub(super) fn diff(args: &DiffArgs, printer: &Printer) -> Result<Done, Error> {
    let a = Subject::open(&args.a, printer)?;
    let b = Subject::open(&args.b, printer)?;
    let differences = compare(&a, &b, Signatures::Compared, printer)?;
    let comparison = Comparison {
        same: differences.is_empty(),
        a: args.a.clone(),
        b: args.b.clone(),
        differences,
    };
    Ok(Done {
        answer: answer(comparison.same),
        report: Box::new(comparison),
    })
}

pub(super) fn answer(same: bool) -> Answer {
    match same {
        true => Answer::Yes,
        false => Answer::No,
    }
}

/// A line for each difference.
pub(super) fn lines(differences: &[Difference]) -> String {
    let lines = differences.iter().map(|one| format!("{}\n", one.text()));
    lines.collect()
}

impl Comparison {
    fn sentence(&self) -> String {
        let name = |path: &Path| shown(path);
        let (a, b) = (name(&self.a), name(&self.b));
        match self.differences.as_slice() {
            [] => format!("{a} and {b} are the same, byte for byte"),
            [one] if one.part == Part::Signature => {
                format!("{a} and {b} differ in their signatures only")
            }
            all => {
                let count = count(widen(all.len()), "difference", "differences");
                format!("{a} and {b} are not the same: {count}")
            }
        }
    }
}

impl Report for Comparison {
    fn text(&self) -> String {
        format!("{}{}", lines(&self.differences), self.quiet())
    }

    fn quiet(&self) -> String {
        let style = if self.same { GOOD } else { WARN };
        format!("{style}{}{style:#}\n", self.sentence())
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
