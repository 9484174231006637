"""Whether a scenario's expectations hold, each with what was found instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from simulator.domain.faults.rules import Rule
from simulator.domain.timeline import Cue
from simulator.insight.money import dollars, leaks, spend_cents
from simulator.kernel.form import read
from simulator.kernel.globs import globs, like
from simulator.kernel.journal import Entry
from simulator.kernel.world import World
from simulator.scenario.document import story_of
from simulator.scenario.expectations import RESOURCES, Expectation

MOST_NAMED = 5


class Finding(msgspec.Struct, frozen=True):
    """One expectation: as it was written, whether it holds, and what there is."""

    expect: Any
    holds: bool
    found: str


def verdict(world: World, genesis: World) -> list[Finding]:
    """Every expectation of the world's scenario, then what of its timeline could not be carried out."""
    story = story_of(world)
    documents = story.expect if story else ()
    refused = [cue for cue in world.select(Cue, "all", "all") if cue.refused]
    return [_judge(world, genesis, document) for document in documents] + [
        Finding({"timeline": cue.position}, False, f"{cue.action}: {cue.refused}") for cue in refused
    ]


def _judge(world: World, genesis: World, document: Any) -> Finding:
    expectation: Expectation = read(document, Expectation)
    subject = expectation.subject
    if subject == "spend":
        return _judge_spend(expectation, document, spend_cents(world, genesis))
    if subject == "leaks":
        left = leaks(world, genesis)
        found = "; ".join(leak.text for leak in left) or "nothing is left behind"
        return Finding(document, len(left) == expectation.leaks, found)
    if subject in ("event", "delivered") and world.journal.dropped:
        return Finding(
            document, False, f"the journal has dropped {world.journal.dropped} entries: nobody can tell"
        )
    number, found = _counted(world, expectation, subject)
    least, most = expectation.bounds()
    return Finding(document, least <= number and (most is None or number <= most), found)


def _judge_spend(expectation: Expectation, document: Any, cents: int) -> Finding:
    bounds = expectation.spend
    assert bounds is not None
    low, high = bounds.min_cents, bounds.max_cents
    holds = (low is None or cents >= low) and (high is None or cents <= high)
    return Finding(document, holds, f"{dollars(cents)} was spent")


def _counted(world: World, expectation: Expectation, subject: str) -> tuple[int, str]:
    """How many there are, and the same in words."""
    if subject == "resource":
        return _resources(world, expectation)
    count, one, many = COUNTED[subject]
    number = count(world, expectation)
    return number, _number_of(number, one, many) + ("" if number else _others(world, expectation))


def _number_of(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _resources(world: World, expectation: Expectation) -> tuple[int, str]:
    """Resources that fit. Told are those that are too many, else those of the name in another status."""
    resource = expectation.resource or ""
    names, statuses = globs(expectation.name), globs(expectation.status)
    there: list[Any] = [
        row for row in world.rows(RESOURCES[resource]) if not names or like(_name(row), names)
    ]
    fitting = [row for row in there if not statuses or like(row.status, statuses)]
    most = expectation.bounds()[1]
    too_many = most is not None and len(fitting) > most
    told = fitting if too_many else [row for row in there if row not in fitting]
    texts = [f"{_name(row)!r} is {row.status}" for row in told[:MOST_NAMED]]
    shown = "; ".join([*texts, "…"] if len(told) > MOST_NAMED else texts)
    found = _number_of(len(fitting), resource, f"{resource}s")
    return len(fitting), f"{found}; {shown}" if shown else found


def _name(row: Any) -> str:
    """What it is called; a node by its host, a transfer by what is offered."""
    names = (getattr(row, field, "") for field in ("name", "hostname", "resource_name"))
    return str(next(filter(None, names), row.id))


def _hits(world: World, expectation: Expectation) -> int:
    wanted = globs(expectation.fault)
    return sum(rule.hits for rule in world.rows(Rule) if like(rule.id, wanted))


def _actions(world: World, expectation: Expectation) -> int:
    wanted = globs(expectation.action)
    return sum(cue.done for cue in world.rows(Cue) if like(cue.action, wanted))


def _calls(world: World, expectation: Expectation) -> int:
    """Exact, however long it took: the journal counts answers for good."""
    wanted, statuses = globs(expectation.calls), globs(expectation.status)
    return sum(
        number
        for (operation, status), number in world.journal.answered.items()
        if like(operation, wanted) and (not statuses or _status_like(status, statuses))
    )


def _events(world: World, expectation: Expectation) -> int:
    return sum(1 for _ in _entries(world, "event", expectation.event, expectation.name))


def _deliveries(world: World, expectation: Expectation) -> int:
    """Those that a receiver took."""
    entries = _entries(world, "delivery", expectation.delivered, expectation.name)
    return sum(entry.facts["status"] == "delivered" for entry in entries)


def _entries(world: World, kind: str, of_type: Any, name: Any) -> Iterator[Entry]:
    """What the journal says of events of these types, about resources of these names."""
    types, names = globs(of_type), globs(name)
    for entry in world.journal:
        if entry.kind != kind or not like(entry.facts["type"], types):
            continue
        if not names or like(_name_of(world, entry.facts["resource"]), names):
            yield entry


def _others(world: World, expectation: Expectation) -> str:
    """Whom the same happened to, where it happened to nobody of the name that is expected."""
    kind, of_type = ("event", expectation.event) if expectation.event else ("delivery", expectation.delivered)
    if not (of_type and expectation.name):
        return ""
    names = {_name_of(world, entry.facts["resource"]) for entry in _entries(world, kind, of_type, None)}
    shown = ", ".join(repr(name) for name in sorted(names)[:MOST_NAMED])
    return f"; such of {shown}" if names else ""


def _name_of(world: World, row_id: str) -> str:
    found = (world.find(kind, row_id) for kind in RESOURCES.values())
    return next((_name(row) for row in found if row is not None), "")


def _status_like(status: int, wanted: tuple[str, ...]) -> bool:
    """4xx is every status from 400 to 499."""
    return like(str(status), [glob.replace("x", "?") for glob in wanted])


COUNTED = {
    "fault": (_hits, "hit", "hits"),
    "action": (_actions, "action", "actions"),
    "calls": (_calls, "call", "calls"),
    "event": (_events, "event", "events"),
    "delivered": (_deliveries, "delivery", "deliveries"),
}
"""What is counted of a subject, and the words for one and for several."""
