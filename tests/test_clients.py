"""What clients that are in use depend on [client], in each profile: a missing member is an error to them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from simulator.adapters.web import create_app
from simulator.resources.vms.lifecycle import Vm
from tests.support.cloud import Cloud
from tests.support.http import Client, through_wsgi
from tests.support.vms import cloud_of_profile

PROFILES = ("2026-06", "2026-07", "2026-10")
ID = re.compile(r"[0-9a-fA-F-]{36}")
TEXTS = ("endpointUrl", "gpuModelId", "gpuModelName", "imageUrl", "organizationId", "name", "status")
NUMBERS = ("gpuCount", "diskSizeGb", "pricePerHourCents")


@pytest.fixture(params=PROFILES)
def cloud(request: pytest.FixtureRequest, open_cloud: Callable[..., Cloud]) -> Cloud:
    return cloud_of_profile(open_cloud, request.param)


def create(cloud: Cloud, **body: Any) -> dict[str, Any]:
    return cloud.launch(**{"gpuModelId": "rtx-3090", "sshKeyIds": [cloud.ssh_key], **body})


def run_vm(cloud: Cloud, **body: Any) -> str:
    vm_id: str = create(cloud, **body)["id"]
    cloud.simulator.advance_until_status(vm_id, "running")
    return vm_id


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def test_ids_are_36_characters_of_hex_and_dashes(cloud: Cloud) -> None:
    detail = cloud.get(f"/v1/vms/{run_vm(cloud)}/detail").body
    for value in (detail["id"], detail["organizationId"], detail["nodeId"]):
        assert ID.fullmatch(value)


def test_a_key_has_32_characters_or_more(cloud: Cloud) -> None:
    assert len(cloud.key) >= 32
    assert len(cloud.post("/v1/orgs/{org}/api-keys/create", {"name": "ci"}).body["key"]) >= 32


def test_gpu_models_go_by_one_id_everywhere_which_is_a_uuid_by_october(cloud: Cloud) -> None:
    vm = create(cloud)
    detail = cloud.get(f"/v1/vms/{vm['id']}/detail").body
    (price,) = [
        row
        for row in cloud.get("/v1/pricing").body["gpu"]
        if (row["gpuModelName"], row["vramGb"], row["tier"]) == ("RTX 3090", 24, "community")
    ]
    (free,) = [row for row in cloud.get("/v1/gpu-availability").body if row["name"] == "RTX 3090"]
    model_id = vm["gpuModelId"]
    assert {detail["gpuModelId"], price["gpuModelId"], free["gpuModelId"]} == {model_id}
    if cloud.world.settings["profile"] == "2026-10":
        assert str(UUID(model_id)) == model_id


@pytest.mark.parametrize("body", [{}, {"gpuModelId": None, "resourceSize": "small"}])
@pytest.mark.parametrize("verb", [None, "stop", "terminate"])
def test_a_summary_is_whole_in_every_status(cloud: Cloud, body: dict[str, Any], verb: str | None) -> None:
    vm_id = run_vm(cloud, **body)
    if verb:
        cloud.post(f"/v1/vms/{vm_id}/{verb}")
    for vm in (cloud.vm(vm_id), *cloud.get("/v1/orgs/{org}/vms").body["items"]):
        assert all(is_text(vm[name]) for name in TEXTS), vm
        assert all(type(vm[name]) is int and vm[name] >= 0 for name in NUMBERS), vm
        assert type(vm["public"]) is bool


def test_a_loop_that_restarts_what_is_stopped_and_waits_for_what_deploys_ends_in_six_minutes(
    cloud: Cloud,
) -> None:
    vm_id = run_vm(cloud)
    cloud.post(f"/v1/vms/{vm_id}/stop")
    seen = []
    for _ in range(360 // 5):
        seen.append(cloud.vm(vm_id)["status"])
        if seen[-1] == "running":
            break
        if seen[-1] == "stopped":
            assert cloud.post(f"/v1/vms/{vm_id}/restart").body["status"] in ("stopped", "deploying")
        else:
            assert seen[-1] == "deploying", "anything else ends the loop"
        cloud.advance(5)
    assert (seen[0], seen[1], seen[-1]) == ("stopped", "deploying", "running")


def test_a_capacity_planner_finds_what_it_reads(cloud: Cloud) -> None:
    for row in cloud.get("/v1/gpu-availability").body:
        vm = row["vm"]
        assert is_text(row["name"])
        assert all(type(vm[name]) is int for name in ("freeGpus", "minDiskGb"))
        assert isinstance(vm["placeableGpuCounts"], list)
        for offer in vm["offers"]:
            for part in ("free", "perGpu"):
                assert all(type(offer[part][name]) is int for name in ("ramMb", "diskGb", "vcpu"))
            assert isinstance(offer["unitSizes"], list)


def test_who_calls_and_what_is_spent(cloud: Cloud) -> None:
    who = cloud.get("/v1/whoami").body
    assert (who["organizationId"], "vms:read" in who["scopes"]) == (cloud.org, True)
    vm_id = run_vm(cloud)
    burn = cloud.get(f"/v1/vms/{vm_id}/burn").body
    shown = (burn["vmId"], burn["gpuCount"], burn["pricePerHourCents"], burn["diskBilled"])
    assert shown == (vm_id, 1, 18, False)


def test_an_inventory_of_five_pages_of_100_has_every_live_vm_and_no_cursor_twice(cloud: Cloud) -> None:
    vm = cloud.world.get(Vm, create(cloud)["id"])
    for at in range(1, 420):
        cloud.world.put(msgspec.structs.replace(vm, id=f"{vm.id[:-3]}{at:03}"))
    seen: set[str] = set()
    cursors: list[str] = [""]
    for _ in range(5):
        query = f"limit=100&activeOnly=true&cursor={cursors[-1]}"
        page = cloud.get(f"/v1/orgs/{{org}}/vms?{query}").body
        seen |= {item["id"] for item in page["items"]}
        cursors.append(page.get("nextCursor", ""))
        assert len(cursors[-1]) <= 2048
        if not cursors[-1]:
            break
    assert len(seen) == 420
    assert len(cursors) == 6
    assert len({*cursors}) == 5, "only the first and the last are none"


@pytest.mark.parametrize("path", ["/v1/me/", "/v1//me", "/V1/me", "/v1/vms/{id}/", "/health/"])
def test_no_path_is_redirected(cloud: Cloud, path: str) -> None:
    client = Client(through_wsgi(create_app(cloud.worlds)), cloud.simulator)
    heard = client.get(path.format(id="x"))
    assert (heard.status, heard.headers["content-type"]) == (404, "application/json")
    assert UUID(heard.body["requestId"])
