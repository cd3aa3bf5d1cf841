//! The twelve kinds of signature with which "Taming the Many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020) tells verifiers
//! apart; its vectors are known as `speccheck`. Each is made here over the text of a package.
//!
//! | number | key | R | S | holds |
//! |---|---|---|---|---|
//! | 0 | small | small | 0 | both equations |
//! | 1 | small | mixed | | both |
//! | 2 | mixed | small | | both |
//! | 3 | mixed | mixed | | both |
//! | 4 | mixed | mixed | | the one with the cofactor |
//! | 5 | mixed | prime order | | the one with the cofactor |
//! | 6 | prime order | prime order | S + L | both |
//! | 7 | prime order | prime order | S + 14 L | both |
//! | 8, 9 | mixed | small, not canonical | | hashed as it is; hashed in canonical form |
//! | 10, 11 | small, not canonical | mixed | | hashed as it is; hashed in canonical form |

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, IsIdentity};

use crate::keys::{
    IDENTITY_ABOVE_P, IDENTITY_ABOVE_P_NEGATIVE, ORDER_4_AS_P, ORDER_4_AS_P_NEGATIVE, Secret,
    Signed, hash_to_scalar, join,
};

/// A point, and how it is written where that is not the canonical way.
struct Written {
    point: EdwardsPoint,
    encoding: Option<[u8; 32]>,
}

impl Written {
    fn canonical(point: EdwardsPoint) -> Written {
        let encoding = None;
        Written { point, encoding }
    }

    fn bytes(&self) -> [u8; 32] {
        let canonical = self.point.compress().to_bytes();
        self.encoding.unwrap_or(canonical)
    }
}

/// Signs a text in the way of this number.
pub fn sign(number: u8, secret: &Secret, text: &[u8]) -> Signed {
    match number {
        6 => return secret.sign_unreduced(text),
        7 => return secret.sign_with_orders(14, text),
        _ => (),
    }
    let mut last = None;
    for attempt in 0..512 {
        let (signed, without_cofactor) = attempt_at(number, attempt, secret, text);
        // A point of order 4 is written as zeros, which say that there is no signature.
        if signed.key == [0; 32] || signed.signature == [0; 64] {
            continue;
        }
        last = Some(signed);
        if without_cofactor != matches!(number, 4 | 5) {
            break;
        }
    }
    // Where no attempt is better, the equation with the cofactor holds.
    last.expect("there are attempts")
}

/// A signature, and whether the equation without the cofactor holds. The one with it does, always.
fn attempt_at(number: u8, attempt: usize, secret: &Secret, text: &[u8]) -> (Signed, bool) {
    let torsion = EIGHT_TORSION[1 + attempt / 8 % 7];
    let other = EIGHT_TORSION[attempt % 8];
    let nonce = Scalar::from(u64::try_from(attempt).expect("512 is small") + 2);
    let has_secret = !matches!(number, 0 | 1 | 10 | 11);
    let has_nonce = !matches!(number, 0 | 2 | 8 | 9);
    let scalar = if has_secret {
        secret.scalar
    } else {
        Scalar::ZERO
    };
    let nonce = if has_nonce { nonce } else { Scalar::ZERO };
    let key = match number {
        10 => not_canonical(ORDER_4_AS_P, 0),
        11 => not_canonical(ORDER_4_AS_P_NEGATIVE, 0x80),
        _ => Written::canonical(ED25519_BASEPOINT_POINT * scalar + torsion),
    };
    let point = match number {
        5 => Written::canonical(ED25519_BASEPOINT_POINT * nonce),
        8 if attempt.is_multiple_of(2) => Written {
            point: EdwardsPoint::identity(),
            encoding: Some(IDENTITY_ABOVE_P),
        },
        8 => Written {
            point: EdwardsPoint::identity(),
            encoding: Some(IDENTITY_ABOVE_P_NEGATIVE),
        },
        9 if attempt.is_multiple_of(2) => not_canonical(ORDER_4_AS_P, 0),
        9 => not_canonical(ORDER_4_AS_P_NEGATIVE, 0x80),
        _ => Written::canonical(ED25519_BASEPOINT_POINT * nonce + other),
    };
    let hashed = |written: &Written| match number {
        9 | 11 => written.point.compress().to_bytes(),
        _ => written.bytes(),
    };
    let challenge = hash_to_scalar(&[&hashed(&point), &hashed(&key), text]);
    let sum = nonce + challenge * scalar;
    let difference = ED25519_BASEPOINT_POINT * sum - point.point - key.point * challenge;
    assert!(
        difference.mul_by_cofactor().is_identity(),
        "number {number}"
    );
    let signed = join(key.bytes(), point.bytes(), sum.to_bytes());
    (signed, difference.is_identity())
}

/// A point of order 4, whose y is 0, with y written as p.
fn not_canonical(encoding: [u8; 32], sign: u8) -> Written {
    let mut canonical = [0; 32];
    canonical[31] = sign;
    let point = CompressedEdwardsY(canonical).decompress();
    Written {
        point: point.expect("a point of order 4"),
        encoding: Some(encoding),
    }
}
