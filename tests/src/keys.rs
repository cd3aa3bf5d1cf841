//! Signers from fixed seeds, and Ed25519 (RFC 8032, 5.1) done by hand so that every step can go wrong.
//!
//! The seeds are constants in this file: no private key lies in the repository, and nothing outside tests may trust
//! what these keys sign.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use sha2::{Digest, Sha512};

/// Seed of the key that signs every valid vector.
pub const SIGNER: [u8; 32] = *b"psp-testkit: the usual signer...";
/// Seed of a second key, for packages that are signed by somebody else.
pub const OTHER: [u8; 32] = *b"psp-testkit: somebody else......";

/// Order of the prime-order subgroup, little-endian (RFC 8032, 5.1: 2^252 + 27742317777372353535851937790883648493).
pub const ORDER: [u8; 32] = [
    0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// `dom2(1, "")` of RFC 8032: what Ed25519ph puts before every hash.
const DOM2_PH: &[u8] = b"SigEd25519 no Ed25519 collisions\x01\x00";

/// What a package carries for its signature.
#[derive(Clone, Copy)]
pub struct Signed {
    /// Bytes of the field `public_key`.
    pub key: [u8; 32],
    /// First 64 bytes of the field `signature`: R and S.
    pub signature: [u8; 64],
}

/// The secret half of a key: its scalar, and the prefix that nonces are derived from.
pub struct Secret {
    pub(crate) scalar: Scalar,
    prefix: [u8; 32],
}

impl Secret {
    /// Key of a seed, as RFC 8032, 5.1.5 derives it.
    pub fn from_seed(seed: [u8; 32]) -> Secret {
        let hash: [u8; 64] = Sha512::digest(seed).into();
        let (low, high) = hash.split_at(32);
        let mut scalar: [u8; 32] = low.try_into().expect("half of 64");
        scalar[0] &= 0xF8;
        scalar[31] = (scalar[31] & 0x7F) | 0x40;
        Secret {
            scalar: Scalar::from_bytes_mod_order(scalar),
            prefix: high.try_into().expect("half of 64"),
        }
    }

    /// The public point.
    pub fn point(&self) -> EdwardsPoint {
        ED25519_BASEPOINT_POINT * self.scalar
    }

    /// The public key as it stands in a package.
    pub fn public(&self) -> [u8; 32] {
        self.point().compress().to_bytes()
    }

    fn nonce(&self, dom: &[u8], text: &[u8]) -> Scalar {
        hash_to_scalar(&[dom, &self.prefix, text])
    }

    /// The signature that everybody accepts.
    pub fn sign(&self, text: &[u8]) -> Signed {
        let nonce = self.nonce(&[], text);
        self.sign_as(
            self.public(),
            nonce,
            (ED25519_BASEPOINT_POINT * nonce).compress().to_bytes(),
            &[],
            text,
        )
    }

    /// Ed25519ph of RFC 8032: another context, so another signature.
    pub fn sign_prehashed(&self, text: &[u8]) -> Signed {
        let hashed: [u8; 64] = Sha512::digest(text).into();
        let nonce = self.nonce(DOM2_PH, &hashed);
        let point = (ED25519_BASEPOINT_POINT * nonce).compress().to_bytes();
        self.sign_as(self.public(), nonce, point, DOM2_PH, &hashed)
    }

    /// S = r + k a, with the encodings of key and R chosen by the caller: they enter the hash as they are.
    fn sign_as(
        &self,
        key: [u8; 32],
        nonce: Scalar,
        point: [u8; 32],
        dom: &[u8],
        text: &[u8],
    ) -> Signed {
        let challenge = hash_to_scalar(&[dom, &point, &key, text]);
        join(key, point, (nonce + challenge * self.scalar).to_bytes())
    }

    /// R and S of the same signature with the group order added to S: the same equation, another encoding.
    pub fn sign_unreduced(&self, text: &[u8]) -> Signed {
        self.sign_with_orders(1, text)
    }

    /// R and S of the same signature with the group order added to S so many times (at most 14): the same equation,
    /// another encoding.
    pub fn sign_with_orders(&self, times: u16, text: &[u8]) -> Signed {
        let mut signed = self.sign(text);
        let mut carry = 0u16;
        for (byte, order) in signed.signature[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(order) * times + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        signed
    }

    /// R is the identity in the given encoding (the nonce is zero). The equation holds.
    pub fn sign_with_identity_nonce(&self, encoding: [u8; 32], text: &[u8]) -> Signed {
        self.sign_as(self.public(), Scalar::ZERO, encoding, &[], text)
    }

    /// R has a torsion part: the equation with the cofactor holds, the one without does not.
    pub fn sign_with_torsion_nonce(&self, text: &[u8]) -> Signed {
        let nonce = self.nonce(&[], text);
        let point = (ED25519_BASEPOINT_POINT * nonce + EIGHT_TORSION[1])
            .compress()
            .to_bytes();
        self.sign_as(self.public(), nonce, point, &[], text)
    }

    /// The key has a torsion part, and the nonce is searched until a verifier that does not look accepts.
    pub fn sign_with_mixed_key(&self, text: &[u8]) -> Signed {
        let key = (self.point() + EIGHT_TORSION[1]).compress().to_bytes();
        search(|nonce| {
            let point = (ED25519_BASEPOINT_POINT * nonce).compress().to_bytes();
            let challenge = hash_to_scalar(&[&point, &key, text]);
            let vanishes = (EIGHT_TORSION[1] * challenge) == EdwardsPoint::identity();
            vanishes.then(|| self.sign_as(key, nonce, point, &[], text))
        })
    }
}

/// A signature by a key of small order: nobody's secret is needed, and a verifier that does not look accepts.
/// `torsion` picks one of the eight points; 0 is the identity.
pub fn sign_with_small_key(torsion: usize, text: &[u8]) -> Signed {
    let point = EIGHT_TORSION[torsion];
    sign_with_weak_encoding(point, point.compress().to_bytes(), text)
}

/// As [`sign_with_small_key`] for the identity, in an encoding chosen by the caller.
pub fn sign_with_encoded_identity(encoding: [u8; 32], text: &[u8]) -> Signed {
    sign_with_weak_encoding(EdwardsPoint::identity(), encoding, text)
}

fn sign_with_weak_encoding(key_point: EdwardsPoint, key: [u8; 32], text: &[u8]) -> Signed {
    search(|nonce| {
        let point = (ED25519_BASEPOINT_POINT * nonce).compress().to_bytes();
        let challenge = hash_to_scalar(&[&point, &key, text]);
        ((key_point * challenge) == EdwardsPoint::identity())
            .then(|| join(key, point, nonce.to_bytes()))
    })
}

/// The identity (y = 1) encoded canonically.
pub const IDENTITY: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

/// The identity with y written as p + 1 instead of 1.
pub const IDENTITY_ABOVE_P: [u8; 32] = {
    let mut bytes = [0xFF; 32];
    bytes[0] = 0xEE;
    bytes[31] = 0x7F;
    bytes
};

/// The identity with the sign bit set, although x is zero.
pub const IDENTITY_NEGATIVE: [u8; 32] = {
    let mut bytes = IDENTITY;
    bytes[31] = 0x80;
    bytes
};

/// The same with the sign bit set.
pub const IDENTITY_ABOVE_P_NEGATIVE: [u8; 32] = negative(IDENTITY_ABOVE_P);

/// A point of order 4 with y written as p instead of 0.
pub const ORDER_4_AS_P: [u8; 32] = {
    let mut bytes = IDENTITY_ABOVE_P;
    bytes[0] = 0xED;
    bytes
};

/// The other point of order 4, with y written as p.
pub const ORDER_4_AS_P_NEGATIVE: [u8; 32] = negative(ORDER_4_AS_P);

/// The point of order 2 (y = -1) with the sign bit set, although x is zero.
pub const ORDER_2_NEGATIVE: [u8; 32] = {
    let mut bytes = [0xFF; 32];
    bytes[0] = 0xEC;
    bytes
};

/// y = p + 3, a point of large order that nobody knows the secret of.
pub const LARGE_ABOVE_P: [u8; 32] = {
    let mut bytes = IDENTITY_ABOVE_P;
    bytes[0] = 0xF0;
    bytes
};

/// Its negative.
pub const LARGE_ABOVE_P_NEGATIVE: [u8; 32] = negative(LARGE_ABOVE_P);

const fn negative(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes[31] |= 0x80;
    bytes
}

/// y = 2 is not the y of a point on the curve.
pub const NOT_A_POINT: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 2;
    bytes
};

fn search(attempt: impl Fn(Scalar) -> Option<Signed>) -> Signed {
    // One nonce in eight makes an element of order eight vanish.
    (1u64..1000)
        .find_map(|number| attempt(Scalar::from(number)))
        .expect("one in eight")
}

pub(crate) fn hash_to_scalar(parts: &[&[u8]]) -> Scalar {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

pub(crate) fn join(key: [u8; 32], point: [u8; 32], scalar: [u8; 32]) -> Signed {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&point);
    signature[32..].copy_from_slice(&scalar);
    Signed { key, signature }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 8032, 7.1, TEST 2.
    #[test]
    fn signs_as_the_rfc_does() {
        let seed = [
            0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11,
            0x4e, 0x0f, 0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed,
            0x4f, 0xb8, 0xa6, 0xfb,
        ];
        let signed = Secret::from_seed(seed).sign(&[0x72]);
        assert_eq!(
            hex(&signed.key),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        );
        assert_eq!(
            hex(&signed.signature),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
    }

    /// RFC 8032, 7.3 has one Ed25519ph vector; its message is "abc".
    #[test]
    fn prehashes_as_the_rfc_does() {
        let seed = [
            0x83, 0x3f, 0xe6, 0x24, 0x09, 0x23, 0x7b, 0x9d, 0x62, 0xec, 0x77, 0x58, 0x75, 0x20,
            0x91, 0x1e, 0x9a, 0x75, 0x9c, 0xec, 0x1d, 0x19, 0x75, 0x5b, 0x7d, 0xa9, 0x01, 0xb9,
            0x6d, 0xca, 0x3d, 0x42,
        ];
        let signed = Secret::from_seed(seed).sign_prehashed(b"abc");
        assert!(hex(&signed.signature).starts_with("98a70222f0b8121aa9d30f813d683f80"));
    }
}
