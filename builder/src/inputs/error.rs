//! What can go wrong with an input: one line of fact, and one line of help.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use psp_format::path::PathFault;
use thiserror::Error;

/// Why a source cannot be packed. `Display` is one line of fact; [`InputError::help`] is one line of remedy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InputError {
    /// The source of a slot is not there.
    #[error("{} does not exist", .path.display())]
    Missing {
        /// As resolved against the manifest's directory.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot read {}: {error}", .path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The source of a slot is a device or the like.
    #[error("{} is {what}, not a directory, an archive or a file", .path.display())]
    NotASource {
        /// The source.
        path: PathBuf,
        /// "a socket" and the like.
        what: &'static str,
    },
    /// A glob does not compile.
    #[error("glob `{glob}` is not valid: {reason}")]
    BadGlob {
        /// As written in the manifest.
        glob: String,
        /// The first thing wrong with it.
        reason: String,
    },
    /// An `include` glob selects nothing, which is nearly always a typing error.
    #[error("include glob `{glob}` matches nothing in {} that `exclude` leaves", .container.display())]
    NoMatch {
        /// As written in the manifest.
        glob: String,
        /// The directory or archive.
        container: PathBuf,
    },
    /// There is nothing to choose from in a single file.
    #[error("{} is a single file, but include or exclude globs are given for it", .path.display())]
    GlobsForFile {
        /// The source.
        path: PathBuf,
    },
    /// An entry of a directory or archive cannot be part of a slot.
    #[error("{} in {}: {fault}", shown(entry), .container.display())]
    Entry {
        /// The directory or archive.
        container: PathBuf,
        /// The entry's name in it.
        entry: Vec<u8>,
        /// What is wrong with it.
        fault: Fault,
    },
    /// More entries than a slot can hold.
    #[error("{} holds more than {limit} entries", .container.display())]
    TooMany {
        /// The directory or archive.
        container: PathBuf,
        /// The most that a slot can hold.
        limit: u64,
    },
    /// A file had another size when it was read than when it was listed.
    #[error("{} changed while it was packed: it had {expected} bytes, then {found}", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Bytes when it was listed.
        expected: u64,
        /// Bytes when it was read.
        found: u64,
    },
    /// A file was listed, but was gone, or no longer a file, when it was read.
    #[error("{} vanished while it was packed", .path.display())]
    Vanished {
        /// The file.
        path: PathBuf,
    },
    /// An archive ends before its end mark.
    #[error("archive {} is truncated", .archive.display())]
    Truncated {
        /// The archive.
        archive: PathBuf,
    },
    /// An archive or the compression around it is damaged.
    #[error("archive {} cannot be read: {reason}", .archive.display())]
    Corrupt {
        /// The archive.
        archive: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// An archive unpacks to more than its own size can explain.
    #[error("archive {} unpacks to more than {limit} bytes", .archive.display())]
    TooLarge {
        /// The archive.
        archive: PathBuf,
        /// The most that is unpacked of an archive of this size, in bytes.
        limit: u64,
    },
    /// The temporary file for unpacked archives cannot be written or read back.
    #[error("cannot use a temporary file in {}: {error}", .directory.display())]
    Spool {
        /// Where it lies.
        directory: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

/// What is wrong with an entry of a directory or archive.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// No slot path (M40 of the specification).
    #[error("its name is not possible: {0}")]
    Name(PathFault),
    /// Uses the separator of another system.
    #[error("its name holds a backslash, written by a tool that does not follow the zip format")]
    Backslash,
    /// A second entry of the same name.
    #[error("the archive has two entries of this name")]
    Duplicate,
    /// Its parent is a file or a link.
    #[error("it lies below {}, which is not a directory", shown(ancestor))]
    BelowFile {
        /// The entry that is not a directory.
        ancestor: Vec<u8>,
    },
    /// A device, socket, FIFO, or an archive entry of an unknown kind.
    #[error("it is {what}")]
    Special {
        /// With its article: "a socket".
        what: String,
    },
    /// A hard link to something that the archive does not hold before it.
    #[error(
        "it is a hard link to {}, which is no file before it in the archive",
        shown(target)
    )]
    HardLink {
        /// As written in the archive.
        target: Vec<u8>,
    },
    /// A symbolic link that leads out of the slot.
    #[error("it is a link to {}, which leaves the slot", shown(target))]
    LinkLeaves {
        /// As found.
        target: Vec<u8>,
    },
    /// A symbolic link whose target goes back through something that is not a plain directory of the slot.
    #[error(
        "it is a link to {}, which goes back with `..` through {}, no directory of the slot",
        shown(target),
        shown(through)
    )]
    LinkThrough {
        /// As found.
        target: Vec<u8>,
        /// What stands before the `..`.
        through: Vec<u8>,
    },
    /// A symbolic link to the slot's root from the root: there is no name for it that does not leave the slot.
    #[error("it is a link to {}, the slot's own root", shown(target))]
    LinkToRoot {
        /// As found.
        target: Vec<u8>,
    },
    /// A symbolic link whose target no slot can hold in any form.
    #[error("it is a link whose target is not possible: {0}")]
    LinkTarget(PathFault),
    /// The archive says one size and holds another.
    #[error("it has {declared} bytes by the archive's directory and {found} by its content")]
    SizeDiffers {
        /// As its header says.
        declared: u64,
        /// How many were seen before reading stopped, at most one more than declared.
        found: u64,
    },
    /// Needs a password.
    #[error("it is encrypted")]
    Encrypted,
    /// The decoder failed on this entry.
    #[error("it cannot be unpacked: {reason}")]
    Content {
        /// What the decoder said.
        reason: String,
    },
}

impl InputError {
    /// One line that says what to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "a slot's `source` is relative to the manifest's directory; build it before packing"
            }
            Self::Unreadable { .. } => {
                "make it readable for the user who packs, or name it in `exclude`"
            }
            Self::NotASource { .. } => "point `source` to a directory, an archive or a file",
            Self::BadGlob { .. } => {
                "globs know `*`, `?`, `[a-z]`, `{a,b}` and `**` for any number of directories"
            }
            Self::NoMatch { .. } => {
                "globs are matched against the whole path below the source: \
                 `*.py` is only at the top, `**/*.py` everywhere"
            }
            Self::GlobsForFile { .. } => {
                "remove `include` and `exclude`, or make the source a directory"
            }
            Self::Entry { fault, .. } => fault.help(),
            Self::TooMany { .. } => {
                "split the source over several slots, or name in `exclude` what is not needed"
            }
            Self::Changed { .. } | Self::Vanished { .. } => {
                "pack again when nothing writes to the source any more"
            }
            Self::Truncated { .. } => "fetch or make the archive again",
            Self::Corrupt { .. } => {
                "fetch or make the archive again; \
                 .tar (plain, .gz, .xz, .zst, .bz2) and .zip are read"
            }
            Self::TooLarge { .. } => {
                "if the archive is to be trusted, unpack it and give the directory as `source`"
            }
            Self::Spool { .. } => "set TMPDIR to a directory with room for the unpacked archive",
        }
    }

    /// The `InputError` that a reader of [`Content`](super::Content) gave as an [`io::Error`]; an error from elsewhere
    /// comes back as it is.
    pub fn from_io(error: io::Error) -> Result<InputError, io::Error> {
        error.downcast()
    }

    pub(super) fn entry(container: &Path, entry: &[u8], fault: Fault) -> Self {
        Self::Entry {
            container: container.into(),
            entry: entry.into(),
            fault,
        }
    }
}

impl Fault {
    fn help(&self) -> &'static str {
        match self {
            Self::Name(
                PathFault::TooLong(_) | PathFault::ComponentTooLong(_) | PathFault::TooDeep(_),
            ) => "shorten the path, or name it in `exclude`",
            Self::Name(_) | Self::Backslash => {
                "make the archive anew from inside its directory, \
                 with a tool that writes plain relative names"
            }
            Self::Duplicate | Self::BelowFile { .. } => {
                "make the archive anew; one that was appended to can hold a name twice"
            }
            Self::Special { .. } => {
                "name it in `exclude`: slots hold regular files, directories and links"
            }
            Self::HardLink { .. } => {
                "make the archive anew with the link's target in it, or with copies"
            }
            Self::LinkLeaves { .. } | Self::LinkThrough { .. } | Self::LinkToRoot { .. } => {
                "put a copy in place of the link, make it relative to a file of the slot, \
                 or name it in `exclude`"
            }
            Self::LinkTarget(_) => "remove the link, or name it in `exclude`",
            Self::SizeDiffers { .. } | Self::Content { .. } => "fetch or make the archive again",
            Self::Encrypted => "unpack the archive and give the directory as `source`",
        }
    }
}

/// A name as text for a message: in backquotes, with control characters and bytes that are not UTF-8 escaped.
pub fn shown(name: &[u8]) -> String {
    let mut text = String::from("`");
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                // A backslash before these would only mislead: they are harmless here.
                '\'' | '"' => text.push(c),
                _ => text.extend(c.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text.push('`');
    text
}
