//! A module for each verb: it does what the verb says and returns a report or an error. None of them prints its result
//! or leaves the process.

mod completions;
mod extract;
mod inspect;
mod keygen;
mod man;
mod pack;
mod run;
mod sign;
mod signers;
mod trust;
mod verify;

use std::path::PathBuf;

use crate::cli::{Trusting, Verb};
use crate::error::Error;
use crate::keyring::{TrustStore, trust_directories};
use crate::printer::{Printer, Report};

pub use man::pages as man_pages;

/// What a verb has done.
pub struct Done {
    /// What to tell.
    pub report: Box<dyn Report>,
    /// The answer, where the verb is a question.
    pub answer: Answer,
}

/// The answer to a question about a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is so, or nothing was asked.
    Yes,
    /// It is not so.
    No,
}

/// Does what the person asked for.
pub fn execute(verb: Verb, printer: &Printer) -> Result<Done, Error> {
    match verb {
        Verb::Pack(args) => pack::pack(&args, printer).map(done),
        Verb::Verify(args) => verify::verify(&args, printer),
        Verb::Inspect(args) => inspect::inspect(&args, printer),
        Verb::Extract(args) => extract::one(&args, printer).map(done),
        Verb::ExtractAll(args) => extract::all(&args, printer).map(done),
        Verb::Run(args) => run::run(&args, printer),
        Verb::Keygen(args) => keygen::keygen(&args).map(done),
        Verb::Sign(args) => sign::sign(&args, printer).map(done),
        Verb::Trust(args) => trust::trust(&args, printer),
        Verb::Completions(args) => Ok(done(completions::completions(&args))),
        Verb::Man(args) => man::man(&args).map(done),
    }
}

fn done(report: impl Report + 'static) -> Done {
    Done {
        report: Box::new(report),
        answer: Answer::Yes,
    }
}

/// The keys that are trusted here: those named on the command line, and the host's own.
fn trust_store(trusting: &Trusting, printer: &Printer) -> Result<TrustStore, Error> {
    Ok(TrustStore::load(
        &trusting.trusted_keys,
        &host_trust(printer),
        printer,
    )?)
}

fn host_trust(printer: &Printer) -> Vec<PathBuf> {
    use crate::env_vars::{FLAVOR_CONFIG_DIR, HOME, XDG_CONFIG_HOME};
    let [config, xdg, home] = [FLAVOR_CONFIG_DIR, XDG_CONFIG_HOME, HOME].map(std::env::var_os);
    trust_directories(config, xdg, home, printer)
}
