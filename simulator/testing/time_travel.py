"""A test whose time is the cloud's: who sleeps lets virtual time pass, and waits for nothing.

freezegun shows the moment of the cloud to all who ask for the time. Who waits for a span – `time.sleep`, a
`Condition`, `Event` or `Thread.join` with a timeout, an event loop with something scheduled – is written down
with its end; when everybody rests, the cloud advances to the earliest one. So loops of several threads and
tasks keep their order, and a client that would wait for ever meets its own timeout at once.
"""

from __future__ import annotations

import sys
import threading
import time
from asyncio import base_events
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from heapq import heappush
from importlib.util import find_spec
from threading import Condition, Thread
from types import FrameType
from typing import TYPE_CHECKING, Any

from simulator.kernel.instant import DAY_MS, iso
from simulator.kernel.refusal import Refusal

if TYPE_CHECKING:
    from simulator.testing.cloud import OpenRelay

OURS = ("simulator.engine", "simulator.adapters", "waitress")
"""Whose time stays real: the server."""
UNTOUCHED = (*OURS, "simulator", "_pytest")
"""Modules whose names for the time stay what they are."""
BLINK_S = 0.0005
"""Real seconds between two looks at who rests."""
ANSWER_S = 0.003
"""Real seconds that an answer may be on its way to a loop whose sockets are open."""
STILL_LOOKS = 8
"""So many looks has a thread to stand still where threads wait for others, to be taken to rest: in looks and
not in seconds, because on a machine with much to do it stands still for long."""
STUCK_LOOKS = 2000
"""The same for any other place."""
MOST_HELD = 1000
"""Rounds of a loop with something to do, for which what is scheduled waits for it to come to rest."""
RESTING = (
    ("threading", "wait"),
    ("threading", "join"),
    ("threading", "_wait_for_tstate_lock"),
    ("concurrent.futures.thread", "_worker"),
    ("socketserver", "serve_forever"),
    ("asyncio.base_events", "_run_once"),
)
"""Where a thread waits for others without an end of its own."""


class TimeTravelError(RuntimeError):
    """Time cannot go on as a sleep wants it to."""


@contextmanager
def time_travel(openrelay: OpenRelay, limit_days: float = 30) -> Iterator[None]:
    """Let sleeping advance the cloud. After so much virtual time a sleep is an error."""
    if find_spec("freezegun") is None:
        raise ImportError('time_travel() needs freezegun: pip install "openrelay-simulator[pytest]"')
    if openrelay.simulator.clock.mode == "live":
        raise TimeTravelError("time_travel() and a live clock both move time; take clock='manual'")
    travel = _Travel(openrelay, limit_days)
    with ExitStack() as stack:
        stack.enter_context(_frozen(openrelay))
        stack.enter_context(_patched(travel))
        yield


@contextmanager
def _frozen(openrelay: OpenRelay) -> Iterator[None]:
    """freezegun, its moment that of the cloud whenever it is asked for."""
    from freezegun import api

    class CloudClock(api.FrozenDateTimeFactory):
        @property
        def time_to_freeze(self) -> datetime:  # type: ignore[override]
            return openrelay.now.replace(tzinfo=None)

        def __init__(self) -> None:
            """Nothing is kept."""

    freezer = api.freeze_time(openrelay.now, real_asyncio=False)
    freezer.ignore = UNTOUCHED  # its own list has threading and queue in it, whose waits are to be virtual
    freezer.start()
    api.ignore_lists[-1] = OURS
    api.freeze_factories[-1] = CloudClock()
    try:
        yield
    finally:
        freezer.stop()


@contextmanager
def _patched(travel: _Travel) -> Iterator[None]:
    patches: list[tuple[Any, str, Any]] = [
        (Condition, "wait", travel.condition_wait),
        (Thread, "join", travel.thread_join),
        (base_events.BaseEventLoop, "time", lambda loop: travel.loop_time()),
        (base_events.BaseEventLoop, "_run_once", travel.loop_run_once),
        *((module, name, travel.sleep) for module, name in _holders_of_sleep()),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
    for owner, name, value in patches:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _holders_of_sleep() -> list[tuple[Any, str]]:
    """The modules that hold `time.sleep`, under whatever name."""
    modules = [module for name, module in list(sys.modules.items()) if not name.startswith(UNTOUCHED)]
    return [
        (module, name)
        for module in modules
        for name, value in list(getattr(module, "__dict__", {}).items())
        if value is _real_sleep
    ]


_real_sleep = time.sleep
_real_monotonic = time.monotonic


class _Travel:
    """Who waits until when, and the one who moves time."""

    def __init__(self, openrelay: OpenRelay, limit_days: float) -> None:
        self._openrelay = openrelay
        self._simulator = openrelay.simulator
        self._start_ms = self._simulator.now_ms
        self._limit_ms = self._start_ms + round(limit_days * DAY_MS)
        self._loop_start_s = _real_monotonic()
        self._until: dict[int, tuple[int, int]] = {}
        """Thread to the moment it waits for, and a number that orders those of one moment."""
        self._serial = 0
        self._mover: Thread | None = None
        self._seen: dict[int, tuple[int, int, int]] = {}
        """Thread to where it was seen, and how often in a row."""
        self._held: dict[int, int] = {}
        """Loop to the rounds for which its timers have been held back."""
        self.sleep = self._sleep()
        self.condition_wait = self._condition_wait(Condition.wait)
        self.thread_join = self._thread_join(Thread.join)
        self.loop_run_once = self._loop_run_once(getattr(base_events.BaseEventLoop, "_run_once"))  # noqa: B009

    # -- what stands in for what ---------------------------------------------------------------------------

    def _sleep(self) -> Callable[[float], None]:
        def sleep(seconds: float) -> None:
            if seconds < 0:
                raise ValueError("sleep length must be non-negative")
            self._wait(seconds, _nothing)

        return sleep

    def _condition_wait(self, real: Any) -> Any:
        def wait(condition: Any, timeout: float | None = None) -> bool:
            if timeout is None or timeout <= 0 or _is_ours(sys._getframe(1)):
                return bool(real(condition, timeout))
            waiter = threading.Lock()
            waiter.acquire()
            condition._waiters.append(waiter)
            state = condition._release_save()
            told = False
            try:
                told = self._wait(timeout, lambda pause_s: waiter.acquire(timeout=pause_s))
            finally:
                condition._acquire_restore(state)
                if not told and waiter in condition._waiters:
                    condition._waiters.remove(waiter)
            return told

        return wait

    def _thread_join(self, real: Any) -> Any:
        def join(thread: Thread, timeout: float | None = None) -> None:
            if timeout is None or timeout <= 0 or _is_ours(sys._getframe(1)):
                real(thread, timeout)
                return

            def ended(pause_s: float) -> bool:
                real(thread, pause_s)
                return not thread.is_alive()

            self._wait(timeout, ended)

        return join

    def loop_time(self) -> float:
        """What a loop takes for the time: that of the cloud, going on from what it was."""
        return self._loop_start_s + (self._simulator.now_ms - self._start_ms) / 1000

    def _loop_run_once(self, real: Any) -> Any:
        def run_once(loop: Any) -> None:
            if not loop._ready and not loop._stopping and not _is_ours(sys._getframe(1)):
                self._rest(loop)
            held = self._held.get(id(loop), 0) + 1 if loop._ready else 0
            self._held[id(loop)] = held
            if 0 < held < MOST_HELD:
                _without_timers(loop, real)
            else:
                real(loop)

        return run_once

    def _rest(self, loop: Any) -> None:
        """Let time go to the next thing that a loop has scheduled, unless something comes before."""

        def something_came(pause_s: float) -> bool:
            if loop._ready:
                return True
            events = loop._selector.select(pause_s)
            loop._process_events(events)
            return bool(events) or bool(loop._ready)

        due = min((handle._when for handle in loop._scheduled if not handle._cancelled), default=None)
        if due is not None and due > self.loop_time():
            sockets = len(loop._selector.get_map()) > 1
            if not something_came(ANSWER_S if sockets else 0):
                self._wait(due - self.loop_time(), something_came, beside=True)

    # -- waiting -------------------------------------------------------------------------------------------

    def _wait(self, seconds: float, came: Callable[[float], bool], *, beside: bool = False) -> bool:
        """Wait for a span of virtual time; True when what is waited for came before. `beside`: time is moved
        in another thread, so that what lives in this one can answer meanwhile."""
        me = threading.get_ident()
        due_ms = self._simulator.now_ms + max(1, round(seconds * 1000))
        self._serial += 1
        self._until[me] = (due_ms, self._serial)
        try:
            if came(0):
                return True
            while self._simulator.now_ms < due_ms:
                self._check()
                mine = self._mover is None and self._is_first(me) and self._others_rest(me)
                if came(
                    0 if mine else BLINK_S
                ):  # after the look at the others: they may have been just before
                    return True
                if mine:
                    self._move_to(due_ms, beside=beside)
            return came(0)
        finally:
            del self._until[me]

    def _check(self) -> None:
        """Raises TimeTravelError where time will not get on."""
        if self._openrelay.closed:
            raise TimeTravelError("the cloud of this time travel is closed")
        if self._simulator.now_ms >= self._limit_ms:
            since = iso(self._start_ms)
            raise TimeTravelError(
                f"the limit of this time travel: it began at {since}, it is {iso(self._limit_ms)}"
            )

    def _is_first(self, me: int) -> bool:
        return min(self._until.items(), key=lambda item: item[1])[0] == me

    def _move_to(self, due_ms: int, *, beside: bool) -> None:
        def move() -> None:
            try:
                self._simulator.advance_to(min(due_ms, self._limit_ms))
            except Refusal:  # somebody else moves time just now
                _real_sleep(BLINK_S)
            finally:
                self._mover = None

        self._mover = mover = Thread(target=move, name="openrelay-mover", daemon=True)
        if beside:
            mover.start()
        else:
            move()

    def _others_rest(self, me: int) -> bool:
        """Whether nobody else does anything that time would have to wait for."""
        if self._openrelay.server.busy:
            return False
        frames = sys._current_frames()
        return all(
            ident == me or ident in self._until or self._at_rest(ident, frame)
            for ident, frame in frames.items()
        )

    def _at_rest(self, ident: int, frame: FrameType) -> bool:
        if _outermost(frame).startswith(OURS):
            return True
        before = self._seen.get(ident, (0, -1, 0))
        looks = before[2] + 1 if before[:2] == (id(frame), frame.f_lasti) else 0
        self._seen[ident] = (id(frame), frame.f_lasti, looks)
        return looks > (STILL_LOOKS if _waits(frame) else STUCK_LOOKS)


def _without_timers(loop: Any, run_once: Callable[[Any], None]) -> None:
    """A round of a loop in which nothing scheduled fires: an answer that is there comes before the timeout
    that the time it took has made due."""
    timers, loop._scheduled = loop._scheduled, []
    try:
        run_once(loop)
    finally:
        for timer in timers:
            heappush(loop._scheduled, timer)


def _nothing(pause_s: float) -> bool:
    """What a sleep waits for."""
    if pause_s:
        _real_sleep(pause_s)
    return False


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _waits(frame: FrameType) -> bool:
    """Whether a thread waits for others in one of the usual places."""
    inner: FrameType | None = frame
    while inner is not None and _module(inner) in ("selectors", "queue"):
        inner = inner.f_back
    return inner is not None and (_module(inner), inner.f_code.co_name) in RESTING


def _outermost(frame: FrameType) -> str:
    """The module in which a thread began, past those of threading itself."""
    frames = [frame]
    while frames[-1].f_back is not None:
        frames.append(frames[-1].f_back)
    names = [_module(each) for each in reversed(frames)]
    return next((name for name in names if name != "threading"), "")


def _is_ours(frame: FrameType | None) -> bool:
    """Whether a wait is that of our own server, or of the runner of tests."""
    while frame is not None and _module(frame) in ("threading", "queue", "concurrent.futures._base"):
        frame = frame.f_back
    return frame is not None and _module(frame).startswith(OURS)
