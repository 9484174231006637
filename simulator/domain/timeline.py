"""Cues: what the outside world does when something happens, instead of at a moment.

A cue waits for an event or a call that fits, and then has its action carried out, at once or after a span.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from simulator.domain.faults.rules import fits
from simulator.kernel.world import Index, Row, World

ACT = "scenario.act"
"""The timer that carries out the action of a cue, or of a moment on the timeline."""


def _in_order(cue: Cue) -> tuple[int, str]:
    return cue.position, cue.id


class Cue(Row, frozen=True, kw_only=True):
    """An entry of a timeline: when, and what is done then."""

    indexes: ClassVar = {
        "all": Index(lambda cue: "all", _in_order),
        "waiting": Index(lambda cue: cue.waits_for if cue.left else None, _in_order),
    }

    position: int
    """Its place in the timeline, from 0."""
    waits_for: str = ""
    """`event` or `call`; "" for an entry that has its moment."""
    where: dict[str, tuple[str, ...]] = {}
    """Name of a value to globs, one of which has to match; the event type and operation are `is`."""
    pass_by: int = 0
    """So many that fit are let pass first."""
    left: int = 0
    """So often it may still be called."""
    after_ms: int = 0
    action: str
    arguments: dict[str, Any] = {}
    done: int = 0
    refused: str = ""
    """Why the action could not be carried out, the last time it could not."""


def heard(world: World, kind: str, name: str, values: Mapping[str, Any], cause: int | None) -> None:
    """Let the cues that wait for something like this be called; `cause` is the journal's entry of it."""
    for cue in world.select(Cue, "waiting", kind):
        if not fits({**values, "is": name}, cue.where):
            continue
        if cue.pass_by:
            world.tally(cue, pass_by=cue.pass_by - 1)
            continue
        world.tally(cue, left=cue.left - 1)
        world.clock.after(cue.after_ms, ACT, cue.id, cause=cause)
