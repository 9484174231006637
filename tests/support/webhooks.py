"""What tests of webhooks do over and over."""

from __future__ import annotations

from typing import Any

from simulator.domain import signing
from simulator.domain.events import Outcome, Outgoing
from tests.support.cloud import Answer, Cloud

HOOKS = "/v1/orgs/{org}/webhooks"
URL = "https://hooks.example.com/openrelay"
FAILED = Outcome(status_code=500)


def hook_of(cloud: Cloud, *events: str, **body: Any) -> dict[str, Any]:
    """A new webhook, as its creation answered it."""
    answer = cloud.post(f"{HOOKS}/create", {"name": "hook", "url": URL, "events": list(events), **body})
    assert answer.status == 200, answer
    made: dict[str, Any] = answer.body
    return made


def deliveries(cloud: Cloud, hook: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    answer = cloud.get(f"{HOOKS}/{hook['id']}/deliveries{query}")
    assert answer.status == 200, answer
    listed: list[dict[str, Any]] = answer.body
    return listed


def toggle(cloud: Cloud, hook: dict[str, Any], enabled: bool) -> Answer:
    return cloud.post(f"{HOOKS}/{hook['id']}/toggle", {"enabled": enabled})


def send(cloud: Cloud, event_type: str = "vm.running", seconds: float = 0, **data: Any) -> Any:
    """Let a sample event happen, and so much time pass."""
    told = cloud.do("webhook.send", name="acme", type=event_type, data=data)
    cloud.advance(seconds)
    return told


def genuine(outgoing: Outgoing, secret: str) -> bool:
    return signing.verify(secret, outgoing.body, outgoing.headers["X-VectorLay-Signature"])
