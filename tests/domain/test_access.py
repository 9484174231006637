"""Credentials and scopes: what a secret is, what is kept of it, what opens what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from simulator.domain import access
from simulator.domain.access import KNOWN_SCOPES, ApiKey, Session
from simulator.kernel.operation import Operation
from simulator.kernel.refusal import Refusal
from simulator.registry import OPERATIONS
from simulator.resources.vms.lifecycle import Vm
from tests.support.cloud import Cloud
from tests.support.people import KEYS, mint, newcomer, refused, session_of

ME = "/v1/whoami"
Open = Callable[..., Cloud]


# -- secrets


def test_a_key_is_long_ends_with_the_worlds_tag_and_only_its_digest_is_kept(cloud: Cloud) -> None:
    made = mint(cloud)
    secret = made["key"]
    assert (secret[:3], len(secret), secret[-8:]) == ("vl_", 43, access.world_tag("default"))
    row = cloud.world.get(ApiKey, made["id"])
    assert (row.prefix, row.digest) == (secret[:8], access.digest(secret))
    assert secret not in str(row)


def test_tags_tell_worlds_apart() -> None:
    tags = {access.world_tag(name) for name in ("default", "a", "b", "Default", *map(str, range(1000)))}
    assert len(tags) == 1004


def test_the_same_seed_mints_the_same_keys_and_another_seed_others(open_cloud: Open) -> None:
    first, again, other = open_cloud(seed=7), open_cloud(seed=7), open_cloud(seed=8)
    assert mint(first)["key"] == mint(again)["key"] != mint(other)["key"]


def test_secrets_reach_neither_rows_nor_journal(cloud: Cloud) -> None:
    secrets = [cloud.key, mint(cloud)["key"], session_of(cloud, "owner"), newcomer(cloud)]
    for secret in secrets:
        cloud.get(ME, key=secret)
    cloud.get(ME, key=secrets[0] + "x")
    kept = str([entry.facts for entry in cloud.world.journal]) + str(cloud.rows(ApiKey) + cloud.rows(Session))
    assert [secret for secret in secrets if secret in kept] == []


def test_keys_of_a_fork_are_its_own(cloud: Cloud) -> None:
    twin = cloud.worlds.fork("default", "twin")
    ((_, first), *_), ((_, second), *_) = (
        access.fixture_keys(each.world) for each in (cloud.simulator, twin)
    )
    assert first != second
    before = len(cloud.world.journal), len(twin.world.journal)
    assert cloud.get(ME, key=second).status == 200
    assert (len(cloud.world.journal), len(twin.world.journal)) == (before[0], before[1] + 1)


# -- 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "{key}", "Token {key}", "Bearer {key}x", "Bearer x{key}"],
)
def test_a_malformed_or_unknown_credential_is_401(cloud: Cloud, header: str) -> None:
    refused(cloud.get(ME, key="", authorization=header.format(key=cloud.key)), 401, "unauthorized")


@pytest.mark.parametrize("header", ["Bearer {key}", "bearer {key}", "BEARER  {key} "])
def test_case_and_spaces_around_a_credential_do_not_matter(cloud: Cloud, header: str) -> None:
    assert cloud.get(ME, key="", authorization=header.format(key=cloud.key)).status == 200


def test_a_short_wrong_credential_is_not_repeated_in_the_message(cloud: Cloud) -> None:
    assert "hunter2" not in refused(cloud.get(ME, key="hunter2"), 401)


def test_x_api_key_counts_on_the_inference_host_only(cloud: Cloud) -> None:
    refused(cloud.get(ME, key="", x_api_key=cloud.key), 401, "unauthorized")
    principal = access.authenticate(cloud.world, {"x-api-key": cloud.key}, inference=True)
    assert (principal.kind, principal.organization_id) == ("api_key", cloud.org)
    with pytest.raises(Refusal):
        access.authenticate(cloud.world, {"x-api-key": cloud.key})


def test_both_prefixes_are_accepted_whatever_is_minted(open_cloud: Open) -> None:
    for prefix in ("vl_", "or_"):
        cloud = open_cloud(keys__prefix=prefix)
        made = mint(cloud)
        assert made["key"].startswith(prefix)
        other = made["key"].replace(prefix, "or_" if prefix == "vl_" else "vl_")
        row = access.add_key(
            cloud.world, other, organization_id=cloud.org, name="old", created_by=_maker(cloud)
        )
        assert cloud.get(ME, key=other).body["key"]["id"] == row.id


def _maker(cloud: Cloud) -> str:
    return cloud.rows(ApiKey)[0].created_by


def test_a_revoked_key_is_401_at_once(cloud: Cloud) -> None:
    made = mint(cloud)
    cloud.delete(f"{KEYS}/{made['id']}")
    refused(cloud.get(ME, key=made["key"]), 401, "REVOKED_API_KEY")


def test_a_revoked_key_works_on_for_the_delay_that_is_set(open_cloud: Open) -> None:
    cloud = open_cloud(keys__revocation_delay_s=5)
    made = mint(cloud)
    cloud.delete(f"{KEYS}/{made['id']}")
    cloud.advance(4.999)
    assert cloud.get(ME, key=made["key"]).status == 200
    cloud.advance(0.001)
    refused(cloud.get(ME, key=made["key"]), 401, "REVOKED_API_KEY")


def test_a_key_ends_at_its_moment(cloud: Cloud) -> None:
    secret = mint(cloud, expiresInSeconds=60)["key"]
    cloud.advance(59.999)
    assert cloud.get(ME, key=secret).status == 200
    cloud.advance(0.001)
    refused(cloud.get(ME, key=secret), 401, "EXPIRED_API_KEY")


def test_a_session_ends_after_its_hours(cloud: Cloud) -> None:
    token = cloud.do("session.create", user="ada@acme.example", hours=0.5)["token"]
    cloud.advance(1799)
    assert cloud.get(ME, key=token).status == 200
    cloud.advance(1)
    assert "expired" in refused(cloud.get(ME, key=token), 401, "unauthorized")


# -- use


def last_used(cloud: Cloud, key_id: str) -> int | None:
    return cloud.world.get(ApiKey, key_id).last_used_at_ms


def test_a_call_that_was_carried_out_is_a_use_and_is_noted_once_a_minute(cloud: Cloud) -> None:
    made, begin = mint(cloud), cloud.world.now_ms
    assert last_used(cloud, made["id"]) is None
    cloud.get(ME, key=made["key"])
    cloud.advance(59)
    version = cloud.world.version
    cloud.get(ME, key=made["key"])
    assert (last_used(cloud, made["id"]), cloud.world.version) == (begin, version)
    cloud.advance(1)
    cloud.get(ME, key=made["key"])
    assert last_used(cloud, made["id"]) == begin + 60_000


def test_a_refused_call_is_no_use_and_changes_nothing(cloud: Cloud) -> None:
    made, version = mint(cloud), cloud.world.version
    refused(cloud.get("/v1/orgs/other/vms", key=made["key"]), 403)
    refused(cloud.get("/v1/vms/none", key=made["key"]), 404)
    refused(cloud.post("/v1/orgs/{org}/vms/create", {}, key=made["key"]), 400)
    assert last_used(cloud, made["id"]) is None
    assert cloud.world.version == version


# -- 403


def operation_like(name: str, **fields: Any) -> Operation:
    return msgspec.structs.replace(OPERATIONS[name], **{"finds": None, **fields})


def test_a_session_without_an_organization_may_do_only_what_needs_none(cloud: Cloud) -> None:
    principal = access.authenticate(cloud.world, {"authorization": f"Bearer {newcomer(cloud)}"})
    for allowed in ({"role": ""}, {"scope": "any"}, {"finds": Vm}):
        access.authorize(cloud.world, operation_like("getVm", **allowed), principal, "")
    for scope in ("vms", "inference"):
        with pytest.raises(Refusal, match="bootstrap") as refusal:
            access.authorize(cloud.world, operation_like("getVm", scope=scope), principal, "")
        assert refusal.value.code == "forbidden"


# -- scopes


FAMILIES = [(family, write) for family in ("vms", "clusters", "billing", "admin") for write in (False, True)]


@pytest.mark.parametrize(("family", "write"), FAMILIES)
def test_in_observed_mode_the_clusters_scope_opens_everything_and_vms_nothing(
    family: str, write: bool
) -> None:
    verb = "write" if write else "read"
    opening = access.scopes_for("observed", family, write=write)
    assert f"clusters:{verb}" in opening
    assert not {scope for scope in opening if scope.startswith("vms:")}
    assert all(scope.endswith(f":{verb}") for scope in opening)


def test_in_documented_mode_each_area_has_the_scopes_of_the_table() -> None:
    table = {
        "vms": {"vms:read", "clusters:read"},
        "clusters": {"clusters:read"},
        "billing": {"billing:read"},
        "admin": {"clusters:read"},
        "inference": {"inference"},
    }
    for family, scopes in table.items():
        assert access.scopes_for("documented", family, write=False) == scopes
        writing = {scope.replace(":read", ":write") for scope in scopes}
        assert access.scopes_for("documented", family, write=True) == writing


def test_reading_and_writing_are_opened_apart() -> None:
    assert access.opened("documented", ["vms:write"]) == {("vms", True)}
    assert access.opened("observed", ["vms:write", "vms:read"]) == set()
    assert access.opened("observed", ["inference"]) == {("inference", False), ("inference", True)}


def test_known_scopes_are_taken_once_each_and_others_refused_with_the_known_ones() -> None:
    assert access.check_scopes([*KNOWN_SCOPES, *KNOWN_SCOPES]) == KNOWN_SCOPES
    for scope in ("vms", "vms:delete", "VMS:read", "vms:read ", "", "root:read", "x" * 10_000):
        with pytest.raises(Refusal, match="clusters:write"):
            access.check_scopes(["vms:read", scope])
