//! Flags of the verbs that compare packages.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::Reporting;

/// `flavor diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The first package; it may be unsigned
    #[arg(value_name = "A", value_hint = ValueHint::FilePath)]
    pub a: PathBuf,
    /// The second package; it may be unsigned
    #[arg(value_name = "B", value_hint = ValueHint::FilePath)]
    pub b: PathBuf,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor rebuild`
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// The package; it may be unsigned
    #[arg(value_name = "PKG", value_hint = ValueHint::FilePath)]
    pub package: PathBuf,
    /// The manifest; without it, `flavor.toml` or `[tool.flavor]` of `pyproject.toml` in this directory
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub manifest: Option<PathBuf>,
    /// The launcher that it was packed with, where that was not the built-in one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub launcher_bin: Option<PathBuf>,
    /// The Zstandard level that it was packed with, where that was not the manifest's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=22))]
    pub level: Option<i32>,
    /// Threads; without it, one for each processor
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}
