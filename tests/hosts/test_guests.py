"""What answers at the endpoints of VMs and clusters."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.adapters.web import create_app
from simulator.domain import access
from simulator.hosts import guests
from simulator.kernel.operation import Request
from tests.support.cloud import Answer, Cloud
from tests.support.clusters import run_cluster

Open = Callable[..., Cloud]


def label_of(shown: dict[str, str]) -> str:
    return shown["endpointUrl"].removeprefix("https://").partition(".")[0]


def visit(cloud: Cloud, label: str, path: str = "/", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return cloud.read(cloud.worlds.call(Request("GET", path, "", sent, endpoint=label)))


def test_a_running_vm_answers_whoever_has_a_key_of_its_organization(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    answer = visit(cloud, label_of(vm), "/predict", x_api_key=cloud.key, authorization="Bearer the app's own")
    assert answer.status == 200
    assert (answer.body["vmId"], answer.body["name"], answer.body["path"]) == (
        vm["id"],
        "trainer",
        "/predict",
    )


def test_a_private_endpoint_is_closed_to_all_others(cloud: Cloud) -> None:
    label = label_of(cloud.run_vm())
    assert visit(cloud, label).status == 401
    assert visit(cloud, label, authorization=f"Bearer {cloud.key}").status == 401
    assert visit(cloud, label, x_api_key="vl_unknown").status == 401
    _, (_, anothers) = access.fixture_keys(cloud.world)
    assert visit(cloud, label, x_api_key=anothers).status == 403


def test_a_public_endpoint_needs_no_key(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    cloud.do("org.set_feature", name="acme", feature="public", enabled=True)
    cloud.post(f"/v1/vms/{vm['id']}/visibility", {"public": True})
    assert visit(cloud, label_of(vm)).status == 200


def test_nothing_serves_while_a_vm_does_not_run(cloud: Cloud) -> None:
    vm = cloud.launch()
    assert visit(cloud, label_of(vm), x_api_key=cloud.key).status == 503
    cloud.simulator.advance_until_status(vm["id"], "running")
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    answer = visit(cloud, label_of(vm), x_api_key=cloud.key)
    assert (answer.status, answer.error["error"]) == (
        503,
        "VM 'trainer' is stopped; nothing serves at its endpoint",
    )
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    assert visit(cloud, label_of(vm), x_api_key=cloud.key).status == 404


def test_a_cluster_is_asked_round_robin_among_its_healthy_replicas(cloud: Cloud) -> None:
    cluster_id = run_cluster(cloud, replicaCount=2)
    label = label_of(cloud.get(f"/v1/clusters/{cluster_id}").body)
    asked = [visit(cloud, label, x_api_key=cloud.key).body["replicaId"] for _ in range(4)]
    assert asked[:2] == asked[2:]
    assert len(set(asked)) == 2
    cloud.do("replica.fail", id=asked[0])
    cloud.advance(60)
    assert {visit(cloud, label, x_api_key=cloud.key).body["replicaId"] for _ in range(3)} == {asked[1]}
    cloud.do("replica.fail", id=asked[1])
    cloud.advance(60)
    assert visit(cloud, label, x_api_key=cloud.key).status == 503


def test_endpoints_do_not_count_as_calls_of_the_api(cloud: Cloud) -> None:
    label = label_of(cloud.run_vm())
    before = dict(cloud.world.journal.answered)
    visit(cloud, label, "/v1/me", x_api_key=cloud.key)
    after = cloud.world.journal.answered
    assert {pair for pair in after if after[pair] != before.get(pair)} == {("", 200)}


@pytest.mark.parametrize("by", ["host", "path"])
def test_over_http_an_endpoint_is_reached_by_its_host_or_behind_the_control_surface(
    cloud: Cloud, by: str
) -> None:
    vm = cloud.run_vm()
    client = create_app(cloud.worlds).test_client()
    host = vm["endpointUrl"].removeprefix("https://")
    headers = {"x-api-key": cloud.key}
    path = "/v1/me?a=b" if by == "host" else f"/_sim/endpoints/{label_of(vm)}/v1/me?a=b"
    headers |= {"Host": f"{host}:8080"} if by == "host" else {}
    answer = client.post(path, data=b"12345", headers=headers)
    assert answer.status_code == 200
    told = answer.json
    assert told
    assert (told["vmId"], told["method"], told["path"], told["query"], told["bytes"]) == (
        vm["id"],
        "POST",
        "/v1/me",
        "a=b",
        5,
    )


def test_a_mistake_of_ours_behind_an_endpoint_is_500_and_stands_in_the_journal(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = cloud.run_vm()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(guests, "visit", broken)
    client = create_app(cloud.worlds).test_client()
    answer = client.get(f"/_sim/endpoints/{label_of(vm)}/", headers={"x-api-key": cloud.key})
    assert answer.status_code == 500
    newest = next(reversed(cloud.world.journal))
    assert (newest.kind, newest.facts["status"]) == ("request", 500)


def test_other_hosts_are_the_api(cloud: Cloud) -> None:
    client = create_app(cloud.worlds).test_client()
    key = {"Authorization": f"Bearer {cloud.key}"}
    for host in ("localhost:8080", "api.openrelay.inc", "127.0.0.1"):
        assert client.get("/v1/whoami", headers={**key, "Host": host}).status_code == 200


def test_a_domain_of_ones_own(open_cloud: Open) -> None:
    cloud = open_cloud(vms__endpoint_domain="gpu.test:8080")
    vm = cloud.run_vm()
    host = vm["endpointUrl"].removeprefix("https://")
    client = create_app(cloud.worlds).test_client()
    assert client.get("/", headers={"x-api-key": cloud.key, "Host": host}).status_code == 200
