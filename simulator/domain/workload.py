"""What everything that runs on a node has in common: gates before a start, shapes, names, timings."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from simulator.domain import capacity, metering, products
from simulator.domain.access import Organization
from simulator.domain.capacity import DEFAULT_DISK_GB_PER_GPU, VM, Fit, Shape
from simulator.kernel.instant import SECOND_MS, month_of, month_start
from simulator.kernel.machine import Capacity, Meter, Step
from simulator.kernel.refusal import Refusal
from simulator.kernel.streams import BASE36
from simulator.kernel.world import Row, World

DISK_GB = range(10, 2001)
"""Legal disk sizes [choice; a client needs 30 and 60 to be legal]."""

DEFAULT_CPU_SIZE = "large"
DEFAULT_CPU_DISK_GB = 10


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """The hardware somebody asks for, in the words of the request."""

    gpu_model_id: str | None = None
    gpu_count: int | None = None
    resource_size: str | None = None
    tier: str = "community"
    disk_gb: int | None = None
    regions: tuple[str, ...] = ()
    fallback: bool = False
    node_id: str = ""
    guest_mem_mb: int | None = None
    kind: str = VM


# -- gates -------------------------------------------------------------------------------------------------


def check_account(world: World, organization_id: str) -> None:
    """Whether the account may deploy at all [2026-10 sdk]."""
    status = world.get(Organization, organization_id).account_status
    if status == "pending":
        raise Refusal(
            "ACCOUNT_PENDING_VERIFICATION", "the account is pending verification and may not deploy yet"
        )
    if status != "active":
        raise Refusal("ACCOUNT_RESTRICTED", f"the account is {status} and may not deploy")


def check_funds(world: World, organization_id: str) -> None:
    """Whether enough is available to start something [2026-10 sdk: code and status]."""
    least = world.settings.whole("billing.min_deploy_cents")
    if not metering.available_above(world, organization_id, least):
        available = metering.available_cents(world, organization_id)
        raise Refusal(
            "INSUFFICIENT_BALANCE", f"{available} cents available; deploying needs more than {least}"
        )


def check_feature(world: World, organization_id: str, feature: str, code: str) -> None:
    """Whether the organization may use a feature [2026-10 sdk: the codes]."""
    if feature not in world.get(Organization, organization_id).features:
        raise Refusal(code, f"{feature!r} is switched off for this organization (action org.set_feature)")


# -- shapes ------------------------------------------------------------------------------------------------


def shape_of(world: World, wish: Wish) -> Shape:
    """What a wish comes down to; refused with 400 where it makes no sense."""
    if wish.tier not in products.TIERS:
        raise Refusal("bad_request", f"tier {wish.tier!r} is unknown; known are {', '.join(products.TIERS)}")
    shape = _gpu_shape(world, wish) if wish.gpu_model_id else _cpu_shape(world, wish)
    if wish.resource_size:
        cpu_size(world, wish.resource_size)
    if wish.disk_gb is not None:
        check_disk(wish.disk_gb)
    return shape


def check_disk(disk_gb: int) -> None:
    if disk_gb not in DISK_GB:
        raise Refusal(
            "bad_request", f"disk size {disk_gb} GB is out of bounds; take {DISK_GB[0]} to {DISK_GB[-1]}"
        )


def _gpu_shape(world: World, wish: Wish) -> Shape:
    model = products.known_model(world, wish.gpu_model_id or "")
    count = 1 if wish.gpu_count is None else wish.gpu_count
    if count < 1:
        raise Refusal("bad_request", f"gpuCount {count} is under 1")
    if wish.resource_size and wish.gpu_count and world.settings.word("vms.size_with_count") == "refused":
        raise Refusal(
            "RESOURCE_SIZE_NOT_APPLICABLE", "resourceSize sizes CPU VMs; leave it out beside gpuCount"
        )
    if model.rate_cents(wish.tier) is None:
        raise Refusal("bad_request", f"{model.id} is not offered in tier {wish.tier!r}")
    return Shape(
        gpu_model_id=model.id,
        gpus=count,
        vram_gb=model.vram_gb,
        guest_ram_mb=wish.guest_mem_mb or 0,
        disk_gb=count * DEFAULT_DISK_GB_PER_GPU if wish.disk_gb is None else wish.disk_gb,
        **_placing(wish),
    )


def _cpu_shape(world: World, wish: Wish) -> Shape:
    if wish.gpu_count:
        raise Refusal("bad_request", f"gpuCount {wish.gpu_count} without gpuModelId: name the model")
    if wish.guest_mem_mb:
        raise Refusal("bad_request", "guestMemMb sizes GPU VMs; take resourceSize for a CPU VM")
    size = cpu_size(world, wish.resource_size)
    return Shape(
        vcpu=size.vcpu,
        guest_ram_mb=size.ram_mb,
        disk_gb=DEFAULT_CPU_DISK_GB if wish.disk_gb is None else wish.disk_gb,
        **_placing(wish),
    )


def _placing(wish: Wish) -> dict[str, Any]:
    return {
        "tier": wish.tier,
        "kind": wish.kind,
        "regions": wish.regions,
        "fallback": wish.fallback,
        "node_id": wish.node_id,
    }


def cpu_size(world: World, given: str | None) -> products.CpuSize:
    """A CPU size class by its word; unknown ones are refused with those there are."""
    size = world.find(products.CpuSize, given or DEFAULT_CPU_SIZE)
    if size is None:
        known = ", ".join(row.id for row in world.rows(products.CpuSize))
        raise Refusal("bad_request", f"resourceSize {given!r} is unknown; known are {known}")
    return size


def choose_template(world: World, given: str | None, shape: Shape) -> products.Template:
    """The template that was named, by id or slug, or the first one that suits the hardware."""
    templates = products.templates(world)
    if given:
        named = next((row for row in templates if given in (row.id, row.slug)), None)
        if named is None:
            known = ", ".join(row.slug for row in templates)
            raise Refusal("bad_request", f"templateId {given!r} is unknown; known are {known}")
        if not _suits(named, shape):
            hardware = shape.gpu_model_id or "a CPU VM"
            raise Refusal("bad_request", f"template {named.slug} does not suit {hardware}")
        return named
    wanted = [row for row in templates if _suits(row, shape) and row.requires_gpu == bool(shape.gpus)]
    return next(row for row in [*wanted, *templates] if _suits(row, shape))


def _suits(template: products.Template, shape: Shape) -> bool:
    if not shape.gpus:
        return not template.requires_gpu
    return not template.gpu_models or shape.gpu_model_id in template.gpu_models


def check_port(member: str, port: int) -> int:
    if not 1 <= port <= 65535:
        raise Refusal("bad_request", f"{member} {port} is out of bounds; take 1 to 65535")
    return port


def usage_key(shape: Shape, resource_size: str) -> str:
    """What the usage report groups by [choice]."""
    return f"{shape.gpu_model_id}:{shape.tier}" if shape.gpus else f"cpu:{resource_size}"


def rate_cents(world: World, shape: Shape, resource_size: str) -> int:
    """Catalogue price of a shape now, cents per hour: per GPU x count, or the flat price of the size."""
    if not shape.gpus:
        return cpu_size(world, resource_size).rate_cents
    rate = world.get(products.GpuModel, shape.gpu_model_id).rate_cents(shape.tier)
    return (rate or 0) * shape.gpus


# -- the place and the meter -------------------------------------------------------------------------------

TORN_DOWN = "place.torn_down"
"""The timer that frees what was taken until it was torn down."""


def hold_place(world: World, holder: str, step: Step, fit: Fit | None, *, torn_down: bool = False) -> None:
    """What a step does to the place on the node, as its table says.

    What is given back is free after a teardown (timing.teardown_s), unless that is over already.
    """
    if step.capacity is Capacity.claim:
        assert fit is not None, f"{step.trigger} of {holder} needs a place"
        capacity.claim(world, fit, holder)
    elif step.capacity is not Capacity.keep:
        if torn_down or not _tear_down(world, holder, disk=step.capacity is Capacity.free):
            (capacity.free if step.capacity is Capacity.free else capacity.release)(world, holder)
        admit_later(world)


def _tear_down(world: World, holder: str, *, disk: bool) -> bool:
    """Begin a teardown; False where there is nothing to tear down, or it takes no time."""
    if world.settings.seconds("timing.teardown_s") == (0,):
        return False
    aside = capacity.set_aside(world, holder, disk=disk)
    span_ms = draw_ms(world, "teardown") if aside else None
    if aside and span_ms is not None:
        world.after(span_ms, TORN_DOWN, aside.id)
    return aside is not None


def run_meter(world: World, holder: str, meter: Meter, fields: Callable[[], dict[str, Any]]) -> None:
    """What a step does to the billing session, as its table says; `fields` are those of a session."""
    begins = meter is Meter.begin and world.settings.word("billing.open_at") == "deploying"
    if begins or (meter is Meter.open and metering.open_session_of(world, holder) is None):
        metering.open_session(world, metering.new_session(world, **fields()))
    elif meter is Meter.close:
        metering.close_session(world, holder)


# -- waiting for a place ------------------------------------------------------------------------------------

QUEUES: dict[type[Row], str] = {}
"""Classes with an index `queue` of what is pending, each with the timer that lets it look for a place."""


def admit_later(world: World) -> None:
    """Let what waits for a place look again, once what is going on now is over."""
    for kind, timer in QUEUES.items():
        if world.bucket(kind, "queue", "pending"):
            world.after(0, timer)


# -- names and times ---------------------------------------------------------------------------------------


def new_id(world: World, prefix: str) -> str:
    """An id for a VM, cluster, organization or node: a UUID, or prefixed as the documentation prints."""
    if world.settings.word("ids.style") == "prefixed":
        return f"{prefix}_{world.streams.text(prefix, 24)}"
    return world.streams.uuid(prefix)


def endpoint_host(world: World, name: str) -> str:
    """`<name>-<8 base36>.run.openrelay.inc`; the name as a DNS label of 50 characters at most."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-") or "vm"
    return f"{label}-{world.streams.text('endpoint', 8, BASE36)}.{world.settings.word('vms.endpoint_domain')}"


def draw_ms(world: World, timing: str) -> int | None:
    """How long a step takes: fixed, drawn from the range its setting names, or None when it never ends."""
    return draw_span_ms(world, f"timing.{timing}_s")


def draw_span_ms(world: World, setting: str) -> int | None:
    """The same, for a setting by its whole name."""
    seconds = world.settings.seconds(setting)
    if seconds is None:
        return None
    low, high = int(seconds[0] * 1000), int(seconds[-1] * 1000)
    return low if high <= low else low + world.streams.below("timing", high - low + 1)


def began_ms(world: World, name: str, running_for_s: int) -> int:
    """When something of a fixture began to run: in the month of `start`, for a session lies in one month."""
    longest_s = (world.now_ms - month_start(month_of(world.now_ms))) // SECOND_MS
    assert 0 <= running_for_s <= longest_s, f"{name} did not begin in the month of `start`"
    return world.now_ms - running_for_s * SECOND_MS


def check_name(name: str) -> str:
    """A name of 1 to 63 characters [choice]."""
    if not name.strip() or len(name) > 63:
        shown = name if len(name) <= 80 else name[:77] + "..."
        raise Refusal("bad_request", f"name {shown!r} has {len(name)} characters; take 1 to 63")
    return name
