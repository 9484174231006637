"""The capacity that tenants outside this world hold on the nodes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from simulator.domain import capacity, products, workload
from simulator.domain.capacity import DEFAULT_DISK_GB_PER_GPU, Amounts, Claim, Node
from simulator.kernel.refusal import Refusal
from simulator.kernel.target import Target, pick
from simulator.kernel.world import World
from simulator.resources.provider.lifecycle import area
from simulator.resources.provider.nodes import MB_PER_GB, NodeTarget, Positive, known_row, pick_node, told_of

Amount = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


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
        return told_of(node) | beside._asdict()
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
    model = products.find_model(world, what.gpu_model) or known_row(world, products.GpuModel, what.gpu_model)
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
