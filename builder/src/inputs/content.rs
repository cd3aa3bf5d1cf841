//! Where the bytes of a file are, and how to read them later.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bytecode::Bytecode;
use super::error::InputError;
use super::os;

/// The bytes of one file, wherever they are. Cheap to clone; any number of readers can be open at once.
#[derive(Debug, Clone)]
pub struct Content(Origin);

#[derive(Debug, Clone)]
enum Origin {
    Disk {
        path: Arc<Path>,
        size: u64,
    },
    Spool {
        file: Arc<File>,
        offset: u64,
        size: u64,
    },
    Bytes(Arc<[u8]>),
    Bytecode(Arc<Bytecode>),
}

/// Equal when they surely have the same bytes, as they are of the same file.
impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (
                Origin::Disk { path, size },
                Origin::Disk {
                    path: other,
                    size: other_size,
                },
            ) => path == other && size == other_size,
            (
                Origin::Spool { file, offset, size },
                Origin::Spool {
                    file: other,
                    offset: other_offset,
                    size: other_size,
                },
            ) => Arc::ptr_eq(file, other) && offset == other_offset && size == other_size,
            (Origin::Bytes(bytes), Origin::Bytes(other)) => bytes == other,
            (Origin::Bytecode(bytecode), Origin::Bytecode(other)) => Arc::ptr_eq(bytecode, other),
            _ => false,
        }
    }
}

impl Content {
    /// A file on disk that had `size` bytes when it was listed.
    pub fn disk(path: PathBuf, size: u64) -> Self {
        Self(Origin::Disk {
            path: path.into(),
            size,
        })
    }

    /// Bytes that were made rather than found.
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(Origin::Bytes(bytes.into()))
    }

    pub(super) fn spool(file: Arc<File>, offset: u64, size: u64) -> Self {
        Self(Origin::Spool { file, offset, size })
    }

    pub(super) fn bytecode(bytecode: Bytecode) -> Self {
        Self(Origin::Bytecode(Arc::new(bytecode)))
    }

    /// Opens a reader that gives exactly the bytes that were listed.
    ///
    /// # Errors
    ///
    /// When the file is gone or not readable, or its size is another than when it was listed. What the reader itself
    /// meets later (a file that shrinks or grows under it) comes as an [`io::Error`] that holds an [`InputError`];
    /// [`InputError::from_io`] gets it out.
    pub fn open(&self) -> Result<Box<dyn Read + Send>, InputError> {
        match &self.0 {
            Origin::Disk { path, size } => Ok(Box::new(DiskReader::open(path, *size)?)),
            Origin::Spool { file, offset, size } => Ok(Box::new(SpoolReader {
                file: file.clone(),
                offset: *offset,
                left: *size,
            })),
            Origin::Bytes(bytes) => Ok(Box::new(Cursor::new(bytes.clone()))),
            Origin::Bytecode(bytecode) => bytecode.open(),
        }
    }
}

/// Content that can be read anywhere.
pub trait Image: Read + Seek {}

impl<T: Read + Seek> Image for T {}

impl Content {
    /// Opens the bytes for reading here and there, as they are now; `None` for what is made while it is read.
    ///
    /// # Errors
    ///
    /// As [`Content::open`].
    pub fn image(&self) -> Result<Option<Box<dyn Image>>, InputError> {
        Ok(match &self.0 {
            Origin::Disk { path, size } => Some(Box::new(DiskReader::open(path, *size)?.file)),
            Origin::Spool { file, offset, size } => Some(Box::new(SpoolImage {
                file: file.clone(),
                offset: *offset,
                size: *size,
                at: 0,
            })),
            Origin::Bytes(bytes) => Some(Box::new(Cursor::new(bytes.clone()))),
            Origin::Bytecode(_) => None,
        })
    }
}

/// A range of the temporary file that holds unpacked archives, read anywhere.
struct SpoolImage {
    file: Arc<File>,
    offset: u64,
    size: u64,
    at: u64,
}

impl Read for SpoolImage {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.at);
        let room = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = os::read_at(&self.file, &mut buffer[..room], self.offset + self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for SpoolImage {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at
            .filter(|at| *at <= self.size)
            .ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// A file on disk that must hold as many bytes as it did before.
struct DiskReader {
    file: File,
    path: Arc<Path>,
    size: u64,
    left: u64,
}

impl DiskReader {
    fn open(path: &Arc<Path>, size: u64) -> Result<Self, InputError> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => InputError::Vanished {
                path: path.to_path_buf(),
            },
            _ => InputError::Unreadable {
                path: path.to_path_buf(),
                error,
            },
        };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(InputError::Vanished {
                path: path.to_path_buf(),
            });
        }
        let reader = Self {
            file,
            path: path.clone(),
            size,
            left: size,
        };
        match metadata.len() {
            found if found == size => Ok(reader),
            found => Err(reader.changed(found)),
        }
    }

    fn changed(&self, found: u64) -> InputError {
        InputError::Changed {
            path: self.path.to_path_buf(),
            expected: self.size,
            found,
        }
    }
}

impl Read for DiskReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        // One byte more than is left, so that the read that ends the file also sees whether it grew.
        let most = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX);
        let room = most.min(buffer.len());
        let count = self.file.read(&mut buffer[..room]).map_err(|error| {
            let path = self.path.to_path_buf();
            io::Error::new(error.kind(), InputError::Unreadable { path, error })
        })?;
        match (count as u64, self.left) {
            (0, 1..) => Err(io::Error::other(self.changed(self.size - self.left))),
            (count, left) if count > left => {
                let found = self
                    .file
                    .metadata()
                    .map_or(self.size.saturating_add(1), |m| m.len());
                Err(io::Error::other(self.changed(found)))
            }
            (read, left) => {
                self.left = left - read;
                Ok(count)
            }
        }
    }
}

/// A range of the temporary file that holds unpacked archives.
struct SpoolReader {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if room == 0 {
            return Ok(0);
        }
        let count = os::read_at(&self.file, &mut buffer[..room], self.offset)
            .and_then(|count| match count {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(count),
            })
            .map_err(|error| io::Error::other(super::spool::error(error)))?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    fn file_of(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    #[test]
    fn disk_content_is_read_whole() {
        for size in [0_usize, 1, 70_000] {
            let (_dir, path) = file_of(&vec![7; size]);
            let mut read = Vec::new();
            Content::disk(path, size as u64)
                .open()
                .unwrap()
                .read_to_end(&mut read)
                .unwrap();
            assert_eq!(read, vec![7; size]);
        }
    }

    #[test]
    fn a_size_that_changed_before_opening_is_an_error() {
        let (_dir, path) = file_of(b"12345");
        let error = Content::disk(path.clone(), 4).open().err().unwrap();
        assert_eq!(
            error.to_string(),
            format!(
                "{} changed while it was packed: it had 4 bytes, then 5",
                path.display()
            )
        );
    }

    #[test]
    fn a_file_that_shrinks_or_grows_while_it_is_read_is_an_error() {
        let (_dir, path) = file_of(b"12345");
        let mut reader = Content::disk(path.clone(), 5).open().unwrap();
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(3)
            .unwrap();
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        let InputError::Changed {
            expected: 5,
            found: 3,
            ..
        } = InputError::from_io(error).unwrap()
        else {
            panic!("another error")
        };

        let mut reader = Content::disk(path.clone(), 3).open().unwrap();
        fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"xx")
            .unwrap();
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        let InputError::Changed {
            expected: 3,
            found: 5,
            ..
        } = InputError::from_io(error).unwrap()
        else {
            panic!("another error")
        };
    }

    #[test]
    fn a_file_that_is_gone_is_an_error() {
        let (dir, path) = file_of(b"1");
        let content = Content::disk(path.clone(), 1);
        drop(dir);
        let error = content.open().err().unwrap();
        assert_eq!(
            error.to_string(),
            format!("{} vanished while it was packed", path.display())
        );
        assert!(error.help().contains("pack again"));
    }
}
