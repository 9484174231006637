"""What a client does that the documentation asks it not to do, read from the journal: each finding with its
rule and the requests that show it.

A finding is a hint and no judgment: what can have a good reason is not listed [choice].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import msgspec

from simulator.kernel.journal import Entry
from simulator.kernel.world import World

CREATING = ("create", "fork", "generate", "initiate")
"""How operations are called that make something anew each time they are asked."""
CLOSE_MS = 1000
"""Reads of one thing that are closer than this are too close."""
MANY_READS = 20
"""So many close ones in a row are polling [choice]."""
AGAIN_MS = 600_000
"""A call within ten minutes of one that failed is its repetition [choice]."""
ATTEMPTS = 4
"""After so many a delivery is given up [seed]."""
DEAD_KEYS = ("REVOKED_API_KEY", "EXPIRED_API_KEY")


class ClientFinding(msgspec.Struct, frozen=True):
    """Something that a client did."""

    rule: str
    """A short name, to leave it out by."""
    says: str
    """What the documentation asks for."""
    text: str
    """What was done instead."""
    serials: list[int]
    """The journal's entries that show it."""


def findings(world: World) -> list[ClientFinding]:
    """All there are, by rule and then by time; as far back as the journal reaches."""
    entries = list(world.journal)
    requests = [entry for entry in entries if entry.kind == "request" and "status" in entry.facts]
    found = [finding for look in LOOKS for finding in look(requests)]
    return [*found, *_unanswered(entries)]


def _repeated_creates(requests: list[Entry]) -> Iterator[ClientFinding]:
    rule = "retried-create"
    says = "repeat only idempotent requests; before a create is repeated, look whether it was carried out"
    failed: dict[tuple[str, str], Entry] = {}
    for entry in requests:
        facts = entry.facts
        operation = facts.get("operation", "")
        if facts["method"] == "GET":
            failed = {key: one for key, one in failed.items() if not _looks_for(facts, key[1])}
            continue
        if not operation.startswith(CREATING):
            continue
        sent = facts.get("sent", {})
        key = (operation + repr(sorted(sent.items(), key=repr)), facts["path"])
        before = failed.pop(key, None)
        if before is not None and entry.at_ms - before.at_ms <= AGAIN_MS:
            text = f"{operation} was asked for again after {_became(before)}, without a look at what there is"
            yield ClientFinding(rule, says, text, [before.serial, entry.serial])
        if _is_open(facts) and "idempotencyKey" not in sent:
            failed[key] = entry


def _looks_for(facts: dict[str, Any], created_at: str) -> bool:
    """Whether a read may show what a create made: the list beside it."""
    return bool(facts["path"] == created_at.removesuffix("/create")) and facts["status"] == 200


def _is_open(facts: dict[str, Any]) -> bool:
    """Whether the client cannot know if it was carried out."""
    return "lost" in facts or facts["status"] >= 500


def _became(entry: Entry) -> str:
    return "no answer came" if "lost" in entry.facts else f"it was answered {entry.facts['status']}"


def _impatient(requests: list[Entry]) -> Iterator[ClientFinding]:
    says = "wait as long as Retry-After says"
    until: dict[str, tuple[Entry, int]] = {}
    for entry in requests:
        facts = entry.facts
        operation = facts.get("operation", "")
        before, due_ms = until.pop(operation, (entry, 0))
        if entry.at_ms < due_ms:
            text = f"{operation} was called {(due_ms - entry.at_ms) / 1000:g} s before Retry-After was over"
            yield ClientFinding("ignored-retry-after", says, text, [before.serial, entry.serial])
        if "retry_after" in facts:
            until[operation] = (entry, entry.at_ms + facts["retry_after"] * 1000)


def _polling(requests: list[Entry]) -> Iterator[ClientFinding]:
    says = "poll every few seconds; webhooks tell sooner"
    by_path: dict[str, list[Entry]] = {}
    for entry in requests:
        if entry.facts["method"] == "GET":
            by_path.setdefault(f"{entry.facts['path']}?{entry.facts.get('query', '')}", []).append(entry)
    for path, reads in by_path.items():
        run: list[Entry] = reads[:1]
        for before, entry in pairwise(reads):
            run = [*run, entry] if entry.at_ms - before.at_ms < CLOSE_MS else [entry]
            if len(run) == MANY_READS:
                text = f"{path.rstrip('?')} was read {MANY_READS} times within {_seconds(run)} s"
                yield ClientFinding("polled-too-often", says, text, [run[0].serial, entry.serial])


def _seconds(run: list[Entry]) -> str:
    return f"{(run[-1].at_ms - run[0].at_ms) / 1000:g}"


def _unfinished_lists(requests: list[Entry]) -> Iterator[ClientFinding]:
    says = "read on while nextCursor is there; pass it on as it came"
    lists = [
        entry
        for entry in requests
        if entry.facts.get("next") and "limit=" not in entry.facts.get("query", "")
    ]
    for entry in lists:
        followed = any(
            later.serial > entry.serial and later.facts["path"] == entry.facts["path"]
            for later in requests
            if "cursor=" in later.facts.get("query", "")
        )
        if not followed:
            text = f"{entry.facts['operation']} had more pages than were read"
            yield ClientFinding("stopped-before-the-last-page", says, text, [entry.serial])


def _changed_cursors(requests: list[Entry]) -> Iterator[ClientFinding]:
    says = "do not read or change a cursor"
    for entry in requests:
        if entry.facts["status"] == 400 and entry.facts.get("message", "").startswith("cursor "):
            text = f"{entry.facts['operation']} was called with a cursor that no list gave out"
            yield ClientFinding("changed-cursor", says, text, [entry.serial])


def _unknown_fields(requests: list[Entry]) -> Iterator[ClientFinding]:
    says = "unknown fields are ignored, and nobody tells"
    seen: set[tuple[str, str]] = set()
    for entry in requests:
        operation = entry.facts.get("operation", "")
        for name in entry.facts.get("unknown_fields", ()):
            if (operation, name) not in seen:
                seen.add((operation, name))
                text = f"{operation} was sent {name!r}, which it does not know"
                yield ClientFinding("unknown-field", says, text, [entry.serial])


def _dead_keys(requests: list[Entry]) -> Iterator[ClientFinding]:
    says = "a key that was revoked or has expired stays so; a 401 is not to be repeated"
    dead = [entry for entry in requests if entry.facts.get("code") in DEAD_KEYS]
    if len(dead) > 1:
        text = f"{len(dead)} calls with a key that is {dead[0].facts['code'].partition('_')[0].lower()}"
        yield ClientFinding("used-a-dead-key", says, text, [entry.serial for entry in dead[:10]])


def _unanswered(entries: list[Entry]) -> Iterator[ClientFinding]:
    says = "answer a webhook with 2xx, and quickly; work on it afterwards"
    for entry in entries:
        facts = entry.facts
        if entry.kind == "delivery" and facts["status"] == "failed" and facts["attempt"] >= ATTEMPTS:
            came = f"answer {facts['status_code']}" if facts["status_code"] else facts["error"] or "no answer"
            text = f"a delivery of {facts['type']} was given up after {facts['attempt']} attempts: {came}"
            yield ClientFinding("left-a-webhook-unanswered", says, text, [entry.serial])


LOOKS: tuple[Callable[[list[Entry]], Iterator[ClientFinding]], ...] = (
    _repeated_creates,
    _impatient,
    _polling,
    _unfinished_lists,
    _changed_cursors,
    _unknown_fields,
    _dead_keys,
)
RULES = (
    "retried-create",
    "ignored-retry-after",
    "polled-too-often",
    "stopped-before-the-last-page",
    "changed-cursor",
    "unknown-field",
    "used-a-dead-key",
    "left-a-webhook-unanswered",
)
"""Every rule there is."""
