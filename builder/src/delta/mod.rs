//! Patches: what turns one package into another one, byte for byte (`docs/delta.md`).
//!
//! Frames of a slot do not depend on each other and begin at places that a changed file does not move, so most of a new
//! package stands in the old one already. A patch names those places, and has the rest as Zstandard data that refers to
//! what the old package has instead: for a frame of which one file has changed, the content of the old frame, and the level
//! at which compressing the new content gives the very bytes that are wanted.
//!
//! [`make`] reads two packages that were verified, [`apply`] one file and a patch, which may be hostile: it is bounded in
//! everything, and what comes out is what the patch names by its digest, or an error.

pub mod apply;
mod codec;
pub mod format;
pub mod make;
mod similar;
mod units;

use std::io;

use psp_format::digest::Digest;
use psp_format::range::{Range, widen};

use crate::package_file::PackageFile;
use crate::printer::size;

/// What is wrong with a patch, or with the file that it is applied to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchFault {
    /// It does not begin as patches do.
    #[error("not a patch")]
    NotAPatch,
    /// A version of the format that is not known here.
    #[error("a patch of version {found}, {} is known here", format::VERSION)]
    Version {
        /// The version.
        found: u32,
    },
    /// Its bytes are not those that were written.
    #[error("the patch is truncated or damaged: its last 32 bytes are not the SHA-256 of the rest")]
    Damaged,
    /// An instruction that breaks a rule of the format.
    #[error("at offset {offset}: {what}")]
    Step {
        /// Where the instruction begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The patch was made for another file.
    #[error(
        "this patch is for another file: one of {} with SHA-256 {wanted}",
        size(*wanted_size)
    )]
    OtherOld {
        /// Size of the file that it was made for.
        wanted_size: u64,
        /// Digest of that.
        wanted: Digest,
    },
    /// What was put together is not what the patch was made for.
    #[error("what comes out is not the file that the patch was made for{}", other_zstd(*.zstd))]
    Result {
        /// The version of Zstandard that compressed anew when the patch was made, if that is not the one here.
        zstd: Option<u32>,
    },
}

fn other_zstd(version: Option<u32>) -> String {
    match version {
        Some(made) => format!(
            ": it was made with Zstandard {}, and this is {}",
            zstd_text(made),
            zstd_text(codec::zstd_version())
        ),
        None => String::new(),
    }
}

/// A version of Zstandard, which is 100 times 100 times the first number, 100 times the second, and the third.
fn zstd_text(version: u32) -> String {
    let (major, minor, release) = (version / 10_000, version / 100 % 100, version % 100);
    format!("{major}.{minor}.{release}")
}

impl PatchFault {
    /// One line that says what a person can do.
    pub fn help(&self) -> &'static str {
        match self {
            PatchFault::NotAPatch => "give what `flavor delta` has written",
            PatchFault::Version { .. } => {
                "use the version of flavor that this patch was made for, or get the whole package"
            }
            PatchFault::Damaged => "get the patch again",
            PatchFault::Step { .. } => {
                "it was made like this, by a broken program or on purpose: get the whole package"
            }
            PatchFault::OtherOld { .. } => {
                "apply it to the version that it was made for, or get the whole package"
            }
            PatchFault::Result { zstd: Some(_) } => {
                "use the version of flavor that the patch was made with, or have it made with `flavor delta --no-recompress`"
            }
            PatchFault::Result { zstd: None } => "get the whole package",
        }
    }
}

/// Bytes that are read in pieces: a package, a patch.
pub trait Source {
    /// How many there are.
    fn size(&self) -> u64;

    /// Reads a range of at most some MiB.
    ///
    /// # Errors
    ///
    /// Those of the system; [`io::ErrorKind::UnexpectedEof`] when not all of it is there.
    fn piece(&self, range: Range) -> io::Result<Vec<u8>>;
}

impl Source for PackageFile {
    fn size(&self) -> u64 {
        PackageFile::size(self)
    }

    fn piece(&self, range: Range) -> io::Result<Vec<u8>> {
        use std::os::unix::fs::FileExt as _;
        let size = usize::try_from(range.len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; size];
        self.file().read_exact_at(&mut bytes, range.start())?;
        Ok(bytes)
    }
}

impl Source for &[u8] {
    fn size(&self) -> u64 {
        widen(self.len())
    }

    fn piece(&self, range: Range) -> io::Result<Vec<u8>> {
        let found = range.of(self).map(<[u8]>::to_vec);
        found.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
