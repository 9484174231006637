"""`--openrelay-crash-points`: a test runs again once for each call that it made, the answer to it lost.

Lost answers are what leaves orphans behind: the call was carried out, and the client does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from simulator.testing.again import Again, failure_of

if TYPE_CHECKING:
    from simulator.testing.cloud import Recorded

OPTION = "--openrelay-crash-points"


class CrashPoints(Again):
    """`which`: "writes", "all", or the number of one call."""

    def __init__(self, which: str) -> None:
        if which not in ("writes", "all") and not which.isdecimal():
            hint = f"before a path write {OPTION}=writes"
            raise pytest.UsageError(f"{OPTION}={which}: take writes, all, or the number of a call; {hint}")
        self._which = which

    def try_again(self, item: pytest.Item, nextitem: pytest.Item | None, calls: list[Recorded]) -> str:
        called = [call for call in calls if call.operation]
        points = [
            (number, call.operation) for number, call in enumerate(called, 1) if self._wants(number, call)
        ]
        failed = []
        for number, operation in points:
            told = failure_of(self.run(item, nextitem, [_lose(number)]))
            if told:
                failed.append(_text(item, number, operation, told))
        return f"{len(failed)} of {len(points)} crash points\n\n" + "\n".join(failed) if failed else ""

    def _wants(self, number: int, call: Recorded) -> bool:
        if self._which.isdecimal():
            return number == int(self._which)
        return self._which == "all" or call.method not in ("GET", "HEAD")


def _lose(number: int) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": f"crash-point-{number}", "on": "request", "operation": "*", "times": 1}
    return {**rule, "after": number - 1, "do": {"lose_answer": True}}


def _text(item: pytest.Item, number: int, operation: str, told: str) -> str:
    return (
        f"crash point {number}: the answer to {operation} was lost; it was carried out\n"
        f"repeat: pytest '{item.nodeid}' {OPTION}={number}\n{told}\n"
    )
