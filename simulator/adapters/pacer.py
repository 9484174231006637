"""Real time for the worlds in `live` mode: one thread that sleeps until something is due in one of them.

It keeps no time of its own. When something is due follows from the anchor of a world's clock each time anew:
nothing drifts, and a world that is switched, reset or deleted needs no word to the pacer.
"""

from __future__ import annotations

import logging
import math
import time
from threading import Condition, Thread

from simulator.engine import Simulator
from simulator.worlds import Worlds

LONGEST_SLEEP_S = 3600.0

_log = logging.getLogger("simulator")


class Pacer:
    """Fires what live time makes due. The deliveries of a world are made by a thread of their own, so a slow
    receiver holds up neither time nor another world."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds
        self._news = Condition()
        self._woken = False
        self._stopping = False
        self._wakes_at_s = math.inf
        """When it wakes by itself; while it looks around, whatever comes wakes it."""
        self._thread = Thread(target=self._run, name="pacer", daemon=True)

    def start(self) -> None:
        self._worlds.listeners.append(self.look)
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the thread; deliveries under way are left to their end."""
        self._worlds.listeners.remove(self.look)
        self._stopping = True
        self._wake()
        self._thread.join(timeout_s)

    def look(self, simulator: Simulator) -> None:
        """Something may have changed in a live world: wake up if that is due before the next waking."""
        if time.monotonic() + _due_in_s(simulator) < self._wakes_at_s:
            self._wake()

    def _wake(self) -> None:
        with self._news:
            self._woken = True
            self._news.notify()

    def _run(self) -> None:
        while not self._stopping:
            self._wakes_at_s = math.inf
            for simulator in self._worlds:
                if _due_in_s(simulator) == 0:
                    self._keep_pace(simulator)
            self._sleep(min(map(_due_in_s, self._worlds), default=LONGEST_SLEEP_S))

    def _sleep(self, seconds: float) -> None:
        with self._news:
            if not self._woken:
                self._wakes_at_s = time.monotonic() + seconds
                self._news.wait_for(lambda: self._woken, seconds)
            self._woken = False

    def _keep_pace(self, simulator: Simulator) -> None:
        try:
            simulator.keep_pace(lambda make: Thread(target=make, daemon=True).start())
        except Exception:
            _log.exception("a timer of world %r failed; live time goes on", simulator.name)


def _due_in_s(simulator: Simulator) -> float:
    due_in_s = simulator.due_in_s()
    return LONGEST_SLEEP_S if due_in_s is None else min(due_in_s, LONGEST_SLEEP_S)
