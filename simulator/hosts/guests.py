"""The endpoints of workloads: what answers at an endpoint URL while the VM or cluster behind it runs.

A guest is canned: it tells who it is and what it was asked. A private endpoint wants a key of its
organization as `x-api-key`, and leaves `Authorization` to the application behind it [client]; a public one
wants none [seed]. Requests to a cluster go round robin over its healthy replicas; where nothing serves, 503
[choice].
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from simulator.domain import access
from simulator.kernel.operation import Request
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import World
from simulator.resources.clusters.states import Cluster, Replica
from simulator.resources.vms.lifecycle import Vm


def visit(world: World, request: Request) -> dict[str, Any]:
    """The answer of the workload that a request goes to. Raises Refusal."""
    workload = _behind(world, request.endpoint)
    if workload is None:
        raise Refusal("not_found", f"no endpoint {request.endpoint[:80]!r} in world {world.name!r}")
    if not _is_public(workload):
        _check_key(world, request, workload.organization_id)
    served = _vm(workload) if isinstance(workload, Vm) else _cluster(world, workload)
    return {
        **served,
        "name": workload.name,
        "image": workload.image_url,
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "bytes": len(request.body),
    }


def _behind(world: World, handle: str) -> Vm | Cluster | None:
    """The workload of an endpoint; a look at each, for this is no path that has to be fast [choice]."""
    there: Iterator[Vm | Cluster] = chain(world.rows(Vm), world.rows(Cluster))
    live = (row for row in there if row.status != "terminated")
    return next((row for row in live if row.endpoint_host.partition(".")[0] == handle), None)


def _is_public(workload: Vm | Cluster) -> bool:
    return workload.public if isinstance(workload, Vm) else bool(workload.guest.get("public"))


def _check_key(world: World, request: Request, organization_id: str) -> None:
    key = request.headers.get("x-api-key", "")
    if not key:
        raise Refusal("unauthorized", "the endpoint is private; send a key of its organization as x-api-key")
    caller = access.authenticate(world, {"x-api-key": key}, inference=True)
    if caller.organization_id != organization_id:
        raise Refusal("forbidden", "the key is another organization's than the endpoint's")


def _vm(vm: Vm) -> dict[str, Any]:
    if vm.status != "running":
        raise Refusal("unavailable", f"VM {vm.name!r} is {vm.status}; nothing serves at its endpoint")
    return {"vmId": vm.id}


def _cluster(world: World, cluster: Cluster) -> dict[str, Any]:
    healthy = world.select(Replica, "healthy", cluster.id)
    if not healthy:
        raise Refusal("unavailable", f"cluster {cluster.name!r} is {cluster.status}; no replica is healthy")
    replica = healthy[cluster.served % len(healthy)]
    world.tally(cluster, served=cluster.served + 1)
    return {"clusterId": cluster.id, "replicaId": replica.id}
