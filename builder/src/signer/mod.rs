//! Who signs: a private key in this process, or a program that keeps the key elsewhere (a token, an agent, a service).
//!
//! Both give a signature of 64 bytes over the text that they are given. That of a program is verified with the public
//! key that was named before anything is done with it.

mod encrypted;
mod passphrase;
mod program;
mod words;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use psp_format::digest::Digest;
use psp_format::signature::{PrivateKey, PublicKey};

use crate::keyring::{self, KeyError};
use crate::printer::{Printer, escape_bytes};

pub(crate) use encrypted::{encrypt, is_encrypted, open as open_encrypted};
pub(crate) use passphrase::for_new as new_passphrase;
use program::MAX_ANSWER;
pub use program::Program;
pub use words::WordsFault;

/// How `--private-key` names a program.
const PROGRAM_PREFIX: &[u8] = b"cmd:";

/// The first line of a private key in PEM is within so many bytes.
pub(crate) const PEM_LINE: u64 = 64;

/// Whether a file that starts so is a private key in PEM, of any kind, encrypted or not (RFC 7468).
pub(crate) fn begins_private_key(start: &[u8]) -> bool {
    let line = start.split(|byte| *byte == b'\n').next();
    let line = line.unwrap_or_default().trim_ascii_end();
    line.starts_with(b"-----BEGIN ") && line.ends_with(b"PRIVATE KEY-----")
}

/// Somebody who can sign.
#[derive(Debug)]
pub enum Signer {
    /// With a key that is here.
    Key(PrivateKey),
    /// With a key that is elsewhere.
    Program(Program),
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The text behind `cmd:` is no command line.
    #[error("the signing program cannot be read: {0}")]
    Words(WordsFault),
    /// A program was named, and not the key that it signs with.
    #[error("nothing says which key the signing program {} has", escape_bytes(.program.as_bytes()))]
    NoPublicKey {
        /// Its name.
        program: OsString,
    },
    /// The public key that was named is another one's.
    #[error("the private key is that of {found}, and --public-key is {expected}")]
    OtherHalf {
        /// Fingerprint of the public key.
        expected: Digest,
        /// Fingerprint of the private key's public half.
        found: Digest,
    },
    /// The program cannot be started.
    #[error("cannot start the signing program {}: {source}", escape_bytes(.program.as_bytes()))]
    NotStarted {
        /// Its name.
        program: OsString,
        /// What the system says.
        source: io::Error,
    },
    /// The program said that it failed.
    #[error("the signing program {} ended with {status}{}", escape_bytes(.program.as_bytes()), said(.stderr))]
    Failed {
        /// Its name.
        program: OsString,
        /// `exit status N` or `signal N`.
        status: String,
        /// The end of what it wrote on standard error, one line, escaped.
        stderr: String,
    },
    /// The program's answer has no end.
    #[error("the signing program {} answered more than {MAX_ANSWER} bytes", escape_bytes(.program.as_bytes()))]
    TooLong {
        /// Its name.
        program: OsString,
    },
    /// The program's answer is no signature.
    #[error(
        "the signing program {} answered {length} bytes, which are neither a signature of 64 bytes nor one line of base64",
        escape_bytes(.program.as_bytes())
    )]
    NoSignature {
        /// Its name.
        program: OsString,
        /// Size of the answer.
        length: usize,
    },
    /// The program's answer is the signature of another key, or of something else.
    #[error(
        "the answer of the signing program {} is no signature by {key} of what it was given",
        escape_bytes(.program.as_bytes())
    )]
    NotBy {
        /// Its name.
        program: OsString,
        /// Fingerprint of the public key that was named.
        key: Digest,
    },
}

fn said(stderr: &str) -> String {
    match stderr {
        "" => String::new(),
        stderr => format!(": {stderr}"),
    }
}

impl SignerError {
    /// One line that says what a person can do.
    pub fn help(&self) -> String {
        match self {
            SignerError::Key(error) => error.help(),
            SignerError::Words(_) => {
                "write it as in a shell, without variables: cmd:PROGRAM ARGUMENT 'AN ARGUMENT WITH SPACES'".into()
            }
            SignerError::NoPublicKey { .. } => {
                "give its public key with --public-key FILE (SPKI PEM): the program's answer is verified with it".into()
            }
            SignerError::OtherHalf { .. } => {
                "give both halves of one pair, or leave --public-key out".into()
            }
            SignerError::NotStarted { .. } => {
                "check its path and that it can be executed; a name without / is looked for in PATH".into()
            }
            SignerError::Failed { .. } => {
                "start it by hand: it reads the bytes to sign from standard input and writes the signature to standard output"
                    .into()
            }
            SignerError::TooLong { .. } | SignerError::NoSignature { .. } => {
                "let it write the 64 bytes of an Ed25519 signature and nothing else, or those in base64 on one line".into()
            }
            SignerError::NotBy { .. } => {
                "check that --public-key belongs to its key, and that it signs its standard input itself, not a digest of it"
                    .into()
            }
        }
    }
}

impl Signer {
    /// The signer that `--private-key` or a manifest names: a PEM file, `env:NAME`, or `cmd:PROGRAM`, which is started
    /// in `directory`. With `public_key`, it is that key that signs.
    pub fn named(
        name: &OsStr,
        public_key: Option<&Path>,
        directory: Option<&Path>,
        printer: &Printer,
    ) -> Result<Signer, SignerError> {
        let public_key = public_key.map(keyring::public_key).transpose()?;
        match name.as_bytes().strip_prefix(PROGRAM_PREFIX) {
            Some(words) => Program::new(words, public_key, directory, printer).map(Signer::Program),
            None => {
                let key = keyring::private_key(name, printer)?;
                let found = key.public_key();
                match public_key {
                    Some(expected) if expected != found => Err(SignerError::OtherHalf {
                        expected: expected.fingerprint(),
                        found: found.fingerprint(),
                    }),
                    _ => Ok(Signer::Key(key)),
                }
            }
        }
    }

    /// The key that its signatures verify with.
    pub fn public_key(&self) -> PublicKey {
        match self {
            Signer::Key(key) => key.public_key(),
            Signer::Program(program) => *program.public_key(),
        }
    }

    /// Signs `text`.
    ///
    /// # Errors
    ///
    /// When a program gives no signature of its key over `text`. It may take any time.
    pub fn sign(&self, text: &[u8]) -> Result<[u8; 64], SignerError> {
        match self {
            Signer::Key(key) => Ok(key.sign(text)),
            Signer::Program(program) => program.sign(text),
        }
    }
}
