"""Runner pools and jobs brought to any state, and what holds for them in every world."""

from __future__ import annotations

from typing import Any

from simulator.kernel.world import World
from simulator.resources.runners.lifecycle import MB_PER_GB, RunnerJob, RunnerPool, is_open, jobs_in, ram_mb
from tests.support.cloud import Cloud

POOLS = "/v1/orgs/{org}/runner-pools"
INSTALLATION, PERSONAL = 4001, 4003
"""Of the default fixture: acme-robotics, and somebody's own account."""


def forget_cards(cloud: Cloud) -> None:
    cards = "/v1/orgs/{org}/billing/payment-methods"
    for card in cloud.get(cards).body["paymentMethods"]:
        assert cloud.delete(f"{cards}/{card['id']}").status == 204


def grant_of(cloud: Cloud, installation: int = INSTALLATION) -> str:
    """The grant that GitHub's consent comes to: connect address, callback, list of installations."""
    state = cloud.get(f"{POOLS}/connect-url").body["url"].rpartition("=")[2]
    answer = cloud.post(f"{POOLS}/installations", {"code": "from-github", "state": state})
    assert answer.status == 200, answer
    grants = {row["installationId"]: row["connectGrant"] for row in answer.body["installations"]}
    grant: str = grants[installation]
    return grant


def pool_of(cloud: Cloud, **body: Any) -> dict[str, Any]:
    """A new pool of 32 GB, as its creation answered it; with a grant where one is needed."""
    wanted = {"name": "ci", "installationId": INSTALLATION, "poolRamGb": 32, "grant": grant_of(cloud), **body}
    answer = cloud.post(POOLS, {name: value for name, value in wanted.items() if value is not None})
    assert answer.status == 200, answer
    pool: dict[str, Any] = answer.body
    return pool


def queue(cloud: Cloud, pool: dict[str, Any], ram_gb: int = 8, **more: Any) -> str:
    """A new job; answers its id."""
    job_id: str = cloud.do("runner.queue_job", id=pool["id"], ram_gb=ram_gb, **more)["job"]
    return job_id


def item(cloud: Cloud, pool: dict[str, Any]) -> dict[str, Any]:
    answer = cloud.get(f"{POOLS}/{pool['id']}")
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.body
    return found


def jobs_of(cloud: Cloud, pool: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    answer = cloud.get(f"{POOLS}/{pool['id']}/jobs{query}")
    assert answer.status == 200, answer
    found: list[dict[str, Any]] = answer.body
    return found


def bring_pool_to(cloud: Cloud, status: str) -> dict[str, Any]:
    """A pool in this status; a draining one has a job that runs."""
    pool = pool_of(cloud)
    if status == "suspended":
        cloud.do("runner.set_subscription", id=pool["id"], status="past_due")
    if status == "draining":
        queue(cloud, pool)
    if status in ("draining", "deleted"):
        cloud.delete(f"{POOLS}/{pool['id']}")
    assert item(cloud, pool)["status"] == status
    return pool


def bring_job_to(cloud: Cloud, status: str) -> str:
    """A job in this status."""
    pool = pool_of(cloud)
    if status == "queued":
        queue(cloud, pool, 32)
        return queue(cloud, pool)
    job_id = queue(cloud, pool)
    if status != "provisioning":
        cloud.advance(20)
    if status not in ("provisioning", "running"):
        cloud.do("runner.finish_job", id=job_id, conclusion=status)
    return job_id


# -- what holds


def runner_pools_are_never_oversold(world: World) -> None:
    """Jobs hold no more RAM than their pool has, and where the oldest that waits fits, it does not wait."""
    for pool in world.rows(RunnerPool):
        held = ram_mb(jobs_in(world, pool, "holding"))
        assert held <= pool.ram_gb * MB_PER_GB, pool
        waiting = jobs_in(world, pool, "queued")
        if waiting and pool.status != "suspended":
            assert held + waiting[0].ram_mb > pool.ram_gb * MB_PER_GB, waiting[0]
        if pool.status == "deleted":
            assert not is_open(world, pool), pool


def runner_jobs_start_first_in_first_out(world: World) -> None:
    """No job starts before one that was queued earlier and has neither started nor been cancelled."""
    for pool in world.rows(RunnerPool):
        jobs = [job for job in world.select(RunnerJob, "pool", pool.id) if job.status != "cancelled"]
        assert [job.number for job in jobs] == sorted(job.number for job in jobs)
        started = [job.provisioning_at_ms for job in jobs if job.provisioning_at_ms is not None]
        assert started == sorted(started), pool
        assert all(job.provisioning_at_ms is None for job in jobs[len(started) :]), pool
