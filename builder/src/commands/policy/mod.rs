//! `flavor policy`: what this host lets start.

mod check;
mod init;
mod show;

use super::trust::Scope;
use super::{Answer, Done, done, host_rules};
use crate::cli::PolicyVerb;
use crate::error::Error;
use crate::printer::Printer;

pub(super) fn policy(verb: &PolicyVerb, printer: &Printer) -> Result<Done, Error> {
    match verb {
        PolicyVerb::Init(args) => init::init(args).map(done),
        PolicyVerb::Show(args) => show::show(args).map(done),
        PolicyVerb::Check(args) => check::check(args, printer),
    }
}
