"""A running world: time, turns, resets and forks, threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from simulator.domain.events import Delivery, Outcome, Outgoing
from simulator.engine import ClockState
from simulator.kernel.instant import DAY_MS, iso, parse_iso
from simulator.kernel.refusal import Refusal
from tests.support.cloud import Answer, Cloud
from tests.support.invariants import check_world

Open = Callable[..., Cloud]
HOOK = {"name": "hook", "url": "http://127.0.0.1:9/hook"}


def hooked(cloud: Cloud) -> Cloud:
    assert cloud.post("/v1/orgs/{org}/webhooks/create", HOOK).status == 200
    return cloud


# -- advancing


def test_an_advance_says_how_far_it_went_and_what_it_did(cloud: Cloud) -> None:
    hooked(cloud).launch()
    advanced = cloud.advance(90)
    assert advanced.now_ms - advanced.from_ms == 90_000
    assert (advanced.events, advanced.deliveries) == (4, 1)
    assert cloud.mailbox.types() == ["vm.running"]


def test_it_is_settled_when_it_answers(cloud: Cloud) -> None:
    hooked(cloud).launch()
    cloud.advance(90)
    assert [row.status for row in cloud.rows(Delivery)] == ["delivered"]


def test_until_next_stops_at_the_next_event(cloud: Cloud) -> None:
    vm = cloud.launch()
    for stage, seconds in (("preparing_disk", 5), ("pulling_image", 15), ("booting", 40)):
        advanced = cloud.simulator.advance_until("next")
        assert advanced.now_ms - advanced.from_ms == seconds * 1000
        assert cloud.vm(vm["id"])["provisioningStage"] == stage


def test_until_idle_runs_what_is_under_way_and_leaves_the_month_alone(cloud: Cloud) -> None:
    cloud.launch()
    advanced = cloud.simulator.advance_until("idle")
    assert advanced.now_ms - advanced.from_ms == 135_000, "90 s of start, 45 s until SSH answers"
    again = cloud.simulator.advance_until("idle")
    assert (again.now_ms, again.events) == (advanced.now_ms, 0)


def test_until_a_status_that_never_comes_is_refused_with_the_one_it_has(cloud: Cloud) -> None:
    vm = cloud.run_vm()
    before = cloud.world.version, cloud.world.now_ms
    with pytest.raises(Refusal, match="is running, and nothing that is pending makes it failed"):
        cloud.simulator.advance_until_status(vm["id"], "failed")
    with pytest.raises(Refusal, match="never 'runing'; did you mean 'running'"):
        cloud.simulator.advance_until_status(vm["id"], "runing")
    assert (cloud.world.version, cloud.world.now_ms) == before, "a wait in vain moves nothing"
    with pytest.raises(Refusal, match="no resource 'nobody'"):
        cloud.simulator.advance_until_status("nobody", "running")


def test_time_never_goes_back(cloud: Cloud) -> None:
    with pytest.raises(Refusal, match="only goes forward"):
        cloud.simulator.advance_to(cloud.world.now_ms - 1)


def test_one_long_advance_and_many_short_ones_end_in_the_same_state(open_cloud: Open) -> None:
    def story(steps: list[float]) -> list[object]:
        cloud = hooked(open_cloud())
        cloud.mailbox.replies = [Outcome(status_code=500)] * 2
        cloud.launch()
        for seconds in steps:
            cloud.advance(seconds)
        entries = [(e.at_ms, e.kind, e.facts) for e in cloud.world.journal]
        return [cloud.get(f"/v1/orgs/{{org}}/{path}").body for path in ("vms", "usage/current")] + entries

    assert story([400]) == story([1] * 400) == story([89.5, 0.5, 0, 310])


def test_a_delivery_that_nobody_wants_any_more_does_not_end_an_advance(cloud: Cloud) -> None:
    vm = hooked(cloud).run_vm()
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    hook = cloud.get("/v1/orgs/{org}/webhooks").body[0]
    assert cloud.delete(f"/v1/orgs/{{org}}/webhooks/{hook['id']}").status == 204
    advanced = cloud.advance(100)
    assert (advanced.now_ms - advanced.from_ms, advanced.deliveries) == (100_000, 0)


def test_until_a_status_that_a_receiver_prevents_ends_when_it_would_have_come(cloud: Cloud) -> None:
    first = hooked(cloud).launch("first", gpuModelId="rtx-3090")
    cloud.advance(30)
    second = cloud.launch("second", gpuModelId="rtx-3090")

    def receiver(outgoing: Outgoing) -> Outcome:
        cloud.post(f"/v1/vms/{second['id']}/terminate")
        return Outcome(status_code=200)

    cloud.simulator.courier = receiver
    before = cloud.world.now_ms
    with pytest.raises(Refusal, match="took it elsewhere"):
        cloud.simulator.advance_until_status(second["id"], "running")
    assert cloud.vm(first["id"])["status"] == "running"
    assert cloud.vm(second["id"])["status"] == "terminated"
    assert cloud.world.now_ms - before <= 90_000


# -- clock modes


def test_in_stepped_mode_every_request_moves_the_clock_first(open_cloud: Open) -> None:
    cloud = hooked(open_cloud(clock="stepped"))
    vm = cloud.launch()
    polls = 0
    while cloud.vm(vm["id"])["status"] != "running":
        polls += 1
    assert polls == 90 // 5 - 1
    assert cloud.mailbox.types() == ["vm.running"]


def test_in_manual_mode_nothing_moves_by_itself_not_even_webhooks(cloud: Cloud) -> None:
    vm = hooked(cloud).run_vm()
    cloud.post(f"/v1/vms/{vm['id']}/stop")
    assert cloud.mailbox.types() == ["vm.running"]
    cloud.advance(0)
    assert cloud.mailbox.types() == ["vm.running", "vm.stopped"]


def test_the_live_clock_goes_on_from_where_the_manual_one_stood(cloud: Cloud) -> None:
    cloud.advance(1000)
    before = cloud.world.now_ms
    cloud.simulator.set_clock(ClockState(mode="live", rate=1e-6))
    assert cloud.simulator.live_now_ms() == before


# -- reset and fork


def test_reset_brings_back_the_first_moment_to_the_byte(cloud: Cloud) -> None:
    def story() -> list[Answer]:
        vm = cloud.run_vm()
        return [
            cloud.get("/v1/me"),
            cloud.post(f"/v1/vms/{vm['id']}/stop"),
            cloud.get("/v1/gpu-availability"),
        ]

    first = story()
    cloud.advance(3600)
    cloud.simulator.reset()
    assert story() == first


def test_a_fork_goes_its_own_way(cloud: Cloud) -> None:
    vm = cloud.launch()
    twin = cloud.worlds.fork("default", "twin")
    twin.advance(90)
    cloud.post(f"/v1/vms/{vm['id']}/terminate")
    check_world(twin.world)
    check_world(cloud.world)
    assert cloud.vm(vm["id"])["status"] == "terminated"
    assert twin.world.status_of(vm["id"]) == "running"
    assert twin.world.now_ms - cloud.world.now_ms == 90_000


def test_a_reset_while_a_delivery_is_in_flight_drops_it(cloud: Cloud) -> None:
    hooked(cloud).launch()

    def receiver(outgoing: Outgoing) -> Outcome:
        cloud.simulator.reset()
        return Outcome(status_code=500)

    cloud.simulator.courier = receiver
    cloud.advance(3600)
    assert cloud.rows(Delivery) == []
    assert cloud.get("/v1/orgs/{org}/vms").body["items"] == []
    assert [timer.name for timer in cloud.world.clock.pending()] == ["billing.month_end"]


# -- receivers and threads


def test_a_receiver_may_call_the_api_from_inside_its_handler(cloud: Cloud) -> None:
    hooked(cloud).launch()
    seen: list[object] = []

    def receiver(outgoing: Outgoing) -> Outcome:
        seen.append(cloud.get("/v1/orgs/{org}/vms").body["items"][0]["status"])
        return Outcome(status_code=200)

    cloud.simulator.courier = receiver
    cloud.advance(90)
    assert seen == ["running"]


def test_a_fork_made_while_a_delivery_is_in_flight_makes_that_delivery_itself(cloud: Cloud) -> None:
    hooked(cloud).launch()

    def receiver(outgoing: Outgoing) -> Outcome:
        if "twin" not in cloud.worlds:
            cloud.worlds.fork("default", "twin")
        return Outcome(status_code=200)

    cloud.simulator.courier = receiver
    cloud.advance(90)
    twin = cloud.worlds.get("twin")
    assert [row.status for row in twin.world.rows(Delivery)] == ["pending"]
    twin.courier = cloud.mailbox
    assert twin.advance(0).deliveries == 1
    assert [row.status for row in twin.world.rows(Delivery)] == ["delivered"]


def test_a_live_advance_shorter_than_a_slow_delivery_is_answered_all_the_same(cloud: Cloud) -> None:
    hooked(cloud).launch()
    cloud.simulator.set_clock(ClockState(mode="live", rate=1000))

    def receiver(outgoing: Outgoing) -> Outcome:
        began = cloud.simulator.live_now_ms()
        while cloud.simulator.live_now_ms() < began + 200_000:
            cloud.get("/v1/me")
        return Outcome(status_code=200)

    cloud.simulator.courier = receiver
    assert cloud.advance(91).deliveries == 1


def test_the_journal_keeps_no_huge_paths_and_arguments(cloud: Cloud) -> None:
    cloud.get("/v1/" + "x" * 100_000)
    cloud.do("webhook.send", name="acme", data={"text": "x" * 100_000})
    sizes = [len(str(entry.facts)) for entry in cloud.world.journal]
    assert max(sizes) < 5000


def test_virtual_time_can_be_told_up_to_its_very_end(open_cloud: Open) -> None:
    cloud = open_cloud(timing__cpu_vm__scheduling_s=1e8)
    cloud.simulator.advance_to(parse_iso("9998-12-30T00:00:00Z"))
    cloud.launch(gpuModelId=None)
    assert iso(cloud.world.clock.next_work_ms() or 0) == "9999-12-31T23:59:59.999Z"
    with pytest.raises(Refusal, match=r"0001-01-01T00:00:00\.000Z is before now"):
        cloud.simulator.advance_to(-(10**17))


def test_a_receiver_that_advances_the_clock_is_refused_and_nothing_hangs(cloud: Cloud) -> None:
    hooked(cloud).launch()
    refused: list[str] = []

    def receiver(outgoing: Outgoing) -> Outcome:
        with pytest.raises(Refusal) as refusal:
            cloud.advance(1)
        refused.append(refusal.value.code)
        return Outcome(status_code=200)

    cloud.simulator.courier = receiver
    assert cloud.advance(90).deliveries == 1
    assert refused == ["conflict"]


def test_requests_are_answered_while_a_receiver_takes_its_time(cloud: Cloud) -> None:
    hooked(cloud).launch()
    asked, answered = Event(), Event()

    def receiver(outgoing: Outgoing) -> Outcome:
        asked.set()
        assert answered.wait(30)
        return Outcome(status_code=200)

    cloud.simulator.courier = receiver
    with ThreadPoolExecutor(1) as pool:
        advancing = pool.submit(cloud.advance, 90)
        assert asked.wait(30)
        assert cloud.get("/v1/orgs/{org}/vms").status == 200
        answered.set()
        assert advancing.result(30).deliveries == 1


def test_sixteen_threads_race_for_the_last_gpus_and_exactly_as_many_win_as_fit(open_cloud: Open) -> None:
    room = _room(open_cloud())
    assert 0 < room < 16
    for _ in range(5):
        cloud = open_cloud()
        barrier = Barrier(16)

        def create(number: int, cloud: Cloud = cloud, barrier: Barrier = barrier) -> int:
            barrier.wait(30)
            return cloud.post(
                "/v1/orgs/{org}/vms/create", {"name": f"racer-{number}", "gpuModelId": "rtx-4090"}
            ).status

        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(create, range(16)))
        assert statuses.count(200) == room
        assert statuses.count(409) == 16 - room
        check_world(cloud.world)


def _room(cloud: Cloud) -> int:
    """How many single RTX 4090s fit one after the other."""
    taken = 0
    while cloud.post("/v1/orgs/{org}/vms/create", {"name": "t", "gpuModelId": "rtx-4090"}).status == 200:
        taken += 1
    return taken


def test_the_month_end_comes_round_for_years(cloud: Cloud) -> None:
    cloud.simulator.advance_to(parse_iso("2029-01-02T00:00:00Z"))
    (timer,) = cloud.world.clock.pending()
    assert timer.due_ms == parse_iso("2029-02-01T00:00:00Z")
    assert timer.due_ms - cloud.world.now_ms == 30 * DAY_MS
