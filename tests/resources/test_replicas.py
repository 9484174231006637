"""Replicas: health checks without timers, loss of a node, and a cluster that serves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator.kernel.instant import parse_iso
from simulator.kernel.refusal import Refusal
from simulator.resources.clusters.states import Replica
from tests.support.cloud import Cloud
from tests.support.clusters import (
    deploy,
    detail,
    hosts,
    numbers,
    replicas,
    run_cluster,
    scale,
    status,
    told,
    told_by,
)
from tests.support.invariants import check_world

Open = Callable[..., Cloud]


@pytest.fixture
def sound(cloud: Cloud) -> Iterator[Cloud]:
    """The default cloud; at the end the books still agree."""
    yield cloud
    check_world(cloud.world)


def health(cloud: Cloud, cluster_id: str, at: int = 0) -> tuple[bool, int, float]:
    """Whether a replica is healthy, its failed checks, and how many seconds ago the last check was."""
    row = detail(cloud, cluster_id)["replicas"][at]
    ago_s = (cloud.world.now_ms - parse_iso(row["lastHealthCheckAt"])) / 1000
    return row["healthy"], row["consecutiveFailures"], ago_s


# -- health checks -----------------------------------------------------------------------------------------


def test_a_cluster_that_runs_brings_no_event_however_long_it_runs(sound: Cloud) -> None:
    cluster_id = run_cluster(sound, replicaCount=3)
    assert sound.simulator.advance_until("idle").events == 0
    sound.advance(900)
    assert sound.advance(7 * 3600 + 7).events == 0
    assert health(sound, cluster_id) == (True, 0, 7.0)


@pytest.mark.parametrize(("after", "visible"), [(0, 30), (1, 29), (9, 21), (9.999, 20.001), (10, 30)])
def test_three_checks_in_a_row_make_a_replica_unhealthy(sound: Cloud, after: float, visible: float) -> None:
    cluster_id = run_cluster(sound)
    sound.advance(after)
    sound.do("replica.fail", name="chat-0")
    assert health(sound, cluster_id)[:2] == (True, 0)
    sound.advance(visible - 10.001)
    assert health(sound, cluster_id)[:2] == (True, 1)
    sound.advance(0.001)
    assert health(sound, cluster_id)[:2] == (True, 2)
    sound.advance(9.999)
    assert health(sound, cluster_id)[:2] == (True, 2)
    assert status(sound, cluster_id) == "running"
    assert told_by(sound, lambda: sound.advance(0.001)) == ["replica.unhealthy", "cluster.degraded"]
    assert health(sound, cluster_id) == (False, 3, 0.0)
    assert replicas(sound, cluster_id) == ["unhealthy"]


def test_failures_count_up_to_what_makes_it_unhealthy(sound: Cloud) -> None:
    cluster_id = run_cluster(sound, replicaCount=2)
    sound.do("replica.fail", name="chat-0")
    counts = []
    for _ in range(6):
        sound.advance(10)
        counts.append(health(sound, cluster_id)[1])
    assert counts == [1, 2, 3, 3, 3, 3]


def test_one_success_makes_it_healthy_again_at_the_next_check(sound: Cloud) -> None:
    cluster_id = run_cluster(sound, replicaCount=2)
    sound.do("replica.fail", name="chat-0")
    sound.advance(34)
    sound.do("replica.recover", name="chat-0")
    sound.advance(5)
    assert health(sound, cluster_id)[:2] == (False, 3), "the next check is still to come"
    assert told_by(sound, lambda: sound.advance(1)) == ["replica.healthy", "cluster.running"]
    assert health(sound, cluster_id) == (True, 0, 0.0)
    assert status(sound, cluster_id) == "running"


def test_a_failure_that_is_over_before_the_third_check_is_never_told(sound: Cloud) -> None:
    cluster_id = run_cluster(sound)
    before = told(sound)
    sound.do("replica.fail", name="chat-0")
    sound.advance(29)
    assert health(sound, cluster_id)[1] == 2
    sound.do("replica.recover", name="chat-0")
    assert health(sound, cluster_id)[1] == 2
    sound.advance(1)
    assert health(sound, cluster_id) == (True, 0, 0.0)
    sound.advance(60)
    assert told(sound) == before


def test_a_success_between_two_failures_counts_from_the_start(sound: Cloud) -> None:
    cluster_id = run_cluster(sound)
    sound.do("replica.fail", name="chat-0")
    sound.advance(25)
    sound.do("replica.recover", name="chat-0")
    sound.advance(10)
    sound.do("replica.fail", name="chat-0")
    sound.advance(5)
    assert health(sound, cluster_id)[:2] == (True, 1)
    sound.advance(19)
    assert status(sound, cluster_id) == "running"
    sound.advance(1)
    assert status(sound, cluster_id) == "degraded"


def test_a_pause_in_which_no_check_falls_is_no_success(sound: Cloud) -> None:
    cluster_id = run_cluster(sound)
    sound.do("replica.fail", name="chat-0")
    sound.advance(22)
    sound.do("replica.recover", name="chat-0")
    sound.advance(5)
    sound.do("replica.fail", name="chat-0")
    assert told_by(sound, lambda: sound.advance(3)) == ["replica.unhealthy", "cluster.degraded"]
    sound.do("replica.recover", name="chat-0")
    sound.advance(5)
    sound.do("replica.fail", name="chat-0")
    assert told_by(sound, lambda: sound.advance(60)) == []
    assert health(sound, cluster_id)[:2] == (False, 3)


def test_failing_twice_or_recovering_twice_is_like_once(sound: Cloud) -> None:
    cluster_id = run_cluster(sound, replicaCount=2)
    for _ in range(2):
        sound.do("replica.fail", name="chat-0")
        sound.advance(14)
    sound.advance(10)
    assert status(sound, cluster_id) == "degraded"
    for _ in range(2):
        sound.do("replica.recover", name="chat-0")
        sound.advance(1)
    sound.advance(10)
    assert told(sound)[3:] == ["replica.unhealthy", "cluster.degraded", "replica.healthy", "cluster.running"]
    assert status(sound, cluster_id) == "running"


def test_the_rhythm_of_checks_is_a_setting(open_cloud: Open) -> None:
    cloud = open_cloud(clusters__health_check_s=5, clusters__unhealthy_after=2)
    cluster_id = run_cluster(cloud)
    cloud.do("replica.fail", name="chat-0")
    cloud.advance(9)
    assert health(cloud, cluster_id) == (True, 1, 4.0)
    cloud.advance(1)
    assert health(cloud, cluster_id) == (False, 2, 0.0)


def test_a_restart_forgets_failures(sound: Cloud) -> None:
    cluster_id = run_cluster(sound)
    sound.do("replica.fail", name="chat-0")
    sound.advance(15)
    sound.post(f"/v1/clusters/{cluster_id}/restart")
    sound.advance(30)
    assert status(sound, cluster_id) == "running"
    assert told_by(sound, lambda: sound.advance(3600)) == []
    assert health(sound, cluster_id)[:2] == (True, 0)


def test_while_some_start_a_sick_replica_is_told_and_the_cluster_goes_on_deploying(sound: Cloud) -> None:
    cluster_id = deploy(sound, replicaCount=2)
    sound.do("replica.fail", name="chat-1")
    sound.advance(90)
    sound.do("replica.fail", name="chat-0")
    sound.advance(30)
    assert told(sound) == ["replica.healthy", "replica.unhealthy"]
    assert status(sound, cluster_id) == "deploying"


# -- loss of a node ----------------------------------------------------------------------------------------


def test_replicas_of_a_lost_node_start_on_another_one_by_themselves(sound: Cloud) -> None:
    cluster_id = run_cluster(sound, replicaCount=2)
    assert hosts(sound, cluster_id) == ["scl-l40s-1"] * 2
    events = told_by(sound, lambda: sound.do("node.offline", name="scl-l40s-1"))
    assert events == ["replica.unhealthy"] * 2 + ["cluster.degraded"]
    assert replicas(sound, cluster_id) == ["migrating"] * 2 + ["provisioning"] * 2
    assert hosts(sound, cluster_id) == [None, None, "ams-l40s-1", "ams-l40s-1"]
    assert sound.get(f"/v1/clusters/{cluster_id}").body["replicaCount"] == 2
    check_world(sound.world)
    events = told_by(sound, lambda: sound.advance(90))
    assert events == ["replica.healthy", "replica.terminated"] * 2 + ["cluster.running"]
    assert replicas(sound, cluster_id) == ["running"] * 2
    sound.do("node.online", name="scl-l40s-1")
    assert hosts(sound, cluster_id) == ["ams-l40s-1"] * 2


def test_a_lost_replica_is_not_billed_until_another_serves(sound: Cloud) -> None:
    run_cluster(sound)
    sound.advance(3600)
    sound.do("node.offline", node_of="chat-0")
    assert sound.get("/v1/orgs/{org}/usage/current").body["burnPerHourCents"] == 0
    sound.do("price.set", id="l40s", cents=100)
    sound.advance(90)
    assert sound.get("/v1/orgs/{org}/usage/current").body["burnPerHourCents"] == 100


def test_one_of_several_lost_leaves_the_others_serving(sound: Cloud) -> None:
    cluster_id = run_cluster(sound, replicaCount=3)
    sound.do("node.offline", name="ams-l40s-1")
    assert sorted(replicas(sound, cluster_id)) == ["migrating", "pending", "running", "running"]
    assert status(sound, cluster_id) == "degraded"
    sound.do("node.online", name="ams-l40s-1")
    sound.advance(0)
    assert "provisioning" in replicas(sound, cluster_id)
    sound.advance(90)
    assert status(sound, cluster_id) == "running"
    assert numbers(sound, cluster_id) == [0, 1, 3]


def test_without_a_place_a_lost_replica_waits_as_pending_until_one_is_free(sound: Cloud) -> None:
    cluster_id = run_cluster(sound, replicaCount=2, gpusPerReplica=2)
    assert hosts(sound, cluster_id) == ["scl-l40s-1", "ams-l40s-1"]
    sound.do("capacity.seize", name="ams-l40s-1", gpus=2)
    sound.do("node.offline", name="scl-l40s-1")
    assert replicas(sound, cluster_id) == ["migrating", "running", "pending"]
    assert status(sound, cluster_id) == "degraded"
    sound.advance(3600)
    assert status(sound, cluster_id) == "degraded", "one still serves"
    sound.do("capacity.release", name="ams-l40s-1", gpus=2)
    sound.advance(90)
    assert replicas(sound, cluster_id) == ["running", "running"]
    assert status(sound, cluster_id) == "running"


def test_a_vm_that_ends_makes_room_for_a_waiting_replica(sound: Cloud) -> None:
    """CPU replicas and CPU VMs share nodes."""
    wish: dict[str, Any] = {"gpuModelId": None, "resourceSize": "xl", "preferredRegions": ["ca-central"]}
    cluster_id = run_cluster(sound, **wish)
    sound.do("capacity.seize", name="mtl-cpu-1", vcpu=16)
    sound.do("node.add", hostname="small-1", location="ca-central", vcpu=16, ram_gb=64, disk_gb=200)
    vm = sound.run_vm("squatter", **wish)
    sound.do("node.offline", node_of="chat-0")
    assert replicas(sound, cluster_id) == ["migrating", "pending"]
    sound.post(f"/v1/vms/{vm['id']}/terminate")
    sound.advance(90)
    assert status(sound, cluster_id) == "running"
    assert hosts(sound, cluster_id) == ["small-1"]


def test_a_cluster_that_shrinks_makes_room_for_a_waiting_replica(sound: Cloud) -> None:
    waiting = run_cluster(sound, "waiting", gpusPerReplica=2)
    other = run_cluster(sound, "other", replicaCount=4)
    sound.do("node.offline", name="scl-l40s-1")
    assert replicas(sound, waiting) == ["migrating", "pending"]
    scale(sound, other, 2)
    sound.advance(90)
    assert replicas(sound, waiting) == ["running"]


def test_a_start_on_a_lost_node_begins_again_elsewhere(sound: Cloud) -> None:
    cluster_id = deploy(sound)
    sound.advance(60)
    sound.do("node.offline", node_of="chat-0")
    assert replicas(sound, cluster_id) == ["provisioning"]
    assert hosts(sound, cluster_id) == ["ams-l40s-1"]
    sound.advance(89)
    assert status(sound, cluster_id) == "deploying"
    sound.advance(1)
    assert status(sound, cluster_id) == "running"
    assert told(sound) == ["replica.healthy", "cluster.running"]


@pytest.mark.parametrize("word", ["draining", "removed"])
def test_a_node_that_is_drained_or_removed_loses_its_replicas(sound: Cloud, word: str) -> None:
    cluster_id = run_cluster(sound)
    sound.do("node.set_status", node_of="chat-0", status=word)
    assert replicas(sound, cluster_id) == ["migrating", "provisioning"]
    sound.advance(90)
    assert hosts(sound, cluster_id) == ["ams-l40s-1"]


def test_draining_may_leave_replicas_alone_and_maintenance_always_does(open_cloud: Open) -> None:
    cloud = open_cloud(nodes__drain_ends_workloads=False)
    cluster_id = run_cluster(cloud)
    for word in ("draining", "maintenance"):
        cloud.do("node.set_status", node_of="chat-0", status=word)
        assert replicas(cloud, cluster_id) == ["running"]


def test_a_sick_replica_that_is_lost_is_not_told_twice(sound: Cloud) -> None:
    run_cluster(sound)
    sound.do("replica.fail", name="chat-0")
    sound.advance(30)
    assert told_by(sound, lambda: sound.do("node.offline", node_of="chat-0")) == []


def test_scaling_down_takes_what_migrates_with_what_replaces_it(sound: Cloud) -> None:
    cluster_id = run_cluster(sound, replicaCount=3)
    sound.do("node.offline", name="ams-l40s-1")
    events = told_by(sound, lambda: sound.post(f"/v1/clusters/{cluster_id}/scale", {"replicaCount": 2}))
    assert events == ["replica.terminated"] * 2 + ["cluster.running"]
    assert replicas(sound, cluster_id) == ["running", "running"]


@pytest.mark.parametrize("verb", ["stop", "terminate"])
def test_a_cluster_may_end_while_it_migrates(sound: Cloud, verb: str) -> None:
    cluster_id = run_cluster(sound, replicaCount=2)
    sound.do("node.offline", name="scl-l40s-1")
    sound.post(f"/v1/clusters/{cluster_id}/{verb}")
    ended = "stopped" if verb == "stop" else "terminated"
    assert set(replicas(sound, cluster_id)) == {ended}
    assert told_by(sound, lambda: sound.advance(3600)) == []
    assert status(sound, cluster_id) == ended


def test_a_lost_terminating_replica_is_gone_at_once(open_cloud: Open) -> None:
    cloud = open_cloud(timing__teardown_s=20)
    cluster_id = run_cluster(cloud, replicaCount=2)
    cloud.post(f"/v1/clusters/{cluster_id}/scale", {"replicaCount": 1})
    cloud.do("node.set_status", name="scl-l40s-1", status="removed")
    assert replicas(cloud, cluster_id) == ["migrating", "provisioning"]
    check_world(cloud.world)


# -- nothing serves ----------------------------------------------------------------------------------------


def seized(cloud: Cloud) -> Cloud:
    cloud.do("capacity.seize", gpu_model="l40s")
    return cloud


def test_after_300_s_without_a_healthy_replica_and_without_a_place_it_has_failed(sound: Cloud) -> None:
    cluster_id = run_cluster(sound, replicaCount=2)
    seized(sound)
    sound.do("node.offline", name="scl-l40s-1")
    sound.advance(299)
    assert status(sound, cluster_id) == "degraded"
    events = told_by(sound, lambda: sound.advance(1))
    assert events == ["replica.terminated"] * 2 + ["cluster.failed"]
    assert status(sound, cluster_id) == "failed"
    assert replicas(sound, cluster_id) == ["error", "error"]
    assert "300 s" in detail(sound, cluster_id)["statusReason"]
    sound.do("node.online", name="scl-l40s-1")
    sound.advance(3600)
    assert status(sound, cluster_id) == "failed", "nothing starts by itself"
    assert sound.post(f"/v1/clusters/{cluster_id}/restart").status == 200


def test_a_healthy_replica_in_between_starts_the_300_s_again(sound: Cloud) -> None:
    cluster_id = run_cluster(sound)
    seized(sound)
    sound.do("replica.fail", name="chat-0")
    sound.advance(200)
    sound.do("replica.recover", name="chat-0")
    sound.advance(10)
    sound.do("replica.fail", name="chat-0")
    sound.advance(200)
    assert status(sound, cluster_id) == "degraded"
    sound.advance(130)
    assert status(sound, cluster_id) == "failed"


def test_one_healthy_replica_of_several_is_enough_to_start_the_300_s_again(sound: Cloud) -> None:
    cluster_id = run_cluster(sound, replicaCount=2)
    seized(sound)
    sound.do("replica.fail", name="chat-0")
    sound.do("replica.fail", name="chat-1")
    sound.advance(200)
    sound.do("replica.recover", name="chat-0")
    sound.advance(10)
    assert replicas(sound, cluster_id) == ["running", "unhealthy"]
    sound.do("replica.fail", name="chat-0")
    sound.advance(329)
    assert status(sound, cluster_id) == "degraded"
    sound.advance(1)
    assert status(sound, cluster_id) == "failed"


def test_where_there_is_a_place_a_new_replica_takes_over_from_the_sick_one(sound: Cloud) -> None:
    cluster_id = run_cluster(sound)
    sound.do("replica.fail", name="chat-0")
    sound.advance(30 + 299)
    assert replicas(sound, cluster_id) == ["unhealthy"]
    sound.advance(1)
    assert replicas(sound, cluster_id) == ["migrating", "provisioning"]
    assert status(sound, cluster_id) == "degraded"
    events = told_by(sound, lambda: sound.advance(90))
    assert events == ["replica.healthy", "replica.terminated", "cluster.running"]


def test_a_new_replica_that_comes_to_nothing_either_ends_the_matter(sound: Cloud) -> None:
    cluster_id = run_cluster(sound)
    sound.do("replica.fail", name="chat-0")
    sound.advance(330)
    assert told_by(sound, lambda: sound.do("replica.fail", name="chat-1"))[-1] == "cluster.failed"
    assert status(sound, cluster_id) == "failed"


def test_a_start_under_way_is_waited_for_beyond_the_300_s(open_cloud: Open) -> None:
    cloud = open_cloud(clusters__fail_after_s=60)
    cluster_id = run_cluster(cloud)
    cloud.do("node.offline", node_of="chat-0")
    cloud.advance(89)
    assert status(cloud, cluster_id) == "degraded"
    cloud.advance(1)
    assert status(cloud, cluster_id) == "running"


def test_a_start_that_never_ends_fails_its_cluster_in_the_end(open_cloud: Open) -> None:
    """No state waits for ever, and nothing is tried for ever."""
    cloud = open_cloud(timing__replica__restart_in_place_s="never", timing__replica__restart_s="never")
    cluster_id = run_cluster(cloud)
    cloud.post(f"/v1/clusters/{cluster_id}/restart")
    cloud.advance(900)
    assert status(cloud, cluster_id) == "failed"
    fired = cloud.advance(7 * 86_400).events
    assert fired < 5
    check_world(cloud.world)


# -- actions -----------------------------------------------------------------------------------------------


def test_an_action_answers_how_the_replica_and_its_cluster_are(sound: Cloud) -> None:
    cluster_id = run_cluster(sound)
    replica_id = detail(sound, cluster_id)["replicas"][0]["id"]
    said = sound.do("replica.fail", id=replica_id)
    assert said == {
        "replica": replica_id,
        "name": "chat-0",
        "status": "running",
        "healthy": True,
        "cluster": cluster_id,
        "clusterStatus": "running",
    }


@pytest.mark.parametrize(
    ("target", "code", "named"),
    [
        ({}, "bad_request", "by id or name"),
        ({"name": "chat-9"}, "not_found", "chat-0"),
        ({"id": "nope"}, "not_found", "nope"),
    ],
)
def test_a_target_that_names_no_replica_is_refused(
    sound: Cloud, target: dict[str, Any], code: str, named: str
) -> None:
    run_cluster(sound)
    for action in ("replica.fail", "replica.recover"):
        with pytest.raises(Refusal, match=named) as caught:
            sound.do(action, **target)
        assert caught.value.code == code


def test_a_failed_start_recovers_only_where_there_is_a_place(sound: Cloud) -> None:
    deploy(sound)
    sound.do("replica.fail", name="chat-0")
    seized(sound)
    version = sound.world.version
    with pytest.raises(Refusal, match="free now"):
        sound.do("replica.recover", name="chat-0")
    assert sound.world.version == version
    sound.do("capacity.release", gpu_model="l40s")
    assert sound.do("replica.recover", name="chat-0")["status"] == "provisioning"


def test_a_replica_of_a_failed_cluster_recovers_by_a_restart_only(sound: Cloud) -> None:
    cluster_id = deploy(sound)
    sound.do("replica.fail", name="chat-0")
    sound.advance(900)
    version = sound.world.version
    with pytest.raises(Refusal, match="'chat' is failed; restart it"):
        sound.do("replica.recover", name="chat-0")
    assert sound.world.version == version
    assert sound.post(f"/v1/clusters/{cluster_id}/restart").status == 200


def test_every_transition_of_a_replica_names_its_cause(sound: Cloud) -> None:
    run_cluster(sound)
    sound.do("node.offline", node_of="chat-0")
    entries = {entry.serial: entry for entry in sound.world.journal}
    degraded = next(entry for entry in entries.values() if entry.facts.get("trigger") == "degrade")
    kinds = []
    while degraded.cause is not None:
        degraded = entries[degraded.cause]
        kinds.append(degraded.kind)
    assert kinds == ["transition", "action"], "the node went offline, because of the action"
    assert len(list(sound.world.rows(Replica))) == 2
