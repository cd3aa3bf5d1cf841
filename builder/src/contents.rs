//! What the slots of a package hold: checked for `verify`, listed for `inspect`, written for `extract`.
//!
//! The decoding is the launcher's, so what is called good here is what a start would unpack. Only `tar.gz`, which the
//! launcher does not start, is decompressed here.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use flate2::bufread::GzDecoder;
use psp_format::VerifiedPackage;
use psp_format::metadata::Slot;
use psp_format::ops::Operations;
use psp_format::range::{Range, widen};
use psp_launcher::extract::{ExtractError, Listing, Options};
use psp_launcher::{contents, extract as launcher_extract};

use crate::error::Error;
use crate::examine::{self, Refusal};
use crate::package_file::PackageFile;
use crate::printer::Meter;

/// Decodes a slot whose digest has been compared, and checks its content.
pub fn check(
    file: &PackageFile,
    slot: &Slot,
    range: Range,
    meter: &Meter,
) -> Result<Result<Listing, Refusal>, Error> {
    let result = if slot.operations == Operations::TarGz {
        let mut content = Gzip::new(file.file(), range);
        let listing = contents::tar_stream(slot, &mut content);
        meter.advance(slot.original_size);
        listing.and_then(|listing| content.at_end().map(|()| listing))
    } else {
        let progress = |n| meter.advance(n);
        contents::check_slot_at(slot, file.file(), range, Some(&progress))
    };
    match result.map_err(|error| fault(file, slot, error)) {
        Ok(listing) => Ok(Ok(listing)),
        Err(Error::Refused { refusal, .. }) => Ok(Err(refusal)),
        Err(error) => Err(error),
    }
}

/// The content of a slot that has been checked, as a stream: the bytes of a file, or of a tar archive.
pub fn decoded<'a>(
    file: &'a PackageFile,
    slot: &Slot,
    range: Range,
) -> io::Result<Box<dyn Read + 'a>> {
    let (at, end) = (range.start(), range.end());
    let file = file.file();
    let stored = BufReader::new(Piece { file, at, end });
    Ok(match slot.operations {
        Operations::TarGz => Box::new(GzDecoder::new(stored)),
        Operations::Zstd | Operations::TarZst => {
            Box::new(zstd::stream::read::Decoder::with_buffer(stored)?)
        }
        Operations::None | Operations::Tar => Box::new(stored),
    })
}

/// Extracts a slot of a verified package into the directory `tree`. Whatever was written when it fails is left there.
pub fn extract(
    file: &PackageFile,
    package: &VerifiedPackage,
    slot: &Slot,
    range: Range,
    tree: &Path,
    meter: &Meter,
) -> Result<u64, Error> {
    let into = File::open(tree).map_err(|source| Error::Write {
        path: tree.to_owned(),
        source,
    })?;
    let progress = |n| meter.advance(n);
    let options = Options {
        // What is extracted for a person is theirs to change.
        writable: true,
        progress: Some(&progress),
    };
    let result = if slot.operations == Operations::TarGz {
        examine::check_slot(file, package, slot, range, meter)?.map_err(|refusal| {
            Error::Refused {
                path: file.path().to_owned(),
                refusal,
            }
        })?;
        let mut content = Gzip::new(file.file(), range);
        let written = launcher_extract::tar_stream(slot, &mut content, into.as_fd(), &options)
            .and_then(|written| content.at_end().map(|()| written));
        // An archive that contradicts itself can fail at the file system before it fails at a rule: say which.
        if let Err(ExtractError::Write { .. } | ExtractError::Exists { .. }) = written
            && let Err(refusal) = check(file, slot, range, meter)?
        {
            return Err(Error::Refused {
                path: file.path().to_owned(),
                refusal,
            });
        }
        written
    } else {
        launcher_extract::slot(package, &slot.id, file.file(), into.as_fd(), &options)
    };
    match result {
        Ok(written) => Ok(written.listing.len()),
        Err(error) => Err(fault(file, slot, error)),
    }
}

/// Takes a file: its path, its size, and a reader of its content.
pub type TakeFile<'a> = dyn FnMut(&[u8], u64, &mut dyn Read) -> io::Result<()> + 'a;

/// Gives `take` each regular file of a slot that [`check`] has accepted, in order: its path below the work environment, its
/// size, and a reader of its content, which need not be read to its end.
pub fn each_file(
    file: &PackageFile,
    slot: &Slot,
    range: Range,
    take: &mut TakeFile<'_>,
) -> Result<(), Error> {
    let (at, end) = (range.start(), range.end());
    let stored = BufReader::new(Piece {
        file: file.file(),
        at,
        end,
    });
    // It was whole when it was checked, so what fails now is the file, or the disk.
    let failed = |error| Error::File(file.reading(at, error));
    let mut content: Box<dyn Read + '_> = match slot.operations {
        Operations::None | Operations::Tar => Box::new(stored),
        Operations::Zstd | Operations::TarZst => {
            Box::new(zstd::stream::read::Decoder::with_buffer(stored).map_err(failed)?)
        }
        Operations::TarGz => Box::new(Gzip::new(file.file(), range)),
    };
    if !slot.operations.is_tar() {
        return take(slot.root(), slot.original_size, &mut content).map_err(failed);
    }
    let mut archive = tar::Archive::new(content);
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        if entry.header().entry_type().is_file() {
            let (path, size) = (entry.path_bytes().into_owned(), entry.size());
            take(&path, size, &mut entry).map_err(failed)?;
        }
    }
    Ok(())
}

/// What an error of the launcher's library means for the command.
pub(crate) fn fault(file: &PackageFile, slot: &Slot, error: ExtractError) -> Error {
    let refused = |refusal| Error::Refused {
        path: file.path().to_owned(),
        refusal,
    };
    match error {
        ExtractError::Format(error) => refused(Refusal::Format(error)),
        ExtractError::Read { offset, reason } => {
            let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
            let error = reason.map_or_else(ended, io::Error::from);
            file.reading(offset, error).into()
        }
        error @ ExtractError::Stream(_) => refused(Refusal::Undecodable {
            slot: slot.id.clone(),
            detail: error.to_string(),
        }),
        error => Error::Extract(error),
    }
}

/// The content of a `tar.gz` slot.
struct Gzip<'a>(GzDecoder<BufReader<Piece<'a>>>);

impl<'a> Gzip<'a> {
    fn new(file: &'a File, range: Range) -> Gzip<'a> {
        Gzip(GzDecoder::new(BufReader::new(Piece::new(file, range))))
    }

    /// Whether the stored bytes are one gzip stream and nothing else.
    fn at_end(self) -> Result<(), ExtractError> {
        let mut rest = self.0.into_inner();
        match rest.fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) => Err(ExtractError::Stream(
                "something follows the gzip stream".to_owned(),
            )),
            Err(error) => Err(ExtractError::Stream(error.to_string())),
        }
    }
}

impl Read for Gzip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// A range of a file, read in order.
pub(crate) struct Piece<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl<'a> Piece<'a> {
    pub(crate) fn new(file: &'a File, range: Range) -> Piece<'a> {
        let (at, end) = (range.start(), range.end());
        Piece { file, at, end }
    }
}

impl Read for Piece<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let read = match buffer.get_mut(..wanted) {
            Some([]) | None => 0,
            Some(buffer) => self.file.read_at(buffer, self.at)?,
        };
        self.at = self.at.saturating_add(widen(read));
        Ok(read)
    }
}
