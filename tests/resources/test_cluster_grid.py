"""Every verb in every status, in every profile: what the service answers, held against the table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.kernel.refusal import Refusal
from simulator.resources.clusters.lifecycle import move
from simulator.resources.clusters.states import LIFECYCLE, REPLICA_LIFE, STATES, Replica
from tests.support.cloud import Cloud
from tests.support.clusters import bring_to, deploy, replicas, row_of, run_cluster, status
from tests.support.invariants import check_world

PROFILES = ("2026-06", "2026-07", "2026-10")
Open = Callable[..., Cloud]

VERBS = {
    "scale": ("scale", {"replicaCount": 2}),
    "stop": ("stop", None),
    "restart": ("restart", None),
    "terminate": ("terminate", None),
}

# What the service answers, and the status the cluster is left in ("=": the one it had).
GRID: dict[str, dict[str, tuple[int, str]]] = {
    "scale": {
        **dict.fromkeys(("deploying", "running", "degraded"), (200, "=")),
        **dict.fromkeys(("pending", "stopped", "failed", "terminated"), (409, "=")),
    },
    "stop": {**dict.fromkeys(STATES, (200, "stopped")), "terminated": (404, "=")},
    "restart": {
        **dict.fromkeys(STATES, (200, "deploying")),
        "pending": (200, "pending"),
        "terminated": (404, "="),
    },
    "terminate": dict.fromkeys(STATES, (200, "terminated")),
}
TRANSFER = {
    **dict.fromkeys(("pending", "deploying"), "INVALID_CLUSTER_STATE"),
    "terminated": "CLUSTER_STATE_UNFIT",
}


def test_the_grid_and_the_table_know_the_same_pairs() -> None:
    pairs = {(state, verb) for state, verb, _ in LIFECYCLE.pairs() if verb != "transfer"}
    assert pairs == {(state, verb) for verb in GRID for state in STATES}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("state", "verb"), [(state, verb) for verb in GRID for state in STATES])
def test_a_verb_in_a_status(open_cloud: Open, profile: str, state: str, verb: str) -> None:
    cloud = open_cloud(profile=profile, clusters__queue=state == "pending")
    cluster_id = bring_to(cloud, state)
    path, body = VERBS[verb]
    before, version = status(cloud, cluster_id), cloud.world.version

    answer = cloud.post(f"/v1/clusters/{cluster_id}/{path}", body)

    expected, target = GRID[verb][state]
    assert (answer.status, before) == (expected, state), answer
    assert status(cloud, cluster_id) == (state if target == "=" else target)
    assert (LIFECYCLE.find(state, verb) is None) == (expected >= 400)
    if expected >= 400:
        assert cloud.world.version == version
        assert state in answer.body["error"]
        assert answer.code in ("INVALID_CLUSTER_STATE", "not_found", "NOT_FOUND")
    check_world(cloud.world)


@pytest.mark.parametrize(("verb", "state"), [("stop", "stopped"), ("terminate", "terminated")])
def test_a_verb_that_has_been_carried_out_already_changes_nothing(
    cloud: Cloud, verb: str, state: str
) -> None:
    cluster_id = bring_to(cloud, state)
    entries = cloud.entries("transition") + cloud.entries("event")
    assert cloud.post(f"/v1/clusters/{cluster_id}/{verb}").body["status"] == state
    assert cloud.entries("transition") + cloud.entries("event") == entries


def test_a_restart_of_a_start_that_is_under_way_changes_nothing(cloud: Cloud) -> None:
    cluster_id = bring_to(cloud, "deploying")
    cloud.advance(89)
    cloud.post(f"/v1/clusters/{cluster_id}/restart")
    cloud.advance(1)
    assert status(cloud, cluster_id) == "running"


@pytest.mark.parametrize("state", STATES)
def test_only_a_cluster_at_rest_can_change_hands(open_cloud: Open, state: str) -> None:
    cloud = open_cloud(clusters__queue=state == "pending")
    cluster = row_of(cloud, bring_to(cloud, state))
    if state in TRANSFER:
        with pytest.raises(Refusal, match=state) as caught:
            move(cloud.world, cluster, "transfer")
        assert caught.value.code == TRANSFER[state]
    else:
        assert move(cloud.world, cluster, "transfer") == cluster


# -- replicas


def bring_replica_to(cloud: Cloud, state: str) -> Replica:
    """A replica in this status, by the means of the outside world. `terminating` needs a slow teardown."""
    if state in ("provisioning", "error"):
        cluster_id = deploy(cloud)
        if state == "error":
            cloud.do("replica.fail", name="chat-0")
    else:
        cluster_id = run_cluster(cloud)
    if state in ("stopped", "terminating"):
        cloud.post(f"/v1/clusters/{cluster_id}/{'stop' if state == 'stopped' else 'terminate'}")
    elif state == "terminated":
        cloud.post(f"/v1/clusters/{cluster_id}/terminate")
        cloud.advance(20)
    elif state in ("migrating", "pending"):
        cloud.do("capacity.seize", gpu_model="l40s")
        cloud.do("node.offline", node_of="chat-0")
    (replica,) = (row for row in cloud.world.select(Replica, "cluster", cluster_id) if row.status == state)
    return replica


@pytest.mark.parametrize(("state", "trigger"), [pair[:2] for pair in REPLICA_LIFE.pairs()])
def test_what_can_happen_to_a_replica_in_a_status(open_cloud: Open, state: str, trigger: str) -> None:
    cloud = open_cloud(timing__teardown_s=20)
    replica = bring_replica_to(cloud, state)
    version = cloud.world.version
    if REPLICA_LIFE.find(state, trigger) is None:
        with pytest.raises(Refusal, match=state) as caught:
            cloud.do(f"replica.{trigger}", id=replica.id)
        assert caught.value.code == "conflict"
        assert cloud.world.version == version
    else:
        cloud.do(f"replica.{trigger}", id=replica.id)
    check_world(cloud.world)
    assert replicas(cloud, replica.cluster_id)
