"""Target 9: what it costs to let virtual time pass."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import simpy

from benchmarks.comparison import Comparison, Effort, Measure, seconds_of
from benchmarks.population import BALANCE_CENTS, client_of, populated
from simulator import assets
from simulator.domain import metering
from simulator.domain.events import Outcome, Outgoing
from simulator.domain.metering import Account, UsageSession
from simulator.kernel.clock import Clock
from simulator.kernel.instant import (
    DAY_MS,
    LATEST_MS,
    MINUTE_MS,
    SECOND_MS,
    month_of,
    month_start,
    next_month,
)
from simulator.kernel.world import World
from simulator.worlds import DEFAULT

PENDING = 1000
"""Timers pending at every moment."""
DAYS = 30
LOW_CENTS = 10**9
SLICE = 720
"""The minute loop is measured for a 720th of the thirty days, an hour, and multiplied."""


def compare(effort: Effort) -> Iterator[Comparison]:
    events = int(effort.seconds * 1_000_000)
    yield Comparison(9, "a timer that sets the next / SimPy", clock(events), simpy_clock(events), 1.0)
    world = busy_world(effort.month)
    what = f"{DAYS} days of {effort.month:,} VMs / minute loop, an hour of it × {SLICE}"
    yield Comparison(9, what, event_driven(world), minute_loop(world), 0.01, unit="s", most_rounds=3)


# -- timers alone ------------------------------------------------------------------------------------------


def clock(events: int) -> Measure:
    """The kernel's clock: take what is due, call it by its name."""

    def run() -> float:
        virtual = Clock(0)

        def ring(at: int) -> None:
            virtual.at(virtual.now_ms + 1 + at % 7, "ring", (at,))

        by_name = {"ring": ring}
        for at in range(PENDING):
            ring(at)

        def fire() -> None:
            for _ in range(events):
                timer = virtual.pop_due(LATEST_MS)
                assert timer is not None
                by_name[timer.name](*timer.args)

        return seconds_of(fire) / events

    return run


def simpy_clock(events: int) -> Measure:
    """SimPy's: as many processes, each of which waits again and again."""

    def run() -> float:
        environment = simpy.Environment()

        def ring(at: int) -> Generator[simpy.Event, Any, None]:
            while True:
                yield environment.timeout(1 + at % 7)

        for at in range(PENDING):
            environment.process(ring(at))

        def fire() -> None:
            for _ in range(events):
                environment.step()

        for _ in range(PENDING):
            environment.step()  # the processes begin
        return seconds_of(fire) / events

    return run


# -- thirty days -------------------------------------------------------------------------------------------


def busy_world(vms: int) -> World:
    """All VMs run. Half way through, the balance becomes low, and a webhook hears of it."""
    webhook = {"organization": "acme", "name": "hook", "url": "http://127.0.0.1:9/hook"}
    fixture = populated(vms, ("running",), webhooks=[webhook])
    world = assets.open_world(DEFAULT, fixture, 0, {"billing.low_cents": LOW_CENTS})
    account = busy_account(world)
    enough_cents = LOW_CENTS + account.burn_cents * 24 * DAYS // 2
    surplus_cents = account.balance_cents - enough_cents
    metering.post(world, account.id, -surplus_cents, ("refund", "stripe"), "Surplus")
    metering.watch(world, account.id)
    return world


def event_driven(genesis: World) -> Measure:
    """An advance: the end of a month, its settlement, a look at the balance, and the webhook that hears."""
    posted: list[Outgoing] = []

    def receive(outgoing: Outgoing) -> Outcome:
        posted.append(outgoing)
        return Outcome(status_code=200)

    client = client_of(genesis, receive)

    def month() -> None:
        client.simulator.advance(DAYS * DAY_MS // SECOND_MS)

    def run() -> float:
        client.simulator.reset()
        posted.clear()
        seconds = seconds_of(month)
        assert [outgoing.headers["X-VectorLay-Event"] for outgoing in posted] == ["balance.low"]
        assert billed_cents(genesis, client.simulator.world) == due_cents(genesis)
        return seconds

    return run


def billed_cents(before: World, after: World) -> tuple[int, int]:
    """What the settled month has cost, and the present one so far."""
    account = busy_account(after)
    settled = busy_account(before).balance_cents - account.balance_cents
    return settled, metering.accrued_cents(after, account.id)


def due_cents(genesis: World) -> tuple[int, int]:
    """The same, worked out anew: the seconds of each VM to the month's end and from there, rounded down."""
    end = month_start(next_month(month_of(genesis.now_ms)))
    sessions = list(genesis.rows(UsageSession))
    spans = (
        [end - session.created_at_ms for session in sessions],
        [genesis.now_ms + DAYS * DAY_MS - end for _ in sessions],
    )
    first, second = (
        sum(
            span // SECOND_MS * session.rate_cents // 3600
            for span, session in zip(part, sessions, strict=True)
        )
        for part in spans
    )
    return first, second


def busy_account(world: World) -> Account:
    return next(account for account in world.rows(Account) if account.burn_cents)


@dataclass(slots=True)
class Ticking:
    """A VM of a simulator that visits each one every minute."""

    rate_cents: int
    seconds: int
    event_at_ms: int = LATEST_MS
    """When the next webhook about it is due."""


def minute_loop(genesis: World) -> Measure:
    """The plainest there is: exact cents of every VM, whether its webhook is due, and the balance."""
    vms = [
        Ticking(session.rate_cents, session.span_ms(genesis.now_ms) // SECOND_MS)
        for session in genesis.rows(UsageSession)
    ]

    def hour() -> None:
        for minute in range(DAYS * DAY_MS // MINUTE_MS // SLICE):
            now_ms = genesis.now_ms + minute * MINUTE_MS
            accrued = 0
            for vm in vms:
                vm.seconds += 60
                accrued += vm.seconds * vm.rate_cents // 3600
                assert now_ms < vm.event_at_ms
            assert accrued < BALANCE_CENTS

    return lambda: seconds_of(hour) * SLICE
