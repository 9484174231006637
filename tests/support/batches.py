"""Files and batches as a client makes them, and what holds for their cost in every world."""

from __future__ import annotations

import json
from typing import Any

from simulator.domain.inference import InferenceUse
from simulator.domain.metering import Account, Transaction
from simulator.kernel.money import NANO_USD_PER_CENT
from simulator.kernel.world import World
from simulator.resources.batches.lifecycle import Batch
from tests.support.cloud import Answer, Cloud

CHAT = "/v1/chat/completions"
MODEL = "qwen3-32b"
BOUNDARY = "a-boundary-of-tests"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"


def form(**fields: bytes) -> bytes:
    """A form with a file and other fields, as an HTTP library writes it."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        + (b'; filename="in.jsonl"\r\nContent-Type: application/jsonl' if name == "file" else b"")
        + b"\r\n\r\n"
        + content
        + b"\r\n"
        for name, content in fields.items()
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def send(cloud: Cloud, content: bytes, **more: Any) -> Answer:
    """Upload a file through a form."""
    body = form(purpose=b"batch", file=content)
    return cloud.call("POST", "/v1/files", body, content_type=MULTIPART, **more)


def upload(cloud: Cloud, content: bytes) -> dict[str, Any]:
    answer = send(cloud, content)
    assert answer.status == 200, answer
    file: dict[str, Any] = answer.body
    return file


def record(name: str, **body: Any) -> dict[str, Any]:
    """A record of a chat; `messages=[]` makes it one that no model answers."""
    messages = [{"role": "user", "content": f"say {name}"}]
    return {
        "custom_id": name,
        "method": "POST",
        "url": CHAT,
        "body": {"model": MODEL, "messages": messages, **body},
    }


def jsonl(*records: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in records)


def start(cloud: Cloud, *records: Any, **body: Any) -> Answer:
    """Create a batch of these records."""
    wanted = {"endpoint": CHAT, "completion_window": "24h", "requests": list(records), **body}
    return cloud.post("/v1/batches", {name: value for name, value in wanted.items() if value is not None})


def batch_of(cloud: Cloud, count: int = 3, faulty: int = 0, **body: Any) -> dict[str, Any]:
    """A new batch of so many records, of which the first ones are faulty."""
    records = [record(f"r{at}", **({"messages": []} if at < faulty else {})) for at in range(count)]
    answer = start(cloud, *records, **body)
    assert answer.status == 200, answer
    batch: dict[str, Any] = answer.body
    return batch


def look(cloud: Cloud, batch: dict[str, Any]) -> dict[str, Any]:
    answer = cloud.get(f"/v1/batches/{batch['id']}")
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.body
    return found


def lines(cloud: Cloud, file_id: str) -> list[Any]:
    """The records of a file, downloaded."""
    answer = cloud.get(f"/v1/files/{file_id}/content")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/octet-stream")
    return [json.loads(line) for line in answer.body.splitlines()]


# -- what holds


def no_nano_dollar_is_lost_or_paid_twice(world: World) -> None:
    """What batches cost is what was used; of that, what is not yet debited is pending."""
    for account in world.rows(Account):
        uses = [use for use in world.rows(InferenceUse) if use.organization_id == account.id]
        batches = [row for row in world.rows(Batch) if row.organization_id == account.id]
        assert sum(use.nano_usd for use in uses) == sum(row.nano_usd for row in batches), account
        lines = world.select(Transaction, "organization", account.id)
        debited = -sum(line.amount_cents for line in lines if line.type == "inference_debit")
        used = debited * NANO_USD_PER_CENT + account.inference_nano
        assert used == sum(use.nano_usd for use in uses), account
        assert account.inference_nano >= 0, account


def batches_count_no_more_than_they_have(world: World) -> None:
    for batch in world.rows(Batch):
        assert 0 <= batch.done <= batch.total, batch
        assert (batch.ended_at_ms is None) == bool(batch.content), batch
