"""Offers of resources to other organizations: who may do what in which state, and what a hand-over moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.fixture import FixtureError
from simulator.kernel.instant import DAY_MS
from simulator.resources.transfers import LIFE, MOST_OUTGOING, STATES, Transfer
from simulator.resources.vms.lifecycle import Vm
from tests.support.cloud import Cloud
from tests.support.invariants import check_world
from tests.support.parties import Party, incoming, party, status
from tests.support.people import newcomer, refused, session_of, sign_in
from tests.support.vms import SSH_KEY, cloud_of_profile

PROFILES = ("2026-06", "2026-07", "2026-10")
WEEK_S = 7 * 86_400
Open = Callable[..., Cloud]


def outgoing(who: Party) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = who.get("/v1/orgs/{org}/transfers/outgoing").body
    return rows


# -- offering


def test_an_offer_is_pending_for_seven_days_and_seen_by_both(
    cloud: Cloud, acme: Party, globex: Party
) -> None:
    vm = cloud.run_vm()
    answer = acme.offer(vm["id"], globex, note="as agreed")
    assert answer.status == 200
    assert answer.body == {
        "id": answer.body["id"],
        "resourceType": "vm",
        "vmId": vm["id"],
        "status": "pending",
        "createdAt": "2026-06-15T09:01:30.000Z",
        "expiresAt": "2026-06-22T09:01:30.000Z",
        "note": "as agreed",
        "sourceOrganizationId": acme.org,
        "targetOrganizationId": globex.org,
        "initiatedBy": cloud.get("/v1/me").body["user"]["id"],
    }
    (item,) = incoming(globex)
    assert item == outgoing(acme)[0]
    assert {name: item[name] for name in ("id", "resourceName", "status", "note")} == {
        "id": answer.body["id"],
        "resourceName": "trainer",
        "status": "pending",
        "note": "as agreed",
    }
    assert (item["sourceOrgName"], item["sourceOrgSlug"]) == ("Acme", "acme")
    assert (item["targetOrgName"], item["targetOrgSlug"]) == ("Globex", "globex")
    assert incoming(acme) == outgoing(globex) == []
    assert cloud.vm(vm["id"])["organizationId"] == acme.org


def test_what_cannot_be_offered(cloud: Cloud, acme: Party, globex: Party) -> None:
    vm = cloud.run_vm()
    version = cloud.world.version
    refused(acme.offer("none", globex), 404, "not_found")
    refused(globex.offer(vm["id"], acme), 404, "not_found")
    refused(acme.offer(vm["id"], globex, resource_type="cluster"), 404, "not_found")
    refused(acme.offer(vm["id"], globex, targetOrgSlug="initech"), 404, "not_found")
    assert "own" in refused(acme.offer(vm["id"], acme), 400, "bad_request")
    refused(acme.offer(vm["id"], globex, resource_type="disk"), 400, "bad_request")
    assert cloud.world.version == version


def test_a_second_open_offer_is_409_until_the_first_is_over(cloud: Cloud, acme: Party, globex: Party) -> None:
    vm, initech = cloud.run_vm(), party(cloud, "initech")
    first = acme.offered(vm["id"], globex)
    for other in (globex, initech):
        assert "open offer" in refused(acme.offer(vm["id"], other), 409, "conflict")
    acme.post(f"/v1/transfers/{first}/cancel")
    second = acme.offered(vm["id"], initech)
    initech.post(f"/v1/transfers/{second}/reject")
    acme.offered(vm["id"], globex)


def test_at_most_50_outgoing_offers_are_listed_the_newest_first(
    cloud: Cloud, acme: Party, globex: Party
) -> None:
    vm = cloud.run_vm(gpuModelId=None, resourceSize="small")
    made = []
    for _ in range(MOST_OUTGOING + 1):
        made.append(acme.offered(vm["id"], globex))
        acme.post(f"/v1/transfers/{made[-1]}/cancel")
        cloud.advance(1)
    assert [item["id"] for item in outgoing(acme)] == made[:0:-1]
    assert incoming(globex) == []


# -- answering, in each state

GRID = {"accept": "completed", "reject": "rejected", "cancel": "cancelled"}


def bring_to(cloud: Cloud, state: str) -> str:
    """An offer of acme's to globex in this state."""
    acme, globex = party(cloud, "acme"), party(cloud, "globex")
    vm, key = cloud.run_vm(), globex.ssh_key()
    offer = acme.offered(vm["id"], globex)
    if state == "completed":
        assert globex.accept(offer, key).status == 204
    elif state == "expired":
        cloud.advance(WEEK_S)
        assert globex.accept(offer, key).status == 400
    elif state == "rejected":
        globex.post(f"/v1/transfers/{offer}/reject")
    elif state == "cancelled":
        acme.post(f"/v1/transfers/{offer}/cancel")
    assert status(cloud, offer) == state
    return offer


def test_the_grid_and_the_table_know_the_same_pairs() -> None:
    pairs = {(state, trigger) for state, trigger, _ in LIFE.pairs()}
    assert pairs == {(state, trigger) for trigger in GRID for state in STATES}


@pytest.mark.parametrize(("state", "verb"), [(state, verb) for state, verb, _ in LIFE.pairs()])
def test_only_a_pending_offer_can_be_answered(cloud: Cloud, state: str, verb: str) -> None:
    offer = bring_to(cloud, state)
    globex = party(cloud, "globex")
    who = party(cloud, "acme") if verb == "cancel" else globex
    body = {"sshKeyIds": [globex.ssh_key("nistp256")]} if verb == "accept" else None
    version = cloud.world.version
    answer = who.post(f"/v1/transfers/{offer}/{verb}", body)
    if state == "pending":
        assert (answer.status, answer.body) == (204, None)
        assert status(cloud, offer) == GRID[verb]
    else:
        assert state in refused(answer, 404, "not_found")
        assert (status(cloud, offer), cloud.world.version) == (state, version)
    assert (state == "pending") == (LIFE.find(state, verb) is not None)


@pytest.mark.parametrize(("verb", "owner"), [("accept", "globex"), ("reject", "globex"), ("cancel", "acme")])
def test_an_offer_is_answered_by_the_one_it_concerns_and_404_to_others(
    cloud: Cloud, verb: str, owner: str
) -> None:
    acme, globex, initech = (party(cloud, slug) for slug in ("acme", "globex", "initech"))
    key = globex.ssh_key()
    offer = acme.offered(cloud.run_vm()["id"], globex)
    for who in (acme, globex, initech):
        if who.slug != owner:
            version = cloud.world.version
            body = {"sshKeyIds": [key]} if verb == "accept" else None
            refused(who.post(f"/v1/transfers/{offer}/{verb}", body), 404, "not_found")
            assert (status(cloud, offer), cloud.world.version) == ("pending", version)


def test_a_completed_offer_says_when(cloud: Cloud, acme: Party, globex: Party) -> None:
    offer = acme.offered(cloud.run_vm()["id"], globex)
    cloud.advance(60)
    globex.accept(offer, globex.ssh_key())
    (item,) = outgoing(acme)
    assert (item["status"], item["completedAt"]) == ("completed", "2026-06-15T09:02:30.000Z")
    assert item["respondedAt"] == item["completedAt"]
    assert cloud.world.get(Transfer, offer).responded_by


# -- the end of an offer, as it really behaves


def test_an_offer_past_its_end_still_shows_and_counts_until_an_accept_marks_it(
    cloud: Cloud, acme: Party, globex: Party
) -> None:
    vm, key = cloud.run_vm(gpuModelId=None, resourceSize="small"), globex.ssh_key()
    offer = acme.offered(vm["id"], globex)
    cloud.advance(30 * 86_400)
    assert [item["status"] for item in incoming(globex)] == ["pending"]
    assert "2026-06-22T09:00:30.000Z" in refused(globex.accept(offer, key), 400, "bad_request")
    assert (incoming(globex), outgoing(acme)[0]["status"]) == ([], "expired")
    assert cloud.world.get(Vm, vm["id"]).organization_id == acme.org
    check_world(cloud.world)


def test_an_offer_can_be_accepted_until_the_last_moment(cloud: Cloud, acme: Party, globex: Party) -> None:
    vm, key = cloud.run_vm(gpuModelId=None, resourceSize="small"), globex.ssh_key()
    offer = acme.offered(vm["id"], globex)
    cloud.advance(WEEK_S - 0.001)
    assert globex.accept(offer, key).status == 204


@pytest.mark.parametrize(("verb", "left"), [("reject", "rejected"), ("cancel", "cancelled")])
def test_an_offer_past_its_end_can_be_rejected_or_withdrawn(
    cloud: Cloud, acme: Party, globex: Party, verb: str, left: str
) -> None:
    offer = acme.offered(cloud.run_vm(gpuModelId=None, resourceSize="small")["id"], globex)
    cloud.advance(WEEK_S)
    assert (globex if verb == "reject" else acme).post(f"/v1/transfers/{offer}/{verb}").status == 204
    assert (status(cloud, offer), incoming(globex)) == (left, [])


def test_no_timer_waits_for_the_end_of_an_offer(cloud: Cloud, acme: Party, globex: Party) -> None:
    vm = cloud.run_vm()
    before = len(cloud.world.clock)
    acme.offered(vm["id"], globex)
    assert len(cloud.world.clock) == before


def test_a_resource_can_be_offered_anew_past_the_end_and_its_other_offers_end_with_an_accept(
    cloud: Cloud, acme: Party, globex: Party
) -> None:
    vm = cloud.run_vm(gpuModelId=None, resourceSize="small")
    initech = party(cloud, "initech")
    stale = acme.offered(vm["id"], globex)
    cloud.advance(WEEK_S)
    assert initech.accept(acme.offered(vm["id"], initech), initech.ssh_key()).status == 204
    assert (status(cloud, stale), incoming(globex)) == ("cancelled", [])
    assert cloud.world.get(Transfer, stale).responded_at_ms is None
    refused(globex.accept(stale, globex.ssh_key()), 404)


# -- what the profiles say otherwise


@pytest.mark.parametrize(("profile", "answered"), [("2026-06", 404), ("2026-07", 404), ("2026-10", 400)])
def test_only_vms_can_be_offered_later(open_cloud: Open, profile: str, answered: int) -> None:
    cloud = open_cloud(profile=profile)
    answer = party(cloud, "acme").offer("none", party(cloud, "globex"), "cluster")
    assert "luster" in refused(answer, answered)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_new_owners_keys_replace_the_old_ones_or_join_them(open_cloud: Open, profile: str) -> None:
    """In July the keys of the former owner are still there, as crossOrg [2026-07 shape]."""
    cloud = cloud_of_profile(open_cloud, profile)
    acme, globex = party(cloud, "acme"), party(cloud, "globex")
    vm_id, new = cloud.run_vm(sshKeyIds=[cloud.ssh_key])["id"], globex.ssh_key()
    spare = globex.ssh_key("nistp256")
    globex.accept(acme.offered(vm_id, globex), new)
    shown = globex.get(f"/v1/vms/{vm_id}/ssh-keys").body
    rows = {row["id"]: (row["attached"], row["crossOrg"], row["orgName"]) for row in shown}
    expected = {spare: (False, False, "Globex"), new: (True, False, "Globex")}
    if profile == "2026-07":
        expected[cloud.ssh_key] = (True, True, "Acme")
    assert rows == expected


def test_target_orgs_are_the_callers_without_the_acting_one_by_name(cloud: Cloud) -> None:
    for slug, name in (("zeta", "Zeta"), ("alpha-2", "Alpha"), ("alpha", "Alpha")):
        cloud.do("org.create", name=name, slug=slug, owner="ada@acme.example")
        cloud.advance(1)
    shown = cloud.get("/v1/transfers/target-orgs", key=sign_in(cloud, "ada@acme.example")).body
    assert [(row["name"], row["slug"]) for row in shown] == [
        ("Alpha", "alpha"),
        ("Alpha", "alpha-2"),
        ("Zeta", "zeta"),
    ]
    assert cloud.get("/v1/transfers/target-orgs", key=newcomer(cloud)).body == []


@pytest.mark.parametrize("profile", PROFILES)
def test_a_key_has_no_target_orgs_and_is_refused_later(open_cloud: Open, profile: str) -> None:
    cloud = open_cloud(profile=profile)
    answer = cloud.get("/v1/transfers/target-orgs")
    if profile == "2026-10":
        refused(answer, 401, "UNAUTHORIZED")
    else:
        assert (answer.status, answer.body) == (200, [])
    assert cloud.get("/v1/transfers/target-orgs", key=session_of(cloud, "owner")).status == 200


# -- people


def test_owners_and_admins_offer_and_accept_and_nobody_else(cloud: Cloud, acme: Party, globex: Party) -> None:
    """The session of somebody in both organizations acts in the one that the offer concerns."""
    vm_id, key = cloud.run_vm()["id"], globex.ssh_key()
    body = {"resourceType": "vm", "resourceId": vm_id, "targetOrgSlug": "globex"}
    for role in ("member", "viewer"):
        answer = cloud.post("/v1/orgs/{org}/transfers", body, key=session_of(cloud, role))
        refused(answer, 403)
        assert answer.body["deniedBy"] == "role"
    offer = cloud.post("/v1/orgs/{org}/transfers", body, key=session_of(cloud, "admin")).body["id"]
    for email, role in (("joan@acme.example", "viewer"), ("alan@acme.example", "admin")):
        assert globex.post("/v1/orgs/{org}/members/add", {"email": email, "role": role}).status == 200
    path, keys = f"/v1/transfers/{offer}/accept", {"sshKeyIds": [key]}
    refused(cloud.post(path, keys, key=sign_in(cloud, "grace@acme.example")), 404)
    refused(cloud.post(path, keys, key=sign_in(cloud, "joan@acme.example")), 403)
    assert cloud.post(path, keys, key=sign_in(cloud, "alan@acme.example")).status == 204
    assert cloud.world.get(Vm, vm_id).organization_id == globex.org


# -- fixture


def test_offers_of_a_fixture_are_there_and_may_be_old(open_cloud: Open, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"""
extends: default
ssh_keys: [{{organization: globex, name: theirs, public_key: "{SSH_KEY}"}}]
vms:
  - {{name: fresh, organization: acme, gpu_model: rtx-3090, status: stopped}}
  - {{name: stale, organization: acme, gpu_model: rtx-3090}}
transfers:
  - {{name: fresh, to: globex, note: soon}}
  - {{name: stale, to: globex, days_ago: 7}}
"""
    )
    cloud = open_cloud(str(path))
    globex = party(cloud, "globex")
    offers = {item["resourceName"]: item["id"] for item in incoming(globex)}
    (key,) = (row["id"] for row in globex.get("/v1/orgs/{org}/ssh-keys").body)
    assert cloud.world.get(Transfer, offers["stale"]).created_at_ms == cloud.world.now_ms - 7 * DAY_MS
    refused(globex.accept(offers["stale"], key), 400)
    assert globex.accept(offers["fresh"], key).status == 204


@pytest.mark.parametrize(
    "spec",
    [
        "{name: fresh, to: nobody}",
        "{name: fresh, to: acme}",
        "{name: none, to: globex}",
        "{name: fresh, to: globex, days_ago: -1}",
        "{name: gone, to: globex}",
    ],
)
def test_an_offer_of_a_fixture_that_cannot_be_is_refused(open_cloud: Open, tmp_path: Path, spec: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"""
extends: default
vms:
  - {{name: fresh, organization: acme, gpu_model: rtx-3090, status: stopped}}
  - {{name: gone, organization: acme, gpu_model: rtx-3090, status: terminated}}
transfers: [{spec}]
"""
    )
    with pytest.raises(FixtureError, match="transfers: "):
        open_cloud(str(path))
