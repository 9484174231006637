"""Who rests, and who was told and only had no turn yet."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from simulator.testing.resting import STUCK_LOOKS, Watch


@pytest.fixture
def one_at_a_time() -> Iterator[None]:
    """A thread has its turn only when the one before it waits."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(2)
    yield
    sys.setswitchinterval(before)


def event() -> tuple[Callable[[], object], Callable[[], object]]:
    happened = threading.Event()
    return happened.wait, happened.set


def task() -> tuple[Callable[[], object], Callable[[], object]]:
    tasks: queue.Queue[str] = queue.Queue()
    return tasks.get, lambda: tasks.put("task")


def rests(watch: Watch, ident: int | None) -> bool:
    assert ident is not None
    return watch.at_rest(ident, sys._current_frames()[ident])


def until_it_rests(watch: Watch, ident: int | None) -> None:
    while not rests(watch, ident):
        time.sleep(0)


@pytest.mark.parametrize("waits", [event, task])
def test_who_was_told_is_awake_though_it_has_no_turn(
    waits: Callable[[], tuple[Callable[[], object], Callable[[], object]]], one_at_a_time: None
) -> None:
    wait, tell = waits()
    waiter, watch = threading.Thread(target=wait), Watch()
    waiter.start()
    until_it_rests(watch, waiter.ident)
    tell()
    assert not any(rests(watch, waiter.ident) for _ in range(2 * STUCK_LOOKS))
    waiter.join()


def test_a_pool_with_a_task_is_awake_though_it_has_no_turn(one_at_a_time: None) -> None:
    idents: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: idents.append(threading.get_ident())).result()
        watch = Watch()
        until_it_rests(watch, idents[0])
        done = pool.submit(lambda: None)
        assert not any(rests(watch, idents[0]) for _ in range(2 * STUCK_LOOKS))
        done.result()


def test_who_was_told_rests_where_another_keeps_the_lock() -> None:
    """It woke, and waits for the one who told it, who may sleep and want time to go on."""
    condition, watch = threading.Condition(), Watch()

    def wait() -> None:
        with condition:
            condition.wait()

    waiter = threading.Thread(target=wait)
    waiter.start()
    until_it_rests(watch, waiter.ident)
    with condition:
        condition.notify()
        until_it_rests(watch, waiter.ident)
    waiter.join()
