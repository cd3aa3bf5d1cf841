//! `flavor trust`: whom this host trusts.

mod rotate;

use super::{Done, done};
use crate::cli::{TrustArgs, TrustVerb};
use crate::error::Error;
use crate::printer::Printer;

pub(super) fn trust(args: &TrustArgs, printer: &Printer) -> Result<Done, Error> {
    match &args.verb {
        TrustVerb::Rotate(args) => rotate::rotate(args, printer).map(done),
    }
}
