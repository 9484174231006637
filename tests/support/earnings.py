"""A provider that has guests, customers who pay with what they are given, and what holds of all earnings."""

from __future__ import annotations

from typing import Any

from simulator.domain import metering
from simulator.domain.access import Organization
from tests.support.cloud import Cloud
from tests.support.parties import Party, party

EARNINGS = "/v1/orgs/{org}/provider/earnings"
MODEL = "rtx-pro-6000"


def provider(cloud: Cloud) -> Party:
    """Globex with the only machine of a model that costs 60 cents an hour, four of its GPUs in it."""
    globex = party(cloud, "globex")
    if not cloud.world.get(Organization, globex.org).is_provider:
        globex.post("/v1/orgs/{org}/provider/apply", {"note": "We have a rack."})
        cloud.do("provider.approve", id=globex.org)
    cloud.do("price.set", id=MODEL, tier="community", cents=60)
    add_node(cloud, "rack-gpu", gpu_model=MODEL, units=[1, 1, 1, 1])
    return globex


def add_node(cloud: Cloud, hostname: str, **more: Any) -> None:
    """Another machine of Globex."""
    sizes = {"vcpu": 64, "ram_gb": 512, "disk_gb": 8000, **more}
    cloud.do("node.add", hostname=hostname, location="us-east", organization="globex", **sizes)


def customer(cloud: Cloud, slug: str, *, free: int = 0, paid: int = 0) -> Party:
    """A new organization with so many cents of free credit and of paid balance, neither more nor less."""
    made = cloud.do("org.create", name=slug.title(), slug=slug, owner=f"owner@{slug}.example")
    who = Party(cloud, slug, made["organization"], made["key"])
    give(who, free=free, paid=paid)
    return who


def give(who: Party, *, free: int = 0, paid: int = 0) -> None:
    if free:
        who.cloud.do("balance.credit", id=who.org, cents=free)
    if paid:
        metering.post(who.cloud.world, who.org, paid, ("stripe_deposit", "stripe"), "Card deposit")


def rent(who: Party, count: int = 1, model: str | None = MODEL, **body: Any) -> str:
    """A VM that runs from now on; the clock stands where it stood."""
    wish = {"gpuModelId": model, "gpuCount": count} if model else {}
    answer = who.post("/v1/orgs/{org}/vms/create", {"name": "guest", **wish, **body})
    assert answer.status == 200, answer
    vm_id: str = answer.body["id"]
    for _ in range(4):
        who.cloud.do("vm.proceed", id=vm_id)
    return vm_id


def books_add_up(seen: dict[str, Any]) -> None:
    """What is shown in parts is the whole, however it is divided."""
    parts = ("pendingEarningsCents", "availableForPayoutCents", "totalPaidOutCents")
    assert seen["totalEarningsCents"] == sum(seen[part] for part in parts)
    for name in ("byNode", "byStream"):
        for member, whole in (
            ("earningsCents", "totalEarningsCents"),
            ("billableGrossCents", "billableGrossCents"),
            ("grossEarningsCents", "grossEarningsCents"),
        ):
            assert sum(row[member] for row in seen[name]) == seen[whole], (name, member)
    gpu = next(row for row in seen["byStream"] if row["stream"] == "gpu")
    assert sum(row["earningsCents"] for row in seen["byGpuModel"]) == gpu["earningsCents"]
    assert 0 <= seen["currentMonthEarningsCents"] <= seen["pendingEarningsCents"]
    assert seen["availableForPayoutCents"] >= 0
    bands = seen["billableHours"] + seen["freeCreditHours"] + seen["unpaidHours"]
    assert abs(seen["totalHours"] - bands) < 0.04, "each is rounded down to a hundredth"
    assert min(day["earningsCents"] for day in seen["daily"]) >= 0
    assert len(seen["daily"]) == 7
