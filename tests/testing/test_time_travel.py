"""Clients with sleeps and timeouts of their own, on the cloud's time."""

from __future__ import annotations

import asyncio
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from time import sleep
from typing import Any
from urllib.request import Request, urlopen

import httpx
import pytest
import requests

from simulator.testing import OpenRelay, Server
from simulator.testing.time_travel import TimeTravelError

REAL = time.perf_counter
WANTED = {"name": "trainer", "gpuModelId": "rtx-3090"}


@pytest.fixture(autouse=True)
def real_time() -> Iterator[None]:
    """Whatever is waited for, nobody waits."""
    began = REAL()
    yield
    assert REAL() - began < 60


def create(openrelay: OpenRelay, name: str = "trainer") -> str:
    body = {**WANTED, "name": name}
    made = openrelay.client().post(f"/v1/orgs/{openrelay.org_id}/vms/create", json=body)
    vm: str = made.json()["id"]
    return vm


def poll(get: Callable[[], dict[str, Any]], every_s: float = 5, limit_s: float = 600) -> str:
    """A client's own loop, which knows nothing of a simulator."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        status: str = get()["status"]
        if status != "deploying":
            return status
        time.sleep(every_s)
    raise TimeoutError(f"not within {limit_s} s")


def getter(openrelay: OpenRelay, vm: str, by: str) -> Callable[[], dict[str, Any]]:
    url, headers = f"{openrelay.base_url}/v1/vms/{vm}", {"Authorization": f"Bearer {openrelay.api_key}"}
    ways: dict[str, Callable[[], Any]] = {
        "requests": lambda: requests.get(url, headers=headers, timeout=20).json(),
        "httpx": lambda: httpx.get(url, headers=headers).json(),
        "urllib": lambda: json.loads(urlopen(Request(url, headers=headers), timeout=20).read()),
    }
    return ways[by]


# -- one thread --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["requests", "httpx", "urllib"])
def test_a_polling_loop_ends_when_the_vm_runs(openrelay: OpenRelay, by: str) -> None:
    vm, began = create(openrelay), openrelay.now
    with openrelay.time_travel():
        assert poll(getter(openrelay, vm, by)) == "running"
    assert (openrelay.now - began).total_seconds() == 90


def test_a_loop_that_would_wait_for_ever_meets_its_own_timeout(openrelay: OpenRelay) -> None:
    openrelay.fault(on="lifecycle", resource="vm", stage="booting", do={"stall": True})
    vm, began = create(openrelay), openrelay.now
    with openrelay.time_travel(), pytest.raises(TimeoutError, match="not within 600 s"):
        poll(getter(openrelay, vm, "requests"))
    assert (openrelay.now - began).total_seconds() == 600


def test_every_clock_shows_the_clouds_moment(openrelay: OpenRelay) -> None:
    with openrelay.time_travel():
        first = time.monotonic()
        sleep(30)  # by the name that it was imported under
        openrelay.advance(minutes=1)
        assert time.monotonic() - first == 90
        assert datetime.now(UTC) == openrelay.now
        assert time.time() == openrelay.now.timestamp()
    assert abs(time.time() - openrelay.now.timestamp()) > 3600
    assert sleep is time.sleep


def test_a_retry_waits_as_long_as_it_is_told(openrelay: OpenRelay) -> None:
    openrelay.fault(operation="whoami", times=2, do={"respond": {"status": 429, "retry_after": 20}})
    client, began = openrelay.client(), openrelay.now
    with openrelay.time_travel():
        while (answer := client.get("/v1/whoami")).status_code == 429:
            time.sleep(int(answer.headers["Retry-After"]))
    assert (openrelay.now - began).total_seconds() == 40


def test_a_client_without_a_timeout_comes_to_the_limit(openrelay: OpenRelay) -> None:
    def wait_for_ever() -> None:
        while True:
            time.sleep(600)

    with openrelay.time_travel(limit_days=1), pytest.raises(TimeTravelError, match="limit"):
        wait_for_ever()


def test_a_live_clock_and_time_travel_do_not_go_together(openrelay_server: Server) -> None:
    with (
        openrelay_server.open(clock="live") as cloud,
        pytest.raises(TimeTravelError, match="live clock"),
        cloud.time_travel(),
    ):
        pass


# -- threads -----------------------------------------------------------------------------------------------


def test_who_waits_for_an_event_sees_what_a_worker_does_meanwhile(openrelay: OpenRelay) -> None:
    vm, began, runs = create(openrelay), openrelay.now, threading.Event()

    def watch() -> None:
        poll(getter(openrelay, vm, "requests"))
        runs.set()

    with openrelay.time_travel():
        worker = threading.Thread(target=watch)
        worker.start()
        assert runs.wait(600)
        worker.join(5)
    assert not worker.is_alive()
    assert (openrelay.now - began).total_seconds() <= 95


def test_two_pollers_share_one_clock(openrelay: OpenRelay) -> None:
    began = openrelay.now
    machines = [create(openrelay, name) for name in ("one", "two")]
    with openrelay.time_travel(), ThreadPoolExecutor(2) as pool:
        ends: list[Future[str]] = [pool.submit(poll, getter(openrelay, vm, "requests")) for vm in machines]
        assert [end.result(600) for end in ends] == ["running", "running"]
    assert (openrelay.now - began).total_seconds() <= 95


def test_sleepers_wake_in_the_order_of_their_ends(openrelay: OpenRelay) -> None:
    woken: list[str] = []

    def nap(name: str, seconds: float) -> None:
        time.sleep(seconds)
        woken.append(name)

    with openrelay.time_travel():
        threads = [threading.Thread(target=nap, args=(str(s), s)) for s in (30, 10, 20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert woken == ["10", "20", "30"]


def test_a_queue_with_a_timeout_is_empty_then(openrelay: OpenRelay) -> None:
    empty: queue.Queue[int] = queue.Queue()
    began = openrelay.now
    with openrelay.time_travel(), pytest.raises(queue.Empty):
        empty.get(timeout=120)
    assert (openrelay.now - began).total_seconds() == 120


def test_who_is_told_is_awake_before_time_goes_on(openrelay: OpenRelay) -> None:
    """Also where the thread has no turn yet: whoever was notified is not overtaken by a sleep."""
    told: list[datetime] = []

    def wait(event: threading.Event) -> None:
        assert event.wait(600)
        told.append(openrelay.now)

    began = openrelay.now
    with openrelay.time_travel():
        for number in range(20):
            event = threading.Event()
            waiter = threading.Thread(target=wait, args=(event,))
            waiter.start()
            time.sleep(30)
            event.set()
            time.sleep(30)
            waiter.join(1)
            assert (told[-1] - began).total_seconds() == 60 * number + 30


def test_who_waits_without_an_end_is_awake_before_time_goes_on(openrelay: OpenRelay) -> None:
    told: list[datetime] = []
    tasks: queue.Queue[str] = queue.Queue()

    def work() -> None:
        while tasks.get() != "stop":
            told.append(openrelay.now)

    began = openrelay.now
    worker = threading.Thread(target=work)
    with openrelay.time_travel(), ThreadPoolExecutor(1) as pool:
        worker.start()
        for _ in range(20):
            tasks.put("task")
            pool.submit(lambda: told.append(openrelay.now))
            time.sleep(30)
        tasks.put("stop")
        worker.join()
    seconds = [(moment - began).total_seconds() for moment in told]
    assert sorted(seconds) == [30 * number for number in range(20) for _ in range(2)]


def test_a_loop_that_is_called_is_awake_before_time_goes_on(openrelay: OpenRelay) -> None:
    told: list[datetime] = []
    began = openrelay.now
    loop = asyncio.new_event_loop()
    runner = threading.Thread(target=loop.run_forever)
    with openrelay.time_travel():
        runner.start()
        for _ in range(20):
            loop.call_soon_threadsafe(lambda: told.append(openrelay.now))
            time.sleep(30)
        loop.call_soon_threadsafe(loop.stop)
        runner.join()
    loop.close()
    assert [(moment - began).total_seconds() for moment in told] == [30 * number for number in range(20)]


# -- asyncio -----------------------------------------------------------------------------------------------


async def apoll(client: httpx.AsyncClient, vm: str, every_s: float = 5) -> str:
    while (found := (await client.get(f"/v1/vms/{vm}")).json()["status"]) == "deploying":
        await asyncio.sleep(every_s)
    status: str = found
    return status


@pytest.mark.asyncio
async def test_asynchronous_pollers_run_beside_each_other(openrelay: OpenRelay) -> None:
    machines, began = [create(openrelay, name) for name in ("one", "two")], openrelay.now
    with openrelay.time_travel():
        async with openrelay.client("httpx-async") as client:
            found = await asyncio.gather(
                *(apoll(client, vm, every) for vm, every in zip(machines, (5, 7), strict=True))
            )
    assert found == ["running", "running"]
    assert (openrelay.now - began).total_seconds() <= 97


def test_wait_for_ends_at_its_own_timeout(openrelay: OpenRelay) -> None:
    openrelay.fault(on="lifecycle", resource="vm", stage="booting", do={"stall": True})
    vm, began = create(openrelay), openrelay.now

    async def wait() -> None:
        async with openrelay.client("httpx-async") as client:
            await asyncio.wait_for(apoll(client, vm), 600)

    with openrelay.time_travel(), pytest.raises(TimeoutError):
        asyncio.run(wait())
    assert (openrelay.now - began).total_seconds() == 600


def test_tasks_wake_in_order(openrelay: OpenRelay) -> None:
    woken: list[int] = []

    async def nap(seconds: int) -> None:
        await asyncio.sleep(seconds)
        woken.append(seconds)

    async def all_of_them() -> None:
        await asyncio.gather(*(nap(seconds) for seconds in (3600, 5, 60)))

    with openrelay.time_travel():
        asyncio.run(all_of_them())
    assert woken == [5, 60, 3600]


def test_intercepted_and_travelling_a_test_needs_no_socket_and_no_time(openrelay: OpenRelay) -> None:
    vm = create(openrelay)

    async def wait() -> str:
        key = {"Authorization": f"Bearer {openrelay.api_key}"}
        async with httpx.AsyncClient(base_url="https://api.openrelay.inc", headers=key) as client:
            return await apoll(client, vm)

    with openrelay.intercept(), openrelay.time_travel():
        assert asyncio.run(wait()) == "running"


@pytest.mark.openrelay(clock={"mode": "stepped", "step_s": 30})
def test_an_answer_that_is_there_comes_before_the_timeout_that_it_made_due(openrelay: OpenRelay) -> None:
    """Each request moves the clock by more than the client would wait for an answer."""

    async def ask() -> list[int]:
        async with openrelay.client("httpx-async") as client:
            return [(await client.get("/v1/whoami", timeout=5)).status_code for _ in range(20)]

    with openrelay.time_travel():
        assert set(asyncio.run(ask())) == {200}


# -- another process ---------------------------------------------------------------------------------------

LOOP = """
import json, os, time, urllib.request as u
base, key, org = (os.environ[n] for n in ("OPENRELAY_BASE_URL", "OPENRELAY_API_KEY", "ORG_ID"))
def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return json.load(u.urlopen(u.Request(base + path, data, headers)))
vm = ask(f"/v1/orgs/{org}/vms/create", {"name": "trainer", "gpuModelId": "rtx-3090"})["id"]
polls = 0
while ask(f"/v1/vms/{vm}")["status"] == "deploying":
    polls += 1
    time.sleep(0.001)
print(polls)
"""


@pytest.mark.openrelay(clock={"mode": "stepped", "step_s": 5})
def test_a_client_in_another_process_gets_on_by_the_stepped_clock(openrelay: OpenRelay) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOP], env=openrelay.environment, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == 17
