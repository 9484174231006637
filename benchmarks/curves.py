"""How costs grow: what is done to a world by its number of VMs, and to one of many worlds by theirs.

What has to touch every row, to save and to load, grows with them; nothing else may.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from benchmarks.comparison import Effort, Measure, once, prepared, repeated
from benchmarks.growth import CALLS, create, get, page, stop
from benchmarks.population import Client, client_of, world_of
from simulator import state
from simulator.kernel.operation import Request
from simulator.worlds import DEFAULT, Opening, Worlds

VMS = (100, 1_000, 10_000, 100_000)
WORLDS = (1, 10, 100, 1_000)
ROUNDS = 5
MINUTE_S = 60


class Curve(NamedTuple):
    """Seconds that one thing takes, by how many there are."""

    what: str
    of: str
    points: dict[int, float]


def curves(effort: Effort, vms: Sequence[int] = VMS, worlds: Sequence[int] = WORLDS) -> Iterator[Curve]:
    for of, sizes, measures in (("VMs", vms, among_vms), ("worlds", worlds, among_worlds)):
        costs: dict[str, dict[int, float]] = {}
        for size in sizes:
            for what, measure in measures(size, effort):
                seconds = statistics.median(measure() for _ in range(ROUNDS))
                costs.setdefault(what, {})[size] = seconds
        for what, points in costs.items():
            yield Curve(what, of, points)


def among_vms(vms: int, effort: Effort) -> Iterator[tuple[str, Measure]]:
    world = world_of(vms)
    client = client_of(world)
    yield "get", repeated(get(client), effort)
    yield "page of 50", repeated(page(client), effort)
    yield "create", prepared(create(client), CALLS)
    yield "stop", prepared(stop(client), CALLS)
    yield "advance over a start", advance(client)
    yield "fork", repeated(world.fork, effort)
    document = state.written(state.save(world, secrets=True))
    yield "save", once(lambda: state.written(state.save(world, secrets=True)))
    yield "load", once(lambda: state.load(document, DEFAULT))


def advance(client: Client) -> Measure:
    """A VM has been created; it starts within these minutes, and nothing else happens."""
    request = client.request("POST", "/v1/orgs/{org}/vms/create", {"name": "one", "gpuModelId": "rtx-4090"})

    def run() -> float:
        client.simulator.reset()
        client.simulator.advance(10 * MINUTE_S)
        client.ask(request)
        return once(lambda: client.simulator.advance(10 * MINUTE_S))()

    return run


def among_worlds(number: int, effort: Effort) -> Iterator[tuple[str, Measure]]:
    worlds = Worlds()
    for at in range(number):
        worlds.open(f"world-{at}", Opening())
    first, last = "world-0", f"world-{number - 1}"
    client = client_of(worlds.get(last).genesis)

    def opened() -> None:
        worlds.delete(first)
        worlds.open(first, Opening())

    yield "get", repeated(ask(worlds, client.request("GET", "/v1/me")), effort)
    yield "open and delete a world", repeated(opened, effort)
    yield "reset a world", repeated(lambda: worlds.reset(last), effort)


def ask(worlds: Worlds, request: Request) -> Callable[[], object]:
    def run() -> None:
        reply = worlds.call(request)
        assert reply.status == 200, reply

    return run
