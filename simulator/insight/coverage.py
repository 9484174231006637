"""Which behaviours of the cloud a test suite has met, as line coverage tells of lines: transitions, answers,
errors, events, and what became of requests for room, of payments and of deliveries.

The universe is read from the contract and the registries, so it grows with the cloud; it is the same under
all settings, so that sessions can be compared [choice]. What was met is what happened since the world's first
moment: answers are counted for good, of all else the journal keeps its newest entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import msgspec

from simulator import assets
from simulator.contract.spec import METHODS
from simulator.domain.events import EVENT_TYPES, NOT_SENT
from simulator.domain.faults import placement
from simulator.kernel.journal import Entry
from simulator.kernel.machine import SAME, Capacity, Step
from simulator.kernel.refusal import CODES
from simulator.kernel.world import World
from simulator.registry import AREAS, OPERATIONS
from simulator.resources.billing.payments import DECLINE_CODES, SENSITIVE_CODES

Behaviour = tuple[str, str]
"""A group, and a name within it."""
PLACED = "placed"
PAID = ("succeeded", "requires_action", "refunded")
DELIVERED, RETRIED, GIVEN_UP, NO_ANSWER = (
    "delivered at once",
    "delivered after a retry",
    "given up",
    "no answer",
)


class Group(msgspec.Struct, frozen=True):
    """The behaviours of a kind."""

    name: str
    met: list[str]
    not_met: list[str]

    @property
    def total(self) -> int:
        return len(self.met) + len(self.not_met)

    @property
    def percent(self) -> float:
        return 100 * len(self.met) / self.total


class Coverage(msgspec.Struct, frozen=True):
    """All groups."""

    groups: list[Group]

    @property
    def percent(self) -> float:
        """Of all behaviours, those that were met."""
        met = sum(len(group.met) for group in self.groups)
        return 100 * met / sum(group.total for group in self.groups)

    @property
    def told(self) -> dict[str, Any]:
        """The same as JSON, for files and over HTTP."""
        groups = {
            group.name: {"percent": round(group.percent, 1), "met": group.met, "notMet": group.not_met}
            for group in self.groups
        }
        return {"percent": round(self.percent, 1), "groups": groups}


def coverage(behaviours: Iterable[Behaviour]) -> Coverage:
    """What was met, held against all there is; in one order always."""
    known, everything = set(behaviours), universe()
    names = list(dict.fromkeys(group for group, _ in everything))
    return Coverage(
        [
            Group(
                name,
                [what for group, what in everything if group == name and (group, what) in known],
                [what for group, what in everything if group == name and (group, what) not in known],
            )
            for name in names
        ]
    )


@cache
def universe() -> tuple[Behaviour, ...]:
    """Every behaviour there is."""
    return (
        *(("operations", name) for name in OPERATIONS),
        *(("refusals", name) for name in _documented_errors()),
        *(("transitions", name) for name in _transitions()),
        *(("errors", name) for name in sorted(_codes())),
        *(("events", name) for name in EVENT_TYPES),
        *(("capacity", name) for name in (PLACED, *_refusals())),
        *(("payments", name) for name in (*PAID, *map(_declined, DECLINE_CODES))),
        *(("deliveries", name) for name in (DELIVERED, RETRIED, GIVEN_UP, NO_ANSWER)),
    )


def met(world: World, genesis: World) -> set[Behaviour]:
    """The behaviours that a world has seen since its first moment."""
    news = world.journal.after(genesis.journal.serial)
    seen = {*_answered(world, genesis), *(one for entry in news for one in _seen(world, entry))}
    return seen.intersection(universe())


def _documented_errors() -> Iterator[str]:
    """Operations with each error that is documented for them, in whichever version."""
    for item in assets.contract_document()["paths"].values():
        for raw in (item[method] for method in METHODS if method in item):
            listed = {*map(str, (*raw["x-documented-statuses"], *raw.get("x-later-statuses", ())))}
            yield from (f"{raw['operationId']} {status}" for status in sorted(listed) if status >= "400")


def _transitions() -> list[str]:
    return list(dict.fromkeys(name for name, step in _steps() if step.target != SAME))


def _steps() -> Iterator[tuple[str, Step]]:
    """Every row of every table, by the name of each transition that it is."""
    machines = (area.machine for area in AREAS if area.machine)
    for machine in machines:
        for step in machine.steps:
            for source in step.sources:
                yield _transition(machine.name, step.trigger, source, step.target_from(source)), step


def _transition(kind: str, trigger: str, source: str, target: str) -> str:
    return f"{kind.replace(' ', '').lower()}: {source} → {target} by {trigger}"


def _codes() -> set[str]:
    """Codes as clients read them, generic ones in small letters."""
    return {row.wire or name for name, row in CODES.items() if row.wire != "generic"}


def _refusals() -> tuple[str, ...]:
    return tuple(code for code in placement.CODES if code != placement.NO_HOLD)


def _declined(code: str) -> str:
    """What a client reads: a sensitive code is shown as another."""
    return f"declined: {'generic_decline' if code in SENSITIVE_CODES else code}"


# -- what was met ------------------------------------------------------------------------------------------


def _answered(world: World, genesis: World) -> Iterator[Behaviour]:
    """How operations were answered: counted for good, so however long ago it was."""
    before = genesis.journal.answered
    for (operation, status), number in world.journal.answered.items():
        if number > before.get((operation, status), 0):
            yield ("operations", operation) if status < 400 else ("refusals", f"{operation} {status}")


def _seen(world: World, entry: Entry) -> Iterator[Behaviour]:
    facts = entry.facts
    if entry.kind == "event":
        yield "events", facts["type"]
    elif entry.kind == "request" and "code" in facts:
        yield from _refused(facts["code"])
    elif entry.kind == "delivery":
        yield from _delivered(facts)
    elif entry.kind == "transition" and "from" in facts:
        yield from _moved(world, facts)


def _refused(code: str) -> Iterator[Behaviour]:
    yield "errors", code if code in CODES else code.lower()
    yield "capacity", code


def _delivered(facts: dict[str, Any]) -> Iterator[Behaviour]:
    if facts["status"] == "delivered":
        yield "deliveries", DELIVERED if facts["attempt"] == 1 else RETRIED
    elif facts["error"] != NOT_SENT:
        if facts["status_code"] is None:
            yield "deliveries", NO_ANSWER
        if not facts.get("again"):
            yield "deliveries", GIVEN_UP


def _moved(world: World, facts: dict[str, Any]) -> Iterator[Behaviour]:
    kind, trigger = world.kind_of(facts["resource"]), facts.get("trigger", "")
    name = _transition(kind, trigger, facts["from"], facts["to"])
    yield "transitions", name
    if name in _placing():
        yield "capacity", PLACED
    if kind == "Payment":
        declined = facts.get("decline_code")
        yield "payments", _declined(declined) if declined else facts["to"]


@cache
def _placing() -> frozenset[str]:
    """The transitions that take a place on a node."""
    return frozenset(name for name, step in _steps() if step.capacity is Capacity.claim)
