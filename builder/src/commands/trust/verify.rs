//! `flavor trust verify`: whether the signer of a package is trusted here, and which file says so.
//!
//! The signature is checked before anybody is named: what a file says of its own signer means nothing.

use serde::Serialize;

use crate::cli::TrustVerifyArgs;
use crate::commands::{Answer, Done, host_rules};
use crate::error::Error;
use crate::examine;
use crate::keyring::TrustStore;
use crate::package_file::{PackageFile, shown};
use crate::printer::{BAD, GOOD, Printer, Report, escape};

#[derive(Debug, Serialize)]
struct Verdict {
    trusted: bool,
    signer: Signer,
    /// The file of the key.
    file: Option<String>,
    /// Why not.
    reason: Option<String>,
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Serialize)]
struct Signer {
    fingerprint: String,
    name: Option<String>,
    continues: Option<String>,
}

pub(super) fn verify(args: &TrustVerifyArgs, printer: &Printer) -> Result<Done, Error> {
    let trust = TrustStore::load(&[], &host_rules()?, printer)?;
    let file = PackageFile::open(&args.package)?;
    let package = examine::open(&file)?.map_err(|refusal| Error::Refused {
        path: args.package.clone(),
        refusal,
    })?;
    let known = trust.of(&package);
    let verdict = Verdict {
        trusted: known.is_trusted(),
        text: known.text(),
        signer: Signer {
            fingerprint: known.signer.to_string(),
            name: known.name,
            continues: known.continues.map(|old| old.to_string()),
        },
        file: known.file.map(|path| shown(&path)),
        reason: known.distrust,
    };
    let answer = match verdict.trusted {
        true => Answer::Yes,
        false => Answer::No,
    };
    Ok(Done {
        report: Box::new(verdict),
        answer,
    })
}

impl Report for Verdict {
    fn text(&self) -> String {
        let file = self.file.as_ref();
        let file = file.map(|file| format!("file     {file}\n"));
        self.quiet() + &file.unwrap_or_default()
    }

    fn quiet(&self) -> String {
        match &self.reason {
            None => format!("{GOOD}trusted{GOOD:#}: {}\n", self.text),
            Some(reason) => format!(
                "{BAD}not trusted{BAD:#}: {}: {}\n",
                self.text,
                escape(reason)
            ),
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
