"""The consumer of webhooks, as a Flask and as a FastAPI application; neither opens a socket."""

from __future__ import annotations

from typing import Any

import pytest
from fleet import fastapi_app, flask_app
from fleet.events import Events

from simulator.testing import OpenRelay

APPS = [flask_app.create_app, fastapi_app.create_app]


class Consumer:
    """The application, subscribed to the cloud's webhooks, and what it has acted on."""

    def __init__(self, openrelay: OpenRelay, create_app: Any) -> None:
        self.acted: list[str] = []
        events = Events(lambda kind, data: self.acted.append(kind))
        url = openrelay.webhooks.deliver_to(create_app(events), "https://fleet.test/hooks")
        events.secret = openrelay.webhooks.subscribe(url=url)


@pytest.fixture(params=APPS, ids=["flask", "fastapi"])
def consumer(request: pytest.FixtureRequest, openrelay: OpenRelay) -> Consumer:
    return Consumer(openrelay, request.param)


def test_it_acts_on_what_happens(openrelay: OpenRelay, consumer: Consumer) -> None:
    create = f"/v1/orgs/{openrelay.org_id}/vms/create"
    vm = openrelay.ask("POST", create, {"name": "trainer", "gpuModelId": "rtx-3090"})["id"]
    openrelay.webhooks.wait_for("vm.running", vmId=vm)
    openrelay.do("node.offline", node_of="trainer", seconds=60)
    openrelay.advance(minutes=2)
    assert consumer.acted == ["vm.running", "vm.interrupted", "vm.running"]


def test_it_acts_once_on_what_comes_twice(openrelay: OpenRelay, consumer: Consumer) -> None:
    openrelay.fault(on="webhook", event="*", do={"duplicate": {"times": 2}})
    assert len(openrelay.webhooks.send("vm.running")) == 3
    assert consumer.acted == ["vm.running"]


def test_it_refuses_what_nobody_signed(openrelay: OpenRelay, consumer: Consumer) -> None:
    (forged,) = openrelay.webhooks.send("vm.stopped", forged=True)
    assert (forged.status, consumer.acted) == (401, [])
