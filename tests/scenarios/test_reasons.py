"""What tells the two clients of a story apart is what the story says: the bad day, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import assets
from simulator.scenario.expectations import SUBJECTS
from tests.scenarios.client import Client, play
from tests.scenarios.stories import STORIES

ORDINARY_DAY: dict[str, Any] = {"faults": [], "timeline": [], "world_overrides": {}}
LEAVES_NO_TRACE = ("key-expired", "month-end")
"""Where a bad day and an ordinary one differ in nothing but how a careless client fares."""

stories = pytest.mark.parametrize("name", STORIES)


def broken(client: Client) -> list[dict[str, Any]]:
    return [one.expect for one in client.verdict() if not one.holds]


@stories
def test_a_careless_client_breaks_what_its_story_is_about(name: str) -> None:
    story = STORIES[name]
    found = broken(play(name, story.careless))
    subjects = [subject for expect in found for subject in SUBJECTS if subject in expect]
    assert tuple(subjects) == story.careless_breaks, found


@stories
def test_on_an_ordinary_day_both_clients_fare_alike(name: str) -> None:
    document = assets.load_scenario(name) | ORDINARY_DAY
    careless, careful = (play(document, how) for how in (STORIES[name].careless, STORIES[name].careful))
    assert broken(careless) == broken(careful)
    assert bool(broken(careful)) == (name not in LEAVES_NO_TRACE), "whether the bad day came is expected too"


@stories
def test_a_client_that_does_nothing_does_not_pass(name: str) -> None:
    assert broken(play(name, lambda client: None)) != []
