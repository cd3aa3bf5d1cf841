//! `flavor sign`: a signature for a package that was built without one, on another machine perhaps, or one more for a
//! package that has some.
//!
//! What is signed is what was checked: the package is copied first, and the copy is checked, signed, verified and
//! renamed into place.

use std::fs;
use std::io::{self, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use psp_format::VerifiedPackage;
use psp_format::encode;
use psp_format::layout::{RawIndex, TRAILER_SIZE};
use psp_format::metadata::Metadata;
use psp_format::range::Range;
use psp_format::signature::{PrivateKey, PublicKey};
use psp_format::signed_by;
use psp_format::verify::{self, UnsignedPackage};
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::cli::SignArgs;
use crate::error::Error;
use crate::examine::{self, Refusal};
use crate::keyring;
use crate::package_file::{PackageFile, json_path, plain, shown};
use crate::printer::{Meter, Printer, Report};

#[derive(Debug, Serialize)]
pub(super) struct Signed {
    #[serde(serialize_with = "json_path")]
    file: PathBuf,
    fingerprint: String,
    package_id: String,
    signatures: usize,
}

pub(super) fn sign(args: &SignArgs, printer: &Printer) -> Result<Signed, Error> {
    let key = keyring::private_key(&args.private_key, printer)?;
    let original = PackageFile::open(&args.package)?;
    let output = args.output.as_deref().unwrap_or(&args.package);
    if args.add {
        return add(args, &key, &original, output, printer);
    }
    // Refused before a large file is copied; the copy is looked at again.
    check_head(&original, &args.package)?;

    let failed = |source| not_written(output, source);
    let copy = copy_beside(&original, output).map_err(failed)?;
    let file = PackageFile::open(copy.path())?;
    let (metadata, unsigned) = check_head(&file, &args.package)?;
    let meter = printer.meter("checking", unsigned.layout.trailer.start());
    check_body(&file, &args.package, &metadata, &unsigned, &meter)?;

    let start = unsigned.layout.trailer.start();
    let copy = Copy { copy, file, output };
    copy.finish(args, &key, &trailer(&unsigned, &key), start)
}

/// Puts a signature beside those that a package has. The package is verified before, and again after.
fn add(
    args: &SignArgs,
    key: &PrivateKey,
    original: &PackageFile,
    output: &Path,
    printer: &Printer,
) -> Result<Signed, Error> {
    let failed = |source| not_written(output, source);
    // Refused before a large file is copied; the copy is looked at again.
    let package = examine::open(original)?.map_err(|refusal| refused(&args.package, refusal))?;
    trailer_with(original, &package, &args.package, key)?;

    let copy = copy_beside(original, output).map_err(failed)?;
    let file = PackageFile::open(copy.path())?;
    let package = match examine::require(&file, |_| true, |n| printer.meter("checking", n)) {
        Err(Error::Refused { refusal, .. }) => return Err(refused(&args.package, refusal)),
        other => other?,
    };
    let trailer = trailer_with(&file, &package, &args.package, key)?;
    let start = package.layout().trailer.start();
    Copy { copy, file, output }.finish(args, key, &trailer, start)
}

/// The copy of a package that gets its new trailer, and then its place.
struct Copy<'a> {
    copy: NamedTempFile,
    /// The same file, as a package.
    file: PackageFile,
    output: &'a Path,
}

impl Copy<'_> {
    /// Writes the trailer at `start`, verifies the package as it then is, and puts it in its place.
    fn finish(
        self,
        args: &SignArgs,
        key: &PrivateKey,
        trailer: &[u8; TRAILER_SIZE],
        start: u64,
    ) -> Result<Signed, Error> {
        let failed = |source| not_written(self.output, source);
        let copy = self.copy.as_file();
        copy.write_all_at(trailer, start).map_err(failed)?;
        copy.sync_all().map_err(failed)?;
        let package = examine::open(&self.file)?;
        let package = package.map_err(|refusal| refused(&args.package, refusal))?;
        let persisted = self.copy.persist(self.output);
        persisted.map_err(|error| not_written(self.output, error.error))?;
        Ok(Signed {
            file: self.output.to_owned(),
            fingerprint: key.public_key().fingerprint().to_string(),
            package_id: package.package_id().to_string(),
            signatures: package.signers().count(),
        })
    }
}

fn not_written(output: &Path, source: io::Error) -> Error {
    Error::Write {
        path: output.to_owned(),
        source: plain(source),
    }
}

/// The trailer of a verified package with the signature of one more key.
fn trailer_with(
    file: &PackageFile,
    package: &VerifiedPackage,
    named: &Path,
    key: &PrivateKey,
) -> Result<[u8; TRAILER_SIZE], Error> {
    let parts = file.parts()?;
    let found = parts
        .found()
        .map_err(|error| refused(named, error.into()))?;
    let (signer, signature) = (key.public_key(), key.sign(package.text()));
    let index = signed_by::add(RawIndex::from_bytes(found.index), &signer, &signature);
    let index = index.map_err(|fault| Error::NotAdded {
        path: named.to_owned(),
        signer: signer.fingerprint(),
        fault,
    })?;
    Ok(encode::trailer(&index))
}

/// A copy with the mode of the original, in the directory where it will be renamed.
fn copy_beside(original: &PackageFile, output: &Path) -> io::Result<NamedTempFile> {
    let parent = output
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let mut copy = NamedTempFile::new_in(parent.unwrap_or(Path::new(".")))?;
    let mut from = original.file();
    from.rewind()?;
    io::copy(&mut from, copy.as_file_mut())?;
    let mode: fs::Permissions = original.file().metadata()?.permissions();
    copy.as_file().set_permissions(mode)?;
    Ok(copy)
}

fn check_head(file: &PackageFile, named: &Path) -> Result<(Metadata, UnsignedPackage), Error> {
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
    if index
        .signature
        .iter()
        .chain(&index.public_key)
        .any(|&byte| byte != 0)
    {
        return match PublicKey::from_bytes(&index.public_key) {
            Ok(signer) => Err(Error::AlreadySigned {
                path: named.to_owned(),
                signer: signer.fingerprint(),
            }),
            Err(fault) => Err(refused(named, psp_format::Error::Key(fault).into())),
        };
    }
    verify::verify_unsigned(&found).map_err(|error| refused(named, error.into()))
}

/// Launcher, slots and padding: whoever signs vouches for them.
fn check_body(
    file: &PackageFile,
    named: &Path,
    metadata: &Metadata,
    unsigned: &UnsignedPackage,
    meter: &Meter,
) -> Result<(), Error> {
    let wrong = |error: psp_format::Error| refused(named, error.into());
    let digest = |range: Range| file.digest(range, &|n| meter.advance(n));
    if digest(unsigned.layout.launcher)? != metadata.launcher.checksum.0 {
        return Err(wrong(psp_format::Error::LauncherDigest));
    }
    for (slot, range) in metadata.slots.iter().zip(&unsigned.layout.slots) {
        if digest(*range)? != slot.checksum.0 {
            return Err(wrong(psp_format::Error::SlotDigest {
                slot: slot.id.clone(),
            }));
        }
    }
    for padding in unsigned.layout.paddings() {
        verify::check_padding(padding.start(), &file.read(padding)?).map_err(wrong)?;
    }
    Ok(())
}

fn trailer(unsigned: &UnsignedPackage, key: &PrivateKey) -> [u8; TRAILER_SIZE] {
    unsigned.trailer(&key.public_key(), &key.sign(&unsigned.text))
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
