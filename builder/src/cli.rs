//! Verbs, flags and their help: the one definition that the parser, the help, the man pages, the completions and the
//! reference in `docs/` are made of.

pub mod cache;
mod compare;
mod delta;
mod doctor;
mod init;
pub mod log_level;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use self::cache::CacheArgs;
pub use self::compare::{DiffArgs, RebuildArgs};
pub use self::delta::{ApplyArgs, DeltaArgs};
pub use self::doctor::DoctorArgs;
pub use self::init::InitArgs;
use self::log_level::LogLevel;
use crate::printer::{ColorChoice, Wishes};

/// Packs an application and its runtime into one signed executable file.
#[derive(Debug, Parser)]
#[command(
    name = "flavor",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    before_help = "Example:\n  flavor keygen && flavor pack --private-key flavor-signing.key && ./dist/app.psp",
    after_help = "Exit codes: 0 done; 1 the answer is no; 2 wrong usage or manifest; 3 the environment failed."
)]
pub struct Cli {
    /// Flags of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags of every verb.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Output")]
pub struct Global {
    /// Prints results and errors only: no progress, notes or warnings
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Says more about what is done, on standard error
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to use colours: auto, always or never. `auto` is for terminals, and respects NO_COLOR
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = Color::Auto,
        value_name = "WHEN",
        hide_possible_values = true
    )]
    pub color: Color,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On terminals.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// The flag of verbs that report.
#[derive(Debug, Clone, Copy, Args)]
pub struct Reporting {
    /// Prints one JSON document on standard output, also for errors
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Writes a manifest for the project in a directory
    #[command(
        before_help = "Example:\n  flavor init && flavor pack --private-key flavor-signing.key"
    )]
    Init(InitArgs),
    /// Builds a package from a manifest, or from a project that it recognises
    #[command(before_help = "Example:\n  flavor pack --private-key flavor-signing.key")]
    Pack(PackArgs),
    /// Checks a package, layer by layer, and says who signed it
    #[command(
        before_help = "Example:\n  flavor verify dist/app.psp --trusted-key flavor-signing.pub"
    )]
    Verify(VerifyArgs),
    /// Shows what is in a package, without running or extracting it
    #[command(before_help = "Example:\n  flavor inspect dist/app.psp --requirements")]
    Inspect(InspectArgs),
    /// Extracts one slot of a package, verified
    #[command(before_help = "Example:\n  flavor extract dist/app.psp runtime ./out")]
    Extract(ExtractArgs),
    /// Extracts every slot of a package, verified
    #[command(before_help = "Example:\n  flavor extract-all dist/app.psp ./out")]
    ExtractAll(ExtractAllArgs),
    /// Verifies a package with this program and starts it, ignoring the launcher inside
    #[command(before_help = "Example:\n  flavor run app.psp --require-trusted -- --port 8080")]
    Run(RunArgs),
    /// Makes a link for each named command of a package
    #[command(before_help = "Example:\n  flavor link dist/app.psp ~/.local/bin")]
    Link(LinkArgs),
    /// Lists, checks, removes and makes what is unpacked on this host
    #[command(
        visible_alias = "workenv",
        before_help = "Example:\n  flavor cache list",
        disable_help_subcommand = true
    )]
    Cache(CacheArgs),
    /// Says what differs between two packages: metadata, launcher, slots, files, signers
    #[command(before_help = "Example:\n  flavor diff old.psp new.psp")]
    Diff(DiffArgs),
    /// Packs again from the manifest, and says whether that gives the package, but for its signatures
    #[command(before_help = "Example:\n  flavor rebuild dist/app.psp")]
    Rebuild(RebuildArgs),
    /// Makes a patch that turns one package into another one, for who has the first
    #[command(before_help = "Example:\n  flavor delta old.psp new.psp --output new.patch")]
    Delta(DeltaArgs),
    /// Makes a package from an older one and a patch, verifies it, and puts it in its place
    #[command(before_help = "Example:\n  flavor apply app.psp new.patch --output app.psp")]
    Apply(ApplyArgs),
    /// Makes a pair of keys for signing packages
    #[command(before_help = "Example:\n  flavor keygen --out-dir ~/keys --name release")]
    Keygen(KeygenArgs),
    /// Signs a package that was built with `pack --unsigned`, or adds a signature to a signed one
    #[command(before_help = "Example:\n  flavor sign dist/app.psp --private-key release.key")]
    Sign(SignArgs),
    /// Keys that this host trusts
    #[command(
        disable_help_subcommand = true,
        before_help = "Example:\n  flavor trust add release.pub --name Acme --packages 'acme-*'"
    )]
    Trust(TrustArgs),
    /// What this host lets start
    #[command(
        disable_help_subcommand = true,
        before_help = "Example:\n  flavor policy check dist/app.psp"
    )]
    Policy(PolicyArgs),
    /// Checks this host: the cache, trust and policy, the launchers that this program carries, tools that recipes need
    #[command(before_help = "Example:\n  flavor doctor")]
    Doctor(DoctorArgs),
    /// Prints a completion script for a shell
    #[command(
        before_help = "Example:\n  flavor completions bash > ~/.local/share/bash-completion/completions/flavor"
    )]
    Completions(CompletionsArgs),
    /// Writes the man pages into a directory
    #[command(before_help = "Example:\n  flavor man ~/.local/share/man/man1")]
    Man(ManArgs),
}

/// `flavor pack`
#[derive(Debug, Args)]
pub struct PackArgs {
    /// The project's directory
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// The manifest, flavorpack's where it ends in `.json`; without it, `flavor.toml` or `[tool.flavor]` of
    /// `pyproject.toml` in DIR
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub manifest: Option<PathBuf>,
    /// Where to write; without it, `dist/NAME.psp` beside the manifest, or `dist/NAME-TARGET.psp` with several targets.
    /// `{target}` in it stands for the target
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// The system that the package runs on, such as `linux_amd64`; without it, this one. May be repeated: a package for each
    #[arg(long = "target", value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Which key signs.
    #[command(flatten)]
    pub signing: Signing,
    /// The public key (SPKI PEM) that signs; needed with `cmd:PROGRAM`, whose answer is verified with it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["key_seed", "unsigned"])]
    pub public_key: Option<PathBuf>,
    /// The launcher to put in front, instead of the built-in one; `{target}` in it stands for the target
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub launcher_bin: Option<PathBuf>,
    /// What `{workenv}` stands for in the sources of a flavorpack manifest; without it, the current directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub workenv_base: Option<PathBuf>,
    /// trace, debug, info, warn or error, as for flavorpack's builders: `error` is --quiet, `debug` and `trace` are --verbose
    #[arg(long, value_enum, value_name = "LEVEL", hide_possible_values = true)]
    pub log_level: Option<LogLevel>,
    /// Writes a package that the launcher of another tool, given with `--launcher-bin`, starts: `flavorpack`
    #[arg(
        long,
        value_name = "TOOL",
        requires = "launcher_bin",
        hide_possible_values = true
    )]
    pub compat: Option<Compat>,
    /// Zstandard level from 1 (fast) to 22 (small), instead of the manifest's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=22))]
    pub level: Option<i32>,
    /// Threads; without it, one for each processor
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Compresses everything anew, and keeps nothing for the next build. The package is the same
    #[arg(long)]
    pub no_cache: bool,
    /// Does not look whether the commands of [python] can be imported before the package is written
    #[arg(long)]
    pub no_check: bool,
    /// Writes the digest into SHA256SUMS beside the package, for `sha256sum --check`
    #[arg(long)]
    pub sums: bool,
    /// Writes an SBOM and a statement of provenance even where there is nothing to list
    #[arg(long, conflicts_with = "no_sbom")]
    pub sbom: bool,
    /// Leaves out the SBOM and the statement of provenance
    #[arg(long)]
    pub no_sbom: bool,
    /// Prints the plain manifest that the recipes of this one stand for, and builds nothing
    #[arg(long)]
    pub explain: bool,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// Tools that packages can be written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compat {
    /// The Rust and Go launchers of flavorpack 0.5.
    Flavorpack,
}

/// Which key signs a new package.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Signing {
    /// The private key: a PKCS#8 PEM file, `env:NAME` for a variable that holds one, or `cmd:PROGRAM` for a program that signs
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub private_key: Option<OsString>,
    /// For tests only: derives the key from TEXT. Whoever knows the text can sign
    #[arg(long, value_name = "TEXT")]
    pub key_seed: Option<String>,
    /// Leaves the package unsigned, for `flavor sign`; it does not start before
    #[arg(long)]
    pub unsigned: bool,
}

/// Who is trusted.
#[derive(Debug, Args)]
pub struct Trusting {
    /// A public key (SPKI PEM) whose signature is trusted, besides the keys of this host; may be repeated
    #[arg(long = "trusted-key", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub trusted_keys: Vec<PathBuf>,
    /// Refuses a package whose signer is not trusted here
    #[arg(long)]
    pub require_trusted: bool,
    /// Refuses a package that fewer than N different keys that are trusted here have signed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=17))]
    pub threshold: Option<u8>,
}

/// `flavor verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The package
    #[arg(value_name = "PKG", value_hint = ValueHint::FilePath)]
    pub package: PathBuf,
    /// Who is trusted.
    #[command(flatten)]
    pub trusting: Trusting,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The package
    #[arg(value_name = "PKG", value_hint = ValueHint::FilePath)]
    pub package: PathBuf,
    /// Lists the files in the slots
    #[arg(long)]
    pub files: bool,
    /// Says what the package needs of the host that it is started on: the version of its C library, other libraries
    #[arg(long, conflicts_with_all = ["files", "dump"])]
    pub requirements: bool,
    /// Prints its SBOM, verified: CycloneDX, in JSON
    #[arg(long, conflicts_with_all = ["files", "dump", "requirements"])]
    pub sbom: bool,
    /// Prints how it was built, verified: an in-toto statement of SLSA provenance, in JSON
    #[arg(long, conflicts_with_all = ["files", "dump", "requirements", "sbom"])]
    pub provenance: bool,
    /// Lists the package byte by byte: offset, size, field, value
    #[arg(long)]
    pub dump: bool,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor extract`
#[derive(Debug, Args)]
pub struct ExtractArgs {
    /// The package
    #[arg(value_name = "PKG", value_hint = ValueHint::FilePath)]
    pub package: PathBuf,
    /// The slot, by its id or its number from 0
    #[arg(value_name = "SLOT")]
    pub slot: String,
    /// How and where.
    #[command(flatten)]
    pub into: Into,
}

/// `flavor extract-all`
#[derive(Debug, Args)]
pub struct ExtractAllArgs {
    /// The package
    #[arg(value_name = "PKG", value_hint = ValueHint::FilePath)]
    pub package: PathBuf,
    /// How and where.
    #[command(flatten)]
    pub into: Into,
}

/// Where extracted files go.
#[derive(Debug, Args)]
pub struct Into {
    /// The directory to make; slots lie in it as in a work environment, below their targets
    #[arg(value_name = "OUT", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
    /// Replaces OUT when it is a directory that is not empty
    #[arg(long)]
    pub force: bool,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The package
    #[arg(value_name = "PKG", value_hint = ValueHint::FilePath)]
    pub package: PathBuf,
    /// The command to start, by its name in the package; without it, the default command
    #[arg(long, value_name = "NAME")]
    pub command: Option<String>,
    /// Who is trusted.
    #[command(flatten)]
    pub trusting: Trusting,
    /// Arguments for the command
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<OsString>,
}

/// `flavor link`
#[derive(Debug, Args)]
pub struct LinkArgs {
    /// The package, which is verified; the links hold its absolute path
    #[arg(value_name = "PKG", value_hint = ValueHint::FilePath)]
    pub package: PathBuf,
    /// The directory for the links, made when it is not there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Replaces links that lead elsewhere; never a file or directory
    #[arg(long)]
    pub force: bool,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor keygen`
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// The directory for the two files
    #[arg(long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub out_dir: PathBuf,
    /// Name of the pair: NAME.key is the private key, NAME.pub the public one
    #[arg(long, value_name = "NAME", default_value = "flavor-signing")]
    pub name: String,
    /// Encrypts the private key with a passphrase, asked for on the terminal or taken from FLAVOR_KEY_PASSPHRASE
    #[arg(long)]
    pub passphrase: bool,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor sign`
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The package, made with `pack --unsigned`; with --add, one that is signed
    #[arg(value_name = "PKG", value_hint = ValueHint::FilePath)]
    pub package: PathBuf,
    /// The private key: a PKCS#8 PEM file, `env:NAME` for a variable that holds one, or `cmd:PROGRAM` for a program that signs
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub private_key: OsString,
    /// The public key (SPKI PEM) that signs; needed with `cmd:PROGRAM`, whose answer is verified with it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub public_key: Option<PathBuf>,
    /// Adds a signature to those that the package has
    #[arg(long)]
    pub add: bool,
    /// Where to write the signed package; without it, in place of PKG
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Writes the digest into SHA256SUMS beside the package, for `sha256sum --check`
    #[arg(long)]
    pub sums: bool,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor trust`
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: TrustVerb,
}

/// The verbs of `flavor trust`.
#[derive(Debug, Subcommand)]
pub enum TrustVerb {
    /// Trusts a key, for all packages or some
    #[command(
        before_help = "Example:\n  flavor trust add release.pub --name Acme --packages 'acme-*' --expires 2027-01-31"
    )]
    Add(TrustAddArgs),
    /// Lists the keys in the stores, and those that are revoked
    #[command(before_help = "Example:\n  flavor trust list")]
    List(TrustListArgs),
    /// Trusts a key no longer
    #[command(before_help = "Example:\n  flavor trust remove Acme")]
    Remove(TrustRemoveArgs),
    /// Says whether the signer of a package is trusted here, and by which file
    #[command(before_help = "Example:\n  flavor trust verify dist/app.psp")]
    Verify(TrustVerifyArgs),
    /// Lets nothing start any more that a key has signed
    #[command(before_help = "Example:\n  flavor trust revoke stolen.pub --global")]
    Revoke(TrustRevokeArgs),
    /// Writes a statement, signed by an old key, that a new key continues it
    #[command(
        before_help = "Example:\n  flavor trust rotate --old release.key --new release-2.pub"
    )]
    Rotate(RotateArgs),
}

/// `flavor trust add`
#[derive(Debug, Args)]
pub struct TrustAddArgs {
    /// The public key: an SPKI PEM file. Lines that limit it there hold, unless a flag says something else
    #[arg(value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// The name that messages call it by
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The packages that it is trusted for, with `*` and `?`, separated by commas; without it, all
    #[arg(long, value_name = "GLOBS")]
    pub packages: Option<String>,
    /// The last day on which it is trusted, such as 2027-01-31, or an instant such as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "DATE")]
    pub expires: Option<String>,
    /// For everybody on this host, in /etc/flavor
    #[arg(long)]
    pub global: bool,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor trust list`
#[derive(Debug, Args)]
pub struct TrustListArgs {
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor trust remove`
#[derive(Debug, Args)]
pub struct TrustRemoveArgs {
    /// The key: its name, its fingerprint, or the first 8 digits of that or more
    #[arg(value_name = "NAME|FINGERPRINT")]
    pub key: String,
    /// From the keys that count for everybody on this host
    #[arg(long)]
    pub global: bool,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor trust verify`
#[derive(Debug, Args)]
pub struct TrustVerifyArgs {
    /// The package
    #[arg(value_name = "PKG", value_hint = ValueHint::FilePath)]
    pub package: PathBuf,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor trust revoke`
#[derive(Debug, Args)]
pub struct TrustRevokeArgs {
    /// The key: its fingerprint, or the file of the public key
    #[arg(value_name = "FINGERPRINT|KEY", value_hint = ValueHint::FilePath)]
    pub key: OsString,
    /// For everybody on this host, in /etc/flavor
    #[arg(long)]
    pub global: bool,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor policy`
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: PolicyVerb,
}

/// The verbs of `flavor policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Writes a policy that asks for nothing, and says what it can ask for
    #[command(before_help = "Example:\n  flavor policy init --global")]
    Init(PolicyInitArgs),
    /// Shows what holds on this host, and which file says so
    #[command(before_help = "Example:\n  flavor policy show")]
    Show(PolicyShowArgs),
    /// Says whether a package would start here, and why not
    #[command(before_help = "Example:\n  flavor policy check dist/app.psp")]
    Check(PolicyCheckArgs),
}

/// `flavor policy init`
#[derive(Debug, Args)]
pub struct PolicyInitArgs {
    /// For everybody on this host, in /etc/flavor
    #[arg(long)]
    pub global: bool,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor policy show`
#[derive(Debug, Args)]
pub struct PolicyShowArgs {
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor policy check`
#[derive(Debug, Args)]
pub struct PolicyCheckArgs {
    /// The package
    #[arg(value_name = "PKG", value_hint = ValueHint::FilePath)]
    pub package: PathBuf,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor trust rotate`
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// The old private key: a PKCS#8 PEM file, `env:NAME` for a variable that holds one, or `cmd:PROGRAM` for a program that signs
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub old: OsString,
    /// The public half of the old key (SPKI PEM); needed with `cmd:PROGRAM`, whose answer is verified with it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub public_key: Option<PathBuf>,
    /// The new public key, an SPKI PEM file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub new: PathBuf,
    /// Where to write the statement; without it, `NEW.succession` here. Nothing is overwritten
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// How to report.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// `flavor completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `flavor man`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The directory, made when it is not there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

impl Cli {
    /// What the flags of every verb and those of this one say about output.
    pub fn wishes(&self) -> Wishes {
        let level = match &self.verb {
            Verb::Pack(args) => args.log_level,
            _ => None,
        };
        Wishes {
            quiet: self.global.quiet || level == Some(LogLevel::Error),
            verbose: self.global.verbose
                || matches!(level, Some(LogLevel::Trace | LogLevel::Debug)),
            color: match self.global.color {
                Color::Auto => ColorChoice::Auto,
                Color::Always => ColorChoice::Always,
                Color::Never => ColorChoice::Never,
            },
            json: self.verb.json(),
        }
    }
}

impl Verb {
    /// Whether the report is one JSON document.
    pub fn json(&self) -> bool {
        match self {
            Verb::Pack(args) => args.reporting.json,
            Verb::Verify(args) => args.reporting.json,
            Verb::Inspect(args) => args.reporting.json,
            Verb::Extract(args) => args.into.reporting.json,
            Verb::ExtractAll(args) => args.into.reporting.json,
            Verb::Link(args) => args.reporting.json,
            Verb::Cache(args) => args.verb.json(),
            Verb::Diff(args) => args.reporting.json,
            Verb::Rebuild(args) => args.reporting.json,
            Verb::Delta(args) => args.reporting.json,
            Verb::Apply(args) => args.reporting.json,
            Verb::Init(args) => args.reporting.json,
            Verb::Keygen(args) => args.reporting.json,
            Verb::Sign(args) => args.reporting.json,
            Verb::Trust(args) => args.verb.reporting().json,
            Verb::Policy(args) => args.verb.reporting().json,
            Verb::Doctor(args) => args.reporting.json,
            Verb::Run(_) | Verb::Completions(_) | Verb::Man(_) => false,
        }
    }
}

impl TrustVerb {
    fn reporting(&self) -> Reporting {
        match self {
            TrustVerb::Add(args) => args.reporting,
            TrustVerb::List(args) => args.reporting,
            TrustVerb::Remove(args) => args.reporting,
            TrustVerb::Verify(args) => args.reporting,
            TrustVerb::Revoke(args) => args.reporting,
            TrustVerb::Rotate(args) => args.reporting,
        }
    }
}

impl PolicyVerb {
    fn reporting(&self) -> Reporting {
        match self {
            PolicyVerb::Init(args) => args.reporting,
            PolicyVerb::Show(args) => args.reporting,
            PolicyVerb::Check(args) => args.reporting,
        }
    }
}
