//! `flavor init`: a manifest for the project that a directory holds.

use std::io::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::cli::InitArgs;
use crate::error::Error;
use crate::manifest::{self, FLAVOR_TOML};
use crate::package_file::{json_path, shown};
use crate::printer::Report;

#[derive(Debug, Serialize)]
pub(super) struct Written {
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
    recognised: &'static str,
    note: Option<&'static str>,
}

pub(super) fn init(args: &InitArgs) -> Result<Written, Error> {
    let file = args.dir.join(FLAVOR_TOML);
    let recognised = manifest::recognise(&args.dir)?.ok_or_else(|| Error::NoProject {
        path: args.dir.clone(),
    })?;
    let write = |source| Error::Write {
        path: file.clone(),
        source,
    };
    let mut staged = tempfile::NamedTempFile::new_in(&args.dir).map_err(write)?;
    staged
        .write_all(recognised.manifest.as_bytes())
        .map_err(write)?;
    // It is no secret, as temporary files may be.
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644);
    staged.as_file().set_permissions(mode).map_err(write)?;
    match args.force {
        true => staged.persist(&file).map_err(|error| write(error.error))?,
        false => staged
            .persist_noclobber(&file)
            .map_err(|error| match error.error.kind() {
                std::io::ErrorKind::AlreadyExists => Error::Exists {
                    path: file.clone(),
                    help: "edit it, or let --force replace it",
                },
                _ => write(error.error),
            })?,
    };
    Ok(Written {
        file,
        recognised: recognised.kind,
        note: recognised.note,
    })
}

impl Report for Written {
    fn text(&self) -> String {
        let note = self.note.map(|note| format!("\n{note}"));
        format!(
            "{}: {}; `flavor pack` builds it{}\n",
            shown(&self.file),
            self.recognised,
            note.unwrap_or_default()
        )
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
