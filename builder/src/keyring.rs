//! Keys: the private one that signs, and the public ones that are trusted, which are the host's
//! ([`psp_launcher::trust`]) and those named on the command line.
//!
//! Files that hold keys are small regular files. They are opened without blocking, and at most [`MAX_KEY_FILE`] bytes of
//! them are read, so that a FIFO, a device or a disk image in the wrong place is an error and not a hang.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use psp_format::digest::Digest;
use psp_format::instant;
use psp_format::keys::{self, PemFault};
use psp_format::range::widen;
use psp_format::signature::{PrivateKey, PublicKey};
use psp_launcher::policy::judge::Rules;
use psp_launcher::store;
use psp_launcher::trust::key_file::KeyFileFault;
use psp_launcher::trust::{self, Key, KeyFile, Standing, Trust};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::env_vars::FLAVOR_KEY_PASSPHRASE;
use crate::package_file::{irregular, shown};
use crate::printer::{Printer, escape};
use crate::signer;

/// Most bytes of a file that holds a key. A PEM key has about 120.
pub const MAX_KEY_FILE: u64 = 64 << 10;
/// How `--private-key` names a variable.
const ENV_PREFIX: &str = "env:";
/// Permissions of others on a private key.
const OTHERS_ACCESS: u32 = 0o077;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be opened or read.
    #[error("cannot read the key {}: {source}", shown(.path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no regular file.
    #[error("the key {} is {kind}, not a regular file", shown(.path))]
    NotRegular {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The file is too large for a key.
    #[error("the key {} has {size} bytes, at most {MAX_KEY_FILE} are read", shown(.path))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
    },
    /// The variable is not set.
    #[error("the variable {} is not set to any text", escape(.name))]
    NoVariable {
        /// Its name.
        name: String,
    },
    /// The text is not the key that is needed. Never carries the text.
    #[error("{origin} holds {fault}")]
    Pem {
        /// Where the text came from, for messages.
        origin: String,
        /// What it is instead.
        fault: PemFault,
        /// What was needed.
        needed: Half,
    },
    /// The text is an encrypted key that is damaged, or encrypted in a way that this program does not read.
    #[error(
        "{origin} holds an encrypted private key that is damaged, or encrypted in a way that is not read here"
    )]
    Encryption {
        /// Where the text came from, for messages.
        origin: String,
    },
    /// The key is encrypted, and nobody can be asked.
    #[error(
        "{origin} holds an encrypted private key, and there is no terminal to ask for its passphrase"
    )]
    NoPassphrase {
        /// Where the text came from, for messages.
        origin: String,
    },
    /// The key is encrypted with another passphrase.
    #[error("the passphrase does not open the private key of {origin}")]
    WrongPassphrase {
        /// Where the text came from, for messages.
        origin: String,
    },
    /// A new key should be encrypted, and there is no passphrase.
    #[error("there is no passphrase for the new key")]
    NoNewPassphrase,
    /// The person typed two different ones.
    #[error("these are two different passphrases")]
    PassphrasesDiffer,
    /// The text is a key with a limit that cannot be told.
    #[error("{} holds {fault}", shown(.path))]
    Limits {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: KeyFileFault,
    },
}

/// The two halves of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Signs.
    Private,
    /// Verifies.
    Public,
}

impl KeyError {
    /// One line that says what a person can do.
    pub fn help(&self) -> String {
        match self {
            KeyError::Read { .. } => "give a PEM file that you can read".into(),
            KeyError::NotRegular { .. } => {
                "give a file, or env:NAME for a variable that holds the key".into()
            }
            KeyError::TooLarge { .. } => "give a PEM file with one Ed25519 key".into(),
            KeyError::NoVariable { name } => {
                format!("set {} to the text of a PKCS#8 PEM file", escape(name))
            }
            KeyError::Pem { fault, needed, .. } => pem_help(*fault, *needed).into(),
            KeyError::Encryption { .. } => {
                "encrypt it anew, with AES in CBC: openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW".into()
            }
            KeyError::NoPassphrase { .. } => {
                format!("set {FLAVOR_KEY_PASSPHRASE}, or start flavor on a terminal")
            }
            KeyError::WrongPassphrase { .. } => {
                format!("try again, or check {FLAVOR_KEY_PASSPHRASE} if it is set")
            }
            KeyError::NoNewPassphrase => {
                format!("type one on a terminal, or set {FLAVOR_KEY_PASSPHRASE}")
            }
            KeyError::PassphrasesDiffer => "type the same one twice".into(),
            KeyError::Limits { .. } => {
                "`flavor trust add KEY --packages GLOBS --expires DATE` writes these lines as they should be".into()
            }
        }
    }
}

fn pem_help(fault: PemFault, needed: Half) -> &'static str {
    match (fault, needed) {
        (PemFault::Label(keys::Kind::Encrypted), _) => {
            "write it as PKCS#8: openssl pkcs8 -topk8 -in KEY -out NEW"
        }
        (PemFault::Label(keys::Kind::Public), Half::Private) => {
            "give the private half of the pair, which `flavor keygen` writes to NAME.key"
        }
        (PemFault::Label(keys::Kind::Private), Half::Public) => {
            "give the public half of the pair, which `flavor keygen` writes to NAME.pub"
        }
        (PemFault::Label(keys::Kind::Certificate), Half::Public) => {
            "take the key out of the certificate (openssl x509 -in CERT -pubkey -noout), if it is an Ed25519 key"
        }
        (_, Half::Private) => {
            "make an Ed25519 key with `flavor keygen`, or `openssl genpkey -algorithm ed25519`"
        }
        (_, Half::Public) => {
            "give an Ed25519 public key as SPKI PEM, as `flavor keygen` writes it to NAME.pub"
        }
    }
}

/// Keeps what this process holds from now on out of core dumps, and from debuggers of the same user: to be called
/// before a private key is in memory.
///
/// prctl(2), `PR_SET_DUMPABLE`. Where that is refused, keys are as safe as they are in other programs.
#[cfg(target_os = "linux")]
pub fn keep_secrets() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Other systems have nothing of the kind here yet.
#[cfg(not(target_os = "linux"))]
pub fn keep_secrets() {}

/// Reads the key that `--private-key` or a manifest names: a PEM file, or `env:NAME`.
pub fn private_key(name: &OsStr, printer: &Printer) -> Result<PrivateKey, KeyError> {
    keep_secrets();
    let variable = name.to_str().and_then(|name| name.strip_prefix(ENV_PREFIX));
    let (text, origin, mode) = match variable {
        Some(variable) => {
            let text = std::env::var(variable).map_err(|_| KeyError::NoVariable {
                name: variable.to_owned(),
            })?;
            let origin = format!("the variable {}", escape(variable));
            (Zeroizing::new(text), origin, 0)
        }
        None => {
            let path = Path::new(name);
            let (text, data) = read_key_file(path, OFlags::empty())?;
            (text, shown(path), data.mode() & 0o7777)
        }
    };
    let key = if signer::is_encrypted(&text) {
        signer::open_encrypted(&text, &origin)?
    } else {
        keys::private_key_from_pem(&text).map_err(|fault| KeyError::Pem {
            origin: origin.clone(),
            fault,
            needed: Half::Private,
        })?
    };
    if mode & OTHERS_ACCESS != 0 {
        let fact = format!("the private key {origin} can be read by others (mode {mode:04o})");
        printer.warn(&fact, Some(&format!("chmod 600 {origin}")));
    }
    Ok(key)
}

/// The keys whose signatures are trusted: those that were named, and those of the host.
#[derive(Debug, Default)]
pub struct TrustStore {
    trust: Trust,
}

/// What is known of a signer of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The name that whoever trusts it gave it.
    pub name: Option<String>,
    /// The file that says so.
    pub file: Option<PathBuf>,
    /// Fingerprint of the trusted key in that file, which may be one that the signer continues.
    pub trusted_as: Option<Digest>,
    /// Why it is not trusted; nothing when it is.
    pub distrust: Option<Distrust>,
}

/// Why a signer is not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distrust {
    /// Nobody knows it.
    Unknown,
    /// It is known, and this is why it does not count.
    Limited(String),
    /// Its key is revoked: nothing starts that it has signed.
    Revoked,
}

impl TrustStore {
    /// The keys that were named on the command line, and those of the host that count.
    ///
    /// A key that was named must be good; one that lies in a store and is not is left out with a warning.
    pub fn load(
        named: &[PathBuf],
        rules: &Rules,
        printer: &Printer,
    ) -> Result<TrustStore, KeyError> {
        let mut trust = rules.trust();
        trust.keys.sort_by(|a, b| a.path.cmp(&b.path));
        trust.continuations.sort_by(|a, b| a.path.cmp(&b.path));
        trust.faults.sort_by(|a, b| a.path.cmp(&b.path));
        printer.detail(&format!("{} trusted keys on this host", trust.keys.len()));
        for fault in &trust.faults {
            printer.warn(&format!("{fault}: it is not used"), Some(fault.help()));
        }
        for path in named.iter().rev() {
            let file = key_file(path)?;
            let path = path.clone();
            trust.keys.insert(0, Key { path, file });
        }
        Ok(TrustStore { trust })
    }

    /// What is known of one of the signers of the package `name`.
    pub fn known(&self, signer: &PublicKey, name: &str) -> Known {
        let known = |key: &Key| {
            // The same key may lie there twice; the entry with a name says more.
            let same = self.trust.keys.iter();
            let mut names = same.filter(|other| other.file.key == key.file.key);
            let other = || names.find_map(|other| other.file.name.clone());
            Known {
                name: key.file.name.clone().or_else(other),
                file: Some(key.path.clone()),
                ..Known::default()
            }
        };
        let limited = |reason: String| Some(Distrust::Limited(reason));
        match self.trust.standing(signer, name, store::now()) {
            Standing::Trusted { key, .. } => Known {
                trusted_as: Some(Digest::of(&key.file.key)),
                ..known(key)
            },
            Standing::OutOfScope(key) => Known {
                distrust: limited(format!(
                    "its key is for packages named {} only",
                    key.file.packages.join(", ")
                )),
                ..known(key)
            },
            Standing::Expired(key) => Known {
                distrust: limited(format!(
                    "its key counted until {} only",
                    instant::to_text(key.file.expires.unwrap_or(0))
                )),
                ..known(key)
            },
            Standing::Revoked(key) if key == signer.fingerprint() => Known {
                distrust: Some(Distrust::Revoked),
                ..Known::default()
            },
            Standing::Revoked(key) => Known {
                distrust: limited(format!("it continues {key}, which is revoked")),
                ..Known::default()
            },
            Standing::Unknown => Known {
                distrust: Some(Distrust::Unknown),
                ..Known::default()
            },
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.trust.keys.len()
    }

    /// Whether no key is trusted at all.
    pub fn is_empty(&self) -> bool {
        self.trust.keys.is_empty()
    }
}

/// Reads a public key from a PEM file.
pub fn public_key(path: &Path) -> Result<PublicKey, KeyError> {
    let file = key_file(path)?;
    PublicKey::from_bytes(&file.key).map_err(|fault| KeyError::Pem {
        origin: shown(path),
        fault: PemFault::Key(fault),
        needed: Half::Public,
    })
}

/// Reads the file of a public key that somebody named.
pub fn key_file(path: &Path) -> Result<KeyFile, KeyError> {
    let (text, _) = read_key_file(path, OFlags::empty())?;
    let pem = |fault| KeyError::Pem {
        origin: shown(path),
        fault,
        needed: Half::Public,
    };
    match trust::key_file::read(text.as_bytes()) {
        Ok(file) => match PublicKey::from_bytes(&file.key) {
            Ok(_) => Ok(file),
            Err(fault) => Err(pem(PemFault::Key(fault))),
        },
        // The reader of private keys knows more of what people have in files.
        Err(fault @ (KeyFileFault::NoKey | KeyFileFault::NotEd25519)) => {
            match keys::public_key_from_pem(&text) {
                Err(fault) => Err(pem(fault)),
                Ok(_) => Err(KeyError::Limits {
                    path: path.to_owned(),
                    fault,
                }),
            }
        }
        Err(fault) => Err(KeyError::Limits {
            path: path.to_owned(),
            fault,
        }),
    }
}

/// The text of a key file. It may be a private key, so it is wiped when dropped.
fn read_key_file(
    path: &Path,
    flags: OFlags,
) -> Result<(Zeroizing<String>, fs::Metadata), KeyError> {
    let failed = |source| KeyError::Read {
        path: path.to_owned(),
        source,
    };
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or(0))
        .open(path)
        .map_err(failed)?;
    let data = file.metadata().map_err(failed)?;
    if let Some(kind) = irregular(data.file_type()) {
        return Err(KeyError::NotRegular {
            path: path.to_owned(),
            kind,
        });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_KEY_FILE.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if widen(bytes.len()) > MAX_KEY_FILE {
        return Err(KeyError::TooLarge {
            path: path.to_owned(),
            size: data.len(),
        });
    }
    // PEM is ASCII: what is not even UTF-8 is none.
    let text = std::str::from_utf8(&bytes).unwrap_or_default().to_owned();
    Ok((Zeroizing::new(text), data))
}

/// How a signer is named in messages: `NAME (FINGERPRINT)`, or the fingerprint alone.
pub fn signer_text(name: Option<&str>, fingerprint: &str) -> String {
    match name {
        Some(name) => format!("{} ({fingerprint})", escape(name)),
        None => fingerprint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_named_must_be_good() {
        let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let path = dir.path().join("k");
        assert!(matches!(key_file(&path), Err(KeyError::Read { .. })));
        let key = PrivateKey::from_text_seed("a").public_key();
        let pem = keys::public_key_to_pem(&key).unwrap_or_default();
        let with = |text: &str| {
            let _ = fs::write(&path, text);
            key_file(&path)
        };
        assert!(with(&pem).is_ok_and(|file| file.key == *key.as_bytes()));
        let private = with("-----BEGIN PRIVATE KEY-----");
        let kind = PemFault::Label(keys::Kind::Private);
        assert!(matches!(private, Err(KeyError::Pem { fault, .. }) if fault == kind));
        let rsa = with("-----BEGIN RSA PUBLIC KEY-----");
        let kind = PemFault::Label(keys::Kind::Rsa);
        assert!(matches!(rsa, Err(KeyError::Pem { fault, .. }) if fault == kind));
        let misspelt = with(&format!("# Package: a\n{pem}"));
        assert!(matches!(misspelt, Err(KeyError::Limits { .. })));
        // A point of small order, which anybody can sign for.
        let document = [
            &b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00\x01"[..],
            &[0; 31],
        ];
        let document = psp_format::base64::encode(&document.concat());
        let weak = with(&format!(
            "-----BEGIN PUBLIC KEY-----\n{document}\n-----END PUBLIC KEY-----\n"
        ));
        assert!(
            matches!(
                weak,
                Err(KeyError::Pem {
                    fault: PemFault::Key(_),
                    ..
                })
            ),
            "{weak:?}"
        );
    }
}
