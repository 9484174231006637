"""States and checkpoints over HTTP."""

from __future__ import annotations

import json
from threading import Event, Thread
from typing import Any

import pytest

from simulator.adapters.web import STATE_LIMIT
from simulator.domain.events import Outcome, Outgoing
from simulator.engine import ClockState
from simulator.kernel.checkpoints import MOST
from tests.support.surface import Surface, refused

START = "2026-06-15T09:00:00.000Z"


def journal(sim: Surface, world: str = "default") -> bytes:
    return sim.get(f"/_sim/journal?limit=1000&world={world}").raw


# -- states


def test_a_world_goes_on_from_its_document(sim: Surface) -> None:
    vm = sim.launch()
    saved = sim.get("/_sim/state").raw
    sim.post("/_sim/clock/advance", {"seconds": 90})
    after = journal(sim)
    assert sim.put("/_sim/state", saved).body == sim.get("/_sim").body["world"]
    assert sim.status(vm) == "deploying"
    sim.put("/_sim/state", saved)
    sim.post("/_sim/clock/advance", {"seconds": 90})
    assert journal(sim) == after


def test_the_state_in_the_next_process_goes_on_with_the_same_journal(sim: Surface) -> None:
    sim.post("/v1/orgs/{org}/webhooks/create", {"name": "hook", "url": "http://127.0.0.1:9/"})
    sim.launch()
    sim.post("/_sim/clock/advance", {"seconds": 60})
    other = Surface()
    other.put("/_sim/state", sim.get("/_sim/state?secrets=include").raw)
    for each in (sim, other):
        each.post("/_sim/clock/advance", {"seconds": 3600})
        each.launch("second")
    assert journal(other) == journal(sim)
    assert other.mailbox.received == sim.mailbox.received != []
    assert other.get("/_sim/state").raw == sim.get("/_sim/state").raw


@pytest.mark.parametrize("scenario", ["node-lost", "receiver-down", "spot-reclaimed", "webhooks-reordered"])
def test_a_scenario_goes_on_in_the_next_process(sim: Surface, scenario: str) -> None:
    """Its faults with their counts, its timeline and its expectations are in the document."""
    sim.post("/_sim/scenarios", {"name": scenario})
    sim.post("/v1/orgs/{org}/webhooks/create", {"name": "hook", "url": "http://127.0.0.1:9/"})
    sim.launch()
    sim.post("/_sim/clock/advance", {"seconds": 200})
    other = Surface()
    other.put("/_sim/state", sim.get("/_sim/state?secrets=include").raw)
    for each in (sim, other):
        each.post("/_sim/clock/advance", {"seconds": 7200})
    assert journal(other) == journal(sim)
    mine, theirs = (each.get("/_sim/scenarios/current").body for each in (sim, other))
    assert (theirs["timeline"], theirs["faults"]) == (mine["timeline"], mine["faults"])
    assert len(theirs["expect"]) == len(mine["expect"])


def test_secrets_are_left_out_unless_they_are_asked_for(sim: Surface) -> None:
    sim.post("/v1/orgs/{org}/webhooks/create", {"name": "hook", "url": "http://127.0.0.1:9/"})
    for query, said, keys in (("", "omitted", False), ("?secrets=include", "included", True)):
        body = sim.get(f"/_sim/state{query}").body
        assert body["secrets"] == said
        assert ("key" in body["rows"]["Webhook"][0]) is keys
    refused(sim.get("/_sim/state?secrets=yes"), 400, "bad_request", "secrets: 'yes'")


def test_a_reset_comes_back_to_the_loaded_state(sim: Surface) -> None:
    vm = sim.launch()
    sim.put("/_sim/state", sim.get("/_sim/state").raw)
    sim.post("/_sim/clock/advance", {"seconds": 90})
    sim.post("/_sim/reset")
    assert sim.status(vm) == "deploying"
    sim.post("/_sim/reset", {"seed": 0})
    assert sim.get(f"/v1/vms/{vm}").status == 404


def test_a_load_keeps_the_mode_of_the_clock_and_the_checkpoints(sim: Surface) -> None:
    saved = sim.get("/_sim/state").raw
    sim.put("/_sim/clock", {"mode": "stepped", "step": 7})
    sim.put("/_sim/checkpoints/here")
    sim.put("/_sim/state", saved)
    clock = sim.get("/_sim/clock").body
    assert (clock["mode"], clock["step"], clock["now"]) == ("stepped", 7, START)
    assert sim.get("/_sim/checkpoints/here").status == 200


def test_a_live_clock_goes_on_from_the_loaded_moment(sim: Surface) -> None:
    sim.post("/_sim/clock/advance", {"seconds": 86_400})
    later = sim.get("/_sim/state").raw
    sim.post("/_sim/reset")
    sim.put("/_sim/clock", {"mode": "live"})
    assert sim.put("/_sim/state", later).body["clock"]["now"] >= "2026-06-16T09:00:00.000Z"
    sim.simulator.set_clock(ClockState())


def test_a_state_can_be_put_into_another_world(sim: Surface) -> None:
    vm = sim.launch()
    key = sim.post("/_sim/worlds", {"name": "copy", "fixture": "empty"}).body["apiKey"]
    loaded = sim.put("/_sim/state?world=copy", sim.get("/_sim/state").raw).body
    assert (loaded["name"], loaded["apiKey"]) == ("copy", key)
    assert sim.get(f"/v1/vms/{vm}", authorization=f"Bearer {key}").body["status"] == "deploying"
    refused(sim.put("/_sim/state?world=cpoy", b"{}"), 404, "not_found", "did you mean 'copy'?")


def test_curl_may_send_a_state_with_the_header_it_sends_of_itself(sim: Surface) -> None:
    saved = sim.get("/_sim/state").raw
    assert sim.put("/_sim/state", saved, content_type="application/x-www-form-urlencoded").status == 200


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "body: is missing"),
        (b'{"state": 1, ', "state: malformed JSON of 13 bytes"),
        (b'{"state": 9}', "state: version 9"),
        (b"[" * 1000, "state: nested deeper than 100"),
    ],
)
def test_what_is_no_state_is_400_and_nothing_is_loaded(sim: Surface, body: bytes, told: str) -> None:
    sim.launch()
    before = sim.get("/_sim/state").raw
    refused(sim.put("/_sim/state", body), 400, "bad_request", told)
    assert sim.get("/_sim/state").raw == before


def test_a_state_of_100_mb_is_413(sim: Surface) -> None:
    body = b'{"state": 1, "name": "' + b"x" * 100_000_000 + b'"}'
    refused(sim.put("/_sim/state", body), 413, "payload_too_large", str(STATE_LIMIT))


def test_a_state_over_the_limit_of_ordinary_bodies_is_read(sim: Surface) -> None:
    body = sim.get("/_sim/state").raw + b" " * (2 << 20)
    assert sim.put("/_sim/state", body).status == 200


def test_states_and_checkpoints_need_the_control_token() -> None:
    sim = Surface(control_token="s3cret")
    calls: list[tuple[Any, str]] = [
        (sim.get, "state"),
        (sim.put, "state"),
        (sim.get, "checkpoints"),
        (sim.put, "checkpoints/a"),
        (sim.get, "checkpoints/a"),
        (sim.post, "checkpoints/a/restore"),
        (sim.delete, "checkpoints/a"),
    ]
    for ask, path in calls:
        refused(ask(f"/_sim/{path}"), 401, "unauthorized", "--control-token")


# -- checkpoints


def test_a_restore_takes_everything_back_as_often_as_wanted(sim: Surface) -> None:
    vm = sim.launch()
    kept = sim.put("/_sim/checkpoints/before").body
    assert kept == {"name": "before", "now": START, "serial": sim.world.journal.serial}
    before = sim.get("/_sim/state").raw
    futures = []
    for _ in range(2):
        sim.post("/_sim/clock/advance", {"seconds": 90})
        sim.launch("second")
        futures.append(sim.get("/_sim/state").raw)
        world = sim.post("/_sim/checkpoints/before/restore").body
        assert (world["clock"]["now"], world["apiKey"]) == (START, sim.key)
        assert sim.get("/_sim/state").raw == before
        assert sim.status(vm) == "deploying"
        sim.post("/_sim/checkpoints/before/restore")
    assert futures[0] == futures[1]


def test_a_reset_after_a_restore_goes_to_the_first_moment_and_checkpoints_stay(sim: Surface) -> None:
    sim.post("/_sim/clock/advance", {"seconds": 5})
    sim.put("/_sim/checkpoints/later")
    sim.post("/_sim/checkpoints/later/restore")
    assert sim.post("/_sim/reset").body["clock"]["now"] == START
    assert sim.post("/_sim/checkpoints/later/restore").body["clock"]["now"] == "2026-06-15T09:00:05.000Z"


def test_checkpoints_are_listed_shown_replaced_and_deleted(sim: Surface) -> None:
    sim.put("/_sim/checkpoints/a")
    sim.put("/_sim/checkpoints/b")
    sim.post("/_sim/clock/advance", {"seconds": 5})
    again = sim.put("/_sim/checkpoints/a").body
    assert again["now"] > START
    assert sim.get("/_sim/checkpoints/a").body == again
    assert [row["name"] for row in sim.get("/_sim/checkpoints").body["items"]] == ["a", "b"]
    assert sim.delete("/_sim/checkpoints/a").status == 204
    for heard in (
        sim.get("/_sim/checkpoints/a"),
        sim.delete("/_sim/checkpoints/a"),
        sim.post("/_sim/checkpoints/a/restore"),
    ):
        refused(heard, 404, "not_found", "no checkpoint 'a'")


def test_checkpoints_are_a_worlds_own_and_go_with_it(sim: Surface) -> None:
    sim.post("/_sim/worlds", {"name": "w"})
    sim.put("/_sim/checkpoints/a?world=w")
    assert sim.get("/_sim/checkpoints").body["items"] == []
    sim.delete("/_sim/worlds/w")
    sim.post("/_sim/worlds", {"name": "w"})
    assert sim.get("/_sim/checkpoints?world=w").body["items"] == []


def test_a_checkpoint_too_many_is_409_but_one_may_be_replaced(sim: Surface) -> None:
    for number in range(MOST):
        assert sim.put(f"/_sim/checkpoints/c{number}").status == 200
    refused(sim.put("/_sim/checkpoints/more"), 409, "conflict", f"{MOST} checkpoints are kept")
    assert sim.put("/_sim/checkpoints/c0").status == 200


@pytest.mark.parametrize("name", ["-a", "a%20b", "x" * 64, "%C3%A9"])
def test_a_name_that_cannot_be_one_is_400(sim: Surface, name: str) -> None:
    refused(sim.put(f"/_sim/checkpoints/{name}"), 400, "bad_request")
    assert sim.get("/_sim/checkpoints").body["items"] == []


# -- while something is under way


class Waiting:
    """A receiver that answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.told = Event(), Event()
        self.received: list[Outgoing] = []

    def __call__(self, outgoing: Outgoing) -> Outcome:
        self.received.append(outgoing)
        self.asked.set()
        assert self.told.wait(60)
        return Outcome(status_code=200)


@pytest.mark.parametrize("how", ["load", "restore"])
def test_a_load_while_a_delivery_is_under_way_ends_the_advance_and_drops_its_outcome(
    sim: Surface, how: str
) -> None:
    sim.post("/v1/orgs/{org}/webhooks/create", {"name": "hook", "url": "http://127.0.0.1:9/"})
    vm = sim.launch()
    saved = sim.get("/_sim/state?secrets=include").raw
    sim.put("/_sim/checkpoints/here")
    sim.simulator.courier = slow = Waiting()
    advance = Thread(target=lambda: sim.post("/_sim/clock/advance", {"seconds": 3600}))
    advance.start()
    assert slow.asked.wait(60)
    if how == "load":
        assert sim.put("/_sim/state", saved).status == 200
    else:
        assert sim.post("/_sim/checkpoints/here/restore").status == 200
    slow.told.set()
    advance.join(60)
    assert not advance.is_alive()
    assert sim.status(vm) == "deploying"
    assert sim.get("/_sim/journal?kind=delivery").body["items"] == []


@pytest.mark.parametrize("how", ["load", "restore"])
def test_what_was_saved_while_a_delivery_was_under_way_makes_it_again(sim: Surface, how: str) -> None:
    sim.post("/v1/orgs/{org}/webhooks/create", {"name": "hook", "url": "http://127.0.0.1:9/"})
    sim.launch()
    sim.simulator.courier = slow = Waiting()
    advance = Thread(target=lambda: sim.post("/_sim/clock/advance", {"seconds": 90}))
    advance.start()
    assert slow.asked.wait(60)
    saved = sim.get("/_sim/state?secrets=include").raw
    sim.put("/_sim/checkpoints/here")
    slow.told.set()
    advance.join(60)
    assert json.loads(saved)["outbox"] == [slow.received[0].delivery_id]
    sim.simulator.courier = sim.mailbox
    if how == "load":
        sim.put("/_sim/state", saved)
    else:
        sim.post("/_sim/checkpoints/here/restore")
    assert sim.post("/_sim/clock/advance", {"seconds": 0}).body["deliveries"] == 1
    assert sim.mailbox.received == slow.received[:1]
