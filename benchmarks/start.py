"""Target 5: from the start of the process to the first answer."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import peers
from benchmarks.comparison import Comparison, Effort, Measure
from benchmarks.processes import Call, Server, python, running
from simulator.domain import access
from simulator.worlds import DEFAULT


def compare(effort: Effort) -> Iterator[Comparison]:
    ours = first_answer(simulator())
    floor = first_answer(peers.floor().server)
    yield Comparison(5, "start to first 200 / bare Flask app", ours, floor, 2.5, unit="ms", most_rounds=11)


def beside_prism(effort: Effort) -> Iterator[Comparison]:
    prism = peers.prism()
    if prism:
        ours, other = first_answer(simulator()), first_answer(prism.server)
        yield Comparison(5, "start to first 200 / Prism", ours, other, 0.4, unit="ms", most_rounds=5)


def simulator() -> Server:
    """As a user starts it."""
    headers = {"Authorization": f"Bearer {access.fixed_secret(DEFAULT, 'vl_', 'default')}"}
    return Server(python("-m", "simulator", "serve", "--port", "{port}"), (Call("GET", "/v1/me", headers),))


def first_answer(server: Server) -> Measure:
    """Seconds from the start of the process to its first 200."""

    def run() -> float:
        start = time.perf_counter()
        with running(server):
            return time.perf_counter() - start

    return run
