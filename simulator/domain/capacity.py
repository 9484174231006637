"""Nodes and what fits on them.

A GPU unit is one IOMMU group, indivisible; a VM takes an exact sum of free units of one node
[2026-07][2026-10 sdk]. Every claim is a row of its own, so that the sum of claims can be held against the
node at any time: nothing is sold twice.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import ClassVar, NamedTuple

import msgspec

from simulator.domain.faults import placement
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Index, Row, World

VM = "vfio-group"
CLUSTER = "device-request"
"""The two classes a unit can be in [2026-07]."""

NODE_STATES = ("online", "offline", "draining", "maintenance", "removed")

HYPERVISOR_MB = 32
HYPERVISOR_SHARE = 20
HYPERVISOR_LEAST_MB = 1024
"""Host RAM beside a guest: 5 % (a twentieth) but at least 1 GiB, and 32 MiB [2026-10 sdk]."""

GUEST_PERCENT_OF_VRAM = 65
"""Guest RAM is at least this part of the VRAM [2026-10 sdk]."""


DEFAULT_DISK_GB_PER_GPU = 100
"""Disk of a GPU VM that names none [2026-10 sdk]."""


class Amounts(NamedTuple):
    """What belongs to GPUs, or is taken beside them."""

    vcpu: int = 0
    ram_mb: int = 0
    """Host RAM."""
    disk_gb: int = 0

    def __str__(self) -> str:
        return f"{self.vcpu} vCPU, {self.ram_mb} MiB RAM, {self.disk_gb} GB disk"


class Unit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """GPUs that can only be given away together."""

    gpus: int
    kind: str = VM


class Node(Row, frozen=True, kw_only=True):
    """A machine of a provider. `taken` holds the positions of the units in use."""

    states: ClassVar = NODE_STATES
    indexes: ClassVar = {
        "open": Index(
            lambda node: (node.product, node.tier) if node.status == "online" and node.free else None,
            lambda node: (node.free, node.id),
        ),
        "product": Index(lambda node: node.product if node.status != "removed" else None),
        "hostname": Index(lambda node: node.hostname if node.status != "removed" else None),
        "organization": Index(lambda node: node.organization_id or None),
    }

    organization_id: str = ""
    """The provider whose it is; "" for one outside this world."""
    hostname: str
    location_id: str
    region: str
    tier: str = "community"
    status: str = "online"
    alive: bool = True
    """Whether its heartbeats come; they decide only where the operator has set no state."""
    notice_seconds: int | None = None
    """How long before it leaves what runs on it is told [2026-10 sdk]; None and 0: not at all."""
    leaving_at_ms: int | None = None
    """When it leaves; None while nobody has said that it will."""
    gpu_model_id: str = ""
    units: tuple[Unit, ...] = ()
    taken: tuple[int, ...] = ()
    vcpu: int
    ram_mb: int
    disk_gb: int
    used_vcpu: int = 0
    used_ram_mb: int = 0
    used_disk_gb: int = 0

    @property
    def product(self) -> str:
        """What it offers: the id of its GPU model, or "cpu"."""
        return self.gpu_model_id or "cpu"

    @property
    def gpus(self) -> int:
        return sum(unit.gpus for unit in self.units)

    @property
    def free(self) -> int:
        """What decides between nodes: free GPUs, or free vCPU on a node without GPUs."""
        if not self.units:
            return self.vcpu - self.used_vcpu
        return sum(unit.gpus for at, unit in enumerate(self.units) if at not in self.taken)

    @property
    def in_use(self) -> bool:
        """Whether anything runs on it; a disk alone does not."""
        return bool(self.taken or self.used_vcpu)

    @property
    def free_positions(self) -> list[int]:
        """Positions of the units that nobody has taken."""
        return [at for at in range(len(self.units)) if at not in self.taken]

    @property
    def left(self) -> Amounts:
        """What nobody has taken, beside the GPUs."""
        return Amounts(
            self.vcpu - self.used_vcpu, self.ram_mb - self.used_ram_mb, self.disk_gb - self.used_disk_gb
        )

    def sizes(self, kind: str, *, free: bool) -> list[int]:
        """GPU counts of its units of one class: all of them, or the free ones."""
        return [
            unit.gpus
            for at, unit in enumerate(self.units)
            if unit.kind == kind and not (free and at in self.taken)
        ]


class Claim(Row, frozen=True, kw_only=True):
    """What one holder has of a node; the id is the holder's. A stopped VM's claim is its disk alone.

    `outside` marks a holder that is no resource of this world: another tenant.
    """

    indexes: ClassVar = {"node": Index(lambda claim: claim.node_id)}

    node_id: str
    units: tuple[int, ...] = ()
    vcpu: int = 0
    ram_mb: int = 0
    disk_gb: int = 0
    outside: bool = False

    @property
    def amounts(self) -> Amounts:
        return Amounts(self.vcpu, self.ram_mb, self.disk_gb)


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for. For a GPU shape vCPU and RAM follow from the node's share per GPU."""

    gpu_model_id: str = ""
    gpus: int = 0
    vram_gb: int = 0
    vcpu: int = 0
    guest_ram_mb: int = 0
    """0: the full share of the node."""
    disk_gb: int
    tier: str = "community"
    kind: str = VM
    regions: tuple[str, ...] = ()
    fallback: bool = False
    node_id: str = ""

    @property
    def product(self) -> str:
        """What nodes must offer: the GPU model, or "cpu"."""
        return self.gpu_model_id or "cpu"

    @property
    def node_tier(self) -> str:
        """The tier of the nodes it may use: spot runs on community hardware."""
        return "community" if self.tier == "spot" else self.tier

    def of(self, gpus: int) -> Shape:
        """The same request for another number of GPUs; a disk of the default size follows it."""
        default = self.disk_gb == self.gpus * DEFAULT_DISK_GB_PER_GPU
        disk_gb = gpus * DEFAULT_DISK_GB_PER_GPU if default else self.disk_gb
        return msgspec.structs.replace(self, gpus=gpus, disk_gb=disk_gb)


class Fit(msgspec.Struct, frozen=True):
    """How a shape would sit on a node."""

    node: Node
    units: tuple[int, ...]
    vcpu: int
    guest_ram_mb: int
    disk_gb: int

    @property
    def ram_mb(self) -> int:
        return host_ram_mb(self.guest_ram_mb)


# -- arithmetic --------------------------------------------------------------------------------------------


def host_ram_mb(guest_mb: int) -> int:
    """Host RAM that a guest takes, hypervisor included."""
    return guest_mb + max(HYPERVISOR_LEAST_MB, -(-guest_mb // HYPERVISOR_SHARE)) + HYPERVISOR_MB


def largest_guest_mb(host_mb: int) -> int:
    """The largest guest whose host RAM stays within `host_mb`; 0 when none does."""
    room = host_mb - HYPERVISOR_MB
    guest = min(room - HYPERVISOR_LEAST_MB, room * HYPERVISOR_SHARE // (HYPERVISOR_SHARE + 1))
    return max(0, guest)


def tile(sizes: Iterable[tuple[int, int]], count: int) -> tuple[int, ...] | None:
    """Positions of the units that sum to exactly `count`: the fewest units, then the lowest positions.

    `sizes` are (position, GPUs), ascending. None when no choice of units gives the sum.
    """
    best: dict[int, tuple[int, tuple[int, ...]]] = {0: (0, ())}
    for position, gpus in sizes:
        for total, (used, chosen) in sorted(best.items(), reverse=True):
            candidate = (used + 1, (*chosen, position))
            if total + gpus <= count and (total + gpus not in best or candidate < best[total + gpus]):
                best[total + gpus] = candidate
    return best[count][1] if count in best else None


def tileable(sizes: Iterable[int]) -> set[int]:
    """Every count that some choice of these units gives."""
    sums = {0}
    for gpus in sizes:
        sums |= {total + gpus for total in sums}
    return sums - {0}


def share(node: Node, gpus: int) -> Amounts:
    """What belongs to so many GPUs of a node."""
    total = node.gpus
    return Amounts(node.vcpu * gpus // total, node.ram_mb * gpus // total, node.disk_gb * gpus // total)


# -- placement ---------------------------------------------------------------------------------------------


def fit(node: Node, shape: Shape, *, empty: bool = False) -> Fit | None:
    """How the shape would sit on the node now, or on the node if it were `empty`; None if it would not."""
    if empty:
        node = msgspec.structs.replace(node, taken=(), used_vcpu=0, used_ram_mb=0, used_disk_gb=0)
    found = _fit_gpus(node, shape) if shape.gpus else _fit_cpu(node, shape)
    if found is None or node.used_disk_gb + found.disk_gb > node.disk_gb:
        return None
    if node.used_vcpu + found.vcpu > node.vcpu or node.used_ram_mb + found.ram_mb > node.ram_mb:
        return None
    return found


def _fit_gpus(node: Node, shape: Shape) -> Fit | None:
    units = free_units(node, shape)
    if units is None:
        return None
    vcpu, host_mb, _ = share(node, shape.gpus)
    most_mb = largest_guest_mb(host_mb)
    guest_mb = shape.guest_ram_mb or most_mb
    if guest_mb > most_mb or guest_mb < least_guest_mb(shape):
        return None
    return Fit(node, units, vcpu, guest_mb, shape.disk_gb)


def least_guest_mb(shape: Shape) -> int:
    """The least guest RAM of a GPU shape, in MiB."""
    return shape.vram_gb * shape.gpus * 1024 * GUEST_PERCENT_OF_VRAM // 100


def free_units(node: Node, shape: Shape) -> tuple[int, ...] | None:
    """The free units of the node that the shape would take, or None."""
    sizes = (
        (at, unit.gpus)
        for at, unit in enumerate(node.units)
        if unit.kind == shape.kind and at not in node.taken
    )
    return tile(sizes, shape.gpus)


def _fit_cpu(node: Node, shape: Shape) -> Fit | None:
    return None if node.units else Fit(node, (), shape.vcpu, shape.guest_ram_mb, shape.disk_gb)


def place(world: World, shape: Shape) -> Fit:
    """The best place for a shape now; Refusal 400 when there never is one, 409 or 503 when all is busy.

    Best fit: the node with the fewest free GPUs, ties by node id [2026-10 sdk; choice]. Preferred regions are
    tried in the given order; the others only with `fallback` [choice].
    """
    _check_fault(world, shape)
    if shape.node_id:
        return _place_on_named(world, shape)
    for regions in _region_rounds(shape):
        for node in _tightest(world, shape):
            if _lies_in(node, regions) and (found := fit(node, shape)):
                return found
    raise _no_room(world, shape)


def _check_fault(world: World, shape: Shape) -> None:
    code = "INSUFFICIENT_GPU_CAPACITY" if shape.gpus else "INSUFFICIENT_CPU_CAPACITY"
    placement.check(world, shape.product, shape, code)


def place_all(world: World, shape: Shape, count: int) -> list[Fit]:
    """Places for so many at once, as if each were placed after the other; Refusal when not all fit."""
    _check_fault(world, shape)
    fits: list[Fit] = []
    filled: dict[str, Node] = {}
    for regions in _region_rounds(shape):
        for node in _tightest(world, shape):
            now = filled.get(node.id, node)
            while len(fits) < count and _lies_in(now, regions) and (found := fit(now, shape)):
                fits.append(found)
                now = filled[now.id] = _with(now, found)
    if not fits:
        raise _no_room(world, shape)
    if len(fits) < count:
        code = "INSUFFICIENT_GPU_CAPACITY" if shape.gpus else "INSUFFICIENT_CPU_CAPACITY"
        text = f"{len(fits)} of {count} times {describe(shape)} would fit now"
        raise Refusal(code, text, placeableReplicas=len(fits))
    return fits


def _with(node: Node, found: Fit) -> Node:
    """The node as it would be once a fit is taken."""
    return msgspec.structs.replace(
        node,
        taken=tuple(sorted({*node.taken, *found.units})),
        used_vcpu=node.used_vcpu + found.vcpu,
        used_ram_mb=node.used_ram_mb + found.ram_mb,
        used_disk_gb=node.used_disk_gb + found.disk_gb,
    )


def _region_rounds(shape: Shape) -> list[tuple[str, ...]]:
    rounds: list[tuple[str, ...]] = [(region,) for region in shape.regions]
    if shape.fallback or not rounds:
        rounds.append(())
    return rounds


def _lies_in(node: Node, regions: tuple[str, ...]) -> bool:
    """Whether a node is in one of the regions, or locations, named; none named: anywhere."""
    return not regions or node.region in regions or node.location_id in regions


def _tightest(world: World, shape: Shape) -> Iterator[Node]:
    """Online nodes with enough free GPUs (or vCPU), the tightest first."""
    bucket = world.bucket(Node, "open", (shape.product, shape.node_tier))
    for at in range(bisect_left(bucket, (shape.gpus or shape.vcpu, "")), len(bucket)):
        yield world.get(Node, bucket[at][-1])


def check_rights(world: World, organization_id: str, node_id: str) -> None:
    """Whether an organization may name a node: its own, or one of a provider outside this world [choice].

    A node without rights reads as one that does not exist [2026-10 sdk].
    """
    node = world.find(Node, node_id)
    if node is not None and node.organization_id not in ("", organization_id):
        raise _unknown_node(node_id)


def _unknown_node(node_id: str) -> Refusal:
    return Refusal("not_found", f"nodeId {node_id!r} is unknown")


def _place_on_named(world: World, shape: Shape) -> Fit:
    node = world.find(Node, shape.node_id)
    if node is None or node.status == "removed":
        raise _unknown_node(shape.node_id)
    if not _admits(node, shape) or fit(node, shape, empty=True) is None:
        raise Refusal("VM_SHAPE_NOT_PLACEABLE", f"node {node.hostname} could never hold {describe(shape)}")
    found = fit(node, shape) if node.status == "online" else None
    if found is None:
        raise Refusal(
            "NODE_AT_CAPACITY", f"node {node.hostname} ({node.status}) has no room for {describe(shape)}"
        )
    return found


def _admits(node: Node, shape: Shape) -> bool:
    """Whether the node is of the hardware, tier and region asked for."""
    regions = () if shape.fallback else shape.regions
    return (node.product, node.tier) == (shape.product, shape.node_tier) and _lies_in(node, regions)


def _no_room(world: World, shape: Shape) -> Refusal:
    """Why a shape found no place, with the GPU counts that would have [2026-07 changelog]."""
    every = world.select(Node, "product", shape.product)
    wanted = [node for node in every if _admits(node, shape)]
    what = describe(shape)
    if not shape.gpus:
        if any(fit(node, shape, empty=True) for node in wanted):
            return Refusal("INSUFFICIENT_CPU_CAPACITY", f"no node has room for {what} now")
        return Refusal("VM_SHAPE_NOT_PLACEABLE", f"no node could ever hold {what}")
    counts, ever = placeable_counts(wanted, shape), ever_tileable(every, shape.kind)
    if ever and shape.gpus not in ever:
        code, why = "GPU_COUNT_NOT_ALLOCATABLE", f"no node ever tiles {what}; allocatable are {sorted(ever)}"
    elif not any(fit(node, shape, empty=True) for node in wanted):
        code, why = "VM_SHAPE_NOT_PLACEABLE", f"no node could ever hold {what}"
    elif any(node.status == "online" and free_units(node, shape) for node in wanted):
        code, why = "INSUFFICIENT_HOST_CAPACITY", f"GPUs are free, but RAM, vCPU or disk for {what} are not"
    else:
        code, why = "INSUFFICIENT_GPU_CAPACITY", f"no node has {what} free now"
    return Refusal(code, f"{why}; counts that would fit now: {counts}", placeableGpuCounts=counts)


def describe(shape: Shape) -> str:
    """A shape in words, for messages."""
    hardware = f"{shape.gpus} x {shape.gpu_model_id}" if shape.gpus else f"{shape.vcpu} vCPU"
    ram = f", {shape.guest_ram_mb} MiB RAM" if shape.guest_ram_mb else ""
    where = f" in {', '.join(shape.regions)}" if shape.regions and not shape.fallback else ""
    return f"{hardware} ({shape.tier}, {shape.disk_gb} GB disk{ram}){where}"


def placeable_counts(nodes: Iterable[Node], shape: Shape) -> list[int]:
    """GPU counts in which the shape would fit on one of the nodes now: each of them can be created."""
    counts: set[int] = set()
    for node in nodes:
        if node.status == "online":
            sizes = tileable(node.sizes(shape.kind, free=True))
            counts |= {count for count in sizes - counts if fit(node, shape.of(count))}
    return sorted(counts)


def ever_tileable(nodes: Iterable[Node], kind: str) -> set[int]:
    """GPU counts the hardware could ever give."""
    return set().union(*(tileable(node.sizes(kind, free=False)) for node in nodes))


# -- claims ------------------------------------------------------------------------------------------------


def claim(world: World, found: Fit, holder: str) -> Claim:
    """Take what a fit describes; a disk the holder kept on the node is taken over."""
    held = world.find(Claim, holder) or Claim(id=holder, created_at_ms=world.now_ms, node_id=found.node.id)
    assert (held.node_id, held.units, held.vcpu) == (found.node.id, (), 0), held
    return _hold(world, held, found.units, Amounts(found.vcpu, found.ram_mb, found.disk_gb))


def claim_disk(world: World, found: Fit, holder: str) -> Claim:
    """Take the disk of a fit alone: what somebody has who is stopped."""
    held = Claim(id=holder, created_at_ms=world.now_ms, node_id=found.node.id)
    return _hold(world, held, (), Amounts(disk_gb=found.disk_gb))


def release(world: World, holder: str) -> None:
    """Give back units, vCPU and RAM; the disk stays."""
    held = world.find(Claim, holder)
    if held is not None:
        _hold(world, held, (), Amounts(disk_gb=held.disk_gb))


def free(world: World, holder: str) -> None:
    """Give back everything."""
    held = world.find(Claim, holder)
    if held is not None:
        world.delete(_hold(world, held, (), Amounts()))


def set_aside(world: World, holder: str, *, disk: bool) -> Claim | None:
    """Part from a holder what it runs on, with its disk or without: a claim of its own has it from now on."""
    held = world.find(Claim, holder)
    if held is None or not (held.units or held.vcpu):
        return None
    row_id = f"aside/{world.streams.uuid('aside')}"
    fields = {"id": row_id, "created_at_ms": world.now_ms, "disk_gb": held.disk_gb if disk else 0}
    aside = world.put(msgspec.structs.replace(held, **fields))
    if disk:
        world.delete(held)
    else:
        world.change(held, units=(), vcpu=0, ram_mb=0)
    return aside


def resize_disk(world: World, holder: str, disk_gb: int) -> bool:
    """Let the holder's disk grow where it stands; False, and nothing is changed, when the node is full."""
    held = world.find(Claim, holder)
    if held is None:
        return True
    node = world.get(Node, held.node_id)
    if node.used_disk_gb + disk_gb - held.disk_gb > node.disk_gb:
        return False
    _hold(world, held, held.units, Amounts(held.vcpu, held.ram_mb, disk_gb))
    return True


def occupy(world: World, node: Node, unit: int | None, amounts: Amounts) -> Claim:
    """Let a tenant outside this world have one unit, or amounts beside the GPUs in place of what it had."""
    holder = outside_id(node, unit)
    held = world.find(Claim, holder) or Claim(
        id=holder, created_at_ms=world.now_ms, node_id=node.id, outside=True
    )
    return _hold(world, held, () if unit is None else (unit,), amounts)


def outside_id(node: Node, unit: int | None = None) -> str:
    """The claim of a tenant outside on a unit, or on what lies beside the GPUs."""
    return f"outside/{node.id}/{'host' if unit is None else unit}"


def occupied(world: World, node: Node) -> list[Claim]:
    """The claims of tenants outside this world."""
    return [claim for claim in world.select(Claim, "node", node.id) if claim.outside]


def _hold(world: World, held: Claim, units: tuple[int, ...], amounts: Amounts) -> Claim:
    """Replace what a claim holds, on the node and in the claim."""
    vcpu, ram_mb, disk_gb = amounts
    node = world.get(Node, held.node_id)
    others = {*node.taken} - {*held.units}
    assert others.isdisjoint(units), f"units {units} of {node.hostname} are taken: {node.taken}"
    world.change(
        node,
        taken=tuple(sorted(others | {*units})),
        used_vcpu=node.used_vcpu - held.vcpu + vcpu,
        used_ram_mb=node.used_ram_mb - held.ram_mb + ram_mb,
        used_disk_gb=node.used_disk_gb - held.disk_gb + disk_gb,
    )
    return world.put(msgspec.structs.replace(held, units=units, vcpu=vcpu, ram_mb=ram_mb, disk_gb=disk_gb))
