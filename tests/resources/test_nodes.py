"""Nodes: their life, what it does to VMs, and capacity that comes and goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.domain.capacity import NODE_STATES, Claim, Node
from simulator.kernel.refusal import Refusal
from simulator.resources.provider.lifecycle import NODE_LIFE
from tests.support.cloud import Cloud
from tests.support.invariants import check_world
from tests.support.nodes import free, node, seen

Open = Callable[..., Cloud]
DAY = 24 * 3600


def subscribed(cloud: Cloud) -> Cloud:
    body = {"name": "all", "url": "http://127.0.0.1:9/hook", "events": []}
    assert cloud.post("/v1/orgs/{org}/webhooks/create", body).status == 200
    return cloud


# -- the table ---------------------------------------------------------------------------------------------

# status before, what happens, status after; None: refused
LIFE = """
online       silence      offline
online       answer       online
online       online       online
online       draining     draining
online       maintenance  maintenance
online       removed      removed
offline      silence      offline
offline      answer       online
offline      draining     draining
offline      maintenance  maintenance
offline      removed      removed
offline      online       offline
draining     silence      draining
draining     answer       draining
draining     draining     draining
draining     maintenance  maintenance
draining     removed      removed
draining     online       online
maintenance  silence      maintenance
maintenance  answer       maintenance
maintenance  draining     draining
maintenance  maintenance  maintenance
maintenance  removed      removed
maintenance  online       online
removed      silence      -
removed      answer       -
removed      draining     -
removed      maintenance  -
removed      removed      -
removed      online       -
"""
ROWS = [line.split() for line in LIFE.strip().splitlines()]
HAPPENS = {"silence": "node.offline", "answer": "node.online"}


def happen(cloud: Cloud, what: str, hostname: str) -> dict[str, Any]:
    if what in HAPPENS:
        return cloud.do(HAPPENS[what], name=hostname)
    return cloud.do("node.set_status", name=hostname, status=what)


@pytest.mark.parametrize(("before", "what", "after"), ROWS, ids=["-".join(row[:2]) for row in ROWS])
def test_the_life_of_a_node(empty: Cloud, before: str, what: str, after: str) -> None:
    happen(empty, "silence" if before == "offline" else before, "mtl-3090-1")
    if after == "-":
        version = empty.world.version
        with pytest.raises(Refusal, match="removed") as caught:
            happen(empty, what, "mtl-3090-1")
        assert caught.value.code == "NODE_DECOMMISSIONED"
        assert caught.value.status(empty.world.settings) == 400
        assert empty.world.version == version
    else:
        assert happen(empty, what, "mtl-3090-1")["status"] == after
        assert node(empty, "mtl-3090-1").status == after


def test_the_table_knows_every_state() -> None:
    assert {source for step in NODE_LIFE.steps for source in step.sources} >= {*NODE_STATES} - {"removed"}
    assert not [step for step in NODE_LIFE.steps if "removed" in step.sources]


def test_a_node_that_fell_silent_in_maintenance_is_offline_as_soon_as_it_is_reopened(empty: Cloud) -> None:
    empty.do("node.set_status", name="mtl-3090-1", status="maintenance")
    empty.do("node.offline", name="mtl-3090-1")
    assert empty.do("node.set_status", name="mtl-3090-1", status="online")["status"] == "offline"
    empty.do("node.set_status", name="mtl-3090-1", status="maintenance")
    empty.do("node.online", name="mtl-3090-1")
    assert empty.do("node.set_status", name="mtl-3090-1", status="online")["status"] == "online"


def test_a_change_of_a_node_is_written_down_with_its_cause(empty: Cloud) -> None:
    vm = empty.run_vm()
    empty.do("node.offline", node_of="trainer")
    entries = list(empty.world.journal)
    action = next(entry for entry in reversed(entries) if entry.kind == "action")
    (moved,) = [entry for entry in entries if entry.cause == action.serial]
    assert (moved.kind, moved.facts["from"], moved.facts["to"]) == ("transition", "online", "offline")
    interrupted = next(
        entry for entry in entries if entry.facts.get("resource") == vm["id"] and entry.cause == moved.serial
    )
    assert interrupted.facts["to"] == "interrupted"


# -- loss and return ---------------------------------------------------------------------------------------


def test_a_lost_node_interrupts_its_vms_and_its_return_runs_them_on(empty: Cloud) -> None:
    subscribed(empty)
    vm = empty.run_vm()
    empty.do("node.offline", node_of="trainer")
    assert seen(empty, vm) == ("interrupted", "node_lost")
    assert free(empty, "rtx-4090") == 8, "all of the node is gone from capacity"
    assert empty.get(f"/v1/vms/{vm['id']}/burn").body["rateSource"] == "catalog", "not billed"
    empty.advance(3600)
    empty.do("node.online", node_of="trainer")
    assert seen(empty, vm) == ("running", None)
    assert empty.get(f"/v1/vms/{vm['id']}/burn").body["rateSource"] == "locked"
    empty.advance(1)
    assert empty.mailbox.types() == ["vm.running", "vm.interrupted", "vm.running"]


def test_time_away_is_not_billed_and_the_rate_is_locked_anew(empty: Cloud) -> None:
    empty.run_vm()
    empty.advance(3600)
    empty.do("node.offline", node_of="trainer")
    empty.advance(3600)
    empty.do("price.set", id="rtx-4090", cents=100)
    empty.do("node.online", node_of="trainer")
    empty.advance(3600)
    assert empty.get("/v1/orgs/{org}/billing/balance").body["accruedUsageCents"] == 59 + 100


def test_after_seven_days_an_interrupted_vm_is_stopped_and_keeps_its_disk(empty: Cloud) -> None:
    vm = empty.run_vm()
    empty.do("node.offline", node_of="trainer")
    empty.advance(7 * DAY - 1)
    assert seen(empty, vm) == ("interrupted", "node_lost")
    empty.advance(1)
    assert seen(empty, vm) == ("stopped", "node_lost")
    held = empty.world.get(Claim, vm["id"])
    assert (held.units, held.disk_gb) == ((), 100)
    empty.do("node.online", node_of="trainer")
    assert seen(empty, vm) == ("stopped", "node_lost"), "nothing starts by itself"


def test_a_vm_that_came_back_in_time_is_not_given_up(empty: Cloud) -> None:
    vm = empty.run_vm(gpuModelId=None, resourceSize="small")
    empty.do("node.offline", node_of="trainer")
    empty.advance(3 * DAY)
    empty.do("node.online", node_of="trainer")
    empty.advance(5 * DAY)
    assert seen(empty, vm) == ("running", None)


def test_a_start_on_a_lost_node_fails_and_gives_its_gpus_back(empty: Cloud) -> None:
    vm = empty.launch()
    empty.do("node.offline", node_of="trainer")
    assert seen(empty, vm) == ("failed", "node_lost")
    assert empty.world.get(Claim, vm["id"]).units == ()


def test_a_stopped_vm_cannot_restart_while_its_node_is_away(empty: Cloud) -> None:
    vm = empty.run_vm()
    empty.post(f"/v1/vms/{vm['id']}/stop")
    empty.do("node.offline", node_of="trainer")
    assert seen(empty, vm) == ("stopped", "user_stopped")
    refused = empty.post(f"/v1/vms/{vm['id']}/restart")
    assert (refused.status, refused.code) == (409, "VM_NODE_BUSY")
    assert "offline" in refused.body["error"]
    empty.do("node.online", node_of="trainer")
    assert empty.post(f"/v1/vms/{vm['id']}/restart").status == 200


def test_before_interrupted_existed_a_lost_node_failed_its_vms(open_cloud: Open) -> None:
    cloud = open_cloud("empty", vms__legacy_node_loss=True)
    subscribed(cloud)
    vm, starting = cloud.run_vm(), cloud.launch("starting")
    assert cloud.rows(Claim)[0].node_id == cloud.rows(Claim)[1].node_id
    cloud.do("node.offline", node_of="trainer")
    assert seen(cloud, vm) == seen(cloud, starting) == ("failed", "node_lost")
    cloud.do("node.online", node_of="trainer")
    assert seen(cloud, vm) == ("failed", "node_lost")
    cloud.advance(1)
    assert cloud.mailbox.types() == ["vm.running", "vm.stopped"]
    check_world(cloud.world)


def test_vms_of_other_nodes_notice_nothing(empty: Cloud) -> None:
    near, far = empty.run_vm("near"), empty.run_vm("far", gpuModelId="rtx-3090")
    empty.do("node.offline", node_of="near")
    assert seen(empty, near)[0] == "interrupted"
    assert seen(empty, far) == ("running", None)


def test_a_silence_may_end_by_itself(empty: Cloud) -> None:
    vm = empty.run_vm()
    empty.do("node.offline", node_of="trainer", seconds=600)
    empty.advance(599)
    assert seen(empty, vm) == ("interrupted", "node_lost")
    empty.advance(1)
    assert seen(empty, vm) == ("running", None)


def test_the_last_word_on_a_silence_counts(empty: Cloud) -> None:
    vm = empty.run_vm()
    empty.do("node.offline", node_of="trainer", seconds=600)
    empty.do("node.offline", node_of="trainer")
    empty.advance(3600)
    assert seen(empty, vm) == ("interrupted", "node_lost")


def test_a_silent_node_that_was_removed_does_not_answer_again(empty: Cloud) -> None:
    empty.run_vm()
    hostname = empty.do("node.offline", node_of="trainer", seconds=600)["hostname"]
    empty.do("node.set_status", name=hostname, status="removed")
    empty.advance(3600)
    assert node(empty, hostname).status == "removed"


# -- the operator ------------------------------------------------------------------------------------------


def test_draining_ends_what_runs_on_the_node_and_keeps_stopped_disks(empty: Cloud) -> None:
    subscribed(empty)
    stopped, running = empty.run_vm("stopped"), empty.run_vm("running")
    empty.post(f"/v1/vms/{stopped['id']}/stop")
    starting = empty.launch("starting")
    assert {claim.node_id for claim in empty.rows(Claim)} == {empty.rows(Claim)[0].node_id}
    empty.do("node.set_status", node_of="running", status="draining")
    assert seen(empty, running) == seen(empty, starting) == ("terminated", "node_removed")
    assert seen(empty, stopped) == ("stopped", "user_stopped")
    assert [claim.id for claim in empty.rows(Claim)] == [stopped["id"]]
    empty.advance(1)
    assert empty.mailbox.types()[-2:] == ["vm.terminated", "vm.terminated"]


def test_draining_ends_interrupted_vms_too(empty: Cloud) -> None:
    vm = empty.run_vm()
    empty.do("node.offline", node_of="trainer")
    empty.do("node.set_status", node_of="trainer", status="draining")
    assert seen(empty, vm) == ("terminated", "node_removed")


def test_draining_may_leave_workloads_alone(open_cloud: Open) -> None:
    cloud = open_cloud("empty", nodes__drain_ends_workloads=False)
    vm = cloud.run_vm()
    cloud.do("capacity.seize", node_of="trainer", gpus=1)
    cloud.do("node.set_status", node_of="trainer", status="draining")
    assert seen(cloud, vm) == ("running", None)
    assert len(cloud.rows(Claim)) == 2
    cloud.do("node.set_status", node_of="trainer", status="online")
    assert seen(cloud, vm) == ("running", None)
    check_world(cloud.world)


def test_maintenance_keeps_new_work_away_and_leaves_the_rest(empty: Cloud) -> None:
    vm = empty.run_vm()
    empty.do("node.set_status", node_of="trainer", status="maintenance")
    assert seen(empty, vm) == ("running", None)
    assert free(empty, "rtx-4090") == 8
    empty.do("node.offline", node_of="trainer")
    assert seen(empty, vm) == ("running", None), "liveness leaves maintenance alone"


def test_a_vm_interrupted_before_maintenance_runs_on_when_the_node_is_reopened(empty: Cloud) -> None:
    vm = empty.run_vm()
    empty.do("node.offline", node_of="trainer")
    empty.do("node.set_status", node_of="trainer", status="maintenance")
    empty.do("node.online", node_of="trainer")
    assert seen(empty, vm) == ("interrupted", "node_lost")
    empty.do("node.set_status", node_of="trainer", status="online")
    assert seen(empty, vm) == ("running", None)


def test_a_node_reopened_while_silent_interrupts_what_ran_through_maintenance(empty: Cloud) -> None:
    vm = empty.run_vm()
    empty.do("node.set_status", node_of="trainer", status="maintenance")
    empty.do("node.offline", node_of="trainer")
    empty.do("node.set_status", node_of="trainer", status="online")
    assert seen(empty, vm) == ("interrupted", "node_lost")


def test_removal_ends_everything_and_frees_every_unit(empty: Cloud) -> None:
    running, stopped = empty.run_vm("running"), empty.run_vm("stopped")
    empty.post(f"/v1/vms/{stopped['id']}/stop")
    empty.do("capacity.seize", node_of="running", gpus=2)
    empty.do("capacity.seize", node_of="running", disk_gb=100, vcpu=1, ram_gb=1)
    gone = empty.do("node.set_status", node_of="running", status="removed")
    assert seen(empty, running) == ("terminated", "node_removed")
    assert seen(empty, stopped) == ("stopped", "node_removed")
    row = empty.world.get(Node, gone["node"])
    assert (row.taken, row.used_vcpu, row.used_ram_mb, row.used_disk_gb) == ((), 0, 0, 0)
    assert empty.rows(Claim) == []


def test_a_stopped_vm_whose_node_was_removed_starts_afresh_elsewhere(empty: Cloud) -> None:
    vm = empty.run_vm(gpuModelId="rtx-3090")
    empty.post(f"/v1/vms/{vm['id']}/stop")
    gone = empty.do("node.set_status", node_of="trainer", status="removed")
    assert empty.post(f"/v1/vms/{vm['id']}/restart").status == 200
    empty.advance(46)
    assert seen(empty, vm)[0] == "deploying", "no cached image: the whole start again"
    empty.advance(45)
    assert seen(empty, vm) == ("running", None)
    assert empty.get(f"/v1/vms/{vm['id']}/detail").body["nodeId"] != gone["node"]


# -- new nodes ---------------------------------------------------------------------------------------------

SPEC = {"hostname": "new-1", "location": "us-west", "vcpu": 64, "ram_gb": 512, "disk_gb": 4000}


def test_a_node_that_is_added_takes_work_at_once(cloud: Cloud) -> None:
    told = cloud.do("node.add", **SPEC, gpu_model="b200", units=[1, 1])
    assert told["status"] == "online"
    vm = cloud.launch(gpuModelId="b200", gpuCount=2)
    assert cloud.get(f"/v1/vms/{vm['id']}/detail").body["nodeId"] == told["node"]


def test_cluster_gpus_of_a_node_are_given_away_one_by_one(cloud: Cloud) -> None:
    cloud.do("node.add", **SPEC, gpu_model="b200", units=[2], cluster_gpus=3)
    row = next(row for row in cloud.get("/v1/gpu-availability").body if row["gpuModelId"] == "b200")
    assert (row["capacity"], row["groupSize"]) == (5, 1)
    assert (row["vm"]["totalGpus"], row["cluster"]["totalGpus"]) == (2, 3)
    assert row["vm"]["tileLattice"] == [2]


def test_a_removed_node_may_be_enrolled_again_by_its_name(empty: Cloud) -> None:
    removed = empty.do("node.set_status", name="mtl-5090-1", status="removed")
    spec = {**SPEC, "hostname": "mtl-5090-1"}
    added = empty.do("node.add", **spec)
    assert added["node"] != removed["node"]
    assert empty.do("node.offline", name="mtl-5090-1")["node"] == added["node"]


def test_a_queued_vm_takes_a_node_that_is_added_or_comes_back(open_cloud: Open) -> None:
    cloud = open_cloud("full", vms__queue=True)
    first, second = (
        cloud.launch("first", gpuModelId="rtx-5090"),
        cloud.launch("second", gpuModelId="rtx-5090"),
    )
    assert seen(cloud, first)[0] == seen(cloud, second)[0] == "pending"
    cloud.do("node.add", **SPEC, gpu_model="rtx-5090", units=[1])
    cloud.advance(0)
    assert (seen(cloud, first)[0], seen(cloud, second)[0]) == ("deploying", "pending")
    cloud.do("capacity.release", gpu_model="rtx-5090", gpus=1)
    cloud.advance(0)
    assert seen(cloud, second)[0] == "deploying"
    check_world(cloud.world)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"hostname": "ash-4090-1"}, "ash-4090-1"),
        ({"location": "us-eats"}, "us-east"),
        ({"gpu_model": "rtx-4091", "units": [1]}, "rtx-4090"),
        ({"gpu_model": "rtx-4090"}, "GPUs"),
        ({"units": [1]}, "gpu_model"),
        ({"gpu_model": "rtx-4090", "units": [9, 8]}, "17"),
        ({"gpu_model": "rtx-4090", "units": [0]}, "units"),
        ({"gpu_model": "rtx-4090", "cluster_gpus": -1}, "cluster_gpus"),
        ({"vcpu": 0}, "vcpu"),
        ({"ram_gb": 10**9}, "ram_gb"),
        ({"tier": "gold"}, "tier"),
        ({"status": "removed"}, "status"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_node_that_makes_no_sense_is_refused(cloud: Cloud, fields: dict[str, Any], named: str) -> None:
    before = cloud.world.version
    with pytest.raises(Refusal, match=named):
        cloud.do("node.add", **{**SPEC, **fields})
    assert cloud.world.version == before


def test_a_node_without_its_numbers_is_refused(cloud: Cloud) -> None:
    with pytest.raises(Refusal, match="disk_gb"):
        cloud.do("node.add", hostname="new-1", location="us-west", vcpu=1, ram_gb=1)


# -- which node --------------------------------------------------------------------------------------------


def test_a_node_is_named_by_id_hostname_selector_or_a_vm_on_it(empty: Cloud) -> None:
    row = node(empty, "ash-4090-1")
    empty.run_vm()
    assert empty.do("node.online", id=row.id)["hostname"] == "ash-4090-1"
    assert empty.do("node.online", name="ash-4090-1")["node"] == row.id
    assert empty.do("node.online", select="first")["hostname"] == "ash-4090-1"
    assert empty.do("node.online", select="random")["hostname"] in {
        each.hostname for each in empty.rows(Node)
    }
    on = empty.get(f"/v1/vms/{empty.get('/v1/orgs/{org}/vms').body['items'][0]['id']}/detail").body
    assert empty.do("node.online", node_of="trainer")["node"] == on["nodeId"]


@pytest.mark.parametrize(
    ("target", "code", "named"),
    [
        ({}, "bad_request", "one of"),
        ({"name": "nope"}, "not_found", "ash-4090-1"),
        ({"id": "nope"}, "not_found", "nope"),
        ({"node_of": "nobody"}, "not_found", "nobody"),
        ({"node_of": "waiting"}, "conflict", "pending"),
        ({"node_of": "waiting", "name": "ash-4090-1"}, "bad_request", "one of"),
        ({"nodeof": "waiting"}, "bad_request", "nodeof"),
    ],
)
def test_a_target_that_names_no_node_is_refused(
    open_cloud: Open, target: dict[str, str], code: str, named: str
) -> None:
    cloud = open_cloud("full", vms__queue=True)
    cloud.launch("waiting")
    with pytest.raises(Refusal, match=named) as caught:
        cloud.do("node.offline", **target)
    assert caught.value.code == code


# -- other tenants -----------------------------------------------------------------------------------------


def test_seizing_all_of_a_model_leaves_nothing_to_create(cloud: Cloud) -> None:
    told = cloud.do("capacity.seize", gpu_model="rtx-4090")
    assert told["gpus"] == 5
    assert sorted((unit["hostname"], unit["unit"], unit["gpus"]) for unit in told["units"]) == [
        ("ams-4090-1", 0, 4),
        ("ash-4090-1", 3, 1),
    ]
    assert free(cloud, "rtx-4090") == 0
    refused = cloud.post("/v1/orgs/{org}/vms/create", {"name": "a", "gpuModelId": "rtx-4090"})
    assert (refused.status, refused.code) == (409, "INSUFFICIENT_GPU_CAPACITY")
    assert refused.body["placeableGpuCounts"] == []
    check_world(cloud.world)


def test_what_was_seized_comes_back_by_release(empty: Cloud) -> None:
    empty.do("capacity.seize", gpu_model="rtx-4090")
    empty.do("capacity.release", gpu_model="rtx-4090", gpus=6)
    assert free(empty, "rtx-4090") == 6
    empty.do("capacity.release", gpu_model="rtx-4090")
    assert free(empty, "rtx-4090") == 12
    assert empty.rows(Claim) == []


def test_whole_units_make_up_a_number_the_largest_first(empty: Cloud) -> None:
    told = empty.do("capacity.seize", gpu_model="rtx-4090", gpus=7)
    assert [(unit["hostname"], unit["unit"]) for unit in told["units"]] == [
        ("ams-4090-1", 0),
        ("ash-4090-2", 0),
        ("ash-4090-1", 0),
    ]


def test_units_are_not_split_for_other_tenants_either(empty: Cloud) -> None:
    before = empty.world.version
    with pytest.raises(Refusal, match=r"3 GPUs; free are units of \[2, 2, 2, 2\]"):
        empty.do("capacity.seize", gpu_model="a100-sxm-80gb", gpus=3)
    with pytest.raises(Refusal, match="13 GPUs"):
        empty.do("capacity.seize", gpu_model="rtx-4090", gpus=13)
    with pytest.raises(Refusal, match="held by tenants outside"):
        empty.do("capacity.release", gpu_model="rtx-4090", gpus=1)
    assert empty.world.version == before


def test_capacity_of_one_node_is_seized_by_its_name(empty: Cloud) -> None:
    assert empty.do("capacity.seize", name="ash-4090-2", gpus=2)["gpus"] == 2
    assert empty.do("capacity.seize", name="ash-4090-2")["gpus"] == 2
    assert empty.do("capacity.seize", name="ash-4090-2", gpu_model="rtx-3090")["gpus"] == 0
    assert node(empty, "ash-4090-2").free == 0
    assert empty.do("capacity.release", name="ash-4090-2")["gpus"] == 4


def test_a_seized_unit_takes_what_a_vm_on_it_would(empty: Cloud) -> None:
    empty.do("capacity.seize", name="mtl-3090-1", gpus=2)
    row = node(empty, "mtl-3090-1")
    assert (row.used_vcpu, row.used_ram_mb, row.used_disk_gb) == (24, 96 * 1024, 200)


def test_room_beside_the_gpus_can_be_seized(empty: Cloud) -> None:
    for _ in range(2):
        empty.do("capacity.seize", name="mtl-5090-1", disk_gb=950)
    refused = empty.post("/v1/orgs/{org}/vms/create", {"name": "a", "gpuModelId": "rtx-5090", "gpuCount": 2})
    assert refused.code == "INSUFFICIENT_HOST_CAPACITY"
    assert refused.body["placeableGpuCounts"] == [1]
    with pytest.raises(Refusal, match="100 GB disk left"):
        empty.do("capacity.seize", name="mtl-5090-1", disk_gb=101)
    empty.do("capacity.release", name="mtl-5090-1")
    empty.launch(gpuModelId="rtx-5090", gpuCount=2)


def test_cpu_nodes_can_be_filled_too(empty: Cloud) -> None:
    for row in empty.rows(Node):
        if not row.units:
            empty.do("capacity.seize", id=row.id, vcpu=row.vcpu - 1)
    refused = empty.post("/v1/orgs/{org}/vms/create", {"name": "a", "resourceSize": "small"})
    assert refused.code == "INSUFFICIENT_CPU_CAPACITY"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, "one of"),
        ({"gpu_model": "rtx-4091"}, "rtx-4090"),
        ({"gpu_model": "rtx-4090", "gpus": 0}, "gpus"),
        ({"gpu_model": "rtx-4090", "disk_gb": 5}, "not both"),
        ({"name": "ash-4090-1", "gpus": 1, "vcpu": 5}, "not both"),
        ({"name": "ash-4090-1", "vcpu": -1}, "vcpu"),
    ],
)
def test_a_seizure_that_makes_no_sense_is_refused(
    empty: Cloud, arguments: dict[str, Any], named: str
) -> None:
    before = empty.world.version
    with pytest.raises(Refusal, match=named):
        empty.do("capacity.seize", **arguments)
    assert empty.world.version == before


def test_vms_keep_their_place_when_others_give_theirs_back(empty: Cloud) -> None:
    vm = empty.run_vm()
    empty.do("capacity.seize", node_of="trainer")
    empty.do("capacity.release", node_of="trainer")
    assert seen(empty, vm) == ("running", None)
    assert len(empty.world.get(Claim, vm["id"]).units) == 1
