"""Organizations and their members.

Owners and admins run an organization; only an owner makes another one, and one always stays
[2026-10 sdk]. Adding somebody makes a member at once [seed], or sends an invite that is open for seven days
[2026-07]: setting members.mode.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from simulator.domain import access, budgets, people, workload
from simulator.domain.access import FEATURES, Feature, Invite, Membership, Organization, User, membership_of
from simulator.kernel.instant import DAY_MS, SECOND_MS, iso
from simulator.kernel.operation import Area, Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.target import Target, pick
from simulator.kernel.world import World

INVITE_DAYS = 7
BILLING_MEMBERS = (
    "billingAddressLine1",
    "billingAddressLine2",
    "billingCity",
    "billingCountry",
    "billingName",
    "billingPostalCode",
    "taxCountry",
    "taxId",
)
"""Members of updateOrg that are kept as they come [2026-10 sdk]."""

area = Area("Organizations", scope="admin")


# -- operations --------------------------------------------------------------------------------------------


@area.operation("createOrg", write=True, role="", keys_allowed="no", effects="the caller owns it")
def create_org(call: Call) -> dict[str, Any]:
    """Without a slug the name gives it; a taken one is 409 [seed], one owned too many also [choice]."""
    world, body = call.world, call.body
    if not world.settings.flag("members.new_orgs"):
        raise Refusal("unavailable", "no organizations can be made here (setting members.new_orgs)")
    user = world.get(User, call.principal.user_id)
    name = workload.check_name(body["name"])
    slug = people.check_slug(world, body.get("slug") or people.slug_of(name))
    billing_email = people.check_email(body.get("billingEmail") or user.email)
    owned = len(world.bucket(Membership, "owned", user.id))
    most = world.settings.whole("members.max_owned_orgs")
    if owned >= most:
        raise Refusal("conflict", f"{user.email} owns {owned} organizations; {most} at most")
    organization = people.new_organization(world, name, slug, billing_email)
    people.establish(world, organization, user)
    return {"organizationId": organization.id, "role": "owner"}


@area.operation("getOrg")
def get_org(call: Call) -> dict[str, Any]:
    """Billing address and tax members stand in it where they were set [2026-10 sdk]."""
    return _organization(call.world.get(Organization, call.organization_id))


@area.operation("updateOrg", write=True, role="admin")
def update_org(call: Call) -> dict[str, Any]:
    """Only what is sent changes; "" clears an address or tax member [choice]."""
    world, body = call.world, call.body
    organization = world.get(Organization, call.organization_id)
    name = workload.check_name(body.get("name", organization.name))
    billing_email = people.check_email(body.get("billingEmail", organization.billing_email))
    billing = organization.billing | {name: body[name] for name in BILLING_MEMBERS if name in body}
    kept = {name: text for name, text in billing.items() if text}
    return _organization(world.change(organization, name=name, billing_email=billing_email, billing=kept))


@area.operation("listOrgInvites")
def list_org_invites(call: Call) -> list[dict[str, Any]]:
    """Open invites, newest first."""
    invites = call.world.select(Invite, "organization", call.organization_id)
    return [_invite(row) for row in reversed(invites) if row.expires_at_ms > call.world.now_ms]


@area.operation("revokeOrgInvite", write=True, role="admin", effects="invite deleted")
def revoke_org_invite(call: Call) -> None:
    """Nothing happens where there is no invite [2026-10 sdk]."""
    invite = people.invite_of(call.world, call.organization_id, call.path["email"])
    if invite:
        call.world.delete(invite)


@area.operation("listOrgMembers")
def list_org_members(call: Call) -> list[dict[str, Any]]:
    """In the order in which they joined [choice]."""
    members = call.world.select(Membership, "organization", call.organization_id)
    return [_member(call.world, member) for member in members]


@area.operation("addOrgMember", write=True, role="admin", effects="member, or invite")
def add_org_member(call: Call) -> dict[str, Any]:
    """At once: an unknown person is 404, a member 409 [seed]. By invite: anybody but a member [2026-07]."""
    world, organization_id, email = call.world, call.organization_id, call.body["email"]
    by_invite = world.settings.word("members.mode") == "invite"
    user = people.user_of(world, email)
    if user:
        people.check_no_member(world, organization_id, user)
    if by_invite:
        return _send_invite(call, people.check_email(email), user)
    if user is None:
        raise Refusal("not_found", f"no user has the email {email[:80]!r}; they must sign up first")
    return _member(world, people.join(world, organization_id, user, call.body["role"]))


@area.operation("updateOrgMemberRole", write=True, role="admin", finds=Membership, effects="→ role")
def update_org_member_role(call: Call, member: Membership) -> dict[str, Any]:
    """Only an owner grants owner, and the last owner stays one [2026-10 sdk]."""
    world, role = call.world, call.body["role"]
    if role == member.role:
        return _member(world, member)
    if role == "owner" and access.role_of(world, call.principal, call.organization_id) != "owner":
        raise Refusal(
            "forbidden", "only an owner may grant owner", deniedBy="role", permission="updateOrgMemberRole"
        )
    people.check_owner_stays(world, member)
    return _member(world, world.change(member, role=role))


@area.operation("removeOrgMember", write=True, role="admin", effects="membership deleted")
def remove_org_member(call: Call) -> None:
    """Ends what the person's sessions may do here, not the organization's keys [choice]. Nothing happens for
    somebody who is no member: the contract lists no 404 [choice]."""
    member = membership_of(call.world, call.organization_id, call.path["userId"])
    if member:
        people.check_owner_stays(call.world, member)
        people.leave(call.world, member)


def _send_invite(call: Call, email: str, user: User | None) -> dict[str, Any]:
    """Inviting again refreshes the invite [2026-07]."""
    world = call.world
    invite = world.put(
        Invite(
            id=f"{call.organization_id}/{email.lower()}",
            created_at_ms=world.now_ms,
            organization_id=call.organization_id,
            email=email,
            role=call.body["role"],
            invited_by=call.principal.user_id,
            expires_at_ms=world.now_ms + INVITE_DAYS * DAY_MS,
        )
    )
    return {
        "userId": user.id if user else "",
        "email": email,
        "role": invite.role,
        "status": "invited",
        "invitedAt": iso(invite.created_at_ms),
    }


# -- views -------------------------------------------------------------------------------------------------


def _organization(organization: Organization) -> dict[str, Any]:
    return {
        "id": organization.id,
        "shortId": organization.short_id,
        "name": organization.name,
        "slug": organization.slug,
        "billingEmail": organization.billing_email,
        "plan": organization.plan,
        "isProvider": organization.is_provider,
        "createdAt": iso(organization.created_at_ms),
        "accountStatus": organization.account_status,
        **organization.billing,
    }


def _member(world: World, member: Membership) -> dict[str, Any]:
    user = world.get(User, member.user_id)
    view = {
        "userId": user.id,
        "email": user.email,
        "role": member.role,
        "status": "active",
        "joinedAt": iso(member.created_at_ms),
    }
    texts = {"fullName": user.full_name, "avatarUrl": user.avatar_url}
    return view | {name: text for name, text in texts.items() if text}


def _invite(invite: Invite) -> dict[str, Any]:
    return {
        "email": invite.email,
        "role": invite.role,
        "invitedAt": iso(invite.created_at_ms),
        "invitedBy": invite.invited_by,
        "expiresAt": iso(invite.expires_at_ms),
    }


# -- actions -----------------------------------------------------------------------------------------------


class NewOrganization(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An organization and the email of its owner, who signs up when unknown."""

    name: str
    slug: str = ""
    owner: str


@area.action("org.create", NewOrganization)
def create_organization(world: World, what: NewOrganization) -> dict[str, Any]:
    """Somebody founds an organization: answers its id and a key with full access."""
    name = workload.check_name(what.name)
    slug = people.check_slug(world, what.slug or people.slug_of(name))
    owner = people.user_of(world, people.check_email(what.owner)) or people.add_user(world, what.owner, "")
    organization = people.new_organization(world, name, slug, owner.email)
    people.establish(world, organization, owner)
    secret = access.mint(world, world.settings.word("keys.prefix"), "api_key")
    access.add_key(world, secret, organization_id=organization.id, name=slug, created_by=owner.id)
    return {"organization": organization.id, "slug": slug, "owner": owner.id, "key": secret}


class Switch(Target, kw_only=True):
    """Which organization, a feature, and whether it may use it."""

    feature: Feature
    enabled: bool


@area.action("org.set_feature", Switch)
def set_feature(world: World, what: Switch) -> dict[str, Any]:
    """OpenRelay opens a feature to an organization, or closes it; what is under way goes on."""
    organization = pick(world, Organization, what, "slug", "name")
    chosen = {*organization.features} - {what.feature} | ({what.feature} if what.enabled else set())
    features = tuple(sorted(chosen))
    world.change(organization, features=features)
    return {"organization": organization.id, "features": list(features)}


# -- fixture -----------------------------------------------------------------------------------------------


class MemberSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A person of the users section, and their role."""

    email: str
    role: Literal["owner", "admin", "member", "viewer"]


class BudgetSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What an API key may spend on inference."""

    limit_nano_usd: Annotated[int, msgspec.Meta(ge=1, le=budgets.MOST_NANO)]
    period: budgets.Period = budgets.DEFAULT_PERIOD


class KeySpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An API key. Its name decides its secret, so that a README can print it."""

    name: str
    scopes: list[str] | None = None
    expires_in_s: int | None = None
    budget: BudgetSpec | None = None


class OrganizationSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An organization with its people and keys; the first owner has made the keys."""

    slug: str
    name: str
    id: str = ""
    short_id: str = ""
    billing_email: str = ""
    plan: str = ""
    is_provider: bool = False
    account_status: Literal["active", "pending", "restricted", "suspended", "banned"] = "active"
    features: tuple[Feature, ...] = FEATURES
    members: list[MemberSpec]
    keys: list[KeySpec] = []


@area.seed("organizations", list[OrganizationSpec])
def seed_organizations(world: World, specs: list[OrganizationSpec]) -> None:
    names: set[str] = set()
    for spec in specs:
        owner = _seed_organization(world, spec)
        for key in spec.keys:
            assert key.name not in names, f"two keys are named {key.name!r}; a key's name decides its secret"
            names.add(key.name)
            _seed_key(world, owner, key)


def _seed_organization(world: World, spec: OrganizationSpec) -> Membership:
    """One organization with its members; answers its first owner."""
    roles = {_known_user(world, member.email): member.role for member in spec.members}
    assert len(roles) == len(spec.members), f"{spec.slug} has somebody as a member twice"
    owner = next((user for user, role in roles.items() if role == "owner"), None)
    assert owner is not None, f"{spec.slug} has no owner"
    slug = people.check_slug(world, spec.slug)
    made = people.new_organization(world, spec.name, slug, spec.billing_email or owner.email)
    assert world.find(Organization, spec.id) is None, f"two organizations have the id {spec.id!r}"
    made = msgspec.structs.replace(
        made,
        id=spec.id or made.id,
        short_id=spec.short_id or made.short_id,
        plan=spec.plan or made.plan,
        is_provider=spec.is_provider,
        account_status=spec.account_status,
        features=spec.features,
    )
    membership = people.establish(world, made, owner)
    for user, role in roles.items():
        if user is not owner:
            people.join(world, made.id, user, role)
    return membership


def _known_user(world: World, email: str) -> User:
    user = people.user_of(world, email)
    assert user is not None, f"{email} is not among the users of the fixture"
    return user


def _seed_key(world: World, owner: Membership, spec: KeySpec) -> None:
    secret = access.fixed_secret(world.name, world.settings.word("keys.prefix"), spec.name)
    fields: dict[str, Any] = {"organization_id": owner.organization_id, "created_by": owner.user_id}
    if spec.scopes is not None:
        fields["scopes"] = access.check_scopes(spec.scopes)
    if spec.expires_in_s is not None:
        fields["expires_at_ms"] = world.now_ms + spec.expires_in_s * SECOND_MS
    key = access.add_key(world, secret, name=spec.name, **fields)
    if spec.budget is not None:
        budgets.give(world, key, spec.budget.limit_nano_usd, spec.budget.period)
