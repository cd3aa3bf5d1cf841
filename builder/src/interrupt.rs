//! What SIGINT, SIGTERM and SIGHUP leave behind: nothing.
//!
//! Temporary files and directories that have names are made by [`keep`], which remembers them for as long as they are to go when the
//! command fails. A thread that waits for those signals removes what is remembered then, and lets the signal do what it
//! does without a handler, so that a shell sees how the command ended.
//!
//! Nothing is installed before the first such file is made: until then nothing can be left behind. A signal that is ignored
//! from the start, as by `nohup`, stays ignored.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// What is removed at a signal. Whoever holds it cannot be interrupted; the thread that removes holds it until the end, so
/// that nobody else ends the process first, with an error about files that are gone.
static REMEMBERED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// How often a directory is removed into which other threads are still writing.
const ATTEMPTS: u32 = 100;

/// Keeps a path remembered. Is dropped after what it stands for.
#[derive(Debug)]
pub struct Kept(PathBuf);

impl Drop for Kept {
    fn drop(&mut self) {
        let mut paths = remembered();
        if let Some(nth) = paths.iter().position(|path| *path == self.0) {
            paths.swap_remove(nth);
        }
    }
}

/// Makes a temporary file or directory that is removed at a signal too.
///
/// Of the two, the [`Kept`] stands first: bound by one pattern, it is dropped last.
///
/// # Errors
///
/// Those of `make`.
pub fn keep<T: AsRef<Path>>(make: impl FnOnce() -> io::Result<T>) -> io::Result<(Kept, T)> {
    static WATCH: Once = Once::new();
    WATCH.call_once(watch);
    let mut paths = remembered();
    let made = make()?;
    let path = std::path::absolute(made.as_ref())?;
    paths.push(path.clone());
    Ok((Kept(path), made))
}

/// Does what must not be done by half. Nothing in it may make or drop a [`Kept`].
pub fn undisturbed<T>(act: impl FnOnce() -> T) -> T {
    let _paths = remembered();
    act()
}

/// Waits for the end if a signal has come.
pub fn settle() {
    drop(remembered());
}

fn remembered() -> MutexGuard<'static, Vec<PathBuf>> {
    REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored(&status);
    let wanted = [SIGINT, SIGTERM, SIGHUP];
    let wanted = wanted.into_iter().filter(|signal| !is_in(ignored, *signal));
    // Without the handlers the command works all the same; it only leaves something behind when it is ended.
    let Ok(mut signals) = Signals::new(wanted) else {
        return;
    };
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            let paths = remembered();
            paths.iter().for_each(|path| remove(path));
            let _ = emulate_default_handler(signal);
        }
    };
    let _ = std::thread::Builder::new().spawn(wait);
}

/// The set of ignored signals in `/proc/self/status`.
fn ignored(status: &str) -> u64 {
    let mut lines = status.lines();
    let set = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or_default()
}

fn is_in(set: u64, signal: i32) -> bool {
    let bit = u32::try_from(signal).ok().and_then(|n| n.checked_sub(1));
    bit.and_then(|bit| set.checked_shr(bit))
        .is_some_and(|set| set & 1 == 1)
}

fn remove(path: &Path) {
    for _ in 0..ATTEMPTS {
        let removed = match fs::symlink_metadata(path) {
            Ok(data) if data.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(_) => return,
        };
        if removed.is_ok() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_seen() {
        let set = ignored("Name:\tx\nSigIgn:\t0000000000000003\nSigCgt:\t0000000000004000\n");
        assert!(is_in(set, SIGHUP) && is_in(set, SIGINT) && !is_in(set, SIGTERM));
        assert_eq!(ignored(""), 0);
    }

    #[test]
    fn what_is_kept_is_remembered_until_it_is_dropped() {
        let made = keep(tempfile::tempdir).map(|(kept, made)| (kept, made.path().to_owned()));
        let Ok((kept, path)) = made else {
            panic!("no temporary directory");
        };
        assert!(remembered().contains(&path));
        drop(kept);
        assert!(!remembered().contains(&path));
    }

    #[test]
    fn files_and_directories_are_removed() {
        let place = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let (file, tree) = (place.path().join("file"), place.path().join("tree"));
        assert!(fs::write(&file, "x").is_ok());
        assert!(fs::create_dir_all(tree.join("below")).is_ok());
        for path in [&file, &tree, &place.path().join("never")] {
            remove(path);
            assert!(!path.exists());
        }
    }
}
