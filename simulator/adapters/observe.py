"""The part of the control surface that looks on: journal, webhooks that arrived, figures for a monitor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from simulator.adapters.asked import Asked, Streamed, Text
from simulator.domain import events, inbox
from simulator.domain.inbox import Message
from simulator.engine import Simulator
from simulator.kernel.instant import iso
from simulator.kernel.journal import Entry
from simulator.kernel.world import World

HEARTBEAT_S = 15.0
"""After so long without news a stream says that it is still there; so it notices that nobody listens."""
MOST_AT_ONCE = 1000
LONGEST_SERIAL = 18
"""Digits of a Last-Event-ID that can be one."""

# -- journal -----------------------------------------------------------------------------------------------


def read_journal(asked: Asked) -> dict[str, Any]:
    with asked.simulator.reading() as world:
        journal = world.journal
        newest_first = list(_matching(world, asked.query))
        return {
            "items": newest_first[::-1],
            "serial": journal.serial,
            "dropped": journal.dropped,
        }


def _matching(world: World, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Entries from the newest on, until the limit or the one that was seen already."""
    left = query.get("limit", 100)
    for entry in reversed(world.journal):
        if left == 0 or entry.serial <= query.get("since", 0):
            return
        if _is_asked_for(entry, query):
            left -= 1
            yield _entry_view(entry)


def _is_asked_for(entry: Entry, query: Mapping[str, Any]) -> bool:
    facts = entry.facts
    return (
        query.get("kind") in (None, entry.kind)
        and query.get("operation") in (None, facts.get("operation"))
        and query.get("status") in (None, str(facts.get("status")))
        and ("resource" not in query or _names(facts, query["resource"]))
    )


def _names(facts: dict[str, Any], row_id: str) -> bool:
    """Whether an entry is about a row: one of its facts, an argument of its timer, or a part of its path."""
    return (
        row_id in facts.values()
        or row_id in facts.get("args", ())
        or row_id in facts.get("path", "").split("/")
    )


def _entry_view(entry: Entry) -> dict[str, Any]:
    return {
        "serial": entry.serial,
        "at": iso(entry.at_ms),
        "kind": entry.kind,
        "cause": entry.cause,
        "facts": entry.facts,
    }


def stream_journal(asked: Asked) -> Streamed:
    """Server-Sent Events: entries as they are written, beginning after `since` or the Last-Event-ID. Where
    the journal has not come so far, the world was reset or restored, and they begin with the first."""
    last = asked.headers.get("last-event-id", "")
    if last.isdecimal() and len(last) <= LONGEST_SERIAL:
        since = int(last)
    else:
        since = asked.query.get("since", asked.simulator.world.journal.serial)
    return Streamed("text/event-stream", _stream(asked.simulator, dict(asked.query), since))


def _stream(one: Simulator, query: dict[str, Any], since: int) -> Iterator[bytes]:
    left = query.get("limit")
    yield b": journal\n\n"
    while left != 0:
        with one.reading() as world:
            since = since if since <= world.journal.serial else 0
            news = world.journal.after(since)[:MOST_AT_ONCE]
        wanted = [entry for entry in news if _is_asked_for(entry, query)][:left]
        left = None if left is None else left - len(wanted)
        since = news[-1].serial if news else since
        if wanted:
            yield b"".join(map(_sent_event, wanted))
        elif not news and not _news(one, since, HEARTBEAT_S):
            yield b": still here\n\n"


def _sent_event(entry: Entry) -> bytes:
    head = f"id: {entry.serial}\nevent: {entry.kind}\ndata: "
    return head.encode() + msgspec.json.encode(_entry_view(entry)) + b"\n\n"


def _news(one: Simulator, since: int, patience_s: float) -> bool:
    """Wait until the journal has something newer; False when patience is over before."""
    with one.changed:
        return one.changed.wait_for(lambda: one.world.journal.serial != since, patience_s)


# -- webhooks ----------------------------------------------------------------------------------------------


def receive_webhook(asked: Asked) -> dict[str, Any]:
    """The built-in receiver: takes whatever comes."""
    name, body = asked.path["inbox"], asked.body
    headers = {
        key: value
        for key, value in asked.headers.items()
        if key.startswith(("x-", "content-type", "user-agent"))
    }
    happened = {"inbox": name, "bytes": len(body)}
    asked.simulator.let("inbox.receive", happened, lambda world: inbox.receive(world, name, headers, body))
    return {"received": True}


def read_inbox(asked: Asked) -> dict[str, Any]:
    """Messages after `since`; with `wait`, so many real seconds for one to arrive."""
    one, query = asked.simulator, asked.query
    until_s = time.monotonic() + query.get("wait", 0)
    while True:
        with one.reading() as world:
            found = inbox.messages(world, query.get("inbox"), query.get("since", 0))
            serial = world.journal.serial
        left_s = until_s - time.monotonic()
        if found or left_s <= 0:
            return {"items": [_message_view(message) for message in found]}
        _news(one, serial, left_s)


def _message_view(message: Message) -> dict[str, Any]:
    return {
        "serial": message.serial,
        "inbox": message.inbox,
        "at": iso(message.created_at_ms),
        "headers": message.headers,
        "body": message.body,
    }


def clear_inbox(asked: Asked) -> None:
    asked.simulator.let("inbox.clear", {}, inbox.clear)


def resend_delivery(asked: Asked) -> dict[str, Any]:
    """Send an event once more to the webhook of a delivery, as an attempt of its own; settled on return."""
    one, delivery_id = asked.simulator, asked.path["id"]
    again = one.let("delivery.resend", {"id": delivery_id}, lambda world: events.resend(world, delivery_id))
    if one.clock.mode != "live":
        one.advance(0)
    with one.reading() as world:
        row = world.get(events.Delivery, again.id)
        return {"id": row.id, "event": row.event.type, "attempt": row.attempt, "status": row.status}


# -- figures -----------------------------------------------------------------------------------------------


def show_metrics(asked: Asked) -> Text:
    from simulator.adapters import metrics

    return Text(metrics.MEDIA_TYPE, metrics.exposition(asked.worlds))


ANSWERS: dict[str, Callable[[Asked], Any]] = {
    "readJournal": read_journal,
    "streamJournal": stream_journal,
    "receiveWebhook": receive_webhook,
    "readInbox": read_inbox,
    "clearInbox": clear_inbox,
    "resendDelivery": resend_delivery,
    "showMetrics": show_metrics,
}
