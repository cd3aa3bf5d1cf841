//! Starting programs: the application in place of the launcher, and setup commands beside it.
//!
//! One module a platform, with the same interface: `exec::replace` and `exec::run`. Where something has to be done when
//! the application has ended, it is a child of the launcher: `exec::supervise`.

#[cfg(unix)]
mod supervise;
#[cfg(unix)]
mod unix;

use crate::report::{about, refused};
use core::fmt;
use psp_format::text::Quoted;
use std::path::PathBuf;

use rustix::io::Errno;
#[cfg(unix)]
pub use supervise::supervise;
#[cfg(unix)]
pub use unix::{replace, run};

/// Why a program was not started, or did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecError {
    /// There is no such program.
    Missing {
        /// Its path.
        program: PathBuf,
    },
    /// The program names an interpreter that is not there.
    Interpreter {
        /// Its path.
        program: PathBuf,
        /// Path of the interpreter, where it can be told.
        interpreter: Option<Vec<u8>>,
    },
    /// The system does not execute it.
    Refused {
        /// Its path.
        program: PathBuf,
        /// The kernel's reason.
        reason: Errno,
    },
    /// The working directory cannot be entered.
    Directory {
        /// Its path.
        path: PathBuf,
        /// The kernel's reason.
        reason: Errno,
    },
    /// A setup command failed.
    Failed {
        /// Its path.
        program: PathBuf,
        /// How it ended.
        status: Status,
    },
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// With this exit status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl ExecError {
    /// The exit code for this reason: 127 when the package lacks the command, 126 when it cannot be executed, 125 when
    /// it did not come to that.
    pub fn exit_code(&self) -> u8 {
        match self {
            ExecError::Missing { .. } => 127,
            ExecError::Interpreter { .. } | ExecError::Refused { .. } => 126,
            ExecError::Directory { .. } | ExecError::Failed { .. } => 125,
        }
    }

    /// Whether a damaged cache can be the reason, so that a new extraction is worth a try.
    pub fn may_be_damage(&self) -> bool {
        match self {
            ExecError::Missing { .. } | ExecError::Interpreter { .. } => true,
            ExecError::Refused { reason, .. } => {
                matches!(*reason, Errno::ACCESS | Errno::NOEXEC | Errno::LOOP)
            }
            ExecError::Directory { reason, .. } => {
                matches!(*reason, Errno::NOENT | Errno::NOTDIR | Errno::ACCESS)
            }
            ExecError::Failed { .. } => false,
        }
    }

    /// One line that says what a person can do.
    pub fn help(&self) -> &'static str {
        match self {
            ExecError::Missing { .. } => "report this to the maker of the package",
            ExecError::Interpreter { .. } => {
                "install it on this system, or report this to the maker of the package"
            }
            ExecError::Refused { reason, .. } => match *reason {
                Errno::ACCESS => {
                    "set FLAVOR_CACHE to a directory on a file system that allows execution"
                }
                Errno::NOEXEC => "get the package that was built for this platform",
                Errno::TOOBIG => "start it with fewer or shorter arguments and variables",
                _ => "report this to the maker of the package",
            },
            ExecError::Directory { .. } => "make the directory, or start from another one",
            ExecError::Failed { .. } => "the lines above are its own; nothing was left behind",
        }
    }
}

impl std::error::Error for ExecError {}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExecError::Missing { program } => about(f, "", program, &" does not exist"),
            ExecError::Interpreter {
                program,
                interpreter: Some(interpreter),
            } => {
                about(f, "cannot execute ", program, &": its interpreter ")?;
                Quoted(interpreter).fmt(f)?;
                f.write_str(" does not exist")
            }
            ExecError::Interpreter { program, .. } => {
                let behind = ": the loader that it names does not exist";
                about(f, "cannot execute ", program, &behind)
            }
            ExecError::Refused { program, reason } => {
                refused(f, "cannot execute ", program, *reason)
            }
            ExecError::Directory { path, reason } => {
                refused(f, "cannot enter the directory ", path, *reason)
            }
            ExecError::Failed {
                program,
                status: Status::Code(code),
            } => {
                about(f, "the setup command ", program, &" failed with status ")?;
                code.fmt(f)
            }
            ExecError::Failed {
                program,
                status: Status::Signal(signal),
            } => {
                about(f, "the setup command ", program, &" was ended by signal ")?;
                signal.fmt(f)
            }
        }
    }
}
