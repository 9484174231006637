"""The webhooks of a cloud in a test: what arrived, what is answered, and an application as receiver.

Deliveries over loopback are real requests; an application is called without a socket. Virtual time brings
webhooks: `wait_for` lets it pass until one is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from threading import Lock, Thread
from traceback import format_exception
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from simulator.domain import signing
from simulator.domain.events import EVENT_TYPES, Outcome, Outgoing
from simulator.domain.events import Webhook as WebhookRow
from simulator.kernel.globs import globs, like
from simulator.kernel.instant import DAY_MS
from simulator.kernel.refusal import Refusal, nearest
from simulator.testing.receiving import call_asgi, call_wsgi, is_asgi

if TYPE_CHECKING:
    from simulator.testing.cloud import OpenRelay

SIGNATURE, EVENT = "X-VectorLay-Signature", "X-VectorLay-Event"
DEFAULT_URL = "https://hooks.test/openrelay"


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook that arrived."""

    type: str
    id: str
    """Of the event: the same when it comes again."""
    data: dict[str, Any]
    body: bytes
    headers: dict[str, str]
    """By their lower-case names."""
    url: str
    attempt: int
    """From 1: how often this event has come to this URL."""
    genuine: bool
    """Whether a webhook of the cloud signed it."""
    status: int
    """What it was answered."""
    error: str
    """What the application under test raised, with its traceback; else ""."""
    at: datetime


class Webhooks:
    """The receiver of one cloud."""

    def __init__(self, openrelay: OpenRelay) -> None:
        self._openrelay = openrelay
        self.received: list[Received] = []
        """Oldest first."""
        self.url = f"{openrelay.server.receiver.url}/{openrelay.simulator.name}"
        """For a webhook of the program under test, or `subscribe`."""
        self._replies: list[int | Callable[[Received], int]] = []
        openrelay.server.receiver.takers[openrelay.simulator.name] = self._take_over_http
        openrelay.on_close(lambda: openrelay.server.receiver.takers.pop(openrelay.simulator.name, None))

    # -- what arrived --------------------------------------------------------------------------------------

    def types(self) -> list[str]:
        """The types of what arrived, in order, repetitions and all."""
        return [received.type for received in self.received]

    def wait_for(self, event: str, *, within_days: float = 1, **data: Any) -> Received:
        """The first that arrived of a type, by glob, with these members in its data. Lets virtual time pass
        until it is there. Raises AssertionError where nothing that is pending brings it."""
        _check_event(event)
        simulator = self._openrelay.simulator
        deadline_ms = simulator.now_ms + round(within_days * DAY_MS)
        while True:
            found = next((one for one in self.received if _fits(one, event, data)), None)
            if found is not None:
                return found
            with simulator.reading() as world:
                due_ms = world.now_ms if world.outbox else world.clock.next_due_ms()
            if due_ms is None or due_ms > deadline_ms:
                wanted = f"{event} with {data}" if data else event
                came = ", ".join(self.types()) or "nothing"
                raise AssertionError(
                    f"no {wanted} within {within_days:g} days of virtual time; {came} arrived"
                )
            simulator.advance_to(due_ms)

    def clear(self) -> None:
        """Forget what arrived."""
        self.received.clear()

    # -- what is answered ----------------------------------------------------------------------------------

    def reply(
        self,
        status: int = 200,
        *,
        times: int = 1,
        delay: float = 0,
        by: Callable[[Received], int] | None = None,
    ) -> None:
        """Answer the next so many deliveries with a status, or with what a function says; later ones with
        200. A `delay` is of virtual seconds: from the webhook's timeout on, a slow answer is none."""
        self._replies += [by or status] * times
        if delay:
            self._openrelay.fault(on="webhook", event="*", times=times, do={"slow": {"seconds": delay}})

    # -- who sends -----------------------------------------------------------------------------------------

    def subscribe(self, *events: str, url: str = "", name: str = "test") -> str:
        """Register a webhook through the API, for this receiver or another URL; answers its secret."""
        wanted = {"name": name, "url": url or self.url, "events": list(events)}
        made = self._openrelay.ask("POST", f"/v1/orgs/{self._openrelay.org_id}/webhooks/create", wanted)
        secret: str = made["secret"]
        return secret

    def send(self, event: str = "vm.running", *, forged: bool = False, **data: Any) -> list[Received]:
        """Send a sample event to everybody who wants it, signed, or by somebody who does not know the secret;
        answers what arrived here."""
        before = len(self.received)
        openrelay = self._openrelay
        rule = openrelay.fault(on="webhook", event=event, do={"forge_signature": True}) if forged else None
        openrelay.do("webhook.send", type=event, data=data, id=openrelay.org_id)
        openrelay.advance(0)
        if rule is not None:
            rule.remove()
        return self.received[before:]

    # -- an application in its place -----------------------------------------------------------------------

    def deliver_to(self, app: Any, url: str = DEFAULT_URL) -> str:
        """Hand deliveries for the host of a URL to a WSGI or ASGI application, without a socket; answers the
        URL. What arrived stands in `received` as well, with what the application raised."""
        host = urlsplit(url).hostname
        if not host:
            raise ValueError(f"deliver_to(url={url!r}): a URL with a host is wanted, such as {DEFAULT_URL}")
        call = call_asgi if is_asgi(app) else call_wsgi
        self._openrelay.receivers[host] = lambda outgoing: self._hand_over(app, call, outgoing)
        return url

    def _hand_over(self, app: Any, call: Callable[..., int], outgoing: Outgoing) -> Outcome:
        """Call the application in a thread of its own: it finds no frame of ours above it, and may hang."""
        came: list[int | BaseException] = []
        done = Lock()
        done.acquire()

        def run() -> None:
            try:
                came.append(call(app, outgoing))
            except BaseException as problem:
                came.append(problem)
            finally:
                done.release()

        Thread(target=run, name="application", daemon=True).start()
        if not done.acquire(timeout=outgoing.timeout_s):
            return Outcome(error="timeout")
        if isinstance(came[0], int):
            self._note(outgoing.url, outgoing.headers, outgoing.body, came[0])
            return Outcome(came[0])
        self._note(outgoing.url, outgoing.headers, outgoing.body, 500, "".join(format_exception(came[0])))
        return Outcome(500)

    # -- taking --------------------------------------------------------------------------------------------

    def _take_over_http(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        received = self._note(self._openrelay.server.receiver.url + path, headers, body, 200)
        reply = self._replies.pop(0) if self._replies else 200
        status = reply(received) if callable(reply) else reply
        self.received[-1] = msgspec.structs.replace(received, status=status)
        return status

    def _note(
        self, url: str, headers: Mapping[str, str], body: bytes, status: int, error: str = ""
    ) -> Received:
        try:
            event = json.loads(body)
        except ValueError:
            event = {}
        names = {name.lower(): value for name, value in headers.items()}
        before = [one for one in self.received if (one.id, one.url) == (event.get("id"), url)]
        received = Received(
            type=event.get("type", ""),
            id=event.get("id", ""),
            data=event.get("data", {}),
            body=body,
            headers=names,
            url=url,
            attempt=len(before) + 1,
            genuine=self._is_genuine(url, names.get(SIGNATURE.lower(), ""), body),
            status=status,
            error=error,
            at=self._openrelay.now,
        )
        self.received.append(received)
        return received

    def _is_genuine(self, url: str, signature: str, body: bytes) -> bool:
        with self._openrelay.simulator.reading() as world:
            keys = [hook.key for hook in world.rows(WebhookRow) if hook.url == url]
        return any(signing.sign(key, body) == signature for key in keys)


def sign(secret: str, body: bytes) -> str:
    """The signature header of a body, as the cloud writes it."""
    return signing.sign(signing.key_of(secret), body)


def verify(secret: str, body: bytes, signature: str) -> bool:
    """Whether a signature header is that of a body."""
    return signing.verify(secret, body, signature)


def _check_event(event: str) -> None:
    if not any(like(known, globs(event)) for known in EVENT_TYPES):
        raise Refusal("not_found", f"no event type {event!r}{nearest(event, list(EVENT_TYPES))}")


def _fits(received: Received, event: str, data: Mapping[str, Any]) -> bool:
    same = all(received.data.get(name) == value for name, value in data.items())
    return same and like(received.type, globs(event))
