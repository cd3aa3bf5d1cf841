"""Ed25519 (RFC 8032, 5.1) with the rules of SPEC.md, M22, in plain integers: slow, short, and nobody's library."""

import hashlib
from functools import lru_cache

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


class SignatureError(Exception):
    """Why a signature is refused."""


# Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z (RFC 8032, 5.1.4).
IDENTITY = (0, 1, 1, 0)


def add(left, right):
    a = (left[1] - left[0]) * (right[1] - right[0]) % P
    b = (left[1] + left[0]) * (right[1] + right[0]) % P
    c = 2 * left[3] * right[3] * D % P
    d = 2 * left[2] * right[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar, point):
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def equal(left, right):
    same_x = left[0] * right[2] % P == right[0] * left[2] % P
    return same_x and left[1] * right[2] % P == right[1] * left[2] % P


def decode(encoding):
    """The point of a canonical encoding."""
    number = int.from_bytes(encoding, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= P:
        raise SignatureError("y is not below p")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        raise SignatureError("not a point of the curve")
    if x == 0 and sign:
        raise SignatureError("x is zero and its sign is set")
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


@lru_cache
def decode_key(encoding):
    key = decode(encoding)
    if equal(multiply(8, key), IDENTITY):
        raise SignatureError("key of small order")
    if not equal(multiply(ORDER, key), IDENTITY):
        raise SignatureError("key of mixed order")
    return key


def verify(key, signature, message):
    """Raises SignatureError unless the signature is one of this key over this message."""
    point = decode_key(key)
    commitment = decode(signature[:32])
    if equal(multiply(8, commitment), IDENTITY):
        raise SignatureError("R of small order")
    scalar = int.from_bytes(signature[32:], "little")
    if scalar >= ORDER:
        raise SignatureError("S is not below the group order")
    digest = hashlib.sha512(signature[:32] + key + message).digest()
    challenge = int.from_bytes(digest, "little") % ORDER
    # Without the cofactor: what a key without torsion signs satisfies this one, too.
    if not equal(multiply(scalar, BASE), add(commitment, multiply(challenge, point))):
        raise SignatureError("the signature is not of this key and text")
