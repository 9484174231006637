"""Faults of a lifecycle: a step that takes time fails at its end, never ends, or takes longer.

Areas hand every such step to `proceed`, under the resource's name in the contract and the step's own.
"""

from __future__ import annotations

from typing import Any

import msgspec

from simulator.domain.faults.rules import Fault, Seconds, strike
from simulator.kernel.world import Row, World

STAGES: dict[str, tuple[str, ...]] = {
    "vm": ("scheduling", "preparing_disk", "pulling_image", "booting", "ssh_ready"),
    "replica": ("provisioning", "terminating"),
    "snapshot": ("creating",),
    "batch": ("validating", "in_progress", "finalizing", "cancelling"),
    "runner_job": ("provisioning", "running"),
}
"""The steps there are, by the resource that goes through them."""


class Fail(Fault, frozen=True):
    """The step comes to its end, and the resource fails."""

    reason: str = ""
    """What the resource gives as its reason."""


class Stall(Fault, frozen=True):
    """The step never ends by itself."""


class Delay(Fault, frozen=True):
    """The step takes so many seconds longer."""

    seconds: Seconds


EFFECTS: dict[str, type[Fault]] = {"fail": Fail, "stall": Stall, "delay": Delay}


class Step(msgspec.Struct, frozen=True):
    """A step of a lifecycle that takes time: of which resource, its name, and the timer that ends it."""

    resource: str
    stage: str
    timer: str
    args: tuple[Any, ...]

    @property
    def failing(self) -> str:
        """The timer that makes the resource fail: it gets the row's id and the reason. Where the resource has
        no way to fail, its function does nothing, and the step hangs."""
        return f"{self.resource}.fails"


def proceed(world: World, row: Row, step: Step, span_ms: int | None) -> None:
    """Begin a step that ends after a span, or never; a fault may have it otherwise.

    The timer's first argument is the row's id, so it goes when the row's timers are taken back.
    """
    assert step.stage in STAGES[step.resource], step
    timer, args, cause = step.timer, step.args, world.cause
    facts = {"resource": step.resource, "stage": step.stage}
    hit = strike(world, "lifecycle", EFFECTS, facts, row)
    if hit is not None:
        cause = hit.serial
        if isinstance(hit.effect, Fail):
            reason = hit.effect.reason or f"injected by fault {hit.rule_id}"
            timer, args, span_ms = step.failing, (row.id, reason), span_ms or 0
        elif isinstance(hit.effect, Stall):
            span_ms = None
        elif span_ms is not None:
            span_ms += round(hit.effect.seconds * 1000)
    if span_ms is not None:
        world.clock.after(span_ms, timer, *args, cause=cause)
