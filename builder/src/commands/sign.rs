//! `flavor sign`: a signature for a package that was built without one, on another machine perhaps, or one more for a
//! package that has some.
//!
//! Nobody signs what was not checked, and nothing takes the place of the package that was not verified with its new
//! signature: the package is checked, signed, copied, and the copy is verified and renamed into place. Nothing is written
//! while a signing program is waited for.

use std::fs;
use std::io::{self, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use psp_format::encode;
use psp_format::layout::{RawIndex, TRAILER_SIZE};
use psp_format::signature::PublicKey;
use psp_format::signed_by;
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::cli::SignArgs;
use crate::error::Error;
use crate::examine::{self, Refusal};
use crate::interrupt::{self, Kept};
use crate::package_file::{PackageFile, json_path, plain, shown};
use crate::printer::{Printer, Report};
use crate::signer::Signer;
use crate::sums;

#[derive(Debug, Serialize)]
pub(super) struct Signed {
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
    /// Of the file.
    sha256: Option<String>,
    fingerprint: String,
    package_id: String,
    signatures: usize,
}

pub(super) fn sign(args: &SignArgs, printer: &Printer) -> Result<Signed, Error> {
    let signer = Signer::named(&args.private_key, args.public_key.as_deref(), None, printer)?;
    let original = PackageFile::open(&args.package)?;
    // Its one signature is made when it is built: neither --add nor --unsigned is any help.
    if let Err(Refusal::OtherBuilder) = examine::open(&original)? {
        return Err(refused(&args.package, Refusal::SignedByItsBuilder));
    }
    let trailer = if args.add {
        one_more(&original, args, &signer, printer)?
    } else {
        the_first(&original, args, &signer, printer)?
    };
    write(&original, &trailer, args, &signer, printer)
}

/// A trailer, and where it goes.
struct Trailer {
    bytes: [u8; TRAILER_SIZE],
    start: u64,
}

/// Checks an unsigned package, and has it signed.
fn the_first(
    original: &PackageFile,
    args: &SignArgs,
    signer: &Signer,
    printer: &Printer,
) -> Result<Trailer, Error> {
    check_free(original, &args.package)?;
    let meter = |total| printer.meter("checking", total);
    let (_, unsigned) = examine::require_unsigned(original, meter)?;
    let signature = signer.sign(&unsigned.text)?;
    let bytes = unsigned.trailer(&signer.public_key(), &signature);
    Ok(Trailer {
        bytes,
        start: unsigned.layout.trailer.start(),
    })
}

/// Verifies a signed package, and has it signed once more.
fn one_more(
    original: &PackageFile,
    args: &SignArgs,
    signer: &Signer,
    printer: &Printer,
) -> Result<Trailer, Error> {
    let meter = |total| printer.meter("checking", total);
    let package = examine::require(original, |_| true, meter)?;
    let parts = original.parts()?;
    let found = parts.found();
    let found = found.map_err(|error| refused(&args.package, error.into()))?;
    let (index, key) = (RawIndex::from_bytes(found.index), signer.public_key());
    let with = |signature| {
        signed_by::add(index, &key, signature).map_err(|fault| Error::NotAdded {
            path: args.package.clone(),
            signer: key.fingerprint(),
            fault,
        })
    };
    // Nobody is asked for a signature for which there is no place.
    with(&[0; 64])?;
    let index = with(&signer.sign(package.text())?)?;
    Ok(Trailer {
        bytes: encode::trailer(&index),
        start: package.layout().trailer.start(),
    })
}

/// Copies the package, gives the copy its new trailer, verifies it as it then is, and puts it in its place.
fn write(
    original: &PackageFile,
    trailer: &Trailer,
    args: &SignArgs,
    signer: &Signer,
    printer: &Printer,
) -> Result<Signed, Error> {
    let output = args.output.as_deref().unwrap_or(&args.package);
    let failed = |source| not_written(output, source);
    let (_kept, copy) = copy_beside(original, output).map_err(failed)?;
    let file = copy.as_file();
    let written = file.write_all_at(&trailer.bytes, trailer.start);
    written.and_then(|()| file.sync_all()).map_err(failed)?;
    // Everything again: the original may have been changed while somebody was asked for a signature.
    let meter = |total| printer.meter("checking", total);
    let signed = PackageFile::open(copy.path())?;
    let package = match examine::require(&signed, |_| true, meter) {
        Err(Error::Refused { refusal, .. }) => return Err(refused(&args.package, refusal)),
        other => other?,
    };
    let persisted = copy.persist(output);
    persisted.map_err(|error| not_written(output, error.error))?;
    let sha256 = sums::of_written(output, args.reporting.json, args.sums)?;
    Ok(Signed {
        file: output.to_owned(),
        sha256: sha256.map(|digest| digest.to_string()),
        fingerprint: signer.public_key().fingerprint().to_string(),
        package_id: package.package_id().to_string(),
        signatures: package.signers().count(),
    })
}

fn not_written(output: &Path, source: io::Error) -> Error {
    Error::Write {
        path: output.to_owned(),
        source: plain(source),
    }
}

/// A copy with the mode of the original, in the directory where it will be renamed.
fn copy_beside(original: &PackageFile, output: &Path) -> io::Result<(Kept, NamedTempFile)> {
    let parent = output
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    let (kept, mut copy) = interrupt::keep(|| NamedTempFile::new_in(directory))?;
    let mut from = original.file();
    from.rewind()?;
    io::copy(&mut from, copy.as_file_mut())?;
    let mode: fs::Permissions = original.file().metadata()?.permissions();
    copy.as_file().set_permissions(mode)?;
    Ok((kept, copy))
}

/// Refuses what is signed already, and what is no package.
fn check_free(file: &PackageFile, named: &Path) -> Result<(), Error> {
    let parts = file.parts()?;
    let found = match parts.found() {
        Ok(found) => found,
        // The gate finds the same fault, and explains it.
        Err(error) => {
            let refusal = examine::open(file)?.err();
            return Err(refused(named, refusal.unwrap_or(Refusal::Format(error))));
        }
    };
    let index = RawIndex::from_bytes(found.index);
    if examine::is_unsigned(index) {
        return Ok(());
    }
    match PublicKey::from_bytes(&index.public_key) {
        Ok(signer) => Err(Error::AlreadySigned {
            path: named.to_owned(),
            signer: signer.fingerprint(),
        }),
        Err(fault) => Err(refused(named, psp_format::Error::Key(fault).into())),
    }
}

fn refused(path: &Path, refusal: Refusal) -> Error {
    Error::Refused {
        path: path.to_owned(),
        refusal,
    }
}

impl Report for Signed {
    fn text(&self) -> String {
        let (file, signer) = (shown(&self.file), &self.fingerprint);
        match self.signatures {
            1 => format!("{file} is signed by {signer}\n"),
            n => format!("{file} is signed by {signer} too, one of {n} signatures\n"),
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
