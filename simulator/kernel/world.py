"""A world: one cloud's whole state, as tables of frozen rows.

A row is never changed, only replaced: `world.put(row)`. Tables and index buckets carry the token of the world
that may write to them; a fork hands both worlds new tokens, so forking costs the table heads, and whoever
writes first to a table takes a copy of it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import msgspec

from simulator.kernel.clock import Clock
from simulator.kernel.journal import Journal
from simulator.kernel.settings import Settings
from simulator.kernel.streams import Streams

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.IGNORECASE | re.ASCII)
"""What a world, or a moment of one, may be called."""
MOST_PAST = 1000
"""Earlier moments that are kept at the most."""


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False, eq=False, forbid_unknown_fields=True):
    """Something the cloud keeps. `indexes` says by what it is found; lists read it oldest first.

    Rows hold plain values and never each other, so there are no cycles for the garbage collector to look for.
    A row never changes, another takes its place: it is equal to itself alone, and a view of it can be kept.
    """

    indexes: ClassVar[dict[str, Index]] = {}
    states: ClassVar[tuple[str, ...]] = ()
    """The values of its `status`, where it has a lifecycle."""
    id_within_organization: ClassVar[bool] = False
    """The id is `organization/name`, and a path names only the part behind."""
    secret: ClassVar[tuple[str, ...]] = ()
    """Fields that a saved state leaves out unless it is asked for secrets."""

    id: str
    created_at_ms: int = 0


R = TypeVar("R", bound=Row)


def by_age(row: Row) -> tuple[int, str]:
    """Oldest first."""
    return row.created_at_ms, row.id


class Index(NamedTuple):
    """Rows of one key together, in order. A row whose key is None is left out."""

    key: Callable[[Any], Hashable | None]
    order: Callable[[Any], tuple[Any, ...]] = by_age
    """Ends with the id, so that no two rows are equal."""


class _Bucket(list[tuple[Any, ...]]):
    __slots__ = ("owner",)
    owner: object


class _Table:
    __slots__ = ("buckets", "indexes", "owner", "rows")

    def __init__(self, owner: object, kind: type[Row], former: _Table | None = None) -> None:
        self.owner = owner
        self.indexes = kind.indexes
        self.rows: dict[str, Any] = former.rows.copy() if former else {}
        self.buckets: dict[tuple[str, Hashable], _Bucket] = former.buckets.copy() if former else {}

    def reindex(self, old: Row | None, new: Row | None) -> None:
        """Take the old row out of the indexes and let the new one in. Most changes move it in none."""
        out_by_age: tuple[Any, ...] = () if old is None else by_age(old)
        in_by_age: tuple[Any, ...] = () if new is None else by_age(new)
        for name, (key, order) in self.indexes.items():
            before = None if old is None else key(old)
            after = None if new is None else key(new)
            if order is by_age:
                out, into = out_by_age, in_by_age
            else:
                out = () if before is None else order(old)
                into = () if after is None else order(new)
            if before == after and (before is None or out == into):
                continue
            if before is not None:
                self._remove(name, before, out)
            if after is not None:
                self._add(name, after, into)

    def _add(self, index: str, key: Hashable, entry: tuple[Any, ...]) -> None:
        bucket = self._own(index, key)
        if bucket and entry < bucket[-1]:
            insort(bucket, entry)
        else:
            bucket.append(entry)

    def _remove(self, index: str, key: Hashable, entry: tuple[Any, ...]) -> None:
        if len(self.buckets[index, key]) == 1:
            del self.buckets[index, key]
            return
        bucket = self._own(index, key)
        del bucket[bisect_left(bucket, entry)]

    def _own(self, index: str, key: Hashable) -> _Bucket:
        """A bucket that the owner of the table may change."""
        found = self.buckets.get((index, key))
        if found is None or found.owner is not self.owner:
            found = _Bucket(found or ())
            found.owner = self.owner
            self.buckets[index, key] = found
        return found


class World:
    """Rows, clock, chance, journal, settings. `version` counts the changes."""

    def __init__(self, name: str, seed: int, start_ms: int, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.clock = Clock(start_ms)
        self.streams = Streams(seed)
        self.journal = Journal()
        self.outbox: deque[str] = deque()
        """Deliveries due now, oldest first: the engine takes them and the courier makes them."""
        self.cause: int | None = None
        """The journal serial of what is going on: a request, a timer, an action."""
        self.version = 0
        self.past: deque[World] = deque(maxlen=MOST_PAST)
        """Earlier moments, oldest first, while something asks for them; see `remember`."""
        self._token = object()
        self._tables: dict[type[Row], _Table] = {}

    # -- reading -------------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        return self.clock.now_ms

    def find(self, kind: type[R], row_id: str) -> R | None:
        """The row of this id, or None."""
        table = self._tables.get(kind)
        return table.rows.get(row_id) if table else None

    def get(self, kind: type[R], row_id: str) -> R:
        """The row of this id, which exists."""
        row: R = self._tables[kind].rows[row_id]
        return row

    def find_named(self, kind_name: str, row_id: str) -> Row | None:
        """The same, by the name of the row class: what an event keeps of its resource."""
        kind = next((kind for kind in self._tables if kind.__name__ == kind_name), None)
        return self.find(kind, row_id) if kind else None

    def status_of(self, row_id: str) -> str | None:
        """The status of the resource of this id, of whatever class; None when there is none."""
        return getattr(self._with_states(row_id), "status", None)

    def states_of(self, row_id: str) -> tuple[str, ...] | None:
        """The statuses that the resource of this id can have; None when there is none."""
        row = self._with_states(row_id)
        return row.states if row else None

    def kind_of(self, row_id: str) -> str:
        """The name of the class of the resource of this id; "" when there is none with states."""
        row = self._with_states(row_id)
        return type(row).__name__ if row else ""

    def _with_states(self, row_id: str) -> Row | None:
        tables = (table for kind, table in self._tables.items() if kind.states)
        return next((table.rows[row_id] for table in tables if row_id in table.rows), None)

    def rows(self, kind: type[R]) -> Iterator[R]:
        """Every row, in the order in which they were first put."""
        table = self._tables.get(kind)
        return iter(list(table.rows.values())) if table else iter(())

    def kinds(self) -> list[type[Row]]:
        """The classes of which there are rows."""
        return [kind for kind, table in self._tables.items() if table.rows]

    def bucket(self, kind: type[Row], index: str, key: Hashable) -> Sequence[tuple[Any, ...]]:
        """The order tuples of one key, ascending; each ends with the id of its row."""
        table = self._tables.get(kind)
        return table.buckets.get((index, key), ()) if table else ()

    def select(self, kind: type[R], index: str, key: Hashable) -> list[R]:
        """The rows of one key, in the order of the index."""
        bucket = self.bucket(kind, index, key)
        if not bucket:
            return []
        rows = self._tables[kind].rows
        return [rows[entry[-1]] for entry in bucket]

    def first(self, kind: type[R], index: str, key: Hashable) -> R | None:
        """The first row of one key, or None."""
        table = self._tables.get(kind)
        bucket = table.buckets.get((index, key)) if table else None
        return table.rows[bucket[0][-1]] if table and bucket else None

    def keys(self, kind: type[Row], index: str) -> list[Any]:
        """Every key of an index that has a row."""
        table = self._tables.get(kind)
        return [key for name, key in table.buckets if name == index] if table else []

    # -- changing ------------------------------------------------------------------------------------------

    def put(self, row: R) -> R:
        """Add a row, or replace the one of the same id."""
        table = self._own(type(row))
        old = table.rows.get(row.id)
        table.rows[row.id] = row
        table.reindex(old, row)
        self.version += 1
        return row

    def change(self, row: R, **fields: Any) -> R:
        """Put a copy of the row with other values in some fields."""
        return self.put(msgspec.structs.replace(row, **fields))

    def tally(self, row: R, **fields: Any) -> R:
        """Change a row that only counts: to the cloud nothing has changed, a refused call may do it."""
        row = self.change(row, **fields)
        self.version -= 1
        return row

    def delete(self, row: Row) -> None:
        table = self._own(type(row))
        del table.rows[row.id]
        table.reindex(row, None)
        self.version += 1

    def _own(self, kind: type[Row]) -> _Table:
        """The table of a class, as this world may change it."""
        table = self._tables.get(kind)
        if table is None or table.owner is not self._token:
            table = self._tables[kind] = _Table(self._token, kind, table)
        return table

    # -- time and record -----------------------------------------------------------------------------------

    def after(self, delay_ms: int, name: str, *args: Any) -> None:
        """Set a timer that names what is going on now as its cause."""
        self.clock.after(delay_ms, name, *args, cause=self.cause)

    def note(self, kind: str, **facts: Any) -> int:
        """Write to the journal, caused by what is going on now."""
        return self.journal.add(self.clock.now_ms, kind, self.cause, facts)

    def remember(self, span_ms: int) -> None:
        """Keep the state of now, so that it can be looked at for so long. Nothing is kept twice, and nothing
        that has become too old."""
        if not self.past or self.past[-1].version != self.version:
            self.past.append(self.fork())
        while len(self.past) > 1 and self.past[1].now_ms <= self.now_ms - span_ms:
            self.past.popleft()

    def as_of(self, moment_ms: int) -> World:
        """The newest state kept that is no newer than a moment, else the oldest kept; for looking at."""
        kept = [then for then in self.past if then.now_ms <= moment_ms]
        then = (kept[-1] if kept else self.past[0] if self.past else self).fork()
        then.streams = self.streams
        return then

    def fork(self, name: str | None = None) -> World:
        """The same state from here on, apart from now on."""
        twin = object.__new__(World)
        twin.__dict__.update(self.__dict__)
        twin.name = name or self.name
        twin.outbox = self.outbox.copy()
        twin.past = deque(maxlen=MOST_PAST)
        twin.clock, twin.streams, twin.journal = self.clock.fork(), self.streams.fork(), self.journal.fork()
        twin._tables = dict(self._tables)
        self._token, twin._token = object(), object()
        return twin
