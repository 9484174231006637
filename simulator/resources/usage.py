"""Usage of the current UTC month, by hardware and tier."""

from __future__ import annotations

from typing import Any

from simulator.domain import metering, products
from simulator.domain.metering import Account, UsageSession
from simulator.domain.products import GpuModel
from simulator.kernel.instant import month_of
from simulator.kernel.money import hours, runway_hours
from simulator.kernel.operation import Area, Call
from simulator.kernel.world import World

area = Area("Usage", scope="billing")


@area.operation("getCurrentUsage")
def get_current_usage(call: Call) -> dict[str, Any]:
    """Cents and GPU-hours per `<gpuModelId>:<tier>` or `cpu:<size>` [choice: no source shows a key]."""
    world, organization_id = call.world, call.organization_id
    spans: dict[str, int] = {}
    cents: dict[str, int] = {}
    for session in world.select(UsageSession, "month", (organization_id, month_of(world.now_ms))):
        key = _shown(world, session.key)
        spans[key] = spans.get(key, 0) + session.span_ms(world.now_ms) * session.count
        cents[key] = cents.get(key, 0) + session.cents(world)
    burn = world.get(Account, organization_id).burn_cents
    floor = world.settings.whole("billing.floor_cents")
    available = metering.available_cents(world, organization_id)
    return {
        "usageCents": sum(cents.values()),
        "usageHours": hours(sum(spans.values())),
        "breakdown": [{"key": key, "hours": hours(spans[key]), "cents": cents[key]} for key in sorted(spans)],
        "burnPerHourCents": burn,
        "autoStopFloorCents": floor,
        "projectedRunwayHours": runway_hours(available, floor, burn),
    }


def _shown(world: World, key: str) -> str:
    """A session's key with its GPU model as answers name it."""
    model_id, _, tier = key.partition(":")
    known = world.find(GpuModel, model_id)
    return f"{products.shown_model_id(world.settings, known)}:{tier}" if known else key
