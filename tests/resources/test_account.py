"""The caller's own calls: profile, organizations, invites, first steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.domain.access import Membership, Organization, User
from simulator.domain.metering import Account
from simulator.kernel.refusal import Refusal
from tests.support.cloud import Cloud
from tests.support.invariants import people_are_in_order
from tests.support.people import email_of, mint, newcomer, refused, session_of, sign_in
from tests.support.vms import cloud_of_profile

PROFILE = "/v1/me/profile"
BOOTSTRAP = "/v1/onboarding/bootstrap"
ADD = "/v1/orgs/{org}/members/add"
Open = Callable[..., Cloud]


@pytest.fixture
def inviting(open_cloud: Open) -> Cloud:
    return open_cloud(members__mode="invite")


def invite(cloud: Cloud, email: str, role: str = "member", key: str | None = None) -> None:
    answer = cloud.post(ADD, {"email": email, "role": role}, key=key)
    assert answer.status == 200, answer


def accept(cloud: Cloud, token: str, org: str = "{org}"):
    return cloud.post(f"/v1/me/invites/{org}/accept", key=token)


# -- getMe


def test_with_a_key_me_is_its_maker_and_its_one_organization(cloud: Cloud) -> None:
    me = cloud.get("/v1/me").body
    assert (me["user"]["email"], me["user"]["fullName"]) == ("ada@acme.example", "Ada Lovelace")
    assert me["memberships"] == me["organizations"]
    assert [(row["organizationId"], row["name"], row["role"]) for row in me["memberships"]] == [
        (cloud.org, "Acme", "owner")
    ]
    assert me["memberships"][0]["features"]["publicEndpoint"] is False


def test_a_key_shows_no_other_organization_of_its_maker(cloud: Cloud) -> None:
    token = session_of(cloud, "owner")
    other = cloud.post("/v1/orgs", {"name": "Other"}, key=token).body["organizationId"]
    cloud.patch(PROFILE, {"defaultOrganizationId": other}, key=token)
    assert other not in str(cloud.get("/v1/me").body)
    assert other in str(cloud.get("/v1/me", key=token).body)


def test_a_key_outlives_the_membership_of_its_maker(cloud: Cloud) -> None:
    secret = mint(cloud, key=session_of(cloud, "admin"))["key"]
    user_id = cloud.get("/v1/me", key=secret).body["user"]["id"]
    assert cloud.delete(f"/v1/orgs/{{org}}/members/{user_id}").status == 204
    me = cloud.get("/v1/me", key=secret).body
    assert (me["user"]["id"], me["memberships"][0]["role"]) == (user_id, "admin")


def test_any_key_may_ask_who_it_is(cloud: Cloud) -> None:
    for scope in ("inference", "billing:read", "vms:write"):
        secret = mint(cloud, scope)["key"]
        assert cloud.get("/v1/me", key=secret).status == 200
        assert cloud.get("/v1/whoami", key=secret).body["scopes"] == [scope]


@pytest.mark.parametrize(("profile", "status"), [("2026-06", 200), ("2026-07", 403), ("2026-10", 403)])
def test_later_me_and_profile_are_for_sessions(open_cloud: Open, profile: str, status: int) -> None:
    cloud = cloud_of_profile(open_cloud, profile)
    assert cloud.get("/v1/me").status == cloud.patch(PROFILE, {}).status == status
    token = session_of(cloud, "viewer")
    assert cloud.get("/v1/me", key=token).status == cloud.patch(PROFILE, {}, key=token).status == 200


def test_the_default_organization_is_listed_first(cloud: Cloud) -> None:
    token = session_of(cloud, "owner")
    second = cloud.post("/v1/orgs", {"name": "Second"}, key=token).body["organizationId"]
    listed = [row["organizationId"] for row in cloud.get("/v1/me", key=token).body["memberships"]]
    assert listed == [cloud.org, second]
    cloud.patch(PROFILE, {"defaultOrganizationId": second}, key=token)
    listed = [row["organizationId"] for row in cloud.get("/v1/me", key=token).body["memberships"]]
    assert listed == [second, cloud.org]


# -- first steps


def test_the_first_me_of_a_session_onboards_and_the_next_changes_nothing(cloud: Cloud) -> None:
    token = newcomer(cloud)
    me = cloud.get("/v1/me", key=token).body
    (mine,) = me["memberships"]
    assert (mine["name"], mine["role"]) == ("My Organization", "owner")
    assert me["user"]["defaultOrganizationId"] == mine["organizationId"]
    version = cloud.world.version
    assert cloud.get("/v1/me", key=token).body == me
    assert cloud.world.version == version
    assert cloud.world.get(Account, mine["organizationId"]).balance_cents == 0


def test_whoami_onboards_nobody_and_has_an_empty_organization_then(cloud: Cloud) -> None:
    token, version = newcomer(cloud), cloud.world.version
    who = cloud.get("/v1/whoami", key=token).body
    assert (who["principalType"], who["organizationId"], who["availableOrgs"]) == ("user", "", [])
    assert who["email"] == "new@example.com"
    assert "role" not in who
    assert "organizationName" not in who
    assert cloud.world.version == version


def test_whoami_of_a_session_names_role_and_organizations(cloud: Cloud) -> None:
    who = cloud.get("/v1/whoami", key=session_of(cloud, "viewer")).body
    assert (who["organizationId"], who["organizationName"], who["role"]) == (cloud.org, "Acme", "viewer")
    assert [row["role"] for row in who["availableOrgs"]] == ["viewer"]
    assert who["email"] == email_of(cloud, "viewer")


def test_whoami_of_a_key_names_the_key_and_its_end(cloud: Cloud) -> None:
    made = mint(cloud, "vms:read", expiresInSeconds=3 * 86400)
    who = cloud.get("/v1/whoami", key=made["key"]).body
    assert (who["principalType"], who["organizationId"], who["scopes"]) == (
        "api_key",
        cloud.org,
        ["vms:read"],
    )
    assert who["key"] == {
        "id": made["id"],
        "name": "vms:read",
        "prefix": made["keyPrefix"],
        "expiresAt": made["expiresAt"],
        "expiresInDays": 3,
    }
    assert "userId" not in who


def test_bootstrap_makes_the_first_organization_once(cloud: Cloud) -> None:
    token = newcomer(cloud)
    first = cloud.post(BOOTSTRAP, {"orgName": " Initech "}, key=token)
    assert (first.status, first.body["role"]) == (200, "owner")
    version = cloud.world.version
    assert cloud.post(BOOTSTRAP, {"orgName": "Another"}, key=token).body == first.body
    assert cloud.post(BOOTSTRAP, key=token).body == first.body
    assert cloud.world.version == version
    made = cloud.world.get(Organization, first.body["organizationId"])
    assert (made.name, made.slug, made.billing_email) == ("Initech", "initech", "new@example.com")


def test_bootstrap_without_a_name_finds_a_free_slug(cloud: Cloud) -> None:
    slugs = []
    for email in ("a@example.com", "b@example.com", "c@example.com"):
        body = cloud.post(BOOTSTRAP, {"orgName": "  "}, key=newcomer(cloud, email)).body
        organization = cloud.world.get(Organization, body["organizationId"])
        assert organization.name == "My Organization"
        slugs.append(organization.slug)
    assert slugs == ["my-organization", "my-organization-2", "my-organization-3"]


def test_bootstrap_answers_the_default_organization_and_the_role_in_it(cloud: Cloud) -> None:
    assert cloud.post(BOOTSTRAP, key=session_of(cloud, "viewer")).body == {
        "organizationId": cloud.org,
        "role": "viewer",
    }


def test_a_name_too_long_for_an_organization_is_422_where_the_contract_lists_no_400(cloud: Cloud) -> None:
    token, version = newcomer(cloud), cloud.world.version
    message = refused(cloud.post(BOOTSTRAP, {"orgName": "x" * 64}, key=token), 422, "unprocessable")
    assert "64" in message
    refused(cloud.post(BOOTSTRAP, {"orgName": 1}, key=token), 422, "unprocessable")
    assert cloud.world.version == version


def test_somebody_removed_everywhere_has_no_organization_until_bootstrap(cloud: Cloud) -> None:
    token, email = session_of(cloud, "member"), email_of(cloud, "member")
    user_id = cloud.get("/v1/whoami", key=token).body["userId"]
    cloud.delete(f"/v1/orgs/{{org}}/members/{user_id}")
    assert cloud.get("/v1/me", key=token).body["memberships"] == []
    assert cloud.get("/v1/whoami", key=token).body["organizationId"] == ""
    assert cloud.post(BOOTSTRAP, key=token).body["role"] == "owner"
    assert len(cloud.world.select(Membership, "user", user_id)) == 1
    assert cloud.world.get(User, user_id).email == email


@pytest.mark.parametrize("path", [BOOTSTRAP, "/v1/orgs"])
def test_first_steps_are_not_for_keys(cloud: Cloud, path: str) -> None:
    version = cloud.world.version
    refused(cloud.post(path, {"name": "x"}), 403, "forbidden")
    assert cloud.world.version == version


def test_what_is_a_persons_own_asks_for_no_role_and_no_standing_of_an_organization(cloud: Cloud) -> None:
    cloud.do("account.set_status", name="acme", status="suspended")
    token = session_of(cloud, "viewer")
    assert cloud.patch(PROFILE, {"fullName": "Joan"}, key=token).status == 200
    assert cloud.post("/v1/orgs", {"name": "Joan's own"}, key=token).status == 200
    assert cloud.patch(PROFILE, {"fullName": "Ada"}).status == 200


# -- profile


def test_a_profile_changes_in_what_is_sent_and_an_empty_text_clears(cloud: Cloud) -> None:
    token = session_of(cloud, "viewer")
    before = cloud.get("/v1/me", key=token).body["user"]
    assert cloud.patch(PROFILE, {}, key=token).body == before
    after = cloud.patch(PROFILE, {"avatarUrl": "https://example.com/j.png"}, key=token).body
    assert after == before | {"avatarUrl": "https://example.com/j.png"}
    assert cloud.patch(PROFILE, {"avatarUrl": "", "fullName": ""}, key=token).body == {
        name: before[name] for name in ("id", "email", "defaultOrganizationId")
    }


def test_a_default_must_be_an_organization_of_the_caller(cloud: Cloud) -> None:
    token, version = session_of(cloud, "owner"), cloud.world.version
    globex = next(row.id for row in cloud.rows(Organization) if row.slug == "globex")
    for organization in (globex, "nowhere", ""):
        refused(cloud.patch(PROFILE, {"defaultOrganizationId": organization}, key=token), 403, "forbidden")
    assert cloud.world.version == version
    assert cloud.patch(PROFILE, {"defaultOrganizationId": cloud.org}, key=token).status == 200


def test_a_key_changes_the_profile_of_its_maker_and_needs_the_scope(cloud: Cloud) -> None:
    assert cloud.patch(PROFILE, {"fullName": "Countess"}).body["fullName"] == "Countess"
    reader = mint(cloud, "clusters:read", "vms:write")["key"]
    refused(cloud.patch(PROFILE, {"fullName": "x"}, key=reader), 403, "forbidden")


def test_a_key_cannot_make_another_organization_the_default(cloud: Cloud) -> None:
    other = cloud.post("/v1/orgs", {"name": "Other"}, key=session_of(cloud, "owner")).body["organizationId"]
    refused(cloud.patch(PROFILE, {"defaultOrganizationId": other}), 403, "forbidden")


# -- invites


def test_an_invite_is_accepted_by_the_invited_person_once(inviting: Cloud) -> None:
    cloud, token = inviting, newcomer(inviting, "Eve@Example.com")
    invite(cloud, "eve@example.com", "admin", session_of(cloud, "owner"))
    (shown,) = cloud.get("/v1/me/invites", key=token).body
    assert (shown["organizationId"], shown["organizationName"]) == (cloud.org, "Acme")
    assert (shown["role"], shown["inviterEmail"]) == ("admin", "ada@acme.example")
    assert (shown["invitedAt"], shown["expiresAt"]) == (
        "2026-06-15T09:00:00.000Z",
        "2026-06-22T09:00:00.000Z",
    )
    answer = accept(cloud, token)
    assert (answer.status, answer.body) == (200, {"organizationId": cloud.org, "role": "admin"})
    assert cloud.get("/v1/me/invites", key=token).body == []
    assert cloud.get("/v1/orgs/{org}/invites").body == []
    refused(accept(cloud, token), 409, "conflict")
    people_are_in_order(cloud.world)


def test_who_joins_by_invite_first_is_not_given_another_organization(inviting: Cloud) -> None:
    token = newcomer(inviting)
    invite(inviting, "new@example.com")
    accept(inviting, token)
    me = inviting.get("/v1/me", key=token).body
    assert [row["organizationId"] for row in me["memberships"]] == [inviting.org]
    assert me["user"]["defaultOrganizationId"] == inviting.org


def test_nobody_else_can_accept_an_invite(inviting: Cloud) -> None:
    invite(inviting, "eve@example.com")
    token, version = newcomer(inviting, "mallory@example.com"), inviting.world.version
    refused(accept(inviting, token), 404, "not_found")
    refused(accept(inviting, token, "nowhere"), 404, "not_found")
    assert inviting.world.version == version


def test_an_invite_ends_after_seven_days_and_inviting_again_refreshes_it(inviting: Cloud) -> None:
    cloud = inviting
    cloud.do("user.create", email="eve@example.com")
    invite(cloud, "eve@example.com")
    cloud.advance(7 * 86400)
    token = sign_in(cloud, "eve@example.com")
    assert cloud.get("/v1/me/invites", key=token).body == []
    assert cloud.get("/v1/orgs/{org}/invites").body == []
    refused(accept(cloud, token), 410, "gone")
    invite(cloud, "eve@example.com", "viewer")
    assert len(cloud.get("/v1/orgs/{org}/invites").body) == 1
    assert accept(cloud, token).body["role"] == "viewer"


def test_the_last_second_of_an_invite_counts(inviting: Cloud) -> None:
    inviting.do("user.create", email="eve@example.com")
    invite(inviting, "eve@example.com")
    inviting.advance(7 * 86400 - 1)
    assert accept(inviting, sign_in(inviting, "eve@example.com")).status == 200


def test_a_declined_invite_is_gone_and_declining_again_is_204(inviting: Cloud) -> None:
    token = newcomer(inviting)
    invite(inviting, "new@example.com")
    for _ in range(2):
        assert inviting.post("/v1/me/invites/{org}/decline", key=token).status == 204
    assert inviting.post("/v1/me/invites/nowhere/decline", key=token).status == 204
    refused(accept(inviting, token), 404, "not_found")


def test_invites_of_the_caller_are_not_for_keys(inviting: Cloud) -> None:
    refused(inviting.get("/v1/me/invites"), 401, "unauthorized")
    refused(inviting.post("/v1/me/invites/{org}/decline"), 401, "unauthorized")
    refused(inviting.post("/v1/me/invites/{org}/accept"), 403, "forbidden")


# -- actions


@pytest.mark.parametrize("email", ["", "ada", "@acme.example", "ada@", "a b@c", "a\n@b", "x" * 251 + "@b.c"])
def test_a_user_needs_an_address(cloud: Cloud, email: str) -> None:
    with pytest.raises(Refusal, match="is not an address"):
        cloud.do("user.create", email=email)


def test_an_address_belongs_to_one_user(cloud: Cloud) -> None:
    with pytest.raises(Refusal, match="exists"):
        cloud.do("user.create", email="ADA@acme.example")


def test_a_session_is_for_a_known_user_by_email_or_id(cloud: Cloud) -> None:
    made = cloud.do("session.create", user="ADA@acme.example")
    assert made["token"].startswith("sess_")
    assert cloud.do("session.create", user=made["user"])["token"] != made["token"]
    with pytest.raises(Refusal, match=r"hedy@globex\.example"):
        cloud.do("session.create", user="nobody@acme.example")


@pytest.mark.parametrize("hours", [0, -1, 24 * 365 + 1, float("nan"), float("inf"), 1e300])
def test_a_session_lasts_a_year_at_most(cloud: Cloud, hours: float) -> None:
    version = cloud.world.version
    with pytest.raises(Refusal, match="hours"):
        cloud.do("session.create", user="ada@acme.example", hours=hours)
    assert cloud.world.version == version
