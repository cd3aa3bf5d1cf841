//! Wrong usage in the words of this program: one line of fact, one of help, as for every other error.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::Cli;

/// What is wrong with a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The fact.
    pub fact: String,
    /// The remedy.
    pub help: String,
}

/// Explains an error that the parser found in `args`. Requests for help and the version are not given to this.
pub fn explain(error: &clap::Error, args: &[OsString]) -> Usage {
    let context = |kind| error.get(kind).map(text);
    let argument = || context(ContextKind::InvalidArg).unwrap_or_default();
    let fact = match error.kind() {
        ErrorKind::UnknownArgument => format!("unexpected argument {}", argument()),
        ErrorKind::InvalidSubcommand => {
            let verb = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("no such verb: {verb}")
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "no verb is given".to_owned()
        }
        ErrorKind::MissingRequiredArgument => format!("missing: {}", argument()),
        ErrorKind::ArgumentConflict => {
            let other = context(ContextKind::PriorArg).unwrap_or_default();
            if other == argument() || other.is_empty() {
                format!("{} is given more than once", argument())
            } else {
                format!("{} and {other} cannot be given together", argument())
            }
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => invalid_value(error, &argument()),
        ErrorKind::NoEquals
        | ErrorKind::TooManyValues
        | ErrorKind::TooFewValues
        | ErrorKind::WrongNumberOfValues => {
            format!("{} does not take this number of values", argument())
        }
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8".to_owned(),
        kind => format!("the arguments cannot be read: {kind}"),
    };
    let help = suggestion(error).unwrap_or_else(|| match verb_of(args) {
        Some(verb) => format!("`flavor {verb} --help` shows an example and every argument"),
        None => "`flavor --help` lists the verbs".to_owned(),
    });
    Usage { fact, help }
}

fn invalid_value(error: &clap::Error, argument: &str) -> String {
    let value = error
        .get(ContextKind::InvalidValue)
        .map(text)
        .unwrap_or_default();
    let reason = std::error::Error::source(error).map(ToString::to_string);
    let allowed = error
        .get(ContextKind::ValidValue)
        .map(text)
        .filter(|text| !text.is_empty());
    match (value.as_str(), allowed, reason) {
        ("", Some(allowed), _) => format!("{argument} needs a value: {allowed}"),
        ("", None, _) => format!("{argument} needs a value"),
        (value, Some(allowed), _) => format!("{argument}: {value} is not one of {allowed}"),
        // Some reasons name the value, some do not.
        (value, None, Some(reason)) if reason.starts_with(value) => {
            format!("{argument}: {}", crate::printer::escape(&reason))
        }
        (value, None, Some(reason)) => {
            format!("{argument}: {value}: {}", crate::printer::escape(&reason))
        }
        (value, None, None) => format!("{argument}: {value} is not allowed"),
    }
}

/// The nearest name to one that is not known.
fn suggestion(error: &clap::Error) -> Option<String> {
    let kinds = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ];
    let name = kinds.into_iter().find_map(|kind| error.get(kind))?;
    Some(format!("did you mean {}?", text(name)))
}

/// The verb that was asked for, with the one below it.
fn verb_of(args: &[OsString]) -> Option<String> {
    let root = Cli::command();
    let (mut at, mut names) = (&root, Vec::new());
    for arg in args.iter().skip(1) {
        let Some(name) = arg.to_str().filter(|arg| !arg.starts_with('-')) else {
            continue;
        };
        if let Some(verb) = at.find_subcommand(name) {
            names.push(verb.get_name().to_owned());
            at = verb;
        }
    }
    (!names.is_empty()).then(|| names.join(" "))
}

fn text(value: &ContextValue) -> String {
    use crate::printer::escape;
    match value {
        ContextValue::String(text) => escape(text),
        ContextValue::Strings(texts) => texts
            .iter()
            .map(|text| escape(text))
            .collect::<Vec<_>>()
            .join(", "),
        ContextValue::StyledStr(text) => escape(&text.to_string()),
        ContextValue::StyledStrs(texts) => {
            let texts: Vec<String> = texts.iter().map(|text| escape(&text.to_string())).collect();
            texts.join(", ")
        }
        other => escape(&other.to_string()),
    }
}
