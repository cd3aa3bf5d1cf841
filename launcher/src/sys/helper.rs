//! A program beside this one that shows what this one does.

use core::ffi::{CStr, c_int};
use std::io::{PipeWriter, Write as _};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::{Output, SIG_DFL, SIG_IGN, SIGCHLD, SIGPIPE, signal, spawn};

/// A running program with a pipe to its standard input. It ends when this value is dropped, and no sooner must anything
/// else become of this process: an application in its place would have a child that it does not know.
pub struct Helper {
    pipe: PipeWriter,
    pid: Pid,
    /// The dispositions of `SIGPIPE` and `SIGCHLD` before.
    before: (usize, usize),
}

impl Helper {
    /// Starts a program, searched in `PATH`. What it prints goes nowhere.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(program: &CStr, argv: &[&CStr], envp: &[&CStr]) -> Result<Helper, Errno> {
        let io = |error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL);
        let (read, pipe) = std::io::pipe().map_err(io)?;
        let read = read.into();
        let pid = spawn(program, argv, envp, None, Some(&read), Output::Nowhere)?;
        Ok(Helper {
            pipe,
            pid,
            // It may end before this process does, and then a write must not be the end of both, and its number must
            // not become that of another process, which would be the one to be ended.
            before: (set(SIGPIPE, SIG_IGN), set(SIGCHLD, SIG_DFL)),
        })
    }

    /// Gives it some text to read, as much as fits into the pipe without waiting. Nobody hears of a failure.
    pub fn feed(&self, text: &str) {
        let _ = (&self.pipe).write_all(text.as_bytes());
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // Not asked but killed: it may not listen, and nobody waits for a window. It has nothing to lose.
        let _ = kill_process(self.pid, Signal::KILL);
        while let Err(Errno::INTR) = waitpid(Some(self.pid), WaitOptions::empty()) {}
        set(SIGPIPE, self.before.0);
        set(SIGCHLD, self.before.1);
    }
}

fn set(number: c_int, handler: usize) -> usize {
    // SAFETY: no handler is installed; `handler` is one of the two fixed dispositions, or was there before.
    unsafe { signal(number, handler) }
}
