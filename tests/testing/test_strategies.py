"""What is drawn is what the cloud accepts, and everything can be drawn."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NonInteractiveExampleWarning

from simulator import strategies
from simulator.domain.faults import SEAMS
from simulator.scenario import rules
from simulator.worlds import Opening, Worlds
from tests.support.cloud import Cloud

BEGINNING = Cloud().world
WORLDS = Worlds()
WORLDS.open("drawn", Opening())
few = settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)


@given(strategies.faults())
@few
def test_every_fault_is_accepted(rule: dict[str, Any]) -> None:
    (loaded,) = rules.load_rules(BEGINNING.fork(), [rule])
    assert loaded.seam == rule["on"]


@pytest.mark.parametrize(("seam", "name"), [(seam, name) for seam in SEAMS for name in SEAMS[seam]])
def test_every_kind_of_fault_can_be_drawn(seam: str, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NonInteractiveExampleWarning)
        rule = strategies._faults_of(seam, name).example()
    (loaded,) = rules.load_rules(BEGINNING.fork(), [rule])
    assert loaded.name == name


@given(strategies.scenarios())
@few
def test_every_scenario_can_be_begun(document: dict[str, Any]) -> None:
    WORLDS.reset("drawn", Opening.of_scenario(document)).advance(3600)


@given(strategies.worlds())
@few
def test_every_world_opens(options: dict[str, Any]) -> None:
    opening = Opening().but(options["world"], options["seed"], options["settings"])
    assert WORLDS.reset("drawn", opening).world.settings.word("profile") == options["settings"]["profile"]


def test_every_operation_is_called_and_none_breaks() -> None:
    cloud = Cloud()
    vm = cloud.run_vm()["id"]
    seen: set[str] = set()

    @given(st.data())
    @settings(few, max_examples=400)
    def call(data: st.DataObject) -> None:
        drawn = data.draw(strategies.calls([cloud.org, vm]))
        path = f"{drawn.path}?{drawn.query}" if drawn.query else drawn.path
        answer = cloud.call(drawn.method, path, drawn.body)
        assert answer.status < 500 or answer.status == 503, (drawn, answer)
        seen.add(drawn.operation)

    call()
    assert len(seen) > 80
    assert cloud.bugs() == []
