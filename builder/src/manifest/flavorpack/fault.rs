//! What flavorpack's manifests can say and a package cannot hold.

use thiserror::Error;

/// Why a value of a flavorpack manifest cannot be packed. `Display` goes on behind the path of its key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// A backslash where its two launchers read different things.
    #[error("has a backslash, which flavorpack's launchers read in different ways")]
    Backslash,
    /// A quotation mark without its second.
    #[error("has a quotation mark that is not closed")]
    OpenQuote,
    /// No word in it.
    #[error("names no program")]
    NoProgram,
    /// A program that is neither a name nor an absolute path.
    #[error("starts `{program}`, a path that depends on where the person is")]
    RelativeProgram {
        /// The first word.
        program: String,
    },
    /// A name that `env` would take for something else.
    #[error("starts `{program}`, which is not the name of a program")]
    ProgramName {
        /// The first word.
        program: String,
    },
    /// `{slot:N}` without such a slot.
    #[error("names `{placeholder}`, but there are {count} slots, counted from 0")]
    NoSuchSlot {
        /// As written.
        placeholder: String,
        /// How many slots there are.
        count: usize,
    },
    /// A slot that is the package itself.
    #[error("is `$SELF`: a package cannot hold itself")]
    SelfSource,
    /// A path that is not in the work environment.
    #[error("is `{path}`, which is not in the work environment")]
    Outside {
        /// As written.
        path: String,
    },
    /// Two places for the same thing.
    #[error("is there twice, as `{first}` too")]
    Twice {
        /// The other key.
        first: &'static str,
    },
    /// A setup command of no kind.
    #[error("is `{found}`, which is no kind of setup command")]
    SetupKind {
        /// As written.
        found: String,
    },
    /// Two setup commands write one file, before anything that could need the first.
    #[error("writes `{path}`, which is there already")]
    WrittenTwice {
        /// Below the work environment.
        path: String,
    },
}

impl Fault {
    /// One line that says what to do about it.
    pub(in crate::manifest) fn help(&self) -> &'static str {
        match self {
            Fault::Backslash => "put the word in single quotation marks",
            Fault::OpenQuote => "close it, or put it between quotation marks of the other kind",
            Fault::NoProgram => "write the program first, such as \"{workenv}/bin/app\"",
            Fault::RelativeProgram { .. } => {
                "write it from the work environment, such as \"{workenv}/bin/app\", or from the root"
            }
            Fault::ProgramName { .. } => {
                "write the path of the program, such as \"{workenv}/bin/app\""
            }
            Fault::NoSuchSlot { .. } => {
                "count the slots from 0, or write `{workenv}/` and the target"
            }
            Fault::SelfSource => {
                "remove the slot, which flavorpack's launchers refuse too; an application finds the path of its package \
                 in FLAVOR_ORIGINAL_COMMAND"
            }
            Fault::Outside { .. } => {
                "write a path that begins with `{workenv}/` and has no `..`: a package writes nowhere else"
            }
            Fault::Twice { .. } => "keep one of them",
            Fault::SetupKind { .. } => {
                "the kinds are execute, write_file, chmod and enumerate_and_execute"
            }
            Fault::WrittenTwice { .. } => "remove the first of them",
        }
    }
}
