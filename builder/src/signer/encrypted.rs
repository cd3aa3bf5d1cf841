//! Private keys that are encrypted with a passphrase: PKCS#8 `EncryptedPrivateKeyInfo` in PEM, with PBES2 (RFC 8018),
//! as `openssl genpkey -aes256` and `openssl pkcs8 -topk8` write them.

use pkcs8::der::asn1::OctetString;
use pkcs8::der::pem::PemLabel as _;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use pkcs8::{EncryptedPrivateKeyInfoOwned, EncryptedPrivateKeyInfoRef, LineEnding, SecretDocument};
use psp_format::keys::{self, PemFault};
use psp_format::signature::PrivateKey;
use zeroize::Zeroizing;

use super::passphrase;
use crate::keyring::{Half, KeyError};

/// First line of an encrypted key.
const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
/// Most memory that deriving a key may take, in bytes. OpenSSL's own keys take 16 MiB.
const MAX_MEMORY: u64 = 1 << 30;
/// Rounds of PBKDF2 with SHA-256 for keys that are made here: what OWASP recommends. Every
/// OpenSSL reads it; scrypt with costs that are worth more is too much for OpenSSL's limit.
const ROUNDS: u32 = 600_000;

/// Whether a text holds an encrypted key where the first PEM block should be.
pub(crate) fn is_encrypted(text: &str) -> bool {
    text.find("-----BEGIN ")
        .and_then(|start| text.get(start..))
        .is_some_and(|block| block.starts_with(BEGIN))
}

/// Decrypts the key in `text`, with a passphrase from the environment or the person. `origin` names it in messages.
pub(crate) fn open(text: &str, origin: &str) -> Result<PrivateKey, KeyError> {
    let malformed = || KeyError::Pem {
        origin: origin.to_owned(),
        fault: PemFault::NotEd25519,
        needed: Half::Private,
    };
    let unread = || KeyError::Encryption {
        origin: origin.to_owned(),
    };
    let document = document(text).ok_or_else(unread)?;
    // What is well formed and not read is mostly another cipher or derivation.
    let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes());
    let info = info.map_err(|_| unread())?;
    if !is_affordable(&info.encryption_algorithm) {
        return Err(unread());
    }
    let passphrase = passphrase::for_key(origin)?;
    // A wrong passphrase is seen in the padding, or, once in 256 times, in what comes out.
    let wrong = || KeyError::WrongPassphrase {
        origin: origin.to_owned(),
    };
    let plain = info.decrypt(passphrase.as_slice()).map_err(|error| {
        use pkcs8::pkcs5::Error as Fault;
        match error {
            pkcs8::Error::EncryptedPrivateKey(
                Fault::UnsupportedAlgorithm { .. } | Fault::AlgorithmParametersInvalid { .. },
            ) => unread(),
            _ => wrong(),
        }
    })?;
    if pkcs8::PrivateKeyInfoRef::try_from(plain.as_bytes()).is_err() {
        return Err(wrong());
    }
    let pem = plain.to_pem("PRIVATE KEY", LineEnding::LF);
    keys::private_key_from_pem(&pem.map_err(|_| malformed())?).map_err(|_| malformed())
}

/// The bytes in the first block, which is an encrypted key's. Lines before and after it are nobody's.
fn document(text: &str) -> Option<SecretDocument> {
    let (_, block) = text.split_at_checked(text.find(BEGIN)?)?;
    let end = block.find(END)?.checked_add(END.len())?;
    // Trailing blanks and CRs, which people's tools leave, are not allowed by RFC 7468's strict form.
    let lines = block.get(..end)?.lines().map(str::trim_end);
    let mut strict = Zeroizing::new(String::with_capacity(end.saturating_add(1)));
    for line in lines {
        strict.push_str(line);
        strict.push('\n');
    }
    let (_, document) = SecretDocument::from_pem(&strict).ok()?;
    Some(document)
}

/// Whether somebody else's file may ask for that much memory. Rounds are limited by the library, and can be ended.
fn is_affordable(scheme: &EncryptionScheme) -> bool {
    match scheme.pbes2().map(|parameters| &parameters.kdf) {
        Some(Kdf::Scrypt(scrypt)) => u64::from(scrypt.block_size)
            .checked_mul(128)
            .and_then(|block| block.checked_mul(scrypt.cost_parameter))
            .is_some_and(|memory| memory <= MAX_MEMORY),
        Some(_) => true,
        // PBES1 is broken ciphers only.
        None => false,
    }
}

/// The key as an encrypted PEM document, with 16 random bytes each for salt and initialisation vector.
pub(crate) fn encrypt(
    key: &PrivateKey,
    passphrase: &[u8],
    (salt, iv): ([u8; 16], [u8; 16]),
) -> Option<Zeroizing<String>> {
    let plain = keys::private_key_to_pem(key).ok()?;
    let (_, plain) = SecretDocument::from_pem(&plain).ok()?;
    let parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS, &salt, iv).ok()?;
    let data = parameters.encrypt(passphrase, plain.as_bytes()).ok()?;
    let info = EncryptedPrivateKeyInfoOwned {
        encryption_algorithm: parameters.into(),
        encrypted_data: OctetString::new(data).ok()?,
    };
    let document = SecretDocument::try_from(&info).ok()?;
    let label = EncryptedPrivateKeyInfoOwned::PEM_LABEL;
    document.to_pem(label, LineEnding::LF).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_block_counts() {
        assert!(is_encrypted(
            "# Name: a\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        ));
        assert!(!is_encrypted("-----BEGIN PRIVATE KEY-----\n"));
        let second = format!("-----BEGIN CERTIFICATE-----\n{BEGIN}");
        assert!(!is_encrypted(&second));
        assert!(!is_encrypted(""));
    }

    #[test]
    fn what_is_encrypted_comes_back() {
        let key = PrivateKey::from_text_seed("encrypted");
        let pem = encrypt(&key, b"a passphrase", ([1; 16], [2; 16])).unwrap_or_default();
        assert!(
            is_encrypted(&pem) && !pem.contains("MC4CAQAwBQYDK2Vw"),
            "{}",
            *pem
        );
        let blanks = format!("text\r\n{}\r\ntext", pem.trim_end().replace('\n', " \r\n"));
        for text in [pem.as_str(), &blanks] {
            let document = document(text).unwrap_or_else(|| panic!("{text}"));
            let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes());
            let plain = info.and_then(|info| info.decrypt("a passphrase"));
            let plain = plain.unwrap_or_else(|e| panic!("{e}"));
            let pem = plain
                .to_pem("PRIVATE KEY", LineEnding::LF)
                .unwrap_or_default();
            let read = keys::private_key_from_pem(&pem).map(|key| key.public_key());
            assert_eq!(read, Ok(key.public_key()));
        }
    }

    #[test]
    fn memory_is_limited() {
        let scrypt = |cost_parameter, block_size| {
            let mut parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(1, &[1; 16], [2; 16])
                .unwrap_or_else(|e| panic!("{e}"));
            parameters.kdf = Kdf::Scrypt(pkcs8::pkcs5::pbes2::ScryptParams {
                salt: b"12345678"
                    .as_slice()
                    .try_into()
                    .unwrap_or_else(|e| panic!("{e}")),
                cost_parameter,
                block_size,
                parallelization: 1,
                key_length: None,
            });
            is_affordable(&parameters.into())
        };
        assert!(scrypt(1 << 14, 8) && scrypt(1 << 20, 8));
        assert!(!scrypt(1 << 21, 8) && !scrypt(1 << 63, 8) && !scrypt(1 << 14, u16::MAX));
    }
}
