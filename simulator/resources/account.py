"""The caller: profile, organizations, invites, and the first steps of a new person.

These calls are the person's own and act in no organization, so no role is asked for. An API key answers for
the user who made it and knows its own organization only [choice: the quickstart does exactly this call].
"""

from __future__ import annotations

from typing import Any

import msgspec

from simulator.domain import access, budgets, people
from simulator.domain.access import (
    SCOPES,
    ApiKey,
    Invite,
    Membership,
    Organization,
    Session,
    User,
    belongs,
    membership_of,
    role_of,
)
from simulator.kernel.instant import DAY_MS, HOUR_MS, iso
from simulator.kernel.operation import Area, Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import World

FIRST_ORGANIZATION = "My Organization"
LONGEST_SESSION_HOURS = 24 * 365

area = Area("Account", scope="any")


# -- operations --------------------------------------------------------------------------------------------


@area.operation("getMe", role="", keys_allowed="me.allow_keys", effects="onboards a new person")
def get_me(call: Call) -> dict[str, Any]:
    """Both names of the list of organizations [seed][2026-07]. A session's first one onboards [2026-07]."""
    world, user = call.world, _caller(call)
    if call.principal.kind == "user" and not user.onboarded:
        user = _onboard(world, user, FIRST_ORGANIZATION)
    listed = _organizations(call, user)
    return {"user": _profile(call, user), "memberships": listed, "organizations": listed}


@area.operation("listMyInvites", role="", keys_allowed="no")
def list_my_invites(call: Call) -> list[dict[str, Any]]:
    """Open invites, newest first."""
    invites = call.world.select(Invite, "email", _caller(call).email.lower())
    return [_invite(call.world, row) for row in reversed(invites) if row.expires_at_ms > call.world.now_ms]


@area.operation("acceptOrgInvite", write=True, role="", keys_allowed="no", effects="joins the organization")
def accept_org_invite(call: Call) -> dict[str, Any]:
    """409 for a member, 404 without an invite, 410 after its seven days [2026-07]."""
    world, organization_id, user = call.world, call.path["orgId"], _caller(call)
    people.check_no_member(world, organization_id, user)
    invite = people.invite_of(world, organization_id, user.email)
    if invite is None:
        raise Refusal("not_found", f"{organization_id[:80]!r} has not invited {user.email}")
    if invite.expires_at_ms <= world.now_ms:
        raise Refusal("gone", f"the invite ended at {iso(invite.expires_at_ms)}; ask for another")
    return _result(people.join(world, organization_id, user, invite.role))


@area.operation("declineOrgInvite", write=True, role="", keys_allowed="no", effects="invite deleted")
def decline_org_invite(call: Call) -> None:
    """Nothing happens where there is no invite [2026-10 sdk]."""
    invite = people.invite_of(call.world, call.path["orgId"], _caller(call).email)
    if invite:
        call.world.delete(invite)


@area.operation("updateProfile", write=True, role="", scope="admin", keys_allowed="me.allow_keys")
def update_profile(call: Call) -> dict[str, Any]:
    """The default must be an organization of the user, else 403 [2026-10 sdk]; "" clears a text [choice]."""
    world, user, body = call.world, _caller(call), call.body
    default = body.get("defaultOrganizationId", user.default_organization_id)
    member = belongs(world, call.principal, default) and membership_of(world, default, user.id)
    if default != user.default_organization_id and not member:
        raise Refusal(
            "forbidden", f"defaultOrganizationId {default[:80]!r} is not an organization of the caller"
        )
    user = world.change(
        user,
        full_name=body.get("fullName", user.full_name),
        avatar_url=body.get("avatarUrl", user.avatar_url),
        default_organization_id=default,
    )
    return _profile(call, user)


@area.operation("bootstrap", write=True, role="", keys_allowed="no", effects="first organization")
def bootstrap(call: Call) -> dict[str, Any]:
    """Idempotent: who has an organization gets the default one back [2026-07][2026-10 sdk]."""
    world, user = call.world, _caller(call)
    if not user.default_organization_id:
        name = (call.body or {}).get("orgName", "").strip() or FIRST_ORGANIZATION
        if len(name) > people.LONGEST_NAME:
            most = people.LONGEST_NAME
            raise Refusal("unprocessable", f"orgName has {len(name)} characters; take {most} at most")
        user = _onboard(world, user, name)
    member = membership_of(world, user.default_organization_id, user.id)
    assert member is not None, user
    return _result(member)


@area.operation("whoami", role="")
def whoami(call: Call) -> dict[str, Any]:
    """Who calls, and in which organization; onboards nobody [2026-07]."""
    world, organization_id = call.world, call.organization_id
    found = world.find(Organization, organization_id)
    acting = {"organizationId": organization_id} | ({"organizationName": found.name} if found else {})
    if call.principal.kind == "api_key":
        key = world.get(ApiKey, call.principal.id)
        scopes = list(SCOPES if key.scopes is None else key.scopes)
        return {"principalType": "api_key", **acting, "scopes": scopes, "key": _key(world, key)}
    user = _caller(call)
    role = role_of(world, call.principal, organization_id)
    return {
        "principalType": "user",
        **acting,
        **({"role": role} if role else {}),
        "userId": user.id,
        "email": user.email,
        "availableOrgs": _organizations(call, user),
    }


# -- what they share ---------------------------------------------------------------------------------------


def _caller(call: Call) -> User:
    return call.world.get(User, call.principal.user_id)


def _onboard(world: World, user: User, name: str) -> User:
    """Give a person an organization of their own."""
    organization = people.new_organization(world, name, people.free_slug(world, name), user.email)
    people.establish(world, organization, user)
    return world.get(User, user.id)


# -- views -------------------------------------------------------------------------------------------------


def _profile(call: Call, user: User) -> dict[str, Any]:
    by_key = call.principal.kind == "api_key"
    more = {
        "fullName": user.full_name,
        "avatarUrl": user.avatar_url,
        "defaultOrganizationId": call.organization_id if by_key else user.default_organization_id,
    }
    return {"id": user.id, "email": user.email, **{name: text for name, text in more.items() if text}}


def _organizations(call: Call, user: User) -> list[dict[str, Any]]:
    """A user's organizations; for a key its own, in the role of its maker while that one is a member."""
    world = call.world
    if call.principal.kind == "user":
        return [
            _membership(world, member.organization_id, member.role)
            for member in people.memberships(world, user)
        ]
    member = membership_of(world, call.organization_id, user.id)
    role = member.role if member else role_of(world, call.principal, call.organization_id)
    return [_membership(world, call.organization_id, role)]


def _membership(world: World, organization_id: str, role: str) -> dict[str, Any]:
    organization = world.get(Organization, organization_id)
    return {
        "organizationId": organization_id,
        "name": organization.name,
        "role": role,
        "features": {"batch": "batch" in organization.features, "publicEndpoint": False},
    }


def _result(member: Membership) -> dict[str, Any]:
    return {"organizationId": member.organization_id, "role": member.role}


def _invite(world: World, invite: Invite) -> dict[str, Any]:
    return {
        "organizationId": invite.organization_id,
        "organizationName": world.get(Organization, invite.organization_id).name,
        "role": invite.role,
        "inviterEmail": world.get(User, invite.invited_by).email,
        "invitedAt": iso(invite.created_at_ms),
        "expiresAt": iso(invite.expires_at_ms),
    }


def _key(world: World, key: ApiKey) -> dict[str, Any]:
    view = {"id": key.id, "name": key.name, "prefix": key.prefix, **budgets.view(world, key)}
    if key.expires_at_ms is None:
        return view
    days = (key.expires_at_ms - world.now_ms) // DAY_MS
    return view | {"expiresAt": iso(key.expires_at_ms), "expiresInDays": days}


# -- actions -----------------------------------------------------------------------------------------------


class NewUser(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Who signs up."""

    email: str
    full_name: str = ""


class NewSession(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Who signs in, by email or id, and for how long."""

    user: str
    hours: float = 12


@area.action("user.create", NewUser)
def create_user(world: World, what: NewUser) -> dict[str, Any]:
    """Somebody signs up; bootstrap, or their first getMe, will give them an organization."""
    user = people.add_user(world, what.email, what.full_name)
    return {"user": user.id, "email": user.email}


@area.action("session.create", NewSession)
def create_session(world: World, what: NewSession) -> dict[str, Any]:
    """Somebody signs in to the dashboard: answers the session's token, this once."""
    user = people.user_of(world, what.user) or world.find(User, what.user)
    if user is None:
        known = ", ".join(user.email for user in list(world.rows(User))[:10])
        raise Refusal("not_found", f"no user {what.user!r}; there are {known or 'none'}")
    if not 0 < what.hours <= LONGEST_SESSION_HOURS:
        raise Refusal(
            "bad_request", f"hours {what.hours} is out of bounds; take up to {LONGEST_SESSION_HOURS}"
        )
    token = access.mint(world, "sess_", "user_session")
    session = Session(
        id=f"sess_{world.streams.text('user_session_id', 24)}",
        created_at_ms=world.now_ms,
        user_id=user.id,
        digest=access.digest(token),
        expires_at_ms=world.now_ms + round(what.hours * HOUR_MS),
    )
    world.put(session)
    return {"user": user.id, "token": token, "expiresAt": iso(session.expires_at_ms)}


# -- fixture -----------------------------------------------------------------------------------------------


class UserSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A person who has signed up."""

    email: str
    full_name: str = ""
    id: str = ""


@area.seed("users", list[UserSpec])
def seed_users(world: World, specs: list[UserSpec]) -> None:
    for spec in specs:
        assert not spec.id or world.find(User, spec.id) is None, f"two users have the id {spec.id!r}"
        people.add_user(world, spec.email, spec.full_name, spec.id)
