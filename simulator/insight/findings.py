"""What a client does that the documentation asks it not to do, read from the journal: each finding with its
rule and the requests that show it.

A finding is a hint and no judgment: what can have a good reason is not listed [choice]. Time is the world's:
on a clock that stands still, only what no wait could part is too soon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec

from simulator import assets
from simulator.domain.events import NOT_SENT
from simulator.domain.faults import placement
from simulator.kernel.instant import iso
from simulator.kernel.journal import Entry
from simulator.kernel.world import World

MAKING = ("create", "fork", "generate", "initiate", "upload", "presign")
"""How operations are called that make something anew each time they are asked."""
CLOSE_MS = 1000
"""Reads of one thing that are closer than this are too close [choice: clients poll every 5 s]."""
MANY_READS = 20
"""So many close ones in a row are polling [choice]."""
AGAIN_MS = 600_000
"""A call within ten minutes of one that failed is its repetition [choice]."""
FEW = 50
"""Who asks for fewer than a page holds by itself does not want the whole list [choice]."""
MOST_SHOWN = 10
"""Requests that one finding names."""
DEAD_KEYS = ("REVOKED_API_KEY", "EXPIRED_API_KEY")


class ClientFinding(msgspec.Struct, frozen=True):
    """Something that a client did."""

    rule: str
    """A short name, to leave it out by."""
    says: str
    """What the documentation asks for."""
    text: str
    """What was done instead."""
    at: str
    """When it was done: the moment of the last entry that shows it."""
    serials: list[int]
    """The journal's entries that show it."""
    requests: list[str]
    """Their requestIds, of those that are requests: `explain` takes them."""


class Seen(msgspec.Struct, frozen=True):
    """What is looked at: all that happened since the first moment, as far back as the journal reaches."""

    world: World
    entries: list[Entry]
    requests: list[Entry]


Found = Iterator[tuple[str, list[Entry]]]
"""What was done, and the entries that show it."""


def findings(world: World, genesis: World) -> list[ClientFinding]:
    """All there are since the world's first moment, by rule and then by time."""
    entries = world.journal.after(genesis.journal.serial)
    requests = [entry for entry in entries if entry.kind == "request" and "status" in entry.facts]
    seen = Seen(world, entries, requests)
    return [_finding(rule, says, *found) for rule, (says, look) in _LOOKS.items() for found in look(seen)]


def _finding(rule: str, says: str, text: str, shown: list[Entry]) -> ClientFinding:
    shown = shown[:MOST_SHOWN]
    requests = [entry.facts["id"] for entry in shown if entry.kind == "request"]
    return ClientFinding(rule, says, text, iso(shown[-1].at_ms), [entry.serial for entry in shown], requests)


# -- repeating ---------------------------------------------------------------------------------------------


def _repeated_creates(seen: Seen) -> Found:
    failed: dict[tuple[Any, ...], Entry] = {}
    for entry in seen.requests:
        facts = entry.facts
        operation = facts.get("operation", "")
        if facts["method"] == "GET":
            if facts["status"] == 200:
                failed = {key: one for key, one in failed.items() if not _looks_for(facts, key)}
            continue
        if not operation.startswith(MAKING):
            continue
        key = (_collection(facts["path"], operation), operation, facts["path"], facts.get("digest"))
        before = failed.pop(key, None)
        if before is not None and entry.at_ms - before.at_ms <= AGAIN_MS:
            text = f"{operation} was asked for again after {_became(before)}, without a look at what there is"
            yield text, [before, entry]
        if _is_open(facts) and not _is_idempotent(seen.world, facts):
            failed[key] = entry


def _looks_for(facts: dict[str, Any], made: tuple[Any, ...]) -> bool:
    """Whether a read may show what a call made: of the collection, of one thing in it, or of a list of the
    same name."""
    path, collection = facts["path"], made[0]
    is_list = path.rpartition("/")[2] == collection.rpartition("/")[2]
    return bool(is_list or path.rpartition("/")[0] == collection)


def _collection(path: str, operation: str) -> str:
    """Where an operation makes something: at its own path, or what stands before its verb."""
    return path if operation in _beside_lists() else path.rpartition("/")[0]


@cache
def _beside_lists() -> frozenset[str]:
    """Operations whose path is that of a list."""
    items = assets.contract_document()["paths"].values()
    return frozenset(item["post"]["operationId"] for item in items if "get" in item and "post" in item)


def _is_open(facts: dict[str, Any]) -> bool:
    """Whether the client cannot know if it was carried out: no room is an answer as good as any."""
    return "lost" in facts or (facts["status"] >= 500 and facts.get("code") not in placement.CODES)


def _is_idempotent(world: World, facts: dict[str, Any]) -> bool:
    """Whether a key keeps it from being carried out twice; a header does only where it is heeded."""
    by_header = "idempotent" in facts and world.settings.flag("vms.idempotency_key")
    return "idempotencyKey" in facts.get("sent", ()) or (by_header and facts["operation"] == "createVm")


def _became(entry: Entry) -> str:
    return "no answer came" if "lost" in entry.facts else f"it was answered {entry.facts['status']}"


def _impatient(seen: Seen) -> Found:
    until: dict[str, tuple[Entry, int]] = {}
    for entry in seen.requests:
        facts = entry.facts
        operation = facts.get("operation", "")
        before, due_ms = until.get(operation, (entry, 0))
        if _are_one(before, entry):
            until.pop(operation, None)
            if entry.at_ms < due_ms:
                left_s = (due_ms - entry.at_ms) / 1000
                yield f"{operation} was called {left_s:g} s before Retry-After was over", [before, entry]
        if "retry_after" in facts:
            until[operation] = (entry, entry.at_ms + facts["retry_after"] * 1000)


def _are_one(one: Entry, other: Entry) -> bool:
    """Whether two requests may be one caller's; of a refused one the caller may not be known."""
    callers = {one.facts.get("principal", ""), other.facts.get("principal", "")} - {""}
    return len(callers) < 2


def _dead_keys(seen: Seen) -> Found:
    """The first refusal is how a client learns of it. The message names the key."""
    dead: dict[str, list[Entry]] = {}
    for entry in seen.requests:
        if entry.facts.get("code") in DEAD_KEYS and "fault" not in entry.facts:
            dead.setdefault(entry.facts["message"], []).append(entry)
    for message, calls in dead.items():
        if len(calls) > 1:
            yield f"{len(calls)} calls, although {message}", calls


# -- reading -----------------------------------------------------------------------------------------------


def _polling(seen: Seen) -> Found:
    """The same read over and over; whoever changes something in between may well look again."""
    runs: dict[tuple[str, str], list[Entry]] = {}
    for entry in seen.entries:
        facts = entry.facts
        if entry.kind == "action" or (entry.kind == "request" and facts["method"] != "GET"):
            runs.clear()
        elif entry.kind == "request":
            target = f"{facts['path']}?{facts.get('query', '')}".rstrip("?")
            key = (target, facts.get("principal", ""))
            run = runs.get(key, [])
            close = bool(run) and entry.at_ms - run[-1].at_ms < CLOSE_MS
            runs[key] = run = [*run, entry] if close else [entry]
            if len(run) == MANY_READS:
                span_s = (entry.at_ms - run[0].at_ms) / 1000
                yield f"{target} was read {MANY_READS} times within {span_s:g} s", [run[0], entry]


def _unfinished_lists(seen: Seen) -> Found:
    """A list of which no page but the first was ever read. Who reads some of the others has a reason."""
    unfinished: dict[tuple[str, str], list[Entry]] = {}
    followed: set[tuple[str, str]] = set()
    for entry in seen.requests:
        facts = entry.facts
        query = facts.get("query", "").split("&")
        key = (facts["path"], facts.get("principal", ""))
        if any(part.startswith(("cursor=", "after=")) and not part.endswith("=") for part in query):
            followed.add(key)
        elif facts.get("next") and "fault" not in facts and not _wants_few(query):
            unfinished.setdefault(key, []).append(entry)
    for key, pages in unfinished.items():
        if key not in followed:
            yield f"{pages[0].facts['operation']} had more pages than were read", pages


def _wants_few(query: list[str]) -> bool:
    limits = [part.removeprefix("limit=") for part in query if part.startswith("limit=")]
    return any(limit.isdecimal() and int(limit) < FEW for limit in limits)


def _changed_cursors(seen: Seen) -> Found:
    for entry in seen.requests:
        facts = entry.facts
        refused = facts["status"] == 400 and facts.get("message", "").startswith("cursor ")
        if refused and "fault" not in facts:
            yield f"{facts['operation']} was called with a cursor that no list gave out", [entry]


def _unknown_fields(seen: Seen) -> Found:
    sent: dict[tuple[str, str], list[Entry]] = {}
    for entry in seen.requests:
        for name in entry.facts.get("unknown_fields", ()):
            sent.setdefault((entry.facts["operation"], name), []).append(entry)
    for (operation, name), calls in sent.items():
        yield f"{operation} was sent {name!r}, which it does not know", calls


# -- webhooks ----------------------------------------------------------------------------------------------


def _unanswered(seen: Seen) -> Found:
    """Deliveries that were given up; what a fault did to one is not the receiver's doing."""
    spoilt: set[tuple[str, str]] = set()
    for entry in seen.entries:
        facts = entry.facts
        if entry.kind != "delivery" or facts["status"] != "failed":
            continue
        told = (facts["webhook"], facts["event"])
        if "fault" in facts:
            spoilt.add(told)
        if not facts.get("again") and facts["error"] != NOT_SENT and told not in spoilt:
            came = f"answer {facts['status_code']}" if facts["status_code"] else facts["error"]
            times = f"{facts['attempt']} attempt{'s' if facts['attempt'] > 1 else ''}"
            yield f"a delivery of {facts['type']} was given up after {times}: {came}", [entry]


_LOOKS: dict[str, tuple[str, Callable[[Seen], Found]]] = {
    "retried-create": (
        "repeat only idempotent requests; before a create is repeated, look whether it was carried out",
        _repeated_creates,
    ),
    "ignored-retry-after": ("wait as long as Retry-After says", _impatient),
    "polled-too-often": ("poll every few seconds; webhooks tell sooner", _polling),
    "stopped-before-the-last-page": (
        "read on while nextCursor is there; pass it on as it came",
        _unfinished_lists,
    ),
    "changed-cursor": ("do not read or change a cursor", _changed_cursors),
    "unknown-field": ("unknown fields are ignored, and nobody tells", _unknown_fields),
    "used-a-dead-key": (
        "a key that was revoked or has expired stays so; a 401 is not to be repeated",
        _dead_keys,
    ),
    "left-a-webhook-unanswered": (
        "answer a webhook with 2xx, and quickly; work on it afterwards",
        _unanswered,
    ),
}
"""Each rule, what the documentation says, and how a breach of it is found."""

RULES = tuple(_LOOKS)
"""Every rule there is."""
TIMED = ("ignored-retry-after", "polled-too-often")
"""Those that look at how much virtual time lies between calls."""
