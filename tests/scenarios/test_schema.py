"""What an editor says of a scenario file: the bundled ones are right, and a slip of the pen is not."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs
import pytest
import yaml

from simulator import assets
from simulator.domain.faults import SEAMS
from simulator.registry import ACTIONS
from simulator.scenario.document import ScenarioError
from simulator.worlds import DEFAULT, Opening, Worlds

SCHEMA = json.loads((assets.PACKAGE / "scenario.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)

RESET: dict[str, Any] = {"on": "request", "do": {"reset": True}}
OFFLINE: dict[str, Any] = {"node.offline": {"select": "first"}}


def fits(**members: Any) -> bool:
    return VALIDATOR.is_valid({"scenario": 1, "title": "t", **members})


def is_loaded(**members: Any) -> bool:
    """Whether the simulator takes it, which has the last word."""
    try:
        Worlds().open(DEFAULT, Opening.of_scenario({"scenario": 1, "title": "t", **members}))
    except ScenarioError:
        return False
    return True


def test_the_schema_is_one():
    jsonschema_rs.meta.validate(SCHEMA)


@pytest.mark.parametrize("name", assets.names("scenarios"))
def test_every_bundled_scenario_fits(name):
    document = assets.load_scenario(name)
    assert [problem.message for problem in VALIDATOR.iter_errors(document)] == []


@pytest.mark.parametrize("document", ["scenarios/README.md", "docs/faults.md"])
def test_the_examples_of_the_documents_fit(document):
    text = (assets.PACKAGE.parent / document).read_text("utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        found = yaml.safe_load(re.sub(r"\bon:", '"on":', block))
        whole = found if isinstance(found, dict) else {"faults": found}
        assert fits(**whole), block


RIGHT = [
    {"faults": [RESET]},
    {"faults": [RESET | {"operation": "createVm"}]},
    {"faults": [RESET | {"operation": ["create*", "getVm"], "where": {"name": ["a", 4, True]}}]},
    {"faults": [RESET | {"from": "10s", "until": "1h30m", "times": 2, "after": 1, "probability": 0.5}]},
    {"faults": [{"on": "lifecycle", "stage": "pulling_image", "do": {"fail": {"reason": "r"}}}]},
    {"faults": [{"on": "webhook", "event": "vm.*", "do": {"delay": {"seconds": 1.5}}}]},
    {"faults": [{"on": "payment", "purpose": "recharge", "do": {"decline": True}}]},
    {"timeline": [{"at": 90, "do": OFFLINE}, {"at": "2m", "do": OFFLINE}, {"at": 0.5, "do": OFFLINE}]},
    {"timeline": [{"when": {"event": "vm.running", "nth": 2}, "after": "5m", "do": OFFLINE}]},
    {"expect": [{"resource": "vm", "status": ["running", "failed"], "count": 1}]},
    {"expect": [{"calls": "*", "status": 429, "max": 3}, {"spend": {"max_cents": 1}}, {"leaks": 0}]},
    {"settings": {"profile": "2026-10"}, "seed": 7, "world": "empty", "world_overrides": {"nodes+": []}},
]  # fmt: skip

WRONG = [
    {"titel": "t"},
    {"scenario": 2},
    {"seed": -1},
    {"settings": {"billing.tik_s": 1}},
    {"faults": RESET},
    {"faults": [{"do": {"reset": True}}]},
    {"faults": [{"on": "requests", "do": {"reset": True}}]},
    {"faults": [RESET | {"do": {"resett": True}}]},
    {"faults": [RESET | {"do": {"drop": True}}]},
    {"faults": [RESET | {"do": {"reset": True, "html": True}}]},
    {"faults": [RESET | {"do": {}}]},
    {"faults": [RESET | {"do": {"delay": {"secnds": 1}}}]},
    {"faults": [RESET | {"do": {"delay": True}}]},
    {"faults": [RESET | {"do": {"respond": {"status": 200}}}]},
    {"faults": [RESET | {"operation": "creatVm"}]},
    {"faults": [RESET | {"operation": ["getVm", "creatVm"]}]},
    {"faults": [RESET | {"time": 1}]},
    {"faults": [RESET | {"times": 0}]},
    {"faults": [RESET | {"probability": 2}]},
    {"faults": [RESET | {"from": "soon"}]},
    {"faults": [RESET | {"from": "-5s"}]},
    {"faults": [RESET | {"from": -5}]},
    {"faults": [RESET | {"id": "no spaces"}]},
    {"faults": [{"on": "lifecycle", "stage": "pulling", "do": {"stall": True}}]},
    {"faults": [{"on": "lifecycle", "resource": "vms", "do": {"stall": True}}]},
    {"timeline": [{"at": "1h30", "do": OFFLINE}]},
    {"timeline": [{"at": "", "do": OFFLINE}]},
    {"timeline": [{"at": 1, "do": {"node.ofline": {"select": "first"}}}]},
    {"timeline": [{"at": 1, "do": {"node.offline": {"nam": "x"}}}]},
    {"timeline": [{"at": 1}]},
    {"timeline": [{"when": {"event": "vm.runing"}, "do": OFFLINE}]},
    {"timeline": [{"when": {"call": "createVm", "nth": 0}, "do": OFFLINE}]},
    {"expect": [{"calls": "creatVm"}]},
    {"expect": [{"resource": "pod"}]},
    {"expect": [{"leak": 0}]},
    {"expect": [{"spend": 5}]},
]  # fmt: skip


@pytest.mark.parametrize("members", RIGHT, ids=json.dumps)
def test_what_is_right_fits_and_is_loaded(members):
    assert fits(**members)
    assert is_loaded(**members)


@pytest.mark.parametrize("members", WRONG, ids=json.dumps)
def test_a_slip_of_the_pen_fits_no_more_than_it_is_loaded(members):
    assert not fits(**members)
    if "settings" not in members:
        assert not is_loaded(**members)


def test_every_fault_and_every_action_has_its_place():
    rules = SCHEMA["$defs"]["RuleForm"]["allOf"]
    offered = {
        rule["if"]["properties"]["on"]["const"]: set(rule["then"]["properties"]["do"]["properties"])
        for rule in rules
    }
    assert offered == {seam: set(kinds) for seam, kinds in SEAMS.items()}
    assert set(SCHEMA["$defs"]["Entry"]["properties"]["do"]["properties"]) == set(ACTIONS)
