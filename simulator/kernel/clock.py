"""Virtual time: an integer of milliseconds and a queue of timers.

A timer is data, never a closure: due time, serial, name, arguments and the journal serial that caused it.
So a fork keeps its own future and a saved state can be read by another process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from heapq import heappop, heappush
from typing import Any

import msgspec

from simulator.kernel.instant import iso


class Grade(IntEnum):
    """How far a pending timer keeps the world from rest."""

    work = 0
    """Something is under way: the world is not idle."""
    watch = 1
    """A deadline or a look at the balance: it may yet change a resource."""
    calendar = 2
    """Comes round for ever: the end of a month."""


class Timer(msgspec.Struct, frozen=True, order=True, gc=False, forbid_unknown_fields=True):
    """What will happen at `due_ms`; timers of one moment fire in the order in which they were set.

    The first argument is the id of its owner, the row it is about; a timer without arguments has none.
    """

    due_ms: int
    serial: int
    name: str
    args: tuple[Any, ...]
    cause: int | None
    grade: Grade


class Clock:
    """Now, and what is to come. Time moves only through `move_to`."""

    def __init__(self, now_ms: int) -> None:
        self.start_ms = now_ms
        self.now_ms = now_ms
        self._heap: list[Timer] = []
        self._cancelled: set[int] = set()
        self._of: dict[Any, tuple[Timer, ...]] = {}
        """The pending timers of each owner."""
        self._counts = [0] * len(Grade)
        """Pending timers by grade. Work is not counted: it is what is left."""
        self._serial = 0
        self._shared = False

    @classmethod
    def restored(cls, start_ms: int, now_ms: int, serial: int, timers: Iterable[Timer]) -> Clock:
        """A clock as it was: its first moment, its present one, the last timer set, and those pending."""
        clock = cls(start_ms)
        clock.now_ms = now_ms
        for timer in sorted(timers, key=lambda timer: timer.serial):
            clock._serial = timer.serial - 1
            clock.at(timer.due_ms, timer.name, timer.args, cause=timer.cause, grade=timer.grade)
        clock._serial = serial
        return clock

    @property
    def serial(self) -> int:
        """The serial of the timer that was set last, 0 when there was none."""
        return self._serial

    def after(self, delay_ms: int, name: str, *args: Any, cause: int | None = None) -> None:
        """Set a timer `delay_ms` from now."""
        self.at(self.now_ms + delay_ms, name, args, cause=cause)

    def at(
        self,
        due_ms: int,
        name: str,
        args: tuple[Any, ...],
        *,
        cause: int | None = None,
        grade: Grade = Grade.work,
    ) -> None:
        """Set a timer at a moment, which is not in the past."""
        assert due_ms >= self.now_ms, f"timer {name} due {iso(due_ms)}, before now {iso(self.now_ms)}"
        if self._shared:
            self._own()
        self._serial += 1
        if grade:
            self._counts[grade] += 1
        timer = Timer(due_ms, self._serial, name, args, cause, grade)
        heappush(self._heap, timer)
        if args:
            owner, of = args[0], self._of
            of[owner] = (*of[owner], timer) if owner in of else (timer,)

    def cancel_of(self, owner: str, name: str = "") -> None:
        """Take back the pending timers of an owner, of one name or all: what it waits for will not come."""
        gone = [timer for timer in self._of.get(owner, ()) if name in ("", timer.name)]
        if not gone:
            return
        self._own()
        left = tuple(timer for timer in self._of.pop(owner) if timer not in gone)
        if left:
            self._of[owner] = left
        for timer in gone:
            self._cancelled.add(timer.serial)
            if timer.grade:
                self._counts[timer.grade] -= 1

    def pending_of(self, owner: str) -> tuple[Timer, ...]:
        """The pending timers of an owner, in the order in which they were set."""
        return self._of.get(owner, ())

    def next_due_ms(self) -> int | None:
        """When the next timer is due; None when nothing is pending."""
        self._drop_cancelled()
        return self._heap[0].due_ms if self._heap else None

    def next_work_ms(self) -> int | None:
        """When the next piece of work is due; None when there is none."""
        return min((timer.due_ms for timer in self.pending() if timer.grade is Grade.work), default=None)

    def rests(self, grade: Grade = Grade.work) -> bool:
        """Whether nothing of this grade, or of a more urgent one, is pending."""
        return len(self) == sum(self._counts[grade + 1 :])

    def pop_due(self, until_ms: int) -> Timer | None:
        """The next timer due at or before `until_ms`, with the clock moved to its moment."""
        if self._cancelled:
            self._drop_cancelled()
        if not self._heap or self._heap[0].due_ms > until_ms:
            return None
        if self._shared:
            self._own()
        timer = heappop(self._heap)
        if timer.grade:
            self._counts[timer.grade] -= 1
        if timer.args:
            owner, of = timer.args[0], self._of
            siblings = of.pop(owner)
            if len(siblings) > 1:
                of[owner] = tuple(other for other in siblings if other is not timer)
        if timer.due_ms > self.now_ms:
            self.now_ms = timer.due_ms
        return timer

    def move_to(self, now_ms: int) -> None:
        """Let time pass; every timer before `now_ms` has been popped."""
        assert now_ms >= self.now_ms, f"the clock cannot go back from {iso(self.now_ms)} to {iso(now_ms)}"
        self.now_ms = now_ms

    def pending(self) -> Iterator[Timer]:
        """Every timer still to fire, in no particular order."""
        return (timer for timer in self._heap if timer.serial not in self._cancelled)

    def __len__(self) -> int:
        return len(self._heap) - len(self._cancelled)

    def fork(self) -> Clock:
        """The same now and the same future; whoever changes it first takes a copy."""
        twin = object.__new__(Clock)
        self._shared = True
        twin.__dict__.update(self.__dict__)
        twin._counts = self._counts.copy()
        return twin

    def _own(self) -> None:
        if self._shared:
            self._heap, self._cancelled = self._heap.copy(), self._cancelled.copy()
            self._of, self._shared = self._of.copy(), False

    def _drop_cancelled(self) -> None:
        while self._cancelled and self._heap and self._heap[0].serial in self._cancelled:
            self._own()
            self._cancelled.discard(heappop(self._heap).serial)
