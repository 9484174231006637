"""Runner pools and their jobs: what states they go through, and when a job starts.

A pool is a monthly subscription to an amount of RAM. Jobs wait in it, first in, first out: the oldest one
starts as soon as its RAM is free, and no younger one overtakes it [choice]. A suspended pool starts nothing;
a draining one works off what it has and takes nothing new.
"""

from __future__ import annotations

from typing import ClassVar

from simulator.domain import cards, workload
from simulator.domain.faults import lifecycle as faults
from simulator.kernel.clock import Grade
from simulator.kernel.instant import DAY_MS, SECOND_MS
from simulator.kernel.machine import NEW, SAME, Machine, row
from simulator.kernel.operation import Area
from simulator.kernel.refusal import Refusal
from simulator.kernel.settings import Settings
from simulator.kernel.streams import BASE36
from simulator.kernel.world import Index, Row, World

MB_PER_GB = 1024
PERIOD_DAYS = 30
"""Of a subscription [choice: a month of even length]."""

POOL_STATES = ("active", "suspended", "draining", "deleted")
JOB_STATES = ("queued", "provisioning", "running", "completed", "failed", "cancelled")
HOLDING = ("provisioning", "running")
"""Jobs in these states have RAM of their pool."""

# fmt: off
POOL_LIFE = Machine("Runner pool", POOL_STATES, [
    # trigger         from                      to
    row("create",     NEW,                      "active"),
    row("suspend",    "active",                 "suspended"),
    row("suspend",    ("suspended", "draining"), SAME),
    row("resume",     "suspended",              "active"),
    row("resume",     ("active", "draining"),   SAME),
    row("resize",     ("active", "suspended"),  SAME),
    row("queue_job",  ("active", "suspended"),  SAME),
    row("drain",      ("active", "suspended"),  "draining"),
    row("drain",      "draining",               SAME),
    row("delete",     ("active", "suspended", "draining"), "deleted"),
    row("delete",     "deleted",                SAME),
], refusals={
    "suspend":   {"*": "conflict"},
    "resume":    {"*": "conflict"},
    "resize":    {"*": "POOL_STATE_UNFIT"},
    "queue_job": {"*": "conflict"},
    "drain":     {"*": "conflict"},
    "delete":    {},
})

JOB_LIFE = Machine("Runner job", JOB_STATES, [
    # trigger      from                                  to
    row("queue",    NEW,                                   "queued"),
    row("start",    "queued",                              "provisioning"),
    row("run",      "provisioning",                        "running"),
    row("complete", "running",                             "completed"),
    row("fail",     ("provisioning", "running"),           "failed"),
    row("cancel",   ("queued", "provisioning", "running"), "cancelled"),
], refusals={
    "complete": {"*": "conflict"},
    "fail":     {"*": "conflict"},
    "cancel":   {"*": "conflict"},
})
# fmt: on

area = Area("Runners", scope="vms", machine=POOL_LIFE)
jobs = Area("Runners", scope="vms", machine=JOB_LIFE)


class GithubInstallation(Row, frozen=True, kw_only=True):
    """An installation of the GitHub App somewhere on GitHub; the id is its number in digits."""

    account: str
    account_type: str
    """`Organization` or `User`."""


def _order(job: RunnerJob) -> tuple[int, int, str]:
    return job.created_at_ms, job.number, job.id


class RunnerPool(Row, frozen=True, kw_only=True):
    """An amount of RAM for the jobs of one GitHub installation."""

    states: ClassVar = POOL_STATES
    indexes: ClassVar = {
        "listed": Index(lambda pool: pool.organization_id if pool.status != "deleted" else None),
        "installation": Index(
            lambda pool: (
                (pool.organization_id, pool.installation_id)
                if pool.status in ("active", "suspended")
                else None
            )
        ),
    }

    organization_id: str
    name: str
    status: str = NEW
    installation_id: int
    github_owner: str
    github_owner_type: str
    ram_gb: int
    disk_gb: int
    updated_at_ms: int
    subscription: str = "trialing"
    """trialing, active, past_due or canceled [choice: the words of the card processor]."""
    trial_ends_at_ms: int
    period_ends_at_ms: int


class RunnerJob(Row, frozen=True, kw_only=True):
    """A job of a GitHub workflow, queued at `created_at_ms`. `number` counts those of its pool."""

    states: ClassVar = JOB_STATES
    indexes: ClassVar = {
        "pool": Index(lambda job: job.pool_id, _order),
        "queued": Index(lambda job: job.pool_id if job.status == "queued" else None, _order),
        "holding": Index(lambda job: job.pool_id if job.status in HOLDING else None, _order),
    }

    organization_id: str
    pool_id: str
    number: int
    status: str = NEW
    ram_mb: int
    cpus: int
    repo: str = ""
    label: str = ""
    runner_name: str = ""
    seconds: float | None = None
    """How long it runs by itself; None: until somebody says that it has ended."""
    conclusion: str = "complete"
    """The trigger that then ends it: complete or fail."""
    provisioning_at_ms: int | None = None
    running_at_ms: int | None = None
    completed_at_ms: int | None = None
    failure_reason: str = ""


# -- amounts -----------------------------------------------------------------------------------------------


def tiers(settings: Settings) -> dict[int, int]:
    """Sizes of pools in GB and their prices in cents a month."""
    pairs = (pair.split("=") for pair in settings.word("runners.tiers").split())
    return {int(ram_gb): int(cents) for ram_gb, cents in pairs}


def check_tier(settings: Settings, ram_gb: int) -> int:
    if ram_gb not in tiers(settings):
        sizes = ", ".join(map(str, tiers(settings)))
        raise Refusal("bad_request", f"poolRamGb {ram_gb} is no size of runner pools; there are {sizes}")
    return ram_gb


def jobs_in(world: World, pool: RunnerPool, index: str) -> list[RunnerJob]:
    """The jobs that hold RAM, or those that wait for it, oldest first."""
    return world.select(RunnerJob, index, pool.id)


def ram_mb(found: list[RunnerJob]) -> int:
    return sum(job.ram_mb for job in found)


def is_open(world: World, pool: RunnerPool) -> bool:
    """Whether jobs of the pool run or wait."""
    return any(world.bucket(RunnerJob, index, pool.id) for index in ("holding", "queued"))


# -- transitions -------------------------------------------------------------------------------------------


def move_pool(world: World, pool: RunnerPool, trigger: str, **fields: object) -> RunnerPool:
    """Carry out one row of the pool's table; where it stays as it is, only the fields change."""
    before = pool.status
    target = POOL_LIFE.step(before, trigger, f"runner pool {pool.name!r}").target_from(before)
    if target == before and not fields:
        return pool
    pool = world.change(pool, status=target, updated_at_ms=world.now_ms, **fields)
    _note(world, pool.id, (pool.name, before, target), trigger)
    start_waiting(world, pool)
    return pool


def move_job(world: World, job: RunnerJob, trigger: str, reason: str = "") -> RunnerJob:
    """Carry out one row of the job's table; RAM that becomes free goes to the oldest that wait."""
    before = job.status
    target = JOB_LIFE.step(before, trigger, f"runner job {job.id}").target_from(before)
    fields: dict[str, object] = {"failure_reason": reason} if target == "failed" else {}
    if target in ("provisioning", "running"):
        fields[f"{target}_at_ms"] = world.now_ms
    elif target != "queued":
        fields["completed_at_ms"] = world.now_ms
    if target == "provisioning":
        fields["runner_name"] = f"openrelay-{world.streams.text('runner', 8, BASE36)}"
    job = world.change(job, status=target, **fields)
    outer = world.cause
    world.cause = _note(world, job.id, (job.runner_name, before, target), trigger)
    _plan(world, job)
    if job.completed_at_ms is not None:
        start_waiting(world, world.get(RunnerPool, job.pool_id))
    world.cause = outer
    return job


def _note(world: World, row_id: str, told: tuple[str, str, str], trigger: str) -> int:
    name, before, target = told
    facts = {"resource": row_id, "name": name, "from": before, "to": target}
    return world.note("transition", **facts, trigger=trigger)


def start_waiting(world: World, pool: RunnerPool) -> None:
    """Start the oldest waiting jobs as long as their RAM fits."""
    if pool.status not in ("active", "draining"):
        return
    free_mb = pool.ram_gb * MB_PER_GB - ram_mb(jobs_in(world, pool, "holding"))
    while (job := world.first(RunnerJob, "queued", pool.id)) and job.ram_mb <= free_mb:
        free_mb -= job.ram_mb
        move_job(world, job, "start")


def _plan(world: World, job: RunnerJob) -> None:
    if job.status == "provisioning":
        span_ms = workload.draw_ms(world, "runner.provisioning")
        faults.proceed(
            world, job, faults.Step("runner_job", "provisioning", "runner.run", (job.id,)), span_ms
        )
    elif job.status == "running":
        span_ms = None if job.seconds is None else round(job.seconds * SECOND_MS)
        faults.proceed(world, job, faults.Step("runner_job", "running", "runner.finish", (job.id,)), span_ms)


def plan_period(world: World, pool: RunnerPool) -> None:
    """See to the end of the trial, or of the month that has been paid."""
    due_ms = pool.period_ends_at_ms
    world.clock.at(due_ms, "runner.renew", (pool.id, due_ms), cause=world.cause, grade=Grade.calendar)


# -- timers ------------------------------------------------------------------------------------------------


@area.timer("runner.run")
def run_job(world: World, job_id: str) -> None:
    """The runner is up and takes its job."""
    job = world.get(RunnerJob, job_id)
    if job.status == "provisioning":
        move_job(world, job, "run")


@area.timer("runner.finish")
def finish_job(world: World, job_id: str) -> None:
    """A job whose length was given has run so long."""
    job = world.get(RunnerJob, job_id)
    if job.status == "running":
        move_job(world, job, job.conclusion, "" if job.conclusion == "complete" else "the job failed")


@jobs.timer("runner_job.fails")
def fails(world: World, job_id: str, reason: str) -> None:
    """A runner did not come up, or the job it had failed."""
    job = world.get(RunnerJob, job_id)
    if job.status in ("provisioning", "running"):
        move_job(world, job, "fail", reason)


@area.timer("runner.renew")
def renew(world: World, pool_id: str, due_ms: int) -> None:
    """The trial or a paid month is over: the next one begins, or the pool is past due and suspended
    [choice]."""
    pool = world.get(RunnerPool, pool_id)
    if pool.period_ends_at_ms != due_ms or pool.subscription not in ("trialing", "active"):
        return
    if _pays(world, pool):
        begin_period(world, pool)
    else:
        move_pool(world, pool, "suspend", subscription="past_due")


def _pays(world: World, pool: RunnerPool) -> bool:
    """Whether the organization's card bears the price; where none is asked for, it always does."""
    if not world.settings.flag("runners.require_card"):
        return True
    card = cards.default_card(world, pool.organization_id)
    return card is not None and cards.outcome_of(world, card).trigger == "charge"


def begin_period(world: World, pool: RunnerPool) -> RunnerPool:
    """A month is paid for. It is charged to the card, not to the balance [choice]."""
    ends_at_ms = world.now_ms + PERIOD_DAYS * DAY_MS
    pool = world.change(pool, subscription="active", period_ends_at_ms=ends_at_ms, updated_at_ms=world.now_ms)
    plan_period(world, pool)
    return pool
