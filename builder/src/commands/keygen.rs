//! `flavor keygen`: an Ed25519 pair in two PEM files.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use psp_format::keys::{private_key_to_pem, public_key_to_pem};
use psp_format::signature::PrivateKey;
use serde::Serialize;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::cli::KeygenArgs;
use crate::error::Error;
use crate::keyring;
use crate::package_file::{json_path, plain, shown};
use crate::printer::Report;
use crate::signer;

/// What to do when a key is there already.
const NEVER_OVERWRITTEN: &str = "keys are never overwritten: give another --name or --out-dir";

#[derive(Debug, Serialize)]
pub(super) struct Pair {
    #[serde(serialize_with = "json_path")]
    private_key: PathBuf,
    #[serde(serialize_with = "json_path")]
    public_key: PathBuf,
    fingerprint: String,
}

pub(super) fn keygen(args: &KeygenArgs) -> Result<Pair, Error> {
    if args.name.is_empty() || args.name.contains(['/', '\0']) || args.name.starts_with('.') {
        return Err(Error::BadKeyName {
            name: args.name.clone(),
        });
    }
    let place = |extension: &str| args.out_dir.join(format!("{}.{extension}", args.name));
    let (private_key, public_key) = (place("key"), place("pub"));
    // Looked at before either is written; `publish` looks again, in one step with the writing.
    for path in [&private_key, &public_key] {
        if path.symlink_metadata().is_ok() {
            return Err(exists(path, NEVER_OVERWRITTEN));
        }
    }
    let key = new_key()?;
    let public = key.public_key();
    let not_encoded = |path: &Path| write_error(path, io::ErrorKind::InvalidData.into());
    let private_pem = if args.passphrase {
        let random = (random()?, random()?);
        let passphrase = signer::new_passphrase()?;
        signer::encrypt(&key, &passphrase, random).ok_or_else(|| not_encoded(&private_key))?
    } else {
        private_key_to_pem(&key).map_err(|_| not_encoded(&private_key))?
    };
    let public_pem = public_key_to_pem(&public).map_err(|_| not_encoded(&public_key))?;

    fs::create_dir_all(&args.out_dir).map_err(|source| write_error(&args.out_dir, source))?;
    // Both are complete files before either gets its name, so that a full disk leaves no half pair.
    let staged_private = stage(&args.out_dir, &private_key, private_pem.as_bytes(), 0o600)?;
    let staged_public = stage(&args.out_dir, &public_key, public_pem.as_bytes(), 0o644)?;
    publish(staged_private, &private_key, NEVER_OVERWRITTEN)?;
    if let Err(error) = publish(staged_public, &public_key, NEVER_OVERWRITTEN) {
        // This file was made a moment ago, by this process: `publish` never replaces one.
        let _ = fs::remove_file(&private_key);
        return Err(error);
    }
    Ok(Pair {
        private_key,
        public_key,
        fingerprint: public.fingerprint().to_string(),
    })
}

fn new_key() -> Result<PrivateKey, Error> {
    keyring::keep_secrets();
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(Error::Random)?;
    Ok(PrivateKey::from_seed(&seed))
}

fn random() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(bytes)
}

/// Writes a file without a lasting name. Its mode is 0600 from the beginning.
pub(super) fn stage(
    dir: &Path,
    path: &Path,
    text: &[u8],
    mode: u32,
) -> Result<NamedTempFile, Error> {
    let failed = |source| write_error(path, source);
    let mut file = NamedTempFile::new_in(dir).map_err(failed)?;
    file.write_all(text).map_err(failed)?;
    let permissions = fs::Permissions::from_mode(mode);
    file.as_file()
        .set_permissions(permissions)
        .map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    Ok(file)
}

/// Gives a staged file its name, if nothing has it; otherwise `help` says what to do.
pub(super) fn publish(file: NamedTempFile, path: &Path, help: &'static str) -> Result<(), Error> {
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(path, help)),
        Err(error) => Err(write_error(path, error.error)),
    }
}

fn exists(path: &Path, help: &'static str) -> Error {
    Error::Exists {
        path: path.to_owned(),
        help,
    }
}

fn write_error(path: &Path, source: io::Error) -> Error {
    Error::Write {
        path: path.to_owned(),
        source: plain(source),
    }
}

impl Report for Pair {
    fn text(&self) -> String {
        format!(
            "private key  {} (keep it secret)\npublic key   {} (give it to those who verify)\nfingerprint  {}\n",
            shown(&self.private_key),
            shown(&self.public_key),
            self.fingerprint
        )
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
