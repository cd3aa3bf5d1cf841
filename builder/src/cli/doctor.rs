//! `flavor doctor`.

use clap::Args;

use super::Reporting;

/// `flavor doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}
