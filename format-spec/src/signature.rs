//! Strict Ed25519 (RFC 8032), as M22 asks for it.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::digest::Digest;
use crate::error::{Error, KeyFault};

/// A public key that may be used: canonical, and of prime order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Checks the 32 raw bytes of a key (RFC 8032, 5.1.3, and M22).
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<PublicKey, KeyFault> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyFault::NotAPoint)?;
        if !is_canonical(bytes) {
            return Err(KeyFault::NonCanonical);
        }
        let point = EdwardsPoint::from(key);
        if point.is_small_order() {
            return Err(KeyFault::SmallOrder);
        }
        if !is_prime_order(&point) {
            return Err(KeyFault::MixedOrder);
        }
        Ok(PublicKey(key))
    }

    /// The 32 raw bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// SHA-256 of the raw bytes: the key's name in trust stores and messages.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(self.as_bytes())
    }

    /// Checks a signature over `text`. S at or above the group order and a non-canonical R are refused.
    pub fn verify(&self, text: &[u8], signature: &[u8; 64]) -> Result<(), Error> {
        self.0
            .verify_strict(text, &Signature::from_bytes(signature))
            .map_err(|_| Error::Signature)
    }
}

/// Whether the bytes are the one encoding of their point (RFC 8032, 5.1.3): y is below p = 2^255 - 19, and there is no sign
/// where x is 0, which it is for y = 1 and y = -1.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    let (is_negative, high) = (high & 0x80 != 0, high & 0x7f);
    let ends_in = |low_is: fn(u8) -> bool, filler: u8, top: u8| {
        low_is(*low) && high == top && middle.iter().all(|&byte| byte == filler)
    };
    let is_above = ends_in(|low| low >= 0xed, 0xff, 0x7f);
    let x_is_zero = ends_in(|low| low == 1, 0, 0) || ends_in(|low| low == 0xec, 0xff, 0x7f);
    !(is_above || is_negative && x_is_zero)
}

/// Whether L times the point is nothing, L being the order of the base point: (L - 1) P = -P.
///
/// The library's own test takes twice the time, as it hides a scalar that everybody knows.
#[expect(clippy::arithmetic_side_effects, reason = "a group has no overflow")]
fn is_prime_order(point: &EdwardsPoint) -> bool {
    let minus_one = -Scalar::ONE;
    EdwardsPoint::vartime_double_scalar_mul_basepoint(&minus_one, point, &Scalar::ZERO) == -point
}

/// A private key. It is wiped when dropped (feature `keys`) and never printed.
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// The key with this 32-byte seed (RFC 8032, 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> PrivateKey {
        PrivateKey(SigningKey::from_bytes(seed))
    }

    /// The key that flavorpack's `--key-seed TEXT` gives: SHA-256 of the text is the seed. Whoever knows the text has
    /// the key, so it is for tests only.
    pub fn from_text_seed(text: &str) -> PrivateKey {
        PrivateKey::from_seed(&Digest::of(text.as_bytes()).0)
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `text`.
    pub fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.0.sign(text).to_bytes()
    }

    /// The key for the PEM encoder.
    #[cfg(feature = "keys")]
    pub(crate) fn inner(&self) -> &SigningKey {
        &self.0
    }
}

impl core::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::edwards::CompressedEdwardsY;

    use super::*;

    #[test]
    fn signs_and_verifies() {
        let key = PrivateKey::from_text_seed("a test");
        let signature = key.sign(b"text");
        assert_eq!(key.public_key().verify(b"text", &signature), Ok(()));
        assert_eq!(
            key.public_key().verify(b"texu", &signature),
            Err(Error::Signature)
        );
        assert_eq!(
            PublicKey::from_bytes(key.public_key().as_bytes()),
            Ok(key.public_key())
        );
        assert_eq!(format!("{key:?}"), "PrivateKey(..)");
    }

    #[test]
    fn first_vector_of_rfc_8032() {
        // RFC 8032, 7.1, TEST 1: the empty message.
        let seed =
            Digest::from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public =
            Digest::from_hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let key = PrivateKey::from_seed(&seed.unwrap_or_default().0);
        assert_eq!(Some(Digest(*key.public_key().as_bytes())), public);
        assert_eq!(key.sign(b"")[..4], [0xe5, 0x56, 0x43, 0x00]);
    }

    #[test]
    fn weak_and_ambiguous_keys() {
        use curve25519_dalek::constants::EIGHT_TORSION;
        for point in EIGHT_TORSION {
            assert_eq!(
                PublicKey::from_bytes(&point.compress().0),
                Err(KeyFault::SmallOrder)
            );
        }
        let mut identity_sign = [0; 32];
        (identity_sign[0], identity_sign[31]) = (1, 0x80);
        assert_eq!(
            PublicKey::from_bytes(&identity_sign),
            Err(KeyFault::NonCanonical)
        );
        // y = -1 with a sign, and every y from p on that is a point: p, p + 1, and so on to 2^255 - 1.
        let mut encodings = vec![[0xff; 32]];
        encodings[0][0] = 0xec;
        for low in 0xed..=0xff {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, 0x7f);
            encodings.push(bytes);
        }
        let faults: Vec<_> = encodings.iter().map(PublicKey::from_bytes).collect();
        assert_eq!(faults[..3], [Err(KeyFault::NonCanonical); 3]);
        let refused =
            |fault: &_| matches!(fault, Err(KeyFault::NonCanonical | KeyFault::NotAPoint));
        assert!(faults.iter().all(refused), "{faults:?}");
        let good = PrivateKey::from_text_seed("x").public_key();
        let point = CompressedEdwardsY(*good.as_bytes())
            .decompress()
            .unwrap_or_default();
        for torsion in &EIGHT_TORSION[1..] {
            let mixed = (point + torsion).compress().0;
            assert_eq!(PublicKey::from_bytes(&mixed), Err(KeyFault::MixedOrder));
        }
        let mut no_point = [0; 32];
        no_point[0] = 2;
        assert_eq!(PublicKey::from_bytes(&no_point), Err(KeyFault::NotAPoint));
    }
}
