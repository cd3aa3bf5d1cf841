//! `flavor trust list`: every key in the stores, what limits it, and what is revoked.

use std::path::{Path, PathBuf};

use psp_format::digest::Digest;
use psp_format::instant;
use psp_launcher::store;
use psp_launcher::trust::Key;
use psp_launcher::trust::config::SYSTEM;
use serde::Serialize;

use super::{fingerprint, host_rules, warn_of_faults};
use crate::cli::TrustListArgs;
use crate::error::Error;
use crate::package_file::{json_path, shown};
use crate::printer::{BAD, GOOD, Printer, Report, WARN, escape};

#[derive(Debug, Serialize)]
pub(super) struct Listed {
    keys: Vec<Entry>,
    successions: Vec<Succession>,
    revoked: Vec<String>,
    system_policy: bool,
}

#[derive(Debug, Serialize)]
struct Entry {
    fingerprint: String,
    name: Option<String>,
    packages: Vec<String>,
    expires: Option<String>,
    /// `trusted`, `expired`, `revoked`, or `not counted`.
    status: &'static str,
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct Succession {
    old: String,
    new: String,
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
}

pub(super) fn list(_: &TrustListArgs, printer: &Printer) -> Result<Listed, Error> {
    let rules = host_rules()?;
    let mut trust = rules.host.trust(true, rules.revoked.clone());
    trust.keys.sort_by(|a, b| a.path.cmp(&b.path));
    trust.continuations.sort_by(|a, b| a.path.cmp(&b.path));
    warn_of_faults(&trust, printer);
    let now = store::now();
    let status = |key: &Key| {
        if trust.revoked.contains(&fingerprint(key)) {
            "revoked"
        } else if key.file.has_expired(now) {
            "expired"
        } else if rules.system_requires_key() && !key.path.starts_with(Path::new(SYSTEM)) {
            "not counted"
        } else {
            "trusted"
        }
    };
    let keys = trust.keys.iter().map(|key| Entry {
        fingerprint: fingerprint(key).to_string(),
        name: key.file.name.clone(),
        packages: key.file.packages.clone(),
        expires: key.file.expires.map(instant::to_text),
        status: status(key),
        file: key.path.clone(),
    });
    let successions = trust.continuations.iter().map(|link| Succession {
        old: Digest::of(&link.old).to_string(),
        new: Digest::of(&link.new).to_string(),
        file: link.path.clone(),
    });
    Ok(Listed {
        keys: keys.collect(),
        successions: successions.collect(),
        revoked: rules.revoked.iter().map(ToString::to_string).collect(),
        system_policy: rules.host.system_policy.is_some(),
    })
}

impl Report for Listed {
    fn text(&self) -> String {
        let mut out = String::new();
        for key in &self.keys {
            let style = match key.status {
                "trusted" => GOOD,
                "revoked" => BAD,
                _ => WARN,
            };
            let name = key.name.as_deref().map(escape).unwrap_or_default();
            out.push_str(&format!(
                "{}  {style}{}{style:#}  {name}\n",
                key.fingerprint, key.status
            ));
            if !key.packages.is_empty() {
                out.push_str(&format!("    packages {}\n", key.packages.join(", ")));
            }
            if let Some(last) = &key.expires {
                out.push_str(&format!("    until {last}\n"));
            }
            out.push_str(&format!("    {}\n", shown(&key.file)));
        }
        for link in &self.successions {
            out.push_str(&format!("{}  continues {}\n", link.new, link.old));
            out.push_str(&format!("    {}\n", shown(&link.file)));
        }
        for key in &self.revoked {
            out.push_str(&format!("{key}  {BAD}revoked{BAD:#}\n"));
        }
        if out.is_empty() {
            out.push_str("no key is trusted here\n");
        }
        out
    }

    fn quiet(&self) -> String {
        self.text()
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
