//! What a first start shows while it unpacks.
//!
//! Silent for half a second. Then a line with percent where standard error is a terminal; a window where the rule for
//! dialogs ([`super::dialog`]) finds a person without one, and `zenity` is there; nothing anywhere else.

use core::ffi::CStr;
use rustix::termios::isatty;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::dialog::{self, Window};
use super::write;

/// How long a first start is silent.
const SILENT: Duration = Duration::from_millis(500);
/// How often what is shown is brought up to date.
const REFRESH: Duration = Duration::from_millis(100);
/// The return to the beginning of the line, and the erasure of what is there (ECMA-48, EL).
const CLEAR_LINE: &str = "\r\x1b[K";

/// The progress of one first start. What it shows goes away with it.
pub struct Progress<'a> {
    /// Name and version of the package, which hold no character that needs an escape.
    title: String,
    vars: &'a [&'a CStr],
    started: Instant,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    view: View,
    /// When the view was last brought up to date, and with what.
    last: Option<(Instant, u64)>,
}

#[derive(Default)]
enum View {
    #[default]
    Undecided,
    Nothing,
    Line,
    Window(Window),
}

impl<'a> Progress<'a> {
    /// Begins to count the time. `vars` is the environment that says whether there is a display.
    pub fn new(name: &str, version: &str, vars: &'a [&'a CStr]) -> Progress<'a> {
        Progress {
            title: [name, " ", version].concat(),
            vars,
            started: Instant::now(),
            shown: Mutex::default(),
        }
    }

    /// `done` of `total` bytes are unpacked. May be called from any thread, and often.
    pub fn unpacked(&self, done: u64, total: u64) {
        if self.started.elapsed() < SILENT {
            return;
        }
        // A thread that finds another one here has nothing to add.
        let Ok(mut shown) = self.shown.try_lock() else {
            return;
        };
        let percent = percent(done, total);
        if shown
            .last
            .is_some_and(|(when, before)| before == percent || when.elapsed() < REFRESH)
        {
            return;
        }
        if matches!(shown.view, View::Undecided) {
            shown.view = self.decide();
        }
        match &shown.view {
            View::Undecided | View::Nothing => return,
            View::Line => self.write_line(percent),
            View::Window(window) => window.tell(percent),
        }
        shown.last = Some((Instant::now(), percent));
    }

    fn decide(&self) -> View {
        if isatty(rustix::stdio::stderr()) {
            return View::Line;
        }
        if !dialog::is_due(self.vars) {
            return View::Nothing;
        }
        Window::open(&self.title, self.vars).map_or(View::Nothing, View::Window)
    }

    fn write_line(&self, percent: u64) {
        // Without the automatic wrap (DECAWM): a line that goes on in the next one would not be cleared.
        write(&format!(
            "\r\x1b[?7l{percent:3}% {}: first start, unpacking\x1b[?7h",
            self.title
        ));
    }

    /// Another process unpacks the same package.
    pub fn waiting(&self) {
        write(&format!(
            "{}: first start, another one is unpacking; waiting\n",
            self.title
        ));
    }

    /// Removes what is shown.
    pub fn clear(&self) {
        let Ok(mut shown) = self.shown.lock() else {
            return;
        };
        // A window closes when it is dropped.
        let Shown { view, last } = core::mem::take(&mut *shown);
        if matches!(view, View::Line) && last.is_some() {
            write(CLEAR_LINE);
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

fn percent(done: u64, total: u64) -> u64 {
    u128::from(done)
        .saturating_mul(100)
        .checked_div(u128::from(total))
        .and_then(|percent| u64::try_from(percent).ok())
        .map_or(100, |percent| percent.min(100))
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn percents() {
        for (done, total, expected) in [
            (0, 1, 0),
            (1, 3, 33),
            (3, 3, 100),
            (4, 3, 100),
            (0, 0, 100),
            (u64::MAX, u64::MAX, 100),
        ] {
            assert_eq!(percent(done, total), expected);
        }
    }
}
