"""The journal as a stream, the built-in receiver, resending, and figures for a monitor."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from simulator.adapters.server import Server
from simulator.domain import inbox
from simulator.domain.events import Outcome
from tests.support.http import Client
from tests.support.surface import Surface, refused

# -- the stream


def stream(served: Server, client: Client, query: str = "", **headers: str) -> HTTPConnection:
    connection = HTTPConnection(served.host, served.port, timeout=30)
    connection.request("GET", f"/_sim/journal/stream?world={client.simulator.name}{query}", headers=headers)
    return connection


def events(raw: bytes) -> list[dict[str, str]]:
    """Server-Sent Events as a browser reads them."""
    blocks = [block for block in raw.decode().strip().split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


def test_the_stream_sends_entries_as_they_are_written(
    served: Server, open_client: Callable[..., Client]
) -> None:
    client = open_client("socket")
    with closing(stream(served, client, "&limit=2&kind=request")) as connection:
        response = connection.getresponse()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.readline() == b": journal\n"
        client.get("/v1/whoami")
        client.get("/v1/me")
        first, second = events(response.read())
    assert (first["event"], json.loads(first["data"])["facts"]["operation"]) == ("request", "whoami")
    assert int(second["id"]) > int(first["id"])


def test_a_stream_goes_on_where_it_broke_off(served: Server, open_client: Callable[..., Client]) -> None:
    client = open_client("socket")
    for _ in range(3):
        client.get("/v1/whoami")
    serial = client.world.journal.serial
    with closing(stream(served, client, "&limit=2", **{"Last-Event-ID": str(serial - 2)})) as connection:
        found = events(connection.getresponse().read())
    assert [int(event["id"]) for event in found] == [serial - 1, serial]


def test_a_stream_begins_anew_when_the_world_does(served: Server, open_client: Callable[..., Client]) -> None:
    client = open_client("socket")
    for _ in range(3):
        client.get("/v1/whoami")
    with closing(stream(served, client, "&limit=1&kind=request")) as connection:
        response = connection.getresponse()
        response.readline()
        client.simulator.reset()
        client.get("/v1/me")
        (found,) = events(response.read())
    assert json.loads(found["data"])["facts"]["operation"] == "getMe"


@pytest.mark.parametrize("last", ["1000000", "9" * 5000])
def test_a_stream_that_is_ahead_begins_with_the_first_entry(
    served: Server, open_client: Callable[..., Client], last: str
) -> None:
    """It broke off before a reset."""
    client = open_client("socket")
    with closing(stream(served, client, "&limit=1&kind=request", **{"Last-Event-ID": last})) as connection:
        response = connection.getresponse()
        response.readline()
        client.get("/v1/whoami")
        (found,) = events(response.read())
    assert json.loads(found["data"])["facts"]["operation"] == "whoami"


def test_a_stream_holds_up_nobody(served: Server, open_client: Callable[..., Client]) -> None:
    client = open_client("socket")
    with closing(stream(served, client)) as connection:
        connection.getresponse().readline()
        assert client.get("/v1/whoami").status == 200


# -- the inbox


def test_a_webhook_can_go_to_the_built_in_receiver(
    served: Server, open_client: Callable[..., Client]
) -> None:
    client = open_client("socket")
    name = client.simulator.name
    url = f"{served.url}/_sim/webhooks/inbox/mine?world={name}"
    client.post("/v1/orgs/{org}/webhooks/create", {"name": "w", "url": url, "events": ["vm.running"]})
    client.post("/v1/orgs/{org}/vms/create", {"name": "trainer", "gpuModelId": "rtx-3090"})
    client.simulator.advance(120)
    (message,) = client.get(f"/_sim/webhooks/inbox?world={name}&inbox=mine").body["items"]
    assert json.loads(message["body"])["type"] == "vm.running"
    assert message["headers"]["x-vectorlay-event"] == "vm.running"
    assert message["headers"]["x-vectorlay-signature"].startswith("sha256=")
    assert client.get(f"/_sim/webhooks/inbox?world={name}&inbox=other").body["items"] == []


def test_a_long_poll_ends_as_soon_as_a_message_arrives(
    served: Server, open_client: Callable[..., Client]
) -> None:
    client = open_client("socket")
    name, found = client.simulator.name, []

    def poll() -> None:
        found.append(client.get(f"/_sim/webhooks/inbox?world={name}&wait=30").body["items"])

    waiting = threading.Thread(target=poll)
    started = time.monotonic()
    waiting.start()
    client.send("POST", f"/_sim/webhooks/inbox/x?world={name}", {}, b"hello")
    waiting.join()
    assert [message["body"] for message in found[0]] == ["hello"]
    assert time.monotonic() - started < 20


def test_messages_are_read_from_where_one_was(sim: Surface) -> None:
    for word in (b"one", b"two"):
        assert sim.send("POST", "/_sim/webhooks/inbox/x", {}, word).status == 200
    first, second = sim.get("/_sim/webhooks/inbox").body["items"]
    assert sim.get(f"/_sim/webhooks/inbox?since={first['serial']}").body["items"] == [second]
    assert sim.get(f"/_sim/webhooks/inbox?since={second['serial']}&wait=0.01").body["items"] == []
    assert sim.delete("/_sim/webhooks/inbox").status == 204
    assert sim.get("/_sim/webhooks/inbox").body["items"] == []


def test_the_inbox_stays_small_and_takes_anything(sim: Surface) -> None:
    sim.send("POST", "/_sim/webhooks/inbox/x", {}, b"\xff\x00" * inbox.LONGEST_BODY)
    for _ in range(inbox.MOST_MESSAGES):
        sim.send("POST", "/_sim/webhooks/inbox/x", {}, b"x")
    items = sim.get("/_sim/webhooks/inbox").body["items"]
    assert [len(items), items[0]["body"]] == [inbox.MOST_MESSAGES, "x"]


def test_the_receiver_needs_no_control_token_but_reading_does() -> None:
    sim = Surface(control_token="secret")
    assert sim.send("POST", "/_sim/webhooks/inbox/x", {}, b"x").status == 200
    refused(sim.get("/_sim/webhooks/inbox"), 401, "unauthorized")


def test_credentials_are_not_kept_with_a_message(sim: Surface) -> None:
    sim.send(
        "POST",
        "/_sim/webhooks/inbox/x",
        {"Authorization": "Bearer secret", "Cookie": "a=b", "X-A": "1"},
        b"x",
    )
    (message,) = sim.get("/_sim/webhooks/inbox").body["items"]
    assert message["headers"] == {"x-a": "1"}


# -- resending


def delivered(sim: Surface) -> str:
    sim.post("/v1/orgs/{org}/webhooks/create", {"name": "w", "url": "http://127.0.0.1:9/", "events": []})
    sim.launch()
    sim.post("/_sim/clock/advance", {"seconds": 120})
    (entry,) = sim.get("/_sim/journal?kind=delivery").body["items"]
    delivery_id: str = entry["facts"]["id"]
    return delivery_id


def test_a_delivery_is_sent_once_more_with_the_same_event(sim: Surface) -> None:
    answer = sim.post(f"/_sim/deliveries/{delivered(sim)}/resend").body
    assert (answer["event"], answer["attempt"], answer["status"]) == ("vm.running", 2, "delivered")
    first, second = sim.mailbox.bodies()
    assert first["id"] == second["id"]


def test_a_resend_that_fails_is_retried_like_any(sim: Surface) -> None:
    delivery_id = delivered(sim)
    sim.mailbox.replies = [Outcome(status_code=500)]
    assert sim.post(f"/_sim/deliveries/{delivery_id}/resend").body["status"] == "failed"
    sim.post("/_sim/clock/advance", {"seconds": 60})
    assert len(sim.mailbox.received) == 3


def test_what_cannot_be_sent_again_is_refused(sim: Surface) -> None:
    refused(sim.post("/_sim/deliveries/none/resend"), 404, "not_found", "no delivery 'none'")
    delivery_id = delivered(sim)
    (hook,) = sim.get("/v1/orgs/{org}/webhooks").body
    sim.post(f"/v1/orgs/{{org}}/webhooks/{hook['id']}/toggle", {"enabled": False})
    refused(sim.post(f"/_sim/deliveries/{delivery_id}/resend"), 409, "conflict", "'w' is off")


# -- figures


def figures(sim: Surface) -> dict[tuple[str, ...], float]:
    heard = sim.get("/_sim/metrics")
    assert heard.headers["content-type"].startswith("text/plain; version=")
    families: Any = text_string_to_metric_families(heard.raw.decode())
    return {
        (sample.name.removeprefix("openrelay_sim_"), *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_figures_tell_of_calls_machines_capacity_and_faults(sim: Surface) -> None:
    before = figures(sim)
    sim.launch()
    sim.post(
        "/_sim/faults",
        {"id": "no", "on": "request", "operation": "getMe", "do": {"respond": {"status": 503}}},
    )
    sim.get("/v1/me")
    sim.post("/_sim/clock/advance", {"seconds": 120})
    after = figures(sim)
    assert after["requests_total", "200", "createVm", "default"] == 1
    assert after["requests_total", "503", "default", "getMe"] == 1
    assert after["vms", "default", "running"] == 1
    assert after["fault_hits", "default", "no"] == 1
    assert after["burn_cents_per_hour", "default"] == 18
    assert after["gpus_free", "default", "rtx-3090"] == before["gpus_free", "default", "rtx-3090"] - 1
    assert after["virtual_time_seconds", "default"] - before["virtual_time_seconds", "default"] == 120


def test_each_world_has_figures_of_its_own(sim: Surface) -> None:
    sim.post("/_sim/worlds", {"name": "other"})
    assert ("pending_timers", "other") in figures(sim)
    assert figures(sim)[("worlds",)] == 2
