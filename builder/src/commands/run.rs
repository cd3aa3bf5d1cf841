//! `flavor run`: verifies a package with this program and starts it, ignoring the launcher inside.

use psp_format::VerifiedPackage;
use psp_launcher::plan::{Choice, PlanError};
use psp_launcher::start::{self, StartError};
use psp_launcher::sys::{self, Sigpipe};

use super::caller::Caller;
use super::{Done, host_rules, signers, too_few, trust_store, verified_for_start};
use crate::base;
use crate::cli::RunArgs;
use crate::error::Error;
use crate::examine::{self, Refusal};
use crate::keyring::TrustStore;
use crate::package_file::PackageFile;
use crate::printer::Printer;

/// Comes back only when the package was not started, with [`Error::NotStarted`].
pub(super) fn run(args: &RunArgs, printer: &Printer) -> Result<Done, Error> {
    Err(Error::NotStarted(Box::new(start(args, printer))))
}

/// Replaces this process. Returns why that was not possible.
fn start(args: &RunArgs, printer: &Printer) -> Error {
    match verified(args, printer) {
        Ok((file, package)) => replace(args, &file, &package, printer),
        Err(error) => error,
    }
}

/// A package that may be started here.
enum Package {
    Strict(Box<VerifiedPackage>),
    Base(Box<base::Package>),
}

fn verified(args: &RunArgs, printer: &Printer) -> Result<(PackageFile, Package), Error> {
    let trust = trust_store(&args.trusting, printer)?;
    let needed = signers::needed(&args.trusting);
    let file = PackageFile::open(&args.package)?;
    if !matches!(examine::open(&file)?, Err(Refusal::OtherBuilder)) {
        let (file, package) = verified_for_start(&args.package, Some((&trust, needed)), printer)?;
        return Ok((file, Package::Strict(Box::new(package))));
    }
    let package = base::require(&file, |_| true, |total| printer.meter("checking", total))?;
    let signers = signers::of_base(&package, &trust);
    let trusted = signers::count_trusted(&signers);
    if trusted < needed {
        return Err(too_few(&args.package, &signers, needed));
    }
    if args.command.is_some() {
        let name = args.command.clone().unwrap_or_default().into_bytes();
        let known = Vec::new();
        return Err(StartError::Plan(PlanError::UnknownCommand { name, known }).into());
    }
    let rules = host_rules()?;
    // Where the system's policy asks for a trusted key, keys that the caller names are no answer.
    let host = TrustStore::load(&[], &rules, printer)?;
    base::policy::check(&package, &rules, &host, printer)?;
    Ok((file, Package::Base(Box::new(package))))
}

fn replace(args: &RunArgs, file: &PackageFile, package: &Package, printer: &Printer) -> Error {
    let caller = Caller::starting(args.package.as_os_str(), &args.args);
    let snapshot = caller.snapshot();
    let choice = match &args.command {
        Some(name) => Choice::Named(name.as_bytes()),
        None => Choice::Caller,
    };
    sys::set_sigpipe(Sigpipe::Default);
    let started = match package {
        Package::Base(package) => base::run::start(package, file, &snapshot, printer),
        Package::Strict(package) if base::run::is_for_others(package) => {
            base::run::start_strict(package, file, &snapshot, choice, printer)
        }
        Package::Strict(package) => {
            start::run(package, file.as_source(), &snapshot, choice).map_err(Error::from)
        }
    };
    // The message is still to be written, perhaps to a pipe that nobody reads.
    sys::set_sigpipe(Sigpipe::Ignored);
    match started {
        Ok(never) => match never {},
        Err(error) => error,
    }
}
