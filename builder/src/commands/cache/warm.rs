//! `flavor cache warm`: packages made ready, for images, read-only roots, and first starts that nobody wants to wait for.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use psp_launcher::env_vars::FLAVOR_DEV;
use psp_launcher::start::{self, SYSTEM_STORE};
use psp_launcher::store::{Store, StoreError};
use serde::Serialize;

use super::{candidates, named, unusable};
use crate::cli::cache::WarmArgs;
use crate::commands::caller::Caller;
use crate::commands::{signers, trust_store, verified_for_start};
use crate::error::{CacheError, Error};
use crate::package_file::{plain, shown};
use crate::printer::{Printer, Report, escape};

#[derive(Debug, Serialize)]
pub(super) struct Ready {
    packages: Vec<Package>,
}

#[derive(Debug, Serialize)]
struct Package {
    file: String,
    name: String,
    version: String,
    workenv: String,
}

pub(super) fn warm(args: &WarmArgs, printer: &Printer) -> Result<Ready, Error> {
    let trust = trust_store(&args.trusting, printer)?;
    let needed = signers::needed(&args.trusting);
    let mut ready = Ready {
        packages: Vec::new(),
    };
    for path in &args.packages {
        let (file, package) = verified_for_start(path, Some((&trust, needed)), printer)?;
        let caller = Caller::starting(path.as_os_str(), &[]);
        let snapshot = caller.snapshot();
        if args.place.system {
            make_for_everybody(Path::new(SYSTEM_STORE))?;
        }
        let places = candidates(&args.place, &snapshot)?;
        let store = Store::open_for(&places, &package).map_err(|error| refused(args, error))?;
        let dev = snapshot.var(FLAVOR_DEV) == Some(b"1");
        let store = store.with_dev(dev);
        let store = if args.place.system {
            store.durable()
        } else {
            store
        };
        let workenv = start::warm(&package, file.as_source(), &snapshot, &store);
        let workenv = workenv.map_err(CacheError::Start)?;
        let about = &package.metadata().package;
        ready.packages.push(Package {
            file: shown(path),
            name: about.name.clone(),
            version: about.version.clone(),
            workenv: shown(&workenv.path),
        });
    }
    Ok(ready)
}

/// A store that was made with the rights of a cache could not be entered by those that it is for.
fn make_for_everybody(path: &Path) -> Result<(), Error> {
    let made = match fs::create_dir(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o755)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    };
    made.map_err(|source| Error::Write {
        path: path.to_owned(),
        source: plain(source),
    })
}

/// A cache that was named is spoken of alone.
fn refused(args: &WarmArgs, error: StoreError) -> CacheError {
    match (error, named(&args.place)) {
        (StoreError::NoPlace(mut rejected), Some(path)) => match rejected.pop() {
            Some(one) => unusable(&path, one.reason),
            None => CacheError::NoPlace(rejected),
        },
        (StoreError::NoPlace(rejected), None) => CacheError::NoPlace(rejected),
        (other, _) => CacheError::Store(other),
    }
}

impl Report for Ready {
    fn text(&self) -> String {
        let lines = self.packages.iter().map(|one| {
            let (name, version) = (escape(&one.name), escape(&one.version));
            format!("{name} {version} is ready: {}\n", one.workenv)
        });
        lines.collect()
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
