"""Logins for container registries, of which the secrets never come back.

Each type of login needs its own fields; one that is missing or empty is refused with 400, and what is sent
beside them is ignored [2026-10 sdk; the latter choice]. Names need not be unique [choice]. One that is in use
can be deleted [choice]: what has been started with it runs on.
"""

from __future__ import annotations

from typing import Any

import msgspec

from simulator.domain import registries, workload
from simulator.domain.access import organization_of_slug
from simulator.domain.registries import RegistryCredential
from simulator.kernel.instant import iso
from simulator.kernel.operation import Area, Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import World

LONGEST_SERVER = 253
"""As a host name [choice]; a path may follow it."""

area = Area("Registry Credentials", scope="vms")


# -- operations --------------------------------------------------------------------------------------------


@area.operation("listOrgRegistryCredentials")
def list_org_registry_credentials(call: Call) -> list[dict[str, Any]]:
    """Newest first."""
    logins = call.world.select(RegistryCredential, "organization", call.organization_id)
    return [_summary(login) for login in reversed(logins)]


@area.operation("createOrgRegistryCredential", write=True, effects="login kept, without its secrets")
def create_org_registry_credential(call: Call) -> dict[str, Any]:
    """Every field of the type must be there [2026-10 sdk]."""
    body = call.body
    _check_fields(body["authType"], body["credentials"])
    return _summary(_add(call.world, call.organization_id, body["name"], body["server"], body["authType"]))


@area.operation("deleteOrgRegistryCredential", write=True, effects="login deleted")
def delete_org_registry_credential(call: Call) -> None:
    """Nothing happens for an unknown id [2026-10 sdk]."""
    login = call.world.find(RegistryCredential, call.path["id"])
    if login is not None and login.organization_id == call.organization_id:
        call.world.delete(login)


# -- what they share ---------------------------------------------------------------------------------------


def _check_fields(auth_type: str, credentials: dict[str, str]) -> None:
    """Name the fields that are missing, never what was sent."""
    needed = registries.FIELDS[auth_type]
    missing = [name for name in needed if not credentials.get(name)]
    if missing:
        raise Refusal(
            "bad_request",
            f"credentials of authType {auth_type} need {', '.join(needed)}; missing is {', '.join(missing)}",
        )


def _add(world: World, organization_id: str, name: str, server: str, auth_type: str) -> RegistryCredential:
    name = workload.check_name(name)
    if not 0 < len(server) <= LONGEST_SERVER or not server.isprintable() or " " in server:
        raise Refusal("bad_request", f"server {server[:80]!r} is no registry such as ghcr.io")
    return world.put(
        RegistryCredential(
            id=workload.new_id(world, "cred"),
            created_at_ms=world.now_ms,
            organization_id=organization_id,
            name=name,
            server=server,
            auth_type=auth_type,
        )
    )


# -- views -------------------------------------------------------------------------------------------------


def _summary(login: RegistryCredential) -> dict[str, Any]:
    return {
        "id": login.id,
        "name": login.name,
        "server": login.server,
        "authType": login.auth_type,
        "createdAt": iso(login.created_at_ms),
    }


# -- fixture -----------------------------------------------------------------------------------------------


class RegistryCredentialSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A login that an organization has when the world begins."""

    organization: str
    """Slug."""
    name: str
    server: str
    auth_type: str = "basic"


@area.seed("registry_credentials", list[RegistryCredentialSpec])
def seed_registry_credentials(world: World, specs: list[RegistryCredentialSpec]) -> None:
    for spec in specs:
        owner = organization_of_slug(world, spec.organization)
        assert spec.auth_type in registries.FIELDS, f"auth_type {spec.auth_type!r} is unknown"
        _add(world, owner.id, spec.name, spec.server, spec.auth_type)
