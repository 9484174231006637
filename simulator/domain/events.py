"""Events, and the webhooks that hear of them.

Recording an event makes one delivery per webhook that wants it and puts it into the world's outbox. The
engine hands the outbox to the courier, one delivery at a time and in order, and reports each outcome back
through `settle`. A failed attempt is followed by another one later; what is recorded meanwhile does not wait
for it, so a receiver can see events out of order [choice].
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from simulator.domain import signing
from simulator.kernel.instant import iso_seconds
from simulator.kernel.world import Index, Row, World

VM_EVENTS = ("vm.running", "vm.stopped", "vm.terminated", "vm.interrupted")
EVENT_TYPES = (
    "cluster.running",
    "cluster.degraded",
    "cluster.failed",
    "replica.healthy",
    "replica.unhealthy",
    "replica.terminated",
    *VM_EVENTS,
    "balance.low",
    "balance.depleted",
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
)
"""Names that are ever delivered; others may be subscribed to and match nothing [2026-10 sdk]."""

RETRY = "webhook.retry"
"""The timer that makes the attempt after a failed one."""


class Webhook(Row, frozen=True, kw_only=True):
    """A subscription. `key` signs; the secret itself is not kept."""

    indexes: ClassVar = {"organization": Index(lambda hook: hook.organization_id)}

    organization_id: str
    name: str
    url: str
    events: tuple[str, ...]
    """Empty: every event [seed], or the VM events (setting webhooks.empty_means)."""
    enabled: bool = True
    key: str
    secret_prefix: str
    updated_at_ms: int


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something an organization can be told. Its id is the safe key against double processing."""

    id: str
    type: str
    at_ms: int
    kind: str
    """Row class of the resource it is about."""
    about: str
    """Id of that resource; the organization for balance events [2026-10 sdk]."""
    data: dict[str, Any]


def _recorded(delivery: Delivery) -> tuple[int, str]:
    return delivery.cause, delivery.id


class Delivery(Row, frozen=True, kw_only=True):
    """One attempt to tell one webhook of one event."""

    indexes: ClassVar = {
        "webhook": Index(lambda delivery: delivery.webhook_id, _recorded),
        "over": Index(lambda delivery: delivery.webhook_id if delivery.over else None, _recorded),
    }

    webhook_id: str
    event: Event
    cause: int
    """Journal serial of the event, or of the timer of a retry: ever later ones within a webhook."""
    header_id: str
    """X-VectorLay-Delivery."""
    attempt: int = 1
    status: str = "pending"
    """pending, delivered or failed [choice]."""
    status_code: int | None = None
    error: str = ""
    delivered_at_ms: int | None = None
    to_be_retried: bool = False

    @property
    def over(self) -> bool:
        """Nothing will be done about it any more."""
        return self.status != "pending" and not self.to_be_retried


class Outgoing(msgspec.Struct, frozen=True):
    """What the courier posts."""

    delivery_id: str
    url: str
    headers: dict[str, str]
    body: bytes
    timeout_s: int


class Outcome(msgspec.Struct, frozen=True):
    """What came back: a status code, or the reason why there is none."""

    status_code: int | None = None
    error: str = ""

    @property
    def accepted(self) -> bool:
        """Any 2xx ends the delivery [seed]."""
        return self.status_code is not None and 200 <= self.status_code < 300


# -- recording ---------------------------------------------------------------------------------------------


def record(world: World, organization_id: str, event_type: str, about: Row, data: dict[str, Any]) -> Event:
    """Write an event and hand it to the organization's webhooks.

    All webhooks of the organization get the same event id [choice: one event, many deliveries].
    """
    assert event_type in EVENT_TYPES, event_type
    event = Event(
        id=f"evt_{world.streams.uuid('event')}",
        type=event_type,
        at_ms=world.now_ms,
        kind=type(about).__name__,
        about=about.id,
        data=data,
    )
    told = {"id": event.id, "type": event_type, "resource": about.id, "organization": organization_id}
    serial = world.note("event", **told)
    for webhook in world.select(Webhook, "organization", organization_id):
        if wants(world, webhook, event_type):
            _deliver(world, webhook, event, serial)
    return event


def wants(world: World, webhook: Webhook, event_type: str) -> bool:
    """Whether a webhook is on and subscribed to an event; what happens while it is off is lost [choice]."""
    if not webhook.enabled:
        return False
    if webhook.events:
        return event_type in webhook.events
    return world.settings.word("webhooks.empty_means") == "all" or event_type in VM_EVENTS


def _deliver(
    world: World, webhook: Webhook, event: Event, cause: int, before: Delivery | None = None
) -> None:
    """Put one attempt into the outbox: the first one, or the one after `before`."""
    delivery_id = world.streams.uuid("delivery")
    keeps_header = before is not None and world.settings.word("webhooks.delivery_id") == "delivery"
    delivery = Delivery(
        id=delivery_id,
        created_at_ms=world.now_ms,
        webhook_id=webhook.id,
        event=event,
        cause=cause,
        header_id=before.header_id if before and keeps_header else delivery_id,
        attempt=before.attempt + 1 if before else 1,
    )
    world.put(delivery)
    world.outbox.append(delivery.id)
    _trim(world, webhook)


def _trim(world: World, webhook: Webhook) -> None:
    """Let a webhook's oldest rows go, so that a server that runs for weeks stays small."""
    most = world.settings.whole("webhooks.max_rows")
    while len(world.bucket(Delivery, "webhook", webhook.id)) > most:
        oldest = world.first(Delivery, "over", webhook.id)
        if oldest is None:
            return
        world.delete(oldest)


# -- sending -----------------------------------------------------------------------------------------------


def requeue(world: World) -> None:
    """Put attempts that are under way elsewhere into the outbox: a fork makes its own."""
    for delivery in world.rows(Delivery):
        if delivery.status == "pending" and delivery.id not in world.outbox:
            world.outbox.append(delivery.id)


def outgoing(world: World, delivery_id: str) -> Outgoing | None:
    """What to post for an attempt in the outbox; None when its webhook is off or gone meanwhile."""
    delivery = world.find(Delivery, delivery_id)
    if delivery is None:
        return None
    webhook = world.get(Webhook, delivery.webhook_id)
    if not webhook.enabled:
        _write(world, delivery, Outcome(error="not sent: the webhook is off"))
        return None
    body = render(world, delivery.event)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "OpenRelay-Webhooks/1.0",
        "X-VectorLay-Event": delivery.event.type,
        "X-VectorLay-Delivery": delivery.header_id,
        "X-VectorLay-Signature": signing.sign(webhook.key, body),
    }
    return Outgoing(delivery.id, webhook.url, headers, body, world.settings.whole("webhooks.timeout_s"))


def render(world: World, event: Event) -> bytes:
    """The body: compact JSON, members in the documented order.

    A `status` is that of the moment of sending, which may be newer than the event [2026-10 sdk].
    """
    data = event.data
    if "status" in data:
        row = world.find_named(event.kind, event.about)
        data = {**data, "status": getattr(row, "status", data["status"])}
    return msgspec.json.encode(
        {"id": event.id, "type": event.type, "created_at": iso_seconds(event.at_ms), "data": data}
    )


def settle(world: World, delivery_id: str, outcome: Outcome) -> None:
    """Write what became of an attempt, and plan the next one when it failed.

    The wait begins at the end of the failed attempt [choice].
    """
    delivery = world.find(Delivery, delivery_id)
    if delivery is None:
        return
    waits_s = world.settings.seconds("webhooks.retry_s") or ()
    again = not outcome.accepted and delivery.attempt <= len(waits_s)
    cause = _write(world, delivery, outcome, again=again)
    if again:
        due_ms = world.now_ms + _wait_ms(world, waits_s[delivery.attempt - 1])
        world.clock.at(due_ms, RETRY, (delivery.id,), cause=cause)


def _write(world: World, delivery: Delivery, outcome: Outcome, *, again: bool = False) -> int:
    """The outcome in the row and in the journal; answers the journal's serial."""
    done = world.change(
        delivery,
        status="delivered" if outcome.accepted else "failed",
        status_code=outcome.status_code,
        error="" if outcome.accepted else outcome.error or f"the receiver answered {outcome.status_code}",
        delivered_at_ms=world.now_ms if outcome.accepted else None,
        to_be_retried=again,
    )
    facts = {
        "id": done.id,
        "webhook": done.webhook_id,
        "event": done.event.id,
        "type": done.event.type,
        "resource": done.event.about,
        "attempt": done.attempt,
        "status": done.status,
        "status_code": done.status_code,
        "error": done.error,
    }
    return world.journal.add(world.now_ms, "delivery", done.cause, facts)


def _wait_ms(world: World, wait_s: float) -> int:
    """Exactly the wait [choice], or up to so many percent longer."""
    wait_ms = round(wait_s * 1000)
    percent = world.settings.whole("webhooks.jitter_percent")
    return wait_ms + (world.streams.below("retry", wait_ms * percent // 100 + 1) if percent else 0)


def retry(world: World, delivery_id: str) -> None:
    """The attempt after a failed one; dropped when the webhook is off by now [2026-10 sdk]."""
    before = world.change(world.get(Delivery, delivery_id), to_be_retried=False)
    webhook = world.get(Webhook, before.webhook_id)
    if webhook.enabled:
        assert world.cause is not None, "a retry is a timer's"
        _deliver(world, webhook, before.event, world.cause, before)


def forget(world: World, webhook: Webhook) -> None:
    """Delete a webhook and its deliveries; pending retries are dropped [2026-10 sdk]."""
    for delivery in world.select(Delivery, "webhook", webhook.id):
        world.clock.cancel_of(delivery.id)
        world.delete(delivery)
    world.delete(webhook)
