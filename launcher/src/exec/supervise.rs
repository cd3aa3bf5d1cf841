//! The launcher as the parent of the application, for packages whose files are removed when it ends.
//!
//! Session, process group, terminal, streams and descriptors are the ones that the application would have had in the
//! launcher's place. What is sent to the launcher reaches it, and how it ends is how the launcher ends:
//!
//! - Every signal that can be caught is passed on, but for those that the terminal has sent to the whole process group:
//!   the application has got them itself. Signals with a value keep it.
//! - When the application stops, the launcher stops by the same signal, so that a shell shows the job as stopped; when the
//!   launcher goes on, so does the application.
//! - When the launcher is killed, the kernel kills the application. The files are removed by a later start.
//!
//! Two differences remain. Whoever sends a signal to the whole process group with kill(2) reaches the application twice,
//! because a signal does not tell to how many it was sent. And `SIGSTOP` stops the launcher alone, because nothing can
//! pass it on.

use core::ffi::c_int;

use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

use super::{ExecError, Status, unix};
use crate::plan::ExecPlan;
use crate::store::Private;
use crate::sys::child::{self, Signal};

// asm-generic/signal.h; the same on every architecture that packages are built for.
const SIGHUP: c_int = 1;
const SIGINT: c_int = 2;
const SIGQUIT: c_int = 3;
const SIGCHLD: c_int = 17;
const SIGCONT: c_int = 18;
const SIGTSTP: c_int = 20;
const SIGTTIN: c_int = 21;
const SIGTTOU: c_int = 22;
const SIGWINCH: c_int = 28;
/// The code of a signal that the kernel sends by itself (asm-generic/siginfo.h).
const SI_KERNEL: c_int = 0x80;

/// Starts the planned program as a child and ends this process as the child ends, with the private environment removed.
/// Returns only when the program was not started, and then nothing but the working directory has changed.
pub fn supervise(plan: &ExecPlan<'_>, private: Private) -> ExecError {
    if let Err(error) = unix::enter(plan) {
        return error;
    }
    let inherited = child::block_signals();
    let application = match child::start(&plan.program, &plan.argv, &plan.envp, inherited) {
        Ok(application) => application,
        Err(reason) => {
            inherited.restore();
            return unix::explain(&plan.program, reason);
        }
    };
    child::close_all_but(private.handles());
    let status = Supervisor::new(application).watch();
    drop(private);
    match status {
        Status::Code(code) => child::exit(code),
        Status::Signal(signal) => child::die_of(signal),
    }
}

struct Supervisor {
    application: Pid,
    /// Whether this process began the session, and is the only one to be told that the terminal is gone.
    is_leader: bool,
    /// Whether the application is stopped, as far as the kernel has told.
    is_stopped: bool,
    /// Whether this process has stopped itself, and no `SIGCONT` has come for it since.
    has_slept: bool,
}

impl Supervisor {
    fn new(application: Pid) -> Supervisor {
        Supervisor {
            application,
            is_leader: child::leads_session(),
            is_stopped: false,
            has_slept: false,
        }
    }

    /// Passes signals on until the application has ended.
    fn watch(&mut self) -> Status {
        loop {
            let signal = Signal::wait();
            // Looked at with every signal: one that somebody sends may stand for another that the kernel sent.
            if let Some(status) = self.news() {
                return status;
            }
            if !self.has_arrived(&signal) {
                signal.pass_on(self.application);
            }
        }
    }

    /// Hears what has become of the application, and of other children that this process may have: a caller's from before
    /// it started the package, and, in a container, everybody's.
    fn news(&mut self) -> Option<Status> {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        while let Ok(Some((pid, status))) = wait(options) {
            if pid != self.application {
                continue;
            }
            if let Some(end) = end_of(status) {
                return Some(end);
            }
            self.is_stopped = status.stopped();
            if let Some(signal) = status.stopping_signal() {
                child::suffer(signal);
                self.has_slept = true;
            }
        }
        None
    }

    /// Whether the application needs no telling.
    fn has_arrived(&mut self, signal: &Signal) -> bool {
        let is_from_kernel = signal.code() == SI_KERNEL;
        match signal.number() {
            // Codes above 0 are the kernel's own, about a child.
            SIGCHLD => signal.code() > 0,
            SIGINT | SIGQUIT | SIGTSTP | SIGTTIN | SIGTTOU | SIGWINCH => is_from_kernel,
            SIGHUP => is_from_kernel && !self.is_leader,
            // It has woken this process. Where it was sent to the group, it has woken the application too.
            SIGCONT if core::mem::take(&mut self.has_slept) => !self.is_stopped,
            SIGCONT => is_from_kernel && !self.is_leader,
            _ => false,
        }
    }
}

fn end_of(status: WaitStatus) -> Option<Status> {
    let code = status.exit_status().map(Status::Code);
    code.or_else(|| status.terminating_signal().map(Status::Signal))
}
