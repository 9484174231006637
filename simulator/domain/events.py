"""Events, and the webhooks that hear of them.

Recording an event makes one delivery per webhook that wants it and puts it into the world's outbox. The
engine hands the outbox to the courier, one delivery at a time and in order, and reports each outcome back
through `settle`. A failed attempt is followed by another one later; what is recorded meanwhile does not wait
for it, so a receiver can see events out of order [choice].
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from simulator.domain import signing, timeline
from simulator.domain.faults.webhook import strike_delivery
from simulator.kernel.instant import iso_seconds
from simulator.kernel.refusal import Refusal
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

SEND = "webhook.send"
"""The timer that sends an attempt which a fault kept back."""

ANSWER = "webhook.answer"
"""The timer at which a slow receiver's answer is there."""


NOT_SENT = "not sent: the webhook is off"
"""The error of an attempt that was never made."""

FORGED_KEY = "0" * 64
"""What signs where the right secret is not known."""


class Webhook(Row, frozen=True, kw_only=True):
    """A subscription. `key` signs; the secret itself is not kept."""

    secret: ClassVar = ("key",)
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


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
        "held": Index(lambda delivery: delivery.webhook_id if delivery.held else None, _recorded),
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
    fault: str = ""
    """The rule that had it its way."""
    held: bool = False
    """It waits for the webhook's next one to go first."""
    forged: bool = False
    """It is signed with another secret."""
    slow_s: float = 0.0
    """So long takes the receiver's answer."""

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
    values = {"id": about.id, "name": getattr(about, "name", ""), **data}
    timeline.heard(world, "event", event_type, values, serial)
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
) -> Delivery:
    """Make one attempt, the first or the one after `before`, and send it; a fault may have it otherwise."""
    sending = _Sending(world, webhook, _attempt(world, webhook, event, cause, before))
    made = sending.delivery
    values = {"webhook": webhook.name, "url": webhook.url, "attempt": made.attempt, **event.data}
    hit = strike_delivery(world, event.type, values)
    if hit is None:
        sending.post()
    else:
        sending.mark(fault=hit.rule_id, cause=hit.serial)
        hit.effect.meet(sending)
    _trim(world, webhook)
    return made


def _attempt(
    world: World, webhook: Webhook, event: Event, cause: int, before: Delivery | None = None
) -> Delivery:
    delivery_id = world.streams.uuid("delivery")
    keeps_header = before is not None and world.settings.word("webhooks.delivery_id") == "delivery"
    return world.put(
        Delivery(
            id=delivery_id,
            created_at_ms=world.now_ms,
            webhook_id=webhook.id,
            event=event,
            cause=cause,
            header_id=before.header_id if before and keeps_header else delivery_id,
            attempt=before.attempt + 1 if before else 1,
        )
    )


class _Sending:
    """An attempt on its way into the outbox; see faults/webhook."""

    def __init__(self, world: World, webhook: Webhook, delivery: Delivery) -> None:
        self.world, self.webhook, self.delivery = world, webhook, delivery

    def mark(self, **fields: Any) -> None:
        self.delivery = self.world.change(self.delivery, **fields)

    def post(self, **marks: Any) -> None:
        if marks:
            self.mark(**marks)
        send(self.world, self.delivery)

    def post_later(self, seconds: float) -> None:
        self.world.clock.after(round(seconds * 1000), SEND, self.delivery.id, cause=self.delivery.cause)

    def post_after_next(self, seconds: float) -> None:
        self.mark(held=True)
        self.post_later(seconds)

    def repeat(self) -> None:
        before = self.delivery
        self.delivery = _attempt(self.world, self.webhook, before.event, before.cause, before)
        self.post(fault=before.fault)

    def replay(self) -> None:
        """Where nothing was received before, it is this one that comes twice."""
        world, received = self.world, self.delivery
        for old in world.select(Delivery, "webhook", self.webhook.id):
            if old.status == "delivered":
                received = old
                break
        again = _attempt(world, self.webhook, received.event, self.delivery.cause)
        send(world, world.change(again, header_id=received.header_id, fault=self.delivery.fault))

    def lose(self) -> None:
        _write(self.world, self.delivery, Outcome(status_code=200))

    def fail(self, status: int | None) -> None:
        settle(self.world, self.delivery.id, Outcome(status, "" if status else "connection refused"))


def send(world: World, delivery: Delivery) -> None:
    """Put an attempt into the outbox, and after it those that waited for it to go first."""
    world.outbox.append(delivery.id)
    for held in world.select(Delivery, "held", delivery.webhook_id):
        world.change(held, held=False)
        if held.id != delivery.id:
            world.clock.cancel_of(held.id, SEND)
            world.outbox.append(held.id)


def send_late(world: World, delivery_id: str) -> None:
    """The timer's function: an attempt that was kept back goes."""
    delivery = world.find(Delivery, delivery_id)
    if delivery is not None:
        send(world, delivery)


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
        waits = delivery.id in world.outbox or world.clock.pending_of(delivery.id)
        if delivery.status == "pending" and not waits:
            world.outbox.append(delivery.id)


def outgoing(world: World, delivery_id: str) -> Outgoing | None:
    """What to post for an attempt in the outbox; None when its webhook is off or gone meanwhile."""
    delivery = world.find(Delivery, delivery_id)
    if delivery is None:
        return None
    webhook = world.get(Webhook, delivery.webhook_id)
    if not webhook.enabled:
        _write(world, delivery, Outcome(error=NOT_SENT))
        return None
    body = render(world, delivery.event)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "OpenRelay-Webhooks/1.0",
        "X-VectorLay-Event": delivery.event.type,
        "X-VectorLay-Delivery": delivery.header_id,
        "X-VectorLay-Signature": signing.sign(FORGED_KEY if delivery.forged else webhook.key, body),
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
    if delivery.slow_s:
        _answer_late(world, delivery, outcome)
        return
    waits_s = world.settings.seconds("webhooks.retry_s") or ()
    again = not outcome.accepted and delivery.attempt <= len(waits_s)
    cause = _write(world, delivery, outcome, again=again)
    if again:
        due_ms = world.now_ms + _wait_ms(world, waits_s[delivery.attempt - 1])
        world.clock.at(due_ms, RETRY, (delivery.id,), cause=cause)


def _answer_late(world: World, delivery: Delivery, outcome: Outcome) -> None:
    """Let a slow receiver's answer come when it comes, or the timeout before it."""
    timeout_s = world.settings.whole("webhooks.timeout_s")
    if delivery.slow_s >= timeout_s:
        outcome = Outcome(error=f"no answer within {timeout_s} s")
    after_ms = round(min(delivery.slow_s, timeout_s) * 1000)
    world.change(delivery, slow_s=0.0)
    args = (delivery.id, outcome.status_code, outcome.error)
    world.clock.after(after_ms, ANSWER, *args, cause=delivery.cause)


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
        "again": again,
    }
    if done.fault:
        facts["fault"] = done.fault
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


def resend(world: World, delivery_id: str) -> Delivery:
    """One more attempt at what a delivery told, in the order of its webhook. Raises Refusal."""
    before = world.find(Delivery, delivery_id)
    if before is None:
        raise Refusal(
            "not_found", f"no delivery {delivery_id[:80]!r}; the webhook's list of deliveries has ids"
        )
    webhook = world.get(Webhook, before.webhook_id)
    if not webhook.enabled:
        raise Refusal("conflict", f"webhook {webhook.name!r} is off; toggle it on first")
    assert world.cause is not None, "a resend is an action's"
    return _deliver(world, webhook, before.event, world.cause, before)


def forget(world: World, webhook: Webhook) -> None:
    """Delete a webhook and its deliveries; pending retries are dropped [2026-10 sdk]."""
    for delivery in world.select(Delivery, "webhook", webhook.id):
        world.clock.cancel_of(delivery.id)
        world.delete(delivery)
    world.delete(webhook)
