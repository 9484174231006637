"""What is on offer: GPU models, CPU sizes, templates and locations, and what they cost now."""

from __future__ import annotations

from typing import Any, ClassVar

from simulator.kernel.instant import iso
from simulator.kernel.refusal import Refusal
from simulator.kernel.settings import Settings
from simulator.kernel.streams import digest_number
from simulator.kernel.world import Index, Row, World

TIERS = ("community", "verified", "spot")


class GpuModel(Row, frozen=True, kw_only=True):
    """A GPU model; its id is the slug, `uuid` the other name the live service gives it [client]."""

    indexes: ClassVar = {"uuid": Index(lambda model: model.uuid)}

    uuid: str
    name: str
    manufacturer: str
    architecture: str
    vram_gb: int
    form_factor: str
    interconnect: str = ""
    hidden: bool = False
    """In the catalogue, but neither priced nor in availability [2026-10 sdk; choice]."""
    community_cents: int | None = None
    verified_cents: int | None = None

    def rate_cents(self, tier: str) -> int | None:
        """Cents per GPU-hour; spot runs on community hardware at its price [choice]."""
        return self.verified_cents if tier == "verified" else self.community_cents


class CpuSize(Row, frozen=True, kw_only=True):
    """A size class of CPU VMs; the id is the word in resourceSize."""

    vcpu: int
    ram_mb: int
    rate_cents: int


class Template(Row, frozen=True, kw_only=True):
    """An operating system image with its defaults."""

    indexes: ClassVar = {"all": Index(lambda row: "all", lambda row: (row.sort_order, row.id))}

    name: str
    slug: str
    filename: str
    image_url: str
    os_type: str
    os_version: str
    description: str = ""
    requires_gpu: bool = False
    driver_version: str = ""
    is_default: bool = False
    sort_order: int = 0
    gpu_models: tuple[str, ...] = ()
    """Models it fits; empty: every model."""
    ssh_user: str = "ubuntu"


def templates(world: World) -> list[Template]:
    """Every template, in the order in which they are offered."""
    return world.select(Template, "all", "all")


class Location(Row, frozen=True, kw_only=True):
    """A place with nodes; `region` is what preferredRegions names, beside the location's own id."""

    name: str
    city: str
    country: str
    region: str
    latitude: float
    longitude: float


def model_uuid(slug: str) -> str:
    """The UUID of a GPU model: the slug decides it, so it is the same in every world."""
    text = f"{digest_number('gpu-model/' + slug) >> 128:032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def find_model(world: World, given: str) -> GpuModel | None:
    """A model by slug or UUID: both are accepted on input [choice]."""
    return world.find(GpuModel, given) or world.first(GpuModel, "uuid", given)


def shown_model_id(settings: Settings, model: GpuModel) -> str:
    """A model's id as answers carry it."""
    return model.uuid if settings.word("ids.gpu_models") == "uuid" else model.id


def shown_id(world: World, model_id: str) -> str:
    """The same from the id that other rows keep."""
    return shown_model_id(world.settings, world.get(GpuModel, model_id))


def model_view(world: World, model: GpuModel) -> dict[str, Any]:
    """A model as the contract shows it."""
    view = {
        "id": shown_model_id(world.settings, model),
        "name": model.name,
        "manufacturer": model.manufacturer,
        "vramGb": model.vram_gb,
        "hidden": model.hidden,
        "architecture": model.architecture,
        "createdAt": iso(model.created_at_ms),
        "formFactor": model.form_factor,
    }
    return view | ({"interconnect": model.interconnect} if model.interconnect else {})


def known_model(world: World, given: str) -> GpuModel:
    """A model on sale; anything else is refused with the ids there are."""
    model = find_model(world, given)
    if model is None or model.hidden:
        known = ", ".join(row.id for row in world.rows(GpuModel) if not row.hidden)
        raise Refusal("bad_request", f"gpuModelId {given!r} is not on offer; known are {known}")
    return model
