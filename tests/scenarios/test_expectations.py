"""What can be expected of actions, and of resources that are called by another's name."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.scenario.document import ScenarioError
from tests.scenarios.client import Client


def lived(expect: list[dict[str, Any]], **document: Any) -> Client:
    """A scenario with these expectations, at its first moment."""
    return Client({"scenario": 1, "title": "t", "expect": expect, **document})


def test_an_action_counts_once_it_was_carried_out():
    timeline = [{"at": "1m", "do": {"price.set": {"id": "rtx-4090", "cents": 99}}}]
    client = lived([{"action": "price.*"}], timeline=timeline)
    assert client.broken() == ['{"action": "price.*"}: 0 actions']
    client.sleep(60)
    assert client.broken() == []


def test_an_action_that_could_not_be_carried_out_does_not_count():
    timeline = [{"at": "1m", "do": {"vm.exit": {"name": "trainer"}}}]
    client = lived([{"action": "vm.exit", "max": 0}], timeline=timeline)
    client.sleep(60)
    assert [one.holds for one in client.verdict()] == [True, False]


def test_an_action_that_does_not_exist_is_refused_with_the_nearest_name():
    document = {"scenario": 1, "title": "t", "expect": [{"action": "price.sett"}]}
    with pytest.raises(ScenarioError, match=r"expect\[0\]\.action: no action 'price\.sett'.*price\.set"):
        Client(document)


def test_a_transfer_goes_by_the_name_of_what_is_offered():
    world = {
        "vms": [{"name": "trainer", "organization": "globex", "size": "small"}],
        "transfers": [{"name": "trainer", "to": "acme"}],
    }
    pending = {"resource": "transfer", "name": "trainer", "status": "pending"}
    client = lived([pending, {**pending, "name": "renderer"}], world_overrides=world)
    assert [one.holds for one in client.verdict()] == [True, False]


def test_what_there_is_too_much_of_is_told_with_its_status():
    world = {"vms": [{"name": name, "organization": "acme", "size": "small"} for name in ("a", "b")]}
    client = lived([{"resource": "vm", "status": "running", "count": 0}], world_overrides=world)
    assert [one.found for one in client.verdict()] == ["2 vms; 'a' is running; 'b' is running"]


def test_an_event_of_another_name_is_told():
    client = lived(
        [{"event": "vm.running", "name": "trainer"}, {"event": "vm.terminated", "name": "trainer"}]
    )
    client.launch("mine")
    client.sleep(120)
    assert [one.found for one in client.verdict()] == ["0 events; such of 'mine'", "0 events"]
