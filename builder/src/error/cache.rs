//! Why a verb of `flavor cache` did not do what it was asked.

use std::path::PathBuf;

use psp_launcher::plan::PlanError;
use psp_launcher::start::StartError;
use psp_launcher::store::{Reason, Rejected, StoreError};

use crate::package_file::shown;
use crate::printer::{count, escape};

/// Most names and processes that a message lists.
const MOST: usize = 20;

/// Why a verb of `flavor cache` did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// No directory can be the cache.
    #[error("{}", no_place(.0))]
    NoPlace(Vec<Rejected>),
    /// The cache that was named cannot be one.
    #[error("{} cannot be used: {reason}", shown(.path))]
    Unusable {
        /// The cache.
        path: PathBuf,
        /// Why not.
        reason: Reason,
    },
    /// A variable names no directory.
    #[error(transparent)]
    Plan(PlanError),
    /// Nothing has been unpacked yet.
    #[error("there is no cache yet: it will be {}", shown(.path))]
    Absent {
        /// Where it will be.
        path: PathBuf,
    },
    /// Nothing in the cache has this name.
    #[error("nothing in the cache is called {}", escape(.wanted))]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// More than one id begins like this.
    #[error("{} is the beginning of {} ids", escape(.wanted), .ids.len())]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// The ids.
        ids: Vec<String>,
    },
    /// A package is not in the cache.
    #[error("{} is not unpacked here", shown(.path))]
    NotUnpacked {
        /// The package.
        path: PathBuf,
    },
    /// Processes use what was to be removed.
    #[error("{name} is in use by {}", processes(.pids))]
    InUse {
        /// Its name and version.
        name: String,
        /// The processes.
        pids: Vec<u32>,
    },
    /// Packages are being started the whole time.
    #[error("packages are just being started, and may need what was to be removed")]
    Starting,
    /// Nobody can tell who uses what.
    #[error("the system does not tell which processes use the cache")]
    NoProcesses,
    /// The store fails.
    #[error(transparent)]
    Store(StoreError),
    /// What builds keep cannot be looked at.
    #[error("what builds have kept cannot be used: {}", escape(&.0.to_string()))]
    Frames(std::io::Error),
    /// A package was not made ready.
    #[error(transparent)]
    Start(StartError),
}

impl CacheError {
    /// One line that says what a person can do.
    pub fn help(&self) -> String {
        match self {
            CacheError::NoPlace(_) => {
                "name a cache with --cache, or set FLAVOR_CACHE to a directory that only you can write to".into()
            }
            CacheError::Unusable { reason, .. } => match reason {
                Reason::Owner { .. } => "work on it as the user that it belongs to".into(),
                Reason::Writable { .. } => "take the right to write from others with chmod".into(),
                _ => "check the directory and its permissions, or name another one".into(),
            },
            CacheError::Plan(error) => error.help().into(),
            CacheError::Absent { .. } => {
                "start a package, or make it ready with `flavor cache warm PKG`".into()
            }
            CacheError::Unknown { known, .. } => match known.len() {
                0 => "the cache is empty".into(),
                1..=MOST => format!("it has {}", known.join(", ")),
                _ => "`flavor cache list` shows what is there".into(),
            },
            CacheError::Ambiguous { ids, .. } => {
                let ids: Vec<&str> = ids.iter().take(MOST).map(String::as_str).collect();
                format!("give more of one of {}", ids.join(", "))
            }
            CacheError::NotUnpacked { .. } => {
                "its first start unpacks it, or `flavor cache warm`".into()
            }
            CacheError::InUse { .. } => "end them first".into(),
            CacheError::Starting => "try again in a moment".into(),
            CacheError::NoProcesses => "mount /proc".into(),
            CacheError::Store(error) => error.help().into(),
            CacheError::Frames(_) => "remove the directory `build` of the cache".into(),
            CacheError::Start(error) => error.help().into(),
        }
    }
}

fn no_place(rejected: &[Rejected]) -> String {
    let lines = rejected.iter().map(|one| format!("\n  {one}"));
    format!("no directory can be the cache{}", lines.collect::<String>())
}

fn processes(pids: &[u32]) -> String {
    let shown: Vec<String> = pids.iter().take(MOST).map(u32::to_string).collect();
    let word = if pids.len() == 1 {
        "process"
    } else {
        "processes"
    };
    let more = match pids.len().saturating_sub(MOST) {
        0 => String::new(),
        n => format!(" and {}", count(n as u64, "other", "others")),
    };
    format!("{word} {}{more}", shown.join(", "))
}
