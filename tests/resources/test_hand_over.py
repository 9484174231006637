"""What an accepted transfer moves, what it leaves, what may stand in its way, and who pays from then on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.domain import metering
from simulator.domain.capacity import Claim
from simulator.domain.metering import UsageSession
from simulator.resources.transfers import Transfer
from simulator.resources.vms.lifecycle import Vm
from tests.support.cloud import Cloud
from tests.support.invariants import check_world
from tests.support.parties import Party, incoming, party, status
from tests.support.people import refused

Open = Callable[..., Cloud]


def sessions(cloud: Cloud, resource_id: str) -> list[UsageSession]:
    rows = [row for row in cloud.rows(UsageSession) if row.resource_id == resource_id]
    return sorted(rows, key=lambda row: (row.created_at_ms, row.ended_at_ms is None))


# -- accepting a VM


@pytest.mark.parametrize("state", ["running", "interrupted", "stopped", "failed"])
def test_a_vm_keeps_id_disk_node_endpoint_and_status(
    cloud: Cloud, acme: Party, globex: Party, state: str
) -> None:
    old, new = acme.ssh_key(), globex.ssh_key()
    vm_id = cloud.run_vm(sshKeyIds=[old])["id"]
    if state == "interrupted":
        cloud.do("node.offline", node_of="trainer")
    elif state == "stopped":
        cloud.post(f"/v1/vms/{vm_id}/stop")
    elif state == "failed":
        cloud.do("vm.exit", id=vm_id)
    before, claim = cloud.get(f"/v1/vms/{vm_id}/detail").body, cloud.world.get(Claim, vm_id)
    assert globex.accept(acme.offered(vm_id, globex), new).status == 204

    after = globex.get(f"/v1/vms/{vm_id}/detail").body
    assert before["status"] == state
    assert after == before | {"organizationId": globex.org, "updatedAt": after["updatedAt"]}
    assert cloud.world.get(Claim, vm_id) == claim
    refused(acme.get(f"/v1/vms/{vm_id}"), 404)
    assert [vm["id"] for vm in globex.get("/v1/orgs/{org}/vms").body["items"]] == [vm_id]
    assert acme.get("/v1/orgs/{org}/vms").body["items"] == []
    assert cloud.world.get(Vm, vm_id).ssh_key_ids == (new,)
    check_world(cloud.world)


def test_a_vm_accepted_while_ssh_boots_answers_as_if_nothing_had_happened(
    cloud: Cloud, acme: Party, globex: Party
) -> None:
    vm_id = cloud.run_vm()["id"]
    globex.accept(acme.offered(vm_id, globex), globex.ssh_key())
    cloud.advance(45)
    assert globex.get(f"/v1/vms/{vm_id}/detail").body["sshState"] == "ready"


def test_an_interrupted_vm_comes_back_on_the_new_owners_bill(
    cloud: Cloud, acme: Party, globex: Party
) -> None:
    vm_id = cloud.run_vm()["id"]
    cloud.do("node.offline", node_of="trainer")
    globex.accept(acme.offered(vm_id, globex), globex.ssh_key())
    spent = acme.balance()["accruedUsageCents"]
    cloud.do("node.online", node_of="trainer")
    cloud.advance(3600)
    assert (globex.balance()["accruedUsageCents"], acme.balance()["accruedUsageCents"]) == (59, spent)


def test_the_session_is_split_between_the_payers_at_the_rate_of_the_moment(
    cloud: Cloud, acme: Party, globex: Party
) -> None:
    vm_id, key = cloud.run_vm()["id"], globex.ssh_key()
    cloud.advance(3600)
    cloud.do("price.set", id="rtx-4090", tier="community", cents=100)
    offer = acme.offered(vm_id, globex)
    cloud.advance(1800)
    assert globex.accept(offer, key).status == 204
    cloud.advance(7200)

    first, second = sessions(cloud, vm_id)
    assert (first.organization_id, second.organization_id) == (acme.org, globex.org)
    assert first.ended_at_ms == second.created_at_ms
    assert (first.rate_cents, second.rate_cents) == (59, 100)
    assert acme.balance()["accruedUsageCents"] == 59 * 3 // 2
    assert globex.balance()["accruedUsageCents"] == 200
    assert (acme.balance()["availableCents"], globex.balance()["availableCents"]) == (10_000 - 88, 4_800)
    burn = globex.get(f"/v1/vms/{vm_id}/burn").body
    assert (burn["orgBurnPerHourCents"], burn["accruedSessionCents"]) == (100, 200)
    globex.post(f"/v1/vms/{vm_id}/terminate")
    assert metering.open_session_of(cloud.world, vm_id) is None
    check_world(cloud.world)


def test_the_new_owners_money_stops_the_vm_and_its_webhooks_hear_of_it(
    cloud: Cloud, acme: Party, globex: Party
) -> None:
    for who in (acme, globex):
        hook = {"name": who.slug, "url": f"http://127.0.0.1:9/{who.slug}", "events": ["vm.stopped"]}
        assert who.post("/v1/orgs/{org}/webhooks/create", hook).status == 200
    cloud.do("balance.debit", name="globex", cents=4_900)
    vm_id = cloud.run_vm()["id"]
    globex.accept(acme.offered(vm_id, globex), globex.ssh_key())
    cloud.advance(3600)
    view = globex.get(f"/v1/vms/{vm_id}").body
    assert (view["status"], view["statusReason"]) == ("stopped", "auto_stopped_insufficient_balance")
    assert [sent.url for sent in cloud.mailbox.received] == ["http://127.0.0.1:9/globex"]


def test_login_and_telegram_link_of_the_former_owner_are_dropped(
    cloud: Cloud, acme: Party, globex: Party
) -> None:
    login = {
        "name": "x",
        "server": "ghcr.io",
        "authType": "gcp_gcr",
        "credentials": {"serviceAccountKey": "k"},
    }
    made = acme.post("/v1/orgs/{org}/registry-credentials/create", login).body["id"]
    vm_id = cloud.run_vm(registryCredentialId=made)["id"]
    cloud.do("telegram.link", id=vm_id)
    globex.accept(acme.offered(vm_id, globex), globex.ssh_key())
    assert cloud.world.get(Vm, vm_id).registry_credential_id == ""
    assert globex.get(f"/v1/vms/{vm_id}/telegram-link").body == {"present": False}


def test_snapshots_stay_with_whoever_took_them(cloud: Cloud, acme: Party, globex: Party) -> None:
    vm_id = cloud.run_vm(gpuModelId="rtx-3090")["id"]
    ready = acme.post(f"/v1/vms/{vm_id}/snapshots", {"name": "mine"}).body["id"]
    cloud.advance(30)
    begun = acme.post(f"/v1/vms/{vm_id}/snapshots", {"name": "begun"}).body["id"]
    globex.accept(acme.offered(vm_id, globex), globex.ssh_key())
    refused(globex.post(f"/v1/vms/{vm_id}/snapshots", {"name": "too early"}), 409, "conflict")
    cloud.advance(30)
    assert globex.get("/v1/orgs/{org}/snapshots").body == []
    mine = acme.get("/v1/orgs/{org}/snapshots").body
    assert [(row["id"], row["status"]) for row in mine] == [(begun, "ready"), (ready, "ready")]
    refused(globex.post("/v1/orgs/{org}/vms/fork", {"snapshotId": ready}), 404)
    assert acme.post("/v1/orgs/{org}/vms/fork", {"snapshotId": ready}).status == 200
    assert globex.post(f"/v1/vms/{vm_id}/snapshots", {"name": "theirs"}).status == 200


def test_a_fork_by_the_new_owner_leaves_out_kept_keys_of_the_former(open_cloud: Open) -> None:
    cloud = open_cloud(transfers__ssh_keys="kept")
    acme, globex = party(cloud, "acme"), party(cloud, "globex")
    old, new = acme.ssh_key(), globex.ssh_key()
    vm_id = cloud.run_vm(gpuModelId="rtx-3090", sshKeyIds=[old])["id"]
    globex.accept(acme.offered(vm_id, globex), new)
    snapshot = globex.post(f"/v1/vms/{vm_id}/snapshots", {"name": "mine"}).body["id"]
    cloud.advance(30)
    fork = globex.post("/v1/orgs/{org}/vms/fork", {"snapshotId": snapshot})
    assert cloud.world.get(Vm, fork.body["id"]).ssh_key_ids == (new,)


@pytest.mark.parametrize(
    "body", [None, {}, {"sshKeyIds": []}, {"sshKeyIds": ["none"]}, {"sshKeyIds": ["{acme}"]}]
)
def test_a_vm_needs_a_key_of_the_accepting_organization(
    cloud: Cloud, acme: Party, globex: Party, body: dict[str, list[str]] | None
) -> None:
    mine = acme.ssh_key()
    offer = acme.offered(cloud.run_vm()["id"], globex)
    if body and body.get("sshKeyIds"):
        body = {"sshKeyIds": [key.format(acme=mine) for key in body["sshKeyIds"]]}
    version = cloud.world.version
    refused(globex.post(f"/v1/transfers/{offer}/accept", body), 400, "bad_request")
    assert (status(cloud, offer), cloud.world.version) == ("pending", version)


@pytest.mark.parametrize(
    ("settled", "code"),
    [
        ("pending", "ACCOUNT_PENDING_VERIFICATION"),
        ("restricted", "ACCOUNT_RESTRICTED"),
        ("", "INSUFFICIENT_BALANCE"),
    ],
)
def test_account_and_balance_of_the_accepting_organization_are_looked_at(
    cloud: Cloud, acme: Party, globex: Party, settled: str, code: str
) -> None:
    key, offer = globex.ssh_key(), acme.offered(cloud.run_vm()["id"], globex)
    if settled:
        cloud.do("account.set_status", name="globex", status=settled)
    else:
        cloud.do("balance.debit", name="globex", cents=4_950)
    version = cloud.world.version
    refused(globex.accept(offer, key), 403, code)
    assert (status(cloud, offer), cloud.world.version) == ("pending", version)


def test_a_broke_organization_can_give_its_vm_away(cloud: Cloud, acme: Party, globex: Party) -> None:
    vm_id = cloud.run_vm()["id"]
    cloud.do("balance.debit", name="acme", cents=10_000)
    assert globex.accept(acme.offered(vm_id, globex), globex.ssh_key()).status == 204
    assert globex.post(f"/v1/vms/{vm_id}/restart").status == 200


def test_a_name_in_use_is_409_where_names_are_unique(open_cloud: Open) -> None:
    cloud = open_cloud(names__unique=True)
    acme, globex = party(cloud, "acme"), party(cloud, "globex")
    vm_id, key = cloud.run_vm()["id"], globex.ssh_key()
    assert globex.post("/v1/orgs/{org}/vms/create", {"name": "trainer"}).status == 200
    offer = acme.offered(vm_id, globex)
    refused(globex.accept(offer, key), 409, "NAME_TAKEN")
    assert status(cloud, offer) == "pending"


# -- what may have happened since


def test_a_vm_that_starts_again_cannot_be_handed_over_just_now(
    cloud: Cloud, acme: Party, globex: Party
) -> None:
    vm_id, key = cloud.run_vm()["id"], globex.ssh_key()
    acme.post(f"/v1/vms/{vm_id}/stop")
    offer = acme.offered(vm_id, globex)
    acme.post(f"/v1/vms/{vm_id}/restart")
    version = cloud.world.version
    assert "deploying" in refused(globex.accept(offer, key), 409, "TRANSFER_UNAVAILABLE")
    assert (status(cloud, offer), cloud.world.version) == ("pending", version)
    cloud.advance(45)
    assert globex.accept(offer, key).status == 204


def test_the_offer_of_a_terminated_vm_is_cancelled_by_an_accept(
    cloud: Cloud, acme: Party, globex: Party
) -> None:
    vm_id = cloud.run_vm()["id"]
    offer = acme.offered(vm_id, globex)
    acme.post(f"/v1/vms/{vm_id}/terminate")
    assert status(cloud, offer) == "pending"
    refused(globex.accept(offer, globex.ssh_key()), 409, "TRANSFER_UNAVAILABLE")
    assert (status(cloud, offer), incoming(globex)) == ("cancelled", [])


def test_the_offer_of_a_vm_that_has_another_owner_by_now_is_cancelled_by_an_accept(
    cloud: Cloud, acme: Party, globex: Party
) -> None:
    """Accepts cancel other offers themselves; so one that is left over is put here by hand."""
    vm_id, initech = cloud.run_vm()["id"], party(cloud, "initech")
    offer = acme.offered(vm_id, globex)
    left = cloud.world.get(Transfer, offer)
    initech_key = initech.ssh_key()
    acme.post(f"/v1/transfers/{offer}/cancel")
    initech.accept(acme.offered(vm_id, initech), initech_key)
    cloud.world.put(left)
    message = refused(globex.accept(offer, globex.ssh_key()), 409, "TRANSFER_ACCOUNT_CHANGED")
    assert "Initech" in message
    assert (status(cloud, offer), cloud.world.get(Vm, vm_id).organization_id) == ("cancelled", initech.org)


def test_a_vm_can_come_back(cloud: Cloud, acme: Party, globex: Party) -> None:
    vm_id, mine, theirs = cloud.run_vm()["id"], acme.ssh_key(), globex.ssh_key()
    for _ in range(3):
        assert globex.accept(acme.offered(vm_id, globex), theirs).status == 204
        cloud.advance(60)
        assert acme.accept(globex.offered(vm_id, acme), mine).status == 204
        cloud.advance(60)
        check_world(cloud.world)
    spans = [row.span_ms(cloud.world.now_ms) for row in sessions(cloud, vm_id)]
    assert spans == [0, *[60_000] * 6]


def test_an_accept_bears_no_event(cloud: Cloud, acme: Party, globex: Party) -> None:
    offer = acme.offered(cloud.run_vm()["id"], globex)
    before = len(cloud.entries("event"))
    globex.accept(offer, globex.ssh_key())
    assert len(cloud.entries("event")) == before
    moves = [entry for entry in cloud.entries("transition") if entry.get("trigger") == "transfer"]
    assert [(entry["name"], entry["organization"]) for entry in moves] == [("trainer", globex.org)]


# -- clusters


def test_a_cluster_is_handed_over_with_the_sessions_of_its_replicas(
    cloud: Cloud, acme: Party, globex: Party
) -> None:
    body = {"name": "chat", "gpuModelId": "l40s", "replicaCount": 2}
    cluster_id = acme.post("/v1/orgs/{org}/clusters/create", body).body["id"]
    cloud.simulator.advance_until_status(cluster_id, "running")
    cloud.advance(3600)
    offer = acme.offered(cluster_id, globex, "cluster")
    (item,) = incoming(globex)
    assert (item["clusterId"], item["resourceName"], "vmId" in item) == (cluster_id, "chat", False)
    spent = acme.balance()["accruedUsageCents"]
    assert globex.accept(offer).status == 204
    cloud.advance(3600)
    assert (acme.balance()["accruedUsageCents"], globex.balance()["accruedUsageCents"]) == (spent, spent)
    assert spent == 2 * 79
    assert globex.get(f"/v1/clusters/{cluster_id}").body["status"] == "running"
    refused(acme.get(f"/v1/clusters/{cluster_id}"), 404)
    check_world(cloud.world)


def test_a_deploying_or_terminated_cluster_cannot_be_offered(
    cloud: Cloud, acme: Party, globex: Party
) -> None:
    body = {"name": "chat", "gpuModelId": "l40s"}
    cluster_id = acme.post("/v1/orgs/{org}/clusters/create", body).body["id"]
    assert "deploying" in refused(acme.offer(cluster_id, globex, "cluster"), 409, "INVALID_CLUSTER_STATE")
    acme.post(f"/v1/clusters/{cluster_id}/terminate")
    refused(acme.offer(cluster_id, globex, "cluster"), 400)
