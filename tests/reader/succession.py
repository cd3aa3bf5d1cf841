#!/usr/bin/env python3
"""A second reader of key successions, written from format-spec/SPEC.md, section 6, alone.

    succession.py DIRECTORY

prints the name of each file with "good" or the requirement that it breaks.
"""

import base64
import os
import sys

from ed25519 import SignatureError, decode_key, verify

BEGIN, END = "-----BEGIN FLAVOR KEY SUCCESSION-----", "-----END FLAVOR KEY SUCCESSION-----"
DOMAIN = b"PSPF/2025 key succession 1\0"


def text_of(body):
    digits = base64.b64encode(body).decode()
    lines = [digits[start : start + 64] for start in range(0, len(digits), 64)]
    return "".join(line + "\n" for line in [BEGIN, *lines, END]).encode()


def broken(text):
    """The first requirement that a text breaks."""
    try:
        body = base64.b64decode(b"".join(text.split(b"\n")[1:-2]))
    except ValueError:
        return "M70"
    if len(body) != 155 or text_of(body) != text:
        return "M70"
    if not body.startswith(DOMAIN):
        return "M71"
    old, new = body[27:59], body[59:91]
    try:
        decode_key(old), decode_key(new)
    except SignatureError:
        return "M72"
    if old == new:
        return "M72"
    try:
        verify(old, body[91:], body[:91])
    except SignatureError:
        return "M73"
    return "good"


def main(directory):
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "rb") as file:
            print(name, broken(file.read()))


if __name__ == "__main__":
    main(sys.argv[1])
