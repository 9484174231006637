"""What GitHub and the card processor do to runner pools, and the pools a fixture brings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from simulator.domain.access import organization_of_slug
from simulator.kernel.machine import NEW
from simulator.kernel.refusal import Refusal
from simulator.kernel.target import Target, pick
from simulator.kernel.world import World
from simulator.resources.runners import lifecycle, operations
from simulator.resources.runners.lifecycle import MB_PER_GB, GithubInstallation, RunnerJob, RunnerPool, area

TRIGGERS = {"completed": "complete", "failed": "fail", "cancelled": "cancel"}
"""How a job ends, and the trigger of it."""


class NewJob(Target, kw_only=True):
    """Which pool, and what the job takes."""

    ram_gb: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 8
    cpus: Annotated[int, msgspec.Meta(ge=1, le=256)] = 2
    repo: str = ""
    label: str = ""
    seconds: Annotated[float, msgspec.Meta(ge=0, le=10**7)] | None = None
    """How long it runs; without, until runner.finish_job."""
    conclusion: Literal["completed", "failed"] = "completed"
    """How it then ends."""


class JobEnd(Target, kw_only=True):
    """Which job, by id or by the name of its runner, and how it ends."""

    conclusion: Literal["completed", "failed", "cancelled"] = "completed"
    reason: str = ""


class Payment(Target, kw_only=True):
    """Which pool, and what has become of its subscription."""

    status: Literal["active", "past_due"]


@area.action("runner.queue_job", NewJob)
def queue_job(world: World, what: NewJob) -> dict[str, Any]:
    """GitHub hands a job to a runner pool; it waits until the pool has the RAM for it."""
    pool = pick(world, RunnerPool, what)
    lifecycle.POOL_LIFE.step(pool.status, "queue_job", f"runner pool {pool.name!r}")
    if what.ram_gb > pool.ram_gb:
        raise Refusal("bad_request", f"ram_gb {what.ram_gb} never fits into a pool of {pool.ram_gb} GB")
    job = RunnerJob(
        id=world.streams.uuid("runner_job"),
        created_at_ms=world.now_ms,
        organization_id=pool.organization_id,
        pool_id=pool.id,
        number=len(world.bucket(RunnerJob, "pool", pool.id)),
        ram_mb=what.ram_gb * MB_PER_GB,
        cpus=what.cpus,
        repo=what.repo,
        label=what.label or f"openrelay-{what.cpus}cpu-{what.ram_gb}gb",
        seconds=what.seconds,
        conclusion=TRIGGERS[what.conclusion],
    )
    lifecycle.move_job(world, world.put(job), "queue")
    lifecycle.start_waiting(world, pool)
    return _told(world.get(RunnerJob, job.id))


@area.action("runner.finish_job", JobEnd)
def finish_job(world: World, what: JobEnd) -> dict[str, Any]:
    """A runner job ends: completed, failed, or cancelled by its people."""
    job = pick(world, RunnerJob, what, "runner_name")
    return _told(lifecycle.move_job(world, job, TRIGGERS[what.conclusion], what.reason))


@area.action("runner.set_subscription", Payment)
def set_subscription(world: World, what: Payment) -> dict[str, Any]:
    """The card of a runner pool is declined, which suspends it, or pays again."""
    pool = pick(world, RunnerPool, what)
    if what.status == "past_due":
        pool = lifecycle.move_pool(world, pool, "suspend", subscription="past_due")
    else:
        pool = lifecycle.move_pool(world, pool, "resume", subscription="active")
        pool = lifecycle.begin_period(world, pool)
    return {"pool": pool.id, "status": pool.status, "subscription": pool.subscription}


def _told(job: RunnerJob) -> dict[str, Any]:
    return {"job": job.id, "pool": job.pool_id, "status": job.status, "runner": job.runner_name}


# -- fixture -----------------------------------------------------------------------------------------------


class InstallationSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An installation of the GitHub App."""

    id: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    account: str
    account_type: Literal["Organization", "User"] = "Organization"


class PoolSpec(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A runner pool that is on trial when the world begins."""

    organization: str
    """Slug."""
    installation: int
    """Id of one of github_installations."""
    name: str = ""
    ram_gb: int = operations.DEFAULT_RAM_GB
    disk_gb: int = operations.DEFAULT_DISK_GB


@area.seed("github_installations", list[InstallationSpec])
def seed_installations(world: World, specs: list[InstallationSpec]) -> None:
    for spec in specs:
        world.put(
            GithubInstallation(
                id=str(spec.id),
                created_at_ms=world.now_ms,
                account=spec.account,
                account_type=spec.account_type,
            )
        )


@area.seed("runner_pools", list[PoolSpec])
def seed_pools(world: World, specs: list[PoolSpec]) -> None:
    for spec in specs:
        organization = organization_of_slug(world, spec.organization)
        found = world.find(GithubInstallation, str(spec.installation))
        assert found is not None, f"installation {spec.installation} is not among github_installations"
        body = {
            "name": spec.name or found.account,
            "installationId": spec.installation,
            "poolRamGb": spec.ram_gb,
            "diskSizeGb": spec.disk_gb,
        }
        pool = operations.new_pool(world, organization.id, body, (found.account, found.account_type))
        assert pool.status == NEW
        lifecycle.plan_period(world, world.put(msgspec.structs.replace(pool, status="active")))
