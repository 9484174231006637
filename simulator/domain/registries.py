"""Logins for container registries. Their secrets are not kept: nothing here pulls an image [choice]."""

from __future__ import annotations

from typing import ClassVar

from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Index, Row, World

FIELDS = {
    "basic": ("username", "password"),
    "aws_ecr": ("accessKeyId", "secretAccessKey", "region"),
    "gcp_gcr": ("serviceAccountKey",),
}
"""Types of login, and what each needs [2026-10 sdk]."""


class RegistryCredential(Row, frozen=True, kw_only=True):
    """A login of an organization, without its secrets."""

    indexes: ClassVar = {"organization": Index(lambda login: login.organization_id)}

    organization_id: str
    name: str
    server: str
    auth_type: str


def known_credential(world: World, organization_id: str, given: str | None) -> str:
    """The id of a live login of the organization, "" when none is named; refused with 400 otherwise."""
    if not given:
        return ""
    login = world.find(RegistryCredential, given)
    if login is None or login.organization_id != organization_id:
        raise Refusal("bad_request", f"registryCredentialId {given!r} is unknown in this organization")
    return login.id
