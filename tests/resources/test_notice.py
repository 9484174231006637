"""A node that leaves with notice: what runs on it is told, and has until then."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.cloud import Cloud
from tests.support.invariants import check_world
from tests.support.nodes import free, node, seen
from tests.support.parties import party
from tests.support.providers import RTX_4090, enrolled, inventory, token_of

Open = Callable[..., Cloud]


LEAVING = "node leaving at 2026-06-15T09:03:30.000Z"
"""A VM on a node of 120 seconds' notice runs after 90, and then the node is told to go."""


@pytest.fixture
def noticed(empty: Cloud) -> dict[str, Any]:
    """A VM that runs on the only B200, whose node gives 120 seconds' notice."""
    spec = {"hostname": "going", "location": "us-west", "vcpu": 64, "ram_gb": 512, "disk_gb": 4000}
    empty.do("node.add", **spec, gpu_model="b200", units=[1, 1], cluster_gpus=1, notice_seconds=120)
    return empty.run_vm(gpuModelId="b200")


@pytest.mark.parametrize("said", ["draining", "removed"])
def test_running_vms_are_told_when_their_node_leaves_and_end_then(
    empty: Cloud, noticed: dict[str, Any], said: str
) -> None:
    told = empty.do("node.set_status", name="going", status=said)
    assert (told["status"], told["leavingAt"]) == ("draining", "2026-06-15T09:03:30.000Z")
    assert seen(empty, noticed) == ("running", LEAVING)
    assert free(empty, "b200") == 0, "no new work"
    empty.advance(119.999)
    assert seen(empty, noticed) == ("running", LEAVING)
    assert empty.get(f"/v1/vms/{noticed['id']}/detail").body["statusReason"] == LEAVING
    empty.advance(0.001)
    assert seen(empty, noticed) == ("terminated", "node_removed")
    assert node(empty, "going").status == said
    assert (node(empty, "going").taken, node(empty, "going").leaving_at_ms) == ((), None)


def test_a_vm_is_billed_until_its_node_leaves(empty: Cloud, noticed: dict[str, Any]) -> None:
    empty.do("node.set_status", name="going", status="draining")
    empty.advance(3600)
    usage = empty.get("/v1/orgs/{org}/usage/current").body
    assert usage["usageCents"] == 120 * 598 // 3600


@pytest.mark.parametrize(("said", "status"), [("online", "online"), ("maintenance", "maintenance")])
def test_another_word_of_the_operator_calls_the_leaving_off(
    empty: Cloud, noticed: dict[str, Any], said: str, status: str
) -> None:
    empty.do("node.set_status", name="going", status="removed")
    assert empty.do("node.set_status", name="going", status=said)["status"] == status
    assert seen(empty, noticed) == ("running", None)
    empty.advance(600)
    assert seen(empty, noticed) == ("running", None)
    assert node(empty, "going").status == status


def test_a_second_word_does_not_put_the_leaving_off_and_the_last_one_counts(
    empty: Cloud, noticed: dict[str, Any]
) -> None:
    empty.do("node.set_status", name="going", status="draining")
    empty.advance(60)
    empty.do("node.set_status", name="going", status="removed")
    assert seen(empty, noticed) == ("running", LEAVING)
    empty.advance(60)
    assert node(empty, "going").status == "removed"


def test_silence_during_the_notice_does_not_keep_the_node(empty: Cloud, noticed: dict[str, Any]) -> None:
    empty.do("node.set_status", name="going", status="draining")
    empty.do("node.offline", name="going", seconds=30)
    empty.advance(60)
    assert (node(empty, "going").status, node(empty, "going").alive) == ("draining", True)
    empty.advance(60)
    assert seen(empty, noticed)[0] == "terminated"


@pytest.mark.parametrize("ended", [True, False])
def test_a_node_on_which_nothing_runs_leaves_at_once(
    empty: Cloud, noticed: dict[str, Any], ended: bool
) -> None:
    empty.post(f"/v1/vms/{noticed['id']}/{'terminate' if ended else 'stop'}")
    told = empty.do("node.set_status", name="going", status="removed")
    assert told == {"node": told["node"], "hostname": "going", "status": "removed"}


def test_where_draining_ends_nothing_there_is_nothing_to_announce(open_cloud: Open) -> None:
    cloud = open_cloud("empty", nodes__drain_ends_workloads=False)
    spec = {"hostname": "going", "location": "us-west", "vcpu": 64, "ram_gb": 512, "disk_gb": 4000}
    cloud.do("node.add", **spec, gpu_model="b200", units=[1], notice_seconds=120)
    vm = cloud.run_vm(gpuModelId="b200")
    cloud.do("node.set_status", name="going", status="draining")
    cloud.advance(600)
    assert seen(cloud, vm) == ("running", None)
    check_world(cloud.world)


def test_a_replica_moves_when_its_node_leaves_and_not_before(empty: Cloud, noticed: dict[str, Any]) -> None:
    body = {"name": "chat", "gpuModelId": "b200"}
    cluster = empty.post("/v1/orgs/{org}/clusters/create", body).body
    empty.simulator.advance_until_status(cluster["id"], "running")
    empty.do("node.set_status", name="going", status="draining")
    empty.advance(119)
    assert empty.get(f"/v1/clusters/{cluster['id']}").body["status"] == "running"
    empty.advance(1)
    assert empty.get(f"/v1/clusters/{cluster['id']}").body["status"] == "degraded"


def test_the_notice_of_an_enrolled_node_is_its_tokens(empty: Cloud) -> None:
    globex = party(empty, "globex")
    token = token_of(globex, noticeSeconds=60)
    machine = {"gpuInventory": inventory((RTX_4090, 1))}
    node_id = enrolled(empty, token, "rack-1", **machine)
    empty.advance(10)
    body = {"name": "own", "gpuModelId": "rtx-4090", "nodeId": node_id}
    vm = globex.post("/v1/orgs/{org}/vms/create", body).body
    empty.simulator.advance_until_status(vm["id"], "running")
    path = f"/v1/orgs/{globex.org}/provider/nodes/{node_id}"
    answer = empty.patch(path, {"status": "removed"}, key=globex.key)
    assert (answer.status, answer.body["status"], answer.body["noticeSeconds"]) == (200, "draining", 60)
    shown = globex.get(f"/v1/vms/{vm['id']}").body
    assert shown["statusReason"].startswith("node leaving at 2026-06-15T")
    empty.advance(60)
    assert globex.get(f"/v1/vms/{vm['id']}").body["statusReason"] == "node_removed"


def test_a_saved_state_has_the_leaving(empty: Cloud, noticed: dict[str, Any]) -> None:
    empty.do("node.set_status", name="going", status="removed")
    empty.simulator.load(json.dumps(empty.simulator.save(secrets=True)).encode())
    assert seen(empty, noticed) == ("running", LEAVING)
    empty.advance(120)
    assert seen(empty, noticed) == ("terminated", "node_removed")
