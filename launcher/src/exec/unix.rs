//! Unix: `execve` in place, so that pid, signals, status, terminal and descriptors are the application's own.

use crate::at;
use core::convert::Infallible;
use core::ffi::CStr;
use rustix::fs::CWD;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{ExecError, Status};
use crate::plan::ExecPlan;
use crate::sys;

/// Replaces this process by the planned one. Returns only when that fails, and then nothing but the working directory
/// has changed.
pub fn replace(plan: &ExecPlan<'_>) -> Result<Infallible, ExecError> {
    enter(plan)?;
    let reason = sys::exec(&plan.program, &plan.argv, &plan.envp);
    Err(explain(&plan.program, reason))
}

/// Changes to the directory of the plan, where it has one.
pub(super) fn enter(plan: &ExecPlan<'_>) -> Result<(), ExecError> {
    let Some(cwd) = &plan.cwd else { return Ok(()) };
    rustix::process::chdir(cwd.as_c_str()).map_err(|reason| ExecError::Directory {
        path: path_of(cwd),
        reason,
    })
}

/// Runs the planned program and waits for it. It reads nothing, and what it writes goes to standard error: standard
/// output belongs to the application.
pub fn run(plan: &ExecPlan<'_>) -> Result<(), ExecError> {
    let cwd = plan.cwd.as_deref();
    // Looked at before, because a failed spawn does not tell a missing directory from a missing program.
    if let Some(path) = cwd {
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).map_err(|reason| ExecError::Directory {
            path: path_of(path),
            reason,
        })?;
    }
    let status = sys::run(&plan.program, &plan.argv, &plan.envp, cwd)
        .map_err(|reason| explain(&plan.program, reason))?;
    let status = match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) => return Ok(()),
        (Some(code), _) => Status::Code(code),
        (None, signal) => Status::Signal(signal.unwrap_or(0)),
    };
    let program = path_of(&plan.program);
    Err(ExecError::Failed { program, status })
}

/// `ENOENT` has two meanings: there is no program, or there is one whose interpreter is missing.
pub(super) fn explain(program: &CStr, reason: Errno) -> ExecError {
    let path = path_of(program);
    match reason {
        Errno::NOENT if rustix::fs::stat(program).is_ok() => ExecError::Interpreter {
            interpreter: interpreter_of(&path),
            program: path,
        },
        Errno::NOENT | Errno::NOTDIR => ExecError::Missing { program: path },
        reason => ExecError::Refused {
            program: path,
            reason,
        },
    }
}

/// What a script names in its first line (execve(2): at most 255 bytes).
fn interpreter_of(path: &std::path::Path) -> Option<Vec<u8>> {
    let file = at::open(CWD, path.as_os_str().as_bytes(), OFlags::RDONLY, 0).ok()?;
    let start = at::read_all(&file, 255).ok()?;
    let line = start.strip_prefix(b"#!")?.trim_ascii_start();
    let end = line.iter().position(u8::is_ascii_whitespace);
    line.get(..end.unwrap_or(line.len())).map(<[u8]>::to_vec)
}

fn path_of(path: &CStr) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.to_bytes()))
}
