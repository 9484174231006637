"""The built-in receiver of webhooks, for clients without one: it takes all and keeps the newest."""

from __future__ import annotations

from typing import ClassVar

from simulator.kernel.world import Index, Row, World

MOST_MESSAGES = 1000
"""Kept per world; the oldest go."""
LONGEST_BODY = 64 * 1024


def _serial(message: Message) -> tuple[int, str]:
    return message.serial, message.id


class Message(Row, frozen=True, kw_only=True):
    """A webhook as it arrived."""

    indexes: ClassVar = {"all": Index(lambda message: "all", _serial)}

    serial: int
    inbox: str
    headers: dict[str, str]
    body: str


def receive(world: World, inbox: str, headers: dict[str, str], body: bytes) -> Message:
    """Keep a message, the body as far as it can be read. Its serial is that of the journal's entry of it."""
    kept = world.select(Message, "all", "all")
    for oldest in kept[: max(0, len(kept) + 1 - MOST_MESSAGES)]:
        world.delete(oldest)
    serial = world.journal.serial
    return world.put(
        Message(
            id=f"message-{serial}",
            created_at_ms=world.now_ms,
            serial=serial,
            inbox=inbox,
            headers=headers,
            body=body[:LONGEST_BODY].decode(errors="replace"),
        )
    )


def messages(world: World, inbox: str | None, since: int) -> list[Message]:
    """What arrived after a serial, in one inbox or in all, oldest first."""
    return [
        message
        for message in world.select(Message, "all", "all")
        if message.serial > since and inbox in (None, message.inbox)
    ]


def clear(world: World) -> None:
    for message in world.rows(Message):
        world.delete(message)
