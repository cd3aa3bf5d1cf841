//! `flavor pack --explain`: the plain manifest that the recipes of a manifest stand for.

use serde::Serialize;

use super::pack;
use crate::cli::PackArgs;
use crate::error::Error;
use crate::printer::{Printer, Report};
use crate::recipes;

#[derive(Debug, Serialize)]
pub(super) struct Explained {
    manifest: String,
}

pub(super) fn explain(args: &PackArgs, printer: &Printer) -> Result<Explained, Error> {
    let target = pack::one_target(args)?;
    let project = pack::project(args, printer)?;
    let expanded = pack::expanded(args, project, target, printer)?;
    Ok(Explained {
        manifest: recipes::explain::manifest(&expanded),
    })
}

impl Report for Explained {
    fn text(&self) -> String {
        self.manifest.clone()
    }

    fn quiet(&self) -> String {
        self.text()
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
