//! `flavor run`: verifies a package with this program and starts it, ignoring the launcher inside.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use psp_launcher::plan::{Choice, Snapshot};
use psp_launcher::start::{self, StartError};
use psp_launcher::sys::{self, Sigpipe};

use super::{Done, signers, trust_store};
use crate::cli::RunArgs;
use crate::error::Error;
use crate::examine;
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
    let command = c_string(args.package.as_os_str());
    let arguments: Vec<CString> = args.args.iter().map(|arg| c_string(arg)).collect();
    let variables: Vec<CString> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let pair = [name.into_vec(), b"=".to_vec(), value.into_vec()].concat();
            CString::new(pair).ok()
        })
        .collect();
    let snapshot = Snapshot {
        command: &command,
        args: borrowed(&arguments),
        vars: borrowed(&variables),
        uid: sys::effective_uid(),
    };
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

/// Every byte of the file is compared with what was signed, on every start: that is what this verb is for. What the slots
/// decode to is checked when they are unpacked.
fn verified(
    args: &RunArgs,
    printer: &Printer,
) -> Result<(PackageFile, psp_format::VerifiedPackage), Error> {
    let trust = trust_store(&args.trusting, printer)?;
    let file = PackageFile::open(&args.package)?;
    let package = examine::require(&file, |_| true, |total| printer.meter("checking", total))?;
    let signers = signers::of(&package, &trust);
    let (trusted, needed) = (
        signers::count_trusted(&signers),
        signers::needed(&args.trusting),
    );
    let path = args.package.clone();
    match (trusted < needed, signers.len(), needed) {
        (false, _, _) => Ok((file, package)),
        (true, 1, 1) => Err(Error::NotTrusted {
            path,
            signer: package.signer().fingerprint(),
            reason: signers.first().and_then(|signer| signer.reason.clone()),
        }),
        (true, signers, _) => Err(Error::TooFewTrusted {
            path,
            trusted,
            signers,
            needed,
        }),
    }
}

/// Arguments come from the kernel as C strings, so none holds a NUL.
fn c_string(text: &OsStr) -> CString {
    CString::new(text.as_bytes()).unwrap_or_default()
}

fn borrowed(strings: &[CString]) -> Vec<&CStr> {
    strings.iter().map(CString::as_c_str).collect()
}
