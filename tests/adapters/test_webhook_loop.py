"""From a VM that runs to a receiver that answers, over real HTTP, and back into the API from within."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from simulator.adapters.courier import Courier
from simulator.domain.events import Delivery
from simulator.engine import ClockState
from simulator.kernel.refusal import Refusal
from tests.support.cloud import Cloud
from tests.support.invariants import check_world
from tests.support.receivers import CLOSED_PORT
from tests.support.webhooks import HOOKS, deliveries, hook_of

Handle = Callable[[dict[str, Any]], int]


class Receiver:
    """An HTTP server on loopback. `handle` gets the event and answers the status."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.handle: Handle = lambda event: 200
        self.problems: list[BaseException] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://localhost:{self._server.server_port}/hook"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.events.append(event)
                try:
                    status = outer.handle(event)
                except BaseException as problem:
                    outer.problems.append(problem)
                    status = 500
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        return Handler

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def listener() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()
    assert made.problems == []


@pytest.fixture
def wired(open_cloud: Callable[..., Cloud], listener: Receiver) -> Callable[..., Cloud]:
    """Opens a cloud with the real courier and a webhook at the listener."""

    def make(**settings: Any) -> Cloud:
        cloud = open_cloud(**settings)
        cloud.simulator.courier = Courier()
        hook_of(cloud, url=listener.url)
        return cloud

    return make


def test_a_receiver_hears_of_a_vm_and_the_record_says_so(
    wired: Callable[..., Cloud], listener: Receiver
) -> None:
    cloud = wired()
    vm = cloud.run_vm()
    ((event),) = listener.events
    assert (event["type"], event["data"]["vmId"]) == ("vm.running", vm["id"])
    (row,) = cloud.rows(Delivery)
    assert (row.status, row.status_code) == ("delivered", 200)


def test_a_receiver_may_call_the_api_from_within_its_handler(
    wired: Callable[..., Cloud], listener: Receiver
) -> None:
    """It stops the VM it hears of; that is told in the same advance."""
    cloud = wired()

    def stop(event: dict[str, Any]) -> int:
        if event["type"] == "vm.running":
            assert cloud.vm(event["data"]["vmId"])["status"] == "running"
            assert cloud.post(f"/v1/vms/{event['data']['vmId']}/stop").status == 200
        return 204

    listener.handle = stop
    vm = cloud.launch()
    advanced = cloud.advance(90)
    assert advanced.deliveries == 2
    assert listener.types() == ["vm.running", "vm.stopped"]
    assert cloud.vm(vm["id"])["status"] == "stopped"
    check_world(cloud.world)


def test_a_receiver_may_change_its_own_webhook_from_within(
    wired: Callable[..., Cloud], listener: Receiver
) -> None:
    cloud = wired()
    (hook,) = cloud.get(HOOKS).body
    path = f"{HOOKS}/{hook['id']}"
    listener.handle = lambda event: 500 if cloud.delete(path).status == 204 else 200
    cloud.run_vm()
    cloud.advance(1000)
    assert listener.types() == ["vm.running"]
    check_world(cloud.world)


def test_an_advance_from_within_a_handler_is_refused_at_once(
    wired: Callable[..., Cloud], listener: Receiver
) -> None:
    cloud = wired()
    refusals: list[Refusal] = []

    def advance(event: dict[str, Any]) -> int:
        with pytest.raises(Refusal, match="another advance is running") as caught:
            cloud.advance(1)
        refusals.append(caught.value)
        return 200

    listener.handle = advance
    cloud.launch()
    advanced = cloud.advance(90)
    assert advanced.now_ms - advanced.from_ms == 90_000
    (refusal,) = refusals
    assert (refusal.code, refusal.status(cloud.world.settings)) == ("conflict", 409)
    assert [row.status for row in cloud.rows(Delivery)] == ["delivered"]


def test_a_request_from_within_a_handler_does_not_step_the_clock(
    wired: Callable[..., Cloud], listener: Receiver
) -> None:
    cloud = wired(clock="stepped")
    cloud.simulator.set_clock(ClockState(mode="stepped", step_s=30))
    moments: list[int] = []

    def look(event: dict[str, Any]) -> int:
        moments.append(cloud.world.now_ms)
        cloud.vm(event["data"]["vmId"])
        moments.append(cloud.world.now_ms)
        return 200

    listener.handle = look
    vm = cloud.launch()
    while cloud.vm(vm["id"])["status"] != "running":
        pass
    assert listener.types() == ["vm.running"]
    assert moments[0] == moments[1]


def test_a_receiver_that_is_down_is_tried_again_and_found_when_it_is_back(
    wired: Callable[..., Cloud], listener: Receiver
) -> None:
    cloud = wired()
    (hook,) = cloud.get(HOOKS).body
    cloud.patch(f"{HOOKS}/{hook['id']}", {"url": f"http://127.0.0.1:{CLOSED_PORT}/"})
    cloud.run_vm()
    cloud.advance(10)
    cloud.patch(f"{HOOKS}/{hook['id']}", {"url": listener.url})
    cloud.advance(60)
    rows = deliveries(cloud, hook)[::-1]
    assert [row["status"] for row in rows] == ["failed", "failed", "delivered"]
    assert [row.get("errorMessage") for row in rows] == ["connection refused"] * 2 + [None]
    assert listener.types() == ["vm.running"]


def test_a_target_outside_is_a_failed_attempt_with_the_option_that_allows_it(
    wired: Callable[..., Cloud],
) -> None:
    cloud = wired()
    hook = hook_of(cloud, url="https://hooks.example.com/x")
    cloud.run_vm()
    (row,) = deliveries(cloud, hook)
    assert row["status"] == "failed"
    assert "statusCode" not in row
    assert row["errorMessage"].endswith("--allow-webhooks-to hooks.example.com allows it")


def test_two_runs_of_one_seed_record_the_same_bytes(wired: Callable[..., Cloud], listener: Receiver) -> None:
    """Ports, threads and real time leave no trace."""

    def run() -> tuple[Any, list[dict[str, Any]]]:
        listener.events.clear()
        cloud = wired(seed=3)
        hook_of(cloud, url=f"http://127.0.0.1:{CLOSED_PORT}/")
        cloud.run_vm()
        cloud.advance(1000)
        return [deliveries(cloud, hook) for hook in cloud.get(HOOKS).body], list(listener.events)

    assert run() == run()
