"""The provider's side: becoming one, its nodes, what it sets them to and what that does to others' work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator.domain.access import Organization
from simulator.domain.capacity import NODE_STATES, Node
from simulator.fixture import FixtureError, build
from simulator.kernel.refusal import Refusal
from simulator.kernel.settings import Settings
from simulator.resources.provider.applications import LONGEST_NOTE
from tests.support.cloud import Answer, Cloud
from tests.support.invariants import check_world
from tests.support.parties import Party, party
from tests.support.people import refused, session_of
from tests.support.providers import NODES, STATS, TOKENS, enrolled, token_of

Open = Callable[..., Cloud]
PROFILES = {"2026-06": str.lower, "2026-07": str.upper, "2026-10": str.upper}
"""Each with the case of its generic codes."""
APPLY = "/v1/orgs/{org}/provider/apply"
STATUS = "/v1/orgs/{org}/provider/status"
PROVIDERS_ONLY = [
    ("GET", NODES),
    ("PATCH", f"{NODES}/none"),
    ("GET", STATS),
    ("GET", TOKENS),
    ("POST", TOKENS),
    ("DELETE", f"{TOKENS}/none"),
    ("GET", "/v1/provider/bootstrap"),
]


@pytest.fixture
def sound(cloud: Cloud) -> Iterator[Cloud]:
    """A cloud; at the end its books agree."""
    yield cloud
    check_world(cloud.world)


def apply(who: Party, note: str = "Ten desktops.") -> Answer:
    return who.post(APPLY, {"note": note})


def hostnames(who: Party, query: str = "") -> list[str]:
    answer = who.get(NODES + query)
    assert answer.status == 200, answer
    return [node["hostname"] for node in answer.body]


def node(cloud: Cloud, hostname: str) -> Node:
    return [row for row in cloud.rows(Node) if row.hostname == hostname][-1]


def set_to(who: Party, hostname: str, status: str) -> Answer:
    """As the provider's own program would."""
    path = f"{NODES}/{node(who.cloud, hostname).id}".replace("{org}", who.org)
    return who.cloud.patch(path, {"status": status}, key=who.key)


# -- becoming a provider -----------------------------------------------------------------------------------


def test_an_application_is_pending_until_it_is_approved(sound: Cloud, acme: Party) -> None:
    assert acme.get(STATUS).body == {
        "isProvider": False,
        "applicationStatus": None,
        "applicationSubmittedAt": None,
    }
    answer = apply(acme)
    assert (answer.status, answer.body) == (204, None)
    assert acme.get(STATUS).body == {
        "isProvider": False,
        "applicationStatus": "pending",
        "applicationSubmittedAt": "2026-06-15T09:00:00.000Z",
    }
    sound.advance(60)
    sound.do("provider.approve", name="acme")
    assert acme.get(STATUS).body == {
        "isProvider": True,
        "applicationStatus": "approved",
        "applicationSubmittedAt": "2026-06-15T09:00:00.000Z",
    }
    assert acme.get("/v1/orgs/{org}").body["isProvider"] is True
    assert hostnames(acme) == []
    assert [entry["to"] for entry in sound.entries("transition")] == ["pending", "approved"]


@pytest.mark.parametrize("profile", PROFILES)
def test_who_is_a_provider_or_waits_to_be_one_cannot_apply(open_cloud: Open, profile: str) -> None:
    cloud, case = open_cloud(profile=profile), PROFILES[profile]
    acme, globex = party(cloud, "acme"), party(cloud, "globex")
    assert "provider already" in refused(apply(globex), 400, case("bad_request"))
    apply(acme)
    assert "pending" in refused(apply(acme), 400, case("bad_request"))
    cloud.do("provider.approve", name="acme")
    refused(apply(acme), 400, case("bad_request"))


def test_after_a_rejection_a_new_application_may_be_sent(sound: Cloud, acme: Party) -> None:
    apply(acme)
    assert sound.do("provider.reject", id=acme.org)["applicationStatus"] == "rejected"
    assert acme.get(STATUS).body["applicationStatus"] == "rejected"
    refused(acme.get(NODES), 403)
    sound.advance(60)
    assert apply(acme, "Twenty desktops.").status == 204
    assert acme.get(STATUS).body == {
        "isProvider": False,
        "applicationStatus": "pending",
        "applicationSubmittedAt": "2026-06-15T09:01:00.000Z",
    }
    assert sound.do("provider.approve", name="Acme")["applicationStatus"] == "approved"


@pytest.mark.parametrize("action", ["provider.approve", "provider.reject"])
@pytest.mark.parametrize("before", ["", "approved", "rejected"])
def test_nothing_is_decided_without_a_pending_application(
    sound: Cloud, acme: Party, action: str, before: str
) -> None:
    if before:
        apply(acme)
        sound.do("provider.approve" if before == "approved" else "provider.reject", name="acme")
    version = sound.world.version
    with pytest.raises(Refusal, match="pending") as caught:
        sound.do(action, name="acme")
    assert caught.value.code == "conflict"
    assert sound.world.version == version


@pytest.mark.parametrize("note", ["", "  \n", "x" * (LONGEST_NOTE + 1)])
def test_an_application_says_something(acme: Party, note: str) -> None:
    refused(apply(acme, note), 400, "bad_request")
    refused(acme.post(APPLY, {}), 400, "bad_request")


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_who_does_not_run_an_organization_cannot_apply_for_it(cloud: Cloud, role: str) -> None:
    answer = cloud.post(APPLY, {"note": "x"}, key=session_of(cloud, role))
    refused(answer, 403, "forbidden")
    assert cloud.get(STATUS, key=session_of(cloud, role)).status == 200
    assert cloud.post(APPLY, {"note": "x"}, key=session_of(cloud, "admin")).status == 204


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("method", "path"), PROVIDERS_ONLY)
def test_what_is_for_providers_is_403_for_others_whatever_they_send(
    open_cloud: Open, profile: str, method: str, path: str
) -> None:
    cloud = open_cloud(profile=profile)
    for body in (None, b"{") if method in ("PATCH", "POST") else (None,):
        message = refused(cloud.call(method, path, body), 403, PROFILES[profile]("forbidden"))
        assert "provider/apply" in message


# -- the nodes ---------------------------------------------------------------------------------------------


def test_a_node_is_shown_as_it_is(globex: Party) -> None:
    shown = {row["hostname"]: row for row in globex.get(NODES).body}
    assert shown["sto-3090-1"] == {
        "id": node(globex.cloud, "sto-3090-1").id,
        "hostname": "sto-3090-1",
        "nodeType": "gpu",
        "tdxEnabled": False,
        "status": "online",
        "createdAt": "2026-06-15T09:00:00.000Z",
        "gpus": [{"gpuName": "RTX 3090", "vramGb": 24, "quantity": 4}],
        "cpuCores": 48,
        "ramGb": 192,
        "locationCity": "Stockholm",
        "locationCountry": "SE",
        "diskTotalGb": 4000,
        "diskFreeGb": 4000,
    }
    assert (shown["sto-cpu-1"]["nodeType"], shown["sto-cpu-1"]["gpus"]) == ("cpu", [])


def test_the_disk_that_is_taken_is_not_free(sound: Cloud, globex: Party) -> None:
    sound.run_vm(gpuModelId="rtx-3090", diskSizeGb=150, preferredRegions=["eu-north"])
    shown = {row["hostname"]: row["diskFreeGb"] for row in globex.get(NODES).body}
    assert shown["sto-3090-1"] == 3850


def test_a_provider_lists_its_own_nodes_newest_first(sound: Cloud, acme: Party, globex: Party) -> None:
    apply(acme)
    sound.do("provider.approve", name="acme")
    for number in (1, 2):
        sound.advance(1)
        enrolled(sound, token_of(acme), f"acme-{number}")
    assert hostnames(acme) == ["acme-2", "acme-1"]
    assert {*hostnames(globex)} == {"sto-3090-1", "sto-3090-2", "sto-cpu-1"}


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", "12"),
        ("?includeRemoved=false", "12"),
        ("?includeRemoved=true", "123"),
        ("?status=removed", "3"),
        ("?status=removed&includeRemoved=false", "3"),
        ("?status=online", "1"),
        ("?status=online&includeRemoved=true", "1"),
        ("?status=offline", "2"),
        ("?status=draining", ""),
    ],
)
def test_removed_nodes_are_listed_where_they_are_asked_for(globex: Party, query: str, shown: str) -> None:
    names = {"1": "sto-3090-1", "2": "sto-3090-2", "3": "sto-cpu-1"}
    assert set_to(globex, "sto-cpu-1", "removed").status == 200
    assert {*hostnames(globex, query)} == {names[number] for number in shown}


def test_nodes_are_listed_by_class(sound: Cloud, globex: Party) -> None:
    """One that came without a token is there to stay [choice]."""
    enrolled(sound, token_of(globex, **{"class": "interruptible", "noticeSeconds": 120}), "at-night")
    enrolled(sound, token_of(globex, **{"class": "persistent"}), "always")
    assert hostnames(globex, "?class=interruptible") == ["at-night"]
    assert {*hostnames(globex, "?class=persistent")} == {"always", "sto-3090-1", "sto-3090-2", "sto-cpu-1"}
    assert globex.get(NODES + "?class=interruptible").body[0]["noticeSeconds"] == 120


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("query", ["status=busy", "status=enrolled", "class=spot", "includeRemoved=perhaps"])
def test_an_unknown_filter_is_400(open_cloud: Open, profile: str, query: str) -> None:
    globex = party(open_cloud(profile=profile), "globex")
    refused(globex.get(f"{NODES}?{query}"), 400, PROFILES[profile]("bad_request"))


def test_stats_leave_removed_nodes_out(sound: Cloud, globex: Party) -> None:
    def stats() -> list[int]:
        body = globex.get(STATS).body
        return [body[name] for name in ("totalNodes", "onlineNodes", "offlineNodes", "activeTokens")]

    assert stats() == [3, 2, 1, 0]
    set_to(globex, "sto-3090-1", "draining")
    token_of(globex)
    assert stats() == [3, 1, 1, 1]
    set_to(globex, "sto-3090-2", "removed")
    set_to(globex, "sto-cpu-1", "removed")
    sound.advance(24 * 3600)
    assert stats() == [1, 0, 0, 0]


# -- what the operator sets a node to ----------------------------------------------------------------------

# status before, what the operator says, status after; None: 400
GRID = [
    (before, said, None if before == "removed" else after)
    for before in NODE_STATES
    for said, after in (
        ("draining", "draining"),
        ("maintenance", "maintenance"),
        ("removed", "removed"),
        ("online", "offline" if before == "offline" else "online"),
    )
]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("before", "said", "after"), GRID)
def test_the_operators_word(
    open_cloud: Open, profile: str, before: str, said: str, after: str | None
) -> None:
    globex = party(open_cloud(profile=profile), "globex")
    if before == "offline":
        globex.cloud.do("node.offline", name="sto-3090-1")
    elif before != "online":
        assert set_to(globex, "sto-3090-1", before).body["status"] == before
    version = globex.cloud.world.version
    answer = set_to(globex, "sto-3090-1", said)
    if after is None:
        assert "removed" in refused(answer, 400, "NODE_DECOMMISSIONED")
        assert globex.cloud.world.version == version
    else:
        assert (answer.status, answer.body["status"]) == (200, after)
        assert node(globex.cloud, "sto-3090-1").status == after
    check_world(globex.cloud.world)


@pytest.mark.parametrize("said", ["offline", "enrolled", "", None])
def test_offline_is_found_out_and_not_set(globex: Party, said: Any) -> None:
    refused(set_to(globex, "sto-3090-1", said), 400, "bad_request")


def test_a_silent_node_turns_offline_as_soon_as_it_is_reopened(sound: Cloud, globex: Party) -> None:
    set_to(globex, "sto-3090-1", "maintenance")
    sound.do("node.offline", name="sto-3090-1")
    assert node(sound, "sto-3090-1").status == "maintenance"
    assert set_to(globex, "sto-3090-1", "online").body["status"] == "offline"


@pytest.mark.parametrize("hostname", ["mtl-3090-1", "unknown"])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_node_of_nobody_here_and_an_unknown_one_are_404(
    open_cloud: Open, profile: str, hostname: str
) -> None:
    globex = party(open_cloud(profile=profile), "globex")
    node_id = node(globex.cloud, hostname).id if hostname != "unknown" else hostname
    path = f"{NODES}/{node_id}".replace("{org}", globex.org)
    answer = globex.cloud.patch(path, {"status": "draining"}, key=globex.key)
    refused(answer, 404, PROFILES[profile]("not_found"))


def test_a_viewer_sees_nodes_and_sets_nothing(sound: Cloud, acme: Party) -> None:
    apply(acme)
    sound.do("provider.approve", name="acme")
    node_id = enrolled(sound, token_of(acme))
    viewer, member = session_of(sound, "viewer"), session_of(sound, "member")
    assert len(sound.get(NODES, key=viewer).body) == 1
    refused(sound.patch(f"{NODES}/{node_id}", {"status": "draining"}, key=viewer), 403, "forbidden")
    assert sound.patch(f"{NODES}/{node_id}", {"status": "draining"}, key=member).status == 200


# -- and what that does to those who use it ----------------------------------------------------------------


def use(cloud: Cloud) -> tuple[dict[str, Any], str]:
    """A VM of acme's that has landed on a node of globex's, and its node's name."""
    vm = cloud.run_vm(gpuModelId="rtx-3090", preferredRegions=["eu-north"])
    detail = cloud.get(f"/v1/vms/{vm['id']}/detail").body
    assert detail["nodeInfo"]["hostname"] == "sto-3090-1"
    return vm, "sto-3090-1"


@pytest.mark.parametrize(
    ("said", "ends", "status"),
    [
        ("maintenance", True, "running"),
        ("draining", True, "terminated"),
        ("draining", False, "running"),
        ("removed", True, "terminated"),
        ("removed", False, "terminated"),
    ],
)
def test_draining_and_removing_end_what_runs_and_maintenance_does_not(
    open_cloud: Open, said: str, ends: bool, status: str
) -> None:
    cloud = open_cloud(nodes__drain_ends_workloads=ends)
    globex, (vm, hostname) = party(cloud, "globex"), use(cloud)
    assert set_to(globex, hostname, said).status == 200
    assert cloud.vm(vm["id"])["status"] == status
    answer = globex.post(
        "/v1/orgs/{org}/vms/create",
        {"name": "next", "gpuModelId": "rtx-3090", "nodeId": node(cloud, hostname).id},
    )
    refused(answer, 404 if said == "removed" else 409)
    check_world(cloud.world)


def test_draining_lets_replicas_move_to_another_node(sound: Cloud, acme: Party, globex: Party) -> None:
    machine = {"runtime": "gvisor", "gpus": [{"pciId": "10de:26b9"}] * 2, "ramGb": 128}
    enrolled(sound, token_of(globex), "for-clusters", **machine)
    sound.do("capacity.seize", gpu_model="l40s")
    sound.advance(10)
    body = {"name": "chat", "replicaCount": 1, "gpuModelId": "l40s"}
    answer = acme.post("/v1/orgs/{org}/clusters/create", body)
    assert answer.status == 200, answer
    cluster = answer.body
    sound.simulator.advance_until_status(cluster["id"], "running")
    assert node(sound, "for-clusters").taken
    sound.do("capacity.release", gpu_model="l40s")
    set_to(globex, "for-clusters", "draining")
    assert node(sound, "for-clusters").taken == ()
    assert sound.simulator.advance_until_status(cluster["id"], "running")


def test_reopening_lets_what_waits_in(open_cloud: Open) -> None:
    cloud = open_cloud("full", vms__queue=True)
    globex = party(cloud, "globex")
    cloud.do("capacity.release", name="sto-3090-1")
    set_to(globex, "sto-3090-1", "maintenance")
    vm = cloud.launch(gpuModelId="rtx-3090")
    assert vm["status"] == "pending"
    set_to(globex, "sto-3090-1", "online")
    cloud.advance(0)
    assert cloud.vm(vm["id"])["status"] == "deploying"
    check_world(cloud.world)


# -- a provider that uses its own --------------------------------------------------------------------------


def own_vm(globex: Party, **body: Any) -> dict[str, Any]:
    answer = globex.post("/v1/orgs/{org}/vms/create", {"name": "own", "gpuModelId": "rtx-3090", **body})
    assert answer.status == 200, answer
    globex.cloud.simulator.advance_until_status(answer.body["id"], "running")
    vm: dict[str, Any] = globex.get(f"/v1/vms/{answer.body['id']}/detail").body
    return vm


def test_a_vm_that_its_provider_puts_on_its_own_node_costs_nothing(sound: Cloud, globex: Party) -> None:
    vm = own_vm(globex, nodeId=node(sound, "sto-3090-1").id)
    assert (vm["nonBillable"], vm["pricePerHourCents"]) == (True, 0)
    sound.advance(3600)
    burn = globex.get(f"/v1/vms/{vm['id']}/burn").body
    assert burn["nonBillable"] is True
    assert (burn["pricePerHourCents"], burn["accruedSessionCents"], burn["orgAccruedCents"]) == (0, 0, 0)
    usage = globex.get("/v1/orgs/{org}/usage/current").body
    assert (usage["usageHours"], usage["usageCents"], globex.balance()["balanceCents"]) == (1, 0, 5000)


def test_a_vm_that_lands_on_a_node_of_its_owner_by_itself_is_billed(sound: Cloud, globex: Party) -> None:
    sound.do("capacity.seize", name="mtl-3090-1")
    vm = own_vm(globex)
    assert vm["nodeId"] == node(sound, "sto-3090-1").id
    assert ("nonBillable" in vm, vm["pricePerHourCents"]) == (False, 18)


def test_a_vm_of_somebody_else_on_that_node_is_billed(sound: Cloud) -> None:
    vm, _ = use(sound)
    assert sound.vm(vm["id"])["pricePerHourCents"] == 18
    assert "nonBillable" not in sound.get(f"/v1/vms/{vm['id']}/detail").body
    assert "nonBillable" not in sound.get(f"/v1/vms/{vm['id']}/burn").body


def test_another_providers_node_reads_as_one_that_does_not_exist(sound: Cloud) -> None:
    body = {"name": "mine", "gpuModelId": "rtx-3090"}
    foreign, unknown = node(sound, "sto-3090-1").id, "7f000000-0000-4000-8000-000000000000"
    version = sound.world.version
    answers = [
        sound.post("/v1/orgs/{org}/vms/create", {**body, "nodeId": node_id}) for node_id in (foreign, unknown)
    ]
    told = [refused(answer, 404, "not_found") for answer in answers]
    assert told == [f"nodeId {foreign!r} is unknown", f"nodeId {unknown!r} is unknown"]
    assert sound.world.version == version


def test_a_node_of_nobody_in_this_world_may_be_named_by_anybody(sound: Cloud, globex: Party) -> None:
    node_id = node(sound, "mtl-3090-1").id
    vm = sound.run_vm(gpuModelId="rtx-3090", nodeId=node_id)
    assert sound.get(f"/v1/vms/{vm['id']}/detail").body["nodeId"] == node_id
    vm = own_vm(globex, nodeId=node_id)
    assert (vm["nodeId"], vm["pricePerHourCents"]) == (node_id, 18), "nobody's own node: it is billed"


def test_a_fork_lands_on_the_node_of_its_disk_whoever_it_belongs_to(sound: Cloud) -> None:
    vm, hostname = use(sound)
    made = sound.post(f"/v1/vms/{vm['id']}/snapshots", {"name": "before"})
    assert made.status == 200, made
    sound.advance(30)
    fork = sound.post("/v1/orgs/{org}/vms/fork", {"snapshotId": made.body["id"]})
    assert fork.status == 200, fork
    detail = sound.get(f"/v1/vms/{fork.body['id']}/detail").body
    assert detail["nodeInfo"]["hostname"] == hostname


# -- nodes of others, fixtures -----------------------------------------------------------------------------

SPEC = {"hostname": "new-1", "location": "eu-west", "vcpu": 8, "ram_gb": 64, "disk_gb": 500}


def test_a_node_may_be_added_for_a_provider(sound: Cloud, globex: Party) -> None:
    sound.do("node.add", **SPEC, organization="globex")
    assert "new-1" in hostnames(globex)


@pytest.mark.parametrize(
    ("slug", "code", "words"),
    [("acme", "conflict", "no provider"), ("globes", "not_found", "did you mean 'globex'")],
)
def test_only_a_provider_has_nodes(sound: Cloud, slug: str, code: str, words: str) -> None:
    version = sound.world.version
    with pytest.raises(Refusal, match=words) as caught:
        sound.do("node.add", **SPEC, organization=slug)
    assert (caught.value.code, sound.world.version) == (code, version)


PEOPLE: dict[str, Any] = {
    "users": [{"email": "a@x.example", "full_name": "A"}],
    "organizations": [{"slug": "x", "name": "X", "members": [{"email": "a@x.example", "role": "owner"}]}],
}


def fixture(**sections: Any) -> Cloud:
    cloud = Cloud("empty")
    cloud.simulator.world = build("default", 0, {**PEOPLE, **sections}, Settings())
    return cloud


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"provider_tokens": [{"organization": "x"}]}, "no provider"),
        ({"provider_tokens": [{"organization": "y"}]}, "no organization 'y'"),
        ({"provider_applications": [{"organization": "y"}]}, "not in the fixture"),
        ({"provider_applications": [{"organization": "x"}] * 2}, "applied twice"),
        ({"provider_applications": [{"organization": "x", "status": "asked"}]}, "asked"),
        (
            {
                "organizations": [{**PEOPLE["organizations"][0], "is_provider": True}],
                "provider_applications": [{"organization": "x", "status": "pending"}],
            },
            "is a provider",
        ),
        (
            {
                "provider_applications": [{"organization": "x"}],
                "provider_tokens": [{"organization": "x", "max_nodes": 1, "used": 2}],
            },
            "2 of 1",
        ),
        (
            {
                "provider_applications": [{"organization": "x"}],
                "provider_tokens": [{"organization": "x", "expires_in_s": -7 * 86400}],
            },
            "expires_in_s",
        ),
    ],
)
def test_a_fixture_that_makes_no_sense_is_refused(sections: dict[str, Any], words: str) -> None:
    with pytest.raises(FixtureError, match=words):
        fixture(**sections)


@pytest.mark.parametrize(
    ("status", "provider"), [("pending", False), ("approved", True), ("rejected", False)]
)
def test_a_fixture_brings_applications(status: str, provider: bool) -> None:
    world = fixture(provider_applications=[{"organization": "x", "status": status}]).world
    organization = world.first(Organization, "slug", "x")
    assert organization is not None
    assert organization.is_provider is provider


def test_the_full_world_has_tokens_in_every_state(open_cloud: Open) -> None:
    globex = party(open_cloud("full"), "globex")
    states = sorted((row["name"], row["status"]) for row in globex.get(TOKENS).body)
    assert states == [
        ("lost", "revoked"),
        ("rack 1", "active"),
        ("rack 2", "exhausted"),
        ("tryout", "expired"),
    ]
