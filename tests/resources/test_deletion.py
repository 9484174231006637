"""Organizations that have been deleted: what ran in them stops, and nobody acts in them any more."""

from __future__ import annotations

import pytest

from simulator.kernel.refusal import Refusal
from simulator.resources.clusters.states import Cluster
from simulator.resources.vms.lifecycle import Vm
from tests.support.cloud import Cloud
from tests.support.clusters import run_cluster
from tests.support.invariants import check_world
from tests.support.people import refused, session_of

REASON = "auto_stopped_organization_deleted"


def delete(cloud: Cloud) -> None:
    cloud.do("org.delete", name="acme")


def test_what_a_deleted_organization_ran_is_stopped_and_costs_nothing_more(cloud: Cloud) -> None:
    vm, cluster_id = cloud.run_vm(gpuModelId="rtx-3090"), run_cluster(cloud)
    delete(cloud)
    for row in (cloud.world.get(Vm, vm["id"]), cloud.world.get(Cluster, cluster_id)):
        assert (row.status, row.reason) == ("stopped", REASON)
    check_world(cloud.world)


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", {"name": "again"})])
def test_a_deleted_organization_is_404_for_its_keys_and_its_people(
    cloud: Cloud, method: str, body: dict[str, str] | None
) -> None:
    session = session_of(cloud, "owner")
    delete(cloud)
    for key in (None, session):
        answer = cloud.call(method, "/v1/orgs/{org}", body, key=key)
        assert "deleted" in refused(answer, 404, "not_found")


def test_rows_of_a_deleted_organization_are_404(cloud: Cloud) -> None:
    vm, session = cloud.launch(), session_of(cloud, "owner")
    delete(cloud)
    for key in (None, session):
        refused(cloud.get(f"/v1/vms/{vm['id']}", key=key), 404, "not_found")


@pytest.mark.parametrize(
    "path",
    ["/v1/orgs/{org}/vms", "/v1/orgs/{org}/billing/balance", "/v1/gpu-availability", "/v1/whoami", "/v1/me"],
)
def test_a_call_that_lists_no_404_is_403_for_the_key_of_a_deleted_organization(
    cloud: Cloud, path: str
) -> None:
    delete(cloud)
    assert "deleted" in refused(cloud.get(path), 403, "forbidden")


@pytest.mark.parametrize("path", ["/v1/pricing", "/v1/gpu-models", "/v1/locations", "/v1/vm-templates"])
def test_the_catalogue_that_lists_neither_stays_open(cloud: Cloud, path: str) -> None:
    delete(cloud)
    assert cloud.get(path).status == 200


def test_people_of_a_deleted_organization_keep_what_is_their_own(cloud: Cloud) -> None:
    session = session_of(cloud, "owner")
    delete(cloud)
    assert cloud.get("/v1/whoami", key=session).status == 200
    assert cloud.post("/v1/orgs", {"name": "Another"}, key=session).status == 200


def test_others_do_not_notice_that_an_organization_was_deleted(cloud: Cloud) -> None:
    refused(cloud.get("/v1/orgs/none"), 403, "forbidden")
    globex = cloud.do("org.delete", name="globex")["organization"]
    refused(cloud.get(f"/v1/orgs/{globex}"), 403, "forbidden")
    assert cloud.get("/v1/orgs/{org}").status == 200


def test_a_deleted_organization_cannot_be_deleted_again_or_made_active(cloud: Cloud) -> None:
    delete(cloud)
    with pytest.raises(Refusal, match="acme has been deleted"):
        delete(cloud)
    with pytest.raises(Refusal, match="acme has been deleted"):
        cloud.do("account.set_status", name="acme", status="active")
