"""scenarios/README.md tells the whole grammar, and its example is one."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from simulator import assets
from simulator.domain.faults.lifecycle import STAGES
from simulator.scenario.document import Scenario
from simulator.scenario.expectations import RESOURCES, SUBJECTS, Cents, Expectation
from simulator.scenario.rules import PURPOSES, RuleForm
from simulator.scenario.timeline import Entry, When
from tests.scenarios.client import play

README = assets.folder("scenarios") / "README.md"
CODE = set(re.findall(r"`([\w.-]+)`", README.read_text("utf-8")))
"""Words that stand there as code."""


@pytest.mark.parametrize("form", [Scenario, RuleForm, Entry, When, Expectation, Cents])
def test_every_key_is_told(form: type[msgspec.Struct]) -> None:
    assert {field.encode_name for field in msgspec.structs.fields(form)} <= CODE


def test_every_subject_resource_and_purpose_is_told() -> None:
    assert {*SUBJECTS, *RESOURCES, *STAGES, *PURPOSES} <= CODE


def test_the_example_can_be_lived_through(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    file = tmp_path / "example.yaml"
    file.write_text(example, "utf-8")
    client = play(assets.load_scenario(str(file)), lambda client: client.sleep(7200))
    assert len(client.verdict()) == 5
    assert [entry["name"] for entry in client.entries("action")] == ["balance.credit"]
