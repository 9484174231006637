"""Each bundled scenario tells a careless client from a careful one, and goes the same way each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator import assets
from tests.scenarios.client import play
from tests.scenarios.stories import STORIES

GOLDEN = Path(__file__).parent / "golden"

stories = pytest.mark.parametrize("name", STORIES)


def test_every_bundled_scenario_has_its_story():
    assert sorted(STORIES) == assets.names("scenarios")


@stories
def test_a_careful_client_meets_all_expectations(name):
    assert play(name, STORIES[name].careful).broken() == []


@stories
def test_a_careless_client_does_not(name):
    assert play(name, STORIES[name].careless).broken() != []


@stories
def test_the_journal_is_the_golden_one(name, request):
    """`pytest --rewrite-golden` writes them anew."""
    client = play(name, STORIES[name].careful)
    found = "\n".join(client.journal()) + "\n"
    assert not client.bugs()
    file = GOLDEN / f"{name}.txt"
    if request.config.getoption("--rewrite-golden"):
        file.write_text(found)
    assert file.read_text() == found
