//! What a package asks of its host, the policy inside the signed metadata; and what a host lets start ([`judge`]), which
//! can only tighten that.

pub mod host;
pub mod judge;
mod reader;
mod seen;
pub mod version;

use core::fmt;
use psp_format::text::Shown;

use psp_format::metadata::Metadata;

use crate::plan::PLATFORM;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// What the policy is compared with.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The effective user.
    pub uid: u32,
    /// Seconds since 1970, asked for only when an age is limited.
    pub now: fn() -> u64,
    /// Whether a variable is in the environment.
    pub has_var: &'a dyn Fn(&[u8]) -> bool,
}

/// Why the package refuses this host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Not one of its platforms.
    Platform {
        /// The platforms that it allows.
        allowed: Vec<String>,
    },
    /// It does not start as root.
    Root,
    /// A variable is missing.
    Variable {
        /// Its name.
        name: String,
    },
    /// It is too old.
    Expired {
        /// Its age in days, begun ones counted.
        days: u64,
        /// The most that is allowed.
        allowed: u64,
    },
    /// Its age is limited, and no build time is signed.
    NoBuildTime,
    /// Its age is limited, and the clock is before its build time.
    Future {
        /// The signed build time.
        built: String,
    },
}

/// Compares the package's policy with the host. A package without one starts everywhere.
pub fn check(metadata: &Metadata, facts: &Facts<'_>) -> Result<(), Refusal> {
    let Some(policy) = &metadata.policy else {
        return Ok(());
    };
    if !policy.platforms.is_empty() && !policy.platforms.iter().any(|p| p == PLATFORM) {
        let allowed = policy.platforms.clone();
        return Err(Refusal::Platform { allowed });
    }
    if policy.refuse_root && facts.uid == 0 {
        return Err(Refusal::Root);
    }
    let missing = |name: &&String| !(facts.has_var)(name.as_bytes());
    if let Some(name) = policy.require_env.iter().find(missing) {
        return Err(Refusal::Variable { name: name.clone() });
    }
    check_age(policy.max_age_days, metadata, facts.now)
}

fn check_age(allowed: u64, metadata: &Metadata, now: fn() -> u64) -> Result<(), Refusal> {
    if allowed == 0 {
        return Ok(());
    }
    // Verified metadata holds a real instant; 0 stands for none, and must not mean "for ever".
    let built = metadata.build_time().unwrap_or(0);
    if built == 0 {
        return Err(Refusal::NoBuildTime);
    }
    // A clock before the build time is wrong, or the build time is: either way the age cannot be told.
    let Some(age) = now().checked_sub(built) else {
        let built = metadata.build.timestamp.clone();
        return Err(Refusal::Future { built });
    };
    if age > allowed.saturating_mul(DAY) {
        let days = age.div_ceil(DAY);
        return Err(Refusal::Expired { days, allowed });
    }
    Ok(())
}

impl Refusal {
    /// One line that says what a person can do.
    pub fn help(&self) -> &'static str {
        match self {
            Refusal::Platform { .. } => "get the package that was built for this platform",
            Refusal::Root => "start it as an ordinary user",
            Refusal::Variable { .. } => "set the variable and start again",
            Refusal::Expired { .. } | Refusal::NoBuildTime => "get a newer package",
            Refusal::Future { .. } => "set the clock of this machine",
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Platform { allowed } => write!(
                f,
                "the package starts on {} only, this is {PLATFORM}",
                allowed.join(", ")
            ),
            Refusal::Root => f.write_str("the package refuses to start as root"),
            Refusal::Variable { name } => write!(
                f,
                "the package needs the environment variable {}",
                Shown(name.as_bytes())
            ),
            Refusal::Expired { days, allowed } => {
                write!(f, "the package is {days} days old, the limit is {allowed}")
            }
            Refusal::NoBuildTime => {
                f.write_str("the package's age is limited, and no build time is signed")
            }
            Refusal::Future { built } => write!(
                f,
                "the package's age is limited, and the clock is before its build time {built}"
            ),
        }
    }
}
