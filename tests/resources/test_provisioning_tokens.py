"""Provisioning tokens: what is asked for, what is answered once, what a list shows, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from simulator.domain.capacity import Node
from tests.support.cloud import Cloud
from tests.support.invariants import check_world
from tests.support.parties import Party, party
from tests.support.people import refused, session_of
from tests.support.providers import TOKENS, enrol, enrolled, token_of

Open = Callable[..., Cloud]
PROFILES = {"2026-06": str.lower, "2026-07": str.upper, "2026-10": str.upper}
DAY = 24 * 3600


@pytest.fixture
def sound(cloud: Cloud) -> Iterator[Cloud]:
    """A cloud; at the end its books agree."""
    yield cloud
    check_world(cloud.world)


def test_a_token_is_shown_once_and_kept_as_a_digest(sound: Cloud, globex: Party) -> None:
    made = globex.post(TOKENS, {"name": "rack 1", "maxNodes": 3, "nodeType": "bare metal"}).body
    assert made == {
        "id": made["id"],
        "token": made["token"],
        "tokenPrefix": made["token"][:8],
        "warning": made["warning"],
        "name": "rack 1",
        "nodePool": "community",
        "nodeType": "bare metal",
        "maxNodes": 3,
        "maxEnrollments": 3,
        "expiresAt": "2026-06-16T09:00:00.000Z",
    }
    assert len(made["token"]) >= 32
    assert "once" in made["warning"]
    (listed,) = globex.get(TOKENS).body
    assert listed == {
        "id": made["id"],
        "name": "rack 1",
        "tokenPrefix": made["token"][:8],
        "nodeType": "bare metal",
        "nodePool": "community",
        "status": "active",
        "createdAt": "2026-06-15T09:00:00.000Z",
        "expiresAt": "2026-06-16T09:00:00.000Z",
        "maxNodes": 3,
        "maxEnrollments": 3,
        "usedCount": 0,
        "enrollmentCount": 0,
        "usedAt": None,
        "usedByNodeId": None,
        "lastUsedAt": None,
        "revokedAt": None,
    }


def test_the_secret_is_in_no_row_no_journal_and_no_list(sound: Cloud, globex: Party) -> None:
    secret = token_of(globex, maxNodes=1)
    enrolled(sound, secret)
    refused(enrol(sound, secret, "rack-2"), 429)
    refused(enrol(sound, secret, "rack-3", ramGb=1), 422)
    refused(sound.get(f"/v1/provider/bootstrap?token={secret}&token={secret}", key=""), 400)
    refused(sound.get(f"/v1/provider/bootstrap?token={secret}&gpu={'x' * 9}", key=""), 400)
    assert sound.get(f"/v1/provider/bootstrap?token={secret}", key="").status == 200
    kept = [msgspec.json.encode([*table.rows.values()]) for table in sound.world._tables.values()]
    kept += [msgspec.json.encode(entry.facts) for entry in sound.world.journal]
    kept.append(msgspec.json.encode(globex.get(TOKENS).body))
    assert secret[9:40].encode() not in b"".join(kept)


@pytest.mark.parametrize(
    ("profile", "prefix"), [("2026-06", "vtk_"), ("2026-07", "vtk_"), ("2026-10", "otk_")]
)
def test_the_prefix_is_the_profiles_and_either_is_accepted(
    open_cloud: Open, profile: str, prefix: str
) -> None:
    cloud = open_cloud(profile=profile)
    globex = party(cloud, "globex")
    former = token_of(globex)
    assert former.startswith(prefix)
    other = "vl_" if prefix == "otk_" else "or_"
    cloud.world.settings = cloud.world.settings.but({"keys.prefix": other})
    assert not token_of(globex).startswith(prefix)
    enrolled(cloud, former)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"expiresInHours": 0}, "expiresInHours 0"),
        ({"expiresInHours": -1}, "expiresInHours -1"),
        ({"expiresInHours": 8761}, "8760"),
        ({"maxNodes": -1}, "maxNodes"),
        ({"maxEnrollments": -1}, "maxEnrollments -1"),
        ({"maxNodes": 1, "maxEnrollments": 2}, "another name"),
        ({"nodePool": "vip"}, "community, verified"),
        ({"name": ""}, "1 to 63"),
        ({"nodeType": "x" * 64}, "1 to 63"),
        ({"noticeSeconds": -1}, "noticeSeconds -1"),
        ({"class": "spot"}, "spot"),
        ({"expiresInHours": "1"}, "expiresInHours"),
    ],
)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_token_that_makes_no_sense_is_400(
    open_cloud: Open, profile: str, body: dict[str, Any], named: str
) -> None:
    globex = party(open_cloud(profile=profile), "globex")
    assert named in refused(globex.post(TOKENS, body), 400, PROFILES[profile]("bad_request"))
    assert globex.get(TOKENS).body == []


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_tokens_are_made_and_revoked_by_who_runs_the_organization(cloud: Cloud, role: str) -> None:
    cloud.post("/v1/orgs/{org}/provider/apply", {"note": "x"})
    cloud.do("provider.approve", name="acme")
    made = cloud.post(TOKENS, key=session_of(cloud, "admin"))
    assert made.status == 200
    who = session_of(cloud, role)
    refused(cloud.post(TOKENS, key=who), 403, "forbidden")
    refused(cloud.delete(f"{TOKENS}/{made.body['id']}", key=who), 403, "forbidden")
    assert [row["status"] for row in cloud.get(TOKENS, key=who).body] == ["active"]


@pytest.mark.parametrize("ended", ["", "exhausted", "expired", "revoked"])
def test_revoking_answers_204_whatever_ended_the_token(sound: Cloud, globex: Party, ended: str) -> None:
    made = globex.post(TOKENS, {"maxNodes": 1}).body
    path = f"{TOKENS}/{made['id']}"
    if ended == "exhausted":
        enrolled(sound, made["token"])
    elif ended == "expired":
        sound.advance(DAY)
    elif ended == "revoked":
        globex.delete(path)
    before = globex.get(TOKENS).body[0]
    assert before["status"] == (ended or "active")
    sound.advance(60)
    answer = globex.delete(path)
    assert (answer.status, answer.body) == (204, None)
    after = globex.get(TOKENS).body[0]
    assert after["status"] == "revoked"
    assert after["revokedAt"] == before["revokedAt"] or before["revokedAt"] is None


def test_revoking_leaves_the_nodes_that_have_enrolled(sound: Cloud, globex: Party) -> None:
    made = globex.post(TOKENS).body
    node_id = enrolled(sound, made["token"])
    globex.delete(f"{TOKENS}/{made['id']}")
    sound.advance(10)
    assert sound.world.get(Node, node_id).status == "online"


@pytest.mark.parametrize("profile", PROFILES)
def test_revoking_an_unknown_token_and_somebody_elses_is_404(open_cloud: Open, profile: str) -> None:
    cloud = open_cloud("full", profile=profile)
    globex = party(cloud, "globex")
    cloud.post("/v1/orgs/{org}/provider/apply", {"note": "x"})
    cloud.do("provider.approve", name="acme")
    code = PROFILES[profile]("not_found")
    refused(globex.delete(f"{TOKENS}/ptk_none"), 404, code)
    refused(cloud.delete(f"{TOKENS}/{globex.get(TOKENS).body[0]['id']}"), 404, code)


@pytest.mark.parametrize("ended", ["", "exhausted", "revoked"])
def test_a_token_is_forgotten_six_days_after_its_time(sound: Cloud, globex: Party, ended: str) -> None:
    made = globex.post(TOKENS, {"expiresInHours": 48, "maxNodes": 1}).body
    if ended == "exhausted":
        enrolled(sound, made["token"])
    elif ended == "revoked":
        globex.delete(f"{TOKENS}/{made['id']}")
    sound.advance(8 * DAY - 1)
    assert [row["status"] for row in globex.get(TOKENS).body] == [ended if ended == "revoked" else "expired"]
    sound.advance(1)
    assert globex.get(TOKENS).body == []
    refused(globex.delete(f"{TOKENS}/{made['id']}"), 404)


def test_tokens_are_listed_newest_first_and_per_organization(sound: Cloud, globex: Party) -> None:
    for name in ("one", "two"):
        token_of(globex, name=name)
        sound.advance(1)
    assert [row["name"] for row in globex.get(TOKENS).body] == ["two", "one"]
    sound.post("/v1/orgs/{org}/provider/apply", {"note": "x"})
    sound.do("provider.approve", name="acme")
    assert sound.get(TOKENS).body == []
