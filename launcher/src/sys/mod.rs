//! The only `unsafe` of the workspace: how the process begins, and how it is replaced.
//!
//! The stub has the C `main` and not Rust's: the standard library's start would set `SIGPIPE` to ignored, poll the
//! standard streams and install a signal stack, and the application would inherit the first and pay for the others.
//! Arguments and environment are the kernel's own NUL-terminated strings, passed on as they are.
#![allow(unsafe_code)]

mod arena;
pub mod child;
mod heap;
mod helper;
pub(crate) mod memory;
mod spawn;
mod threads;

use core::ffi::{CStr, c_char, c_int, c_ulong};
use core::ptr;

pub use arena::Arena;
pub use heap::Heap;
pub use helper::Helper;
use rustix::io::Errno;
pub use spawn::{Output, run, spawn};
pub use threads::share;

// The C library that std links on every Linux target, for what neither std nor rustix offers in this form: std's `exec`
// changes signals, and its `Command` takes 20 KB of the stub and cannot pass on a variable without `=`.
unsafe extern "C" {
    fn execve(
        program: *const c_char,
        argv: *const *const c_char,
        envp: *const *const c_char,
    ) -> c_int;
    fn getauxval(kind: c_ulong) -> c_ulong;
    fn signal(number: c_int, handler: usize) -> usize;
}

/// Defines the C `main` of the stub: `entry!(function)` with `fn(&Process) -> u8`, whose result is the exit code.
///
/// A macro, because the symbol must be in the program, and `unsafe` must be here.
#[macro_export]
macro_rules! entry {
    ($start:path) => {
        /// What the C runtime calls.
        ///
        /// # Safety
        ///
        /// Not for anybody else: it takes the vectors of the process.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn main(
            argc: core::ffi::c_int,
            argv: *const *const core::ffi::c_char,
            envp: *const *const core::ffi::c_char,
        ) -> core::ffi::c_int {
            // SAFETY: the C runtime calls `main` once, with the vectors that the kernel has put on the stack, and
            // nothing has changed them.
            let process = unsafe { $crate::sys::Process::from_main(argc, argv, envp) };
            core::ffi::c_int::from($start(&process))
        }
    };
}

/// What the kernel gave this process. The strings live as long as the process.
#[derive(Debug, Clone)]
pub struct Process {
    /// Arguments, with `argv[0]`; empty when the caller passed none.
    pub args: Vec<&'static CStr>,
    /// The environment: `NAME=VALUE`, or whatever the caller put there.
    pub vars: Vec<&'static CStr>,
}

impl Process {
    /// Takes over the vectors of `main`.
    ///
    /// # Safety
    ///
    /// `argv` has `argc` and `envp` any number of pointers to NUL-terminated strings, followed by a null pointer; none
    /// of it is changed or freed while the process lives.
    pub unsafe fn from_main(
        argc: c_int,
        argv: *const *const c_char,
        envp: *const *const c_char,
    ) -> Process {
        let limit = usize::try_from(argc).unwrap_or(0);
        // SAFETY: as promised by the caller.
        unsafe {
            Process {
                args: strings(argv, limit),
                vars: strings(envp, usize::MAX),
            }
        }
    }
}

/// The strings of a null-terminated vector, at most `limit`.
///
/// # Safety
///
/// As for [`Process::from_main`].
unsafe fn strings(mut vector: *const *const c_char, limit: usize) -> Vec<&'static CStr> {
    let mut out = Vec::new();
    while !vector.is_null() && out.len() < limit {
        // SAFETY: `vector` points into the vector, at most at its null pointer, behind which it is not moved.
        let string = unsafe { *vector };
        if string.is_null() {
            break;
        }
        // SAFETY: a NUL-terminated string that lives as long as the process.
        out.push(unsafe { CStr::from_ptr(string) });
        // SAFETY: the element was not the null pointer, so there is another one.
        vector = unsafe { vector.add(1) };
    }
    out
}

// Keys of the auxiliary vector (linux/auxvec.h).
const AT_EUID: c_ulong = 12;
const AT_SECURE: c_ulong = 23;
const AT_EXECFN: c_ulong = 31;

/// Whether the program runs with privileges that its caller does not have (set-user-id, set-group-id, capabilities).
pub fn is_privileged() -> bool {
    // SAFETY: only looks a number up.
    unsafe { getauxval(AT_SECURE) != 0 }
}

/// The effective user at the start of the process: from the auxiliary vector, without asking the kernel again.
pub fn effective_uid() -> u32 {
    // SAFETY: only looks a number up.
    let uid = unsafe { getauxval(AT_EUID) };
    u32::try_from(uid).unwrap_or_else(|_| rustix::process::geteuid().as_raw())
}

/// The path that was given to `execve` for this process.
pub fn exec_path() -> Option<&'static CStr> {
    // SAFETY: only looks a number up.
    let address = usize::try_from(unsafe { getauxval(AT_EXECFN) }).ok()?;
    if address == 0 {
        return None;
    }
    // SAFETY: the kernel has put a NUL-terminated string there, above the environment; nothing changes it.
    Some(unsafe { CStr::from_ptr(ptr::with_exposed_provenance(address)) })
}

/// Asks for large pages for a buffer that is about to be filled: some calls of the kernel's fault handler instead of one
/// for every 4 KiB. A wish, which not every host grants.
#[cfg(target_os = "linux")]
pub(crate) fn use_large_pages(buffer: &mut [u8]) {
    const PAGE: usize = 4096;
    let skipped = buffer.as_ptr().align_offset(PAGE);
    let Some(pages) = buffer.get_mut(skipped..) else {
        return;
    };
    // SAFETY: the range lies in the buffer, and the advice changes nothing about its content.
    let _ = unsafe {
        rustix::mm::madvise(
            pages.as_mut_ptr().cast(),
            pages.len(),
            rustix::mm::Advice::LinuxHugepage,
        )
    };
}

/// Asks for large pages for a buffer, where there is a way to ask.
#[cfg(not(target_os = "linux"))]
pub(crate) fn use_large_pages(_: &mut [u8]) {}

/// Replaces the process. Returns only the reason why that failed.
///
/// Nothing else is changed: signal dispositions and mask, umask, directory and priority stay the caller's.
pub fn exec(program: &CStr, argv: &[impl AsRef<CStr>], envp: &[impl AsRef<CStr>]) -> Errno {
    let argv = pointers(argv);
    let envp = pointers(envp);
    // SAFETY: three NUL-terminated strings or null-terminated vectors of such, which outlive the call.
    unsafe { execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    last_error()
}

/// Why the last call into the C library failed.
fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

fn pointers(strings: &[impl AsRef<CStr>]) -> Vec<*const c_char> {
    let mut out = Vec::with_capacity(strings.len().saturating_add(1));
    out.extend(strings.iter().map(|string| string.as_ref().as_ptr()));
    out.push(ptr::null());
    out
}

const SIGPIPE: c_int = 13;
const SIGCHLD: c_int = 17;
const SIG_DFL: usize = 0;
const SIG_IGN: usize = 1;

/// What to do with `SIGPIPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sigpipe {
    /// The disposition that a program starts with. For `flavor run`: Rust's runtime has ignored the signal, and the
    /// application must not inherit that.
    Default,
    /// Ignored. For a process that is about to end and has a last message for a stream that may be closed.
    Ignored,
}

/// Sets the disposition of `SIGPIPE`.
pub fn set_sigpipe(what: Sigpipe) {
    let handler = match what {
        Sigpipe::Default => SIG_DFL,
        Sigpipe::Ignored => SIG_IGN,
    };
    // SAFETY: no handler is installed, only one of the two fixed dispositions.
    unsafe { signal(SIGPIPE, handler) };
}
