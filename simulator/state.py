"""A world as one JSON document, and a world from such a document: what decides the future, and nothing else.

Rows by the name of their class in the order in which they were put, the clock with its pending timers, the
counts of the random streams, the journal, the outbox, the settings. Nothing is pickled, and nothing is played
again. Members of the document and fields of rows are sorted; a mapping that a client sent keeps its order,
for answers repeat it. So a world has exactly one document.

What a row class lists as `secret` is left out unless it is asked for. Where such a document is loaded, the
field has its default, or, where it has none, a value of the seed that nobody was told [choice]: a webhook
then signs with an unknown secret until it is given a new one. API keys, sessions and signed addresses live
on in any case: only their digests are kept.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache
from inspect import signature
from typing import Annotated, Any, Literal, NoReturn

import msgspec

from simulator.domain import access
from simulator.domain import inbox as _inbox  # noqa: F401  has rows, and no area
from simulator.kernel.clock import Clock, Timer
from simulator.kernel.form import FormProblem, read
from simulator.kernel.instant import EARLIEST_MS, LAST_NOW_MS, iso
from simulator.kernel.journal import KINDS as ENTRY_KINDS
from simulator.kernel.journal import Entry, Journal
from simulator.kernel.refusal import Refusal, nearest
from simulator.kernel.release import VERSION as SIMULATOR
from simulator.kernel.settings import Settings, UnknownSetting
from simulator.kernel.streams import Streams, digest_number
from simulator.kernel.world import Row, World
from simulator.scenario import document as _story  # noqa: F401  has rows, and no area
from simulator.scenario.timers import TIMERS

VERSION = 1
"""Of the document. It grows when a document of the one before could no longer be read as it stands."""
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""By version: what makes a document of it one of the next version."""
DEEPEST = 100
MOST_ENTRIES = 1_000_000
"""Journal entries that a document may ask a world to keep."""

REFERENCES = {
    "organization_id": "Organization",
    "user_id": "User",
    "location_id": "Location",
    "node_id": "Node",
    "cluster_id": "Cluster",
    "webhook_id": "Webhook",
    "pool_id": "RunnerPool",
}
"""Fields that name a row, where they are not empty, and its class. Such a row is never deleted first."""
_MONTH = re.compile(r"\d{4}-\d{2}")
"""The owner of a timer that is about no row."""
_ANSWER = re.compile(r"([A-Za-z]*) ([1-5][0-9][0-9])")

_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the document: a misspelt member is refused."""


class _Clock(_Part, frozen=True):
    now_ms: int
    serial: _Count
    start_ms: int
    timers: list[Timer]


class _Journal(_Part, frozen=True):
    answered: dict[str, _Count]
    """How many requests, by operation and status."""
    entries: list[Entry]
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_ENTRIES)]
    serial: _Count


class _Document(_Part, frozen=True):
    changes: int
    clock: _Clock
    journal: _Journal
    name: str
    outbox: list[str]
    rows: dict[str, list[dict[str, Any]]]
    secrets: Literal["included", "omitted"]
    seed: int
    settings: dict[str, Any]
    simulator: str
    state: int
    streams: dict[str, _Count]


def _row_classes(base: type[Row] = Row) -> Iterator[type[Row]]:
    for kind in base.__subclasses__():
        if kind.__module__.startswith("simulator."):
            yield kind
        yield from _row_classes(kind)


ROWS: dict[str, type[Row]] = dict(sorted((kind.__name__, kind) for kind in _row_classes()))
"""Every class of rows by its name, which is unique."""


# -- saving ------------------------------------------------------------------------------------------------


def save(world: World, *, secrets: bool = False) -> dict[str, Any]:
    """The document of a world in which nothing is going on."""
    clock, journal = world.clock, world.journal
    return {
        "changes": world.version,
        "clock": {
            "now_ms": clock.now_ms,
            "serial": clock.serial,
            "start_ms": clock.start_ms,
            "timers": [_plain(timer) for timer in sorted(clock.pending())],
        },
        "journal": {
            "answered": {
                f"{name} {status}": count for (name, status), count in sorted(journal.answered.items())
            },
            "entries": [_plain(entry) for entry in journal],
            "limit": journal.limit,
            "serial": journal.serial,
        },
        "name": world.name,
        "outbox": list(world.outbox),
        "rows": {
            kind.__name__: [_fields(row, () if secrets else kind.secret) for row in world.rows(kind)]
            for kind in sorted(world.kinds(), key=lambda kind: kind.__name__)
        },
        "secrets": "included" if secrets else "omitted",
        "seed": world.streams.seed,
        "settings": {key: _plain(value) for key, value in sorted(world.settings.items())},
        "simulator": SIMULATOR,
        "state": VERSION,
        "streams": dict(sorted(world.streams.counts.items())),
    }


def written(document: dict[str, Any]) -> bytes:
    """A document as bytes: the same for the same world, in every process."""
    return msgspec.json.encode(document)


def _fields(struct: msgspec.Struct, without: tuple[str, ...] = ()) -> dict[str, Any]:
    names = _sorted_names(type(struct))
    return {name: _plain(getattr(struct, name)) for name in names if name not in without}


@cache
def _sorted_names(kind: type[msgspec.Struct]) -> list[str]:
    return sorted(kind.__struct_fields__)


_SCALARS = {str, int, float, bool, type(None)}
"""Nearly all values are of these, and JSON has them too."""


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, msgspec.Struct):
        return _fields(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return b64encode(value).decode() if isinstance(value, bytes) else value


# -- loading -----------------------------------------------------------------------------------------------


def load(raw: bytes, name: str) -> World:
    """The world of a document, under a name: a fixture's keys get the secrets of that name.

    Raises Refusal with the place of what is wrong, and what would be right.
    """
    document = _read(_of_this_version(_decoded(raw)), _Document)
    world = World(document.name, document.seed, document.clock.start_ms, _settings(document))
    for kind_name, rows in document.rows.items():
        _put_rows(world, kind_name, rows, document)
    world.streams = Streams(document.seed, document.streams)
    world.outbox = deque(document.outbox)
    _check_references(world)
    world.clock = _clock(document.clock, world)
    world.journal = _journal(document.journal, world.now_ms)
    if name != world.name:
        world.name = name
        access.rekey(world, document.name)
    world.version = document.changes
    return world


def _refuse(place: str, text: str) -> NoReturn:
    """`place` within the document: rows.Vm[3].status; "" for the whole."""
    raise Refusal("bad_request", f"state{place and '.'}{place}: {text}")


def _read(value: Any, form: Any, place: str = "") -> Any:
    try:
        return read(value, form)
    except FormProblem as problem:
        inside, colon, text = str(problem).partition(": ")
        if not colon or " " in inside:
            inside, text = "", str(problem)
        dot = "." if place and inside and inside[0] != "[" else ""
        _refuse(f"{place}{dot}{inside}", text)


def _decoded(raw: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(raw)
    except RecursionError:
        _refuse("", f"nested deeper than {DEEPEST}")
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        text = str(problem).removeprefix("JSON is malformed: ")
        _refuse("", f"malformed JSON of {len(raw)} bytes: {text}")
    if _is_deep(raw):
        _refuse("", f"nested deeper than {DEEPEST}")
    if not isinstance(value, dict):
        _refuse("", f"an object is wanted, found {type(value).__name__}")
    return value


_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(code for code in range(256) if code not in b"[]{}")


def _is_deep(raw: bytes) -> bool:
    """Whether well-formed JSON is nested too deep: each round takes away what holds nothing more."""
    left = _TEXT.sub(b"", raw).translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(DEEPEST):
        left = left.replace(b"[]", b"")
        if not left:
            return False
    return True


def _of_this_version(value: dict[str, Any]) -> dict[str, Any]:
    version, readable = value.get("state"), sorted([*MIGRATIONS, VERSION])
    if type(version) is not int or version not in readable:
        known = f"release {SIMULATOR} reads version {' and '.join(map(str, readable))}"
        if "state" not in value:
            _refuse("", f"the document names no version; {known}")
        _refuse("", f"version {version!r:.40}, written by release {value.get('simulator')!r:.40}; {known}")
    while version < VERSION:
        value = MIGRATIONS[version](value)
        version += 1
    return value


def _settings(document: _Document) -> Settings:
    try:
        return Settings(document.settings)
    except UnknownSetting as problem:
        _refuse("settings", str(problem))


def _put_rows(world: World, kind_name: str, rows: list[dict[str, Any]], document: _Document) -> None:
    kind = ROWS.get(kind_name)
    if kind is None:
        _refuse("rows", f"unknown kind {kind_name!r:.80}{nearest(kind_name, list(ROWS))}")
    if document.secrets == "omitted" and kind.secret:
        rows = [{**_unknown_secrets(kind, document.seed, row.get("id")), **row} for row in rows]
    for at, row in enumerate(_read(rows, list[kind], f"rows.{kind_name}")):  # type: ignore[valid-type]
        place = f"rows.{kind_name}[{at}]"
        if world.find(kind, row.id) is not None:
            _refuse(place, f"id {row.id!r:.80} is there twice")
        if kind.states and row.status not in kind.states:
            _refuse(place, f"status {row.status!r:.80}{nearest(row.status, list(kind.states))}")
        try:
            world.put(row)
        except (ArithmeticError, LookupError, TypeError, ValueError) as problem:
            _refuse(place, f"a value is out of bounds: {problem}")


def _unknown_secrets(kind: type[Row], seed: int, row_id: object) -> dict[str, str]:
    """Values for the secrets that a row cannot be without: texts of the seed, and of nothing anybody has."""
    about = f"{seed}\0omitted\0{kind.__name__}\0{row_id}\0"
    return {name: f"{digest_number(about + name):064x}" for name in _needed_secrets(kind)}


@cache
def _needed_secrets(kind: type[Row]) -> list[str]:
    fields = msgspec.structs.fields(kind)
    return [field.name for field in fields if field.required and field.name in kind.secret]


def _journal(part: _Journal, now_ms: int) -> Journal:
    oldest = part.serial - len(part.entries) + 1
    if len(part.entries) > part.limit or oldest < 1:
        _refuse("journal", f"{len(part.entries)} entries, of {part.serial} of which {part.limit} are kept")
    for at, entry in enumerate(part.entries):
        place = f"journal.entries[{at}]"
        if entry.serial != oldest + at:
            _refuse(place, f"serial {entry.serial}, where {oldest + at} follows")
        if entry.kind not in ENTRY_KINDS:
            _refuse(place, f"kind {entry.kind!r:.80}{nearest(entry.kind, list(ENTRY_KINDS))}")
        if entry.at_ms > now_ms:
            _refuse(place, f"it happened at {iso(entry.at_ms)}, after now, {iso(now_ms)}")
    answered = {_answer(text): count for text, count in part.answered.items()}
    return Journal.restored(part.limit, part.serial, part.entries, answered)


def _answer(text: str) -> tuple[str, int]:
    found = _ANSWER.fullmatch(text)
    if found is None:
        _refuse("journal.answered", f"{text!r:.80} is no operation and status, such as 'getMe 200'")
    return found[1], int(found[2])


# -- what has to fit together ------------------------------------------------------------------------------


def _check_references(world: World) -> None:
    """What a row names exists."""
    for kind in world.kinds():
        names = [name for name in kind.__struct_fields__ if name in REFERENCES]
        for at, row in enumerate(world.rows(kind) if names else ()):
            for name in names:
                target, row_id = REFERENCES[name], getattr(row, name)
                if row_id and world.find(ROWS[target], row_id) is None:
                    _refuse(f"rows.{kind.__name__}[{at}].{name}", f"there is no {target} {row_id!r:.80}")


def _clock(part: _Clock, world: World) -> Clock:
    if not EARLIEST_MS <= part.start_ms <= part.now_ms <= LAST_NOW_MS:
        _refuse("clock", f"from {part.start_ms} to now {part.now_ms} ms is no span of virtual time")
    owners = {row.id for kind in world.kinds() for row in world.rows(kind)}
    serials: set[int] = set()
    for at, timer in enumerate(part.timers):
        place = f"clock.timers[{at}]"
        if timer.due_ms < part.now_ms:
            late = f"{timer.name!r:.80} is due {iso(timer.due_ms)}, before now, {iso(part.now_ms)}"
            _refuse(place, f"{late}; no timer is in the past")
        if timer.serial in serials or not 1 <= timer.serial <= part.serial:
            _refuse(place, f"serial {timer.serial} is there twice, or not of 1 to {part.serial}")
        serials.add(timer.serial)
        _check_call(place, timer, owners)
    return Clock.restored(part.start_ms, part.now_ms, part.serial, part.timers)


def _check_call(place: str, timer: Timer, owners: set[str]) -> None:
    """A timer names a function, what it takes, and the row it is about."""
    if timer.name not in TIMERS:
        _refuse(place, f"unknown timer {timer.name!r:.80}{nearest(timer.name, list(TIMERS))}")
    wanted = _takes(timer.name)
    if len(timer.args) != wanted or any(isinstance(value, (dict, list)) for value in timer.args):
        _refuse(place, f"{timer.name} takes {wanted} plain values, found {list(timer.args)!r:.80}")
    if timer.args and timer.args[0] not in owners and not _MONTH.fullmatch(str(timer.args[0])):
        _refuse(place, f"{timer.name} is about {timer.args[0]!r:.80}, and there is no such row")


@cache
def _takes(timer_name: str) -> int:
    """How many arguments a timer has, beside the world."""
    return len(signature(TIMERS[timer_name]).parameters) - 1
