//! `flavor cache`: its verbs and their flags.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::{Reporting, Trusting};

/// `flavor cache`
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: CacheVerb,
}

/// What to do with a cache.
#[derive(Debug, Subcommand)]
pub enum CacheVerb {
    /// Lists the packages that are unpacked: sizes, last use, who uses them
    #[command(before_help = "Example:\n  flavor cache list")]
    List(ListArgs),
    /// Says where the cache is and why, and how big; or everything about one package
    #[command(before_help = "Example:\n  flavor cache info httpie")]
    Info(InfoArgs),
    /// Removes old versions that nobody uses, and what interrupted starts have left
    #[command(before_help = "Example:\n  flavor cache prune --older-than 7 --dry-run")]
    Prune(PruneArgs),
    /// Removes what is named, unless it is in use
    #[command(before_help = "Example:\n  flavor cache remove httpie@3.2.4")]
    Remove(RemoveArgs),
    /// Compares what is unpacked with what was signed, byte by byte
    #[command(before_help = "Example:\n  flavor cache verify dist/app.psp")]
    Verify(CompareArgs),
    /// Makes packages ready without starting them, setup commands included
    #[command(before_help = "Example:\n  flavor cache warm --system /opt/app.psp")]
    Warm(WarmArgs),
}

/// Which cache is meant.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Where {
    /// The store of the whole system, /var/lib/flavor
    #[arg(long)]
    pub system: bool,
    /// Another cache than the one that a start would use
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub cache: Option<PathBuf>,
}

/// `flavor cache list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Which cache.
    #[command(flatten)]
    pub place: Where,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor cache info`
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// A name, NAME@VERSION, the path of a package, or the beginning of an id
    #[arg(value_name = "NAME|PKG")]
    pub wanted: Option<String>,
    /// Which cache.
    #[command(flatten)]
    pub place: Where,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor cache prune`
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Versions that were not used for so many days
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub older_than: u32,
    /// Keeps the newest versions of each name and signer, however old: so many
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub keep: u16,
    /// Everything that is not in use, however new
    #[arg(long, conflicts_with_all = ["older_than", "keep"])]
    pub all: bool,
    /// What builds keep instead of what starts have unpacked: compressed frames
    #[arg(long, conflicts_with_all = ["keep", "system"])]
    pub build: bool,
    /// Says what would be removed, and removes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Which cache.
    #[command(flatten)]
    pub place: Where,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor cache remove`
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Names, NAME@VERSION, paths of packages, or beginnings of ids
    #[arg(value_name = "NAME[@VERSION]|PKG|ID", required = true)]
    pub wanted: Vec<String>,
    /// Says what would be removed, and removes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Which cache.
    #[command(flatten)]
    pub place: Where,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor cache verify`
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The package
    #[arg(value_name = "PKG", value_hint = ValueHint::FilePath)]
    pub package: PathBuf,
    /// Which cache.
    #[command(flatten)]
    pub place: Where,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor cache warm`
#[derive(Debug, Args)]
pub struct WarmArgs {
    /// The packages
    #[arg(value_name = "PKG", required = true, value_hint = ValueHint::FilePath)]
    pub packages: Vec<PathBuf>,
    /// Which cache.
    #[command(flatten)]
    pub place: Where,
    /// Who is trusted.
    #[command(flatten)]
    pub trusting: Trusting,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

impl CacheVerb {
    /// Whether the report is one JSON document.
    pub fn json(&self) -> bool {
        let reporting = match self {
            CacheVerb::List(args) => args.reporting,
            CacheVerb::Info(args) => args.reporting,
            CacheVerb::Prune(args) => args.reporting,
            CacheVerb::Remove(args) => args.reporting,
            CacheVerb::Verify(args) => args.reporting,
            CacheVerb::Warm(args) => args.reporting,
        };
        reporting.json
    }
}
