"""How often a caller may call: a bucket of tokens, filled on the virtual clock.

No figures are published anywhere, so the limit of each key and session is off by default [choice]. A call
takes one token, a refused one none; Retry-After names whole seconds, for a real client cannot read a date
[client (legacy)].
"""

from __future__ import annotations

from simulator.kernel.operation import Principal
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Row, World

MINUTE_MS = 60_000


class Allowance(Row, frozen=True, kw_only=True):
    """A bucket; the id names the limit and the caller."""

    full_at: int
    """When the bucket will be full again, in milliseconds times calls a minute: a whole number."""


def check_rate(world: World, principal: Principal) -> None:
    """Take a token of a key or session; refused with 429 when there is none."""
    per_minute = world.settings.whole("limits.per_minute")
    if per_minute:
        take(world, principal.id, per_minute, world.settings.whole("limits.burst"))


def take(world: World, bucket: str, per_minute: int, burst: int) -> None:
    """Take a token out of a bucket. Raises Refusal 429 that says when there will be one."""
    now = world.now_ms * per_minute
    last = world.find(Allowance, bucket)
    full_at = max(now, last.full_at if last else 0) + MINUTE_MS
    wanting = full_at - now - burst * MINUTE_MS
    if wanting > 0:
        raise Refusal(
            "rate_limited",
            f"more than {per_minute} calls a minute, and {burst} at once, are too many",
            retry_after_s=-(-wanting // (per_minute * 1000)),
        )
    world.tally(Allowance(id=bucket, created_at_ms=world.now_ms, full_at=full_at))
