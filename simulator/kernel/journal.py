"""What happened, in order, each entry with the entry that caused it.

A ring: the oldest entries go when it is full, and are counted, so memory stays bounded in a server that runs
for weeks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

KINDS = ("request", "timer", "action", "transition", "event", "delivery", "charge", "bug")


class Entry(msgspec.Struct, frozen=True):
    """One thing that happened. `cause` is the serial of another entry, None for the world's beginning."""

    serial: int
    at_ms: int
    kind: str
    cause: int | None
    facts: dict[str, Any]


class Journal:
    """The newest `limit` entries and the count of those that have gone."""

    def __init__(self, limit: int = 10_000) -> None:
        self._ring: deque[Entry] = deque(maxlen=limit)
        self._serial = 0
        self._shared = False

    @property
    def serial(self) -> int:
        """The serial of the newest entry, 0 when there was none."""
        return self._serial

    @property
    def dropped(self) -> int:
        return self._serial - len(self._ring)

    def add(self, at_ms: int, kind: str, cause: int | None, facts: dict[str, Any]) -> int:
        """Write an entry; answers its serial, which later entries name as their cause."""
        assert kind in KINDS, kind
        if self._shared:
            self._ring, self._shared = self._ring.copy(), False
        self._serial += 1
        self._ring.append(Entry(self._serial, at_ms, kind, cause, facts))
        return self._serial

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._ring)

    def __reversed__(self) -> Iterator[Entry]:
        return reversed(self._ring)

    def __len__(self) -> int:
        return len(self._ring)

    def fork(self) -> Journal:
        twin = object.__new__(Journal)
        self._shared = True
        twin.__dict__.update(self.__dict__)
        return twin
