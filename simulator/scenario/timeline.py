"""The timeline: actions at a moment, or when an event or a call is heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from simulator.domain import events
from simulator.domain.timeline import ACT, Cue
from simulator.kernel.form import FormProblem, inside, read
from simulator.kernel.instant import LAST_NOW_MS
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.world import World
from simulator.registry import ACTIONS, OPERATIONS
from simulator.scenario.words import Globs, Span, Where, globs_of, known_globs, span_ms

MOST_ENTRIES = 10_000

Times = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class When(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What an entry waits for: an event or a call, by name and by its values."""

    event: Globs | None = None
    call: Globs | None = None
    """An operation that was answered, whatever the answer."""
    name: Globs | None = None
    """Name of the resource that the event or call is about."""
    where: Where = {}
    """Other values: of the event's data, or of the call's path, query and body, and its `status`."""
    nth: Times = 1
    """The first that counts."""
    times: Times = 1
    """How many count."""


class Entry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An entry of the timeline: `at` a moment, or `when` something is heard, and `after` a span from it."""

    at: Span | None = None
    when: When | None = None
    after: Span | None = None
    do: dict[str, Any]
    """One action, and its arguments."""


def cue_of(world: World, entry: Entry, position: int) -> Cue:
    """The cue that an entry describes. Raises FormProblem with the place and what would be right."""
    action, arguments = _action(entry)
    cue = Cue(
        id=f"cue-{position}",
        created_at_ms=world.now_ms,
        position=position,
        action=action,
        arguments=arguments,
    )
    if (entry.at is None) == (entry.when is None):
        raise FormProblem("say either `at` a moment or `when` something is heard")
    if entry.at is not None:
        if entry.after is not None:
            raise FormProblem("goes with `when`; `at` says the moment itself", "after")
        return msgspec.structs.replace(cue, after_ms=_from_now_ms(world, "at", entry.at))
    assert entry.when is not None
    return msgspec.structs.replace(
        cue, after_ms=_from_now_ms(world, "after", entry.after or 0), **_waiting(entry.when)
    )


def begin(world: World, cues: Sequence[Cue]) -> None:
    """Put the entries into a world; those that have their moment are set for it."""
    for cue in cues:
        world.put(cue)
        if not cue.waits_for:
            world.after(cue.after_ms, ACT, cue.id)


def act(world: World, cue_id: str) -> None:
    """Carry out the action of an entry. What cannot be done is written down, and the story goes on."""
    cue, outer = world.get(Cue, cue_id), world.cause
    action = ACTIONS[cue.action]
    world.cause = world.note("action", name=cue.action, arguments=cue.arguments, timeline=cue.position)
    try:
        action.function(world, read(cue.arguments, action.arguments))
        world.change(cue, done=cue.done + 1)
    except Refusal as refusal:
        world.note("refusal", name=cue.action, timeline=cue.position, message=refusal.message)
        world.change(cue, refused=refusal.message)
    world.cause = outer


TIMERS = {ACT: act}


# -- reading -----------------------------------------------------------------------------------------------


def _action(entry: Entry) -> tuple[str, dict[str, Any]]:
    if len(entry.do) != 1:
        raise FormProblem(f"{len(entry.do)} actions; name one", "do")
    ((name, given),) = entry.do.items()
    if name not in ACTIONS:
        raise FormProblem(f"no action {name!r}{nearest(name, list(ACTIONS))}", "do")
    arguments = {} if given is True or given is None else given
    if not isinstance(arguments, dict):
        raise FormProblem(f"{given!r:.80} is no mapping of arguments", f"do.{name}")
    with inside(f"do.{name}"):
        read(arguments, ACTIONS[name].arguments)
    return name, arguments


def _waiting(when: When) -> dict[str, Any]:
    """What a cue waits for, in its fields."""
    if (when.event is None) == (when.call is None):
        raise FormProblem("wait for either an `event` or a `call`", "when")
    kind, given, known = "event", when.event, list(events.EVENT_TYPES)
    if when.call is not None:
        kind, given, known = "call", when.call, list(OPERATIONS)
    names = known_globs(kind, given, known, f"when.{kind}")
    where = {**when.where, **({} if when.name is None else {"name": when.name})}
    return {
        "waits_for": kind,
        "where": {"is": names, **globs_of(where)},  # type: ignore[arg-type]
        "pass_by": when.nth - 1,
        "left": when.times,
    }


def _from_now_ms(world: World, name: str, given: Span) -> int:
    found_ms = span_ms(given, name)
    if world.now_ms + found_ms > LAST_NOW_MS:
        raise FormProblem(f"{given!r} is beyond the end of virtual time", name)
    return found_ms
