//! A child that is started while this process stays, and the signals that then have to go on to it.
//!
//! The C library keeps some of the real-time signals for itself and hides them in its sets. The application may use them
//! all, so the sets here are the kernel's own, and the calls that take them are made without the library. This process
//! has no second thread when any of this is used.

use core::ffi::{CStr, c_int, c_long};
use core::ptr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::Errno;
use rustix::process::Pid;

use super::spawn::begin;
use super::{SIG_DFL, pointers, signal};

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn getpid() -> c_int;
    fn getppid() -> c_int;
    fn getsid(pid: c_int) -> c_int;
    fn kill(pid: c_int, number: c_int) -> c_int;
    fn prctl(option: c_int, ...) -> c_int;
    fn _exit(code: c_int) -> !;
}

#[cfg(target_arch = "x86_64")]
mod number {
    use core::ffi::c_long;
    pub(super) const SIGPROCMASK: c_long = 14;
    pub(super) const SIGTIMEDWAIT: c_long = 128;
    pub(super) const SIGQUEUEINFO: c_long = 129;
}

// The numbers that all newer architectures share (asm-generic/unistd.h).
#[cfg(not(target_arch = "x86_64"))]
mod number {
    use core::ffi::c_long;
    pub(super) const SIGPROCMASK: c_long = 135;
    pub(super) const SIGTIMEDWAIT: c_long = 137;
    pub(super) const SIGQUEUEINFO: c_long = 138;
}

const CLOSE_RANGE: c_long = 436;
/// Bytes of the kernel's signal set.
const SET_SIZE: c_long = 8;
/// More than the `siginfo_t` of any system, in whose first and third place stand number and code.
const INFO_SIZE: usize = 32;

const SIGKILL: c_long = 9;
const SIGCHLD: c_int = 17;

/// What this process had from its caller and the application gets back: the mask, a bit for each signal from 1 on, and
/// the disposition of `SIGCHLD`.
#[derive(Debug, Clone, Copy)]
pub struct Inherited {
    mask: u64,
    sigchld: usize,
}

/// Keeps every signal that can be kept for [`Signal::wait`].
pub fn block_signals() -> Inherited {
    Inherited {
        mask: set_mask(u64::MAX),
        // A caller that ignores it would leave no status to wait for.
        // SAFETY: no handler is installed.
        sigchld: unsafe { signal(SIGCHLD, SIG_DFL) },
    }
}

impl Inherited {
    /// Puts everything back.
    pub fn restore(self) {
        // SAFETY: what was there before.
        unsafe { signal(SIGCHLD, self.sigchld) };
        set_mask(self.mask);
    }
}

/// Returns the mask that there was before. `SIGKILL` and `SIGSTOP` are never blocked.
fn set_mask(mask: u64) -> u64 {
    const SETMASK: c_long = 2;
    let mut before = 0_u64;
    // SAFETY: two sets of the size that is told.
    unsafe {
        syscall(
            number::SIGPROCMASK,
            SETMASK,
            &raw const mask,
            &raw mut before,
            SET_SIZE,
        );
    }
    before
}

/// A signal that has come, with what the kernel tells about it.
#[derive(Debug)]
#[repr(C, align(8))]
pub struct Signal([c_int; INFO_SIZE]);

impl Signal {
    /// Waits for the next one, of those that [`block_signals`] keeps.
    pub fn wait() -> Signal {
        let mut info = Signal([0; INFO_SIZE]);
        let all = u64::MAX;
        let no_limit = ptr::null::<u8>();
        // Interrupted where this process was stopped and goes on.
        // SAFETY: a set of the size that is told, and room for the answer.
        while unsafe {
            syscall(
                number::SIGTIMEDWAIT,
                &raw const all,
                &raw mut info,
                no_limit,
                SET_SIZE,
            )
        } <= 0
        {}
        info
    }

    /// Its number.
    pub fn number(&self) -> c_int {
        let [number, ..] = self.0;
        number
    }

    /// Who sent it, `SI_KERNEL` and the like: above 0 where the kernel did.
    pub fn code(&self) -> c_int {
        let [_, _, code, ..] = self.0;
        code
    }

    /// Sends it to a child that has not been waited for: with sender and value where the kernel lets somebody else tell
    /// them, which is for signals with a value.
    pub fn pass_on(&self, child: Pid) {
        let to = child.as_raw_pid();
        // SAFETY: a whole `siginfo_t`, as the kernel gave it; a number is never that of another process, because a child
        // keeps its own until it is waited for.
        unsafe {
            if syscall(
                number::SIGQUEUEINFO,
                c_long::from(to),
                c_long::from(self.number()),
                self,
            ) != 0
            {
                kill(to, self.number());
            }
        }
    }
}

/// Starts a program in a child that has this process's directory and streams, and what it had of signals. The child is
/// killed when this process dies. Returns as [`begin`] does.
pub fn start(
    program: &CStr,
    argv: &[impl AsRef<CStr>],
    envp: &[impl AsRef<CStr>],
    inherited: Inherited,
) -> Result<Pid, Errno> {
    // SAFETY: only asks.
    let parent = unsafe { getpid() };
    begin(
        &[program.to_owned()],
        &pointers(argv),
        &pointers(envp),
        &|| {
            die_with(parent);
            inherited.restore();
            Ok(())
        },
    )
}

/// In the child: has the kernel end it together with its parent, and ends it now when that is gone already.
fn die_with(parent: c_int) {
    const PDEATHSIG: c_int = 1;
    // SAFETY: sets an attribute of the process.
    unsafe {
        prctl(PDEATHSIG, SIGKILL);
        if getppid() != parent {
            exit(127);
        }
    }
}

/// Whether this process began its session. In a container the session may be one from outside, which has the number 0.
pub fn leads_session() -> bool {
    // SAFETY: only asks.
    unsafe { getsid(0) == getpid() }
}

/// Closes every descriptor but two. While the application runs, whoever waits for the end of a pipe must not wait for
/// this process.
pub fn close_all_but(keep: [BorrowedFd<'_>; 2]) {
    let [a, b] = keep.map(|fd| i64::from(fd.as_raw_fd()));
    let (low, high) = (a.min(b), a.max(b));
    let close = |first: i64, last: i64| {
        // SAFETY: nothing uses them any more: what owns them is never dropped, because this process only waits, removes
        // what `keep` names, and ends. An empty range is refused. Kernels before 5.9 do not know the call; there, the
        // descriptors stay open.
        first > last || unsafe { syscall(CLOSE_RANGE, first, last, 0_i64) == 0 }
    };
    let _ = close(0, low.saturating_sub(1))
        && close(low.saturating_add(1), high.saturating_sub(1))
        && close(high.saturating_add(1), i64::from(u32::MAX));
}

/// Does to this process what a signal does where nobody has asked for anything else: stops or ends it. Comes back when
/// it goes on, or when the signal does nothing.
pub fn suffer(signal_number: c_int) {
    let bit = 1_u64
        .checked_shl(signal_number.unsigned_abs().saturating_sub(1))
        .unwrap_or(0);
    // SAFETY: no handler is installed; the signal is for this process.
    unsafe {
        signal(signal_number, SIG_DFL);
        kill(getpid(), signal_number);
    }
    set_mask(!bit);
    set_mask(u64::MAX);
}

/// Ends this process like the child that a signal has ended. The child has left what there is to be left for a debugger.
pub fn die_of(signal_number: c_int) -> ! {
    const DUMPABLE: c_int = 4;
    const NO: c_long = 0;
    // SAFETY: sets an attribute of the process.
    unsafe { prctl(DUMPABLE, NO) };
    suffer(signal_number);
    // The first process of a container is not ended by its own signals; shells tell such an end by this status.
    exit(signal_number.saturating_add(128))
}

/// Ends this process at once. There is nothing to be flushed.
pub fn exit(code: c_int) -> ! {
    // SAFETY: does not come back.
    unsafe { _exit(code) }
}
