"""The worlds that a command begins with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from simulator.adapters.courier import Courier
    from simulator.engine import ClockState
    from simulator.worlds import Opening, Worlds


def clock_state(given: dict[str, Any]) -> ClockState:
    """How the clock runs, as the options say."""
    from simulator.engine import ClockState

    return ClockState(mode=given["clock"], rate=given["rate"], step_s=given["step"] / 1000)


def of_scenario(name_or_file: str, given: dict[str, Any]) -> Opening:
    """What a scenario begins from. Raises FixtureError or ScenarioError."""
    from simulator import assets
    from simulator.worlds import Opening

    return Opening.of_scenario(assets.load_scenario(name_or_file), clock_state(given))


def opened(begin: Callable[[], Opening], courier: Courier, scenario: str) -> Worlds:
    """A default world that begins as `begin` says; what is wrong with that is a mistake of the command line,
    or of the scenario's file."""
    from simulator.fixture import FixtureError
    from simulator.kernel.refusal import Refusal
    from simulator.kernel.settings import UnknownSetting
    from simulator.scenario.document import ScenarioError
    from simulator.worlds import DEFAULT, Worlds

    worlds = Worlds(courier)
    try:
        worlds.open(DEFAULT, begin())
    except (FixtureError, UnknownSetting, Refusal) as problem:
        raise click.UsageError(str(problem)) from None
    except ScenarioError as problem:
        raise click.UsageError(f"{scenario}: {problem}") from None
    return worlds
