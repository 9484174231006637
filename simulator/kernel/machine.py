"""Transition tables: rows that read like the manual, checked when they are built.

The missing pairs are the refusals: a trigger that has no row for the present state is refused with the code
the table names for that trigger. Tests walk the whole grid from the table, and the documentation's diagrams
are printed from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from simulator.kernel.refusal import CODES, Refusal

NEW = "–"
"""The state of a row that does not exist yet."""

SAME = "="
"""The target of a step that stays in the state it finds."""


class Capacity(StrEnum):
    """What a transition does to the place on a node."""

    keep = "keep"
    claim = "claim"
    release = "release"
    """Give back GPUs, RAM and vCPU; the disk and the node stay."""
    free = "free"
    """Give back everything, the disk too."""


class Meter(StrEnum):
    """What a transition does to the billing session."""

    keep = "keep"
    begin = "begin"
    """A start begins: opens the session if the setting billing.open_at says deploying."""
    open = "open"
    close = "close"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a table."""

    trigger: str
    sources: tuple[str, ...]
    target: str
    capacity: Capacity = Capacity.keep
    meter: Meter = Meter.keep
    event: str | None = None
    reason: str | None = None
    """The machine word written to statusReason; "" clears it, None leaves it to the caller."""

    def target_from(self, state: str) -> str:
        return state if self.target == SAME else self.target


def row(
    trigger: str,
    sources: str | tuple[str, ...],
    target: str,
    capacity: str = "keep",
    meter: str = "keep",
    *told: str | None,
) -> Step:
    """A step written as one line of a table; `told` is the event and the machine word of statusReason."""
    event, reason = (*told, None, None)[:2]
    return Step(
        trigger=trigger,
        sources=(sources,) if isinstance(sources, str) else sources,
        target=target,
        capacity=Capacity(capacity),
        meter=Meter(meter),
        event=event,
        reason=reason,
    )


class Machine:
    """States, steps, and the code that refuses each trigger where it has no step."""

    def __init__(
        self, name: str, states: Sequence[str], steps: Sequence[Step], refusals: dict[str, dict[str, str]]
    ) -> None:
        self.name = name
        self.states = tuple(states)
        self.steps = tuple(steps)
        self.refusals = refusals
        self._rows: dict[tuple[str, str], Step] = {}
        for step in steps:
            self._add(step)
        for trigger, codes in refusals.items():
            assert trigger in self.triggers, f"{name}: refusal for unknown trigger {trigger}"
            assert set(codes) <= {*states, "*"}, f"{name}: refusal of {trigger} in unknown state {codes}"
            assert set(codes.values()) <= set(CODES), (
                f"{name}: refusal of {trigger} with unknown code {codes}"
            )

    def _add(self, step: Step) -> None:
        unknown = {*step.sources, step.target} - {*self.states, NEW, SAME}
        assert not unknown, f"{self.name}: {step.trigger} names unknown states {sorted(unknown)}"
        for source in step.sources:
            pair = (source, step.trigger)
            assert pair not in self._rows, f"{self.name}: two rows for {pair}"
            self._rows[pair] = step

    @property
    def triggers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(step.trigger for step in self.steps))

    def find(self, state: str, trigger: str) -> Step | None:
        """The row for a state and a trigger, or None."""
        return self._rows.get((state, trigger))

    def step(self, state: str, trigger: str, what: str) -> Step:
        """The row for a state and a trigger; where there is none, the refusal of the trigger.

        `what` names the resource in the message, as: VM 'trainer'.
        """
        found = self._rows.get((state, trigger))
        if found is None:
            codes = self.refusals.get(trigger, {})
            fits = ", ".join(source for source in self.states if (source, trigger) in self._rows)
            raise Refusal(
                codes.get(state) or codes.get("*") or "conflict",
                f"{what} is {state}; {trigger.replace('_', ' ')} needs it to be {fits}",
            )
        return found

    def pairs(self) -> Iterator[tuple[str, str, Step | None]]:
        """Every state with every trigger that has a refusal: the whole grid of verbs."""
        for state in self.states:
            for trigger in self.refusals:
                yield state, trigger, self.find(state, trigger)

    def mermaid(self) -> str:
        """The table as a state diagram."""
        lines = ["stateDiagram-v2"]
        for step in self.steps:
            lines += [
                f"    {'[*]' if source == NEW else source} --> {step.target_from(source)}: {step.trigger}"
                for source in step.sources
            ]
        return "\n".join(lines)
