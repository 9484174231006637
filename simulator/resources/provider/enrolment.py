"""Enrolment: a machine with a provisioning token becomes a node of the token's organization.

The host name says which node it is: the same command run again on the same machine answers the same node, and
nothing is counted twice [docs page]. A new node is offline until it is heard for the first time; then what it
has counts. The request tells neither disk nor place, so a node gets 2,000 GB at the first location of the
catalogue [choice].

A signed enrolment says when it was signed, and more than 300 s off the clock of the service it is refused
[2026-07]. What is signed, and how, no published text says: the signature has to be there and well-formed, and
is not verified [choice].
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import Any, ClassVar

from simulator.domain import access, products, workload
from simulator.domain.capacity import Node
from simulator.kernel.instant import SECOND_MS, iso
from simulator.kernel.machine import NEW
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Index, Row, World
from simulator.resources.provider import hardware, tokens
from simulator.resources.provider.bundle import bundle
from simulator.resources.provider.hardware import Hardware
from simulator.resources.provider.lifecycle import NODE_LIFE
from simulator.resources.provider.nodes import MB_PER_GB
from simulator.resources.provider.tokens import ProvisioningToken

DISK_GB = 2000
MOST_SKEW_S = 300
HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
KEY_BYTES = 32
SIGNATURE_BYTES = 64


class Enrolment(Row, frozen=True, kw_only=True):
    """How a node came; the id is the node's."""

    indexes: ClassVar = {"all": Index(lambda enrolment: "all")}

    number: int
    """Counted from 0: its address on the overlay network follows from it."""
    node_type: str
    node_class: str
    cpu_model: str
    runtime: str


def enrol(world: World, body: dict[str, Any]) -> dict[str, Any]:
    """Everything is checked first; a token that is used up still serves the nodes that it enrolled."""
    token = tokens.presented(world, body["token"])
    access.check_standing(world, token.organization_id)
    hostname = _hostname(body)
    _check_signature(world, body)
    node = _known_node(world, token, hostname)
    machine = hardware.read(world, body)
    if node is None or world.find(Enrolment, node.id) is None:
        _check_quota(world, token)
        node = node or _new_node(world, token, hostname, machine)
        _remember(world, token, node, body, machine)
    return bundle(world, node, token.node_pool, world.get(Enrolment, node.id).number)


# -- checks ------------------------------------------------------------------------------------------------


def _hostname(body: dict[str, Any]) -> str:
    """Without a name, one that the hardware decides [choice]."""
    for member in ("hardwareFingerprint", "nebulaPubkey"):
        if not body[member].strip():
            raise Refusal("unprocessable", f"{member} is empty")
    hostname: str = body.get("hostname") or "node-" + access.digest(body["hardwareFingerprint"])[:12]
    if not HOSTNAME.fullmatch(hostname):
        raise Refusal(
            "unprocessable",
            f"hostname {hostname[:80]!r} must have 1 to 253 letters, digits, and inner dots and hyphens",
        )
    return hostname


def _check_signature(world: World, body: dict[str, Any]) -> None:
    if "identityPubkey" not in body:
        return
    missing = [member for member in ("signature", "signedAt") if member not in body]
    if missing:
        raise Refusal("unprocessable", f"{missing[0]} is missing; an identityPubkey goes with both")
    for member, size in (("identityPubkey", KEY_BYTES), ("signature", SIGNATURE_BYTES)):
        if _decoded_size(body[member]) != size:
            raise Refusal("unprocessable", f"{member} is not the base64 of {size} bytes")
    signed_at_s: int = body["signedAt"]
    if abs(signed_at_s * SECOND_MS - world.now_ms) > MOST_SKEW_S * SECOND_MS:
        raise Refusal(
            "unauthorized",
            f"signedAt {signed_at_s} is more than {MOST_SKEW_S} s off; the clock here says "
            f"{world.now_ms // SECOND_MS} ({iso(world.now_ms)})",
        )


def _decoded_size(text: str) -> int:
    try:
        return len(b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return -1


def _known_node(world: World, token: ProvisioningToken, hostname: str) -> Node | None:
    """The node of this name, if it is the organization's own; somebody else's is in the way: 409."""
    node = world.first(Node, "hostname", hostname)
    if node is not None and node.organization_id != token.organization_id:
        raise Refusal("conflict", f"there is a node {hostname!r} of another provider; take another hostname")
    return node


def _check_quota(world: World, token: ProvisioningToken) -> None:
    """Without Retry-After: waiting does not help [choice]."""
    if token.status(world.now_ms) == "exhausted":
        raise Refusal(
            "rate_limited",
            f"provisioning token {token.prefix}… was for {token.max_nodes} nodes, and they have enrolled",
        )


# -- the node ----------------------------------------------------------------------------------------------


def _new_node(world: World, token: ProvisioningToken, hostname: str, machine: Hardware) -> Node:
    """A node nobody has heard yet, and the timer of its first heartbeat."""
    place = next(world.rows(products.Location), None)
    if place is None:
        raise Refusal("unavailable", "the catalogue has no location, so there is no place for a node")
    node = world.put(
        Node(
            id=workload.new_id(world, "node"),
            created_at_ms=world.now_ms,
            organization_id=token.organization_id,
            hostname=hostname,
            location_id=place.id,
            region=place.region,
            tier=token.node_pool,
            status=NODE_LIFE.step(NEW, "enrol", f"node {hostname}").target,
            alive=False,
            gpu_model_id=machine.gpu_model_id,
            units=machine.units,
            vcpu=machine.vcpu,
            ram_mb=machine.ram_gb * MB_PER_GB,
            disk_gb=DISK_GB,
            notice_seconds=token.notice_seconds,
        )
    )
    told = {"resource": node.id, "name": hostname, "from": NEW, "to": node.status}
    world.note("transition", **told, trigger="enrol")
    heard_ms = workload.draw_ms(world, "node.first_heartbeat")
    if heard_ms is not None:
        world.after(heard_ms, "node.heartbeat", node.id)
    return node


def _remember(
    world: World, token: ProvisioningToken, node: Node, body: dict[str, Any], machine: Hardware
) -> None:
    tokens.use(world, token, node.id)
    world.put(
        Enrolment(
            id=node.id,
            created_at_ms=world.now_ms,
            number=len(world.bucket(Enrolment, "all", "all")),
            node_type=token.node_type,
            node_class=token.node_class,
            cpu_model=body.get("cpuModel", "")[:255],
            runtime=machine.runtime,
        )
    )
