//! The temporary file that an archive is unpacked into: one without a name, so that nothing is left behind however
//! the build ends.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

use super::content::Content;
use super::error::InputError;

/// An unnamed file that grows by one content after another, or nothing, for who only wants to know what there is.
pub(super) struct Spool {
    file: Option<Arc<File>>,
    end: u64,
    buffer: Vec<u8>,
}

/// Why a content could not be added; the two have different remedies.
pub(super) enum SpoolError {
    /// The archive could not be read on.
    Source(io::Error),
    /// The temporary file could not be written.
    Spool(InputError),
}

impl Spool {
    pub(super) fn new() -> Result<Self, InputError> {
        let file = tempfile::tempfile().map_err(error)?;
        // Large enough that writing costs little beside unpacking.
        Ok(Self {
            file: Some(Arc::new(file)),
            end: 0,
            buffer: vec![0; 256 * 1024],
        })
    }

    /// A spool that keeps nothing: every content is empty.
    pub(super) fn nothing() -> Self {
        Self {
            file: None,
            end: 0,
            buffer: vec![0; 256 * 1024],
        }
    }

    /// Copies `source` to its end, but at most `limit` bytes of it. Gives the number of bytes and where they are.
    pub(super) fn add(
        &mut self,
        source: &mut dyn Read,
        limit: u64,
    ) -> Result<(u64, Content), SpoolError> {
        let mut source = source.take(limit);
        let start = self.end;
        loop {
            let count = match source.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(SpoolError::Source(error)),
            };
            if let Some(file) = &self.file {
                (&**file)
                    .write_all(&self.buffer[..count])
                    .map_err(|cause| SpoolError::Spool(error(cause)))?;
            }
            self.end += count as u64;
        }
        let size = self.end - start;
        let content = match &self.file {
            Some(file) => Content::spool(file.clone(), start, size),
            None => Content::bytes([]),
        };
        Ok((size, content))
    }
}

/// Names the directory, which is what the person can change.
pub(super) fn error(error: io::Error) -> InputError {
    InputError::Spool {
        directory: std::env::temp_dir(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_directory_and_the_way_out() {
        let error = error(io::ErrorKind::StorageFull.into());
        let expected = std::env::temp_dir();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot use a temporary file in {}: no storage space",
                expected.display()
            )
        );
        assert!(error.help().contains("TMPDIR"));
    }
}
