//! The sequence of a start, shared by the stub and `flavor run`.

use core::convert::Infallible;
use core::fmt;

use psp_format::VerifiedPackage;

use crate::exec::ExecError;
use crate::plan::{self, Choice, PlanError, Snapshot};
use crate::policy::{self, Refusal};
use crate::report;
use crate::source::{PackageFile, SourceError, read_package};
use crate::sys::{self, Process};

/// Why a package was not started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The program runs with more privileges than its caller, who controls the cache and the environment.
    Privileged,
    /// The package cannot be read, or is none.
    Source(SourceError),
    /// Its policy refuses this host.
    Policy(Refusal),
    /// There is no plan.
    Plan(PlanError),
    /// A program cannot be executed.
    Exec(ExecError),
}
impl From<SourceError> for StartError {
    fn from(error: SourceError) -> Self {
        StartError::Source(error)
    }
}
