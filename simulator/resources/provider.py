"""Nodes: their life, and the capacity that tenants outside this world hold on them.

Heartbeats move a node between online and offline; the operator's draining and maintenance stand above them
[seed]. Draining ends what runs on the node [2026-10 sdk; setting nodes.drain_ends_workloads], maintenance
only keeps new work away, and a removed node is gone for good: it has to be enrolled again.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec

from simulator.domain import capacity, products, workload
from simulator.domain.capacity import (
    CLUSTER,
    DEFAULT_DISK_GB_PER_GPU,
    NODE_STATES,
    Amounts,
    Claim,
    Node,
    Unit,
)
from simulator.kernel.machine import NEW, SAME, Machine, row
from simulator.kernel.operation import Area
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.target import Target, pick
from simulator.kernel.world import Row, World
from simulator.resources.clusters import lifecycle as clusters
from simulator.resources.clusters.states import Replica
from simulator.resources.vms import lifecycle as vms
from simulator.resources.vms.lifecycle import Vm

R = TypeVar("R", bound=Row)

MB_PER_GB = 1024
MOST_GPUS = 16
"""Of a node [choice]; so the default disk of every count that fits is a legal size."""

Amount = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Gpus = Annotated[int, msgspec.Meta(ge=1, le=16)]

OPERATOR = {"draining": "drain", "maintenance": "maintain", "removed": "remove", "online": "reopen"}
"""What the operator's word does."""

PRESENT = ("online", "offline", "draining", "maintenance")

# fmt: off
NODE_LIFE = Machine("Node", NODE_STATES, [
    # trigger            from                                    to
    row("add",           NEW,                                    "online"),
    row("fall_silent",   "online",                               "offline"),
    row("fall_silent",   ("offline", "draining", "maintenance"), SAME),
    row("answer",        "offline",                              "online"),
    row("answer",        ("online", "draining", "maintenance"),  SAME),
    row("drain",         ("online", "offline", "maintenance"),   "draining"),
    row("drain",         "draining",                             SAME),
    row("maintain",      ("online", "offline", "draining"),      "maintenance"),
    row("maintain",      "maintenance",                          SAME),
    row("reopen",        ("draining", "maintenance"),            "online"),
    row("reopen",        ("online", "offline"),                  SAME),
    row("reopen_silent", ("draining", "maintenance"),            "offline"),
    row("reopen_silent", ("online", "offline"),                  SAME),
    row("remove",        PRESENT,                                "removed"),
], refusals={
    "fall_silent":   {"*": "NODE_DECOMMISSIONED"},
    "answer":        {"*": "NODE_DECOMMISSIONED"},
    "drain":         {"*": "NODE_DECOMMISSIONED"},
    "maintain":      {"*": "NODE_DECOMMISSIONED"},
    "reopen":        {"*": "NODE_DECOMMISSIONED"},
    "reopen_silent": {"*": "NODE_DECOMMISSIONED"},
    "remove":        {"*": "NODE_DECOMMISSIONED"},
})
# fmt: on

area = Area("Provider", scope="admin", machine=NODE_LIFE)


# -- transitions -------------------------------------------------------------------------------------------


def move(world: World, node: Node, trigger: str, *, alive: bool | None = None) -> Node:
    """Carry out one row of the table, and let what is on the node bear it."""
    before = node.status
    target = NODE_LIFE.step(before, trigger, f"node {node.hostname}").target_from(before)
    node = world.change(node, status=target, alive=node.alive if alive is None else alive)
    if target == before:
        return node
    told = {"resource": node.id, "name": node.hostname, "from": before, "to": target}
    outer, world.cause = world.cause, world.note("transition", **told, trigger=trigger)
    vms.node_changed(world, node)
    clusters.node_changed(world, node)
    if target == "removed" or (target == "draining" and world.settings.flag("nodes.drain_ends_workloads")):
        for claim in capacity.occupied(world, node):
            capacity.free(world, claim.id)
    world.cause = outer
    return world.get(Node, node.id)


def set_state(world: World, node: Node, status: str) -> Node:
    """The operator's word; a node that fell silent meanwhile is offline as soon as it is reopened [seed]."""
    trigger = OPERATOR[status]
    return move(world, node, "reopen_silent" if trigger == "reopen" and not node.alive else trigger)


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


class NodeState(NodeTarget, kw_only=True):
    """Which node, and what its operator sets it to."""

    status: Literal["online", "draining", "maintenance", "removed"]


class NodeSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A node as node.add and fixtures write it."""

    hostname: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    location: str
    """Id of a location."""
    id: str = ""
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


@area.action("node.offline", NodeTarget)
def take_node_offline(world: World, what: NodeTarget) -> dict[str, Any]:
    """A node falls silent: its running VMs are interrupted, or fail with vms.legacy_node_loss."""
    return _told(move(world, pick_node(world, what), "fall_silent", alive=False))


@area.action("node.online", NodeTarget)
def bring_node_online(world: World, what: NodeTarget) -> dict[str, Any]:
    """A silent node answers again: its interrupted VMs run on."""
    return _told(move(world, pick_node(world, what), "answer", alive=True))


@area.action("node.set_status", NodeState)
def set_node_status(world: World, what: NodeState) -> dict[str, Any]:
    """The operator drains, pauses, reopens or removes a node."""
    return _told(set_state(world, pick_node(world, what), what.status))


@area.action("node.add", NodeSpec)
def add_node(world: World, what: NodeSpec) -> dict[str, Any]:
    """A provider brings another node."""
    node = world.put(new_node(world, what))
    told = {"resource": node.id, "name": node.hostname, "from": NEW, "to": node.status}
    world.note("transition", **told, trigger="add")
    vms.node_changed(world, node)
    return _told(node)


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
        _known(world, products.GpuModel, spec.gpu_model)
    place = _known(world, products.Location, spec.location)
    return Node(
        id=spec.id or workload.new_id(world, "node"),
        created_at_ms=world.now_ms,
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
    )


def _known(world: World, kind: type[R], row_id: str) -> R:
    row = world.find(kind, row_id)
    if row is None:
        known = [other.id for other in world.rows(kind)]
        raise Refusal("not_found", f"no {kind.__name__} {row_id!r}{nearest(row_id, known)}")
    return row


def _told(node: Node) -> dict[str, Any]:
    return {"node": node.id, "hostname": node.hostname, "status": node.status}


# -- actions on capacity -----------------------------------------------------------------------------------

Place = tuple[Node, int]
"""One unit: its node and its position there."""


class Portion(NodeTarget, kw_only=True):
    """GPUs of a model, of a node, or of a model on a node."""

    gpu_model: str | None = None
    gpus: Positive | None = None
    """All there are unless given; only whole units change hands."""


class Seizure(Portion, kw_only=True):
    """GPUs; or, in their place, vCPU, RAM and disk of a node."""

    vcpu: Amount = 0
    ram_gb: Amount = 0
    disk_gb: Amount = 0


@area.action("capacity.seize", Seizure)
def seize_capacity(world: World, what: Seizure) -> dict[str, Any]:
    """Tenants outside this world take free GPUs, or vCPU, RAM and disk of a node."""
    beside = Amounts(what.vcpu, what.ram_gb * MB_PER_GB, what.disk_gb)
    if any(beside):
        if what.gpu_model is not None or what.gpus is not None:
            raise Refusal("bad_request", "take GPUs, or vcpu, ram_gb and disk_gb of a node; not both at once")
        node = pick_node(world, what)
        occupy_beside(world, node, beside)
        return _told(node) | beside._asdict()
    nodes = [node for node in _nodes_of(world, what) if node.status == "online"]
    chosen = _choose([(node, at) for node in nodes for at in node.free_positions], what.gpus, "free")
    for node, at in chosen:
        occupy_unit(world, node.id, at)
    return _moved(chosen)


@area.action("capacity.release", Portion)
def release_capacity(world: World, what: Portion) -> dict[str, Any]:
    """Tenants outside this world give GPUs back; without a number, all that they hold there."""
    held = {
        claim.id: (node, claim) for node in _nodes_of(world, what) for claim in capacity.occupied(world, node)
    }
    places = [(node, at) for node, claim in held.values() for at in claim.units]
    chosen = _choose(places, what.gpus, "held by tenants outside")
    given = held if what.gpus is None else [capacity.outside_id(node, at) for node, at in chosen]
    for claim_id in given:
        capacity.free(world, claim_id)
    workload.admit_later(world)
    return _moved(chosen)


def _nodes_of(world: World, what: Portion) -> list[Node]:
    """The node named, or every node of the model."""
    if what.gpu_model is None:
        return [pick_node(world, what)]
    model = products.find_model(world, what.gpu_model) or _known(world, products.GpuModel, what.gpu_model)
    named = what.plain is not None or what.node_of is not None
    nodes = [pick_node(world, what)] if named else list(world.rows(Node))
    return [node for node in nodes if node.gpu_model_id == model.id]


def _choose(places: list[Place], gpus: int | None, state: str) -> list[Place]:
    """Units that make up so many GPUs: the largest first, then in the order of nodes and positions."""
    if gpus is None:
        return places
    chosen, missing = [], gpus
    for node, at in sorted(places, key=lambda place: -place[0].units[place[1]].gpus):
        if node.units[at].gpus <= missing:
            chosen.append((node, at))
            missing -= node.units[at].gpus
    if missing:
        sizes = sorted(node.units[at].gpus for node, at in places)
        raise Refusal("conflict", f"no whole units make up {gpus} GPUs; {state} are units of {sizes}")
    return chosen


def _moved(places: list[Place]) -> dict[str, Any]:
    units = [{"hostname": node.hostname, "unit": at, "gpus": node.units[at].gpus} for node, at in places]
    return {"gpus": sum(unit["gpus"] for unit in units), "units": units}


def occupy_unit(world: World, node_id: str, at: int) -> None:
    """Take one unit and what a VM on it would take, as far as the node has that left."""
    node = world.get(Node, node_id)
    gpus = node.units[at].gpus
    wanted = capacity.share(node, gpus)._replace(disk_gb=gpus * DEFAULT_DISK_GB_PER_GPU)
    capacity.occupy(world, node, at, Amounts(*map(min, wanted, node.left)))


def occupy_beside(world: World, node: Node, more: Amounts) -> None:
    """Take vCPU, RAM and disk of a node; refused when it has less left."""
    if any(wanted > left for wanted, left in zip(more, node.left, strict=True)):
        raise Refusal("conflict", f"node {node.hostname} has {node.left} left, not {more}")
    held = world.find(Claim, capacity.outside_id(node))
    before = held.amounts if held else Amounts()
    capacity.occupy(world, node, None, Amounts(*map(sum, zip(before, more, strict=True))))


# -- fixture -----------------------------------------------------------------------------------------------


class ClaimSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What tenants outside this world hold of a node: units, each with what a VM on it takes; room beside."""

    node: str
    """Hostname."""
    units: tuple[int, ...] | Literal["all"] = ()
    """Positions, from 0."""
    vcpu: Amount = 0
    ram_gb: Amount = 0
    disk_gb: Amount = 0


@area.seed("nodes", list[NodeSpec])
def seed_nodes(world: World, specs: list[NodeSpec]) -> None:
    for spec in specs:
        world.put(new_node(world, spec))


@area.seed("claims", list[ClaimSpec])
def seed_claims(world: World, specs: list[ClaimSpec]) -> None:
    for spec in specs:
        node = pick(world, Node, Target(name=spec.node), "hostname")
        for at in node.free_positions if spec.units == "all" else spec.units:
            if at not in world.get(Node, node.id).free_positions:
                raise Refusal("conflict", f"node {spec.node!r} has no unit {at} that is free")
            occupy_unit(world, node.id, at)
        beside = Amounts(spec.vcpu, spec.ram_gb * MB_PER_GB, spec.disk_gb)
        if any(beside):
            occupy_beside(world, world.get(Node, node.id), beside)
