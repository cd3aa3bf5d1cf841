//! Unix: `execve` in place, so that pid, signals, status, terminal and descriptors are the application's own.

use core::convert::Infallible;
use core::ffi::CStr;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use rustix::io::Errno;

use super::{ExecError, Status};
use crate::plan::ExecPlan;
use crate::sys;

/// Replaces this process by the planned one. Returns only when that fails, and then nothing but the working directory
/// has changed.
pub fn replace(plan: &ExecPlan<'_>) -> Result<Infallible, ExecError> {
    if let Some(cwd) = &plan.cwd {
        rustix::process::chdir(cwd.as_c_str()).map_err(|reason| ExecError::Directory {
            path: path_of(cwd),
            reason,
        })?;
    }
    let reason = sys::exec(&plan.program, &plan.argv, &plan.envp);
    Err(explain(&plan.program, reason))
}

/// Runs the planned program and waits for it. It reads nothing, and what it writes goes to standard error: standard
/// output belongs to the application.
pub fn run(plan: &ExecPlan<'_>) -> Result<(), ExecError> {
    let refused = |reason: std::io::Error| {
        let reason = Errno::from_io_error(&reason).unwrap_or(Errno::INVAL);
        explain(&plan.program, reason)
    };
    let output = match rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3) {
        Ok(stderr) => Stdio::from(stderr),
        Err(_) => Stdio::null(), // the caller has closed standard error
    };
    let os = |text: &CStr| OsStr::from_bytes(text.to_bytes()).to_owned();
    let mut command = Command::new(os(&plan.program));
    command.args(plan.argv.iter().skip(1).map(|arg| os(arg)));
    command.env_clear().stdin(Stdio::null()).stdout(output);
    for var in &plan.envp {
        let mut parts = var.to_bytes().splitn(2, |&byte| byte == b'=');
        // An entry without `=` is nothing that std can pass on, nor a shell read.
        if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
        }
    }
    if let Some(cwd) = &plan.cwd {
        command.current_dir(os(cwd));
    }
    let status = command.status().map_err(refused)?;
    if status.success() {
        return Ok(());
    }
    Err(ExecError::Failed {
        program: path_of(&plan.program),
        status: status_of(status),
    })
}

fn status_of(status: ExitStatus) -> Status {
    match status.code() {
        Some(code) => Status::Code(code),
        None => Status::Signal(status.signal().unwrap_or(0)),
    }
}

/// `ENOENT` has two meanings: there is no program, or there is one whose interpreter is missing.
fn explain(program: &CStr, reason: Errno) -> ExecError {
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
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(255).read_to_end(&mut start))
        .ok()?;
    let line = start.strip_prefix(b"#!")?.trim_ascii_start();
    let end = line.iter().position(u8::is_ascii_whitespace);
    line.get(..end.unwrap_or(line.len())).map(<[u8]>::to_vec)
}

fn path_of(path: &CStr) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.to_bytes()))
}
