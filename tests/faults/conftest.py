"""Clouds in which things go wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.domain.faults.rules import Rule
from simulator.scenario.rules import load_rules
from tests.support.cloud import Cloud

Load = Callable[..., list[Rule]]


@pytest.fixture
def load(cloud: Cloud) -> Load:
    """Put fault rules into the cloud."""

    def load(*documents: Any) -> list[Rule]:
        return cloud.simulator.let("faults.load", {}, lambda world: load_rules(world, documents))

    return load


@pytest.fixture
def on_list(load: Load) -> Callable[..., list[Rule]]:
    """Put a fault on listOrgVms."""

    def on_list(do: dict[str, Any], **more: Any) -> list[Rule]:
        return load({"id": "it", "on": "request", "operation": "listOrgVms", "do": do, **more})

    return on_list
