"""The journal as a story: what a person wants to read of it, with the time since the beginning."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from simulator.insight.explain import tell, what_became
from simulator.kernel.instant import iso
from simulator.kernel.journal import Entry
from simulator.kernel.world import World

TOLD = ("request", "action", "refusal", "transition", "event", "delivery", "charge", "fault", "bug")


class Moment(msgspec.Struct, frozen=True):
    """A line of the story. `mark`: the journal's kind, or `reads` for reads that told nothing new."""

    at_ms: int
    """Since the world's first moment."""
    mark: str
    text: str


def lines(world: World) -> Iterator[str]:
    """The whole journal as text, a line for each entry with its serial, moment, kind, cause and sentence."""
    for entry in world.journal:
        cause = "" if entry.cause is None else f" because of {entry.cause}"
        yield f"{entry.serial} {iso(entry.at_ms)} {entry.kind}{cause}: {tell(entry)}"


def moments(world: World) -> list[Moment]:
    """Everything but timers, stages and the world's own beginning; reads in a row are one line."""
    return list(_told(world))


def _told(world: World) -> Iterator[Moment]:
    reads, since_ms = 0, 0
    for entry in world.journal:
        if entry.kind not in TOLD or _is_beginning(entry) or _is_stage(entry):
            continue
        at_ms = entry.at_ms - world.clock.start_ms
        if _is_plain_read(entry):
            since_ms = since_ms if reads else at_ms
            reads += 1
            continue
        if reads:
            yield _reads(since_ms, reads)
            reads = 0
        yield Moment(at_ms, entry.kind, _brief(entry))
    if reads:
        yield _reads(since_ms, reads)


def _brief(entry: Entry) -> str:
    """A sentence without the ids that only a machine reads."""
    facts = entry.facts
    if entry.kind == "request":
        return f"{facts.get('operation') or facts['method'] + ' ' + facts['path']} {what_became(facts)}"
    return f"event {facts['type']}" if entry.kind == "event" else tell(entry)


def _reads(at_ms: int, number: int) -> Moment:
    return Moment(at_ms, "reads", f"{number} read{'s' if number > 1 else ''} answered 200")


def _is_plain_read(entry: Entry) -> bool:
    facts = entry.facts
    return (
        entry.kind == "request"
        and facts["method"] == "GET"
        and facts.get("status") == 200
        and "fault" not in facts
    )


def _is_stage(entry: Entry) -> bool:
    return entry.kind == "transition" and "stage" in entry.facts


def _is_beginning(entry: Entry) -> bool:
    """What the fixture brought has no cause and was nobody's doing."""
    return entry.cause is None and entry.kind in ("charge", "transition", "event")


def clock_text(span_ms: int) -> str:
    """A span as 1h 02m 03s, or 0.250s under a second."""
    seconds, ms = divmod(span_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    text = f"{days}d {hours:02d}h " if days else f"{hours}h " if hours else ""
    text += f"{minutes:02d}m " if text else f"{minutes}m " if minutes else ""
    text += f"{seconds:02d}" if text else f"{seconds}"
    return f"{text}.{ms:03d}s" if ms else f"{text}s"
