"""The live clock: time flows by itself, deliveries are made by themselves, and nobody waits in a loop.

Tests wait for facts, on the condition that every change notifies; the long patience is only for what hangs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

import pytest

from simulator.adapters.pacer import Pacer
from simulator.domain.events import Delivery, Outcome, Outgoing
from simulator.engine import ClockState, Simulator
from simulator.kernel.instant import LAST_NOW_MS
from simulator.scenario.timers import TIMERS
from simulator.worlds import DEFAULT, Opening, Worlds
from tests.support.cloud import Cloud
from tests.support.invariants import check_world

PATIENCE_S = 60
FAST = ClockState(mode="live", rate=2000)
STILL = ClockState(mode="live", rate=1e-6)
"""Live, but no event comes within the life of a test."""
HOOK = {"name": "hook", "url": "http://127.0.0.1:9/hook"}

Open = Callable[..., Cloud]


@pytest.fixture
def paced(open_cloud: Open) -> Iterator[Open]:
    """Open clouds whose worlds have a pacer."""
    pacers: list[Pacer] = []

    def make(clock: ClockState, **settings: object) -> Cloud:
        cloud = open_cloud(**settings)
        pacers.append(Pacer(cloud.worlds))
        pacers[-1].start()
        cloud.simulator.set_clock(clock)
        return cloud

    yield make
    for pacer in pacers:
        pacer.stop(PATIENCE_S)
        assert not pacer._thread.is_alive()


def wait_until(simulator: Simulator, fact: Callable[[], object]) -> None:
    with simulator.changed:
        assert simulator.changed.wait_for(fact, PATIENCE_S), "it never comes"


def hooked(cloud: Cloud) -> Cloud:
    assert cloud.post("/v1/orgs/{org}/webhooks/create", HOOK).status == 200
    return cloud


def launch(cloud: Cloud) -> str:
    vm_id: str = cloud.launch(gpuModelId="rtx-3090")["id"]
    return vm_id


def status(simulator: Simulator, vm_id: str) -> str | None:
    with simulator.reading() as world:
        return world.status_of(vm_id)


def runs(simulator: Simulator, vm_id: str) -> bool:
    return status(simulator, vm_id) == "running"


class Blocking:
    """A courier that holds the deliveries to one URL until it is told to let go."""

    def __init__(self, url: str = HOOK["url"]) -> None:
        self.url = url
        self.asked, self.let_go = Event(), Event()
        self.received: list[str] = []

    def __call__(self, outgoing: Outgoing) -> Outcome:
        if outgoing.url == self.url:
            self.asked.set()
            assert self.let_go.wait(PATIENCE_S)
        self.received.append(outgoing.headers["X-VectorLay-Event"])
        return Outcome(status_code=200)


# -- time flows


def test_a_vm_runs_by_itself_and_its_webhook_goes_out_by_itself(paced: Open) -> None:
    cloud = hooked(paced(FAST))
    vm_id = launch(cloud)
    wait_until(cloud.simulator, lambda: runs(cloud.simulator, vm_id))
    wait_until(cloud.simulator, lambda: cloud.mailbox.types() == ["vm.running"])
    wait_until(cloud.simulator, lambda: [row.status for row in cloud.rows(Delivery)] == ["delivered"])


def test_events_come_at_their_moments_however_late_the_thread_is(paced: Open) -> None:
    cloud = paced(FAST)
    vm_id = launch(cloud)
    wait_until(cloud.simulator, lambda: runs(cloud.simulator, vm_id))
    with cloud.simulator.reading() as world:
        moments = [e.at_ms for e in world.journal if e.kind == "timer" and e.facts["name"] == "vm.stage"]
    created = next(e.at_ms for e in world.journal if e.facts.get("operation") == "createVm")
    assert [at - created for at in moments] == [5_000, 20_000, 60_000, 90_000]


def test_a_delivery_caused_by_a_call_goes_out_at_once(paced: Open) -> None:
    cloud = hooked(paced(ClockState()))
    vm_id = launch(cloud)
    cloud.advance(90)
    cloud.simulator.set_clock(STILL)
    cloud.post(f"/v1/vms/{vm_id}/stop")
    wait_until(cloud.simulator, lambda: cloud.mailbox.types() == ["vm.running", "vm.stopped"])


def test_a_failed_delivery_is_tried_again_when_its_virtual_time_has_come(paced: Open) -> None:
    cloud = hooked(paced(FAST))
    cloud.mailbox.replies = [Outcome(status_code=500), Outcome(error="gone")]
    launch(cloud)
    wait_until(cloud.simulator, lambda: len(cloud.mailbox.received) == 3)
    wait_until(cloud.simulator, lambda: [d["status"] for d in cloud.entries("delivery")][2:] == ["delivered"])
    first, second, third = (row.created_at_ms for row in cloud.rows(Delivery))
    assert second - first >= 10_000
    assert third - second >= 60_000


def test_live_time_ends_where_virtual_time_ends(paced: Open, last_hour: Opening) -> None:
    cloud = paced(ClockState())
    cloud.worlds.reset(DEFAULT, last_hour)
    cloud.simulator.advance_to(LAST_NOW_MS - 1000)
    cloud.simulator.set_clock(FAST)
    vm_id = launch(cloud)
    wait_until(cloud.simulator, lambda: cloud.simulator.now_ms == LAST_NOW_MS)
    assert cloud.vm(vm_id)["status"] == "deploying"


# -- switching


def test_in_manual_mode_nothing_moves_while_another_world_lives(paced: Open) -> None:
    cloud = hooked(paced(ClockState()))
    vm_id = launch(cloud)
    other = cloud.beside("other", 1)
    other.simulator.set_clock(FAST)
    witness = launch(other)
    wait_until(other.simulator, lambda: runs(other.simulator, witness))
    assert status(cloud.simulator, vm_id) == "deploying"
    assert cloud.simulator.due_in_s() is None
    assert cloud.mailbox.types() == []


def test_the_mode_can_be_switched_at_any_time(paced: Open) -> None:
    cloud = hooked(paced(ClockState()))
    vm_id = launch(cloud)
    cloud.simulator.set_clock(FAST)
    wait_until(cloud.simulator, lambda: runs(cloud.simulator, vm_id))
    cloud.simulator.set_clock(ClockState())
    now_ms = cloud.simulator.now_ms
    cloud.post(f"/v1/vms/{vm_id}/stop")
    other = cloud.beside("other", 1)
    other.simulator.set_clock(FAST)
    witness = launch(other)
    wait_until(other.simulator, lambda: runs(other.simulator, witness))
    assert cloud.simulator.now_ms == now_ms
    assert "vm.stopped" not in cloud.mailbox.types()
    cloud.simulator.set_clock(STILL)
    wait_until(cloud.simulator, lambda: cloud.mailbox.types() == ["vm.running", "vm.stopped"])


def test_the_switch_to_manual_stops_deliveries_too(paced: Open) -> None:
    cloud = paced(STILL)
    courier = cloud.simulator.courier = Blocking()
    for number in range(2):
        cloud.post("/v1/orgs/{org}/webhooks/create", {**HOOK, "name": f"hook-{number}"})
    cloud.do("webhook.send", name="acme", type="vm.running")
    assert courier.asked.wait(PATIENCE_S)
    cloud.simulator.set_clock(ClockState())
    courier.let_go.set()
    wait_until(cloud.simulator, lambda: len(cloud.entries("delivery")) == 1)
    assert cloud.simulator.advance(0).deliveries == 1
    assert len(courier.received) == 2


def test_a_new_world_wakes_the_pacer_and_a_deleted_one_is_forgotten(paced: Open) -> None:
    cloud = paced(STILL)
    for name in ("a", "b"):
        cloud.worlds.open(name, Opening(clock=FAST))
        cloud.visit(name)
        vm_id = launch(cloud)
        wait_until(cloud.simulator, partial(runs, cloud.simulator, vm_id))
        cloud.worlds.delete(name)


# -- slow receivers


def test_a_slow_receiver_holds_up_neither_time_nor_another_world(paced: Open) -> None:
    cloud = hooked(paced(FAST))
    courier = cloud.simulator.courier = Blocking()
    slow, first = cloud.simulator, launch(cloud)
    other = cloud.beside("other", 1)
    other.simulator.courier = courier
    other.post("/v1/orgs/{org}/webhooks/create", {"name": "quick", "url": "http://127.0.0.1:9/quick"})
    assert courier.asked.wait(PATIENCE_S), "the receiver has the first delivery and keeps it"
    second = launch(cloud)
    wait_until(slow, lambda: runs(slow, second))
    other.simulator.set_clock(FAST)
    witness = launch(other)
    wait_until(other.simulator, lambda: courier.received == ["vm.running"])
    assert status(other.simulator, witness) == "running"
    assert status(slow, first) == "running"
    courier.let_go.set()
    wait_until(slow, lambda: courier.received == ["vm.running"] * 3)


def test_an_advance_takes_over_from_the_live_clock_and_settles_everything(paced: Open) -> None:
    cloud = paced(STILL)
    courier = cloud.simulator.courier = Blocking()
    for number in range(3):
        cloud.post("/v1/orgs/{org}/webhooks/create", {**HOOK, "name": f"hook-{number}"})
    cloud.do("webhook.send", name="acme", type="vm.running")
    assert courier.asked.wait(PATIENCE_S)
    with ThreadPoolExecutor(1) as pool:
        advancing = pool.submit(cloud.simulator.advance, 1)
        while not cloud.simulator._turn.wanted:
            assert not advancing.done()
        courier.let_go.set()
        assert advancing.result(PATIENCE_S).deliveries == 2
    assert [row.status for row in cloud.rows(Delivery)] == ["delivered"] * 3


def test_a_live_clock_goes_on_from_where_an_advance_ended(paced: Open) -> None:
    cloud = paced(FAST)
    cloud.simulator.advance(30 * 86_400)  # at this rate, twenty real minutes
    vm_id = launch(cloud)
    wait_until(cloud.simulator, lambda: runs(cloud.simulator, vm_id))


def test_a_reset_while_a_delivery_is_under_way_drops_it(paced: Open) -> None:
    cloud = hooked(paced(STILL))
    courier = cloud.simulator.courier = Blocking()
    cloud.do("webhook.send", name="acme", type="vm.running")
    assert courier.asked.wait(PATIENCE_S)
    cloud.simulator.reset()
    hooked(cloud).do("webhook.send", name="acme", type="vm.running")
    courier.let_go.set()
    wait_until(cloud.simulator, lambda: [row.status for row in cloud.rows(Delivery)] == ["delivered"])
    assert len(courier.received) == 2


# -- the thread


class Counted(Worlds):
    """Worlds that count how often somebody looked through them."""

    looks = 0

    def __iter__(self) -> Iterator[Simulator]:
        self.looks += 1
        return super().__iter__()


def test_calls_that_bring_nothing_forward_wake_nobody(open_cloud: Open) -> None:
    cloud = open_cloud()
    cloud.worlds.__class__ = Counted
    pacer = Pacer(cloud.worlds)
    pacer.start()
    cloud.simulator.set_clock(STILL)
    launch(cloud)
    assert isinstance(cloud.worlds, Counted)
    # The pacer may still be on its way to sleep when the first calls come.
    for _ in range(500):
        cloud.get("/v1/me")
    looks = cloud.worlds.looks
    for _ in range(500):
        cloud.get("/v1/me")
    assert cloud.worlds.looks <= looks + 2
    pacer.stop(PATIENCE_S)


def test_a_timer_that_fails_is_logged_and_time_goes_on(
    paced: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cloud = paced(ClockState())
    end_stage = TIMERS["vm.stage"]
    failing: list[str] = []

    def fail_once(world: object, *args: object) -> None:
        if not failing:
            failing.append("done")
            raise ZeroDivisionError("our mistake")
        end_stage(world, *args)

    monkeypatch.setitem(TIMERS, "vm.stage", fail_once)
    stuck = launch(cloud)
    cloud.simulator.set_clock(FAST)
    with caplog.at_level(logging.ERROR, "simulator"):
        wait_until(cloud.simulator, lambda: failing)
        well = launch(cloud)
        wait_until(cloud.simulator, lambda: runs(cloud.simulator, well))
    assert status(cloud.simulator, stuck) != "running"
    assert "a timer of world 'default' failed" in caplog.text
    assert "our mistake" in caplog.text


def test_stopping_is_quick_and_time_then_stands(paced: Open, open_cloud: Open) -> None:
    cloud = open_cloud()
    pacer = Pacer(cloud.worlds)
    pacer.start()
    cloud.simulator.set_clock(STILL)
    pacer.stop(PATIENCE_S)
    assert not pacer._thread.is_alive()
    assert cloud.worlds.listeners == []


def test_a_crowd_of_callers_on_a_live_world_leaves_it_in_order(paced: Open) -> None:
    cloud = hooked(paced(ClockState(mode="live", rate=50_000)))

    def live(number: int) -> None:
        for turn in range(10):
            created = cloud.post(
                "/v1/orgs/{org}/vms/create", {"name": f"vm-{number}-{turn}", "resourceSize": "small"}
            )
            if created.status == 200:
                cloud.post(f"/v1/vms/{created.body['id']}/terminate")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(live, range(8)))
    cloud.simulator.set_clock(ClockState())
    cloud.simulator.advance_until("idle")
    check_world(cloud.world)
    assert all(row.status != "pending" for row in cloud.rows(Delivery))
