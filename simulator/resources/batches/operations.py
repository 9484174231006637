"""The calls of the Batch API, and who may make them. Without access there is nothing: 404 [2026-07]."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import msgspec

from simulator.domain import inference
from simulator.kernel import page
from simulator.kernel.instant import SECOND_MS
from simulator.kernel.operation import Call
from simulator.kernel.refusal import Refusal
from simulator.kernel.streams import BASE62
from simulator.kernel.world import Row, World, by_age
from simulator.resources import files
from simulator.resources.batches import lifecycle
from simulator.resources.batches.lifecycle import WINDOW_MS, Batch, area
from simulator.resources.files import File

DEFAULT_LIMIT = 20


class Outage(Row, frozen=True, kw_only=True):
    """There while a part of the service is down; the id says which."""


# -- operations --------------------------------------------------------------------------------------------


@area.operation("listBatches")
def list_batches(call: Call) -> dict[str, Any]:
    """Newest first; `after` is the last id of the page before [2026-07]."""
    world = call.world
    limit = page.clamp_limit(call.query.get("limit"), DEFAULT_LIMIT)
    bucket = world.bucket(Batch, "organization", call.organization_id)
    end = len(bucket)
    if "after" in call.query:
        last = world.find(Batch, call.query["after"])
        if last is None or last.organization_id != call.organization_id:
            raise Refusal("bad_request", f"after {call.query['after'][:80]!r} is no batch; pass last_id on")
        end = bisect_left(bucket, by_age(last))
    begin = max(0, end - limit)
    batches = [world.get(Batch, entry[-1]) for entry in reversed(bucket[begin:end])]
    answer: dict[str, Any] = {
        "object": "list",
        "data": [_batch(world, batch) for batch in batches],
        "has_more": begin > 0,
    }
    return answer | ({"first_id": batches[0].id, "last_id": batches[-1].id} if batches else {})


@area.operation("createBatch", write=True, effects="→ validating")
def create_batch(call: Call) -> dict[str, Any]:
    """Exactly one of `input_file_id` and `requests` [2026-07]; requests become a file [choice]."""
    world, body, organization_id = call.world, call.body, call.organization_id
    _check_available(world)
    sources = [name for name in ("input_file_id", "requests") if name in body]
    if len(sources) != 1:
        given = "both" if sources else "neither"
        raise Refusal("bad_request", f"give one of input_file_id and requests; {given} was given")
    if "model" in body:
        _check_model(world, body["endpoint"], body["model"])
    batch_id = f"batch_{world.streams.text('batch', 24, BASE62)}"
    file = _input(world, organization_id, body, batch_id)
    inference.check_funds(world, call.principal)
    if not file.id:
        file = files.add(world, organization_id, file.filename, file.content)
    batch = world.put(
        Batch(
            id=batch_id,
            created_at_ms=world.now_ms,
            organization_id=organization_id,
            made_by=call.principal.id,
            endpoint=body["endpoint"],
            input_file_id=file.id,
            content=file.content,
            model=body.get("model", ""),
            metadata=body.get("metadata", {}),
        )
    )
    return _batch(world, lifecycle.move(world, batch, "create"))


@area.operation("getBatch", finds=Batch)
def get_batch(call: Call, batch: Batch) -> dict[str, Any]:
    """Where it stands; counts go up while records are worked off."""
    return _batch(call.world, batch)


@area.operation("cancelBatch", write=True, finds=Batch, effects="→ cancelling → cancelled; done work billed")
def cancel_batch(call: Call, batch: Batch) -> dict[str, Any]:
    """409 where it has ended [2026-07]; again while cancelling changes nothing [choice]."""
    _check_available(call.world)
    return _batch(call.world, lifecycle.move(call.world, batch, "cancel"))


def _check_available(world: World) -> None:
    """503 while the Batch API is down [2026-07: listed on what creates and cancels]."""
    if world.find(Outage, "batch"):
        raise Refusal("unavailable", "the Batch API is down (action batch.set_available)")


def _check_model(world: World, endpoint: str, model: str) -> None:
    try:
        lifecycle.check_model(endpoint, model, lifecycle.models_for(world, endpoint))
    except ValueError as problem:
        raise Refusal("bad_request", str(problem)) from None


def _input(world: World, organization_id: str, body: dict[str, Any], batch_id: str) -> File:
    """The input file of a new batch; one made from `requests` is not put into the world yet."""
    if "requests" not in body:
        file = world.find(File, body["input_file_id"])
        if file is None or file.organization_id != organization_id or file.purpose != "batch":
            given = body["input_file_id"][:80]
            raise Refusal("bad_request", f"input_file_id {given!r} is no input file of this organization")
        return file
    content = b"".join(msgspec.json.encode(record) + b"\n" for record in body["requests"])
    files.check_content(content, "payload_too_large")
    return File(
        id="",
        organization_id=organization_id,
        filename=f"{batch_id}_input.jsonl",
        purpose="batch",
        content=content,
        expires_at_ms=0,
    )


# -- views -------------------------------------------------------------------------------------------------


def _batch(world: World, batch: Batch) -> dict[str, Any]:
    view: dict[str, Any] = {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "input_file_id": batch.input_file_id,
        "completion_window": "24h",
        "status": batch.status,
        "created_at": batch.created_at_ms // SECOND_MS,
        "expires_at": (batch.created_at_ms + WINDOW_MS) // SECOND_MS,
        "request_counts": lifecycle.counts(batch, world.now_ms),
        "metadata": batch.metadata,
    }
    names = ("model", "output_file_id", "error_file_id")
    view |= {name: getattr(batch, name) for name in names if getattr(batch, name)}
    if batch.ended_at_ms is not None:
        view[f"{batch.status}_at"] = batch.ended_at_ms // SECOND_MS
        view["usage"] = {
            "input_tokens": batch.input_tokens,
            "output_tokens": batch.output_tokens,
            "cost_nano_usd": batch.nano_usd,
        }
    return view


# -- actions -----------------------------------------------------------------------------------------------


class Availability(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Whether the Batch API is up."""

    available: bool


@area.action("batch.set_available", Availability)
def set_available(world: World, what: Availability) -> dict[str, Any]:
    """The Batch API goes down, or comes back; meanwhile no batch is created or cancelled, and all go on."""
    outage = world.find(Outage, "batch")
    if what.available and outage:
        world.delete(outage)
    if not what.available and not outage:
        world.put(Outage(id="batch", created_at_ms=world.now_ms))
    return {"available": what.available}
