//! Why a verb did not do what it was asked. `Display` is one line of fact; [`Error::help`] is one line of remedy.

mod cache;

use std::io;
use std::path::PathBuf;

use psp_format::digest::Digest;
use psp_format::range::widen;
use psp_format::signed_by::AddFault;
use psp_format::succession::SuccessionFault;
use psp_launcher::extract::ExtractError;
use psp_launcher::plan::PlanError;
use psp_launcher::policy::judge::HostRefusal;
use psp_launcher::start::StartError;

pub use cache::CacheError;

use crate::base::run::RunFault;
use crate::delta::PatchFault;
use crate::examine::Refusal;
use crate::keyring::KeyError;
use crate::manifest::ManifestError;
use crate::pack::PackError;
use crate::package_file::{FileError, shown};
use crate::printer::{count, escape};
use crate::recipes::RecipeError;
use crate::sbom::Document;
use crate::signer::SignerError;

/// Every error of the command, by what a person can do about it. [`crate::exit`] chooses the exit code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A package cannot be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A package is not valid.
    #[error("{}: {refusal}", shown(.path))]
    Refused {
        /// The package.
        path: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// A patch is not good, or not for this package.
    #[error("{}: {fault}", shown(.path))]
    Patch {
        /// The patch.
        path: PathBuf,
        /// Why.
        fault: PatchFault,
    },
    /// A package is valid, and its signer is not trusted here.
    #[error("{}: its signer {signer} is not trusted here{}", shown(.path), because(.reason.as_deref()))]
    NotTrusted {
        /// The package.
        path: PathBuf,
        /// Fingerprint of the signer.
        signer: Digest,
        /// Why not, where the host knows it.
        reason: Option<String>,
    },
    /// What this host says about packages does not let this be done.
    #[error(transparent)]
    Host(HostRefusal),
    /// A key that should be trusted is trusted already.
    #[error("the key {fingerprint} is trusted already, by {}", shown(.path))]
    TrustedAlready {
        /// The file.
        path: PathBuf,
        /// The key.
        fingerprint: Digest,
    },
    /// A key that should be trusted is revoked.
    #[error("the key {fingerprint} is revoked on this host")]
    RevokedKey {
        /// The key.
        fingerprint: Digest,
    },
    /// A name or fingerprint means no key, or several.
    #[error("{} means {found} of the keys in {}", escape(.wanted), shown(.store))]
    WhichKey {
        /// What was asked for.
        wanted: String,
        /// The store.
        store: PathBuf,
        /// How many keys it means.
        found: usize,
    },
    /// A value for the file of a key cannot stand there.
    #[error("\"{}\" is not {expected}", escape(.value))]
    KeyValue {
        /// The value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// There is no home directory to keep settings in.
    #[error("there is no directory for this user's settings")]
    NoConfigDir,
    /// A package is valid, and too few of its signers are trusted here.
    #[error(
        "{}: {trusted} of its {} {} trusted here, {needed} asked for",
        shown(.path),
        count(widen(*signers), "signer", "signers"),
        if *trusted == 1 { "is" } else { "are" }
    )]
    TooFewTrusted {
        /// The package.
        path: PathBuf,
        /// Number of different trusted keys that signed.
        trusted: usize,
        /// Number of keys that signed.
        signers: usize,
        /// Number of trusted keys that were asked for.
        needed: usize,
    },
    /// A package that should get a signature has one.
    #[error("{} is signed already, by {signer}", shown(.path))]
    AlreadySigned {
        /// The package.
        path: PathBuf,
        /// Fingerprint of the signer.
        signer: Digest,
    },
    /// A package did not get one more signature.
    #[error("{}: {signer}: {fault}", shown(.path))]
    NotAdded {
        /// The package.
        path: PathBuf,
        /// Fingerprint of the key.
        signer: Digest,
        /// Why.
        fault: AddFault,
    },
    /// Two keys cannot stand in a statement of succession.
    #[error("no statement: {fault}")]
    NoSuccession {
        /// Why.
        fault: SuccessionFault,
    },
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Nothing says who signs.
    #[error("no key to sign with")]
    NoSigningKey,
    /// Nothing was signed, or no key to sign with can be used.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// One target is named twice.
    #[error("--target {} is given twice", escape(.target))]
    TargetTwice {
        /// The target.
        target: String,
    },
    /// A flag that is about one package stands with several targets.
    #[error("{flag} is for one target, and several are given")]
    ForSeveralTargets {
        /// The flag.
        flag: &'static str,
    },
    /// `SOURCE_DATE_EPOCH` is no time.
    #[error("SOURCE_DATE_EPOCH is {}, not a number of seconds since 1970", escape(.value))]
    SourceDate {
        /// Its value.
        value: String,
    },
    /// The manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// No package was built.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A recipe of the manifest cannot be followed.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A slot was not extracted.
    #[error(transparent)]
    Extract(ExtractError),
    /// The launcher's library did not start the package.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A base package is not started.
    #[error(transparent)]
    Run(#[from] RunFault),
    /// `cache` cannot do what it was asked.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// `run` did not start a package, for whatever reason.
    #[error(transparent)]
    NotStarted(Box<Error>),
    /// The package has no such slot.
    #[error("{} has no slot {}", shown(.path), escape(.wanted))]
    NoSlot {
        /// The package.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// The ids that there are.
        known: Vec<String>,
    },
    /// The package does not carry a document.
    #[error("{} has no {}", shown(.path), .which.words())]
    NoDocument {
        /// The package.
        path: PathBuf,
        /// Which one.
        which: Document,
    },
    /// Something is where the result should go.
    #[error("{} is there already", shown(.path))]
    Exists {
        /// The place.
        path: PathBuf,
        /// What to do.
        help: &'static str,
    },
    /// There is no project that `flavor init` knows.
    #[error("no project is recognised in {}", shown(.path))]
    NoProject {
        /// The directory.
        path: PathBuf,
    },
    /// There is nothing to be linked.
    #[error("{} has no named commands, only the default one", shown(.path))]
    NoCommands {
        /// The package.
        path: PathBuf,
    },
    /// The name of a pair of keys is no plain file name.
    #[error("{} cannot name a pair of keys", escape(.name))]
    BadKeyName {
        /// The name.
        name: String,
    },
    /// Something cannot be written.
    #[error("cannot write {}: {source}", shown(.path))]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
    /// The system gives no random numbers.
    #[error("cannot get random numbers from the system: {0}")]
    Random(getrandom::Error),
}

fn because(reason: Option<&str>) -> String {
    let reason = reason.map(|reason| format!(": {}", escape(reason)));
    reason.unwrap_or_default()
}

impl Error {
    /// One line that says what a person can do.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Error::File(FileError::Open { .. }) => "check the path and its permissions".into(),
            Error::File(FileError::NotRegular { .. }) => "give the path of a package file".into(),
            Error::File(FileError::Read { .. }) => {
                "the file changed while it was read, or the disk has a fault: try again".into()
            }
            Error::Refused { refusal, .. } => return refusal.help().map(str::to_owned),
            Error::Patch { fault, .. } => fault.help().into(),
            Error::NotTrusted { .. } => {
                "if you know this signer, give their public key with --trusted-key, or `flavor trust add` it".into()
            }
            Error::Host(refusal) => refusal.help().into(),
            Error::TrustedAlready { .. } => {
                "to change what it is trusted for, `flavor trust remove` it first".into()
            }
            Error::RevokedKey { .. } => {
                "ask its owner for a new one; who is revoked stands in the files revoked-keys".into()
            }
            Error::WhichKey { .. } => {
                "`flavor trust list` shows names and fingerprints; give the whole fingerprint".into()
            }
            Error::KeyValue { .. } => "`flavor trust add --help` shows an example".into(),
            Error::NoConfigDir => "set HOME, or use --global as root".into(),
            Error::TooFewTrusted { .. } => {
                "if you know more of these signers, give their public keys with --trusted-key".into()
            }
            Error::AlreadySigned { .. } => {
                "give --add to put another signature beside it, or pack again with --unsigned".into()
            }
            Error::NotAdded { fault: AddFault::Signed, .. } => {
                "the package is as it was; give another key".into()
            }
            Error::NotAdded { .. } => "the package is as it was".into(),
            Error::NoSuccession { .. } => {
                "give the old private key and the public half of a new pair".into()
            }
            Error::Key(error) => error.help(),
            Error::NoSigningKey => "make a key with `flavor keygen` and give it with \
                                    `--private-key flavor-signing.key`; or pack with --unsigned and sign later"
                .into(),
            Error::Signer(error) => error.help(),
            Error::TargetTwice { .. } => "give each target once".into(),
            Error::ForSeveralTargets { flag: "--output" } => {
                "put {target} into the name, or leave it out: the packages are dist/NAME-TARGET.psp".into()
            }
            Error::ForSeveralTargets { flag: "--launcher-bin" } => {
                "put {target} into the path, or leave it out for the launchers that this flavor carries".into()
            }
            Error::ForSeveralTargets { .. } => "give one --target".into(),
            Error::SourceDate { .. } => "unset it, or set it to a number such as 1700000000".into(),
            Error::Manifest(error) => error.help(),
            Error::Pack(error) => error.help(),
            Error::Recipe(error) => error.help(),
            Error::Extract(error) => extract_help(error).into(),
            Error::Start(StartError::Plan(PlanError::UnknownCommand { .. })) => {
                "give --command one of these names, or leave it out for the default command".into()
            }
            Error::Start(error) => error.help().into(),
            Error::Run(fault) => fault.help().into(),
            Error::Cache(error) => error.help(),
            Error::NotStarted(error) => return error.help(),
            Error::NoSlot { known, .. } => {
                let known: Vec<String> = known.iter().map(|id| escape(id)).collect();
                match known.len() {
                    0 => "the package has no slots at all".into(),
                    1..=20 => format!("its slots are {}", known.join(", ")),
                    _ => "`flavor inspect` lists its slots".into(),
                }
            }
            Error::NoDocument { .. } => {
                "`flavor pack --sbom` writes both into a package, whatever is in it".into()
            }
            Error::Exists { help, .. } => (*help).into(),
            Error::NoProject { .. } => {
                "looked for were pyproject.toml with [project], package.json, Cargo.toml with [package], go.mod, and requirements.txt; \
                 anything else is described with a `[[slot]]` and a `[command]`"
                    .into()
            }
            Error::NoCommands { .. } => {
                "link the package itself, under any name: `ln -s`".into()
            }
            Error::BadKeyName { .. } => "give a file name without a directory".into(),
            Error::Write { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space, or write to another place".into()
                }
                _ => "check that the directory is there and can be written".into(),
            },
            Error::Stdout(_) => "check where the output goes".into(),
            Error::Random(_) => return None,
        })
    }
}

/// The library's own words are for starts, where the cache is what can be changed.
fn extract_help(error: &ExtractError) -> &'static str {
    match error {
        ExtractError::Write { .. } => "free some space or memory, or extract to another place",
        other => other.help(),
    }
}
