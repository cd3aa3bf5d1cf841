//! The one home of exit codes, and the outermost layer of the command: arguments in, output and code out.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use psp_launcher::policy::judge::HostRefusal;

use crate::base::run::RunFault;
use crate::cli::Cli;
use crate::commands::{self, Answer, Done};
use crate::error::{CacheError, Error};
use crate::inputs::InputError;
use crate::interrupt;
use crate::keyring::KeyError;
use crate::manifest::{ManifestError, Problem};
use crate::pack::PackError;
use crate::printer::Printer;
use crate::signer::SignerError;
use crate::usage;

/// What the command leaves with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Done, and the answer is yes where there was a question.
    Done,
    /// The answer is no.
    No,
    /// Wrong usage or manifest.
    Usage,
    /// The environment failed.
    Environment,
    /// `run`: the start was refused or failed.
    Refused,
    /// `run`: the command cannot be executed.
    NotExecutable,
    /// `run`: the command's program is not there.
    NoCommand,
}

/// Every code with its meaning, in order; the reference is made of this.
pub const TABLE: [(Code, &str); 7] = [
    (Code::Done, "done; the answer is yes"),
    (
        Code::No,
        "the answer is no: not valid, not trusted, revoked, refused by a policy, not signed, signed already, differs from another package, without the SBOM that is asked for; a patch that is damaged, not a patch, or for another file; in the cache: not there, in use, differs; `doctor`: packages do not start here",
    ),
    (
        Code::Usage,
        "wrong usage: arguments, the manifest, a key that cannot be used, output that is there already",
    ),
    (
        Code::Environment,
        "the environment failed: a file that cannot be read or written, a full disk, a program that should sign and does not",
    ),
    (
        Code::Refused,
        "`run` only: the start was refused or failed before the application began",
    ),
    (
        Code::NotExecutable,
        "`run` only: the command cannot be executed",
    ),
    (
        Code::NoCommand,
        "`run` only: the command's program is not there",
    ),
];

impl Code {
    /// The number.
    pub fn number(self) -> u8 {
        match self {
            Code::Done => 0,
            Code::No => 1,
            Code::Usage => 2,
            Code::Environment => 3,
            Code::Refused => 125,
            Code::NotExecutable => 126,
            Code::NoCommand => 127,
        }
    }
}

/// Runs the command.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let code = match Cli::try_parse_from(&args) {
        Ok(cli) => run(cli),
        Err(error) => not_parsed(&error, &args),
    };
    interrupt::settle();
    ExitCode::from(code.number())
}

fn run(cli: Cli) -> Code {
    let printer = Printer::new(cli.wishes());
    match commands::execute(cli.verb, &printer) {
        Ok(Done { report, answer }) => {
            let code = match answer {
                Answer::Yes => Code::Done,
                Answer::No => Code::No,
            };
            printed(printer.report(report.as_ref()), code, &printer)
        }
        Err(error) => {
            // An error that a signal is the reason of is none to tell.
            interrupt::settle();
            let code = of(&error);
            printer.failure(&error.to_string(), error.help().as_deref(), code.number());
            code
        }
    }
}

/// A reader who has seen enough and closed the pipe is no failure; any other fault of standard output is one.
fn printed(result: io::Result<()>, code: Code, printer: &Printer) -> Code {
    match result {
        Ok(()) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code,
        Err(error) => {
            let error = Error::Stdout(error);
            printer.failure(
                &error.to_string(),
                error.help().as_deref(),
                of(&error).number(),
            );
            of(&error)
        }
    }
}

/// Help, the version, or wrong usage.
fn not_parsed(error: &clap::Error, args: &[OsString]) -> Code {
    // What follows `--` belongs to the application.
    let json = args
        .iter()
        .take_while(|arg| *arg != "--")
        .any(|arg| arg == "--json");
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let printer = Printer::plain(false);
            printed(
                printer.out(&error.render().to_string()),
                Code::Done,
                &printer,
            )
        }
        _ => {
            let usage = usage::explain(error, args);
            let code = Code::Usage;
            Printer::plain(json).failure(&usage.fact, Some(&usage.help), code.number());
            code
        }
    }
}

/// The code for an error.
pub fn of(error: &Error) -> Code {
    match error {
        Error::Refused { .. }
        | Error::Patch { .. }
        | Error::NotTrusted { .. }
        | Error::TooFewTrusted { .. }
        | Error::NotAdded { .. }
        | Error::AlreadySigned { .. }
        | Error::NoDocument { .. }
        | Error::RevokedKey { .. } => Code::No,
        Error::Host(HostRefusal::Config(_)) => Code::Environment,
        Error::Host(_) => Code::No,
        Error::NoSigningKey
        | Error::TargetTwice { .. }
        | Error::ForSeveralTargets { .. }
        | Error::SourceDate { .. }
        | Error::NoSlot { .. }
        | Error::Exists { .. }
        | Error::NoProject { .. }
        | Error::NoCommands { .. }
        | Error::NoSuccession { .. }
        | Error::BadKeyName { .. }
        | Error::TrustedAlready { .. }
        | Error::WhichKey { .. }
        | Error::KeyValue { .. } => Code::Usage,
        Error::Key(error) => of_key(error),
        Error::Signer(error) => of_signer(error),
        Error::Manifest(error) => of_manifest(error),
        Error::Pack(error) => of_pack(error),
        Error::Recipe(error) if error.is_of_environment() => Code::Environment,
        Error::Recipe(_) => Code::Usage,
        Error::File(_)
        | Error::Extract(_)
        | Error::Write { .. }
        | Error::Stdout(_)
        | Error::Random(_)
        | Error::NoConfigDir => Code::Environment,
        Error::Start(error) => match error.exit_code() {
            126 => Code::NotExecutable,
            127 => Code::NoCommand,
            _ => Code::Refused,
        },
        Error::Run(RunFault::Missing { .. }) => Code::NoCommand,
        Error::Run(_) => Code::Refused,
        Error::Cache(error) => of_cache(error),
        // Whatever the reason: the application has not begun, and 0 to 124 are its own codes.
        Error::NotStarted(error) => match of(error) {
            code @ (Code::NotExecutable | Code::NoCommand) => code,
            _ => Code::Refused,
        },
    }
}

fn of_key(error: &KeyError) -> Code {
    match error {
        KeyError::Read { .. } => Code::Environment,
        KeyError::NotRegular { .. }
        | KeyError::TooLarge { .. }
        | KeyError::NoVariable { .. }
        | KeyError::Pem { .. }
        | KeyError::Encryption { .. }
        | KeyError::NoPassphrase { .. }
        | KeyError::WrongPassphrase { .. }
        | KeyError::NoNewPassphrase
        | KeyError::PassphrasesDiffer
        | KeyError::Limits { .. } => Code::Usage,
    }
}

fn of_signer(error: &SignerError) -> Code {
    match error {
        SignerError::Key(error) => of_key(error),
        SignerError::Words(_)
        | SignerError::NoPublicKey { .. }
        | SignerError::OtherHalf { .. }
        | SignerError::NotBy { .. } => Code::Usage,
        SignerError::NotStarted { .. }
        | SignerError::Failed { .. }
        | SignerError::TooLong { .. }
        | SignerError::NoSignature { .. } => Code::Environment,
    }
}

fn of_cache(error: &CacheError) -> Code {
    match error {
        CacheError::Unknown { .. } | CacheError::Ambiguous { .. } | CacheError::Plan(_) => {
            Code::Usage
        }
        CacheError::Absent { .. }
        | CacheError::NotUnpacked { .. }
        | CacheError::InUse { .. }
        | CacheError::Starting => Code::No,
        CacheError::NoPlace(_)
        | CacheError::Unusable { .. }
        | CacheError::NoProcesses
        | CacheError::Store(_)
        | CacheError::Frames(_)
        | CacheError::Start(_) => Code::Environment,
    }
}

fn of_manifest(error: &ManifestError) -> Code {
    match *error.problem {
        Problem::Unreadable { .. } => Code::Environment,
        _ => Code::Usage,
    }
}

fn of_pack(error: &PackError) -> Code {
    match error {
        PackError::Manifest(error) => of_manifest(error),
        PackError::Input { error, .. } | PackError::Content(error) => match error {
            InputError::Unreadable { .. }
            | InputError::Changed { .. }
            | InputError::Vanished { .. }
            | InputError::Spool { .. } => Code::Environment,
            _ => Code::Usage,
        },
        PackError::Signer(error) => of_signer(error),
        PackError::Target { error, .. } => of_pack(error),
        PackError::Write { .. } | PackError::Compress(_) | PackError::Internal(_) => {
            Code::Environment
        }
        _ => Code::Usage,
    }
}
