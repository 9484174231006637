"""What a failed test is told of its cloud: how to repeat it, what happened, what it cost and left behind."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from simulator.insight.money import dollars
from simulator.insight.story import clock_text, moments
from simulator.kernel.instant import iso
from simulator.kernel.world import World

if TYPE_CHECKING:
    from simulator.testing.cloud import OpenRelay

MOST_MOMENTS = 20


def account(openrelay: OpenRelay, node_id: str, scenario: str = "") -> str:
    """The section of a report; `scenario` is that of --openrelay-scenario. It may not hide the failure: where
    it cannot be written, it says so."""
    try:
        return "\n".join(_lines(openrelay, node_id, scenario))
    except Exception as problem:
        return f"the account of {openrelay!r} failed: {type(problem).__name__}: {problem}"


def _lines(openrelay: OpenRelay, node_id: str, scenario: str) -> list[str]:
    with openrelay.simulator.reading() as world:
        story = _story(world)
        span = clock_text(world.now_ms - world.clock.start_ms)
        when = f"{span} of virtual time, it is {iso(world.now_ms)}"
    spent = f"spent {dollars(openrelay.spend_cents())}"
    left = [f"left behind: {leak.text}" for leak in openrelay.leaks()]
    broken = [
        f"does not hold: {finding.expect}: {finding.found}"
        for finding in openrelay.verdict()
        if not finding.holds
    ]
    raised = [one.error for one in openrelay.received if one.error]
    return [
        _origin(openrelay),
        _repeat(openrelay, node_id, scenario),
        f"{when}; {spent}",
        *left,
        *broken,
        *story,
        *raised,
    ]


def _origin(openrelay: OpenRelay) -> str:
    opening = openrelay.opening
    scenario = f", scenario {opening.scenario['title']!r}" if opening.scenario else ""
    return f"world {opening.fixture}{scenario}, seed {opening.seed}, clock {openrelay.simulator.clock.mode}"


def _repeat(openrelay: OpenRelay, node_id: str, scenario: str) -> str:
    options = f"--openrelay-seed={openrelay.opening.seed}"
    if scenario:
        options += f" --openrelay-scenario={shlex.quote(scenario)}"
    return f"repeat: pytest '{node_id}' {options}"


def _story(world: World) -> list[str]:
    told = moments(world)
    shown = told[-MOST_MOMENTS:]
    lines = [f"  +{clock_text(moment.at_ms):>9}  {moment.mark:<10}  {moment.text}" for moment in shown]
    left_out = len(told) - len(shown)
    return ["nothing has happened"] if not told else [f"  … {left_out} before"] * bool(left_out) + lines
