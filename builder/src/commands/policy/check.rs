//! `flavor policy check`: whether a package would start here, and why not. Nothing is run, unpacked or remembered.

use std::fmt::Display;
use std::os::unix::ffi::OsStrExt as _;

use psp_format::VerifiedPackage;
use psp_format::digest::Digest;
use psp_launcher::policy::host::{Check, HostPolicy, Level};
use psp_launcher::policy::judge::{HostFacts, Rules};
use psp_launcher::policy::{self, Facts};
use psp_launcher::store;
use psp_launcher::sys;
use serde::Serialize;

use super::{Answer, Done, host_rules};
use crate::base;
use crate::cli::PolicyCheckArgs;
use crate::error::Error;
use crate::examine::{self, Refusal};
use crate::keyring::TrustStore;
use crate::package_file::{PackageFile, shown};
use crate::printer::{BAD, GOOD, Printer, Report, WARN, escape};

#[derive(Debug, Serialize)]
struct Verdict {
    starts: bool,
    checks: Vec<Line>,
}

/// One check; of a policy, one for each file that asks for it.
#[derive(Debug, Serialize)]
struct Line {
    check: &'static str,
    /// `ok`, `denied`, `warning`, `allowed`, or `not asked`.
    outcome: &'static str,
    /// The policy that decided.
    policy: Option<String>,
    detail: Option<String>,
}

pub(super) fn check(args: &PolicyCheckArgs, printer: &Printer) -> Result<Done, Error> {
    let rules = host_rules()?;
    let file = PackageFile::open(&args.package)?;
    let refused = |refusal| Error::Refused {
        path: args.package.clone(),
        refusal,
    };
    let (own, revoked, found) = match examine::open(&file)? {
        Ok(package) => (
            own_policy(&package),
            rules.revoked_signer(&package),
            objections(&rules, &package),
        ),
        Err(Refusal::OtherBuilder) => {
            let package = base::open(&file)?.map_err(refused)?;
            let signer = package.signer().fingerprint();
            (
                own_policy_of_base(&package),
                rules.revoked.contains(&signer).then_some(signer),
                objections_to_base(&rules, &package, printer)?,
            )
        }
        Err(refusal) => return Err(refused(refusal)),
    };
    let mut checks = vec![own, revocation(&rules, revoked)];
    checks.extend(host_policy(&rules, &found));
    let starts = checks.iter().all(|line| line.outcome != "denied");
    Ok(Done {
        report: Box::new(Verdict { starts, checks }),
        answer: if starts { Answer::Yes } else { Answer::No },
    })
}

/// What the package asks of its host.
fn own_policy(package: &VerifiedPackage) -> Line {
    let facts = Facts {
        uid: sys::effective_uid(),
        now: store::now,
        has_var: &|name| std::env::vars_os().any(|(other, _)| other.as_bytes() == name),
    };
    let metadata = package.metadata();
    own(
        metadata.policy.is_some(),
        policy::check(metadata, &facts).err(),
    )
}

/// The same of a base package.
fn own_policy_of_base(package: &base::Package) -> Line {
    let asks = package.metadata().policy.is_some();
    own(asks, base::policy::own(package).err())
}

fn own(asks: bool, refusal: Option<impl Display>) -> Line {
    Line {
        check: "package's own policy",
        outcome: match (asks, &refusal) {
            (false, _) => "not asked",
            (true, None) => "ok",
            (true, Some(_)) => "denied",
        },
        policy: None,
        detail: refusal.map(|refusal| refusal.to_string()),
    }
}

fn revocation(rules: &Rules, revoked: Option<Digest>) -> Line {
    Line {
        check: "revoked_key",
        outcome: match (rules.revoked.is_empty(), &revoked) {
            (_, Some(_)) => "denied",
            (true, None) => "not asked",
            (false, None) => "ok",
        },
        policy: None,
        detail: revoked
            .map(|signer| format!("the key of its signer {signer} is revoked on this host")),
    }
}

/// A check that fails, what comes of it, the policy that asks, and why.
type Objection = (Check, &'static str, String, String);

fn outcome(level: Level) -> &'static str {
    match level {
        Level::Deny => "denied",
        Level::Warn => "warning",
        Level::Allow => "allowed",
    }
}

fn objections(rules: &Rules, package: &VerifiedPackage) -> Vec<Objection> {
    let facts = HostFacts {
        uid: sys::effective_uid(),
        now: store::now,
        remember: false,
    };
    let mut found = Vec::new();
    rules.judge(package, &facts, &mut |path, check, level, reason| {
        found.push((check, outcome(level), shown(path), reason.to_string()));
    });
    found
}

fn objections_to_base(
    rules: &Rules,
    package: &base::Package,
    printer: &Printer,
) -> Result<Vec<Objection>, Error> {
    let trust = TrustStore::load(&[], rules, printer)?;
    let mut found = Vec::new();
    for (path, policy) in &rules.policies {
        for (check, reason) in base::policy::objections(package, policy, &trust) {
            let level = rules.level(policy, check);
            found.push((check, outcome(level), shown(path), reason));
        }
    }
    Ok(found)
}

fn host_policy(rules: &Rules, found: &[Objection]) -> Vec<Line> {
    let mut out = Vec::new();
    for (name, check) in Check::ALL {
        let mut failed = false;
        for (_, outcome, path, detail) in found.iter().filter(|(other, ..)| *other == check) {
            failed = true;
            out.push(Line {
                check: name,
                outcome,
                policy: Some(path.clone()),
                detail: Some(detail.clone()),
            });
        }
        let asking = rules
            .policies
            .iter()
            .find(|(_, policy)| asks(policy, check));
        match asking {
            _ if failed || matches!(check, Check::Variable | Check::Keychain) => {}
            Some((path, _)) => out.push(Line {
                check: name,
                outcome: "ok",
                policy: Some(shown(path)),
                detail: None,
            }),
            None => out.push(Line {
                check: name,
                outcome: "not asked",
                policy: None,
                detail: None,
            }),
        }
    }
    out
}

/// Whether a policy asks for this check at all.
fn asks(policy: &HostPolicy, check: Check) -> bool {
    match check {
        Check::Platform => !policy.allow_platforms.is_empty(),
        Check::Root => policy.refuse_root,
        Check::Age => policy.max_age_days != 0,
        Check::TrustedKey => policy.require_trusted_key,
        Check::Signer => !policy.required_signers.is_empty(),
        Check::Sbom => policy.require_sbom,
        Check::MinimumVersion => !policy.minimum_versions.is_empty(),
        Check::Downgrade | Check::SameVersion => policy.refuse_downgrade,
        Check::Variable | Check::Keychain => false,
    }
}

impl Report for Verdict {
    fn text(&self) -> String {
        let width = self.checks.iter().map(|line| line.check.len()).max();
        let width = width.unwrap_or(0);
        let mut out = String::new();
        for line in &self.checks {
            let style = match line.outcome {
                "ok" => GOOD,
                "denied" => BAD,
                _ => WARN,
            };
            let parts = line.policy.iter().cloned();
            let parts = parts.chain(line.detail.iter().map(|text| escape(text)));
            let rest = parts.collect::<Vec<_>>().join(": ");
            let rest = match rest.as_str() {
                "" => rest,
                rest => format!("  {rest}"),
            };
            let padded = if rest.is_empty() { 0 } else { 9 };
            out.push_str(&format!(
                "{:<width$}  {style}{:<padded$}{style:#}{rest}\n",
                line.check, line.outcome
            ));
        }
        out + &self.quiet()
    }

    fn quiet(&self) -> String {
        match self.starts {
            true => format!("{GOOD}it starts here{GOOD:#}\n"),
            false => format!("{BAD}it does not start here{BAD:#}\n"),
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
