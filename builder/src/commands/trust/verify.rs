//! `flavor trust verify`: whether the signer of a package is trusted here, and which file says so.
//!
//! The signature is checked before anybody is named: what a file says of its own signer means nothing.

use serde::Serialize;

use crate::base;
use crate::cli::TrustVerifyArgs;
use crate::commands::signers::{self, Signer};
use crate::commands::{Answer, Done, host_rules};
use crate::error::Error;
use crate::examine::{self, Refusal};
use crate::keyring::TrustStore;
use crate::package_file::{PackageFile, shown};
use crate::printer::{BAD, GOOD, Printer, Report};

#[derive(Debug, Serialize)]
struct Verdict {
    trusted: bool,
    signers: Vec<Signer>,
    /// The files that say who is trusted.
    files: Vec<String>,
}

pub(super) fn verify(args: &TrustVerifyArgs, printer: &Printer) -> Result<Done, Error> {
    let trust = TrustStore::load(&[], &host_rules()?, printer)?;
    let file = PackageFile::open(&args.package)?;
    let refused = |refusal| Error::Refused {
        path: args.package.clone(),
        refusal,
    };
    let signers = match examine::open(&file)? {
        Ok(package) => signers::of(&package, &trust),
        Err(Refusal::OtherBuilder) => {
            signers::of_base(&base::open(&file)?.map_err(refused)?, &trust)
        }
        Err(refusal) => return Err(refused(refusal)),
    };
    let trusted = signers::count_trusted(&signers) > 0;
    let files = signers.iter().filter_map(|signer| signer.file.as_deref());
    let files = files.map(shown).collect();
    Ok(Done {
        report: Box::new(Verdict {
            trusted,
            signers,
            files,
        }),
        answer: if trusted { Answer::Yes } else { Answer::No },
    })
}

impl Report for Verdict {
    fn text(&self) -> String {
        let files = self.files.iter();
        let files: String = files.map(|file| format!("file  {file}\n")).collect();
        self.quiet() + &files
    }

    fn quiet(&self) -> String {
        let signers = signers::texts(&self.signers);
        match self.trusted {
            true => format!("{GOOD}trusted{GOOD:#}: {signers}\n"),
            false => format!("{BAD}not trusted{BAD:#}: {signers}\n"),
        }
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
