"""Clusters: create, refusals, what is shown, scale, stop and restart, money."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from simulator.domain.capacity import Claim
from simulator.domain.metering import UsageSession
from tests.support.cloud import Cloud
from tests.support.clusters import (
    LIST,
    accrued,
    create,
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


def refused(cloud: Cloud, code: int, **body: object) -> str:
    """A create that is refused with this status and changes nothing; answers code and message."""
    version = cloud.world.version
    answer = create(cloud, **body)  # type: ignore[arg-type]
    assert answer.status == code, answer
    assert cloud.world.version == version
    return f"{answer.body['code']} {answer.body['error']}"


def free(cloud: Cloud) -> int:
    row = next(row for row in cloud.get("/v1/gpu-availability").body if row["gpuModelId"] == "l40s")
    return int(row["cluster"]["freeGpus"])


# -- creating ----------------------------------------------------------------------------------------------


def test_a_created_cluster_is_deploying_with_all_its_replicas(cloud: Cloud) -> None:
    answer = create(cloud, replicaCount=3)
    cluster = answer.body
    assert (cluster["status"], cluster["replicaCount"], cluster["activeReplicas"]) == ("deploying", 3, 0)
    assert re.fullmatch(r"https://chat-[0-9a-z]{8}\.run\.openrelay\.inc", cluster["endpointUrl"])
    assert re.fullmatch(r"[0-9a-f-]{36}", cluster["id"])
    assert replicas(cloud, cluster["id"]) == ["provisioning"] * 3
    assert free(cloud) == 3
    assert told(cloud) == []
    assert cloud.get(LIST).body["items"] == [cluster]
    assert cloud.get(f"/v1/clusters/{cluster['id']}").body == cluster


def test_it_runs_once_all_replicas_are_healthy_and_says_so_once(cloud: Cloud) -> None:
    cluster_id = deploy(cloud, replicaCount=3)
    cloud.advance(89)
    assert status(cloud, cluster_id) == "deploying"
    cloud.advance(1)
    assert status(cloud, cluster_id) == "running"
    assert replicas(cloud, cluster_id) == ["running"] * 3
    assert told(cloud) == ["replica.healthy"] * 3 + ["cluster.running"]
    assert cloud.get(f"/v1/clusters/{cluster_id}").body["activeReplicas"] == 3


def test_what_is_left_out_has_its_default(cloud: Cloud) -> None:
    cluster = detail(cloud, deploy(cloud))
    expected = {"replicaCount": 1, "gpusPerReplica": 1, "tier": "community", "diskSizeGb": 10}
    assert {key: cluster[key] for key in expected} == expected
    assert (cluster["allowFallback"], cluster["privileged"], cluster["containerPort"]) == (False, False, 80)
    assert cluster["imageUrl"]


def test_the_detail_shows_what_was_asked_for(cloud: Cloud) -> None:
    asked: dict[str, Any] = {
        "gpusPerReplica": 2,
        "imageUrl": "vllm/vllm-openai:v0.9",
        "containerPort": 8000,
        "envVars": {"MODEL": "m"},
        "preferredRegions": ["us-west"],
        "allowFallback": True,
        "healthChecks": ["http"],
        "healthCheckPath": "/health",
        "healthCheckPort": 8001,
        "privileged": True,
        "diskSizeGb": 60,
        "resourceSize": "xl",
    }
    cluster = detail(cloud, deploy(cloud, **asked))
    assert {key: cluster[key] for key in asked} == asked
    assert cluster["gpuModel"]["vramGb"] == 48
    (replica,) = cluster["replicas"]
    assert (replica["nodeLocation"], replica["nodeRegion"]) == ("us-west", "north-america")
    assert (replica["gpuCount"], replica["port"], replica["diskTotalBytes"]) == (2, 8000, 60 * 10**9)


def test_several_gpus_of_one_replica_are_on_one_node(cloud: Cloud) -> None:
    """Six are free on two nodes, yet no replica can have five."""
    assert free(cloud) == 6
    cluster_id = deploy(cloud, gpusPerReplica=4)
    assert hosts(cloud, cluster_id) == ["ams-l40s-1"]
    assert "GPU_COUNT_NOT_ALLOCATABLE" in refused(cloud, 400, name="five", gpusPerReplica=5)


def test_nvlink_is_there_where_several_gpus_are_wired_to_each_other(cloud: Cloud) -> None:
    cloud.do(
        "node.add",
        hostname="h",
        location="us-west",
        vcpu=64,
        ram_gb=1024,
        disk_gb=4000,
        gpu_model="h200-sxm",
        cluster_gpus=4,
    )
    pair = detail(cloud, deploy(cloud, "pair", gpuModelId="h200-sxm", gpusPerReplica=2))
    single = detail(cloud, deploy(cloud, "single", gpuModelId="h200-sxm"))
    plain = detail(cloud, deploy(cloud, "plain", gpusPerReplica=2))
    shown = [cluster["replicas"][0]["nvlinkEnabled"] for cluster in (pair, single, plain)]
    assert shown == [True, False, False]


def test_a_cluster_without_a_model_is_made_of_cpu_replicas(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, gpuModelId=None, replicaCount=2, resourceSize="small")
    shown = detail(cloud, cluster_id)
    assert (shown["gpusPerReplica"], shown["resourceSize"]) == (0, "small")
    assert "gpuModelId" not in shown
    assert "gpuModel" not in shown
    assert [row.rate_cents for row in cloud.rows(UsageSession)] == [3, 3]


def test_the_deploy_token_is_masked_unless_asked_for(open_cloud: Open) -> None:
    masked, shown = open_cloud(), open_cloud(clusters__deploy_token="shown")
    hidden = detail(masked, deploy(masked))["deployToken"]
    token = detail(shown, deploy(shown))["deployToken"]
    assert re.fullmatch(r"dpl_[0-9A-Za-z]{40}", token)
    assert hidden == token[:8] + "…"
    assert token not in str([entry.facts for entry in shown.world.journal])


def test_ids_of_the_documentation_are_an_option(open_cloud: Open) -> None:
    cloud = open_cloud(ids__style="prefixed", ids__gpu_models="uuid")
    shown = detail(cloud, deploy(cloud))
    assert shown["id"].startswith("clu_")
    assert shown["replicas"][0]["id"].startswith("rep_")
    assert shown["gpuModelId"] == shown["gpuModel"]["id"] != "l40s"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"name": ""}, "0 characters"),
        ({"name": "x" * 64}, "64 characters"),
        ({"replicaCount": 0}, "replicaCount 0"),
        ({"replicaCount": -1}, "replicaCount -1"),
        ({"replicaCount": 1_000_000}, "replicaCount 1000000"),
        ({"replicaCount": 10**30}, "1000000000000000000000000000000"),
        ({"gpusPerReplica": 0}, "gpusPerReplica 0"),
        ({"gpuModelId": None, "gpusPerReplica": 1}, "gpusPerReplica 1 without gpuModelId"),
        ({"gpuModelId": "rtx-9090"}, "rtx-9090"),
        ({"gpuModelId": "gtx-1080-ti"}, "gtx-1080-ti"),
        ({"gpuModelId": None, "resourceSize": "huge"}, "'huge'"),
        ({"tier": "spot"}, "'spot'"),
        ({"tier": "gold"}, "'gold'"),
        ({"diskSizeGb": 9}, "9 GB"),
        ({"diskSizeGb": 2001}, "2001 GB"),
        ({"containerPort": 0}, "containerPort 0"),
        ({"healthCheckPort": 65536}, "healthCheckPort 65536"),
        ({"templateId": "beos"}, "'beos'"),
        ({"templateId": "rocm-ubuntu"}, "rocm-ubuntu does not suit l40s"),
        ({"registryCredentialId": "cred"}, "'cred'"),
        ({"preferredRegions": ["mars"]}, "VM_SHAPE_NOT_PLACEABLE"),
        ({"tier": "verified"}, "VM_SHAPE_NOT_PLACEABLE"),
        ({"gpuModelId": "rtx-4090"}, "VM_SHAPE_NOT_PLACEABLE"),
    ],
)
def test_a_create_that_cannot_be_meant_is_400_and_names_the_value(
    cloud: Cloud, body: dict[str, object], named: str
) -> None:
    assert named in refused(cloud, 400, **body)


def test_a_name_belongs_to_one_live_cluster(open_cloud: Open) -> None:
    cloud = open_cloud()
    cluster_id = deploy(cloud)
    assert "NAME_TAKEN" in refused(cloud, 409)
    cloud.post(f"/v1/clusters/{cluster_id}/terminate")
    deploy(cloud)
    lax = open_cloud(clusters__names_unique=False)
    assert deploy(lax) != deploy(lax)


def test_all_replicas_find_a_place_or_none_does(open_cloud: Open) -> None:
    cloud = open_cloud()
    answer = create(cloud, replicaCount=7)
    assert (answer.status, answer.code) == (409, "INSUFFICIENT_GPU_CAPACITY")
    assert answer.body["placeableReplicas"] == 6
    assert free(cloud) == 6
    later = open_cloud("full", capacity__refusal_status=503)
    answer = create(later)
    assert (answer.status, answer.code) == (503, "INSUFFICIENT_GPU_CAPACITY")
    assert answer.body["placeableGpuCounts"] == []


def test_replicas_stay_in_their_region_unless_they_may_fall_back(cloud: Cloud) -> None:
    here: dict[str, Any] = {"replicaCount": 3, "preferredRegions": ["us-west"]}
    assert "2 of 3" in refused(cloud, 409, **here)
    cluster_id = deploy(cloud, allowFallback=True, **here)
    assert hosts(cloud, cluster_id) == ["scl-l40s-1", "scl-l40s-1", "ams-l40s-1"]


@pytest.mark.parametrize(
    ("standing", "code"),
    [("pending", "ACCOUNT_PENDING_VERIFICATION"), ("restricted", "ACCOUNT_RESTRICTED")],
)
def test_an_account_without_good_standing_starts_nothing(cloud: Cloud, standing: str, code: str) -> None:
    stopped, running = run_cluster(cloud, "stopped"), run_cluster(cloud, "running")
    cloud.post(f"/v1/clusters/{stopped}/stop")
    cloud.do("account.set_status", name="acme", status=standing)
    assert code in refused(cloud, 403)
    assert cloud.post(f"/v1/clusters/{stopped}/restart").code == code
    assert cloud.post(f"/v1/clusters/{running}/scale", {"replicaCount": 2}).code == code


def test_without_money_nothing_starts(open_cloud: Open) -> None:
    cloud = open_cloud("broke")
    assert "INSUFFICIENT_BALANCE" in refused(cloud, 403)
    cloud = open_cloud()
    cluster_id = run_cluster(cloud)
    cloud.do("balance.debit", name="acme", cents=9_950)
    assert status(cloud, cluster_id) == "stopped"
    assert cloud.post(f"/v1/clusters/{cluster_id}/restart").code == "INSUFFICIENT_BALANCE"


# -- lists -------------------------------------------------------------------------------------------------


def test_a_page_loop_sees_every_cluster_once_newest_first(cloud: Cloud) -> None:
    made = []
    for number in range(5):
        made.append(deploy(cloud, f"cpu-{number}", gpuModelId=None, resourceSize="small"))
        cloud.advance(1)
    cloud.post(f"/v1/clusters/{made[2]}/terminate")
    seen, cursor = [], ""
    while True:
        page = cloud.get(f"{LIST}?limit=2" + (f"&cursor={cursor}" if cursor else "")).body
        seen += [row["id"] for row in page["items"]]
        deploy(cloud, f"late-{len(seen)}", gpuModelId=None, resourceSize="small")
        cursor = page.get("nextCursor")
        if not cursor:
            break
    assert seen == made[::-1]


@pytest.mark.parametrize("query", ["limit=0", "limit=ten", "cursor=nonsense"])
def test_a_bad_page_parameter_is_400_and_named(cloud: Cloud, query: str) -> None:
    answer = cloud.get(f"{LIST}?{query}")
    assert answer.status == 400
    assert query.partition("=")[2] in answer.body["error"]


# -- scaling -----------------------------------------------------------------------------------------------


def test_scaling_up_keeps_the_status_and_tells_of_each_new_replica(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud)
    before = len(told(cloud))
    assert scale(cloud, cluster_id, 3).body["replicaCount"] == 3
    assert replicas(cloud, cluster_id) == ["running", "provisioning", "provisioning"]
    cloud.advance(60)
    assert status(cloud, cluster_id) == "running", "a start is no loss until it has served once"
    cloud.advance(30)
    assert replicas(cloud, cluster_id) == ["running"] * 3
    assert told(cloud)[before:] == ["replica.healthy"] * 2


def test_scaling_down_takes_the_unhealthy_first_and_then_the_highest_number(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=5)
    cloud.do("replica.fail", name="chat-1")
    cloud.advance(30)
    assert status(cloud, cluster_id) == "degraded"
    events = told_by(cloud, lambda: scale(cloud, cluster_id, 3))
    assert numbers(cloud, cluster_id) == [0, 2, 3]
    assert events == ["replica.terminated"] * 2 + ["cluster.running"]
    assert free(cloud) == 3


def test_numbers_are_not_used_twice(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=3)
    scale(cloud, cluster_id, 1)
    scale(cloud, cluster_id, 2)
    assert numbers(cloud, cluster_id) == [0, 3]


def test_the_same_number_changes_nothing(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=2)
    entries = cloud.entries("transition")
    assert scale(cloud, cluster_id, 2).status == 200
    assert cloud.entries("transition") == entries


def test_more_than_fit_is_409_and_changes_nothing(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=2)
    version = cloud.world.version
    answer = scale(cloud, cluster_id, 7)
    assert (answer.status, answer.code) == (409, "INSUFFICIENT_GPU_CAPACITY")
    assert cloud.world.version == version
    assert len(replicas(cloud, cluster_id)) == 2


@pytest.mark.parametrize("count", [0, -1, 101, 10**20])
def test_a_number_out_of_bounds_is_400_and_named(cloud: Cloud, count: int) -> None:
    cluster_id = run_cluster(cloud)
    answer = scale(cloud, cluster_id, count)
    assert answer.status == 400
    assert str(count) in answer.body["error"]


def test_the_most_replicas_is_a_setting(open_cloud: Open) -> None:
    cloud = open_cloud(clusters__max_replicas=2)
    cluster_id = run_cluster(cloud)
    assert scale(cloud, cluster_id, 3).status == 400
    assert scale(cloud, cluster_id, 2).status == 200


def test_a_new_replica_that_never_serves_degrades_the_cluster_at_its_deadline(open_cloud: Open) -> None:
    cloud = open_cloud()
    cluster_id = run_cluster(cloud)
    scale(cloud, cluster_id, 2)
    cloud.do("replica.fail", name="chat-1")
    assert status(cloud, cluster_id) == "degraded"
    assert replicas(cloud, cluster_id) == ["running", "error"]
    cloud.do("replica.recover", name="chat-1")
    cloud.advance(90)
    assert status(cloud, cluster_id) == "running"


# -- stop, restart, terminate ------------------------------------------------------------------------------


def test_stop_lays_down_all_replicas_frees_everything_and_tells_nobody(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=2)
    assert told_by(cloud, lambda: cloud.post(f"/v1/clusters/{cluster_id}/stop")) == []
    assert replicas(cloud, cluster_id) == ["stopped", "stopped"]
    assert free(cloud) == 6
    assert detail(cloud, cluster_id)["statusReason"] == "user_stopped"
    assert not any(claim.id for claim in cloud.rows(Claim) if not claim.outside)


def test_a_restart_from_stopped_takes_less_where_the_image_is(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud)
    cloud.post(f"/v1/clusters/{cluster_id}/stop")
    assert cloud.post(f"/v1/clusters/{cluster_id}/restart").body["status"] == "deploying"
    cloud.advance(44)
    assert status(cloud, cluster_id) == "deploying"
    cloud.advance(1)
    assert status(cloud, cluster_id) == "running"
    assert told(cloud) == ["replica.healthy", "cluster.running"] * 2


def test_a_restart_from_stopped_puts_every_replica_where_its_image_is(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=3)
    cloud.do("replica.fail", name="chat-0")
    cloud.advance(30)
    scale(cloud, cluster_id, 2)
    scale(cloud, cluster_id, 3)
    cloud.advance(90)
    where = ["scl-l40s-1", "ams-l40s-1", "scl-l40s-1"]
    assert hosts(cloud, cluster_id) == where
    cloud.post(f"/v1/clusters/{cluster_id}/stop")
    cloud.post(f"/v1/clusters/{cluster_id}/restart")
    assert hosts(cloud, cluster_id) == where
    cloud.advance(45)
    assert status(cloud, cluster_id) == "running"


def test_a_restart_elsewhere_pulls_the_image_again(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud)
    assert hosts(cloud, cluster_id) == ["scl-l40s-1"]
    cloud.post(f"/v1/clusters/{cluster_id}/stop")
    cloud.do("node.set_status", name="scl-l40s-1", status="maintenance")
    cloud.post(f"/v1/clusters/{cluster_id}/restart")
    assert hosts(cloud, cluster_id) == ["ams-l40s-1"]
    cloud.advance(46)
    assert status(cloud, cluster_id) == "deploying"
    cloud.advance(44)
    assert status(cloud, cluster_id) == "running"


def test_a_restart_from_stopped_needs_places_for_all(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=2)
    cloud.post(f"/v1/clusters/{cluster_id}/stop")
    cloud.do("capacity.seize", gpu_model="l40s", gpus=5)
    version = cloud.world.version
    answer = cloud.post(f"/v1/clusters/{cluster_id}/restart")
    assert (answer.status, answer.code) == (409, "INSUFFICIENT_GPU_CAPACITY")
    assert cloud.world.version == version


def test_a_restart_of_what_serves_rolls_from_number_zero(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=3)
    places, before = hosts(cloud, cluster_id), len(told(cloud))
    assert cloud.post(f"/v1/clusters/{cluster_id}/restart").body["status"] == "deploying"
    for at in range(3):
        wanted = ["running"] * 3
        wanted[at] = "provisioning"
        assert replicas(cloud, cluster_id) == wanted
        assert cloud.get(f"/v1/clusters/{cluster_id}").body["activeReplicas"] == 2
        cloud.advance(29)
        assert replicas(cloud, cluster_id) == wanted
        cloud.advance(1)
        check_world(cloud.world)
    assert status(cloud, cluster_id) == "running"
    assert hosts(cloud, cluster_id) == places
    assert told(cloud)[before:] == ["replica.healthy"] * 3 + ["cluster.running"]


def test_a_roll_that_takes_longer_than_the_deadline_is_no_failure(open_cloud: Open) -> None:
    cloud = open_cloud(clusters__deadline_s=100, timing__replica__restart_in_place_s=60)
    cluster_id = run_cluster(cloud, replicaCount=4)
    cloud.post(f"/v1/clusters/{cluster_id}/restart")
    cloud.advance(239)
    assert status(cloud, cluster_id) == "deploying"
    cloud.advance(1)
    assert status(cloud, cluster_id) == "running"


def test_a_replica_that_does_not_come_back_halts_the_roll(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=3)
    cloud.post(f"/v1/clusters/{cluster_id}/restart")
    cloud.do("replica.fail", name="chat-0")
    cloud.advance(600)
    assert replicas(cloud, cluster_id) == ["error", "running", "running"]
    cloud.advance(300)
    assert status(cloud, cluster_id) == "degraded"
    check_world(cloud.world)


def test_a_recovered_replica_lets_the_roll_go_on(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=2)
    cloud.post(f"/v1/clusters/{cluster_id}/restart")
    cloud.do("replica.fail", name="chat-0")
    cloud.do("replica.recover", name="chat-0")
    cloud.advance(45)
    assert replicas(cloud, cluster_id) == ["running", "provisioning"]
    cloud.advance(30)
    assert status(cloud, cluster_id) == "running"


def test_a_roll_goes_on_when_what_halted_it_is_scaled_away(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=3)
    cloud.post(f"/v1/clusters/{cluster_id}/restart")
    cloud.do("replica.fail", name="chat-0")
    scale(cloud, cluster_id, 2)
    assert replicas(cloud, cluster_id) == ["provisioning", "running"]
    cloud.advance(60)
    assert status(cloud, cluster_id) == "running"


def test_a_restart_starts_again_what_had_failed_to_start(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=2)
    scale(cloud, cluster_id, 3)
    cloud.do("replica.fail", name="chat-2")
    cloud.post(f"/v1/clusters/{cluster_id}/restart")
    assert replicas(cloud, cluster_id) == ["running", "running", "provisioning"]
    cloud.advance(90 + 2 * 30)
    assert status(cloud, cluster_id) == "running"


def test_terminate_tells_of_each_replica_and_is_final(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=2)
    events = told_by(cloud, lambda: cloud.post(f"/v1/clusters/{cluster_id}/terminate"))
    assert events == ["replica.terminated"] * 2
    shown = detail(cloud, cluster_id)
    assert (shown["status"], shown["statusReason"]) == ("terminated", "user_terminated")
    assert replicas(cloud, cluster_id) == ["terminated", "terminated"]
    assert free(cloud) == 6


def test_a_terminated_cluster_shows_the_replicas_that_ended_with_it(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=3)
    scale(cloud, cluster_id, 2)
    assert replicas(cloud, cluster_id) == ["running", "running"]
    cloud.advance(1)
    cloud.post(f"/v1/clusters/{cluster_id}/terminate")
    assert replicas(cloud, cluster_id) == ["terminated", "terminated"]


def test_a_place_is_free_when_the_teardown_is_over(open_cloud: Open) -> None:
    cloud = open_cloud(timing__teardown_s=20)
    cluster_id = run_cluster(cloud, replicaCount=2)
    assert told_by(cloud, lambda: scale(cloud, cluster_id, 1)) == []
    assert replicas(cloud, cluster_id) == ["running", "terminating"]
    assert free(cloud) == 4
    assert told_by(cloud, lambda: cloud.advance(20)) == ["replica.terminated"]
    assert free(cloud) == 5
    check_world(cloud.world)


# -- start deadlines ---------------------------------------------------------------------------------------


def test_at_the_deadline_a_cluster_that_serves_in_part_is_degraded(cloud: Cloud) -> None:
    cluster_id = deploy(cloud, replicaCount=2)
    cloud.do("replica.fail", name="chat-1")
    cloud.advance(899)
    assert status(cloud, cluster_id) == "deploying"
    cloud.advance(1)
    assert status(cloud, cluster_id) == "degraded"
    assert told(cloud) == ["replica.healthy", "cluster.degraded"]
    assert detail(cloud, cluster_id)["statusReason"] == "1 of 2 replicas are healthy"
    cloud.do("replica.recover", name="chat-1")
    cloud.advance(90)
    assert told(cloud)[2:] == ["replica.healthy", "cluster.running"]


def test_what_still_starts_at_the_deadline_is_missed_until_it_serves(cloud: Cloud) -> None:
    cluster_id = deploy(cloud, replicaCount=2)
    cloud.do("replica.fail", name="chat-1")
    cloud.advance(880)
    cloud.do("replica.recover", name="chat-1")
    cloud.advance(20)
    scale(cloud, cluster_id, 3)
    assert replicas(cloud, cluster_id) == ["running", "provisioning", "provisioning"]
    assert status(cloud, cluster_id) == "degraded"
    cloud.advance(70)
    assert status(cloud, cluster_id) == "running", "the one that was asked for later is no loss"


def test_at_the_deadline_a_cluster_that_serves_nothing_has_failed(open_cloud: Open) -> None:
    cloud = open_cloud(timing__replica__pulling_image_s="never")
    cluster_id = deploy(cloud, replicaCount=2)
    cloud.simulator.advance_until("idle")
    assert status(cloud, cluster_id) == "deploying"
    cloud.advance(900)
    assert status(cloud, cluster_id) == "failed"
    assert replicas(cloud, cluster_id) == ["error", "error"]
    assert told(cloud) == ["cluster.failed"]
    assert "900 s" in detail(cloud, cluster_id)["statusReason"]
    assert free(cloud) == 6
    check_world(cloud.world)


def test_events_carry_the_ids_and_why(cloud: Cloud) -> None:
    cloud.post("/v1/orgs/{org}/webhooks/create", {"name": "all", "url": "http://127.0.0.1:9/hook"})
    cluster_id = run_cluster(cloud)
    replica_id = detail(cloud, cluster_id)["replicas"][0]["id"]
    cloud.do("replica.fail", name="chat-0")
    cloud.advance(30)
    bodies = {body["type"]: body["data"] for body in cloud.mailbox.bodies()}
    assert bodies["replica.healthy"] == {"clusterId": cluster_id, "replicaId": replica_id}
    assert bodies["cluster.running"] == {"clusterId": cluster_id, "status": "running"}
    assert bodies["replica.unhealthy"] == {"clusterId": cluster_id, "replicaId": replica_id}
    assert bodies["cluster.degraded"] == {
        "clusterId": cluster_id,
        "status": "degraded",
        "statusReason": "0 of 1 replicas are healthy",
    }


# -- fixture -----------------------------------------------------------------------------------------------


def test_a_fixture_brings_clusters_as_if_they_had_come_this_far(open_cloud: Open, tmp_path: Any) -> None:
    path = tmp_path / "mine.yaml"
    states = ("running", "deploying", "stopped", "failed", "terminated")
    rows = "".join(
        f"  - {{name: {state}, organization: acme, gpu_model: l40s, replicas: 2, status: {state},"
        f" running_for_s: {3600 if state == 'running' else 0}}}\n"
        for state in states
    )
    path.write_text(f"extends: default\nclusters:\n{rows}", "utf-8")
    cloud = open_cloud(str(path))
    check_world(cloud.world)
    found = {row["name"]: row for row in cloud.get(LIST).body["items"]}
    assert {name: row["status"] for name, row in found.items()} == {state: state for state in states}
    assert replicas(cloud, found["running"]["id"]) == ["running", "running"]
    assert replicas(cloud, found["terminated"]["id"]) == ["terminated", "terminated"]
    assert accrued(cloud) == 2 * 79
    assert cloud.post(f"/v1/clusters/{found['failed']['id']}/restart").body["status"] == "deploying"
    cloud.advance(90)
    assert status(cloud, found["deploying"]["id"]) == status(cloud, found["failed"]["id"]) == "running"
    check_world(cloud.world)
