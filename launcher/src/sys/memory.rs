//! Programs that lie in memory and nowhere else.

use core::ffi::{CStr, c_long};
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

use super::{last_error, pointers};

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

#[cfg(target_arch = "x86_64")]
const EXECVEAT: c_long = 322;
// The number that all newer architectures share (asm-generic/unistd.h).
#[cfg(not(target_arch = "x86_64"))]
const EXECVEAT: c_long = 281;

/// Makes an empty file in memory that can be executed. It is closed when a program takes this process's place.
pub(crate) fn create(name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(name, flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 every one can be executed, and the flag is not known.
        Err(Errno::INVAL) => memfd_create(name, flags),
        other => other,
    }
}

/// From now on nobody changes the file, the program in it included.
pub(crate) fn seal(file: &OwnedFd) -> Result<(), Errno> {
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(file, seals)
}

/// Replaces the process by the program in the file. Returns only the reason why that failed.
pub(crate) fn execute(
    file: &OwnedFd,
    argv: &[impl AsRef<CStr>],
    envp: &[impl AsRef<CStr>],
) -> Errno {
    let argv = pointers(argv);
    let envp = pointers(envp);
    const EMPTY_PATH: c_long = 0x1000;
    // Needs no /proc, as the C library's function does on old kernels.
    // SAFETY: an open file, and two null-terminated vectors of NUL-terminated strings that outlive the call.
    unsafe {
        syscall(
            EXECVEAT,
            c_long::from(file.as_raw_fd()),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            EMPTY_PATH,
        )
    };
    last_error()
}
