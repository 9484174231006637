"""What a provider earns, and what it is paid.

Hours that customers spent on the provider's nodes fall into three bands, by what funded them: paid balance,
free credit, nobody; only the first earns [2026-07]. What the provider runs on its own nodes, and tenants
outside this world, are no sessions of customers and count nowhere [choice].

A month is pending until its settlement, then available, until it is paid out: the three add up to the total
[choice]. Payouts are rows of their own and no lines of the ledger, which is a customer's prepaid balance: so
the ledger sums to the balance whether its organization is a provider or not [choice].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

import msgspec

from simulator.domain import hosting, products
from simulator.domain.access import Organization
from simulator.domain.capacity import Node
from simulator.domain.hosting import ByNode, Hosted
from simulator.domain.metering import UsageSession
from simulator.kernel.instant import DAY_MS, day_of, iso, month_of, month_start
from simulator.kernel.money import hours
from simulator.kernel.operation import Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.target import Target, pick
from simulator.kernel.world import Index, Row, World
from simulator.resources.provider.lifecycle import area

NEWEST_PAYOUTS = 25
DAYS = 7
"""Of the daily series [choice: as many as usage shows by default]."""

STREAMS = ("gpu", "cpu")


class Payout(Row, frozen=True, kw_only=True):
    """Money that a provider was paid."""

    indexes: ClassVar = {
        "organization": Index(
            lambda payout: payout.organization_id, lambda payout: (payout.number, payout.id)
        )
    }

    organization_id: str
    number: int
    """How many there were before it."""
    amount_cents: int
    description: str


class Books(NamedTuple):
    """What each node of a provider has hosted, in settled months, in those that are not, and in this one."""

    settled: ByNode
    pending: ByNode
    month: ByNode
    paid_out_cents: int

    @property
    def available_cents(self) -> int:
        return hosting.total(self.settled.values()).earned_cents - self.paid_out_cents

    @property
    def pending_cents(self) -> int:
        return hosting.total(self.pending.values()).earned_cents

    def of_node(self, node_id: str) -> Hosted:
        return self.settled.get(node_id, Hosted()) + self.pending.get(node_id, Hosted())


def books(world: World, provider_id: str) -> Books:
    months = {
        month: hosting.of_month(world, provider_id, month)
        for month in hosting.pending_months(world, provider_id)
    }
    pending: ByNode = {}
    for by_node in months.values():
        for node_id, hosted in by_node.items():
            pending[node_id] = pending.get(node_id, Hosted()) + hosted
    paid_out = sum(payout.amount_cents for payout in world.select(Payout, "organization", provider_id))
    this_month = months[month_of(world.now_ms)]
    return Books(hosting.settled(world, provider_id), pending, this_month, paid_out)


# -- operations --------------------------------------------------------------------------------------------


@area.operation("getProviderEarnings")
def get_provider_earnings(call: Call) -> dict[str, Any]:
    """Hours and cents since the beginning, per node, model and stream; the present month beside them."""
    world, provider_id = call.world, call.organization_id
    found = books(world, provider_id)
    nodes = [
        node
        for node in world.select(Node, "organization", provider_id)
        if node.status != "removed" or found.of_node(node.id).all_ms
    ]
    everything = hosting.total(found.of_node(node.id) for node in nodes)
    month = hosting.total(found.month.values())
    return {
        "totalEarningsCents": everything.earned_cents,
        "totalHours": hours(everything.all_ms),
        "currentMonthEarningsCents": month.earned_cents,
        "currentMonthHours": hours(month.all_ms),
        "pendingEarningsCents": found.pending_cents,
        "availableForPayoutCents": found.available_cents,
        "totalPaidOutCents": found.paid_out_cents,
        "commissionPercent": world.settings.whole("provider.commission_percent"),
        **_split(everything),
        "freeCreditHours": hours(everything.free_ms),
        "unpaidHours": hours(everything.unpaid_ms),
        "byNode": [_of_node(world, node, found) for node in nodes],
        "byGpuModel": _by_model(world, nodes, found),
        "byStream": [{"stream": stream, **_sum(_of_stream(nodes, stream), found)} for stream in STREAMS],
        "recentPayouts": _newest_payouts(world, provider_id),
        "activeRentals": sum(session.ended_at_ms is None for session in _this_month(world, provider_id)),
        "compensationMode": "revenue_share_legacy",
        "daily": _daily(world, provider_id),
    }


def _this_month(world: World, provider_id: str) -> list[UsageSession]:
    return world.select(UsageSession, "hosted", (provider_id, month_of(world.now_ms)))


# -- actions -----------------------------------------------------------------------------------------------


class PayoutOrder(Target, kw_only=True):
    """Which provider, and how much of what is available; all of it unless given."""

    amount_cents: int | None = None
    description: str = "Provider payout"


@area.action("provider.payout", PayoutOrder)
def pay_out(world: World, what: PayoutOrder) -> dict[str, Any]:
    """OpenRelay pays a provider what is available for payout, or a part of it."""
    organization = pick(world, Organization, what, "slug", "name")
    if not organization.is_provider:
        raise Refusal("conflict", f"{organization.slug} is no provider")
    found = books(world, organization.id)
    amount = found.available_cents if what.amount_cents is None else what.amount_cents
    _check_amount(world, found, amount)
    payout = world.put(
        Payout(
            id=f"txn_{world.streams.text('transaction', 24)}",
            created_at_ms=world.now_ms,
            organization_id=organization.id,
            number=len(world.bucket(Payout, "organization", organization.id)),
            amount_cents=amount,
            description=what.description,
        )
    )
    told = {"transaction": payout.id, "type": "provider_payout", "cents": amount}
    world.note("charge", organization=organization.id, **told)
    left = found.available_cents - amount
    return {"organization": organization.id, "payout": payout.id, "amountCents": amount, "leftCents": left}


def _check_amount(world: World, found: Books, amount_cents: int) -> None:
    least, available = world.settings.whole("provider.payout_min_cents"), found.available_cents
    there = f"{available} cents are available and {found.pending_cents} pending until their month is settled"
    if amount_cents > available:
        raise Refusal("conflict", f"a payout of {amount_cents} cents is more than there is: {there}")
    if amount_cents < least:
        raise Refusal(
            "conflict", f"a payout of {amount_cents} cents is under the minimum of {least}: {there}"
        )


# -- views -------------------------------------------------------------------------------------------------


def _split(hosted: Hosted) -> dict[str, Any]:
    """The members that every sum has; under a share of the revenue the hours that earn are the paid ones."""
    return {
        "billableHours": hours(hosted.paid_ms),
        "billableGrossCents": hosted.billable_cents,
        "grossEarningsCents": hosted.gross_cents,
        "earningHours": hours(hosted.paid_ms),
    }


def _sum(nodes: Iterable[Node], found: Books) -> dict[str, Any]:
    hosted = hosting.total(found.of_node(node.id) for node in nodes)
    return {"earningsCents": hosted.earned_cents, "hours": hours(hosted.all_ms), **_split(hosted)}


def _of_node(world: World, node: Node, found: Books) -> dict[str, Any]:
    rented_ms = found.month.get(node.id, Hosted()).all_ms if node.gpus else 0
    return {
        "nodeId": node.id,
        "hostname": node.hostname,
        **_sum([node], found),
        "gpuCount": node.gpus,
        "rentedGpuHoursMonth": hours(rented_ms),
        "utilizationPercent": _utilization(world, node, rented_ms),
    }


def _utilization(world: World, node: Node, rented_ms: int) -> float | None:
    """Of the GPU-hours there were this month, in percent; null without GPUs and at its start [2026-07]."""
    there_were_ms = node.gpus * (world.now_ms - month_start(month_of(world.now_ms)))
    return min(100.0, rented_ms * 10_000 // there_were_ms / 100) if there_were_ms else None


def _of_stream(nodes: Iterable[Node], stream: str) -> list[Node]:
    return [node for node in nodes if bool(node.gpus) == (stream == "gpu")]


def _by_model(world: World, nodes: list[Node], found: Books) -> list[dict[str, Any]]:
    of_model: dict[str, list[Node]] = {}
    for node in _of_stream(nodes, "gpu"):
        of_model.setdefault(node.gpu_model_id, []).append(node)
    return [
        {
            "gpuModelId": products.shown_id(world, model_id),
            "name": world.get(products.GpuModel, model_id).name,
            **_sum(those, found),
        }
        for model_id, those in sorted(of_model.items())
    ]


def _newest_payouts(world: World, provider_id: str) -> list[dict[str, Any]]:
    newest = world.select(Payout, "organization", provider_id)[: -NEWEST_PAYOUTS - 1 : -1]
    return [
        {
            "id": payout.id,
            "type": "provider_payout",
            "amountCents": payout.amount_cents,
            "createdAt": iso(payout.created_at_ms),
            "description": payout.description,
        }
        for payout in newest
    ]


def _daily(world: World, provider_id: str) -> list[dict[str, Any]]:
    """The last days, today the last of them; days without a guest are there, with zeros."""
    today = world.now_ms // DAY_MS
    days = {day: Hosted() for day in range(today - DAYS + 1, today + 1)}
    for month in sorted({month_of(day * DAY_MS) for day in days}):
        for session in world.select(UsageSession, "hosted", (provider_id, month)):
            for day, hosted in _by_day(world, session, today - DAYS + 1):
                days[day] += hosted
    return [
        {
            "date": day_of(day * DAY_MS),
            "hostedHours": hours(hosted.all_ms),
            "billableHours": hours(hosted.paid_ms),
            "freeHours": hours(hosted.free_ms),
            "unpaidHours": hours(hosted.unpaid_ms),
            "billableGrossCents": hosted.billable_cents,
            "earningsCents": hosted.earned_cents,
            "earningHours": hours(hosted.paid_ms),
        }
        for day, hosted in days.items()
    ]


def _by_day(world: World, session: UsageSession, first: int) -> Iterator[tuple[int, Hosted]]:
    """A session cut at each midnight from that of the first day on; its days add up to it."""
    end = session.created_at_ms + session.span_ms(world.now_ms)
    before = _up_to(world, session, max(session.created_at_ms, min(end, first * DAY_MS)))
    for day in range(max(first, session.created_at_ms // DAY_MS), -(-end // DAY_MS)):
        so_far = _up_to(world, session, min(end, (day + 1) * DAY_MS))
        yield day, so_far - before
        before = so_far


def _up_to(world: World, session: UsageSession, moment_ms: int) -> Hosted:
    """What a session had come to at a moment."""
    return hosting.of_session(world, msgspec.structs.replace(session, ended_at_ms=moment_ms))
