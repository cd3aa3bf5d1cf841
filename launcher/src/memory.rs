//! A package whose command is one static program, started from memory where nothing can be written.
//!
//! Such a program needs no file: it is decoded into memory, its digest compared before as always, and executed there. It
//! finds neither `FLAVOR_WORKENV` nor `FLAVOR_CACHE` in its environment, `argv[0]` is its base name, and
//! `/proc/self/exe` leads to it although no directory does. A program that is linked dynamically, or a script, would look
//! for more files, and is not started this way; nor is one that could expect others of the package beside it
//! ([`plan::only_program`]).

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use psp_format::VerifiedPackage;
use rustix::io::Errno;

use crate::exec::ExecError;
use crate::extract::{self, ExtractError, ReadAt, digest, read_exact};
use crate::plan::{self, Choice, Snapshot};
use crate::source::PackageFile;
use crate::start::StartError;
use crate::store::StoreError;
use crate::sys::memory;

/// The machine that this program is for (elf.h, `e_machine`).
const MACHINE: u16 = if cfg!(target_arch = "aarch64") {
    183
} else {
    62
};
/// Size of the header, of a program header, and of an entry of the dynamic section (elf.h, 64 bits).
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const DYNAMIC_ENTRY: usize = 16;
/// Largest dynamic section that is looked at, in bytes. One without libraries has about thirty entries.
const MAX_DYNAMIC: usize = 64 << 10;

/// Starts the chosen command from memory, where it can be. Comes back when it cannot, and then nothing has happened.
///
/// # Errors
///
/// When its content is not what was signed, and when the system does not execute it.
pub(crate) fn start(
    package: &VerifiedPackage,
    file: &PackageFile,
    snapshot: &Snapshot<'_>,
    choice: Choice<'_>,
    dev: bool,
) -> Result<(), StartError> {
    let Some((slot, range)) = plan::only_program(package, snapshot, choice, dev) else {
        return Ok(());
    };
    let failed = |error| StartError::Store(StoreError::Extract(error));
    let found = digest(file.file(), range).map_err(failed)?;
    package
        .check_slot(slot, &found)
        .map_err(|error| failed(error.into()))?;
    let directories = || file.directory();
    let plan = plan::without_files(package, snapshot, choice, &directories);
    let plan = plan.map_err(StartError::Plan)?;
    let Ok(program) = memory::create(&plan.program) else {
        return Ok(());
    };
    let program = match extract::into_file(slot, file.file(), range, program) {
        Ok(program) => program,
        // No room there either.
        Err(ExtractError::Write { .. }) => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if memory::seal(&program).is_err() || !is_static(&program) {
        return Ok(());
    }
    if let Some(cwd) = &plan.cwd {
        let directory = |reason| ExecError::Directory {
            path: path_of(cwd),
            reason,
        };
        rustix::process::chdir(cwd.as_c_str())
            .map_err(|reason| StartError::Exec(directory(reason)))?;
    }
    let reason = memory::execute(&program, &plan.argv, &plan.envp);
    Err(refused(&plan.program, reason))
}

fn refused(program: &CString, reason: Errno) -> StartError {
    let program = path_of(program);
    StartError::Exec(ExecError::Refused { program, reason })
}

fn path_of(path: &CString) -> std::path::PathBuf {
    Path::new(std::ffi::OsStr::from_bytes(path.as_bytes())).to_owned()
}

/// Whether a program is an executable for this machine that needs neither a loader nor libraries.
fn is_static(program: &dyn ReadAt) -> bool {
    needs_nothing(program).unwrap_or(false)
}

/// `None` for what is no such executable.
fn needs_nothing(program: &dyn ReadAt) -> Option<bool> {
    // 64 bits, little-endian.
    const IDENT: &[u8] = b"\x7fELF\x02\x01";
    const EXECUTABLES: [u16; 2] = [2, 3]; // ET_EXEC, ET_DYN
    const DYNAMIC: u32 = 2;
    const INTERPRETER: u32 = 3;
    const END: u64 = 0;
    const NEEDED: u64 = 1;
    let head = read(program, 0, HEADER)?;
    let is_ours = head.starts_with(IDENT)
        && EXECUTABLES.contains(&u16::from_le_bytes(field(&head, 16)?))
        && u16::from_le_bytes(field(&head, 18)?) == MACHINE
        && usize::from(u16::from_le_bytes(field(&head, 54)?)) == PROGRAM_HEADER;
    if !is_ours {
        return None;
    }
    let count = usize::from(u16::from_le_bytes(field(&head, 56)?));
    let at = u64::from_le_bytes(field(&head, 32)?);
    let table = read(program, at, count.checked_mul(PROGRAM_HEADER)?)?;
    for entry in table.chunks_exact(PROGRAM_HEADER) {
        match u32::from_le_bytes(field(entry, 0)?) {
            INTERPRETER => return Some(false),
            DYNAMIC => {
                let at = u64::from_le_bytes(field(entry, 8)?);
                let size = usize::try_from(u64::from_le_bytes(field(entry, 32)?)).ok()?;
                let section = read(program, at, Some(size).filter(|&size| size <= MAX_DYNAMIC)?)?;
                for entry in section.chunks_exact(DYNAMIC_ENTRY) {
                    match u64::from_le_bytes(field(entry, 0)?) {
                        END => break,
                        NEEDED => return Some(false),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(true)
}

fn read(program: &dyn ReadAt, at: u64, size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; size];
    read_exact(program, &mut bytes, at).ok()?;
    Some(bytes)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
