//! `flavor verify`: every check there is, and who signed.

use psp_format::range::widen;
use serde::Serialize;

use super::{Answer, Done, trust_store};
use crate::cli::VerifyArgs;
use crate::error::Error;
use crate::examine::{Check, Examination, Status, examine};
use crate::keyring::{TrustStore, signer_text};
use crate::package_file::PackageFile;
use crate::printer::{BAD, GOOD, HELP, Printer, Report, WARN, count};

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
    sentence: String,
    #[serde(skip)]
    help: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Signer {
    fingerprint: String,
    name: Option<String>,
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
    let signer = package.as_ref().map(|package| {
        let known = trust.find(package.signer());
        Signer {
            fingerprint: package.signer().fingerprint().to_string(),
            name: known.and_then(|known| known.name.clone()),
        }
    });
    let known = package.is_some_and(|package| trust.find(package.signer()).is_some());
    let (sentence, trusted) = match (&refusal, &signer) {
        (None, Some(signer)) if known => (format!("valid, signed by {}", signer.text()), true),
        (None, Some(signer)) => {
            let fingerprint = &signer.fingerprint;
            let sentence = format!("valid, but its signer {fingerprint} is not trusted here");
            (sentence, false)
        }
        (Some(refusal), _) => (format!("NOT VALID: {refusal}"), false),
        (None, None) => ("NOT VALID: not examined".to_owned(), false),
    };
    let valid = refusal.is_none() && signer.is_some();
    checks.push(trust_check(valid, known, trust, signer.as_ref()));
    Verdict {
        valid,
        trusted: valid.then_some(trusted),
        level: valid.then_some("strict"),
        signer,
        checks,
        sentence,
        help: refusal.and_then(|refusal| refusal.help()),
    }
}

fn trust_check(valid: bool, known: bool, trust: &TrustStore, signer: Option<&Signer>) -> Check {
    let (status, detail) = match (valid, known) {
        (false, _) => (Status::Skipped, "the package is not valid".to_owned()),
        (true, true) => (Status::Ok, signer.map(Signer::text).unwrap_or_default()),
        (true, false) if trust.is_empty() => {
            let detail = "no key is trusted here; name one with --trusted-key".to_owned();
            (Status::Skipped, detail)
        }
        (true, false) => {
            let keys = count(widen(trust.len()), "key is", "keys are");
            (
                Status::Failed,
                format!("{keys} trusted here, and none is the signer's"),
            )
        }
    };
    Check::new("trust", status, detail)
}

impl Signer {
    fn text(&self) -> String {
        signer_text(self.name.as_deref(), &self.fingerprint)
    }
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
