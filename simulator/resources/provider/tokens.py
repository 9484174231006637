"""Provisioning tokens: what lets a machine enrol as a node of a provider.

The secret is answered once; what is kept is its digest. A token ends when its time is over, when as many
nodes have enrolled as it was made for, or when it is revoked; nodes that have enrolled stay [2026-10 sdk].
Six days after its time it is forgotten, whatever ended it.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from simulator.domain import access, workload
from simulator.kernel.clock import Grade
from simulator.kernel.instant import DAY_MS, HOUR_MS, SECOND_MS, iso
from simulator.kernel.operation import Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Index, Row, World
from simulator.resources.provider.applications import provider_of
from simulator.resources.provider.lifecycle import area
from simulator.resources.provider.nodes import LONGEST_NOTICE_S

DEFAULT_HOURS = 24
HOURS = range(1, 8761)
"""A year at the most [choice]."""
LISTED_MS = 6 * DAY_MS
"""After its end in time."""
POOLS = ("community", "verified")
"""What a node may be put into: the tiers of nodes [choice]."""
MOST_NODES = 1_000_000
WARNING = "Store this token now: it is shown only once. Whoever has it can enrol nodes for this organization."


class ProvisioningToken(Row, frozen=True, kw_only=True):
    """A token without its secret."""

    indexes: ClassVar = {
        "digest": Index(lambda token: token.digest),
        "organization": Index(lambda token: token.organization_id),
    }

    organization_id: str
    name: str = ""
    prefix: str
    digest: str
    node_type: str = ""
    """What its nodes are called; "": by the hardware they have."""
    node_pool: str = POOLS[0]
    node_class: str = "persistent"
    notice_seconds: int | None = None
    max_nodes: int = 0
    """How many nodes may enrol; 0: any number [seed]."""
    used_count: int = 0
    expires_at_ms: int
    revoked_at_ms: int | None = None
    last_used_at_ms: int | None = None
    last_node_id: str = ""

    def status(self, now_ms: int) -> str:
        """Of several ends the one that says most [choice]."""
        if self.revoked_at_ms is not None:
            return "revoked"
        if now_ms >= self.expires_at_ms:
            return "expired"
        return "exhausted" if 0 < self.max_nodes <= self.used_count else "active"


# -- operations --------------------------------------------------------------------------------------------


@area.operation("listProvisioningTokens")
def list_provisioning_tokens(call: Call) -> list[dict[str, Any]]:
    """Newest first [choice]."""
    tokens = call.world.select(ProvisioningToken, "organization", call.organization_id)
    return [_item(token, call.world.now_ms) for token in reversed(tokens)]


@area.operation("generateProvisioningToken", write=True, role="admin", effects="the secret, shown once")
def generate_provisioning_token(call: Call) -> dict[str, Any]:
    """Lives for 24 hours unless it is told otherwise [2026-10 sdk]."""
    body = call.body or {}
    hours = _within("expiresInHours", body.get("expiresInHours", DEFAULT_HOURS), HOURS)
    secret, token = mint(
        call.world,
        call.organization_id,
        expires_at_ms=call.world.now_ms + hours * HOUR_MS,
        **_wishes(body),
    )
    item = _item(token, call.world.now_ms)
    shown = ("id", "tokenPrefix", "name", "nodePool", "maxNodes", "maxEnrollments", "nodeType")
    view = {name: item[name] for name in (*shown, "noticeSeconds", "expiresAt") if name in item}
    return view | {"token": secret, "warning": WARNING}


@area.operation(
    "revokeProvisioningToken", write=True, role="admin", finds=ProvisioningToken, effects="revoked"
)
def revoke_provisioning_token(call: Call, token: ProvisioningToken) -> None:
    """One that has ended otherwise counts as revoked from now on; revoking again changes nothing [choice]."""
    if token.revoked_at_ms is None:
        call.world.change(token, revoked_at_ms=call.world.now_ms)


# -- checks ------------------------------------------------------------------------------------------------


def _wishes(body: dict[str, Any]) -> dict[str, Any]:
    """What a body says of the nodes to come; each refused where it makes no sense."""
    pool = body.get("nodePool", POOLS[0])
    if pool not in POOLS:
        raise Refusal("bad_request", f"nodePool {pool[:80]!r} is unknown; known are {', '.join(POOLS)}")
    wishes = {"node_pool": pool, "max_nodes": _most_nodes(body)}
    for member, field in (("name", "name"), ("nodeType", "node_type")):
        if member in body:
            wishes[field] = workload.check_name(body[member])
    if "class" in body:
        wishes["node_class"] = body["class"]
    if "noticeSeconds" in body:
        longest = range(LONGEST_NOTICE_S + 1)
        wishes["notice_seconds"] = _within("noticeSeconds", body["noticeSeconds"], longest)
    return wishes


def _most_nodes(body: dict[str, Any]) -> int:
    """maxEnrollments is the later name of maxNodes [2026-10 sdk]."""
    given = {name: body[name] for name in ("maxNodes", "maxEnrollments") if name in body}
    if len({*given.values()}) > 1:
        raise Refusal("bad_request", f"{given} say two things; maxEnrollments is another name of maxNodes")
    return max((_within(name, most, range(MOST_NODES + 1)) for name, most in given.items()), default=0)


def _within(member: str, given: int, bounds: range) -> int:
    if given not in bounds:
        raise Refusal("bad_request", f"{member} {given} is out of bounds; take {bounds[0]} to {bounds[-1]}")
    return given


# -- rows --------------------------------------------------------------------------------------------------


def mint(
    world: World, organization_id: str, *, expires_at_ms: int, **fields: Any
) -> tuple[str, ProvisioningToken]:
    """A new token and its secret, whose prefix follows that of new API keys."""
    prefix = "otk_" if world.settings.word("keys.prefix") == "or_" else "vtk_"
    secret = access.mint(world, prefix, "provisioning_token")
    token = ProvisioningToken(
        id=f"ptk_{world.streams.text('token', 24)}",
        created_at_ms=world.now_ms,
        organization_id=organization_id,
        prefix=secret[:8],
        digest=access.digest(secret),
        expires_at_ms=expires_at_ms,
        **fields,
    )
    forgotten_ms = expires_at_ms + LISTED_MS
    world.clock.at(forgotten_ms, "token.forget", (token.id,), cause=world.cause, grade=Grade.calendar)
    return secret, world.put(token)


def presented(world: World, secret: str) -> ProvisioningToken:
    """The token that a machine has; one that does not hold is refused: 401, or 403 when it was revoked
    [2026-07]. Whether it has enrolments left is another question."""
    token = world.first(ProvisioningToken, "digest", access.digest(secret))
    if token is None or access.is_deleted(world, token.organization_id):
        raise Refusal(
            "unauthorized", "the provisioning token is unknown; generateProvisioningToken makes one"
        )
    status = token.status(world.now_ms)
    if status == "revoked":
        raise Refusal("forbidden", f"provisioning token {token.prefix}… was revoked")
    if status == "expired":
        raise Refusal(
            "unauthorized", f"provisioning token {token.prefix}… expired {iso(token.expires_at_ms)}"
        )
    return token


def use(world: World, token: ProvisioningToken, node_id: str) -> None:
    """Count a node that has enrolled."""
    world.change(token, used_count=token.used_count + 1, last_used_at_ms=world.now_ms, last_node_id=node_id)


@area.timer("token.forget")
def forget(world: World, token_id: str) -> None:
    """A token ended six days ago at the latest [2026-10 sdk]."""
    world.delete(world.get(ProvisioningToken, token_id))


# -- views -------------------------------------------------------------------------------------------------


def _item(token: ProvisioningToken, now_ms: int) -> dict[str, Any]:
    moments = {
        "usedAt": token.last_used_at_ms,
        "lastUsedAt": token.last_used_at_ms,
        "revokedAt": token.revoked_at_ms,
    }
    view = {
        "id": token.id,
        "name": token.name or None,
        "tokenPrefix": token.prefix,
        "nodeType": token.node_type or "any",
        "nodePool": token.node_pool,
        "status": token.status(now_ms),
        "createdAt": iso(token.created_at_ms),
        "expiresAt": iso(token.expires_at_ms),
        "maxNodes": token.max_nodes,
        "maxEnrollments": token.max_nodes,
        "usedCount": token.used_count,
        "enrollmentCount": token.used_count,
        "usedByNodeId": token.last_node_id or None,
        **{name: None if moment is None else iso(moment) for name, moment in moments.items()},
    }
    return view if token.notice_seconds is None else {**view, "noticeSeconds": token.notice_seconds}


# -- fixture -----------------------------------------------------------------------------------------------


class TokenSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A token of a provider. Nobody knows its secret: one to enrol with is made by the API."""

    organization: str
    name: str = ""
    node_pool: Literal["community", "verified"] = "community"
    max_nodes: Annotated[int, msgspec.Meta(ge=0, le=MOST_NODES)] = 0
    used: Annotated[int, msgspec.Meta(ge=0, le=MOST_NODES)] = 0
    expires_in_s: Annotated[int, msgspec.Meta(gt=-LISTED_MS // SECOND_MS, le=10**8)] = DEFAULT_HOURS * 3600
    """Negative: it has expired."""
    revoked: bool = False


@area.seed("provider_tokens", list[TokenSpec])
def seed_tokens(world: World, specs: list[TokenSpec]) -> None:
    for spec in specs:
        assert not 0 < spec.max_nodes < spec.used, f"{spec.used} of {spec.max_nodes} nodes have enrolled"
        mint(
            world,
            provider_of(world, spec.organization).id,
            expires_at_ms=world.now_ms + spec.expires_in_s * SECOND_MS,
            name=spec.name and workload.check_name(spec.name),
            node_pool=spec.node_pool,
            max_nodes=spec.max_nodes,
            used_count=spec.used,
            revoked_at_ms=world.now_ms if spec.revoked else None,
        )
