"""Every timer there is: those of the areas, and the timeline's."""

from __future__ import annotations

from collections.abc import Callable

from simulator.registry import TIMERS as OF_AREAS
from simulator.scenario import timeline

TIMERS: dict[str, Callable[..., None]] = {**OF_AREAS, **timeline.TIMERS}
