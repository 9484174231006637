"""SSH keys of an organization, and what their deletion does to VMs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.domain.ssh import SshKey
from simulator.resources.vms.lifecycle import Vm
from tests.support.cloud import Cloud
from tests.support.people import FINGERPRINTS, LINES, mint, refused
from tests.support.vms import cloud_of_profile

PATH = "/v1/orgs/{org}/ssh-keys"
CREATE = f"{PATH}/create"
Open = Callable[..., Cloud]


def add(cloud: Cloud, name: str = "ed25519") -> str:
    """A key; answers its id."""
    answer = cloud.post(CREATE, {"name": name, "publicKey": LINES[name]})
    assert answer.status == 200, answer
    key_id: str = answer.body["id"]
    return key_id


def keys_of(cloud: Cloud, vm: dict[str, Any]) -> tuple[str, ...]:
    return cloud.world.get(Vm, vm["id"]).ssh_key_ids


def test_a_key_is_kept_canonically_with_its_fingerprint(cloud: Cloud) -> None:
    line = "  " + LINES["ed25519"].replace(" ", "   ") + "\n"
    answer = cloud.post(CREATE, {"name": "laptop", "publicKey": line})
    assert answer.status == 200
    assert answer.body == {
        "id": answer.body["id"],
        "name": "laptop",
        "publicKey": LINES["ed25519"],
        "fingerprint": FINGERPRINTS["ed25519"],
        "createdAt": "2026-06-15T09:00:00.000Z",
        "attachedVmCount": 0,
        "blockingVms": [],
    }
    assert cloud.get(PATH).body == [answer.body]


def test_keys_are_listed_newest_first_and_per_organization(cloud: Cloud) -> None:
    for name in LINES:
        add(cloud, name)
        cloud.advance(1)
    assert [row["name"] for row in cloud.get(PATH).body] == [*reversed(LINES)]
    made = cloud.do("org.create", name="Initech", owner="bill@initech.example")
    assert cloud.get(f"/v1/orgs/{made['organization']}/ssh-keys", key=made["key"]).body == []


def test_known_material_is_409_whatever_its_comment_and_name(cloud: Cloud) -> None:
    add(cloud)
    version = cloud.world.version
    material = " ".join(LINES["ed25519"].split()[:2])
    for line in (LINES["ed25519"], material, f"{material} somewhere else"):
        message = refused(cloud.post(CREATE, {"name": "again", "publicKey": line}), 409, "KEY_EXISTS")
        assert FINGERPRINTS["ed25519"] in message
    assert cloud.world.version == version


def test_two_organizations_may_have_the_same_key(cloud: Cloud) -> None:
    add(cloud)
    made = cloud.do("org.create", name="Initech", owner="bill@initech.example")
    body = {"name": "same", "publicKey": LINES["ed25519"]}
    assert cloud.post(f"/v1/orgs/{made['organization']}/ssh-keys/create", body, key=made["key"]).status == 200


@pytest.mark.parametrize(
    "line", ["", "ssh-rsa", "ssh-dss AAAA", "-----BEGIN RSA PRIVATE KEY-----", "x" * 100_000]
)
def test_a_bad_line_is_invalid_key(cloud: Cloud, line: str) -> None:
    cloud.get(PATH)
    version = cloud.world.version
    refused(cloud.post(CREATE, {"name": "x", "publicKey": line}), 400, "INVALID_KEY")
    assert cloud.world.version == version


@pytest.mark.parametrize(
    "body", [{"name": "", "publicKey": LINES["ed25519"]}, {"name": "x"}, {"publicKey": "x"}, []]
)
def test_a_request_without_name_or_line_is_400(cloud: Cloud, body: object) -> None:
    refused(cloud.post(CREATE, body), 400, "bad_request")


# -- deleting


def test_a_deleted_key_is_taken_from_its_vms(cloud: Cloud) -> None:
    first, second = add(cloud), add(cloud, "nistp256")
    both = cloud.launch("both", sshKeyIds=[first, second])
    alone = cloud.launch("alone", gpuModelId="rtx-3090", sshKeyIds=[first])
    assert [row["attachedVmCount"] for row in cloud.get(PATH).body if row["id"] == first] == [2]
    assert cloud.delete(f"{PATH}/{first}").status == 204
    assert (keys_of(cloud, both), keys_of(cloud, alone)) == ((second,), ())
    assert [row["id"] for row in cloud.get(PATH).body] == [second]
    assert cloud.world.find(SshKey, first) is None
    assert add(cloud) != first


def test_a_terminated_vm_does_not_count(cloud: Cloud) -> None:
    key_id = add(cloud)
    vm = cloud.launch(sshKeyIds=[key_id])
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    assert cloud.get(PATH).body[0]["attachedVmCount"] == 0


def test_deleting_an_unknown_key_is_204_and_so_is_anothers_without_effect(cloud: Cloud) -> None:
    made = cloud.do("org.create", name="Initech", owner="bill@initech.example")
    body = {"name": "theirs", "publicKey": LINES["ed25519"]}
    theirs = cloud.post(f"/v1/orgs/{made['organization']}/ssh-keys/create", body, key=made["key"]).body["id"]
    cloud.get(PATH)
    version = cloud.world.version
    for key_id in ("none", theirs):
        assert cloud.delete(f"{PATH}/{key_id}").status == 204
    assert cloud.world.version == version


@pytest.mark.parametrize(("profile", "status"), [("2026-06", 204), ("2026-07", 204), ("2026-10", 409)])
def test_the_last_key_of_a_vm_is_the_profiles(open_cloud: Open, profile: str, status: int) -> None:
    cloud = cloud_of_profile(open_cloud, profile)
    first = add(cloud)
    vm = cloud.launch("guarded", sshKeyIds=[first])
    version = cloud.world.version
    answer = cloud.delete(f"{PATH}/{first}")
    assert answer.status == status
    if status == 409:
        assert "guarded" in refused(answer, 409, "KEY_IN_USE")
        assert (keys_of(cloud, vm), cloud.world.version) == ((first,), version)


def test_where_it_is_guarded_another_key_or_the_end_of_the_vm_frees_it(open_cloud: Open) -> None:
    cloud = open_cloud(sshkeys__in_use="refused")
    first, second = add(cloud), add(cloud, "nistp256")
    vm = cloud.launch(sshKeyIds=[first])
    blocking = {row["id"]: row["blockingVms"] for row in cloud.get(PATH).body}
    assert blocking == {first: [vm["id"]], second: []}
    cloud.post(f"/v1/vms/{vm['id']}/ssh-keys", {"sshKeyId": second})
    assert all(row["blockingVms"] == [] for row in cloud.get(PATH).body)
    assert cloud.delete(f"{PATH}/{first}").status == 204
    refused(cloud.delete(f"{PATH}/{second}"), 409, "KEY_IN_USE")
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    assert cloud.delete(f"{PATH}/{second}").status == 204


# -- scopes


def test_the_vms_scopes_open_ssh_keys_in_documented_mode(cloud: Cloud) -> None:
    reader, writer = mint(cloud, "vms:read")["key"], mint(cloud, "vms:write")["key"]
    body = {"name": "x", "publicKey": LINES["ed25519"]}
    assert cloud.get(PATH, key=reader).status == 200
    refused(cloud.post(CREATE, body, key=reader), 403, "forbidden")
    assert cloud.post(CREATE, body, key=writer).status == 200
    refused(cloud.get(PATH, key=writer), 403, "forbidden")
