//! `flavor trust add`: a key becomes a trusted one.

use std::path::PathBuf;

use psp_format::digest::Digest;
use psp_format::instant;
use psp_format::keys::public_key_to_pem;
use psp_format::signature::PublicKey;
use psp_launcher::trust::key_file::{self, KeyFile};
use serde::Serialize;

use super::{Scope, fingerprint, host_rules};
use crate::cli::TrustAddArgs;
use crate::error::Error;
use crate::keyring;
use crate::package_file::{json_path, shown};
use crate::printer::{Printer, Report, escape};

/// Digits of the fingerprint that a file is named by, as flavorpack does.
const NAME_DIGITS: usize = 16;

#[derive(Debug, Serialize)]
pub(super) struct Added {
    fingerprint: String,
    name: Option<String>,
    packages: Vec<String>,
    expires: Option<String>,
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
}

pub(super) fn add(args: &TrustAddArgs, printer: &Printer) -> Result<Added, Error> {
    let rules = host_rules()?;
    let scope = Scope::of(&rules, args.global)?;
    let key = limited(keyring::key_file(&args.file)?, args)?;
    let print = Digest::of(&key.key);
    if rules.revoked.contains(&print) {
        return Err(Error::RevokedKey { fingerprint: print });
    }
    let trust = rules.host.trust(true, Vec::new());
    let mut there = scope.keys(&trust)?.into_iter();
    if let Some(same) = there.find(|other| fingerprint(other) == print) {
        return Err(Error::TrustedAlready {
            path: same.path.clone(),
            fingerprint: print,
        });
    }
    let text = text_of(&key)?;
    let digits = print.to_string();
    let short = digits.get(..NAME_DIGITS).unwrap_or(&digits);
    let mut path = scope.store.join(format!("{short}.pub"));
    if path.symlink_metadata().is_ok() {
        // Something else has that name; nothing is ever overwritten.
        path = scope.store.join(format!("{digits}.pub"));
    }
    scope.write_new(&path, &text, "look what it is; it is not overwritten")?;
    if !args.global && rules.system_requires_key() {
        printer.warn(
            "the system's policy asks for trusted keys: only those in /etc/flavor/trusted-keys count",
            Some("have the administrator add it with --global"),
        );
    }
    Ok(Added {
        fingerprint: digits,
        expires: key.expires.map(instant::to_text),
        name: key.name,
        packages: key.packages,
        file: path,
    })
}

/// The key with what was asked for, in place of what its file says.
fn limited(mut key: KeyFile, args: &TrustAddArgs) -> Result<KeyFile, Error> {
    if let Some(name) = &args.name {
        let name = name.trim();
        if name.is_empty() || name.contains(char::is_control) {
            return Err(bad_value(name, "a name of one line"));
        }
        key.name = Some(name.to_owned());
    }
    if let Some(globs) = &args.packages {
        key.packages = globs
            .split(',')
            .map(|glob| glob.trim().to_owned())
            .collect();
        if !key.packages.iter().all(|glob| key_file::is_pattern(glob)) {
            return Err(bad_value(
                globs,
                "a list of package names, such as acme-*,tool",
            ));
        }
    }
    if let Some(date) = &args.expires {
        let last = key_file::last_second(date.as_bytes());
        let last = last.map_err(|_| bad_value(date, "a date such as 2027-01-31"))?;
        key.expires = Some(last);
    }
    Ok(key)
}

fn bad_value(value: &str, expected: &'static str) -> Error {
    Error::KeyValue {
        value: value.to_owned(),
        expected,
    }
}

/// The file of a key: whatever else was in the file that it came from stays behind.
fn text_of(key: &KeyFile) -> Result<String, Error> {
    let mut out = String::new();
    if let Some(name) = &key.name {
        out.push_str(&format!("# Name: {name}\n"));
    }
    if !key.packages.is_empty() {
        out.push_str(&format!("# Packages: {}\n", key.packages.join(", ")));
    }
    if let Some(last) = key.expires {
        out.push_str(&format!("# Expires: {}\n", instant::to_text(last)));
    }
    let public = PublicKey::from_bytes(&key.key).ok();
    let pem = public.and_then(|key| public_key_to_pem(&key).ok());
    out.push_str(&pem.ok_or_else(|| bad_value("the key", "a key that may be used"))?);
    Ok(out)
}

impl Report for Added {
    fn text(&self) -> String {
        let mut out = format!("trusted      {}\n", self.fingerprint);
        if let Some(name) = &self.name {
            out.push_str(&format!("name         {}\n", escape(name)));
        }
        let packages = match self.packages.is_empty() {
            true => "all".to_owned(),
            false => self.packages.join(", "),
        };
        out.push_str(&format!("packages     {packages}\n"));
        if let Some(last) = &self.expires {
            out.push_str(&format!("until        {last}\n"));
        }
        out.push_str(&format!("file         {}\n", shown(&self.file)));
        out
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
