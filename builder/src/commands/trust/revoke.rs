//! `flavor trust revoke`: nothing that a key has signed starts here any more, whatever else is said of it.

use std::fs;
use std::path::{Path, PathBuf};

use psp_format::digest::Digest;
use psp_launcher::trust::revoked::REVOKED_KEYS;
use serde::Serialize;

use super::{Scope, host_rules, write_error};
use crate::cli::TrustRevokeArgs;
use crate::error::Error;
use crate::keyring;
use crate::package_file::{json_path, shown};
use crate::printer::Report;

#[derive(Debug, Serialize)]
pub(super) struct Revoked {
    fingerprint: String,
    /// Whether it was there before.
    already: bool,
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
}

pub(super) fn revoke(args: &TrustRevokeArgs) -> Result<Revoked, Error> {
    let rules = host_rules()?;
    let scope = Scope::of(&rules, args.global)?;
    let named = args.key.to_str().and_then(Digest::from_hex);
    let (print, name) = match named {
        Some(print) => (print, None),
        None => {
            let key = keyring::key_file(Path::new(&args.key))?;
            (Digest::of(&key.key), key.name)
        }
    };
    let path = scope.dir.join(REVOKED_KEYS);
    // The list has been read as a whole by now, so it is a good one.
    let mut text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(write_error(&path, error)),
    };
    let list = psp_launcher::trust::revoked::read(text.as_bytes());
    let already = list.is_ok_and(|list| list.contains(&print));
    if !already {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&print.to_string());
        // The name helps whoever reads the list; it comes from a file, and must stay a comment.
        let name = name.filter(|name| !name.contains(char::is_control));
        if let Some(name) = name {
            text.push_str(&format!(" # {name}"));
        }
        text.push('\n');
        scope.replace(&path, &text)?;
    }
    Ok(Revoked {
        fingerprint: print.to_string(),
        already,
        file: path,
    })
}

impl Report for Revoked {
    fn text(&self) -> String {
        let was = if self.already { " (was already)" } else { "" };
        format!(
            "revoked  {}{was}\nfile     {}\n",
            self.fingerprint,
            shown(&self.file)
        )
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
