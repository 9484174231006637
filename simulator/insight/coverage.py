"""Which behaviours of the cloud a test suite has met, as line coverage tells of lines: transitions, answers,
errors, events, and what became of requests for room and for money.

The universe is read from the registries, so it grows with the cloud. What was met is read from a world, as
far back as its journal reaches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

import msgspec

from simulator.domain.events import EVENT_TYPES
from simulator.domain.faults import placement
from simulator.kernel.machine import SAME
from simulator.kernel.refusal import CODES
from simulator.kernel.world import World
from simulator.registry import AREAS, OPERATIONS
from simulator.resources.billing.payments import DECLINE_CODES, Payment

Behaviour = tuple[str, str]
"""A group, and a name within it."""
PLACED = "placed"
PAID = ("succeeded", "requires_action", "refunded")


class Group(msgspec.Struct, frozen=True):
    """The behaviours of a kind."""

    name: str
    met: list[str]
    not_met: list[str]

    @property
    def total(self) -> int:
        return len(self.met) + len(self.not_met)


class Coverage(msgspec.Struct, frozen=True):
    """All groups."""

    groups: list[Group]

    @property
    def percent(self) -> float:
        """Of all behaviours, those that were met."""
        met = sum(len(group.met) for group in self.groups)
        return 100 * met / sum(group.total for group in self.groups)


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
        *(("transitions", name) for name in _transitions()),
        *(("errors", name) for name in sorted(_codes())),
        *(("events", name) for name in EVENT_TYPES),
        *(("capacity", name) for name in (PLACED, *_refusals())),
        *(("payments", name) for name in (*PAID, *(f"declined: {code}" for code in DECLINE_CODES))),
    )


def met(world: World) -> set[Behaviour]:
    """The behaviours that a world has seen."""
    return {*_answered(world), *_recorded(world), *_paid(world)}


def _transitions() -> list[str]:
    names = [
        _transition(area.machine.name, step.trigger, source, step.target_from(source))
        for area in AREAS
        if area.machine
        for step in area.machine.steps
        for source in step.sources
        if step.target != SAME
    ]
    return list(dict.fromkeys(names))


def _transition(kind: str, trigger: str, source: str, target: str) -> str:
    return f"{kind.replace(' ', '').lower()}: {source} → {target} by {trigger}"


def _codes() -> set[str]:
    """Codes as clients read them, generic ones in small letters."""
    return {row.wire or name for name, row in CODES.items() if row.wire != "generic"}


def _refusals() -> tuple[str, ...]:
    return tuple(code for code in placement.CODES if code != placement.NO_HOLD)


def _answered(world: World) -> Iterator[Behaviour]:
    """Operations that succeeded, counted for good, and codes of errors."""
    for operation, status in world.journal.answered:
        if operation and status < 400:
            yield "operations", operation
    codes = {entry.facts["code"] for entry in world.journal if "code" in entry.facts}
    for code in codes:
        yield "errors", code if code in CODES else code.lower()
        yield "capacity", code


def _recorded(world: World) -> Iterator[Behaviour]:
    for entry in world.journal:
        facts = entry.facts
        if entry.kind == "event":
            yield "events", facts["type"]
        elif entry.kind == "transition" and "from" in facts:
            kind = world.kind_of(facts["resource"])
            yield "transitions", _transition(kind, facts.get("trigger", ""), facts["from"], facts["to"])
            if kind in ("Vm", "Replica") and facts["to"] in ("deploying", "provisioning"):
                yield "capacity", PLACED


def _paid(world: World) -> Iterator[Behaviour]:
    for payment in world.rows(Payment):
        if payment.decline_code:
            yield "payments", f"declined: {payment.decline_code}"
        else:
            yield "payments", "succeeded" if payment.status == "credited" else payment.status
