//! `flavor run`: verifies a package with this program and starts it, ignoring the launcher inside.

use psp_format::VerifiedPackage;
use psp_launcher::plan::Choice;
use psp_launcher::start::{self, StartError};
use psp_launcher::sys::{self, Sigpipe};

use super::caller::Caller;
use super::{Done, signers, trust_store, verified_for_start};
use crate::cli::RunArgs;
use crate::error::Error;
use crate::package_file::PackageFile;
use crate::printer::Printer;

/// Comes back only when the package was not started, with [`Error::NotStarted`].
pub(super) fn run(args: &RunArgs, printer: &Printer) -> Result<Done, Error> {
    Err(Error::NotStarted(Box::new(start(args, printer))))
}

/// Replaces this process. Returns why that was not possible.
fn start(args: &RunArgs, printer: &Printer) -> Error {
    let (file, package) = match verified(args, printer) {
        Ok(verified) => verified,
        Err(error) => return error,
    };
    let caller = Caller::starting(args.package.as_os_str(), &args.args);
    let snapshot = caller.snapshot();
    let choice = match &args.command {
        Some(name) => Choice::Named(name.as_bytes()),
        None => Choice::Caller,
    };
    sys::set_sigpipe(Sigpipe::Default);
    let error: StartError = match start::run(&package, file.as_source(), &snapshot, choice) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    // The message is still to be written, perhaps to a pipe that nobody reads.
    sys::set_sigpipe(Sigpipe::Ignored);
    Error::Start(error)
}

fn verified(args: &RunArgs, printer: &Printer) -> Result<(PackageFile, VerifiedPackage), Error> {
    let trust = trust_store(&args.trusting, printer)?;
    let needed = signers::needed(&args.trusting);
    verified_for_start(&args.package, Some((&trust, needed)), printer)
}
