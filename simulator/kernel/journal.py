"""What happened, in order, each entry with the entry that caused it.

A ring: the oldest entries go when it is full, and are counted, so memory stays bounded in a server that runs
for weeks.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

import msgspec

KINDS = ("request", "timer", "action", "transition", "event", "delivery", "charge", "fault", "refusal", "bug")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
        self._answered: Counter[tuple[str, int]] = Counter()
        self._shared = False

    @classmethod
    def restored(
        cls, limit: int, serial: int, entries: Iterable[Entry], answered: Mapping[tuple[str, int], int]
    ) -> Journal:
        """A journal as it was: how many entries it keeps, how many there ever were, the newest, and the count
        of answers."""
        journal = cls(limit)
        journal._ring.extend(entries)
        journal._serial = serial
        journal._answered.update(answered)
        return journal

    @property
    def limit(self) -> int:
        """How many entries are kept."""
        assert self._ring.maxlen is not None
        return self._ring.maxlen

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
        self._own()
        self._serial += 1
        self._ring.append(Entry(self._serial, at_ms, kind, cause, facts))
        return self._serial

    def count(self, operation: str, status: int) -> None:
        """Count a request by its answer: exact, however many entries are dropped."""
        self._own()
        self._answered[operation, status] += 1

    @property
    def answered(self) -> Mapping[tuple[str, int], int]:
        """How many requests were answered, by operation ("" for none of the API) and status."""
        return self._answered

    def _own(self) -> None:
        if self._shared:
            self._ring, self._answered, self._shared = self._ring.copy(), self._answered.copy(), False

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._ring)

    def __reversed__(self) -> Iterator[Entry]:
        return reversed(self._ring)

    def after(self, serial: int) -> list[Entry]:
        """The entries newer than a serial, oldest first: as much work as there are."""
        return list(takewhile(lambda entry: entry.serial > serial, reversed(self._ring)))[::-1]

    def __len__(self) -> int:
        return len(self._ring)

    def fork(self) -> Journal:
        twin = object.__new__(Journal)
        self._shared = True
        twin.__dict__.update(self.__dict__)
        return twin
