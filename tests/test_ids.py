"""Every operation with the id of a resource in its path: an id that is unknown, another organization's, gone.

The rows are real ones, made as a client makes them; that every operation refuses by the same order, whatever
its rows, is in tests/test_access_order.py. What is answered is what the contract promises: 404, the 204 of a
delete that may be repeated, or the table's word for what has ended and stays visible. Nothing changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from simulator import assets
from simulator.contract import Contract
from simulator.dispatch import CREDENTIAL_KINDS
from simulator.registry import OPERATIONS
from tests.support.batches import CHAT, jsonl, record, send
from tests.support.cloud import Answer, Cloud
from tests.support.parties import Party, party
from tests.support.people import LINES, newcomer
from tests.support.webhooks import URL

Open = Callable[..., Cloud]

SPECS = Contract(assets.contract_document()).operations
DAY_S = 24 * 3600
UNKNOWN = "00000000-0000-4000-8000-000000000000"
INSTALLATIONS = {"acme": 4001, "globex": 4002}


# -- rows as a client makes and ends them


def made(answer: Answer, member: str = "id") -> str:
    assert answer.status == 200, answer
    value: str = answer.body[member]
    return value


def vm(owner: Party) -> str:
    body = {"name": "one", "gpuModelId": "rtx-3090"}
    vm_id = made(owner.post("/v1/orgs/{org}/vms/create", body))
    owner.cloud.simulator.advance_until_status(vm_id, "running")
    return vm_id


def cluster(owner: Party) -> str:
    body = {"name": "many", "gpuModelId": "l40s"}
    cluster_id = made(owner.post("/v1/orgs/{org}/clusters/create", body))
    owner.cloud.simulator.advance_until_status(cluster_id, "running")
    return cluster_id


def snapshot(owner: Party) -> str:
    return made(owner.post(f"/v1/vms/{vm(owner)}/snapshots", {"name": "one"}))


def transfer(owner: Party) -> str:
    """An offer to the owner, which it can accept."""
    source = party(owner.cloud, f"friend-of-{owner.slug}")
    return source.offered(vm(source), owner)


def offer(owner: Party) -> str:
    """An offer of the owner's, which it can withdraw."""
    return owner.offered(vm(owner), party(owner.cloud, f"friend-of-{owner.slug}"))


def api_key(owner: Party) -> str:
    return made(owner.post("/v1/orgs/{org}/api-keys/create", {"name": "one"}))


def ssh_key(owner: Party) -> str:
    body = {"name": "one", "publicKey": LINES["ed25519"]}
    return made(owner.post("/v1/orgs/{org}/ssh-keys/create", body))


def login(owner: Party) -> str:
    credentials = {"username": "ada", "password": "secret"}
    body = {"name": "one", "server": "ghcr.io", "authType": "basic", "credentials": credentials}
    return made(owner.post("/v1/orgs/{org}/registry-credentials/create", body))


def webhook(owner: Party) -> str:
    return made(owner.post("/v1/orgs/{org}/webhooks/create", {"name": "one", "url": URL, "events": []}))


def card(owner: Party) -> str:
    saved: str = owner.cloud.do("card.save", id=owner.org)["card"]
    return saved


def pool(owner: Party) -> str:
    body = {"name": "ci", "installationId": INSTALLATIONS[owner.slug], "poolRamGb": 32}
    return made(owner.post("/v1/orgs/{org}/runner-pools", body))


def file(owner: Party) -> str:
    return made(send(owner.cloud, jsonl(record("one")), key=owner.key))


def batch(owner: Party) -> str:
    body = {"endpoint": CHAT, "completion_window": "24h", "requests": [record("one")]}
    return made(owner.post("/v1/batches", body))


def member(owner: Party) -> str:
    email = f"member@{owner.slug}.example"
    newcomer(owner.cloud, email)
    return made(owner.post("/v1/orgs/{org}/members/add", {"email": email, "role": "member"}), "userId")


def invite(owner: Party) -> str:
    """An address that is invited."""
    email = f"guest@{owner.slug}.example"
    assert owner.post("/v1/orgs/{org}/members/add", {"email": email, "role": "member"}).status == 200
    return email


def provider(owner: Party) -> Party:
    """The owner, once it offers machines of its own."""
    if not owner.get("/v1/orgs/{org}/provider/status").body["isProvider"]:
        assert owner.post("/v1/orgs/{org}/provider/apply", {"note": "Two machines."}).status == 204
        owner.cloud.do("provider.approve", id=owner.org)
    return owner


def node(owner: Party) -> str:
    provider(owner)
    size = {"vcpu": 8, "ram_gb": 64, "disk_gb": 500, "location": "us-east"}
    owner.cloud.do("node.add", hostname=f"rack-{owner.slug}", organization=owner.slug, **size)
    listed = owner.get("/v1/orgs/{org}/provider/nodes").body
    node_id: str = next(row["id"] for row in listed if row["hostname"] == f"rack-{owner.slug}")
    return node_id


def token(owner: Party) -> str:
    return made(provider(owner).post("/v1/orgs/{org}/provider/tokens", {}))


def remove(owner: Party, node_id: str) -> None:
    owner.cloud.do("node.set_status", id=node_id, status="removed")


def expire(owner: Party, file_id: str) -> None:
    owner.cloud.advance(30 * DAY_S)


def wind_up(owner: Party, batch_id: str) -> None:
    assert owner.post(f"/v1/batches/{batch_id}/cancel").status == 200
    owner.cloud.simulator.advance_until_status(batch_id, "cancelled")


def by(verb: str, path: str) -> Callable[[Party, str], None]:
    """Ends a row by an operation; {id} in the path is its id."""

    def end(owner: Party, row_id: str) -> None:
        path_of = path.replace("{id}", row_id).replace("{org}", owner.org)
        answer = owner.cloud.call(verb, path_of, key=owner.key)
        assert answer.status in (200, 204), answer

    return end


class Kind(NamedTuple):
    """A kind of row: how it comes about and ends, and what its operations answer once it has."""

    make: Callable[[Party], str]
    end: Callable[[Party, str], None]
    ended: dict[str, int]
    bodies: dict[str, Any] = {}
    idempotent: tuple[str, ...] = ()
    """Operations that answer 204 for an id they do not know."""
    settings: dict[str, Any] = {}


KINDS = (
    Kind(
        vm,
        by("POST", "/v1/vms/{id}/terminate"),
        {
            **dict.fromkeys(("getVm", "getVmBurn", "getVmDetail", "getVmSshKeys", "getVmTelegramLink"), 200),
            "terminateVm": 200,
            **dict.fromkeys(("stopVm", "restartVm"), 409),
            **dict.fromkeys(("rebootVm", "resizeVmDisk", "createVmSnapshot"), 400),
            **dict.fromkeys(("attachVmSshKey", "setVmVisibility"), 400),
        },
        {
            "resizeVmDisk": {"newSizeGb": 500},
            "createVmSnapshot": {"name": "later"},
            "attachVmSshKey": {"sshKeyId": UNKNOWN},
            "setVmVisibility": {"public": True},
        },
    ),
    Kind(
        cluster,
        by("POST", "/v1/clusters/{id}/terminate"),
        {
            **dict.fromkeys(("getCluster", "getClusterDetail", "terminateCluster"), 200),
            **dict.fromkeys(("stopCluster", "restartCluster"), 404),
            "scaleCluster": 409,
        },
        {"scaleCluster": {"replicaCount": 2}},
    ),
    Kind(snapshot, by("DELETE", "/v1/snapshots/{id}"), {"deleteSnapshot": 409}),
    Kind(
        transfer,
        by("POST", "/v1/transfers/{id}/reject"),
        {"acceptTransfer": 404, "rejectTransfer": 404},
        {"acceptTransfer": {"sshKeyIds": [UNKNOWN]}},
    ),
    Kind(offer, by("POST", "/v1/transfers/{id}/cancel"), {"cancelTransfer": 404}),
    Kind(
        api_key,
        by("DELETE", "/v1/orgs/{org}/api-keys/{id}"),
        {"revokeOrgApiKey": 204},
        idempotent=("revokeOrgApiKey",),
    ),
    Kind(
        ssh_key,
        by("DELETE", "/v1/orgs/{org}/ssh-keys/{id}"),
        {"deleteOrgSshKey": 204},
        idempotent=("deleteOrgSshKey",),
    ),
    Kind(
        login,
        by("DELETE", "/v1/orgs/{org}/registry-credentials/{id}"),
        {"deleteOrgRegistryCredential": 204},
        idempotent=("deleteOrgRegistryCredential",),
    ),
    Kind(
        webhook,
        by("DELETE", "/v1/orgs/{org}/webhooks/{id}"),
        {
            "deleteOrgWebhook": 204,
            **dict.fromkeys(("updateOrgWebhook", "toggleOrgWebhook"), 404),
            **dict.fromkeys(("listOrgWebhookDeliveries", "regenerateOrgWebhookSecret"), 404),
        },
        {"updateOrgWebhook": {"name": "other"}, "toggleOrgWebhook": {"enabled": False}},
        idempotent=("deleteOrgWebhook",),
    ),
    Kind(
        card,
        by("DELETE", "/v1/orgs/{org}/billing/payment-methods/{id}"),
        {"deleteBillingPaymentMethod": 204},
        idempotent=("deleteBillingPaymentMethod",),
    ),
    Kind(
        pool,
        by("DELETE", "/v1/orgs/{org}/runner-pools/{id}"),
        {
            **dict.fromkeys(("getRunnerPool", "deleteRunnerPool"), 200),
            **dict.fromkeys(("listRunnerJobs", "getRunnerJobMetrics"), 200),
            "resizeRunnerPool": 400,
        },
        {"resizeRunnerPool": {"poolRamGb": 64}},
    ),
    Kind(file, expire, dict.fromkeys(("getFile", "completeFileUpload", "getFileContent"), 404)),
    Kind(batch, wind_up, {"getBatch": 200, "cancelBatch": 409}),
    Kind(
        member,
        by("DELETE", "/v1/orgs/{org}/members/{id}"),
        {"updateOrgMemberRole": 404, "removeOrgMember": 204},
        {"updateOrgMemberRole": {"role": "viewer"}},
        idempotent=("removeOrgMember",),
    ),
    Kind(
        invite,
        by("DELETE", "/v1/orgs/{org}/invites/{id}"),
        {"revokeOrgInvite": 204},
        idempotent=("revokeOrgInvite",),
        settings={"members__mode": "invite"},
    ),
    Kind(node, remove, {"updateProviderNode": 400}, {"updateProviderNode": {"status": "online"}}),
    Kind(
        token,
        by("DELETE", "/v1/orgs/{org}/provider/tokens/{id}"),
        {"revokeProvisioningToken": 204},
    ),
)
CASES = [(kind, name) for kind in KINDS for name in kind.ended]


def call(caller: Party, kind: Kind, name: str, row_id: str) -> int:
    """Make the call with a valid body; answers the status. Whatever it is, nothing has changed."""
    world = caller.cloud.world
    caller.get("/v1/whoami")  # the use of the key is noted once a minute
    path = re.sub(r"\{(\w+)\}", lambda found: caller.org if found[1] == "orgId" else row_id, SPECS[name].path)
    version, pending = world.version, len(world.clock)
    answer = caller.cloud.call(SPECS[name].method, path, kind.bodies.get(name), key=caller.key)
    assert (world.version, len(world.clock)) == (version, pending), answer
    assert str(answer.status) in SPECS[name].statuses, answer
    return answer.status


def test_every_operation_with_an_id_in_its_path_is_here() -> None:
    with_id = {
        name
        for name, spec in SPECS.items()
        if name in OPERATIONS
        and spec.auth in CREDENTIAL_KINDS
        and set(re.findall(r"\{(\w+)\}", spec.path)) - {"orgId"}
    }
    assert with_id == {name for _, name in CASES}


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[name for _, name in CASES])
def test_an_id_that_is_unknown_or_anothers(open_cloud: Open, kind: Kind, name: str) -> None:
    cloud = open_cloud(**kind.settings)
    acme, globex = party(cloud, "acme"), party(cloud, "globex")
    ours, theirs = kind.make(acme), kind.make(globex)
    expected = 204 if name in kind.idempotent else 404
    assert call(acme, kind, name, UNKNOWN) == expected
    assert call(acme, kind, name, theirs) == expected
    assert call(globex, kind, name, ours) == expected


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[name for _, name in CASES])
def test_the_id_of_what_has_ended(open_cloud: Open, kind: Kind, name: str) -> None:
    acme = party(open_cloud(**kind.settings), "acme")
    row_id = kind.make(acme)
    kind.end(acme, row_id)
    assert call(acme, kind, name, row_id) == kind.ended[name]
