//! Positioned reading: what extraction needs of a package file.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use psp_format::digest::{Digest, Hasher};
use psp_format::range::{Range, widen};
use rustix::io::Errno;

use super::error::ExtractError;

/// Bytes of one read while a slot's digest is computed.
const HASH_BUFFER: usize = 512 << 10;

/// Something that can be read at any offset, by several threads at once.
pub trait ReadAt: Sync {
    /// Reads some bytes at `offset` and returns how many; 0 only at the end or for an empty buffer.
    ///
    /// # Errors
    ///
    /// The kernel's reason.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno>;
}

impl ReadAt for std::fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        pread(self.as_fd(), buffer, offset)
    }
}

impl ReadAt for OwnedFd {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        pread(self.as_fd(), buffer, offset)
    }
}

fn pread(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    loop {
        match rustix::io::pread(file, &mut *buffer, offset) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

impl ReadAt for &[u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|at| self.get(at..))
            .unwrap_or_default();
        let pairs = buffer.iter_mut().zip(rest);
        let len = pairs.len();
        match (buffer.get_mut(..len), rest.get(..len)) {
            (Some(to), Some(from)) => to.copy_from_slice(from),
            _ => return Ok(0),
        }
        Ok(len)
    }
}

/// Fills `buffer` from `offset` on. A file that ends before is an error.
pub(crate) fn read_exact(
    source: &dyn ReadAt,
    buffer: &mut [u8],
    offset: u64,
) -> Result<(), ExtractError> {
    let (mut rest, mut at) = (buffer, offset);
    while !rest.is_empty() {
        let read = source.read_at(rest, at);
        let failed = |reason| ExtractError::Read { offset: at, reason };
        let read = read.map_err(|errno| failed(Some(errno)))?;
        if read == 0 {
            return Err(failed(None));
        }
        rest = rest.split_at_mut_checked(read).map_or(&mut [], |(_, r)| r);
        at = at.saturating_add(widen(read));
    }
    Ok(())
}

/// SHA-256 of a range of the file, computed with half a megabyte of memory.
///
/// # Errors
///
/// [`ExtractError::Read`] when the file cannot be read or ends too early.
pub fn digest(source: &dyn ReadAt, range: Range) -> Result<Digest, ExtractError> {
    let mut hasher = Hasher::default();
    each_piece(source, range, HASH_BUFFER, &mut |piece| {
        hasher.update(piece);
        Ok(())
    })?;
    Ok(hasher.finish())
}

/// Gives a range of the file to `take`, in order, in pieces of at most `size` bytes.
pub(crate) fn each_piece(
    source: &dyn ReadAt,
    range: Range,
    size: usize,
    take: &mut dyn FnMut(&[u8]) -> Result<(), ExtractError>,
) -> Result<(), ExtractError> {
    let mut buffer = vec![0; at_most(size, range.len())];
    let mut at = range.start();
    while at < range.end() {
        let len = at_most(size, range.end().saturating_sub(at));
        let piece = buffer.get_mut(..len).unwrap_or_default();
        read_exact(source, piece, at)?;
        take(piece)?;
        at = at.saturating_add(widen(len));
    }
    Ok(())
}

/// The smaller of a size in memory and a size in a file.
pub(crate) fn at_most(size: usize, rest: u64) -> usize {
    usize::try_from(rest).map_or(size, |rest| rest.min(size))
}
