//! Ed25519 keys in PEM files: PKCS#8 (RFC 5208, RFC 8410) for private, SPKI for public keys, as OpenSSL writes them.

use core::fmt;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
};
use ed25519_dalek::{SigningKey, VerifyingKey};
use pkcs8::der::zeroize::Zeroizing;

use crate::error::KeyFault;
use crate::signature::{PrivateKey, PublicKey};

/// Why a key file cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PemFault {
    /// The text has no PEM block.
    NoPem,
    /// The PEM block holds something else; its label.
    Label(Kind),
    /// The PEM block is not well formed, or its key is not an Ed25519 key.
    NotEd25519,
    /// The key may not be used.
    Key(KeyFault),
}

/// What a PEM block says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `ENCRYPTED PRIVATE KEY`, or a block with a `Proc-Type: 4,ENCRYPTED` header.
    Encrypted,
    /// `OPENSSH PRIVATE KEY`.
    OpenSsh,
    /// `RSA PRIVATE KEY`.
    Rsa,
    /// `EC PRIVATE KEY`.
    Ec,
    /// A public key where a private one is needed.
    Public,
    /// A private key where a public one is needed.
    Private,
    /// `CERTIFICATE`.
    Certificate,
    /// Anything else.
    Other,
}

impl fmt::Display for PemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PemFault::NoPem => f.write_str("no PEM block (-----BEGIN ...-----)"),
            PemFault::Label(kind) => f.write_str(match kind {
                Kind::Encrypted => "an encrypted private key",
                Kind::OpenSsh => "an OpenSSH private key, not PKCS#8",
                Kind::Rsa => "an RSA key, not Ed25519",
                Kind::Ec => "an EC key, not Ed25519",
                Kind::Public => "a public key, where a private key is needed",
                Kind::Private => "a private key, where a public key is needed",
                Kind::Certificate => "a certificate, not a key",
                Kind::Other => "a PEM block that is not a PKCS#8 or SPKI key",
            }),
            PemFault::NotEd25519 => f.write_str("not a well-formed Ed25519 key"),
            PemFault::Key(fault) => write!(f, "a key that may not be used: {fault}"),
        }
    }
}

impl std::error::Error for PemFault {}

/// Reads a private key: one PKCS#8 PEM block, with any text before it.
pub fn private_key_from_pem(text: &str) -> Result<PrivateKey, PemFault> {
    let block = first_block(text, "PRIVATE KEY")?;
    let key = SigningKey::from_pkcs8_pem(block).map_err(|_| PemFault::NotEd25519)?;
    Ok(PrivateKey::from_seed(key.as_bytes()))
}

/// Reads a public key: one SPKI PEM block, with any text before it.
pub fn public_key_from_pem(text: &str) -> Result<PublicKey, PemFault> {
    let block = first_block(text, "PUBLIC KEY")?;
    let key = VerifyingKey::from_public_key_pem(block).map_err(|_| PemFault::NotEd25519)?;
    PublicKey::from_bytes(key.as_bytes()).map_err(PemFault::Key)
}

/// The private key as a PKCS#8 PEM document. The text is wiped when dropped.
pub fn private_key_to_pem(key: &PrivateKey) -> Result<Zeroizing<String>, PemFault> {
    // Version 1, without the public key: what OpenSSL writes and every reader takes.
    let pair = pkcs8_bytes(key);
    pair.to_pkcs8_pem(LineEnding::LF)
        .map_err(|_| PemFault::NotEd25519)
}

fn pkcs8_bytes(key: &PrivateKey) -> ed25519_dalek::pkcs8::KeypairBytes {
    ed25519_dalek::pkcs8::KeypairBytes {
        secret_key: key.inner().to_bytes(),
        public_key: None,
    }
}

/// The public key as an SPKI PEM document.
pub fn public_key_to_pem(key: &PublicKey) -> Result<String, PemFault> {
    let key = VerifyingKey::from_bytes(key.as_bytes()).map_err(|_| PemFault::NotEd25519)?;
    key.to_public_key_pem(LineEnding::LF)
        .map_err(|_| PemFault::NotEd25519)
}

/// The first PEM block, when it has this label. Flavorpack's trust stores put `# Name:` lines before it.
fn first_block<'a>(text: &'a str, label: &str) -> Result<&'a str, PemFault> {
    let start = text.find("-----BEGIN ").ok_or(PemFault::NoPem)?;
    let block = text.get(start..).unwrap_or_default();
    let found = block
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.split_once("-----"))
        .map(|(label, _)| label)
        .ok_or(PemFault::NoPem)?;
    if found != label {
        return Err(PemFault::Label(kind_of(found)));
    }
    let end_line = format!("-----END {label}-----");
    let end = block.find(&end_line).ok_or(PemFault::NotEd25519)?;
    let block = block
        .get(..end.saturating_add(end_line.len()))
        .unwrap_or(block);
    if block.contains("ENCRYPTED") {
        return Err(PemFault::Label(Kind::Encrypted));
    }
    Ok(block)
}

fn kind_of(label: &str) -> Kind {
    match label {
        "ENCRYPTED PRIVATE KEY" => Kind::Encrypted,
        "OPENSSH PRIVATE KEY" => Kind::OpenSsh,
        "RSA PRIVATE KEY" | "RSA PUBLIC KEY" => Kind::Rsa,
        "EC PRIVATE KEY" => Kind::Ec,
        "PUBLIC KEY" => Kind::Public,
        "PRIVATE KEY" => Kind::Private,
        "CERTIFICATE" => Kind::Certificate,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_back() {
        let key = PrivateKey::from_text_seed("keys");
        let private = private_key_to_pem(&key).unwrap_or_default();
        let public = public_key_to_pem(&key.public_key()).unwrap_or_default();
        assert!(
            private.starts_with("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI"),
            "48 bytes, version 1"
        );
        assert!(
            public.starts_with("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA"),
            "44 bytes"
        );
        let read = private_key_from_pem(&private).map(|key| key.public_key());
        assert_eq!(read, Ok(key.public_key()));
        let labelled = format!("# Name: somebody\n{public}");
        assert_eq!(public_key_from_pem(&labelled), Ok(key.public_key()));
        assert_eq!(
            public_key_from_pem(&public.replace('\n', "\r\n")),
            Ok(key.public_key())
        );
    }

    #[test]
    fn other_documents_are_named() {
        let block = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        for (label, kind) in [
            ("ENCRYPTED PRIVATE KEY", Kind::Encrypted),
            ("OPENSSH PRIVATE KEY", Kind::OpenSsh),
            ("RSA PRIVATE KEY", Kind::Rsa),
            ("EC PRIVATE KEY", Kind::Ec),
            ("PUBLIC KEY", Kind::Public),
            ("CERTIFICATE", Kind::Certificate),
            ("X", Kind::Other),
        ] {
            assert_eq!(
                private_key_from_pem(&block(label)).err(),
                Some(PemFault::Label(kind))
            );
        }
        assert_eq!(
            public_key_from_pem(&block("PRIVATE KEY")),
            Err(PemFault::Label(Kind::Private))
        );
        assert_eq!(
            private_key_from_pem(&block("PRIVATE KEY")).err(),
            Some(PemFault::NotEd25519)
        );
        assert_eq!(private_key_from_pem("").err(), Some(PemFault::NoPem));
        assert_eq!(
            private_key_from_pem("-----BEGIN PRIVATE KEY-----").err(),
            Some(PemFault::NotEd25519)
        );
    }
}
