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
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from simulator.kernel.instant import DAY_MS, iso
from simulator.kernel.refusal import Refusal
from simulator.testing.resting import Watch, loop_has_work, module, outermost, told

if TYPE_CHECKING:
    from simulator.testing.cloud import OpenRelay

OURS = ("simulator.engine", "simulator.adapters", "waitress")
"""Whose time stays real: the server."""
UNTOUCHED = (*OURS, "simulator", "_pytest")
"""Modules whose names for the time stay what they are."""
BLINK_S = 0.0005
"""Real seconds between two looks at who rests."""
ANSWER_S = 0.003
"""Real seconds that an answer of another process may be on its way to a loop whose sockets are open."""
MOST_HELD = 1000
"""Rounds of a loop with something to do, for which what is scheduled waits for it to come to rest."""


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
_real_wait = Condition.wait
_real_join = Thread.join


class _Awaited(Protocol):
    """What a wait may end with before its time."""

    def there(self) -> bool:
        """Whether it is there; asked by any thread."""

    def come(self, pause_s: float) -> bool:
        """Take it, if it comes within so many real seconds; asked by the thread that waits."""


class _Nothing:
    """What a sleep waits for."""

    def there(self) -> bool:
        return False

    def come(self, pause_s: float) -> bool:
        if pause_s:
            _real_sleep(pause_s)
        return False


class _Notice:
    """That a condition is notified."""

    def __init__(self, condition: Any, waiter: Any) -> None:
        self._condition, self._waiter = condition, waiter

    def there(self) -> bool:
        return told(self._condition, self._waiter)

    def come(self, pause_s: float) -> bool:
        return bool(self._waiter.acquire(timeout=pause_s))


class _End:
    """That a thread ends."""

    def __init__(self, thread: Thread) -> None:
        self._thread = thread

    def there(self) -> bool:
        return not self._thread.is_alive()

    def come(self, pause_s: float) -> bool:
        _real_join(self._thread, pause_s)
        return self.there()


class _Event:
    """That a loop has something to do."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def there(self) -> bool:
        return loop_has_work(self._loop)

    def come(self, pause_s: float) -> bool:
        if self._loop._ready:
            return True
        events = self._loop._selector.select(pause_s)
        self._loop._process_events(events)
        return bool(events) or bool(self._loop._ready)


class _Wait(NamedTuple):
    """Until when a thread waits; `number` orders those of one moment."""

    due_ms: int
    number: int
    awaited: _Awaited


class _Travel:
    """Who waits until when, and the one who moves time."""

    def __init__(self, openrelay: OpenRelay, limit_days: float) -> None:
        self._openrelay = openrelay
        self._simulator = openrelay.simulator
        self._start_ms = self._simulator.now_ms
        self._limit_ms = self._start_ms + round(limit_days * DAY_MS)
        self._loop_start_s = _real_monotonic()
        self._waits: dict[int, _Wait] = {}
        """By thread."""
        self._waited = 0
        self._mover: Thread | None = None
        self._watch = Watch()
        self._held: dict[int, int] = {}
        """Loop to the rounds for which its timers have been held back."""
        self.condition_wait = self._condition_wait()
        self.thread_join = self._thread_join()
        self.loop_run_once = self._loop_run_once(getattr(base_events.BaseEventLoop, "_run_once"))  # noqa: B009

    # -- what stands in for what ---------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self._wait(seconds, _Nothing())

    def _condition_wait(self) -> Any:
        def wait(condition: Any, timeout: float | None = None) -> bool:
            if timeout is None or timeout <= 0 or _is_ours(sys._getframe(1)):
                return _real_wait(condition, timeout)
            waiter = threading.Lock()
            waiter.acquire()
            condition._waiters.append(waiter)
            state = condition._release_save()
            came = False
            try:
                came = self._wait(timeout, _Notice(condition, waiter))
            finally:
                condition._acquire_restore(state)
                if not came and waiter in condition._waiters:
                    condition._waiters.remove(waiter)
            return came

        return wait

    def _thread_join(self) -> Any:
        def join(thread: Thread, timeout: float | None = None) -> None:
            if timeout is None or timeout <= 0 or _is_ours(sys._getframe(1)):
                _real_join(thread, timeout)
            else:
                self._wait(timeout, _End(thread))

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
        due = min((handle._when for handle in loop._scheduled if not handle._cancelled), default=None)
        if due is None:
            return
        event = _Event(loop)
        if due > self.loop_time():
            sockets = len(loop._selector.get_map()) > 1
            if not event.come(ANSWER_S if sockets else 0):
                self._wait(due - self.loop_time(), event, beside=True)
        else:
            self._let_answer(event)

    def _let_answer(self, event: _Event) -> None:
        """An answer that is being made comes before the timeout that the time it took has made due."""
        for _ in range(MOST_HELD):
            busy = self._openrelay.server.busy
            if event.come(BLINK_S if busy else 0) or not busy:
                return

    # -- waiting -------------------------------------------------------------------------------------------

    def _wait(self, seconds: float, awaited: _Awaited, *, beside: bool = False) -> bool:
        """Wait for a span of virtual time; True when what is waited for came before. `beside`: time is moved
        in another thread, so that what lives in this one can answer meanwhile."""
        me = threading.get_ident()
        due_ms = self._simulator.now_ms + max(1, round(seconds * 1000))
        self._waited += 1
        self._waits[me] = _Wait(due_ms, self._waited, awaited)
        try:
            if awaited.come(0):
                return True
            while self._simulator.now_ms < due_ms:
                self._check()
                may_move = self._mover is None and self._is_first(me) and self._all_rest(me)
                if awaited.come(0 if may_move else BLINK_S):  # after the look: the others may have done it
                    return True
                if may_move:
                    self._move_to(due_ms, beside=beside)
            return awaited.come(0)
        finally:
            del self._waits[me]

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
        return min(list(self._waits.items()), key=lambda item: item[1][:2])[0] == me

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

    def _all_rest(self, me: int) -> bool:
        """Whether nobody does anything that time would have to wait for. The threads are looked at before the
        server and after it, since one asks and the other answers, and none has waited anew meanwhile."""
        waited = self._waited
        return (
            self._others_rest(me)
            and not self._openrelay.server.busy
            and self._others_rest(me)
            and waited == self._waited
        )

    def _others_rest(self, me: int) -> bool:
        frames = sys._current_frames().items()
        looks = {ident: self._rests(ident, frame) for ident, frame in frames if ident != me}
        return all(looks.values())

    def _rests(self, ident: int, frame: FrameType) -> bool:
        wait = self._waits.get(ident)
        if wait is not None:
            return not wait.awaited.there()
        return outermost(frame).startswith(OURS) or self._watch.at_rest(ident, frame)


def _without_timers(loop: Any, run_once: Callable[[Any], None]) -> None:
    """A round of a loop in which nothing scheduled fires: an answer that is there comes before the timeout
    that the time it took has made due."""
    timers, loop._scheduled = loop._scheduled, []
    try:
        run_once(loop)
    finally:
        for timer in timers:
            heappush(loop._scheduled, timer)


def _is_ours(frame: FrameType | None) -> bool:
    """Whether a wait is that of our own server, or of the runner of tests."""
    while frame is not None and module(frame) in ("threading", "queue", "concurrent.futures._base"):
        frame = frame.f_back
    return frame is not None and module(frame).startswith(OURS)
