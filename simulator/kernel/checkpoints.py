"""Moments of a world that are kept by name, to come back to. To keep one costs what a fork costs."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.world import NAME, World

MOST = 100
"""Moments kept per world: each holds on to the rows that have changed since [choice]."""


class Checkpoints:
    """The moments of one world, in the order in which they were first kept."""

    def __init__(self) -> None:
        self._moments: dict[str, World] = {}

    def __iter__(self) -> Iterator[tuple[str, World]]:
        return iter(list(self._moments.items()))

    def check(self, name: str) -> None:
        """Refuse a name that cannot be one, or that would be one too many."""
        if not NAME.fullmatch(name):
            raise Refusal("bad_request", f"checkpoint {name[:80]!r}: take 1 to 63 letters, digits, . _ -")
        if name not in self._moments and len(self._moments) >= MOST:
            raise Refusal("conflict", f"{MOST} checkpoints are kept; delete one first")

    def keep(self, name: str, moment: World) -> None:
        """Keep a moment, in place of one kept under the same name before."""
        self.check(name)
        self._moments[name] = moment

    def get(self, name: str) -> World:
        """A moment by name: for looking at, and to be forked."""
        found = self._moments.get(name)
        if found is None:
            raise Refusal("not_found", f"no checkpoint {name[:80]!r}{nearest(name, list(self._moments))}")
        return found

    def forget(self, name: str) -> None:
        self.get(name)
        self._moments.pop(name, None)
