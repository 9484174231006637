"""The scenario file: its form, and how it is laid into a world."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from simulator.kernel.form import FormProblem, inside, read
from simulator.kernel.world import Row, World
from simulator.scenario import expectations, rules, timeline
from simulator.scenario.expectations import Expectation
from simulator.scenario.rules import MOST_RULES, RuleForm
from simulator.scenario.timeline import MOST_ENTRIES, Entry

VERSION = 1


class ScenarioError(ValueError):
    """A document that is no scenario; the text names the place and what would be right."""


class Scenario(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A story: how a cloud begins, what goes wrong in it, and what is expected of who lives through it."""

    scenario: Literal[1]
    """Version of this form."""
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    world: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "default"
    """What the cloud begins as: a bundled world, or a file beside this one."""
    world_overrides: dict[str, Any] = {}
    """Sections of a world file, laid over it as by one that extends it."""
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    settings: dict[str, Any] = {}
    faults: Annotated[list[RuleForm], msgspec.Meta(max_length=MOST_RULES)] = []
    timeline: Annotated[list[Entry], msgspec.Meta(max_length=MOST_ENTRIES)] = []
    expect: Annotated[list[Expectation], msgspec.Meta(max_length=1000)] = []


class Story(Row, frozen=True, kw_only=True):
    """The scenario that a world lives through: one row, of id `scenario`."""

    title: str
    expect: tuple[Any, ...] = ()
    """Expectations, as they were written."""


def read_scenario(document: Any) -> Scenario:
    """The scenario of a document, as far as it can be judged without a world. Raises ScenarioError."""
    if isinstance(document, dict) and document.get("scenario", VERSION) != VERSION:
        raise ScenarioError(f"scenario: version {document['scenario']!r:.80}; this one reads {VERSION}")
    try:
        scenario: Scenario = read(document, Scenario)
    except FormProblem as problem:
        raise ScenarioError(str(problem)) from None
    return scenario


def lay(world: World, document: Any) -> None:
    """Lay a scenario into a world at its first moment. All or nothing: raises ScenarioError."""
    scenario, cues = read_scenario(document), []
    try:
        for number, expectation in enumerate(scenario.expect):
            with inside(f"expect[{number}]"):
                expectations.check(expectation)
        for number, entry in enumerate(scenario.timeline):
            with inside(f"timeline[{number}]"):
                cues.append(timeline.cue_of(world, entry, number))
        rules.load_rules(world, document.get("faults", []))
    except FormProblem as problem:
        raise ScenarioError(str(problem)) from None
    timeline.begin(world, cues)
    expected = tuple(document.get("expect", ()))
    world.put(Story(id="scenario", created_at_ms=world.now_ms, title=scenario.title, expect=expected))


def story_of(world: World) -> Story | None:
    return world.find(Story, "scenario")
