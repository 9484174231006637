"""API keys: what is asked for, what is answered once, what a list shows, who may make and revoke."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.domain import access
from simulator.domain.access import KNOWN_SCOPES, SCOPES, ApiKey
from simulator.kernel.refusal import Refusal
from tests.support.cloud import Cloud
from tests.support.people import KEYS, mint, refused, session_of
from tests.support.vms import cloud_of_profile

CREATE = f"{KEYS}/create"
WRITES = ("clusters:write", "clusters:read")
"""What a key needs to make another one, and to see the list."""

Open = Callable[..., Cloud]


def listed(cloud: Cloud) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in cloud.get(KEYS).body}


# -- making


def test_the_plaintext_is_answered_once_and_works(cloud: Cloud) -> None:
    made = mint(cloud, name="ci", note="for the pipeline")
    assert set(made) == {"id", "name", "key", "keyPrefix", "scopes", "createdAt", "organizationId"}
    assert made["id"].startswith("key_")
    assert (made["name"], made["organizationId"], made["keyPrefix"]) == ("ci", cloud.org, made["key"][:8])
    assert cloud.get("/v1/whoami", key=made["key"]).status == 200
    assert made["key"] not in str(cloud.get(KEYS).body)
    assert listed(cloud)[made["id"]]["note"] == "for the pipeline"


def test_a_key_made_with_a_name_only_opens_everything(cloud: Cloud) -> None:
    made = mint(cloud)
    assert made["scopes"] == list(SCOPES)
    for path in ("/v1/orgs/{org}/vms", "/v1/orgs/{org}/billing/balance", KEYS):
        assert cloud.get(path, key=made["key"]).status == 200
    assert cloud.post(CREATE, {"name": "next"}, key=made["key"]).status == 200


@pytest.mark.parametrize(("profile", "prefix"), [("2026-06", "vl_"), ("2026-07", "vl_"), ("2026-10", "or_")])
def test_the_prefix_is_the_profiles(open_cloud: Open, profile: str, prefix: str) -> None:
    cloud = cloud_of_profile(open_cloud, profile)
    assert cloud.key.startswith(prefix)
    assert mint(cloud)["key"].startswith(prefix)


def test_scopes_are_kept_as_asked_each_once(cloud: Cloud) -> None:
    made = mint(cloud, "vms:write", "billing:write", "vms:write")
    assert made["scopes"] == ["vms:write", "billing:write"]
    assert mint(cloud, *KNOWN_SCOPES)["scopes"] == list(KNOWN_SCOPES)


@pytest.mark.parametrize(
    "scope", ["admin", "vms", "vms:delete", "VMS:READ", "", "root:write", "inference:write", 7]
)
def test_an_unknown_scope_is_400(cloud: Cloud, scope: object) -> None:
    cloud.get(KEYS)
    version = cloud.world.version
    refused(cloud.post(CREATE, {"name": "x", "scopes": ["vms:read", scope]}), 400, "bad_request")
    assert cloud.world.version == version


@pytest.mark.parametrize("verb", ["read", "write"])
def test_in_observed_mode_vms_scopes_come_with_the_matching_clusters_scope(
    open_cloud: Open, verb: str
) -> None:
    other = "read" if verb == "write" else "write"
    observed, documented = open_cloud(scopes__mode="observed"), open_cloud()
    for scopes in ([f"vms:{verb}"], [f"vms:{verb}", f"clusters:{other}"]):
        body = {"name": "x", "scopes": scopes}
        assert f"clusters:{verb}" in refused(observed.post(CREATE, body), 400, "bad_request")
        assert documented.post(CREATE, body).status == 200
    assert mint(observed, f"vms:{verb}", f"clusters:{verb}")["scopes"] == [f"vms:{verb}", f"clusters:{verb}"]


def test_an_older_key_with_vms_write_alone_opens_no_vm_in_observed_mode(open_cloud: Open) -> None:
    """What a real client met: reads work, restart is FORBIDDEN [client]."""
    cloud = open_cloud(scopes__mode="observed")
    vm = cloud.run_vm()
    fields = {"organization_id": cloud.org, "name": "old", "created_by": cloud.rows(ApiKey)[0].created_by}
    secret = access.mint(cloud.world, "or_", "test")
    access.add_key(cloud.world, secret, scopes=("clusters:read", "vms:read", "vms:write"), **fields)
    assert cloud.get(f"/v1/vms/{vm['id']}", key=secret).status == 200
    refused(cloud.post(f"/v1/vms/{vm['id']}/restart", key=secret), 403, "forbidden")


@pytest.mark.parametrize("seconds", [0, -1, -(2**63)])
def test_no_positive_span_means_never(cloud: Cloud, seconds: int) -> None:
    made = mint(cloud, expiresInSeconds=seconds)
    assert "expiresAt" not in made
    cloud.advance(400 * 86400)
    assert cloud.get("/v1/whoami", key=made["key"]).status == 200


def test_a_span_sets_the_end(cloud: Cloud) -> None:
    assert mint(cloud, expiresInSeconds=3600)["expiresAt"] == "2026-06-15T10:00:00.000Z"


@pytest.mark.parametrize("seconds", [2**63 - 1, 10**12, 2**63, 1.5, "60", None])
def test_a_span_that_makes_no_sense_is_400(cloud: Cloud, seconds: object) -> None:
    cloud.get(KEYS)
    version = cloud.world.version
    refused(cloud.post(CREATE, {"name": "x", "expiresInSeconds": seconds}), 400, "bad_request")
    assert cloud.world.version == version


@pytest.mark.parametrize("name", ["", "  ", "x" * 64, None, 7])
def test_a_key_needs_a_name(cloud: Cloud, name: object) -> None:
    refused(cloud.post(CREATE, {"name": name}), 400, "bad_request")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("permissions", ["vms:read"]),
        ("restrictions", {"ipRanges": ["10.0.0.0/8"]}),
        ("serviceAccountId", "sa_1"),
        ("template", "ci"),
        ("kind", "personal"),
    ],
)
def test_what_would_narrow_a_key_and_is_not_simulated_is_refused(
    cloud: Cloud, member: str, value: object
) -> None:
    assert member in refused(cloud.post(CREATE, {"name": "x", member: value}), 400, "bad_request")


def test_a_key_of_the_ordinary_kind_may_be_asked_for(cloud: Cloud) -> None:
    assert mint(cloud, kind="org", restrictions={}, permissions=[])["scopes"] == list(SCOPES)


# -- keys that make keys


def test_a_key_without_scopes_asked_for_opens_what_its_maker_opens(cloud: Cloud) -> None:
    maker = mint(cloud, *WRITES)["key"]
    assert mint(cloud, key=maker)["scopes"] == list(WRITES)


def test_no_key_makes_one_that_opens_more_than_itself(cloud: Cloud) -> None:
    maker = mint(cloud, "clusters:write", "billing:read")["key"]
    for scopes in (["clusters:write"], ["vms:write"], ["billing:read", "vms:write"]):
        assert cloud.post(CREATE, {"name": "x", "scopes": scopes}, key=maker).status == 200
    version = cloud.world.version
    for scopes in (["clusters:read"], ["vms:read"], ["billing:write"], ["inference"], list(SCOPES)):
        answer = cloud.post(CREATE, {"name": "x", "scopes": scopes}, key=maker)
        refused(answer, 403, "ESCALATION_REFUSED")
    assert cloud.world.version == version


def test_in_observed_mode_clusters_write_gives_away_all_writes(open_cloud: Open) -> None:
    cloud = open_cloud(scopes__mode="observed")
    maker = mint(cloud, "clusters:write")["key"]
    assert mint(cloud, "billing:write", key=maker)["scopes"] == ["billing:write"]
    refused(
        cloud.post(CREATE, {"name": "x", "scopes": ["billing:read"]}, key=maker), 403, "ESCALATION_REFUSED"
    )


def test_where_only_sessions_make_keys_a_key_is_403(open_cloud: Open) -> None:
    cloud = open_cloud(keys__minted_by="session")
    cloud.get(KEYS)
    version = cloud.world.version
    refused(cloud.post(CREATE, {"name": "x"}), 403, "forbidden")
    refused(cloud.post(CREATE, b"{"), 403, "forbidden")
    assert cloud.world.version == version
    made = mint(cloud, key=session_of(cloud, "member"))
    assert cloud.delete(f"{KEYS}/{made['id']}", key=made["key"]).status == 204


# -- listing


def test_a_list_is_newest_first_and_keeps_revoked_and_expired_keys(cloud: Cloud) -> None:
    names = []
    for name in ("a", "b", "c"):
        cloud.advance(60)
        names.append(mint(cloud, name=name, expiresInSeconds=3600)["id"])
    cloud.delete(f"{KEYS}/{names[1]}")
    cloud.advance(2 * 3600)
    rows = cloud.get(KEYS).body
    assert [row["name"] for row in rows] == ["c", "b", "a", "default"]
    assert rows[1]["revokedAt"] == "2026-06-15T09:03:00.000Z"
    assert rows[2]["expiresAt"] == "2026-06-15T10:01:00.000Z"
    assert "lastUsedAt" not in rows[2]
    assert rows[3]["lastUsedAt"] == "2026-06-15T09:03:00.000Z"


def test_a_list_shows_the_keys_of_one_organization(cloud: Cloud) -> None:
    assert [row["name"] for row in cloud.get(KEYS).body] == ["default"]


# -- revoking


def test_revoking_again_keeps_the_first_moment(cloud: Cloud) -> None:
    key_id = mint(cloud)["id"]
    for _ in range(2):
        assert cloud.delete(f"{KEYS}/{key_id}").status == 204
        cloud.advance(60)
    assert listed(cloud)[key_id]["revokedAt"] == "2026-06-15T09:00:00.000Z"


def test_a_key_may_revoke_itself(cloud: Cloud) -> None:
    made = mint(cloud)
    assert cloud.delete(f"{KEYS}/{made['id']}", key=made["key"]).status == 204
    refused(cloud.get(KEYS, key=made["key"]), 401, "REVOKED_API_KEY")


@pytest.mark.parametrize(("profile", "status"), [("2026-06", 204), ("2026-07", 204), ("2026-10", 404)])
def test_an_unknown_id_and_another_organizations_key_are_the_profiles(
    open_cloud: Open, profile: str, status: int
) -> None:
    cloud = cloud_of_profile(open_cloud, profile)
    globex = next(row.id for row in cloud.rows(ApiKey) if row.name == "globex")
    version = cloud.world.version
    for key_id in ("key_none", globex):
        answer = cloud.delete(f"{KEYS}/{key_id}")
        assert answer.status == status
        assert status == 204 or refused(answer, 404, "NOT_FOUND")
    assert cloud.world.get(ApiKey, globex).revoked_at_ms is None
    assert cloud.world.version == version


@pytest.mark.parametrize(("role", "others"), [("owner", 204), ("admin", 204), ("member", 403)])
def test_a_member_makes_and_revokes_own_keys_only(cloud: Cloud, role: str, others: int) -> None:
    token = session_of(cloud, role)
    own, foreign = mint(cloud, key=token), mint(cloud, key=session_of(cloud, "owner"))
    assert cloud.delete(f"{KEYS}/{own['id']}", key=token).status == 204
    if role != "owner":
        answer = cloud.delete(f"{KEYS}/{foreign['id']}", key=token)
        assert answer.status == others
        assert others == 204 or refused(answer, 403, "forbidden")
    assert listed(cloud)[own["id"]]["createdBy"] == cloud.get("/v1/whoami", key=token).body["userId"]


def test_a_viewer_sees_keys_and_makes_none(cloud: Cloud) -> None:
    token = session_of(cloud, "viewer")
    assert cloud.get(KEYS, key=token).status == 200
    refused(cloud.post(CREATE, {"name": "x"}, key=token), 403, "forbidden")


# -- key.expire


def test_key_expire_ends_a_key_now(cloud: Cloud) -> None:
    secret = mint(cloud, name="ci")["key"]
    assert cloud.do("key.expire", name="ci")["expiresAt"] == "2026-06-15T09:00:00.000Z"
    refused(cloud.get(KEYS, key=secret), 401, "EXPIRED_API_KEY")
    with pytest.raises(Refusal, match="default"):
        cloud.do("key.expire", name="unknown")


# -- key.revoke


def test_key_revoke_ends_a_key_now_and_again_changes_nothing(cloud: Cloud) -> None:
    secret = mint(cloud, name="ci")["key"]
    told = cloud.do("key.revoke", name="ci")
    assert told["revokedAt"] == "2026-06-15T09:00:00.000Z"
    refused(cloud.get(KEYS, key=secret), 401, "REVOKED_API_KEY")
    cloud.advance(60)
    assert cloud.do("key.revoke", name="ci") == told


def test_key_revoke_of_an_unknown_key_says_which_there_are(cloud: Cloud) -> None:
    with pytest.raises(Refusal, match="default"):
        cloud.do("key.revoke", name="unknown")
