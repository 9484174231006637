"""The teardown of VMs and replicas: for so long after their end, what they ran on is still taken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.domain.capacity import Claim, Node
from tests.support.cloud import Answer, Cloud
from tests.support.clusters import run_cluster
from tests.support.invariants import check_world

Open = Callable[..., Cloud]


@pytest.fixture
def cloud(open_cloud: Open) -> Cloud:
    return open_cloud(timing__teardown_s=20)


def used(cloud: Cloud, hostname: str) -> tuple[int, bool, bool, int]:
    """Of a node: units taken, whether vCPU and RAM are used, GB of disk used."""
    check_world(cloud.world)
    node = next(row for row in cloud.rows(Node) if row.hostname == hostname)
    return len(node.taken), node.used_vcpu > 0, node.used_ram_mb > 0, node.used_disk_gb


def launch_on_the_last_h100(cloud: Cloud, name: str = "big") -> Answer:
    """Eight GPUs that go together or not at all."""
    body = {"name": name, "gpuModelId": "h100-sxm", "gpuCount": 8}
    return cloud.post("/v1/orgs/{org}/vms/create", body)


def test_a_stopped_vm_keeps_its_gpus_until_it_is_torn_down_and_its_disk_longer(cloud: Cloud) -> None:
    cloud.do("balance.credit", id=cloud.org, cents=100_000)
    vm = cloud.run_vm("big", gpuModelId="h100-sxm", gpuCount=8)
    assert used(cloud, "scl-h100-1") == (1, True, True, 800)
    assert cloud.post(f"/v1/vms/{vm['id']}/stop").body["status"] == "stopped"
    cloud.advance(19)
    assert used(cloud, "scl-h100-1") == (1, True, True, 800)
    assert launch_on_the_last_h100(cloud).code == "INSUFFICIENT_GPU_CAPACITY"
    cloud.advance(1)
    assert used(cloud, "scl-h100-1") == (0, False, False, 800)
    assert launch_on_the_last_h100(cloud).status == 200


def test_a_terminated_vm_gives_back_its_disk_with_the_rest(cloud: Cloud) -> None:
    cloud.do("balance.credit", id=cloud.org, cents=100_000)
    vm = cloud.run_vm("big", gpuModelId="h100-sxm", gpuCount=8)
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    assert cloud.world.find(Claim, vm["id"]) is None
    cloud.advance(19)
    assert used(cloud, "scl-h100-1") == (1, True, True, 800)
    cloud.advance(1)
    assert used(cloud, "scl-h100-1") == (0, False, False, 0)


def test_a_stopped_vm_has_nothing_to_tear_down(cloud: Cloud) -> None:
    cloud.do("balance.credit", id=cloud.org, cents=100_000)
    vm = cloud.run_vm("big", gpuModelId="h100-sxm", gpuCount=8)
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    cloud.advance(20)
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    assert used(cloud, "scl-h100-1") == (0, False, False, 0)


def test_a_restart_waits_for_its_own_teardown(cloud: Cloud) -> None:
    cloud.do("balance.credit", id=cloud.org, cents=100_000)
    vm = cloud.run_vm("big", gpuModelId="h100-sxm", gpuCount=8)
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    assert cloud.post(f"/v1/vms/{vm['id']}/restart").code == "VM_NODE_BUSY"
    cloud.advance(20)
    assert cloud.post(f"/v1/vms/{vm['id']}/restart").status == 200
    assert used(cloud, "scl-h100-1") == (1, True, True, 800)


def test_a_restart_beside_what_is_torn_down_takes_other_gpus(cloud: Cloud) -> None:
    vm = cloud.run_vm(gpuModelId="rtx-5090")
    for taken in (1, 2):
        cloud.post(f"/v1/vms/{vm['id']}/stop")
        assert cloud.post(f"/v1/vms/{vm['id']}/restart").status == (200 if taken == 1 else 409)
        assert used(cloud, "mtl-5090-1")[0] == 2
        cloud.advance(5)
    cloud.advance(20)
    assert used(cloud, "mtl-5090-1") == (0, False, False, 100)


def test_what_waits_in_the_queue_gets_what_was_torn_down(open_cloud: Open) -> None:
    cloud = open_cloud(timing__teardown_s=20, vms__queue=True)
    cloud.do("balance.credit", id=cloud.org, cents=100_000)
    vm = cloud.run_vm("big", gpuModelId="h100-sxm", gpuCount=8)
    waiting = launch_on_the_last_h100(cloud, "next").body["id"]
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    cloud.advance(19)
    assert cloud.vm(waiting)["status"] == "pending"
    cloud.advance(1)
    assert cloud.vm(waiting)["status"] == "deploying"


def test_a_teardown_that_never_ends_keeps_the_place(open_cloud: Open) -> None:
    cloud = open_cloud(timing__teardown_s="never")
    cloud.do("balance.credit", id=cloud.org, cents=100_000)
    vm = cloud.run_vm("big", gpuModelId="h100-sxm", gpuCount=8)
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    cloud.advance(30 * 86_400)
    assert used(cloud, "scl-h100-1") == (1, True, True, 800)


def test_without_a_teardown_the_place_is_free_at_once(open_cloud: Open) -> None:
    cloud = open_cloud()
    vm = cloud.run_vm(gpuModelId="rtx-5090")
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    assert used(cloud, "mtl-5090-1") == (0, False, False, 0)


def test_replicas_of_a_stopped_cluster_are_torn_down_too(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=2)
    cloud.post(f"/v1/clusters/{cluster_id}/stop")
    nodes = ("scl-l40s-1", "ams-l40s-1")
    assert sum(used(cloud, hostname)[0] for hostname in nodes) == 2
    cloud.advance(20)
    assert sum(used(cloud, hostname)[0] for hostname in nodes) == 0


def test_a_terminating_replica_is_torn_down_once(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=2)
    cloud.post(f"/v1/clusters/{cluster_id}/terminate")
    nodes = ("scl-l40s-1", "ams-l40s-1")
    cloud.advance(19)
    assert sum(used(cloud, hostname)[0] for hostname in nodes) == 2
    cloud.advance(1)
    assert sum(used(cloud, hostname)[0] for hostname in nodes) == 0
