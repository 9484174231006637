"""People and their organizations: founding one, joining, leaving, and who must stay.

An organization keeps at least one owner, and a person's default organization is one of theirs.
"""

from __future__ import annotations

import re

from simulator.domain import metering, workload
from simulator.domain.access import Invite, Membership, Organization, User, membership_of
from simulator.kernel.refusal import Refusal
from simulator.kernel.streams import BASE36
from simulator.kernel.world import World

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
LONGEST_EMAIL = 254
LONGEST_NAME = 63
"""As for every other name [choice]."""


def user_of(world: World, email: str) -> User | None:
    """The person with this address; case does not matter."""
    return world.first(User, "email", email.lower())


def add_user(world: World, email: str, full_name: str, user_id: str = "") -> User:
    """Someone who has signed up and belongs to no organization yet."""
    check_email(email)
    if user_of(world, email):
        raise Refusal("conflict", f"a user with the email {email!r} exists")
    user_id = user_id or workload.new_id(world, "user")
    return world.put(User(id=user_id, created_at_ms=world.now_ms, email=email, full_name=full_name))


def check_email(email: str) -> str:
    """An address good enough to tell people apart by: something, an @, something."""
    before, _, after = email.rpartition("@")
    if not before or not after or len(email) > LONGEST_EMAIL or not email.isprintable() or " " in email:
        raise Refusal("bad_request", f"email {email[:80]!r} is not an address such as ada@example.com")
    return email


# -- founding ----------------------------------------------------------------------------------------------


def slug_of(name: str) -> str:
    """An organization's slug from its name [seed]; `org` where no letter or digit remains."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-") or "org"


def check_slug(world: World, slug: str) -> str:
    """A slug that nobody has; a taken one is refused with 409 [seed]."""
    if not SLUG.fullmatch(slug):
        raise Refusal(
            "bad_request",
            f"slug {slug[:80]!r} must have 1 to 63 lower-case letters, digits and inner hyphens; "
            f"{slug_of(slug)!r} would do",
        )
    if world.first(Organization, "slug", slug):
        raise Refusal("conflict", f"the slug {slug!r} is taken")
    return slug


def free_slug(world: World, name: str) -> str:
    """The slug of a name, with a number behind it where it is taken: for names nobody has chosen."""
    slug, number = slug_of(name), 1
    while world.first(Organization, "slug", slug):
        number += 1
        slug = f"{slug_of(name)}-{number}"
    return slug


def new_organization(world: World, name: str, slug: str, billing_email: str) -> Organization:
    """An organization as it begins, not put into the world yet."""
    return Organization(
        id=workload.new_id(world, "org"),
        created_at_ms=world.now_ms,
        short_id=world.streams.text("short_id", 8, BASE36),
        name=name,
        slug=slug,
        billing_email=billing_email,
    )


def establish(world: World, organization: Organization, owner: User) -> Membership:
    """Put an organization into the world, with an account of no money and its first owner."""
    world.put(organization)
    world.put(metering.Account(id=organization.id, created_at_ms=organization.created_at_ms))
    return join(world, organization.id, owner, "owner")


# -- members -----------------------------------------------------------------------------------------------


def memberships(world: World, user: User) -> list[Membership]:
    """A person's memberships: the default organization first, then as they were joined [choice]."""
    joined = world.select(Membership, "user", user.id)
    return sorted(joined, key=lambda member: member.organization_id != user.default_organization_id)


def join(world: World, organization_id: str, user: User, role: str) -> Membership:
    """Make a person a member; an open invite is used up by it."""
    invite = invite_of(world, organization_id, user.email)
    if invite:
        world.delete(invite)
    world.change(
        user,
        onboarded=True,
        default_organization_id=user.default_organization_id or organization_id,
    )
    return world.put(
        Membership(
            id=f"{organization_id}/{user.id}",
            created_at_ms=world.now_ms,
            organization_id=organization_id,
            user_id=user.id,
            role=role,
        )
    )


def leave(world: World, member: Membership) -> None:
    """End a membership: the person's sessions open this organization no more, its keys live on [choice]."""
    world.delete(member)
    user = world.get(User, member.user_id)
    if user.default_organization_id == member.organization_id:
        rest = memberships(world, user)
        world.change(user, default_organization_id=rest[0].organization_id if rest else "")


def check_owner_stays(world: World, member: Membership) -> None:
    """Refuse to lose the last owner [2026-10 sdk]; the status is the profile's."""
    owners = world.bucket(Membership, "owners", member.organization_id)
    if member.role == "owner" and len(owners) == 1:
        user = world.get(User, member.user_id)
        raise Refusal("LAST_OWNER", f"{user.email} is the last owner; make somebody else an owner first")


def check_no_member(world: World, organization_id: str, user: User) -> None:
    if membership_of(world, organization_id, user.id):
        raise Refusal("conflict", f"{user.email} is a member already")


def invite_of(world: World, organization_id: str, email: str) -> Invite | None:
    return world.find(Invite, f"{organization_id}/{email.lower()}")
