//! The flag `--log-level`, which flavorpack's builders have.

use clap::ValueEnum;

/// How much flavorpack's builders say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// All there is.
    Trace,
    /// The same.
    Debug,
    /// What is usual.
    Info,
    /// The same.
    Warn,
    /// Results and errors.
    Error,
}
