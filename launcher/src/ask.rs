//! Asking a package about itself: `FLAVOR_LAUNCHER_CLI=1 ./app.psp VERB`, for a person who has only the file.
//!
//! These answers, and nothing else of the launcher, go to standard output. They are about a package whose signature and
//! metadata have been verified, on a host that its policy allows: whatever would not start says nothing but why.
//! Nobody but the person at the other end reads them, so names and texts of the package are escaped.

use crate::errno::Why;
use crate::report::{about, refused};
use core::fmt;
use psp_format::text::{self, Quoted, Shown};
use rustix::termios::isatty;
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use psp_format::metadata::{Metadata, Slot};
use psp_format::range::Range;
use psp_format::{VerifiedPackage, verify};
use rustix::fs::CWD;
use rustix::io::Errno;

use crate::env_vars::FLAVOR_LAUNCHER_CLI;
use crate::extract::{self, ExtractError, Options, digest, read_exact};
use crate::plan::{Choice, Snapshot};
use crate::source::PackageFile;
use crate::start::{self, StartError};
use crate::store::{names, remove_tree};
use crate::sys::{self, Sigpipe};
use crate::{at, contents};

const HELP: &str = "\
FLAVOR_LAUNCHER_CLI=1 PACKAGE VERB asks a package about itself instead of starting it:

  info              what it is, who signed it, and what is in it
  verify            whether every byte of the file is as it was signed
  metadata          the signed description, as JSON
  extract SLOT DIR  unpacks a slot, by its id or number, into a new or empty directory
  run [ARGS]        starts it, as without the variable
  version           its version
  help              this text
";

/// Those that may be used in a wrong way.
const VERBS: [&[u8]; 6] = [
    b"info",
    b"verify",
    b"metadata",
    b"extract",
    b"version",
    b"help",
];

/// The exit code for a file that is not whole.
const NOT_WHOLE: u8 = 1;
/// The exit code of an answer whose reader has gone away.
const UNREAD: u8 = 125;
/// Where the values of `info` and `verify` begin.
const COLUMN: usize = 13;

/// Why there is no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum AskError {
    /// No verb was named.
    NoVerb,
    /// There is no such verb.
    UnknownVerb(Vec<u8>),
    /// The verb takes other arguments.
    Arguments(Vec<u8>),
    /// The package has no such slot.
    NoSlot(Vec<u8>),
    /// Something is in the way.
    Exists(PathBuf),
    /// The directory cannot be made or read.
    Directory {
        /// Its path.
        path: PathBuf,
        /// The kernel's reason.
        reason: Errno,
    },
    /// The slot cannot be checked or extracted.
    Extract(ExtractError),
    /// Standard output does not take the answer.
    Output(Errno),
}

/// Whether the caller asks, instead of starting. Only `1` does.
pub(crate) fn is_asked(snapshot: &Snapshot<'_>) -> bool {
    snapshot.var(FLAVOR_LAUNCHER_CLI) == Some(b"1")
}

/// Answers, and returns the exit code.
///
/// # Errors
///
/// [`StartError::Ask`], and those of a start for `run` and for a policy that refuses this host.
pub(crate) fn answer(
    package: &VerifiedPackage,
    file: &PackageFile,
    mut snapshot: Snapshot<'_>,
) -> Result<u8, StartError> {
    start::check_policy(package, &snapshot)?;
    let Some((verb, rest)) = snapshot.args.split_first() else {
        return Err(StartError::Ask(AskError::NoVerb));
    };
    let verb = verb.to_bytes();
    if verb == b"run" {
        snapshot.args = rest.to_vec();
        match start::run(package, file, &snapshot, Choice::Caller)? {}
    }
    // Whoever has read enough closes the pipe, and that is no crash.
    sys::set_sigpipe(Sigpipe::Ignored);
    let ask = Ask { package, file };
    let answered = match (verb, rest) {
        (b"info", []) => write(ask.info().as_bytes()),
        (b"verify", []) => ask.verify(),
        (b"metadata", []) => ask.metadata(),
        (b"extract", [slot, directory]) => ask.extract(slot.to_bytes(), directory.to_bytes()),
        (b"version", []) => print(&[&package.metadata().package.version, "\n"]),
        (b"help", []) => print(&[HELP]),
        _ if VERBS.contains(&verb) => Err(AskError::Arguments(verb.to_owned())),
        _ => Err(AskError::UnknownVerb(verb.to_owned())),
    };
    match answered {
        Err(AskError::Output(Errno::PIPE)) => Ok(UNREAD),
        other => other.map_err(StartError::Ask),
    }
}

/// Writes texts one behind the other.
fn print(parts: &[&str]) -> Result<u8, AskError> {
    write(parts.concat().as_bytes())
}

fn write(bytes: &[u8]) -> Result<u8, AskError> {
    // Where the caller has closed the stream, its number is held by a handle that cannot be written.
    rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)
        .and_then(|output| at::write_all(&output, bytes))
        .map_err(AskError::Output)?;
    Ok(0)
}

struct Ask<'a> {
    package: &'a VerifiedPackage,
    file: &'a PackageFile,
}

impl Ask<'_> {
    fn info(&self) -> String {
        let metadata = self.package.metadata();
        let mut out = String::new();
        let package = &metadata.package;
        line(&mut out, "package", &[&package.name, " ", &package.version]);
        if let Some(text) = &package.description {
            line(&mut out, "about", &[&escape(text)]);
        }
        line(&mut out, "target", &[&metadata.launcher.target]);
        line(&mut out, "package id", &[&hex(&self.package.package_id())]);
        line(&mut out, "signer", &[&self.signer()]);
        line(
            &mut out,
            "checked",
            &[
                "signature, description and layout; not the launcher and not what is in the slots (`verify` does)",
            ],
        );
        commands(&mut out, metadata);
        out.push_str("\nslots\n");
        for (nth, slot) in metadata.slots.iter().enumerate() {
            let parts = [
                "  ",
                &nth.to_string(),
                "  ",
                &slot.id,
                "  in ",
                &escape(&slot.target),
                ", ",
                slot.lifecycle.name(),
                ", ",
                slot.operations.name(),
                ", ",
                &slot.size.to_string(),
                " bytes stored, ",
                &slot.original_size.to_string(),
                " of content\n",
            ];
            put(&mut out, &parts);
        }
        out
    }

    /// The exact text that was signed. JSON allows some characters raw that a terminal may obey; there, and only there,
    /// they are written as the escapes that mean the same.
    fn metadata(&self) -> Result<u8, AskError> {
        let text = self.package.text();
        if isatty(rustix::stdio::stdout())
            && let Ok(text) = core::str::from_utf8(text)
        {
            return print(&[&printable_json(text), "\n"]);
        }
        write(text)
    }

    /// Looks at every byte that is not looked at for a start that finds everything ready, a line for each part.
    fn verify(&self) -> Result<u8, AskError> {
        let layout = self.package.layout();
        let mut is_whole = true;
        let mut tell = |name: &str, found: Result<(), ExtractError>| {
            let mut out = String::new();
            match found {
                Ok(()) => line(&mut out, name, &["ok"]),
                // The digest of what is stored is compared before.
                Err(ExtractError::Unsupported { .. }) => {
                    line(
                        &mut out,
                        name,
                        &["ok as stored; not unpacked, as it is tar.gz"],
                    );
                }
                Err(ExtractError::Format(error)) => {
                    is_whole = false;
                    line(&mut out, name, &["NOT OK: ", &error.to_string()]);
                }
                Err(error) => return Err(AskError::Extract(error)),
            }
            write(out.as_bytes())
        };
        // Nothing could be answered otherwise.
        tell("signature", Ok(()))?;
        tell("description", Ok(()))?;
        tell("layout", self.check_paddings())?;
        let launcher = digest(self.file.file(), layout.launcher)
            .and_then(|found| Ok(self.package.check_launcher(&found)?));
        tell("launcher", launcher)?;
        for (slot, range) in self.package.slots() {
            tell(
                &["slot ", &slot.id].concat(),
                self.check_slot(slot, range, true),
            )?;
        }
        if !is_whole {
            print(&["the file is NOT whole: get it again from its source\n"])?;
            return Ok(NOT_WHOLE);
        }
        print(&[
            "the file is whole, as the holder of the key ",
            &self.signer(),
            " signed it; who that is, only a fingerprint can tell that reached you in another way\n",
        ])
    }

    fn check_paddings(&self) -> Result<(), ExtractError> {
        let layout = self.package.layout();
        let mut at = layout.table.end();
        for next in layout.slots.iter().chain([&layout.trailer]) {
            let mut padding = [0; 8];
            // Shorter than that: the layout has been compared.
            let size = usize::try_from(next.start().saturating_sub(at)).unwrap_or(0);
            let padding = padding.get_mut(..size).unwrap_or_default();
            read_exact(self.file.file(), padding, at)?;
            verify::check_padding(at, padding)?;
            at = next.end();
        }
        Ok(())
    }

    /// Compares what is stored with its signed digest and, where that is asked for, decodes it.
    fn check_slot(&self, slot: &Slot, range: Range, decode: bool) -> Result<(), ExtractError> {
        let file = self.file.file();
        self.package.check_slot(slot, &digest(file, range)?)?;
        if decode {
            contents::check_slot_at(slot, file, range, None)?;
        }
        Ok(())
    }

    fn extract(&self, slot: &[u8], directory: &[u8]) -> Result<u8, AskError> {
        let (slot, range) = self.find(slot)?;
        let failed = |reason| AskError::Directory {
            path: path_of(directory),
            reason,
        };
        let found = match at::open_directory(CWD, directory) {
            Ok(found) if names(found.as_fd()).map_err(failed)?.is_empty() => Some(found),
            Ok(_) | Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(AskError::Exists(path_of(directory)));
            }
            Err(Errno::NOENT) => None,
            Err(reason) => return Err(failed(reason)),
        };
        self.check_slot(slot, range, false)
            .map_err(AskError::Extract)?;
        let is_new = found.is_none();
        let into = match found {
            Some(found) => found,
            None => at::make_directory(CWD, directory, 0o777)
                .and_then(|()| at::open_directory(CWD, directory))
                .map_err(failed)?,
        };
        let options = Options {
            // What is extracted for a person is theirs to change.
            writable: true,
            progress: None,
        };
        let extracted =
            extract::checked_slot(slot, self.file.file(), range, into.as_fd(), &options);
        if let Err(error) = extracted {
            empty(&into);
            if is_new {
                let _ = at::remove_directory(CWD, directory);
            }
            return Err(AskError::Extract(error));
        }
        Ok(0)
    }

    /// The slot with this id, or else with this number.
    fn find(&self, wanted: &[u8]) -> Result<(&Slot, Range), AskError> {
        let mut found = None;
        for (nth, (slot, range)) in self.package.slots().enumerate() {
            if slot.id.as_bytes() == wanted {
                return Ok((slot, range));
            }
            if nth.to_string().as_bytes() == wanted {
                found = Some((slot, range));
            }
        }
        found.ok_or_else(|| AskError::NoSlot(wanted.to_owned()))
    }

    fn signer(&self) -> String {
        hex(&self.package.signer().fingerprint())
    }
}

/// Removes what lies in a directory, as far as that is possible.
fn empty(directory: &OwnedFd) {
    for name in names(directory.as_fd()).unwrap_or_default() {
        let _ = remove_tree(directory.as_fd(), &name);
    }
}

fn commands(out: &mut String, metadata: &Metadata) {
    out.push_str("\ncommands\n");
    command(out, "(default)", &metadata.execution.argv);
    for (name, named) in metadata.commands.iter() {
        command(out, name, &named.argv);
    }
    for setup in &metadata.setup {
        command(out, "(setup)", &setup.argv);
    }
}

fn command(out: &mut String, name: &str, argv: &[String]) {
    put(out, &["  ", name]);
    for word in argv {
        // So that it is seen where each ends.
        let is_plain = !word.is_empty() && word.bytes().all(|c| c != b' ');
        let quote = if is_plain { "" } else { "\"" };
        put(out, &[" ", quote, &escape(word), quote]);
    }
    out.push('\n');
}

/// A name, and its value in a column.
fn line(out: &mut String, name: &str, value: &[&str]) {
    out.push_str(name);
    for _ in name.len()..COLUMN {
        out.push(' ');
    }
    out.push(' ');
    put(out, value);
    out.push('\n');
}

/// Appends texts. One copy: there are many.
#[inline(never)]
fn put(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
}

/// Text of the package without anything that a terminal would obey, in one line.
fn escape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    raw.chars().for_each(|c| text::push(c, &mut out));
    out
}

/// A JSON document without the characters that JSON allows raw and a terminal may obey: DEL, C1 controls, direction
/// marks. They stand in strings only, where an escape means the same.
fn printable_json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        let is_plain = c.is_ascii() && c != '\u{7f}';
        if is_plain || text::is_plain(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str("\\u");
            for shift in [12, 8, 4, 0] {
                let digit = u32::from(*unit >> shift & 15);
                out.extend(char::from_digit(digit, 16));
            }
        }
    }
    out
}

fn hex(digest: &psp_format::digest::Digest) -> String {
    crate::store::hex(digest)
}

fn path_of(path: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path))
}

impl AskError {
    /// The exit code: 2 for wrong usage, 125 when the answer cannot be given.
    pub fn exit_code(&self) -> u8 {
        match self {
            AskError::NoVerb
            | AskError::UnknownVerb(_)
            | AskError::Arguments(_)
            | AskError::NoSlot(_)
            | AskError::Exists(_) => 2,
            AskError::Directory { .. } | AskError::Extract(_) | AskError::Output(_) => 125,
        }
    }

    /// One line that says what a person can do.
    pub fn help(&self) -> &'static str {
        match self {
            AskError::NoVerb | AskError::UnknownVerb(_) => {
                "the verbs are info, verify, metadata, extract, run, version and help; without FLAVOR_LAUNCHER_CLI the package starts"
            }
            AskError::Arguments(_) => "the verb `help` shows what each takes",
            AskError::NoSlot(_) => "the verb `info` lists the slots",
            AskError::Exists(_) => "name a directory that is empty or not there",
            AskError::Directory { .. } => "name another directory",
            AskError::Extract(error) => match error {
                ExtractError::Unsupported { .. } => "use `flavor extract`",
                ExtractError::Write { .. } => {
                    "check the directory and the free space, or name another one"
                }
                _ => error.help(),
            },
            AskError::Output(_) => "check where standard output goes",
        }
    }
}

impl std::error::Error for AskError {}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::NoVerb => f.write_str("FLAVOR_LAUNCHER_CLI is set, and no verb is named"),
            AskError::UnknownVerb(verb) => {
                write!(f, "there is no verb {}", Quoted(verb))
            }
            AskError::Arguments(verb) => {
                write!(f, "{} takes other arguments", Shown(verb))
            }
            AskError::NoSlot(slot) => {
                write!(f, "the package has no slot {}", Quoted(slot))
            }
            AskError::Exists(path) => about(f, "", path, &" is there, and is no empty directory"),
            AskError::Directory { path, reason } => {
                refused(f, "cannot use the directory ", path, *reason)
            }
            AskError::Extract(error) => error.fmt(f),
            AskError::Output(reason) => {
                f.write_str("cannot write to standard output: ")?;
                Why(*reason).fmt(f)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys() {
        assert_eq!(
            escape("a \"b\"\u{1b}[2J\n\u{9b}\u{202e}\u{e9}'"),
            "a \"b\"\\u{1b}[2J\\n\\u{9b}\\u{202e}\u{e9}'"
        );
        let document = "{\"a\":\"\u{7f}\u{9b}1m\u{202e}\u{e9}\u{1f4e6}\u{e0001}\\n\"}";
        let shown = "{\"a\":\"\\u007f\\u009b1m\\u202e\u{e9}\u{1f4e6}\\udb40\\udc01\\n\"}";
        assert_eq!(printable_json(document), shown);
    }

    #[test]
    fn values_stand_in_a_column() {
        let mut out = String::new();
        line(&mut out, "signer", &["x"]);
        line(&mut out, "a name that is long", &["y"]);
        assert_eq!(out, "signer        x\na name that is long y\n");
    }
}
