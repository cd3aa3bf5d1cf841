//! What happens when a package is started: locate, verify, plan, extract once, execute.
//!
//! Everything that touches the operating system at run time lives here, shared by the stub in front of every package
//! (`main.rs`, a page) and by `flavor run`:
//!
//! 1. [`source`] opens the running executable or a named package and reads what verification needs;
//! 2. [`policy`] asks whether this host is one that the package's signed policy allows, and whether the host lets the
//!    package start, with the keys that are in [`trust`];
//! 3. [`plan`] decides, as a pure function, where to extract and what to execute;
//! 4. [`extract`] turns slots into files;
//! 5. [`exec`] replaces the process;
//! 6. [`start`] is the sequence, and [`report`] tells a person when it fails; [`ask`] answers who asks instead.
//!
//! Functions that decide take values; functions that do are short. [`sys`] is the only `unsafe` of the workspace.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions
    )
)]
#![cfg_attr(test, allow(clippy::panic))]

pub mod ask;
mod at;
pub mod contents;
pub mod env_vars;
mod errno;
pub mod exec;
pub mod extract;
mod memory;
pub mod plan;
pub mod policy;
pub mod report;
pub mod source;
pub mod start;
pub mod store;
pub mod sys;
pub mod trust;
