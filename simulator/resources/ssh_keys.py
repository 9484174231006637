"""SSH public keys of an organization, to be attached to its VMs.

A key is kept canonically and known by its material: its comment does not make it another [choice].
"""

from __future__ import annotations

from typing import Any

import msgspec

from simulator.domain import ssh, workload
from simulator.domain.access import organization_of_slug
from simulator.domain.ssh import SshKey
from simulator.kernel.instant import iso
from simulator.kernel.operation import Area, Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import World
from simulator.resources.vms.lifecycle import Vm, scrub_ssh_key

area = Area("SSH Keys", scope="vms")


# -- operations --------------------------------------------------------------------------------------------


@area.operation("listOrgSshKeys")
def list_org_ssh_keys(call: Call) -> list[dict[str, Any]]:
    """Newest first."""
    world, organization_id = call.world, call.organization_id
    vms = _vms_by_key(world, organization_id)
    keys = world.select(SshKey, "organization", organization_id)
    return [_summary(world, key, vms.get(key.id, [])) for key in reversed(keys)]


@area.operation("createOrgSshKey", write=True, effects="key kept")
def create_org_ssh_key(call: Call) -> dict[str, Any]:
    """A bad line is INVALID_KEY, known material KEY_EXISTS [2026-10 sdk]."""
    world, body = call.world, call.body
    key = _add(world, call.organization_id, body["name"], body["publicKey"])
    return _summary(world, key, [])


@area.operation("deleteOrgSshKey", write=True, effects="key deleted, and taken from its VMs")
def delete_org_ssh_key(call: Call) -> None:
    """Nothing happens for an unknown id: the contract lists no 404 [choice]. The last key of a VM: setting
    sshkeys.in_use [2026-10 sdk; 2026-06 lists no 409]."""
    world = call.world
    key = world.find(SshKey, call.path["id"])
    if key is None or key.organization_id != call.organization_id:
        return
    blocking = _blocking(world, _vms_by_key(world, key.organization_id).get(key.id, []))
    if blocking:
        names = ", ".join(vm.name for vm in blocking[:5])
        raise Refusal("KEY_IN_USE", f"{key.name!r} is the last key of {names}; attach another one first")
    scrub_ssh_key(world, key.organization_id, key.id)
    world.delete(key)


# -- what they share ---------------------------------------------------------------------------------------


def _add(world: World, organization_id: str, name: str, line: str) -> SshKey:
    name = workload.check_name(name)
    public_key, fingerprint = ssh.canonical(line)
    known = world.first(SshKey, "material", (organization_id, fingerprint))
    if known:
        raise Refusal("KEY_EXISTS", f"the organization has this key as {known.name!r}, {fingerprint}")
    return world.put(
        SshKey(
            id=workload.new_id(world, "ssh"),
            created_at_ms=world.now_ms,
            organization_id=organization_id,
            name=name,
            public_key=public_key,
            fingerprint=fingerprint,
        )
    )


def _vms_by_key(world: World, organization_id: str) -> dict[str, list[Vm]]:
    """The live VMs that have a key, by the key's id."""
    found: dict[str, list[Vm]] = {}
    for vm in world.select(Vm, "live", organization_id):
        for key_id in vm.ssh_key_ids:
            found.setdefault(key_id, []).append(vm)
    return found


def _blocking(world: World, vms: list[Vm]) -> list[Vm]:
    """Of the VMs that have a key, those that would lose their last one, where that is refused."""
    refused = world.settings.word("sshkeys.in_use") == "refused"
    return [vm for vm in vms if refused and len(vm.ssh_key_ids) == 1]


# -- views -------------------------------------------------------------------------------------------------


def _summary(world: World, key: SshKey, vms: list[Vm]) -> dict[str, Any]:
    """A key and the live VMs of the organization that have it [2026-10 sdk]."""
    return {
        "id": key.id,
        "name": key.name,
        "publicKey": key.public_key,
        "fingerprint": key.fingerprint,
        "createdAt": iso(key.created_at_ms),
        "attachedVmCount": len(vms),
        "blockingVms": [vm.id for vm in _blocking(world, vms)],
    }


# -- fixture -----------------------------------------------------------------------------------------------


class SshKeySpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A key that an organization has when the world begins."""

    organization: str
    """Slug."""
    name: str
    public_key: str


@area.seed("ssh_keys", list[SshKeySpec])
def seed_ssh_keys(world: World, specs: list[SshKeySpec]) -> None:
    for spec in specs:
        owner = organization_of_slug(world, spec.organization)
        _add(world, owner.id, spec.name, spec.public_key)
