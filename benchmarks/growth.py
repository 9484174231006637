"""Target 10: what a call costs does not depend on how many VMs there are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import cycle

from benchmarks.comparison import Comparison, Effort, prepared, repeated
from benchmarks.population import Client, client_of, world_of

CALLS = 60
"""Calls that change something, from one reset to the next; the small world has no more running VMs."""
AT_MOST = 1.3


def compare(effort: Effort) -> Iterator[Comparison]:
    small, large = client_of(world_of(effort.small)), client_of(world_of(effort.large))
    sizes = f"among {effort.large:,} VMs / {effort.small:,}"
    for name, look in (("get", get), ("page of 50", page)):
        ours, other = (repeated(look(client), effort) for client in (large, small))
        yield Comparison(10, f"{name} {sizes}", ours, other, AT_MOST)
    for name, use in (("create", create), ("stop", stop)):
        ours, other = (prepared(use(client), CALLS) for client in (large, small))
        yield Comparison(10, f"{name} {sizes}", ours, other, AT_MOST)


def get(client: Client) -> Callable[[], object]:
    requests = cycle([client.request("GET", f"/v1/vms/{vm_id}") for vm_id in client.ids("running", CALLS)])
    return lambda: client.ask(next(requests))


def page(client: Client) -> Callable[[], object]:
    """The second one: it begins in the middle, at a cursor."""
    first = json.loads(client.ask(client.request("GET", "/v1/orgs/{org}/vms?limit=50")).body)
    cursor = first["nextCursor"]
    request = client.request("GET", f"/v1/orgs/{{org}}/vms?limit=50&cursor={cursor}")
    return lambda: client.ask(request)


def create(client: Client) -> Callable[[], Callable[[], object]]:
    """Makes calls that fill the world, from its first moment on."""
    body = {"name": "trainer", "gpuModelId": "rtx-4090", "gpuCount": 1}
    request = client.request("POST", "/v1/orgs/{org}/vms/create", body)

    def prepare() -> Callable[[], object]:
        client.simulator.reset()
        return lambda: client.ask(request)

    return prepare


def stop(client: Client) -> Callable[[], Callable[[], object]]:
    """Makes calls of which each stops another VM; there are so many as `CALLS` says."""
    client.simulator.reset()
    requests = [client.request("POST", f"/v1/vms/{vm_id}/stop") for vm_id in client.ids("running", CALLS)]

    def prepare() -> Callable[[], object]:
        client.simulator.reset()
        waiting = iter(requests)
        return lambda: client.ask(next(waiting))

    return prepare
