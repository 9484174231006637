"""Snapshots: capture, the grid of what can be done with one, deletion; and forks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.domain.capacity import Claim, Node
from simulator.kernel.refusal import Refusal
from simulator.resources.snapshots import LIFE, STATES, Snapshot
from simulator.resources.vms.lifecycle import Vm
from tests.support.cloud import Answer, Cloud
from tests.support.invariants import check_world
from tests.support.parties import party
from tests.support.people import refused
from tests.support.vms import cloud_of_profile

PATH = "/v1/orgs/{org}/snapshots"
FORK = "/v1/orgs/{org}/vms/fork"
PROFILES = ("2026-06", "2026-07", "2026-10")
Open = Callable[..., Cloud]


def take(cloud: Cloud, vm: dict[str, Any], name: str = "before") -> dict[str, Any]:
    """A snapshot that has just begun."""
    answer = cloud.post(f"/v1/vms/{vm['id']}/snapshots", {"name": name})
    assert answer.status == 200, answer
    begun: dict[str, Any] = answer.body
    return begun


def taken(cloud: Cloud, vm: dict[str, Any], name: str = "before") -> dict[str, Any]:
    """One that is ready."""
    begun = take(cloud, vm, name)
    cloud.advance(30)
    return seen(cloud, begun)


def seen(cloud: Cloud, snapshot: dict[str, Any]) -> dict[str, Any]:
    """A snapshot as the list shows it."""
    return next(row for row in cloud.get(PATH).body if row["id"] == snapshot["id"])


def fork(cloud: Cloud, snapshot: dict[str, Any], **body: Any) -> Answer:
    return cloud.post(FORK, {"snapshotId": snapshot["id"], **body})


def forked(cloud: Cloud, snapshot: dict[str, Any], **body: Any) -> Vm:
    answer = fork(cloud, snapshot, **body)
    assert answer.status == 200, answer
    return cloud.world.get(Vm, answer.body["id"])


# -- capture


def test_a_snapshot_is_creating_and_ready_after_30_seconds(cloud: Cloud) -> None:
    vm = cloud.run_vm(gpuModelId="rtx-3090", gpuCount=2, envVars={"A": "b"}, containerPort=8080)
    begun = take(cloud, vm)
    assert begun == {"id": begun["id"], "name": "before", "status": "creating"}
    cloud.advance(29.999)
    early = seen(cloud, begun)
    assert early["status"] == "creating"
    assert not {"sizeBytes", "diskPath", "deletedAt", "errorMessage"} & {*early}
    cloud.advance(0.001)
    node_id = cloud.world.get(Vm, vm["id"]).node_id
    assert seen(cloud, begun) == early | {
        "status": "ready",
        "sizeBytes": 200 * 10**9,
        "diskPath": f"/var/lib/openrelay/snapshots/{begun['id']}.qcow2",
    }
    assert {name: early[name] for name in ("diskSizeGb", "chainDepth", "sourceVmId", "nodeId")} == {
        "diskSizeGb": 200,
        "chainDepth": 0,
        "sourceVmId": vm["id"],
        "nodeId": node_id,
    }
    assert (early["gpuModelId"], early["gpuCount"]) == ("rtx-3090", 2)
    assert (early["envVars"], early["containerPort"]) == ({"A": "b"}, 8080)


@pytest.mark.parametrize("profile", PROFILES)
def test_capture_works_in_every_profile_unless_it_is_switched_off(open_cloud: Open, profile: str) -> None:
    """Off is how the service's beta stands [2026-07]; on, so that forks can be tested at all [choice]."""
    for capture, status in (("on", "ready"), ("off", "creating")):
        cloud = cloud_of_profile(open_cloud, profile, snapshots__capture=capture)
        snapshot = take(cloud, cloud.run_vm(gpuModelId="rtx-3090", sshKeyIds=[cloud.ssh_key]))
        cloud.advance(86_400)
        assert seen(cloud, snapshot)["status"] == status


def test_the_span_of_a_capture_is_a_setting_and_never_is_one(open_cloud: Open) -> None:
    for span, ready in (("5", True), ("4..5", True), ("6", False), ("never", False)):
        cloud = open_cloud(snapshots__capture_s=span)
        snapshot = take(cloud, cloud.run_vm())
        cloud.advance(5)
        assert (seen(cloud, snapshot)["status"] == "ready") == ready


def test_one_capture_of_a_vm_at_a_time(cloud: Cloud) -> None:
    vm, other = cloud.run_vm(), cloud.run_vm("other", gpuModelId="rtx-3090")
    first = take(cloud, vm)
    version = cloud.world.version
    answer = cloud.post(f"/v1/vms/{vm['id']}/snapshots", {"name": "second"})
    assert "'before'" in refused(answer, 409, "conflict")
    assert cloud.world.version == version
    take(cloud, other)
    cloud.delete(f"/v1/snapshots/{first['id']}")
    take(cloud, vm, "second")
    cloud.advance(30)
    take(cloud, vm, "third")


@pytest.mark.parametrize("name", ["", "x" * 64])
def test_a_name_out_of_bounds_is_400(cloud: Cloud, name: str) -> None:
    refused(cloud.post(f"/v1/vms/{cloud.run_vm()['id']}/snapshots", {"name": name}), 400)


def test_a_vm_whose_disk_went_with_its_node_has_nothing_to_capture(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    cloud.do("node.set_status", id=cloud.world.get(Vm, vm["id"]).node_id, status="removed")
    answer = cloud.post(f"/v1/vms/{vm['id']}/snapshots", {"name": "late"})
    assert "no disk" in refused(answer, 409, "INVALID_VM_STATE")


@pytest.mark.parametrize("what", ["vm", "node", "offline"])
def test_a_capture_fails_when_its_vm_or_node_does_not_last(cloud: Cloud, what: str) -> None:
    vm = cloud.run_vm()
    snapshot = take(cloud, vm)
    if what == "vm":
        cloud.post(f"/v1/vms/{vm['id']}/terminate")
    else:
        status = "node.offline" if what == "offline" else "node.set_status"
        more = {} if what == "offline" else {"status": "removed"}
        cloud.do(status, id=cloud.world.get(Vm, vm["id"]).node_id, **more)
    cloud.advance(30)
    view = seen(cloud, snapshot)
    assert (view["status"], "before the capture ended" in view["errorMessage"]) == ("failed", True)
    check_world(cloud.world)


def test_stopping_a_vm_leaves_its_capture_alone(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    snapshot = take(cloud, vm)
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    cloud.advance(30)
    assert seen(cloud, snapshot)["status"] == "ready"


def test_a_snapshot_outlives_its_vm(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    snapshot = taken(cloud, vm)
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    cloud.advance(86_400)
    assert seen(cloud, snapshot)["status"] == "ready"
    assert forked(cloud, snapshot).status == "deploying"


# -- the list


def test_snapshots_are_listed_newest_first_and_by_vm(cloud: Cloud) -> None:
    one, two = cloud.run_vm(), cloud.run_vm("other", gpuModelId="rtx-3090")
    made = [taken(cloud, vm, name)["id"] for vm, name in ((one, "a"), (two, "b"), (one, "c"))]
    a, b, c = made

    def ids(query: str = "") -> list[str]:
        return [row["id"] for row in cloud.get(PATH + query).body]

    assert ids() == [c, b, a]
    assert ids(f"?vmId={one['id']}") == [c, a]
    assert ids(f"?vmId={two['id']}") == [b]
    assert ids("?vmId=none") == []
    assert party(cloud, "globex").get(PATH).body == []
    assert party(cloud, "globex").get(f"{PATH}?vmId={one['id']}").body == []


@pytest.mark.parametrize("query", ["?vmId=a&vmId=b", "?vmId=%00", "?vmId=%ff"])
def test_a_vm_that_cannot_be_meant_is_400(cloud: Cloud, query: str) -> None:
    refused(cloud.get(PATH + query), 400, "bad_request")


# -- what can be done with one, in each state

GRID = {
    "fail": {"creating": "failed", "ready": 409, "failed": 409, "deleting": 409},
    "fork": {"creating": 409, "ready": "=", "failed": 409, "deleting": 404},
    "delete": {"creating": "deleting", "ready": "deleting", "failed": "deleting", "deleting": 409},
}


def bring_to(cloud: Cloud, state: str) -> dict[str, Any]:
    snapshot = take(cloud, cloud.run_vm(gpuModelId="rtx-3090"))
    if state == "failed":
        cloud.do("snapshot.fail", id=snapshot["id"])
    if state in ("ready", "deleting"):
        cloud.advance(30)
    if state == "deleting":
        assert cloud.delete(f"/v1/snapshots/{snapshot['id']}").status == 204
    assert seen(cloud, snapshot)["status"] == state
    return snapshot


def test_the_grid_and_the_table_know_the_same_pairs() -> None:
    pairs = {(state, trigger) for state, trigger, _ in LIFE.pairs()}
    assert pairs == {(state, trigger) for trigger in GRID for state in STATES}


@pytest.mark.parametrize(("state", "trigger"), [(state, trigger) for state, trigger, _ in LIFE.pairs()])
def test_what_can_be_done_in_a_state(cloud: Cloud, state: str, trigger: str) -> None:
    snapshot = bring_to(cloud, state)
    version, expected = cloud.world.version, GRID[trigger][state]
    status = done(cloud, snapshot, trigger)
    if isinstance(expected, int):
        assert (status, cloud.world.version) == (expected, version)
        expected = "="
    else:
        assert status < 300
    assert seen(cloud, snapshot)["status"] == (state if expected == "=" else expected)


def done(cloud: Cloud, snapshot: dict[str, Any], trigger: str) -> int:
    if trigger == "delete":
        return cloud.delete(f"/v1/snapshots/{snapshot['id']}").status
    if trigger == "fork":
        return fork(cloud, snapshot).status
    try:
        cloud.do("snapshot.fail", id=snapshot["id"])
    except Refusal as refusal:
        return refusal.status(cloud.world.settings)
    return 200


def test_a_deleted_snapshot_stays_in_the_list_with_its_moment(cloud: Cloud) -> None:
    snapshot = taken(cloud, cloud.run_vm())
    cloud.advance(60)
    assert cloud.delete(f"/v1/snapshots/{snapshot['id']}").status == 204
    view = seen(cloud, snapshot)
    assert (view["status"], view["deletedAt"] > view["createdAt"]) == ("deleting", True)
    assert "deleting" in refused(cloud.delete(f"/v1/snapshots/{snapshot['id']}"), 409, "conflict")


def test_a_failed_capture_says_why(cloud: Cloud) -> None:
    snapshot = take(cloud, cloud.run_vm())
    cloud.do("snapshot.fail", name="before", message="the disk is torn")
    cloud.advance(30)
    view = seen(cloud, snapshot)
    assert (view["status"], view["errorMessage"]) == ("failed", "the disk is torn")


def test_a_snapshot_of_another_organization_is_404(cloud: Cloud) -> None:
    snapshot = taken(cloud, cloud.run_vm())
    globex = party(cloud, "globex")
    version = cloud.world.version
    refused(globex.delete(f"/v1/snapshots/{snapshot['id']}"), 404, "not_found")
    for snapshot_id in (snapshot["id"], "none"):
        refused(globex.post(FORK, {"snapshotId": snapshot_id}), 404, "not_found")
    assert cloud.world.version == version
    assert seen(cloud, snapshot)["status"] == "ready"


# -- forks


def test_a_fork_is_what_the_snapshot_was_on_the_node_that_holds_it(cloud: Cloud) -> None:
    """Left to itself, placement would take the tighter node in Stockholm."""
    keys = {"sshKeyIds": [party(cloud, "acme").ssh_key()], "preferredRegions": ["ca-central"]}
    like: dict[str, Any] = {"imageUrl": "ghcr.io/a/b", "envVars": {"A": "b"}, "containerPort": 8080, **keys}
    vm = cloud.run_vm(gpuModelId="rtx-3090", gpuCount=2, diskSizeGb=300, templateId="pytorch-cuda", **like)
    answer = fork(cloud, taken(cloud, vm))
    assert answer.status == 200
    assert answer.body == {"id": answer.body["id"], "name": "fork-before", "status": "deploying"}
    made, source = cloud.world.get(Vm, answer.body["id"]), cloud.world.get(Vm, vm["id"])
    for field in ("node_id", "image_url", "env", "container_port", "ssh_key_ids", "template_id"):
        assert getattr(made, field) == getattr(source, field), field
    assert (made.shape.gpu_model_id, made.shape.gpus, made.shape.disk_gb) == ("rtx-3090", 2, 300)
    cloud.advance(90)
    assert cloud.vm(made.id)["status"] == "running"
    check_world(cloud.world)


def test_a_fork_of_a_cpu_vm_has_its_size(cloud: Cloud) -> None:
    vm = cloud.run_vm(gpuModelId=None, resourceSize="small", diskSizeGb=30)
    made = forked(cloud, taken(cloud, vm))
    assert (made.shape.gpus, made.resource_size, made.shape.vcpu, made.shape.disk_gb) == (0, "small", 2, 30)
    assert made.node_id == cloud.world.get(Vm, vm["id"]).node_id


def test_what_a_fork_names_itself_wins(cloud: Cloud) -> None:
    acme = party(cloud, "acme")
    old, new = acme.ssh_key("ed25519"), acme.ssh_key("nistp256")
    vm = cloud.run_vm(gpuModelId="rtx-3090", sshKeyIds=[old], envVars={"A": "b"})
    made = forked(
        cloud,
        taken(cloud, vm),
        name="mine",
        gpuCount=3,
        diskSizeGb=500,
        imageUrl="ghcr.io/c/d",
        envVars={},
        containerPort=9000,
        sshKeyIds=[new],
    )
    assert (made.name, made.shape.gpus, made.shape.disk_gb) == ("mine", 3, 500)
    assert (made.image_url, made.env, made.container_port) == ("ghcr.io/c/d", {}, 9000)
    assert made.ssh_key_ids == (new,)


def test_a_cpu_fork_may_be_of_another_size(cloud: Cloud) -> None:
    snapshot = taken(cloud, cloud.run_vm(gpuModelId=None, resourceSize="small"))
    assert forked(cloud, snapshot, resourceSize="xl").shape.vcpu == 16


def test_a_fork_names_no_node_of_its_own(cloud: Cloud) -> None:
    vm = cloud.run_vm(gpuModelId="rtx-3090")
    node_id = cloud.world.get(Vm, vm["id"]).node_id
    other = next(node.id for node in cloud.rows(Node) if node.product == "rtx-3090" and node.id != node_id)
    assert forked(cloud, taken(cloud, vm), nodeId=other).node_id == node_id


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"diskSizeGb": 99}, "under the snapshot's 100"),
        ({"diskSizeGb": 2001}, "2001 GB"),
        ({"gpuModelId": "rtx-9090"}, "rtx-9090"),
        ({"gpuModelId": "rtx-4090"}, "could never hold 1 x rtx-4090"),
        ({"gpuCount": 0}, "gpuCount 0"),
        ({"gpuCount": 16}, "could never hold 16 x rtx-3090"),
        ({"name": ""}, "0 characters"),
        ({"sshKeyIds": ["key-of-nobody"]}, "key-of-nobody"),
        ({"containerPort": 0}, "containerPort 0"),
        ({"snapshotId": 7}, "snapshotId"),
    ],
)
def test_a_fork_that_cannot_be_meant_is_400(cloud: Cloud, body: dict[str, Any], named: str) -> None:
    snapshot = taken(cloud, cloud.run_vm(gpuModelId="rtx-3090"))
    version = cloud.world.version
    assert named in refused(fork(cloud, snapshot, **body), 400)
    assert cloud.world.version == version


def test_the_default_name_of_a_fork_is_cut_to_63_characters(cloud: Cloud) -> None:
    snapshot = taken(cloud, cloud.run_vm(gpuModelId="rtx-3090"), "x" * 63)
    assert forked(cloud, snapshot).name == "fork-" + "x" * 58


def test_a_fork_has_the_grown_disk_that_was_recorded(cloud: Cloud) -> None:
    vm = cloud.run_vm(gpuModelId="rtx-3090")
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    cloud.post(f"/v1/vms/{vm['id']}/resize-disk", {"newSizeGb": 250})
    snapshot = taken(cloud, vm)
    assert snapshot["diskSizeGb"] == 250
    assert forked(cloud, snapshot).shape.disk_gb == 250


@pytest.mark.parametrize(("status", "refusal"), [("2026-06", 409), ("2026-07", 409), ("2026-10", 503)])
def test_only_the_node_that_holds_the_disk_counts(open_cloud: Open, status: str, refusal: int) -> None:
    """GPUs that are free elsewhere do not help."""
    cloud = cloud_of_profile(open_cloud, status)
    vm = cloud.run_vm(gpuModelId="rtx-3090", gpuCount=4, sshKeyIds=[cloud.ssh_key])
    snapshot = taken(cloud, vm)
    assert "no room" in refused(fork(cloud, snapshot), refusal, "NODE_AT_CAPACITY")
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    assert forked(cloud, snapshot).node_id == cloud.world.get(Vm, vm["id"]).node_id
    check_world(cloud.world)


@pytest.mark.parametrize("status", ["offline", "draining", "maintenance", "removed"])
def test_a_fork_waits_for_a_node_that_is_not_online_and_has_lost_one_that_was_removed(
    cloud: Cloud, status: str
) -> None:
    snapshot = taken(cloud, cloud.run_vm(gpuModelId="rtx-3090"))
    if status == "offline":
        cloud.do("node.offline", id=snapshot["nodeId"])
    else:
        cloud.do("node.set_status", id=snapshot["nodeId"], status=status)
    code = "conflict" if status == "removed" else "NODE_AT_CAPACITY"
    refused(fork(cloud, snapshot), 409, code)
    if status == "offline":
        cloud.do("node.online", id=snapshot["nodeId"])
        assert forked(cloud, snapshot)


def test_a_fork_passes_the_gates_of_a_create(open_cloud: Open) -> None:
    cloud = open_cloud(names__unique=True)
    snapshot = taken(cloud, cloud.run_vm(gpuModelId="rtx-3090"))
    refused(fork(cloud, snapshot, name="trainer"), 409, "NAME_TAKEN")
    cloud.do("account.set_status", name="acme", status="restricted")
    refused(fork(cloud, snapshot), 403, "ACCOUNT_RESTRICTED")
    cloud.do("account.set_status", name="acme", status="active")
    cloud.do("balance.debit", name="acme", cents=9_950)
    version = cloud.world.version
    refused(fork(cloud, snapshot), 403, "INSUFFICIENT_BALANCE")
    assert cloud.world.version == version


@pytest.mark.parametrize("profile", PROFILES)
def test_a_fork_keeps_the_ssh_keys_that_are_still_there(open_cloud: Open, profile: str) -> None:
    """Where a VM needs one [2026-10 sdk], so does a fork."""
    cloud = cloud_of_profile(open_cloud, profile)
    second = party(cloud, "acme").ssh_key()
    vm = cloud.run_vm(gpuModelId="rtx-3090", sshKeyIds=[cloud.ssh_key, second])
    snapshot = taken(cloud, vm)
    assert forked(cloud, snapshot).ssh_key_ids == (cloud.ssh_key, second)
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    for row in cloud.rows(Vm):
        cloud.post(f"/v1/vms/{row.id}/terminate")
    cloud.delete(f"/v1/orgs/{{org}}/ssh-keys/{second}")
    assert forked(cloud, snapshot).ssh_key_ids == (cloud.ssh_key,)
    bare = fork(cloud, snapshot, sshKeyIds=[])
    assert bare.status == (400 if profile == "2026-10" else 200)


def test_chain_depth_counts_forks_of_forks(cloud: Cloud) -> None:
    vm = cloud.run_vm(gpuModelId="rtx-3090")
    depths = [taken(cloud, vm, "again")["chainDepth"]]
    for _ in range(3):
        snapshot = taken(cloud, vm)
        depths.append(snapshot["chainDepth"])
        made = forked(cloud, snapshot)
        cloud.advance(90)
        vm = cloud.vm(made.id)
    assert depths == [0, 0, 1, 2]


def test_a_fork_that_lost_its_disk_starts_a_chain_of_its_own_elsewhere(cloud: Cloud) -> None:
    """Its node is gone, so a restart deploys it fresh on another one [2026-10 sdk]."""
    vm = forked(cloud, taken(cloud, cloud.run_vm(gpuModelId="rtx-3090")))
    cloud.advance(90)
    cloud.post(f"/v1/vms/{vm.id}/stop")
    cloud.do("node.set_status", id=vm.node_id, status="removed")
    assert cloud.post(f"/v1/vms/{vm.id}/restart").status == 200
    assert cloud.world.get(Vm, vm.id).node_id not in ("", vm.node_id)
    cloud.advance(90)
    assert taken(cloud, cloud.vm(vm.id))["chainDepth"] == 0


def test_a_fork_is_billed_like_any_vm_and_a_snapshot_costs_nothing(cloud: Cloud) -> None:
    vm = cloud.run_vm(gpuModelId="rtx-3090")
    snapshot = taken(cloud, vm)
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    before = cloud.get("/v1/orgs/{org}/billing/balance").body["accruedUsageCents"]
    cloud.advance(86_400)
    assert cloud.get("/v1/orgs/{org}/billing/balance").body["accruedUsageCents"] == before
    forked(cloud, snapshot)
    cloud.advance(90 + 3600)
    assert cloud.get("/v1/orgs/{org}/billing/balance").body["accruedUsageCents"] == before + 18


def test_a_snapshot_holds_nothing_of_its_node(cloud: Cloud) -> None:
    vm = cloud.run_vm(gpuModelId="rtx-3090")
    taken(cloud, vm)
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    assert cloud.world.find(Claim, vm["id"]) is None
    node = cloud.world.get(Node, cloud.world.get(Vm, vm["id"]).node_id)
    assert (node.used_disk_gb, node.taken) == (0, ())


def test_snapshots_of_a_fixture_are_there(open_cloud: Open, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        """
extends: default
vms: [{name: old, organization: acme, gpu_model: rtx-3090, status: stopped}]
snapshots: [{name: good, vm: old}, {name: bad, vm: old, status: failed}]
"""
    )
    cloud = open_cloud(str(path))
    assert {row["name"]: row["status"] for row in cloud.get(PATH).body} == {"good": "ready", "bad": "failed"}
    good = next(row for row in cloud.rows(Snapshot) if row.name == "good")
    assert forked(cloud, {"id": good.id}).status == "deploying"
