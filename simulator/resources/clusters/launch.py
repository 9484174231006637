"""Creating a cluster: every check, in the order of the VMs', all of them before the first change."""

from __future__ import annotations

from typing import Any

from simulator.domain import access, capacity, workload
from simulator.domain.capacity import CLUSTER, Shape
from simulator.domain.registries import known_credential
from simulator.domain.workload import Wish
from simulator.kernel.operation import Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import World
from simulator.resources.clusters.lifecycle import move
from simulator.resources.clusters.states import Cluster

TIERS = ("community", "verified")
"""A replica never runs on reclaimable capacity [client (legacy): no third tier]."""

DEFAULT_DISK_GB = 10
"""Of one replica [client (legacy)]."""

GUEST_MEMBERS = (
    "healthChecks",
    "healthCheckPath",
    "healthCheckPort",
    "containerCommand",
    "privileged",
    "kernelModules",
)
"""Members of the request that only the containers read: kept as they came."""


def launch(call: Call) -> Cluster:
    """Create a cluster; all its replicas claim their places in the same step, or none does [choice]: then it
    is refused, or waits (clusters.queue)."""
    world, organization_id, body = call.world, call.organization_id, call.body
    name = workload.check_name(body["name"])
    credential_id = known_credential(world, organization_id, body.get("registryCredentialId"))
    count = check_count(world, body.get("replicaCount", 1))
    shape = shape_of(world, body)
    template = workload.choose_template(world, body.get("templateId"), shape)
    port = workload.check_port("containerPort", body.get("containerPort", 80))
    workload.check_port("healthCheckPort", body.get("healthCheckPort", port))
    check_receiver(world, organization_id, name)
    fits = _place_or_queue(world, shape, count)
    cluster = new_cluster(
        world,
        organization_id=organization_id,
        name=name,
        shape=shape,
        replica_count=count,
        resource_size=body.get("resourceSize") or workload.DEFAULT_CPU_SIZE,
        image_url=body.get("imageUrl") or template.image_url,
        template_id=template.id,
        registry_credential_id=credential_id,
        container_port=port,
        env=body.get("envVars") or {},
        guest={key: body[key] for key in GUEST_MEMBERS if key in body},
    )
    return move(world, world.put(cluster), "create" if fits else "queue", fits=fits)


def _place_or_queue(world: World, shape: Shape, count: int) -> list[capacity.Fit]:
    """Places for all; none when some find no room now and the queue is switched on."""
    try:
        return capacity.place_all(world, shape, count)
    except Refusal as refusal:
        if world.settings.flag("clusters.queue") and refusal.code.startswith("INSUFFICIENT_"):
            return []
        raise


def check_receiver(world: World, organization_id: str, name: str) -> None:
    """Whether an organization may have one more cluster of this name: the gates of create and transfer."""
    unique = world.settings.flag("clusters.names_unique")
    if unique and world.bucket(Cluster, "name", (organization_id, name)):
        raise Refusal("NAME_TAKEN", f"a cluster named {name!r} exists in this organization")
    workload.check_account(world, organization_id)
    workload.check_funds(world, organization_id)


def new_cluster(world: World, **fields: Any) -> Cluster:
    """A cluster before its first transition."""
    return Cluster(
        id=workload.new_id(world, "clu"),
        updated_at_ms=world.now_ms,
        endpoint_host=workload.endpoint_host(world, fields["name"]),
        deploy_token=access.mint(world, "dpl_", "deploy_token"),
        **{"created_at_ms": world.now_ms, **fields},
    )


def check_count(world: World, count: int) -> int:
    """A number of replicas that a cluster may have [2026-07: at least 1; choice of the most]."""
    most = world.settings.whole("clusters.max_replicas")
    if not 1 <= count <= most:
        raise Refusal("bad_request", f"replicaCount {count} is out of bounds; take 1 to {most}")
    return count


def shape_of(world: World, body: dict[str, Any]) -> Shape:
    """What one replica asks for."""
    tier = body.get("tier", TIERS[0])
    if tier not in TIERS:
        raise Refusal("bad_request", f"tier {tier!r} is unknown for clusters; known are {', '.join(TIERS)}")
    gpus = body.get("gpusPerReplica")
    if gpus is not None and gpus < 1:
        raise Refusal("bad_request", f"gpusPerReplica {gpus} is under 1")
    if gpus is not None and not body.get("gpuModelId"):
        raise Refusal("bad_request", f"gpusPerReplica {gpus} without gpuModelId: name the model")
    return workload.shape_of(
        world,
        Wish(
            gpu_model_id=body.get("gpuModelId"),
            gpu_count=gpus,
            resource_size=body.get("resourceSize"),
            tier=tier,
            disk_gb=body.get("diskSizeGb", DEFAULT_DISK_GB),
            regions=tuple(body.get("preferredRegions") or ()),
            fallback=body.get("allowFallback", False),
            kind=CLUSTER,
        ),
    )


def places(world: World, organization_id: str, shape: Shape, count: int) -> list[capacity.Fit]:
    """Places for so many replicas, once account and balance allow to start any."""
    workload.check_account(world, organization_id)
    workload.check_funds(world, organization_id)
    return capacity.place_all(world, shape, count)
