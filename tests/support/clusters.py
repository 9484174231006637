"""Clusters brought to any status by the means a user of the service has, and actions where those end."""

from __future__ import annotations

from typing import Any

from simulator.resources.clusters.states import Cluster, Replica
from tests.support.cloud import Answer, Cloud

CREATE = "/v1/orgs/{org}/clusters/create"
LIST = "/v1/orgs/{org}/clusters"


def create(cloud: Cloud, name: str = "chat", **body: Any) -> Answer:
    """A cluster of one L40S per replica, unless the body says otherwise."""
    wanted = {"name": name, "gpuModelId": "l40s", **body}
    return cloud.post(CREATE, {key: value for key, value in wanted.items() if value is not None})


def deploy(cloud: Cloud, name: str = "chat", **body: Any) -> str:
    """The same; fails the test when it is refused. Answers the id."""
    answer = create(cloud, name, **body)
    assert answer.status == 200, answer
    cluster_id: str = answer.body["id"]
    return cluster_id


def run_cluster(cloud: Cloud, name: str = "chat", **body: Any) -> str:
    """The same, and time until it runs."""
    cluster_id = deploy(cloud, name, **body)
    cloud.simulator.advance_until_status(cluster_id, "running")
    return cluster_id


def status(cloud: Cloud, cluster_id: str) -> str:
    found: str = cloud.get(f"/v1/clusters/{cluster_id}").body["status"]
    return found


def detail(cloud: Cloud, cluster_id: str) -> dict[str, Any]:
    answer = cloud.get(f"/v1/clusters/{cluster_id}/detail")
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.body
    return found


def replicas(cloud: Cloud, cluster_id: str) -> list[str]:
    """The status of every replica shown, by number; "running" means that it is healthy too."""
    return [
        row["status"] if row["healthy"] or row["status"] != "running" else "unhealthy"
        for row in detail(cloud, cluster_id)["replicas"]
    ]


def numbers(cloud: Cloud, cluster_id: str) -> list[int]:
    """The numbers of the replicas that are there."""
    return [row.number for row in cloud.world.select(Replica, "present", cluster_id)]


def hosts(cloud: Cloud, cluster_id: str) -> list[str | None]:
    return [row.get("nodeHostname") for row in detail(cloud, cluster_id)["replicas"]]


def told(cloud: Cloud) -> list[str]:
    """The types of all cluster and replica events so far, in order."""
    types = [event["type"] for event in cloud.entries("event")]
    return [name for name in types if name.startswith(("cluster.", "replica."))]


def told_by(cloud: Cloud, call: Any) -> list[str]:
    """The events that a call brings."""
    before = len(told(cloud))
    call()
    return told(cloud)[before:]


def bring_to(cloud: Cloud, state: str) -> str:
    """A cluster in this status, of one replica; its id. `pending` needs the setting clusters.queue."""
    if state == "pending":
        cloud.do("capacity.seize", gpu_model="l40s")
        return deploy(cloud)
    if state == "failed":
        cluster_id = deploy(cloud)
        cloud.do("replica.fail", name="chat-0")
        cloud.advance(900)
        return cluster_id
    cluster_id = deploy(cloud) if state == "deploying" else run_cluster(cloud)
    if state == "degraded":
        cloud.do("replica.fail", name="chat-0")
        cloud.advance(30)
    elif state in ("stopped", "terminated"):
        cloud.post(f"/v1/clusters/{cluster_id}/{'stop' if state == 'stopped' else 'terminate'}")
    return cluster_id


def row_of(cloud: Cloud, cluster_id: str) -> Cluster:
    return cloud.world.get(Cluster, cluster_id)


def scale(cloud: Cloud, cluster_id: str, count: int) -> Answer:
    return cloud.post(f"/v1/clusters/{cluster_id}/scale", {"replicaCount": count})


def accrued(cloud: Cloud) -> int:
    cents: int = cloud.get("/v1/orgs/{org}/billing/balance").body["accruedUsageCents"]
    return cents
