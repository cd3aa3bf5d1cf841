//! `flavor trust remove`: a key is trusted no longer. What it has signed may start all the same where nobody asks for
//! trusted keys; `revoke` is for that.

use std::path::PathBuf;

use serde::Serialize;

use super::{Scope, fingerprint, host_rules, remove_file};
use crate::cli::TrustRemoveArgs;
use crate::error::Error;
use crate::package_file::shown;
use crate::printer::Report;

/// Shortest part of a fingerprint that means a key.
const MIN_DIGITS: usize = 8;

#[derive(Debug, Serialize)]
pub(super) struct Removed {
    fingerprint: String,
    files: Vec<String>,
}

pub(super) fn remove(args: &TrustRemoveArgs) -> Result<Removed, Error> {
    let rules = host_rules()?;
    let scope = Scope::of(&rules, args.global)?;
    let trust = rules.host.trust(true, Vec::new());
    let mut found = scope.keys(&trust)?;
    found.retain(|key| {
        let print = fingerprint(key).to_string();
        key.file.name.as_ref() == Some(&args.key)
            || args.key.len() >= MIN_DIGITS && print.starts_with(&args.key)
    });
    // The same key may lie there twice; different keys may have the same name.
    let mut prints: Vec<String> = found
        .iter()
        .map(|key| fingerprint(key).to_string())
        .collect();
    prints.sort();
    prints.dedup();
    let [print] = &prints[..] else {
        return Err(Error::WhichKey {
            wanted: args.key.clone(),
            store: scope.store,
            found: prints.len(),
        });
    };
    let files: Vec<PathBuf> = found.iter().map(|key| key.path.clone()).collect();
    for file in &files {
        remove_file(file)?;
    }
    Ok(Removed {
        fingerprint: print.clone(),
        files: files.iter().map(|file| shown(file)).collect(),
    })
}

impl Report for Removed {
    fn text(&self) -> String {
        format!(
            "no longer trusted  {}\nremoved            {}\n",
            self.fingerprint,
            self.files.join(", ")
        )
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
