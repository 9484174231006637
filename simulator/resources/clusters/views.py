"""A cluster as the contract shows it: summary, and detail with its replicas."""

from __future__ import annotations

from typing import Any

from simulator.domain import products
from simulator.domain.capacity import Node
from simulator.kernel.instant import iso
from simulator.kernel.streams import digest_number
from simulator.kernel.world import World
from simulator.resources.clusters.replicas import consecutive_failures, last_check_ms, present
from simulator.resources.clusters.states import Cluster, Replica, endpoint_url

GB = 10**9
SHOWN_OF_TOKEN = 8
"""Characters of the deploy token that its mask leaves."""


def summary(world: World, cluster: Cluster) -> dict[str, Any]:
    """`activeReplicas` counts the healthy ones [choice]; `runningReplicas`, which legacy texts know, those
    that run, healthy or not [client (legacy)]."""
    view: dict[str, Any] = {
        "id": cluster.id,
        "organizationId": cluster.organization_id,
        "name": cluster.name,
        "status": cluster.status,
        "replicaCount": cluster.replica_count,
        "activeReplicas": len(world.bucket(Replica, "healthy", cluster.id)),
        "runningReplicas": sum(row.status == "running" for row in present(world, cluster.id)),
        "endpointUrl": endpoint_url(cluster),
        "createdAt": iso(cluster.created_at_ms),
    }
    return view | _model_id(world, cluster)


def _model_id(world: World, cluster: Cluster) -> dict[str, Any]:
    """A cluster without GPUs has none."""
    if not cluster.shape.gpus:
        return {}
    return {"gpuModelId": products.shown_id(world, cluster.shape.gpu_model_id)}


def detail(world: World, cluster: Cluster) -> dict[str, Any]:
    """All that is known of a cluster, and its replicas by number."""
    guest = {key: value for key, value in cluster.guest.items() if key.startswith("healthCheck")}
    view: dict[str, Any] = {
        "id": cluster.id,
        "organizationId": cluster.organization_id,
        "name": cluster.name,
        "status": cluster.status,
        "gpusPerReplica": cluster.shape.gpus,
        "resourceSize": cluster.resource_size,
        "replicaCount": cluster.replica_count,
        "tier": cluster.shape.tier,
        "allowFallback": cluster.shape.fallback,
        "preferredRegions": list(cluster.shape.regions),
        "diskSizeGb": cluster.shape.disk_gb,
        "privileged": cluster.guest.get("privileged", False),
        "imageUrl": cluster.image_url,
        "containerPort": cluster.container_port,
        "envVars": cluster.env,
        "endpointUrl": endpoint_url(cluster),
        "deployToken": _token(world, cluster),
        "replicas": [_replica(world, cluster, replica) for replica in shown(world, cluster)],
        "createdAt": iso(cluster.created_at_ms),
        "updatedAt": iso(cluster.updated_at_ms),
        **guest,
        **_model_id(world, cluster),
    }
    if cluster.shape.gpus:
        view["gpuModel"] = products.model_view(
            world, world.get(products.GpuModel, cluster.shape.gpu_model_id)
        )
    return view | ({"statusReason": cluster.reason} if cluster.reason else {})


def shown(world: World, cluster: Cluster) -> list[Replica]:
    """The replicas that are there; of a terminated cluster those that ended with it [choice]."""
    if cluster.status != "terminated":
        return present(world, cluster.id)
    every = world.select(Replica, "cluster", cluster.id)
    end = cluster.terminated_at_ms or 0
    return [row for row in every if row.terminated_at_ms is None or row.terminated_at_ms >= end]


def _token(world: World, cluster: Cluster) -> str:
    """A secret, so masked unless the setting clusters.deploy_token asks for it [choice]."""
    if world.settings.word("clusters.deploy_token") == "shown":
        return cluster.deploy_token
    return cluster.deploy_token[:SHOWN_OF_TOKEN] + "…"


def _replica(world: World, cluster: Cluster, replica: Replica) -> dict[str, Any]:
    view: dict[str, Any] = {
        "id": replica.id,
        "gpuCount": cluster.shape.gpus,
        "status": replica.status,
        "healthy": replica.healthy,
        "consecutiveFailures": consecutive_failures(world, replica),
        "nvlinkEnabled": _has_nvlink(world, cluster),
        "createdAt": iso(replica.created_at_ms),
        "diskTotalBytes": cluster.shape.disk_gb * GB,
    }
    moments = {"startedAt": replica.started_at_ms, "lastHealthCheckAt": last_check_ms(world, replica)}
    view |= {name: iso(moment) for name, moment in moments.items() if moment is not None}
    return view | _node(world, cluster, replica)


def _has_nvlink(world: World, cluster: Cluster) -> bool:
    """Whether its GPUs, where they are several, are wired to each other by NVIDIA's links [choice]."""
    if cluster.shape.gpus < 2:
        return False
    return world.get(products.GpuModel, cluster.shape.gpu_model_id).interconnect.startswith("nv")


def _node(world: World, cluster: Cluster, replica: Replica) -> dict[str, Any]:
    """Where it has its place; nothing of that while it has none."""
    if not replica.node_id:
        return {}
    node = world.get(Node, replica.node_id)
    host = digest_number(replica.id)
    return {
        "nodeId": node.id,
        "nodeHostname": node.hostname,
        "nodeLocation": node.location_id,
        "nodeRegion": node.region,
        "internalIp": f"10.{host % 256}.{host // 256 % 256}.{host // 65536 % 254 + 1}",
        "port": cluster.container_port,
    }
