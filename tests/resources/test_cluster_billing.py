"""What clusters cost: one session per replica, and what happens when the money is gone."""

from __future__ import annotations

from collections.abc import Callable

from simulator.domain.access import Organization
from simulator.domain.metering import UsageSession
from simulator.resources.clusters.lifecycle import hand_over
from tests.support.cloud import Cloud
from tests.support.clusters import accrued, deploy, detail, row_of, run_cluster, scale, status
from tests.support.invariants import check_world

Open = Callable[..., Cloud]


def test_every_replica_is_billed_by_itself_from_running_to_its_end(cloud: Cloud) -> None:
    cluster_id = deploy(cloud, replicaCount=2, gpusPerReplica=2)
    cloud.advance(90)
    assert accrued(cloud) == 0, "a start is not billed"
    cloud.advance(3600)
    assert accrued(cloud) == 2 * 158
    scale(cloud, cluster_id, 1)
    cloud.advance(3600)
    assert accrued(cloud) == 3 * 158
    assert cloud.get("/v1/orgs/{org}/usage/current").body["breakdown"] == [
        {"key": "l40s:community", "hours": 6.0, "cents": 3 * 158}
    ]
    cloud.post(f"/v1/clusters/{cluster_id}/stop")
    cloud.advance(3600)
    assert accrued(cloud) == 3 * 158


def test_a_restart_in_place_goes_on_in_the_same_session(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=2)
    cloud.do("price.set", id="l40s", cents=1000)
    cloud.post(f"/v1/clusters/{cluster_id}/restart")
    cloud.advance(60)
    assert [row.rate_cents for row in cloud.rows(UsageSession)] == [79, 79]
    cloud.post(f"/v1/clusters/{cluster_id}/stop")
    cloud.post(f"/v1/clusters/{cluster_id}/restart")
    cloud.advance(45)
    assert [row.rate_cents for row in cloud.rows(UsageSession)][2:] == [1000, 1000]


def test_a_replica_that_is_lost_while_it_restarts_is_billed_no_longer(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud)
    cloud.post(f"/v1/clusters/{cluster_id}/restart")
    cloud.do("node.offline", node_of="chat-0")
    cloud.advance(89)
    assert accrued(cloud) == 0
    cloud.advance(3601)
    assert accrued(cloud) == 79
    check_world(cloud.world)


def test_billing_can_begin_with_the_start(open_cloud: Open) -> None:
    cloud = open_cloud(billing__open_at="deploying", timing__replica__booting_s="never")
    deploy(cloud)
    cloud.advance(800)
    assert accrued(cloud) == 800 * 79 // 3600
    check_world(cloud.world)


def test_at_the_floor_vms_and_clusters_are_stopped_oldest_first(cloud: Cloud) -> None:
    first = cloud.run_vm("first", gpuModelId="rtx-3090")
    cluster_id = run_cluster(cloud, replicaCount=2)
    last = cloud.run_vm("last", gpuModelId="rtx-3090")
    cloud.do("balance.debit", name="acme", cents=9_940 - accrued(cloud))
    cloud.advance(3600)
    assert status(cloud, cluster_id) == "stopped"
    assert detail(cloud, cluster_id)["statusReason"] == "auto_stopped_insufficient_balance"
    stops = [row for row in cloud.entries("transition") if row.get("trigger") == "auto_stop"]
    assert [row["resource"] for row in stops] == [first["id"], cluster_id, last["id"]]
    check_world(cloud.world)


def test_suspension_stops_clusters_too(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud)
    cloud.do("account.set_status", name="acme", status="suspended")
    assert status(cloud, cluster_id) == "stopped"
    assert detail(cloud, cluster_id)["statusReason"] == "auto_stopped_account_suspended"


def test_a_cluster_that_changes_hands_is_billed_to_two_payers(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=2)
    cloud.advance(3600)
    globex = next(row.id for row in cloud.rows(Organization) if row.slug == "globex")
    hand_over(cloud.world, row_of(cloud, cluster_id), globex)
    cloud.advance(3600)
    assert accrued(cloud) == 2 * 79
    owners = [row.organization_id for row in cloud.rows(UsageSession)]
    assert owners == [cloud.org, cloud.org, globex, globex]
    assert cloud.get(f"/v1/clusters/{cluster_id}").status == 404
    check_world(cloud.world)
