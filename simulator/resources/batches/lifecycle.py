"""What a batch goes through: its file is looked at, its records are worked off one by one, the results are
written, and the work that was done is billed.

A file that cannot be read fails the whole batch. A record that a model cannot answer fails alone: it stands
in the error file and costs nothing [choice]. A batch that is cancelled, or not done within 24 hours, keeps
the results of the records done so far, and pays for them [2026-07].
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, ClassVar

import msgspec

from simulator.domain import completion, events, inference, workload
from simulator.domain.completion import APIS, Answer, Record
from simulator.domain.faults import lifecycle as faults
from simulator.domain.inference import InferenceModel, InferenceUse
from simulator.kernel.clock import Grade
from simulator.kernel.instant import DAY_MS, SECOND_MS
from simulator.kernel.machine import NEW, SAME, Machine, row
from simulator.kernel.operation import Area
from simulator.kernel.refusal import nearest
from simulator.kernel.world import Index, Row, World
from simulator.resources import files

STATES = (
    *("validating", "in_progress", "finalizing", "completed"),
    *("failed", "expired", "cancelling", "cancelled"),
)
ENDED = ("completed", "failed", "expired", "cancelled")
WORKING = ("validating", "in_progress", "finalizing")
WINDOW_MS = DAY_MS
MOST_FAULTS = 100
"""Faults of a file that are listed; more are not read [choice]."""

# fmt: off
LIFECYCLE = Machine("Batch", STATES, [
    # trigger      from            to             place   session  told
    row("create",    NEW,            "validating"),
    row("accept",    "validating",   "in_progress"),
    row("reject",    "validating",   "failed",     "keep", "keep", "batch.failed"),
    row("work_done", "in_progress",  "finalizing"),
    row("finish",    "finalizing",   "completed",  "keep", "keep", "batch.completed"),
    row("cancel",    WORKING,        "cancelling"),
    row("cancel",    "cancelling",   SAME),
    row("wind_up",   "cancelling",   "cancelled",  "keep", "keep", "batch.cancelled"),
    row("expire",    WORKING,        "expired",    "keep", "keep", "batch.expired"),
    row("expire",    "cancelling",   "cancelled",  "keep", "keep", "batch.cancelled"),
], refusals={
    "cancel": {"*": "conflict"},
})
# fmt: on

area = Area("Batches", scope="inference", machine=LIFECYCLE, feature="batch")


class Batch(Row, frozen=True, kw_only=True):
    """One batch. `run` counts its transitions: a timer set for an earlier run does nothing."""

    states: ClassVar = STATES
    indexes: ClassVar = {"organization": Index(lambda batch: batch.organization_id)}

    organization_id: str
    made_by: str = ""
    """The principal whose budget it is counted against."""
    status: str = NEW
    run: int = 0
    endpoint: str
    input_file_id: str
    content: bytes = b""
    """The input, until the batch has ended: its file may go before."""
    model: str = ""
    """For records that name none."""
    metadata: dict[str, str] = {}
    total: int = 0
    """Records, once the file has been looked at."""
    faulty: tuple[int, ...] = ()
    """Positions of the records that no model can answer."""
    began_at_ms: int = 0
    record_ms: int | None = None
    """How long a record takes; None: for ever."""
    done: int = 0
    """Records worked off, once the work has stopped."""
    ended_at_ms: int | None = None
    output_file_id: str = ""
    error_file_id: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    nano_usd: int = 0


# -- progress ----------------------------------------------------------------------------------------------


def done_at(batch: Batch, now_ms: int) -> int:
    """Records worked off by a moment: they take the same time each."""
    if batch.status != "in_progress":
        return batch.done
    if batch.record_ms is None:
        return 0
    spent_ms = now_ms - batch.began_at_ms
    return min(batch.total, spent_ms // batch.record_ms) if batch.record_ms else batch.total


def counts(batch: Batch, now_ms: int) -> dict[str, int]:
    done = done_at(batch, now_ms)
    failed = bisect_left(batch.faulty, done)
    return {"total": batch.total, "completed": done - failed, "failed": failed}


# -- transitions -------------------------------------------------------------------------------------------


def move(world: World, batch: Batch, trigger: str, **fields: Any) -> Batch:
    """Carry out one row of the table; a batch that ends is paid for and tells its organization."""
    before = batch.status
    step = LIFECYCLE.step(before, trigger, f"batch {batch.id}")
    target = step.target_from(before)
    if target == before:
        return batch
    fields = {"done": done_at(batch, world.now_ms), **fields}
    batch = world.change(batch, status=target, run=batch.run + 1, **fields)
    told = {"resource": batch.id, "name": batch.id, "from": before, "to": target}
    outer, world.cause = world.cause, world.note("transition", **told, trigger=trigger)
    if target in ENDED:
        batch = _end(world, batch)
    _plan(world, batch)
    if step.event:
        events.record(world, batch.organization_id, step.event, batch, _event_data(world, batch))
    world.cause = outer
    return batch


def _event_data(world: World, batch: Batch) -> dict[str, Any]:
    return {
        "batch_id": batch.id,
        "status": batch.status,
        "request_counts": counts(batch, world.now_ms),
        "cost_nano_usd": batch.nano_usd,
        "output_file_id": batch.output_file_id or None,
        "error_file_id": batch.error_file_id or None,
    }


def _plan(world: World, batch: Batch) -> None:
    """The end of the state a batch has arrived in; what was planned for the one before is stale."""
    if batch.status == "validating":
        due_ms = world.now_ms + WINDOW_MS
        world.clock.at(due_ms, "batch.expire", (batch.id,), cause=world.cause, grade=Grade.watch)
    if batch.status in ENDED:
        return
    if batch.status == "in_progress":
        span_ms = None if batch.record_ms is None else batch.total * batch.record_ms
    else:
        span_ms = workload.draw_ms(world, f"batch.{batch.status}")
    step = faults.Step("batch", batch.status, "batch.proceed", (batch.id, batch.run))
    faults.proceed(world, batch, step, span_ms)


# -- timers ------------------------------------------------------------------------------------------------


@area.timer("batch.proceed")
def proceed(world: World, batch_id: str, run: int) -> None:
    """What a batch was at is done: the next state begins."""
    batch = world.get(Batch, batch_id)
    if batch.run != run:
        return
    if batch.status == "validating":
        _look_at_file(world, batch)
    else:
        triggers = {"in_progress": "work_done", "finalizing": "finish", "cancelling": "wind_up"}
        move(world, batch, triggers[batch.status])


@area.timer("batch.fails")
def fails(world: World, batch_id: str, reason: str) -> None:
    """The look at the file came to nothing; later a batch cannot fail, only expire."""
    batch = world.get(Batch, batch_id)
    if batch.status == "validating":
        told = [{"line": 1, "message": reason[:300], "code": "internal"}]
        move(world, batch, "reject", error_file_id=_write(world, batch, told, "error"))


@area.timer("batch.expire")
def expire(world: World, batch_id: str) -> None:
    """The completion window is over."""
    batch = world.get(Batch, batch_id)
    if batch.status not in ENDED:
        move(world, batch, "expire")


@area.timer(inference.SETTLE)
def settle(world: World, organization_id: str) -> None:
    """What was used of the models some time ago is debited."""
    inference.settle(world, organization_id)


# -- the look at the file ----------------------------------------------------------------------------------


def _look_at_file(world: World, batch: Batch) -> None:
    """Accept the file, or fail the batch with an error file that says why."""
    lines = files.records(batch.content)
    faults: list[dict[str, Any]] = []
    found: list[Record] = []
    names: set[str] = set()
    models = models_for(world, batch.endpoint)
    for number, line in enumerate(lines, 1):
        try:
            record = completion.read(line)
            _check(batch, record, names, models)
        except ValueError as problem:
            faults.append({"line": number, "message": str(problem)[:300], "code": "invalid_line"})
            if len(faults) == MOST_FAULTS:
                break
        else:
            names.add(record.custom_id)
            found.append(record)
    if faults:
        error_file_id = _write(world, batch, faults, "error")
        move(world, batch, "reject", error_file_id=error_file_id)
        return
    faulty = (at for at, record in enumerate(found) if completion.fault(batch.endpoint, record.body))
    used = {record.body.get("model", batch.model) for record in found}
    move(
        world,
        batch,
        "accept",
        total=len(found),
        faulty=tuple(faulty),
        model=used.pop() if len(used) == 1 else batch.model,
        began_at_ms=world.now_ms,
        record_ms=workload.draw_ms(world, "batch.record"),
    )


def _check(batch: Batch, record: Record, names: set[str], models: list[str]) -> None:
    """What fails the whole batch [choice]. Raises ValueError with what is wrong."""
    if record.custom_id in names:
        raise ValueError(f"custom_id {record.custom_id[:80]!r} comes twice")
    if record.method != "POST" or record.url != batch.endpoint:
        asked = f"{record.method[:10]} {record.url[:80]}"
        raise ValueError(f"asks for {asked!r} in a batch of POST {batch.endpoint}")
    check_model(batch.endpoint, record.body.get("model", batch.model), models)


def models_for(world: World, endpoint: str) -> list[str]:
    """The models that serve batches of an endpoint."""
    return [model.id for model in world.rows(InferenceModel) if _serves(model, endpoint)]


def check_model(endpoint: str, name: Any, known: list[str]) -> None:
    """Raises ValueError where a model does not serve a batch, with those that do."""
    if name not in known:
        hint = nearest(name, known) if isinstance(name, str) else ""
        raise ValueError(f"model {repr(name)[:80]} does not serve batches of {endpoint}{hint}")


def _serves(model: InferenceModel, endpoint: str) -> bool:
    return model.batch_eligible and model.status == "available" and APIS[endpoint] in model.supported_apis


# -- the end -----------------------------------------------------------------------------------------------


def _end(world: World, batch: Batch) -> Batch:
    """Write the results of the records done, and let the organization owe for them."""
    done = [completion.read(line) for line in files.records(batch.content)[: batch.done]]
    faulty = set(batch.faulty)
    answered = [record for at, record in enumerate(done) if at not in faulty]
    errors = [_error(batch, record) for at, record in enumerate(done) if at in faulty]
    answers: dict[str, list[Answer]] = {}
    results = []
    for record in answered:
        model = record.body.get("model", batch.model)
        answer = completion.answer(batch.endpoint, record.body)
        answers.setdefault(model, []).append(answer)
        results.append(completion.output_line(record, answer, model, world.now_ms // SECOND_MS))
    uses = [_use(world, batch, model, given) for model, given in answers.items()]
    return world.change(
        batch,
        ended_at_ms=world.now_ms,
        content=b"",
        output_file_id=_write(world, batch, results, "output") if results else "",
        error_file_id=_write(world, batch, errors, "error") if errors else batch.error_file_id,
        input_tokens=sum(use.input_tokens for use in uses),
        output_tokens=sum(use.output_tokens for use in uses),
        nano_usd=sum(use.nano_usd for use in uses),
    )


def _error(batch: Batch, record: Record) -> dict[str, Any]:
    return completion.error_line(record, completion.fault(batch.endpoint, record.body))


def _write(world: World, batch: Batch, lines: list[dict[str, Any]], what: str) -> str:
    """A file of results; answers its id."""
    content = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    name = f"{batch.id}_{what}.jsonl"
    return files.add(world, batch.organization_id, name, content, purpose=f"batch_{what}").id


def _use(world: World, batch: Batch, model: str, answers: list[Answer]) -> InferenceUse:
    """Let the organization owe for the answers of a model."""
    tokens_in = sum(answer.input_tokens for answer in answers)
    tokens_out = sum(answer.output_tokens for answer in answers)
    percent = world.settings.whole("batches.price_percent")
    return inference.use(
        world,
        batch.organization_id,
        key_id=batch.made_by,
        source_id=batch.id,
        model=model,
        requests=len(answers),
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        nano_usd=inference.price_nano(world.get(InferenceModel, model), tokens_in, tokens_out, percent),
    )
