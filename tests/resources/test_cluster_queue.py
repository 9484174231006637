"""Clusters that wait for room, and replicas that are advanced by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from simulator.kernel.refusal import Refusal
from tests.support.cloud import Cloud
from tests.support.clusters import accrued, create, deploy, detail, replicas, run_cluster, status, told
from tests.support.invariants import check_world

Open = Callable[..., Cloud]


@pytest.fixture
def queueing(open_cloud: Open) -> Iterator[Cloud]:
    """A cloud in which clusters may wait and no GPU for them is free; at the end the books still agree."""
    cloud = open_cloud(clusters__queue=True)
    cloud.do("capacity.seize", gpu_model="l40s")
    yield cloud
    check_world(cloud.world)


# -- the queue ---------------------------------------------------------------------------------------------


def test_without_a_queue_a_cluster_without_room_is_refused(cloud: Cloud) -> None:
    cloud.do("capacity.seize", gpu_model="l40s")
    assert create(cloud).status == 409


def test_a_cluster_without_room_waits_as_pending_and_costs_nothing(queueing: Cloud) -> None:
    cluster_id = deploy(queueing, replicaCount=2)
    queueing.advance(86_400)
    assert (status(queueing, cluster_id), replicas(queueing, cluster_id)) == ("pending", ["pending"] * 2)
    assert (accrued(queueing), told(queueing)) == (0, [])


def test_a_pending_cluster_deploys_when_its_first_replica_finds_a_place(queueing: Cloud) -> None:
    cluster_id = deploy(queueing, replicaCount=2)
    queueing.do("capacity.release", gpu_model="l40s", gpus=1)
    queueing.advance(0)
    assert status(queueing, cluster_id) == "deploying"
    assert replicas(queueing, cluster_id) == ["provisioning", "pending"]
    queueing.advance(100)
    assert status(queueing, cluster_id) == "deploying"
    assert replicas(queueing, cluster_id) == ["running", "pending"]
    queueing.do("capacity.release", gpu_model="l40s", gpus=1)
    queueing.advance(90)
    assert status(queueing, cluster_id) == "running"
    assert told(queueing) == ["replica.healthy", "replica.healthy", "cluster.running"]


def test_a_replica_that_still_waits_at_the_deadline_leaves_its_cluster_degraded(queueing: Cloud) -> None:
    cluster_id = deploy(queueing, replicaCount=2)
    queueing.advance(3600)
    queueing.do("capacity.release", gpu_model="l40s", gpus=1)
    queueing.advance(899)
    assert status(queueing, cluster_id) == "deploying", "the deadline counts from the first place"
    queueing.advance(1)
    assert status(queueing, cluster_id) == "degraded"


def test_what_is_free_is_taken_at_once_where_not_all_find_room(queueing: Cloud) -> None:
    queueing.do("capacity.release", gpu_model="l40s", gpus=1)
    cluster_id = deploy(queueing, replicaCount=2)
    assert status(queueing, cluster_id) == "pending"
    queueing.advance(0)
    assert replicas(queueing, cluster_id) == ["provisioning", "pending"]


def test_the_older_cluster_is_served_first(queueing: Cloud) -> None:
    first = deploy(queueing, "first")
    queueing.advance(1)
    second = deploy(queueing, "second")
    queueing.do("capacity.release", gpu_model="l40s", gpus=1)
    queueing.advance(0)
    assert [status(queueing, cluster_id) for cluster_id in (first, second)] == ["deploying", "pending"]


def test_what_could_never_be_placed_is_refused_with_a_queue_too(queueing: Cloud) -> None:
    assert create(queueing, gpusPerReplica=16).status == 400


def test_a_pending_cluster_is_stopped_when_the_money_is_gone(queueing: Cloud) -> None:
    cluster_id = deploy(queueing)
    queueing.do("balance.debit", name="acme", cents=9990)
    queueing.advance(60)
    shown = detail(queueing, cluster_id)
    assert (shown["status"], shown["statusReason"]) == ("stopped", "auto_stopped_insufficient_balance")


# -- counts ------------------------------------------------------------------------------------------------


def test_running_replicas_count_what_runs_and_active_ones_what_serves(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=2)
    cloud.do("replica.fail", name="chat-1")
    cloud.advance(30)
    shown = cloud.get(f"/v1/clusters/{cluster_id}").body
    assert (shown["runningReplicas"], shown["activeReplicas"], shown["replicaCount"]) == (2, 1, 2)


# -- by hand -----------------------------------------------------------------------------------------------


def test_a_start_is_over_when_somebody_says_so(open_cloud: Open) -> None:
    cloud = open_cloud(timing__replica__booting_s="never")
    cluster_id = deploy(cloud, replicaCount=2)
    told_of = cloud.do("replica.proceed", name="chat-0")
    assert (told_of["status"], told_of["healthy"], told_of["clusterStatus"]) == ("running", True, "deploying")
    assert cloud.do("replica.proceed", name="chat-1")["clusterStatus"] == "running"
    cloud.advance(900)
    assert replicas(cloud, cluster_id) == ["running", "running"]
    check_world(cloud.world)


def test_a_start_that_was_ended_by_hand_does_not_end_again(cloud: Cloud) -> None:
    run_early = deploy(cloud)
    cloud.do("replica.proceed", name="chat-0")
    cloud.advance(200)
    assert told(cloud) == ["replica.healthy", "cluster.running"]
    assert status(cloud, run_early) == "running"


def test_only_a_start_can_be_ended_by_hand(cloud: Cloud) -> None:
    run_cluster(cloud)
    version = cloud.world.version
    with pytest.raises(Refusal, match="replica 'chat-0' is running; started needs it to be provisioning"):
        cloud.do("replica.proceed", name="chat-0")
    assert cloud.world.version == version
