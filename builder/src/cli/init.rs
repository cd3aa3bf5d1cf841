//! Flags of `flavor init`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::Reporting;

/// `flavor init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The project's directory
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Replaces a `flavor.toml` that is there
    #[arg(long)]
    pub force: bool,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}
