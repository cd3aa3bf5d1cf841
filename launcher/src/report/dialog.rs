//! Windows, for who starts a package by a double-click and sees no standard error.
//!
//! A failed start is shown by the first of `zenity`, `kdialog` and `xmessage` that is there, and a first start that takes
//! its time by `zenity`. Neither may appear on a machine where nobody looks, so all of this has to hold:
//!
//! - `DISPLAY` or `WAYLAND_DISPLAY` is set;
//! - no standard stream is a terminal, and the process has no controlling terminal either;
//! - standard error is one of those that a file manager gives: closed; `/dev/null`; the journal (`JOURNAL_STREAM` names
//!   it) without the process being a service's own (`SYSTEMD_EXEC_PID`); or the log of the graphical session in the home
//!   directory, which the display manager gives to everything in the session. Any other file and any pipe, as in CI,
//!   cron and services, means that somebody reads it.
//!
//! Of the desktops, GNOME gives the journal to what it starts, Xfce, MATE and Cinnamon give what their display manager has
//! set, which is a session's log or the journal, and others give `/dev/null`. A desktop that makes each application a
//! service (a choice of Plasma) cannot be told from any other service: its person finds the text in the journal.
//!
//! The launcher does not wait for a dialog.

use core::ffi::CStr;
use rustix::stdio;
use rustix::termios::isatty;
use std::ffi::CString;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};

use super::printable;
use crate::plan::variable;
use crate::sys::{self, Helper, Output};
use crate::{at, env_vars};

/// The logs of a session below the home directory: of lightdm, xdm and old versions of gdm, then those of sddm.
const SESSION_LOGS: [&[u8]; 3] = [
    b"/.xsession-errors",
    b"/.local/share/sddm/xorg-session.log",
    b"/.local/share/sddm/wayland-session.log",
];

/// The rule at the head of this module.
pub(super) fn is_due(vars: &[&CStr]) -> bool {
    let var = |name: &str| variable(vars, name.as_bytes()).filter(|value| !value.is_empty());
    if var(env_vars::DISPLAY).is_none() && var(env_vars::WAYLAND_DISPLAY).is_none() {
        return false;
    }
    let terminal = isatty(stdio::stdin())
        || isatty(stdio::stdout())
        || isatty(stdio::stderr())
        || has_controlling_terminal();
    if terminal {
        return false;
    }
    let Ok(stat) = rustix::fs::fstat(rustix::stdio::stderr()) else {
        return true; // closed
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => is_same(b"/dev/null", &stat),
        FileType::Socket => {
            let journal = format!("{}:{}", stat.st_dev, stat.st_ino);
            let service = std::process::id().to_string();
            var(env_vars::JOURNAL_STREAM) == Some(journal.as_bytes())
                && var(env_vars::SYSTEMD_EXEC_PID) != Some(service.as_bytes())
        }
        FileType::RegularFile => {
            let is_log = |home: &[u8]| {
                let mut logs = SESSION_LOGS.iter();
                logs.any(|log| is_same(&[home, log].concat(), &stat))
            };
            is_closed() || var(env_vars::HOME).is_some_and(is_log)
        }
        _ => false,
    }
}

/// Whether the path leads to this file.
fn is_same(path: &[u8], stat: &Stat) -> bool {
    at::stat(CWD, path, AtFlags::empty())
        .is_ok_and(|found| (found.st_dev, found.st_ino) == (stat.st_dev, stat.st_ino))
}

/// Whether standard error is the handle that the launcher put in the place of a closed stream: the package itself, not
/// writable.
fn is_closed() -> bool {
    rustix::fs::fcntl_getfl(rustix::stdio::stderr())
        .is_ok_and(|flags| !flags.intersects(OFlags::WRONLY | OFlags::RDWR))
}

/// Whether the session has a terminal, whatever the streams are: then whoever started this knows where to look.
fn has_controlling_terminal() -> bool {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    rustix::fs::open(c"/dev/tty", flags, Mode::empty()).is_ok()
}

/// What the programs find in their environment: the caller's, in which the text on their command lines is UTF-8. In a
/// locale that says otherwise, zenity takes a letter outside ASCII for an unknown option, and shows nothing.
fn surroundings<'a>(vars: &[&'a CStr]) -> Vec<&'a CStr> {
    let mut out = vec![c"LC_CTYPE=C.UTF-8"];
    out.extend_from_slice(vars);
    out
}

/// Shows an error.
pub(super) fn show(text: &str, vars: &[&CStr]) {
    let path = sys::exec_path().unwrap_or_default().to_bytes();
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    let title = printable(&String::from_utf8_lossy(name));
    let title = CString::new([&title, " does not start"].concat());
    let (Ok(title), Ok(text)) = (title, CString::new(text)) else {
        return;
    };
    let (title, text) = (title.as_c_str(), text.as_c_str());
    let vars = surroundings(vars);
    let dialogs: [(&CStr, &[&CStr]); 3] = [
        (
            c"zenity",
            &[
                c"zenity",
                c"--error",
                c"--no-markup",
                c"--title",
                title,
                c"--text",
                text,
            ],
        ),
        (
            c"kdialog",
            &[c"kdialog", c"--title", title, c"--error", text],
        ),
        (
            c"xmessage",
            &[c"xmessage", c"-center", c"-title", title, text],
        ),
    ];
    for (program, argv) in dialogs {
        if sys::spawn(program, argv, &vars, None, None, Output::Nowhere).is_ok() {
            return;
        }
    }
}

/// A window with a bar. It closes when it is dropped, and also when this process is killed: `zenity` ends with what it
/// reads.
pub(super) struct Window(Helper);

impl Window {
    /// Opens it, where `zenity` is there.
    pub(super) fn open(title: &str, vars: &[&CStr]) -> Option<Window> {
        let text = [
            b"--text=",
            title.as_bytes(),
            b": its files are unpacked, once",
        ]
        .concat();
        let text = CString::new(text).ok()?;
        let argv: [&CStr; 7] = [
            c"zenity",
            c"--progress",
            c"--auto-close",
            c"--no-cancel",
            c"--width=400",
            c"--title=First start",
            &text,
        ];
        Helper::start(c"zenity", &argv, &surroundings(vars))
            .ok()
            .map(Window)
    }

    /// Moves the bar. Nothing happens when the person has closed the window.
    pub(super) fn tell(&self, percent: u64) {
        self.0.feed(&[&percent.to_string(), "\n"].concat());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_dialog_without_a_display() {
        assert!(!is_due(&[c"PATH=/bin", c"DISPLAY="]));
    }
}
