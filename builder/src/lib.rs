//! `flavor` packs an application and its runtime into one signed executable file.
//!
//! The command is a thin layer over this library:
//!
//! 1. [`cli`] is the one definition of verbs and flags; help, man pages, completions and the reference come from it;
//! 2. [`commands`] has a module for each verb, which returns a report or an error and prints nothing;
//! 3. [`printer`] writes to terminals, and [`exit`] chooses exit codes.

#![cfg_attr(test, allow(clippy::panic))]

pub mod base;
pub mod binary;
pub mod cli;
pub mod commands;
pub mod compare;
pub mod contents;
pub mod delta;
pub mod docs;
pub mod env_vars;
pub mod error;
pub mod examine;
pub mod exit;
pub mod inputs;
pub mod interrupt;
pub mod keyring;
pub mod manifest;
pub mod pack;
pub mod package_file;
pub mod printer;
pub mod recipes;
pub mod sbom;
pub mod signer;
pub mod stubs;
pub mod sums;
pub mod usage;
