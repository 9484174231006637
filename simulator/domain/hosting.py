"""What hosting earns: customers' hours on a provider's nodes, what paid for them, and the provider's share.

`earnings = billable gross x commission percent / 100`, rounded down per session [2026-07; choice of the
rounding]: only what paid balance funded is passed on. A month counts as pending until its settlement, which
adds it to what has been settled for each node; so a report reads no more than the sessions not settled yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import msgspec

from simulator.domain import funding, metering
from simulator.domain.metering import Account, UsageSession
from simulator.kernel.instant import month_of, next_month
from simulator.kernel.world import Index, Row, World


class Hosted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sums over sessions: time by what funded it, each GPU counted [choice: as usage is], and money."""

    free_ms: int = 0
    paid_ms: int = 0
    unpaid_ms: int = 0
    gross_cents: int = 0
    billable_cents: int = 0
    earned_cents: int = 0

    @property
    def all_ms(self) -> int:
        return self.free_ms + self.paid_ms + self.unpaid_ms

    def __add__(self, other: Hosted) -> Hosted:
        return Hosted(*map(int.__add__, msgspec.structs.astuple(self), msgspec.structs.astuple(other)))

    def __sub__(self, other: Hosted) -> Hosted:
        return Hosted(*map(int.__sub__, msgspec.structs.astuple(self), msgspec.structs.astuple(other)))


class SettledHosting(Row, frozen=True, kw_only=True):
    """What a node has hosted for a provider in all months that are settled; the id is `provider/node`."""

    indexes: ClassVar = {"provider": Index(lambda settled: settled.provider_id)}

    provider_id: str
    node_id: str
    hosted: Hosted


ByNode = dict[str, Hosted]


def of_session(world: World, session: UsageSession) -> Hosted:
    """What a session comes to, up to now or up to its end."""
    cut = metering.funded(world, session)
    free_ms, paid_ms, unpaid_ms = (spent * session.count for spent in funding.time_by_band(cut))
    gross = session.cents(world)
    billable = funding.cents_by_band(cut, session.rate_cents, gross).paid
    earned = billable * world.settings.whole("provider.commission_percent") // 100
    return Hosted(free_ms, paid_ms, unpaid_ms, gross, billable, earned)


def total(parts: Iterable[Hosted]) -> Hosted:
    return sum(parts, Hosted())


def of_month(world: World, provider_id: str, month: str) -> ByNode:
    """What each node has hosted in a UTC calendar month so far."""
    found: ByNode = {}
    for session in world.select(UsageSession, "hosted", (provider_id, month)):
        found[session.node_id] = found.get(session.node_id, Hosted()) + of_session(world, session)
    return found


def pending_months(world: World, provider_id: str) -> Iterator[str]:
    """The months that no settlement has reached, up to the present one."""
    settled, last = world.get(Account, provider_id).settled_until, month_of(world.now_ms)
    month = next_month(settled) if settled else month_of(world.clock.start_ms)
    while month <= last:
        yield month
        month = next_month(month)


def settled(world: World, provider_id: str) -> ByNode:
    rows = world.select(SettledHosting, "provider", provider_id)
    return {row.node_id: row.hosted for row in rows}


def settle(world: World, provider_id: str, month: str) -> None:
    """Add a month that has ended to what is settled, and open the next one."""
    before = settled(world, provider_id)
    for node_id, hosted in of_month(world, provider_id, month).items():
        world.put(
            SettledHosting(
                id=f"{provider_id}/{node_id}",
                created_at_ms=world.now_ms,
                provider_id=provider_id,
                node_id=node_id,
                hosted=before.get(node_id, Hosted()) + hosted,
            )
        )
    world.change(world.get(Account, provider_id), settled_until=month)
