//! Several threads over numbered tasks, without a pool: they live as long as one slot is extracted.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::ExtractError;
use crate::sys::share;

/// Most threads of one extraction. Each needs a decoder: 4 of them stay below 40 MiB.
pub(crate) const MAX_THREADS: usize = 4;

/// How many threads `tasks` tasks are worth: as many as there are CPUs that this process may use, up to four.
pub(crate) fn threads_for(tasks: usize) -> usize {
    // One task is common, and then nobody needs to ask the kernel.
    if tasks <= 1 {
        1
    } else {
        cpus().min(tasks).min(MAX_THREADS)
    }
}

#[cfg(target_os = "linux")]
fn cpus() -> usize {
    // The standard library would also read the limits of control groups from files.
    let count = rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count());
    usize::try_from(count).unwrap_or(1).max(1)
}

#[cfg(not(target_os = "linux"))]
fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, core::num::NonZero::get)
}

/// Runs the tasks 0 to `tasks` on `threads` threads, this one included. Each thread makes its own state with `start`.
/// After a failure no further task begins. The error is that of the first failed task by number.
pub(crate) fn run<S>(
    tasks: usize,
    threads: usize,
    start: &(dyn Fn() -> Result<S, ExtractError> + Sync),
    task: &(dyn Fn(&mut S, usize) -> Result<(), ExtractError> + Sync),
) -> Result<(), ExtractError> {
    let next = AtomicUsize::new(0);
    let failure: Mutex<Option<(usize, ExtractError)>> = Mutex::new(None);
    let fail = |number: usize, error: ExtractError| {
        next.store(tasks, Ordering::Relaxed);
        let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|(other, _)| number < *other) {
            *first = Some((number, error));
        }
    };
    let work = || {
        let mut state = match start() {
            Ok(state) => state,
            Err(error) => return fail(tasks, error),
        };
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= tasks {
                return;
            }
            if let Err(error) = task(&mut state, number) {
                return fail(number, error);
            }
        }
    };
    share(threads.saturating_sub(1), &work);
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}
