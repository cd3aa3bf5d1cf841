//! An archive as a source, read as if whoever made it meant harm: a name that leaves the slot, a second entry of one
//! name, a device, a link out or a bomb is an error, never skipped. What is good is unpacked into a temporary file.

pub(super) mod compression;
mod tar;
mod zip;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use psp_format::path::PathFault;

use super::content::Content;
use super::draft::{Body, Draft, Inode, Node};
use super::error::{Fault, InputError};
use super::globs::Selection;
use super::names;
use super::os;
use super::spool::{Spool, SpoolError};

/// An archive may unpack to this much whatever its size, in bytes.
const FREE_BYTES: u64 = 1 << 30;
/// Beyond [`FREE_BYTES`], this much for each of its own bytes. Real trees stay below 30; bombs reach thousands.
const BYTES_PER_BYTE: u64 = 256;

/// The kinds of archive that are unpacked, told apart by file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `.tar`, compressed or not.
    Tar,
    /// `.zip`.
    Zip,
}

impl Format {
    /// `None` for a file that is packed as it is. Zip files with another extension (`.whl`, `.jar`, `.pyz`) are used as
    /// files, so only the name that says "archive" makes one.
    pub(super) fn of(path: &Path) -> Option<Self> {
        const TARS: [&[u8]; 10] = [
            b".tar",
            b".tar.gz",
            b".tgz",
            b".tar.xz",
            b".txz",
            b".tar.zst",
            b".tzst",
            b".tar.bz2",
            b".tbz2",
            b".tbz",
        ];
        let name = os::bytes(path.file_name()?).to_ascii_lowercase();
        if TARS.iter().any(|extension| name.ends_with(extension)) {
            Some(Self::Tar)
        } else if name.ends_with(b".zip") {
            Some(Self::Zip)
        } else {
            None
        }
    }
}

/// Unpacks the archive at `path`.
pub(super) fn collect(
    path: &Path,
    format: Format,
    selection: &mut Selection<'_>,
) -> Result<Draft, InputError> {
    let unreadable = |error| InputError::Unreadable {
        path: path.into(),
        error,
    };
    let file = File::open(path).map_err(unreadable)?;
    let packed = file.metadata().map_err(unreadable)?.len();
    let mut unpacker = Unpacker::new(path, packed, Spool::new()?, selection);
    match format {
        Format::Tar => tar::unpack(file, &mut unpacker)?,
        Format::Zip => zip::unpack(file, &mut unpacker)?,
    }
    unpacker.finish()
}

/// Unpacks a tar stream that was decompressed from `packed` bytes; in messages it is called `name`.
pub(super) fn collect_stream(
    name: &Path,
    stream: impl Read,
    packed: u64,
    spool: Spool,
    selection: &mut Selection<'_>,
) -> Result<Draft, InputError> {
    let mut unpacker = Unpacker::new(name, packed, spool, selection);
    tar::unpack_stream(stream, &mut unpacker)?;
    unpacker.finish()
}

/// What may be unpacked from so many bytes.
pub(super) fn limit(packed: u64) -> u64 {
    packed
        .saturating_mul(BYTES_PER_BYTE)
        .saturating_add(FREE_BYTES)
}

/// The content of a compressed file; that of any other file as it is. Gives its size too, in bytes.
pub(super) fn decompress(path: &Path) -> Result<(u64, Content), InputError> {
    let unreadable = |error| InputError::Unreadable {
        path: path.into(),
        error,
    };
    let file = File::open(path).map_err(unreadable)?;
    let packed = file.metadata().map_err(unreadable)?.len();
    let limit = packed
        .saturating_mul(BYTES_PER_BYTE)
        .saturating_add(FREE_BYTES);
    let mut decoder = compression::decoder(file).map_err(unreadable)?;
    // One byte more than is allowed, to see whether more comes.
    let added = Spool::new()?.add(&mut decoder, limit.saturating_add(1));
    let (size, content) = added.map_err(|error| match error {
        SpoolError::Source(error) => InputError::Corrupt {
            archive: path.into(),
            reason: error.to_string(),
        },
        SpoolError::Spool(error) => error,
    })?;
    match size <= limit {
        true => Ok((size, content)),
        false => Err(InputError::TooLarge {
            archive: path.into(),
            limit,
        }),
    }
}

/// What the readers of the formats hand their entries to.
struct Unpacker<'a, 'f> {
    archive: &'a Path,
    draft: Draft,
    spool: Spool,
    /// The most that is unpacked, in bytes, and what is left of it.
    limit: u64,
    left: u64,
    /// Number of files so far: the second half of the next [`Inode`].
    inodes: u64,
    selection: &'a mut Selection<'f>,
}

/// What the header of an entry says about it, besides what it is.
struct Header<'a> {
    /// As written.
    name: &'a [u8],
    mode: u32,
    /// Unix seconds.
    mtime: i64,
}

impl<'a, 'f> Unpacker<'a, 'f> {
    fn new(
        archive: &'a Path,
        packed: u64,
        spool: Spool,
        selection: &'a mut Selection<'f>,
    ) -> Unpacker<'a, 'f> {
        Unpacker {
            archive,
            draft: Draft::new(archive),
            spool,
            limit: limit(packed),
            left: limit(packed),
            inodes: 0,
            selection,
        }
    }

    fn finish(self) -> Result<Draft, InputError> {
        let mut draft = self.draft;
        draft.complete_parents()?;
        Ok(draft)
    }
}

impl Unpacker<'_, '_> {
    fn directory(&mut self, header: &Header<'_>) -> Result<(), InputError> {
        self.add(header, Body::Directory)
    }

    fn symlink(&mut self, header: &Header<'_>, target: &[u8]) -> Result<(), InputError> {
        self.add(header, Body::Symlink(target.into()))
    }

    /// Unpacks a file. A source that fails is given to `explain`, because only the format's reader knows why.
    fn file(
        &mut self,
        header: &Header<'_>,
        declared: u64,
        source: &mut dyn Read,
        explain: impl FnOnce(std::io::Error) -> InputError,
    ) -> Result<(), InputError> {
        self.reserve(declared)?;
        // One byte more than declared, to see whether more comes.
        let (size, content) =
            self.spool
                .add(source, declared.saturating_add(1))
                .map_err(|error| match error {
                    SpoolError::Source(error) => explain(error),
                    SpoolError::Spool(error) => error,
                })?;
        if size != declared {
            let fault = Fault::SizeDiffers {
                declared,
                found: size,
            };
            return Err(self.error(header.name, fault));
        }
        self.inodes += 1;
        let inode = Some(Inode(0, self.inodes));
        self.add(
            header,
            Body::File {
                size,
                content,
                inode,
            },
        )
    }

    /// A further name for the file, or the link, that the archive holds as `target`.
    fn hard_link(&mut self, header: &Header<'_>, target: &[u8]) -> Result<(), InputError> {
        let path = names::from_archive(target).ok().flatten();
        let node = path.and_then(|path| self.draft.get(&path));
        let (mode, mtime, body) = match node {
            Some(Node {
                mode,
                mtime,
                body:
                    Body::File {
                        size,
                        content,
                        inode,
                    },
                ..
            }) => {
                let body = Body::File {
                    size: *size,
                    content: content.clone(),
                    inode: *inode,
                };
                (*mode, *mtime, body)
            }
            Some(Node {
                mode,
                mtime,
                body: Body::Symlink(target),
                ..
            }) => (*mode, *mtime, Body::Symlink(target.clone())),
            _ => {
                return Err(self.error(
                    header.name,
                    Fault::HardLink {
                        target: target.into(),
                    },
                ));
            }
        };
        self.add(
            &Header {
                name: header.name,
                mode,
                mtime,
            },
            body,
        )
    }

    fn add(&mut self, header: &Header<'_>, body: Body) -> Result<(), InputError> {
        let path = names::from_archive(header.name)
            .map_err(|fault| self.error(header.name, Fault::Name(fault)))?;
        let Some(path) = path else {
            // The root: the slot has its own. As anything but a directory it would be nonsense.
            return match body {
                Body::Directory => Ok(()),
                _ => Err(self.error(header.name, Fault::Name(PathFault::Empty))),
            };
        };
        let selected = self.selects(&path);
        let (mode, mtime) = (header.mode & 0o7777, header.mtime);
        self.draft.insert(
            path,
            Node {
                mode,
                mtime,
                selected,
                body,
            },
        )
    }

    /// Refuses what no slot can hold, unless it is not selected anyway: the archive of a whole system has devices, and
    /// `exclude` must be able to say so.
    fn special(&mut self, name: &[u8], what: String) -> Result<(), InputError> {
        let path =
            names::from_archive(name).map_err(|fault| self.error(name, Fault::Name(fault)))?;
        match path {
            Some(path) if !self.selects(&path) => Ok(()),
            _ => Err(self.error(name, Fault::Special { what })),
        }
    }

    fn selects(&mut self, path: &[u8]) -> bool {
        !self.selection.excludes_tree(path) && self.selection.includes(path)
    }

    /// Takes `bytes` from what may still be unpacked.
    fn reserve(&mut self, bytes: u64) -> Result<(), InputError> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(InputError::TooLarge {
                archive: self.archive.into(),
                limit: self.limit,
            }),
        }
    }

    fn error(&self, name: &[u8], fault: Fault) -> InputError {
        InputError::entry(self.archive, name, fault)
    }

    fn truncated(&self) -> InputError {
        InputError::Truncated {
            archive: self.archive.into(),
        }
    }

    fn corrupt(&self, reason: impl Into<String>) -> InputError {
        InputError::Corrupt {
            archive: self.archive.into(),
            reason: reason.into(),
        }
    }
}
