"""Whether a thread rests: it waits for others, and what it waits for is not there.

Read from its frames, and from what it waits with: a thread that was woken has something to do, also where it
had no turn yet, on a machine with much to do.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from types import FrameType
from typing import Any

STILL_LOOKS = 4
"""So many looks in a row has a thread to stand still where it waits for others in vain."""
STUCK_LOOKS = 4000
"""The same for a place of which nothing is known."""


class Watch:
    """Looks at the threads, and remembers where it saw each."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, int, int]] = {}
        """Thread to where it was seen, and how often in a row."""

    def at_rest(self, ident: int, frame: FrameType) -> bool:
        """Whether a thread has stood still for long enough, and has nothing to do."""
        before = self._seen.get(ident, (0, -1, 0))
        looks = before[2] + 1 if before[:2] == (id(frame), frame.f_lasti) else 0
        self._seen[ident] = (id(frame), frame.f_lasti, looks)
        in_vain = _waits_in_vain(frame)
        return in_vain is not False and looks >= (STILL_LOOKS if in_vain else STUCK_LOOKS)


def told(condition: Any, waiter: Any) -> bool:
    """Whether somebody has notified a waiter of a condition."""
    return waiter not in condition._waiters


def loop_has_work(loop: Any) -> bool:
    """Whether something is ready in an event loop, or at its sockets."""
    return bool(loop._ready) or something_ready(loop._selector)


def something_ready(selector: selectors.BaseSelector) -> bool:
    """Whether one of the files of a selector is ready, seen from another thread than its own."""
    try:
        with selectors.DefaultSelector() as ready:
            for key in list(selector.get_map().values()):
                ready.register(key.fd, key.events)
            return bool(ready.select(0))
    except (OSError, ValueError, RuntimeError, AttributeError):  # it was changed or closed meanwhile
        return True


# -- where threads wait for others without an end of their own -----------------------------------------------


def _condition(frame: FrameType) -> bool | None:
    waiter, caller = frame.f_locals.get("waiter"), frame.f_back
    while caller is not None and caller.f_code.co_name == "wait":
        caller = caller.f_back
    if waiter is None:
        return None
    if _function(caller) == ("threading", "start"):
        return False
    if told(frame.f_locals["self"], waiter):
        return None if waiter.locked() else False  # locked again: it woke, and wants the condition's own lock
    return True


def _join(frame: FrameType) -> bool:
    return bool(frame.f_locals["self"].is_alive())


def _worker(frame: FrameType) -> bool:
    return bool(frame.f_locals["work_queue"].empty())


def _loop(frame: FrameType) -> bool:
    return not loop_has_work(frame.f_locals["self"])


def _server(frame: FrameType) -> bool:
    selector = frame.f_locals.get("selector")
    return selector is not None and not something_ready(selector)


WAITING: dict[tuple[str, str], Callable[[FrameType], bool | None]] = {
    ("threading", "wait"): _condition,
    ("threading", "join"): _join,
    ("threading", "_wait_for_tstate_lock"): _join,
    ("concurrent.futures.thread", "_worker"): _worker,
    ("socketserver", "serve_forever"): _server,
    ("asyncio.base_events", "_run_once"): _loop,
}
"""Function to whether what is waited for there is not there yet; None where that cannot be told."""


def _waits_in_vain(frame: FrameType) -> bool | None:
    inner: FrameType | None = frame
    while inner is not None and module(inner) == "selectors":
        inner = inner.f_back
    waits = WAITING.get(_function(inner))
    return None if waits is None or inner is None else waits(inner)


def _function(frame: FrameType | None) -> tuple[str, str]:
    return ("", "") if frame is None else (module(frame), frame.f_code.co_name)


def module(frame: FrameType) -> str:
    """The module of a frame's code."""
    return str(frame.f_globals.get("__name__", ""))


def outermost(frame: FrameType) -> str:
    """The module in which a thread began, past those of threading itself."""
    frames = [frame]
    while frames[-1].f_back is not None:
        frames.append(frames[-1].f_back)
    names = [module(each) for each in reversed(frames)]
    return next((name for name in names if name != "threading"), "")
