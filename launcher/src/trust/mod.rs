//! Whom this host trusts: the keys in its stores, what limits them, what continues them, and what is revoked.
//!
//! A store is a directory of small text files, in flavorpack's format with a few more lines ([`key_file`]):
//! `trusted-keys` in the system's configuration directory and in the user's ([`config`]). Beside it lies `revoked-keys`.
//! What is not a good file counts for nothing and is told about as a [`Fault`]; what others could have written counts for
//! nothing either.

pub mod config;
pub mod file;
pub mod key_file;
pub mod revoked;

use std::path::PathBuf;

use psp_format::VerifiedPackage;
use psp_format::digest::Digest;
use psp_format::signature::PublicKey;
use psp_format::succession;

pub use self::config::{Config, Host, Relative};
use self::file::{Fault, Problem};
pub use self::key_file::KeyFile;

/// Longest chain of statements by which keys continue each other.
pub const MAX_CHAIN: usize = 8;
/// Most files of one store that are read.
const MAX_FILES: usize = 4096;
/// Largest file of a key or a statement, in bytes.
pub const MAX_FILE: usize = 64 << 10;

/// A trusted key, and the file that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub file: KeyFile,
}

/// A statement that one key continues another, and the file that it lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuation {
    /// The file.
    pub path: PathBuf,
    /// The key that signed the statement.
    pub old: [u8; 32],
    /// The key that continues it.
    pub new: [u8; 32],
}

/// The trusted keys of this host, or as many of them as count.
#[derive(Debug, Default)]
pub struct Trust {
    /// Keys, in the order of stores and directories.
    pub keys: Vec<Key>,
    /// Statements by which keys continue each other.
    pub continuations: Vec<Continuation>,
    /// Fingerprints that are revoked.
    pub revoked: Vec<Digest>,
    /// Stores and files that count for nothing.
    pub faults: Vec<Fault>,
}

/// What a host thinks of a signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'t> {
    /// It is trusted for this package.
    Trusted {
        /// By this file.
        key: &'t Key,
        /// Fingerprint of the key in that file, where the signer continues it.
        continues: Option<Digest>,
    },
    /// Its key lies in the store, for other packages only.
    OutOfScope(&'t Key),
    /// Its key lies in the store and has expired.
    Expired(&'t Key),
    /// It continues a key that is revoked.
    Revoked(Digest),
    /// Nothing says that it is trusted.
    Unknown,
}

impl Trust {
    /// Adds what lies in a store. A store that is not there adds nothing.
    pub fn add(&mut self, store: &Config) {
        let names = match store.names() {
            Ok(names) => names,
            Err(fault) => return self.faults.push(fault),
        };
        for name in names.iter().take(MAX_FILES) {
            let result = if name.ends_with(b".pub") {
                self.add_key(store, name)
            } else if name.ends_with(b".succession") {
                self.add_continuation(store, name)
            } else {
                Ok(())
            };
            self.faults.extend(result.err());
        }
        if names.len() > MAX_FILES {
            self.faults.push(store.fault(b"", Problem::TooLarge));
        }
    }

    fn add_key(&mut self, store: &Config, name: &[u8]) -> Result<(), Fault> {
        let text = store.read(name, MAX_FILE)?.unwrap_or_default();
        let file =
            key_file::read(&text).map_err(|fault| store.fault(name, Problem::KeyFile(fault)))?;
        let path = store.path(name);
        self.keys.push(Key { path, file });
        Ok(())
    }

    fn add_continuation(&mut self, store: &Config, name: &[u8]) -> Result<(), Fault> {
        let text = store.read(name, MAX_FILE)?.unwrap_or_default();
        let statement = succession::read(&text)
            .map_err(|fault| store.fault(name, Problem::Succession(fault)))?;
        self.continuations.push(Continuation {
            path: store.path(name),
            old: *statement.old_key().as_bytes(),
            new: *statement.new_key().as_bytes(),
        });
        Ok(())
    }

    /// The signer that this host thinks best of: whoever holds a package can change the order of its signers and leave
    /// some out, so one that is trusted is enough.
    pub fn best<'p>(
        &self,
        package: &'p VerifiedPackage,
        now: u64,
    ) -> (&'p PublicKey, Standing<'_>) {
        let name = &package.metadata().package.name;
        let first = package.signer();
        let mut best = (first, self.standing(first, name, now));
        for signer in package.signers().skip(1) {
            let standing = self.standing(signer, name, now);
            let is_better = match (standing, best.1) {
                (_, Standing::Trusted { .. }) => false,
                (Standing::Trusted { .. }, _) | (_, Standing::Unknown) => true,
                _ => false,
            };
            if is_better {
                best = (signer, standing);
            }
        }
        best
    }

    /// What this host thinks of the signer of the package `name`, at `now` (seconds since 1970).
    ///
    /// A key that continues another one is trusted as that one is, for the same packages, and also after that one has
    /// expired; not when either is revoked.
    pub fn standing(&self, signer: &PublicKey, name: &str, now: u64) -> Standing<'_> {
        let signer = signer.as_bytes();
        let mut best = Standing::Unknown;
        // The signer, the keys that it continues, the keys that those continue, and so on.
        let mut round = vec![*signer];
        for _ in 0..=MAX_CHAIN {
            for key in &round {
                let found = self.standing_of(key, name, now, key != signer);
                if matches!(found, Standing::Trusted { .. }) {
                    return found;
                }
                if matches!(best, Standing::Unknown) {
                    best = found;
                }
            }
            // A revoked key is followed no further: what it continues does not speak for it.
            round.retain(|key| !self.is_revoked(key));
            let next = self.continuations.iter();
            let next = next.filter(|link| round.contains(&link.new));
            round = next.map(|link| link.old).collect();
        }
        best
    }

    fn standing_of(
        &self,
        key: &[u8; 32],
        name: &str,
        now: u64,
        is_continued: bool,
    ) -> Standing<'_> {
        if self.is_revoked(key) {
            return Standing::Revoked(Digest::of(key));
        }
        let mut best = Standing::Unknown;
        for entry in self.keys.iter().filter(|entry| entry.file.key == *key) {
            if !entry.file.covers(name) {
                best = Standing::OutOfScope(entry);
            } else if !is_continued && entry.file.has_expired(now) {
                best = Standing::Expired(entry);
            } else {
                let continues = is_continued.then(|| Digest::of(key));
                return Standing::Trusted {
                    key: entry,
                    continues,
                };
            }
        }
        best
    }

    fn is_revoked(&self, key: &[u8; 32]) -> bool {
        !self.revoked.is_empty() && self.revoked.contains(&Digest::of(key))
    }
}

#[cfg(test)]
mod tests {
    use psp_format::signature::PrivateKey;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn public(seed: &str) -> PublicKey {
        PrivateKey::from_text_seed(seed).public_key()
    }

    fn key(seed: &str, packages: &[&str], expires: Option<u64>) -> Key {
        Key {
            path: format!("{seed}.pub").into(),
            file: KeyFile {
                key: *public(seed).as_bytes(),
                name: Some(seed.to_owned()),
                packages: packages.iter().map(|&glob| glob.to_owned()).collect(),
                expires,
            },
        }
    }

    fn link(old: &str, new: &str) -> Continuation {
        Continuation {
            path: format!("{new}.succession").into(),
            old: *public(old).as_bytes(),
            new: *public(new).as_bytes(),
        }
    }

    fn describe(trust: &Trust, signer: &str, package: &str) -> String {
        let seed = |key: &Key| key.file.name.clone().unwrap_or_default();
        match trust.standing(&public(signer), package, NOW) {
            Standing::Trusted {
                key,
                continues: None,
            } => seed(key),
            Standing::Trusted {
                key,
                continues: Some(old),
            } => {
                assert_eq!(old, Digest::of(&key.file.key));
                format!("continues {}", seed(key))
            }
            Standing::OutOfScope(key) => format!("not for this: {}", seed(key)),
            Standing::Expired(key) => format!("expired: {}", seed(key)),
            Standing::Revoked(_) => "revoked".to_owned(),
            Standing::Unknown => "unknown".to_owned(),
        }
    }

    #[test]
    fn limits_of_keys() {
        let trust = Trust {
            keys: vec![
                key("all", &[], None),
                key("scoped", &["acme-*", "tool"], None),
                key("old", &[], Some(NOW - 1)),
                key("today", &[], Some(NOW)),
                key("twice", &["other"], None),
                key("twice", &["acme-?"], None),
            ],
            ..Trust::default()
        };
        for (signer, package, expected) in [
            ("all", "anything", "all"),
            ("scoped", "acme-x", "scoped"),
            ("scoped", "tool", "scoped"),
            ("scoped", "tools", "not for this: scoped"),
            ("scoped", "acme", "not for this: scoped"),
            ("old", "x", "expired: old"),
            ("today", "x", "today"),
            ("twice", "acme-1", "twice"),
            ("twice", "acme-12", "not for this: twice"),
            ("nobody", "x", "unknown"),
        ] {
            assert_eq!(
                describe(&trust, signer, package),
                expected,
                "{signer} {package}"
            );
        }
    }

    #[test]
    fn keys_that_continue_others() {
        let mut trust = Trust {
            keys: vec![key("k0", &["acme-*"], Some(1)), key("b", &[], None)],
            ..Trust::default()
        };
        for n in 0..12 {
            let (old, new) = (format!("k{n}"), format!("k{}", n + 1));
            trust.continuations.push(link(&old, &new));
        }
        // A circle ends.
        trust.continuations.push(link("c2", "c1"));
        trust.continuations.push(link("c1", "c2"));
        for (signer, package, expected) in [
            ("k0", "acme-x", "expired: k0"),
            ("k1", "acme-x", "continues k0"),
            ("k1", "x", "not for this: k0"),
            ("k8", "acme-x", "continues k0"),
            ("k9", "acme-x", "unknown"),
            ("c1", "x", "unknown"),
        ] {
            assert_eq!(
                describe(&trust, signer, package),
                expected,
                "{signer} {package}"
            );
        }
        // Two keys before one: either speaks for it.
        trust.continuations.push(link("b", "k1"));
        assert_eq!(describe(&trust, "k1", "x"), "continues b");
        // A revoked key neither counts nor passes anything on.
        trust.revoked = vec![public("k0").fingerprint()];
        assert_eq!(describe(&trust, "k0", "acme-x"), "revoked");
        assert_eq!(describe(&trust, "k1", "acme-x"), "continues b");
        trust.revoked = vec![public("k1").fingerprint()];
        assert_eq!(describe(&trust, "k1", "acme-x"), "revoked");
        assert_eq!(describe(&trust, "k2", "acme-x"), "revoked");
    }
}
