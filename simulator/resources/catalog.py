"""What is on offer: GPU models, prices, free capacity, locations, templates.

Hidden models stand in the list of models, but have no price and no capacity [choice]. Capacity is counted
over the nodes that are online [seed][2026-07], in both classes: `vm` for virtual machines, `cluster` for
replicas. Every count in `placeableGpuCounts` can be created at that instant, with default RAM and disk and in
the tier of the node that has it [choice]; an answer may be as old as the setting availability.ttl_s says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

from simulator.domain import capacity, products, workload
from simulator.domain.capacity import CLUSTER, VM, Node, Shape
from simulator.domain.products import CpuSize, GpuModel, Location, Template
from simulator.kernel.instant import SECOND_MS
from simulator.kernel.operation import Area, Call
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.target import Target, pick
from simulator.kernel.world import Row, World

area = Area("Catalog", scope="any")


class RepeatedAnswer(Row, frozen=True, kw_only=True):
    """The last answer of getGpuAvailability, repeated while younger than availability.ttl_s [2026-07]."""

    answer: list[dict[str, Any]]


# -- operations --------------------------------------------------------------------------------------------


@area.operation("getGpuAvailability")
def get_gpu_availability(call: Call) -> list[dict[str, Any]]:
    """Free GPUs per model on sale, now or as of the last answer within the TTL."""
    world, ttl_ms = call.world, call.world.settings.whole("availability.ttl_s") * SECOND_MS
    if not ttl_ms:
        return availability(world)
    last = world.find(RepeatedAnswer, "availability")
    if last is None or world.now_ms - last.created_at_ms >= ttl_ms:
        last = RepeatedAnswer(id="availability", created_at_ms=world.now_ms, answer=availability(world))
        world.put(last)
    return last.answer


@area.operation("listGpuModels")
def list_gpu_models(call: Call) -> list[dict[str, Any]]:
    """Every model, hidden ones too."""
    return [products.model_view(call.world, model) for model in call.world.rows(GpuModel)]


@area.operation("listLocations")
def list_locations(call: Call) -> list[dict[str, Any]]:
    """Places with nodes; preferredRegions takes a `region`, or the `id` of one place."""
    return [
        {
            "id": place.id,
            "name": place.name,
            "city": place.city,
            "country": place.country,
            "region": place.region,
            "latitude": place.latitude,
            "longitude": place.longitude,
        }
        for place in call.world.rows(Location)
    ]


@area.operation("getPricing")
def get_pricing(call: Call) -> dict[str, Any]:
    """One row per model on sale and tier; spot costs what community costs and has no row [choice]."""
    world = call.world
    return {
        "gpu": [
            {
                "gpuModelId": products.shown_model_id(world.settings, model),
                "tier": tier,
                "pricePerHourCents": cents,
                "gpuModelName": model.name,
                "vramGb": model.vram_gb,
            }
            for model in on_sale(world)
            for tier in ("community", "verified")
            if (cents := model.rate_cents(tier)) is not None
        ],
        "cpu": [
            {
                "resourceSize": size.id,
                "pricePerHourCents": size.rate_cents,
                "ramMb": size.ram_mb,
                "vcpu": size.vcpu,
            }
            for size in world.rows(CpuSize)
        ],
        "vmDisk": {"minGb": workload.DISK_GB[0], "maxGb": workload.DISK_GB[-1]},
    }


@area.operation("listVmTemplates")
def list_vm_templates(call: Call) -> list[dict[str, Any]]:
    """Operating systems, in their own order; `compatibleGpuModelIds` null means every model."""
    return [_template(call.world, template) for template in products.templates(call.world)]


# -- availability ------------------------------------------------------------------------------------------


def on_sale(world: World) -> list[GpuModel]:
    return [model for model in world.rows(GpuModel) if not model.hidden]


def availability(world: World) -> list[dict[str, Any]]:
    """The answer of this moment, in the order of the catalogue."""
    return [_available(world, model) for model in on_sale(world)]


def _available(world: World, model: GpuModel) -> dict[str, Any]:
    """June's flat numbers and July's nested ones together, or one of them.

    The contract asks for `vm` and `cluster` in any case, so the flat shape keeps their required numbers
    [choice].
    """
    shape = world.settings.word("availability.shape")
    nodes = [node for node in world.select(Node, "product", model.id) if node.status == "online"]
    classes = {"vm": _class(nodes, model, VM), "cluster": _class(nodes, model, CLUSTER)}
    view: dict[str, Any] = {"gpuModelId": products.shown_model_id(world.settings, model)}
    if shape != "nested":
        view |= _flat(nodes)
    if shape == "flat":
        return view | {name: {key: row[key] for key in REQUIRED} for name, row in classes.items()}
    return view | {
        "name": model.name,
        "vramGb": model.vram_gb,
        "formFactor": model.form_factor,
        **classes,
    }


REQUIRED = ("totalGpus", "freeGpus", "maxPlaceableGpus")


def _flat(nodes: Iterable[Node]) -> dict[str, Any]:
    """June's shape: both classes summed, groupSize the smallest unit [docs page]; 1 where there is none."""
    total = sum(node.gpus for node in nodes)
    free = sum(node.free for node in nodes)
    sizes = [unit.gpus for node in nodes for unit in node.units]
    return {
        "capacity": total,
        "inUse": total - free,
        "available": free,
        "groupSize": min(sizes, default=1),
    }


def _class(nodes: Iterable[Node], model: GpuModel, kind: str) -> dict[str, Any]:
    """The numbers of one class, July's and the later ones."""
    members = [node for node in nodes if node.sizes(kind, free=False)]
    asked = Shape(gpu_model_id=model.id, vram_gb=model.vram_gb, kind=kind, disk_gb=0)
    counts = capacity.placeable_counts(members, asked)
    view: dict[str, Any] = {
        "totalGpus": sum(sum(node.sizes(kind, free=False)) for node in members),
        "freeGpus": sum(sum(node.sizes(kind, free=True)) for node in members),
        "maxPlaceableGpus": max(counts, default=0),
        "placeableGpuCounts": counts,
        "nodes": [_node(node, kind) for node in members],
        "minDiskGb": workload.DISK_GB[0],
        "offers": [_offer(node, kind) for node in members],
    }
    return view | (_vm_class(members, asked) if kind == VM else {})


def _vm_class(members: list[Node], asked: Shape) -> dict[str, Any]:
    """What the class of VMs has beside: counts the hardware could ever give, and what a spot VM could have,
    which runs on community nodes."""
    public = [node for node in members if node.tier == "community"]
    return {
        "tileLattice": sorted(capacity.ever_tileable(members, VM)),
        "spotFreeGpus": sum(sum(node.sizes(VM, free=True)) for node in public),
        "spotPlaceableGpuCounts": capacity.placeable_counts(public, asked),
    }


def _node(node: Node, kind: str) -> dict[str, Any]:
    sizes = node.sizes(kind, free=True)
    return {"nodeId": node.id, "freeUnits": len(sizes), "freeGpus": sum(sizes), "unitSizes": sizes}


def _offer(node: Node, kind: str) -> dict[str, Any]:
    """What one node has left, without its name. RAM is what a guest can have of it [choice]."""
    vcpu, ram_mb, disk_gb = capacity.share(node, 1)
    return {
        "free": {
            "vcpu": node.vcpu - node.used_vcpu,
            "ramMb": capacity.largest_guest_mb(node.ram_mb - node.used_ram_mb),
            "diskGb": node.disk_gb - node.used_disk_gb,
        },
        "perGpu": {"vcpu": vcpu, "ramMb": capacity.largest_guest_mb(ram_mb), "diskGb": disk_gb},
        "unitSizes": node.sizes(kind, free=True),
        "structuralUnitSizes": node.sizes(kind, free=False),
    }


# -- views -------------------------------------------------------------------------------------------------


def _template(world: World, template: Template) -> dict[str, Any]:
    models = [products.shown_id(world, model_id) for model_id in template.gpu_models]
    view = {
        "id": template.id,
        "name": template.name,
        "slug": template.slug,
        "filename": template.filename,
        "requiresGpu": template.requires_gpu,
        "osType": template.os_type,
        "osVersion": template.os_version,
        "description": template.description,
        "isDefault": template.is_default,
        "sortOrder": template.sort_order,
        "compatibleGpuModelIds": models or None,
    }
    return view | ({"driverVersion": template.driver_version} if template.driver_version else {})


# -- actions -----------------------------------------------------------------------------------------------

Cents = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class Price(Target, kw_only=True):
    """Which GPU model (by slug or UUID as `id`) or CPU size, and what an hour of it costs now."""

    size: str | None = None
    """A CPU size, in place of a GPU model."""
    tier: Literal["community", "verified"] = "community"
    cents: Cents


@area.action("price.set", Price)
def set_price(world: World, what: Price) -> dict[str, Any]:
    """OpenRelay changes a price; sessions that are open keep the rate they locked."""
    if what.size is not None:
        if (what.id, what.name, what.select) != (None, None, None):
            raise Refusal("bad_request", f"name a GPU model, or the size {what.size!r}, not both")
        size = pick(world, CpuSize, Target(id=what.size), "id")
        world.change(size, rate_cents=what.cents)
        return {"size": size.id, "pricePerHourCents": what.cents}
    named = products.find_model(world, what.id) if what.id else None
    model_id = named.id if named else what.id
    model = pick(world, GpuModel, Target(id=model_id, name=what.name, select=what.select), "id", "name")
    world.change(model, **{f"{what.tier}_cents": what.cents})
    return {"gpuModel": model.id, "tier": what.tier, "pricePerHourCents": what.cents}


# -- fixture -----------------------------------------------------------------------------------------------


class LocationSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A place; nodes name its id."""

    id: str
    city: str
    country: str
    region: str
    latitude: float
    longitude: float
    name: str = ""
    """City and country unless given."""


class GpuModelSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A GPU model; without a price in a tier it is not on offer there."""

    id: str
    name: str
    manufacturer: str
    architecture: str
    vram_gb: Positive
    form_factor: str
    interconnect: str = ""
    hidden: bool = False
    community_cents: Cents | None = None
    verified_cents: Cents | None = None


class CpuSizeSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A size class of CPU VMs."""

    id: str
    vcpu: Positive
    ram_mb: Positive
    rate_cents: Cents


class TemplateSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An operating system; its id is its slug. Those listed first are taken first where none is named."""

    slug: str
    name: str
    filename: str
    image_url: str
    os_type: str = "linux"
    os_version: str = ""
    description: str = ""
    requires_gpu: bool = False
    driver_version: str = ""
    is_default: bool = False
    gpu_models: tuple[str, ...] = ()
    ssh_user: str = "ubuntu"


@area.seed("locations", list[LocationSpec])
def seed_locations(world: World, specs: list[LocationSpec]) -> None:
    for spec in specs:
        fields = msgspec.structs.asdict(spec)
        fields["name"] = spec.name or f"{spec.city}, {spec.country}"
        _add(world, Location(created_at_ms=world.now_ms, **fields))


@area.seed("gpu_models", list[GpuModelSpec])
def seed_gpu_models(world: World, specs: list[GpuModelSpec]) -> None:
    for spec in specs:
        fields = msgspec.structs.asdict(spec)
        _add(world, GpuModel(created_at_ms=world.now_ms, uuid=products.model_uuid(spec.id), **fields))


@area.seed("cpu_sizes", list[CpuSizeSpec])
def seed_cpu_sizes(world: World, specs: list[CpuSizeSpec]) -> None:
    for spec in specs:
        _add(world, CpuSize(created_at_ms=world.now_ms, **msgspec.structs.asdict(spec)))


@area.seed("templates", list[TemplateSpec])
def seed_templates(world: World, specs: list[TemplateSpec]) -> None:
    known = [model.id for model in world.rows(GpuModel)]
    for order, spec in enumerate(specs):
        for given in spec.gpu_models:
            if given not in known:
                raise Refusal("not_found", f"{spec.slug}: no GPU model {given!r}{nearest(given, known)}")
        fields = msgspec.structs.asdict(spec)
        _add(world, Template(id=spec.slug, created_at_ms=world.now_ms, sort_order=order, **fields))


def _add(world: World, row: Row) -> None:
    if world.find(type(row), row.id):
        raise Refusal("conflict", f"{row.id!r} stands there twice")
    world.put(row)
