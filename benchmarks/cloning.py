"""Target 8: going back to the first moment is nothing against seeding again, and a fork copies no rows."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.comparison import Comparison, Effort, once, repeated
from benchmarks.population import client_of, world_of
from simulator import assets
from simulator.worlds import DEFAULT


def compare(effort: Effort) -> Iterator[Comparison]:
    document = assets.load_fixture(DEFAULT)  # reading the file does not count as seeding
    client = client_of(assets.open_world(DEFAULT, document, seed=0))
    body = {"name": "trainer", "gpuModelId": "rtx-3090"}
    create = client.request("POST", "/v1/orgs/{org}/vms/create", body)

    def seed() -> None:
        assets.open_world(DEFAULT, document, seed=0)

    def seed_and_create() -> None:
        client.simulator.reset(assets.open_world(DEFAULT, document, seed=0))
        client.ask(create)

    def reset_and_create() -> None:
        client.simulator.reset()
        client.ask(create)

    reset = repeated(client.simulator.reset, effort)
    yield Comparison(8, "reset / seeding again", reset, once(seed), at_most=0.05)
    yield Comparison(8, "the same, each with a first create", once(reset_and_create), once(seed_and_create))
    small, large = world_of(effort.small), world_of(effort.large)
    what = f"fork of {effort.large:,} VMs / {effort.small:,}"
    yield Comparison(8, what, repeated(large.fork, effort), repeated(small.fork, effort), at_most=1.3)
