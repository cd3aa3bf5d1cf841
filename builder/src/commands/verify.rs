//! `flavor verify`: every check there is, and who signed.

use std::path::Path;

use psp_format::range::widen;
use serde::Serialize;

use super::signers::{self, Signer};
use super::{Answer, Done, too_few, trust_store};
use crate::base;
use crate::cli::{Trusting, VerifyArgs};
use crate::error::Error;
use crate::examine::{Check, Refusal, Status, examine};
use crate::keyring::TrustStore;
use crate::package_file::PackageFile;
use crate::printer::{BAD, GOOD, HELP, Printer, Report, WARN, count, escape};

/// What `flavor verify` says; the fields are those of `--json`.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    valid: bool,
    /// `null` for a package that is not valid: nobody vouches for it.
    trusted: Option<bool>,
    /// `strict`, `base, bound`, or `base, unbound`, which is not valid.
    level: Option<&'static str>,
    /// The first of `signers`. Which one that is, says nothing.
    signer: Option<Signer>,
    signers: Vec<Signer>,
    /// How many trusted signers were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<u8>,
    checks: Vec<Check>,
    #[serde(skip)]
    sentence: String,
    #[serde(skip)]
    help: Option<&'static str>,
}

pub(super) fn verify(args: &VerifyArgs, printer: &Printer) -> Result<Done, Error> {
    let trust = trust_store(&args.trusting, printer)?;
    let file = PackageFile::open(&args.package)?;
    let found = Found::of(&file, &trust, printer)?;
    let needed = signers::needed(&args.trusting);
    let mut verdict = judge(found, &trust, needed);
    verdict.threshold = args.trusting.threshold;
    let is_revoked = verdict.signers.iter().any(|signer| signer.revoked);
    let answer = match (verdict.valid, verdict.trusted) {
        // Whatever is asked for: what a revoked key has signed does not start here.
        _ if is_revoked => Answer::No,
        (true, Some(true)) => Answer::Yes,
        (true, _) if needed == 0 => Answer::Yes,
        _ => Answer::No,
    };
    Ok(Done {
        report: Box::new(verdict),
        answer,
    })
}

/// The same for a verb that goes on with what is valid, signed by nobody whose key is revoked, and trusted where that is
/// asked for. Messages call the file by the name `path`.
pub(super) fn required(
    file: &PackageFile,
    path: &Path,
    trusting: &Trusting,
    trust: &TrustStore,
    printer: &Printer,
) -> Result<Verdict, Error> {
    let found = Found::of(file, trust, printer)?;
    if let Some(refusal) = found.refusal {
        let path = path.to_owned();
        return Err(Error::Refused { path, refusal });
    }
    let needed = signers::needed(trusting);
    let mut verdict = judge(found, trust, needed);
    verdict.threshold = trusting.threshold;
    let is_revoked = verdict.signers.iter().any(|signer| signer.revoked);
    let is_enough = signers::count_trusted(&verdict.signers) >= needed;
    match is_enough && !is_revoked {
        true => Ok(verdict),
        false => Err(too_few(path, &verdict.signers, needed.max(1))),
    }
}

/// What an examination of either kind of package has found.
struct Found {
    checks: Vec<Check>,
    refusal: Option<Refusal>,
    signers: Vec<Signer>,
    level: Option<&'static str>,
    /// What no signature binds.
    not_bound: Option<&'static str>,
}

impl Found {
    fn of(file: &PackageFile, trust: &TrustStore, printer: &Printer) -> Result<Found, Error> {
        let meter = |total| printer.meter("checking", total);
        let examination = examine(file, meter)?;
        if examination.refusal == Some(Refusal::OtherBuilder) {
            let base = base::examine::examine(file, meter)?;
            let package = base.package.as_ref();
            return Ok(Found {
                signers: package.map_or_else(Vec::new, |it| signers::of_base(it, trust)),
                checks: base.checks,
                refusal: base.refusal,
                level: base.level,
                not_bound: package.map(base::examine::not_bound),
            });
        }
        let package = examination.package.as_ref();
        Ok(Found {
            signers: package.map_or_else(Vec::new, |it| signers::of(it, trust)),
            level: examination.refusal.is_none().then_some("strict"),
            not_bound: None,
            checks: examination.checks,
            refusal: examination.refusal,
        })
    }
}

/// Adds the question of trust, which is asked about valid packages only.
fn judge(found: Found, trust: &TrustStore, needed: usize) -> Verdict {
    let Found {
        mut checks,
        refusal,
        mut signers,
        level,
        not_bound,
    } = found;
    let valid = refusal.is_none() && !signers.is_empty();
    if !valid {
        signers.iter_mut().for_each(Signer::distrust);
    }
    let is_enough = signers::count_trusted(&signers) >= needed.max(1);
    let sentence = match &refusal {
        Some(refusal) if level == Some(base::examine::UNBOUND) => {
            format!("NOT VALID, {}: {refusal}", base::examine::UNBOUND)
        }
        Some(refusal) => format!("NOT VALID: {refusal}"),
        None if valid => {
            let sentence = valid_sentence(&signers, needed);
            match not_bound {
                Some(what) => format!("{sentence}; {}: {what}", base::examine::BOUND),
                None => sentence,
            }
        }
        None => "NOT VALID: not examined".to_owned(),
    };
    checks.push(match valid {
        true => trust_check(&signers, needed, trust),
        false => Check::new("trust", Status::Skipped, "the package is not valid"),
    });
    Verdict {
        valid,
        trusted: valid.then_some(is_enough),
        level,
        signer: signers.first().cloned(),
        signers,
        threshold: None,
        checks,
        sentence,
        help: refusal.and_then(|refusal| refusal.help()),
    }
}

/// The last line about a valid package: every signer, and who is trusted.
fn valid_sentence(signers: &[Signer], needed: usize) -> String {
    let (known, unknown): (Vec<&Signer>, Vec<&Signer>) =
        signers.iter().partition(|signer| signer.trusted);
    let trusted = signers::count_trusted(signers);
    let (by, also) = (signers::texts(known), signers::texts(unknown));
    match (trusted, signers.len()) {
        _ if signers.iter().any(|signer| signer.revoked) => {
            let revoked = signers::texts(signers.iter().filter(|signer| signer.revoked));
            format!("valid, but nothing starts here that is signed by {revoked}")
        }
        (0, 1) => {
            let signer = signers.first();
            let who = signer.map(Signer::who).unwrap_or_default();
            let reason = signer.and_then(|signer| signer.reason.as_deref());
            let reason = reason.map(|reason| format!(": {}", escape(reason)));
            let reason = reason.unwrap_or_default();
            format!("valid, but its signer {who} is not trusted here{reason}")
        }
        (0, _) => format!("valid, but none of its signers is trusted here: {also}"),
        (trusted, _) if trusted < needed => {
            let keys = count(widen(trusted), "trusted key", "trusted keys");
            format!("valid, but signed by {keys}, and {needed} are asked for")
        }
        _ if also.is_empty() => format!("valid, signed by {by}"),
        _ => format!("valid, signed by {by}; also by {also}, not trusted here"),
    }
}

fn trust_check(signers: &[Signer], needed: usize, trust: &TrustStore) -> Check {
    let trusted = signers::count_trusted(signers);
    let by = signers::texts(signers.iter().filter(|signer| signer.trusted));
    let named = signers::texts(signers.iter().filter(|signer| signer.reason.is_some()));
    let (status, detail) = match (trusted, signers.len()) {
        // Not only unknown: the reason stands behind the signer.
        (0, _) if !named.is_empty() => (Status::Failed, named),
        (0, _) if trust.is_empty() => {
            let detail = "no key is trusted here; name one with --trusted-key".to_owned();
            (Status::Skipped, detail)
        }
        (0, all) => {
            let keys = count(widen(trust.len()), "key is", "keys are");
            let whose = if all == 1 {
                "the signer's"
            } else {
                "a signer's"
            };
            let detail = format!("{keys} trusted here, and none is {whose}");
            (Status::Failed, detail)
        }
        (_, 1) if needed <= 1 => (Status::Ok, by),
        (trusted, all) => {
            let status = if trusted < needed {
                Status::Failed
            } else {
                Status::Ok
            };
            let asked = match needed {
                0 => String::new(),
                needed => format!(", {needed} asked for"),
            };
            let all = count(widen(all), "signer", "signers");
            (status, format!("{trusted} of {all}{asked}: {by}"))
        }
    };
    Check::new("trust", status, detail)
}

impl Report for Verdict {
    fn text(&self) -> String {
        let mut out = lines(&self.checks);
        if let Some(help) = self.help {
            out.push_str(&format!("{HELP}help:{HELP:#} {help}\n"));
        }
        out.push_str(&self.quiet());
        out
    }

    fn quiet(&self) -> String {
        let style = match (self.valid, self.trusted) {
            (true, Some(true)) => GOOD,
            (true, _) => WARN,
            (false, _) => BAD,
        };
        format!("{style}{}{style:#}\n", self.sentence)
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

/// A line for each check, in columns.
fn lines(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max();
    let width = width.unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let (style, status) = match check.status {
            Status::Ok => (GOOD, "ok"),
            Status::Failed => (BAD, "FAILED"),
            Status::Skipped => (WARN, "not checked"),
        };
        let (name, detail) = (&check.name, &check.detail);
        if detail.is_empty() {
            out.push_str(&format!("{name:<width$}  {style}{status}{style:#}\n"));
        } else {
            out.push_str(&format!(
                "{name:<width$}  {style}{status:<11}{style:#}  {detail}\n"
            ));
        }
    }
    out
}
