//! Who signed a package, and who of them is trusted here.

use psp_format::VerifiedPackage;
use psp_format::signature::PublicKey;
use serde::Serialize;

use crate::cli::Trusting;
use crate::keyring::{TrustStore, signer_text};

/// One signer, as `--json` names them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Signer {
    pub(super) fingerprint: String,
    pub(super) name: Option<String>,
    /// Whether this host trusts the key.
    pub(super) trusted: bool,
    /// The trusted key that speaks for this one: counted once, however many keys it speaks for (SPEC.md, M14).
    #[serde(skip)]
    trusted_as: Option<PublicKey>,
}

/// Every signer of a package: the first one, then those beside it.
pub(super) fn of(package: &VerifiedPackage, trust: &TrustStore) -> Vec<Signer> {
    let signer = |key: &PublicKey| {
        let known = trust.find(key);
        Signer {
            fingerprint: key.fingerprint().to_string(),
            name: known.and_then(|known| known.name.clone()),
            trusted: known.is_some(),
            trusted_as: known.map(|known| known.key),
        }
    };
    package.signers().map(signer).collect()
}

/// How many different keys that are trusted here have signed.
pub(super) fn count_trusted(signers: &[Signer]) -> usize {
    let mut keys: Vec<&PublicKey> = Vec::new();
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
        (self.trusted, self.trusted_as) = (false, None);
    }

    /// The signer in a message.
    pub(super) fn text(&self) -> String {
        signer_text(self.name.as_deref(), &self.fingerprint)
    }
}

/// Signers in a message.
pub(super) fn texts<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> String {
    let texts: Vec<String> = signers.into_iter().map(Signer::text).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use psp_format::signature::PrivateKey;

    use super::*;

    fn signer(trusted_as: Option<&str>) -> Signer {
        Signer {
            fingerprint: String::new(),
            name: None,
            trusted: trusted_as.is_some(),
            trusted_as: trusted_as.map(|seed| PrivateKey::from_text_seed(seed).public_key()),
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
