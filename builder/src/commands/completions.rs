//! `flavor completions`: a script for a shell.

use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionsArgs};
use crate::printer::Report;

pub(super) struct Script(String);

pub(super) fn completions(args: &CompletionsArgs) -> Script {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "flavor", &mut out);
    Script(String::from_utf8_lossy(&out).into_owned())
}

impl Report for Script {
    fn text(&self) -> String {
        self.0.clone()
    }

    fn quiet(&self) -> String {
        self.text()
    }
}
