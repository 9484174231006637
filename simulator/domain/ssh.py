"""SSH public keys: one OpenSSH line, kept canonically, known by its fingerprint."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import ClassVar

from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Index, Row

PARTS = {
    "ssh-ed25519": 2,
    "ssh-rsa": 3,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "sk-ssh-ed25519@openssh.com": 3,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
}
"""Key types, and of how many parts their material is; the first part is the type again."""


class SshKey(Row, frozen=True, kw_only=True):
    """A public key of an organization."""

    indexes: ClassVar = {
        "organization": Index(lambda key: key.organization_id),
        "material": Index(lambda key: (key.organization_id, key.fingerprint)),
    }

    organization_id: str
    name: str
    public_key: str
    fingerprint: str


def canonical(line: str) -> tuple[str, str]:
    """A key line as type, material and comment with single spaces, and its fingerprint SHA256:<base64>.

    Raises Refusal INVALID_KEY, saying what is wrong with the line.
    """
    text = line.strip().replace("\t", " ")
    kind, *rest = text.split() or [""]
    if kind not in PARTS or not rest or not text.isprintable():
        raise Refusal(
            "INVALID_KEY",
            f"publicKey starts with {kind[:40]!r}; it must be one OpenSSH line: a type such as ssh-ed25519, "
            "the base64 material, an optional comment",
        )
    blob = _decoded(rest[0])
    parts = _parts(blob)
    if len(parts) != PARTS[kind] or parts[0] != kind.encode() or not all(parts):
        raise Refusal(
            "INVALID_KEY", f"publicKey has no whole {kind} material after its type: {rest[0][:40]!r}"
        )
    return " ".join([kind, b64encode(blob).decode(), *rest[1:]]), fingerprint(blob)


def fingerprint(blob: bytes) -> str:
    return "SHA256:" + b64encode(sha256(blob).digest()).decode().rstrip("=")


def _decoded(material: str) -> bytes:
    """The bytes of base64 text, none when it is not that."""
    try:
        return b64decode(material, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _parts(blob: bytes) -> list[bytes]:
    """The parts of a key's material, each behind its length; none when it does not come out even."""
    parts = []
    while blob:
        length = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + length:
            return []
        parts.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return parts
