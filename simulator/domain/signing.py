"""Signatures of webhook bodies.

The key of the HMAC is the ASCII text of the secret's SHA-256 in lowercase hex, 64 characters, not the 32 raw
bytes [seed code samples]. So the hex digest is all that has to be kept of a secret.
"""

from __future__ import annotations

import hmac
from hashlib import sha256


def key_of(secret: str) -> str:
    """What is kept of a webhook secret, and signs: its SHA-256 in lowercase hex."""
    return sha256(secret.encode()).hexdigest()


def sign(key: str, body: bytes) -> str:
    """The X-VectorLay-Signature header of a body: sha256=<hex>."""
    return "sha256=" + hmac.new(key.encode("ascii"), body, sha256).hexdigest()


def verify(secret: str, body: bytes, signature: str) -> bool:
    """Whether a signature is genuine, in constant time: what a receiver does."""
    return hmac.compare_digest(sign(key_of(secret), body).encode(), signature.encode())
