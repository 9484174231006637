"""What a test cost, and what it left behind: figures since the world's first moment, its genesis."""

from __future__ import annotations

from typing import Any

import msgspec

from simulator.domain.inference import InferenceUse
from simulator.domain.metering import UsageSession
from simulator.kernel.instant import iso
from simulator.kernel.money import NANO_USD_PER_CENT
from simulator.kernel.world import World
from simulator.resources.clusters.states import Replica
from simulator.resources.vms.lifecycle import Vm


class Leak(msgspec.Struct, frozen=True):
    """A resource that still costs money and did not at the first moment."""

    resource: str
    """vm, or replica."""
    id: str
    name: str
    status: str
    cents_per_hour: int
    since: str

    @property
    def text(self) -> str:
        return (
            f"{self.resource} {self.name!r} is {self.status} and costs {dollars(self.cents_per_hour)} an hour"
        )


def leaks(world: World, genesis: World) -> list[Leak]:
    """What is billed now and was not at the first moment, oldest first."""
    before = {session.resource_id for session in genesis.rows(UsageSession) if session.ended_at_ms is None}
    open_now = (session for session in world.rows(UsageSession) if session.ended_at_ms is None)
    return [_leak(world, session) for session in open_now if session.resource_id not in before]


def _leak(world: World, session: UsageSession) -> Leak:
    row: Any = world.find(Vm, session.resource_id) or world.get(Replica, session.resource_id)
    kind = type(row).__name__.lower()
    return Leak(kind, row.id, row.name, row.status, session.rate_cents, iso(session.created_at_ms))


def spend_cents(world: World, genesis: World) -> int:
    """What all organizations used since the first moment: machines to the cent, inference rounded up."""
    return _used_cents(world) - _used_cents(genesis)


def _used_cents(world: World) -> int:
    machines = sum(session.cents(world) for session in world.rows(UsageSession))
    inference = sum(use.nano_usd for use in world.rows(InferenceUse))
    return machines - (-inference // NANO_USD_PER_CENT)


def dollars(cents: int) -> str:
    """Cents as $4.11."""
    return f"${cents // 100}.{cents % 100:02d}"
