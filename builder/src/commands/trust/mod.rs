//! `flavor trust`: whom this host trusts. The files are those of flavorpack, with lines that limit a key.

mod add;
mod list;
mod remove;
mod revoke;
mod rotate;
mod verify;

use std::fs::{self, DirBuilder, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use psp_format::digest::Digest;
use psp_launcher::policy::judge::{HostRefusal, Rules};
use psp_launcher::trust::config::{ConfigError, SYSTEM, TRUSTED_KEYS};
use psp_launcher::trust::file::Fault;
use psp_launcher::trust::{Key, Trust};
use tempfile::NamedTempFile;

use super::{Done, done, host_rules};
use crate::cli::TrustVerb;
use crate::error::Error;
use crate::package_file::plain;
use crate::printer::Printer;

pub(super) fn trust(verb: &TrustVerb, printer: &Printer) -> Result<Done, Error> {
    match verb {
        TrustVerb::Add(args) => add::add(args, printer).map(done),
        TrustVerb::List(args) => list::list(args, printer).map(done),
        TrustVerb::Remove(args) => remove::remove(args).map(done),
        TrustVerb::Verify(args) => verify::verify(args, printer),
        TrustVerb::Revoke(args) => revoke::revoke(args).map(done),
        TrustVerb::Rotate(args) => rotate::rotate(args, printer).map(done),
    }
}

/// A place for settings: the system's, or this person's.
pub(super) struct Scope {
    /// The directory.
    pub(super) dir: PathBuf,
    /// The store of keys.
    store: PathBuf,
    is_system: bool,
}

impl Scope {
    pub(super) fn of(rules: &Rules, global: bool) -> Result<Scope, Error> {
        let (dir, store) = if global {
            (SYSTEM.into(), Path::new(SYSTEM).join(TRUSTED_KEYS))
        } else {
            let host = &rules.host;
            let dir = host.user_path.clone().ok_or(Error::NoConfigDir)?;
            (dir, host.user_store.clone().ok_or(Error::NoConfigDir)?)
        };
        Ok(Scope {
            dir,
            store,
            is_system: global,
        })
    }

    /// The keys in the store.
    fn keys<'t>(&self, trust: &'t Trust) -> Result<Vec<&'t Key>, Error> {
        if let Some(fault) = trust.faults.iter().find(|fault| fault.path == self.store) {
            return Err(cannot_believe(fault));
        }
        let here = |key: &&Key| key.path.parent() == Some(&self.store);
        Ok(trust.keys.iter().filter(here).collect())
    }

    /// Makes a directory of this place. The system's can be read by everybody: whoever starts a package has to.
    fn make(&self, dir: &Path) -> Result<(), Error> {
        let mode = if self.is_system { 0o755 } else { 0o700 };
        let made = DirBuilder::new().recursive(true).mode(mode).create(dir);
        made.map_err(|source| write_error(dir, source))
    }

    /// A whole file beside the place where it will get its name.
    fn stage(&self, path: &Path, text: &str) -> Result<NamedTempFile, Error> {
        let failed = |source| write_error(path, source);
        let dir = path.parent().unwrap_or(&self.dir);
        self.make(dir)?;
        let mut file = NamedTempFile::new_in(dir).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        let mode = Permissions::from_mode(0o644);
        file.as_file().set_permissions(mode).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        Ok(file)
    }

    /// Writes a file that is not there yet.
    pub(super) fn write_new(
        &self,
        path: &Path,
        text: &str,
        help: &'static str,
    ) -> Result<(), Error> {
        let file = self.stage(path, text)?;
        match file.persist_noclobber(path) {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                let path = path.to_owned();
                Err(Error::Exists { path, help })
            }
            Err(error) => Err(write_error(path, error.error)),
        }
    }

    /// Replaces a file at once.
    fn replace(&self, path: &Path, text: &str) -> Result<(), Error> {
        let file = self.stage(path, text)?;
        let replaced = file.persist(path);
        replaced.map_err(|error| write_error(path, error.error))?;
        Ok(())
    }
}

fn remove_file(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).map_err(|source| write_error(path, source))
}

fn write_error(path: &Path, source: std::io::Error) -> Error {
    Error::Write {
        path: path.to_owned(),
        source: plain(source),
    }
}

fn cannot_believe(fault: &Fault) -> Error {
    Error::Host(HostRefusal::Config(ConfigError::Fault(fault.clone())))
}

fn fingerprint(key: &Key) -> Digest {
    Digest::of(&key.file.key)
}

/// Warnings about what lies in the stores and counts for nothing.
fn warn_of_faults(trust: &Trust, printer: &Printer) {
    for fault in &trust.faults {
        printer.warn(&format!("{fault}: it is not used"), Some(fault.help()));
    }
}
