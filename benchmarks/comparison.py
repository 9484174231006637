"""Two ways to do the same thing, measured turn by turn.

A ratio compares them a moment apart, so it holds on a busy machine where seconds do not.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

Measure = Callable[[], float]
"""Does the work, once or often, and answers what one time costs: seconds, or bytes."""

SCALES = {"s": 1.0, "ms": 1e3, "µs": 1e6, "bytes": 1.0, "cases": 1.0}


class Effort(NamedTuple):
    """How much a run may cost."""

    rounds: int
    seconds: float
    """That one measurement of a quick call takes."""
    small: int
    """VMs in the small world."""
    large: int
    """VMs in the large world."""
    month: int
    """VMs that run for thirty days."""


FULL = Effort(rounds=21, seconds=0.1, small=100, large=100_000, month=10_000)
QUICK = Effort(rounds=5, seconds=0.02, small=100, large=20_000, month=10_000)


class Comparison(NamedTuple):
    """What `ours` costs as a multiple of `other`, and the bound the multiple shall keep, if any."""

    target: int
    what: str
    """Ours / the other."""
    ours: Measure
    other: Measure
    at_most: float | None = None
    unit: str = "µs"
    most_rounds: int = 1000
    """Fewer for work that takes long."""


class Measured(NamedTuple):
    """The median of the ratios of all rounds, and the least cost of each side in the unit."""

    target: int
    what: str
    ours: float
    other: float
    unit: str
    ratio: float
    at_most: float | None

    @property
    def missed(self) -> bool:
        return self.at_most is not None and self.ratio > self.at_most


def measure(comparison: Comparison, effort: Effort) -> Measured:
    """They take turns, and each round yields one ratio. The garbage collector waits, as in timeit."""
    target, what, ours, other, at_most, unit, most_rounds = comparison
    gc.collect()
    gc.disable()
    try:
        rounds = [(ours(), other()) for _ in range(min(effort.rounds, most_rounds))]
    finally:
        gc.enable()
    ratio = statistics.median(mine / theirs for mine, theirs in rounds)
    least = [min(costs) * SCALES[unit] for costs in zip(*rounds, strict=True)]
    return Measured(target, what, least[0], least[1], unit, ratio, at_most)


def figure(number: float) -> str:
    """Three digits that count."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def seconds_of(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def once(call: Callable[[], object]) -> Measure:
    """A call that takes long enough to be measured alone."""
    return lambda: seconds_of(call)


def repeated(call: Callable[[], object], effort: Effort) -> Measure:
    """A quick call that leaves nothing behind, as often as fits into one measurement."""

    def several(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - start) / count

    call()  # compiles on first use
    fitting = max(1, int(effort.seconds / several(3)))
    return lambda: several(fitting)


def prepared(prepare: Callable[[], Callable[[], object]], count: int) -> Measure:
    """A call that changes something, on what has been prepared for so many of them; the median counts.

    The first third is left out: it pays for the copies a fresh fork owes and finds the caches cold.
    """

    def run() -> float:
        call = prepare()
        return statistics.median([seconds_of(call) for _ in range(count)][count // 3 :])

    return run
