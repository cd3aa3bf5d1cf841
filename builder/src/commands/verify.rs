//! `flavor verify`: every check there is, and who signed.

use serde::Serialize;

use super::{Answer, Done, trust_store};
use crate::cli::VerifyArgs;
use crate::error::Error;
use crate::examine::{Check, Examination, Status, examine};
use crate::keyring::{Known, TrustStore};
use crate::package_file::PackageFile;
use crate::printer::{BAD, GOOD, HELP, Printer, Report, WARN, escape};

/// What `flavor verify` says; the fields are those of `--json`.
#[derive(Debug, Serialize)]
struct Verdict {
    valid: bool,
    /// `null` for a package that is not valid: nobody vouches for it.
    trusted: Option<bool>,
    level: Option<&'static str>,
    signer: Option<Signer>,
    checks: Vec<Check>,
    #[serde(skip)]
    is_revoked: bool,
    #[serde(skip)]
    sentence: String,
    #[serde(skip)]
    help: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Signer {
    fingerprint: String,
    name: Option<String>,
    /// The trusted key that this one continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    continues: Option<String>,
}

pub(super) fn verify(args: &VerifyArgs, printer: &Printer) -> Result<Done, Error> {
    let trust = trust_store(&args.trusting, printer)?;
    let file = PackageFile::open(&args.package)?;
    let examination = examine(&file, |total| printer.meter("checking", total))?;
    let verdict = judge(examination, &trust);
    let answer = match (
        verdict.valid,
        verdict.trusted,
        args.trusting.require_trusted,
    ) {
        // Whatever else is asked: what a revoked key has signed does not start here.
        _ if verdict.is_revoked => Answer::No,
        (true, Some(true), _) | (true, _, false) => Answer::Yes,
        _ => Answer::No,
    };
    Ok(Done {
        report: Box::new(verdict),
        answer,
    })
}

/// Adds the question of trust, which is asked about valid packages only.
fn judge(examination: Examination, trust: &TrustStore) -> Verdict {
    let Examination {
        mut checks,
        refusal,
        package,
    } = examination;
    let known = package.map(|package| trust.of(&package));
    let sentence = match (&refusal, &known) {
        (None, Some(known)) => sentence(known),
        (Some(refusal), _) => format!("NOT VALID: {refusal}"),
        (None, None) => "NOT VALID: not examined".to_owned(),
    };
    let valid = known.as_ref().filter(|_| refusal.is_none());
    checks.push(trust_check(valid, trust));
    Verdict {
        valid: valid.is_some(),
        trusted: valid.map(Known::is_trusted),
        is_revoked: known.as_ref().is_some_and(|known| known.is_revoked),
        level: valid.map(|_| "strict"),
        signer: known.map(|known| Signer {
            fingerprint: known.signer.to_string(),
            name: known.name,
            continues: known.continues.map(|old| old.to_string()),
        }),
        checks,
        sentence,
        help: refusal.and_then(|refusal| refusal.help()),
    }
}

fn sentence(known: &Known) -> String {
    let signer = &known.signer;
    match &known.distrust {
        None => format!("valid, signed by {}", known.text()),
        // Nobody knows the signer: the line before this one says how many keys there are.
        Some(_) if known.file.is_none() && !known.is_revoked => {
            format!("valid, but its signer {signer} is not trusted here")
        }
        Some(reason) => format!("valid, but its signer {signer} is not trusted here: {reason}"),
    }
}

fn trust_check(valid: Option<&Known>, trust: &TrustStore) -> Check {
    let (status, detail) = match valid.map(|known| (known, &known.distrust)) {
        None => (Status::Skipped, "the package is not valid".to_owned()),
        Some((known, None)) => (Status::Ok, known.text()),
        Some((known, Some(_))) if trust.is_empty() && !known.is_revoked => {
            let detail = "no key is trusted here; name one with --trusted-key".to_owned();
            (Status::Skipped, detail)
        }
        Some((_, Some(reason))) => (Status::Failed, escape(reason)),
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
