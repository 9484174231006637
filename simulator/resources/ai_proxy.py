"""The AI proxy: a forward proxy with a user name, metered in bytes, not in tokens [docs page].

Any key of the organization that carries the scope `inference` is a proxy key [choice]. What passes through
the proxy comes from outside, by the action proxy.use.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from simulator.domain.access import ApiKey, Organization
from simulator.kernel.instant import DAY_MS, day_of, iso
from simulator.kernel.operation import Area, Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.target import Target, pick
from simulator.kernel.world import Row, World

SCOPE = "inference"
DEFAULT_DAYS, MOST_DAYS = 30, 90

area = Area("AI Proxy", scope=SCOPE)


class ProxyDay(Row, frozen=True, kw_only=True):
    """What an organization sent through the proxy on one UTC day; the id is `organization/day`."""

    organization_id: str
    requests: int = 0
    bytes: int = 0
    errors: int = 0


class ProxyKey(Row, frozen=True, kw_only=True):
    """What passed through the proxy with one API key; the id is the key's."""

    requests: int = 0
    bytes: int = 0
    last_used_at_ms: int | None = None


# -- operations --------------------------------------------------------------------------------------------


@area.operation("getAiProxy")
def get_ai_proxy(call: Call) -> dict[str, Any]:
    """The user name is the organization's short id; keys newest first [choice]."""
    world = call.world
    keys = world.select(ApiKey, "organization", call.organization_id)
    return {
        "host": world.settings.word("ai_proxy.host"),
        "port": world.settings.whole("ai_proxy.port"),
        "username": world.get(Organization, call.organization_id).short_id,
        "proxyKeys": [_key(world, key) for key in reversed(keys) if carries(world, key)],
    }


@area.operation("getAiProxyUsage")
def get_ai_proxy_usage(call: Call) -> dict[str, Any]:
    """One row per UTC day, today the last, days without use too [choice]."""
    days = call.query.get("days", DEFAULT_DAYS)
    if days > MOST_DAYS:
        raise Refusal("unprocessable", f"days {days} is out of bounds; take 1 to {MOST_DAYS}")
    today_ms = call.world.now_ms // DAY_MS * DAY_MS
    moments = range(today_ms - (days - 1) * DAY_MS, today_ms + 1, DAY_MS)
    daily = [_day(call.world, call.organization_id, day_of(moment)) for moment in moments]
    words = ("requests", "bytes", "success", "errors")
    return {"daily": daily, "totals": {word: sum(day[word] for day in daily) for word in words}}


def carries(world: World, key: ApiKey) -> bool:
    """Whether a key opens the proxy now: full access, or the scope; neither revoked nor expired [choice]."""
    ended = key.expires_at_ms is not None and key.expires_at_ms <= world.now_ms
    return key.revoked_at_ms is None and not ended and (key.scopes is None or SCOPE in key.scopes)


# -- views -------------------------------------------------------------------------------------------------


def _key(world: World, key: ApiKey) -> dict[str, Any]:
    used = world.find(ProxyKey, key.id) or ProxyKey(id=key.id)
    last = used.last_used_at_ms
    return {
        "id": key.id,
        "name": key.name,
        "keyPrefix": key.prefix,
        "lastUsedAt": None if last is None else iso(last),
        "usageCount": used.requests,
        "bandwidthBytes": used.bytes,
        "createdAt": iso(key.created_at_ms),
    }


def _day(world: World, organization_id: str, date: str) -> dict[str, Any]:
    day_id = f"{organization_id}/{date}"
    day = world.find(ProxyDay, day_id) or ProxyDay(id=day_id, organization_id=organization_id)
    return {
        "date": date,
        "requests": day.requests,
        "bytes": day.bytes,
        "success": day.requests - day.errors,
        "errors": day.errors,
    }


# -- actions -----------------------------------------------------------------------------------------------

Amount = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class ProxyUse(Target, kw_only=True):
    """Which API key, and what was sent with it."""

    requests: Annotated[int, msgspec.Meta(ge=1, le=10**9)] = 1
    bytes: Amount = 0
    errors: Amount = 0
    """How many of the requests failed."""


@area.action("proxy.use", ProxyUse)
def use_proxy(world: World, what: ProxyUse) -> dict[str, Any]:
    """Somebody sends requests through the AI proxy with an API key."""
    key = pick(world, ApiKey, what)
    if not carries(world, key):
        raise Refusal("forbidden", f"key {key.name!r} is revoked or expired, or lacks the scope {SCOPE!r}")
    if what.errors > what.requests:
        raise Refusal("bad_request", f"errors {what.errors} is more than requests {what.requests}")
    used = world.find(ProxyKey, key.id) or ProxyKey(id=key.id, created_at_ms=world.now_ms)
    requests, sent = used.requests + what.requests, used.bytes + what.bytes
    world.change(used, requests=requests, bytes=sent, last_used_at_ms=world.now_ms)
    _count(world, key.organization_id, what)
    return {"key": key.id, "name": key.name, "usageCount": requests, "bandwidthBytes": sent}


def _count(world: World, organization_id: str, what: ProxyUse) -> None:
    day_id = f"{organization_id}/{day_of(world.now_ms)}"
    day = world.find(ProxyDay, day_id) or ProxyDay(
        id=day_id, created_at_ms=world.now_ms, organization_id=organization_id
    )
    world.change(
        day,
        requests=day.requests + what.requests,
        bytes=day.bytes + what.bytes,
        errors=day.errors + what.errors,
    )
