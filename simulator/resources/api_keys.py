"""API keys: minted once, shown once, kept as a digest.

A key belongs to one organization and acts there with its scopes as an admin would [choice]. A member makes
and revokes keys of their own only [choice].
"""

from __future__ import annotations

from typing import Any

from simulator.domain import access, budgets, workload
from simulator.domain.access import SCOPES, ApiKey
from simulator.kernel.instant import LATEST_MS, SECOND_MS, iso
from simulator.kernel.operation import Area, Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.target import Target, pick
from simulator.kernel.world import World

NARROWING = ("permissions", "restrictions", "serviceAccountId", "template")
"""Members of the later surface that would narrow a key [2026-10 sdk]. They are refused: a key that opened
more than was asked for would let a test pass that must not [choice]."""

area = Area("API Keys", scope="admin")


# -- operations --------------------------------------------------------------------------------------------


@area.operation("listOrgApiKeys")
def list_org_api_keys(call: Call) -> list[dict[str, Any]]:
    """Newest first; revoked and expired keys stay in the list [2026-07]."""
    world = call.world
    keys = world.select(ApiKey, "organization", call.organization_id)
    return [_summary(world, key) for key in reversed(keys)]


@area.operation(
    "createOrgApiKey", write=True, keys_allowed="keys.minted_by", effects="the secret, shown once"
)
def create_org_api_key(call: Call) -> dict[str, Any]:
    """Without scopes a key opens what its maker does: everything, or the scopes of the key that makes it."""
    world, body = call.world, call.body
    _check_maker(call)
    name = workload.check_name(body["name"])
    _check_narrowing(body)
    scopes = _scopes(call, body.get("scopes"))
    expires_at_ms = _end(world, body.get("expiresInSeconds", 0))
    limit_nano = _limit(body.get("budget"))
    secret = access.mint(world, world.settings.word("keys.prefix"), "api_key")
    key = access.add_key(
        world,
        secret,
        organization_id=call.organization_id,
        name=name,
        scopes=scopes,
        created_by=call.principal.user_id,
        expires_at_ms=expires_at_ms,
        note=body.get("note", ""),
    )
    if limit_nano:
        budgets.give(world, key, limit_nano, body["budget"].get("period", budgets.DEFAULT_PERIOD))
    shown = _summary(world, key)
    kept = ("id", "name", "keyPrefix", "scopes", "createdAt", "expiresAt", "budget")
    view = {member: shown[member] for member in kept if member in shown}
    return {**view, "key": secret, "organizationId": key.organization_id}


@area.operation("revokeOrgApiKey", write=True, effects="revoked")
def revoke_org_api_key(call: Call) -> None:
    """Revoking again changes nothing. An unknown id: setting keys.revoke_unknown [2026-10 sdk: 404]."""
    world = call.world
    key = world.find(ApiKey, call.path["id"])
    if key is None or key.organization_id != call.organization_id:
        if world.settings.word("keys.revoke_unknown") == "404":
            raise Refusal("not_found", f"API key {call.path['id'][:80]!r} is unknown in this organization")
        return
    role = access.role_of(world, call.principal, call.organization_id)
    if role == "member" and key.created_by != call.principal.user_id:
        raise Refusal(
            "forbidden",
            f"key {key.name!r} was made by somebody else; a member revokes own keys only",
            deniedBy="role",
            permission="revokeOrgApiKey",
        )
    if key.revoked_at_ms is None:
        world.change(key, revoked_at_ms=world.now_ms)


# -- checks ------------------------------------------------------------------------------------------------


def _check_maker(call: Call) -> None:
    """A key with a budget makes no keys, which could spend more [2026-10 sdk]."""
    if budgets.has_one(call.world, call.principal):
        raise Refusal(
            "forbidden",
            "the calling key has a budget, and makes no others; call with a session or another key",
            deniedBy="key",
            permission="createOrgApiKey",
        )


def _limit(budget: dict[str, Any] | None) -> int | None:
    """The limit of a new key's budget, in nanoUSD; None where it has none."""
    if budget is None:
        return None
    limit_nano: int = budget["limitNanoUsd"]
    if not 0 < limit_nano <= budgets.MOST_NANO:
        most = budgets.MOST_NANO
        raise Refusal("bad_request", f"budget.limitNanoUsd {limit_nano} is out of bounds; take 1 to {most}")
    return limit_nano


def _check_narrowing(body: dict[str, Any]) -> None:
    asked = [member for member in NARROWING if body.get(member)]
    if body.get("kind") == "personal":
        asked.append("kind")
    if asked:
        raise Refusal("bad_request", f"{asked[0]} would narrow the key, and is not simulated; leave it out")


def _scopes(call: Call, asked: list[str] | None) -> tuple[str, ...] | None:
    """The scopes of a new key; None is full access. No key makes one that opens more than itself [choice]."""
    mode, own = call.world.settings.word("scopes.mode"), call.principal.scopes
    if not asked:
        return own
    scopes = access.check_scopes(asked)
    if mode == "observed":
        _check_pairs(scopes)
    if own is not None and access.opened(mode, scopes) - access.opened(mode, own):
        raise Refusal(
            "ESCALATION_REFUSED",
            f"scopes {list(scopes)} open more than those of the calling key, {list(own)}",
        )
    return scopes


def _check_pairs(scopes: tuple[str, ...]) -> None:
    """vms:* opens nothing without the matching clusters:* and must be asked for with it [2026-10 sdk]."""
    for verb in ("read", "write"):
        if f"vms:{verb}" in scopes and f"clusters:{verb}" not in scopes:
            raise Refusal(
                "bad_request", f"scope vms:{verb} opens nothing alone; ask for clusters:{verb} with it"
            )


def _end(world: World, expires_in_s: int) -> int | None:
    """When a key ends; 0 and less mean never [2026-07]."""
    if expires_in_s <= 0:
        return None
    expires_at_ms = world.now_ms + expires_in_s * SECOND_MS
    if expires_at_ms > LATEST_MS:
        raise Refusal(
            "bad_request", f"expiresInSeconds {expires_in_s} ends after {iso(LATEST_MS)}; 0 means never"
        )
    return expires_at_ms


# -- views -------------------------------------------------------------------------------------------------


def _summary(world: World, key: ApiKey) -> dict[str, Any]:
    """A key without its secret; full access is shown as every documented scope [choice]."""
    view = {
        "id": key.id,
        "name": key.name,
        "keyPrefix": key.prefix,
        "scopes": list(SCOPES if key.scopes is None else key.scopes),
        "createdAt": iso(key.created_at_ms),
        "createdBy": key.created_by,
    }
    moments = {
        "expiresAt": key.expires_at_ms,
        "lastUsedAt": key.last_used_at_ms,
        "revokedAt": key.revoked_at_ms,
    }
    view |= {name: iso(moment) for name, moment in moments.items() if moment is not None}
    return view | budgets.view(world, key) | ({"note": key.note} if key.note else {})


# -- actions -----------------------------------------------------------------------------------------------


@area.action("key.expire", Target)
def expire_key(world: World, what: Target) -> dict[str, Any]:
    """The end of an API key comes now."""
    key = pick(world, ApiKey, what)
    world.change(key, expires_at_ms=world.now_ms)
    return {"key": key.id, "name": key.name, "expiresAt": iso(world.now_ms)}


@area.action("key.revoke", Target)
def revoke_key(world: World, what: Target) -> dict[str, Any]:
    """Somebody revokes an API key in the dashboard; revoking again changes nothing."""
    key = pick(world, ApiKey, what)
    if key.revoked_at_ms is None:
        key = world.change(key, revoked_at_ms=world.now_ms)
    assert key.revoked_at_ms is not None
    return {"key": key.id, "name": key.name, "revokedAt": iso(key.revoked_at_ms)}
