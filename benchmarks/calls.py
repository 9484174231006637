"""Typical calls one by one, as pyperf times them: in many processes, with their spread.

Two commits side by side:

    python -m benchmarks.calls -o before.json
    python -m benchmarks.calls -o after.json
    python -m pyperf compare_to before.json after.json

The first two are called in one commit each.
"""

from __future__ import annotations

from collections.abc import Callable

import pyperf

from benchmarks.comparison import FULL, seconds_of
from benchmarks.growth import CALLS, create, get, page, stop
from benchmarks.population import client_of, world_of


def main() -> None:
    runner = pyperf.Runner()
    client = client_of(world_of(FULL.small))
    runner.bench_func("get", get(client))
    runner.bench_func("page of 50", page(client))
    runner.bench_time_func("create", each_prepared(create(client)))
    runner.bench_time_func("stop", each_prepared(stop(client)))


def each_prepared(prepare: Callable[[], Callable[[], object]]) -> Callable[[int], float]:
    """Seconds of so many calls; as often as they have changed the world enough, it begins anew."""

    def run(loops: int) -> float:
        seconds, call = 0.0, prepare()
        for number in range(1, loops + 1):
            seconds += seconds_of(call)
            if number % CALLS == 0:
                call = prepare()
        return seconds

    return run


if __name__ == "__main__":
    main()
