//! `flavor trust rotate`: a statement, signed by an old key, that a new one continues it.

use std::path::{Path, PathBuf};

use psp_format::succession;
use serde::Serialize;

use super::super::keygen;
use crate::cli::RotateArgs;
use crate::error::Error;
use crate::keyring;
use crate::package_file::{json_path, shown};
use crate::printer::{Printer, Report};
use crate::signer::Signer;

/// What to do when something is where the statement should go.
const NEVER_OVERWRITTEN: &str = "statements are never overwritten: give another --output";

#[derive(Debug, Serialize)]
pub(super) struct Rotation {
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
    old: String,
    new: String,
}

pub(super) fn rotate(args: &RotateArgs, printer: &Printer) -> Result<Rotation, Error> {
    let old = Signer::named(&args.old, args.public_key.as_deref(), None, printer)?;
    let new = keyring::public_key(&args.new)?;
    let bytes = succession::to_sign(&old.public_key(), &new);
    let text = succession::write_signed(&bytes, &old.sign(&bytes)?);
    // What hosts will say about it is asked here first.
    let statement =
        succession::read(text.as_bytes()).map_err(|fault| Error::NoSuccession { fault })?;
    let file = match &args.output {
        Some(path) => path.clone(),
        None => default_name(&args.new),
    };
    let parent = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let staged = keygen::stage(parent, &file, text.as_bytes(), 0o644)?;
    keygen::publish(staged, &file, NEVER_OVERWRITTEN)?;
    Ok(Rotation {
        file,
        old: statement.old_key().fingerprint().to_string(),
        new: statement.new_key().fingerprint().to_string(),
    })
}

/// `NEW.succession` in the working directory: beside the key may be a trust store, which this verb does not change.
fn default_name(new: &Path) -> PathBuf {
    let name = new.with_extension("succession");
    name.file_name().map(PathBuf::from).unwrap_or(name)
}

impl Report for Rotation {
    fn text(&self) -> String {
        format!(
            "statement  {}\nold key    {} (signed it)\nnew key    {}\n\
             Put the statement into the trusted-keys directory of each host that trusts the old key: the new key is \
             trusted there then, as the old one is.\n\
             Keep the old key as safe as before: whoever has it can name another successor. If it was stolen, have \
             hosts revoke it instead.\n",
            shown(&self.file),
            self.old,
            self.new
        )
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
