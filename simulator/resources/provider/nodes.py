"""What befalls a node from outside, and the nodes that come with the fixture or by an action."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec

from simulator.domain import products, workload
from simulator.domain.capacity import CLUSTER, Node, Unit
from simulator.kernel.instant import SECOND_MS, iso
from simulator.kernel.machine import NEW
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.target import Target, pick
from simulator.kernel.world import Row, World
from simulator.resources.clusters.states import Replica
from simulator.resources.provider.applications import provider_of
from simulator.resources.provider.lifecycle import (
    NODE_LIFE,
    area,
    fall_silent,
    move,
    set_state,
    wait_no_more,
)
from simulator.resources.vms import lifecycle as vms
from simulator.resources.vms.lifecycle import Vm

R = TypeVar("R", bound=Row)

MB_PER_GB = 1024
LONGEST_NOTICE_S = 7 * 86_400
MOST_GPUS = 16
"""Of a node [choice]; so the default disk of every count that fits is a legal size."""

Positive = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Gpus = Annotated[int, msgspec.Meta(ge=1, le=16)]


# -- actions on a node -------------------------------------------------------------------------------------


class NodeTarget(Target, kw_only=True):
    """A node, by one of `id`, `name` (its hostname), `select`, `node_of`."""

    node_of: str | None = None
    """The name of a VM, or of a cluster's replica, that is on it."""

    @property
    def plain(self) -> Target | None:
        """The target in general terms; None when it names nothing but a VM, or nothing at all."""
        named = any(word is not None for word in (self.id, self.name, self.select))
        return Target(id=self.id, name=self.name, select=self.select) if named else None


class Silence(NodeTarget, kw_only=True):
    """Which node, how long it is silent, and how long that goes unnoticed."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=10**7)] | None = None
    """After so long it answers again; by default only when node.online says so."""
    noticed_after_s: Annotated[float, msgspec.Meta(ge=0, le=10**7)] = 0
    """At once; the service waits for heartbeats for 120 seconds [choice]."""


class NodeState(NodeTarget, kw_only=True):
    """Which node, and what its operator sets it to."""

    status: Literal["online", "draining", "maintenance", "removed"]


class NodeSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A node as node.add and fixtures write it."""

    hostname: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    location: str
    """Id of a location."""
    id: str = ""
    organization: str = ""
    """Slug of the provider; "" for one outside this world."""
    tier: Literal["community", "verified"] = "community"
    status: Literal["online", "offline", "draining", "maintenance"] = "online"
    """As it would be some time after it was added."""
    gpu_model: str = ""
    units: tuple[Gpus, ...] = ()
    """GPUs of each indivisible unit for VMs."""
    cluster_gpus: Annotated[int, msgspec.Meta(ge=0, le=16)] = 0
    """GPUs of class device-request, which are given away one by one."""
    vcpu: Positive
    ram_gb: Positive
    disk_gb: Positive
    notice_seconds: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_NOTICE_S)] | None = None
    """How long before it leaves what runs on it is told."""


class Reclass(NodeTarget, kw_only=True):
    """Which node, which of its units, and the class they are to be of."""

    units: tuple[int, ...] | Literal["all"] = "all"
    """Positions, from 0."""
    to: Literal["vfio-group", "device-request"]
    """For VMs, or for replicas of clusters."""


@area.action("node.offline", Silence)
def take_node_offline(world: World, what: Silence) -> dict[str, Any]:
    """A node falls silent: its running VMs are interrupted, or fail with vms.legacy_node_loss."""
    node = pick_node(world, what)
    NODE_LIFE.step(node.status, "fall_silent", f"node {node.hostname}")
    wait_no_more(world, node)
    until_ms = None if what.seconds is None else world.now_ms + round(what.seconds * SECOND_MS)
    if not what.noticed_after_s:
        return told_of(fall_silent(world, node, until_ms))
    world.after(round(what.noticed_after_s * SECOND_MS), "node.silence", node.id, until_ms)
    return told_of(world.change(node, alive=False))


@area.action("node.online", NodeTarget)
def bring_node_online(world: World, what: NodeTarget) -> dict[str, Any]:
    """A silent node answers again: its interrupted VMs run on."""
    return told_of(move(world, pick_node(world, what), "answer", alive=True))


@area.action("node.set_status", NodeState)
def set_node_status(world: World, what: NodeState) -> dict[str, Any]:
    """The operator drains, pauses, reopens or removes a node."""
    return told_of(set_state(world, pick_node(world, what), what.status))


@area.action("node.add", NodeSpec)
def add_node(world: World, what: NodeSpec) -> dict[str, Any]:
    """A provider brings another node."""
    node = world.put(new_node(world, what))
    told = {"resource": node.id, "name": node.hostname, "from": NEW, "to": node.status}
    world.note("transition", **told, trigger="add")
    vms.node_changed(world, node)
    return told_of(node)


@area.action("node.reclass", Reclass)
def reclass_units(world: World, what: Reclass) -> dict[str, Any]:
    """Free GPU units of a node move between VMs and clusters; refused while one of them is in use."""
    node = pick_node(world, what)
    moved = range(len(node.units)) if what.units == "all" else what.units
    for at in moved:
        _check_movable(node, at, what.to)
    units = (Unit(unit.gpus, what.to) if at in moved else unit for at, unit in enumerate(node.units))
    node = world.change(node, units=tuple(units))
    workload.admit_later(world)
    return told_of(node) | {"units": [msgspec.structs.asdict(unit) for unit in node.units]}


def _check_movable(node: Node, at: int, kind: str) -> None:
    """A unit moves only while it is free, and replicas are given GPUs one by one, so a group of several stays
    with VMs [choice]."""
    if not 0 <= at < len(node.units):
        raise Refusal("bad_request", f"node {node.hostname} has no unit {at}; it has {len(node.units)}")
    unit = node.units[at]
    if unit.kind != kind and at in node.taken:
        raise Refusal("conflict", f"unit {at} of {node.hostname} is in use as {unit.kind}; free it first")
    if kind == CLUSTER and unit.gpus > 1:
        text = f"unit {at} of {node.hostname} is {unit.gpus} GPUs that go together"
        raise Refusal("conflict", f"{text}; only single GPUs can be {CLUSTER}")


def pick_node(world: World, what: NodeTarget) -> Node:
    """The node that a target names. Raises Refusal with what there is."""
    if (what.plain is None) == (what.node_of is None):
        raise Refusal("bad_request", "name one node by exactly one of id, name, select, node_of")
    if what.plain is not None:
        return pick(world, Node, what.plain, "hostname")
    there: list[Vm | Replica] = [*world.rows(Vm), *world.rows(Replica)]
    found = [row for row in there if row.name == what.node_of and row.status != "terminated"]
    if not found:
        raise Refusal("not_found", f"no VM or replica {what.node_of!r} that is not terminated")
    if not found[-1].node_id:
        raise Refusal("conflict", f"{what.node_of!r} is {found[-1].status} and on no node")
    return world.get(Node, found[-1].node_id)


def new_node(world: World, spec: NodeSpec) -> Node:
    """A node in the state its spec names; refused where the spec makes no sense."""
    if world.bucket(Node, "hostname", spec.hostname) or world.find(Node, spec.id):
        raise Refusal("conflict", f"there is a node {spec.hostname!r}, or one with its id")
    gpus = sum(spec.units) + spec.cluster_gpus
    if gpus > MOST_GPUS or bool(spec.gpu_model) != bool(gpus):
        text = (
            f"a gpu_model goes with 1 to {MOST_GPUS} GPUs in units or cluster_gpus, and the other way round"
        )
        raise Refusal("bad_request", f"node {spec.hostname!r} has {gpus} GPUs; {text}")
    if spec.gpu_model:
        known_row(world, products.GpuModel, spec.gpu_model)
    place = known_row(world, products.Location, spec.location)
    return Node(
        id=spec.id or workload.new_id(world, "node"),
        created_at_ms=world.now_ms,
        organization_id=provider_of(world, spec.organization).id if spec.organization else "",
        hostname=spec.hostname,
        location_id=place.id,
        region=place.region,
        tier=spec.tier,
        status=spec.status,
        alive=spec.status != "offline",
        gpu_model_id=spec.gpu_model,
        units=(*map(Unit, spec.units), *[Unit(1, CLUSTER)] * spec.cluster_gpus),
        vcpu=spec.vcpu,
        ram_mb=spec.ram_gb * MB_PER_GB,
        disk_gb=spec.disk_gb,
        notice_seconds=spec.notice_seconds,
    )


def known_row(world: World, kind: type[R], row_id: str) -> R:
    row = world.find(kind, row_id)
    if row is None:
        known = [other.id for other in world.rows(kind)]
        raise Refusal("not_found", f"no {kind.__name__} {row_id!r}{nearest(row_id, known)}")
    return row


def told_of(node: Node) -> dict[str, Any]:
    told = {"node": node.id, "hostname": node.hostname, "status": node.status}
    return told if node.leaving_at_ms is None else {**told, "leavingAt": iso(node.leaving_at_ms)}


# -- fixture -----------------------------------------------------------------------------------------------


@area.seed("nodes", list[NodeSpec])
def seed_nodes(world: World, specs: list[NodeSpec]) -> None:
    for spec in specs:
        world.put(new_node(world, spec))
