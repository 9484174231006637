"""The part of the control surface that sums up: cost, leaks, what clients did, what was met."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from simulator.adapters.asked import Asked
from simulator.insight.coverage import coverage, met
from simulator.insight.findings import findings
from simulator.insight.money import leaks, spend_cents
from simulator.insight.verdict import verdict


def get_report(asked: Asked) -> dict[str, Any]:
    """What a run of tests comes to, since the world's first moment."""
    one = asked.simulator
    with one.reading() as world:
        calls = sorted(world.journal.answered.items())
        return {
            "spendCents": spend_cents(world, one.genesis),
            "leaks": msgspec.to_builtins(leaks(world, one.genesis)),
            "findings": msgspec.to_builtins(findings(world, one.genesis)),
            "expect": msgspec.to_builtins(verdict(world, one.genesis)),
            "calls": [
                {"operation": operation, "status": status, "count": count}
                for (operation, status), count in calls
            ],
            "dropped": world.journal.dropped,
        }


def get_coverage(asked: Asked) -> dict[str, Any]:
    """The behaviours that the world has met, and those that it has not."""
    with asked.simulator.reading() as world:
        return coverage(met(world, asked.simulator.genesis)).told


ANSWERS: dict[str, Callable[[Asked], Any]] = {"getReport": get_report, "getCoverage": get_coverage}
