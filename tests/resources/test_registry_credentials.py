"""Logins for container registries: what each type needs, and secrets that never come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from simulator.domain.registries import FIELDS, RegistryCredential
from simulator.resources.vms.lifecycle import Vm
from tests.support.cloud import Answer, Cloud
from tests.support.parties import party
from tests.support.people import refused

PATH = "/v1/orgs/{org}/registry-credentials"
SECRETS = {
    "basic": {"username": "robot-4711", "password": "pass-4711"},
    "aws_ecr": {"accessKeyId": "AKIA-4711", "secretAccessKey": "aws-4711", "region": "region-4711"},
    "gcp_gcr": {"serviceAccountKey": '{"private_key": "gcp-4711"}'},
}
Open = Callable[..., Cloud]


def create(cloud: Cloud, auth_type: str = "basic", **body: Any) -> Answer:
    wanted = {
        "name": f"my {auth_type}",
        "server": "registry.example.com",
        "authType": auth_type,
        "credentials": SECRETS.get(auth_type, {}),
    }
    return cloud.post(f"{PATH}/create", {**wanted, **body})


@pytest.mark.parametrize("auth_type", FIELDS)
def test_a_login_is_listed_without_its_secrets(cloud: Cloud, auth_type: str) -> None:
    answer = create(cloud, auth_type)
    assert answer.status == 200
    assert answer.body == {
        "id": answer.body["id"],
        "name": f"my {auth_type}",
        "server": "registry.example.com",
        "authType": auth_type,
        "createdAt": "2026-06-15T09:00:00.000Z",
    }
    assert cloud.get(PATH).body == [answer.body]


@pytest.mark.parametrize("auth_type", FIELDS)
def test_nothing_of_a_secret_is_in_rows_journal_or_answers(cloud: Cloud, auth_type: str) -> None:
    create(cloud, auth_type)
    short = dict(list(SECRETS[auth_type].items())[:-1]) | {"extra": "extra-4711"}
    refused(create(cloud, auth_type, credentials=short), 400)
    kept = [msgspec.json.encode(row) for row in cloud.rows(RegistryCredential)]
    kept += [msgspec.json.encode(entry.facts) for entry in cloud.world.journal]
    kept.append(msgspec.json.encode(create(cloud, auth_type, credentials=short).body))
    assert b"4711" not in b"".join(kept)


def test_logins_are_listed_newest_first_and_per_organization(cloud: Cloud) -> None:
    for auth_type in FIELDS:
        create(cloud, auth_type)
        cloud.advance(1)
    assert [row["authType"] for row in cloud.get(PATH).body] == [*reversed(FIELDS)]
    assert party(cloud, "globex").get(PATH).body == []


@pytest.mark.parametrize(
    ("auth_type", "missing"), [(auth_type, name) for auth_type, names in FIELDS.items() for name in names]
)
@pytest.mark.parametrize("empty", [False, True])
def test_a_missing_or_empty_field_is_400_and_named(
    cloud: Cloud, auth_type: str, missing: str, empty: bool
) -> None:
    fields = {name: value for name, value in SECRETS[auth_type].items() if name != missing}
    version = cloud.world.version
    answer = create(cloud, auth_type, credentials={**fields, **({missing: ""} if empty else {})})
    assert f"missing is {missing}" in refused(answer, 400, "bad_request")
    assert cloud.world.version == version


@pytest.mark.parametrize(
    "body",
    [
        {"authType": "ldap"},
        {"authType": None},
        {"name": ""},
        {"name": "x" * 64},
        {"server": ""},
        {"server": "ghcr.io/a b"},
        {"server": "x" * 254},
        {"server": "ghcr.io\n"},
        {"credentials": "username"},
        {"credentials": {"username": 1, "password": "x"}},
    ],
)
def test_what_cannot_be_meant_is_400(cloud: Cloud, body: dict[str, Any]) -> None:
    version = cloud.world.version
    refused(create(cloud, **body), 400)
    assert cloud.world.version == version


def test_two_logins_may_have_one_name(cloud: Cloud) -> None:
    assert create(cloud).body["id"] != create(cloud).body["id"]


def test_a_deleted_login_is_gone_and_deleting_again_is_204(cloud: Cloud) -> None:
    login = create(cloud).body["id"]
    assert [cloud.delete(f"{PATH}/{login}").status for _ in range(2)] == [204, 204]
    assert cloud.delete(f"{PATH}/none").status == 204
    assert cloud.get(PATH).body == []


def test_deleting_anothers_login_is_204_and_does_nothing(cloud: Cloud) -> None:
    login = create(cloud).body
    assert party(cloud, "globex").delete(f"{PATH}/{login['id']}").status == 204
    assert cloud.get(PATH).body == [login]


def test_a_vm_takes_a_live_login_of_its_organization_and_no_other(cloud: Cloud) -> None:
    login = create(cloud).body["id"]
    vm = cloud.launch(registryCredentialId=login)
    assert cloud.world.get(Vm, vm["id"]).registry_credential_id == login
    foreign = {"name": "x", "registryCredentialId": login}
    answer = party(cloud, "globex").post("/v1/orgs/{org}/vms/create", foreign)
    assert login in refused(answer, 400, "bad_request")


def test_a_login_in_use_can_be_deleted_and_its_vm_runs_on(cloud: Cloud) -> None:
    login = create(cloud).body["id"]
    vm = cloud.run_vm(registryCredentialId=login)
    assert cloud.delete(f"{PATH}/{login}").status == 204
    cloud.advance(3600)
    assert cloud.vm(vm["id"])["status"] == "running"
    answer = cloud.post("/v1/orgs/{org}/vms/create", {"name": "next", "registryCredentialId": login})
    assert login in refused(answer, 400, "bad_request")
