//! A program that signs: the bytes to sign on its standard input, the signature on its standard output.
//!
//! It is started without a shell, in the terminal's foreground group like this process: Ctrl-C ends both. Nothing
//! limits its time, as somebody may have to touch a token or grant a request; its answer is limited.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use psp_format::base64;
use psp_format::signature::PublicKey;

use super::{SignerError, words};
use crate::printer::{Printer, escape_bytes};

/// Most bytes of an answer. A signature in base64 has 88.
pub(super) const MAX_ANSWER: usize = 1024;
/// How long a program runs before a person is told what is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the rest of a program's words is waited for when it has ended. Only one that left a process behind which
/// holds its standard error makes anybody wait.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Most bytes of a line of standard error; the rest of it is a line of its own.
const MAX_LINE: u64 = 400;
/// Lines of standard error that a message repeats.
const TOLD_LINES: usize = 3;

/// A program that signs, with the key that it signs with.
#[derive(Debug)]
pub struct Program {
    program: OsString,
    args: Vec<OsString>,
    directory: Option<PathBuf>,
    public_key: PublicKey,
    printer: Printer,
}

impl Program {
    /// The program of a command line.
    pub(super) fn new(
        line: &[u8],
        public_key: Option<PublicKey>,
        directory: Option<&Path>,
        printer: &Printer,
    ) -> Result<Program, SignerError> {
        let mut words = words::split(line).map_err(SignerError::Words)?.into_iter();
        let program = words
            .next()
            .ok_or(SignerError::Words(words::WordsFault::Empty))?;
        match public_key {
            None => Err(SignerError::NoPublicKey { program }),
            Some(public_key) => Ok(Program {
                program,
                args: words.collect(),
                directory: directory.map(Path::to_owned),
                public_key,
                printer: printer.clone(),
            }),
        }
    }

    /// The key that it signs with.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Lets it sign `text`, and verifies what it answers.
    pub(super) fn sign(&self, text: &[u8]) -> Result<[u8; 64], SignerError> {
        let answer = self.ask(text)?;
        let signature = signature_in(&answer).ok_or_else(|| SignerError::NoSignature {
            program: self.program.clone(),
            length: answer.len(),
        })?;
        match self.public_key.verify(text, &signature) {
            Ok(()) => Ok(signature),
            Err(_) => Err(SignerError::NotBy {
                program: self.program.clone(),
                key: self.public_key.fingerprint(),
            }),
        }
    }

    /// Starts it, and returns what it has answered when it has ended well.
    fn ask(&self, text: &[u8]) -> Result<Vec<u8>, SignerError> {
        let mut child = self.start()?;
        if let Some(mut stdin) = child.stdin.take() {
            let text = text.to_vec();
            // Whoever does not read all of it signs something else, and that is seen in the answer.
            thread::spawn(move || stdin.write_all(&text));
        }
        let said = child.stderr.take().map(|stderr| self.listen(stderr));
        let answer = self.answer(&mut child);
        if answer.len() > MAX_ANSWER {
            let _ = child.kill();
            let _ = child.wait();
            return Err(SignerError::TooLong {
                program: self.program.clone(),
            });
        }
        let status = child.wait().map_err(|source| SignerError::NotStarted {
            program: self.program.clone(),
            source,
        })?;
        match status.success() {
            true => Ok(answer),
            false => Err(SignerError::Failed {
                program: self.program.clone(),
                status: status_text(status),
                stderr: said.map(last_words).unwrap_or_default(),
            }),
        }
    }

    fn start(&self) -> Result<Child, SignerError> {
        let mut command = Command::new(self.path());
        command
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.spawn().map_err(|source| SignerError::NotStarted {
            program: self.program.clone(),
            source,
        })
    }

    /// A name without a slash is looked for in `PATH`; a relative path begins at the directory.
    fn path(&self) -> OsString {
        match &self.directory {
            Some(directory) if self.program.as_bytes().contains(&b'/') => {
                let directory = std::path::absolute(directory).unwrap_or(directory.clone());
                directory.join(&self.program).into()
            }
            _ => self.program.clone(),
        }
    }

    /// What it writes on standard output, to the end, or a little more than is allowed.
    fn answer(&self, child: &mut Child) -> Vec<u8> {
        let Some(stdout) = child.stdout.take() else {
            return Vec::new();
        };
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut answer = Vec::new();
            let limit = u64::try_from(MAX_ANSWER).unwrap_or(0).saturating_add(1);
            let _ = stdout.take(limit).read_to_end(&mut answer);
            sender.send(answer)
        });
        match receiver.recv_timeout(PATIENCE) {
            Ok(answer) => answer,
            Err(_) => {
                let program = escape_bytes(self.program.as_bytes());
                let waiting = format!("waiting for the signing program {program}; Ctrl-C ends it");
                self.printer.note_on_terminal(&waiting);
                receiver.recv().unwrap_or_default()
            }
        }
    }

    /// Reads its standard error. A person at a terminal sees it at once: it may ask for something.
    fn listen(&self, stderr: ChildStderr) -> Receiver<Vec<u8>> {
        let (sender, receiver) = mpsc::channel();
        let printer = self.printer.clone();
        let name = escape_bytes(
            Path::new(&self.program)
                .file_name()
                .unwrap_or(OsStr::new(""))
                .as_bytes(),
        );
        thread::spawn(move || {
            let mut stderr = BufReader::new(stderr);
            loop {
                let mut line = Vec::new();
                let read = stderr.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
                if !matches!(read, Ok(1..)) {
                    return;
                }
                let line = line.trim_ascii().to_vec();
                if !line.is_empty() {
                    printer.note_on_terminal(&format!("{name}: {}", escape_bytes(&line)));
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            }
        });
        receiver
    }
}

/// The last lines that were heard, as one.
fn last_words(heard: Receiver<Vec<u8>>) -> String {
    let mut lines = Vec::new();
    // The end of the stream ends this at once.
    while let Ok(line) = heard.recv_timeout(LAST_WORDS) {
        if lines.len() == TOLD_LINES {
            lines.remove(0);
        }
        lines.push(escape_bytes(&line));
    }
    lines.join("; ")
}

fn status_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit status".to_owned(),
    }
}

/// The signature in an answer: 64 bytes, or base64 of them with a line end or without.
fn signature_in(answer: &[u8]) -> Option<[u8; 64]> {
    if let Ok(raw) = answer.try_into() {
        return Some(raw);
    }
    let line = answer.strip_suffix(b"\n").unwrap_or(answer);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    base64::decode(line)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let raw: [u8; 64] = core::array::from_fn(|n| u8::try_from(n).unwrap_or(0));
        let text = base64::encode(&raw);
        assert_eq!(text.len(), 88);
        assert_eq!(signature_in(&raw), Some(raw));
        assert_eq!(signature_in(&[b'\n'; 64]), Some([b'\n'; 64]));
        for end in ["", "\n", "\r\n"] {
            assert_eq!(signature_in(format!("{text}{end}").as_bytes()), Some(raw));
        }
        let (first, second) = text.split_at(64);
        for bad in [
            format!("{text}\n\n"),
            format!("{first}\n{second}\n"),
            format!(" {text}"),
            base64::encode(&raw[..63]),
            base64::encode(&[&raw[..], &[0]].concat()),
            String::new(),
        ] {
            assert_eq!(signature_in(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(signature_in(&raw[..63]), None);
        assert_eq!(signature_in(&[&raw[..], b"\n"].concat()), None);
    }
}
