//! Who signed a package, and who of them is trusted here.

use std::path::PathBuf;

use psp_format::VerifiedPackage;
use psp_format::digest::Digest;
use psp_format::signature::PublicKey;
use serde::Serialize;

use crate::base;
use crate::cli::Trusting;
use crate::keyring::{Distrust, TrustStore, signer_text};
use crate::printer::escape;

/// One signer, as `--json` names them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Signer {
    pub(super) fingerprint: String,
    pub(super) name: Option<String>,
    /// Whether this host trusts the key.
    pub(super) trusted: bool,
    /// Fingerprint of the trusted key that it continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) continues: Option<String>,
    /// Why it is not trusted, although the host knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// The file that says who is trusted.
    #[serde(skip)]
    pub(super) file: Option<PathBuf>,
    /// Whether its key is revoked here.
    #[serde(skip)]
    pub(super) revoked: bool,
    /// The trusted key that speaks for this one: counted once, however many keys it speaks for (SPEC.md, M14).
    #[serde(skip)]
    trusted_as: Option<Digest>,
}

/// Every signer of a package: the first one, then those beside it.
pub(super) fn of(package: &VerifiedPackage, trust: &TrustStore) -> Vec<Signer> {
    of_keys(package.signers(), &package.metadata().package.name, trust)
}

/// The signer of a base package: there is one.
pub(super) fn of_base(package: &base::Package, trust: &TrustStore) -> Vec<Signer> {
    let key = std::iter::once(package.signer());
    of_keys(key, &package.metadata().name, trust)
}

fn of_keys<'k>(
    keys: impl Iterator<Item = &'k PublicKey>,
    name: &str,
    trust: &TrustStore,
) -> Vec<Signer> {
    let signer = |key: &PublicKey| {
        let known = trust.known(key, name);
        let (own, trusted_as) = (key.fingerprint(), known.trusted_as);
        let continues = trusted_as.filter(|trusted| *trusted != own);
        Signer {
            fingerprint: own.to_string(),
            name: known.name,
            trusted: trusted_as.is_some(),
            continues: continues.map(|old| old.to_string()),
            file: known.file,
            revoked: known.distrust == Some(Distrust::Revoked),
            reason: match known.distrust {
                None | Some(Distrust::Unknown) => None,
                Some(Distrust::Limited(reason)) => Some(reason),
                Some(Distrust::Revoked) => Some("its key is revoked on this host".to_owned()),
            },
            trusted_as,
        }
    };
    keys.map(signer).collect()
}

/// How many different keys that are trusted here have signed. A signer whose key is revoked makes that none: nothing
/// starts that it has signed.
pub(super) fn count_trusted(signers: &[Signer]) -> usize {
    if signers.iter().any(|signer| signer.revoked) {
        return 0;
    }
    let mut keys: Vec<&Digest> = Vec::new();
    for key in signers
        .iter()
        .filter_map(|signer| signer.trusted_as.as_ref())
    {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys.len()
}

/// How many of them are asked for.
pub(super) fn needed(trusting: &Trusting) -> usize {
    match trusting.threshold {
        Some(threshold) => usize::from(threshold),
        None => usize::from(trusting.require_trusted),
    }
}

impl Signer {
    /// Whoever signed does not vouch for what is not valid.
    pub(super) fn distrust(&mut self) {
        (self.trusted, self.trusted_as, self.continues) = (false, None, None);
    }

    /// The signer's name and fingerprint.
    pub(super) fn who(&self) -> String {
        signer_text(self.name.as_deref(), &self.fingerprint)
    }

    /// The signer in a message, with what else is known of it.
    pub(super) fn text(&self) -> String {
        let text = self.who();
        match (&self.continues, &self.reason) {
            (Some(old), _) => format!("{text}, continues {old}"),
            (None, Some(reason)) => format!("{text} [{}]", escape(reason)),
            (None, None) => text,
        }
    }
}

/// Signers in a message.
pub(super) fn texts<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> String {
    let texts: Vec<String> = signers.into_iter().map(Signer::text).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(trusted_as: Option<&str>) -> Signer {
        Signer {
            fingerprint: String::new(),
            name: None,
            trusted: trusted_as.is_some(),
            continues: None,
            reason: None,
            file: None,
            revoked: false,
            trusted_as: trusted_as.map(|seed| Digest::of(seed.as_bytes())),
        }
    }

    #[test]
    fn a_key_counts_once() {
        for (trusted_as, expected) in [
            (&[][..], 0),
            (&[None, None], 0),
            (&[Some("a"), None, Some("b")], 2),
            (&[Some("a"), Some("b"), Some("a")], 2),
        ] {
            let signers: Vec<Signer> = trusted_as.iter().map(|seed| signer(*seed)).collect();
            assert_eq!(count_trusted(&signers), expected);
        }
        let mut revoked = vec![signer(Some("a")), signer(None)];
        revoked[1].revoked = true;
        assert_eq!(count_trusted(&revoked), 0);
    }

    #[test]
    fn a_threshold_says_more_than_a_flag() {
        let ask = |require_trusted, threshold| {
            needed(&Trusting {
                trusted_keys: Vec::new(),
                require_trusted,
                threshold,
            })
        };
        let answers = [
            ask(false, None),
            ask(true, None),
            ask(false, Some(3)),
            ask(true, Some(1)),
        ];
        assert_eq!(answers, [0, 1, 3, 1]);
    }
}
