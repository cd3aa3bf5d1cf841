//! The one home of the launcher's output: an error in two lines, and what a first start is doing.
//!
//! Everything goes to standard error; nothing is ever written to standard output, which is the application's.
//!
//! # Dialogs
//!
//! Who starts a package by a double-click sees no standard error. A failed start is then shown in a dialog, by the first
//! of `zenity`, `kdialog` and `xmessage` that is there. It must not appear on a machine where nobody looks, so all of this
//! has to hold:
//!
//! - `DISPLAY` or `WAYLAND_DISPLAY` is set;
//! - no standard stream is a terminal, and the process has no controlling terminal either;
//! - standard error is closed, `/dev/null`, or the journal (`JOURNAL_STREAM` names it) without the process being a
//!   service's own (`SYSTEMD_EXEC_PID`). A pipe or a file, as in CI, cron and services, means that somebody reads it.
//!
//! The launcher does not wait for the dialog.

use core::ffi::CStr;
use core::fmt::Display;
use std::ffi::CString;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode, OFlags};

use crate::env_vars;
use crate::plan::variable;
use crate::sys::{self, Output, Sigpipe};

/// How long a first start is silent.
const SILENT: Duration = Duration::from_millis(500);
/// How often its line is written anew.
const REFRESH: Duration = Duration::from_millis(100);
/// The return to the beginning of the line, and the erasure of what is there (ECMA-48, EL).
const CLEAR_LINE: &str = "\r\x1b[K";

/// Tells why a start failed: one line of fact, one of help.
pub fn failure(fact: &dyn Display, help: &str, vars: &[&CStr]) {
    let fact = printable(&fact.to_string());
    // The reader of standard error may be gone; the exit code must still arrive.
    sys::set_sigpipe(Sigpipe::Ignored);
    write(&format!("error: {fact}\nhelp: {help}\n"));
    if dialog_is_due(vars) {
        show_dialog(&format!("{fact}\n\n{help}"), vars);
    }
}

/// Tells of something that does not keep a package from starting, in one line.
pub fn warning(fact: &dyn Display) {
    write(&["warning: ", &printable(&fact.to_string()), "\n"].concat());
}

/// `text` without anything that a terminal would obey.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // A line break is the launcher's own, where it lists something: names are escaped where they are put in.
        if c.is_control() && c != '\n' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// One call, so that lines of several processes do not mix. Where nothing can be written, nobody is told.
fn write(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// What a first start shows on a terminal while it unpacks. Silent for half a second, and where there is no terminal.
#[derive(Debug)]
pub struct Progress {
    title: String,
    started: Instant,
    /// When the line was last written, and what it says.
    line: Mutex<Option<(Instant, u64)>>,
    terminal: bool,
}

impl Progress {
    /// Begins to count the time.
    pub fn new(name: &str, version: &str) -> Progress {
        Progress {
            title: format!("{name} {version}: first start"),
            started: Instant::now(),
            line: Mutex::new(None),
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// `done` of `total` bytes are unpacked. May be called from any thread, and often.
    pub fn unpacked(&self, done: u64, total: u64) {
        if !self.terminal || self.started.elapsed() < SILENT {
            return;
        }
        let percent = u128::from(done)
            .saturating_mul(100)
            .checked_div(u128::from(total))
            .and_then(|percent| u64::try_from(percent).ok())
            .map_or(100, |percent| percent.min(100));
        // A thread that finds another one writing has nothing to add.
        let Ok(mut line) = self.line.try_lock() else {
            return;
        };
        if line.is_some_and(|(when, shown)| shown == percent || when.elapsed() < REFRESH) {
            return;
        }
        *line = Some((Instant::now(), percent));
        write(&format!("\r{}, unpacking {percent}%", self.title));
    }

    /// Another process unpacks the same package.
    pub fn waiting(&self) {
        write(&format!(
            "{}: another start is unpacking; waiting\n",
            self.title
        ));
    }

    /// Removes the line.
    pub fn clear(&self) {
        let Ok(mut line) = self.line.lock() else {
            return;
        };
        if line.take().is_some() {
            write(CLEAR_LINE);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The rule at the head of this module.
fn dialog_is_due(vars: &[&CStr]) -> bool {
    let var = |name: &str| variable(vars, name.as_bytes()).filter(|value| !value.is_empty());
    if var(env_vars::DISPLAY).is_none() && var(env_vars::WAYLAND_DISPLAY).is_none() {
        return false;
    }
    let terminal = std::io::stdin().is_terminal()
        || std::io::stdout().is_terminal()
        || std::io::stderr().is_terminal()
        || has_controlling_terminal();
    if terminal {
        return false;
    }
    let Ok(stat) = rustix::fs::fstat(rustix::stdio::stderr()) else {
        return true; // closed
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => rustix::fs::stat(c"/dev/null")
            .is_ok_and(|null| (null.st_dev, null.st_ino) == (stat.st_dev, stat.st_ino)),
        FileType::Socket => {
            let journal = format!("{}:{}", stat.st_dev, stat.st_ino);
            let service = std::process::id().to_string();
            var(env_vars::JOURNAL_STREAM) == Some(journal.as_bytes())
                && var(env_vars::SYSTEMD_EXEC_PID) != Some(service.as_bytes())
        }
        // The handle that the launcher put in the place of a closed stream: the package itself, not writable.
        FileType::RegularFile => rustix::fs::fcntl_getfl(rustix::stdio::stderr())
            .is_ok_and(|flags| !flags.intersects(OFlags::WRONLY | OFlags::RDWR)),
        _ => false,
    }
}

/// Whether the session has a terminal, whatever the streams are: then whoever started this knows where to look.
fn has_controlling_terminal() -> bool {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    rustix::fs::open(c"/dev/tty", flags, Mode::empty()).is_ok()
}

fn show_dialog(text: &str, vars: &[&CStr]) {
    let Ok(text) = CString::new(text) else { return };
    let dialogs: [&[&CStr]; 3] = [
        &[c"zenity", c"--error", c"--no-markup", c"--text"],
        &[c"kdialog", c"--error"],
        &[c"xmessage", c"-center"],
    ];
    for dialog in dialogs {
        let argv: Vec<&CStr> = dialog.iter().copied().chain([text.as_c_str()]).collect();
        let started = dialog
            .first()
            .map(|program| sys::spawn(program, &argv, vars, None, Output::Nowhere));
        if let Some(Ok(_)) = started {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys() {
        let text = printable("a\x1b[2Jb\r\u{9b}c \u{e9}\n");
        assert_eq!(text, "a\\u{1b}[2Jb\\r\\u{9b}c \u{e9}\n");
    }

    #[test]
    fn no_dialog_without_a_display() {
        assert!(!dialog_is_due(&[c"PATH=/bin", c"DISPLAY="]));
    }
}
