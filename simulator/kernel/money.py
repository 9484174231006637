"""Money in whole cents; never a float.

One formula bills everything: the live figure and the settlement use the same arithmetic [2026-07], by the
second [2026-10 sdk], rounded per session: down [choice: never over-charges], or as billing.rounding says.
"""

from __future__ import annotations

SECONDS_PER_HOUR = 3600
NANO_USD_PER_CENT = 10_000_000

ROUNDING = {"floor": 0, "nearest": SECONDS_PER_HOUR // 2, "up": SECONDS_PER_HOUR - 1}
"""What is added, in 3600ths of a cent, before what is left of a cent is dropped; halves go up."""


def usage_cents(span_ms: int, rate_cents: int, rounding: str = "floor") -> int:
    """Cents for a span at an hourly rate: whole seconds x rate / 3600, rounded.

    >>> usage_cents(9_005_000, 411)
    1028
    """
    return (span_ms // 1000 * rate_cents + ROUNDING[rounding]) // SECONDS_PER_HOUR


def hours(span_ms: int, count: int = 1) -> float:
    """Hours to two decimals, for reports only: nothing is billed from it."""
    return span_ms // 1000 * count * 100 // SECONDS_PER_HOUR / 100


def runway_hours(available_cents: int, floor_cents: int, burn_cents: int) -> float | None:
    """Hours until the floor at the present burn, to two decimals [2026-07]; None without burn.

    >>> runway_hours(10_430, 50, 414)
    25.07
    """
    if burn_cents == 0:
        return None
    return max(0, available_cents - floor_cents) * 100 // burn_cents / 100
