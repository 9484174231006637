"""Who is a provider, and who has asked to become one.

An organization applies with a note; what OpenRelay decides comes through the control surface. Approval makes
it a provider for good; after a rejection it may ask again [choice]. What is a provider's is refused to all
others with 403 [2026-07], except to ask and to see how the asking went.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from simulator.domain.access import Organization, organization_of_slug
from simulator.kernel.instant import iso
from simulator.kernel.machine import NEW, Machine, row
from simulator.kernel.operation import Call
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.target import Target, pick
from simulator.kernel.world import Row, World
from simulator.resources.provider.lifecycle import area

LONGEST_NOTE = 2000

APPLICATION_STATES = ("pending", "approved", "rejected")

# fmt: off
APPLICATION_LIFE = Machine("Provider application", APPLICATION_STATES, [
    # trigger      from        to
    row("apply",   NEW,        "pending"),
    row("apply",   "rejected", "pending"),
    row("approve", "pending",  "approved"),
    row("reject",  "pending",  "rejected"),
], refusals={
    "apply":   {"*": "bad_request"},
    "approve": {"*": "conflict"},
    "reject":  {"*": "conflict"},
})
# fmt: on


class ProviderApplication(Row, frozen=True, kw_only=True):
    """What an organization last asked with; the id is the organization's."""

    note: str
    status: str


# -- operations --------------------------------------------------------------------------------------------


@area.operation("applyForProvider", write=True, role="admin", feature="", effects="application pending")
def apply_for_provider(call: Call) -> None:
    """400 for a provider, and while an application is pending [2026-10 sdk]."""
    world, note = call.world, call.body["note"]
    if not note.strip() or len(note) > LONGEST_NOTE:
        raise Refusal(
            "bad_request", f"note has {len(note)} characters; say something in {LONGEST_NOTE} at most"
        )
    organization = world.get(Organization, call.organization_id)
    if organization.is_provider:
        raise Refusal("bad_request", f"{organization.slug} is a provider already")
    _move(world, organization, "apply", note)


@area.operation("getProviderStatus", feature="")
def get_provider_status(call: Call) -> dict[str, Any]:
    """Open to everybody; null where nobody has applied."""
    application = call.world.find(ProviderApplication, call.organization_id)
    return {
        "isProvider": call.world.get(Organization, call.organization_id).is_provider,
        "applicationStatus": application.status if application else None,
        "applicationSubmittedAt": iso(application.created_at_ms) if application else None,
    }


def _move(world: World, organization: Organization, trigger: str, note: str = "") -> dict[str, Any]:
    """Carry out one row of the table; approval makes a provider."""
    found = world.find(ProviderApplication, organization.id)
    before = found.status if found else NEW
    what = f"the provider application of {organization.slug}"
    status = APPLICATION_LIFE.step(before, trigger, what).target
    if trigger == "apply":
        found = ProviderApplication(id=organization.id, created_at_ms=world.now_ms, note=note, status=status)
    assert found is not None, f"{trigger} of no application"
    world.put(msgspec.structs.replace(found, status=status))
    if status == "approved":
        world.change(organization, is_provider=True)
    told = {"resource": organization.id, "name": organization.slug, "from": before, "to": status}
    world.note("transition", **told, trigger=trigger)
    return {"organization": organization.id, "applicationStatus": status}


def provider_of(world: World, slug: str) -> Organization:
    """The provider that a node is said to belong to; refused where it is none."""
    organization = world.first(Organization, "slug", slug)
    if organization is None:
        known = [row.slug for row in world.rows(Organization)]
        raise Refusal("not_found", f"no organization {slug!r}{nearest(slug, known)}")
    if not organization.is_provider:
        raise Refusal("conflict", f"organization {slug!r} is no provider; only a provider has nodes")
    return organization


# -- actions -----------------------------------------------------------------------------------------------


@area.action("provider.approve", Target)
def approve_provider(world: World, what: Target) -> dict[str, Any]:
    """OpenRelay approves an organization's application: it is a provider from now on."""
    return _move(world, pick(world, Organization, what, "slug", "name"), "approve")


@area.action("provider.reject", Target)
def reject_provider(world: World, what: Target) -> dict[str, Any]:
    """OpenRelay rejects an organization's application; it may apply again."""
    return _move(world, pick(world, Organization, what, "slug", "name"), "reject")


# -- fixture -----------------------------------------------------------------------------------------------


class ApplicationSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An application; one that was approved makes its organization a provider."""

    organization: str
    note: str = "We have machines to offer."
    status: Literal["pending", "approved", "rejected"] = "approved"


@area.seed("provider_applications", list[ApplicationSpec])
def seed_applications(world: World, specs: list[ApplicationSpec]) -> None:
    for spec in specs:
        organization = organization_of_slug(world, spec.organization)
        assert not organization.is_provider or spec.status == "approved", (
            f"{spec.organization} is a provider, so its application was approved"
        )
        assert world.find(ProviderApplication, organization.id) is None, f"{spec.organization} applied twice"
        application = ProviderApplication(
            id=organization.id, created_at_ms=world.now_ms, note=spec.note, status=spec.status
        )
        world.put(application)
        world.change(organization, is_provider=spec.status == "approved")
