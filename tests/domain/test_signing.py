"""Signatures, held against values that openssl computed."""

from __future__ import annotations

import hmac
from hashlib import sha256

import pytest

from simulator.domain import signing

SECRET = "whsec_4f7c2a9b1e6d8035"
BODY = b'{"id":"evt_1","type":"vm.running","created_at":"2026-06-15T09:01:30Z","data":{"vmId":"5b0c"}}'

# printf %s "$SECRET" | sha256sum
KEY = "ea41acddbf508b3b82eb3139272d762349694fc77922aa8fb3cac1bed4618910"

# printf %s "$BODY" | openssl dgst -sha256 -hmac "$KEY"
SIGNATURE = "sha256=68849b2bb5232197bb6a4e75f99190c66af78d3c5cb217aaf5d317e66af93eae"

# The same with -mac HMAC -macopt hexkey:$KEY: what a raw digest as the key would give.
SIGNED_WITH_THE_RAW_DIGEST = "sha256=d11a736c5f5a5a6321046c4b7e56648074f41418598d02b3790adaddd38b2b05"


def test_the_key_is_the_lowercase_hex_of_the_secrets_digest() -> None:
    assert signing.key_of(SECRET) == KEY


def test_a_signature_is_that_of_openssl() -> None:
    assert signing.sign(KEY, BODY) == SIGNATURE


def test_a_genuine_signature_is_accepted() -> None:
    assert signing.verify(SECRET, BODY, SIGNATURE)


@pytest.mark.parametrize(
    ("secret", "body", "signature"),
    [
        (SECRET + "x", BODY, SIGNATURE),
        (SECRET, BODY + b" ", SIGNATURE),
        (SECRET, BODY, SIGNATURE.removeprefix("sha256=")),
        (SECRET, BODY, SIGNATURE.upper()),
        (SECRET, BODY, SIGNATURE[:-1]),
        (SECRET, BODY, ""),
        (SECRET, BODY, "sha256=é"),
        (SECRET, BODY, SIGNED_WITH_THE_RAW_DIGEST),
        (SECRET, BODY, "sha256=" + hmac.new(SECRET.encode(), BODY, sha256).hexdigest()),
    ],
)
def test_anything_else_is_refused(secret: str, body: bytes, signature: str) -> None:
    assert not signing.verify(secret, body, signature)
