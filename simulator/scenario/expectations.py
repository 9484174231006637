"""What a scenario expects to be so in the end: the form. Whether it is so is found out in insight/verdict."""

from __future__ import annotations

from typing import Annotated

import msgspec

from simulator.domain.capacity import Node
from simulator.domain.events import EVENT_TYPES
from simulator.kernel.form import FormProblem
from simulator.kernel.globs import globs, like
from simulator.kernel.refusal import nearest
from simulator.kernel.world import Row
from simulator.registry import ACTIONS, OPERATIONS
from simulator.resources.batches.lifecycle import Batch
from simulator.resources.billing.payments import Payment
from simulator.resources.clusters.states import Cluster, Replica
from simulator.resources.runners.lifecycle import RunnerJob, RunnerPool
from simulator.resources.snapshots import Snapshot
from simulator.resources.transfers import Transfer
from simulator.resources.vms.lifecycle import Vm
from simulator.scenario.words import Globs, known_globs

RESOURCES: dict[str, type[Row]] = {
    "vm": Vm,
    "cluster": Cluster,
    "replica": Replica,
    "snapshot": Snapshot,
    "transfer": Transfer,
    "payment": Payment,
    "node": Node,
    "runner_pool": RunnerPool,
    "runner_job": RunnerJob,
    "batch": Batch,
}
"""What can be expected of a status."""

SUBJECTS = ("resource", "calls", "event", "delivered", "fault", "action", "spend", "leaks")

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class Cents(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Bounds of what was spent since the world's first moment, in cents."""

    min_cents: Count | None = None
    max_cents: Count | None = None


class Expectation(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One thing that is expected: a subject, and how many of it. By default there is at least one."""

    resource: str | None = None
    """Resources of a kind, chosen by name and status."""
    calls: Globs | None = None
    """Requests of an operation, chosen by the answer's status: 404, or 5xx."""
    event: Globs | None = None
    """Events that were recorded."""
    delivered: Globs | None = None
    """Webhooks that a receiver took, by event."""
    fault: Globs | None = None
    """Hits of fault rules, by id."""
    action: Globs | None = None
    """Actions of the timeline that were carried out."""
    spend: Cents | None = None
    leaks: Count | None = None
    """Exactly so many resources still cost money that did not at the first moment."""
    name: Globs | None = None
    status: str | int | list[str | int] | None = None
    count: Count | None = None
    min: Count | None = None
    max: Count | None = None

    @property
    def subject(self) -> str:
        return next(name for name in SUBJECTS if getattr(self, name) is not None)

    def bounds(self) -> tuple[int, int | None]:
        """How many there are to be: at least, and at the most."""
        if self.count is not None:
            return self.count, self.count
        nothing_said = self.min is None and self.max is None
        return self.min if self.min is not None else int(nothing_said), self.max


def check(expectation: Expectation) -> None:
    """Raise FormProblem where an expectation could never be met, with what would be right."""
    subjects = [name for name in SUBJECTS if getattr(expectation, name) is not None]
    if len(subjects) != 1:
        raise FormProblem(f"expect one of {', '.join(SUBJECTS)}, not {' and '.join(subjects) or 'nothing'}")
    (subject,) = subjects
    _check_fields(expectation, subject)
    if subject == "resource":
        _check_resource(expectation)
    known = {
        "calls": list(OPERATIONS),
        "event": list(EVENT_TYPES),
        "delivered": list(EVENT_TYPES),
        "action": list(ACTIONS),
    }
    if subject in known:
        known_globs(subject.rstrip("s"), getattr(expectation, subject), known[subject], subject)
    least, most = expectation.bounds()
    if most is not None and least > most:
        raise FormProblem(f"at least {least} and at the most {most} cannot both be")


def _check_fields(expectation: Expectation, subject: str) -> None:
    """Words that say nothing about this subject are a mistake."""
    counted = {"count", "min", "max"} if subject not in ("spend", "leaks") else set()
    fitting = {
        "resource": {"name", "status"},
        "calls": {"status"},
        "event": {"name"},
        "delivered": {"name"},
    }.get(subject, set())
    for field in ("name", "status", "count", "min", "max"):
        if getattr(expectation, field) is not None and field not in counted | fitting:
            raise FormProblem(f"says nothing about {subject}", field)
    if expectation.count is not None and (expectation.min, expectation.max) != (None, None):
        raise FormProblem("goes without min and max", "count")


def _check_resource(expectation: Expectation) -> None:
    resource = expectation.resource or ""
    kind = RESOURCES.get(resource)
    if kind is None:
        raise FormProblem(f"no resource {resource!r}{nearest(resource, list(RESOURCES))}", "resource")
    for status in globs(expectation.status):
        if kind.states and not any(like(state, (status,)) for state in kind.states):
            raise FormProblem(
                f"a {resource} is never {status!r}{nearest(status, list(kind.states))}", "status"
            )
