"""Machines that become nodes: who may enrol, what a node is made of, doing it again, the first heartbeat."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator.domain.capacity import CLUSTER, VM, Node
from simulator.kernel.instant import SECOND_MS
from simulator.kernel.refusal import Refusal
from simulator.resources.provider.hardware import LEAST_RAM_GB, MODELS
from tests.support.cloud import Answer, Cloud
from tests.support.invariants import check_world
from tests.support.parties import Party, party
from tests.support.people import refused
from tests.support.providers import ENROL, NODES, RTX_4090, TOKENS, enrol, enrolled, inventory, token_of

Open = Callable[..., Cloud]
PROFILES = {"2026-06": str.lower, "2026-07": str.upper, "2026-10": str.upper}
DAY = 24 * 3600


@pytest.fixture
def sound(cloud: Cloud) -> Iterator[Cloud]:
    """A cloud; at the end its books agree."""
    yield cloud
    check_world(cloud.world)


@pytest.fixture
def token(sound: Cloud, globex: Party) -> str:
    return token_of(globex)


def node(cloud: Cloud, node_id: str) -> Node:
    return cloud.world.get(Node, node_id)


def available(cloud: Cloud, model: str = "rtx-4090") -> int:
    row = next(row for row in cloud.get("/v1/gpu-availability").body if row["gpuModelId"] == model)
    return int(row["available"])


def turned_away(cloud: Cloud, answer: Answer, status: int, code: str, *named: str) -> None:
    """Check a refusal, and that no node came of it."""
    message = refused(answer, status, code)
    for word in named:
        assert word in message
    assert not [row for row in cloud.rows(Node) if row.hostname.startswith("rack")]


# -- the token as a credential -----------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("unknown", 401, "unauthorized"),
        ("an api key", 401, "unauthorized"),
        ("expired", 401, "unauthorized"),
        ("forgotten", 401, "unauthorized"),
        ("revoked", 403, "forbidden"),
        ("used up", 429, "rate_limited"),
    ],
)
def test_a_token_that_does_not_hold(open_cloud: Open, profile: str, how: str, status: int, code: str) -> None:
    cloud = open_cloud(profile=profile)
    globex = party(cloud, "globex")
    made = globex.post(TOKENS, {"maxNodes": 1}).body
    secret = {"unknown": "vtk_" + "A" * 40, "an api key": globex.key}.get(how, made["token"])
    if how == "revoked":
        globex.delete(f"{TOKENS}/{made['id']}")
    elif how == "used up":
        enrolled(cloud, secret, "first")
    else:
        cloud.advance({"expired": DAY, "forgotten": 7 * DAY}.get(how, 0))
    version = cloud.world.version
    answer = enrol(cloud, secret)
    turned_away(cloud, answer, status, PROFILES[profile](code))
    assert "Retry-After" not in answer.headers
    assert cloud.world.version == version


def test_a_token_serves_as_many_nodes_as_it_is_for(sound: Cloud, globex: Party) -> None:
    made = globex.post(TOKENS, {"maxEnrollments": 2}).body
    for number in range(3):
        answer = enrol(sound, made["token"], f"rack-{number}")
        assert answer.status == (200 if number < 2 else 429)
        sound.advance(60)
    (listed,) = globex.get(TOKENS).body
    assert (listed["status"], listed["usedCount"], listed["enrollmentCount"]) == ("exhausted", 2, 2)
    last = next(row["id"] for row in globex.get(NODES).body if row["hostname"] == "rack-1")
    assert listed["usedByNodeId"] == last
    assert (listed["usedAt"], listed["lastUsedAt"]) == ("2026-06-15T09:01:00.000Z",) * 2


@pytest.mark.parametrize("quota", [{}, {"maxNodes": 0}])
def test_a_token_without_a_quota_serves_any_number(
    sound: Cloud, globex: Party, quota: dict[str, int]
) -> None:
    secret = token_of(globex, **quota)
    ids = {enrolled(sound, secret, f"rack-{number}") for number in range(20)}
    assert len(ids) == 20


def test_a_suspended_provider_enrols_nothing(sound: Cloud, token: str) -> None:
    sound.do("account.set_status", name="globex", status="suspended")
    turned_away(sound, enrol(sound, token), 403, "ACCOUNT_RESTRICTED")


def test_a_deleted_provider_has_no_tokens(sound: Cloud, token: str, globex: Party) -> None:
    sound.do("org.delete", name="globex")
    turned_away(sound, enrol(sound, token), 401, "unauthorized")
    refused(sound.get(f"/v1/provider/bootstrap?token={token}", key=""), 401, "unauthorized")
    refused(sound.get("/v1/provider/bootstrap", key=globex.key), 403, "forbidden")


def test_a_token_leads_to_the_world_it_was_made_in(sound: Cloud) -> None:
    other = sound.beside("other", seed=5)
    theirs = token_of(party(other, "globex"))
    answer = enrol(sound, theirs)
    assert answer.status == 200, answer
    assert [row.hostname for row in other.rows(Node) if row.hostname == "rack-1"]
    assert not [row.hostname for row in sound.rows(Node) if row.hostname == "rack-1"]
    script = sound.get(f"/v1/provider/bootstrap?token={theirs}", key="")
    assert script.status == 200


# -- what the machine is -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pci_id", MODELS)
def test_a_gpu_is_known_by_its_pci_id(sound: Cloud, globex: Party, token: str, pci_id: str) -> None:
    enrolled(sound, token, gpuInventory=inventory((pci_id.upper(), 2)))
    shown = globex.get(NODES).body
    (gpus,) = next(row["gpus"] for row in shown if row["hostname"] == "rack-1")
    models = {row["name"]: row for row in sound.get("/v1/gpu-models").body}
    assert models[gpus["gpuName"]]["id"] == MODELS[pci_id]
    assert gpus == {"gpuName": gpus["gpuName"], "vramGb": models[gpus["gpuName"]]["vramGb"], "quantity": 2}


def test_a_node_shows_what_its_machine_told(sound: Cloud, globex: Party) -> None:
    secret = token_of(globex, nodeType="bare metal", nodePool="verified", noticeSeconds=30)
    node_id = enrolled(sound, secret, cpuModel="EPYC 9354", cpuCores=48, ramGb=384)
    (shown,) = [row for row in globex.get(NODES).body if row["id"] == node_id]
    told = ("nodeType", "cpuModel", "cpuCores", "ramGb", "runtime", "noticeSeconds", "status", "gpus")
    assert [shown[member] for member in told] == [
        "bare metal",
        "EPYC 9354",
        48,
        384,
        "qemu",
        30,
        "offline",
        [],
    ]
    assert node(sound, node_id).tier == "verified"


GROUPS = [{"group": 7, "gpus": [{"bdf": f"0{n}:00.0", "deviceId": RTX_4090} for n in range(3)]}]
GROUPS += [{"group": 8, "gpus": [{"bdf": "09:00.0", "deviceId": RTX_4090}]}, {"group": 9, "gpus": []}]


@pytest.mark.parametrize(
    ("machine", "kind", "sizes"),
    [
        ({"gpuInventory": inventory((RTX_4090, 4))}, VM, [1, 1, 1, 1]),
        ({"gpuInventory": inventory((RTX_4090, 1), (RTX_4090, 1))}, VM, [1, 1]),
        ({"gpuInventory": inventory((RTX_4090, 4), iommuGroups=GROUPS)}, VM, [3, 1]),
        ({"gpuInventory": inventory((RTX_4090, 8), nvswitchCount=4)}, VM, [8]),
        ({"gpuInventory": inventory((RTX_4090, 0))}, VM, []),
        ({"gpuInventory": inventory()}, VM, []),
        ({"gpus": [{"pciId": RTX_4090}, {"pciId": RTX_4090, "name": "x"}]}, VM, [1, 1]),
        ({"gpus": [{"pciId": RTX_4090}], "gpuInventory": inventory((RTX_4090, 3))}, VM, [1, 1, 1]),
        ({"gpuInventory": inventory((RTX_4090, 2)), "runtime": "gvisor"}, CLUSTER, [1, 1]),
        ({"gpuInventory": inventory((RTX_4090, 4), iommuGroups=GROUPS), "runtime": None}, CLUSTER, [1] * 4),
    ],
)
def test_what_can_only_be_given_away_together(
    sound: Cloud, token: str, machine: dict[str, Any], kind: str, sizes: list[int]
) -> None:
    """IOMMU groups go to VMs, single GPUs to clusters; the runtime says which [choice]."""
    found = node(sound, enrolled(sound, token, **machine))
    assert [(unit.kind, unit.gpus) for unit in found.units] == [(kind, size) for size in sizes]
    assert found.gpu_model_id == ("rtx-4090" if sizes else "")


@pytest.mark.parametrize(
    ("machine", "named"),
    [
        ({"ramGb": LEAST_RAM_GB - 1}, "ramGb 31"),
        ({"ramGb": None}, "ramGb is missing"),
        ({"cpuCores": 0}, "cpuCores 0"),
        ({"cpuCores": None}, "cpuCores is missing"),
        ({"cpuCores": 10**7}, "1000000"),
        ({"runtime": "docker"}, "qemu, gvisor"),
        ({"gpuInventory": inventory(("8086:56a0", 1))}, "8086:56a0"),
        ({"gpuInventory": inventory(("10de:1b06", 1))}, "10de:1b06"),
        ({"gpuInventory": inventory((RTX_4090, 1), ("10de:2204", 1))}, "rtx-3090, rtx-4090"),
        ({"gpuInventory": inventory((RTX_4090, 17))}, "16"),
        ({"gpuInventory": inventory((RTX_4090, 9), (RTX_4090, 9))}, "18 GPUs"),
        ({"gpuInventory": inventory((RTX_4090, -1))}, "-1 GPUs"),
        ({"gpuInventory": inventory((RTX_4090, 3), iommuGroups=GROUPS)}, "iommuGroups hold 4 GPUs"),
        ({"gpus": [{"pciId": "x"}]}, "'x'"),
        ({"hardwareFingerprint": " "}, "hardwareFingerprint is empty"),
        ({"nebulaPubkey": ""}, "nebulaPubkey is empty"),
        ({"hardwareFingerprint": None}, "hardwareFingerprint"),
        ({"cpuCores": "16"}, "cpuCores"),
        ({"gpuInventory": {"source": "lspci"}}, "version"),
    ],
)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_machine_that_cannot_be_a_node_is_422(
    open_cloud: Open, profile: str, machine: dict[str, Any], named: str
) -> None:
    cloud = open_cloud(profile=profile)
    answer = enrol(cloud, token_of(party(cloud, "globex")), **machine)
    turned_away(cloud, answer, 422, PROFILES[profile]("unprocessable"), named)


@pytest.mark.parametrize("hostname", ["-rack", "rack-", "rack 1", "räck", "x" * 254, "a\n", "a/b"])
def test_a_hostname_that_is_none_is_422(sound: Cloud, token: str, hostname: str) -> None:
    assert "hostname" in refused(enrol(sound, token, hostname), 422, "unprocessable")


def test_gpus_that_are_not_detected_yet_make_no_node(sound: Cloud, token: str) -> None:
    """`none` is not zero: the machine has to be rebooted first [docs page]."""
    answer = enrol(sound, token, gpuInventory=inventory(source="none"))
    turned_away(sound, answer, 409, "conflict", "reboot")
    assert node(sound, enrolled(sound, token, gpuInventory=inventory((RTX_4090, 2)))).gpus == 2


def test_a_machine_without_a_name_gets_one_from_its_hardware(sound: Cloud, token: str) -> None:
    first = enrol(sound, token, None).body["nodeId"]
    assert enrol(sound, token, None).body["nodeId"] == first
    other = enrol(sound, token, None, hardwareFingerprint="other").body["nodeId"]
    assert other != first
    assert re.fullmatch(r"node-[0-9a-f]{12}", node(sound, first).hostname)


# -- signatures --------------------------------------------------------------------------------------------

KEY, SIGNATURE = b64encode(bytes(32)).decode(), b64encode(bytes(64)).decode()


@pytest.mark.parametrize(
    ("skew_s", "status"), [(-301, 401), (-300, 200), (0, 200), (300, 200), (301, 401), (10**15, 401)]
)
def test_a_signed_enrolment_is_of_now(sound: Cloud, token: str, skew_s: int, status: int) -> None:
    sound.advance(3600)
    now_s = sound.world.now_ms // SECOND_MS
    signed: dict[str, Any] = {"identityPubkey": KEY, "signature": SIGNATURE, "signedAt": now_s + skew_s}
    answer = enrol(sound, token, **signed)
    assert answer.status == status, answer
    if status == 401:
        assert str(now_s) in refused(answer, 401, "unauthorized")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"signature": None}, "signature is missing"),
        ({"signedAt": None}, "signedAt is missing"),
        ({"identityPubkey": "AAAA"}, "32 bytes"),
        ({"identityPubkey": "not base64!"}, "32 bytes"),
        ({"identityPubkey": "é"}, "32 bytes"),
        ({"signature": KEY}, "64 bytes"),
    ],
)
def test_a_signature_that_is_none_is_422(sound: Cloud, token: str, wrong: dict[str, Any], named: str) -> None:
    now_s = sound.world.now_ms // SECOND_MS
    signed: dict[str, Any] = {"identityPubkey": KEY, "signature": SIGNATURE, "signedAt": now_s}
    turned_away(sound, enrol(sound, token, **{**signed, **wrong}), 422, "unprocessable", named)


# -- once, and again ---------------------------------------------------------------------------------------


def test_running_the_same_command_again_answers_the_same_node(sound: Cloud, globex: Party) -> None:
    secret = token_of(globex, maxNodes=1)
    first = enrol(sound, secret, gpuInventory=inventory((RTX_4090, 2))).body
    sound.advance(10)
    version = sound.world.version
    again = enrol(sound, secret, gpuInventory=inventory((RTX_4090, 2))).body
    assert (again["nodeId"], again["nebulaOverlayIp"]) == (first["nodeId"], first["nebulaOverlayIp"])
    assert sound.world.version == version
    assert globex.get(TOKENS).body[0]["usedCount"] == 1
    assert enrol(sound, token_of(globex)).body["nodeId"] == first["nodeId"]
    assert [row["usedCount"] for row in globex.get(TOKENS).body].count(1) == 1
    assert [row["hostname"] for row in globex.get(NODES).body].count("rack-1") == 1
    assert node(sound, first["nodeId"]).status == "online"


def test_running_it_again_does_not_undo_the_operator(sound: Cloud, token: str) -> None:
    node_id = enrolled(sound, token)
    sound.do("node.set_status", id=node_id, status="maintenance")
    assert enrolled(sound, token) == node_id
    sound.advance(60)
    assert node(sound, node_id).status == "maintenance"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("hostname", ["mtl-3090-1", "rack-1"])
def test_a_name_that_somebody_else_has_is_409(open_cloud: Open, profile: str, hostname: str) -> None:
    """A node outside this world, or another provider's."""
    cloud = open_cloud(profile=profile)
    cloud.post("/v1/orgs/{org}/provider/apply", {"note": "x"})
    cloud.do("provider.approve", name="acme")
    enrolled(cloud, token_of(party(cloud, "acme")), "rack-1")
    answer = enrol(cloud, token_of(party(cloud, "globex")), hostname)
    assert hostname in refused(answer, 409, PROFILES[profile]("conflict"))


def test_a_removed_node_enrols_again_as_a_new_one(sound: Cloud, globex: Party, token: str) -> None:
    first = enrolled(sound, token)
    sound.do("node.set_status", id=first, status="removed")
    second = enrolled(sound, token)
    assert second != first
    assert globex.get(TOKENS).body[0]["usedCount"] == 2
    sound.advance(10)
    assert [node(sound, each).status for each in (first, second)] == ["removed", "online"]


def test_a_node_of_the_fixture_may_be_enrolled_by_its_provider(sound: Cloud, globex: Party) -> None:
    """It stays what it is, and counts for the token once."""
    before = next(row for row in sound.rows(Node) if row.hostname == "sto-3090-1")
    secret = token_of(globex, maxNodes=1)
    for _ in range(2):
        assert enrolled(sound, secret, "sto-3090-1") == before.id
    assert node(sound, before.id) == before
    assert globex.get(TOKENS).body[0]["usedCount"] == 1


# -- the bundle --------------------------------------------------------------------------------------------


def test_a_bundle_is_whole_and_well_formed(sound: Cloud, token: str) -> None:
    bundle = enrol(sound, token).body
    for member, text in bundle.items():
        if "BEGIN" in str(text):
            label = re.match(r"-----BEGIN ([A-Z ]+)-----\n", text)
            assert label, member
            lines = text.strip().splitlines()
            assert lines[-1] == f"-----END {label[1]}-----"
            assert max(map(len, lines[1:-1])) <= 64
            assert b64decode("".join(lines[1:-1]), validate=True).startswith(b"simulated")
        else:
            assert text, member
    assert "PRIVATE KEY" in bundle["nomadClientKey"]
    assert bundle["datacenter"] == node(sound, bundle["nodeId"]).location_id
    assert bundle["nomadPool"] == "community"


def test_secrets_are_each_nodes_own_and_authorities_everybodys(sound: Cloud, token: str) -> None:
    one, two = enrol(sound, token, "rack-1").body, enrol(sound, token, "rack-2").body
    shared = {name for name in one if one[name] == two[name]}
    assert {"nebulaCa", "nomadCa", "dataPlaneCa", "nomadServers", "gatewayAddr"} <= shared
    own = {"nodeId", "nebulaCert", "nebulaOverlayIp", "nomadClientKey", "dataPlaneKey", "nomadIntroToken"}
    assert not shared & (own | {"nodeAgentToken", "nomadClientCert", "dataPlaneCert"})


def test_addresses_are_unique_across_more_than_one_byte(sound: Cloud, token: str) -> None:
    seen = {enrol(sound, token, f"rack-{number}").body["nebulaOverlayIp"] for number in range(300)}
    assert len(seen) == 300
    assert {"100.96.1.0", "100.96.2.43"} <= seen


def test_the_same_world_hands_out_the_same_bundle() -> None:
    def handed() -> dict[str, Any]:
        cloud = Cloud(seed=3)
        bundle: dict[str, Any] = enrol(cloud, token_of(party(cloud, "globex"))).body
        return bundle

    assert handed() == handed()


# -- heartbeats --------------------------------------------------------------------------------------------


def test_capacity_counts_from_the_first_heartbeat(sound: Cloud, token: str, globex: Party) -> None:
    before = available(sound)
    node_id = enrolled(sound, token, gpuInventory=inventory((RTX_4090, 4)), ramGb=128)
    sound.advance(9.999)
    assert (node(sound, node_id).status, available(sound)) == ("offline", before)
    sound.advance(0.001)
    assert (node(sound, node_id).status, available(sound)) == ("online", before + 4)
    body = {"name": "own", "gpuModelId": "rtx-4090", "nodeId": node_id, "gpuCount": 4}
    vm = globex.post("/v1/orgs/{org}/vms/create", body).body
    assert sound.simulator.advance_until_status(vm["id"], "running")
    told = [
        (entry["trigger"], entry["to"]) for entry in sound.entries("transition") if entry["name"] == "rack-1"
    ]
    assert told == [("enrol", "offline"), ("answer", "online")]


def test_what_waits_in_the_queue_starts_on_a_new_node(open_cloud: Open) -> None:
    cloud = open_cloud("full", vms__queue=True)
    vm = cloud.launch()
    assert vm["status"] == "pending"
    enrolled(cloud, token_of(party(cloud, "globex")), gpuInventory=inventory((RTX_4090, 1)))
    cloud.advance(10)
    assert cloud.vm(vm["id"])["status"] == "deploying"
    check_world(cloud.world)


def test_a_node_that_is_never_heard_stays_offline(open_cloud: Open) -> None:
    cloud = open_cloud(timing__node__first_heartbeat_s="never")
    node_id = enrolled(cloud, token_of(party(cloud, "globex")))
    cloud.advance(30 * DAY)
    assert node(cloud, node_id).status == "offline"
    cloud.do("node.online", id=node_id)
    assert node(cloud, node_id).status == "online"


@pytest.mark.parametrize(
    ("action", "status"), [("node.offline", "offline"), ("removed", "removed"), ("draining", "draining")]
)
def test_what_happens_before_the_first_heartbeat_holds(
    sound: Cloud, token: str, action: str, status: str
) -> None:
    node_id = enrolled(sound, token)
    if action == "node.offline":
        sound.do(action, id=node_id)
    else:
        sound.do("node.set_status", id=node_id, status=action)
    sound.advance(60)
    assert node(sound, node_id).status == status
    assert node(sound, node_id).alive == (status == "draining")


def test_silence_may_go_unnoticed_for_a_while(sound: Cloud) -> None:
    vm = sound.run_vm()
    sound.do("node.offline", node_of="trainer", noticed_after_s=120)
    sound.advance(119.999)
    assert sound.vm(vm["id"])["status"] == "running"
    sound.advance(0.001)
    assert sound.vm(vm["id"])["status"] == "interrupted"
    sound.do("node.online", node_of="trainer")
    assert sound.vm(vm["id"])["status"] == "running"


def test_a_node_that_answers_in_time_was_never_offline(sound: Cloud) -> None:
    vm = sound.run_vm()
    sound.do("node.offline", node_of="trainer", noticed_after_s=120)
    sound.advance(60)
    sound.do("node.online", node_of="trainer")
    sound.advance(600)
    assert sound.vm(vm["id"])["status"] == "running"


def test_a_removed_node_cannot_fall_silent_later_either(sound: Cloud) -> None:
    sound.do("node.set_status", name="sto-3090-1", status="removed")
    version = sound.world.version
    with pytest.raises(Refusal, match="removed"):
        sound.do("node.offline", name="sto-3090-1", noticed_after_s=5)
    assert sound.world.version == version


def test_enrolling_needs_no_other_credential_and_ignores_one(sound: Cloud, token: str) -> None:
    body = {"token": token, "hardwareFingerprint": "f", "nebulaPubkey": "n", "cpuCores": 8, "ramGb": 32}
    assert sound.post(ENROL, body, key="").status == 200
    assert sound.post(ENROL, body).status == 200
