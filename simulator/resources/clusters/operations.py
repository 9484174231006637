"""What the API lets a client do with a cluster, and what the outside world can do to its replicas."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from simulator.domain import capacity, metering, workload
from simulator.domain.access import organization_of_slug
from simulator.kernel import page
from simulator.kernel.operation import Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.target import Target, pick
from simulator.kernel.world import World
from simulator.resources.clusters import lifecycle, replicas
from simulator.resources.clusters.launch import check_count, launch, new_cluster, places, shape_of
from simulator.resources.clusters.lifecycle import move
from simulator.resources.clusters.states import (
    AT_WORK,
    LIFECYCLE,
    REPLICA_LIFE,
    Cluster,
    Replica,
    area,
    label,
    replica_area,
    replica_label,
)
from simulator.resources.clusters.views import detail, summary

# -- operations --------------------------------------------------------------------------------------------


@area.operation("listOrgClusters")
def list_clusters(call: Call) -> dict[str, Any]:
    """Newest first, terminated ones included [choice: as VMs are listed]."""
    limit = page.clamp_limit(call.query.get("limit"))
    cursor = call.query.get("cursor") or None
    where = ("organization", call.organization_id)
    clusters, after = page.newest_first(call.world, Cluster, where, limit, cursor)
    items = [summary(call.world, cluster) for cluster in clusters]
    return {"items": items, "nextCursor": after} if after else {"items": items}


@area.operation(
    "createCluster", write=True, effects="deploying, replicas provisioning; or pending in the queue"
)
def create_cluster(call: Call) -> dict[str, Any]:
    """All replicas find a place, or none does; with clusters.queue it waits for room instead."""
    return summary(call.world, launch(call))


@area.operation("getCluster", finds=Cluster)
def get_cluster(call: Call, cluster: Cluster) -> dict[str, Any]:
    """The summary; a terminated cluster can still be read."""
    return summary(call.world, cluster)


@area.operation("getClusterDetail", finds=Cluster)
def get_cluster_detail(call: Call, cluster: Cluster) -> dict[str, Any]:
    """The summary, its replicas and their health."""
    return detail(call.world, cluster)


@area.operation("scaleCluster", write=True, finds=Cluster, effects="replicas started or ended")
def scale_cluster(call: Call, cluster: Cluster) -> dict[str, Any]:
    """To another number of replicas, all of them or none [seed: 409]; the same number changes nothing."""
    world, count = call.world, check_count(call.world, call.body["replicaCount"])
    LIFECYCLE.step(cluster.status, "scale", label(cluster))
    more = count - cluster.replica_count
    if more == 0:
        return summary(world, cluster)
    fits = places(world, cluster.organization_id, cluster.shape, more) if more > 0 else []
    return summary(world, lifecycle.scale(world, cluster, count, fits))


@area.operation("stopCluster", write=True, finds=Cluster, effects="→ stopped, replicas too")
def stop_cluster(call: Call, cluster: Cluster) -> dict[str, Any]:
    """Every replica ends and its place is free; the cluster can be started again."""
    return summary(call.world, move(call.world, cluster, "stop"))


@area.operation("restartCluster", write=True, finds=Cluster, effects="→ deploying, one replica at a time")
def restart_cluster(call: Call, cluster: Cluster) -> dict[str, Any]:
    """What serves is restarted in place, one replica at a time; what is stopped needs places anew."""
    world = call.world
    LIFECYCLE.step(cluster.status, "restart", label(cluster))
    if cluster.status not in ("stopped", "failed"):
        return summary(world, move(world, cluster, "restart"))
    fits = places(world, cluster.organization_id, cluster.shape, cluster.replica_count)
    return summary(world, move(world, cluster, "restart", fits=fits))


@area.operation("terminateCluster", write=True, finds=Cluster, effects="→ terminated, replicas too")
def terminate_cluster(call: Call, cluster: Cluster) -> dict[str, Any]:
    """At once and for good, with all replicas."""
    return summary(call.world, move(call.world, cluster, "terminate"))


# -- actions -----------------------------------------------------------------------------------------------


@replica_area.action("replica.fail", Target)
def fail_replica(world: World, what: Target) -> dict[str, Any]:
    """The health checks of a running replica begin to fail; one that is starting comes to nothing."""
    replica = _fitting(world, what, "fail")
    if replica.status == "running":
        return _told(world, replicas.begin_failing(world, replica))
    replicas.move(world, replica, "fail")
    lifecycle.assess(world, replica.cluster_id)
    return _told(world, replica)


@replica_area.action("replica.recover", Target)
def recover_replica(world: World, what: Target) -> dict[str, Any]:
    """The health checks of a replica succeed again; one whose start came to nothing starts anew."""
    replica = _fitting(world, what, "recover")
    if replica.status == "running":
        return _told(world, replicas.end_failing(world, replica))
    cluster = world.get(Cluster, replica.cluster_id)
    if cluster.status not in AT_WORK:
        raise Refusal("conflict", f"{label(cluster)} is {cluster.status}; restart it to start its replicas")
    fit = capacity.place(world, cluster.shape)
    replica = replicas.move(world, replica, "recover", fit=fit)
    lifecycle.assess(world, replica.cluster_id)
    return _told(world, replica)


@replica_area.action("replica.proceed", Target)
def proceed_replica(world: World, what: Target) -> dict[str, Any]:
    """The start of a replica is over now, however long it would have taken."""
    replica = _fitting(world, what, "started")
    lifecycle.begin_serving(world, replica)
    return _told(world, replica)


def _fitting(world: World, what: Target, trigger: str) -> Replica:
    """The replica an action names, as `<cluster>-<number>` by name, if the trigger fits its status."""
    replica = pick(world, Replica, what)
    REPLICA_LIFE.step(replica.status, trigger, replica_label(replica))
    return replica


def _told(world: World, replica: Replica) -> dict[str, Any]:
    replica = world.get(Replica, replica.id)
    return {
        "replica": replica.id,
        "name": replica.name,
        "status": replica.status,
        "healthy": replica.healthy,
        "cluster": replica.cluster_id,
        "clusterStatus": world.get(Cluster, replica.cluster_id).status,
    }


# -- fixture -----------------------------------------------------------------------------------------------


class ClusterSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A cluster that exists when the world begins."""

    name: str
    organization: str
    """Slug."""
    gpu_model: str | None = None
    gpus_per_replica: int | None = None
    size: str | None = None
    tier: str = "community"
    replicas: int = 1
    status: Literal["deploying", "running", "stopped", "failed", "terminated"] = "running"
    running_for_s: int = 0


@area.seed("clusters", list[ClusterSpec])
def seed_clusters(world: World, specs: list[ClusterSpec]) -> None:
    for spec in specs:
        owner = organization_of_slug(world, spec.organization)
        _settle(world, owner.id, spec)


REPLICA_STATE = {"running": "running", "stopped": "stopped", "failed": "error", "terminated": "terminated"}
"""What the replicas are in when a cluster begins in a status."""

SETTLED = {
    "running": "",
    "stopped": "user_stopped",
    "failed": "no replica was healthy within 900 s",
    "terminated": "user_terminated",
}
"""What brought a cluster into the status in which it begins."""


def _settle(world: World, organization_id: str, spec: ClusterSpec) -> None:
    """A cluster as if it had come this far before the world began; nothing is told to anybody."""
    wish = {"gpuModelId": spec.gpu_model, "gpusPerReplica": spec.gpus_per_replica, "tier": spec.tier}
    shape = shape_of(world, wish | {"resourceSize": spec.size})
    count = check_count(world, spec.replicas)
    template = workload.choose_template(world, None, shape)
    began = workload.began_ms(world, spec.name, spec.running_for_s)
    cluster = new_cluster(
        world,
        created_at_ms=began,
        organization_id=organization_id,
        name=workload.check_name(spec.name),
        shape=shape,
        replica_count=count,
        resource_size=spec.size or workload.DEFAULT_CPU_SIZE,
        image_url=template.image_url,
        template_id=template.id,
    )
    if spec.status == "deploying":
        move(world, world.put(cluster), "create", fits=capacity.place_all(world, shape, count))
        return
    ended = world.now_ms if spec.status == "terminated" else None
    cluster = msgspec.structs.replace(
        cluster, status=spec.status, reason=SETTLED[spec.status], run=1, terminated_at_ms=ended
    )
    world.put(cluster)
    for _ in range(count):
        _settle_replica(world, cluster, began)


def _settle_replica(world: World, cluster: Cluster, began_ms: int) -> None:
    replica = replicas.new_replica(world, cluster.id)
    replica = msgspec.structs.replace(
        replica,
        created_at_ms=began_ms,
        status=REPLICA_STATE[cluster.status],
        run=1,
        started_at_ms=began_ms,
        terminated_at_ms=cluster.terminated_at_ms,
    )
    if cluster.status != "running":
        world.put(replica)
        return
    fit = capacity.place(world, cluster.shape)
    capacity.claim(world, fit, replica.id)
    node_id = fit.node.id
    replica = msgspec.structs.replace(replica, node_id=node_id, image_on=node_id, healthy=True, expected=True)
    fields = replicas.session_fields(world, world.put(replica))
    metering.open_session(world, metering.new_session(world, **fields, created_at_ms=began_ms))
