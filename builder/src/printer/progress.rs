//! What a person who waits is told: how far something is, or what runs and for how long already.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::words::{escape, size};

/// How long something takes before its progress is shown.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often progress is drawn.
const REDRAW: Duration = Duration::from_millis(100);
/// How often a line says how far something is, where there is no terminal: in the log of a pipeline.
pub(super) const EVERY: Duration = Duration::from_secs(10);

/// Says how far something is: on a terminal one line, shown after half a second and gone when the meter is dropped; elsewhere
/// a line every ten seconds.
#[derive(Debug)]
pub struct Meter {
    label: &'static str,
    total: u64,
    started: Instant,
    state: Mutex<State>,
    view: View,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Nothing,
    /// One line that is drawn again and again.
    Bar,
    /// A line each time that this much has passed.
    Lines(Duration),
}

impl View {
    /// Whether it is time to say something, `since` the last time or else `elapsed` after the beginning.
    fn is_due(self, elapsed: Duration, since: Option<Duration>) -> bool {
        match (self, since) {
            (View::Nothing, _) => false,
            (View::Bar, None) => elapsed >= PATIENCE,
            (View::Bar, Some(since)) => since >= REDRAW,
            (View::Lines(every), since) => since.unwrap_or(elapsed) >= every,
        }
    }
}

struct State {
    done: u64,
    drawn: Option<Instant>,
    out: Box<dyn io::Write + Send>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("done", &self.done).finish()
    }
}

impl Meter {
    pub(super) fn new(
        label: &'static str,
        total: u64,
        view: View,
        out: Box<dyn io::Write + Send>,
    ) -> Meter {
        Meter {
            label,
            total,
            started: Instant::now(),
            state: Mutex::new(State {
                done: 0,
                drawn: None,
                out,
            }),
            view,
        }
    }

    /// `n` more bytes are done.
    pub fn advance(&self, n: u64) {
        if self.view == View::Nothing {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done = state.done.saturating_add(n);
        let now = Instant::now();
        let elapsed = now.duration_since(self.started);
        let since = state.drawn.map(|drawn| now.duration_since(drawn));
        if self.view.is_due(elapsed, since) {
            state.drawn = Some(now);
            let line = progress_line(self.label, state.done, self.total, elapsed);
            // Whoever cannot be told does without.
            let _ = match self.view {
                View::Bar => write!(state.out, "\r\x1b[K{line}"),
                _ => writeln!(state.out, "{line}"),
            };
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if self.view == View::Bar && state.drawn.is_some() {
            let _ = write!(state.out, "\r\x1b[K");
        }
    }
}

/// Says what runs and for how long already: on a terminal one line, shown after half a second and gone when this is dropped;
/// elsewhere a line every ten seconds.
#[derive(Debug)]
pub struct Busy {
    /// What ends the thread that says so, by being dropped, and that thread.
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Busy {
    pub(super) fn new(program: &str, view: View, mut out: Box<dyn io::Write + Send>) -> Busy {
        if view == View::Nothing {
            return Busy { running: None };
        }
        let (end, ended) = mpsc::channel();
        let program = escape(program);
        let thread = thread::Builder::new().spawn(move || say(&program, view, &ended, &mut out));
        // Whoever cannot be told does without.
        Busy {
            running: thread.ok().map(|thread| (end, thread)),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.running.take() {
            drop(end);
            // It does not panic, and nothing depends on it.
            let _ = thread.join();
        }
    }
}

/// Says what runs until the other end of the channel is gone.
fn say(program: &str, view: View, ended: &Receiver<()>, out: &mut dyn io::Write) {
    let started = Instant::now();
    let mut turns = ["|", "/", "-", "\\"].iter().cycle();
    let mut is_drawn = false;
    loop {
        let wait = match view {
            View::Nothing => return,
            View::Bar if is_drawn => REDRAW,
            View::Bar => PATIENCE,
            View::Lines(every) => every,
        };
        if ended.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            break;
        }
        is_drawn = true;
        let line = format!("running {program} ({})", span(started.elapsed().as_secs()));
        let _ = match view {
            View::Bar => write!(out, "\r\x1b[K{} {line}", turns.next().unwrap_or(&"")),
            _ => writeln!(out, "{line}"),
        };
        let _ = out.flush();
    }
    if view == View::Bar && is_drawn {
        let _ = write!(out, "\r\x1b[K");
    }
}

/// How far something is, how fast it goes and, where the whole is known, how long it will still take at that rate.
fn progress_line(label: &str, done: u64, total: u64, elapsed: Duration) -> String {
    let rate = per_second(done, elapsed);
    let speed = match rate {
        0 => String::new(),
        rate => format!(", {}/s", size(rate)),
    };
    let Some(percent) = done.saturating_mul(100).checked_div(total) else {
        return format!("{label} ({}{speed})", size(done));
    };
    let left = match total.saturating_sub(done).checked_div(rate) {
        Some(seconds) if done < total => format!(", {} left", span(seconds)),
        _ => String::new(),
    };
    let (done, total) = (size(done.min(total)), size(total));
    let percent = percent.min(100);
    format!("{label} {percent:>3}% ({done} of {total}{speed}{left})")
}

fn per_second(done: u64, elapsed: Duration) -> u64 {
    let rate = u128::from(done)
        .saturating_mul(1000)
        .checked_div(elapsed.as_millis());
    u64::try_from(rate.unwrap_or_default()).unwrap_or(u64::MAX)
}

/// Seconds for a person.
fn span(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress() {
        let line = |label, done, total, seconds| {
            progress_line(label, done, total, Duration::from_secs(seconds))
        };
        assert_eq!(
            line("checking", 512, 1024, 0),
            "checking  50% (512 bytes of 1.0 KiB)"
        );
        assert_eq!(
            line("checking", 2048, 8192, 2),
            "checking  25% (2.0 KiB of 8.0 KiB, 1.0 KiB/s, 6 s left)"
        );
        assert_eq!(
            line("checking", 4, 2, 0),
            "checking 100% (2 bytes of 2 bytes)"
        );
        assert_eq!(line("packing", 2048, 0, 2), "packing (2.0 KiB, 1.0 KiB/s)");
        let spans = [59, 61, 3661].map(span);
        assert_eq!(spans, ["59 s", "1 min 1 s", "1 h 1 min"]);
    }

    #[test]
    fn progress_is_due() {
        let (short, long) = (Duration::from_millis(99), Duration::from_secs(10));
        assert!(!View::Nothing.is_due(long, Some(long)));
        assert!(!View::Bar.is_due(short, None) && View::Bar.is_due(long, None));
        assert!(!View::Bar.is_due(long, Some(short)) && View::Bar.is_due(long, Some(long)));
        let lines = View::Lines(long);
        assert!(!lines.is_due(short, None) && lines.is_due(long, None));
        assert!(!lines.is_due(long * 9, Some(short)) && lines.is_due(long * 9, Some(long)));
    }

    /// What a meter writes that is advanced twice.
    fn written(view: View) -> String {
        let (mut read, write) = io::pipe().unwrap_or_else(|error| panic!("{error}"));
        let meter = Meter::new("packing", 4, view, Box::new(write));
        meter.advance(1);
        meter.advance(1);
        drop(meter);
        let mut text = String::new();
        assert!(io::Read::read_to_string(&mut read, &mut text).is_ok());
        text
    }

    /// What is written while something runs: until `until` is, and after it has ended.
    fn while_busy(view: View, until: u8) -> (String, String) {
        let (read, write) = io::pipe().unwrap_or_else(|error| panic!("{error}"));
        let busy = Busy::new("pip\n", view, Box::new(write));
        let mut read = io::BufReader::new(read);
        let (mut first, mut rest) = (Vec::new(), String::new());
        if view != View::Nothing {
            assert!(io::BufRead::read_until(&mut read, until, &mut first).is_ok());
        }
        drop(busy);
        assert!(io::Read::read_to_string(&mut read, &mut rest).is_ok());
        (String::from_utf8_lossy(&first).into_owned(), rest)
    }

    #[test]
    fn what_runs_is_said_while_it_does() {
        let (first, rest) = while_busy(View::Lines(Duration::from_millis(1)), b'\n');
        assert_eq!(first, "running pip\\n (0 s)\n");
        assert!(
            rest.lines()
                .all(|line| line.starts_with("running pip\\n (")),
            "{rest}"
        );
        let (first, rest) = while_busy(View::Bar, b')');
        assert_eq!(first, "\r\x1b[K| running pip\\n (0 s)");
        assert!(rest.ends_with("\r\x1b[K") && !rest.contains('\n'), "{rest}");
        assert_eq!(while_busy(View::Nothing, b'\n').1, "");
    }

    #[test]
    fn a_log_gets_whole_lines_and_no_terminal_codes() {
        let text = written(View::Lines(Duration::ZERO));
        let lines: Vec<&str> = text.lines().collect();
        assert!(matches!(lines[..], [first, second]
            if first.starts_with("packing  25%") && second.starts_with("packing  50%")));
        assert!(text.ends_with('\n') && !text.contains(['\r', '\u{1b}']));
        assert_eq!(written(View::Lines(EVERY)), "");
        assert_eq!(written(View::Nothing), "");
    }
}
