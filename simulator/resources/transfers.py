"""Offers of a resource to another organization, and the hand-over when one is accepted.

An offer is valid for seven days, but no clock ends it: past that it still shows as pending and counts, until
an accept marks it expired or somebody rejects or withdraws it [2026-10 sdk]. It stands in nobody's way then:
the resource can be offered anew [choice].

A resource keeps its id, place, endpoint and status; whoever accepts pays from that moment on. Its snapshots
stay with those who took them [choice]; the runner configuration and inference keys that a hand-over drops
[2026-10 sdk] are none here, since no VM holds any. `RESOURCES` says what can be offered, and how it is handed
over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import msgspec

from simulator.domain import people, workload
from simulator.domain.access import Organization, User, organization_of_slug
from simulator.kernel import page
from simulator.kernel.instant import DAY_MS, iso
from simulator.kernel.machine import NEW, Machine, row
from simulator.kernel.operation import Area, Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.target import Target, pick
from simulator.kernel.world import Index, Row, World
from simulator.resources.clusters import launch as cluster_launch
from simulator.resources.clusters import lifecycle as clusters
from simulator.resources.clusters.states import LIFECYCLE as CLUSTER_LIFECYCLE
from simulator.resources.clusters.states import Cluster
from simulator.resources.vms import launch as vm_launch
from simulator.resources.vms import lifecycle as vms
from simulator.resources.vms.lifecycle import Vm

STATES = ("pending", "completed", "rejected", "cancelled", "expired")
VALID_DAYS = 7
MOST_OUTGOING = 50


class Transfer(Row, frozen=True, kw_only=True):
    """An offer. It is the source's to withdraw, and the target's to accept or reject."""

    states: ClassVar = STATES
    indexes: ClassVar = {
        "outgoing": Index(lambda offer: offer.organization_id),
        "incoming": Index(lambda offer: offer.target_organization_id if offer.status == "pending" else None),
        "open": Index(lambda offer: offer.resource_id if offer.status == "pending" else None),
    }

    organization_id: str
    """The source."""
    target_organization_id: str
    resource_type: str
    resource_id: str
    resource_name: str
    status: str = NEW
    note: str = ""
    initiated_by: str = ""
    responded_by: str = ""
    responded_at_ms: int | None = None

    @property
    def expires_at_ms(self) -> int:
        return self.created_at_ms + VALID_DAYS * DAY_MS


# fmt: off
LIFE = Machine("Transfer", STATES, [
    # trigger         from       to
    row("offer",      NEW,       "pending"),
    row("accept",     "pending", "completed"),
    row("find_stale", "pending", "expired"),
    row("find_lost",  "pending", "cancelled"),
    row("reject",     "pending", "rejected"),
    row("cancel",     "pending", "cancelled"),
], refusals={
    "accept": {"*": "not_found"},
    "reject": {"*": "not_found"},
    "cancel": {"*": "not_found"},
})
# fmt: on

area = Area("Transfers", scope="vms", machine=LIFE)


# -- operations --------------------------------------------------------------------------------------------


@area.operation("initiateTransfer", write=True, role="admin", effects="offer pending for seven days")
def initiate_transfer(call: Call) -> dict[str, Any]:
    """One open offer per resource [2026-10 sdk]."""
    world, body = call.world, call.body
    kind = _kind(world, body["resourceType"])
    offered = _offered(call, kind, body["resourceId"])
    target = _target(call, body["targetOrgSlug"])
    kind.table.step(offered.status, "transfer", f"{kind.row.__name__} {offered.name!r}")
    rivals = world.select(Transfer, "open", offered.id)
    if any(world.now_ms < rival.expires_at_ms for rival in rivals):
        raise Refusal(
            "conflict", f"{body['resourceType']} {offered.name!r} has an open offer; cancel it first"
        )
    offer = world.put(_new_offer(world, body["resourceType"], offered, target))
    said = {"note": body.get("note", ""), "initiated_by": call.principal.user_id}
    return _request(_move(world, offer, "offer", **said))


@area.operation("listIncomingTransfers")
def list_incoming_transfers(call: Call) -> list[dict[str, Any]]:
    """Pending ones, newest first; those past their end among them [2026-10 sdk]."""
    offers = call.world.select(Transfer, "incoming", call.organization_id)
    return [_item(call.world, offer) for offer in reversed(offers)]


@area.operation("listOutgoingTransfers")
def list_outgoing_transfers(call: Call) -> list[dict[str, Any]]:
    """The newest 50, whatever became of them [2026-10 sdk]."""
    where = ("outgoing", call.organization_id)
    offers, _ = page.newest_first(call.world, Transfer, where, MOST_OUTGOING)
    return [_item(call.world, offer) for offer in offers]


@area.operation("getTransferPendingCount")
def get_transfer_pending_count(call: Call) -> dict[str, Any]:
    """The length of the incoming list [2026-10 sdk]."""
    return {"count": len(call.world.bucket(Transfer, "incoming", call.organization_id))}


@area.operation("listTransferTargetOrgs", role="", keys_allowed="transfers.target_orgs_for_keys")
def list_transfer_target_orgs(call: Call) -> list[dict[str, Any]]:
    """The caller's organizations by name, without the acting one; a key has no others [2026-10 sdk]."""
    world, principal = call.world, call.principal
    if principal.kind == "api_key":
        return []
    mine = people.memberships(world, world.get(User, principal.user_id))
    others = [world.get(Organization, member.organization_id) for member in mine]
    return [
        {"id": other.id, "name": other.name, "slug": other.slug}
        for other in sorted(others, key=lambda other: (other.name, other.slug))
        if other.id != principal.organization_id
    ]


@area.operation(
    "acceptTransfer",
    write=True,
    role="admin",
    finds=Transfer,
    owner="target_organization_id",
    effects="→ completed; the resource changes hands",
)
def accept_transfer(call: Call, offer: Transfer) -> Refusal | None:
    """What stands in the way for good is marked, although the answer is an error [2026-10 sdk]."""
    world, kind = call.world, RESOURCES[offer.resource_type]
    LIFE.step(offer.status, "accept", _label(offer))
    if world.now_ms >= offer.expires_at_ms:
        _answer(call, offer, "find_stale")
        return Refusal("bad_request", f"{_label(offer)} has expired on {iso(offer.expires_at_ms)}")
    ssh_key_ids = kind.new_keys(call)
    offered: Any = world.get(kind.row, offer.resource_id)
    lost = _lost(world, offer, offered)
    if lost:
        _answer(call, offer, "find_lost")
        return lost
    if kind.table.find(offered.status, "transfer") is None:
        raise Refusal("TRANSFER_UNAVAILABLE", f"{_label(offer)} has to wait: it is {offered.status}")
    kind.check_receiver(world, call.organization_id, offered.name)
    _answer(call, offer, "accept")
    for rival in world.select(Transfer, "open", offered.id):
        _move(world, rival, "cancel")
    kind.hand_over(world, offered, call.organization_id, ssh_key_ids)
    return None


@area.operation(
    "rejectTransfer",
    write=True,
    role="admin",
    finds=Transfer,
    owner="target_organization_id",
    effects="→ rejected",
)
def reject_transfer(call: Call, offer: Transfer) -> None:
    """One that is not pending is 404 [2026-10 sdk]."""
    _answer(call, offer, "reject")


@area.operation("cancelTransfer", write=True, role="admin", finds=Transfer, effects="→ cancelled")
def cancel_transfer(call: Call, offer: Transfer) -> None:
    """One that is not pending is 404 [2026-10 sdk]."""
    _move(call.world, offer, "cancel")


# -- what can be offered -----------------------------------------------------------------------------------


class Resource(NamedTuple):
    """A type of resource, and what its area does to hand one over."""

    row: type[Row]
    table: Machine
    """Its trigger `transfer` says in which states it can change hands."""
    new_keys: Callable[[Call], tuple[str, ...]]
    """The SSH keys that the new owner gives it; refused where it needs some."""
    check_receiver: Callable[[World, str, str], None]
    """The new owner's gates, by organization and name of the resource."""
    hand_over: Callable[[World, Any, str, tuple[str, ...]], Any]


def _keys_of_target(call: Call) -> tuple[str, ...]:
    """A VM needs a key of its new owner [2026-10 sdk]."""
    given = (call.body or {}).get("sshKeyIds") or []
    if not given:
        raise Refusal(
            "bad_request", "sshKeyIds is empty; a VM needs at least one key of the accepting organization"
        )
    return vm_launch.known_ssh_keys(call.world, call.organization_id, given)


def _no_keys(call: Call) -> tuple[str, ...]:
    """Nobody logs into a cluster's containers by SSH."""
    return ()


def _hand_over_vm(world: World, vm: Vm, organization_id: str, keys: tuple[str, ...]) -> None:
    """The new owner's keys replace the old ones [2026-10 sdk], or stand beside them [2026-07]."""
    kept = vm.ssh_key_ids if world.settings.word("transfers.ssh_keys") == "kept" else ()
    vms.hand_over(world, vm, organization_id, (*kept, *keys))


def _hand_over_cluster(world: World, cluster: Cluster, organization_id: str, _: tuple[str, ...]) -> None:
    clusters.hand_over(world, cluster, organization_id)


RESOURCES = {
    "vm": Resource(Vm, vms.LIFECYCLE, _keys_of_target, vm_launch.check_receiver, _hand_over_vm),
    "cluster": Resource(
        Cluster, CLUSTER_LIFECYCLE, _no_keys, cluster_launch.check_receiver, _hand_over_cluster
    ),
}


# -- what they share ---------------------------------------------------------------------------------------


def _kind(world: World, resource_type: str) -> Resource:
    """What is known of a type of resource; later only VMs can be offered [2026-10 sdk]."""
    if resource_type == "cluster" and not world.settings.flag("transfers.clusters"):
        raise Refusal("bad_request", "resourceType 'cluster' can no longer be transferred; only vm can")
    return RESOURCES[resource_type]


def _offered(call: Call, kind: Resource, resource_id: str) -> Any:
    offered: Any = call.world.find(kind.row, resource_id)
    if offered is None or offered.organization_id != call.organization_id:
        name = kind.row.__name__
        raise Refusal("not_found", f"{name} {resource_id[:80]!r} is unknown in this organization")
    return offered


def _target(call: Call, slug: str) -> Organization:
    target = call.world.first(Organization, "slug", slug)
    if target is None:
        raise Refusal("not_found", f"no organization has the slug {slug[:80]!r}")
    if target.id == call.organization_id:
        raise Refusal("bad_request", f"targetOrgSlug {slug!r} is the organization's own")
    return target


def _new_offer(world: World, resource_type: str, offered: Any, target: Organization) -> Transfer:
    return Transfer(
        id=workload.new_id(world, "transfer"),
        created_at_ms=world.now_ms,
        organization_id=offered.organization_id,
        target_organization_id=target.id,
        resource_type=resource_type,
        resource_id=offered.id,
        resource_name=offered.name,
    )


def _lost(world: World, offer: Transfer, offered: Any) -> Refusal | None:
    """Why an offer can never be accepted any more; None when it can."""
    if offered.organization_id != offer.organization_id:
        owner = world.get(Organization, offered.organization_id)
        text = f"{_label(offer)} belongs to {owner.name} by now; the offer is cancelled"
        return Refusal("TRANSFER_ACCOUNT_CHANGED", text)
    if offered.status == "terminated":
        return Refusal("TRANSFER_UNAVAILABLE", f"{_label(offer)} is terminated; the offer is cancelled")
    return None


def _move(world: World, offer: Transfer, trigger: str, **fields: Any) -> Transfer:
    """Carry out one row of the table."""
    target = LIFE.step(offer.status, trigger, _label(offer)).target
    told = {"resource": offer.id, "name": offer.resource_name, "from": offer.status, "to": target}
    world.note("transition", **told, trigger=trigger)
    return world.change(offer, status=target, **fields)


def _answer(call: Call, offer: Transfer, trigger: str) -> None:
    """The same, by the organization it was offered to."""
    said = {"responded_by": call.principal.user_id, "responded_at_ms": call.world.now_ms}
    _move(call.world, offer, trigger, **said)


# -- views -------------------------------------------------------------------------------------------------


def _label(offer: Transfer) -> str:
    return f"the offer of {offer.resource_type} {offer.resource_name!r}"


def _offer(offer: Transfer) -> dict[str, Any]:
    """What both views of an offer show."""
    view: dict[str, Any] = {
        "id": offer.id,
        "resourceType": offer.resource_type,
        f"{offer.resource_type}Id": offer.resource_id,
        "status": offer.status,
        "createdAt": iso(offer.created_at_ms),
        "expiresAt": iso(offer.expires_at_ms),
    }
    if offer.note:
        view["note"] = offer.note
    if offer.responded_at_ms is not None:
        view["respondedAt"] = iso(offer.responded_at_ms)
        if offer.status == "completed":
            view["completedAt"] = view["respondedAt"]
    return view


def _request(offer: Transfer) -> dict[str, Any]:
    return _offer(offer) | {
        "sourceOrganizationId": offer.organization_id,
        "targetOrganizationId": offer.target_organization_id,
        "initiatedBy": offer.initiated_by,
    }


def _item(world: World, offer: Transfer) -> dict[str, Any]:
    source = world.get(Organization, offer.organization_id)
    target = world.get(Organization, offer.target_organization_id)
    return _offer(offer) | {
        "resourceName": offer.resource_name,
        "sourceOrgName": source.name,
        "sourceOrgSlug": source.slug,
        "targetOrgName": target.name,
        "targetOrgSlug": target.slug,
    }


# -- fixture -----------------------------------------------------------------------------------------------


class TransferSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An offer that is open when the world begins, made by the owner of what is offered."""

    name: str
    """Of the resource."""
    type: Literal["vm", "cluster"] = "vm"
    to: str
    """Slug."""
    note: str = ""
    days_ago: int = 0


@area.seed("transfers", list[TransferSpec])
def seed_transfers(world: World, specs: list[TransferSpec]) -> None:
    for spec in specs:
        kind = RESOURCES[spec.type]
        offered: Any = pick(world, kind.row, Target(name=spec.name))
        target = organization_of_slug(world, spec.to)
        assert target.id != offered.organization_id, f"{spec.name} belongs to {spec.to!r} already"
        assert spec.days_ago >= 0, f"days_ago {spec.days_ago} is under 0"
        kind.table.step(offered.status, "transfer", spec.name)
        offer = _new_offer(world, spec.type, offered, target)
        began = world.now_ms - spec.days_ago * DAY_MS
        world.put(msgspec.structs.replace(offer, status="pending", note=spec.note, created_at_ms=began))
