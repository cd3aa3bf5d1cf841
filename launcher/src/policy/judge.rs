//! Whether a host lets a package start: revoked keys, the system's policy, the user's.
//!
//! Each policy is compared with the package by itself, so that all of them have to hold: the user's can only tighten.
//! Where one policy says what happens when a check fails, and the other one something stronger, the stronger word counts.

use core::fmt;
use std::path::{Path, PathBuf};

use psp_format::VerifiedPackage;
use psp_format::digest::Digest;
use psp_format::instant;
use psp_format::signature::PublicKey;
use psp_format::text::Quoted;

use super::host::{Check, HostPolicy, Level, read};
use super::{Refusal, check_age, seen, version};
use crate::plan::{PLATFORM, matches};
use crate::trust::config::{ConfigError, MAX_POLICY, POLICY};
use crate::trust::file::{Fault, shown};
use crate::trust::{Host, Standing, Trust};

/// What a host says about packages, read whole.
#[derive(Debug)]
pub struct Rules {
    /// Where it says that.
    pub host: Host,
    /// The policies with their files: the system's first.
    pub policies: Vec<(PathBuf, HostPolicy)>,
    /// Fingerprints of revoked keys.
    pub revoked: Vec<Digest>,
}

/// Why a host does not let a package start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostRefusal {
    /// What the host says cannot be told.
    Config(ConfigError),
    /// The signer's key is revoked.
    Revoked(Digest),
    /// A policy does not let it start.
    Policy {
        /// The policy.
        policy: PathBuf,
        /// Why.
        reason: Reason,
    },
}

/// Why a package does not fit a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// This is none of the platforms.
    Platform {
        /// Those that are allowed.
        allowed: Vec<String>,
    },
    /// The user is root.
    Root,
    /// It is too old, or its age cannot be told.
    Age(Refusal),
    /// Its signer is not trusted.
    Untrusted {
        /// The signer's fingerprint.
        signer: Digest,
        /// What is known of it.
        distrust: Distrust,
        /// A store or a file that counts for nothing, which may be why.
        fault: Option<Box<Fault>>,
    },
    /// Its signer is not one of those that are required.
    Signer {
        /// The signer's fingerprint.
        signer: Digest,
    },
    /// It does not say what is in it.
    Sbom,
    /// Its version is too low.
    MinimumVersion {
        /// Its version.
        version: String,
        /// The lowest that starts.
        minimum: String,
    },
    /// A higher version was seen.
    Downgrade {
        /// Its version.
        version: String,
        /// The highest that was seen.
        seen: String,
        /// The file that remembers it.
        memory: PathBuf,
    },
    /// Another package of the same version was seen.
    SameVersion {
        /// The version.
        version: String,
        /// The file that remembers it.
        memory: PathBuf,
    },
    /// Which version was seen cannot be read or written.
    Memory(Fault),
    /// There is no directory to remember it in.
    NoMemory,
}

/// Why a signer is not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distrust {
    /// It is not one of the trusted keys.
    Unknown,
    /// There are none.
    NoKeys,
    /// It is trusted for other packages.
    OutOfScope(PathBuf),
    /// Its time is over.
    Expired(PathBuf, u64),
    /// It continues a revoked key.
    Revoked(Digest),
}

/// What a package is compared with, besides the host's word.
#[derive(Clone, Copy)]
pub struct HostFacts {
    /// The effective user.
    pub uid: u32,
    /// Seconds since 1970, asked for only when a policy needs them.
    pub now: fn() -> u64,
    /// Whether the version is remembered, where a policy asks for that; otherwise it is only compared.
    pub remember: bool,
}

/// Where a package does not fit: the policy, the check, what happens, why.
pub type Tell<'t> = &'t mut dyn FnMut(&Path, Check, Level, Reason);

impl Rules {
    /// Reads what the host says. Where it says nothing, that takes two failing system calls.
    ///
    /// # Errors
    ///
    /// Whatever is there and cannot be read: it may be what would refuse the package.
    pub fn read<'v>(
        var: &dyn Fn(&str) -> Option<&'v [u8]>,
        uid: u32,
    ) -> Result<Rules, ConfigError> {
        let host = Host::find(var, uid)?;
        let mut policies = Vec::new();
        for config in host.configs() {
            // The system's has been read, and is read once.
            let known = host.system_policy.as_ref().filter(|_| config.is_system());
            let text = match (known, config.is_system()) {
                (Some(text), _) => Some(text.clone()),
                (None, true) => None,
                (None, false) => config.read(POLICY.as_bytes(), MAX_POLICY)?,
            };
            if let Some(text) = text {
                let path = config.path(POLICY.as_bytes());
                match read(&text) {
                    Ok(policy) => policies.push((path, policy)),
                    Err(problem) => return Err(Fault { path, problem }.into()),
                }
            }
        }
        let revoked = host.revoked()?;
        Ok(Rules {
            host,
            policies,
            revoked,
        })
    }

    /// The keys that count: where the system's policy asks for a trusted one, only the administrator's.
    pub fn trust(&self) -> Trust {
        self.host
            .trust(!self.system_requires_key(), self.revoked.clone())
    }

    /// Whether the system's policy asks for a trusted key.
    pub fn system_requires_key(&self) -> bool {
        self.host.system_policy.is_some()
            && self
                .policies
                .first()
                .is_some_and(|(_, policy)| policy.require_trusted_key)
    }

    /// What happens where a check of this policy fails.
    pub fn level(&self, policy: &HostPolicy, check: Check) -> Level {
        // A policy that asks for something and says no more means it.
        let own = policy.level(check).unwrap_or(Level::Deny);
        let all = self
            .policies
            .iter()
            .filter_map(|(_, other)| other.level(check));
        all.fold(own, Level::max)
    }

    /// The first signer of a package whose key is revoked. One is enough: what else it signs is not to be believed, and
    /// that others have signed the same is no excuse.
    pub fn revoked_signer(&self, package: &VerifiedPackage) -> Option<Digest> {
        if self.revoked.is_empty() {
            return None;
        }
        let mut signers = package.signers().map(PublicKey::fingerprint);
        signers.find(|signer| self.revoked.contains(signer))
    }

    /// Compares a package with every policy.
    pub fn judge(&self, package: &VerifiedPackage, facts: &HostFacts, tell: Tell<'_>) {
        let mut judge = Judge {
            rules: self,
            package,
            facts,
            trust: None,
            is_denied: false,
            tell,
        };
        for (path, policy) in &self.policies {
            judge.compare(path, policy);
        }
        // Only what starts is remembered, so this is last.
        for (path, policy) in &self.policies {
            if policy.refuse_downgrade && !judge.is_denied {
                judge.compare_with_memory(path, policy);
            }
        }
    }
}

/// Decides whether the host lets a package start. `warn` is given what a policy only warns of.
///
/// # Errors
///
/// When the package must not start.
pub fn check<'v>(
    package: &VerifiedPackage,
    var: &dyn Fn(&str) -> Option<&'v [u8]>,
    facts: &HostFacts,
    warn: &dyn Fn(&HostRefusal),
) -> Result<(), HostRefusal> {
    let rules = Rules::read(var, facts.uid).map_err(HostRefusal::Config)?;
    if let Some(signer) = rules.revoked_signer(package) {
        return Err(HostRefusal::Revoked(signer));
    }
    let mut refusal = None;
    rules.judge(package, facts, &mut |policy, _, level, reason| {
        let policy = policy.to_owned();
        let found = HostRefusal::Policy { policy, reason };
        match level {
            Level::Allow => {}
            Level::Warn => warn(&found),
            Level::Deny => {
                refusal.get_or_insert(found);
            }
        }
    });
    refusal.map_or(Ok(()), Err)
}

struct Judge<'j> {
    rules: &'j Rules,
    package: &'j VerifiedPackage,
    facts: &'j HostFacts,
    /// The keys of the host, once a policy has asked for them.
    trust: Option<Trust>,
    is_denied: bool,
    tell: Tell<'j>,
}

impl Judge<'_> {
    fn compare(&mut self, path: &Path, policy: &HostPolicy) {
        let about = self.package.metadata();
        let platforms = &policy.allow_platforms;
        if !platforms.is_empty() && !platforms.iter().any(|allowed| allowed == PLATFORM) {
            let allowed = platforms.clone();
            self.fails(path, policy, Check::Platform, Reason::Platform { allowed });
        }
        if policy.refuse_root && self.facts.uid == 0 {
            self.fails(path, policy, Check::Root, Reason::Root);
        }
        if let Err(refusal) = check_age(policy.max_age_days, about, self.facts.now) {
            self.fails(path, policy, Check::Age, Reason::Age(refusal));
        }
        if policy.require_trusted_key
            && let Some(reason) = self.distrust()
        {
            self.fails(path, policy, Check::TrustedKey, reason);
        }
        let required = &policy.required_signers;
        if !required.is_empty() {
            let mut signers = self.package.signers().map(PublicKey::fingerprint);
            if !signers.any(|signer| required.contains(&signer)) {
                let signer = self.package.signer().fingerprint();
                self.fails(path, policy, Check::Signer, Reason::Signer { signer });
            }
        }
        if policy.require_sbom && about.attestation().is_none() {
            self.fails(path, policy, Check::Sbom, Reason::Sbom);
        }
        let package = &about.package;
        for (glob, minimum) in &policy.minimum_versions {
            if matches(glob.as_bytes(), package.name.as_bytes())
                && version::compare(&package.version, minimum).is_lt()
            {
                let (version, minimum) = (package.version.clone(), minimum.clone());
                let reason = Reason::MinimumVersion { version, minimum };
                self.fails(path, policy, Check::MinimumVersion, reason);
            }
        }
    }

    fn compare_with_memory(&mut self, path: &Path, policy: &HostPolicy) {
        let config = self.rules.host.user_path.as_deref();
        if let Err(reason) = seen::compare(config, self.package, self.facts) {
            let check = match reason {
                Reason::SameVersion { .. } => Check::SameVersion,
                _ => Check::Downgrade,
            };
            self.fails(path, policy, check, reason);
        }
    }

    #[inline(never)]
    fn fails(&mut self, path: &Path, policy: &HostPolicy, check: Check, reason: Reason) {
        let level = self.rules.level(policy, check);
        self.is_denied |= level == Level::Deny;
        (self.tell)(path, check, level, reason);
    }

    fn distrust(&mut self) -> Option<Reason> {
        let trust = self.trust.get_or_insert_with(|| self.rules.trust());
        let (signer, standing) = trust.best(self.package, (self.facts.now)());
        let distrust = match standing {
            Standing::Trusted { .. } => return None,
            Standing::OutOfScope(key) => Distrust::OutOfScope(key.path.clone()),
            Standing::Expired(key) => {
                Distrust::Expired(key.path.clone(), key.file.expires.unwrap_or(0))
            }
            Standing::Revoked(key) => Distrust::Revoked(key),
            Standing::Unknown if trust.keys.is_empty() => Distrust::NoKeys,
            Standing::Unknown => Distrust::Unknown,
        };
        Some(Reason::Untrusted {
            signer: signer.fingerprint(),
            distrust,
            fault: trust.faults.first().cloned().map(Box::new),
        })
    }
}

impl HostRefusal {
    /// One line that says what a person can do.
    pub fn help(&self) -> &'static str {
        match self {
            HostRefusal::Config(ConfigError::Fault(fault)) => fault.help(),
            HostRefusal::Config(ConfigError::Relative(_)) => {
                "set it to an absolute path, or unset it"
            }
            HostRefusal::Revoked(_) => "get a package that its maker has signed with another key",
            HostRefusal::Policy { reason, .. } => reason.help(),
        }
    }
}

impl Reason {
    /// One line that says what a person can do.
    pub fn help(&self) -> &'static str {
        match self {
            Reason::Platform { .. } => "get the package for another platform",
            Reason::Root => "start it as an ordinary user",
            Reason::Age(refusal) => refusal.help(),
            Reason::Untrusted {
                fault: Some(fault), ..
            } => fault.help(),
            Reason::Untrusted { .. } => {
                "`flavor trust verify` and `flavor trust list` say who is trusted here; ask whoever administers this host"
            }
            Reason::Signer { .. } | Reason::Sbom => {
                "get the package from where this host expects it"
            }
            Reason::MinimumVersion { .. } | Reason::SameVersion { .. } => "get a newer version",
            Reason::Downgrade { .. } => {
                "get a newer version; to go back on purpose, remove that file"
            }
            Reason::Memory(fault) => fault.help(),
            Reason::NoMemory => "set HOME to the home directory of the user",
        }
    }
}

impl std::error::Error for HostRefusal {}

impl fmt::Display for HostRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostRefusal::Config(ConfigError::Fault(fault)) => fault.fmt(f),
            HostRefusal::Config(ConfigError::Relative(relative)) => write!(
                f,
                "{} is not an absolute path: {}",
                relative.variable,
                Quoted(&relative.value)
            ),
            HostRefusal::Revoked(signer) => {
                write!(f, "the key of its signer {signer} is revoked on this host")
            }
            HostRefusal::Policy { policy, reason } => write!(f, "{}: {reason}", shown(policy)),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Platform { allowed } => write!(
                f,
                "packages start on {} only, this is {PLATFORM}",
                allowed.join(", ")
            ),
            Reason::Root => f.write_str("packages do not start as root"),
            Reason::Age(refusal) => refusal.fmt(f),
            Reason::Untrusted {
                signer,
                distrust,
                fault,
            } => {
                write_distrust(f, signer, distrust)?;
                match fault {
                    Some(fault) => write!(f, "; {fault}"),
                    None => Ok(()),
                }
            }
            Reason::Signer { signer } => {
                write!(
                    f,
                    "the package's signer {signer} is none of those that are required"
                )
            }
            Reason::Sbom => f.write_str("the package has no SBOM"),
            Reason::MinimumVersion { version, minimum } => {
                write!(f, "the package's version {version} is below {minimum}")
            }
            Reason::Downgrade {
                version,
                seen,
                memory,
            } => write!(
                f,
                "the package's version {version} is below {seen}, which started here before ({})",
                shown(memory)
            ),
            Reason::SameVersion { version, memory } => write!(
                f,
                "another package of the same name, signer and version {version} started here before ({})",
                shown(memory)
            ),
            Reason::Memory(fault) => write!(f, "versions cannot be compared: {fault}"),
            Reason::NoMemory => {
                f.write_str("versions cannot be compared: there is no home directory")
            }
        }
    }
}

fn write_distrust(f: &mut fmt::Formatter<'_>, signer: &Digest, distrust: &Distrust) -> fmt::Result {
    write!(f, "the package's signer {signer} ")?;
    match distrust {
        Distrust::Unknown => f.write_str("is not trusted here"),
        Distrust::NoKeys => f.write_str("is not trusted here, nobody is"),
        Distrust::OutOfScope(path) => {
            write!(f, "is not trusted for this package ({})", shown(path))
        }
        Distrust::Expired(path, last) => write!(
            f,
            "was trusted until {} only ({})",
            instant::to_text(*last),
            shown(path)
        ),
        Distrust::Revoked(key) => write!(f, "continues a key that is revoked, {key}"),
    }
}
