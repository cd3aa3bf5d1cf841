//! A module for each verb: it does what the verb says and returns a report or an error. None of them prints its result
//! or leaves the process.

mod apply;
mod cache;
mod caller;
mod completions;
mod delta;
mod diff;
mod doctor;
mod explain;
mod extract;
mod init;
mod inspect;
mod keygen;
mod link;
mod man;
mod pack;
mod policy;
mod rebuild;
mod run;
mod sign;
mod signers;
mod trust;
mod verify;

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use psp_format::VerifiedPackage;
use psp_format::digest::Digest;
use psp_launcher::policy::judge::{HostRefusal, Rules};
use psp_launcher::sys;

use crate::cli::{Trusting, Verb};
use crate::error::Error;
use crate::examine;
use crate::keyring::TrustStore;
use crate::package_file::PackageFile;
use crate::printer::{Printer, Report};
use signers::Signer;

pub use man::pages as man_pages;

/// What a verb has done.
pub struct Done {
    /// What to tell.
    pub report: Box<dyn Report>,
    /// The answer, where the verb is a question.
    pub answer: Answer,
}

/// The answer to a question about a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is so, or nothing was asked.
    Yes,
    /// It is not so.
    No,
}

/// Does what the person asked for.
pub fn execute(verb: Verb, printer: &Printer) -> Result<Done, Error> {
    match verb {
        Verb::Init(args) => init::init(&args).map(done),
        Verb::Pack(args) if args.explain => explain::explain(&args, printer).map(done),
        Verb::Pack(args) => pack::pack(&args, printer),
        Verb::Verify(args) => verify::verify(&args, printer),
        Verb::Inspect(args) => inspect::inspect(&args, printer),
        Verb::Extract(args) => extract::one(&args, printer).map(done),
        Verb::ExtractAll(args) => extract::all(&args, printer).map(done),
        Verb::Run(args) => run::run(&args, printer),
        Verb::Link(args) => link::link(&args, printer).map(done),
        Verb::Cache(args) => cache::cache(&args.verb, printer),
        Verb::Diff(args) => diff::diff(&args, printer),
        Verb::Rebuild(args) => rebuild::rebuild(&args, printer),
        Verb::Delta(args) => delta::delta(&args, printer).map(done),
        Verb::Apply(args) => apply::apply(&args, printer).map(done),
        Verb::Keygen(args) => keygen::keygen(&args).map(done),
        Verb::Sign(args) => sign::sign(&args, printer).map(done),
        Verb::Trust(args) => trust::trust(&args.verb, printer),
        Verb::Policy(args) => policy::policy(&args.verb, printer),
        Verb::Doctor(args) => Ok(doctor::doctor(&args)),
        Verb::Completions(args) => Ok(done(completions::completions(&args))),
        Verb::Man(args) => man::man(&args).map(done),
    }
}

fn done(report: impl Report + 'static) -> Done {
    Done {
        report: Box::new(report),
        answer: Answer::Yes,
    }
}

/// The keys that are trusted here: those named on the command line, and the host's own.
fn trust_store(trusting: &Trusting, printer: &Printer) -> Result<TrustStore, Error> {
    let rules = host_rules()?;
    Ok(TrustStore::load(&trusting.trusted_keys, &rules, printer)?)
}

/// What this host says about packages.
fn host_rules() -> Result<Rules, Error> {
    use psp_launcher::env_vars as names;
    let names = [
        names::FLAVOR_CONFIG_DIR,
        names::FLAVOR_TRUSTED_KEYS_DIR,
        names::XDG_CONFIG_HOME,
        names::HOME,
    ];
    let values = names.map(|name| (name, std::env::var_os(name)));
    let var = |wanted: &str| {
        let found = values.iter().find(|(name, _)| *name == wanted);
        found.and_then(|(_, value)| value.as_ref().map(|value| value.as_bytes()))
    };
    Rules::read(&var, sys::effective_uid()).map_err(|error| Error::Host(HostRefusal::Config(error)))
}

/// Opens and verifies a package that is to be started or made ready. With `trust`, so many signers have to be in it.
///
/// Every byte of the file is compared with what was signed, each time: that is what these verbs are for. What the slots
/// decode to is checked when they are unpacked.
fn verified_for_start(
    path: &Path,
    trust: Option<(&TrustStore, usize)>,
    printer: &Printer,
) -> Result<(PackageFile, VerifiedPackage), Error> {
    let file = PackageFile::open(path)?;
    let package = examine::require(&file, |_| true, |total| printer.meter("checking", total))?;
    let Some((trust, needed)) = trust else {
        return Ok((file, package));
    };
    let signers = signers::of(&package, trust);
    match signers::count_trusted(&signers) < needed {
        false => Ok((file, package)),
        true => Err(too_few(path, &signers, needed)),
    }
}

/// The error for a package with fewer trusted signers than are asked for.
fn too_few(path: &Path, signers: &[Signer], needed: usize) -> Error {
    let path = path.to_owned();
    match (signers, needed) {
        ([signer], 1) => Error::NotTrusted {
            path,
            signer: Digest::from_hex(&signer.fingerprint).unwrap_or_default(),
            reason: signer.reason.clone(),
        },
        _ => Error::TooFewTrusted {
            path,
            trusted: signers::count_trusted(signers),
            signers: signers.len(),
            needed,
        },
    }
}
