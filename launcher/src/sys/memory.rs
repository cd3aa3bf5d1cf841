//! Programs that lie in memory and nowhere else.

use core::ffi::{CStr, c_char, c_int};
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

use super::pointers;

unsafe extern "C" {
    // Both C libraries ask execveat(2), so that it works without /proc.
    fn fexecve(fd: c_int, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
}

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
    // SAFETY: an open file, and two null-terminated vectors of NUL-terminated strings that outlive the call.
    unsafe { fexecve(file.as_raw_fd(), argv.as_ptr(), envp.as_ptr()) };
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}
