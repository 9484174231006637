"""GPU units that move between VMs and clusters."""

from __future__ import annotations

import pytest

from simulator.kernel.refusal import Refusal
from tests.support.cloud import Cloud
from tests.support.nodes import node

SPEC = {"hostname": "new-1", "location": "us-west", "vcpu": 64, "ram_gb": 512, "disk_gb": 4000}


def kinds(cloud: Cloud, hostname: str) -> list[str]:
    return [unit.kind for unit in node(cloud, hostname).units]


def placeable(cloud: Cloud, model: str) -> tuple[list[int], list[int]]:
    """Counts that fit now: of VMs, of cluster replicas."""
    row = next(row for row in cloud.get("/v1/gpu-availability").body if row["gpuModelId"] == model)
    return row["vm"]["placeableGpuCounts"], row["cluster"]["placeableGpuCounts"]


def test_free_units_move_between_vms_and_clusters(empty: Cloud) -> None:
    assert placeable(empty, "l40s") == ([], [1, 2, 3, 4])
    told = empty.do("node.reclass", name="ams-l40s-1", units=[0, 1, 2], to="vfio-group")
    expected = ["vfio-group"] * 3 + ["device-request"]
    assert told["units"] == [{"gpus": 1, "kind": kind} for kind in expected]
    assert placeable(empty, "l40s") == ([1, 2, 3], [1, 2])
    assert empty.run_vm(gpuModelId="l40s", gpuCount=3)["status"] == "running"
    body = {"name": "chat", "gpuModelId": "l40s", "gpusPerReplica": 3}
    assert empty.post("/v1/orgs/{org}/clusters/create", body).status == 400
    empty.do("node.reclass", name="scl-l40s-1", to="vfio-group")
    assert placeable(empty, "l40s") == ([1, 2], [1])


def test_a_unit_in_use_does_not_move(empty: Cloud) -> None:
    empty.run_vm(gpuModelId="rtx-3090", preferredRegions=["eu-north"])
    for units in ("all", [0], [1, 0]):
        version = empty.world.version
        with pytest.raises(Refusal, match="unit 0 of sto-3090-1 is in use as vfio-group") as caught:
            empty.do("node.reclass", node_of="trainer", units=units, to="device-request")
        assert (caught.value.code, empty.world.version) == ("conflict", version)
    empty.do("node.reclass", node_of="trainer", units=[1, 2], to="device-request")
    empty.do("node.reclass", node_of="trainer", to="vfio-group")
    assert kinds(empty, "sto-3090-1") == ["vfio-group"] * 4


@pytest.mark.parametrize(
    ("hostname", "units", "code", "named"),
    [
        ("ash-4090-2", [0], "conflict", "unit 0 of ash-4090-2 is 2 GPUs that go together"),
        ("ash-4090-1", [4], "bad_request", "no unit 4; it has 4"),
        ("ash-4090-1", [-1], "bad_request", "no unit -1"),
        ("ash-cpu-1", [0], "bad_request", "no unit 0; it has 0"),
    ],
)
def test_what_cannot_change_its_class(
    empty: Cloud, hostname: str, units: list[int], code: str, named: str
) -> None:
    with pytest.raises(Refusal, match=named) as caught:
        empty.do("node.reclass", name=hostname, units=units, to="device-request")
    assert caught.value.code == code


def test_a_replica_that_waits_starts_on_units_that_become_the_clusters(empty: Cloud) -> None:
    empty.do("node.set_status", name="scl-l40s-1", status="maintenance")
    empty.do("capacity.seize", name="ams-l40s-1", gpus=2)
    empty.do("node.reclass", name="ams-l40s-1", units=[3], to="vfio-group")
    cluster = empty.post("/v1/orgs/{org}/clusters/create", {"name": "chat", "gpuModelId": "l40s"}).body
    empty.simulator.advance_until_status(cluster["id"], "running")
    empty.do("node.add", **SPEC, gpu_model="l40s", units=[1])
    empty.do("node.set_status", node_of="chat-0", status="draining")
    assert empty.get(f"/v1/clusters/{cluster['id']}").body["status"] == "degraded"
    empty.do("node.reclass", name="new-1", to="device-request")
    assert empty.simulator.advance_until_status(cluster["id"], "running")
