"""Operations one after the other: what one answers, the next one asks for, and time passes between them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from schemathesis import Case, Response

from tests.conformance.arena import ARENA, EXAMPLES, SCHEMA
from tests.support.invariants import check_world

SEQUENCES = EXAMPLES or 5
STEPS = 12
SECONDS_BETWEEN_CALLS = 20
SEEDS = range(4)
"""So that processes can share the work."""


class Sequences(SCHEMA.as_state_machine()):  # type: ignore[misc]
    """Calls along the links that schemathesis infers from the names in the contract."""

    def setup(self) -> None:
        ARENA.start_over()

    def before_call(self, case: Case) -> None:
        ARENA.furnish(case)

    def after_call(self, response: Response, case: Case) -> None:
        super().after_call(response, case)
        ARENA.cloud.advance(SECONDS_BETWEEN_CALLS)

    def teardown(self) -> None:
        assert ARENA.cloud.bugs() == []
        check_world(ARENA.cloud.world)


@pytest.mark.parametrize("start", SEEDS)
def test_sequences_keep_the_contract_and_every_invariant(start: int) -> None:
    class Seeded(Sequences):
        pass

    seed(start)(Seeded)
    Seeded.run(
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=STEPS,
            derandomize=False,
            phases=[Phase.generate],
            database=None,
            suppress_health_check=list(HealthCheck),
        )
    )
