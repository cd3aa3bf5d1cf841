//! `flavor policy show`: what holds here, and which file says so.

use std::path::PathBuf;

use psp_launcher::policy::host::{Check, HostPolicy, Level};
use psp_launcher::policy::judge::Rules;
use serde::Serialize;
use serde_json::{Value, json};

use super::host_rules;
use crate::cli::PolicyShowArgs;
use crate::error::Error;
use crate::package_file::shown;
use crate::printer::{HEAD, Report};

#[derive(Debug, Serialize)]
pub(super) struct Shown {
    /// The policies that are there.
    files: Vec<String>,
    /// Whether the system has one, so that variables say nothing and the user's keys may not count.
    system_policy: bool,
    values: Vec<Line>,
    revoked_keys: usize,
}

#[derive(Debug, Serialize)]
struct Line {
    key: String,
    value: Value,
    /// The files that ask for it; none for a default.
    from: Vec<String>,
}

pub(super) fn show(_: &PolicyShowArgs) -> Result<Shown, Error> {
    let rules = host_rules()?;
    Ok(Shown {
        files: rules.policies.iter().map(|(path, _)| shown(path)).collect(),
        system_policy: rules.host.system_policy.is_some(),
        values: values(&rules),
        revoked_keys: rules.revoked.len(),
    })
}

/// What all policies together ask for.
fn values(rules: &Rules) -> Vec<Line> {
    let policies = &rules.policies;
    let flag = |key: &str, of: &dyn Fn(&HostPolicy) -> bool| {
        let from = from(policies, of);
        line(key, json!(!from.is_empty()), from)
    };
    let mut out = vec![
        flag("trust.require_trusted_key", &|p| p.require_trusted_key),
        common(policies, "trust.required_signers", &|p| {
            p.required_signers.iter().map(ToString::to_string).collect()
        }),
        flag("execution.refuse_root", &|p| p.refuse_root),
        max_age(policies),
        common(policies, "execution.allow_platforms", &|p| {
            p.allow_platforms.clone()
        }),
    ];
    for policy in policies {
        for (glob, version) in &policy.1.minimum_versions {
            let key = format!("execution.minimum_version.{glob}");
            out.push(line(&key, json!(version), vec![shown(&policy.0)]));
        }
    }
    out.push(flag("execution.refuse_downgrade", &|p| p.refuse_downgrade));
    out.push(flag("attestation.require_sbom", &|p| p.require_sbom));
    for (name, check) in Check::ALL {
        if matches!(check, Check::Variable | Check::Keychain) {
            continue;
        }
        let said = policies
            .iter()
            .filter_map(|(_, policy)| policy.level(check));
        let level = said.max().unwrap_or(Level::Deny);
        let from = from(policies, &|policy| policy.level(check) == Some(level));
        let key = format!("enforcement.{name}");
        out.push(line(&key, json!(level_name(level)), from));
    }
    out
}

fn line(key: &str, value: Value, from: Vec<String>) -> Line {
    let key = key.to_owned();
    Line { key, value, from }
}

fn from(policies: &[(PathBuf, HostPolicy)], of: &dyn Fn(&HostPolicy) -> bool) -> Vec<String> {
    let which = policies.iter().filter(|(_, policy)| of(policy));
    which.map(|(path, _)| shown(path)).collect()
}

/// A list that an item has to be in, of every policy that has one; `null` where none does.
fn common(
    policies: &[(PathBuf, HostPolicy)],
    key: &str,
    of: &dyn Fn(&HostPolicy) -> Vec<String>,
) -> Line {
    let lists = policies.iter().map(|(_, policy)| of(policy));
    let lists: Vec<Vec<String>> = lists.filter(|list| !list.is_empty()).collect();
    let value = lists.split_first().map(|(first, rest)| {
        let in_all = |item: &&String| rest.iter().all(|list| list.contains(item));
        first.iter().filter(in_all).collect::<Vec<_>>()
    });
    line(
        key,
        json!(value),
        from(policies, &|policy| !of(policy).is_empty()),
    )
}

fn max_age(policies: &[(PathBuf, HostPolicy)]) -> Line {
    let days = policies.iter().map(|(_, policy)| policy.max_age_days);
    let days = days.filter(|days| *days != 0).min();
    let which = from(policies, &|policy| Some(policy.max_age_days) == days);
    line("execution.max_age_days", json!(days), which)
}

pub(super) fn level_name(level: Level) -> &'static str {
    let mut names = Level::ALL.iter();
    let found = names.find(|(_, other)| *other == level);
    found.map_or("deny", |(name, _)| *name)
}

impl Report for Shown {
    fn text(&self) -> String {
        let mut out = String::new();
        let width = self.values.iter().map(|line| line.key.len()).max();
        let width = width.unwrap_or(0);
        for Line { key, value, from } in &self.values {
            let value = match value {
                Value::Null => "any".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let from = match from.is_empty() {
                true => "default".to_owned(),
                false => from.join(", "),
            };
            out.push_str(&format!("{key:<width$}  {HEAD}{value}{HEAD:#}  ({from})\n"));
        }
        out.push_str(&format!(
            "{:<width$}  {}\n",
            "revoked keys", self.revoked_keys
        ));
        if self.files.is_empty() {
            out.push_str("There is no policy on this host.\n");
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
