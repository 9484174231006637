"""How long the random tests search: `make explore TIMES=60` looks sixty times as far as a test run does, and
elsewhere each time."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("PROPERTY_TIMES", "1"))


def walks(number: int, steps: int) -> settings:
    """Settings of a state machine: so many walks of so many steps."""
    return settings(
        max_examples=number * TIMES,
        stateful_step_count=steps,
        derandomize=TIMES == 1,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
