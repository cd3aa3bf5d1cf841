//! Whether a base package starts here: what it asks of its host, and what the host asks of every package.
//!
//! The questions are those of [`psp_launcher::policy::judge`], which asks them about strict packages. The age is counted
//! from the signed build time; base launchers take the one in the index, which nobody signs.

use std::os::unix::ffi::OsStrExt as _;

use psp_launcher::plan::{PLATFORM, matches};
use psp_launcher::policy::host::{Check, HostPolicy, Level};
use psp_launcher::policy::judge::Rules;
use psp_launcher::policy::version;
use psp_launcher::store;
use psp_launcher::sys;

use super::Package;
use super::run::RunFault;
use crate::keyring::TrustStore;
use crate::printer::{Printer, escape};

const DAY: u64 = 86_400;

/// Asks the package and the host.
pub fn check(
    package: &Package,
    rules: &Rules,
    trust: &TrustStore,
    printer: &Printer,
) -> Result<(), RunFault> {
    own(package)?;
    let signer = package.signer().fingerprint();
    if rules.revoked.contains(&signer) {
        let reason = format!("the key of its signer {signer} is revoked on this host");
        return Err(RunFault::Policy { reason });
    }
    for (path, policy) in &rules.policies {
        for (check, reason) in objections(package, policy, trust) {
            let reason = format!("{}: {reason}", escape(&path.to_string_lossy()));
            match rules.level(policy, check) {
                Level::Allow => {}
                Level::Warn => printer.warn(&reason, None),
                Level::Deny => return Err(RunFault::Policy { reason }),
            }
        }
    }
    Ok(())
}

/// What the package asks. Unlike base launchers, each key counts by itself.
pub fn own(package: &Package) -> Result<(), RunFault> {
    let Some(policy) = &package.metadata().policy else {
        return Ok(());
    };
    let refused = |reason: String| Err(RunFault::Policy { reason });
    if !policy.platforms.is_empty() && !policy.platforms.iter().any(|it| it == PLATFORM) {
        return refused(format!(
            "the package starts on {} only, this is {PLATFORM}",
            escape(&policy.platforms.join(", "))
        ));
    }
    if policy.refuse_root && sys::effective_uid() == 0 {
        return refused("the package refuses to start as root".into());
    }
    let missing =
        |name: &&String| !std::env::vars_os().any(|(other, _)| other.as_bytes() == name.as_bytes());
    if let Some(name) = policy.require_env.iter().find(missing) {
        let name = escape(name);
        return refused(format!("the package needs the environment variable {name}"));
    }
    match age(package, policy.max_age_days) {
        Some(reason) => refused(reason),
        None => Ok(()),
    }
}

/// Why the package is too old, or its age cannot be told.
fn age(package: &Package, allowed: u64) -> Option<String> {
    if allowed == 0 {
        return None;
    }
    let built = package
        .metadata()
        .build
        .timestamp
        .as_deref()
        .and_then(seconds);
    let Some(built) = built else {
        return Some("the package's age is limited, and no build time is signed".into());
    };
    match store::now().checked_sub(built) {
        None => Some("the package's age is limited, and the clock is before its build time".into()),
        Some(age) if age > allowed.saturating_mul(DAY) => {
            let days = age.div_ceil(DAY);
            Some(format!(
                "the package is {days} days old, the limit is {allowed}"
            ))
        }
        Some(_) => None,
    }
}

/// Unix seconds of a time in RFC 3339, in UTC as builders write it; a fraction counts for nothing.
fn seconds(text: &str) -> Option<u64> {
    let (time, zone) = text.split_at_checked(19)?;
    let zone = match zone.strip_prefix('.') {
        Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => zone,
    };
    let is_utc = matches!(zone, "Z" | "+00:00");
    is_utc.then(|| psp_format::instant::from_text(&format!("{time}Z")).ok())?
}

/// The checks of a policy that fail, with the reason.
pub fn objections(
    package: &Package,
    policy: &HostPolicy,
    trust: &TrustStore,
) -> Vec<(Check, String)> {
    let metadata = package.metadata();
    let signer = package.signer().fingerprint();
    let mut out = Vec::new();
    let platforms = &policy.allow_platforms;
    if !platforms.is_empty() && !platforms.iter().any(|it| it == PLATFORM) {
        out.push((
            Check::Platform,
            format!("{PLATFORM} is not among its platforms"),
        ));
    }
    if policy.refuse_root && sys::effective_uid() == 0 {
        out.push((Check::Root, "nothing starts as root".to_owned()));
    }
    if let Some(reason) = age(package, policy.max_age_days) {
        out.push((Check::Age, reason));
    }
    if policy.require_trusted_key && !is_trusted(package, trust) {
        out.push((
            Check::TrustedKey,
            format!("the signer {signer} is not trusted"),
        ));
    }
    if !policy.required_signers.is_empty() && !policy.required_signers.contains(&signer) {
        let reason = format!("the signer {signer} is not one of those that are required");
        out.push((Check::Signer, reason));
    }
    if policy.require_sbom
        && !package
            .slots()
            .iter()
            .any(super::slot::Slot::is_attestation)
    {
        out.push((
            Check::Sbom,
            "the package does not say what is in it".to_owned(),
        ));
    }
    for (glob, minimum) in &policy.minimum_versions {
        if matches(glob.as_bytes(), metadata.name.as_bytes())
            && version::compare(&metadata.version, minimum).is_lt()
        {
            let version = escape(&metadata.version);
            let reason = format!("version {version} is below {minimum}, the lowest that starts");
            out.push((Check::MinimumVersion, reason));
        }
    }
    if policy.refuse_downgrade {
        // What was seen is remembered of strict packages: names of others can be any text.
        let reason = "nobody remembers which version of a base package was seen".to_owned();
        out.push((Check::Downgrade, reason));
    }
    out
}

fn is_trusted(package: &Package, trust: &TrustStore) -> bool {
    let known = trust.known(package.signer(), &package.metadata().name);
    known.trusted_as.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_three_builders() {
        for text in [
            "2025-01-01T00:00:00+00:00",
            "2025-01-01T00:00:00Z",
            "2025-01-01T00:00:00.739860392+00:00",
        ] {
            assert_eq!(seconds(text), Some(1_735_689_600), "{text}");
        }
        for text in [
            "",
            "2025-01-01",
            "2025-01-01T00:00:00+01:00",
            "2025-01-01T00:00:00",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
