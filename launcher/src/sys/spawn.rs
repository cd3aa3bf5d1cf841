//! Programs that start beside this one.
//!
//! A child is a copy of the thread that makes it, and until it is another program it does nothing that needs the others:
//! it allocates nothing and takes no lock. Everything it uses is made before.

use core::ffi::{CStr, c_char, c_int, c_long};
use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};
use rustix::stdio;

use super::child::exit;
use super::{SIG_DFL, SIGCHLD, execve, last_error, pointers, signal};

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

#[cfg(target_arch = "x86_64")]
const CLONE: c_long = 56;
// The number that all newer architectures share (asm-generic/unistd.h).
#[cfg(not(target_arch = "x86_64"))]
const CLONE: c_long = 220;

/// Where the standard output of a program goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// To standard error, which is the caller's.
    Stderr,
    /// To `/dev/null`, as does standard error.
    Nowhere,
}

/// Starts a program beside this one; searched in the `PATH` that it gets when its name has no slash. Its standard input
/// is `input`, or else empty. Returns as [`begin`] does.
pub fn spawn(
    program: &CStr,
    argv: &[&CStr],
    envp: &[&CStr],
    cwd: Option<&CStr>,
    input: Option<&OwnedFd>,
    output: Output,
) -> Result<Pid, Errno> {
    let programs = if program.to_bytes().contains(&b'/') {
        vec![program.to_owned()]
    } else {
        search(program, envp)
    };
    let prepare = || place(cwd, input, output);
    begin(&programs, &pointers(argv), &pointers(envp), &prepare)
}

/// Where a program without a slash in its name may lie.
fn search(program: &CStr, envp: &[&CStr]) -> Vec<CString> {
    envp.iter()
        .find_map(|var| var.to_bytes().strip_prefix(b"PATH="))
        .unwrap_or_default()
        .split(|&byte| byte == b':')
        // An empty or relative entry would take the program from the caller's directory.
        .filter(|directory| directory.starts_with(b"/"))
        .filter_map(|directory| CString::new([directory, b"/", program.to_bytes()].concat()).ok())
        .collect()
}

/// In the child: gives it its streams and its directory.
fn place(cwd: Option<&CStr>, input: Option<&OwnedFd>, output: Output) -> Result<(), Errno> {
    // The standard streams of this process are open, be it to nothing, so that no handle here has one of their numbers.
    let null = rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    stdio::dup2_stdin(input.unwrap_or(&null).as_fd())?;
    if output == Output::Nowhere {
        stdio::dup2_stderr(null.as_fd())?;
    }
    stdio::dup2_stdout(stdio::stderr())?;
    cwd.map_or(Ok(()), rustix::process::chdir)
}

/// Starts the first of these programs that can be executed, in a child that has prepared itself. The vectors are
/// null-terminated, of NUL-terminated strings.
///
/// Returns when the program has begun, or the reason why it does not; of several, the last one's.
pub(super) fn begin(
    programs: &[CString],
    argv: &[*const c_char],
    envp: &[*const c_char],
    prepare: &dyn Fn() -> Result<(), Errno>,
) -> Result<Pid, Errno> {
    let io = |error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL);
    let (reader, writer) = std::io::pipe().map_err(io)?;
    let exec = || {
        let mut reason = Errno::NOENT;
        if let Err(reason) = prepare() {
            return reason;
        }
        for program in programs {
            // SAFETY: three NUL-terminated strings or null-terminated vectors of such, which outlive the call.
            unsafe { execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
            reason = last_error();
        }
        reason
    };
    // The kernel's fork: the C library's takes locks and calls handlers for what a child like this one never uses.
    // SAFETY: a new process with a copy of this one's memory. In it, only what may be called in a signal handler is.
    let pid = match unsafe { syscall(CLONE, c_long::from(SIGCHLD), 0_i64, 0_i64, 0_i64, 0_i64) } {
        0 => {
            let reason = exec().raw_os_error();
            let _ = rustix::io::write(&writer, &reason.to_ne_bytes());
            exit(127)
        }
        pid => c_int::try_from(pid).ok().filter(|&pid| pid > 0),
    };
    let pid = pid.and_then(Pid::from_raw).ok_or_else(last_error)?;
    drop(writer);
    // The end of the pipe closes when the program begins.
    let mut reason = [0; 4];
    match rustix::io::retry_on_intr(|| rustix::io::read(&reader, &mut reason)) {
        Ok(4) => {
            let _ = waitpid(Some(pid), WaitOptions::empty());
            Err(Errno::from_raw_os_error(c_int::from_ne_bytes(reason)))
        }
        _ => Ok(pid),
    }
}

/// Runs a program, which is named by a path, and waits for its end. It reads nothing, and what it writes goes to standard
/// error.
pub fn run(
    program: &CStr,
    argv: &[impl AsRef<CStr>],
    envp: &[impl AsRef<CStr>],
    cwd: Option<&CStr>,
) -> Result<WaitStatus, Errno> {
    // A caller that ignores SIGCHLD would leave no status to wait for. The program gets the default, too.
    // SAFETY: no handler is installed; what is put back was there before.
    let before = unsafe { signal(SIGCHLD, SIG_DFL) };
    let prepare = || place(cwd, None, Output::Stderr);
    let (argv, envp) = (pointers(argv), pointers(envp));
    let status = begin(&[program.to_owned()], &argv, &envp, &prepare).and_then(end_of);
    // SAFETY: as above.
    unsafe { signal(SIGCHLD, before) };
    status
}

/// Waits for the end of a child.
fn end_of(pid: Pid) -> Result<WaitStatus, Errno> {
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell script ends with 7 where everything is as it should be.
    const SCRIPT: [&CStr; 3] = [
        c"sh",
        c"-c",
        c"read line && exit 1; [ \"$PWD\" = /dev ] && [ /dev/fd/1 -ef /dev/fd/2 ] && exit 7",
    ];

    fn code(pid: Result<Pid, Errno>) -> Result<Option<i32>, Errno> {
        pid.and_then(end_of).map(WaitStatus::exit_status)
    }

    #[test]
    fn programs_have_directory_and_streams_and_failures_have_reasons() {
        let run_in = |program, cwd| run(program, &SCRIPT, &[c""], Some(cwd));
        let run_in = |program, cwd| run_in(program, cwd).map(WaitStatus::exit_status);
        assert_eq!(run_in(c"/bin/sh", c"/dev"), Ok(Some(7)));
        assert_eq!(run_in(c"/nowhere/sh", c"/dev"), Err(Errno::NOENT));
        assert_eq!(run_in(c"/dev/null", c"/dev"), Err(Errno::ACCESS));
        assert_eq!(run_in(c"/bin/sh", c"/nowhere"), Err(Errno::NOENT));
    }

    #[test]
    fn programs_are_found_in_absolute_directories() {
        let find = |name, path| {
            let cwd = Some(c"/dev");
            code(spawn(name, &SCRIPT, &[path], cwd, None, Output::Nowhere))
        };
        assert_eq!(find(c"sh", c"PATH=.:/nowhere:/bin"), Ok(Some(7)));
        assert_eq!(find(c"/bin/sh", c"PATH=/nowhere"), Ok(Some(7)));
        // The child is in /dev.
        for path in [c"PATH=../bin", c"PATH=", c"OTHER=/bin", c"PATH=/nowhere"] {
            assert_eq!(find(c"sh", path), Err(Errno::NOENT));
        }
    }

    #[test]
    fn a_program_reads_its_pipe() -> std::io::Result<()> {
        use std::io::Write as _;
        let (reader, mut writer) = std::io::pipe()?;
        let argv = [c"sh", c"-c", c"read line; exit $line"];
        let reader = reader.into();
        let pid = spawn(
            c"/bin/sh",
            &argv,
            &[c""],
            None,
            Some(&reader),
            Output::Nowhere,
        )?;
        writer.write_all(b"9\n")?;
        assert_eq!(code(Ok(pid)), Ok(Some(9)));
        Ok(())
    }
}
