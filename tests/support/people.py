"""Callers of every kind, keys with some scopes and sessions of people in some role, and what a refusal is."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from simulator.domain.access import Membership, User
from simulator.kernel.refusal import CODES
from tests.support.cloud import Answer, Cloud

KEYS = "/v1/orgs/{org}/api-keys"
KNOWN_CODES = {row.wire or name for name, row in CODES.items()}
KNOWN_CODES |= {code.upper() for code in KNOWN_CODES}
LINES = {
    "ed25519": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAWcnJ/DxAglh6DbVfAH8VNyYw7eXm6pq9Xx6WMwqI6q ada laptop",
    "nistp256": "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMYK7NSStSQB45em56/F"
    "GcRHF9VUEYybjQUmKdYuTrWgRFWYVRl3ihDhrbUQqNTxgtDCOQevkahBfSipeM2oLx8= ada laptop",
    "nistp521": "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAHrahjPwCUXGhxCQCOd"
    "L3hefsKgmYhwJE4opGdiXU/Oa1ncKwJpeleF764ImMu8nq8HM8nD5yuH9QxxXJL/EWFl0ABznOekbUZ061PlX6c1sOCPw97SmjEvGeVa"
    "vKu/kRndoEatuhTJ398hvC0Oy5TmZ5OjaEtd+4VRFWZf/XsYMGSPHQ== x",
}
"""Public keys made with ssh-keygen."""

FINGERPRINTS = {
    "ed25519": "SHA256:eGilRor4xxXf15OcB5jmUwIMuqslXMgOjfp2J2eBKmg",
    "nistp256": "SHA256:uIQiwuN410uhAKtK3q3saZxa/Ox7P/jkUJ5OR9ha0zw",
    "nistp521": "SHA256:7kxd5G2Icb7o5WwyXYIzI6nyAgmx0x2kTpvOM+3a0VA",
}
"""What `ssh-keygen -l` says of them."""


def sign_in(cloud: Cloud, email: str) -> str:
    """The token of a session."""
    token: str = cloud.do("session.create", user=email)["token"]
    return token


def email_of(cloud: Cloud, role: str) -> str:
    """Somebody who has this role in the cloud's organization."""
    members = cloud.world.select(Membership, "organization", cloud.org)
    user_id = next(member.user_id for member in members if member.role == role)
    return cloud.world.get(User, user_id).email


def session_of(cloud: Cloud, role: str) -> str:
    return sign_in(cloud, email_of(cloud, role))


def newcomer(cloud: Cloud, email: str = "new@example.com") -> str:
    """The session of somebody who has just signed up."""
    cloud.do("user.create", email=email)
    return sign_in(cloud, email)


def mint(cloud: Cloud, *scopes: str, key: str | None = None, **body: Any) -> dict[str, Any]:
    """A new API key, as its creation answered it; without scopes one with full access."""
    wanted = {"name": " ".join(scopes)[:63] or "full", **({"scopes": list(scopes)} if scopes else {}), **body}
    answer = cloud.post(f"{KEYS}/create", wanted, key=key)
    assert answer.status == 200, answer
    made: dict[str, Any] = answer.body
    return made


def refused(answer: Answer, status: int, code: str = "") -> str:
    """Check the body of an error [seed][client]; answers its message."""
    assert answer.status == status, answer
    assert len(json.dumps(answer.body, ensure_ascii=False).encode()) < 4096
    assert UUID(answer.headers["X-Request-Id"]).version == 4
    if answer.error is answer.body:
        assert answer.body["requestId"] == answer.headers["X-Request-Id"]
    else:
        assert answer.error["type"].endswith("_error"), "the inference host's errors have a type [2026-07]"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.code in KNOWN_CODES
    assert code in ("", answer.code), answer
    message: str = answer.error["error" if answer.error is answer.body else "message"]
    assert message
    return message
