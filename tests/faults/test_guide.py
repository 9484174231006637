"""docs/faults.md has an example of every fault, and each of them is a rule that can be loaded."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from simulator.domain.faults import SEAMS
from simulator.scenario.rules import load_rules
from tests.support.cloud import Cloud
from tests.support.tables import ROOT

GUIDE = (ROOT / "docs/faults.md").read_text("utf-8")
RULES: list[dict[str, Any]] = [
    {"on" if key is True else key: value for key, value in rule.items()}  # `on` is true in YAML 1.1
    for block in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    for rule in yaml.safe_load(block)
]


def test_every_fault_has_an_example() -> None:
    shown = [(rule["on"], name) for rule in RULES for name in rule["do"]]
    assert sorted(shown) == sorted((seam, name) for seam, faults in SEAMS.items() for name in faults)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule['on']}-{next(iter(rule['do']))}")
def test_an_example_can_be_loaded(cloud: Cloud, rule: dict[str, Any]) -> None:
    (row,) = load_rules(cloud.world, [rule])
    assert row.seam == rule["on"]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:\w+/)*[a-z_]+\.py)`", GUIDE))))
def test_every_file_that_it_names_exists(name: str) -> None:
    places = ("", "simulator/", "simulator/domain/faults/", "tests/faults/")
    assert [place for place in places if (ROOT / place / name).exists()], name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("simulator/dispatch.py", "_Exchange"),
        ("simulator/domain/events.py", "_Sending"),
        ("simulator/adapters/web.py", "_through"),
        ("simulator/adapters/server.py", "_Task"),
        ("simulator/scenario/rules.py", "_check_words"),
        ("simulator/resources/billing/payments.py", "_bank_says"),
        ("simulator/domain/faults/lifecycle.py", "proceed"),
    ],
)
def test_what_it_names_stands_where_it_says(file: str, name: str) -> None:
    assert f"`{name}`" in GUIDE
    assert re.search(rf"^(def|class) {name}\b", (ROOT / file).read_text("utf-8"), re.MULTILINE)
