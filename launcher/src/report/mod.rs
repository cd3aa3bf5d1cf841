//! The one home of the launcher's output: an error in two lines, and what a first start is doing.
//!
//! Everything goes to standard error, but for the answers of [`crate::ask`]: standard output is the application's. Who
//! has no terminal is told in a window (`dialog`).

mod dialog;
mod progress;

use core::ffi::CStr;
use core::fmt::{self, Display};
use psp_format::text::{self, Quoted};
use rustix::io::Errno;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

pub use self::progress::Progress;
use crate::errno::Why;
use crate::sys::{self, Sigpipe};

/// Tells why a start failed: one line of fact, one of help.
pub fn failure(fact: &dyn Display, help: &str, vars: &[&CStr]) {
    let fact = printable(&fact.to_string());
    // The reader of standard error may be gone; the exit code must still arrive.
    sys::set_sigpipe(Sigpipe::Ignored);
    write(&format!("error: {fact}\nhelp: {help}\n"));
    if dialog::is_due(vars) {
        dialog::show(&format!("{fact}\n\n{help}"), vars);
    }
}

/// Tells of something that does not keep a package from starting, in one line.
pub fn warning(fact: &dyn Display) {
    write(&["warning: ", &printable(&fact.to_string()), "\n"].concat());
}

/// A path as messages show it.
pub(crate) fn quoted(path: &Path) -> Quoted<'_> {
    Quoted(path.as_os_str().as_bytes())
}

/// Writes a message about a path: what is said before it, and what behind it.
#[inline(never)]
pub(crate) fn about(
    f: &mut fmt::Formatter<'_>,
    before: &str,
    path: &Path,
    behind: &dyn Display,
) -> fmt::Result {
    f.write_str(before)?;
    quoted(path).fmt(f)?;
    behind.fmt(f)
}

/// Writes what the system refuses to do with a path, and why.
#[inline(never)]
pub(crate) fn refused(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    path: &Path,
    errno: Errno,
) -> fmt::Result {
    about(f, what, path, &": ")?;
    Why(errno).fmt(f)
}

/// `text` without anything that a terminal would obey.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // A line break is the launcher's own, where it lists something: names are escaped where they are put in.
        if c.is_control() && c != '\n' {
            text::push(c, &mut out);
        } else {
            out.push(c);
        }
    }
    out
}

/// One call, so that lines of several processes do not mix. Where nothing can be written, nobody is told.
fn write(text: &str) {
    let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys() {
        let text = printable("a\x1b[2Jb\r\u{9b}c \u{e9}\n");
        assert_eq!(text, "a\\u{1b}[2Jb\\r\\u{9b}c \u{e9}\n");
    }
}
