//! Packages in files: opened without blocking, read in pieces at offsets, digested as they stream by.
//!
//! Nothing is mapped: a file that another program cuts while it is being read gives an error, not a signal, and memory
//! stays the same whatever the size of the package.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _};
use std::path::{Path, PathBuf};

use psp_format::digest::{Digest, Hasher};
use psp_format::locate::{Found, Located, locate};
use psp_format::range::{Range, widen};
use psp_launcher::source::{self, SourceError};

/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// Why a file cannot be read as a package. What is wrong inside it is [`psp_format::Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file cannot be opened.
    #[error("cannot open {}: {source}", shown(.path))]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A directory, FIFO, device or socket.
    #[error("{} is {kind}, not a regular file", shown(.path))]
    NotRegular {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// Bytes that should be there cannot be read.
    #[error("cannot read {} at offset {offset}: {source}", shown(.path))]
    Read {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
}

/// A path for messages.
pub(crate) fn shown(path: &Path) -> String {
    crate::printer::escape_bytes(path.as_os_str().as_encoded_bytes())
}

/// A path in a JSON document, which escapes for itself what cannot be printed.
pub(crate) fn json_path<S: serde::Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}

/// An error without the path of a temporary file, which says nothing to a person.
pub(crate) fn plain(error: io::Error) -> io::Error {
    match error.get_ref() {
        // `tempfile` wraps the system's error and keeps its kind only.
        Some(_) => error.kind().into(),
        None => error,
    }
}

/// What a file that is not a regular one is; `None` for a regular one.
pub(crate) fn irregular(kind: std::fs::FileType) -> Option<&'static str> {
    match kind {
        _ if kind.is_file() => None,
        _ if kind.is_dir() => Some("a directory"),
        _ if kind.is_fifo() => Some("a FIFO"),
        _ if kind.is_socket() => Some("a socket"),
        _ if kind.is_symlink() => Some("a symbolic link"),
        _ => Some("a device"),
    }
}

/// An open package: everything is read through one handle, whatever happens to the name.
#[derive(Debug)]
pub struct PackageFile(source::PackageFile);

impl PackageFile {
    /// Opens a regular file. Anything else is refused at once: nothing waits for the writer of a FIFO.
    pub fn open(path: &Path) -> Result<PackageFile, FileError> {
        let opened = source::PackageFile::named(path);
        opened.map(PackageFile).map_err(|error| match error {
            SourceError::NotAFile { path, kind } => FileError::NotRegular { path, kind },
            SourceError::Open { path, reason } => FileError::Open {
                path,
                source: reason.into(),
            },
            other => FileError::Open {
                path: path.to_owned(),
                source: io::Error::other(other),
            },
        })
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The open file.
    pub fn file(&self) -> &File {
        self.0.file()
    }

    /// The same handle, for the launcher's library.
    pub fn as_source(&self) -> &source::PackageFile {
        &self.0
    }

    /// Size when it was opened.
    pub fn size(&self) -> u64 {
        self.0.size()
    }

    /// Reads a range that is known to be bounded.
    pub fn read(&self, range: Range) -> Result<Vec<u8>, FileError> {
        let len = usize::try_from(range.len()).map_err(|_| {
            let kind = io::ErrorKind::FileTooLarge;
            self.reading(range.start(), kind.into())
        })?;
        let mut bytes = vec![0; len];
        self.file()
            .read_exact_at(&mut bytes, range.start())
            .map_err(|source| self.reading(range.start(), source))?;
        Ok(bytes)
    }

    /// The SHA-256 digest of a range; `progress` is told of each piece.
    pub fn digest(&self, range: Range, progress: &dyn Fn(u64)) -> Result<Digest, FileError> {
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; CHUNK];
        let mut at = range.start();
        while at < range.end() {
            let left = usize::try_from(range.end().saturating_sub(at)).unwrap_or(CHUNK);
            let (piece, _) = buffer.split_at_mut(left.min(CHUNK));
            self.file()
                .read_exact_at(piece, at)
                .map_err(|source| self.reading(at, source))?;
            hasher.update(piece);
            at = at.saturating_add(widen(piece.len()));
            progress(widen(piece.len()));
        }
        Ok(hasher.finish())
    }

    /// Reads what verification looks at, as far as the file has it.
    pub fn parts(&self) -> Result<Parts, FileError> {
        let mut parts = Parts {
            size: self.size(),
            trailer: None,
            head: None,
        };
        // Two reads at most; a fault in what was read is found again by `Parts::found`.
        while let Some(range) = parts.needed() {
            let bytes = Some(self.read(range)?);
            if parts.trailer.is_none() {
                parts.trailer = bytes;
            } else {
                parts.head = bytes;
                break;
            }
        }
        Ok(parts)
    }

    /// The error for a fault of reading at `offset`.
    pub(crate) fn reading(&self, offset: u64, source: io::Error) -> FileError {
        FileError::Read {
            path: self.path().to_owned(),
            offset,
            source,
        }
    }
}

/// The bytes of a package that [`locate`] asked for.
#[derive(Debug, Default)]
pub struct Parts {
    size: u64,
    trailer: Option<Vec<u8>>,
    head: Option<Vec<u8>>,
}

impl Parts {
    fn needed(&self) -> Option<Range> {
        match self.locate() {
            Ok(Located::Need(range)) => Some(range),
            Ok(Located::Found(_)) | Err(_) => None,
        }
    }

    fn locate(&self) -> Result<Located<'_>, psp_format::Error> {
        locate(self.size, self.trailer.as_deref(), self.head.as_deref())
    }

    /// The located parts.
    pub fn found(&self) -> Result<Found<'_>, psp_format::Error> {
        match self.locate()? {
            Located::Found(found) => Ok(found),
            Located::Need(_) => Err(psp_format::Error::NoTrailer),
        }
    }

    /// The last bytes of the file, as many as a trailer has.
    pub fn trailer(&self) -> Option<&[u8]> {
        self.trailer.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_regular_file_is_named_at_once() {
        let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let fifo = dir.path().join("fifo");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0)
            .unwrap_or_else(|e| panic!("{e}"));
        let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("socket"));
        for (path, expected) in [
            (fifo, "a FIFO"),
            (dir.path().join("socket"), "a socket"),
            (dir.path().to_owned(), "a directory"),
            ("/dev/null".into(), "a device"),
        ] {
            match PackageFile::open(&path) {
                Err(FileError::NotRegular { kind, .. }) => assert_eq!(kind, expected),
                other => panic!("{other:?}"),
            }
        }
        let missing = dir.path().join("missing\n");
        let text = PackageFile::open(&missing).map_or_else(|e| e.to_string(), |_| String::new());
        assert!(
            text.ends_with("missing\\n: No such file or directory (os error 2)"),
            "{text}"
        );
    }

    #[test]
    fn ranges_are_all_or_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap_or_else(|e| panic!("{e}"));
        std::fs::write(file.path(), b"abc").unwrap_or_else(|e| panic!("{e}"));
        let package = PackageFile::open(file.path()).unwrap_or_else(|e| panic!("{e}"));
        let range = |start, len| Range::new(start, len).unwrap_or_else(|| panic!());
        assert!(package.read(range(1, 2)).is_ok_and(|bytes| bytes == b"bc"));
        assert!(matches!(
            package.read(range(1, 3)),
            Err(FileError::Read { .. })
        ));
        let digest = package.digest(range(0, 3), &|_| {});
        assert!(digest.is_ok_and(|digest| digest == Digest::of(b"abc")));
        assert!(package.parts().is_ok_and(|parts| parts.found().is_err()));
    }
}
