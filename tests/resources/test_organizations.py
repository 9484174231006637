"""Organizations, their members, invites from the organization's side, and what a fixture may say of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import assets
from simulator.domain import access
from simulator.domain.access import FEATURES, ApiKey, Membership, Organization, User
from simulator.domain.budgets import KeyBudget
from simulator.domain.metering import Account
from simulator.fixture import FixtureError, build
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import World
from tests.support.cloud import Answer, Cloud
from tests.support.invariants import people_are_in_order
from tests.support.people import LINES, mint, newcomer, refused, session_of, sign_in
from tests.support.vms import cloud_of_profile

ORG = "/v1/orgs/{org}"
MEMBERS = f"{ORG}/members"
INVITES = f"{ORG}/invites"
ROLES = ("viewer", "member", "admin", "owner")
Open = Callable[..., Cloud]


def add(cloud: Cloud, email: str, role: str = "member", key: str | None = None) -> Answer:
    return cloud.post(f"{MEMBERS}/add", {"email": email, "role": role}, key=key)


def id_of(cloud: Cloud, email: str) -> str:
    return next(user.id for user in cloud.rows(User) if user.email == email)


def role_in(cloud: Cloud, email: str) -> str:
    listed = cloud.get(MEMBERS).body
    return next((member["role"] for member in listed if member["email"] == email), "")


# -- founding


def test_a_founder_owns_the_organization_and_its_account_is_empty(cloud: Cloud) -> None:
    token = session_of(cloud, "viewer")
    answer = cloud.post("/v1/orgs", {"name": "Blue Sun & Co."}, key=token)
    assert (answer.status, answer.body["role"]) == (200, "owner")
    path = f"/v1/orgs/{answer.body['organizationId']}"
    shown = cloud.get(path, key=token).body
    assert (shown["name"], shown["slug"], shown["billingEmail"]) == (
        "Blue Sun & Co.",
        "blue-sun-co",
        "joan@acme.example",
    )
    assert (shown["accountStatus"], shown["isProvider"]) == ("active", False)
    assert len(shown["shortId"]) == 8
    assert cloud.get(f"{path}/billing/balance", key=token).body["balanceCents"] == 0
    refused(cloud.get(path), 403, "forbidden")


@pytest.mark.parametrize("body", [{"name": "Acme"}, {"name": "Something else", "slug": "acme"}])
def test_a_taken_slug_is_409(cloud: Cloud, body: dict[str, str]) -> None:
    token, version = session_of(cloud, "owner"), cloud.world.version
    assert "'acme'" in refused(cloud.post("/v1/orgs", body, key=token), 409, "conflict")
    assert cloud.world.version == version


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 64},
        {"name": "x", "slug": "Not A Slug"},
        {"name": "x", "slug": "-x"},
        {"name": "x", "slug": "x" * 64},
        {"name": "x", "slug": "é"},
        {"name": "x", "billingEmail": "nobody"},
        {"name": 1},
        {},
    ],
)
def test_a_founding_that_makes_no_sense_is_400(cloud: Cloud, body: dict[str, Any]) -> None:
    token, version = session_of(cloud, "owner"), cloud.world.version
    refused(cloud.post("/v1/orgs", body, key=token), 400, "bad_request")
    assert cloud.world.version == version


def test_a_name_without_a_letter_still_has_a_slug(cloud: Cloud) -> None:
    token = session_of(cloud, "owner")
    made = cloud.post("/v1/orgs", {"name": "東京"}, key=token).body["organizationId"]
    assert cloud.world.get(Organization, made).slug == "org"


def test_one_account_owns_five_organizations_at_most(cloud: Cloud) -> None:
    token = session_of(cloud, "owner")
    for number in range(4):
        assert cloud.post("/v1/orgs", {"name": f"Number {number}"}, key=token).status == 200
    message = refused(cloud.post("/v1/orgs", {"name": "Number 5"}, key=token), 409, "conflict")
    assert "5 at most" in message


def test_the_number_of_owned_organizations_is_a_setting(open_cloud: Open) -> None:
    cloud = open_cloud(members__max_owned_orgs=1)
    refused(cloud.post("/v1/orgs", {"name": "Another"}, key=session_of(cloud, "owner")), 409, "conflict")
    assert cloud.post("/v1/orgs", {"name": "Another"}, key=session_of(cloud, "admin")).status == 200


def test_where_no_organizations_can_be_made_founding_one_is_503(open_cloud: Open) -> None:
    cloud = open_cloud(members__new_orgs=False)
    refused(cloud.post("/v1/orgs", {"name": "Another"}, key=session_of(cloud, "owner")), 503, "unavailable")


# -- the organization


def test_an_organization_is_shown_as_the_contract_says(cloud: Cloud) -> None:
    shown = cloud.get(ORG).body
    assert shown == {
        "id": cloud.org,
        "shortId": shown["shortId"],
        "name": "Acme",
        "slug": "acme",
        "billingEmail": "billing@acme.example",
        "plan": "pay-as-you-go",
        "isProvider": False,
        "createdAt": "2026-06-15T09:00:00.000Z",
        "accountStatus": "active",
    }


def test_an_update_changes_what_is_sent_and_an_empty_text_clears(cloud: Cloud) -> None:
    before = cloud.get(ORG).body
    address = {"billingCity": "Ashburn", "taxId": "US-1"}
    after = cloud.patch(ORG, {"name": "Acme Two", "billingEmail": "pay@acme.example", **address}).body
    assert after == before | {"name": "Acme Two", "billingEmail": "pay@acme.example", **address}
    assert cloud.get(ORG).body == after
    assert cloud.patch(ORG, {"taxId": ""}).body == {key: after[key] for key in after if key != "taxId"}
    assert after["slug"] == "acme"


@pytest.mark.parametrize("body", [{"name": ""}, {"name": "x" * 64}, {"billingEmail": ""}, {"taxId": 7}])
def test_an_update_that_makes_no_sense_is_400(cloud: Cloud, body: dict[str, Any]) -> None:
    version = cloud.world.version
    refused(cloud.patch(ORG, body), 400, "bad_request")
    assert cloud.world.version == version


# -- members at once


def test_adding_by_email_makes_a_member_at_once(cloud: Cloud) -> None:
    cloud.do("user.create", email="Eve@example.com", full_name="Eve")
    answer = add(cloud, "eve@EXAMPLE.com", "admin")
    assert answer.status == 200
    assert answer.body == {
        "userId": id_of(cloud, "Eve@example.com"),
        "email": "Eve@example.com",
        "fullName": "Eve",
        "role": "admin",
        "status": "active",
        "joinedAt": "2026-06-15T09:00:00.000Z",
    }
    assert answer.body in cloud.get(MEMBERS).body
    assert cloud.get(ORG, key=sign_in(cloud, "eve@example.com")).status == 200


def test_adding_an_unknown_person_is_404_and_a_member_409(cloud: Cloud) -> None:
    version = cloud.world.version
    refused(add(cloud, "nobody@example.com"), 404, "not_found")
    refused(add(cloud, "JOAN@acme.example", "viewer"), 409, "conflict")
    assert cloud.world.version == version


def test_nobody_is_added_as_owner(cloud: Cloud) -> None:
    newcomer(cloud)
    refused(add(cloud, "new@example.com", "owner"), 400, "bad_request")


@pytest.mark.parametrize(
    ("role", "status"), [("owner", 200), ("admin", 200), ("member", 403), ("viewer", 403)]
)
def test_owners_and_admins_run_the_members(cloud: Cloud, role: str, status: int) -> None:
    token = session_of(cloud, role)
    newcomer(cloud)
    assert add(cloud, "new@example.com", key=token).status == status
    assert cloud.patch(ORG, {"name": "Acme"}, key=token).status == status
    path = f"{MEMBERS}/{id_of(cloud, 'alan@acme.example')}"
    assert cloud.patch(path, {"role": "viewer"}, key=token).status == status
    assert cloud.delete(f"{INVITES}/x@example.com", key=token).status == (204 if status == 200 else 403)
    assert cloud.delete(path, key=token).status == (204 if status == 200 else 403)


def test_members_are_listed_as_they_joined(cloud: Cloud) -> None:
    for email in ("z@example.com", "a@example.com"):
        cloud.advance(1)
        cloud.do("user.create", email=email)
        add(cloud, email)
    emails = [member["email"] for member in cloud.get(MEMBERS).body]
    assert emails[-2:] == ["z@example.com", "a@example.com"]


# -- roles


def test_a_role_changes_and_counts_at_once(cloud: Cloud) -> None:
    token, user_id = session_of(cloud, "viewer"), id_of(cloud, "joan@acme.example")
    refused(cloud.patch(ORG, {"name": "x"}, key=token), 403, "forbidden")
    answer = cloud.patch(f"{MEMBERS}/{user_id}", {"role": "admin"})
    assert (answer.status, answer.body["userId"], answer.body["role"]) == (200, user_id, "admin")
    assert cloud.patch(ORG, {"name": "x"}, key=token).status == 200


def test_only_an_owner_grants_owner(cloud: Cloud) -> None:
    path, version = f"{MEMBERS}/{id_of(cloud, 'alan@acme.example')}", cloud.world.version
    refused(cloud.patch(path, {"role": "owner"}), 403, "forbidden")
    assert cloud.world.version == version
    refused(cloud.patch(path, {"role": "owner"}, key=session_of(cloud, "admin")), 403, "forbidden")
    assert cloud.patch(path, {"role": "owner"}, key=session_of(cloud, "owner")).status == 200
    assert role_in(cloud, "alan@acme.example") == "owner"


def test_the_same_role_again_changes_nothing(cloud: Cloud) -> None:
    cloud.get(ORG)
    version = cloud.world.version
    for email, role in (("ada@acme.example", "owner"), ("joan@acme.example", "viewer")):
        assert cloud.patch(f"{MEMBERS}/{id_of(cloud, email)}", {"role": role}).body["role"] == role
    assert cloud.world.version == version


def test_a_role_of_somebody_who_is_no_member_is_404(cloud: Cloud) -> None:
    for user_id in ("nobody", id_of(cloud, "hedy@globex.example"), f"{cloud.org}/x"):
        refused(cloud.patch(f"{MEMBERS}/{user_id}", {"role": "viewer"}), 404, "not_found")
        refused(cloud.patch(f"{MEMBERS}/{user_id}", {"role": "king"}), 404, "not_found")
    refused(
        cloud.patch(f"{MEMBERS}/{id_of(cloud, 'ada@acme.example')}", {"role": "king"}), 400, "bad_request"
    )


@pytest.mark.parametrize(("profile", "status"), [("2026-06", 403), ("2026-07", 403), ("2026-10", 409)])
def test_the_last_owner_stays(open_cloud: Open, profile: str, status: int) -> None:
    cloud = cloud_of_profile(open_cloud, profile)
    path = f"{MEMBERS}/{id_of(cloud, 'ada@acme.example')}"
    version = cloud.world.version
    for token in (None, session_of(cloud, "owner"), session_of(cloud, "admin")):
        assert "ada@acme.example" in refused(cloud.patch(path, {"role": "admin"}, key=token), status)
        refused(cloud.delete(path, key=token), status)
    assert [member["role"] for member in cloud.get(MEMBERS).body].count("owner") == 1
    assert cloud.world.version >= version


def test_one_of_two_owners_may_go(cloud: Cloud) -> None:
    owner = session_of(cloud, "owner")
    cloud.patch(f"{MEMBERS}/{id_of(cloud, 'grace@acme.example')}", {"role": "owner"}, key=owner)
    assert cloud.delete(f"{MEMBERS}/{id_of(cloud, 'ada@acme.example')}", key=owner).status == 204
    refused(cloud.get(ORG, key=owner), 403, "forbidden")
    refused(cloud.delete(f"{MEMBERS}/{id_of(cloud, 'grace@acme.example')}"), 403)


# -- removal


def test_removal_ends_what_sessions_may_do_here_but_not_the_persons_keys(cloud: Cloud) -> None:
    token = session_of(cloud, "member")
    secret = mint(cloud, key=token)["key"]
    assert cloud.delete(f"{MEMBERS}/{id_of(cloud, 'alan@acme.example')}").status == 204
    refused(cloud.get(ORG, key=token), 403, "forbidden")
    assert cloud.get("/v1/whoami", key=token).body["organizationId"] == ""
    assert cloud.get(ORG, key=secret).status == 200
    assert role_in(cloud, "alan@acme.example") == ""


def test_removal_leaves_other_organizations_alone_and_moves_the_default(cloud: Cloud) -> None:
    token = session_of(cloud, "member")
    other = cloud.post("/v1/orgs", {"name": "Alan's"}, key=token).body["organizationId"]
    cloud.delete(f"{MEMBERS}/{id_of(cloud, 'alan@acme.example')}")
    who = cloud.get("/v1/whoami", key=token).body
    assert (who["organizationId"], who["role"]) == (other, "owner")


def test_removing_somebody_who_is_no_member_is_204_without_effect(cloud: Cloud) -> None:
    cloud.get(ORG)
    version = cloud.world.version
    for user_id in ("nobody", id_of(cloud, "hedy@globex.example")):
        assert cloud.delete(f"{MEMBERS}/{user_id}").status == 204
    assert cloud.world.version == version


# -- invites


@pytest.mark.parametrize("profile", ["2026-07", "2026-10"])
def test_later_adding_sends_an_invite(open_cloud: Open, profile: str) -> None:
    cloud = cloud_of_profile(open_cloud, profile)
    cloud.do("user.create", email="eve@example.com")
    for email, user_id in (
        ("eve@example.com", id_of(cloud, "eve@example.com")),
        ("no-account@example.com", ""),
    ):
        answer = add(cloud, email, "viewer")
        assert answer.status == 200
        assert answer.body == {
            "userId": user_id,
            "email": email,
            "role": "viewer",
            "status": "invited",
            "invitedAt": "2026-06-15T09:00:00.000Z",
        }
        assert role_in(cloud, email) == ""
    refused(add(cloud, "joan@acme.example"), 409, "CONFLICT")
    refused(add(cloud, "not an address"), 400, "BAD_REQUEST")


def test_open_invites_are_listed_newest_first_and_refreshed_by_inviting_again(open_cloud: Open) -> None:
    cloud = open_cloud(members__mode="invite")
    for email in ("a@example.com", "b@example.com"):
        add(cloud, email)
        cloud.advance(60)
    assert [row["email"] for row in cloud.get(INVITES).body] == ["b@example.com", "a@example.com"]
    add(cloud, "A@example.com", "admin")
    first, second = cloud.get(INVITES).body
    assert (first["email"], first["role"], second["email"]) == ("A@example.com", "admin", "b@example.com")
    assert first["invitedBy"] == id_of(cloud, "ada@acme.example")
    assert (first["invitedAt"], first["expiresAt"]) == (
        "2026-06-15T09:02:00.000Z",
        "2026-06-22T09:02:00.000Z",
    )


def test_a_withdrawn_invite_cannot_be_accepted_and_withdrawing_again_is_204(open_cloud: Open) -> None:
    cloud = open_cloud(members__mode="invite")
    token = newcomer(cloud)
    add(cloud, "new@example.com")
    for email in ("NEW@example.com", "new%40example.com", "nobody@example.com"):
        assert cloud.delete(f"{INVITES}/{email}").status == 204
    assert cloud.get(INVITES).body == []
    refused(cloud.post("/v1/me/invites/{org}/accept", key=token), 404, "not_found")


# -- org.create


def test_org_create_answers_a_key_that_works_and_signs_up_an_unknown_owner(cloud: Cloud) -> None:
    made = cloud.do("org.create", name="Initech", owner="bill@initech.example")
    shown = cloud.get(f"/v1/orgs/{made['organization']}", key=made["key"]).body
    assert (shown["name"], shown["slug"], shown["billingEmail"]) == (
        "Initech",
        "initech",
        "bill@initech.example",
    )
    assert cloud.get("/v1/me", key=made["key"]).body["user"]["id"] == made["owner"]
    cloud.do("balance.credit", name="initech", cents=10_000)
    vm = cloud.post(
        f"/v1/orgs/{made['organization']}/vms/create",
        {"name": "tps", "gpuModelId": "rtx-3090"},
        key=made["key"],
    )
    assert vm.status == 200


def test_a_feature_is_switched_off_and_on_again(cloud: Cloud) -> None:
    for enabled in (False, False, True, True):
        told = cloud.do("org.set_feature", name="acme", feature="spot", enabled=enabled)
        left = [feature for feature in FEATURES if feature != "spot" or enabled]
        assert told == {"organization": cloud.org, "features": left}
    with pytest.raises(Refusal, match="'spto'"):
        cloud.do("org.set_feature", name="acme", feature="spto", enabled=True)


def test_org_create_refuses_before_it_changes_anything(cloud: Cloud) -> None:
    version = cloud.world.version
    for arguments in (
        {"name": "Acme", "owner": "x@example.com"},
        {"name": "", "owner": "x@example.com"},
        {"name": "X", "slug": "X", "owner": "x@example.com"},
        {"name": "X", "owner": "nobody"},
        {"name": "X", "owner": "x@example.com", "colour": "red"},
    ):
        with pytest.raises(Refusal):
            cloud.do("org.create", **arguments)
    assert cloud.world.version == version


# -- fixture


def world_of(**sections: Any) -> World:
    return build("default", 0, sections, assets.profile("2026-06"))


USERS = [{"email": "o@x.example"}, {"email": "v@x.example", "full_name": "V", "id": "user-v"}]
OWNER = [{"email": "o@x.example", "role": "owner"}]


def test_a_fixture_says_all_there_is_to_an_organization() -> None:
    world = world_of(
        users=USERS,
        organizations=[
            {
                "slug": "x",
                "name": "X",
                "id": "org-x",
                "short_id": "xxxx",
                "billing_email": "pay@x.example",
                "plan": "enterprise",
                "is_provider": True,
                "account_status": "pending",
                "members": [{"email": "v@x.example", "role": "viewer"}, *OWNER],
                "keys": [
                    {"name": "main", "budget": {"limit_nano_usd": 9, "period": "daily"}},
                    {"name": "reader", "scopes": ["vms:read"], "expires_in_s": 60},
                ],
            }
        ],
        accounts=[{"organization": "x", "balance_cents": 7}],
        ssh_keys=[{"organization": "x", "name": "laptop", "public_key": LINES["ed25519"]}],
    )
    organization = world.get(Organization, "org-x")
    assert (organization.short_id, organization.plan, organization.account_status) == (
        "xxxx",
        "enterprise",
        "pending",
    )
    assert (organization.billing_email, organization.is_provider) == ("pay@x.example", True)
    assert world.get(Membership, "org-x/user-v").role == "viewer"
    assert world.get(Account, "org-x").balance_cents == 7
    main, reader = world.rows(ApiKey)
    (budget,) = world.rows(KeyBudget)
    assert (budget.id, budget.limit_nano, budget.period) == (main.id, 9, "daily")
    assert (main.scopes, main.expires_at_ms) == (None, None)
    assert (reader.scopes, reader.expires_at_ms) == (("vms:read",), world.now_ms + 60_000)
    assert main.created_by == next(user.id for user in world.rows(User) if user.email == "o@x.example")
    assert [secret for _, secret in access.fixture_keys(world)] == [
        access.fixed_secret("default", "vl_", name) for name in ("main", "reader")
    ]
    people_are_in_order(world)


def test_a_fixtures_keys_depend_on_the_names_alone(open_cloud: Open) -> None:
    assert (
        open_cloud(seed=1).key == open_cloud(seed=2).key == access.fixed_secret("default", "vl_", "default")
    )


@pytest.mark.parametrize(
    ("organizations", "problem"),
    [
        ([{"slug": "x", "name": "X", "members": []}], "x has no owner"),
        ([{"slug": "x", "name": "X", "members": [*OWNER, *OWNER]}], "twice"),
        ([{"slug": "x", "name": "X", "members": [{"email": "a@b.c", "role": "owner"}]}], "a@b.c"),
        ([{"slug": "x", "name": "X", "members": [{"email": "o@x.example", "role": "king"}]}], "king"),
        ([{"slug": "X", "name": "X", "members": OWNER}], "slug 'X'"),
        ([{"slug": "x", "name": "X", "members": OWNER}] * 2, "taken"),
        (
            [{"slug": slug, "name": "X", "id": "same", "members": OWNER} for slug in ("x", "y")],
            "two organizations have the id 'same'",
        ),
        ([{"slug": "x", "name": "X", "members": OWNER, "keys": [{"name": "k"}, {"name": "k"}]}], "named 'k'"),
        ([{"slug": "x", "name": "X", "members": OWNER, "keys": [{"name": "k", "scopes": ["all"]}]}], "'all'"),
        ([{"slug": "x", "name": "X", "members": OWNER, "account_status": "fine"}], "fine"),
        ([{"slug": "x", "name": "X", "members": OWNER, "owner": "o"}], "owner"),
    ],
)
def test_a_fixture_that_makes_no_sense_is_refused_with_the_place(organizations: Any, problem: str) -> None:
    with pytest.raises(FixtureError, match="organizations") as refusal:
        world_of(users=USERS, organizations=organizations)
    assert problem in str(refusal.value)


@pytest.mark.parametrize(
    "users", [[{"email": "x"}], [{"email": "a@b.c"}] * 2, [{"email": f"{n}@b.c", "id": "u"} for n in "ab"]]
)
def test_users_of_a_fixture_are_told_apart(users: Any) -> None:
    with pytest.raises(FixtureError, match="users: "):
        world_of(users=users)


# -- always


PEOPLE = (
    "ada@acme.example",
    "grace@acme.example",
    "alan@acme.example",
    "eve@example.com",
    "hedy@globex.example",
)
STEPS = st.tuples(
    st.sampled_from(["add", "role", "role", "remove", "accept", "found", "me", "profile"]),
    st.sampled_from(PEOPLE),
    st.sampled_from(ROLES),
    st.sampled_from([*PEOPLE, "key"]),
)


def take(cloud: Cloud, tokens: dict[str, str], step: tuple[str, str, str, str]) -> Answer:
    what, email, role, caller = step
    token, path = tokens[caller], f"{MEMBERS}/{id_of(cloud, email)}"
    calls: dict[str, Callable[[], Answer]] = {
        "add": lambda: add(cloud, email, role, key=token),
        "role": lambda: cloud.patch(path, {"role": role}, key=token),
        "remove": lambda: cloud.delete(path, key=token),
        "accept": lambda: cloud.post("/v1/me/invites/{org}/accept", key=token),
        "found": lambda: cloud.post("/v1/orgs", {"name": f"{role} {email}"}, key=token),
        "me": lambda: cloud.get("/v1/me", key=token),
        "profile": lambda: cloud.patch("/v1/me/profile", {"defaultOrganizationId": cloud.org}, key=token),
    }
    return calls[what]()


@pytest.mark.parametrize("mode", ["at_once", "invite"])
@settings(max_examples=60)
@given(steps=st.lists(STEPS, max_size=25))
def test_an_organization_keeps_an_owner_whatever_happens(mode: str, steps: list[Any]) -> None:
    cloud = Cloud(members__mode=mode)
    cloud.do("user.create", email="eve@example.com")
    tokens = {email: sign_in(cloud, email) for email in PEOPLE} | {"key": cloud.key}
    for step in steps:
        version = cloud.world.version
        answer = take(cloud, tokens, step)
        assert answer.status in (200, 204, 400, 401, 403, 404, 409), (step, answer)
        assert answer.status < 400 or cloud.world.version == version, (step, answer)
        people_are_in_order(cloud.world)
    assert cloud.bugs() == []
