//! Keys: the private one that signs, and the public ones that this host trusts.
//!
//! Files that hold keys are small regular files. They are opened without blocking, and at most [`MAX_KEY_FILE`] bytes of
//! them are read, so that a FIFO, a device or a disk image in the wrong place is an error and not a hang.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use psp_format::keys::{self, Kind, PemFault};
use psp_format::range::widen;
use psp_format::signature::{PrivateKey, PublicKey};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::package_file::{irregular, shown};
use crate::printer::{Printer, escape};

/// Most bytes of a file that holds a key. A PEM key has about 120.
pub const MAX_KEY_FILE: u64 = 64 << 10;
/// Where the administrator of this host keeps trusted keys.
pub const SYSTEM_TRUST: &str = "/etc/flavor/trusted-keys";
/// How `--private-key` names a variable.
const ENV_PREFIX: &str = "env:";
/// Permissions of others on a private key or a trust store.
const OTHERS_ACCESS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;

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
    /// A key of a trust store that somebody else could have put there.
    #[error("{} can be changed by others (owner {uid}, mode {mode:04o})", shown(.path))]
    Writable {
        /// The file or directory.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its permissions.
        mode: u32,
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
            KeyError::Writable { .. } => {
                "give it to root or to yourself, and take write permission from everyone else"
                    .into()
            }
        }
    }
}

fn pem_help(fault: PemFault, needed: Half) -> &'static str {
    match (fault, needed) {
        (PemFault::Label(Kind::Encrypted), _) => {
            "decrypt it first (openssl pkey -in KEY -out PLAIN), or keep it in a secret store and use env:NAME"
        }
        (PemFault::Label(Kind::Public), Half::Private) => {
            "give the private half of the pair, which `flavor keygen` writes to NAME.key"
        }
        (PemFault::Label(Kind::Private), Half::Public) => {
            "give the public half of the pair, which `flavor keygen` writes to NAME.pub"
        }
        (PemFault::Label(Kind::Certificate), Half::Public) => {
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

/// Reads the key that `--private-key` or a manifest names: a PEM file, or `env:NAME`.
pub fn private_key(name: &OsStr, printer: &Printer) -> Result<PrivateKey, KeyError> {
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
    let key = keys::private_key_from_pem(&text).map_err(|fault| KeyError::Pem {
        origin: origin.clone(),
        fault,
        needed: Half::Private,
    })?;
    if mode & OTHERS_ACCESS != 0 {
        let fact = format!("the private key {origin} can be read by others (mode {mode:04o})");
        printer.warn(&fact, Some(&format!("chmod 600 {origin}")));
    }
    Ok(key)
}

/// Reads a public key from a PEM file.
pub fn public_key(path: &Path) -> Result<PublicKey, KeyError> {
    let (text, _) = read_key_file(path, OFlags::empty())?;
    Ok(trusted_key(&text, path)?.key)
}

/// A key whose signature is trusted here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// The name that whoever put it there gave it.
    pub name: Option<String>,
}

/// The keys whose signatures are trusted here.
#[derive(Debug, Clone, Default)]
pub struct TrustStore {
    keys: Vec<TrustedKey>,
}

impl TrustStore {
    /// The keys that were named on the command line, and those of the host's directories.
    ///
    /// A key that was named must be good; one that lies in a directory and is not is left out with a warning.
    pub fn load(
        named: &[PathBuf],
        directories: &[PathBuf],
        printer: &Printer,
    ) -> Result<TrustStore, KeyError> {
        let mut keys = Vec::new();
        for path in named {
            let (text, _) = read_key_file(path, OFlags::empty())?;
            keys.push(trusted_key(&text, path)?);
        }
        for directory in directories {
            load_directory(directory, printer, &mut keys);
        }
        Ok(TrustStore { keys })
    }

    /// The trusted key that signed, if any.
    pub fn find(&self, signer: &PublicKey) -> Option<&TrustedKey> {
        let same = |key: &&TrustedKey| key.key == *signer;
        // The same key may lie there twice; the entry with a name says more.
        let named = self.keys.iter().filter(|key| key.name.is_some()).find(same);
        named.or_else(|| self.keys.iter().find(same))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// The host's directories of trusted keys, from the values of the three variables that name the second one.
pub fn trust_directories(
    flavor_config_dir: Option<OsString>,
    xdg_config_home: Option<OsString>,
    home: Option<OsString>,
    printer: &Printer,
) -> Vec<PathBuf> {
    let value =
        |value: Option<OsString>| value.filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = value(flavor_config_dir)
        .or_else(|| value(xdg_config_home).map(|dir| dir.join("flavor")))
        .or_else(|| value(home).map(|dir| dir.join(".config/flavor")));
    let mut out = vec![PathBuf::from(SYSTEM_TRUST)];
    match config {
        // A relative directory would let the working directory decide who is trusted.
        Some(dir) if dir.is_relative() => printer.warn(
            &format!(
                "the configuration directory {} is relative: it is not used",
                shown(&dir)
            ),
            Some("set FLAVOR_CONFIG_DIR to an absolute path"),
        ),
        Some(dir) => out.push(dir.join("trusted-keys")),
        None => {}
    }
    out
}

fn load_directory(directory: &Path, printer: &Printer, keys: &mut Vec<TrustedKey>) {
    let warn =
        |error: &KeyError| printer.warn(&format!("{error}: it is not used"), Some(&error.help()));
    let failed = |path: &Path, source| KeyError::Read {
        path: path.to_owned(),
        source,
    };
    let data = match fs::metadata(directory) {
        Ok(data) => data,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return warn(&failed(directory, error)),
    };
    if let Err(error) = check_owner(directory, &data) {
        return warn(&error);
    }
    let mut paths: Vec<PathBuf> = match fs::read_dir(directory) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) => return warn(&failed(directory, error)),
    };
    paths.retain(|path| path.extension() == Some(OsStr::new("pub")));
    paths.sort();
    printer.detail(&format!(
        "{}: {} trusted keys",
        shown(directory),
        paths.len()
    ));
    for path in paths {
        let key = read_key_file(&path, OFlags::NOFOLLOW).and_then(|(text, data)| {
            check_owner(&path, &data)?;
            trusted_key(&text, &path)
        });
        match key {
            Ok(key) => keys.push(key),
            Err(error) => warn(&error),
        }
    }
}

/// A trust store is as good as the list of those who can write to it.
fn check_owner(path: &Path, data: &fs::Metadata) -> Result<(), KeyError> {
    let me = rustix::process::geteuid().as_raw();
    if (data.uid() == 0 || data.uid() == me) && data.mode() & OTHERS_WRITE == 0 {
        return Ok(());
    }
    Err(KeyError::Writable {
        path: path.to_owned(),
        uid: data.uid(),
        mode: data.mode() & 0o7777,
    })
}

fn trusted_key(text: &str, path: &Path) -> Result<TrustedKey, KeyError> {
    let key = keys::public_key_from_pem(text).map_err(|fault| KeyError::Pem {
        origin: shown(path),
        fault,
        needed: Half::Public,
    })?;
    // Labels stand before the PEM block, as flavorpack writes them.
    let head = text.split("-----BEGIN").next().unwrap_or_default();
    let name = head
        .lines()
        .find_map(|line| line.strip_prefix("# Name:"))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty());
    Ok(TrustedKey { key, name })
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
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn printer() -> Printer {
        let global = crate::cli::Global {
            quiet: true,
            verbose: false,
            color: crate::cli::Color::Never,
        };
        Printer::new(global, false)
    }

    fn pem(seed: &str) -> String {
        let key = PrivateKey::from_text_seed(seed).public_key();
        keys::public_key_to_pem(&key).unwrap_or_default()
    }

    #[test]
    fn store_takes_good_keys_and_leaves_the_rest() {
        let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let put = |name: &str, text: &str| {
            fs::write(dir.path().join(name), text).unwrap_or_else(|e| panic!("{e}"));
        };
        put("a.pub", &pem("a"));
        put("b.pub", &format!("# Name:  somebody \r\n{}", pem("b")));
        put("b2.pub", &pem("b"));
        put("c.txt", &pem("c"));
        put("d.pub", "no key");
        put("e.pub", &"x".repeat(70_000));
        put("f.pub", &pem("f"));
        let _ = std::os::unix::fs::symlink("c.txt", dir.path().join("g.pub"));
        let _ = fs::create_dir(dir.path().join("h.pub"));
        let open = fs::Permissions::from_mode(0o666);
        fs::set_permissions(dir.path().join("f.pub"), open).unwrap_or_else(|e| panic!("{e}"));
        let directories = [dir.path().to_owned(), "/nonexistent".into()];
        let store = TrustStore::load(&[], &directories, &printer()).unwrap_or_default();
        assert_eq!(store.len(), 3);
        let name = |seed: &str| {
            let key = PrivateKey::from_text_seed(seed).public_key();
            store.find(&key).map(|key| key.name.clone())
        };
        assert_eq!(name("a"), Some(None));
        assert_eq!(name("b"), Some(Some("somebody".into())));
        assert_eq!(name("c"), None);
        assert_eq!(name("f"), None);
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(dir.path(), open).unwrap_or_else(|e| panic!("{e}"));
        let store = TrustStore::load(&[], &directories, &printer()).unwrap_or_default();
        assert!(store.is_empty());
    }

    #[test]
    fn a_key_that_was_named_must_be_good() {
        let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let path = dir.path().join("k");
        assert!(matches!(
            TrustStore::load(std::slice::from_ref(&path), &[], &printer()),
            Err(KeyError::Read { .. })
        ));
        let _ = fs::write(&path, "-----BEGIN PRIVATE KEY-----");
        assert!(matches!(
            TrustStore::load(&[path], &[], &printer()),
            Err(KeyError::Pem {
                fault: PemFault::Label(Kind::Private),
                ..
            })
        ));
    }

    #[test]
    fn directories() {
        let dirs = |a: &str, b: &str, c: &str| {
            let value = |text: &str| (text != "-").then(|| OsString::from(text));
            let mut dirs = trust_directories(value(a), value(b), value(c), &printer());
            dirs.remove(0);
            dirs
        };
        assert_eq!(dirs("/a", "/b", "/c"), [PathBuf::from("/a/trusted-keys")]);
        assert_eq!(
            dirs("", "/b", "/c"),
            [PathBuf::from("/b/flavor/trusted-keys")]
        );
        assert_eq!(
            dirs("-", "-", "/c"),
            [PathBuf::from("/c/.config/flavor/trusted-keys")]
        );
        assert_eq!(dirs("-", "-", "-"), Vec::<PathBuf>::new());
        assert_eq!(dirs("a", "/b", "/c"), Vec::<PathBuf>::new());
    }
}
