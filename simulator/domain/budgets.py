"""Budgets of API keys: how much a key may spend on inference in a day, a month, or ever, in nanoUSD.

A budget that is used up refuses the next use; what a use costs is known afterwards, so that the last one may
go over the limit, and a batch that was taken on is finished and counted when it ends [choice]. Days and
months are those of the UTC calendar [choice]; no timer is needed for their end.
"""

from __future__ import annotations

from typing import Any, Literal

from simulator.domain.access import ApiKey
from simulator.kernel.instant import DAY_MS, iso, month_of, month_start, next_month
from simulator.kernel.operation import Principal
from simulator.kernel.refusal import Refusal
from simulator.kernel.world import Row, World

Period = Literal["daily", "monthly", "lifetime"]
DEFAULT_PERIOD: Period = "lifetime"
"""Of a budget that names none [choice: nothing comes back unless it is asked for]."""
MOST_NANO = 2**53 - 1
"""The greatest limit: what every JSON client can hold [choice], some nine million dollars."""


class KeyBudget(Row, frozen=True, kw_only=True):
    """The budget of an API key, whose id it has."""

    limit_nano: int
    period: Period
    spent_nano: int = 0
    ends_at_ms: int | None = None
    """When the period ends in which that was spent; None: never, or nothing was spent yet."""


def give(world: World, key: ApiKey, limit_nano: int, period: Period) -> None:
    """Let a key have a budget from now on."""
    world.put(KeyBudget(id=key.id, created_at_ms=world.now_ms, limit_nano=limit_nano, period=period))


def has_one(world: World, principal: Principal) -> bool:
    return world.find(KeyBudget, principal.id) is not None


def check(world: World, principal: Principal) -> None:
    """Refuse with 402 where the budget of the calling key is used up [2026-10 sdk]."""
    budget = world.find(KeyBudget, principal.id)
    if budget is None or _spent_nano(world, budget) < budget.limit_nano:
        return
    ends_at_ms = _end_of_period(world, budget)
    again = "" if ends_at_ms is None else f"; the next period begins at {iso(ends_at_ms)}"
    raise Refusal(
        "key_budget_exceeded",
        f"{_spent_nano(world, budget)} of {budget.limit_nano} nanoUSD ({budget.period}) are spent{again}",
    )


def count(world: World, key_id: str, nano_usd: int) -> None:
    """Count what a key has spent; nothing where it has no budget."""
    budget = world.find(KeyBudget, key_id)
    if budget is not None:
        spent_nano = _spent_nano(world, budget) + nano_usd
        world.change(budget, spent_nano=spent_nano, ends_at_ms=_end_of_period(world, budget))


def view(world: World, key: ApiKey) -> dict[str, Any]:
    """The member `budget` of a key that has one [2026-10 sdk]."""
    budget = world.find(KeyBudget, key.id)
    if budget is None:
        return {}
    ends_at_ms = _end_of_period(world, budget)
    shown = {
        "limitNanoUsd": budget.limit_nano,
        "period": budget.period,
        "spentNanoUsd": _spent_nano(world, budget),
    }
    return {"budget": shown | ({} if ends_at_ms is None else {"periodEndsAt": iso(ends_at_ms)})}


def _spent_nano(world: World, budget: KeyBudget) -> int:
    """What was spent in the present period."""
    over = budget.ends_at_ms is not None and budget.ends_at_ms <= world.now_ms
    return 0 if over else budget.spent_nano


def _end_of_period(world: World, budget: KeyBudget) -> int | None:
    if budget.period == "daily":
        return (world.now_ms // DAY_MS + 1) * DAY_MS
    if budget.period == "monthly":
        return month_start(next_month(month_of(world.now_ms)))
    return None
