//! Where a program and its libraries look for libraries: written into the file, as `patchelf --set-rpath` does.
//!
//! The `object-rewrite` crate does it: it moves what has no room where it was, and refuses a file in which it cannot.
//! What it gives is read again and compared before it is used.

use object_rewrite::Rewriter;

use super::{Binary, Elf, read};

/// Why a file keeps its run path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunPathError {
    /// It is none that has one.
    #[error("it is no dynamically linked ELF file")]
    NotDynamic,
    /// Its layout leaves no room, or has a part that is not known.
    #[error("its run path cannot be changed: {0}")]
    Rewrite(String),
    /// What came out says something else than what went in.
    #[error("its run path cannot be changed: the changed file would not be the same program")]
    Different,
}

/// The same file with the one run path `path`, a `DT_RUNPATH`, instead of those that it had.
///
/// # Errors
///
/// [`RunPathError`].
pub fn set(file: &[u8], path: &str) -> Result<Vec<u8>, RunPathError> {
    let before = dynamic(file)?;
    let failed = |error: object_rewrite::Error| RunPathError::Rewrite(error.to_string());
    let mut rewriter = Rewriter::read(file).map_err(failed)?;
    // Both kinds may be there; only one is to remain.
    rewriter.elf_delete_runpath().map_err(failed)?;
    rewriter.elf_set_runpath(path.into()).map_err(failed)?;
    let mut out = Vec::with_capacity(file.len());
    rewriter.write(&mut out).map_err(failed)?;
    let expected = Elf {
        rpath: Vec::new(),
        runpath: Some(vec![path.to_owned()]),
        ..before
    };
    match dynamic(&out) {
        Ok(after) if without_symbols(after.clone()) == without_symbols(expected) => Ok(out),
        _ => Err(RunPathError::Different),
    }
}

fn dynamic(file: &[u8]) -> Result<Elf, RunPathError> {
    match read(file) {
        Ok(Some(Binary::Elf(elf)))
            if elf.interpreter.is_some() || elf.soname.is_some() || !elf.needed.is_empty() =>
        {
            Ok(elf)
        }
        _ => Err(RunPathError::NotDynamic),
    }
}

/// Symbols are sorted anew, so the first that asks for a version may be another one.
fn without_symbols(mut elf: Elf) -> Elf {
    elf.versions.iter_mut().for_each(|need| need.symbol = None);
    elf
}
