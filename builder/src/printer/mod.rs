//! The one home of terminal output: results on standard output; errors, warnings, notes and progress on standard error.
//!
//! Text that came from a package, a file name or a key file passes [`escape`] or [`escape_bytes`] before it gets here.

mod progress;
mod words;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

pub use anstream::ColorChoice;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use serde::Serialize;

pub use progress::{Busy, Meter};
pub use words::{count, escape, escape_bytes, printable_json, size};

use progress::{EVERY, View};

/// Good news.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Bad news.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Neither.
pub const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// Remedies.
pub const HELP: Style = AnsiColor::Cyan.on_default().bold();
/// Headings.
pub const HEAD: Style = Style::new().bold();

/// What a verb reports when it is done.
pub trait Report {
    /// For a person. Ends with a newline unless it is empty.
    fn text(&self) -> String;

    /// For a person who asked for quiet: nothing, unless the verb was asked a question.
    fn quiet(&self) -> String {
        String::new()
    }

    /// For `--json`; text as it is, of a verb that has no such flag.
    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&self.text())
    }
}

/// What the person wants to see.
#[derive(Debug, Clone, Copy)]
pub struct Wishes {
    /// When to use colours.
    pub color: ColorChoice,
    /// Results and errors only.
    pub quiet: bool,
    /// More about what is done.
    pub verbose: bool,
    /// One JSON document on standard output.
    pub json: bool,
}

/// Writes to the terminal.
#[derive(Debug, Clone)]
pub struct Printer {
    wishes: Wishes,
}

/// An error in a JSON document.
#[derive(Serialize)]
struct ErrorDocument<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    help: Option<&'a str>,
    code: u8,
}

impl Printer {
    /// A printer for who wants this.
    pub fn new(wishes: Wishes) -> Printer {
        Printer { wishes }
    }

    /// A printer for a command line that could not be read.
    pub fn plain(json: bool) -> Printer {
        Printer::new(Wishes {
            color: ColorChoice::Auto,
            quiet: false,
            verbose: false,
            json,
        })
    }

    /// Prints what a verb reports.
    pub fn report(&self, report: &dyn Report) -> io::Result<()> {
        if self.wishes.json {
            let mut text = printable_json(&report.json().map_err(io::Error::other)?);
            text.push('\n');
            self.out(&text)
        } else if self.wishes.quiet {
            self.out(&report.quiet())
        } else {
            self.out(&report.text())
        }
    }

    /// Prints text on standard output.
    pub fn out(&self, text: &str) -> io::Result<()> {
        let mut out = AutoStream::new(io::stdout().lock(), self.wishes.color);
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Prints an error: two lines on standard error, or the one document of `--json`.
    pub fn failure(&self, message: &str, help: Option<&str>, code: u8) {
        if self.wishes.json {
            let error = ErrorBody {
                message,
                help,
                code,
            };
            if let Ok(text) = serde_json::to_string_pretty(&ErrorDocument { error }) {
                let mut text = printable_json(&text);
                text.push('\n');
                // Nobody is left to tell when this fails; the exit code still says it.
                let _ = self.out(&text);
            }
        } else {
            self.two_lines("error", BAD, message, help);
        }
    }

    /// Prints a warning, unless quiet is wanted.
    pub fn warn(&self, fact: &str, help: Option<&str>) {
        if !self.wishes.quiet {
            self.two_lines("warning", WARN, fact, help);
        }
    }

    /// Prints what is being done, when that is wanted.
    pub fn detail(&self, text: &str) {
        if self.wishes.verbose {
            self.err(&format!("{text}\n"));
        }
    }

    /// A line for a person who waits at a terminal; nothing where nobody does.
    pub fn note_on_terminal(&self, text: &str) {
        if !self.wishes.quiet && !self.wishes.json && io::stderr().is_terminal() {
            // In the place of a progress line.
            self.err(&format!("\r\x1b[K{text}\n"));
        }
    }

    /// Progress of something that may take long.
    pub fn meter(&self, label: &'static str, total: u64) -> Meter {
        Meter::new(label, total, self.view(), Box::new(io::stderr()))
    }

    /// Says that a program runs, which does not say itself how far it is, for as long as the result is there.
    pub fn busy(&self, program: &str) -> Busy {
        Busy::new(program, self.view(), Box::new(io::stderr()))
    }

    fn view(&self) -> View {
        if self.wishes.quiet || self.wishes.json {
            View::Nothing
        } else if io::stderr().is_terminal() {
            View::Bar
        } else {
            View::Lines(EVERY)
        }
    }

    fn two_lines(&self, kind: &str, style: Style, fact: &str, help: Option<&str>) {
        let mut text = format!("{style}{kind}:{style:#} {fact}\n");
        if let Some(help) = help {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{HELP}help:{HELP:#} {help}");
        }
        self.err(&text);
    }

    /// Standard error has nobody to report its own failure to.
    fn err(&self, text: &str) {
        let mut err = AutoStream::new(io::stderr().lock(), self.wishes.color);
        let _ = err.write_all(text.as_bytes());
    }
}
