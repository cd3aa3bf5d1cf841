//! Flags of the verbs that make and apply patches.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{Reporting, Trusting};

/// `flavor delta`
#[derive(Debug, Args)]
pub struct DeltaArgs {
    /// The package that is there already; it may be unsigned
    #[arg(value_name = "OLD", value_hint = ValueHint::FilePath)]
    pub old: PathBuf,
    /// The package that is to come of it
    #[arg(value_name = "NEW", value_hint = ValueHint::FilePath)]
    pub new: PathBuf,
    /// Where to write the patch
    #[arg(short, long, value_name = "PATCH", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Makes a larger patch that `flavor apply` applies with any version of Zstandard: nothing is compressed anew there
    #[arg(long)]
    pub no_recompress: bool,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor apply`
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The package that the patch was made from
    #[arg(value_name = "OLD", value_hint = ValueHint::FilePath)]
    pub old: PathBuf,
    /// The patch, which `flavor delta` has made
    #[arg(value_name = "PATCH", value_hint = ValueHint::FilePath)]
    pub patch: PathBuf,
    /// Where to write the new package, which may be OLD itself: it is verified before it takes the place
    #[arg(short, long, value_name = "NEW", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Who is trusted.
    #[command(flatten)]
    pub trusting: Trusting,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}
